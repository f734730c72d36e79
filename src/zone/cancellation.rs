//! Lets work on a large zone be given up: by a time limit, a reload, or the end of the process.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Items of work between two looks at the flag.
const INTERVAL: usize = 1024;

/// A flag that one task sets and the work of another one looks at; clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Tells the work to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work must end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts the items of one piece of work.
    pub(super) fn steps(&self) -> Steps<'_> {
        Steps {
            flag: self,
            done: Cell::new(0),
        }
    }
}

/// Items that a piece of work has done.
pub(super) struct Steps<'a> {
    flag: &'a Cancellation,
    done: Cell<usize>,
}

impl Steps<'_> {
    /// Counts one item; says whether the work must end.
    pub(super) fn is_over(&self) -> bool {
        self.done.set(self.done.get() + 1);
        self.done.get().is_multiple_of(INTERVAL) && self.flag.is_cancelled()
    }
}
