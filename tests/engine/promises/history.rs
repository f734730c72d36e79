//! What a secondary gets that holds any version published before: a later serial, and the changes that lead to it.
//!
//! In: every version published, whatever process published it; what that process could know. Out: the first version that
//! secondaries would not follow, or that they would follow to something else than the zone. Never here: messages of
//! transfers.
//!
//! Every version is compared with all before it, of every process. Some cannot be known to a later process, whatever it
//! does; those alone are left out, see [`Version::is_unknown_to`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use repoint::clock::Wall;
use repoint::zone::{OwnedRecord, Serial, ZoneVersion};

use super::Broken;

/// How many versions of a zone secondaries are thought to hold.
const HELD: usize = 40;

type Records = BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)>;

/// The versions published last, by apex.
#[derive(Default)]
pub(crate) struct Published {
    zones: BTreeMap<String, Held>,
    process: Process,
    /// The clock was set back since numbers were reserved.
    set_back: bool,
}

/// What the running process can know.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    number: u64,
    /// Its clock at the start.
    clock: u32,
    /// It could read nothing of what was stored.
    is_blind: bool,
    /// The clock was set back since it began.
    set_back: bool,
    /// It goes on right after an orderly stop: unchanged zones keep their serials.
    goes_on: bool,
}

#[derive(Default)]
struct Held {
    last: Option<Arc<ZoneVersion>>,
    versions: VecDeque<Version>,
}

struct Version {
    serial: u32,
    records: Records,
    /// The process that published it.
    process: u64,
    /// No store has reserved its serial.
    unreserved: bool,
    /// The clock was set back since, or since what its serial follows from: it does not tell that this version was there.
    set_back: bool,
    /// A process that could not know it has published its serial before, or has since.
    clashes: bool,
}

impl Version {
    /// Whether nothing told a process of this version.
    fn is_unknown_to(&self, process: &Process) -> bool {
        if self.process == process.number {
            return false;
        }
        // Without a store only the clock tells what was published, and it tells nothing of serials ahead of it.
        let is_ahead = Serial(self.serial).is_after(Serial(process.clock));
        let lost = process.is_blind && is_ahead;
        // Nothing but the clock tells of a version whose serial nobody reserved.
        let untold = self.unreserved && (self.set_back || process.goes_on);
        lost || untold
    }
}

impl Published {
    /// A process begins.
    pub(crate) fn process_begins(&mut self, clock: Wall, is_blind: bool, goes_on: bool) {
        self.process = Process {
            number: self.process.number + 1,
            clock: clock.unix_seconds(),
            is_blind,
            set_back: false,
            goes_on,
        };
    }

    /// The wall clock was set back.
    pub(crate) fn clock_was_set_back(&mut self) {
        self.set_back = true;
        self.process.set_back = true;
        let all = self.zones.values_mut();
        for version in all.flat_map(|held| held.versions.iter_mut()) {
            version.set_back = true;
        }
    }

    /// The store has reserved serials for the running process; `early` when the clock was set back since that was asked for.
    pub(crate) fn reserved(&mut self, upto: u32, early: bool) {
        self.set_back &= early;
        let process = self.process.number;
        let all = self.zones.values_mut();
        let versions = all.flat_map(|held| held.versions.iter_mut());
        for version in versions.filter(|version| version.process == process) {
            version.unreserved &= Serial(version.serial).is_after(Serial(upto));
        }
    }

    /// Compares a version with those before it, and undoes its history step by step: each step must be the version
    /// published with that serial.
    pub(crate) fn check(
        &mut self,
        zone: &Arc<ZoneVersion>,
        reserved: Option<u32>,
    ) -> Result<(), Broken> {
        let apex = zone.apex().to_string();
        let process = self.process;
        let Held { last, versions } = self.zones.entry(apex.clone()).or_default();
        if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, zone)) {
            return Ok(());
        }
        *last = Some(zone.clone());
        let serial = zone.serial().0;
        let now: Records = zone.records().map(|record| key(&record.into())).collect();
        let known = |held: &&Version| !held.is_unknown_to(&process);
        for before in versions.iter().rev().filter(known) {
            let same = before.serial == serial && before.records == now;
            if !same && !Serial(serial).is_after(Serial(before.serial)) {
                return Err(format!(
                    "§9.2: zone {apex} has serial {serial} after {}, with other records: {}",
                    before.serial,
                    before.records != now
                ));
            }
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
            let with = |held: &&Version| held.serial == later;
            let mut own = versions.iter().rev().filter(with);
            let mut others = versions.iter().rev().filter(with).filter(known);
            let before = own
                .find(|held| held.process == process.number)
                .or_else(|| others.find(|held| !held.clashes));
            if before.is_some_and(|held| held.records != then) {
                return Err(format!(
                    "zone {apex}: a secondary that holds serial {later} and asks for changes does not get serial {serial}"
                ));
            }
        }
        let mut same_serial = versions.iter_mut().filter(|held| held.serial == serial);
        let clashes = same_serial.any(|held| held.records != now);
        for held in versions.iter_mut().filter(|held| held.serial == serial) {
            held.clashes |= clashes;
        }
        versions.push_back(Version {
            serial,
            records: now,
            process: process.number,
            unreserved: reserved.is_none_or(|upto| Serial(serial).is_after(Serial(upto))),
            set_back: if process.is_blind {
                process.set_back
            } else {
                self.set_back
            },
            clashes,
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
