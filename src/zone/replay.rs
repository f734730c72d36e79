//! Changes replayed: from a version kept long ago to the one kept last.
//!
//! In: the records of an earlier version, the changes since. Out: the version they lead to, signatures and history
//! included. Never here: how records are stored.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::{Change, OwnedRecord};
use super::name::Name;
use super::rdata::Rdata;
use super::serial::Serial;
use super::version::ZoneVersion;

impl ZoneVersion {
    /// The version of the zone `apex` that `records`, of the version `serial`, and the changes make. Changes are
    /// oldest first; those before `serial` only become history. None when they do not make one without a gap.
    pub fn replayed(
        apex: &Name,
        serial: Serial,
        records: Vec<OwnedRecord>,
        changes: Vec<Arc<Change>>,
    ) -> Option<ZoneVersion> {
        let end = changes.last().map_or(serial, |last| last.to);
        let since = match changes.iter().position(|change| change.from == serial) {
            Some(first) => &changes[first..],
            None if end == serial => &[],
            None => return None,
        };
        let records = match since {
            [] => records,
            since => replay(records, since)?,
        };
        let version = ZoneVersion::from_records(apex, records, changes).ok()?;
        (version.serial() == end).then_some(version)
    }
}

/// The records after some changes; none when one removes what is not there.
fn replay(records: Vec<OwnedRecord>, changes: &[Arc<Change>]) -> Option<Vec<OwnedRecord>> {
    // Names with their case: a change of it is a change.
    type Key = (Box<[u8]>, u16, u32, Rdata);
    let key = |record: &OwnedRecord| -> Key {
        let rtype = u16::from(record.rtype);
        (
            record.owner.wire().into(),
            rtype,
            record.ttl,
            record.rdata.clone(),
        )
    };
    let mut places: HashMap<Key, usize> = HashMap::with_capacity(records.len());
    let mut there: Vec<Option<OwnedRecord>> = Vec::with_capacity(records.len());
    let add = |record: OwnedRecord, places: &mut HashMap<Key, usize>, there: &mut Vec<_>| {
        places.insert(key(&record), there.len());
        there.push(Some(record));
    };
    for record in records {
        add(record, &mut places, &mut there);
    }
    for change in changes {
        for record in &change.removed {
            there[places.remove(&key(record))?] = None;
        }
        for record in &change.added {
            add(record.clone(), &mut places, &mut there);
        }
    }
    Some(there.into_iter().flatten().collect())
}
