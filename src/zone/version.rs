//! A zone as it is served: immutable, in canonical order, ready to be asked.
//!
//! In: nodes that `compile` made. Out: what the answering function needs to find: the node of a name, the cut
//! above it, the wildcard that covers it. Never here: what is answered; that is `serve/`.

use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::delta::ZoneRecord;
use super::name::{Name, parent_key};
use super::rdata::Rrset;
use super::serial::Serial;

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

/// One name of a zone and its RRsets.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name.
    pub name: Name,
    /// What it is.
    pub kind: NodeKind,
    /// Its RRsets, in order of type number; none for an empty non-terminal.
    pub sets: Vec<Arc<Rrset>>,
}

impl Node {
    /// The RRset of a type.
    pub fn set(&self, rtype: RecordType) -> Option<&Arc<Rrset>> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    fn same_records(&self, other: &Node) -> bool {
        // Names are compared with their case, which partners see.
        self.name.wire() == other.name.wire()
            && self.sets.len() == other.sets.len()
            && self
                .sets
                .iter()
                .zip(&other.sets)
                .all(|(a, b)| Arc::ptr_eq(a, b) || same_but_serial(a, b))
    }
}

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
    nodes: Vec<Arc<Node>>,
    soa: Arc<Rrset>,
}

impl ZoneVersion {
    /// Takes nodes in canonical order, the apex first with this SOA among its RRsets. Empty non-terminals
    /// are among them.
    pub(super) fn new(
        apex: Name,
        serial: Serial,
        nodes: Vec<Arc<Node>>,
        soa: Arc<Rrset>,
    ) -> ZoneVersion {
        ZoneVersion {
            apex,
            serial,
            nodes,
            soa,
        }
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

    /// All nodes in canonical order.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node with this key.
    pub fn node(&self, key: &[u8]) -> Option<&Arc<Node>> {
        let at = self
            .nodes
            .binary_search_by(|node| node.name.key().cmp(key))
            .ok()?;
        self.nodes.get(at)
    }

    /// The apex's node.
    pub fn apex_node(&self) -> &Arc<Node> {
        &self.nodes[0]
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
            node.sets
                .iter()
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

    /// Whether both say the same but for the serial.
    pub fn same_records(&self, other: &ZoneVersion) -> bool {
        self.nodes.len() == other.nodes.len()
            && self
                .nodes
                .iter()
                .zip(&other.nodes)
                .all(|(a, b)| Arc::ptr_eq(a, b) || a.same_records(b))
    }
}

impl fmt::Debug for ZoneVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneVersion({} serial {})", self.apex, self.serial)
    }
}

fn same_but_serial(a: &Rrset, b: &Rrset) -> bool {
    if a.rtype != RecordType::SOA || b.rtype != RecordType::SOA {
        return a == b;
    }
    fn without(set: &Rrset) -> Option<(&[u8], &[u8])> {
        let soa = set.rdatas.first()?.wire();
        let (names, numbers) = soa.split_at(soa.len().checked_sub(20)?);
        Some((names, numbers.get(4..)?))
    }
    a.ttl == b.ttl && without(a) == without(b)
}

/// Puts nodes in canonical order, adds the empty non-terminals between them and the apex, and finds out what
/// lies at and below cuts. The apex must be among them.
pub(super) fn arrange(apex: &Name, nodes: impl IntoIterator<Item = Node>) -> Vec<Arc<Node>> {
    let mut by_name: std::collections::BTreeMap<Name, Node> = nodes
        .into_iter()
        .map(|node| (node.name.clone(), node))
        .collect();
    let names: Vec<Name> = by_name.keys().cloned().collect();
    for name in names {
        let mut above = name;
        while above.key().len() > apex.key().len() {
            let Some(parent) = above.parent() else { break };
            above = parent;
            if by_name.contains_key(&above) {
                break;
            }
            let empty = Node {
                name: above.clone(),
                kind: NodeKind::Authoritative,
                sets: Vec::new(),
            };
            by_name.insert(above.clone(), empty);
        }
    }
    let mut cut: Option<Name> = None;
    by_name
        .into_values()
        .map(|mut node| {
            node.sets.sort_by_key(|set| u16::from(set.rtype));
            node.kind = match &cut {
                Some(cut) if node.name.is_at_or_below(cut) => NodeKind::Occluded,
                _ if node.name != *apex && node.set(RecordType::NS).is_some() => {
                    cut = Some(node.name.clone());
                    NodeKind::Cut
                }
                _ => NodeKind::Authoritative,
            };
            Arc::new(node)
        })
        .collect()
}

/// Whether a name lies at or below a cut among arranged nodes; the cut.
pub(super) fn cut_above<'a>(nodes: &'a [Arc<Node>], apex: &Name, key: &[u8]) -> Option<&'a Node> {
    let mut at = key;
    let mut found = None;
    while at.len() > apex.key().len() {
        if let Ok(index) = nodes.binary_search_by(|node| node.name.key().cmp(at))
            && nodes[index].kind == NodeKind::Cut
        {
            found = Some(nodes[index].as_ref());
        }
        at = parent_key(at)?;
    }
    found
}
