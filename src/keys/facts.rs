//! What a step has to know of the moment beside the row.
//!
//! In: nothing. Out: plain values the engine fills in. Never here: how they are found.

use std::time::Duration;

use crate::clock::Wall;
use crate::zone::KeyAlgorithm;

/// The facts of one zone at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The configuration wants the zone signed.
    pub wanted: bool,
    /// With what a key made now signs.
    pub algorithm: KeyAlgorithm,
    /// How long nameservers that nobody asks may take to serve a version, once the secondaries have it.
    pub propagation: Duration,
    /// Where the version that carries the keys in force has been seen.
    pub seen: Seen,
    /// Why nothing may be changed now: a failover is going on, the state is in doubt.
    pub held: Option<String>,
}

/// Where the version that carries a zone's keys in force has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// At every configured secondary of the zone, since this moment; where there is none, since it is served.
    Everywhere(Wall),
    /// Not everywhere. What is to be done first, to follow "waits for".
    Missing(String),
}
