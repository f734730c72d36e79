//! Generations and SOA serials: numbers that only grow and never repeat.
//!
//! In: the bounds reserved last, the clocks. Out: the next numbers, or none when the reservation is used
//! up and the store cannot extend it. Never here: committing a reservation; the engine asks the store for it.
//!
//! Automatic changes are published before they are stored, so a number that was published may be unknown to
//! the store. Therefore numbers are reserved in blocks ahead of their use, durably, and a start begins
//! behind the whole block of the process before it, and behind any process without a store (`leaning`).

use super::leaning::{Leaning, followed};
use super::record::Reservation;
use crate::clock::{Mono, Now, Wall};
use crate::decide::Generation;
use crate::zone::Serial;

/// How many numbers a reservation covers. Enough for hours of the busiest route without a disk, small enough
/// that restarts do not run far ahead of the clock.
pub(super) const BLOCK: u32 = 10_000;

/// A reservation ahead of the clock is renewed after this many seconds: what is added for the time since is small.
const RENEWED_AFTER: u32 = 3600;

/// The numbers used and the bounds reserved.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    generation: Generation,
    serial: Option<Serial>,
    upto: Option<Reservation>,
    /// What earlier processes reserved.
    found: Option<Reservation>,
    /// The bounds are not stored: the store failed at the start.
    leaning: Option<Leaning>,
    /// Serials are to go past this one.
    goal: Option<Serial>,
}

impl Numbers {
    /// Numbers behind everything an earlier process may have used by now. None can be taken before a
    /// reservation is [`granted`](Self::granted). `first` is the serial that the clock and the master files ask for when
    /// nothing was reserved.
    pub(super) fn after(used: Option<Reservation>, first: Serial, wall: Wall) -> Numbers {
        let last = followed(used, wall);
        // Where a master file is ahead of the clock, its serial is all that is known.
        let known = used.is_some() || last == first;
        Numbers {
            generation: used.map_or(Generation(0), |used| used.generation),
            serial: known.then_some(last),
            upto: None,
            found: used,
            leaning: None,
            goal: used.and_then(|used| used.goal).map(Serial),
        }
    }

    /// The generation used last.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// The bounds as far as they have been used: what a clean stop leaves behind. None where the store has
    /// granted nothing, or nothing has been used.
    pub(super) fn used(&self, wall: Wall) -> Option<Reservation> {
        self.upto?;
        Some(Reservation {
            generation: self.generation,
            serial: self.serial?.0,
            goal: self.goal.map(|goal| goal.0),
            at: Some(wall.unix_seconds()),
        })
    }

    /// The bounds reserved.
    pub(super) fn reserved(&self) -> Option<Reservation> {
        self.upto
    }

    /// Whether it is time to extend the reservation.
    pub(super) fn is_short(&self, wall: Wall) -> bool {
        let Some(upto) = self.upto.filter(|_| self.leaning.is_none()) else {
            return true;
        };
        let generations = upto.generation.0.saturating_sub(self.generation.0);
        let serials = self
            .serial
            .map_or(BLOCK, |serial| upto.serial.wrapping_sub(serial.0));
        let clock = wall.unix_seconds();
        let is_ahead = Serial(upto.serial).is_after(Serial(clock.wrapping_add(BLOCK)));
        let age = upto.at.map_or(0, |at| clock.saturating_sub(at));
        // With a time that is still to come it tells a later process nothing of the time since.
        let is_early = upto.at.is_some_and(|at| at > clock);
        generations < u64::from(BLOCK / 2)
            || serials < BLOCK / 2
            || is_early
            || (is_ahead && age > RENEWED_AFTER)
    }

    /// The serial used last.
    pub(super) fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// The seconds that the next serial follows: those of the clock, or none beyond the last serial where no store knows
    /// of it. The seconds left out may be needed at once later.
    pub(super) fn seconds(&self, wall: Wall) -> u32 {
        match self.serial.filter(|_| self.leaning.is_some()) {
            Some(last) => last.0,
            None => wall.unix_seconds(),
        }
    }

