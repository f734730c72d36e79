//! What changed from one zone version to the next, owned: the entries of a zone's history.
//!
//! In: two versions. Out: [`Change`], which an incremental transfer (RFC 1995 §4) sends as it stands.
//! Never here: how many are kept (`history`), whether a transfer is incremental.

use hickory_proto::rr::RecordType;

use super::delta::{ZoneRecord, diff};
use super::name::Name;
use super::rdata::Rdata;
use super::serial::Serial;
use super::version::ZoneVersion;

/// One record, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Whose record.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// Its TTL, in seconds.
    pub ttl: u32,
    /// Its data.
    pub rdata: Rdata,
}

impl OwnedRecord {
    /// The record borrowed, which prints as a line of a master file.
    pub fn borrowed(&self) -> ZoneRecord<'_> {
        ZoneRecord {
            owner: &self.owner,
            rtype: self.rtype,
            ttl: self.ttl,
            rdata: &self.rdata,
        }
    }
}

impl From<ZoneRecord<'_>> for OwnedRecord {
    fn from(record: ZoneRecord<'_>) -> OwnedRecord {
        OwnedRecord {
            owner: record.owner.clone(),
            rtype: record.rtype,
            ttl: record.ttl,
            rdata: record.rdata.clone(),
        }
    }
}

/// The difference between two versions of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The serial before.
    pub from: Serial,
    /// The serial after.
    pub to: Serial,
    /// Records only the earlier version has, its SOA first.
    pub removed: Vec<OwnedRecord>,
    /// Records only the later version has, its SOA first.
    pub added: Vec<OwnedRecord>,
    /// How many octets all these records have on the wire without compression.
    pub octets: usize,
}

impl Change {
    /// From one version to a later one.
    pub fn between(from: &ZoneVersion, to: &ZoneVersion) -> Change {
        let delta = diff(from, to);
        let owned = |records: Vec<ZoneRecord<'_>>| records.into_iter().map(Into::into).collect();
        Change::new(
            delta.from,
            delta.to,
            owned(delta.removed),
            owned(delta.added),
        )
    }

    /// Puts a change together again, as a store remembers it. The SOA comes first in both lists.
    pub fn new(
        from: Serial,
        to: Serial,
        removed: Vec<OwnedRecord>,
        added: Vec<OwnedRecord>,
    ) -> Change {
        let records = removed.iter().chain(&added);
        let octets = records.map(|record| record.borrowed().octets()).sum();
        Change {
            from,
            to,
            removed,
            added,
            octets,
        }
    }
}
