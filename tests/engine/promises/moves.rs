//! What repoint does by itself: whether it may, and whether it does it when it must.
//!
//! In: a change of the active pool with the ground truth. Out: the first broken promise. Never here: commands.

use super::*;

impl Promises {
    pub(super) fn disturb_all(&mut self, now: Duration) {
        for route in self.in_force.topology.routes.keys() {
            self.disturbed.insert(route.clone(), now);
        }
    }

    /// §9.7, §9.8, §9.9: an automatic switch has a true cause and keeps the measure.
    pub(super) fn check_switch(
        &mut self,
        world: &World,
        view: &View,
        before: &RouteView,
        after: &RouteView,
    ) -> Result<(), Broken> {
        let now = world.elapsed();
        let name = &after.name;
        let route = self.in_force.topology.routes[name].clone();
        let to = &after.decision.active;
        let (automatic, from) = match &after.decision.reason {
            Reason::Failover { from, .. } => (true, from),
            Reason::Failback { from, .. } => (false, from),
            _ => return Ok(()),
        };
        promise!(
            after.decision.generation.0 == self.last_generation
                || view.generation.0 >= after.decision.generation.0,
            "route {name} has a generation of the future"
        );
        promise!(
            view.blind.is_none(),
            "§9.7: route {name} switched from {from} to {to} while blind"
        );
        promise!(
            !self.doubt,
            "route {name} switched from {from} to {to} with its state in doubt"
        );
        promise!(
            route.failover != FailoverPolicy::Observe
                && (!automatic || route.failover == FailoverPolicy::Auto),
            "route {name} switched by itself, its failover is {:?}",
            route.failover
        );
        let frozen = view.overrides.iter().any(|value| match &value.key {
            OverrideKey::FreezeAll => true,
            OverrideKey::FreezeRoute { route } => route == name,
            _ => false,
        });
        promise!(
            !frozen,
            "route {name} switched from {from} to {to} while frozen"
        );
        let health = |pool: &PoolName| {
            after
                .pools
                .iter()
                .find(|p| p.pool == *pool)
                .map(|p| &p.health)
        };
        let Some(target) = health(to) else {
            return Err(format!(
                "route {name} switched to {to}, which it does not have"
            ));
        };
        let up_for = world.now().mono.since(target.since);
        if automatic {
            promise!(
                matches!(target.verdict, Verdict::Up | Verdict::Degraded),
                "§9.7: route {name} failed over to {to}, which is {}",
                target.verdict
            );
            // Without canaries nothing tells our own failure from theirs; and with so small a `min_fault` an outage of
            // ours can be over before the canaries are asked about the probe that it spoiled.
            let hair_trigger = route
                .services
                .iter()
                .any(|service| service.check.min_fault < HAIR_TRIGGER);
            let excused = match self.in_force.topology.canaries.is_empty() {
                true => self.truth.cut_within(MEMORY, now),
                false => hair_trigger && self.truth.cut_within(HAIR_TRIGGER, now),
            };
            promise!(
                self.truth.failed_within(from, MEMORY, now) || excused,
                "§9.7, §9.9: route {name} left {from} for {to}, but nothing of {from} has failed"
            );
        } else {
            promise!(
                target.verdict == Verdict::Up,
                "route {name} failed back to {to}, which is {}",
                target.verdict
            );
            let lived = now - self.started;
            promise!(
                up_for >= route.hold_down && lived >= route.hold_down,
                "§9.8: route {name} failed back to {to}, up for {up_for:?}, started {lived:?} ago"
            );
            promise!(
                before.home.as_ref() != Some(from),
                "§9.9: route {name} failed back from {from}, which is home"
            );
        }
        let switches = self.switches.entry(name.clone()).or_default();
        switches.retain(|switch| now - switch.at < HOUR);
        let limit = usize::try_from(route.max_switches).unwrap();
        promise!(
            switches.len() < limit || (automatic && up_for >= route.hold_down),
            "§9.8: route {name}: switch {} within the hour to {to}, up for {up_for:?}",
            switches.len() + 1
        );
        switches.push(Switch {
            at: now,
            stored: false,
        });
        Ok(())
    }

    /// Serials that no store reserved come one in a second or two (`docs/architecture.md`, Numbers).
    pub(super) fn waits_for_a_serial(&self, now: Duration) -> bool {
        self.leaning && now - self.published_at < Duration::from_millis(2010)
    }

    /// §9.4: a pool that is down is not active while an undrained one is up.
    pub(super) fn check_down_is_left(
        &self,
        now: Duration,
        view: &View,
        route: &RouteView,
    ) -> Result<(), Broken> {
        let name = &route.name;
        let configured = &self.in_force.topology.routes[name];
        let held = view.overrides.iter().any(|value| match &value.key {
            OverrideKey::FreezeAll => true,
            OverrideKey::FreezeRoute { route } => route == name,
            OverrideKey::Pin { route } => {
                route == name
                    && value
                        .pool
                        .as_ref()
                        .is_some_and(|pool| configured.uses(pool))
            }
            _ => false,
        });
        let latched = route.latched.is_some() || route.switches >= route.max_switches;
        let free = configured.failover == FailoverPolicy::Auto
            && !held
            && !latched
            && view.blind.is_none()
            && !self.doubt
            && route.warm;
        if !free {
            return Ok(());
        }
        let drained = |pool: &PoolName| {
            let targets = &self.in_force.topology.pools[pool].targets;
            let whole = |value: &repoint::decide::Override| matches!(&value.key, OverrideKey::DrainPool { pool: drained } if drained == pool);
            let all = targets.iter().all(|target| {
                view.overrides.iter().any(|value| {
                    matches!(&value.key, OverrideKey::DrainTarget { pool: p, target: t } if p == pool && *t == target.name)
                })
            });
            all || view.overrides.iter().any(whole)
        };
        let active = &route.decision.active;
        let verdict = |pool: &PoolName| {
            route
                .pools
                .iter()
                .find(|p| p.pool == *pool)
                .map_or(Verdict::Unknown, |p| p.health.verdict)
        };
        let better = configured
            .pool_names()
            .find(|pool| verdict(pool) == Verdict::Up && !drained(pool));
        if let Some(better) = better {
            promise!(
                verdict(active) != Verdict::Down || self.waits_for_a_serial(now),
                "§9.4: route {name}: {active} is down and active, {better} is up"
            );
        }
        // And in truth, given time: without canaries, or with our own network well all along.
        let patience = patience(configured);
        let disturbed = self.disturbed.get(name).copied().unwrap_or_default();
        if self.truth.sighted_for(now) < patience || now - disturbed < patience {
            return Ok(());
        }
        let well = configured
            .pool_names()
            .find(|pool| self.truth.well_for(pool, now) >= patience && !drained(pool));
        if let Some(well) = well {
            promise!(
                self.truth.dead_for(active, now) < patience,
                "§9.4: route {name}: {active} has been dead for {:?} and is active, {well} is well",
                self.truth.dead_for(active, now)
            );
        }
        Ok(())
    }
}

/// How long everything that has to be seen and counted may take, generously.
pub(super) fn patience(route: &Route) -> Duration {
    let detection = route
        .services
        .iter()
        .map(|s| s.check.detection())
        .max()
        .unwrap_or_default();
    let rising = route
        .services
        .iter()
        .map(|s| {
            (s.check.interval + s.check.timeout + s.check.retry) * (s.check.rise + s.check.steady)
        })
        .max()
        .unwrap_or_default();
    (detection + rising) * 2 + Duration::from_secs(60)
}
