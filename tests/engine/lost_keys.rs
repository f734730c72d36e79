//! Keys that are lost, and keys that outlive what was known of them: no validator meets a bogus answer that could have
//! been avoided, and an operator is told what is the case.

use std::sync::Arc;
use std::time::Duration;

use repoint::decide::OverrideKey;
use repoint::engine::{AlarmKind, Command, KeyChange, KeyVerb, Lifetime};
use repoint::keys::{Advice, Stage};
use repoint::zone::{KeyAlgorithm, SigningKey};

use crate::setup::{self, Words};
use crate::signed::{
    HOUR, ZONE, active, alarms, command, pass, point, roll, signed_world, stages, tags, version,
    view, zone,
};
use crate::world::{Happened, World};

#[test]
fn a_missing_key_file_leaves_the_zone_unserved_rather_than_unsigned() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.disk.ring.remove(&zone(), tag);
    world.kill();
    world.start();
    pass(&mut world, 60);
    assert_eq!(alarms(&world), [AlarmKind::DnssecKeyMissing]);
    let served = world.zones.zone(&zone()).cloned();
    assert!(served.is_none_or(|version| version.is_signed()));
}

#[test]
fn signatures_that_cannot_be_renewed_do_not_keep_the_engine_busy() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.disk.ring.remove(&zone(), tag);
    world.kill();
    world.start();
    pass(&mut world, 60);
    assert!(version(&world).is_signed(), "as it was kept");
    // They are due by now, and stay so while the key is missing.
    world.wall_off += 12 * 86_400_000;
    pass_few(&mut world, 5, 1000);
    let before = world.zones.generation();
    pass_few(&mut world, 60, 1000);
    let published = world.zones.generation().0 - before.0;
    assert!(published <= 2, "{published} publications in a minute");
}

/// Lets time pass, with no more events than `most`.
pub(crate) fn pass_few(world: &mut World, seconds: u64, most: usize) {
    let until = world.elapsed() + Duration::from_secs(seconds);
    for _ in 0..most {
        if world.step(until).is_none() {
            return;
        }
    }
    panic!("more than {most} events in {seconds} s");
}

/// A zone whose key has been offered to a parent that has no DS yet, in a process that has been told otherwise since.
fn offered_world() -> (World, u16) {
    let mut world = signed_world();
    pass(&mut world, 3 * HOUR);
    assert_eq!(stages(&world), [Stage::Offered]);
    let tag = tags(&world)[0];
    (world, tag)
}

fn alarm_text(world: &World) -> String {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let mut alarms = view.alarms.into_iter();
    alarms.find(|alarm| alarm.subject == ZONE).unwrap().text
}

#[test]
fn what_the_parent_said_long_ago_does_not_let_a_zone_go_unsigned() {
    let (mut world, tag) = offered_world();
    world.kill();
    // The owner enters the DS while nobody asks, and the key is lost.
    point(&mut world, &[tag]);
    world.disk.ring.remove(&zone(), tag);
    world.parents.silent = true;
    world.start();
    pass(&mut world, 600);
    assert!(version(&world).is_signed());
    assert_eq!(alarms(&world), [AlarmKind::DnssecKeyMissing]);
    let text = alarm_text(&world);
    assert!(text.contains("signed last is served on"), "{text}");
    world.parents.silent = false;
    pass(&mut world, 600);
    assert!(version(&world).is_signed());
}

#[test]
fn a_zone_whose_key_is_lost_goes_unsigned_when_every_ds_is_gone_from_caches() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.disk.ring.remove(&zone(), tag);
    world.kill();
    world.start();
    pass(&mut world, 600);
    world.parents.pointed.clear();
    let ds_gone = world.elapsed();
    let least = Duration::from_secs(u64::from(crate::parents::DS_TTL));
    while version(&world).is_signed() {
        assert!(world.elapsed() < ds_gone + Duration::from_secs(48 * HOUR));
        pass(&mut world, 60);
    }
    assert!(
        world.elapsed() - ds_gone >= least,
        "caches have the DS still"
    );
    let text = alarm_text(&world);
    assert!(text.contains("is served unsigned"), "{text}");
    let ds = view(&world).ds;
    assert_eq!((ds.tags, ds.advice), (vec![], Advice::Done));
    let retire = KeyChange::Retire { tag, force: true };
    command(&mut world, retire);
    pass(&mut world, 60);
    assert!(version(&world).is_signed());
    assert_eq!(alarms(&world), []);
    assert_ne!(tags(&world), [tag]);
}

