//! Zones as they were before a restart, from the records that the store remembers.
//!
//! In: every record of a version, signatures included, and the changes that led to it. Out: a version that `compile`
//! takes as the one before: its signatures are used again, its history goes on. Never here: the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::arrange::arrange;
use super::change::{Change, OwnedRecord};
use super::name::Name;
use super::node::{Node, Signature};
use super::rdata::Rrset;
use super::rrsig::RrsigFields;
use super::serial::Serial;
use super::version::ZoneVersion;
use super::zones::{ZoneIndex, Zones};
use crate::decide::Generation;

/// Why records are not a zone version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreFault {
    /// No SOA, or more than one.
    #[error("it has not exactly one SOA record at {apex}")]
    Soa {
        /// Where it should be.
        apex: Name,
    },
    /// A record outside the zone.
    #[error("{owner} lies outside the zone")]
    Outside {
        /// Its name.
        owner: Name,
    },
    /// RRSIG octets that are none.
    #[error("{owner} has an RRSIG record that cannot be read")]
    Rrsig {
        /// Its name.
        owner: Name,
    },
    /// Changes that do not lead to the version.
    #[error("its changes have a gap or do not lead to serial {serial}")]
    History {
        /// The serial of the version.
        serial: Serial,
    },
}

impl ZoneVersion {
    /// Puts a version together from its records, in any order, and its history, oldest first.
    ///
    /// # Errors
    /// When the records are not a whole zone, or the changes do not lead to it without a gap.
    pub fn from_records(
        apex: &Name,
        records: impl IntoIterator<Item = OwnedRecord>,
        history: Vec<Arc<Change>>,
    ) -> Result<ZoneVersion, RestoreFault> {
        let nodes = arrange(apex, gather(apex, records)?.into_values());
        let fault = || RestoreFault::Soa { apex: apex.clone() };
        let soa = nodes
            .get(apex.key())
            .and_then(|node| node.set(RecordType::SOA));
        let soa = soa
            .filter(|soa| soa.rdatas.len() == 1)
            .ok_or_else(fault)?
            .clone();
        let serial = serial_of(&soa).ok_or_else(fault)?;
        let leads_on = history.windows(2).all(|pair| pair[0].to == pair[1].from);
        if !leads_on || history.last().is_some_and(|last| last.to != serial) {
            return Err(RestoreFault::History { serial });
        }
        Ok(ZoneVersion::new(apex.clone(), serial, nodes, soa).with_history(history))
    }
}

impl Zones {
    /// The zones published before a restart, for `compile` to go on from; they are not for serving.
    ///
    /// After a stop that was not clean a later version may have been published and not remembered. So only after a clean
    /// one may an unchanged zone keep its serial.
    pub fn restored(
        generation: Generation,
        versions: impl IntoIterator<Item = ZoneVersion>,
        clean: bool,
    ) -> Zones {
        let by_apex: BTreeMap<Name, ZoneVersion> = versions
            .into_iter()
            .map(|version| (version.apex().clone(), version))
            .collect();
        Zones {
            generation,
            index: Arc::new(ZoneIndex::new(by_apex.keys())),
            versions: by_apex
                .into_values()
                .map(|version| match clean {
                    true => version,
                    false => version.without_its_serial(),
                })
                .map(|version| Some(Arc::new(version)))
                .collect(),
            ..Zones::default()
        }
    }
}

impl Zones {
    /// The same zones, for `compile` to go on from: whatever it publishes next has a new serial, in every zone.
    pub fn renewed(&self) -> Zones {
        let mut zones = self.clone();
        for version in zones.versions.iter_mut().flatten() {
            *version = Arc::new(ZoneVersion::clone(version).without_its_serial());
        }
        zones
    }
}

fn gather(
    apex: &Name,
    records: impl IntoIterator<Item = OwnedRecord>,
) -> Result<BTreeMap<Name, Node>, RestoreFault> {
    type Sets = BTreeMap<(bool, u16), Rrset>;
    let mut names: BTreeMap<Name, Sets> = BTreeMap::new();
    for record in records {
        let OwnedRecord {
            owner,
            rtype,
            ttl,
            rdata,
        } = record;
        if !owner.is_at_or_below(apex) {
            return Err(RestoreFault::Outside { owner });
        }
        let signature = rtype == RecordType::RRSIG;
        let about = match signature {
            true => match RrsigFields::of(&rdata) {
                Some(fields) => fields.covered,
                None => return Err(RestoreFault::Rrsig { owner }),
            },
            false => rtype,
        };
        let sets = names.entry(owner).or_default();
        let set = sets.entry((signature, u16::from(about))).or_insert(Rrset {
            rtype,
            ttl,
            rdatas: Vec::new(),
        });
        set.rdatas.push(rdata);
    }
    Ok(names
        .into_iter()
        .map(|(name, sets)| {
            let mut node = Node::empty(name.clone());
            for ((signature, about), set) in sets {
                match signature {
                    false => node.sets.push(Arc::new(set)),
                    true => node.signatures.extend(over(RecordType::from(about), set)),
                }
            }
            (name, node)
        })
        .collect())
}

fn over(covered: RecordType, set: Rrset) -> Option<Signature> {
    let windows = set
        .rdatas
        .iter()
        .filter_map(RrsigFields::of)
        .map(|fields| fields.window);
    let window = windows.reduce(|all, window| all.and(window))?;
    Some(Signature {
        covered,
        set: Arc::new(set),
        inception: window.inception,
        expiration: window.expiration,
    })
}

fn serial_of(soa: &Rrset) -> Option<Serial> {
    let octets = soa.rdatas.first()?.wire();
    let at = octets.len().checked_sub(20)?;
    let serial = octets.get(at..at + 4)?.try_into().ok()?;
    Some(Serial(u32::from_be_bytes(serial)))
}
