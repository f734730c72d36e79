//! What a transfer sends, record by record.
//!
//! In: one version of a zone, the serial that the client has. Out: [`Content`]: the records in the order of RFC 5936
//! §2.2 or RFC 1995 §4, one at a time, however long the client takes. Never here: messages.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::{Kind, changes};
use crate::zone::{Change, Node, Rrset, Serial, ZoneRecord, ZoneVersion};

/// The records of a transfer, and how far it has come.
pub(super) struct Content {
    kind: Kind,
    version: Arc<ZoneVersion>,
    parts: VecDeque<Part>,
}

enum Part {
    /// The SOA of the version.
    Soa,
    /// Everything else of the version.
    Rest(Cursor),
    /// What a change removed, from the record with this number on.
    Removed(Arc<Change>, usize),
    /// What it added.
    Added(Arc<Change>, usize),
}

/// A place in a zone.
struct Cursor {
    node: Option<Arc<Node>>,
    set: usize,
    rdata: usize,
}

impl Content {
    /// The whole zone (RFC 5936 §2.2): its SOA first and last.
    pub(super) fn whole(version: Arc<ZoneVersion>) -> Content {
        let cursor = Cursor::begin(&version);
        let rest = cursor.node.is_some().then_some(Part::Rest(cursor));
        let parts = std::iter::once(Part::Soa).chain(rest).chain([Part::Soa]);
        Content {
            kind: Kind::Axfr,
            parts: parts.collect(),
            version,
        }
    }

    /// The SOA alone.
    pub(super) fn soa(version: &Arc<ZoneVersion>) -> Content {
        Content {
            kind: Kind::Soa,
            version: version.clone(),
            parts: [Part::Soa].into(),
        }
    }

    /// What changed since a serial (RFC 1995 §4); the whole zone when that is not known, or longer.
    pub(super) fn since(version: &Arc<ZoneVersion>, since: Serial) -> Content {
        // RFC 1995 §2: the SOA alone for who is up to date, or ahead.
        if since == version.serial() || since.is_after(version.serial()) {
            return Content::soa(version);
        }
        let Some(changes) = changes::after(version.history(), since) else {
            return Content::whole(version.clone());
        };
        let octets: usize = changes.iter().map(|change| change.octets).sum();
        if is_shorter(version, octets) {
            return Content::whole(version.clone());
        }
        // Each has at least the SOA on both sides.
        let each = changes
            .into_iter()
            .flat_map(|change| [Part::Removed(change.clone(), 0), Part::Added(change, 0)]);
        let parts = std::iter::once(Part::Soa)
            .chain(each)
            .chain([Part::Soa])
            .collect();
        Content {
            kind: Kind::Ixfr,
            version: version.clone(),
            parts,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn is_over(&self) -> bool {
        self.parts.is_empty()
    }

    /// The next record.
    pub(super) fn peek(&self) -> Option<ZoneRecord<'_>> {
        match self.parts.front()? {
            Part::Soa => {
                let soa = self.version.soa();
                Some(ZoneRecord {
                    owner: self.version.apex(),
                    rtype: soa.rtype,
                    ttl: soa.ttl,
                    rdata: soa.rdatas.first()?,
                })
            }
            Part::Rest(cursor) => cursor.record(),
            Part::Removed(change, at) => Some(change.removed.get(*at)?.borrowed()),
            Part::Added(change, at) => Some(change.added.get(*at)?.borrowed()),
        }
    }

    /// Goes on to the one after it.
    pub(super) fn step(&mut self) {
        let more = match self.parts.front_mut() {
            None | Some(Part::Soa) => false,
            Some(Part::Rest(cursor)) => cursor.step(&self.version),
            Some(Part::Removed(change, at)) => {
                *at += 1;
                *at < change.removed.len()
            }
            Some(Part::Added(change, at)) => {
                *at += 1;
                *at < change.added.len()
            }
        };
        if !more {
            self.parts.pop_front();
        }
    }
}

/// Whether the whole zone has no more octets than `octets`; looks at no more of it than that.
fn is_shorter(version: &ZoneVersion, octets: usize) -> bool {
    let mut sum = 0;
    for record in version.records() {
        sum += record.octets();
        if sum > octets {
            return false;
        }
    }
    true
}

impl Cursor {
    fn begin(version: &ZoneVersion) -> Cursor {
        let mut cursor = Cursor {
            node: Some(version.apex_node().clone()),
            set: 0,
            rdata: 0,
        };
        cursor.settle(version);
        cursor
    }

    fn set(&self) -> Option<&Arc<Rrset>> {
        self.node.as_ref()?.all_sets().nth(self.set)
    }

    fn record(&self) -> Option<ZoneRecord<'_>> {
        let set = self.set()?;
        Some(ZoneRecord {
            owner: &self.node.as_ref()?.name,
            rtype: set.rtype,
            ttl: set.ttl,
            rdata: set.rdatas.get(self.rdata)?,
        })
    }

    /// Goes on to the next record; false after the last one.
    fn step(&mut self, version: &ZoneVersion) -> bool {
        self.rdata += 1;
        self.settle(version);
        self.node.is_some()
    }

    /// Goes past sets and nodes that are over, and the SOA, which is sent by itself.
    fn settle(&mut self, version: &ZoneVersion) {
        while let Some(node) = &self.node {
            match self.set() {
                Some(set) if set.rtype != RecordType::SOA && self.rdata < set.rdatas.len() => {
                    return;
                }
                Some(_) => {
                    self.set += 1;
                    self.rdata = 0;
                }
                None => {
                    let next = version.nodes().after(node.name.key()).next().cloned();
                    self.node = next;
                    (self.set, self.rdata) = (0, 0);
                }
            }
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?} of {:?})", self.kind, self.version)
    }
}