/// After a clean stop a version keeps its serial, and nothing is known of how it was signed.
#[test]
fn what_changed_while_a_key_was_missing_is_served_when_the_zone_may_go_unsigned() {
    for force in [false, true] {
        let mut world = signed_world();
        let tag = active(&mut world);
        world.stop();
        world.disk.ring.remove(&zone(), tag);
        world.parents.pointed.clear();
        world.start();
        pass(&mut world, 2);
        let words = Words::parse("dnssec=yes ttl=17s".split_whitespace()).unwrap();
        let reload = Command::Reload {
            configuration: setup::configuration(&words).unwrap(),
            allow_removal: false,
        };
        world.request(reload, "ann", None, false, false);
        pass(&mut world, 1);
        let pin = Command::SetOverride {
            key: OverrideKey::Pin {
                route: "contoso".parse().unwrap(),
            },
            pool: Some("edgepool2".parse().unwrap()),
            lifetime: Lifetime::Forever,
            never: false,
            force: true,
        };
        world.request(pin, "ann", None, false, false);
        pass(&mut world, 1);
        assert!(version(&world).is_signed());
        if force {
            command(&mut world, KeyChange::Retire { tag, force });
        } else {
            pass(&mut world, 48 * HOUR);
        }
        let text = version(&world).to_master_text();
        let line = format!("{ZONE}.\t17\tIN\tA\t198.51.100.10");
        assert!(text.contains(&line), "forced: {force}\n{text}");
        assert!(force || !version(&world).is_signed());
    }
}

#[test]
fn without_a_signed_version_and_without_its_key_a_zone_is_not_served() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.disk.ring.remove(&zone(), tag);
    world.kill();
    world.disk.zones.clear();
    world.start();
    pass(&mut world, 60);
    assert!(world.zones.zone(&zone()).is_none());
    let text = alarm_text(&world);
    assert!(text.contains("is not served here"), "{text}");
}

#[test]
fn a_lost_database_is_survived_by_the_keys() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.kill();
    let ring = std::mem::take(&mut world.disk).ring;
    world.disk.ring = ring;
    world.disk.doubt = Some("the database was missing from the state directory".into());
    world.parents.silent = true;
    let first = world.start();
    let mut happened = first;
    happened.extend(pass(&mut world, 600));
    let versions = happened.iter().filter_map(|one| match one {
        Happened::Published(zones) => zones.zone(&zone()).cloned(),
        _ => None,
    });
    let versions: Vec<_> = versions.collect();
    assert!(!versions.is_empty());
    assert!(versions.iter().all(|version| version.is_signed()));
    assert_eq!(tags(&world), [tag]);
    world.parents.silent = false;
    world.request(Command::AcceptState, "ann", None, false, false);
    pass(&mut world, 3 * HOUR);
    assert_eq!(stages(&world), [Stage::Active]);
    assert_eq!(alarms(&world), []);
    // It is remembered from here on.
    world.kill();
    world.start();
    pass(&mut world, 60);
    assert_eq!(stages(&world), [Stage::Active]);
}

#[test]
fn of_several_keys_that_are_found_the_one_the_parent_points_at_stays() {
    let mut world = signed_world();
    let old = active(&mut world);
    let new = roll(&mut world);
    pass(&mut world, 3 * HOUR);
    assert_eq!(stages(&world), [Stage::Leaving, Stage::Offered]);
    for stays in [new, old] {
        point(&mut world, &[stays]);
        let mut lost = world_without_database(&world);
        lost.start();
        pass(&mut lost, 60);
        let mut all = tags(&lost);
        all.sort_unstable();
        let mut both = vec![old, new];
        both.sort_unstable();
        assert_eq!(all, both);
        for _ in 0..24 {
            if tags(&lost) == [stays] {
                break;
            }
            pass(&mut lost, HOUR);
        }
        assert_eq!(tags(&lost), [stays], "{:?}", view(&lost));
        assert_eq!(stages(&lost), [Stage::Active]);
        assert_eq!(alarms(&lost), []);
    }
}

/// The same world, beside it, in which only the files of keys are left on the disk.
fn world_without_database(world: &World) -> World {
    let mut lost = World::new(world.configuration.clone(), 2);
    lost.disk.ring = world.disk.ring.clone();
    lost.parents = world.parents.clone();
    lost
}

#[test]
fn the_lost_key_is_imported_while_the_state_is_in_doubt() {
    let mut world = signed_world();
    let tag = active(&mut world);
    let public = world.disk.keys[&zone()].keys[0].dnskey().clone();
    let key = world.disk.ring.private(&zone(), &public).unwrap();
    let mut lost = World::new(world.configuration.clone(), 2);
    lost.parents = world.parents.clone();
    lost.disk.doubt = Some("the database was missing from the state directory".into());
    lost.start();
    pass(&mut lost, 60);
    assert_eq!(alarms(&lost), [AlarmKind::DnssecKeysLost]);
    let import = |key| KeyChange::Begin {
        verb: KeyVerb::Import,
        key,
        parent_has_no_ds: false,
        new_file: true,
    };
    let other = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    command(&mut lost, import(other));
    assert!(tags(&lost).is_empty(), "it would be no better");
    lost.disk.ring.insert(zone(), key.clone());
    command(&mut lost, import(key));
    assert_eq!(tags(&lost), [tag]);
    assert!(version(&lost).is_signed());
}
