//! Signing the nodes of one zone version, with the signatures of the version before wherever they still serve.
//!
//! In: nodes without NSEC and RRSIGs, the keys that sign, what was there before. Out: the same nodes with both; a node
//! that comes out as it was is the very same value. Never here: which nodes there are, serials.

use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::key::{Dnskey, KeyFault};
use super::name::Name;
use super::node::{Node, NodeKind, Signature};
use super::nodes::Nodes;
use super::nsec::{is_in_chain, nsec};
use super::rdata::{Rdata, Rrset};
use super::rrsig::{RrsigFields, rrsig};
use super::validity::{Keep, Window};
use super::version::ZoneVersion;
use super::zone_keys::{Signer, ZoneKeys};
use crate::clock::Wall;

/// How the nodes of one zone version are signed.
pub(super) struct Signing<'a> {
    /// The apex in wire form and lower case.
    apex: Vec<u8>,
    signers: Vec<Known<'a>>,
    /// The TTL of NSEC records.
    negative_ttl: u32,
    now: Wall,
    keep: Keep,
}

/// A signer, and whether signatures of the version before that look like its own are its own.
struct Known<'a> {
    signer: &'a Signer,
    tag: u16,
    before: bool,
}

impl<'a> Signing<'a> {
    /// Of a zone with these keys after this version of it.
    pub(super) fn new(
        apex: &Name,
        keys: Option<&'a ZoneKeys>,
        before: Option<&ZoneVersion>,
        negative_ttl: u32,
        now: Wall,
        keep: Keep,
    ) -> Signing<'a> {
        let signers = keys.map_or(&[][..], |keys| &keys.signers);
        let looks_like = |key: &Dnskey, other: &Dnskey| {
            (key.tag(), key.algorithm()) == (other.tag(), other.algorithm())
        };
        let of_before = before.filter(|_| !signers.is_empty());
        let of_before = of_before.map(ZoneVersion::dnskeys).unwrap_or_default();
        let signers = signers.iter().map(|signer| {
            let key = signer.key.dnskey();
            // Two keys may share tag and algorithm (RFC 4034 §5.3.1); then an RRSIG does not say whose it is.
            let mut alike = of_before.iter().filter(|other| looks_like(key, other));
            let before = alike.next() == Some(key) && alike.next().is_none();
            let mut others = signers.iter().map(|other| other.key.dnskey());
            let alone = others.all(|other| other == key || !looks_like(key, other));
            Known {
                signer,
                tag: key.tag(),
                before: before && alone,
            }
        });
        Signing {
            apex: apex.wire().to_ascii_lowercase(),
            signers: signers.collect(),
            negative_ttl,
            now,
            keep,
        }
    }

    /// Whether there is a key to sign with.
    pub(super) fn signs(&self) -> bool {
        !self.signers.is_empty()
    }

    /// Gives a node its NSEC, where `next` is the next name of the chain, and its signatures.
    pub(super) fn finish(
        &self,
        mut node: Node,
        next: Option<&Name>,
        before: Option<&Arc<Node>>,
    ) -> Result<Arc<Node>, KeyFault> {
        if let Some(next) = next
            && self.signs()
            && is_in_chain(&node)
        {
            node.put(nsec(&node, next, self.negative_ttl));
        }
        for set in &mut node.sets {
            let kept = before.and_then(|before| before.set(set.rtype));
            if let Some(kept) = kept.filter(|kept| **kept == *set) {
                *set = kept.clone();
            }
        }
        let mut signatures = Vec::new();
        for set in node
            .sets
            .iter()
            .filter(|set| self.is_signed(&node, set.rtype))
        {
            signatures.extend(self.signature(&node.name, set, before)?);
        }
        node.signatures = signatures;
        Ok(match before {
            Some(before) if same(before, &node) => before.clone(),
            _ => Arc::new(node),
        })
    }

    /// Whether every key has signatures among those of before, as far as a look at the keys can tell.
    pub(super) fn knows_signatures(&self) -> bool {
        self.signers.iter().all(|known| known.before)
    }

    /// How many signatures of these nodes are not kept.
    pub(super) fn due_signatures(&self, nodes: &Nodes) -> usize {
        let signatures = self.due(nodes).flat_map(|node| &node.signatures);
        let due = signatures.filter(|signature| !self.keep.keeps(signature.window()));
        due.count()
    }

    /// The nodes with a signature that is not kept.
    pub(super) fn due<'n>(&self, nodes: &'n Nodes) -> impl Iterator<Item = &'n Arc<Node>> {
        let keep = self.keep;
        let chunks = nodes.in_chunks(move |tally| tally.signed.is_some_and(|w| !keep.keeps(w)));
        chunks.filter(move |node| {
            let mut signatures = node.signatures.iter();
            signatures.any(|signature| !keep.keeps(signature.window()))
        })
    }

    /// RFC 4035 §2.2: neither the NS RRset of a delegation nor glue is signed.
    fn is_signed(&self, node: &Node, rtype: RecordType) -> bool {
        self.signs()
            && match node.kind {
                NodeKind::Authoritative => true,
                NodeKind::Cut => matches!(rtype, RecordType::DS | RecordType::NSEC),
                NodeKind::Occluded => false,
            }
    }

    fn signature(
        &self,
        owner: &Name,
        set: &Arc<Rrset>,
        before: Option<&Arc<Node>>,
    ) -> Result<Option<Signature>, KeyFault> {
        let rtype = set.rtype;
        let old = before.filter(|before| {
            let there = before.set(rtype);
            there.is_some_and(|there| Arc::ptr_eq(there, set))
        });
        let old = old.and_then(|before| before.signatures.iter().find(|s| s.covered == rtype));
        let old_rdatas = old.map_or(&[][..], |old| &old.set.rdatas);
        let mut rdatas = Vec::with_capacity(1);
        let mut window: Option<Window> = None;
        let mut all_kept = true;
        for known in self
            .signers
            .iter()
            .filter(|known| known.signer.role.signs(rtype))
        {
            let kept = old_rdatas
                .iter()
                .find_map(|rdata| Some((rdata, self.kept(known, rdata)?)));
            let (rdata, valid) = match kept {
                Some((rdata, valid)) => (rdata.clone(), valid),
                None => {
                    all_kept = false;
                    let valid = Window::of(owner, rtype, self.now);
                    let made = rrsig(owner, set, &known.signer.key, &self.apex, valid)?;
                    (made, valid)
                }
            };
            rdatas.push(rdata);
            window = Some(window.map_or(valid, |window| window.and(valid)));
        }
        if let Some(old) = old
            && all_kept
            && !rdatas.is_empty()
            && rdatas.len() == old_rdatas.len()
        {
            return Ok(Some(old.clone()));
        }
        // Without a key for this type there is no signature.
        Ok(window.map(|window| Signature {
            covered: rtype,
            set: Arc::new(Rrset {
                rtype: RecordType::RRSIG,
                ttl: set.ttl,
                rdatas,
            }),
            inception: window.inception,
            expiration: window.expiration,
        }))
    }

    /// When an RRSIG of before is this key's and still serves: while it is valid.
    fn kept(&self, known: &Known<'_>, rdata: &Rdata) -> Option<Window> {
        let fields = RrsigFields::of(rdata).filter(|_| known.before)?;
        let own =
            fields.tag == known.tag && fields.algorithm == known.signer.key.algorithm().number();
        (own && self.keep.keeps(fields.window)).then_some(fields.window)
    }
}

fn same(before: &Node, node: &Node) -> bool {
    before.name.wire() == node.name.wire()
        && before.kind == node.kind
        && before.sets.len() == node.sets.len()
        && before.signatures.len() == node.signatures.len()
        && before
            .sets
            .iter()
            .zip(&node.sets)
            .all(|(a, b)| Arc::ptr_eq(a, b))
        && before
            .signatures
            .iter()
            .zip(&node.signatures)
            .all(|(a, b)| Arc::ptr_eq(&a.set, &b.set))
}