    /// The reservation to ask the store for; `next` is the serial that the clock asks for. Never less than
    /// what is reserved already: a clock set back asks for less, and numbers up to the old bound may be used
    /// while the new one is on its way.
    pub(super) fn wish(&self, next: Serial, wall: Wall) -> Reservation {
        let generation = Generation(self.generation.0.saturating_add(u64::from(BLOCK)));
        let used = followed(self.found, wall);
        let is_leaning = self.leaning.is_some();
        let from = match is_leaning && used.is_after(next) {
            true => used,
            false => next,
        };
        let serial = Serial(from.0.wrapping_add(BLOCK));
        let wish = Reservation {
            generation,
            serial: serial.0,
            goal: self.goal.map(|goal| goal.0),
            at: Some(wall.unix_seconds()),
        };
        match self.upto.filter(|_| !is_leaning) {
            Some(upto) => later(wish, upto),
            None => wish,
        }
    }

    /// The store has committed a reservation. One that was asked for before numbers were taken without it, or that the
    /// numbers used since have passed, is of no use; another is asked for.
    pub(super) fn granted(&mut self, upto: Reservation) {
        let behind = self
            .serial
            .is_some_and(|serial| serial.is_after(Serial(upto.serial)));
        let leans = self.leaning.is_some();
        if leans && (upto.generation <= self.generation || behind) {
            return;
        }
        // One that was asked for before a serial was taken over knows nothing of it, and may come after it.
        self.upto = Some(match self.upto.filter(|_| !leans) {
            Some(before) => later(upto, before),
            None => upto,
        });
        self.leaning = None;
    }

    /// The store cannot grant numbers at the start, `since`: they lean on the clock. The sum of what was reserved and the
    /// clock keeps apart the generations of processes that find the same reservation one after the other. `first` is as
    /// in [`after`](Self::after).
    pub(super) fn without_store(&mut self, first: Serial, since: Now, now: Now) {
        let millis = u64::try_from(now.wall.as_millis()).unwrap_or(0);
        self.generation = Generation(self.generation.0.saturating_add(millis));
        // Within the block of a process that had a store, if that began with the same master files. The part of the
        // clock tells processes without a store apart.
        let within = BLOCK / 2 + since.wall.unix_seconds() % (BLOCK / 4);
        let base = self.serial.unwrap_or(Serial(first.0.wrapping_add(within)));
        self.serial = Some(base);
        self.upto = Some(Reservation {
            generation: Generation(u64::MAX),
            serial: base.0.wrapping_add(1 << 29),
            goal: None,
            at: None,
        });
        self.leaning = Some(Leaning::new(self.found, base, since));
    }

    /// Whether this process began without a store, and the store has granted nothing since.
    pub(super) fn is_leaning(&self) -> bool {
        self.leaning.is_some()
    }

    /// Whether the next serial has to wait, for a second or two: a later process without a store would use it again.
    pub(super) fn is_pausing(&self, now: Now) -> bool {
        self.ready_at(now).is_some()
    }

    /// When to look again whether the next serial still has to wait.
    pub(super) fn ready_at(&self, now: Now) -> Option<Mono> {
        let leaning = self.leaning?;
        let limit = leaning.limit(now);
        let waits = self.serial.is_some_and(|last| !limit.is_after(last));
        waits.then(|| leaning.next_step(now))
    }

    /// The serial of another server that ours are to go past.
    pub(super) fn goal(&self) -> Option<Serial> {
        self.goal
    }

    /// Sets or ends the goal; it is kept with the next reservation.
    pub(super) fn set_goal(&mut self, goal: Option<Serial>) {
        self.goal = goal;
    }

    /// Extends the reservation at once, for a command. Out: the bounds that must be durable first.
    pub(super) fn extend(&mut self, next: Serial, wall: Wall) -> Reservation {
        let reservation = self.wish(next, wall);
        self.upto = Some(reservation);
        self.leaning = None;
        reservation
    }

    /// Takes the next generation and serial; `next` is the serial that the clock asks for.
    pub(super) fn take(&mut self, next: Serial, now: Now) -> Option<(Generation, Serial)> {
        let (generation, serial) = self.peek(next, now)?;
        self.generation = generation;
        self.note(serial, now);
        Some((generation, serial))
    }

    /// Takes the next serial alone, for a version that is not published.
    pub(super) fn take_serial(&mut self, next: Serial, now: Now) -> Option<Serial> {
        let (_, serial) = self.peek(next, now)?;
        self.note(serial, now);
        Some(serial)
    }

