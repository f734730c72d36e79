//! What nodes come to: size, counts, and how long their signatures are valid.
//!
//! In: nodes. Out: [`Tally`], added up chunk by chunk, so that a new version of a large zone looks only at what it
//! touched. Never here: what follows from it.

use std::sync::Arc;

use super::node::Node;
use super::validity::Window;

/// Sums over nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Octets of all records, RRSIGs included, without compression.
    pub(super) octets: usize,
    /// RRsets, RRSIGs not counted.
    pub(super) sets: usize,
    /// The longest TTL, in seconds.
    pub(super) longest_ttl: u32,
    /// While every signature is valid; none without signatures.
    pub(super) signed: Option<Window>,
}

impl Tally {
    pub(super) fn of(nodes: &[Arc<Node>]) -> Tally {
        let mut tally = Tally::default();
        for node in nodes {
            tally.sets += node.sets.len();
            for set in node.all_sets() {
                // Type, class, TTL and length have ten octets (RFC 1035 §3.2.1).
                let each = node.name.wire().len() + 10;
                let octets = set.rdatas.iter().map(|rdata| each + rdata.wire().len());
                tally.octets += octets.sum::<usize>();
                tally.longest_ttl = tally.longest_ttl.max(set.ttl);
            }
            for signature in &node.signatures {
                tally.signed = both(tally.signed, Some(signature.window()));
            }
        }
        tally
    }

    pub(super) fn and(self, other: &Tally) -> Tally {
        Tally {
            octets: self.octets + other.octets,
            sets: self.sets + other.sets,
            longest_ttl: self.longest_ttl.max(other.longest_ttl),
            signed: both(self.signed, other.signed),
        }
    }
}

fn both(one: Option<Window>, other: Option<Window>) -> Option<Window> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    }
}
