//! What holds of every decision, whatever is seen, remembered and willed: checked on random inputs.
//!
//! In: random verdicts, overrides and states of one route. Out: the first input that breaks a rule, made small.
//! Never here: which decision is right; the stories of `tests/scenarios` tell that.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::latch::{self, WINDOW};
use super::*;
use crate::clock::{Mono, Wall};
use crate::config;
use crate::health::{AddressHealth, TargetHealth};
use crate::topology::{Family, Pool, RouteName, ServiceKind};

const HOUR: Duration = Duration::from_secs(3600);

fn topology(mode: &str, failback: &str, failover: &str) -> Topology {
    let pools: String = (1..=3)
        .map(|n| {
            let target = |letter: char, host: u8| {
                format!(
                    "[[pool.target]]\nname = \"edge{n}{letter}.contoso.com\"\n\
                     publish = [\"192.0.2.{n}{host}\", \"2001:db8:{n}::{host}\"]\n"
                )
            };
            format!(
                "[[pool]]\nname = \"edgepool{n}\"\n{}{}",
                target('a', 1),
                target('b', 2)
            )
        })
        .collect();
    let text = format!(
        "version = 1\n[dns]\nnameservers = [{{ name = \"ns1.example.net\" }}]\n{pools}\
         [[route]]\nname = \"contoso\"\ndomains = [\"contoso.com\"]\nzones = \"owners\"\n\
         pools = [\"edgepool1\", \"edgepool2\", \"edgepool3\"]\nfailback = \"{failback}\"\nfailover = \"{failover}\"\n\
         [route.address]\nname = \"xmpp.{{domain}}\"\n\
         [[route.service]]\nkind = \"xmpp-server\"\nmode = \"{mode}\"\n\
         [[route.service]]\nkind = \"xmpps-server\"\n"
    );
    let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    config::parse(&text, "repoint.toml", &mut { none })
        .unwrap()
        .topology
}

/// A random look at the world, as plain numbers that shrink well.
#[derive(Clone, Debug)]
struct Look {
    verdicts: Vec<(u8, u8)>,
    pin: Option<usize>,
    drains: Vec<(usize, bool)>,
    target_drains: Vec<(usize, usize)>,
    frozen: bool,
    blind: bool,
    cold: bool,
    doubt: bool,
    latched: bool,
    home: Option<usize>,
    since: u16,
}

fn look() -> impl Strategy<Value = Look> {
    let pool = 0..3_usize;
    (
        prop::collection::vec((0..4_u8, 0..4_u8), 3),
        prop::option::weighted(0.2, pool.clone()),
        prop::collection::vec((pool.clone(), any::<bool>()), 0..3),
        prop::collection::vec((pool.clone(), 0..2_usize), 0..3),
        prop::array::uniform5(prop::bool::weighted(0.15)),
        prop::option::weighted(0.3, pool),
        any::<u16>(),
    )
        .prop_map(
            |(verdicts, pin, drains, target_drains, flags, home, since)| Look {
                verdicts,
                pin,
                drains,
                target_drains,
                frozen: flags[0],
                blind: flags[1],
                cold: flags[2],
                doubt: flags[3],
                latched: flags[4],
                home,
                since,
            },
        )
}

fn verdict(number: u8) -> Verdict {
    [
        Verdict::Up,
        Verdict::Degraded,
        Verdict::Unknown,
        Verdict::Down,
    ][usize::from(number)]
}

fn name(number: usize) -> PoolName {
    format!("edgepool{}", number + 1).parse().unwrap()
}

