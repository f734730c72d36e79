//! Serials without a store: where a process begins that cannot have them reserved, and how fast it may go on.
//!
//! In: what an earlier process reserved, both clocks. Out: the last serial that a process without a store may have used
//! by now. Every process begins behind it. Never here: a reservation.
//!
//! A process without a store leaves nothing behind. Therefore its serials follow from what any later process knows: the
//! clock, and what was reserved. It counts on by one, and publishes on average no more than once in a second: so it is never
//! ahead of what any later process begins behind.

use std::time::Duration;

use crate::clock::{Mono, Now, Wall};
use crate::zone::Serial;

use super::record::Reservation;

/// Serials ahead of the clock advance by one in this many seconds. The clock advances by one in each second, so they
/// meet again.
const PACE: u32 = 2;

/// After this many seconds, 12 days, a reservation ahead of the clock gives no further serials to processes without a
/// store.
const LONGEST: u32 = 1 << 20;

/// A clock that is farther ahead of the serials than this is not followed at once: secondaries would not follow.
const FAR: u32 = 1 << 30;

/// How a process without a store takes serials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaning {
    /// What was reserved before.
    found: Option<Reservation>,
    /// The serial that it took last, or that one before it may have taken, and when.
    base: Serial,
    since: Now,
}

impl Leaning {
    /// A process that began at `since`, and may have followed one that used serials up to `base`.
    pub(super) fn new(found: Option<Reservation>, base: Serial, since: Now) -> Leaning {
        Leaning { found, base, since }
    }

    /// The last serial that it may use by now. A clock that is set back does not stop it.
    pub(super) fn limit(&self, now: Now) -> Serial {
        let passed = u32::try_from(now.mono.since(self.since.mono).as_secs()).unwrap_or(u32::MAX);
        let counted = Serial(self.base.0.wrapping_add(passed / PACE));
        let followed = followed(self.found, now.wall);
        match followed.is_after(counted) {
            true => followed,
            false => counted,
        }
    }

    /// When the limit is later than at this moment, at the latest.
    pub(super) fn next_step(&self, now: Now) -> Mono {
        let passed = now.mono.since(self.since.mono).as_secs();
        let pace = u64::from(PACE);
        let counted = self.since.mono + Duration::from_secs((passed / pace + 1) * pace);
        let second = Duration::from_millis(1000 - u64::from(now.wall.millis_of_second()));
        counted.min(now.mono + second)
    }

    /// A serial was taken. It may be beyond the limit: another server or a master file asked for it.
    pub(super) fn took(&mut self, serial: Serial, now: Now) {
        (self.base, self.since) = (serial, now);
    }
}

