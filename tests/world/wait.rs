//! Waiting for a condition, with a bound that only a broken system reaches.
//!
//! Never here: sleeping for a fixed time and hoping that it was long enough.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks at `condition` until it gives a value.
///
/// # Panics
/// After `limit`, naming `what` was waited for.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            began.elapsed() < limit,
            "waited {limit:?} in vain until {what}"
        );
        std::thread::sleep(LOOK_EVERY);
    }
}
