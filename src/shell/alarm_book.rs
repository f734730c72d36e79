//! What the alarm command has been told of each alarm, and what it is to be told next: pure.
//!
//! In: alarms that begin, change and end; how each run of the command ended; the time. Out: the next thing to tell, the
//! worst first. An alarm that ends before anybody was told of it is not told at all; otherwise its end follows its
//! beginning, also after a restart. Never here: processes, files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::alarm_command::Told;
use crate::engine::{Alarm, AlarmKind};

/// Alarms that are kept to be told. Beyond it the least severe that nobody was told of are left out.
const MOST: usize = 20_000;
/// A run that failed is repeated after this time, then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// After a start, alarms from before have this long to come back before their end is told. Longer than any condition has to
/// last before its alarm is raised: a secondary that stays behind needs five minutes.
const GRACE: Duration = Duration::from_secs(10 * 60);

type Key = (AlarmKind, String);

/// An alarm that the command was run for, as it is kept for the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) alarm: Alarm,
    /// The command has not said that it has told what the alarm is now: it runs, has failed, or waits for its turn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_untold: bool,
}

/// One alarm.
#[derive(Clone, Debug)]
struct Slot {
    /// What it is now, or was when it ended.
    alarm: Alarm,
    stands: bool,
    /// The command has been run with its beginning, whatever came of it.
    begun: bool,
    /// What the command is to be told next is not told yet.
    pending: bool,
    /// The order of what is equally severe.
    since: u64,
    failures: u32,
    not_before: Option<Instant>,
    running: bool,
    /// It is from before the restart, and has neither come back nor ended.
    unconfirmed: bool,
    /// The restart cut the command off: should the alarm come back, it is told again.
    cut_off: bool,
}

/// All alarms that the command is to be told of, or was told of.
#[derive(Debug, Default)]
pub(super) struct Book {
    slots: BTreeMap<Key, Slot>,
    count: u64,
    /// When what is unconfirmed has ended.
    confirm_by: Option<Instant>,
    left_out: u64,
}

impl Book {
    /// Begins with the alarms that the command had been told of before a restart.
    pub(super) fn after_restart(told: Vec<Kept>, now: Instant) -> Book {
        let mut book = Book::default();
        for Kept { alarm, is_untold } in told {
            book.count += 1;
            let slot = Slot {
                stands: true,
                begun: true,
                pending: false,
                since: book.count,
                failures: 0,
                not_before: None,
                running: false,
                unconfirmed: true,
                cut_off: is_untold,
                alarm,
            };
            let key = (slot.alarm.kind, slot.alarm.subject.clone());
            book.slots.insert(key, slot);
        }
        book.confirm_by = (!book.slots.is_empty()).then(|| now + GRACE);
        book
    }

    /// The engine has begun again: alarms that stand come back, those that do not have ended.
    pub(super) fn begin_again(&mut self, now: Instant) {
        for slot in self.slots.values_mut() {
            slot.unconfirmed = slot.stands;
        }
        self.confirm_by = Some(now + GRACE);
    }

    /// An alarm began, changed or is repeated; or it ended.
    pub(super) fn note(&mut self, alarm: Alarm, stands: bool) {
        let key = (alarm.kind, alarm.subject.clone());
        let Some(slot) = self.slots.get_mut(&key) else {
            if stands {
                self.begin(key, alarm);
            }
            return;
        };
        let is_known = slot.alarm.severity == alarm.severity && !slot.cut_off;
        let came_back = stands && slot.unconfirmed && is_known;
        slot.unconfirmed = false;
        slot.cut_off = false;
        slot.failures = 0;
        slot.not_before = None;
        slot.alarm = alarm;
        slot.stands = stands;
        if came_back {
            return;
        }
        slot.pending = true;
        if !stands && !slot.begun && !slot.running {
            self.slots.remove(&key);
        }
    }

