//! What a step has to know of the moment beside the row.
//!
//! In: nothing. Out: plain values the engine fills in. Never here: how they are found.

use std::time::Duration;

use crate::zone::KeyAlgorithm;

/// The facts of one zone at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The configuration wants the zone signed.
    pub wanted: bool,
    /// With what a key made now signs.
    pub algorithm: KeyAlgorithm,
    /// How long a secondary may take to serve a new version.
    pub propagation: Duration,
    /// Why nothing may be changed now: a failover is going on, the state is in doubt.
    pub held: Option<String>,
}
