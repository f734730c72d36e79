//! Which zones are signed, and how.
//!
//! In: `dnssec`, `dnssec_algorithm` and `propagation` as written. Out: [`Dnssec`]. Never here: keys.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::topology::DomainName;
use crate::zone::{Beside, KeyAlgorithm};

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnssec {
    /// Every zone, but for those that say otherwise.
    pub everywhere: bool,
    /// Zones that say so themselves.
    pub zones: BTreeMap<DomainName, bool>,
    /// What new keys sign with.
    pub algorithm: KeyAlgorithm,
    /// How long nameservers that have the zones from a secondary may take to serve a version, once each of those has it.
    pub propagation: Duration,
    /// Zones with more RRsets are signed beside everything else. [`Beside::MOST`]; no file says otherwise, tests do.
    pub most_at_once: usize,
}

impl Default for Dnssec {
    fn default() -> Dnssec {
        Dnssec {
            everywhere: false,
            zones: BTreeMap::new(),
            algorithm: KeyAlgorithm::EcdsaP256Sha256,
            propagation: Duration::from_secs(3600),
            most_at_once: Beside::MOST,
        }
    }
}

impl Dnssec {
    /// Whether a zone is to be signed.
    pub fn signs(&self, apex: &DomainName) -> bool {
        self.zones.get(apex).copied().unwrap_or(self.everywhere)
    }
}
