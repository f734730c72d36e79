//! Generations and SOA serials: numbers that only grow and never repeat.
//!
//! In: the bounds reserved last, the wall clock. Out: the next numbers, or none when the reservation is used
//! up and the store cannot extend it. Never here: committing a reservation; the engine asks the store for it.
//!
//! Automatic changes are published before they are stored, so a number that was published may be unknown to
//! the store. Therefore numbers are reserved in blocks ahead of their use, durably, and a start begins
//! behind the whole block of the process before it.

use super::record::Reservation;
use crate::clock::Wall;
use crate::decide::Generation;
use crate::zone::Serial;

/// How many numbers a reservation covers. Enough for hours of the busiest route without a disk, small enough
/// that restarts do not run far ahead of the clock.
pub(super) const BLOCK: u32 = 10_000;

/// Serials that run ahead of the clock tell apart processes without a store that begin within this many seconds, 12 days.
const LEANING_CYCLE: u32 = 1 << 20;

/// The numbers used and the bounds reserved.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    generation: Generation,
    serial: Option<Serial>,
    upto: Option<Reservation>,
    /// The bounds are not stored: the store failed at the start.
    borrowed: bool,
    /// Serials are to go past this one.
    goal: Option<Serial>,
}

impl Numbers {
    /// Numbers behind everything an earlier process may have used. None can be taken before a
    /// reservation is [`granted`](Self::granted).
    pub(super) fn after(used: Option<Reservation>) -> Numbers {
        Numbers {
            generation: used.map_or(Generation(0), |used| used.generation),
            serial: used.map(|used| Serial(used.serial)),
            upto: None,
            borrowed: false,
            goal: used.and_then(|used| used.goal).map(Serial),
        }
    }

    /// The generation used last.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// The bounds as far as they have been used: what a clean stop leaves behind. None where the store has
    /// granted nothing, or nothing has been used.
    pub(super) fn used(&self) -> Option<Reservation> {
        self.upto?;
        Some(Reservation {
            generation: self.generation,
            serial: self.serial?.0,
            goal: self.goal.map(|goal| goal.0),
        })
    }

    /// The bounds reserved.
    pub(super) fn reserved(&self) -> Option<Reservation> {
        self.upto
    }

    /// Whether they are used though nothing is reserved: the store failed at the start.
    pub(super) fn are_borrowed(&self) -> bool {
        self.borrowed
    }

    /// Whether it is time to extend the reservation.
    pub(super) fn is_short(&self) -> bool {
        let Some(upto) = self.upto.filter(|_| !self.borrowed) else {
            return true;
        };
        let generations = upto.generation.0.saturating_sub(self.generation.0);
        let serials = self
            .serial
            .map_or(BLOCK, |serial| upto.serial.wrapping_sub(serial.0));
        generations < u64::from(BLOCK / 2) || serials < BLOCK / 2
    }

    /// The serial used last.
    pub(super) fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// The reservation to ask the store for; `next` is the serial that the clock asks for. Never less than
    /// what is reserved already: a clock set back asks for less, and numbers up to the old bound may be used
    /// while the new one is on its way.
    pub(super) fn wish(&self, next: Serial) -> Reservation {
        let generation = Generation(self.generation.0.saturating_add(u64::from(BLOCK)));
        let serial = Serial(next.0.wrapping_add(BLOCK));
        let wish = Reservation {
            generation,
            serial: serial.0,
            goal: self.goal.map(|goal| goal.0),
        };
        match self.upto.filter(|_| !self.borrowed) {
            Some(upto) => later(wish, upto),
            None => wish,
        }
    }

    /// The store has committed a reservation. One that was asked for before numbers were borrowed, or that the
    /// numbers used since have passed, is of no use; another is asked for.
    pub(super) fn granted(&mut self, upto: Reservation) {
        let behind = self
            .serial
            .is_some_and(|serial| serial.is_after(Serial(upto.serial)));
        if self.borrowed && (upto.generation <= self.generation || behind) {
            return;
        }
        // One that was asked for before a serial was taken over knows nothing of it, and may come after it.
        self.upto = Some(match self.upto.filter(|_| !self.borrowed) {
            Some(before) => later(upto, before),
            None => upto,
        });
        self.borrowed = false;
    }

