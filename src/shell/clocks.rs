//! The machine's clocks, read here and nowhere else in the server.
//!
//! In: the kernel's monotonic and wall clock. Out: [`Now`]. Never here: what a moment means.
//!
//! Monotonic time stands still while this process does not run (SIGSTOP, a suspended machine): nobody may be found late,
//! and no hold-down over, because of a silence that was ours. The wall clock goes on.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock::{Mono, Now, Wall};

/// How often the clock is read at least, by a thread that does nothing else.
const BEAT: Duration = Duration::from_millis(250);
/// When it was not read for so long, the process did not run.
const GAP: Duration = Duration::from_secs(1);

/// The time in which this process has run.
#[derive(Debug)]
struct Running {
    epoch: Instant,
    read: Mutex<Read>,
}

/// The last reading of the time since the epoch, and how much of it was lost.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    last: Duration,
    lost: Duration,
}

impl Read {
    /// Takes a reading: the time in which the process has run.
    fn take(&mut self, elapsed: Duration) -> Duration {
        let gap = elapsed.saturating_sub(self.last);
        if gap > GAP {
            self.lost += gap;
        }
        self.last = self.last.max(elapsed);
        self.last - self.lost
    }
}

impl Running {
    /// The one of this process, with its thread.
    fn of_this_process() -> &'static Running {
        static RUNNING: OnceLock<Running> = OnceLock::new();
        static BEATING: OnceLock<bool> = OnceLock::new();
        let running = RUNNING.get_or_init(|| Running {
            epoch: Instant::now(),
            read: Mutex::default(),
        });
        BEATING.get_or_init(|| {
            let beat = move || {
                loop {
                    std::thread::sleep(BEAT);
                    running.time();
                }
            };
            let thread = std::thread::Builder::new().name("clock".into());
            thread.spawn(beat).is_ok()
        });
        running
    }

    fn time(&self) -> Duration {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.take(self.epoch.elapsed())
    }

    /// When `time` will be on the clock that timers use, if the process runs until then.
    fn instant(&self, time: Duration) -> Instant {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoch + read.lost + time
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    running: &'static Running,
    began: Duration,
}

impl Clock {
    /// Begins to count monotonic time.
    #[allow(clippy::new_without_default)] // a default clock would look like a value without a moment in it
    pub fn new() -> Clock {
        let running = Running::of_this_process();
        Clock {
            running,
            began: running.time(),
        }
    }

    /// One reading of both clocks.
    pub fn now(&self) -> Now {
        let micros = self.running.time().saturating_sub(self.began).as_micros();
        let millis = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Now {
            mono: Mono::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)),
            wall: Wall::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)),
        }
    }

    /// The moment on the clock that timers use.
    pub fn instant(&self, moment: Mono) -> Instant {
        let after = u64::try_from(moment.as_micros()).unwrap_or(0);
        self.running
            .instant(self.began + Duration::from_micros(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_nobody_reads_it() {
        let millis = Duration::from_millis;
        let mut read = Read::default();
        assert_eq!(read.take(millis(250)), millis(250));
        assert_eq!(read.take(millis(1_200)), millis(1_200));
        // Stopped for a minute.
        assert_eq!(read.take(millis(61_200)), millis(1_200));
        assert_eq!(read.take(millis(61_450)), millis(1_450));
        // A reading that was overtaken changes nothing.
        assert_eq!(read.take(millis(61_300)), millis(1_450));
    }

    #[test]
    fn a_moment_and_its_instant_belong_together() {
        let clock = Clock::new();
        let now = clock.now().mono;
        let ahead = clock.instant(now + Duration::from_secs(3600));
        let left = ahead.saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(3000), "{left:?}");
        assert!(left <= Duration::from_secs(3600), "{left:?}");
    }
}
