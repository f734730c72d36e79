//! From when signatures count, though the wall clock may be wrong.
//!
//! In: the two clocks, the signatures kept from before a restart. Out: the moment that signatures made now are dated by;
//! whether the clock is in doubt. Never here: a reading of the machine's clock.
//!
//! Two things look the same at a start, signatures from the future: the clock is behind now, as on machines that forget
//! the time while they are off; or it was ahead when they were made. In the first case validators take what was kept, and
//! nothing dated by this clock; in the second nobody took it before the restart either. So what was kept stays, new
//! signatures are dated by the clock that made it, and an operator is told. A clock that is set while repoint runs is set by
//! somebody who knows better: set forward it catches up; set back it is believed, and what it finds in the future is signed
//! anew.

use std::time::Duration;

use super::alarm::{AlarmKind, Severity};
use super::alarms::Condition;
use super::core::Engine;
use crate::clock::{Now, Wall};
use crate::topology::DomainName;

/// A wall clock that has moved against the other by more than this has been set.
const CLOCK_SET: i64 = 1000;

/// How signatures are dated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dating {
    /// How far the wall clock is ahead of the other, in milliseconds.
    offset: i64,
    /// How far the wall clock is behind the one that dated what was kept; zero when it is not.
    behind: Duration,
    /// The clock has been set back since the start.
    set_back: bool,
    /// By how much it has been set forward since the start.
    set_forward: Duration,
}

impl Dating {
    pub(super) fn new(now: Now) -> Dating {
        Dating {
            offset: offset(now),
            ..Dating::default()
        }
    }

    /// The moment that a signature made now is dated by.
    pub(super) fn dated(&self, now: Wall) -> Wall {
        now + self.behind
    }

    /// How far the wall clock is ahead of the other, in milliseconds.
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    /// The clock does not fit what was kept.
    pub(super) fn is_doubtful(&self) -> bool {
        self.behind > Duration::ZERO
    }

    /// The clock is right: signatures count from what it shows.
    pub(super) fn believe(&mut self) {
        self.behind = Duration::ZERO;
    }

    /// What was kept is dated by a clock that was so far ahead of this one at the start. The clock may have been set
    /// between the start and this moment: only the rest is in doubt.
    fn doubt(&mut self, ahead: Duration) {
        if !self.set_back {
            self.behind = ahead.saturating_sub(self.set_forward);
        }
    }

    /// By how many milliseconds the clock has been set; none when it was not.
    fn follow(&mut self, now: Now) -> Option<i64> {
        let by = offset(now) - self.offset;
        if by.abs() <= CLOCK_SET {
            return None;
        }
        self.offset += by;
        match u64::try_from(by) {
            Ok(forward) => {
                let forward = Duration::from_millis(forward);
                self.set_forward += forward;
                self.behind = self.behind.saturating_sub(forward);
            }
            Err(_) => {
                self.set_back = true;
                self.believe();
            }
        }
        Some(by)
    }
}

impl Engine {
    /// Compares the clock as it was at the start with the signatures kept from before. The first publication may come
    /// later, and the clock may have been set since.
    pub(super) fn doubt_clock(&mut self) {
        let started = self.started.wall;
        // What nobody can renew says nothing: it may be years old.
        let keys = self.signing.in_force.clone();
        let kept = self
            .zones
            .iter()
            .filter(|zone| keys.contains_key(zone.apex()));
        let latest = kept.filter_map(|zone| zone.latest_signature()).max();
        if let Some((inception, made)) = latest
            && inception > started
        {
            self.signing.dating.doubt(made.since(started));
            self.look_again();
        }
    }

    /// Moments of the wall clock move with it when it is set, so that no wait becomes shorter.
    pub(super) fn follow_clock(&mut self, now: Now) {
        let doubtful = self.signing.dating.is_doubtful();
        let Some(by) = self.signing.dating.follow(now) else {
            return;
        };
        for (apex, row) in &mut self.signing.rows {
            row.clock_set(by);
            if !row.is_blank() {
                self.journal.keys(row.clone());
            }
            if let Some(moment) = self.signing.moments.get_mut(apex) {
                moment.outlook = None;
                moment.spreading.clock_set(by);
            }
        }
        // Signatures made by a clock that was ahead are not valid yet.
        let served = self.is_serving() && self.zones.expiration().is_some();
        self.signing.unpublished |= by < 0 && served;
        let all: Vec<DomainName> = self.signing.rows.keys().cloned().collect();
        for apex in all {
            self.signing.look_at(&apex, now.mono);
        }
        if doubtful {
            self.look_again();
        }
    }

    pub(super) fn clock_condition(&self, now: Now) -> Option<Condition> {
        let dating = &self.signing.dating;
        let (shown, dated) = (now.wall, dating.dated(now.wall));
        dating.is_doubtful().then(|| Condition {
            kind: AlarmKind::ClockDoubtful,
            subject: String::new(),
            severity: Severity::Critical,
            text: format!(
                "signatures from before the start begin later than what the clock of this machine shows ({shown}): it is behind, or was ahead when they were made; they are kept, and new ones are dated {dated}"
            ),
            remedy: Some(
                "set the clock; if it is right as it is: repoint state accept, and everything is signed anew"
                    .to_owned(),
            ),
        })
    }
}

/// How far the wall clock is ahead of the monotonic one, in milliseconds.
fn offset(now: Now) -> i64 {
    now.wall.as_millis() - now.mono.as_micros() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Mono;

    fn at(mono: i64, wall: i64) -> Now {
        Now {
            mono: Mono::from_micros(mono * 1_000_000),
            wall: Wall::from_millis(wall * 1000),
        }
    }

    fn behind(seconds: u64) -> Dating {
        Dating {
            behind: Duration::from_secs(seconds),
            ..Dating::new(at(0, 1000))
        }
    }

    #[test]
    fn time_goes_on_while_the_clock_is_behind() {
        let mut dating = behind(500);
        assert_eq!(dating.follow(at(60, 1060)), None);
        assert_eq!(dating.dated(at(60, 1060).wall), at(0, 1560).wall);
    }

    #[test]
    fn a_clock_that_is_set_forward_catches_up() {
        let mut dating = behind(500);
        assert_eq!(dating.follow(at(60, 1360)), Some(300_000));
        assert_eq!(dating.dated(at(60, 1360).wall), at(0, 1560).wall);
        assert!(dating.is_doubtful());
        dating.follow(at(61, 1600));
        assert!(!dating.is_doubtful());
        assert_eq!(dating.dated(at(61, 1600).wall), at(0, 1600).wall);
    }

    #[test]
    fn a_clock_that_is_set_before_the_doubt_is_followed_once() {
        let mut dating = behind(0);
        dating.follow(at(1, 1301));
        dating.doubt(Duration::from_secs(500));
        assert_eq!(dating.dated(at(1, 1301).wall), at(0, 1501).wall);
        dating.follow(at(2, 1102));
        dating.doubt(Duration::from_secs(500));
        assert!(!dating.is_doubtful(), "set back, it is believed");
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed() {
        let mut dating = behind(500);
        assert_eq!(dating.follow(at(60, 1000)), Some(-60_000));
        assert!(!dating.is_doubtful());
    }
}
