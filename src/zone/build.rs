//! One zone's next version: what was published before, with what is different now.
//!
//! In: a zone's plan, the RRsets that decisions, keys and challenges add to it, the version before. Out: the next
//! version; the very same value as before when nothing but the serial would differ. Never here: where the added RRsets
//! come from (`compile`), how a node is signed (`signing`).
//!
//! There are two ways to the same result. A zone whose plan and keys are as before is *touched*: only nodes that something
//! is added to and signatures that are due are looked at, whatever its size. Otherwise it is *rebuilt*: every node is looked
//! at, and what it had before is found by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arrange::arrange;
use super::change::Change;
use super::draft::{Draft, Outline};
use super::history;
use super::key::{Dnskey, KeyFault};
use super::layout::ZonePlan;
use super::name::Name;
use super::node::Node;
use super::nodes::Nodes;
use super::nsec::{is_in_chain, next_name};
use super::rdata::Rrset;
use super::serial::Serial;
use super::signing::Signing;
use super::validity::{self, Keep};
use super::version::{ZoneVersion, negative_ttl, same_but_serial};
use super::workers;
use super::zone_keys::{Role, ZoneKeys};
use crate::clock::Wall;

/// The most signatures renewed at once while none is urgent: a failover never waits long behind them.
const RENEWED_AT_ONCE: usize = 1000;

/// As many nodes as are worth another core: more than a millisecond of signing.
const WORTH_A_CORE: usize = 64;

/// RRsets added to a plan, by name. A name stands here even when nothing is added to it now.
pub(super) type Overlay = BTreeMap<Name, Vec<Arc<Rrset>>>;

/// All that one zone's next version is made of.
pub(super) struct Build<'a> {
    pub(super) plan: &'a Arc<ZonePlan>,
    /// The version before.
    pub(super) before: Option<&'a Arc<ZoneVersion>>,
    /// What was made beside the engine, to begin from instead.
    pub(super) draft: Option<&'a Draft>,
    /// Whether what it begins from was made of this very plan.
    pub(super) same_plan: bool,
    pub(super) keys: Option<&'a Arc<ZoneKeys>>,
    pub(super) overlay: Overlay,
    /// The names of the overlay that challenges are at.
    pub(super) challenged: Vec<Name>,
    /// The names of zones of ours inside it whose DS it has, or had.
    pub(super) inner: Vec<Name>,
    /// The SOA with the new serial.
    pub(super) soa: Arc<Rrset>,
    pub(super) serial: Serial,
    pub(super) now: Wall,
    /// Whether signatures that are due are renewed.
    pub(super) renews: bool,
    /// How many octets of changes it keeps however small it is.
    pub(super) least_history: usize,
}

