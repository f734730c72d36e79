//! Records as octets in the database.
//!
//! In: records, changes. Out: the octets of a column, and the same values again. Each record has the form of RFC 1035
//! §4.1.3 without its class, names uncompressed. Never here: SQL.

use hickory_proto::rr::RecordType;

use crate::zone::{Change, Name, OwnedRecord, Rdata, Serial, ZoneRecord};

/// Appends one record.
pub(super) fn put(record: ZoneRecord<'_>, out: &mut Vec<u8>) {
    let rdata = record.rdata.wire();
    out.extend(record.owner.wire());
    out.extend(u16::from(record.rtype).to_be_bytes());
    out.extend(record.ttl.to_be_bytes());
    // RDATA is at most 65,535 octets by construction.
    out.extend(u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(rdata);
}

/// Reads records to the end of the octets; none when they are not records.
pub(super) fn records(octets: &[u8]) -> Option<Vec<OwnedRecord>> {
    let mut records: Vec<OwnedRecord> = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let (owner, length) = Name::read_wire(rest).ok()?;
        // Neighbours most often have the same owner: they share its octets.
        let owner = match records.last() {
            Some(last) if last.owner.wire() == owner.wire() => last.owner.clone(),
            _ => owner,
        };
        let (fixed, after) = rest.get(length..)?.split_first_chunk::<8>()?;
        let [t0, t1, l0, l1, l2, l3, r0, r1] = *fixed;
        let rtype = RecordType::from(u16::from_be_bytes([t0, t1]));
        let (rdata, after) = after.split_at_checked(usize::from(u16::from_be_bytes([r0, r1])))?;
        records.push(OwnedRecord {
            owner,
            rtype,
            ttl: u32::from_be_bytes([l0, l1, l2, l3]),
            rdata: Rdata::new(rtype, rdata)?,
        });
        rest = after;
    }
    Some(records)
}

/// The octets of a change: how many its removed records have, those, its added records.
pub(super) fn of_change(change: &Change) -> Vec<u8> {
    let mut octets = vec![0; 4];
    for record in &change.removed {
        put(record.borrowed(), &mut octets);
    }
    let removed = u32::try_from(octets.len() - 4).unwrap_or(u32::MAX);
    octets[..4].copy_from_slice(&removed.to_be_bytes());
    for record in &change.added {
        put(record.borrowed(), &mut octets);
    }
    octets
}

/// Reads a change; none when the octets are not one.
pub(super) fn change(from: Serial, to: Serial, octets: &[u8]) -> Option<Change> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (removed, added) = rest.split_at_checked(length)?;
    Some(Change::new(from, to, records(removed)?, records(added)?))
}
