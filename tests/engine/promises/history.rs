//! What a secondary gets that asks for the changes since any version it may hold.
//!
//! In: every version published, whatever process published it. Out: the first history that would lead a secondary to
//! something else than the zone. Never here: messages of transfers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use repoint::zone::{OwnedRecord, ZoneVersion};

use super::Broken;

/// How many versions of a zone secondaries are thought to hold.
const HELD: usize = 40;

type Records = BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)>;

/// The versions published last, by apex.
#[derive(Default)]
pub(crate) struct Published(BTreeMap<String, Held>);

#[derive(Default)]
struct Held {
    last: Option<Arc<ZoneVersion>>,
    versions: VecDeque<Version>,
}

struct Version {
    serial: u32,
    records: Records,
    /// Its serial leaned on the clock: no later process knows of it.
    unreserved: bool,
    /// The clock has been set since.
    clock_was_set: bool,
}

impl Published {
    /// The wall clock was set.
    pub(crate) fn clock_was_set(&mut self) {
        let all = self.0.values_mut();
        for version in all.flat_map(|held| held.versions.iter_mut()) {
            version.clock_was_set = true;
        }
    }

    /// Undoes the history of a version step by step: each step must be the version published with that serial. A serial
    /// that was published before must be the same version, unless the process or the one before it leans on the clock.
    /// Nothing remembers an unreserved serial: once the clock has been set, a later version may share it.
    pub(crate) fn check(
        &mut self,
        zone: &Arc<ZoneVersion>,
        leans: bool,
        unreserved: bool,
    ) -> Result<(), Broken> {
        let apex = zone.apex().to_string();
        let Held { last, versions } = self.0.entry(apex.clone()).or_default();
        if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, zone)) {
            return Ok(());
        }
        *last = Some(zone.clone());
        let serial = zone.serial().0;
        let now: Records = zone.records().map(|record| key(&record.into())).collect();
        let counts = |held: &&Version| !(held.unreserved && held.clock_was_set);
        let mut latest = versions.iter().rev().filter(counts);
        let before = latest.find(|held| held.serial == serial);
        if !leans && before.is_some_and(|held| held.records != now) {
            return Err(format!(
                "zone {apex}: serial {serial} was another version before"
            ));
        }
        let mut then = now.clone();
        let mut later = serial;
        for change in zone.history().iter().rev() {
            if change.to.0 != later {
                return Err(format!(
                    "zone {apex}: {} does not lead to {later}",
                    change.to
                ));
            }
            later = change.from.0;
            for record in &change.added {
                if !then.remove(&key(record)) {
                    return Err(format!(
                        "zone {apex}: the change to {} adds what is not there",
                        change.to
                    ));
                }
            }
            then.extend(change.removed.iter().map(key));
            // A process that had no store may have used a serial that is used again: the last one counts.
            let mut latest = versions.iter().rev().filter(counts);
            let before = latest.find(|held| held.serial == change.from.0);
            if before.is_some_and(|held| held.records != then) {
                return Err(format!(
                    "zone {apex}: whoever holds serial {} and asks for changes does not get serial {serial}",
                    change.from
                ));
            }
        }
        versions.push_back(Version {
            serial,
            records: now,
            unreserved,
            clock_was_set: false,
        });
        if versions.len() > HELD {
            versions.pop_front();
        }
        Ok(())
    }
}

fn key(record: &OwnedRecord) -> (Vec<u8>, u16, u32, Vec<u8>) {
    let rdata = record.rdata.wire().to_vec();
    (
        record.owner.wire().to_vec(),
        record.rtype.into(),
        record.ttl,
        rdata,
    )
}
