//! Proving that something is not there: the NSEC records that a negative answer, a wildcard's expansion or an
//! insecure delegation is not whole without (RFC 4035 §3.1.3).
//!
//! In: a signed zone, a name, what was found there. Out: NSEC RRsets and their RRSIGs in the authority section, each
//! once. Nothing when DNSSEC was not asked for or the zone is not signed. Never here: whether something is there.

use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::answer::{Reply, required};
use crate::zone::{Name, Node, ZoneVersion, parent_key};

impl Reply<'_> {
    /// The type is not at the name. `node` is the name's own, or the wildcard's that covers it.
    ///
    /// RFC 4035 §3.1.3.1: the NSEC at the name; an empty non-terminal has none, and is covered by the one before it.
    /// §3.1.3.4: the wildcard's NSEC likewise, and the one that covers the name.
    pub(super) fn deny_type(&mut self, zone: &ZoneVersion, name: &Name, node: &Node) {
        self.prove(zone, node.name.key());
        if node.name != *name {
            self.deny_closer(zone, name);
        }
    }

    /// RFC 4035 §3.1.3.2: neither the name nor a wildcard that would cover it is there.
    pub(super) fn deny_name(&mut self, zone: &ZoneVersion, name: &Name) {
        self.prove(zone, name.key());
        let mut encloser = name.key();
        while let Some(parent) = parent_key(encloser) {
            encloser = parent;
            // The closest encloser: every name above one that is there is there as well.
            if zone.node(encloser).is_some() {
                break;
            }
        }
        let mut wildcard = encloser.to_vec();
        wildcard.extend(b"*\0");
        self.prove(zone, &wildcard);
    }

    /// RFC 4035 §3.1.3.3: the name itself is not there, so the wildcard was right to answer.
    pub(super) fn deny_closer(&mut self, zone: &ZoneVersion, name: &Name) {
        self.prove(zone, name.key());
    }

    /// Adds the NSEC that matches or covers a key, unless it is there already: one often proves both halves.
    fn prove(&mut self, zone: &ZoneVersion, key: &[u8]) {
        if !self.proves(zone) {
            return;
        }
        let Some(node) = zone.covering(key) else {
            return;
        };
        let Some(nsec) = node.set(RecordType::NSEC) else {
            return;
        };
        let authorities = &mut self.answer.authorities;
        if authorities
            .iter()
            .any(|placed| Arc::ptr_eq(&placed.set, nsec))
        {
            return;
        }
        authorities.push(required(&node.name, nsec));
        let signature = node.signature(RecordType::NSEC);
        authorities.extend(signature.map(|set| required(&node.name, set)));
    }
}
