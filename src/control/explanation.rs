//! Everything that led to a route's present answers, picked out of the view of the whole node.
//!
//! In: a [`View`] and a route. Out: one value with what `repoint route explain` shows. Never here: a guess; what is
//! not in the view is not explained.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::decide::{Override, OverrideKey, PARTNER_CACHE};
use crate::engine::{Alarm, CanaryView, CheckView, RouteView, View, ZoneView};
use crate::topology::{CheckId, DomainName, PoolName, RouteName};

/// A route with everything that bears on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// When this was so.
    pub at: Wall,
    /// Our own network fails, since when.
    pub blind: Option<Wall>,
    /// The canaries; empty when the blind rule is off.
    pub canaries: Vec<CanaryView>,
    /// The route: pools, policy, decision, what holds it back.
    pub route: RouteView,
    /// The checks of its pools.
    pub checks: Vec<CheckView>,
    /// The overrides that bear on it.
    pub overrides: Vec<Override>,
    /// The alarms about it, its pools, or the whole node.
    pub alarms: Vec<Alarm>,
    /// The zones its names lie in.
    pub zones: Vec<ZoneView>,
    /// The longest a partner with no connection under way waits for the new answer after a pool fell silent, in
    /// seconds: detection, TTL, and the caches of partners.
    pub recovery_seconds: u64,
}

impl Explanation {
    /// What the view says about a route; none when it has no such route.
    pub fn of(view: &View, name: &RouteName) -> Option<Explanation> {
        let route = view.routes.iter().find(|route| route.name == *name)?;
        let used: BTreeSet<&CheckId> = route
            .pools
            .iter()
            .flat_map(|pool| pool.checks.iter().map(|using| &using.check))
            .collect();
        let overrides: Vec<Override> = view
            .overrides
            .iter()
            .filter(|value| concerns(&value.key, route))
            .cloned()
            .collect();
        let alarms = view
            .alarms
            .iter()
            .filter(|alarm| {
                alarm.subject.is_empty()
                    || alarm.subject == name.as_str()
                    || route.pools.iter().any(|p| alarm.subject == p.pool.as_str())
                    || used.iter().any(|check| alarm.subject == check.as_str())
            })
            .cloned()
            .collect();
        // A provider has tens of thousands of both.
        let steered: BTreeSet<&DomainName> = route.owners.iter().map(|owner| &owner.zone).collect();
        let zones = view
            .zones
            .iter()
            .filter(|zone| steered.contains(&zone.apex))
            .cloned()
            .collect();
        let ttl = Duration::from_secs(route.decision.ttl.into());
        Some(Explanation {
            at: view.at,
            blind: view.blind,
            canaries: view.canaries.clone(),
            checks: view
                .checks
                .iter()
                .filter(|check| used.contains(&check.id))
                .cloned()
                .collect(),
            recovery_seconds: (route.detection + ttl + PARTNER_CACHE).as_secs(),
            route: route.clone(),
            overrides,
            alarms,
            zones,
        })
    }
}

fn concerns(key: &OverrideKey, route: &RouteView) -> bool {
    let uses = |pool: &PoolName| route.pools.iter().any(|p| p.pool == *pool);
    match key {
        OverrideKey::Pin { route: name } | OverrideKey::FreezeRoute { route: name } => {
            *name == route.name
        }
        OverrideKey::DrainPool { pool } | OverrideKey::DrainTarget { pool, .. } => uses(pool),
        OverrideKey::FreezeAll => true,
    }
}
