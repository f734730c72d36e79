//! Records one by one, and what changed from one zone version to another.
//!
//! In: two versions of a zone. Out: the records removed and added, in the order a transfer would carry them.
//! Never here: the choice between an incremental and a whole transfer.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::node::Node;
use super::rdata::{Rdata, Rrset};
use super::serial::Serial;
use super::type_names::type_text;
use super::version::ZoneVersion;

/// So many records are compared without sorting them.
const FEW: usize = 16;

/// One record of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneRecord<'a> {
    /// Whose record.
    pub owner: &'a Name,
    /// Its type.
    pub rtype: RecordType,
    /// Its TTL, in seconds.
    pub ttl: u32,
    /// Its data.
    pub rdata: &'a Rdata,
}

impl ZoneRecord<'_> {
    /// How many octets the record has on the wire without compression.
    pub fn octets(&self) -> usize {
        // Type, class, TTL and length have ten octets (RFC 1035 §3.2.1).
        self.owner.wire().len() + 10 + self.rdata.wire().len()
    }
}

impl fmt::Display for ZoneRecord<'_> {
    /// As a line of a master file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rtype = type_text(self.rtype);
        let rdata = self.rdata.to_text(self.rtype);
        write!(f, "{}\t{}\tIN\t{rtype}\t{rdata}", self.owner, self.ttl)
    }
}

/// What changed between two versions of a zone.
#[derive(Clone, Debug)]
pub struct Delta<'a> {
    /// The serial before.
    pub from: Serial,
    /// The serial after.
    pub to: Serial,
    /// Records only the earlier version has, the SOA first.
    pub removed: Vec<ZoneRecord<'a>>,
    /// Records only the later version has, the SOA first.
    pub added: Vec<ZoneRecord<'a>>,
}

impl Delta<'_> {
    /// Whether anything but the serial changed: another field of the SOA counts, its signature does not.
    pub fn changes_records(&self) -> bool {
        let counts = |record: &&ZoneRecord<'_>| {
            record.rtype != RecordType::SOA && covered(record) != Some(RecordType::SOA)
        };
        self.removed
            .iter()
            .chain(&self.added)
            .any(|record| counts(&record))
            || soa_without_serial(&self.removed) != soa_without_serial(&self.added)
    }
}

/// What an RRSIG covers (RFC 4034 §3.1).
fn covered(record: &ZoneRecord<'_>) -> Option<RecordType> {
    let octets = record.rdata.wire().get(..2)?.try_into().ok()?;
    (record.rtype == RecordType::RRSIG).then(|| RecordType::from(u16::from_be_bytes(octets)))
}

fn soa_without_serial<'a>(records: &[ZoneRecord<'a>]) -> Option<(u32, &'a [u8], &'a [u8])> {
    let soa = records
        .iter()
        .find(|record| record.rtype == RecordType::SOA)?;
    // The serial is the first of the five numbers at the end (RFC 1035 §3.3.13).
    let octets = soa.rdata.wire();
    let (names, numbers) = octets.split_at(octets.len().checked_sub(20)?);
    Some((soa.ttl, names, numbers.get(4..)?))
}

impl fmt::Display for Delta<'_> {
    /// One line per record, `-` before those removed and `+` before those added.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.removed {
            writeln!(f, "- {record}")?;
        }
        for record in &self.added {
            writeln!(f, "+ {record}")?;
        }
        Ok(())
    }
}

/// Compares two versions of a zone record by record. A changed TTL is a change; the case of a name is too.
/// What both versions share is not looked at.
pub fn diff<'a>(from: &'a ZoneVersion, to: &'a ZoneVersion) -> Delta<'a> {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for (before, after) in from.nodes().differences(to.nodes()) {
        only(before, after, &mut removed);
        only(after, before, &mut added);
    }
    for records in [&mut removed, &mut added] {
        records.sort_by_key(|record: &ZoneRecord<'_>| record.rtype != RecordType::SOA);
    }
    Delta {
        from: from.serial(),
        to: to.serial(),
        removed,
        added,
    }
}

/// The records of `one` that `other` does not have.
fn only<'a>(one: Option<&'a Arc<Node>>, other: Option<&Arc<Node>>, out: &mut Vec<ZoneRecord<'a>>) {
    let Some(one) = one else { return };
    let same_name = other.filter(|other| other.name.wire() == one.name.wire());
    let there: Vec<&Arc<Rrset>> = same_name.iter().flat_map(|node| node.all_sets()).collect();
    for set in one.all_sets() {
        if there.iter().any(|other| Arc::ptr_eq(set, other)) {
            continue;
        }
        let same = there
            .iter()
            .filter(|other| other.rtype == set.rtype && other.ttl == set.ttl);
        let there: Vec<&Rdata> = same.flat_map(|other| &other.rdatas).collect();
        // Compared each with each, the largest RRset takes seconds.
        let sorted: BTreeSet<&Rdata> = match there.len() > FEW {
            true => there.iter().copied().collect(),
            false => BTreeSet::new(),
        };
        let has = |rdata: &Rdata| match there.len() > FEW {
            true => sorted.contains(rdata),
            false => there.contains(&rdata),
        };
        let missing = set.rdatas.iter().filter(|rdata| !has(rdata));
        out.extend(missing.map(|rdata| ZoneRecord {
            owner: &one.name,
            rtype: set.rtype,
            ttl: set.ttl,
            rdata,
        }));
    }
}
