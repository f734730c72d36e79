//! What comes of commands that the store does not commit in time.
//!
//! In: a store that hangs, is slow, or fails after a while. Never here: how the store works.

use std::sync::Arc;
use std::time::Duration;

use repoint::decide::OverrideKey;
use repoint::engine::{Command, Done, KeyChange, KeyVerb, Lifetime, Refusal, RequestId};
use repoint::topology::ServiceKind;
use repoint::zone::{KeyAlgorithm, SigningKey};

use crate::network::Behaviour;
use crate::setup;
use crate::signed::{active, pass, signed_world, stages, version, world, zone};
use crate::world::{Happened, StoreMood, World};

/// The store finishes a batch so long after a command's time is over.
const LATE: StoreMood = StoreMood::Slow(Duration::from_secs(3));

fn pin(pool: &str) -> Command {
    Command::SetOverride {
        key: OverrideKey::Pin {
            route: "contoso".parse().unwrap(),
        },
        pool: Some(pool.parse().unwrap()),
        never: false,
        lifetime: Lifetime::Forever,
        force: true,
    }
}

fn reply(happened: &[Happened], id: RequestId) -> Option<&Result<Box<Done>, Box<Refusal>>> {
    happened.iter().find_map(|one| match one {
        Happened::Replied(request, result) if *request == id => Some(result),
        _ => None,
    })
}

/// How many entries of the journal on the disk say this.
fn entries(world: &World, text: &str) -> usize {
    let entries = world.disk.entries.iter();
    entries.filter(|entry| entry.text.contains(text)).count()
}

fn active_pool(world: &World) -> String {
    let view = world.engine.as_ref().unwrap().view(world.now());
    view.routes[0].decision.active.to_string()
}

#[test]
fn every_command_behind_a_store_that_hangs_is_answered_within_ten_seconds() {
    let mut world = world("");
    world.start();
    pass(&mut world, 30);
    world.store(StoreMood::Hung);
    let ask =
        |world: &mut World, volatile| world.request(pin("edgepool2"), "ann", None, false, volatile);
    let refused: Vec<RequestId> = (0..20).map(|_| ask(&mut world, false)).collect();
    let accepted = ask(&mut world, true);
    let happened = pass(&mut world, 10);
    let mut busy = 0;
    for id in refused {
        let refusal = reply(&happened, id)
            .expect("an answer")
            .as_ref()
            .unwrap_err();
        busy += usize::from(refusal.code == "busy");
        assert!(
            ["busy", "store-failing"].contains(&refusal.code.as_str()),
            "{refusal}"
        );
    }
    assert!(busy > 10, "{busy}");
    let done = reply(&happened, accepted)
        .expect("an answer")
        .as_ref()
        .unwrap();
    assert!(done.volatile);
    assert_eq!(active_pool(&world), "edgepool2");
}

#[test]
fn a_volatile_command_is_journaled_once_however_late_it_is_stored() {
    for is_stored in [true, false] {
        let mut world = world("");
        world.start();
        pass(&mut world, 30);
        world.store(LATE);
        let id = world.request(pin("edgepool2"), "ann", None, false, true);
        let happened = pass(&mut world, 2);
        let done = reply(&happened, id).expect("an answer").as_ref().unwrap();
        assert!(done.volatile);
        if !is_stored {
            world.store(StoreMood::Failing);
            pass(&mut world, 5);
            assert_eq!(entries(&world, "pin of route contoso"), 0);
        }
        pass(&mut world, 5);
        world.store(StoreMood::Well);
        pass(&mut world, 30);
        assert_eq!(entries(&world, "refused because"), 0);
        // The switch has an entry of its own, which names the command.
        let all = world.disk.entries.iter();
        let commanded = all.filter(|entry| entry.text == "pin of route contoso to edgepool2 set");
        let generations: Vec<_> = commanded.map(|entry| entry.generation).collect();
        assert_eq!(generations, [world.zones.generation()]);
    }
}

