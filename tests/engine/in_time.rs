//! Commands that need large zones signed have their answers in time, and nothing large is signed in the engine for it.
//!
//! In: a world in which every signed zone counts as large and its draft takes ten minutes. Never here: how long signing
//! takes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use repoint::config::{self, Configuration};
use repoint::decide::OverrideKey;
use repoint::engine::{
    Command, Done, Event, InboundNews, InboundOutcome, KeyChange, KeyVerb, Lifetime, Refusal,
    RequestId, SIGNING, ZoneView,
};
use repoint::topology::DomainName;
use repoint::zone::{KeyAlgorithm, SigningKey};

use crate::large::{AWAY, HOME, LARGE, SLOW, fail_over, large_world, points_at, reload};
use crate::primaries;
use crate::setup::{self, Words};
use crate::signed::{active, pass, tags, version, view, world, zone};
use crate::world::{Happened, World};

fn begin_roll(world: &mut World) -> (u16, RequestId) {
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

pub(crate) fn pin(world: &mut World, pool: &str) -> RequestId {
    let command = Command::SetOverride {
        key: OverrideKey::Pin {
            route: "contoso".parse().unwrap(),
        },
        pool: Some(pool.parse().unwrap()),
        never: false,
        lifetime: Lifetime::Forever,
        force: true,
    };
    world.request(command, "ann", None, false, false)
}

/// Where in what happened a request is carried out.
pub(crate) fn done(happened: &[Happened], id: RequestId) -> Option<usize> {
    happened.iter().position(|one| match one {
        Happened::Replied(request, result) => {
            *request == id && result.as_ref().is_ok_and(|done| !done.dry_run)
        }
        _ => false,
    })
}

/// What a request is answered within the ten seconds that every command has.
fn answer(world: &mut World, id: RequestId) -> Result<Box<Done>, Box<Refusal>> {
    let happened = pass(world, 10);
    let mut replies = happened.into_iter().filter_map(|one| match one {
        Happened::Replied(request, result) if request == id => Some(result),
        _ => None,
    });
    replies.next().expect("an answer within ten seconds")
}

fn zone_view(world: &World, apex: &str) -> ZoneView {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let apex: DomainName = apex.parse().unwrap();
    view.zones
        .into_iter()
        .find(|zone| zone.apex == apex)
        .unwrap()
}

#[test]
fn a_roll_is_stored_and_answered_in_time_and_its_zone_follows() {
    let mut world = large_world();
    world.start();
    let old = active(&mut world);
    world.drafts_take = SLOW;
    let (new, rolled) = begin_roll(&mut world);
    pass(&mut world, 2);
    let reloaded = reload(&mut world, LARGE);
    let mut happened = pass(&mut world, 1);
    assert_eq!(
        done(&happened, reloaded),
        None,
        "it would overtake the roll"
    );
    happened.extend(pass(&mut world, 7));
    let replied = done(&happened, rolled).unwrap();
    let stored = happened.iter().position(
        |one| matches!(one, Happened::Committed(batch) if batch.keys.iter().any(|row| row.keys.len() == 2)),
    );
    assert!(stored < Some(replied), "{stored:?} {replied}");
    assert!(done(&happened, reloaded) > Some(replied));
    assert_eq!(tags(&world), [old, new]);

    let carries_new = |world: &World| {
        let text = version(world).to_master_text();
        text.contains(&format!(" {new} xmpp.contoso.com. "))
    };
    assert!(!carries_new(&world), "the engine would have signed it");
    fail_over(&mut world);
    let pinned = pin(&mut world, "edgepool1");
    assert!(answer(&mut world, pinned).is_ok());
    assert!(points_at(&world, HOME));

    while !carries_new(&world) {
        assert!(world.elapsed() < 20 * SLOW);
        pass(&mut world, 1);
    }
    assert!(points_at(&world, HOME));
    let since = view(&world).keys[1].since;
    assert!(
        world.wall().since(since) <= Duration::from_secs(1),
        "it counts from then"
    );
}

#[test]
fn a_reload_that_changes_a_zone_is_in_force_in_time_and_the_zone_follows() {
    let mut world = large_world();
    world.start();
    active(&mut world);
    world.drafts_take = SLOW;
    let soa_ttl = |world: &World| version(world).soa().ttl;
    let before = soa_ttl(&world);
    let reloaded = reload(&mut world, &format!("{LARGE} zone_ttl=77s routes=2"));
    let done = answer(&mut world, reloaded).unwrap();
    assert!(
        done.warnings.iter().any(|line| line
            == "2 zones are still being signed: what was served before is served until then \
                (_xmpp-server._tcp.contoso.com and 1 more)"),
        "{:?}",
        done.warnings
    );
    let routes = world.engine.as_ref().unwrap().view(world.now()).routes;
    assert_eq!(routes.len(), 2, "it is in force");
    assert_eq!(soa_ttl(&world), before, "the engine would have signed it");
    assert!(zone_view(&world, "xmpp.contoso.com").being_signed.is_some());
    fail_over(&mut world);
    pass(&mut world, 2400);
    assert_eq!(soa_ttl(&world), 77);
    assert!(points_at(&world, AWAY));
    assert_eq!(zone_view(&world, "xmpp.contoso.com").being_signed, None);
}

#[test]
fn a_reload_does_not_wait_for_zones_that_it_does_not_change() {
    let mut world = large_world();
    world.start();
    active(&mut world);
    // Every zone is signed anew: its signatures begin in the future of this clock.
    world.drafts_take = SLOW;
    world.wall_off -= 4 * 3_600_000;
    pass(&mut world, 60);
    let drafted = world.drafted;
    let reloaded = reload(&mut world, &format!("{LARGE} ttl=60s"));
    let happened = pass(&mut world, 1);
    assert!(done(&happened, reloaded).is_some());
    assert_eq!(world.drafted, drafted, "nor has it anything signed twice");
}

#[test]
fn a_dry_run_of_a_reload_shows_large_zones_and_waits_for_nothing() {
    let mut world = large_world();
    world.start();
    active(&mut world);
    world.drafts_take = SLOW;
    let words = format!("{LARGE} zone_ttl=77s");
    let words = Words::parse(words.split_whitespace()).unwrap();
    let command = Command::Reload {
        configuration: setup::configuration(&words).unwrap(),
        allow_removal: false,
    };
    let (drafted, served) = (world.drafted, world.zones.clone());
    let id = world.request(command, "ann", None, true, false);
    let done = answer(&mut world, id).unwrap();
    assert!(done.dry_run);
    assert_eq!(done.zones, 2);
    assert!(
        done.zone_diff
            .contains("+ xmpp.contoso.com.\t77\tIN\tSOA\t"),
        "{}",
        done.zone_diff
    );
    assert_eq!(world.drafted, drafted);
    assert!(Arc::ptr_eq(&world.zones, &served));
}

/// The zone contoso.com, with the steered names as zones of their own inside it.
fn names_as_zones() -> Arc<Configuration> {
    let words = Words::parse(LARGE.split_whitespace()).unwrap();
    let text = format!("{}[[zone]]\napex = \"contoso.com\"\n", setup::text(&words));
    let mut none = |_: &std::path::Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let read = config::parse(&text, "inside.toml", &mut none);
    let mut configuration = read.unwrap_or_else(|problems| panic!("{problems}"));
    configuration.dnssec.most_at_once = 0;
    Arc::new(configuration)
}

#[test]
fn a_reload_that_a_zone_cannot_lag_behind_is_refused_until_the_zone_is_signed() {
    let mut world = world(&format!("{LARGE} names=within"));
    world.start();
    pass(&mut world, 60);
    let apex: DomainName = "contoso.com".parse().unwrap();
    assert!(world.zones.zone(&apex).unwrap().is_signed());
    world.drafts_take = SLOW;
    let served = world.zones.clone();
    let ask = |world: &mut World| {
        let command = Command::Reload {
            configuration: names_as_zones(),
            allow_removal: false,
        };
        world.request(command, "ann", None, false, false)
    };
    for _ in 0..2 {
        let id = ask(&mut world);
        let refusal = answer(&mut world, id).unwrap_err();
        assert_eq!(refusal.code, SIGNING, "{refusal}");
        let text = refusal.to_string();
        assert!(
            text.contains("zone contoso.com., of ")
                && text.contains("zone _xmpp-server._tcp.contoso.com. inside it is new"),
            "{text}"
        );
        assert!(refusal.hint.unwrap().contains("repeat it"));
        assert!(Arc::ptr_eq(&world.zones, &served), "nothing changed");
    }
    // Other commands do not wait for it.
    let pinned = pin(&mut world, "edgepool2");
    assert!(answer(&mut world, pinned).is_ok());

    pass(&mut world, SLOW.as_secs());
    let drafted = world.drafted;
    let id = ask(&mut world);
    let soon = world.elapsed() + Duration::from_secs(1);
    while done(&world.step(soon).expect("it takes no time now"), id).is_none() {}
    assert_eq!(world.drafted, drafted, "what was signed is used");
    let inner: DomainName = "xmpp.contoso.com".parse().unwrap();
    assert!(world.zones.zone(&inner).is_some());
}

#[test]
fn a_reload_that_has_waited_brings_no_older_version_of_a_primary_back() {
    let words = format!("{LARGE} names=within zone=contoso.com");
    let mut world = world(&words);
    let apex: DomainName = "contoso.com".parse().unwrap();
    let send = |world: &mut World, serial| {
        let outcome = InboundOutcome::Received(primaries::version(&apex, serial));
        let news = InboundNews {
            apex: apex.clone(),
            from: primaries::address(),
            outcome,
        };
        world.event(Event::Inbound(Box::new(news)));
    };
    let shown = |world: &World| primaries::shown(&apex, world.zones.zone(&apex).unwrap()).unwrap();
    world.start();
    send(&mut world, 1);
    pass(&mut world, 60);
    assert!(world.zones.zone(&apex).unwrap().is_signed());
    // The draft of the reload is of the first version; that of the second one is served just before the reload's time is over.
    world.drafts_take = Duration::from_millis(1900);
    let reloaded = reload(&mut world, &format!("{words} v6=yes"));
    let first = world.elapsed() + Duration::from_millis(100);
    while world.step(first).is_some() {}
    send(&mut world, 2);
    let before_it_is_over = world.elapsed() + Duration::from_millis(3850);
    while world.step(before_it_is_over).is_some() {}
    assert_eq!(shown(&world), 2);
    let until = world.elapsed() + Duration::from_secs(6);
    let mut happened = Vec::new();
    while let Some(more) = world.step(until) {
        happened.extend(more);
        assert_eq!(shown(&world), 2);
    }
    assert!(done(&happened, reloaded).is_some());
}
