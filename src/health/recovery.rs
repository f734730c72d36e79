//! Recovery: how far a pool that is down has come on its way back, and when it can be up at the earliest.
//!
//! The pool's rules are not repeated: they are applied to moments instead of verdicts. A check that is not down is
//! there already; one that is down and fails has no moment.

use serde::{Deserialize, Serialize};

use super::node::Health;
use super::pool::{required_families, required_services};
use super::target::{Seen, Table};
use super::verdict::{CheckHealth, Verdict};
use crate::clock::{Mono, Now, Wall};
use crate::topology::{CheckId, PoolName, RouteName};

/// A pool on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Good probes in a row, of the check that has the fewest.
    pub good: u32,
    /// How many it takes.
    pub of: u32,
    /// When the pool counts as up at the earliest: when every probe until then is good and takes no time.
    pub up_at: Wall,
}

/// The moment of a check that cannot come up: it fails.
const NEVER: Mono = Mono::from_micros(i64::MAX);

impl Health {
    /// How far a pool that is down has come; none while one of the checks it needs still fails.
    pub fn recovery(&self, route: &RouteName, pool: &PoolName, now: Now) -> Option<Recovery> {
        let watched = self.watched(route, pool)?;
        if watched.health.verdict != Verdict::Down {
            return None;
        }
        let seen: Vec<Seen<'_>> = watched
            .uses
            .iter()
            .filter_map(|usage| {
                let health = self.check(&usage.check)?;
                Some(Seen { usage, health })
            })
            .collect();
        let moment = |seen: &Seen<'_>| self.up_at(&seen.usage.check, seen.health, now);
        let table = Table::of(&seen, Mono::START, moment);
        let families = required_families(&watched.route, &watched.pool);
        let required = required_services(&watched.route);
        let at = required
            .iter()
            .flat_map(|service| families.iter().map(|family| (*service, *family)))
            .filter_map(|(service, family)| {
                table.enough_targets(service, family, &watched.pool, watched.route.need)
            })
            .max()
            .filter(|at| *at < NEVER)?;
        // The check that comes up at that moment is the one that is waited for.
        let last = seen.iter().find(|seen| moment(seen) == at)?;
        let of = self.rise(&last.usage.check)?;
        Some(Recovery {
            good: last.health.successes.min(of),
            of,
            up_at: now.wall + at.since(now.mono),
        })
    }

    fn up_at(&self, id: &CheckId, health: &CheckHealth, now: Now) -> Mono {
        match (health.verdict, health.successes) {
            (Verdict::Down, 0) => NEVER,
            (Verdict::Down, good) => {
                let (Some(rise), Some(next), Some(pace)) =
                    (self.rise(id), self.due_at(id, now), self.recovery_pace(id))
                else {
                    return NEVER;
                };
                next + pace * rise.saturating_sub(good + 1)
            }
            _ => Mono::START,
        }
    }
}
