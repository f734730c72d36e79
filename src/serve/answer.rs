//! Answering a question: the one function every transport uses.
//!
//! In: the zones as published, a question. Out: an [`Answer`]: RRsets by section, and which of them the answer is
//! not whole without. RFC 1034 §4.3.2 in its order, with the wildcards of RFC 4592, the negatives of RFC 2308 and, where
//! DNSSEC was asked for, the signatures of RFC 4035 §3.1.
//! Never here: what proves that something is not there (`denial`), octets and size limits (`message`), sockets, clocks.

use std::collections::HashSet;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::question::Question;
use crate::zone::{Found, Name, Node, NodeKind, Rrset, ZoneVersion, Zones, compresses_names};

/// How many aliases one answer follows.
const CHAIN_LIMIT: usize = 8;

/// What is said to a question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response code.
    pub rcode: ResponseCode,
    /// Whether the answer is authoritative (AA).
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Placed>,
    /// The authority section.
    pub authorities: Vec<Placed>,
    /// The additional section, what is required first.
    pub additionals: Vec<Placed>,
}

/// An RRset in a section.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its owner as the answer shows it: the question's own spelling, a wildcard's expansion.
    pub owner: Name,
    /// The records.
    pub set: Arc<Rrset>,
    /// The TTL shown; a negative answer's SOA has a lower one than its own.
    pub ttl: u32,
    /// Whether the response is truncated when it does not fit (RFC 2181 §9, RFC 9471 §3.1).
    pub required: bool,
}

impl Answer {
    /// Says nothing but its code.
    pub(super) fn empty(rcode: ResponseCode) -> Answer {
        Answer {
            rcode,
            authoritative: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }
}

/// Answers a question of class IN and an ordinary type (or ANY) from the zones. `dnssec_ok` (RFC 3225) adds
/// signatures and proofs in signed zones.
pub fn answer(zones: &Zones, question: &Question, dnssec_ok: bool) -> Answer {
    answer_within(zones, question, dnssec_ok, usize::MAX)
}

/// The same for a response that has `room` octets: addresses that would not fit are not looked for.
pub fn answer_within(zones: &Zones, question: &Question, dnssec_ok: bool, room: usize) -> Answer {
    let mut reply = Reply {
        zones,
        rtype: question.rtype,
        dnssec_ok,
        answer: Answer::empty(ResponseCode::NoError),
    };
    reply.follow(&question.name);
    reply.add_addresses(room);
    reply.answer
}

pub(super) struct Reply<'a> {
    zones: &'a Zones,
    pub(super) rtype: RecordType,
    dnssec_ok: bool,
    pub(super) answer: Answer,
}

pub(super) enum Step {
    Done,
    Alias(Name),
}

