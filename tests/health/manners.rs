//! How probes come: one at a time per address, apart, in turns, and never lost for good.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use repoint::clock::Mono;
use repoint::health::Verdict;

use crate::world::{Answer, Spec, World};

const SECOND: Duration = Duration::from_secs(1);

fn per_address(world: &World) -> BTreeMap<IpAddr, Vec<Mono>> {
    let mut starts: BTreeMap<IpAddr, Vec<Mono>> = BTreeMap::new();
    for start in world.starts.iter().filter(|start| !start.retry) {
        starts.entry(start.peer.ip()).or_default().push(start.at);
    }
    starts
}

#[test]
fn an_address_has_one_probe_in_flight_and_two_seconds_between_ordinary_ones() {
    for seed in 0..100 {
        let mut random = SmallRng::seed_from_u64(seed);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let two: IpAddr = "192.0.2.2".parse().unwrap();
        let spec = Spec {
            pools: vec![vec![one, two], vec![one], vec![two]],
            ports: vec![5269, 15269, 5269],
            domains: random.random_range(1..=8),
            ..Spec::default()
        };
        let mut world = World::new(spec, seed);
        let (loss, slow) = (random.random_range(0.0..0.5), random.random_range(0.0..0.3));
        world.set(move |_, _, _| match random.random_range(0.0..1.0) {
            x if x < loss => {
                [Answer::Silence, Answer::Refused, Answer::HostUnknown][random.random_range(0..3)]
            }
            x if x < loss + slow => Answer::Slow,
            _ => Answer::Good,
        });
        world.run_for(900 * SECOND);
        assert!(
            !world.parallel,
            "seed {seed}: two probes of one address at once"
        );
        for (address, starts) in per_address(&world) {
            for pair in starts.windows(2) {
                let gap = pair[1].since(pair[0]);
                assert!(
                    gap >= 2 * SECOND,
                    "seed {seed}: {address} probed twice within {gap:?}"
                );
            }
        }
    }
}

#[test]
fn a_check_alone_at_its_address_is_probed_every_interval_give_or_take_a_tenth() {
    let mut world = World::new(Spec::default(), 7);
    world.run_for(3600 * SECOND);
    let starts = &per_address(&world)[&"192.0.2.10".parse::<IpAddr>().unwrap()];
    assert!(starts.len() > 320);
    for pair in starts.windows(2) {
        let gap = pair[1].since(pair[0]);
        assert!(gap >= 9 * SECOND && gap <= 11 * SECOND, "{gap:?}");
    }
    let gaps: Vec<_> = starts
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    assert!(
        gaps.iter().any(|gap| *gap < 9_500 * SECOND / 1000),
        "no jitter downwards"
    );
    assert!(
        gaps.iter().any(|gap| *gap > 10_500 * SECOND / 1000),
        "no jitter upwards"
    );
}

#[test]
fn check_domains_take_turns() {
    let spec = Spec {
        domains: 12,
        ..Spec::default()
    };
    let mut world = World::new(spec, 8);
    world.run_for(3600 * SECOND);
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    for start in &world.starts {
        *counts.entry(start.check.clone()).or_default() += 1;
    }
    assert_eq!(counts.len(), 12);
    let (least, most) = (
        counts.values().min().unwrap(),
        counts.values().max().unwrap(),
    );
    assert!(most - least <= 1, "unequal turns: {counts:?}");
}

#[test]
fn the_first_round_is_complete_within_seconds() {
    let pools = (1..=200_u8).map(|n| vec![[192, 0, 2, n].into()]).collect();
    let mut world = World::new(
        Spec {
            pools,
            ..Spec::default()
        },
        9,
    );
    world.run_for(Duration::from_millis(3_100));
    for pool in 0..200 {
        let health = world.pool_health(pool);
        assert!(health.observed, "pool {pool} was not observed");
        assert_eq!(health.verdict, Verdict::Up);
    }
    let mut busiest: BTreeMap<i64, u32> = BTreeMap::new();
    for start in &world.starts {
        *busiest.entry(start.at.as_micros() / 100_000).or_default() += 1;
    }
    assert!(
        busiest.values().all(|count| *count < 30),
        "not spread: {busiest:?}"
    );
}

#[test]
fn a_pool_that_is_silent_at_the_start_is_observed_for_all_domains_by_one_probe() {
    let mut world = World::new(
        Spec {
            domains: 20,
            ..Spec::default()
        },
        19,
    );
    world.set_all(Answer::Silence);
    world.run_for(7 * SECOND);
    assert!(world.pool_health(0).observed);
    world.run_for(10 * SECOND);
    assert_eq!(world.pool(0), Verdict::Down);
}

#[test]
fn a_probe_that_never_ends_does_not_stop_the_checks_of_its_address() {
    let spec = Spec {
        domains: 2,
        ..Spec::default()
    };
    let mut world = World::new(spec, 10);
    world.run_for(60 * SECOND);
    let lost = world.starts[0].check.clone();
    world.set(move |id, _, _| {
        if *id == lost {
            Answer::Never
        } else {
            Answer::Good
        }
    });
    let before = world.observations;
    world.run_for(300 * SECOND);
    assert!(
        world.observations >= before + 10,
        "the other domain is not probed any more"
    );
    assert_eq!(
        world.pool(0),
        Verdict::Unknown,
        "what is not observed any more is not known"
    );
    world.set_all(Answer::Good);
    world.run_for(60 * SECOND);
    assert_eq!(world.pool(0), Verdict::Up);
}

