//! How soon a fault is found, and what is not taken for one.

use std::net::IpAddr;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use repoint::clock::Now;
use repoint::health::{Health, MOST_PROBES, Verdict};
use repoint::probe::{Observation, Phase, ProbeResult, Reason};
use repoint::topology::{CheckSettings, ServiceKind};

use crate::world::{Answer, Spec, World, pool_name, route_name};

const SECOND: Duration = Duration::from_secs(1);

/// Valid settings: timeout within interval, rise at least steady.
fn settings(random: &mut SmallRng) -> CheckSettings {
    let millis = |random: &mut SmallRng, low: u64, high: u64| {
        Duration::from_millis(random.random_range(low..=high))
    };
    let interval = millis(random, 1_000, 30_000);
    let longest = u64::try_from(interval.as_millis()).unwrap().min(5_000);
    let steady = random.random_range(1..=6);
    CheckSettings {
        interval,
        retry: millis(random, 100, 4_000),
        timeout: millis(random, 300, longest),
        fall: random.random_range(1..=5),
        min_fault: millis(random, 0, 20_000),
        steady,
        rise: random.random_range(steady..=8),
        ..CheckSettings::default_for(ServiceKind::XmppServer)
    }
}

/// The bound of `docs/health.md`, for `lines` ports of one address that fall silent together.
fn bound(settings: &CheckSettings, lines: u32) -> Duration {
    let CheckSettings {
        retry,
        timeout,
        fall,
        min_fault,
        interval,
        ..
    } = settings;
    // Another port's probe may hold the address whenever this port's turn has come.
    let wait = *timeout * (lines - 1);
    let failures = *timeout * *fall + (*retry).max(wait) * (*fall - 1);
    let span = *min_fault + (*retry).max(wait) + *timeout;
    interval.mul_f64(1.1) + wait + failures.max(span) + SECOND
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn assert_found(world: &mut World, pool: usize, bound: Duration, why: &str) {
    let fault = world.now();
    world.run_until(bound + SECOND, |world| world.pool(pool) == Verdict::Down);
    let took = world.now().since(fault);
    assert!(
        took <= bound,
        "{why}: found after {took:?}, promised {bound:?}"
    );
}

#[test]
fn a_silent_pool_is_found_within_the_bound_for_any_valid_settings() {
    for seed in 0..400 {
        let mut random = SmallRng::seed_from_u64(seed);
        let canaries = if random.random_bool(0.5) {
            vec!["198.51.100.1:53".parse().unwrap()]
        } else {
            Vec::new()
        };
        let pools = (0..random.random_range(1..=3))
            .map(|n| vec![address(if random.random_bool(0.5) { 1 } else { 10 + n })])
            .collect();
        let spec = Spec {
            pools,
            domains: random.random_range(1..=6),
            settings: settings(&mut random),
            canaries,
            ..Spec::default()
        };
        let limit = bound(&spec.settings, 1);
        let count = spec.pools.len();
        let mut world = World::new(spec.clone(), seed);
        let calm = random.random_range(60_000..200_000);
        world.run_for(Duration::from_millis(calm));
        let pool = random.random_range(0..count);
        assert_eq!(world.pool(pool), Verdict::Up, "seed {seed}");
        let answer = [Answer::Silence, Answer::Dropped, Answer::Refused][random.random_range(0..3)];
        world.set_all(answer);
        assert_found(
            &mut world,
            pool,
            limit,
            &format!("seed {seed}, {answer:?}, {spec:?}"),
        );
    }
}

#[test]
fn one_silent_port_is_found_within_the_bound_beside_another_that_answers() {
    for seed in 0..300 {
        let mut random = SmallRng::seed_from_u64(seed);
        let spec = Spec {
            pools: vec![vec![address(1)], vec![address(1)]],
            ports: vec![5269, 15269],
            domains: random.random_range(1..=3),
            settings: settings(&mut random),
            ..Spec::default()
        };
        let limit = bound(&spec.settings, 1);
        let mut world = World::new(spec.clone(), seed);
        world.run_for(Duration::from_millis(random.random_range(60_000..200_000)));
        world.set(|_, check, _| match check.peer.port() {
            5269 => Answer::Silence,
            _ => Answer::Good,
        });
        assert_found(&mut world, 0, limit, &format!("seed {seed}, {spec:?}"));
        assert_eq!(
            world.pool(1),
            Verdict::Up,
            "seed {seed}: the other port is another pool"
        );
    }
}

#[test]
fn a_silent_host_with_several_ports_is_found_within_the_bound_for_several_ports() {
    for seed in 0..300 {
        let mut random = SmallRng::seed_from_u64(seed);
        let lines = random.random_range(2..=3_u8);
        let ports = [5269, 15269, 25269];
        let spec = Spec {
            pools: (0..lines).map(|_| vec![address(1)]).collect(),
            ports: ports[..usize::from(lines)].to_vec(),
            domains: random.random_range(1..=3),
            settings: settings(&mut random),
            ..Spec::default()
        };
        let limit = bound(&spec.settings, u32::from(lines));
        let mut world = World::new(spec.clone(), seed);
        world.run_for(Duration::from_millis(random.random_range(60_000..200_000)));
        world.set_all(Answer::Silence);
        let fault = world.now();
        let all = usize::from(lines);
        world.run_until(limit + SECOND, |world| {
            (0..all).all(|pool| world.pool(pool) == Verdict::Down)
        });
        let took = world.now().since(fault);
        assert!(
            took <= limit,
            "seed {seed}: found after {took:?}, promised {limit:?}, {spec:?}"
        );
    }
}

#[test]
fn two_silent_ports_at_the_defaults_are_found_within_the_bound_of_one() {
    for seed in 0..100 {
        let spec = Spec {
            pools: vec![vec![address(1)], vec![address(1)]],
            ports: vec![5269, 5270],
            ..Spec::default()
        };
        let limit = bound(&spec.settings, 1);
        let mut world = World::new(spec, seed);
        world.run_for(Duration::from_millis(60_000 + seed * 137));
        world.set_all(Answer::Silence);
        let fault = world.now();
        world.run_until(limit + SECOND, |world| {
            world.pool(0) == Verdict::Down && world.pool(1) == Verdict::Down
        });
        let took = world.now().since(fault);
        assert!(
            took <= limit,
            "seed {seed}: found after {took:?}, promised {limit:?}"
        );
    }
}

#[test]
fn the_defaults_find_a_silent_pool_in_27_seconds() {
    let settings = CheckSettings::default_for(ServiceKind::XmppServer);
    assert_eq!(bound(&settings, 1), Duration::from_secs(27));
}

#[test]
fn an_eager_configuration_finds_a_refusing_pool_in_1800_ms_and_a_silent_one_in_4800_ms() {
    let eager = CheckSettings {
        interval: SECOND,
        retry: Duration::from_millis(200),
        timeout: Duration::from_millis(800),
        fall: 3,
        min_fault: Duration::ZERO,
        ..CheckSettings::default_for(ServiceKind::XmppServer)
    };
    for seed in 0..50 {
        for (answer, limit) in [(Answer::Refused, 1_800), (Answer::Silence, 4_800)] {
            let spec = Spec {
                settings: eager.clone(),
                canaries: vec!["198.51.100.1:53".parse().unwrap()],
                ..Spec::default()
            };
            let mut world = World::new(spec, seed);
            world.run_for(Duration::from_millis(20_000 + seed * 31));
            world.set_all(answer);
            let why = format!("seed {seed}, {answer:?}");
            assert_found(&mut world, 0, Duration::from_millis(limit), &why);
        }
    }
}

#[test]
fn a_check_that_fails_every_third_time_is_found() {
    for seed in 0..20 {
        let mut world = World::new(Spec::default(), seed);
        let mut count = 0;
        world.set(move |_, _, _| {
            count += 1;
            if count % 3 == 0 {
                Answer::HostUnknown
            } else {
                Answer::Good
            }
        });
        world.run_until(Duration::from_secs(120), |world| {
            world.pool(0) == Verdict::Down
        });
        assert_eq!(world.pool(0), Verdict::Down, "seed {seed}");
        let back = world.changes(Verdict::Up).len();
        world.run_for(Duration::from_secs(3600));
        assert_eq!(
            world.changes(Verdict::Up).len(),
            back,
            "seed {seed}: it never serves six times running"
        );
    }
}

#[test]
fn a_five_second_restart_is_not_an_outage_at_the_defaults() {
    for seed in 0..300 {
        let mut world = World::new(
            Spec {
                domains: 3,
                ..Spec::default()
            },
            seed,
        );
        world.run_for(Duration::from_millis(40_000 + seed * 97));
        world.set_all(Answer::Refused);
        world.run_for(Duration::from_secs(5));
        world.set_all(Answer::Good);
        world.run_for(Duration::from_secs(120));
        assert_eq!(world.changes(Verdict::Down), [], "seed {seed}");
        assert_eq!(world.pool(0), Verdict::Up, "seed {seed}");
    }
}

#[test]
fn random_loss_changes_the_verdict_no_more_often_than_the_thresholds_allow() {
    for seed in 0..20 {
        let mut world = World::new(Spec::default(), seed);
        let mut random = SmallRng::seed_from_u64(seed);
        world.set(move |_, _, _| match random.random_bool(0.3) {
            true => Answer::Dropped,
            false => Answer::Good,
        });
        world.run_for(Duration::from_secs(3600));
        // Down needs 10 s of failures, up again five intervals between six successes: 55 s at least.
        let downs = world.changes(Verdict::Down).len();
        assert!(
            (1..=66).contains(&downs),
            "seed {seed}: down {downs} times in an hour"
        );
    }
}

#[test]
fn nothing_goes_down_before_fall_failures_that_span_min_fault() {
    for seed in 0..200 {
        let mut random = SmallRng::seed_from_u64(seed);
        let settings = settings(&mut random);
        let domains = random.random_range(1..=4);
        let spec = Spec {
            domains,
            settings: settings.clone(),
            ..Spec::default()
        };
        let mut world = World::new(spec, seed);
        let loss = random.random_range(0.1..0.9);
        world.set(move |_, _, _| match random.random_bool(loss) {
            true => {
                [Answer::Silence, Answer::Refused, Answer::HostUnknown][random.random_range(0..3)]
            }
            false => Answer::Good,
        });
        world.run_for(Duration::from_secs(600));
        let Some(down) = world.changes(Verdict::Down).first().copied() else {
            continue;
        };
        let seen: Vec<_> = world
            .failures
            .values()
            .flatten()
            .filter(|(_, ended)| *ended <= down)
            .collect();
        let first = seen.iter().map(|(began, _)| *began).min().unwrap();
        assert!(
            seen.len() >= usize::try_from(settings.fall).unwrap(),
            "seed {seed}"
        );
        assert!(down.since(first) >= settings.min_fault, "seed {seed}");
    }
}

#[test]
fn a_failure_that_all_domains_share_counts_once_per_probe() {
    for seed in 0..50 {
        let spec = Spec {
            domains: 5,
            ..Spec::default()
        };
        let mut world = World::new(spec, seed);
        world.run_for(Duration::from_secs(60));
        world.set_all(Answer::Refused);
        world.run_until(Duration::from_secs(30), |world| {
            world.pool(0) == Verdict::Down
        });
        let probes: usize = world.failures.values().map(Vec::len).sum();
        // Refused at once: 2 s apart, so six of them span the 10 s of min_fault.
        assert_eq!(probes, 6, "seed {seed}");
        assert_eq!(
            world.changes(Verdict::Down).len(),
            5,
            "seed {seed}: all five domains at once"
        );
        let mut times = world.changes(Verdict::Down);
        times.dedup();
        assert_eq!(times.len(), 1, "seed {seed}");
    }
}

#[test]
fn with_more_silent_addresses_than_probes_every_pool_is_found_within_the_longer_bound() {
    let count = u16::try_from(2 * MOST_PROBES + 100).unwrap();
    let far = |n: u16| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    let spec = Spec {
        pools: (0..count).map(|n| vec![far(n)]).collect(),
        ..Spec::default()
    };
    let mut world = World::new(spec, 1);
    let turn = world.topology.longest_turn(MOST_PROBES);
    let limit = world
        .topology
        .checks
        .iter()
        .next()
        .unwrap()
        .1
        .settings
        .detection_behind(turn);
    assert_eq!(
        limit,
        26 * SECOND + 4 * 6 * SECOND,
        "3 s for each further 512"
    );
    world.run_for(60 * SECOND);
    world.set_all(Answer::Dropped);
    let jitter = SECOND;
    world.run_for(limit + jitter);
    let found = (0..usize::from(count)).filter(|n| world.pool(*n) == Verdict::Down);
    assert_eq!(found.count(), usize::from(count));
    assert!(world.most <= MOST_PROBES, "{} at one time", world.most);
    let unknown = world.changes(Verdict::Unknown);
    assert_eq!(unknown, [], "waiting for a turn is no lost probe");
}

/// Ten minutes down, then well again: how long it takes from the first good probe on.
fn recovery(kind: ServiceKind) -> Duration {
    let spec = Spec {
        settings: CheckSettings::default_for(kind),
        kind,
        ..Spec::default()
    };
    let mut world = World::new(spec, 3);
    world.run_for(200 * SECOND);
    world.set_all(Answer::Refused);
    world.run_for(600 * SECOND);
    assert_eq!(world.pool(0), Verdict::Down);
    let told = |world: &World| {
        let now = world.reading();
        world.health.recovery(&route_name(0), &pool_name(0), now)
    };
    assert_eq!(told(&world), None, "it still fails");
    world.set_all(Answer::Good);
    world.run_until(600 * SECOND, |world| {
        told(world).is_some_and(|told| told.good == 1)
    });
    let first = world.now();
    let earliest = told(&world).unwrap();
    assert_eq!((earliest.good, earliest.of), (1, 6));
    world.run_until(600 * SECOND, |world| world.pool(0) == Verdict::Up);
    let came = world.reading().wall;
    assert!(
        came >= earliest.up_at,
        "{came}, not before {}",
        earliest.up_at
    );
    assert!(
        came.since(earliest.up_at) <= 2 * SECOND,
        "{came}, not {}",
        earliest.up_at
    );
    assert_eq!(told(&world), None, "it is up");
    world.now().since(first)
}

#[test]
fn a_pool_that_comes_up_is_probed_at_retry_and_a_sip_port_every_ten_seconds() {
    let xmpp = recovery(ServiceKind::XmppServer);
    assert!(xmpp <= 12 * SECOND, "{xmpp:?}");
    let sip = recovery(ServiceKind::SipFederationTls);
    assert!((50 * SECOND..=52 * SECOND).contains(&sip), "{sip:?}");
}

#[test]
fn results_taken_together_count_as_if_taken_one_by_one() {
    let spec = Spec {
        pools: vec![(1..=40).map(address).collect()],
        domains: 2,
        ..Spec::default()
    };
    let mut world = World::new(spec, 5);
    world.run_for(30 * SECOND);
    let (mut one, mut all) = (world.health.clone(), world.health.clone());
    let began = world.reading();
    for round in 1..20 {
        let now = Now {
            mono: began.mono + 3 * SECOND * round,
            wall: began.wall + 3 * SECOND * round,
        };
        let probes = one.due(now).probes;
        assert_eq!(all.due(now).probes.len(), probes.len());
        let observations: Vec<Observation> = probes
            .iter()
            .enumerate()
            .map(|(n, (id, check))| Observation {
                check: id.clone(),
                peer: check.peer,
                began: now.mono,
                ended: now.mono,
                at: now.wall,
                reached: None,
                result: match (n + usize::try_from(round).unwrap()) % 5 {
                    0 => ProbeResult::Reached,
                    _ => ProbeResult::Stopped {
                        phase: Phase::Connect,
                        reason: Reason::Refused,
                    },
                },
                phases: Vec::new(),
                tls: None,
                certificate: None,
                notes: Vec::new(),
                known_as: None,
            })
            .collect();
        for observation in &observations {
            one.observe(observation, now);
        }
        all.observe_all(&observations, now);
        for (id, _) in world.topology.checks.iter() {
            assert_eq!(one.check(id), all.check(id), "round {round}");
        }
        let pool = |health: &Health| health.pool(&route_name(0), &pool_name(0)).cloned();
        assert_eq!(pool(&one), pool(&all), "round {round}");
    }
    let pool = one.pool(&route_name(0), &pool_name(0)).unwrap();
    assert!(!pool.evidence.is_empty(), "something went down");
}
