//! Large zones in the engine: signed beside it, while failovers go on. What commands do meanwhile is in `in_time`.
//!
//! In: a world in which every signed zone counts as large and its draft takes ten minutes. Never here: how long signing
//! takes.

use std::sync::Arc;
use std::time::Duration;

use repoint::engine::{Command, Event, InboundNews, InboundOutcome, KeyChange, KeyVerb, RequestId};
use repoint::keys::Stage;
use repoint::topology::{DomainName, ServiceKind};
use repoint::zone::{KeyAlgorithm, SigningKey};

use crate::in_time::done;
use crate::lost_keys::pass_few;
use crate::network::Behaviour;
use crate::primaries;
use crate::setup;
use crate::signed::{active, pass, stages, tags, version, view, world, zone};
use crate::world::{Happened, StoreMood, World};

pub(crate) const SLOW: Duration = Duration::from_secs(600);
pub(crate) const HOME: &str = "\tA\t192.0.2.10\n";
pub(crate) const AWAY: &str = "\tA\t198.51.100.10\n";

/// Every signed zone is a large one.
pub(crate) const LARGE: &str = "dnssec=yes most_at_once=0";

pub(crate) fn large_world() -> World {
    world(LARGE)
}

pub(crate) fn reload(world: &mut World, words: &str) -> RequestId {
    let words = setup::Words::parse(words.split_whitespace()).unwrap();
    let command = Command::Reload {
        configuration: setup::configuration(&words).unwrap(),
        allow_removal: true,
    };
    world.request(command, "ann", None, false, false)
}

pub(crate) fn points_at(world: &World, address: &str) -> bool {
    version(world).to_master_text().contains(address)
}

/// The first pool fails, and the failover is published.
pub(crate) fn fail_over(world: &mut World) {
    for address in setup::addresses(&world.configuration.clone(), "edgepool1") {
        let refused = Behaviour::parse("refused").unwrap();
        world
            .network
            .set(address, Some(ServiceKind::XmppServer), refused);
    }
    assert!(points_at(world, HOME));
    pass(world, 60);
    assert!(points_at(world, AWAY));
}

#[test]
fn a_failover_does_not_wait_until_a_zone_is_signed() {
    let mut world = large_world();
    world.drafts_take = SLOW;
    world.start();
    pass(&mut world, 60);
    assert_eq!(stages(&world), [Stage::Published]);
    fail_over(&mut world);
    assert!(!version(&world).is_signed());
    pass(&mut world, 1300);
    assert!(version(&world).is_signed());
    assert!(
        points_at(&world, AWAY),
        "the draft is older than the failover"
    );
}

#[test]
fn a_key_that_is_served_late_counts_from_then() {
    let mut world = large_world();
    world.drafts_take = SLOW;
    world.start();
    let mut signed = None;
    while signed.is_none() {
        world.step(Duration::from_secs(3600)).unwrap();
        let zone = world.zones.zone(&zone());
        let is_signed = zone.is_some_and(|version| version.is_signed());
        signed = is_signed.then(|| world.wall());
    }
    assert!(world.elapsed() > SLOW);
    assert_eq!(view(&world).keys[0].since, signed.unwrap());
    pass(&mut world, 60);
    assert_eq!(world.disk.keys[&zone()].keys[0].since, signed.unwrap());
}

#[test]
fn a_reload_beside_a_draft_signs_nothing_in_the_engine() {
    let mut world = large_world();
    world.drafts_take = SLOW;
    world.start();
    pass(&mut world, 60);
    assert!(!version(&world).is_signed(), "its draft is under way");
    let reloaded = reload(&mut world, &format!("{LARGE} ttl=60s"));
    let happened = pass(&mut world, 10);
    assert!(done(&happened, reloaded).is_some());
    fail_over(&mut world);
    assert!(
        !version(&world).is_signed(),
        "the engine would have signed it"
    );
    pass(&mut world, 4000);
    assert!(version(&world).is_signed());
    assert!(points_at(&world, AWAY));
}