impl<'a> Build<'a> {
    /// What it begins from: signatures of it are used again.
    pub(super) fn base(&self) -> Option<&'a Arc<ZoneVersion>> {
        self.draft.and_then(Draft::version).or(self.before)
    }

    /// Whether more than `most` RRsets would have to be signed, or looked at one by one. `planned` is whether it is known
    /// what the version before was made of.
    pub(super) fn is_large(&self, most: usize, planned: bool) -> bool {
        let base_sets = self.base().map_or(0, |base| base.rrset_count());
        let is_signed = self.keys.is_some_and(|keys| keys.is_signed());
        if !is_signed || self.sets().max(base_sets) <= most {
            return false;
        }
        match self.base() {
            Some(base) if self.may_touch(base) => {
                self.signing().due_signatures(base.nodes()) > most
            }
            // After a restart its signatures are mostly at hand, and there is nothing else to serve meanwhile.
            Some(base) if !planned => {
                let signing = self.signing();
                let signatures =
                    || signing.due_signatures(base.nodes()) + self.new_sets(base, most);
                self.sets() > most && !(signing.knows_signatures() && signatures() <= most)
            }
            _ => self.sets() > most,
        }
    }

    /// About how many RRsets are signed for it, its SOA included.
    pub(super) fn signatures(&self) -> usize {
        if !self.keys.is_some_and(|keys| keys.is_signed()) {
            return 0;
        }
        let overlay = self
            .overlay
            .iter()
            .flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
        match self.base() {
            Some(base) if self.may_touch(base) => {
                let differs = |(name, set): &(&Name, &Arc<Rrset>)| {
                    base.set(name.key(), set.rtype) != Some(*set)
                };
                let changed = overlay.filter(differs).count();
                match changed + self.signing().due_signatures(base.nodes()) {
                    // It may turn out to be as it was.
                    0 => 0,
                    signed => signed + 1,
                }
            }
            // Each name has an NSEC record.
            _ => overlay.count() + 1 + self.sets() + self.plan.nodes.len(),
        }
    }

    fn sets(&self) -> usize {
        self.plan.nodes.tally().sets
    }

    /// How many RRsets of the plan the version before does not have; counted a little beyond `most`.
    fn new_sets(&self, base: &ZoneVersion, most: usize) -> usize {
        let sets = self
            .plan
            .nodes
            .iter()
            .flat_map(|node| node.sets.iter().map(move |set| (node, set)));
        let new = sets.filter(|(node, set)| base.set(node.name.key(), set.rtype) != Some(set));
        new.take(most.saturating_add(1)).count()
    }

    /// The same, to be made elsewhere.
    pub(super) fn outline(self) -> Outline {
        Outline {
            plan: self.plan.clone(),
            before: self.before.cloned(),
            same_plan: self.same_plan,
            keys: self.keys.cloned(),
            overlay: self.overlay,
            challenged: self.challenged,
            inner: self.inner,
            now: self.now,
        }
    }

    /// Makes the version.
    pub(super) fn version(mut self) -> Result<Arc<ZoneVersion>, KeyFault> {
        // A serial that is only new would make the version differ from the one before.
        let base = self.base();
        let kept_soa = base
            .filter(|base| same_but_serial(base.soa(), &self.soa))
            .map(|base| base.soa().clone());
        let soa = kept_soa.as_ref().unwrap_or(&self.soa).clone();
        self.overlay
            .entry(self.plan.apex.clone())
            .or_default()
            .push(soa);

        let signing = self.signing();
        let touched = match base {
            Some(base) if kept_soa.is_some() && self.may_touch(base) => {
                self.touch(base, &signing)?
            }
            _ => None,
        };
        let mut nodes = match touched {
            Some(nodes) => nodes,
            None => self.rebuild(&signing)?,
        };
        if let Some(before) = self.before
            && kept_soa.is_some()
            && before.keeps_serial()
            && before.nodes().same(&nodes)
        {
            if before.keys() == self.keys
                && before.challenged() == self.challenged
                && !before.lags()
            {
                return Ok(before.clone());
            }
            // After a restart: the next version need not look at every name to find out what this one was made with.
            let same = ZoneVersion::clone(before).lagging(false);
            return Ok(Arc::new(
                same.made_with(self.keys.cloned(), self.challenged),
            ));
        }
        if kept_soa.is_some() {
            let apex = nodes.get(self.plan.apex.key()).cloned();
            for apex in apex.iter() {
                let mut with_serial = Node::clone(apex);
                with_serial.put(self.soa.clone());
                nodes.replace([signing.finish(with_serial, None, Some(apex))?]);
            }
        }
        let version =
            ZoneVersion::new(self.plan.apex.clone(), self.serial, nodes, self.soa.clone())
                .made_with(self.keys.cloned(), self.challenged);
        let Some(before) = self.before else {
            return Ok(Arc::new(version));
        };
        // Nobody has the draft's own version, but its history leads on without looking at every name again.
        let from = match self.draft {
            Some(draft) if draft.leads_on(before, self.serial) => base.unwrap_or(before),
            _ => before,
        };
        let change = Change::between(from, &version);
        let history = history::with(from.history(), change, version.octets(), self.least_history);
        Ok(Arc::new(version.with_history(history)))
    }

    fn signing(&self) -> Signing<'_> {
        let base = self.base();
        let keep = match base {
            Some(base) if self.renews => keep(base, self.now),
            Some(_) => Keep::all(),
            None => Keep::not_due(self.now),
        };
        Signing::new(
            &self.plan.apex,
            self.keys.map(Arc::as_ref),
            base.map(Arc::as_ref),
            negative_ttl(&self.soa),
            self.now,
            keep,
        )
    }

    fn may_touch(&self, before: &ZoneVersion) -> bool {
        fn signers(keys: Option<&Arc<ZoneKeys>>) -> Vec<(&Dnskey, Role)> {
            keys.map(|keys| keys.signing_keys()).unwrap_or_default()
        }
        self.same_plan
            && before.keeps_serial()
            && before.challenged() == self.challenged
            && signers(before.keys()) == signers(self.keys)
    }

    /// The nodes before with those replaced that are different now; none when the chain of names differs.
    fn touch(
        &self,
        before: &ZoneVersion,
        signing: &Signing<'_>,
    ) -> Result<Option<Nodes>, KeyFault> {
        let mut different = Vec::new();
        for (name, added) in &self.overlay {
            let Some(there) = before.node(name.key()) else {
                return Ok(None);
            };
            let node = with(self.plan.nodes.get(name.key()), name, added);
            if is_in_chain(&node) != is_in_chain(there) {
                return Ok(None);
            }
            let next = next_name(there);
            different.push(signing.finish(node, next.as_ref(), Some(there))?);
        }
        let due = signing.due(before.nodes());
        let due = due.filter(|there| !self.overlay.contains_key(there.name.key()));
        let renewed = workers::map(due.collect(), WORTH_A_CORE, |there: &Arc<Node>| {
            signing.finish(Node::clone(there), None, Some(there))
        });
        different.extend(renewed.into_iter().collect::<Result<Vec<_>, _>>()?);
        different.retain(|node| {
            let there = before.node(node.name.key());
            there.is_none_or(|there| !Arc::ptr_eq(there, node))
        });
        let mut nodes = before.nodes().clone();
        nodes.replace(different);
        Ok(Some(nodes))
    }

    fn rebuild(&self, signing: &Signing<'_>) -> Result<Nodes, KeyFault> {
        let plan = with_names(&self.plan.nodes, &self.plan.apex, &self.challenged);
        let mut nodes = Vec::with_capacity(plan.len());
        // From the last name to the first: each leads to the one after it, and the last one to the apex.
        let mut next = self.plan.apex.clone();
        for planned in plan.iter().rev() {
            let name = &planned.name;
            let added = self.overlay.get(name.key()).map_or(&[][..], Vec::as_slice);
            let node = with(Some(planned), name, added);
            let in_chain = is_in_chain(&node);
            nodes.push((node, next.clone()));
            if in_chain {
                next = name.clone();
            }
        }
        nodes.reverse();
        let worth = if signing.signs() {
            WORTH_A_CORE
        } else {
            usize::MAX
        };
        let base = self.base();
        let finished = workers::map(nodes, worth, |(node, next)| {
            let before = base.and_then(|base| base.node(node.name.key()));
            signing.finish(node, Some(&next), before)
        });
        Ok(Nodes::new(
            finished.into_iter().collect::<Result<Vec<_>, _>>()?,
        ))
    }
}