/// The last serial that processes before this moment may have used, with a store or without, when this reservation is the
/// last one. Behind it begins the next process.
pub(super) fn followed(found: Option<Reservation>, wall: Wall) -> Serial {
    let clock = wall.unix_seconds();
    let Some(found) = found else {
        return Serial(clock);
    };
    let passed = found.at.map_or(0, |at| clock.saturating_sub(at));
    let behind = Serial(found.serial.wrapping_add(passed.min(LONGEST) / PACE));
    match clock.wrapping_sub(behind.0) < FAR {
        true => Serial(clock),
        false => behind,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::engine::numbers::Numbers;

    /// What a machine and its store go through, in milliseconds.
    struct World {
        millis: i64,
        stored: Option<Reservation>,
        /// Serials published, and whether a reservation on the disk covered them.
        published: Vec<Serial>,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Store {
        Works,
        /// It commits only after the process has gone on without it.
        Slow,
        /// It can be read.
        Fails,
        Lost,
    }

    /// The serial that the engine asks for.
    fn asks(numbers: &Numbers, now: Now) -> Serial {
        Serial::next(numbers.serial(), numbers.seconds(now.wall))
    }

    impl World {
        fn now(&self) -> Now {
            Now {
                mono: Mono::from_micros(self.millis * 1000),
                wall: Wall::from_millis(self.millis),
            }
        }

        fn publish(&mut self, numbers: &mut Numbers) -> Option<Serial> {
            let next = asks(numbers, self.now());
            let (_, serial) = numbers.take(next, self.now())?;
            self.published.push(serial);
            Some(serial)
        }

        /// One process that lives for some time. Out: what it published, and its clock at the start.
        fn process(&mut self, store: Store, dice: &mut SmallRng) -> (Vec<Serial>, u32) {
            let found = self.stored.filter(|_| store != Store::Lost);
            let began = self.now();
            let clock = began.wall.unix_seconds();
            let first = Serial::next(None, clock);
            let mut numbers = Numbers::after(found, first, began.wall);
            let wish = |numbers: &Numbers, now: Now| numbers.wish(asks(numbers, now), now.wall);
            let asked = wish(&numbers, began);
            match store {
                Store::Works => {
                    self.stored = Some(asked);
                    numbers.granted(asked);
                }
                Store::Slow => {
                    self.millis += 2000;
                    numbers.without_store(first, began, self.now());
                }
                Store::Fails | Store::Lost => numbers.without_store(first, began, began),
            }
            let mut mine = Vec::new();
            for _ in 0..dice.random_range(0..12) {
                mine.extend(self.publish(&mut numbers));
                self.millis += dice.random_range(0..700);
                match store {
                    Store::Works if numbers.is_short(self.now().wall) => {
                        let asked = wish(&numbers, self.now());
                        self.stored = Some(asked);
                        numbers.granted(asked);
                    }
                    Store::Slow if dice.random_bool(0.1) => {
                        self.stored = Some(asked);
                        numbers.granted(asked);
                    }
                    _ => {}
                }
                if dice.random_bool(0.02) {
                    self.millis += dice.random_range(0..40_000_000);
                }
            }
            if store == Store::Works && dice.random_bool(0.3) {
                self.stored = numbers.used(self.now().wall);
            }
            (mine, clock)
        }
    }

    #[test]
    fn processes_with_and_without_a_store_use_later_serials_than_all_before_them() {
        for seed in 0..300 {
            let mut dice = SmallRng::seed_from_u64(seed);
            let mut world = World {
                millis: 1_795_219_200_000 + dice.random_range(0..1000),
                stored: None,
                published: Vec::new(),
            };
            let mut before: Vec<Serial> = Vec::new();
            for process in 0..60 {
                let store = match dice.random_range(0..8) {
                    0..3 => Store::Works,
                    3 | 4 => Store::Slow,
                    5 => Store::Fails,
                    _ => Store::Lost,
                };
                let (mine, clock) = world.process(store, &mut dice);
                // What is ahead of the clock is known to the store alone.
                let knows = |old: &&Serial| store != Store::Lost || !old.is_after(Serial(clock));
                for serial in &mine {
                    let later = before
                        .iter()
                        .filter(knows)
                        .find(|old| !serial.is_after(**old));
                    assert_eq!(
                        later, None,
                        "seed {seed}, process {process}, {store:?}: {serial} at {clock}"
                    );
                }
                before.extend(mine);
                world.millis += match dice.random_range(0..4) {
                    0 => dice.random_range(0..1000),
                    1 => dice.random_range(0..60_000),
                    2 => dice.random_range(0..20_000_000),
                    _ => 0,
                };
            }
        }
    }

    fn seconds(mono: i64, wall: u32) -> Now {
        Now {
            mono: Mono::from_micros(mono * 1_000_000),
            wall: Wall::from_millis(i64::from(wall) * 1000),
        }
    }

    #[test]
    fn a_process_without_a_store_publishes_no_more_often_than_the_clock_ticks() {
        let mut numbers = Numbers::after(None, Serial(1_000), seconds(0, 1_000).wall);
        numbers.without_store(Serial(1_000), seconds(0, 1_000), seconds(0, 1_000));
        let mut take = |mono, wall: u32| {
            let now = seconds(mono, wall);
            let taken = numbers.take(asks(&numbers, now), now);
            taken.map(|(_, serial)| serial.0)
        };
        // Another one may have published in the second in which it began.
        assert_eq!(take(0, 1_000), None);
        assert_eq!(take(1, 1_001), Some(1_001));
        assert_eq!(take(1, 1_001), None);
        // After a rest it may publish several times at once.
        let burst: Vec<_> = (0..20).filter_map(|_| take(10, 1_010)).collect();
        assert_eq!(burst, (1_002..=1_010).collect::<Vec<_>>());
        // A clock that is set back does not stop it.
        assert_eq!(take(10, 10), None);
        assert_eq!(take(12, 12), Some(1_011));
    }

    #[test]
    fn a_process_without_a_store_goes_past_a_serial_of_another_server_and_on_from_there() {
        let mut numbers = Numbers::after(None, Serial(1_000), seconds(0, 1_000).wall);
        numbers.without_store(Serial(1_000), seconds(0, 1_000), seconds(0, 1_000));
        let now = seconds(5, 1_005);
        let taken = numbers.take(Serial(90_000), now).unwrap();
        assert_eq!(taken.1, Serial(90_000));
        assert_eq!(numbers.take(Serial(90_001), now), None);
        let taken = numbers.take(Serial(90_001), seconds(7, 1_007)).unwrap();
        assert_eq!(taken.1, Serial(90_001));
    }

    #[test]
    fn where_master_files_are_ahead_of_the_clock_a_process_with_a_store_comes_after_one_without() {
        let file = Serial(2_026_112_101);
        let first = Serial(file.0 + 1);
        let now = |wall| seconds(0, wall);
        let clock = 1_795_219_200;
        let mut with = Numbers::after(None, first, now(clock).wall);
        let reserved = with.wish(first, now(clock).wall);
        with.granted(reserved);
        let used = with.take(first, now(clock)).unwrap().1;
        assert_eq!(used, first);
        let mut without = Numbers::after(None, first, now(clock + 9).wall);
        without.without_store(first, now(clock + 9), now(clock + 9));
        let later = seconds(2, clock + 11);
        let leaned = without.take(asks(&without, later), later).unwrap().1;
        assert!(leaned.is_after(used));
        let again = Numbers::after(Some(reserved), first, now(clock + 20).wall);
        assert!(again.serial().unwrap().is_after(leaned));
    }
}
