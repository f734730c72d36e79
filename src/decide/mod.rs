//! Deciding where each route points.
//!
//! In: verdicts, overrides, a route's state, and the time, which the caller passes.
//! Out: one `Decision` per route, with the reason it was taken.
//!
//! Never here: I/O, sleeping, reading a clock. Equal inputs give equal decisions, so every decision can be
//! replayed from history.

mod decision;
mod overrides;

pub use decision::{Decision, Generation, Reason, RouteState, SrvRecord};
pub use overrides::{Override, OverrideKey, Overrides};
