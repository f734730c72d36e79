//! A signed zone inside another zone of ours: its keys go all their ways while nobody touches a parent.
//!
//! What the parent says is read from the zones as they are served, half a minute late, as by a slow secondary.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use repoint::config::{self, Configuration};
use repoint::engine::{AlarmKind, Command, KeyChange, KeyVerb, ZoneKeysView};
use repoint::keys::Stage;
use repoint::topology::DomainName;
use repoint::zone::{Dnskey, KeyAlgorithm, Name, Rdata, SigningKey};

use crate::setup::{self, Words};
use crate::world::World;

const INNER: &str = "xmpp.contoso.com";
const OUTER: &str = "contoso.com";
const LATE: Duration = Duration::from_secs(30);
const HOUR: u64 = 3600;

fn domain(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn configuration(dnssec: bool) -> Arc<Configuration> {
    let words = if dnssec { "dnssec=yes" } else { "dnssec=no" };
    let words = Words::parse(words.split_whitespace()).unwrap();
    let text = format!("{}[[zone]]\napex = \"{OUTER}\"\n", setup::text(&words));
    let mut none = |_: &std::path::Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let read = config::parse(&text, "nested.toml", &mut none);
    Arc::new(read.unwrap_or_else(|problems| panic!("{problems}")))
}

/// The DS RRset of the inner zone in the outer one, as served.
fn ds(world: &World) -> Vec<Rdata> {
    let outer = world.zones.zone(&domain(OUTER));
    let set = outer.and_then(|zone| zone.set(Name::from(&domain(INNER)).key(), RecordType::DS));
    set.map(|set| set.rdatas.clone()).unwrap_or_default()
}

fn apex_set(world: &World, rtype: RecordType) -> Vec<Rdata> {
    let inner = world.zones.zone(&domain(INNER)).unwrap();
    let set = inner.set(Name::from(&domain(INNER)).key(), rtype);
    set.map(|set| set.rdatas.clone()).unwrap_or_default()
}

/// Lets time pass. The parent says what was served a while before; at every moment the DS served is of a key that is served.
fn pass(world: &mut World, seconds: u64) {
    let end = world.elapsed() + Duration::from_secs(seconds);
    while world.elapsed() < end {
        let served = ds(world);
        let until = (world.elapsed() + LATE).min(end);
        while world.step(until).is_some() {
            fits(world);
        }
        let apex = Name::from(&domain(INNER));
        let row = world.disk.keys.get(&domain(INNER));
        let keys = row.into_iter().flat_map(|row| &row.keys);
        let pointed: Vec<Dnskey> = keys
            .map(|key| key.dnskey().clone())
            .filter(|key| served.iter().any(|ds| key.matches_ds(&apex, ds)))
            .collect();
        world.parents.pointed.insert(domain(INNER), pointed);
    }
}

fn fits(world: &World) {
    let served = ds(world);
    if world.zones.is_empty() || served.is_empty() {
        return;
    }
    let apex = Name::from(&domain(INNER));
    let keys: Vec<Dnskey> = apex_set(world, RecordType::DNSKEY)
        .into_iter()
        .filter_map(Dnskey::from_rdata)
        .collect();
    let followed = |ds: &Rdata| keys.iter().any(|key| key.matches_ds(&apex, ds));
    assert!(served.iter().all(followed), "a DS of no key that is served");
}

fn view(world: &World) -> ZoneKeysView {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let mut keys = view.zone_keys.into_iter();
    keys.find(|keys| keys.zone == domain(INNER)).unwrap()
}

fn stages(world: &World) -> Vec<Stage> {
    view(world).keys.iter().map(|key| key.stage).collect()
}

fn roll(world: &mut World) -> u16 {
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let tag = key.tag();
    world.disk.ring.insert(domain(INNER), key.clone());
    let begin = Command::Keys {
        zone: domain(INNER),
        change: KeyChange::Begin {
            verb: KeyVerb::Roll,
            key,
            parent_has_no_ds: false,
            new_file: true,
        },
    };
    world.request(begin, "ann", None, false, false);
    pass(world, 1);
    tag
}

fn world() -> World {
    let mut world = World::new(configuration(true), 1);
    world.start();
    world
}

#[test]
fn a_zone_inside_ours_is_signed_rolled_and_unsigned_and_nobody_enters_a_ds() {
    let mut world = world();
    pass(&mut world, 60);
    assert_eq!(stages(&world), [Stage::Published]);
    assert!(ds(&world).is_empty(), "caches may hold unsigned answers");
    pass(&mut world, 3 * HOUR);
    assert_eq!(stages(&world), [Stage::Active]);
    assert_eq!(ds(&world), apex_set(&world, RecordType::CDS));
    assert_eq!(view(&world).ds_kept_in, Some(domain(OUTER)));
    assert_eq!(view(&world).waits_for_parent(), None);

    let new = roll(&mut world);
    for _ in 0..72 {
        pass(&mut world, HOUR);
        // A restart on the way changes nothing.
        world.kill();
        world.start();
        pass(&mut world, 60);
        if view(&world).keys.len() == 1 {
            break;
        }
    }
    let left: Vec<u16> = view(&world).keys.iter().map(|key| key.tag).collect();
    assert_eq!(left, [new]);
    assert_eq!(ds(&world), apex_set(&world, RecordType::CDS));

    let reload = Command::Reload {
        configuration: configuration(false),
        allow_removal: false,
    };
    world.request(reload, "ann", None, false, false);
    pass(&mut world, 60);
    assert!(ds(&world).is_empty());
    assert!(
        !apex_set(&world, RecordType::DNSKEY).is_empty(),
        "caches hold the DS"
    );
    pass(&mut world, 6 * HOUR);
    assert!(apex_set(&world, RecordType::DNSKEY).is_empty());
}

#[test]
fn a_missing_key_file_takes_no_ds_away_and_holds_the_roll() {
    let mut world = world();
    pass(&mut world, 3 * HOUR);
    let (before, tag) = (ds(&world), view(&world).keys[0].tag);
    assert!(!before.is_empty());
    world.disk.ring.remove(&domain(INNER), tag);
    world.kill();
    world.start();
    pass(&mut world, 60);
    assert_eq!(ds(&world), before);
    roll(&mut world);
    assert_eq!(stages(&world), [Stage::Active], "refused");
    pass(&mut world, 3 * HOUR);
    assert_eq!(ds(&world), before);
    let alarms = world.engine.as_ref().unwrap().view(world.now()).alarms;
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm.kind == AlarmKind::DnssecKeyMissing)
    );

    // To end signing takes no key.
    let reload = Command::Reload {
        configuration: configuration(false),
        allow_removal: false,
    };
    world.request(reload, "ann", None, false, false);
    pass(&mut world, 60);
    assert!(ds(&world).is_empty());
}

#[test]
fn a_key_lost_before_its_ds_was_seen_leaves_the_zone_signed() {
    let mut world = world();
    // Nobody says yet that the DS is there.
    while ds(&world).is_empty() {
        pass(&mut world, 20);
    }
    world.parents.pointed.insert(domain(INNER), Vec::new());
    let tag = view(&world).keys[0].tag;
    world.disk.ring.remove(&domain(INNER), tag);
    world.kill();
    world.start();
    pass(&mut world, 60);
    fits(&world);
    assert!(!apex_set(&world, RecordType::DNSKEY).is_empty());
}