#[test]
fn a_reload_whose_zone_changes_while_it_is_stored_signs_nothing_in_the_engine() {
    let words = "dnssec=yes most_at_once=0 names=within zone=contoso.com";
    let mut world = world(words);
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
    world.store(StoreMood::Slow(Duration::from_millis(1500)));
    let reloaded = reload(&mut world, &format!("{words} v6=yes"));
    // Its draft takes three seconds, and then it is with the store.
    pass(&mut world, 4);
    world.drafts_take = SLOW;
    send(&mut world, 2);
    let happened = pass(&mut world, 2);
    assert!(done(&happened, reloaded).is_some());
    assert_eq!(shown(&world), 1, "the engine would have signed it");
    pass(&mut world, 1300);
    assert_eq!(shown(&world), 2);
}

#[test]
fn a_failover_does_not_wait_for_renewals_and_they_keep_nobody_busy() {
    let mut world = large_world();
    world.start();
    active(&mut world);
    world.drafts_take = SLOW;
    world.wall_off += 9 * 86_400_000;
    let before = version(&world).expiration().unwrap();
    pass_few(&mut world, 60, 1000);
    assert_eq!(version(&world).expiration().unwrap(), before);
    fail_over(&mut world);
    pass(&mut world, 1300);
    assert!(version(&world).expiration().unwrap() > before);
    assert!(points_at(&world, AWAY));
}

#[test]
fn a_dry_run_of_a_roll_shows_the_zone_without_a_draft_and_changes_nothing() {
    let mut world = large_world();
    world.start();
    let old = active(&mut world);
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let tag = key.tag();
    let change = KeyChange::Begin {
        verb: KeyVerb::Roll,
        key,
        parent_has_no_ds: false,
        new_file: true,
    };
    let command = Command::Keys {
        zone: zone(),
        change,
    };
    let drafted = world.drafted;
    let id = world.request(command, "ann", None, true, false);
    let happened = pass(&mut world, 1);
    assert_eq!(world.drafted, drafted);
    let shown = happened.iter().find_map(|one| match one {
        Happened::Replied(request, Ok(done)) if *request == id => Some(done.zone_diff.clone()),
        _ => None,
    });
    let shown = shown.unwrap();
    assert!(
        shown.contains(&format!(" {tag} xmpp.contoso.com. ")),
        "{shown}"
    );
    assert_eq!(tags(&world), [old]);
}

#[test]
fn a_zone_that_was_signed_is_served_again_at_once() {
    let mut world = large_world();
    world.start();
    active(&mut world);
    world.drafts_take = SLOW;
    for clean in [true, false] {
        if clean {
            world.stop();
        } else {
            world.kill();
        }
        world.start();
        pass(&mut world, 1);
        assert!(version(&world).is_signed());
    }
}

#[test]
fn a_zone_that_was_never_signed_is_served_when_it_is() {
    let mut world = large_world();
    world.drafts_take = SLOW;
    world.start();
    pass(&mut world, 60);
    assert!(!version(&world).is_signed());
    world.kill();
    world.start();
    let happened = pass(&mut world, 300);
    let published = |one: &Happened| matches!(one, Happened::Published(_));
    assert!(happened.iter().any(published), "other zones do not wait");
    assert!(world.zones.zone(&zone()).is_none());
    pass(&mut world, 1300);
    assert!(version(&world).is_signed());
    assert!(points_at(&world, HOME));
}

#[test]
fn a_draft_that_the_clock_has_left_in_the_future_is_made_anew() {
    let mut world = large_world();
    world.drafts_take = SLOW;
    world.start();
    pass(&mut world, 60);
    world.wall_off -= 4 * 3_600_000;
    while !version(&world).is_signed() {
        pass(&mut world, 60);
        assert!(world.elapsed() < 10 * SLOW);
    }
    let (begins, _) = version(&world).latest_signature().unwrap();
    assert!(begins <= world.wall());
}
