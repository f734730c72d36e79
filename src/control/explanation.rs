//! Everything that led to a route's present answers, picked out of the view of the whole node.
//!
//! In: a [`View`] and a route. Out: one value with what `repoint route explain` shows. Never here: a guess; what is
//! not in the view is not explained.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::decide::{Override, OverrideKey};
use crate::engine::{Alarm, CanaryView, CheckView, RoutePoolView, RouteView, View, ZoneView};
use crate::health::Verdict;
use crate::topology::{CheckId, DomainName, FailbackPolicy, FailoverPolicy, PoolName, RouteName};

/// How long partners may keep an answer beyond its TTL: Openfire and Tigase cache SRV for 60 s.
pub const PARTNER_CACHE: Duration = Duration::from_secs(60);

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
    /// What would happen if the active pool fell silent now.
    pub next: Next,
    /// How the route comes back to the pool it belongs on; none while it is there.
    pub back: Option<Back>,
    /// The longest a partner with no connection under way waits for the new answer after a pool fell silent, in
    /// seconds: detection, TTL, and the caches of partners.
    pub recovery_seconds: u64,
}

/// What would happen if the active pool failed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Next {
    /// repoint would switch by itself.
    Switches {
        /// To this pool.
        to: PoolName,
    },
    /// An operator would be asked, or told only afterwards.
    Waits {
        /// The pool that could take over.
        to: PoolName,
        /// Why nothing happens by itself.
        because: String,
    },
    /// The answers would stay: nobody could take over.
    Stays {
        /// Why.
        because: String,
    },
}

/// How a route comes back to the pool it belongs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Back {
    /// By itself; not before this moment, where one is known.
    ByItself {
        /// The end of the hold-down.
        at: Option<Wall>,
    },
    /// When an operator says so.
    ByCommand,
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
            next: next(view, route, &overrides),
            back: back(route),
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

fn back(route: &RouteView) -> Option<Back> {
    if route.decision.active == route.wanted {
        return None;
    }
    Some(match route.failback {
        FailbackPolicy::Manual => Back::ByCommand,
        FailbackPolicy::Auto => Back::ByItself {
            at: route.failback_at,
        },
    })
}

/// Precedence as in deciding: pin, freeze, blind, start-up, latch, then the policy.
fn next(view: &View, route: &RouteView, overrides: &[Override]) -> Next {
    if overrides
        .iter()
        .any(|o| matches!(o.key, OverrideKey::Pin { .. }))
    {
        return Next::Stays {
            because: "the route is pinned, and a pin wins over health".into(),
        };
    }
    // As deciding ranks them: a drained pool that serves is better than one that is down.
    let serves = |pool: &&RoutePoolView| {
        pool.pool != route.decision.active
            && pool.place.is_some()
            && pool.health.verdict <= Verdict::Degraded
    };
    let candidates = route.pools.iter().filter(serves);
    let successor = candidates.min_by_key(|pool| (pool.drained, pool.health.verdict, pool.place));
    let Some(to) = successor.map(|pool| pool.pool.clone()) else {
        let others: Vec<String> = route
            .pools
            .iter()
            .filter(|pool| pool.pool != route.decision.active)
            .map(|pool| match pool.place {
                None => format!("{} is drained and never to be used", pool.pool),
                Some(_) => format!("{} is {}", pool.pool, pool.health.verdict),
            })
            .collect();
        return Next::Stays {
            because: match others.is_empty() {
                true => "the route has no other pool".into(),
                false => others.join(", "),
            },
        };
    };
    let frozen = |o: &Override| {
        matches!(
            o.key,
            OverrideKey::FreezeRoute { .. } | OverrideKey::FreezeAll
        )
    };
    let because = if let Some(freeze) = overrides.iter().find(|o| frozen(o)) {
        format!("{} holds it", freeze.key)
    } else if view.blind.is_some() {
        "our own network fails (blind)".into()
    } else if !route.warm {
        "not every check has been observed since the start".into()
    } else if route.latched.is_some() {
        format!("the route is latched: {to} must have been up for the hold-down")
    } else {
        match route.failover {
            FailoverPolicy::Auto => return Next::Switches { to },
            FailoverPolicy::Ask => "the policy is to ask".into(),
            FailoverPolicy::Observe => "the policy is to observe only".into(),
        }
    };
    Next::Waits { to, because }
}