#[test]
fn a_result_that_comes_after_its_probe_was_given_up_is_dropped() {
    let mut world = World::new(Spec::default(), 15);
    world.run_for(60 * SECOND);
    let mut first = true;
    world.set(move |_, _, _| match std::mem::take(&mut first) {
        true => Answer::Late,
        false => Answer::Slow,
    });
    let observed = world.only_check().observed;
    let before = world.observations;
    world.run_until(120 * SECOND, |world| world.observations == before + 4);
    assert_eq!(
        world.only_check().observed,
        observed + 3,
        "the late one was counted"
    );
    assert_eq!(world.pool(0), Verdict::Degraded);
}

#[test]
fn when_a_silent_port_answers_again_its_domains_are_probed_apart() {
    let mut world = World::new(
        Spec {
            domains: 6,
            ..Spec::default()
        },
        16,
    );
    world.run_for(60 * SECOND);
    world.set_all(Answer::Silence);
    world.run_for(120 * SECOND);
    world.set_all(Answer::Good);
    let before = world.starts.len();
    world.run_for(60 * SECOND);
    let starts = &world.starts[before..];
    for pair in starts.windows(2) {
        assert!(pair[1].at.since(pair[0].at) >= 2 * SECOND, "{pair:?}");
    }
    let answered: BTreeMap<_, _> = starts.iter().map(|start| (&start.check, ())).collect();
    assert_eq!(answered.len(), 6);
}

#[test]
fn a_suspect_check_is_tried_again_soon_though_our_side_fails_in_between() {
    let mut world = World::new(Spec::default(), 17);
    world.run_for(60 * SECOND);
    let mut first = true;
    world.set(move |_, _, _| match std::mem::take(&mut first) {
        true => Answer::Refused,
        false => Answer::Local,
    });
    world.run_until(20 * SECOND, |world| world.only_check().suspect);
    let before = world.starts.len();
    world.run_for(10 * SECOND);
    assert_eq!(world.starts.len() - before, 5);
}

#[test]
fn a_failing_domain_does_not_starve_the_others_of_its_address() {
    let mut spec = Spec {
        domains: 4,
        ..Spec::default()
    };
    spec.settings.retry = SECOND / 2;
    spec.settings.min_fault = 3600 * SECOND; // suspect all the time
    let mut world = World::new(spec, 11);
    world.run_for(60 * SECOND);
    let bad = world.starts[0].check.clone();
    let failing = bad.clone();
    world.set(move |id, _, _| {
        if *id == failing {
            Answer::HostUnknown
        } else {
            Answer::Good
        }
    });
    let before = world.starts.len();
    world.run_for(600 * SECOND);
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    for start in &world.starts[before..] {
        *counts.entry(start.check.clone()).or_default() += 1;
    }
    for (id, count) in counts.iter().filter(|(id, _)| **id != bad) {
        assert!(*count >= 50, "{id} was probed {count} times in ten minutes");
    }
    assert!(
        counts[&bad] >= 1_000,
        "retries are not delayed by the others: {}",
        counts[&bad]
    );
}

#[test]
fn a_check_that_is_down_backs_off_towards_its_interval() {
    let mut world = World::new(
        Spec {
            domains: 3,
            ..Spec::default()
        },
        18,
    );
    world.run_for(60 * SECOND);
    world.set_all(Answer::Refused);
    world.run_until(60 * SECOND, |world| world.pool(0) == Verdict::Down);
    let down = world.now();
    world.run_for(300 * SECOND);
    let starts: Vec<Mono> = world
        .starts
        .iter()
        .map(|start| start.at)
        .filter(|at| *at >= down)
        .collect();
    let gaps: Vec<_> = starts
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    assert_eq!(gaps[0], 2 * SECOND);
    assert_eq!(gaps.last(), Some(&(10 * SECOND)));
    assert!(gaps.is_sorted(), "{gaps:?}");
    world.set_all(Answer::Good);
    let back = world.now();
    world.run_until(120 * SECOND, |world| world.pool(0) == Verdict::Up);
    assert!(
        world.now().since(back) <= 72 * SECOND,
        "{:?}",
        world.now().since(back)
    );
}

#[test]
fn a_local_failure_is_nobodys_fault() {
    let mut world = World::new(Spec::default(), 12);
    world.run_for(60 * SECOND);
    world.set_all(Answer::Local);
    world.run_for(300 * SECOND);
    assert_eq!(world.pool(0), Verdict::Unknown);
    assert_eq!(world.changes(Verdict::Down), []);
}

#[test]
fn the_same_seed_gives_the_same_hour() {
    let run = || {
        let mut world = World::new(
            Spec {
                domains: 3,
                ..Spec::default()
            },
            13,
        );
        world.run_for(3600 * SECOND);
        world
            .starts
            .iter()
            .map(|start| (start.at, start.check.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn an_hour_of_300_checks_costs_little() {
    let pools = (0..300_u16)
        .map(|n| vec![[10, 0, (n / 200) as u8, (n % 200) as u8].into()])
        .collect();
    let mut world = World::new(
        Spec {
            pools,
            ..Spec::default()
        },
        14,
    );
    let clock = Instant::now();
    world.run_for(3600 * SECOND);
    let took = clock.elapsed();
    assert!(world.observations > 100_000);
    println!(
        "300 checks, 1 h, {} observations: {took:?} of real time",
        world.observations
    );
}
