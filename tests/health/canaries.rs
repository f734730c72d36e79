//! The blind rule: our own network's failure is not a pool's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use repoint::clock::Mono;
use repoint::health::{Transition, Verdict};

use crate::world::{Answer, Spec, World};

const SECOND: Duration = Duration::from_secs(1);

fn canaries() -> Vec<SocketAddr> {
    vec![
        "198.51.100.1:53".parse().unwrap(),
        "203.0.113.7:5269".parse().unwrap(),
    ]
}

fn with_canaries() -> Spec {
    let pools = vec![
        vec!["192.0.2.1".parse().unwrap()],
        vec!["192.0.2.2".parse().unwrap()],
    ];
    Spec {
        pools,
        canaries: canaries(),
        ..Spec::default()
    }
}

fn down_without_uplink(world: &World) -> Vec<Mono> {
    world.changes(Verdict::Down)
}

#[test]
fn a_dead_uplink_makes_the_node_blind_and_no_pool_down() {
    let mut world = World::new(with_canaries(), 1);
    world.run_for(60 * SECOND);
    world.uplink = false;
    world.run_for(600 * SECOND);
    assert_eq!(down_without_uplink(&world), []);
    assert!(world.health.blind().is_some());
    assert_eq!(
        (world.pool(0), world.pool(1)),
        (Verdict::Unknown, Verdict::Unknown)
    );
    world.uplink = true;
    world.run_for(30 * SECOND);
    assert_eq!(world.health.blind(), None);
    assert_eq!((world.pool(0), world.pool(1)), (Verdict::Up, Verdict::Up));
    assert_eq!(down_without_uplink(&world), []);
    let news: Vec<_> = world
        .transitions
        .iter()
        .filter(|t| matches!(t, Transition::BlindBegan | Transition::BlindEnded { .. }))
        .collect();
    assert_eq!(news.len(), 2, "blind began once and ended once: {news:?}");
}

#[test]
fn a_pool_that_died_while_the_node_was_blind_is_found_afterwards() {
    let mut world = World::new(with_canaries(), 2);
    world.run_for(60 * SECOND);
    world.uplink = false;
    world.run_for(60 * SECOND);
    world.set(|_, check, _| match check.peer.ip().to_string().as_str() {
        "192.0.2.1" => Answer::Refused,
        _ => Answer::Good,
    });
    world.uplink = true;
    world.run_for(30 * SECOND);
    assert_eq!((world.pool(0), world.pool(1)), (Verdict::Down, Verdict::Up));
}

#[test]
fn failures_from_before_the_uplink_died_and_after_do_not_add_up_with_those_between() {
    // One real failure, then the uplink dies for long enough to complete the thresholds, then all is well.
    for seed in 0..200 {
        let mut world = World::new(with_canaries(), seed);
        world.run_for(60 * SECOND);
        world.set_all(Answer::Refused);
        world.run_until(20 * SECOND, |world| {
            world.transitions.is_empty() || world.failures.values().any(|all| !all.is_empty())
        });
        world.set_all(Answer::Good);
        world.uplink = false;
        world.run_for(Duration::from_millis(5_000 + seed * 100));
        world.uplink = true;
        world.run_for(120 * SECOND);
        assert_eq!(down_without_uplink(&world), [], "seed {seed}");
    }
}

#[test]
fn nothing_goes_down_without_a_canary_success_begun_after_the_deciding_failure() {
    let mut seen = 0;
    for seed in 0..150 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut world = World::new(with_canaries(), seed);
        let loss = random.random_range(0.05..0.6);
        let mut servers = SmallRng::seed_from_u64(seed + 1_000);
        world.set(move |_, _, _| match servers.random_bool(loss) {
            true => {
                [Answer::Silence, Answer::Refused, Answer::HostUnknown][servers.random_range(0..3)]
            }
            false => Answer::Good,
        });
        // Two attempts fit between two failures, so that the deciding failure is the latest one.
        world.canary_delay = Duration::from_millis(random.random_range(1..900));
        for _ in 0..60 {
            world.uplink = random.random_bool(0.7);
            world.run_for(Duration::from_millis(random.random_range(500..40_000)));
        }
        for (transition, at) in world.transitions.iter().zip(&world.times) {
            let Transition::Check {
                check,
                to: Verdict::Down,
                ..
            } = transition
            else {
                continue;
            };
            let ends = world.failures[check].iter().map(|(_, ended)| *ended);
            let latest = ends.filter(|ended| ended <= at).max().unwrap();
            let confirmed = world
                .canary_successes
                .iter()
                .any(|began| *began >= latest && *began + world.canary_delay <= *at);
            assert!(
                confirmed,
                "seed {seed}: {check} went down at {at:?} unconfirmed"
            );
            seen += 1;
        }
    }
    assert!(seen > 100, "the test saw only {seen} checks go down");
}

