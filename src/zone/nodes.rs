//! The nodes of a zone in canonical order, in chunks that versions share: a version that differs in three nodes
//! copies three chunks, however large the zone.
//!
//! In: nodes in order; replacements. Out: the node of a key, its neighbours, what two sequences do not share, sums over
//! all of them. Never here: what a node means.

use std::fmt;
use std::sync::Arc;

use super::node::Node;
use super::tally::Tally;

/// How many nodes share a chunk: small enough to copy in a microsecond, large enough that the list of chunks
/// of a large zone stays short.
const CHUNK: usize = 64;

/// Nodes in canonical order. A clone shares them all.
#[derive(Clone, Default)]
pub struct Nodes {
    chunks: Vec<Arc<Chunk>>,
    len: usize,
}

#[derive(Clone)]
struct Chunk {
    nodes: Vec<Arc<Node>>,
    tally: Tally,
}

impl Chunk {
    fn new(nodes: Vec<Arc<Node>>) -> Chunk {
        let tally = Tally::of(&nodes);
        Chunk { nodes, tally }
    }
}

impl Nodes {
    /// Takes nodes in canonical order, each name once.
    pub(super) fn new(nodes: impl IntoIterator<Item = Arc<Node>>) -> Nodes {
        let mut chunks = Vec::new();
        let mut len = 0;
        let mut nodes = nodes.into_iter().peekable();
        while nodes.peek().is_some() {
            let chunk: Vec<Arc<Node>> = nodes.by_ref().take(CHUNK).collect();
            len += chunk.len();
            chunks.push(Arc::new(Chunk::new(chunk)));
        }
        Nodes { chunks, len }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All nodes, in canonical order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Node>> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.nodes.iter())
    }

    /// The first node: the apex.
    pub fn first(&self) -> Option<&Arc<Node>> {
        self.chunks.first()?.nodes.first()
    }

    /// The node with this key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Node>> {
        let (chunk, at) = self.place(key).ok()?;
        self.chunks.get(chunk)?.nodes.get(at)
    }

    /// The nodes at and before this key, nearest first.
    pub fn up_to(&self, key: &[u8]) -> impl Iterator<Item = &Arc<Node>> {
        let (chunk, end) = match self.place(key) {
            Ok((chunk, at)) => (chunk, at + 1),
            Err((chunk, at)) => (chunk, at),
        };
        let here = self
            .chunks
            .get(chunk)
            .map_or(&[][..], |chunk| &chunk.nodes[..end]);
        let before = self.chunks[..chunk].iter().rev();
        here.iter()
            .rev()
            .chain(before.flat_map(|chunk| chunk.nodes.iter().rev()))
    }

    /// The nodes after this key, nearest first.
    pub fn after(&self, key: &[u8]) -> impl Iterator<Item = &Arc<Node>> {
        let (chunk, begin) = match self.place(key) {
            Ok((chunk, at)) => (chunk, at + 1),
            Err((chunk, at)) => (chunk, at),
        };
        let here = self
            .chunks
            .get(chunk)
            .map_or(&[][..], |chunk| &chunk.nodes[begin..]);
        let later = self.chunks.get(chunk + 1..).unwrap_or(&[]);
        here.iter()
            .chain(later.iter().flat_map(|chunk| chunk.nodes.iter()))
    }

    /// Replaces the nodes of the same names; a name that is not there changes nothing.
    pub(super) fn replace(&mut self, nodes: impl IntoIterator<Item = Arc<Node>>) {
        let mut touched = Vec::new();
        for node in nodes {
            if let Ok((chunk, at)) = self.place(node.name.key()) {
                // A chunk that an earlier version shares is copied first.
                Arc::make_mut(&mut self.chunks[chunk]).nodes[at] = node;
                touched.push(chunk);
            }
        }
        touched.dedup();
        for chunk in touched {
            let chunk = Arc::make_mut(&mut self.chunks[chunk]);
            chunk.tally = Tally::of(&chunk.nodes);
        }
    }

    /// What all nodes come to.
    pub(super) fn tally(&self) -> Tally {
        let tallies = self.chunks.iter().map(|chunk| &chunk.tally);
        tallies.fold(Tally::default(), |sum, tally| sum.and(tally))
    }

    /// The nodes of all chunks whose tally is as `wanted`, in canonical order.
    pub(super) fn in_chunks(
        &self,
        wanted: impl Fn(&Tally) -> bool,
    ) -> impl Iterator<Item = &Arc<Node>> {
        let chunks = self.chunks.iter().filter(move |chunk| wanted(&chunk.tally));
        chunks.flat_map(|chunk| chunk.nodes.iter())
    }

    /// Whether both are the very same nodes.
    pub(super) fn same(&self, other: &Nodes) -> bool {
        self.len == other.len
            && self.chunks.iter().zip(&other.chunks).all(|(one, two)| {
                let mut nodes = one.nodes.iter().zip(&two.nodes);
                Arc::ptr_eq(one, two)
                    || (one.nodes.len() == two.nodes.len() && nodes.all(|(a, b)| Arc::ptr_eq(a, b)))
            })
    }

    /// Walks both in order and gives every pair of nodes that are not the same value; what is missing on a side is
    /// `None`.
    pub(super) fn differences<'a>(&'a self, other: &'a Nodes) -> Vec<Pair<'a>> {
        let mut pairs = Vec::new();
        let (mut a, mut b) = (Place::default(), Place::default());
        loop {
            // Chunks that both share are passed over whole.
            while let (Some(one), Some(two)) = (self.whole_chunk(a), other.whole_chunk(b))
                && Arc::ptr_eq(one, two)
            {
                (a, b) = (a.next_chunk(), b.next_chunk());
            }
            let (one, two) = (self.at(a), other.at(b));
            let order = match (one, two) {
                (None, None) => return pairs,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(one), Some(two)) => one.name.cmp(&two.name),
            };
            if order.is_le() {
                a = self.step(a);
            }
            if order.is_ge() {
                b = other.step(b);
            }
            let pair = (one.filter(|_| order.is_le()), two.filter(|_| order.is_ge()));
            if !matches!(pair, (Some(one), Some(two)) if Arc::ptr_eq(one, two)) {
                pairs.push(pair);
            }
        }
    }

    /// Where a key is, or where it would be.
    fn place(&self, key: &[u8]) -> Result<(usize, usize), (usize, usize)> {
        let after = self.chunks.partition_point(|chunk| {
            chunk
                .nodes
                .first()
                .is_some_and(|node| node.name.key() <= key)
        });
        let Some(chunk) = after.checked_sub(1) else {
            return Err((0, 0));
        };
        let found = self.chunks[chunk]
            .nodes
            .binary_search_by(|node| node.name.key().cmp(key));
        match found {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
        }
    }

    fn at(&self, place: Place) -> Option<&Arc<Node>> {
        self.chunks.get(place.chunk)?.nodes.get(place.node)
    }

    fn whole_chunk(&self, place: Place) -> Option<&Arc<Chunk>> {
        self.chunks.get(place.chunk).filter(|_| place.node == 0)
    }

    fn step(&self, place: Place) -> Place {
        let length = self
            .chunks
            .get(place.chunk)
            .map_or(0, |chunk| chunk.nodes.len());
        if place.node + 1 < length {
            Place {
                chunk: place.chunk,
                node: place.node + 1,
            }
        } else {
            place.next_chunk()
        }
    }
}

