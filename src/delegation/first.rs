//! The zones that a first start with a configuration would serve: what is known of them without a server.
//!
//! In: a configuration. Out: zones. Never here: a server, keys, or what the zones above must know.

use std::collections::BTreeMap;

use crate::clock::{Mono, Now, Wall};
use crate::config::Configuration;
use crate::decide::{self, Generation, Overrides, RouteState, Trigger, decide};
use crate::topology::Route;
use crate::zone::{self, Challenges, Zones};

/// The zones as a first start with this configuration would serve them: each route at its most preferred pool.
pub fn first_zones(configuration: &Configuration) -> Zones {
    let topology = &configuration.topology;
    let now = Now {
        mono: Mono::START,
        wall: Wall::from_millis(0),
    };
    let (state, overrides) = (RouteState::default(), Overrides::default());
    let decision = |route: &Route| {
        let inputs = decide::Inputs {
            topology,
            route,
            verdicts: BTreeMap::new(),
            overrides: &overrides,
            state: &state,
            blind: false,
            warm: false,
            doubt: false,
            trigger: Trigger::Configuration,
            commanded: None,
            now,
        };
        decide(&inputs).decision
    };
    let routes = topology.routes.iter();
    let decisions = routes
        .map(|(name, route)| (name.clone(), decision(route)))
        .collect();
    zone::compile(&zone::Inputs {
        layout: &configuration.layout,
        decisions: &decisions,
        keys: &BTreeMap::new(),
        unsignable: &std::sync::Arc::default(),
        challenges: &Challenges::default(),
        previous: None,
        generation: Generation(1),
        serial: configuration.layout.next_serial(None, 1),
        now: now.wall,
        beside: None,
    })
}
