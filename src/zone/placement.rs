//! Placing: which zone each steered name lies in, and what else that zone needs.
//!
//! In: a topology and its static zones. Out: one plan per zone (its static nodes and the slots decisions fill), or
//! every problem at once. Never here: decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::generated::{address_sets, generated_soa, ns_set};
use super::layout::{Steered, ZonePlan};
use super::layout_problem::LayoutProblem;
use super::master::{Severity, SourceLine};
use super::name::Name;
use super::placed_zone::PlacedZone;
use super::rdata::Rrset;
use super::serial::Serial;
use super::static_zone::StaticZone;
use crate::topology::{DomainName, Family, RouteName, Topology, ZonePlacement};

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
    let mut placing = Placing::new(topology, statics, top);
    placing.place_steered();
    placing.delegate_inner_zones();
    placing.give_targets_addresses();
    placing.check_static_targets();
    placing.finish()
}

/// The zones while names are placed in them.
pub(super) struct Placing<'a> {
    pub(super) topology: &'a Topology,
    /// Names elsewhere are not looked at.
    top: Name,
    pub(super) zones: BTreeMap<Name, PlacedZone<'a>>,
    ns: Option<Arc<Rrset>>,
    pub(super) problems: Vec<LayoutProblem>,
    /// Names whose place has been found impossible.
    reported: BTreeSet<(RouteName, Name)>,
}

impl<'a> Placing<'a> {
    fn new(
        topology: &'a Topology,
        statics: &'a BTreeMap<DomainName, Arc<StaticZone>>,
        top: &Name,
    ) -> Placing<'a> {
        let mut placing = Placing {
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
                placing.add_zone(apex, statics, awaited);
            }
        }
        placing
    }

    fn add_zone(&mut self, apex: Name, statics: Option<&'a StaticZone>, awaited: bool) {
        let mut zone = PlacedZone {
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
    fn add_glue(&mut self, zone: &mut PlacedZone<'a>, cut: &Name) {
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
        if let Some((dname, at)) = zone.redirection(&owner) {
            let reported = (route.clone(), owner.clone());
            let problem = LayoutProblem::SteeredBelowDname {
                route,
                owner,
                dname,
                at,
            };
            self.report_once(problem, reported);
            return;
        }
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
                if let Some((dname, at)) = zone.redirection(&child) {
                    self.report_redirected(&zone, child, dname, at);
                    continue;
                }
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

    /// A zone below a DNAME of the zone around it: no resolver finds it (RFC 6672 §2.4).
    fn report_redirected(
        &mut self,
        outer: &PlacedZone<'_>,
        child: Name,
        dname: Name,
        at: SourceLine,
    ) {
        let steered = self.zones.get(&child).filter(|zone| zone.statics.is_none());
        let steered = steered.and_then(|zone| zone.steered.values().next());
        let generated = !self
            .topology
            .zones
            .keys()
            .any(|apex| Name::from(apex) == child);
        let problem = match steered {
            Some((route, _)) if generated => LayoutProblem::SteeredBelowDname {
                route: route.clone(),
                owner: child,
                dname,
                at,
            },
            _ => LayoutProblem::ZoneBelowDname {
                apex: child,
                dname,
                at,
                received: outer.statics.is_some_and(|statics| statics.received),
            },
        };
        self.problems.push(problem);
    }

    /// Where the delegation leads elsewhere, so may the DS.
    fn report_ds_by_hand(&mut self, zone: &PlacedZone<'_>, child: &Name) {
        let Some(ds) = zone.static_set(child, RecordType::DS) else {
            return;
        };
        let own = self.zones.get(child).and_then(PlacedZone::nameservers);
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

    fn report_occluded(&mut self, zone: &PlacedZone<'_>, child: &Name) {
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
                if serial_floor.is_none_or(|floor| serial.0 > floor.0) {
                    serial_floor = Some(serial);
                }
            }
            plans.push(Arc::new(zone.plan(soa)));
        }
        Ok(Placed {
            plans,
            serial_floor,
            warnings: self.problems,
        })
    }
}
