//! One zone at one secondary: what it was told, what it has, what is due.
//!
//! In: publications and replies, the moment. Out: when to tell and ask next. Never here: other zones, other secondaries.

use std::time::Duration;

use crate::clock::{Mono, Now, Wall};
use crate::zone::Serial;

/// A NOTIFY that is not answered is sent again after these times, then no more: the serial is asked for all the same, and a
/// secondary that is found behind is told again (RFC 1996 §3.6).
const AGAIN: [u64; 5] = [2, 4, 8, 16, 32];
/// A secondary that was told is asked so much later what it has: a transfer takes less, mostly.
const SOON: Duration = Duration::from_millis(250);
/// One that is behind is asked after this, and twice as late each time.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// How often a secondary in step is asked.
pub(super) const ROUND: Duration = Duration::from_secs(60);

/// What a secondary has of a zone, and what it was told.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The serial it said it has.
    pub(super) has: Option<Serial>,
    /// When it said so.
    pub(super) asked_at: Option<Wall>,
    /// Why it said nothing useful, last time.
    pub(super) fault: Option<String>,
    /// The serial that it acknowledged last.
    pub(super) told: Option<Serial>,
    pub(super) told_at: Option<Wall>,
    /// Why the last NOTIFY was not acknowledged.
    pub(super) untold: Option<String>,
    tries: usize,
    patience: Duration,
    /// When it is to be told, unless it knows.
    pub(super) tell: Option<Mono>,
    pub(super) ask: Mono,
    /// Since when it is not in step.
    pub(super) since: Option<Wall>,
    /// The moments under which it is entered in what is due, to be found there again.
    pub(super) entered: [Option<Mono>; 2],
}

impl Step {
    /// A zone that was not there before: told at once, and asked soon after.
    pub(super) fn new(now: Now, spread: Duration) -> Step {
        Step {
            has: None,
            asked_at: None,
            fault: None,
            told: None,
            told_at: None,
            untold: None,
            tries: 0,
            patience: FIRST_LOOK,
            tell: Some(now.mono),
            ask: now.mono + SOON + spread,
            since: Some(now.wall),
            entered: [None; 2],
        }
    }

    /// A version was published.
    pub(super) fn published(&mut self, now: Now) {
        self.tell = Some(now.mono);
        self.tries = 0;
        self.untold = None;
        self.patience = FIRST_LOOK;
        self.since = self.since.or(Some(now.wall));
    }

    /// It acknowledged a NOTIFY of this serial; `newest` is what is published by now.
    pub(super) fn acknowledged(&mut self, serial: Serial, newest: Serial, now: Now) {
        self.told = Some(serial);
        self.told_at = Some(now.wall);
        self.untold = None;
        self.tries = 0;
        self.tell = (serial != newest).then_some(now.mono);
        self.ask = self.ask.min(now.mono + SOON);
    }

    /// It did not acknowledge a NOTIFY.
    pub(super) fn unheard(&mut self, why: String, now: Now) {
        self.untold = Some(why);
        let again = AGAIN.get(self.tries).copied();
        self.tell = again.map(|seconds| now.mono + Duration::from_secs(seconds));
        self.tries += 1;
    }

    /// It said which serial it has.
    pub(super) fn said(&mut self, has: Serial, newest: Serial, now: Now, spread: Duration) {
        self.has = Some(has);
        self.asked_at = Some(now.wall);
        self.fault = None;
        if has == newest {
            self.since = None;
            self.tell = None;
            self.patience = FIRST_LOOK;
            self.ask = now.mono + ROUND + spread;
        } else {
            self.since = self.since.or(Some(now.wall));
            self.look_again(now);
        }
    }

    /// It did not say which.
    pub(super) fn silent(&mut self, why: String, now: Now) {
        self.fault = Some(why);
        self.asked_at = Some(now.wall);
        self.since = self.since.or(Some(now.wall));
        self.look_again(now);
    }

    /// Later each time, and told once more when that has come to nothing.
    fn look_again(&mut self, now: Now) {
        self.ask = now.mono + self.patience;
        if self.patience >= ROUND && self.tell.is_none() {
            self.tell = Some(now.mono);
            self.tries = 0;
        }
        self.patience = (self.patience * 2).min(ROUND);
    }
}
