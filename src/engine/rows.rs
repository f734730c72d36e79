//! Route states on their way to the store and back.
//!
//! In: a route's state, or its row. Out: the other. Moments of the monotonic clock become moments of the wall
//! clock for the time in between. Never here: when rows are written.

use super::core::Engine;
use super::record::StoredRoute;
use crate::clock::{Mono, Now, Wall};
use crate::decide::{Departures, RouteState};
use crate::topology::RouteName;

impl Engine {
    /// A route's state as it is stored.
    pub(super) fn row(&self, route: &RouteName) -> Option<StoredRoute> {
        let state = self.routes.get(route)?;
        let wall = |at: &Mono| {
            let ago = i64::try_from(self.last.mono.since(*at).as_millis()).unwrap_or(0);
            Wall::from_millis(self.last.wall.as_millis() - ago)
        };
        let pools = state.left.pools.iter();
        let cached = pools.filter_map(|(pool, old)| Some((pool.clone(), old.until()?)));
        Some(StoredRoute {
            route: route.clone(),
            decision: state.decision.clone(),
            home: state.home.clone(),
            switches: state.switches.iter().map(wall).collect(),
            latched: state.latched,
            proven: state.proven.clone(),
            left: cached.collect(),
            departures: state.left.clone(),
        })
    }
}

/// A route as it was stored, in this process's time.
pub(super) fn restore(row: StoredRoute, now: Now) -> (RouteName, RouteState) {
    // Moments of the wall clock become moments of this process's monotonic clock; one in the future (a
    // clock set back) counts as just now.
    let mono = |at: &Wall| now.mono - now.wall.since(*at);
    let state = RouteState {
        decision: row.decision,
        home: row.home,
        switches: row.switches.iter().map(mono).collect(),
        latched: row.latched,
        hold_from: now.mono,
        proven: row.proven,
        left: match row.departures.is_empty() {
            true => Departures::of_pools(row.left),
            false => row.departures,
        },
    };
    (row.route, state)
}
