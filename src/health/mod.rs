//! Thresholds: what observations mean after they have been counted.
//!
//! In: observations and the time, which the caller passes. Out: a [`Verdict`] per check, target and pool,
//! and which probes are due. Never here: I/O, sleeping, reading a clock, operator's will.

mod verdict;

pub use verdict::{AddressHealth, CheckHealth, Evidence, PoolHealth, TargetHealth, Verdict};
