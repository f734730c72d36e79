//! Arranging: names become the nodes of a zone.
//!
//! In: names with their RRsets, in any order. Out: the nodes in canonical order, with the empty non-terminals between
//! them and the apex, and what lies at and below cuts. Never here: which records a name has.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::name::{Name, parent_key};
use super::node::{Node, NodeKind};
use super::nodes::Nodes;

/// Puts nodes in canonical order, adds the empty non-terminals between them and the apex, and finds out what
/// lies at and below cuts. The apex must be among them.
pub(super) fn arrange(apex: &Name, nodes: impl IntoIterator<Item = Node>) -> Nodes {
    let mut by_name: BTreeMap<Name, Node> = nodes
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
            by_name.insert(above.clone(), Node::empty(above.clone()));
        }
    }
    let mut cut: Option<Name> = None;
    Nodes::new(by_name.into_values().map(|mut node| {
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
    }))
}

/// Whether a name lies below a DNAME among arranged nodes.
pub(super) fn is_redirected(nodes: &Nodes, apex: &Name, key: &[u8]) -> bool {
    let mut at = key;
    while at.len() > apex.key().len()
        && let Some(parent) = parent_key(at)
    {
        at = parent;
        let node = nodes.get(at);
        if node.is_some_and(|node| node.set(RecordType::DNAME).is_some()) {
            return true;
        }
    }
    false
}

/// Whether a name lies at or below a cut among arranged nodes; the cut.
pub(super) fn cut_above<'a>(nodes: &'a Nodes, apex: &Name, key: &[u8]) -> Option<&'a Arc<Node>> {
    let mut at = key;
    let mut found = None;
    while at.len() > apex.key().len() {
        if let Some(node) = nodes.get(at)
            && node.kind == NodeKind::Cut
        {
            found = Some(node);
        }
        at = parent_key(at)?;
    }
    found
}
