//! One zone while the layout is being made: what its master file says, what is made for it, what is steered in it.
//!
//! In: static records, RRsets and slots, one by one. Out: what is at a name, and in the end the zone's plan. Never here:
//! which zone a name lies in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::arrange::{arrange, cut_above};
use super::layout::{Slot, Steered, ZonePlan};
use super::left_out::is_zone_digest;
use super::master::SourceLine;
use super::name::Name;
use super::node::Node;
use super::rdata::Rrset;
use super::redirection::redirection;
use super::static_zone::{StaticSet, StaticZone, covering_wildcard};
use crate::topology::RouteName;

/// A zone while the layout is being made.
pub(super) struct PlacedZone<'a> {
    pub(super) apex: Name,
    /// The static records; none for a generated zone.
    pub(super) statics: Option<&'a StaticZone>,
    /// They come from a primary, which has not sent them yet.
    pub(super) awaited: bool,
    /// RRsets made here: apex NS, delegations, glue, addresses of targets.
    pub(super) made: BTreeMap<Name, BTreeMap<u16, Arc<Rrset>>>,
    /// The route and use of each steered RRset.
    pub(super) steered: BTreeMap<(Name, u16), (RouteName, Steered)>,
    /// Apexes of other zones of ours that lie in this one.
    pub(super) inner: BTreeSet<Name>,
}

impl PlacedZone<'_> {
    /// The RRset of a name and type in the master file.
    pub(super) fn static_set(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
        self.statics?.set(name, rtype)
    }

    /// The topmost delegation at or above a name, with its static line.
    pub(super) fn cut_of(&self, name: &Name) -> Option<(Name, Option<SourceLine>)> {
        let mut above = name.clone();
        let mut found = None;
        while above != self.apex {
            if let Some(ns) = self.static_set(&above, RecordType::NS) {
                found = Some((above.clone(), Some(ns.at().clone())));
            } else if self.inner.contains(&above) {
                found = Some((above.clone(), None));
            }
            above = above.parent()?;
        }
        found
    }

    /// The DNAME that redirects a name, with its line.
    pub(super) fn redirection(&self, name: &Name) -> Option<(Name, SourceLine)> {
        let names = &self.statics?.names;
        let is_cut = |key: &[u8]| {
            let sets = names.get(key);
            self.inner.contains(key)
                || sets.is_some_and(|sets| sets.contains_key(&u16::from(RecordType::NS)))
        };
        let (owner, dname) = redirection(names, &self.apex, name, is_cut)?;
        Some((owner.clone(), dname.at().clone()))
    }

    /// The RRset that answers for a name in the master file: its own or a covering wildcard's.
    pub(super) fn static_answer(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
        let names = &self.statics?.names;
        if let Some(set) = self.static_set(name, rtype) {
            return Some(set);
        }
        let exists = self.has_name(name);
        let covering = (!exists).then(|| covering_wildcard(names, &self.apex, name))??;
        covering.get(&u16::from(rtype))
    }

    fn has_name(&self, name: &Name) -> bool {
        let statics = self.statics.map(|statics| &statics.names);
        let first = statics.and_then(|names| names.range(name.clone()..).next());
        first.is_some_and(|(first, _)| first.is_at_or_below(name))
            || self
                .steered
                .range((name.clone(), 0)..)
                .next()
                .is_some_and(|((owner, _), _)| owner.is_at_or_below(name))
    }

    /// Whether a record that a primary has sent is left out: something steered stands in its place, or another zone
    /// of ours begins there.
    fn overrules(&self, name: &Name, rtype: RecordType) -> bool {
        if !self.statics.is_some_and(|statics| statics.received) {
            return false;
        }
        let inner = self.inner.range(..=name.clone()).next_back();
        let occluded = inner.is_some_and(|inner| {
            let of_the_cut = matches!(rtype, RecordType::NS | RecordType::DS) && name == inner;
            let glue = matches!(rtype, RecordType::A | RecordType::AAAA) && name != inner;
            name.is_at_or_below(inner) && !of_the_cut && !glue
        });
        occluded || self.steered.contains_key(&(name.clone(), u16::from(rtype)))
    }

    /// Whether a decision gives a name its addresses.
    pub(super) fn steers_address(&self, name: &Name) -> bool {
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .any(|rtype| self.steered.contains_key(&(name.clone(), u16::from(rtype))))
    }

    /// The NS RRset at its apex.
    pub(super) fn nameservers(&self) -> Option<&Rrset> {
        let written = self.static_set(&self.apex, RecordType::NS);
        let made = || self.made.get(&self.apex)?.get(&u16::from(RecordType::NS));
        written
            .map(|set| &*set.rrset)
            .or_else(|| made().map(Arc::as_ref))
    }

    /// Adds an RRset that is made here.
    pub(super) fn make(&mut self, name: &Name, rrset: Arc<Rrset>) {
        self.made
            .entry(name.clone())
            .or_default()
            .insert(u16::from(rrset.rtype), rrset);
    }

    /// The zone as decisions will fill it, with this SOA.
    pub(super) fn plan(self, soa: Arc<Rrset>) -> ZonePlan {
        let apex = self.apex.clone();
        let left_out = self.statics.map(StaticZone::left_out).unwrap_or_default();
        let mut nodes: BTreeMap<Name, Node> = BTreeMap::new();
        let node = |nodes: &mut BTreeMap<Name, Node>, name: &Name, set: Option<Arc<Rrset>>| {
            let node = nodes
                .entry(name.clone())
                .or_insert_with(|| Node::empty(name.clone()));
            node.sets.extend(set);
        };
        node(&mut nodes, &apex, None);
        for (name, sets) in self.statics.iter().flat_map(|statics| &statics.names) {
            if self.redirection(name).is_some() {
                continue;
            }
            let sets = sets
                .values()
                .filter(|set| set.rrset.rtype != RecordType::SOA)
                .filter(|set| !is_zone_digest(&apex, name, set.rrset.rtype))
                .filter(|set| !self.overrules(name, set.rrset.rtype));
            for set in sets {
                node(&mut nodes, name, Some(set.rrset.clone()));
            }
        }
        for (name, sets) in &self.made {
            for set in sets.values() {
                let there = nodes
                    .get(name)
                    .is_some_and(|node| node.set(set.rtype).is_some());
                if !there {
                    node(&mut nodes, name, Some(set.clone()));
                }
            }
        }
        for (name, _) in self.steered.keys() {
            node(&mut nodes, name, None);
        }
        let nodes = arrange(&apex, nodes.into_values());
        debug_assert!(
            self.steered
                .keys()
                .all(|(name, _)| cut_above(&nodes, &apex, name.key()).is_none())
        );
        let slots = self
            .steered
            .into_iter()
            .map(|((owner, _), (route, what))| Slot { owner, route, what })
            .collect();
        ZonePlan {
            apex,
            awaited: self.awaited,
            nodes,
            soa,
            slots,
            left_out,
        }
    }
}
