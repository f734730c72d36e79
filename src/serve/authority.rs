//! What every listener shares: the zones as published, and the manners they are answered with.
//!
//! In: publications and settings, each swapped whole. Out: a reading of both without a lock. Never here: sockets.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::cookie::Secrets;
use super::notify::Primaries;
use super::rate::RateLimit;
use super::refused::Refusals;
use super::transfer::Transfers;
use super::update::Updates;
use crate::clock::ReadNow;
use crate::tsig::Keys;
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
    /// Whom something was refused of late.
    pub refusals: Arc<Refusals>,
}

impl Authority {
    /// Answers from these zones, with default manners.
    pub fn new(zones: Arc<ArcSwap<Zones>>, read_now: ReadNow) -> Authority {
        Authority {
            zones,
            manners: Arc::default(),
            read_now,
            refusals: Arc::default(),
        }
    }
}

/// How requests are answered, whatever they ask. Changes by a reload, as a whole. The default is plain: nothing is told
/// that was not asked of the zones, and nobody is limited.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Who this server is, for NSID (RFC 5001), `hostname.bind` and `id.server`. At most 128 octets.
    pub nsid: Option<Arc<str>>,
    /// What it says it runs, for `version.bind` and `version.server`. At most 255 octets.
    pub version: Option<String>,
    /// The secrets of DNS cookies; without, cookies are ignored.
    pub cookies: Option<Secrets>,
    /// How many responses a network gets over UDP; no limit without.
    pub rate_limit: Option<RateLimit>,
    /// The TSIG keys; whoever signs with one of them is answered signed.
    pub tsig: Keys,
    /// Who may change challenges by updates.
    pub updates: Updates,
    /// Who may transfer zones.
    pub transfers: Transfers,
    /// Who may say that a zone has changed at its primary.
    pub primaries: Primaries,
}
