//! What is under way: pools that come up, drained pools that partners forget, and why a route is where it is.

use super::moment::{both, length};
use super::paint::hang;
use crate::clock::Wall;
use crate::decide::{Override, OverrideKey, PARTNER_CACHE, Reason};
use crate::engine::{RouteView, View};
use crate::health::{Recovery, Verdict};
use crate::topology::PoolName;

/// Pools that come up; `route explain` has all of one route.
const COMING_UP_SHOWN: usize = 8;

/// The pools that are down and answer well again.
pub(super) fn coming_up(view: &View) -> String {
    let mut out = String::new();
    let mut shown = 0;
    let mut hidden = 0;
    for route in &view.routes {
        for pool in &route.pools {
            let Some(recovery) = &pool.recovery else {
                continue;
            };
            if shown == COMING_UP_SHOWN {
                hidden += 1;
                continue;
            }
            shown += 1;
            let text = format!(
                "{} in {}: {}",
                pool.pool,
                route.name,
                recovering(recovery, view.at)
            );
            out.push_str(&hang("  ", &text));
        }
    }
    if hidden > 0 {
        out.push_str(&format!("  and {hidden} more pools that come up\n"));
    }
    out
}

/// `2 of 6 good probes, up at 2026-…Z (in 8 s) at the earliest`
pub(super) fn recovering(recovery: &Recovery, now: Wall) -> String {
    format!(
        "{} of {} good probes, up at {} at the earliest",
        recovery.good,
        recovery.of,
        both(recovery.up_at, now)
    )
}

/// Until when partners may be led to a pool that is not active any more, or who still leads them there.
pub(super) fn old_answers(until: Option<Wall>, from: Option<&String>, now: Wall) -> Option<String> {
    if let Some(from) = from {
        return Some(format!("old answers are not gone yet: {from}"));
    }
    let until = until?;
    let partners = until + PARTNER_CACHE;
    Some(match partners > now {
        true => format!(
            "old answers are gone at {}: resolvers drop them at {until}, partners' own caches up to {} later",
            both(partners, now),
            length(PARTNER_CACHE)
        ),
        false => format!("old answers have been gone since {}", both(partners, now)),
    })
}

/// Why the route points where it does; an override that moved it may have ended since.
pub(super) fn decision_reason(route: &RouteView, overrides: &[Override]) -> String {
    let reason = &route.decision.reason;
    let text = reason.describe();
    let health = |pool: &PoolName| {
        let seen = route.pools.iter().find(|seen| seen.pool == *pool);
        seen.map(|seen| seen.health.verdict)
    };
    match reason {
        Reason::Override { key: Some(key), .. } => {
            match overrides.iter().any(|value| value.key == *key) {
                true => text,
                false => format!("ended since: {text}"),
            }
        }
        Reason::Failover { from, .. } if health(from) == Some(Verdict::Up) => {
            format!("{from} was down, is up again: {text}")
        }
        _ => text,
    }
}

/// Whether what is drained may be stopped: the routes that still need it, else when partners have forgotten it.
pub(super) fn drain_progress(value: &Override, view: &View) -> Option<String> {
    let pool_of = |name: &PoolName| view.pools.iter().find(|seen| seen.name == *name);
    let (routes, until, from) = match &value.key {
        OverrideKey::DrainPool { pool } => {
            let pool = pool_of(pool)?;
            let active = pool.routes.iter().filter(|(_, active)| **active);
            (
                active.map(|(route, _)| route.as_str()).collect(),
                pool.old_answers_until,
                pool.old_answers_from.as_ref(),
            )
        }
        OverrideKey::DrainTarget { pool, target } => {
            let drained = pool_of(pool)?.drained_targets.get(target)?;
            let first: Vec<&str> = drained
                .first_in
                .iter()
                .map(|route| route.as_str())
                .collect();
            (
                first,
                drained.old_answers_until,
                drained.old_answers_from.as_ref(),
            )
        }
        _ => return None,
    };
    let is = match &value.key {
        OverrideKey::DrainTarget { .. } => "first",
        _ => "active",
    };
    if !routes.is_empty() {
        return Some(format!(
            "still {is} in {}: do not stop it",
            routes.join(", ")
        ));
    }
    Some(match (old_answers(until, from, view.at), from) {
        (Some(text), None) => format!("{text}; connections that exist stay until they are closed"),
        (Some(text), Some(_)) => format!("{text}: do not stop it"),
        (None, _) => "no answer puts it first".into(),
    })
}