#[test]
fn an_uplink_that_comes_and_goes_takes_no_pool_down() {
    for seed in 0..100 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut world = World::new(with_canaries(), seed);
        world.run_for(60 * SECOND);
        for _ in 0..100 {
            world.uplink = !world.uplink;
            // An outage that is shorter than one canary attempt cannot be told from a pool's fault in every case.
            world.run_for(Duration::from_millis(random.random_range(8_000..90_000)));
        }
        assert_eq!(down_without_uplink(&world), [], "seed {seed}");
    }
}

#[test]
fn a_dead_canary_beside_a_live_one_delays_nothing() {
    let mut world = World::new(with_canaries(), 3);
    world.dead_canaries = BTreeSet::from([canaries()[1]]);
    world.run_for(60 * SECOND);
    let seen: Vec<_> = world.health.canaries().collect();
    assert_eq!(
        seen,
        [(canaries()[0], Some(true)), (canaries()[1], Some(false))]
    );
    world.set_all(Answer::Silence);
    world.run_until(40 * SECOND, |world| world.pool(0) == Verdict::Down);
    assert_eq!(world.pool(0), Verdict::Down);
    let down = world.changes(Verdict::Down)[0];
    let last = world.failures.values().flatten().map(|(_, ended)| *ended);
    let deciding = last.filter(|ended| *ended <= down).max().unwrap();
    assert!(down.since(deciding) < Duration::from_millis(300));
    assert_eq!(world.health.blind(), None);
}

#[test]
fn canaries_are_not_asked_more_often_than_five_times_a_second() {
    let pools = (1..=200_u8).map(|n| vec![[192, 0, 2, n].into()]).collect();
    let spec = Spec {
        pools,
        canaries: vec![canaries()[0]],
        ..Spec::default()
    };
    let mut world = World::new(spec, 4);
    world.run_for(60 * SECOND);
    world.set_all(Answer::Refused);
    world.run_for(120 * SECOND);
    let starts = &world.canary_starts;
    let close = starts
        .windows(2)
        .filter(|pair| pair[1].since(pair[0]) < SECOND / 5);
    assert_eq!(close.count(), 0);
    let after = world.now();
    world.run_for(240 * SECOND);
    let later = world.canary_starts.iter().filter(|at| **at > after).count();
    assert!(
        later <= 1,
        "what is down needs no canary to stay so: {later} attempts"
    );
}

#[test]
fn a_down_check_stays_down_while_blind() {
    let mut world = World::new(with_canaries(), 5);
    world.run_for(60 * SECOND);
    world.set(|_, check, _| match check.peer.ip().to_string().as_str() {
        "192.0.2.1" => Answer::Silence,
        _ => Answer::Good,
    });
    world.run_for(60 * SECOND);
    assert_eq!(world.pool(0), Verdict::Down);
    world.uplink = false;
    world.run_for(120 * SECOND);
    assert_eq!(
        (world.pool(0), world.pool(1)),
        (Verdict::Down, Verdict::Unknown)
    );
}

#[test]
fn blindness_ends_when_the_last_canary_is_removed() {
    let mut world = World::new(with_canaries(), 6);
    world.run_for(60 * SECOND);
    world.uplink = false;
    world.run_for(60 * SECOND);
    assert!(world.health.blind().is_some());
    world.reconfigure(&Spec {
        canaries: Vec::new(),
        ..with_canaries()
    });
    assert_eq!(world.health.blind(), None);
    assert!(world.has(|t| matches!(t, Transition::BlindEnded { .. })));
}
