//! Two clocks, kept apart by type.
//!
//! In: readings, made only at the edge (`shell`). Out: [`Now`], which is handed to every pure stage.
//! Timers and durations use [`Mono`]; expiry of overrides, certificates and SOA serials use [`Wall`].
//! Never here: a reading of the machine's clock. A stage that could read it could not be replayed.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on the monotonic clock, in microseconds since the process began. It may be negative: a
/// switch remembered from before a restart has a moment too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(i64);

impl Mono {
    /// The moment the process began.
    pub const START: Mono = Mono(0);

    /// The moment `micros` microseconds after the process began (before it, when negative).
    pub const fn from_micros(micros: i64) -> Mono {
        Mono(micros)
    }

    /// Microseconds since the process began.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_add(micros(rhs)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;
    fn sub(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_sub(micros(rhs)))
    }
}

/// A moment on the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Wall(i64);

impl Wall {
    /// The moment `millis` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Wall {
        Wall(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as SOA serials count them; zero before 1970, wrapping in 2106.
    pub fn unix_seconds(self) -> u32 {
        u32::try_from(self.0.div_euclid(1000).max(0) & 0xffff_ffff).unwrap_or(0)
    }

    /// Milliseconds since the last whole second.
    pub fn millis_of_second(self) -> u16 {
        u16::try_from(self.0.rem_euclid(1000)).unwrap_or(0)
    }

    /// Time passed since `earlier`; zero when `earlier` is not earlier (a clock that was set back).
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Wall {
    type Output = Wall;
    fn add(self, rhs: Duration) -> Wall {
        Wall(
            self.0
                .saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Wall {
    /// RFC 3339 in UTC, whole seconds: `2026-11-21T03:00:00Z`. Certificates may name any moment; those outside of the
    /// years 0 to 9999, which RFC 3339 does not know, are only told apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = time::OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000));
        let known = moment.ok().filter(|at| (0..=9999).contains(&at.year()));
        let Some(at) = known else {
            return f.write_str(match self.0 {
                ..0 => "before the year 0",
                _ => "after the year 9999",
            });
        };
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

/// The time as one reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers and durations.
    pub mono: Mono,
    /// For expiry, certificates and serials.
    pub wall: Wall,
}

/// Reads both clocks. Handed in, so that one place in the program reads the machine's.
pub type ReadNow = Arc<dyn Fn() -> Now + Send + Sync>;

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_gives_no_negative_duration() {
        assert_eq!(
            Wall::from_millis(5).since(Wall::from_millis(9)),
            Duration::ZERO
        );
        assert_eq!(
            Mono::from_micros(5).since(Mono::from_micros(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn a_moment_of_any_year_can_be_shown() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_800_000_000, "2027-01-15T08:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            // 500101000000Z and 99991231235959Z in a certificate.
            (-631_152_000, "1950-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "after the year 9999"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (-62_167_219_201, "before the year 0"),
        ] {
            assert_eq!(Wall::from_millis(seconds * 1000).to_string(), shown);
        }
        for millis in [i64::MIN, i64::MIN + 1, -1, 1, i64::MAX - 1, i64::MAX] {
            assert!(!Wall::from_millis(millis).to_string().is_empty());
        }
    }

    #[test]
    fn unix_seconds_wrap_in_2106_instead_of_failing() {
        assert_eq!(
            Wall::from_millis((1_i64 << 32) * 1000 + 7000).unix_seconds(),
            7
        );
        assert_eq!(Wall::from_millis(-1).unix_seconds(), 0);
    }
}