/// Which signatures of a version are kept. While none is due, all are; else those that are due soon are renewed too, the
/// earliest first and not too many at once.
fn keep(before: &ZoneVersion, now: Wall) -> Keep {
    let not_due = Keep::not_due(now);
    if before.signed().is_none_or(|window| not_due.keeps(window)) {
        return not_due;
    }
    let soon = Keep::not_due_soon(now);
    let nodes = before
        .nodes()
        .in_chunks(|tally| tally.signed.is_some_and(|w| !soon.keeps(w)));
    let windows = nodes
        .flat_map(|node| &node.signatures)
        .map(|signature| signature.window());
    let mut expirations: Vec<Wall> = windows
        .filter(|window| !soon.keeps(*window))
        .map(|window| window.expiration)
        .collect();
    if expirations.len() <= RENEWED_AT_ONCE {
        return soon;
    }
    let (_, last, _) = expirations.select_nth_unstable(RENEWED_AT_ONCE - 1);
    validity::keep_beyond(*last, now)
}

/// A node of the plan with what is added to it.
fn with(planned: Option<&Arc<Node>>, name: &Name, added: &[Arc<Rrset>]) -> Node {
    let mut node = planned.map_or_else(|| Node::empty(name.clone()), |node| Node::clone(node));
    for set in added {
        node.put(set.clone());
    }
    node
}

/// The nodes with these names among them, empty where they were not there.
fn with_names(nodes: &Nodes, apex: &Name, names: &[Name]) -> Nodes {
    let mut new = names
        .iter()
        .filter(|name| nodes.get(name.key()).is_none())
        .peekable();
    if new.peek().is_none() {
        return nodes.clone();
    }
    let there = nodes.iter().map(|node| Node::clone(node));
    arrange(apex, there.chain(new.map(|name| Node::empty(name.clone()))))
}