/// A node of each of two sequences, by one name.
pub(super) type Pair<'a> = (Option<&'a Arc<Node>>, Option<&'a Arc<Node>>);

#[derive(Clone, Copy, Default)]
struct Place {
    chunk: usize,
    node: usize,
}

impl Place {
    fn next_chunk(self) -> Place {
        Place {
            chunk: self.chunk + 1,
            node: 0,
        }
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::name::Name;
    use super::*;

    fn node(number: u16) -> Arc<Node> {
        let text = format!("n{number:05}.example.");
        Arc::new(Node::empty(Name::from_text(text.as_bytes(), None).unwrap()))
    }

    fn keys<'a>(nodes: impl Iterator<Item = &'a Arc<Node>>) -> Vec<Vec<u8>> {
        nodes.map(|node| node.name.key().to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the chunks are, a sequence is what a sorted list would be.
        #[test]
        fn chunks_are_not_seen(
            there in prop::collection::btree_set(0..400_u16, 0..300),
            other in prop::collection::btree_set(0..400_u16, 0..300),
            replaced in prop::collection::btree_set(0..400_u16, 0..40),
            asked in 0..400_u16,
        ) {
            let all: BTreeMap<u16, Arc<Node>> = there.iter().map(|n| (*n, node(*n))).collect();
            let nodes = Nodes::new(all.values().cloned());
            prop_assert_eq!(nodes.len(), all.len());
            prop_assert_eq!(keys(nodes.iter()), keys(all.values()));
            prop_assert_eq!(nodes.first().is_some(), !all.is_empty());
            let asked_key = node(asked).name.key().to_vec();
            prop_assert_eq!(nodes.get(&asked_key).is_some(), all.contains_key(&asked));
            prop_assert_eq!(keys(nodes.up_to(&asked_key)), keys(all.range(..=asked).rev().map(|(_, n)| n)));
            prop_assert_eq!(keys(nodes.after(&asked_key)), keys(all.range(asked + 1..).map(|(_, n)| n)));

            let mut later = nodes.clone();
            later.replace(replaced.iter().map(|n| node(*n)));
            prop_assert_eq!(keys(nodes.iter()), keys(later.iter()));
            let changed: BTreeSet<u16> = replaced.intersection(&there).copied().collect();
            let pairs = nodes.differences(&later);
            let differ = pairs.iter().map(|(_, new)| new.unwrap());
            prop_assert_eq!(keys(differ), keys(changed.iter().map(|n| &all[n])));
            prop_assert_eq!(nodes.same(&later), changed.is_empty());

            // Another shape altogether that shares some nodes.
            let shared = |n: &u16| all.get(n).cloned().unwrap_or_else(|| node(*n));
            let mixed = Nodes::new(other.iter().map(shared));
            let pairs = nodes.differences(&mixed);
            let gone = pairs.iter().filter(|(_, new)| new.is_none()).map(|(old, _)| old.unwrap());
            prop_assert_eq!(keys(gone), keys(there.difference(&other).map(|n| &all[n])));
            let came = pairs.iter().filter(|(old, _)| old.is_none()).count();
            prop_assert_eq!(came, other.difference(&there).count());
            prop_assert_eq!(pairs.len(), there.symmetric_difference(&other).count());
        }
    }
}