fn roll(world: &mut World) -> (u16, RequestId) {
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let tag = key.tag();
    world.disk.ring.insert(zone(), key.clone());
    let change = KeyChange::Begin {
        verb: KeyVerb::Roll,
        key,
        parent_has_no_ds: false,
        new_file: true,
    };
    let zone = zone();
    let command = Command::Keys { zone, change };
    (tag, world.request(command, "ann", None, false, false))
}

fn has_file(world: &World, tag: u16) -> bool {
    let zone = zone();
    let mut tags = world.disk.ring.tags(&zone);
    tags.any(|there| there == tag)
}

fn has_row(world: &World, tag: u16) -> bool {
    world.disk.keys[&zone()].key(tag).is_some()
}

#[test]
fn the_file_of_a_key_that_may_still_be_stored_stays_until_it_is_settled() {
    let mut world = signed_world();
    active(&mut world);
    world.store(LATE);
    let (tag, id) = roll(&mut world);
    let happened = pass(&mut world, 2);
    let refusal = reply(&happened, id)
        .expect("an answer")
        .as_ref()
        .unwrap_err();
    assert_eq!(refusal.code, "store-failing");
    assert!(has_file(&world, tag));
    let mut was_stored = false;
    while has_file(&world, tag) {
        was_stored |= has_row(&world, tag);
        pass(&mut world, 1);
        assert!(
            world.elapsed() < Duration::from_secs(40_000),
            "it is removed in the end"
        );
    }
    assert!(was_stored && !has_row(&world, tag));
}

#[test]
fn a_crash_while_a_refused_key_is_not_settled_leaves_it_with_its_private_half() {
    let mut world = signed_world();
    active(&mut world);
    world.store(LATE);
    let (tag, _) = roll(&mut world);
    while !has_row(&world, tag) {
        pass(&mut world, 1);
    }
    world.kill();
    world.store(StoreMood::Well);
    world.start();
    pass(&mut world, 60);
    assert!(has_row(&world, tag) && has_file(&world, tag));
    assert_eq!(stages(&world).len(), 2);
    assert!(version(&world).is_signed());
}

#[test]
fn the_file_of_a_key_whose_batch_failed_is_removed_when_the_rows_in_force_are_stored() {
    let mut world = signed_world();
    active(&mut world);
    world.store(StoreMood::Failing);
    let (tag, id) = roll(&mut world);
    let happened = pass(&mut world, 30);
    assert!(reply(&happened, id).expect("an answer").is_err());
    assert!(has_file(&world, tag), "it may come to light after a crash");
    world.store(StoreMood::Well);
    pass(&mut world, 30);
    assert!(!has_file(&world, tag) && !has_row(&world, tag));
}

#[test]
fn a_commanded_failover_does_not_go_to_a_pool_that_has_died_since() {
    let mut world = world("interval=2s timeout=1s retry=500ms fall=1 min_fault=0s failover=ask");
    world.start();
    pass(&mut world, 30);
    world.store(StoreMood::Slow(Duration::from_millis(1900)));
    let command = Command::Failover {
        route: "contoso".parse().unwrap(),
        to: Some("edgepool2".parse().unwrap()),
    };
    let id = world.request(command, "ann", None, false, false);
    for address in setup::addresses(&world.configuration.clone(), "edgepool2") {
        let refused = Behaviour::parse("refused").unwrap();
        let service = Some(ServiceKind::XmppServer);
        world.network.set(address, service, refused);
    }
    let happened = pass(&mut world, 3);
    let done = reply(&happened, id).expect("an answer").as_ref().unwrap();
    assert!(
        done.warnings[0].contains("edgepool2 went down"),
        "{:?}",
        done.warnings
    );
    assert_eq!(active_pool(&world), "edgepool1");
    world.store(StoreMood::Well);
    pass(&mut world, 30);
    let stored = world.disk.routes.values().next().unwrap();
    let decision = stored.decision.as_ref().unwrap();
    assert_eq!(decision.active.as_str(), "edgepool1");
    assert_eq!(stored.home.as_ref().unwrap().as_str(), "edgepool2");
}
