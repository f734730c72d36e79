//! How far versions have come, and for how long copies of those before may be about: no step of keys counts on less.

use std::sync::Arc;
use std::time::Duration;

use repoint::engine::{Command, Event, KeyChange, KeyVerb, Sighting};
use repoint::keys::{Advice, ParentDs, Stage};
use repoint::zone::{KeyAlgorithm, Name, Rdata, Serial, SigningKey};

use crate::setup::{self, Words};
use crate::signed::{
    HOUR, active, pass, point, roll, signed_world, stages, tags, version, view, zone,
};
use crate::world::{StoreMood, World};

const SECONDARY: &str = "192.0.2.53:53";
const WITH_SECONDARY: &str = "dnssec=yes secondary=192.0.2.53:53";

fn words(text: &str) -> Words {
    Words::parse(text.split_whitespace()).unwrap()
}

fn world(text: &str) -> World {
    let mut world = World::new(setup::configuration(&words(text)).unwrap(), 1);
    world.start();
    pass(&mut world, 2);
    world
}

fn reload(world: &mut World, text: &str) {
    let reload = Command::Reload {
        configuration: setup::configuration(&words(text)).unwrap(),
        allow_removal: true,
    };
    world.request(reload, "ann", None, false, false);
    pass(world, 1);
}

/// The secondary says that it has this serial.
fn says(world: &mut World, serial: Serial) {
    world.tell(Event::Sighted(vec![Sighting {
        secondary: SECONDARY.parse().unwrap(),
        apex: Name::from(&zone()),
        serial,
    }]));
    pass(world, 1);
}

fn follows(world: &mut World) {
    let serial = version(world).serial();
    says(world, serial);
}

#[test]
fn no_ds_is_asked_for_before_the_secondary_has_the_key() {
    let mut world = world(WITH_SECONDARY);
    let carrier = version(&world).serial();
    for before in [
        None,
        Some(Serial(carrier.0 - 1)),
        Some(Serial(carrier.0 + 9)),
    ] {
        if let Some(before) = before {
            says(&mut world, before);
        }
        pass(&mut world, 10 * HOUR);
        assert_eq!(stages(&world), [Stage::Published], "{before:?}");
        let has = match before {
            Some(before) => format!("it has {before}"),
            None => "it has not said yet what it has".to_owned(),
        };
        let waits = format!("secondary ns2 to have serial {carrier} ({has})");
        assert_eq!(view(&world).ds.advice, Advice::After(waits.clone()));
        assert_eq!(view(&world).outlook.unwrap().waits_for, Some(waits));
    }
    // A later version that carries the key as well is not waited for.
    reload(&mut world, &format!("{WITH_SECONDARY} ttl=17s"));
    assert!(version(&world).serial().is_after(carrier));
    says(&mut world, carrier);
    pass(&mut world, HOUR);
    assert_eq!(
        stages(&world),
        [Stage::Published],
        "others may have it later"
    );
    pass(&mut world, HOUR + 60);
    assert_eq!(stages(&world), [Stage::Offered]);
}

#[test]
fn what_a_secondary_had_before_a_restart_or_before_it_was_removed_does_not_count() {
    let mut world = world(WITH_SECONDARY);
    follows(&mut world);
    world.kill();
    world.start();
    pass(&mut world, 10 * HOUR);
    assert_eq!(stages(&world), [Stage::Published]);
    follows(&mut world);
    reload(&mut world, "dnssec=yes");
    reload(&mut world, WITH_SECONDARY);
    world.kill();
    world.start();
    follows(&mut world);
    reload(&mut world, "dnssec=yes");
    let key = version(&world).serial();
    pass(&mut world, 3 * HOUR);
    // Without it there is nobody to wait for.
    assert_eq!(stages(&world), [Stage::Offered]);
    let tag = tags(&world)[0];
    point(&mut world, &[tag]);
    pass(&mut world, 60);
    reload(&mut world, WITH_SECONDARY);
    roll(&mut world);
    says(&mut world, key);
    pass(&mut world, 10 * HOUR);
    assert_eq!(stages(&world), [Stage::Active, Stage::Published]);
    follows(&mut world);
    pass(&mut world, 3 * HOUR);
    assert_eq!(stages(&world), [Stage::Leaving, Stage::Offered]);
}

