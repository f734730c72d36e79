//! How long signatures are valid, and when they are renewed.
//!
//! In: a moment, a name and type. Out: from when until when a signature is valid; whether one is due.
//! Never here: signing; nor a clock.
//!
//! A signature lives 16 to 20 days and is renewed when 12 remain. Names and types differ in how long, so that a
//! zone is not renewed all at once; what comes due in one day is renewed together, so that a small zone does not get
//! a version per signature. A secondary serves a zone for seven days after its primary has died (SOA EXPIRE), and even
//! a renewal that comes two days late leaves it ten.

use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::name::Name;
use crate::clock::Wall;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The longest validity.
const LONGEST: Duration = DAY.saturating_mul(20);
/// Signatures begin to be valid before they are made, for validators whose clocks are slow.
const BACKDATED: Duration = HOUR;
/// By how much validity differs between RRsets.
const SPREAD_SECONDS: u64 = 4 * 86_400;
/// A signature with less left than this is renewed.
const RENEWED_AT: Duration = DAY.saturating_mul(12);
/// A signature with less left than this should not be: the promise to secondaries is about to break.
pub const LEAST_VALIDITY: Duration = DAY.saturating_mul(10);
/// What comes due within this is renewed along with what is due.
const TOGETHER: Duration = DAY;
/// Renewals of all zones wait for the next multiple of this, so that thousands of zones share publications.
const GRID_SECONDS: i64 = 600;

/// From when until when a signature is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) inception: Wall,
    pub(super) expiration: Wall,
}

impl Window {
    /// That of a signature made now over this owner's RRset of this type.
    pub(super) fn of(owner: &Name, rtype: RecordType, now: Wall) -> Window {
        let lifetime = LONGEST - Duration::from_secs(spread(owner, rtype) % SPREAD_SECONDS);
        Window {
            inception: whole_seconds(back(now, BACKDATED)),
            expiration: whole_seconds(now + lifetime),
        }
    }

    /// While both are valid.
    pub(super) fn and(self, other: Window) -> Window {
        Window {
            inception: self.inception.max(other.inception),
            expiration: self.expiration.min(other.expiration),
        }
    }
}

/// Which signatures a compilation keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Those that are valid beyond this,
    pub(super) beyond: Wall,
    /// and already now: a clock that was ahead when they were made leaves signatures that nobody takes yet. Whether
    /// that is so, or this moment comes from a clock that is behind, is for the caller to say.
    pub(super) now: Wall,
}

impl Keep {
    /// Keeps whatever there is.
    pub(super) fn all() -> Keep {
        Keep {
            beyond: Wall::from_millis(i64::MIN),
            now: Wall::from_millis(i64::MAX),
        }
    }

    /// Keeps whatever is not due.
    pub(super) fn not_due(now: Wall) -> Keep {
        Keep {
            beyond: now + RENEWED_AT,
            now,
        }
    }

    /// Keeps what is not due within the time that renewals are gathered over.
    pub(super) fn not_due_soon(now: Wall) -> Keep {
        Keep {
            beyond: now + RENEWED_AT + TOGETHER,
            now,
        }
    }

    pub(super) fn keeps(self, window: Window) -> bool {
        window.expiration > self.beyond && window.inception <= self.now
    }
}

/// Keeps what is valid longer than `last` and not urgent.
pub(super) fn keep_beyond(last: Wall, now: Wall) -> Keep {
    let beyond = last.max(now + LEAST_VALIDITY);
    Keep { beyond, now }
}

/// When a signature was made that is valid from then on.
pub(super) fn made(inception: Wall) -> Wall {
    inception + BACKDATED
}

/// When what expires first must be renewed.
pub(super) fn renewal(expiration: Wall) -> Wall {
    let due = back(expiration, RENEWED_AT).as_millis();
    let grid = GRID_SECONDS * 1000;
    Wall::from_millis(
        due.saturating_add(grid - 1)
            .div_euclid(grid)
            .saturating_mul(grid),
    )
}

fn back(moment: Wall, by: Duration) -> Wall {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Wall::from_millis(moment.as_millis().saturating_sub(by))
}

fn whole_seconds(moment: Wall) -> Wall {
    Wall::from_millis(moment.as_millis().div_euclid(1000) * 1000)
}

/// A number that differs between names and types and is always the same for one (FNV-1a).
fn spread(owner: &Name, rtype: RecordType) -> u64 {
    let octets = owner.key().iter().copied();
    octets
        .chain(u16::from(rtype).to_be_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn validity_is_sixteen_to_twenty_days_and_spread() {
        let now = Wall::from_millis(1_795_000_000_500);
        let mut lifetimes: Vec<u64> = (0..1000)
            .map(|n| {
                let owner = Name::from_text(format!("n{n}.example.").as_bytes(), None).unwrap();
                let window = Window::of(&owner, RecordType::A, now);
                assert_eq!(window.inception.as_millis(), 1_794_996_400_000);
                window.expiration.since(now).as_secs() / 3600
            })
            .collect();
        lifetimes.sort_unstable();
        assert!(lifetimes[0] >= 16 * 24 - 1 && lifetimes[999] < 20 * 24);
        lifetimes.dedup();
        assert!(lifetimes.len() > 80, "{}", lifetimes.len());
    }

    #[test]
    fn a_renewal_waits_for_the_grid_and_then_finds_the_signature_due() {
        let now = Wall::from_millis(1_795_000_000_500);
        let owner = Name::root();
        let window = Window::of(&owner, RecordType::SOA, now);
        assert!(Keep::not_due(now).keeps(window));
        let due = renewal(window.expiration);
        assert_eq!(due.as_millis() % 600_000, 0);
        assert!(!Keep::not_due(due).keeps(window));
        assert!(window.expiration.since(due) > RENEWED_AT - Duration::from_secs(601));
    }

    #[test]
    fn a_signature_from_a_clock_that_was_ahead_is_not_kept() {
        let now = Wall::from_millis(1_795_000_000_000);
        let window = Window::of(&Name::root(), RecordType::SOA, now + DAY);
        assert!(!Keep::not_due(now).keeps(window));
    }
}
