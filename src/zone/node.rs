//! One name of a zone: its RRsets and the signatures over them.
//!
//! In: RRsets that static records, decisions and signing gave. Out: the RRset of a type and its RRSIGs.
//! Never here: which RRsets a name should have (`compile`), what is signed (`signing`).

use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::rdata::Rrset;
use super::validity::Window;
use crate::clock::Wall;

/// What a name is to its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// The zone's own data; with no RRset at all it is an empty non-terminal (RFC 8020).
    Authoritative,
    /// A delegation: NS below the apex.
    Cut,
    /// Below a cut: glue, and nothing else of it is ever answered.
    Occluded,
}

/// One name of a zone, its RRsets and their signatures.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name.
    pub name: Name,
    /// What it is.
    pub kind: NodeKind,
    /// Its RRsets, in order of type number; none for an empty non-terminal. NSEC, DNSKEY, CDS and CDNSKEY are
    /// among them; RRSIGs are not.
    pub sets: Vec<Arc<Rrset>>,
    /// The signatures over those of `sets` that are signed, in the same order; none in an unsigned zone.
    pub signatures: Vec<Signature>,
}

/// The RRSIGs over one RRset.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The type of the RRset they cover.
    pub covered: RecordType,
    /// The RRSIG records, one per key.
    pub set: Arc<Rrset>,
    /// From when all of them are valid.
    pub inception: Wall,
    /// Until when all of them are valid.
    pub expiration: Wall,
}

impl Signature {
    pub(super) fn window(&self) -> Window {
        Window {
            inception: self.inception,
            expiration: self.expiration,
        }
    }
}

impl Node {
    /// A name without records.
    pub(super) fn empty(name: Name) -> Node {
        Node {
            name,
            kind: NodeKind::Authoritative,
            sets: Vec::new(),
            signatures: Vec::new(),
        }
    }

    /// The RRset of a type; not for RRSIG, see [`Node::signature`].
    pub fn set(&self, rtype: RecordType) -> Option<&Arc<Rrset>> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// The RRSIGs over the RRset of a type.
    pub fn signature(&self, covered: RecordType) -> Option<&Arc<Rrset>> {
        let mut signatures = self.signatures.iter();
        let signature = signatures.find(|signature| signature.covered == covered)?;
        Some(&signature.set)
    }

    /// Every RRset, each followed by its RRSIGs.
    pub fn all_sets(&self) -> impl Iterator<Item = &Arc<Rrset>> {
        self.sets
            .iter()
            .flat_map(|set| std::iter::once(set).chain(self.signature(set.rtype)))
    }

    /// Whether both have the same name, in the same case, and the same RRsets.
    pub(super) fn says_the_same(&self, other: &Node) -> bool {
        self.name.wire() == other.name.wire() && self.kind == other.kind && self.sets == other.sets
    }

    /// Puts an RRset in its place, instead of one of the same type.
    pub(super) fn put(&mut self, set: Arc<Rrset>) {
        let number = u16::from(set.rtype);
        let place = self
            .sets
            .partition_point(|other| u16::from(other.rtype) < number);
        match self.sets.get_mut(place) {
            Some(there) if there.rtype == set.rtype => *there = set,
            _ => self.sets.insert(place, set),
        }
    }
}
