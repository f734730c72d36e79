//! Records one by one, and what changed from one zone version to another.
//!
//! In: two versions of a zone. Out: the records removed and added, in the order a transfer would carry them.
//! Never here: the choice between an incremental and a whole transfer.

use std::collections::BTreeMap;
use std::fmt;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::rdata::Rdata;
use super::serial::Serial;
use super::shape;
use super::version::ZoneVersion;

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

impl fmt::Display for ZoneRecord<'_> {
    /// As a line of a master file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rtype = shape::type_text(self.rtype);
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
    /// Whether anything but the serial changed.
    pub fn changes_records(&self) -> bool {
        let beyond_soa = |records: &[ZoneRecord<'_>]| {
            records.iter().any(|record| record.rtype != RecordType::SOA)
        };
        beyond_soa(&self.removed) || beyond_soa(&self.added)
    }
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
pub fn diff<'a>(from: &'a ZoneVersion, to: &'a ZoneVersion) -> Delta<'a> {
    type Key<'a> = (&'a [u8], u16, u32, &'a [u8], &'a [u8]);
    fn index(version: &ZoneVersion) -> BTreeMap<Key<'_>, ZoneRecord<'_>> {
        version
            .records()
            .map(|record| {
                let rtype = u16::from(record.rtype);
                let (key, wire) = (record.owner.key(), record.owner.wire());
                ((key, rtype, record.ttl, record.rdata.wire(), wire), record)
            })
            .collect()
    }
    let (before, after) = (index(from), index(to));
    let only = |one: &BTreeMap<Key<'a>, ZoneRecord<'a>>, other: &BTreeMap<_, _>| {
        let mut records: Vec<ZoneRecord<'a>> = one
            .iter()
            .filter(|(key, _)| !other.contains_key(*key))
            .map(|(_, record)| *record)
            .collect();
        records.sort_by_key(|record| record.rtype != RecordType::SOA);
        records
    };
    Delta {
        from: from.serial(),
        to: to.serial(),
        removed: only(&before, &after),
        added: only(&after, &before),
    }
}