    fn note(&mut self, serial: Serial, now: Now) {
        self.serial = Some(serial);
        if let Some(leaning) = &mut self.leaning {
            leaning.took(serial, now);
        }
    }

    /// The numbers that `take` would give.
    pub(super) fn peek(&self, next: Serial, now: Now) -> Option<(Generation, Serial)> {
        let upto = self.upto.filter(|_| !self.is_pausing(now))?;
        let generation = Generation(self.generation.0.checked_add(1)?);
        if generation > upto.generation {
            return None;
        }
        let bound = Serial(upto.serial);
        let within = |serial: Serial| serial == bound || bound.is_after(serial);
        // The clock may have left the reservation behind: then count on by one until it is extended.
        let by_one = match self.serial {
            Some(last) => Serial::next(Some(last), last.0),
            // None is used yet: the one that the clock asked for when the block was reserved.
            None => Serial(bound.0.wrapping_sub(BLOCK)),
        };
        let serial = [next, by_one].into_iter().find(|serial| within(*serial))?;
        Some((generation, serial))
    }
}

/// The larger bound of each number, with the goal and the time of the first.
fn later(one: Reservation, other: Reservation) -> Reservation {
    let other_is_after = Serial(other.serial).is_after(Serial(one.serial));
    Reservation {
        generation: one.generation.max(other.generation),
        serial: if other_is_after {
            other.serial
        } else {
            one.serial
        },
        ..one
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: u32) -> Now {
        Now {
            mono: Mono::from_micros(i64::from(seconds) * 1_000_000),
            wall: Wall::from_millis(i64::from(seconds) * 1000),
        }
    }

    /// Numbers of a process that begins at a moment of the wall clock.
    fn begin(used: Option<Reservation>, seconds: u32) -> Numbers {
        Numbers::after(used, Serial::next(None, seconds), at(seconds).wall)
    }

    /// Numbers as the engine asks for them at a moment of the wall clock.
    fn take(numbers: &mut Numbers, seconds: u32) -> Option<(Generation, Serial)> {
        let next = Serial::next(numbers.serial(), seconds);
        numbers.take(next, at(seconds))
    }

    fn grant(numbers: &mut Numbers, seconds: u32) -> Reservation {
        let next = Serial::next(numbers.serial(), seconds);
        let wish = numbers.wish(next, at(seconds).wall);
        numbers.granted(wish);
        wish
    }

    #[test]
    fn nothing_is_taken_before_a_reservation_is_granted() {
        assert_eq!(take(&mut begin(None, 1_000), 1_000), None);
    }

    #[test]
    fn serials_follow_the_clock_and_count_on_when_it_is_set_back() {
        let mut numbers = begin(None, 1_000);
        grant(&mut numbers, 1_000);
        let first = take(&mut numbers, 1_000);
        assert_eq!(first, Some((Generation(1), Serial(1_001))));
        let later = take(&mut numbers, 1_005);
        assert_eq!(later, Some((Generation(2), Serial(1_005))));
        assert_eq!(take(&mut numbers, 10), Some((Generation(3), Serial(1_006))));
    }

    #[test]
    fn a_clock_beyond_the_reservation_does_not_break_it() {
        let mut numbers = begin(None, 1_000);
        grant(&mut numbers, 1_000);
        take(&mut numbers, 1_000).unwrap();
        assert_eq!(take(&mut numbers, 1_000_000).unwrap().1, Serial(1_002));
        grant(&mut numbers, 1_000_000);
        assert_eq!(take(&mut numbers, 1_000_000).unwrap().1, Serial(1_000_000));
    }

    #[test]
    fn a_clock_set_forward_before_the_first_grant_does_not_waste_it() {
        // Also where only a master file says where serials begin.
        for first in [Serial(1_000), Serial(2_000)] {
            let mut numbers = Numbers::after(None, first, at(1_000).wall);
            let wish = numbers.wish(first, at(1_000).wall);
            numbers.granted(wish);
            let (generation, serial) = take(&mut numbers, 1_000_000).unwrap();
            assert_eq!(generation, Generation(1));
            assert!(serial.0 <= first.0 + 1, "{serial}");
            assert_eq!(
                take(&mut numbers, 1_000_000).unwrap().1,
                Serial(serial.0 + 1)
            );
        }
    }

    #[test]
    fn a_used_up_reservation_gives_nothing_until_it_is_extended() {
        let mut numbers = begin(None, 5);
        let wish = grant(&mut numbers, 5);
        let mut taken = Vec::new();
        while let Some(pair) = take(&mut numbers, 5) {
            taken.push(pair);
        }
        assert_eq!(taken.len(), BLOCK as usize);
        assert!(
            taken
                .iter()
                .all(|(generation, _)| *generation <= wish.generation)
        );
        grant(&mut numbers, 5);
        assert!(take(&mut numbers, 5).is_some());
    }

    #[test]
    fn a_process_begins_behind_the_block_of_the_one_before() {
        let mut first = begin(None, 1_000);
        let upto = grant(&mut first, 1_000);
        let (generation, serial) = take(&mut first, 1_000).unwrap();
        let mut second = begin(Some(upto), 900);
        grant(&mut second, 900);
        let (later_generation, later_serial) = take(&mut second, 900).unwrap();
        assert!(later_generation > generation);
        assert!(later_serial.is_after(serial) && later_serial.is_after(Serial(upto.serial)));
    }

    #[test]
    fn a_clock_set_back_never_lowers_what_is_reserved() {
        let mut numbers = begin(None, 100_000);
        let far = grant(&mut numbers, 100_000);
        let near = grant(&mut numbers, 1_000);
        assert_eq!((near.generation, near.serial), (far.generation, far.serial));
        assert_eq!(take(&mut numbers, 100_500).unwrap().1, Serial(100_500));
    }

    #[test]
    fn a_reservation_from_before_the_store_was_given_up_does_not_stop_numbers() {
        let mut numbers = begin(None, 1_000);
        let early = numbers.wish(Serial(1_001), at(1_000).wall);
        numbers.without_store(Serial(1_000), at(1_000), at(1_002));
        let (generation, _) = take(&mut numbers, 1_002).unwrap();
        numbers.granted(early);
        assert!(take(&mut numbers, 1_003).unwrap().0 > generation);
        assert!(numbers.is_short(at(1_003).wall));
        let upto = grant(&mut numbers, 1_003);
        assert!(upto.generation > generation && !numbers.is_short(at(1_003).wall));
    }

    #[test]
    fn a_reservation_from_before_a_serial_was_taken_over_does_not_shrink_what_is_reserved() {
        let mut numbers = begin(None, 1_000);
        grant(&mut numbers, 1_000);
        let early = numbers.wish(Serial(1_001), at(1_000).wall);
        let upto = numbers.extend(Serial(5_000_000), at(1_000).wall);
        numbers.granted(early);
        assert_eq!(numbers.reserved(), Some(upto));
        let taken = numbers.take(Serial(5_000_000), at(1_000)).unwrap();
        assert_eq!(taken.1, Serial(5_000_000));
    }

    #[test]
    fn a_clean_stop_leaves_no_gap() {
        let mut first = begin(None, 1_000);
        grant(&mut first, 1_000);
        let (generation, serial) = take(&mut first, 1_000).unwrap();
        let mut second = begin(first.used(at(1_000).wall), 1_000);
        grant(&mut second, 1_000);
        let next = take(&mut second, 1_000).unwrap();
        assert_eq!(next, (Generation(generation.0 + 1), Serial(serial.0 + 1)));
    }

    #[test]
    fn a_reservation_far_ahead_of_the_clock_is_renewed_every_hour() {
        let ahead = Serial(2_000_000);
        let mut numbers = Numbers::after(None, ahead, at(1_000).wall);
        numbers.granted(numbers.wish(ahead, at(1_000).wall));
        assert!(!numbers.is_short(at(1_000).wall));
        assert!(numbers.is_short(at(1_000 + 2 * RENEWED_AFTER).wall));
        let next = numbers.wish(ahead, at(1_000 + 2 * RENEWED_AFTER).wall);
        numbers.granted(next);
        assert!(!numbers.is_short(at(1_000 + 2 * RENEWED_AFTER).wall));
        // A clock that is set back has it renewed as well.
        assert!(numbers.is_short(at(999).wall));
        let next = numbers.wish(ahead, at(999).wall);
        numbers.granted(next);
        assert!(!numbers.is_short(at(999).wall));
    }
}