/// Health of a pool whose two targets have these verdicts: as good as the better one.
fn health(pool: &Pool, (a, b): (u8, u8), since: Mono) -> PoolHealth {
    let targets = pool.targets.iter().zip([verdict(a), verdict(b)]);
    let targets: Vec<TargetHealth> = targets
        .map(|(target, verdict)| TargetHealth {
            name: target.name.clone(),
            verdict,
            services: [ServiceKind::XmppServer, ServiceKind::XmppsServer]
                .map(|kind| (kind, verdict))
                .into(),
            addresses: target
                .addresses
                .iter()
                .map(|address| {
                    let family = Family::of(address.publish);
                    (
                        address.publish,
                        AddressHealth {
                            family,
                            verdict,
                            proven: true,
                        },
                    )
                })
                .collect(),
        })
        .collect();
    PoolHealth {
        verdict: verdict(a.min(b)),
        partial: a != b,
        since,
        since_wall: Wall::default(),
        observed: true,
        targets,
        optional: BTreeMap::new(),
        evidence: Vec::new(),
    }
}

fn set(key: OverrideKey, pool: Option<PoolName>, never: bool) -> Override {
    Override {
        key,
        pool,
        never,
        author: "alice".into(),
        reason: None,
        since: Wall::default(),
        until: None,
    }
}

fn overrides(topology: &Topology, look: &Look) -> Overrides {
    let route: RouteName = "contoso".parse().unwrap();
    let pin = look.pin.map(|pool| {
        set(
            OverrideKey::Pin {
                route: route.clone(),
            },
            Some(name(pool)),
            false,
        )
    });
    let drains = look
        .drains
        .iter()
        .map(|(pool, never)| set(OverrideKey::DrainPool { pool: name(*pool) }, None, *never));
    let targets = look.target_drains.iter().map(|(pool, target)| {
        let target = topology.pools[&name(*pool)].targets[*target].name.clone();
        set(
            OverrideKey::DrainTarget {
                pool: name(*pool),
                target,
            },
            None,
            false,
        )
    });
    let freeze = look
        .frozen
        .then(|| set(OverrideKey::FreezeRoute { route }, None, false));
    pin.into_iter()
        .chain(drains)
        .chain(targets)
        .chain(freeze)
        .collect()
}

/// Decides once on a look, from what the looks before it left.
fn step(topology: &Topology, state: &mut RouteState, look: &Look, trigger: Trigger) -> Outcome {
    let now = Now {
        mono: Mono::START + HOUR * 24,
        wall: Wall::from_millis(1),
    };
    let route = topology.routes.values().next().unwrap();
    let since = now.mono - Duration::from_secs(u64::from(look.since));
    let pools: Vec<PoolHealth> = (0..3)
        .map(|n| health(&topology.pools[&name(n)], look.verdicts[n], since))
        .collect();
    let overrides = overrides(topology, look);
    state.latched = look.latched.then(Wall::default);
    state.home = look.home.map(name);
    let inputs = Inputs {
        topology,
        route,
        verdicts: pools
            .iter()
            .enumerate()
            .map(|(n, health)| (name(n), health))
            .collect(),
        overrides: &overrides,
        state,
        blind: look.blind,
        warm: !look.cold,
        doubt: look.doubt,
        trigger,
        commanded: None,
        now,
    };
    let outcome = decide(&inputs);
    assert_eq!(
        outcome,
        decide(&inputs),
        "equal inputs, different decisions"
    );
    state.decision = Some(outcome.decision.clone());
    outcome
}

fn owner<'a>(topology: &'a Topology, target: &DomainName) -> &'a PoolName {
    let mut pools = topology.pools.values();
    &pools
        .find(|pool| pool.targets.iter().any(|t| t.name == *target))
        .unwrap()
        .name
}

fn holds(topology: &Topology, look: &Look, outcome: &Outcome) {
    let decision = &outcome.decision;
    assert_eq!(decision.order.first(), Some(&decision.active));
    let distinct: BTreeSet<_> = decision.order.iter().collect();
    assert_eq!(distinct.len(), decision.order.len());
    for records in decision.services.values() {
        let first = records.first().expect("an SRV RRset is never empty");
        assert!(records.is_sorted());
        for record in records
            .iter()
            .filter(|record| record.priority == first.priority)
        {
            assert_eq!(
                owner(topology, &record.target),
                &decision.active,
                "the first target is the active pool's"
            );
        }
    }
    let addresses: Vec<_> = decision.addresses.values().flatten().collect();
    assert!(
        !addresses.is_empty(),
        "the federation name always has an address"
    );
    let pool = &topology.pools[&decision.active];
    let own = |address| {
        pool.targets
            .iter()
            .any(|t| t.addresses.iter().any(|a| a.publish == address))
    };
    assert!(
        addresses.into_iter().all(|address| own(*address)),
        "addresses are the active pool's"
    );
    if let Some(pin) = look.pin {
        assert_eq!(decision.active, name(pin), "a pin wins");
    }
}

