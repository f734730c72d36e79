//! Taking a [`View`]: everything that can be seen, at one moment.
//!
//! In: the engine's state. Out: plain values. Never here: a change of anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::core::Engine;
use super::old_answers::Givers;
use super::view::{
    CanaryView, CheckView, DrainedTargetView, OwnerView, PoolView, RoutePoolView, RouteView, View,
    ZoneView,
};
use crate::clock::{Now, Wall};
use crate::decide::{first_targets, latch, outlook};
use crate::health::Verdict;
use crate::topology::{CheckUse, DomainName, Pool, PoolName, Route, RouteName};
use crate::zone;

impl Engine {
    /// What can be seen now.
    pub fn view(&self, now: Now) -> View {
        let topology = self.topology();
        let givers = self.givers();
        View {
            at: now.wall,
            started: self.started.wall,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: self.zones.generation(),
            blind: self.health.blind(),
            canaries: self
                .health
                .canaries()
                .map(|(address, answered)| CanaryView { address, answered })
                .collect(),
            routes: topology
                .routes
                .values()
                .filter_map(|route| self.route_view(route, &givers, now))
                .collect(),
            pools: topology
                .pools
                .values()
                .map(|pool| self.pool_view(pool, &givers))
                .collect(),
            checks: topology
                .checks
                .iter()
                .filter_map(|(id, check)| {
                    Some(CheckView {
                        id: id.clone(),
                        service: check.service,
                        peer: check.peer,
                        domain: check.domain.clone(),
                        health: self.health.check(id)?.clone(),
                    })
                })
                .collect(),
            overrides: self.overrides.iter().cloned().collect(),
            challenges: self.challenges.iter().cloned().collect(),
            alarms: self.alarms.list(),
            zones: self.zone_views(now),
            zone_keys: self.zone_keys_views(now),
            store_fault: self.store_fault.clone(),
        }
    }

    fn route_view(&self, route: &Route, givers: &Givers, now: Now) -> Option<RouteView> {
        let state = self.routes.get(&route.name)?;
        let decision = state.decision.clone()?;
        let held = self.held.get(&route.name);
        let wanted = held.and_then(|held| held.wanted.as_ref());
        let home = state.home.clone().filter(|home| route.uses(home));
        let belongs = home
            .clone()
            .or_else(|| route.pool_names().next().cloned())?;
        let held_by = wanted.map(|wanted| {
            let to = format!("would move to {}", wanted.to);
            wanted
                .holds
                .iter()
                .map(|hold| format!("{to}: {hold}"))
                .collect()
        });
        let pools = route.pools.iter().filter_map(|pool| {
            let old = self.old_answers([&route.name], givers, pool.pool.as_str(), |state| {
                state.left.pools.get(&pool.pool).copied()
            });
            let (old_answers_until, old_answers_from) = split(old);
            Some(RoutePoolView {
                pool: pool.pool.clone(),
                priority: pool.priority,
                health: self.health.pool(&route.name, &pool.pool)?.clone(),
                drained: self.overrides.drain(&pool.pool).is_some(),
                recovery: self.health.recovery(&route.name, &pool.pool, now),
                old_answers_until,
                old_answers_from,
                place: decision.order.iter().position(|name| *name == pool.pool),
                checks: self.checks_of(route, &pool.pool),
            })
        });
        Some(RouteView {
            name: route.name.clone(),
            domains: route.domains.clone(),
            pools: pools.collect(),
            wanted: belongs,
            home,
            failover: route.failover,
            failback: route.failback,
            hold_down: route.hold_down,
            warm: self.warm.contains(&route.name),
            latched: state.latched,
            switches: latch::switches(state, now.mono),
            max_switches: route.max_switches,
            held_by: held_by.unwrap_or_default(),
            outlook: outlook(&self.inputs(route, state, now))?,
            detection: self.detection(route),
            owners: self.owner_views(route),
            decision,
        })
    }

    /// The longest time from the failure of a silent pool to the decision, over required services.
    fn detection(&self, route: &Route) -> Duration {
        let turn = self.longest_turn;
        let required = route.services.iter().filter(|service| service.required);
        let bounds = required.map(|service| service.check.detection_behind(turn));
        bounds.max().unwrap_or(Duration::ZERO)
    }

    fn checks_of(&self, route: &Route, pool: &PoolName) -> Vec<CheckUse> {
        self.topology().checks_of(&route.name, pool).to_vec()
    }

