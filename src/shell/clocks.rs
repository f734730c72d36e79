//! The machine's clocks, read here and nowhere else in the server.
//!
//! In: the kernel's monotonic and wall clock. Out: [`Now`]. Never here: what a moment means.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock::{Mono, Now, Wall};

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Begins to count monotonic time.
    #[allow(clippy::new_without_default)] // a default clock would look like a value without a moment in it
    pub fn new() -> Clock {
        Clock {
            began: Instant::now(),
        }
    }

    /// One reading of both clocks.
    pub fn now(&self) -> Now {
        let micros = self.began.elapsed().as_micros();
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
        self.began + Duration::from_micros(after)
    }
}