fn trigger(operator: bool) -> Trigger {
    match operator {
        true => Trigger::Operator(Reason::Configuration),
        false => Trigger::Observation,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_is_whole_whatever_has_happened(
        looks in prop::collection::vec((look(), any::<bool>()), 1..12),
        mode in prop::sample::select(vec!["order", "withdraw"]),
        failback in prop::sample::select(vec!["auto", "manual"]),
        failover in prop::sample::select(vec!["auto", "ask", "observe"]),
    ) {
        let topology = topology(mode, failback, failover);
        let mut state = RouteState::default();
        for (look, operator) in looks {
            let outcome = step(&topology, &mut state, &look, trigger(operator));
            holds(&topology, &look, &outcome);
            // One thing may follow from another (a home that has been up all along, an order while all is down), but
            // not go on.
            let settled = (0..3).any(|_| {
                step(&topology, &mut state, &look, Trigger::Observation).change == Change::None
            });
            prop_assert!(settled, "what is decided stays decided while nothing changes");
        }
    }

    #[test]
    fn nothing_moves_by_itself_while_something_holds(
        before in look(),
        mut after in look(),
        hold in 0..4_u8,
    ) {
        let topology = topology("withdraw", "auto", "auto");
        let mut state = RouteState::default();
        let first = step(&topology, &mut state, &before, trigger(true));
        // The operator's will is the same as before: what a drain or pin moves is not moved by itself.
        (after.pin, after.drains, after.target_drains) = (before.pin, before.drains.clone(), before.target_drains.clone());
        match hold {
            0 => after.frozen = true,
            1 => after.blind = true,
            2 => after.cold = true,
            _ => after.doubt = true,
        }
        let drained = !after.drains.is_empty() || !after.target_drains.is_empty();
        let second = step(&topology, &mut state, &after, Trigger::Observation);
        prop_assert!(drained || second.decision == first.decision);
    }

    #[test]
    fn only_a_pool_that_serves_is_moved_to_automatically(before in look(), after in look()) {
        let topology = topology("order", "auto", "auto");
        let mut state = RouteState::default();
        step(&topology, &mut state, &before, trigger(true));
        let outcome = step(&topology, &mut state, &after, Trigger::Observation);
        if outcome.change == (Change::Switch { automatic: true }) {
            let number = (0..3).find(|n| name(*n) == outcome.decision.active).unwrap();
            let (a, b) = after.verdicts[number];
            prop_assert!(matches!(verdict(a.min(b)), Verdict::Up | Verdict::Degraded));
            prop_assert!(!after.blind && !after.frozen && !after.cold && !after.doubt);
        }
    }
}

#[test]
fn switches_count_for_an_hour_and_latch_at_the_limit() {
    let topology = topology("order", "auto", "auto");
    let route = topology.routes.values().next().unwrap();
    let mut state = RouteState::default();
    let at = |minutes: u64| Mono::START + Duration::from_secs(minutes * 60);
    for n in 1..route.max_switches {
        assert!(!latch::count_switch(
            &mut state,
            route,
            at(u64::from(n)),
            Wall::default()
        ));
    }
    assert!(!latch::is_latched(&state, route, at(20)));
    assert_eq!(
        latch::switches(&state, at(1) + WINDOW),
        route.max_switches - 2
    );
    assert!(latch::count_switch(
        &mut state,
        route,
        at(30),
        Wall::default()
    ));
    assert!(
        latch::is_latched(&state, route, at(600)),
        "a latch does not end by itself"
    );
    assert!(latch::release(&mut state));
    assert!(!latch::is_latched(&state, route, at(600)));
}
