//! Waiting with a bound that counts only the time in which this process runs.
//!
//! In: something to wait for, and how long. Out: its result, or that time is up. A process that was stopped (SIGSTOP, a
//! suspended machine) finds that all its timers have fired when it goes on, though nobody but itself was late.
//! Never here: what is waited for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use nix::time::ClockId;
use tokio::time::{Instant, sleep, timeout_at};

/// A wait looks this often, and eight times at least, whether the process was kept from running.
const TICK: Duration = Duration::from_millis(250);
const SHORTEST_TICK: Duration = Duration::from_millis(10);
/// A timer that fires by this much too late is nothing unusual.
const USUAL: Duration = Duration::from_millis(100);

/// A bound that several waits share.
#[derive(Debug)]
pub struct Patience {
    deadline: Instant,
    tick: Duration,
    lost: Duration,
    seen: Instant,
    suspended: Duration,
}

impl Patience {
    /// The bound begins to run now.
    pub fn new(bound: Duration) -> Patience {
        Patience {
            // The timer's own reckoning: an end that no clock reaches stays one.
            deadline: sleep(bound).deadline(),
            tick: (bound / 8).clamp(SHORTEST_TICK, TICK),
            lost: Duration::ZERO,
            seen: Instant::now(),
            suspended: suspended(),
        }
    }

    /// The time so far in which the process did not run. It counts for nobody, except that peers may have lost
    /// patience.
    pub fn lost(&self) -> Duration {
        self.lost
    }

    /// Waits for `future`; none when the time is up.
    pub async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        self.wait_until(None, future).await
    }

    /// The same, but no longer than until that moment, if one is given.
    pub async fn wait_until<T>(
        &mut self,
        until: Option<Instant>,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        // Between two waits there is next to nothing to do.
        self.look(self.seen + self.tick);
        loop {
            let now = Instant::now();
            let end = until.map_or(self.deadline, |until| until.min(self.deadline));
            let next = end.min(now + self.tick).max(now);
            let outcome = timeout_at(next, &mut future).await;
            self.look(next);
            if let Ok(value) = outcome {
                return Some(value);
            }
            let end = until.map_or(self.deadline, |until| until.min(self.deadline));
            if Instant::now() >= end {
                return None;
            }
        }
    }

    /// Counts what was lost since the last look, after which this one was expected at that moment or before.
    fn look(&mut self, expected: Instant) {
        let now = Instant::now();
        let late = now.saturating_duration_since(expected);
        let suspended = suspended();
        let asleep = suspended.saturating_sub(self.suspended);
        (self.seen, self.suspended) = (now, suspended);
        if late > USUAL {
            self.lost += late;
            self.deadline += late;
        }
        // The timers' clock stands still meanwhile.
        if asleep > USUAL {
            self.lost += asleep;
        }
    }
}

/// Waits for `future` as long as `bound` says; none when the time is up.
pub async fn within<T>(bound: Duration, future: impl Future<Output = T>) -> Option<T> {
    Patience::new(bound).wait(future).await
}

/// How long the machine was suspended since it started.
fn suspended() -> Duration {
    let read = |clock: ClockId| clock.now().map(Duration::from).unwrap_or_default();
    let monotonic = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn a_wait_ends_with_its_bound() {
        let began = Instant::now();
        assert_eq!(within(BOUND, std::future::pending::<()>()).await, None);
        assert!(began.elapsed() >= BOUND);
        assert_eq!(within(BOUND, async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn time_in_which_nothing_ran_is_not_counted() {
        let stopped = Duration::from_millis(600);
        let (began, mut patience) = (Instant::now(), Patience::new(BOUND));
        let mut running = true;
        let stops_once = std::future::poll_fn(|_| {
            if std::mem::take(&mut running) {
                // The thread of all tasks does not run: as good as a stopped process.
                std::thread::sleep(stopped);
            }
            std::task::Poll::<()>::Pending
        });
        assert_eq!(patience.wait(stops_once).await, None);
        assert!(patience.lost() >= stopped - BOUND / 8);
        assert!(began.elapsed() >= stopped + BOUND - BOUND / 8);
    }
}
