//! Which changes a client that has an earlier serial needs.
//!
//! In: a zone's history, the client's serial. Out: the changes from there on, one by one or condensed into one
//! (RFC 1995 §5), whichever is shorter; none when the serial is not in the history. Never here: messages.

use std::collections::HashSet;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use crate::zone::{Change, OwnedRecord, Rdata, Serial};

/// Changes of more octets are sent one by one: to condense them looks at every record again for every client that asks, and
/// what changed of so large a zone is mostly its signatures, each once.
const MOST_CONDENSED: usize = 1 << 20;

/// The changes after `since`, oldest first; none when the history does not reach back to it.
pub(super) fn after(history: &[Arc<Change>], since: Serial) -> Option<Vec<Arc<Change>>> {
    let first = history.iter().position(|change| change.from == since)?;
    let changes = &history[first..];
    let one_by_one: usize = changes.iter().map(|change| change.octets).sum();
    if changes.len() > 1 && one_by_one <= MOST_CONDENSED {
        let condensed = condense(changes);
        if condensed.octets < one_by_one {
            return Some(vec![Arc::new(condensed)]);
        }
    }
    Some(changes.to_vec())
}

/// One record, as what removes and adds it must agree on: TTL and the case of its name included.
#[derive(PartialEq, Eq, Hash)]
struct Same<'a> {
    owner: &'a [u8],
    rtype: RecordType,
    ttl: u32,
    rdata: &'a Rdata,
}

impl<'a> Same<'a> {
    fn of(record: &'a OwnedRecord) -> Same<'a> {
        Same {
            owner: record.owner.wire(),
            rtype: record.rtype,
            ttl: record.ttl,
            rdata: &record.rdata,
        }
    }
}

/// Several changes as one: what was added and removed again, or removed and added again, is not in it.
fn condense(changes: &[Arc<Change>]) -> Change {
    let (mut gone, mut new) = (HashSet::new(), HashSet::new());
    for change in changes {
        for record in &change.removed {
            let same = Same::of(record);
            if !new.remove(&same) {
                gone.insert(same);
            }
        }
        for record in &change.added {
            let same = Same::of(record);
            if !gone.remove(&same) {
                new.insert(same);
            }
        }
    }
    // In the order in which they came first, each once; so the first change's SOA and the last one's lead their lists.
    let mut removed = pick(changes.iter().flat_map(|change| &change.removed), gone);
    let mut added = pick(changes.iter().rev().flat_map(|change| &change.added), new);
    for records in [&mut removed, &mut added] {
        records.sort_by_key(|record| record.rtype != RecordType::SOA);
    }
    let (first, last) = (&changes[0], &changes[changes.len() - 1]);
    Change::new(first.from, last.to, removed, added)
}

fn pick<'a>(
    records: impl Iterator<Item = &'a OwnedRecord>,
    mut wanted: HashSet<Same<'a>>,
) -> Vec<OwnedRecord> {
    records
        .filter(|record| wanted.remove(&Same::of(record)))
        .cloned()
        .collect()
}