#[test]
fn a_ttl_that_a_secondary_served_long_after_it_was_lowered_is_waited_for() {
    let long = format!("{WITH_SECONDARY} ttl=3h");
    let mut world = world(&long);
    follows(&mut world);
    pass(&mut world, 5 * HOUR);
    assert_eq!(stages(&world), [Stage::Offered]);
    let tag = tags(&world)[0];
    point(&mut world, &[tag]);
    pass(&mut world, 60);
    reload(&mut world, WITH_SECONDARY);
    pass(&mut world, 24 * HOUR);
    roll(&mut world);
    pass(&mut world, 24 * HOUR);
    follows(&mut world);
    pass(&mut world, 3 * HOUR + 1800);
    assert_eq!(stages(&world), [Stage::Active, Stage::Published]);
    pass(&mut world, HOUR);
    assert_eq!(stages(&world), [Stage::Leaving, Stage::Offered]);
}

#[test]
fn a_ttl_that_was_longer_before_a_restart_is_waited_for_also_where_nothing_was_signed() {
    // Lowered with signing, or while nothing was signed.
    for before in [None, Some("ttl=30s")] {
        let mut world = world("ttl=3h");
        if let Some(lowered) = before {
            reload(&mut world, lowered);
        }
        world.stop();
        world.configuration = setup::configuration(&words("dnssec=yes ttl=30s")).unwrap();
        world.start();
        pass(&mut world, 60);
        assert_eq!(stages(&world), [Stage::Published]);
        assert!(world.disk.keys.len() == world.zones.len());
        pass(&mut world, 3 * HOUR + 1800);
        assert_eq!(stages(&world), [Stage::Published], "{before:?}");
        pass(&mut world, HOUR);
        assert_eq!(stages(&world), [Stage::Offered], "{before:?}");
    }
}

#[test]
fn zones_without_keys_write_no_rows_for_their_ttls() {
    let mut world = world("domains=40 ttl=3h");
    reload(&mut world, "domains=40 ttl=30s");
    pass(&mut world, 60);
    assert!(world.disk.keys.is_empty());
}

#[test]
fn a_ttl_that_is_raised_within_a_roll_makes_it_longer() {
    let mut world = signed_world();
    active(&mut world);
    roll(&mut world);
    pass(&mut world, HOUR);
    reload(&mut world, "dnssec=yes ttl=5h");
    pass(&mut world, 4 * HOUR);
    assert_eq!(stages(&world), [Stage::Active, Stage::Published]);
    pass(&mut world, 2 * HOUR + 60);
    assert_eq!(stages(&world), [Stage::Leaving, Stage::Offered]);
}

#[test]
fn a_zone_that_was_not_served_for_a_while_waits_as_if_it_were_new() {
    for done in [false, true] {
        let mut world = signed_world();
        if done {
            active(&mut world);
        } else {
            pass(&mut world, HOUR + 1800);
        }
        world.parents.pointed.clear();
        reload(&mut world, "dnssec=yes address=no");
        assert!(world.zones.zone(&zone()).is_none());
        pass(&mut world, 24 * HOUR);
        reload(&mut world, "dnssec=yes");
        pass(&mut world, 60);
        assert_eq!(stages(&world), [Stage::Published], "{done}");
        assert!(matches!(view(&world).ds.advice, Advice::From(_)));
        pass(&mut world, HOUR + 1800);
        assert_eq!(stages(&world), [Stage::Published], "{done}");
        pass(&mut world, HOUR);
        assert_eq!(stages(&world), [Stage::Offered], "{done}");
    }
}

#[test]
fn what_comes_while_a_row_is_stored_is_in_force_and_stored_with_it() {
    let mut world = signed_world();
    let old = active(&mut world);
    let row = world.disk.keys[&zone()].clone();
    let ds = row.keys[0].dnskey().ds(&row.name());
    world.store(StoreMood::Slow(Duration::from_secs(1)));
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let new = key.tag();
    world.disk.ring.insert(zone(), key.clone());
    let begin = Command::Keys {
        zone: zone(),
        change: KeyChange::Begin {
            verb: KeyVerb::Roll,
            key,
            parent_has_no_ds: false,
            new_file: true,
        },
    };
    world.request(begin, "ann", None, false, false);
    let until = world.elapsed() + Duration::from_millis(200);
    while world.step(until).is_some() {}
    // Under way: nothing is in force yet.
    assert_eq!(tags(&world), [old]);
    let set: [Rdata; 1] = [ds];
    let heard = ParentDs::of(world.wall(), [Some((&set[..], 7200))]);
    world.tell(Event::Parent {
        zone: zone(),
        heard: Ok(heard),
    });
    world.wall_off += 90_000_000;
    pass(&mut world, 20);
    assert_eq!(tags(&world), [old, new]);
    let stored = &world.disk.keys[&zone()];
    assert_eq!((stored.keys.len(), stored.ds_ttl), (2, Some(7200)));
    // The clock was set, and this moment with it.
    assert!(world.wall().since(stored.keys[1].since) < Duration::from_secs(60));
}
