//! State that is older than the world: a backup from before a roll, keys that come back, a serial that others are beyond.

use std::sync::Arc;

use repoint::engine::{AlarmKind, Claim, Command, Event, KeyChange, KeyVerb, Standing};
use repoint::keys::{Advice, Stage};
use repoint::zone::{KeyAlgorithm, Name, Serial, SigningKey};

use crate::setup::{self, Words};
use crate::signed::{
    HOUR, ZONE, active, alarms, command, pass, point, roll, signed_world, stages, tags, version,
    view, zone,
};
use crate::world::{Happened, World};

fn doubtful(world: &World) -> bool {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let mut alarms = view.alarms.iter();
    alarms.any(|alarm| alarm.kind == AlarmKind::StateDoubtful)
}

fn accept(world: &mut World) {
    world.request(Command::AcceptState, "ann", None, false, false);
    pass(world, 60);
}

fn import(key: Arc<SigningKey>) -> KeyChange {
    KeyChange::Begin {
        verb: KeyVerb::Import,
        key,
        parent_has_no_ds: false,
        new_file: true,
    }
}

fn at_hand(world: &World) -> Arc<SigningKey> {
    let row = &world.disk.keys[&zone()];
    let key = row.keys[0].dnskey();
    world.disk.ring.private(&zone(), key).unwrap()
}

/// A world whose disk has the row of before a roll, and only the key of after it, which the parent points at.
fn restored_world() -> (World, Arc<SigningKey>) {
    let mut world = signed_world();
    let old = active(&mut world);
    let backup = world.disk.keys[&zone()].clone();
    let new = roll(&mut world);
    pass(&mut world, 3 * HOUR);
    point(&mut world, &[new]);
    for _ in 0..48 {
        pass(&mut world, HOUR);
        if tags(&world) == [new] {
            break;
        }
    }
    assert_eq!(tags(&world), [new]);
    let key = at_hand(&world);
    world.kill();
    world.disk.keys.insert(zone(), backup);
    world.disk.doubt = Some("it was restored from a backup".into());
    assert!(world.disk.ring.tags(&zone()).all(|tag| tag != old));
    (world, key)
}

#[test]
fn a_backup_from_before_a_roll_is_mended_with_the_key_that_the_parent_points_at() {
    let (mut world, key) = restored_world();
    world.start();
    pass(&mut world, 60);
    assert!(doubtful(&world));
    assert_eq!(tags(&world), [key.tag()]);
    assert!(version(&world).is_signed());
    assert_eq!(alarms(&world), []);
    accept(&mut world);
    pass(&mut world, 3 * HOUR);
    assert_eq!(stages(&world), [Stage::Active]);
    assert!(!doubtful(&world));
}

#[test]
fn the_key_of_after_a_restored_roll_is_imported_while_the_state_is_in_doubt() {
    let (mut world, key) = restored_world();
    world.disk.ring.remove(&zone(), key.tag());
    world.start();
    pass(&mut world, 60);
    let before = tags(&world);
    assert_ne!(alarms(&world), []);
    let other = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    command(&mut world, import(other));
    assert_eq!(tags(&world), before, "it would be no better");
    world.disk.ring.insert(zone(), key.clone());
    command(&mut world, import(key.clone()));
    assert_eq!(tags(&world), [key.tag()]);
    assert!(version(&world).is_signed());
    assert_eq!(alarms(&world), []);
}

#[test]
fn the_private_half_of_a_known_key_is_imported() {
    let mut world = signed_world();
    let tag = active(&mut world);
    let key = at_hand(&world);
    world.kill();
    world.disk.ring.remove(&zone(), tag);
    world.start();
    pass(&mut world, 60);
    assert_eq!(alarms(&world), [AlarmKind::DnssecKeyMissing]);
    world.disk.ring.insert(zone(), key.clone());
    command(&mut world, import(key));
    assert_eq!((tags(&world), alarms(&world)), (vec![tag], vec![]));
    assert_eq!(stages(&world), [Stage::Active]);
}

#[test]
fn a_serial_that_was_accepted_is_not_doubted_again_for_a_zone_that_keeps_its_own() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.kill();
    world.disk.ring.remove(&zone(), tag);
    world.start();
    pass(&mut world, 60);
    let ahead = Serial(version(&world).serial().0.wrapping_add(500_000));
    let hear = |world: &mut World, serial| {
        world.event(Event::SerialAhead(Box::new(Claim {
            server: "secondary ns2".into(),
            standing: Standing::SignedSecondary,
            addresses: ["198.51.100.53".parse().unwrap()].into(),
            apex: Name::from(&zone()),
            serial,
        })));
        pass(world, 5);
    };
    hear(&mut world, ahead);
    assert!(doubtful(&world));
    accept(&mut world);
    hear(&mut world, ahead);
    assert!(!doubtful(&world), "nothing could be done about it");
    hear(&mut world, Serial(ahead.0.wrapping_add(1_000_000)));
    assert!(doubtful(&world), "that is news");
}

#[test]
fn keys_of_a_zone_that_has_never_come_from_its_primary_wait_for_it() {
    let words = "dnssec=yes names=within zone=contoso.com";
    let words = Words::parse(words.split_whitespace()).unwrap();
    let mut world = World::new(setup::configuration(&words).unwrap(), 1);
    world.start();
    pass(&mut world, 12 * HOUR);
    let view = world.engine.as_ref().unwrap().view(world.now());
    let [zone] = &view.zone_keys[..] else {
        panic!("{:?}", view.zone_keys);
    };
    assert!(world.zones.zone(&zone.zone).is_none());
    let stages: Vec<Stage> = zone.keys.iter().map(|key| key.stage).collect();
    assert_eq!(stages, [Stage::Published]);
    let awaited = "the zone to be served".to_owned();
    assert_eq!(zone.ds.advice, Advice::After(awaited));
}

#[test]
fn a_reload_without_a_signed_zone_says_that_its_parent_has_a_ds() {
    let mut world = signed_world();
    active(&mut world);
    let words = Words::parse("dnssec=yes routes=2".split_whitespace()).unwrap();
    let more = Command::Reload {
        configuration: setup::configuration(&words).unwrap(),
        allow_removal: false,
    };
    world.request(more, "ann", None, false, false);
    pass(&mut world, 1);
    assert!(view(&world).signed);
    let words = Words::parse("dnssec=yes names=within".split_whitespace()).unwrap();
    let less = Command::Reload {
        configuration: setup::configuration(&words).unwrap(),
        allow_removal: true,
    };
    world.request(less, "ann", None, false, false);
    let happened = pass(&mut world, 1);
    let warnings: Vec<String> = happened
        .into_iter()
        .filter_map(|one| match one {
            Happened::Replied(_, Ok(done)) => Some(done.warnings),
            _ => None,
        })
        .flatten()
        .collect();
    let said = format!("zone {ZONE} is signed and would no longer be served");
    assert!(
        warnings.iter().any(|text| text.starts_with(&said)),
        "{warnings:?}"
    );
}
