//! A zone as it is served: immutable, in canonical order, ready to be asked.
//!
//! In: nodes that `compile` made. Out: what the answering function needs to find: the node of a name, the cut
//! above it, the wildcard that covers it. Never here: what is answered; that is `serve/`.

use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::change::Change;
use super::delta::{ZoneRecord, diff};
use super::key::Dnskey;
use super::name::Name;
use super::node::{Node, NodeKind};
use super::nodes::Nodes;
use super::rdata::Rrset;
use super::serial::Serial;
use super::tally::Tally;
use super::validity::{Keep, Window, made};
use super::zone_keys::ZoneKeys;
use crate::clock::Wall;

/// What a zone knows about a name.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// The name is there, and not below a cut; an empty non-terminal included.
    Node(&'a Arc<Node>),
    /// The name is at or below this delegation.
    Cut(&'a Arc<Node>),
    /// The name is below this one, whose DNAME redirects it (RFC 6672 §2.3).
    Redirected(&'a Arc<Node>),
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
    tally: Tally,
    keys: Option<Arc<ZoneKeys>>,
    /// Names where challenges are.
    challenged: Vec<Name>,
    keeps_serial: bool,
    lags: bool,
}

impl ZoneVersion {
    /// Takes nodes in canonical order, the apex first with this SOA among its RRsets. Empty non-terminals
    /// are among them.
    pub(super) fn new(apex: Name, serial: Serial, nodes: Nodes, soa: Arc<Rrset>) -> ZoneVersion {
        let tally = nodes.tally();
        ZoneVersion {
            apex,
            serial,
            nodes,
            soa,
            history: Vec::new(),
            tally,
            keys: None,
            challenged: Vec::new(),
            keeps_serial: true,
            lags: false,
        }
    }

    /// The same version, with what it was made of.
    pub(super) fn made_with(
        mut self,
        keys: Option<Arc<ZoneKeys>>,
        challenged: Vec<Name>,
    ) -> ZoneVersion {
        (self.keys, self.challenged) = (keys, challenged);
        self
    }

    /// The same version; the next one has another serial even if nothing else differs.
    pub(super) fn without_its_serial(mut self) -> ZoneVersion {
        self.keeps_serial = false;
        self
    }

    pub(super) fn keeps_serial(&self) -> bool {
        self.keeps_serial
    }

    /// The same version; whether decisions may have changed since it was made.
    pub(super) fn lagging(mut self, lags: bool) -> ZoneVersion {
        self.lags = lags;
        self
    }

    /// Whether decisions may have changed since it was made: the next version is still being signed.
    pub fn lags(&self) -> bool {
        self.lags
    }

    pub(super) fn keys(&self) -> Option<&Arc<ZoneKeys>> {
        self.keys.as_ref()
    }

    pub(super) fn challenged(&self) -> &[Name] {
        &self.challenged
    }

    /// While every signature is valid; none in an unsigned zone.
    pub(super) fn signed(&self) -> Option<Window> {
        self.tally.signed
    }

    /// Whether this version with these keys and without challenges can stay as it is.
    pub(super) fn stands(&self, keys: Option<&Arc<ZoneKeys>>, now: Wall) -> bool {
        let same_keys = match (&self.keys, keys) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (one, other) => one.is_none() && other.is_none(),
        };
        same_keys && self.is_whole() && !self.is_due(now)
    }

    /// Whether signatures of it are due to be renewed.
    pub(super) fn is_due(&self, now: Wall) -> bool {
        let keep = Keep::not_due(now);
        self.signed().is_some_and(|window| !keep.keeps(window))
    }

    /// Whether this version, made of the records of a plan and without challenges, can stay a little longer: its keys are
    /// in force, though they may have another TTL.
    pub(super) fn can_wait(&self, keys: Option<&Arc<ZoneKeys>>) -> bool {
        let same_keys = match (&self.keys, keys) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.same_but_ttl(other),
            _ => false,
        };
        same_keys && self.is_whole()
    }

    /// Whether nothing is known to be missing in it.
    fn is_whole(&self) -> bool {
        self.keeps_serial && !self.lags && self.challenged.is_empty()
    }

    /// The keys whose signatures this version may hold.
    pub(super) fn dnskeys(&self) -> Vec<Dnskey> {
        let published = self.apex_node().set(RecordType::DNSKEY);
        let published = published
            .into_iter()
            .flat_map(|set| set.rdatas.iter().cloned());
        let signers = self.keys.iter().flat_map(|keys| &keys.signers);
        let mut keys: Vec<Dnskey> = published
            .filter_map(Dnskey::from_rdata)
            .chain(signers.map(|signer| signer.key.dnskey().clone()))
            .collect();
        keys.sort();
        keys.dedup();
        keys
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
        negative_ttl(&self.soa)
    }

    /// How many octets its records have on the wire without compression.
    pub fn octets(&self) -> usize {
        self.tally.octets
    }

    /// How many RRsets it has, RRSIGs not counted.
    pub fn rrset_count(&self) -> usize {
        self.tally.sets
    }

    /// The longest TTL of any of its records, in seconds.
    pub fn longest_ttl(&self) -> u32 {
        self.tally.longest_ttl
    }

    /// The longest TTL of any record that the versions before it had and it has not, as far as its history goes, in
    /// seconds; zero when there is none.
    pub fn longest_ttl_followed(&self) -> u32 {
        let removed = self.history.iter().flat_map(|change| &change.removed);
        removed.map(|record| record.ttl).max().unwrap_or(0)
    }

    /// When the first of its signatures expires; none in an unsigned zone.
    pub fn expiration(&self) -> Option<Wall> {
        Some(self.signed()?.expiration)
    }

    /// From when the latest of its signatures is valid, and when it was made; none in an unsigned zone.
    pub fn latest_signature(&self) -> Option<(Wall, Wall)> {
        let inception = self.signed()?.inception;
        Some((inception, made(inception)))
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
            if encloser.set(RecordType::DNAME).is_some() {
                return Found::Redirected(encloser);
            }
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

/// The lesser of an SOA's TTL and its MINIMUM (RFC 2308 §5).
pub(super) fn negative_ttl(soa: &Rrset) -> u32 {
    let minimum = soa.rdatas.first().and_then(|rdata| {
        let octets = rdata.wire();
        let last = octets.get(octets.len().checked_sub(4)?..)?;
        Some(u32::from_be_bytes(last.try_into().ok()?))
    });
    soa.ttl.min(minimum.unwrap_or(0))
}

/// Whether two SOAs differ in their serial at most.
pub(super) fn same_but_serial(a: &Rrset, b: &Rrset) -> bool {
    fn without(set: &Rrset) -> Option<(&[u8], &[u8])> {
        let soa = set.rdatas.first()?.wire();
        let (names, numbers) = soa.split_at(soa.len().checked_sub(20)?);
        Some((names, numbers.get(4..)?))
    }
    a.ttl == b.ttl && without(a) == without(b)
}
