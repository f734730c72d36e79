//! Signed zones in the engine: keys made, rolled and taken out of use by the clock, whatever happens to the process.

use std::sync::Arc;
use std::time::Duration;

use repoint::engine::{AlarmKind, Command, KeyChange, KeyVerb, ZoneKeysView};
use repoint::keys::Stage;
use repoint::topology::{DomainName, ServiceKind};
use repoint::zone::{Dnskey, KeyAlgorithm, SigningKey, ZoneVersion};

use crate::network::Behaviour;
use crate::setup::{self, Words};
use crate::world::{Happened, StoreMood, World};

pub(crate) const ZONE: &str = "xmpp.contoso.com";
pub(crate) const HOUR: u64 = 3600;

pub(crate) fn zone() -> DomainName {
    ZONE.parse().unwrap()
}

pub(crate) fn world(words: &str) -> World {
    let words = Words::parse(words.split_whitespace()).unwrap();
    World::new(setup::configuration(&words).unwrap(), 1)
}

pub(crate) fn signed_world() -> World {
    let mut world = world("dnssec=yes");
    world.start();
    world
}

/// Lets time pass.
pub(crate) fn pass(world: &mut World, seconds: u64) -> Vec<Happened> {
    let until = world.elapsed() + Duration::from_secs(seconds);
    let mut happened = Vec::new();
    while let Some(more) = world.step(until) {
        happened.extend(more);
    }
    happened
}

pub(crate) fn view(world: &World) -> ZoneKeysView {
    let view = world.engine.as_ref().unwrap().view(world.now());
    view.zone_keys
        .into_iter()
        .find(|keys| keys.zone == zone())
        .unwrap()
}

pub(crate) fn stages(world: &World) -> Vec<Stage> {
    view(world).keys.iter().map(|key| key.stage).collect()
}

pub(crate) fn alarms(world: &World) -> Vec<AlarmKind> {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let alarms = view.alarms.into_iter();
    alarms
        .filter(|alarm| alarm.subject == ZONE)
        .map(|alarm| alarm.kind)
        .collect()
}

pub(crate) fn version(world: &World) -> Arc<ZoneVersion> {
    world.zones.zone(&zone()).unwrap().clone()
}

/// The owner has the parent point at these keys.
pub(crate) fn point(world: &mut World, tags: &[u16]) {
    let row = world.disk.keys.get(&zone()).cloned();
    let keys = row
        .iter()
        .flat_map(|row| &row.keys)
        .filter(|key| tags.contains(&key.tag()));
    let keys: Vec<Dnskey> = keys.map(|key| key.dnskey().clone()).collect();
    assert_eq!(keys.len(), tags.len());
    world.parents.pointed.insert(zone(), keys);
}

pub(crate) fn tags(world: &World) -> Vec<u16> {
    view(world).keys.iter().map(|key| key.tag).collect()
}

pub(crate) fn active(world: &mut World) -> u16 {
    pass(world, 3 * HOUR);
    assert_eq!(stages(world), [Stage::Offered], "{:?}", view(world));
    let tag = tags(world)[0];
    point(world, &[tag]);
    pass(world, 120);
    assert_eq!(stages(world), [Stage::Active]);
    tag
}

pub(crate) fn command(world: &mut World, change: KeyChange) -> Vec<Happened> {
    let command = Command::Keys {
        zone: zone(),
        change,
    };
    world.request(command, "ann", None, false, false);
    pass(world, 1)
}

pub(crate) fn roll(world: &mut World) -> u16 {
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let tag = key.tag();
    world.disk.ring.insert(zone(), key.clone());
    let begin = KeyChange::Begin {
        verb: KeyVerb::Roll,
        key,
        parent_has_no_ds: false,
        new_file: true,
    };
    command(world, begin);
    assert_eq!(tags(world).last(), Some(&tag));
    tag
}

#[test]
fn a_zone_is_signed_when_its_parent_has_no_ds() {
    let mut world = signed_world();
    while world.zones.is_empty() {
        world.step(Duration::from_secs(1)).unwrap();
    }
    let signed = version(&world).is_signed();
    assert!(!signed, "answers do not wait for the parent");
    pass(&mut world, 2);
    assert!(version(&world).is_signed());
    assert_eq!(stages(&world), [Stage::Published]);
    assert_eq!(alarms(&world), []);
    active(&mut world);
}

#[test]
fn no_key_is_made_while_the_parent_has_a_ds_or_cannot_be_asked() {
    let mut world = world("dnssec=yes");
    world.parents.silent = true;
    world.start();
    pass(&mut world, 600);
    assert!(!version(&world).is_signed());
    assert_eq!(alarms(&world), [AlarmKind::DnssecParentUnknown]);
    let lost = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
    world
        .parents
        .pointed
        .insert(zone(), vec![lost.dnskey().clone()]);
    world.parents.silent = false;
    pass(&mut world, 600);
    assert!(!version(&world).is_signed());
    assert_eq!(alarms(&world), [AlarmKind::DnssecKeysLost]);
    world.parents.pointed.clear();
    pass(&mut world, 600);
    assert!(version(&world).is_signed());
    assert_eq!(alarms(&world), []);
}

#[test]
fn a_step_is_stored_before_it_is_served() {
    let mut world = signed_world();
    world.store(StoreMood::Failing);
    pass(&mut world, 600);
    assert!(!version(&world).is_signed());
    world.store(StoreMood::Well);
    pass(&mut world, 20);
    assert!(version(&world).is_signed());
}

