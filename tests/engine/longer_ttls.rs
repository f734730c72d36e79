//! Longer TTLs: the disk knows of them before anybody has an answer, so that no later process counts on less.

use std::time::Duration;

use repoint::engine::{Command, Event, InboundNews, InboundOutcome};
use repoint::keys::Stage;
use repoint::topology::DomainName;

use crate::primaries;
use crate::setup::{self, Words};
use crate::signed::{active, alarms, pass, point, roll, stages, tags, view, world};
use crate::world::{Happened, StoreMood, World};

const WORDS: &str = "dnssec=yes names=within zone=contoso.com";

fn apex() -> DomainName {
    "contoso.com".parse().unwrap()
}

/// The primary sends a version. Those of the serials 3, 1 and 2 have records with TTLs of 30, 60 and 90 seconds.
fn send(world: &mut World, serial: u32) {
    let news = InboundNews {
        apex: apex(),
        from: primaries::address(),
        outcome: InboundOutcome::Received(primaries::version(&apex(), serial)),
    };
    world.event(Event::Inbound(Box::new(news)));
}

fn shown(world: &World) -> u32 {
    primaries::shown(&apex(), world.zones.zone(&apex()).unwrap()).unwrap()
}

/// A signed zone whose longest TTL, the one of its SOA, is a minute.
fn signed() -> World {
    let mut world = world(&format!("{WORDS} ttl=30s"));
    world.start();
    send(&mut world, 3);
    pass(&mut world, 60);
    assert!(world.zones.zone(&apex()).unwrap().is_signed());
    assert_eq!(world.disk.keys[&apex()].longest_ttl, 60);
    world
}

/// The longest TTL of versions that are not served, as far as the disk knows.
fn older(world: &World) -> u32 {
    let row = &world.disk.keys[&apex()];
    row.older.map_or(row.coming_ttl, |(ttl, _)| ttl)
}

#[test]
fn a_longer_ttl_of_a_primary_is_stored_before_it_is_served() {
    let mut world = signed();
    world.store(StoreMood::Slow(Duration::from_millis(1500)));
    send(&mut world, 2);
    pass(&mut world, 1);
    assert_eq!(shown(&world), 3, "nothing is stored yet");
    pass(&mut world, 2);
    assert_eq!(shown(&world), 2);
    // What is not longer than anything before waits for nothing.
    world.store(StoreMood::Failing);
    send(&mut world, 4);
    pass(&mut world, 1);
    assert_eq!(shown(&world), 4);
}

#[test]
fn a_longer_ttl_waits_for_a_failing_store_and_an_operator_sees_why() {
    let mut world = signed();
    world.store(StoreMood::Failing);
    send(&mut world, 2);
    pass(&mut world, 60);
    assert_eq!(shown(&world), 3);
    let view = world.engine.as_ref().unwrap().view(world.now());
    let zone = view.zones.iter().find(|zone| zone.apex == apex()).unwrap();
    let refused = zone.inbound.as_ref().unwrap().refused.clone().unwrap();
    assert!(
        refused.contains("serial 2 waits for the store"),
        "{refused}"
    );
    // Others go ahead, and what waits is the last that was sent.
    send(&mut world, 6);
    pass(&mut world, 1);
    assert_eq!(shown(&world), 6);
    send(&mut world, 5);
    world.store(StoreMood::Well);
    pass(&mut world, 10);
    assert_eq!(shown(&world), 5);
}

#[test]
fn a_version_that_was_served_for_an_instant_is_waited_for_by_the_next_process() {
    let mut world = signed();
    world.kill_after_publishing = Some(0);
    send(&mut world, 2);
    let happened = pass(&mut world, 10);
    assert!(matches!(happened.last(), Some(Happened::Killed)));
    world.start();
    pass(&mut world, 10);
    assert_eq!(shown(&world), 3, "nobody kept it");
    assert_eq!(older(&world), 90);
}

#[test]
fn a_configuration_that_was_in_force_for_an_instant_is_waited_for_by_the_next_process() {
    for restarted in [false, true] {
        let mut world = signed();
        let words = format!("{WORDS} ttl=5m");
        let words = Words::parse(words.split_whitespace()).unwrap();
        let configuration = setup::configuration(&words).unwrap();
        let before = world.configuration.clone();
        if restarted {
            world.stop();
            world.configuration = configuration;
            world.kill_after_publishing = Some(0);
            world.start();
        } else {
            let reload = Command::Reload {
                configuration,
                allow_removal: false,
            };
            world.kill_after_publishing = Some(0);
            world.request(reload, "ann", None, false, false);
        }
        let happened = pass(&mut world, 10);
        assert!(world.engine.is_none(), "{happened:?}");
        // An operator takes it back before the next start.
        world.configuration = before;
        world.start();
        pass(&mut world, 10);
        assert_eq!(older(&world), 300, "restarted: {restarted}");
    }
}

#[test]
fn a_reload_with_longer_ttls_is_refused_while_the_store_fails() {
    for volatile in [false, true] {
        let mut world = signed();
        let words = format!("{WORDS} ttl=5m");
        let words = Words::parse(words.split_whitespace()).unwrap();
        let reload = Command::Reload {
            configuration: setup::configuration(&words).unwrap(),
            allow_removal: false,
        };
        world.store(StoreMood::Failing);
        let id = world.request(reload, "ann", None, false, volatile);
        let happened = pass(&mut world, 10);
        let replied = happened.iter().find_map(|one| match one {
            Happened::Replied(of, result) if *of == id => Some(result.clone()),
            _ => None,
        });
        let refusal = replied.unwrap().unwrap_err();
        let hint = refusal.hint.unwrap();
        assert!(
            hint.contains("contoso.com would have one of 300 s"),
            "{hint}"
        );
        let longest = world.zones.zone(&apex()).unwrap().longest_ttl();
        assert_eq!(longest, 60, "volatile: {volatile}");
    }
}

#[test]
fn a_reload_with_a_longer_ttl_takes_no_step_of_keys_back() {
    let words = |ttl: &str| format!("dnssec=yes propagation=10s ttl={ttl}");
    let mut world = world(&words("30s"));
    world.start();
    let old = active(&mut world);
    let new = roll(&mut world);
    // A step is with the store whenever one comes, and a reload comes every two seconds.
    world.store(StoreMood::Slow(Duration::from_millis(900)));
    for turn in 0..4000 {
        let ttl = ["60s", "30s"][turn % 2];
        let words = words(ttl);
        let reload = Command::Reload {
            configuration: setup::configuration(&Words::parse(words.split_whitespace()).unwrap())
                .unwrap(),
            allow_removal: false,
        };
        world.request(reload, "ann", None, false, false);
        pass(&mut world, 2);
        if stages(&world).last() == Some(&Stage::Offered) {
            point(&mut world, &[new]);
        }
        if tags(&world) == [new] {
            break;
        }
    }
    pass(&mut world, 60);
    assert_eq!(tags(&world), [new], "{old} goes: {:?}", view(&world));
    assert_eq!(alarms(&world), []);
}
