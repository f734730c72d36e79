//! What a drain tells its operator: when what was drained may be stopped.

use super::core::Engine;
use super::plan::Plan;
use crate::clock::Now;
use crate::decide::{Decision, OverrideKey, PARTNER_CACHE, first_targets};

/// What no DNS change moves.
const CONNECTIONS: &str = "connections that exist stay until they are closed";

impl Engine {
    /// When the pools and targets that a command has drained may be stopped.
    pub(super) fn drained_notes(&self, plan: &Plan, now: Now) -> Vec<String> {
        let set = plan.overrides.iter().filter(|(_, value)| value.is_some());
        set.filter_map(|(key, _)| self.drained_note(key, now))
            .collect()
    }

    fn drained_note(&self, key: &OverrideKey, now: Now) -> Option<String> {
        let routes = self.routes_under(key);
        let decisions = routes
            .iter()
            .filter_map(|route| self.routes.get(route)?.decision.as_ref());
        let mut decisions = decisions;
        let givers = self.givers();
        // A route that does not use it any more may have left it just now.
        let all = || self.routes.keys();
        let (thing, stays, old) = match key {
            OverrideKey::DrainPool { pool } => (
                pool.as_str(),
                decisions
                    .any(|decision| decision.active == *pool)
                    .then_some("stays active where no other pool serves"),
                self.old_answers(all(), &givers, pool.as_str(), |state| {
                    state.left.pools.get(pool).copied()
                }),
            ),
            OverrideKey::DrainTarget { target, .. } => (
                target.as_str(),
                decisions
                    .any(|decision: &Decision| first_targets(decision).contains(target))
                    .then_some("stays first where nothing else serves"),
                self.old_answers(all(), &givers, target.as_str(), |state| {
                    state.left.targets.get(target).copied()
                }),
            ),
            _ => return None,
        };
        if let Some(stays) = stays {
            return Some(format!("{thing} {stays}: do not stop it (repoint status)"));
        }
        Some(match old {
            Some(Err(why)) => format!(
                "{thing}: old answers are not gone yet: {why}; do not stop it before `repoint status` says when they are"
            ),
            Some(Ok(until)) if until + PARTNER_CACHE > now.wall => format!(
                "{thing}: old answers are gone at {}; {CONNECTIONS}",
                until + PARTNER_CACHE
            ),
            _ => format!("{thing}: no answer puts it first; {CONNECTIONS}"),
        })
    }
}
