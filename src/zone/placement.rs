//! Placing: which zone each steered name lies in, and what else that zone needs.
//!
//! In: a topology and its static zones. Out: one plan per zone (its static nodes and the slots decisions fill), or
//! every problem at once. Never here: decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::arrange::{arrange, cut_above};
use super::generated::{address_sets, generated_soa, ns_set};
use super::layout::{Slot, Steered, ZonePlan};
use super::layout_problem::LayoutProblem;
use super::master::{Severity, SourceLine};
use super::name::Name;
use super::node::Node;
use super::rdata::{Rdata, Rrset};
use super::serial::Serial;
use super::static_zone::{StaticSet, StaticZone, covering_wildcard};
use crate::topology::{DomainName, Family, PoolName, RouteName, Topology, ZonePlacement};

/// Every zone, planned.
pub(super) struct Placed {
    /// In canonical order of apexes.
    pub(super) plans: Vec<Arc<ZonePlan>>,
    /// The greatest serial of any master file.
    pub(super) serial_floor: Option<Serial>,
    pub(super) warnings: Vec<LayoutProblem>,
}

/// Puts every steered name into its zone.
pub(super) fn place(
    topology: &Topology,
    statics: &BTreeMap<DomainName, Arc<StaticZone>>,
) -> Result<Placed, Vec<LayoutProblem>> {
    place_within(topology, statics, &Name::root())
}

/// Puts the steered names at or below `top` into their zones; no zone above it is looked at.
pub(super) fn place_within(
    topology: &Topology,
    statics: &BTreeMap<DomainName, Arc<StaticZone>>,
    top: &Name,
) -> Result<Placed, Vec<LayoutProblem>> {
    let mut draft = Draft::new(topology, statics, top);
    draft.place_steered();
    draft.delegate_inner_zones();
    draft.give_targets_addresses();
    draft.check_static_targets();
    draft.finish()
}

/// A zone while the layout is being made.
struct DraftZone<'a> {
    apex: Name,
    /// The static records; none for a generated zone.
    statics: Option<&'a StaticZone>,
    /// They come from a primary, which has not sent them yet.
    awaited: bool,
    /// RRsets made here: apex NS, delegations, glue, addresses of targets.
    made: BTreeMap<Name, BTreeMap<u16, Arc<Rrset>>>,
    /// The route and use of each steered RRset.
    steered: BTreeMap<(Name, u16), (RouteName, Steered)>,
    /// Apexes of other zones of ours that lie in this one.
    inner: BTreeSet<Name>,
}

impl DraftZone<'_> {
    fn static_set(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
        self.statics?.set(name, rtype)
    }

    /// The topmost delegation at or above a name, with its static line.
    fn cut_of(&self, name: &Name) -> Option<(Name, Option<SourceLine>)> {
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

    /// The RRset that answers for a name in the master file: its own or a covering wildcard's.
    fn static_answer(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
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

    fn steers_address(&self, name: &Name) -> bool {
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .any(|rtype| self.steered.contains_key(&(name.clone(), u16::from(rtype))))
    }

    /// The NS RRset at its apex.
    fn nameservers(&self) -> Option<&Rrset> {
        let written = self.static_set(&self.apex, RecordType::NS);
        let made = || self.made.get(&self.apex)?.get(&u16::from(RecordType::NS));
        written
            .map(|set| &*set.rrset)
            .or_else(|| made().map(Arc::as_ref))
    }

    fn make(&mut self, name: &Name, rrset: Arc<Rrset>) {
        self.made
            .entry(name.clone())
            .or_default()
            .insert(u16::from(rrset.rtype), rrset);
    }
}

struct Draft<'a> {
    topology: &'a Topology,
    /// Names elsewhere are not looked at.
    top: Name,
    zones: BTreeMap<Name, DraftZone<'a>>,
    ns: Option<Arc<Rrset>>,
    problems: Vec<LayoutProblem>,
    /// Names whose place has been found impossible.
    reported: BTreeSet<(RouteName, Name)>,
}

