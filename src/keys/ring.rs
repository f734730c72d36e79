//! The private keys at hand.
//!
//! In: keys read from files or just made. Out: the private half of a public one. Never here: files; showing a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::topology::DomainName;
use crate::zone::{Dnskey, SigningKey};

/// Private keys by zone and tag.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: BTreeMap<(DomainName, u16), Arc<SigningKey>>,
}

impl KeyRing {
    /// Adds a zone's key.
    pub fn insert(&mut self, zone: DomainName, key: Arc<SigningKey>) {
        self.keys.insert((zone, key.tag()), key);
    }

    /// Forgets a zone's key.
    pub fn remove(&mut self, zone: &DomainName, tag: u16) {
        self.keys.remove(&(zone.clone(), tag));
    }

    /// The private half of a zone's key; none when another key has its tag.
    pub fn private(&self, zone: &DomainName, public: &Dnskey) -> Option<Arc<SigningKey>> {
        let key = self.keys.get(&(zone.clone(), public.tag()))?;
        (key.dnskey() == public).then(|| key.clone())
    }

    /// The public halves of a zone's keys.
    pub fn public(&self, zone: &DomainName) -> impl Iterator<Item = &Dnskey> {
        let range = (zone.clone(), 0)..=(zone.clone(), u16::MAX);
        self.keys.range(range).map(|(_, key)| key.dnskey())
    }

    /// The tags of a zone's keys.
    pub fn tags(&self, zone: &DomainName) -> impl Iterator<Item = u16> {
        self.public(zone).map(Dnskey::tag)
    }
}

impl PartialEq for KeyRing {
    /// Keys are told apart by their public halves.
    fn eq(&self, other: &KeyRing) -> bool {
        let public = |ring: &KeyRing| -> Vec<(DomainName, Dnskey)> {
            let keys = ring.keys.iter();
            keys.map(|((zone, _), key)| (zone.clone(), key.dnskey().clone()))
                .collect()
        };
        public(self) == public(other)
    }
}

impl Eq for KeyRing {}
