//! What a drain tells its operator: when what was drained may be stopped.

use std::time::Duration;

use super::core::Engine;
use super::plan::Plan;
use super::publish::Published;
use crate::clock::Now;
use crate::decide::{OverrideKey, PARTNER_CACHE, RouteState};

/// What no DNS change moves.
const CONNECTIONS: &str = "connections that exist stay until they are closed";

impl Engine {
    /// When the pools that a command has drained may be stopped.
    pub(super) fn drained_notes(
        &self,
        plan: &Plan,
        published: &Published,
        now: Now,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        for (key, value) in &plan.overrides {
            if value.is_none() {
                continue;
            }
            let OverrideKey::DrainPool { pool } = key else {
                if let OverrideKey::DrainTarget { target, .. } = key {
                    let before = published.changes.iter().filter_map(|c| c.before.as_ref());
                    let ttl = before.map(|decision| decision.ttl).max();
                    notes.extend(ttl.map(|ttl| {
                        let gone = now.wall + Duration::from_secs(ttl.into()) + PARTNER_CACHE;
                        format!("{target}: old answers are gone at {gone}; {CONNECTIONS}")
                    }));
                }
                continue;
            };
            let routes = self.routes_under(key);
            let states = || routes.iter().filter_map(|route| self.routes.get(route));
            let active = |state: &&RouteState| {
                let decision = state.decision.as_ref();
                decision.is_some_and(|decision| decision.active == *pool)
            };
            let left = states().filter_map(|state| state.left.get(pool)).max();
            notes.push(match (states().any(|state| active(&state)), left) {
                (true, _) => format!(
                    "{pool} stays active where no other pool serves: do not stop it (repoint status)"
                ),
                (false, Some(until)) if *until + PARTNER_CACHE > now.wall => format!(
                    "{pool}: old answers are gone at {}; {CONNECTIONS}",
                    *until + PARTNER_CACHE
                ),
                (false, _) => format!(
                    "{pool}: no answer puts it first; {CONNECTIONS}"
                ),
            });
        }
        notes
    }
}
