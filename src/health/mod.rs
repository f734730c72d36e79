//! Thresholds: what observations mean after they have been counted.
//!
//! In: observations and the time, which the caller passes. Out: a [`Verdict`] per check, target and pool,
//! and which probes are due. Never here: I/O, sleeping, reading a clock, operator's will.
//!
//! [`Health`] is the face. Behind it an observation is judged (`judge`), counted (`watch`, `threshold`), held
//! against the canaries (`canary`) and summed up per target and pool (`target`, `pool`); `schedule` and `address` say
//! what is probed next.

mod verdict;
mod judge;
mod threshold;
mod canary;
mod watch;
mod target;
mod pool;
mod address;
mod schedule;
mod transition;
mod node;
mod recovery;

pub use canary::CANARY_TIMEOUT;
pub use judge::{Grade, Outcome, judge};
pub use node::{Due, Health};
pub use recovery::Recovery;
pub use schedule::MOST_PROBES;
pub use transition::Transition;
pub use verdict::{AddressHealth, CheckHealth, Evidence, PoolHealth, TargetHealth, Verdict};
