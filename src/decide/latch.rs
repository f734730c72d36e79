//! The latch: automatic switching stops after too many switches.
//!
//! In: a route's automatic switches. Out: whether the route is latched. Never here: commanded moves; they do
//! not count.

use std::time::Duration;

use super::RouteState;
use crate::clock::{Mono, Wall};
use crate::topology::Route;

/// The time in which switches count.
pub const WINDOW: Duration = Duration::from_secs(60 * 60);

/// Automatic switches that count at `now`.
pub fn switches(state: &RouteState, now: Mono) -> u32 {
    let counting = state
        .switches
        .iter()
        .filter(|at| now.since(**at) < WINDOW)
        .count();
    u32::try_from(counting).unwrap_or(u32::MAX)
}

/// Whether automatic switching is stopped. Once latched, a route stays so until it is unfrozen. The count
/// is asked as well: a lowered `max_switches` must hold from the moment it is in force.
pub fn is_latched(state: &RouteState, route: &Route, now: Mono) -> bool {
    state.latched.is_some() || switches(state, now) >= route.max_switches
}

/// Counts an automatic switch; latches at the limit. Says whether it latched just now.
pub fn count_switch(state: &mut RouteState, route: &Route, now: Mono, wall: Wall) -> bool {
    state.switches.retain(|at| now.since(*at) < WINDOW);
    state.switches.push(now);
    let latches = state.latched.is_none() && switches(state, now) >= route.max_switches;
    if latches {
        state.latched = Some(wall);
    }
    latches
}

/// Releases the latch; the operator begins a new count. Says whether it was latched.
pub fn release(state: &mut RouteState) -> bool {
    state.switches.clear();
    state.latched.take().is_some()
}
