//! When a zone's primaries are asked: the timers of its SOA (RFC 1035 §3.3.13, RFC 1996 §4), bounded. Pure.
//!
//! In: what came of asking, words of a change, the time. Out: the next moment to ask. Never here: asking.

use std::time::Duration;

use crate::clock::Mono;
use crate::zone::SoaTimers;

/// Whatever an SOA says, a primary is asked no more often than this after a success, and after a failure.
const LEAST_REFRESH: Duration = Duration::from_secs(10);
const LEAST_RETRY: Duration = Duration::from_secs(2);
/// And no more rarely than this: an owner who wrote a month must not wait a month for a lost NOTIFY.
const MOST_REFRESH: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_RETRY: Duration = Duration::from_secs(60 * 60);
/// Between two words of a change: where a primary has no TSIG key anybody can send them, and each costs it a question.
const LEAST_HURRY: Duration = Duration::from_millis(500);
/// A zone that was never received is asked for this often, then ever more rarely up to the last.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const MOST_FIRST_RETRY: Duration = Duration::from_secs(60);

/// When one zone's primaries are asked next.
#[derive(Clone, Debug)]
pub struct Timer {
    timers: Option<SoaTimers>,
    next: Mono,
    failures: u32,
    /// Word of a change came while they were being asked: what they said may be older.
    again: bool,
    /// When word of a change may make it ask again.
    free: Mono,
}

impl Timer {
    /// A zone is asked for at once. `timers` are those of the copy we have, if any.
    pub fn new(timers: Option<SoaTimers>, now: Mono) -> Timer {
        Timer {
            timers,
            next: now,
            failures: 0,
            again: false,
            free: now,
        }
    }

    /// The next moment to ask.
    pub fn next(&self) -> Mono {
        self.next
    }

    /// Somebody says that the zone has changed, or wants to know.
    pub fn hurry(&mut self, now: Mono) {
        self.next = self.next.min(now.max(self.free));
        self.again = true;
    }

    /// The primaries are being asked from here on.
    pub fn begin(&mut self) {
        self.again = false;
    }

    /// A primary said which version it has; these are the timers of ours now.
    pub fn succeeded(&mut self, timers: SoaTimers, now: Mono) {
        self.timers = Some(timers);
        self.failures = 0;
        self.wait(timers.refresh.clamp(LEAST_REFRESH, MOST_REFRESH), now);
    }

    /// No primary did, or none with a version that can be used.
    pub fn failed(&mut self, now: Mono) {
        let pause = match self.timers {
            Some(timers) => timers.retry.clamp(LEAST_RETRY, MOST_RETRY),
            None => FIRST_RETRY
                .saturating_mul(1 << self.failures.min(10))
                .min(MOST_FIRST_RETRY),
        };
        self.failures += 1;
        self.wait(pause, now);
    }

    fn wait(&mut self, pause: Duration, now: Mono) {
        self.free = now + LEAST_HURRY;
        self.next = if std::mem::take(&mut self.again) {
            self.free
        } else {
            now + pause
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers(refresh: u64, retry: u64) -> SoaTimers {
        SoaTimers {
            refresh: Duration::from_secs(refresh),
            retry: Duration::from_secs(retry),
            expire: Duration::from_secs(604_800),
        }
    }

    fn pause(timer: &Timer, now: Mono) -> u64 {
        timer.next().since(now).as_secs()
    }

    #[test]
    fn the_zones_own_timers_are_kept_within_bounds() {
        let now = Mono::START;
        let mut timer = Timer::new(None, now);
        assert_eq!(pause(&timer, now), 0, "at once");
        for (refresh, retry, waits) in [
            (60, 30, (60, 30)),
            (0, 0, (10, 2)),
            (u64::from(u32::MAX), u64::from(u32::MAX), (86_400, 3600)),
        ] {
            timer.begin();
            timer.succeeded(timers(refresh, retry), now);
            assert_eq!(pause(&timer, now), waits.0);
            timer.failed(now);
            assert_eq!(pause(&timer, now), waits.1);
        }
    }

    #[test]
    fn a_zone_that_never_came_is_asked_for_ever_more_rarely() {
        let now = Mono::START;
        let mut timer = Timer::new(None, now);
        let pauses = [2, 4, 8, 16, 32, 60, 60];
        for expected in pauses {
            timer.begin();
            timer.failed(now);
            assert_eq!(pause(&timer, now), expected);
        }
    }

    #[test]
    fn words_of_a_change_without_end_do_not_keep_a_primary_busy() {
        let mut now = Mono::START;
        let mut timer = Timer::new(None, now);
        let mut asked = 0;
        while now < Mono::START + Duration::from_secs(10) {
            timer.hurry(now);
            if timer.next() <= now {
                timer.begin();
                timer.hurry(now);
                timer.succeeded(timers(3600, 600), now);
                asked += 1;
            }
            now = now + Duration::from_millis(10);
        }
        assert_eq!(asked, 20);
    }

    #[test]
    fn word_of_a_change_is_followed_at_once_and_once() {
        let now = Mono::START + Duration::from_secs(5);
        let mut timer = Timer::new(Some(timers(3600, 600)), Mono::START);
        timer.begin();
        timer.succeeded(timers(3600, 600), Mono::START);
        timer.hurry(now);
        timer.hurry(now);
        assert_eq!(timer.next(), now);
        timer.begin();
        // Another one comes while the primary is being asked: its answer may be from before.
        timer.hurry(now);
        timer.succeeded(timers(3600, 600), now);
        assert_eq!(timer.next(), now + LEAST_HURRY);
        timer.begin();
        timer.succeeded(timers(3600, 600), now);
        assert_eq!(pause(&timer, now), 3600);
    }
}
