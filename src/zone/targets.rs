//! Names that SRV and MX records of our zones lead to, and their addresses.
//!
//! In: zones with everything placed in them. Out: the addresses of pools' targets; a problem for each target without one,
//! or with others than its pool publishes. Never here: what a target's health is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::rr::RecordType;

use super::generated::address_sets;
use super::layout_problem::LayoutProblem;
use super::name::Name;
use super::placement::Placing;
use super::rdata::Rdata;
use super::static_zone::StaticSet;
use crate::topology::PoolName;

impl Placing<'_> {
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
    pub(super) fn give_targets_addresses(&mut self) {
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
                    for (n, target) in pool.targets.iter().enumerate() {
                        let name = service.target_name(pool, n).unwrap_or(&target.name);
                        let name = Name::from(name);
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
            if let Some((dname, at)) = zone.redirection(&target) {
                self.problems.push(LayoutProblem::TargetBelowDname {
                    pool,
                    target,
                    dname,
                    at,
                });
                continue;
            }
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
    pub(super) fn check_static_targets(&mut self) {
        let mut found = Vec::new();
        for statics in self.zones.values().filter_map(|zone| zone.statics) {
            for set in statics.names.values().flat_map(BTreeMap::values) {
                let rtype = set.rrset.rtype;
                if !matches!(rtype, RecordType::SRV | RecordType::MX) {
                    continue;
                }
                for (rdata, at) in set.rrset.rdatas.iter().zip(&set.lines) {
                    let target = rdata.target(rtype).filter(|target| !target.is_root());
                    let target = target.filter(|target| !statics.slipped.contains(target));
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
        if zone.redirection(target).is_some() {
            return false;
        }
        let addressed = [RecordType::A, RecordType::AAAA].into_iter().any(|rtype| {
            let made = zone.made.get(target);
            made.is_some_and(|sets| sets.contains_key(&u16::from(rtype)))
                || zone.static_answer(target, rtype).is_some()
        });
        !addressed && !zone.steers_address(target) && zone.cut_of(target).is_none()
    }
}