impl Reply<'_> {
    /// RFC 1034 §4.3.2 steps 2 and 3, again for each alias on the way.
    fn follow(&mut self, name: &Name) {
        let mut name = name.clone();
        let mut seen: Vec<Name> = Vec::new();
        loop {
            let Some(zone) = self.zone_for(&name) else {
                // The first name is not ours; the end of a chain may well be somebody else's.
                if seen.is_empty() {
                    self.answer.rcode = ResponseCode::Refused;
                }
                return;
            };
            let zone = zone.clone();
            match self.step(&zone, &name) {
                Step::Done => return,
                Step::Alias(target) => {
                    seen.push(std::mem::replace(&mut name, target));
                    if seen.len() >= CHAIN_LIMIT || seen.contains(&name) {
                        return;
                    }
                }
            }
        }
    }

    /// The zone to ask about a name. DS belongs to the parent's side of a cut, so at an apex the zone above
    /// is asked where we have it (RFC 4035 §3.1.4.1) and it makes the cut: without, it would say that there is no
    /// such name.
    fn zone_for(&self, name: &Name) -> Option<&Arc<ZoneVersion>> {
        let zone = self.zones.zone_of(name.key())?;
        if self.rtype == RecordType::DS
            && zone.apex() == name
            && let Some(above) = self.zones.zone_above(name)
            && matches!(above.find(name.key()), Found::Cut(_))
        {
            return Some(above);
        }
        Some(zone)
    }

    fn step(&mut self, zone: &ZoneVersion, name: &Name) -> Step {
        match zone.find(name.key()) {
            Found::Cut(cut) if self.rtype == RecordType::DS && cut.name == *name => {
                self.claim_authority();
                self.data(zone, name, cut)
            }
            Found::Cut(cut) => {
                self.referral(zone, cut);
                Step::Done
            }
            Found::Node(node) | Found::Wildcard(node) => {
                self.claim_authority();
                self.data(zone, name, node)
            }
            Found::Redirected(node) => {
                self.claim_authority();
                self.redirect(zone, name, node)
            }
            Found::Nothing => {
                self.claim_authority();
                // RFC 6604 §2.1: the code is that of the last name of a chain.
                self.answer.rcode = ResponseCode::NXDomain;
                self.negative(zone);
                self.deny_name(zone, name);
                Step::Done
            }
        }
    }

    /// AA speaks of the first name (RFC 1035 §4.1.1): a referral behind an alias does not take it back.
    fn claim_authority(&mut self) {
        self.answer.authoritative = true;
    }

    /// RFC 1034 §4.3.2 step 3a: the node's data, expanded to `name` where the node is a wildcard.
    fn data(&mut self, zone: &ZoneVersion, name: &Name, node: &Node) -> Step {
        // NSEC and RRSIG stand beside an alias and are the alias's own (RFC 4035 §2.5).
        let of_the_alias = matches!(
            self.rtype,
            RecordType::CNAME | RecordType::ANY | RecordType::RRSIG | RecordType::NSEC
        );
        if !of_the_alias
            && let Some(set) = node.set(RecordType::CNAME)
            && node.kind == NodeKind::Authoritative
        {
            self.put_answer(zone, name, node, set);
            let target = set.rdatas.first().and_then(|rdata| rdata.target(set.rtype));
            return target.map_or(Step::Done, Step::Alias);
        }
        let found = match self.rtype {
            // RFC 8482 §4.1: one RRset of those there is a fair answer to ANY.
            RecordType::ANY => node.sets.iter().find(|set| is_data(set.rtype)),
            // The RRSIGs over one RRset of those there, for the same reason.
            RecordType::RRSIG => {
                let mut signatures = node.signatures.iter();
                let over = signatures.find(|signature| is_data(signature.covered));
                over.map(|signature| &signature.set)
            }
            rtype => node.set(rtype),
        };
        match found {
            Some(set) => self.put_answer(zone, name, node, set),
            None => self.no_data(zone, name, node),
        }
        Step::Done
    }

    pub(super) fn put_answer(
        &mut self,
        zone: &ZoneVersion,
        name: &Name,
        node: &Node,
        set: &Arc<Rrset>,
    ) {
        // A chain may come to the same records twice: by the DNAMEs on its way.
        let mut there = self.answer.answers.iter();
        if there.any(|placed| Arc::ptr_eq(&placed.set, set) && placed.owner == *name) {
            return;
        }
        self.answer.answers.push(required(name, set));
        if let Some(signature) = self.signature(node, set.rtype) {
            self.answer.answers.push(required(name, signature));
        }
        if node.name != *name {
            self.deny_closer(zone, name);
        }
    }

    fn no_data(&mut self, zone: &ZoneVersion, name: &Name, node: &Node) {
        self.negative(zone);
        self.deny_type(zone, name, node);
    }

    /// RFC 2308 §3 and §5: the SOA, with the TTL the negative answer may be kept for; its RRSIG goes with it.
    fn negative(&mut self, zone: &ZoneVersion) {
        let ttl = zone.negative_ttl();
        let signature = self.signature(zone.apex_node(), RecordType::SOA);
        for set in std::iter::once(zone.soa()).chain(signature) {
            let placed = required(zone.apex(), set);
            self.answer.authorities.push(Placed { ttl, ..placed });
        }
    }

    /// The RRSIGs over an RRset, if they were asked for and there are any.
    pub(super) fn signature<'n>(
        &self,
        node: &'n Node,
        covered: RecordType,
    ) -> Option<&'n Arc<Rrset>> {
        self.dnssec_ok.then(|| node.signature(covered)).flatten()
    }

    /// Whether an answer from this zone needs proofs.
    pub(super) fn proves(&self, zone: &ZoneVersion) -> bool {
        self.dnssec_ok && zone.is_signed()
    }

    /// RFC 1034 §4.3.2 step 3b: the delegation and its glue, not authoritative.
    fn referral(&mut self, zone: &ZoneVersion, cut: &Node) {
        let Some(ns) = cut.set(RecordType::NS) else {
            return;
        };
        self.answer.authorities.push(required(&cut.name, ns));
        // RFC 4035 §3.1.4: the DS RRset, or the proof that there is none. An unsigned DS would prove nothing.
        if self.proves(zone) {
            match cut.set(RecordType::DS) {
                Some(ds) => {
                    self.answer.authorities.push(required(&cut.name, ds));
                    let signature = self.signature(cut, RecordType::DS);
                    let signature = signature.map(|set| required(&cut.name, set));
                    self.answer.authorities.extend(signature);
                }
                None => self.deny_type(zone, &cut.name, cut),
            }
        }
        for target in targets(ns) {
            // RFC 9471 §3: without the addresses of name servers in the delegated zone nobody gets there.
            if target.is_at_or_below(&cut.name)
                && let Some(glue) = zone.node(target.key())
            {
                for set in addresses(glue) {
                    self.answer.additionals.push(required(&target, set));
                }
            }
        }
    }

    /// RFC 1034 §4.3.2 step 6: the addresses of every target shown, as far as our zones have them and they may fit. An
    /// answer that is truncated gets none: it says nothing but to ask again.
    fn add_addresses(&mut self, room: usize) {
        let Answer {
            answers,
            authorities,
            additionals,
            ..
        } = &self.answer;
        let shown = answers.iter().chain(authorities);
        let glue = additionals.iter();
        let needed = shown.clone().chain(glue.clone());
        let mut octets: usize = needed.map(|placed| least_octets(&placed.set)).sum();
        if octets > room {
            return;
        }
        let targets: Vec<Name> = shown.flat_map(|placed| targets(&placed.set)).collect();
        if targets.is_empty() {
            return;
        }
        let there = answers.iter().chain(glue);
        let there =
            there.filter(|placed| matches!(placed.set.rtype, RecordType::A | RecordType::AAAA));
        let mut seen: HashSet<Name> = there.map(|placed| placed.owner.clone()).collect();
        let mut signatures = Vec::new();
        for target in &targets {
            if octets > room {
                break;
            }
            if !seen.insert(target.clone()) {
                continue;
            }
            let Some(zone) = self.zones.zone_of(target.key()) else {
                continue;
            };
            let node = match zone.find(target.key()) {
                Found::Node(node) | Found::Wildcard(node) => Some(node),
                // Glue of another delegation (RFC 9471 §2.2): helps, and is not ours to insist on.
                Found::Cut(_) if self.is_referral() => zone.node(target.key()),
                Found::Cut(_) | Found::Redirected(_) | Found::Nothing => None,
            };
            for set in node.into_iter().flat_map(|node| addresses(node)) {
                octets += least_octets(set);
                self.answer.additionals.push(optional(target, set));
                let signature = node.and_then(|node| self.signature(node, set.rtype));
                signatures.extend(signature.map(|set| optional(target, set)));
            }
        }
        // RFC 4035 §3.1.1: they go with their RRsets, and are the first to be dropped.
        self.answer.additionals.append(&mut signatures);
    }

    fn is_referral(&self) -> bool {
        let authorities = &self.answer.authorities;
        authorities
            .iter()
            .any(|placed| placed.set.rtype == RecordType::NS)
    }
}