impl<'a> Draft<'a> {
    fn new(
        topology: &'a Topology,
        statics: &'a BTreeMap<DomainName, Arc<StaticZone>>,
        top: &Name,
    ) -> Draft<'a> {
        let mut draft = Draft {
            topology,
            top: top.clone(),
            zones: BTreeMap::new(),
            ns: ns_set(&topology.nameservers),
            problems: Vec::new(),
            reported: BTreeSet::new(),
        };
        let apexes: BTreeSet<&DomainName> = topology.zones.keys().chain(statics.keys()).collect();
        for apex in apexes {
            let statics = statics.get(apex).map(Arc::as_ref);
            let awaited = statics.is_none() && topology.primary(apex).is_some();
            let apex = Name::from(apex);
            if apex.is_at_or_below(top) {
                draft.add_zone(apex, statics, awaited);
            }
        }
        draft
    }

    fn add_zone(&mut self, apex: Name, statics: Option<&'a StaticZone>, awaited: bool) {
        let mut zone = DraftZone {
            apex: apex.clone(),
            statics,
            awaited,
            made: BTreeMap::new(),
            steered: BTreeMap::new(),
            inner: BTreeSet::new(),
        };
        if statics.is_none() && !awaited {
            match &self.ns {
                Some(ns) => {
                    zone.make(&apex, ns.clone());
                    self.add_glue(&mut zone, &apex.clone());
                }
                None => {
                    let apex = apex.clone();
                    self.problems.push(LayoutProblem::NoNameservers { apex });
                }
            }
        }
        self.zones.insert(apex, zone);
    }

    /// Addresses of the name servers that lie at or below `cut`, in `zone`.
    fn add_glue(&mut self, zone: &mut DraftZone<'a>, cut: &Name) {
        for server in &self.topology.nameservers.servers {
            let name = Name::from(&server.name);
            if !name.is_at_or_below(cut) {
                continue;
            }
            if server.addresses.is_empty() {
                self.problems.push(LayoutProblem::NameserverWithoutAddress {
                    nameserver: server.name.clone(),
                    apex: cut.clone(),
                });
            }
            let ttl = self.topology.nameservers.ttl;
            for rrset in address_sets(server.addresses.iter().copied(), ttl) {
                zone.make(&name, rrset);
            }
        }
    }

    /// Finds the zone of each steered name and claims its owner and type there.
    fn place_steered(&mut self) {
        // First every zone there will be: the longest apex decides.
        let mut owners: Vec<(Name, &'a RouteName, Steered)> = Vec::new();
        let mut configured: Vec<(Name, &'a RouteName, Steered)> = Vec::new();
        for route in self.topology.routes.values() {
            let services = route
                .services
                .iter()
                .map(|service| (&service.owner, vec![Steered::Service(service.kind)]));
            let addresses = route
                .address
                .iter()
                .map(|template| (template, Family::ALL.map(Steered::Address).to_vec()));
            for (template, uses) in services.chain(addresses) {
                // A template without {domain} gives one name for all domains.
                let mut seen: BTreeSet<DomainName> = BTreeSet::new();
                for domain in &route.domains {
                    let Ok(owner) = template.for_domain(domain) else {
                        self.problems.push(LayoutProblem::OwnerTooLong {
                            route: route.name.clone(),
                            template: template.as_str().to_owned(),
                            domain: domain.clone(),
                        });
                        continue;
                    };
                    if !seen.insert(owner.clone()) {
                        continue;
                    }
                    let owner = Name::from(&owner);
                    if !owner.is_at_or_below(&self.top) {
                        continue;
                    }
                    let list = match route.zones {
                        ZonePlacement::Owners => &mut owners,
                        ZonePlacement::Configured => &mut configured,
                    };
                    list.extend(uses.iter().map(|what| (owner.clone(), &route.name, *what)));
                }
            }
        }
        let set_up: BTreeSet<Name> = self.zones.keys().cloned().collect();
        let mut reported = BTreeSet::new();
        for (apex, route, _) in &owners {
            if set_up.contains(apex) {
                if reported.insert(apex.clone()) {
                    let (route, apex) = ((*route).clone(), apex.clone());
                    self.problems
                        .push(LayoutProblem::DuplicateApex { route, apex });
                }
            } else if !self.zones.contains_key(apex) {
                self.add_zone(apex.clone(), None, false);
            }
        }
        self.find_inner_zones();
        for (owner, route, what) in owners {
            if !set_up.contains(&owner) {
                self.claim(owner.clone(), owner, route, what);
            }
        }
        let mut homeless = BTreeSet::new();
        for (owner, route, what) in configured {
            let mut above = Some(owner.clone());
            let apex = loop {
                match above {
                    Some(name) if set_up.contains(&name) => break Some(name),
                    Some(name) => above = name.parent(),
                    None => break None,
                }
            };
            match apex {
                Some(apex) => self.claim(apex, owner, route, what),
                None => {
                    if homeless.insert(owner.clone()) {
                        let route = route.clone();
                        self.problems.push(LayoutProblem::NoZone { route, owner });
                    }
                }
            }
        }
    }

    /// Notes for each zone which other zones begin in it.
    fn find_inner_zones(&mut self) {
        let apexes: Vec<Name> = self.zones.keys().cloned().collect();
        for apex in apexes {
            let mut above = apex.parent();
            while let Some(name) = above {
                if let Some(outer) = self.zones.get_mut(&name) {
                    outer.inner.insert(apex);
                    break;
                }
                above = name.parent();
            }
        }
    }

    fn claim(&mut self, apex: Name, owner: Name, route: &RouteName, what: Steered) {
        let Some(zone) = self.zones.get_mut(&apex) else {
            return;
        };
        let rtype = what.rtype();
        let route = route.clone();
        if let Some((cut, at)) = zone.cut_of(&owner) {
            let reported = (route.clone(), owner.clone());
            let problem = LayoutProblem::SteeredBelowCut {
                route,
                owner,
                cut,
                at,
            };
            self.report_once(problem, reported);
            return;
        }
        if let Some(set) = zone.static_set(&owner, RecordType::CNAME) {
            let at = set.at().clone();
            let reported = (route.clone(), owner.clone());
            let problem = LayoutProblem::SteeredAtCname { route, owner, at };
            self.report_once(problem, reported);
            return;
        }
        if let Some(set) = zone.static_set(&owner, rtype) {
            let at = set.at().clone();
            if zone.statics.is_some_and(|statics| statics.received) {
                self.problems.push(LayoutProblem::ReceivedAtSteered {
                    route: route.clone(),
                    owner: owner.clone(),
                    rtype,
                    at,
                });
            } else {
                self.problems.push(LayoutProblem::StaticAtSteered {
                    route,
                    owner,
                    rtype,
                    at,
                });
                return;
            }
        }
        let key = (owner.clone(), u16::from(rtype));
        if let Some((first, _)) = zone.steered.get(&key) {
            let (first, second) = (first.clone(), route);
            self.problems.push(LayoutProblem::Collision {
                owner,
                rtype,
                first,
                second,
            });
            return;
        }
        zone.steered.insert(key, (route, what));
    }

    /// Both families of an address meet the same cut or alias.
    fn report_once(&mut self, problem: LayoutProblem, name: (RouteName, Name)) {
        if self.reported.insert(name) {
            self.problems.push(problem);
        }
    }

    /// A zone inside a zone of ours is delegated there, unless the master file does so itself.
    fn delegate_inner_zones(&mut self) {
        let Some(ns) = self.ns.clone() else { return };
        let outer: Vec<Name> = self.zones.keys().cloned().collect();
        for apex in outer {
            let Some(mut zone) = self.zones.remove(&apex) else {
                continue;
            };
            for child in zone.inner.clone() {
                self.report_ds_by_hand(&zone, &child);
                if zone.static_set(&child, RecordType::NS).is_some() {
                    continue;
                }
                self.report_occluded(&zone, &child);
                zone.make(&child, ns.clone());
                self.add_glue(&mut zone, &child);
            }
            self.zones.insert(apex, zone);
        }
    }

    /// Where the delegation leads elsewhere, so may the DS.
    fn report_ds_by_hand(&mut self, zone: &DraftZone<'_>, child: &Name) {
        let Some(ds) = zone.static_set(child, RecordType::DS) else {
            return;
        };
        let own = self.zones.get(child).and_then(DraftZone::nameservers);
        let delegation = zone.static_set(child, RecordType::NS);
        let elsewhere = delegation.is_some_and(|set| {
            let mut names = set.rrset.targets();
            names.any(|name| own.is_none_or(|own| !own.targets().any(|other| other == name)))
        });
        if !elsewhere {
            let (child, at) = (child.clone(), ds.at().clone());
            self.problems.push(LayoutProblem::DsByHand { child, at });
        }
    }

    fn report_occluded(&mut self, zone: &DraftZone<'_>, child: &Name) {
        let Some(statics) = zone.statics.filter(|statics| !statics.received) else {
            return;
        };
        for (owner, sets) in statics.names.range(child.clone()..) {
            if !owner.is_at_or_below(child) {
                break;
            }
            for set in sets.values() {
                if owner == child && set.rrset.rtype == RecordType::DS {
                    continue;
                }
                self.problems.push(LayoutProblem::OccludedStatic {
                    owner: owner.clone(),
                    rtype: set.rrset.rtype,
                    child: child.clone(),
                    at: set.at().clone(),
                });
            }
        }
    }

    fn zone_of(&self, name: &Name) -> Option<&Name> {
        let mut above = Some(name.clone());
        while let Some(name) = above {
            if let Some((apex, _)) = self.zones.get_key_value(&name) {
                return Some(apex);
            }
            above = name.parent();
        }
        None
    }

    /// Target names in our zones get the addresses their pool publishes, unless the master file has some.
    fn give_targets_addresses(&mut self) {
        struct Wanted {
            pool: PoolName,
            addresses: BTreeSet<IpAddr>,
            ttl: u32,
        }
        let mut wanted: BTreeMap<Name, Wanted> = BTreeMap::new();
        for route in self.topology.routes.values() {
            for pool in route
                .pool_names()
                .filter_map(|name| self.topology.pools.get(name))
            {
                for service in &route.services {
                    let names = service.target_names.get(&pool.name);
                    for (n, target) in pool.targets.iter().enumerate() {
                        let own = names.and_then(|names| names.get(n));
                        let name = Name::from(own.unwrap_or(&target.name));
                        let entry = wanted.entry(name).or_insert_with(|| Wanted {
                            pool: pool.name.clone(),
                            addresses: BTreeSet::new(),
                            ttl: route.ttl,
                        });
                        entry.ttl = entry.ttl.min(route.ttl);
                        let published = target.addresses.iter().map(|address| address.publish);
                        entry.addresses.extend(published);
                    }
                }
            }
        }
        for (target, want) in wanted {
            let Some(apex) = self.zone_of(&target).cloned() else {
                continue;
            };
            let Some(zone) = self.zones.get_mut(&apex) else {
                continue;
            };
            let (pool, ttl) = (want.pool, want.ttl);
            if zone.cut_of(&target).is_some() {
                continue;
            }
            if let Some(set) = zone.static_answer(&target, RecordType::CNAME) {
                let at = set.at().clone();
                self.problems
                    .push(LayoutProblem::TargetIsCname { pool, target, at });
                continue;
            }
            if zone.steers_address(&target) {
                continue;
            }
            // A wildcard speaks of names that nobody thought of, most likely of a web server; not of a target.
            let statics: Vec<&StaticSet> = [RecordType::A, RecordType::AAAA]
                .into_iter()
                .filter_map(|rtype| zone.static_set(&target, rtype))
                .collect();
            if let Some(first) = statics.first() {
                let written: BTreeSet<IpAddr> = statics
                    .iter()
                    .flat_map(|set| set.rrset.rdatas.iter().filter_map(Rdata::as_address))
                    .collect();
                if written != want.addresses {
                    let at = first.at().clone();
                    self.problems
                        .push(LayoutProblem::TargetAddressesDiffer { pool, target, at });
                }
                continue;
            }
            for rrset in address_sets(want.addresses, ttl) {
                zone.make(&target, rrset);
            }
        }
    }

    /// Static SRV and MX records whose targets lie in our zones lead to addresses.
    fn check_static_targets(&mut self) {
        let mut found = Vec::new();
        for statics in self.zones.values().filter_map(|zone| zone.statics) {
            for set in statics.names.values().flat_map(BTreeMap::values) {
                let rtype = set.rrset.rtype;
                if !matches!(rtype, RecordType::SRV | RecordType::MX) {
                    continue;
                }
                for (rdata, at) in set.rrset.rdatas.iter().zip(&set.lines) {
                    let target = rdata.target(rtype).filter(|target| !target.is_root());
                    if let Some(target) = target
                        && self.lacks_address(&target)
                    {
                        let at = at.clone();
                        found.push(LayoutProblem::StaticTargetWithoutAddress { rtype, target, at });
                    }
                }
            }
        }
        self.problems.append(&mut found);
    }

    fn lacks_address(&self, target: &Name) -> bool {
        let Some(zone) = self.zone_of(target).and_then(|apex| self.zones.get(apex)) else {
            return false;
        };
        let addressed = [RecordType::A, RecordType::AAAA].into_iter().any(|rtype| {
            let made = zone.made.get(target);
            made.is_some_and(|sets| sets.contains_key(&u16::from(rtype)))
                || zone.static_answer(target, rtype).is_some()
        });
        !addressed && !zone.steers_address(target) && zone.cut_of(target).is_none()
    }

    fn finish(self) -> Result<Placed, Vec<LayoutProblem>> {
        let broken = |problem: &LayoutProblem| problem.severity() == Severity::Error;
        if self.problems.iter().any(broken) {
            return Err(self.problems);
        }
        let generated_soa = generated_soa(&self.topology.nameservers);
        let mut serial_floor: Option<Serial> = None;
        let mut plans = Vec::with_capacity(self.zones.len());
        for (apex, zone) in self.zones {
            let soa = match zone
                .statics
                .and_then(|zone| zone.set(&apex, RecordType::SOA))
            {
                Some(set) => set.rrset.clone(),
                None => generated_soa.clone(),
            };
            // A primary's serial is its own affair: it must not be able to push ours about.
            if let Some(statics) = zone.statics.filter(|statics| !statics.received) {
                let serial = statics.serial();
                if serial_floor.is_none_or(|floor| serial.is_after(floor)) {
                    serial_floor = Some(serial);
                }
            }
            plans.push(Arc::new(plan(apex, zone, soa)));
        }
        Ok(Placed {
            plans,
            serial_floor,
            warnings: self.problems,
        })
    }
}

fn plan(apex: Name, zone: DraftZone<'_>, soa: Arc<Rrset>) -> ZonePlan {
    let mut nodes: BTreeMap<Name, Node> = BTreeMap::new();
    let node = |nodes: &mut BTreeMap<Name, Node>, name: &Name, set: Option<Arc<Rrset>>| {
        let node = nodes
            .entry(name.clone())
            .or_insert_with(|| Node::empty(name.clone()));
        node.sets.extend(set);
    };
    node(&mut nodes, &apex, None);
    for (name, sets) in zone.statics.iter().flat_map(|statics| &statics.names) {
        let sets = sets
            .values()
            .filter(|set| set.rrset.rtype != RecordType::SOA)
            .filter(|set| !zone.overrules(name, set.rrset.rtype));
        for set in sets {
            node(&mut nodes, name, Some(set.rrset.clone()));
        }
    }
    for (name, sets) in &zone.made {
        for set in sets.values() {
            let there = nodes
                .get(name)
                .is_some_and(|node| node.set(set.rtype).is_some());
            if !there {
                node(&mut nodes, name, Some(set.clone()));
            }
        }
    }
    for (name, _) in zone.steered.keys() {
        node(&mut nodes, name, None);
    }
    let nodes = arrange(&apex, nodes.into_values());
    debug_assert!(
        zone.steered
            .keys()
            .all(|(name, _)| cut_above(&nodes, &apex, name.key()).is_none())
    );
    let slots = zone
        .steered
        .into_iter()
        .map(|((owner, _), (route, what))| Slot { owner, route, what })
        .collect();
    ZonePlan {
        apex,
        awaited: zone.awaited,
        nodes,
        soa,
        slots,
    }
}