    /// The steered names of the route with the zone each lies in.
    fn owner_views(&self, route: &Route) -> Vec<OwnerView> {
        let services = route
            .services
            .iter()
            .map(|service| (Some(service.kind), &service.owner));
        let templates = services.chain(route.address.iter().map(|owner| (None, owner)));
        templates
            .flat_map(|(service, template)| {
                let owners = route
                    .domains
                    .iter()
                    .filter_map(|d| template.for_domain(d).ok());
                owners.map(move |owner| (service, owner))
            })
            .filter_map(|(service, owner)| {
                let zone = self.zones.zone_of(zone::Name::from(&owner).key())?;
                let zone = zone.apex().to_domain_name()?;
                Some(OwnerView {
                    owner,
                    service,
                    zone,
                })
            })
            .collect()
    }

    /// The zones served, and those that wait for their first transfer or until they are signed.
    fn zone_views(&self, now: Now) -> Vec<ZoneView> {
        let mut inbound = self.inbound_views(now);
        let outlines = self.zones.outlines().iter();
        let outlines = outlines
            .filter_map(|outline| Some((outline.apex().to_domain_name()?, outline.rrsets())));
        let mut being_signed: BTreeMap<DomainName, usize> = outlines.collect();
        let served = self.zones.iter().filter_map(|version| {
            let apex = version.apex().to_domain_name()?;
            Some(ZoneView {
                serial: Some(version.serial().0),
                rrsets: version.rrset_count(),
                inbound: inbound.remove(&apex),
                signing: self.signing_view(version),
                being_signed: being_signed.remove(&apex),
                left_out: self.layout.left_out(version.apex()).to_vec(),
                apex,
            })
        });
        let mut views: Vec<ZoneView> = served.collect();
        let awaited: BTreeSet<DomainName> =
            inbound.keys().chain(being_signed.keys()).cloned().collect();
        let awaited = awaited.into_iter().map(|apex| ZoneView {
            serial: None,
            rrsets: 0,
            inbound: inbound.remove(&apex),
            signing: None,
            being_signed: being_signed.remove(&apex),
            left_out: Vec::new(),
            apex,
        });
        views.extend(awaited);
        views.sort_by_cached_key(|view| zone::Name::from(&view.apex));
        views
    }

    fn pool_view(&self, pool: &Pool, givers: &Givers) -> PoolView {
        let routes: BTreeMap<_, _> = self
            .topology()
            .routes
            .values()
            .filter(|route| route.uses(&pool.name))
            .map(|route| {
                let decision = self
                    .routes
                    .get(&route.name)
                    .and_then(|s| s.decision.as_ref());
                (
                    route.name.clone(),
                    decision.is_some_and(|d| d.active == pool.name),
                )
            })
            .collect();
        let verdicts = routes
            .keys()
            .filter_map(|route| self.health.pool(route, &pool.name));
        // A route that does not use it any more may have left it just now.
        let old = self.old_answers(self.routes.keys(), givers, pool.name.as_str(), |state| {
            state.left.pools.get(&pool.name).copied()
        });
        let (old_answers_until, old_answers_from) = split(old);
        let targets = pool.targets.iter().map(|target| &target.name);
        let drained = targets.filter(|name| self.overrides.target_is_drained(&pool.name, name));
        let drained_targets = drained.map(|name| {
            let old = self.old_answers(self.routes.keys(), givers, name.as_str(), |state| {
                state.left.targets.get(name).copied()
            });
            let (old_answers_until, old_answers_from) = split(old);
            let first = |route: &&RouteName| {
                let state = self.routes.get(*route);
                let decision = state.and_then(|state| state.decision.as_ref());
                decision.is_some_and(|decision| first_targets(decision).contains(name))
            };
            let view = DrainedTargetView {
                first_in: routes.keys().filter(first).cloned().collect(),
                old_answers_until,
                old_answers_from,
            };
            (name.clone(), view)
        });
        PoolView {
            drained_targets: drained_targets.collect(),
            old_answers_until,
            old_answers_from,
            name: pool.name.clone(),
            site: pool.site.clone(),
            verdict: verdicts
                .map(|health| health.verdict)
                .max()
                .unwrap_or(Verdict::Unknown),
            targets: pool
                .targets
                .iter()
                .map(|target| target.name.clone())
                .collect(),
            routes,
            drained: self.overrides.drain(&pool.name).is_some(),
        }
    }
}

/// The time, or who still gives out what the time waits for.
fn split(old: Option<Result<Wall, String>>) -> (Option<Wall>, Option<String>) {
    match old {
        None => (None, None),
        Some(Ok(until)) => (Some(until), None),
        Some(Err(from)) => (None, Some(from)),
    }
}