pub(super) fn required(owner: &Name, set: &Arc<Rrset>) -> Placed {
    Placed {
        owner: owner.clone(),
        set: set.clone(),
        ttl: set.ttl,
        required: true,
    }
}

/// Whether somebody put it there: every name that has something has NSEC as well.
fn is_data(rtype: RecordType) -> bool {
    rtype != RecordType::NSEC
}

fn optional(owner: &Name, set: &Arc<Rrset>) -> Placed {
    Placed {
        required: false,
        ..required(owner, set)
    }
}

/// How many octets an RRset has in a message at the least, whatever of it is compressed.
fn least_octets(set: &Rrset) -> usize {
    // Owner, type, class, TTL and length.
    const HEAD: usize = 11;
    let compressed = compresses_names(set.rtype);
    let each = set.rdatas.iter().map(|rdata| match compressed {
        true => HEAD,
        false => HEAD + rdata.wire().len(),
    });
    each.sum()
}

fn addresses(node: &Node) -> impl Iterator<Item = &Arc<Rrset>> {
    [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|rtype| node.set(rtype))
}

/// The hosts an RRset leads to, in its order.
fn targets(set: &Rrset) -> impl Iterator<Item = Name> {
    let leads = matches!(set.rtype, RecordType::SRV | RecordType::NS | RecordType::MX);
    let rdatas = if leads { set.rdatas.as_slice() } else { &[] };
    rdatas.iter().filter_map(|rdata| rdata.target(set.rtype))
}
