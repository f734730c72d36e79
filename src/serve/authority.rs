//! What every listener shares: the zones as published, and the manners they are answered with.
//!
//! In: publications and settings, each swapped whole. Out: a reading of both without a lock. Never here: sockets.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::ReadNow;
use crate::zone::Zones;

/// What is answered, and how. Clones share all of it.
#[derive(Clone)]
pub struct Authority {
    /// The zones as published. Storing here is publishing.
    pub zones: Arc<ArcSwap<Zones>>,
    /// How requests are answered, whatever they ask.
    pub manners: Arc<ArcSwap<Manners>>,
    /// What the time is: limits, cookies and signed messages depend on it.
    pub read_now: ReadNow,
}

impl Authority {
    /// Answers from these zones, with default manners.
    pub fn new(zones: Arc<ArcSwap<Zones>>, read_now: ReadNow) -> Authority {
        Authority {
            zones,
            manners: Arc::default(),
            read_now,
        }
    }
}

/// How requests are answered, whatever they ask. Changes by a reload, as a whole.
#[derive(Clone, Debug, Default)]
pub struct Manners {}
