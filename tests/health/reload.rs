//! What another configuration keeps and what it begins anew.

use std::time::Duration;

use repoint::health::{Transition, Verdict};

use crate::world::{Answer, Spec, World};

const SECOND: Duration = Duration::from_secs(1);

fn pair() -> Spec {
    let pools = vec![
        vec!["192.0.2.1".parse().unwrap()],
        vec!["192.0.2.2".parse().unwrap()],
    ];
    Spec {
        pools,
        ..Spec::default()
    }
}

#[test]
fn an_unchanged_check_keeps_its_state_and_its_turn() {
    let mut kept = World::new(pair(), 1);
    let mut reloaded = World::new(pair(), 1);
    for world in [&mut kept, &mut reloaded] {
        world.run_for(65 * SECOND);
    }
    let before = reloaded.pool_health(0).clone();
    reloaded.reconfigure(&pair());
    assert_eq!(*reloaded.pool_health(0), before);
    assert_eq!(reloaded.health.next_deadline(), kept.health.next_deadline());
    for world in [&mut kept, &mut reloaded] {
        world.run_for(11 * SECOND);
    }
    let times = |world: &World| {
        world
            .starts
            .iter()
            .map(|start| start.at)
            .collect::<Vec<_>>()
    };
    assert_eq!(times(&kept), times(&reloaded));
}

#[test]
fn changed_settings_keep_the_verdict_and_start_to_count_anew() {
    let mut world = World::new(pair(), 2);
    world.run_for(60 * SECOND);
    world.set_all(Answer::Refused);
    world.run_until(20 * SECOND, |world| world.only_check().failures == 2);
    assert_eq!(world.only_check().failures, 2);
    let since = world.pool_health(0).since;
    let mut spec = pair();
    spec.settings.retry = 3 * SECOND;
    world.reconfigure(&spec);
    assert_eq!(world.pool(0), Verdict::Up);
    assert_eq!(
        world.pool_health(0).since,
        since,
        "a pool stays up without a break"
    );
    assert_eq!(world.only_check().failures, 0);
    assert!(world.only_check().proven);
    world.run_for(60 * SECOND);
    assert_eq!(world.pool(0), Verdict::Down);
}

#[test]
fn a_new_address_is_unknown_and_unproven_and_takes_nothing_away() {
    let mut world = World::new(pair(), 3);
    world.run_for(120 * SECOND);
    let mut spec = pair();
    spec.pools[0].push("192.0.2.3".parse().unwrap());
    world.reconfigure(&spec);
    let health = world.pool_health(0);
    assert_eq!(
        (health.verdict, health.partial, health.observed),
        (Verdict::Up, true, false)
    );
    let new = health.targets[0].addresses[&"192.0.2.3".parse().unwrap()];
    assert_eq!((new.verdict, new.proven), (Verdict::Unknown, false));
    world.run_for(4 * SECOND);
    assert!(world.pool_health(0).observed);
    assert!(world.has(|t| matches!(t, Transition::Observed { .. })));
    world.run_for(70 * SECOND);
    let health = world.pool_health(0);
    assert!(!health.partial);
    assert!(health.targets[0].addresses[&"192.0.2.3".parse().unwrap()].proven);
    let proven = |t: &Transition| matches!(t, Transition::Proven { check } if check.as_str().contains("192.0.2.3"));
    assert!(world.has(proven));
}

#[test]
fn results_of_checks_that_are_gone_are_dropped_and_free_their_address() {
    let mut world = World::new(pair(), 4);
    world.run_for(60 * SECOND);
    world.set_all(Answer::Silence);
    world.run_until(20 * SECOND, |world| {
        world.starts.last().is_some_and(|s| s.at == world.now())
    });
    let spec = Spec {
        domains: 2,
        ..pair()
    };
    let mut other = spec.clone();
    other.settings.timeout = 2 * SECOND;
    world.reconfigure(&other);
    world.set_all(Answer::Good);
    world.run_for(60 * SECOND);
    assert!(
        !world.parallel,
        "a second probe began while the old one was in flight"
    );
    assert_eq!((world.pool(0), world.pool(1)), (Verdict::Up, Verdict::Up));
    assert_eq!(world.changes(Verdict::Down), []);
}

#[test]
fn the_result_of_a_probe_made_with_other_settings_does_not_count() {
    let mut world = World::new(pair(), 6);
    world.run_for(60 * SECOND);
    world.set_all(Answer::Silence);
    let before = world.starts.len();
    world.run_until(20 * SECOND, |world| world.starts.len() > before);
    world.run_for(SECOND / 100);
    let mut spec = pair();
    spec.settings.timeout = 5 * SECOND;
    world.reconfigure(&spec);
    world.set_all(Answer::Good);
    let counted = world.observations;
    world.run_until(20 * SECOND, |world| world.observations == counted + 1);
    let failures = world
        .topology
        .checks
        .iter()
        .map(|(id, _)| world.health.check(id).unwrap());
    assert!(failures.map(|check| check.failures).all(|count| count == 0));
}

#[test]
fn a_removed_pool_is_forgotten() {
    let mut world = World::new(pair(), 5);
    world.run_for(60 * SECOND);
    let mut spec = pair();
    spec.pools.pop();
    world.reconfigure(&spec);
    let starts = world.starts.len();
    world.run_for(60 * SECOND);
    let gone = world.starts[starts..]
        .iter()
        .filter(|s| s.peer.ip().to_string() == "192.0.2.2");
    assert_eq!(gone.count(), 0);
    assert!(
        world
            .health
            .pool(&crate::world::route_name(1), &crate::world::pool_name(1))
            .is_none()
    );
}
