//! A zone as it is served: immutable, in canonical order, ready to be asked.
//!
//! In: nodes that `compile` made. Out: what the answering function needs to find: the node of a name, the cut
//! above it, the wildcard that covers it. Never here: what is answered; that is `serve/`.

use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::change::Change;
use super::delta::{ZoneRecord, diff};
use super::name::Name;
use super::node::{Node, NodeKind};
use super::nodes::Nodes;
use super::rdata::Rrset;
use super::serial::Serial;

/// What a zone knows about a name.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// The name is there, and not below a cut; an empty non-terminal included.
    Node(&'a Arc<Node>),
    /// The name is at or below this delegation.
    Cut(&'a Arc<Node>),
    /// The name is not there and this wildcard covers it (RFC 4592 §3.3.1).
    Wildcard(&'a Arc<Node>),
    /// The name is not there.
    Nothing,
}

/// One version of one zone.
#[derive(Clone)]
pub struct ZoneVersion {
    apex: Name,
    serial: Serial,
    nodes: Nodes,
    soa: Arc<Rrset>,
    history: Vec<Arc<Change>>,
}

impl ZoneVersion {
    /// Takes nodes in canonical order, the apex first with this SOA among its RRsets. Empty non-terminals
    /// are among them.
    pub(super) fn new(apex: Name, serial: Serial, nodes: Nodes, soa: Arc<Rrset>) -> ZoneVersion {
        ZoneVersion {
            apex,
            serial,
            nodes,
            soa,
            history: Vec::new(),
        }
    }

    /// The same version, with the changes that led to it, oldest first.
    pub(super) fn with_history(mut self, history: Vec<Arc<Change>>) -> ZoneVersion {
        self.history = history;
        self
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The serial in its SOA.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// The SOA RRset.
    pub fn soa(&self) -> &Arc<Rrset> {
        &self.soa
    }

    /// The TTL of negative answers: the lesser of the SOA's own and its MINIMUM (RFC 2308 §5).
    pub fn negative_ttl(&self) -> u32 {
        let minimum = self.soa.rdatas.first().and_then(|soa| {
            let octets = soa.wire();
            let last = octets.get(octets.len().checked_sub(4)?..)?;
            Some(u32::from_be_bytes(last.try_into().ok()?))
        });
        self.soa.ttl.min(minimum.unwrap_or(0))
    }

    /// Whether this version is signed.
    pub fn is_signed(&self) -> bool {
        !self.apex_node().signatures.is_empty()
    }

    /// The changes that led here, oldest first and without a gap: each begins with the serial that the one before
    /// ends with, and the last ends with [`ZoneVersion::serial`].
    pub fn history(&self) -> &[Arc<Change>] {
        &self.history
    }

    /// All nodes in canonical order.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The node with this key.
    pub fn node(&self, key: &[u8]) -> Option<&Arc<Node>> {
        self.nodes.get(key)
    }

    /// The node whose NSEC matches or covers a key at or below the apex; none in an unsigned zone.
    pub fn covering(&self, key: &[u8]) -> Option<&Arc<Node>> {
        let mut nodes = self.nodes.up_to(key);
        nodes.find(|node| node.set(RecordType::NSEC).is_some())
    }

    /// The apex's node.
    pub fn apex_node(&self) -> &Arc<Node> {
        self.nodes.first().expect("a zone has its apex")
    }

    /// Looks for a name at or below the apex, from the apex down (RFC 1034 §4.3.2 step 3).
    pub fn find(&self, key: &[u8]) -> Found<'_> {
        let apex = self.apex.key().len();
        let mut encloser = self.apex_node();
        let mut end = apex;
        while end < key.len() {
            let label = key[end..].iter().position(|octet| *octet == 0);
            end = label.map_or(key.len(), |at| end + at + 1);
            // Every ancestor of a name is a node, so nothing lies below a name that is not there.
            let Some(node) = self.node(&key[..end]) else {
                let mut wildcard = encloser.name.key().to_vec();
                wildcard.extend(b"*\0");
                return self.node(&wildcard).map_or(Found::Nothing, Found::Wildcard);
            };
            if node.kind == NodeKind::Cut {
                return Found::Cut(node);
            }
            encloser = node;
        }
        Found::Node(encloser)
    }

    /// The RRset of a name and type, whether authoritative or glue.
    pub fn set(&self, key: &[u8], rtype: RecordType) -> Option<&Arc<Rrset>> {
        self.node(key)?.set(rtype)
    }

    /// Every record, the SOA first, then in canonical order of owners and types.
    pub fn records(&self) -> impl Iterator<Item = ZoneRecord<'_>> {
        let soa_first = std::iter::once((&self.apex, &self.soa));
        let rest = self.nodes.iter().flat_map(|node| {
            node.all_sets()
                .filter(|set| set.rtype != RecordType::SOA)
                .map(move |set| (&node.name, set))
        });
        soa_first.chain(rest).flat_map(|(owner, set)| {
            set.rdatas.iter().map(move |rdata| ZoneRecord {
                owner,
                rtype: set.rtype,
                ttl: set.ttl,
                rdata,
            })
        })
    }

    /// The zone as a master file: absolute names, one record per line.
    pub fn to_master_text(&self) -> String {
        self.records().map(|record| format!("{record}\n")).collect()
    }

    /// Whether both say the same but for the serial and its signature.
    pub fn same_records(&self, other: &ZoneVersion) -> bool {
        !diff(self, other).changes_records()
    }
}

impl fmt::Debug for ZoneVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneVersion({} serial {})", self.apex, self.serial)
    }
}