    fn begin(&mut self, key: Key, alarm: Alarm) {
        self.count += 1;
        let slot = Slot {
            stands: true,
            begun: false,
            pending: true,
            since: self.count,
            failures: 0,
            not_before: None,
            running: false,
            unconfirmed: false,
            cut_off: false,
            alarm,
        };
        self.slots.insert(key, slot);
        if self.slots.len() > MOST {
            let untold = self
                .slots
                .iter()
                .filter(|(_, slot)| !slot.begun && !slot.running);
            let least =
                untold.min_by_key(|(_, slot)| (slot.alarm.severity, std::cmp::Reverse(slot.since)));
            if let Some(key) = least.map(|(key, _)| key.clone()) {
                self.slots.remove(&key);
                self.left_out += 1;
            }
        }
    }

    /// How many alarms were left out since this was asked last.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// What to tell now, and whether the command had heard of the alarm before. It counts as begun at once: the command may
    /// be killed after it has told somebody.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Told, bool)> {
        self.end_unconfirmed(now);
        let ready = self.slots.values_mut().filter(|slot| {
            slot.pending && !slot.running && slot.not_before.is_none_or(|at| at <= now)
        });
        let slot = ready.min_by_key(|slot| (std::cmp::Reverse(slot.alarm.severity), slot.since))?;
        slot.running = true;
        slot.pending = false;
        let was_begun = std::mem::replace(&mut slot.begun, true);
        let told = Told {
            state: if slot.stands { "raised" } else { "ended" },
            alarm: slot.alarm.clone(),
        };
        Some((told, was_begun))
    }

    /// A run has ended. One that failed is repeated, unless there is something newer to tell.
    pub(super) fn ended(&mut self, told: &Told, is_told: bool, now: Instant) {
        let key = (told.alarm.kind, told.alarm.subject.clone());
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        slot.running = false;
        if is_told {
            slot.failures = 0;
            if !slot.pending && !slot.stands {
                self.slots.remove(&key);
            }
            return;
        }
        if !slot.pending {
            let pause = FIRST_PAUSE.saturating_mul(1 << slot.failures.min(16));
            slot.failures = slot.failures.saturating_add(1);
            slot.not_before = Some(now + pause.min(LONGEST_PAUSE));
            slot.pending = true;
        }
    }

    /// The command could not be begun: nobody heard anything.
    pub(super) fn not_begun(&mut self, told: &Told, was_begun: bool, now: Instant) {
        let key = (told.alarm.kind, told.alarm.subject.clone());
        self.ended(told, false, now);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.begun = was_begun;
            if !slot.stands && !slot.begun {
                self.slots.remove(&key);
            }
        }
    }

    /// When there is something to do again, should nothing happen before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self
            .slots
            .values()
            .filter(|slot| slot.pending && !slot.running);
        waiting
            .filter_map(|slot| slot.not_before)
            .chain(self.confirm_by)
            .min()
    }

    /// What the command has been told of and not of the end, to be kept for the next start.
    pub(super) fn told(&self) -> Vec<Kept> {
        let begun = self.slots.values().filter(|slot| slot.begun);
        let kept = begun.map(|slot| Kept {
            alarm: slot.alarm.clone(),
            is_untold: !slot.stands || slot.pending || slot.running || slot.cut_off,
        });
        kept.collect()
    }

    /// Ends the time in which alarms from before may come back.
    #[cfg(test)]
    pub(super) fn end_grace(&mut self) {
        self.confirm_by = Some(Instant::now());
    }

    /// Whether nothing waits to be told.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.slots
            .values()
            .all(|slot| !slot.pending && !slot.running)
    }

    fn end_unconfirmed(&mut self, now: Instant) {
        if self.confirm_by.is_none_or(|by| by > now) {
            return;
        }
        self.confirm_by = None;
        let gone: BTreeSet<Key> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.unconfirmed)
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(slot) = self.slots.get(&key) {
                self.note(slot.alarm.clone(), false);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
