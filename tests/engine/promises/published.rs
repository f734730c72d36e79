//! What every published version must be: whole, later than all before, and of one mind.
//!
//! In: zones as published. Out: the first broken promise. Never here: why a route points where it does.

use super::arrivals::names_of;
use super::*;

impl Promises {
    pub(super) fn learn_owners(&mut self, configuration: &Configuration) {
        for pool in configuration.topology.pools.values() {
            for target in &pool.targets {
                self.owner_of_target
                    .insert(target.name.to_string(), pool.name.clone());
                for address in &target.addresses {
                    self.owner_of_address
                        .insert(address.publish, pool.name.clone());
                }
            }
        }
    }

    pub(super) fn published(
        &mut self,
        world: &World,
        zones: &Arc<Zones>,
        clock_is_wrong: bool,
    ) -> Result<(), Broken> {
        let clock = (world.wall(), clock_is_wrong);
        let unsigned = zones.outlines().iter().map(|outline| outline.apex());
        self.unsigned = unsigned
            .filter(|apex| zones.version_at(apex).is_none())
            .cloned()
            .collect();
        let lagging = zones.outlines().iter().map(|outline| outline.apex());
        self.lagging = lagging.cloned().collect();
        let gone = self
            .unsigned
            .iter()
            .find(|apex| self.begun.contains(&apex.to_string()));
        promise!(
            gone.is_none(),
            "zone {gone:?} was served and is being signed"
        );
        let generation = zones.generation().0;
        promise!(
            self.generations.insert(generation),
            "§9.2: generation {generation} is published twice"
        );
        // Numbers beyond what is reserved may be used only where the store never granted any to this process. What
        // comes after such a process cannot know of its generations; serials are compared below.
        let first = self.serving.is_none();
        let covered = world.disk.reservation.is_some_and(|upto| {
            let serial = zones
                .serial()
                .is_none_or(|serial| !serial.is_after(Serial(upto.serial)));
            generation <= upto.generation.0 && serial
        });
        promise!(
            covered || !self.granted,
            "§9.2: generation {generation} is not covered by what is reserved: {:?}",
            world.disk.reservation
        );
        self.leaning = !covered || self.hidden.is_some();
        let comparable = !(first && (self.leaning || self.leaned));
        promise!(
            generation > self.last_generation || !comparable,
            "§9.2: generation {generation} after {}",
            self.last_generation
        );
        self.last_generation = generation;
        self.published_at = world.elapsed();
        self.leaning_process |= !comparable;
        if first {
            self.leaned = false;
        }
        let reserved = world.disk.reservation.map(|upto| upto.serial);
        for zone in zones.iter() {
            self.begun.insert(zone.apex().to_string());
            self.published.check(zone, reserved)?;
            if !self.leaning_process && !self.leaning {
                Self::check_ttl(world, zone)?;
            }
        }
        let now = served(&self.in_force.topology, zones);
        let propagation = self.in_force.dnssec.propagation;
        self.outside
            .published(zones, propagation, world.elapsed(), clock)?;
        self.published_arrivals(zones)?;
        let before = self.serving.replace(now.clone());
        for (route, owner) in before.iter().flat_map(|before| before.keys()) {
            let topology = &self.in_force.topology;
            let route = topology.routes.get(route);
            promise!(
                route.is_none_or(|route| !names_of(route).contains(owner))
                    || !self.comes_later(owner),
                "{owner} was served and is not any more"
            );
        }
        for route in self.in_force.topology.routes.values() {
            if self.waits(&route.name) {
                self.actives.remove(&route.name);
                continue;
            }
            let active = self.check_route_records(route, &now)?;
            self.actives.insert(route.name.clone(), active);
        }
        self.note_shown(generation, &now)?;
        if let Some(before) = before {
            for ((route, owner), (records, _)) in &now {
                let old = before.get(&(route.clone(), owner.clone()));
                // A route that comes back with a reload is served as it was remembered.
                if old.is_some_and(|(old, _)| old != records) {
                    self.owed
                        .insert((generation, route.clone()), world.elapsed());
                }
            }
        }
        Ok(())
    }

    /// Whether a name is not served, as its zone is still served as it was.
    pub(super) fn comes_later(&self, owner: &DomainName) -> bool {
        let name = Name::from(owner);
        let mut served = self.serving.iter().flat_map(|served| served.keys());
        let is_served = served.any(|(_, known)| known == owner);
        !is_served && self.lagging.iter().any(|apex| name.is_at_or_below(apex))
    }

    /// §9.1 and §9.3: never empty, never only ".", and everything names the same active pool.
    pub(super) fn check_route_records(
        &self,
        route: &Route,
        all: &Served,
    ) -> Result<PoolName, Broken> {
        let name = &route.name;
        let mut active: Option<PoolName> = None;
        let mut same = |pool: &PoolName, what: &str| -> Result<(), Broken> {
            let before = active.get_or_insert_with(|| pool.clone());
            promise!(
                before == pool,
                "§9.3: route {name}: {what} names {pool} first, another name {before}"
            );
            Ok(())
        };
        for domain in &route.domains {
            for service in &route.services {
                let owner = service
                    .owner
                    .for_domain(domain)
                    .map_err(|e| e.to_string())?;
                let Some((Records::Srv(_, records, ttl), _)) =
                    all.get(&(name.clone(), owner.clone()))
                else {
                    if self.comes_later(&owner) {
                        continue;
                    }
                    return Err(format!("§9.1: {owner} has no SRV RRset"));
                };
                promise!(!records.is_empty(), "§9.1: {owner} is empty");
                promise!(*ttl == route.ttl, "{owner} has TTL {ttl}");
                promise!(
                    records.iter().all(|srv| !srv.target.is_empty()),
                    "§9.1: {owner} names \".\""
                );
                let mut targets: Vec<_> = records.iter().map(|srv| &srv.target).collect();
                targets.sort();
                targets.dedup();
                promise!(
                    targets.len() == records.len(),
                    "{owner} names a target twice: {records:?}"
                );
                let best = records[0].priority;
                for srv in records.iter().filter(|srv| srv.priority == best) {
                    let Some(pool) = self.owner_of_target.get(&srv.target) else {
                        return Err(format!("{owner} names {}, which is no target", srv.target));
                    };
                    same(pool, owner.as_str())?;
                }
            }
            if let Some(template) = &route.address {
                let owner = template.for_domain(domain).map_err(|e| e.to_string())?;
                let Some((Records::Addresses(addresses, _), _)) =
                    all.get(&(name.clone(), owner.clone()))
                else {
                    if self.comes_later(&owner) {
                        continue;
                    }
                    return Err(format!("§9.11: {owner} has no address"));
                };
                promise!(!addresses.is_empty(), "§9.11: {owner} has no address");
                for address in addresses {
                    let Some(pool) = self.owner_of_address.get(address) else {
                        return Err(format!("{owner} has {address}, which is nobody's"));
                    };
                    same(pool, owner.as_str())?;
                }
            }
        }
        active.ok_or_else(|| format!("route {name} serves nothing"))
    }
}