#[test]
fn a_roll_goes_on_after_every_restart() {
    let mut world = signed_world();
    let old = active(&mut world);
    let new = roll(&mut world);
    for _ in 0..6 {
        world.kill();
        pass(&mut world, 60);
        world.start();
        pass(&mut world, HOUR + 60);
    }
    assert_eq!(stages(&world), [Stage::Leaving, Stage::Offered]);
    point(&mut world, &[new]);
    pass(&mut world, 120);
    assert_eq!(stages(&world), [Stage::Expiring, Stage::Active]);
    world.kill();
    world.start();
    pass(&mut world, 3 * HOUR);
    assert_eq!(tags(&world), [new]);
    assert!(!tags(&world).contains(&old) && world.disk.ring.tags(&zone()).eq([new]));
    assert!(version(&world).is_signed());
}

#[test]
fn a_clock_set_forward_shortens_no_wait() {
    let mut world = signed_world();
    pass(&mut world, 2);
    for days in [1, 90, -30] {
        world.wall_off += days * 86_400_000;
        pass(&mut world, 60);
        assert_eq!(stages(&world), [Stage::Published], "{days} days");
        world.kill();
        world.start();
        pass(&mut world, 60);
        assert_eq!(stages(&world), [Stage::Published], "{days} days");
    }
    active(&mut world);
}

#[test]
fn keys_are_not_touched_while_no_pool_is_up() {
    let mut world = signed_world();
    let old = active(&mut world);
    let configuration = world.configuration.clone();
    for pool in ["edgepool1", "edgepool2"] {
        for address in setup::addresses(&configuration, pool) {
            world.network.set(
                address,
                Some(ServiceKind::XmppServer),
                Behaviour::parse("refused").unwrap(),
            );
        }
    }
    pass(&mut world, 600);
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let begin = KeyChange::Begin {
        verb: KeyVerb::Roll,
        key,
        parent_has_no_ds: false,
        new_file: true,
    };
    let happened = command(&mut world, begin);
    let refused = happened.iter().any(|one| match one {
        Happened::Replied(_, Err(refusal)) => {
            refusal.why.contains("no pool of route contoso is up")
        }
        _ => false,
    });
    assert!(refused, "{happened:?}");
    assert_eq!(tags(&world), [old]);
}

#[test]
fn a_parent_has_time_to_answer_before_it_is_called_unknown() {
    let mut world = world("dnssec=yes");
    world.parents.silent = true;
    world.start();
    pass(&mut world, 5);
    assert_eq!(alarms(&world), []);
    world.parents.silent = false;
    pass(&mut world, 60);
    assert!(version(&world).is_signed());
    assert_eq!(alarms(&world), []);
}

#[test]
fn signing_ends_when_the_ds_is_gone_and_forgotten() {
    let mut world = signed_world();
    active(&mut world);
    let unsigned = setup::configuration(&Words::default()).unwrap();
    let reload = Command::Reload {
        configuration: unsigned,
        allow_removal: false,
    };
    world.request(reload, "ann", None, false, false);
    pass(&mut world, 3 * HOUR);
    assert!(version(&world).is_signed());
    world.parents.pointed.clear();
    pass(&mut world, HOUR);
    assert!(version(&world).is_signed());
    pass(&mut world, 2 * HOUR);
    assert!(!version(&world).is_signed());
    assert_eq!(world.disk.ring.tags(&zone()).count(), 0);
}

#[test]
fn what_waits_for_the_parent_is_said_until_the_parent_is_as_it_should_be() {
    let mut world = signed_world();
    let waits = |world: &World| view(world).waits_for_parent().map(str::to_owned);
    pass(&mut world, 60);
    assert_eq!(stages(&world), [Stage::Published]);
    assert_eq!(waits(&world), None, "it is not safe yet");
    pass(&mut world, 3 * HOUR);
    let first = tags(&world)[0];
    let waited = waits(&world).unwrap();
    assert!(
        waited.contains(&format!("the DS of key {first} ")),
        "{waited}"
    );
    active(&mut world);
    assert_eq!(waits(&world), None);
    let second = roll(&mut world);
    pass(&mut world, 3 * HOUR);
    assert!(waits(&world).is_some(), "{:?}", view(&world));
    point(&mut world, &[second]);
    for _ in 0..72 {
        if stages(&world) == [Stage::Active] {
            break;
        }
        pass(&mut world, HOUR);
    }
    assert_eq!(tags(&world), [second], "{:?}", view(&world));
    assert_eq!(waits(&world), None);

    let view = world.engine.as_ref().unwrap().view(world.now());
    let seen = view.zones.iter().find(|seen| seen.apex == zone()).unwrap();
    let signing = seen.signing.as_ref().unwrap();
    assert_eq!((signing.keys.len(), signing.keys[0].tag), (1, second));
    assert_eq!(Some(signing.valid_until), version(&world).expiration());
}

#[test]
fn signatures_are_renewed_long_before_they_end() {
    let mut world = signed_world();
    active(&mut world);
    for _ in 0..10 {
        world.wall_off += 3 * 86_400_000;
        pass(&mut world, 60);
        let left = version(&world).expiration().unwrap().since(world.wall());
        assert!(left >= Duration::from_secs(10 * 86_400), "{left:?}");
    }
}