    /// The store cannot grant numbers at the start: they lean on the wall clock. The sum of what was reserved and the
    /// clock keeps apart the generations of processes that find the same reservation one after the other. Serials are
    /// those of [`leaning`].
    pub(super) fn without_store(&mut self, next: Serial, wall: Wall) {
        let millis = u64::try_from(wall.as_millis()).unwrap_or(0);
        self.generation = Generation(self.generation.0.saturating_add(millis));
        let ahead = leaning(next, wall.unix_seconds());
        self.serial = Some(ahead);
        self.upto = Some(Reservation {
            generation: Generation(u64::MAX),
            serial: ahead.0.wrapping_add(1 << 29),
            goal: None,
        });
        self.borrowed = true;
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
    pub(super) fn extend(&mut self, next: Serial) -> Reservation {
        let reservation = self.wish(next);
        self.upto = Some(reservation);
        self.borrowed = false;
        reservation
    }

    /// Takes the next generation and serial; `next` is the serial that the clock asks for.
    pub(super) fn take(&mut self, next: Serial) -> Option<(Generation, Serial)> {
        let (generation, serial) = self.peek(next)?;
        self.generation = generation;
        self.serial = Some(serial);
        Some((generation, serial))
    }

    /// Takes the next serial alone, for a version that is not published.
    pub(super) fn take_serial(&mut self, next: Serial) -> Option<Serial> {
        let (_, serial) = self.peek(next)?;
        self.serial = Some(serial);
        Some(serial)
    }

    /// The numbers that `take` would give.
    pub(super) fn peek(&self, next: Serial) -> Option<(Generation, Serial)> {
        let upto = self.upto?;
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

/// The larger bound of each number, with the goal of the first.
fn later(one: Reservation, other: Reservation) -> Reservation {
    let other_is_after = Serial(other.serial).is_after(Serial(one.serial));
    Reservation {
        generation: one.generation.max(other.generation),
        serial: if other_is_after {
            other.serial
        } else {
            one.serial
        },
        goal: one.goal,
    }
}

/// Where serials begin that nobody has reserved, when `next` is the first that a process with a store would use.
///
/// Nobody will know of them. A process that finds the store again begins at `next` and reserves a block from there, so
/// they begin behind that block. Another process without a store finds the same `next`, so they grow with the clock, and
/// repeat only when there are more publications than seconds.
fn leaning(next: Serial, unix_seconds: u32) -> Serial {
    let clock = Serial(unix_seconds.wrapping_add(3 * BLOCK));
    let behind_block = Serial(next.0.wrapping_add(BLOCK));
    if clock.is_after(behind_block) {
        return next.towards(clock);
    }
    // Serials have run ahead of the clock, as those of the form 2026112101 always have.
    next.towards(Serial(
        behind_block
            .0
            .wrapping_add(BLOCK)
            .wrapping_add(unix_seconds % LEANING_CYCLE),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Numbers as the engine asks for them at a moment of the wall clock.
    fn take(numbers: &mut Numbers, seconds: u32) -> Option<(Generation, Serial)> {
        let next = Serial::next(numbers.serial(), seconds);
        numbers.take(next)
    }

    fn grant(numbers: &mut Numbers, seconds: u32) -> Reservation {
        let wish = numbers.wish(Serial::next(numbers.serial(), seconds));
        numbers.granted(wish);
        wish
    }

    #[test]
    fn nothing_is_taken_before_a_reservation_is_granted() {
        assert_eq!(take(&mut Numbers::after(None), 1_000), None);
    }

    #[test]
    fn serials_follow_the_clock_and_count_on_when_it_is_set_back() {
        let mut numbers = Numbers::after(None);
        grant(&mut numbers, 1_000);
        assert_eq!(
            take(&mut numbers, 1_000),
            Some((Generation(1), Serial(1_000)))
        );
        assert_eq!(
            take(&mut numbers, 1_005),
            Some((Generation(2), Serial(1_005)))
        );
        assert_eq!(take(&mut numbers, 10), Some((Generation(3), Serial(1_006))));
    }

    #[test]
    fn a_clock_beyond_the_reservation_does_not_break_it() {
        let mut numbers = Numbers::after(None);
        grant(&mut numbers, 1_000);
        take(&mut numbers, 1_000).unwrap();
        assert_eq!(take(&mut numbers, 1_000_000).unwrap().1, Serial(1_001));
        grant(&mut numbers, 1_000_000);
        assert_eq!(take(&mut numbers, 1_000_000).unwrap().1, Serial(1_000_000));
    }

    #[test]
    fn a_clock_set_forward_before_the_first_grant_does_not_waste_it() {
        let mut numbers = Numbers::after(None);
        grant(&mut numbers, 1_000);
        let (generation, serial) = take(&mut numbers, 1_000_000).unwrap();
        assert_eq!((generation, serial), (Generation(1), Serial(1_000)));
        assert_eq!(take(&mut numbers, 1_000_000).unwrap().1, Serial(1_001));
    }

    #[test]
    fn a_used_up_reservation_gives_nothing_until_it_is_extended() {
        let mut numbers = Numbers::after(None);
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
        let mut first = Numbers::after(None);
        let upto = grant(&mut first, 1_000);
        let (generation, serial) = take(&mut first, 1_000).unwrap();
        let mut second = Numbers::after(Some(upto));
        grant(&mut second, 900);
        let (later_generation, later_serial) = take(&mut second, 900).unwrap();
        assert!(later_generation > generation);
        assert!(later_serial.is_after(serial));
    }

    #[test]
    fn a_clock_set_back_never_lowers_what_is_reserved() {
        let mut numbers = Numbers::after(None);
        let far = grant(&mut numbers, 100_000);
        let near = grant(&mut numbers, 1_000);
        assert_eq!((near.generation, near.serial), (far.generation, far.serial));
        assert_eq!(take(&mut numbers, 100_000).unwrap().1, Serial(100_000));
    }

    #[test]
    fn a_reservation_from_before_numbers_were_borrowed_does_not_stop_them() {
        let mut numbers = Numbers::after(None);
        let early = numbers.wish(Serial(1_000));
        numbers.without_store(Serial(1_000), Wall::from_millis(1_000_000));
        let (generation, _) = take(&mut numbers, 1_000).unwrap();
        numbers.granted(early);
        assert!(take(&mut numbers, 1_000).unwrap().0 > generation);
        assert!(numbers.is_short());
        let upto = grant(&mut numbers, 1_000);
        assert!(upto.generation > generation && !numbers.is_short());
    }

    #[test]
    fn a_reservation_from_before_a_serial_was_taken_over_does_not_shrink_what_is_reserved() {
        let mut numbers = Numbers::after(None);
        grant(&mut numbers, 1_000);
        let early = numbers.wish(Serial(1_001));
        let upto = numbers.extend(Serial(5_000_000));
        numbers.granted(early);
        assert_eq!(numbers.reserved(), Some(upto));
        let taken = numbers.take(Serial(5_000_000)).unwrap();
        assert_eq!(taken.1, Serial(5_000_000));
    }

    #[test]
    fn a_clean_stop_leaves_no_gap() {
        let mut first = Numbers::after(None);
        grant(&mut first, 1_000);
        let (generation, serial) = take(&mut first, 1_000).unwrap();
        let mut second = Numbers::after(first.used());
        grant(&mut second, 1_000);
        let next = take(&mut second, 1_000).unwrap();
        assert_eq!(next, (Generation(generation.0 + 1), Serial(serial.0 + 1)));
    }

    #[test]
    fn without_a_store_the_clock_keeps_processes_apart() {
        let begin = |seconds: u32| {
            let mut numbers = Numbers::after(None);
            numbers.without_store(
                Serial::next(None, seconds),
                Wall::from_millis(i64::from(seconds) * 1000),
            );
            take(&mut numbers, seconds).unwrap()
        };
        let (one, two) = (begin(1_000), begin(1_002));
        assert!(two.0 > one.0 && two.1.is_after(one.1));
    }

    /// The first serials of a process that finds this reservation and no store, at a moment of the clock.
    fn without_store(found: Option<Reservation>, seconds: u32, count: usize) -> Vec<Serial> {
        let mut numbers = Numbers::after(found);
        let next = Serial::next(numbers.serial(), seconds);
        numbers.without_store(next, Wall::from_millis(i64::from(seconds) * 1000));
        let taken = (0..count).map(|_| take(&mut numbers, seconds).unwrap().1);
        taken.collect()
    }

    #[test]
    fn processes_that_find_the_same_reservation_and_no_store_use_other_serials() {
        // Beside the clock, or far ahead of it, as after many restarts or with serials of the form 2026112101.
        for began in [1_000, 50_000_000] {
            let mut first = Numbers::after(None);
            let upto = first.wish(Serial(began));
            first.granted(upto);
            let one = without_store(Some(upto), 1_010, 10);
            let two = without_store(Some(upto), 1_030, 10);
            assert!(two[0].is_after(one[9]) && one[0].is_after(Serial(upto.serial)));
        }
    }

    #[test]
    fn a_process_that_finds_its_store_again_repeats_no_serial_of_one_that_had_none() {
        for began in [1_000, 50_000_000] {
            let mut first = Numbers::after(None);
            let upto = first.wish(Serial(began));
            first.granted(upto);
            let last = take(&mut first, 1_000).unwrap().1;
            // One can read what was reserved, another not even that.
            for found in [Some(upto), None]
                .into_iter()
                .take(if began == 1_000 { 2 } else { 1 })
            {
                let lost = without_store(found, 1_010, 1);
                assert!(lost[0].is_after(last), "secondaries follow");
                let mut again = Numbers::after(Some(upto));
                grant(&mut again, 1_020);
                for _ in 0..5_000 {
                    let (_, serial) = take(&mut again, 1_020).unwrap();
                    assert!(lost[0].is_after(serial), "{serial} {lost:?}");
                }
            }
        }
    }
}
