//! A node that was cut off for long, and what it saw before.

use std::time::Duration;

use repoint::topology::ServiceKind;

use crate::network::Behaviour;
use crate::setup;
use crate::signed::{pass, world};
use crate::world::World;

fn set(world: &mut World, pool: &str, behaviour: &str) {
    for address in setup::addresses(&world.configuration.clone(), pool) {
        let behaviour = Behaviour::parse(behaviour).unwrap();
        let service = Some(ServiceKind::XmppServer);
        world.network.set(address, service, behaviour);
    }
}

fn active_pool(world: &World) -> String {
    let view = world.engine.as_ref().unwrap().view(world.now());
    view.routes[0].decision.active.to_string()
}

#[test]
fn a_verdict_from_before_a_long_blindness_moves_nothing() {
    let mut world = world("interval=1m retry=2s timeout=3s fall=3 rise=2 steady=2 min_fault=10s");
    world.start();
    pass(&mut world, 300);
    set(&mut world, "edgepool2", "refused");
    pass(&mut world, 600);
    set(&mut world, "edgepool1", "refused");
    pass(&mut world, 600);
    assert_eq!(active_pool(&world), "edgepool1");
    // Both recover, but nobody here can see it.
    world.network.cut = true;
    world.network.canaries_silent = true;
    pass(&mut world, 1);
    set(&mut world, "edgepool1", "ok");
    set(&mut world, "edgepool2", "ok");
    pass(&mut world, 3600);
    world.network.cut = false;
    world.network.canaries_silent = false;
    let end = world.elapsed() + Duration::from_secs(600);
    while world.step(end).is_some() {
        assert_eq!(active_pool(&world), "edgepool1");
    }
}
