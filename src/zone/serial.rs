//! SOA serials: the order and the arithmetic of RFC 1982.
//!
//! In: the previous serial and the wall clock's seconds, which the caller passes. Out: the next serial.
//! Never here: which serials were handed out; the store reserves them.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An SOA serial. Its order is RFC 1982's, so it is neither `Ord` nor a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(pub u32);

/// The farthest a serial advances at once: a secondary that missed some versions must still find the
/// newest one "greater" (RFC 1982 §3.2 allows 2^31 − 1 in one addition; half of it leaves room to spare).
const STEP_LIMIT: u32 = 1 << 30;

impl Serial {
    /// The serial after `previous`: the unix time where that is greater, else one more than `previous`;
    /// never 2^30 or more ahead of it, and never 0, which some secondaries take for "none".
    pub fn next(previous: Option<Serial>, unix_seconds: u32) -> Serial {
        let Some(previous) = previous else {
            return Serial(unix_seconds).skip_zero();
        };
        previous.towards(Serial(unix_seconds))
    }

    /// The serial after `self`: `wanted` where that is greater, else one more; bounded as [`Serial::next`].
    pub fn towards(self, wanted: Serial) -> Serial {
        let least = Serial(self.0.wrapping_add(1)).skip_zero();
        let ahead = wanted.0.wrapping_sub(self.0);
        if !wanted.is_after(least) {
            least
        } else if ahead < STEP_LIMIT {
            wanted
        } else {
            Serial(self.0.wrapping_add(STEP_LIMIT - 1)).skip_zero()
        }
    }

    /// Whether this serial is greater than `other` in the sense of RFC 1982 §3.2.
    pub fn is_after(self, other: Serial) -> bool {
        self.partial_cmp(&other) == Some(Ordering::Greater)
    }

    fn skip_zero(self) -> Serial {
        if self.0 == 0 { Serial(1) } else { self }
    }
}

impl PartialOrd for Serial {
    /// RFC 1982 §3.2: undefined (`None`) for serials exactly 2^31 apart.
    fn partial_cmp(&self, other: &Serial) -> Option<Ordering> {
        match self.0.wrapping_sub(other.0) {
            0 => Some(Ordering::Equal),
            ahead if ahead < 1 << 31 => Some(Ordering::Greater),
            ahead if ahead > 1 << 31 => Some(Ordering::Less),
            _ => None,
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_serial_is_the_time() {
        assert_eq!(Serial::next(None, 1_795_000_000), Serial(1_795_000_000));
        assert_eq!(Serial::next(None, 0), Serial(1));
    }

    #[test]
    fn a_clock_set_back_does_not_set_the_serial_back() {
        let previous = Some(Serial(1_795_000_000));
        assert_eq!(Serial::next(previous, 1_700_000_000), Serial(1_795_000_001));
        assert_eq!(Serial::next(previous, 1_795_000_000), Serial(1_795_000_001));
        assert_eq!(Serial::next(previous, 1_795_000_001), Serial(1_795_000_001));
        assert_eq!(Serial::next(previous, 1_795_000_900), Serial(1_795_000_900));
    }

    #[test]
    fn serials_wrap_and_skip_zero() {
        assert_eq!(Serial::next(Some(Serial(u32::MAX)), 7), Serial(7));
        assert_eq!(
            Serial::next(Some(Serial(u32::MAX)), u32::MAX - 3),
            Serial(1)
        );
        assert_eq!(Serial::next(Some(Serial(u32::MAX)), 0), Serial(1));
    }

    #[test]
    fn a_serial_never_advances_by_two_to_the_thirty_or_more() {
        let near = Serial(100);
        assert_eq!(
            Serial::next(Some(near), 100 + (1 << 30) - 1),
            Serial(100 + (1 << 30) - 1)
        );
        assert_eq!(
            Serial::next(Some(near), 100 + (1 << 30)),
            Serial(100 + (1 << 30) - 1)
        );
        assert_eq!(
            Serial::next(Some(near), 1_795_000_000),
            Serial(100 + (1 << 30) - 1)
        );
    }

    #[test]
    fn every_next_serial_is_after_the_one_before() {
        let mut x = 12345_u32;
        for _ in 0..100_000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let previous = Serial(x);
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let next = Serial::next(Some(previous), x);
            assert!(next.is_after(previous), "{previous} -> {next} at {x}");
            assert!(next.0.wrapping_sub(previous.0) <= 1 << 30);
            assert_ne!(next.0, 0);
        }
    }

    #[test]
    fn serials_half_the_circle_apart_have_no_order() {
        assert_eq!(Serial(1).partial_cmp(&Serial(1 + (1 << 31))), None);
    }
}
