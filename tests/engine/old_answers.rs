//! When a drained pool may be stopped: not before every configured secondary has left it, and every zone that is held back.

use std::time::Duration;

use repoint::clock::Wall;
use repoint::decide::OverrideKey;
use repoint::engine::{Command, Event, Lifetime, PoolView, Sighting};
use repoint::zone::Serial;

use crate::setup::{self, Words};
use crate::signed::{active, pass, world, zone};
use crate::world::{Happened, World};

const SECONDARY: &str = "192.0.2.53:53";
const WITH_SECONDARY: &str = "secondary=192.0.2.53:53";
const TTL: u64 = 30;

fn started(words: &str) -> World {
    let mut world = world(words);
    world.start();
    pass(&mut world, 60);
    world
}

/// Gives a command and says what the operator is answered.
fn answer(world: &mut World, command: Command) -> Vec<String> {
    let id = world.request(command, "ann", None, false, false);
    let happened = pass(world, 1);
    let mut replies = happened.into_iter().filter_map(|one| match one {
        Happened::Replied(request, result) if request == id => Some(result.unwrap().warnings),
        _ => None,
    });
    replies.next().unwrap()
}

fn drain(key: OverrideKey) -> Command {
    Command::SetOverride {
        key,
        pool: None,
        never: false,
        lifetime: Lifetime::Forever,
        force: false,
    }
}

fn drain_first(world: &mut World) -> String {
    let pool = "edgepool1".parse().unwrap();
    answer(world, drain(OverrideKey::DrainPool { pool })).join("\n")
}

fn reload(world: &mut World, words: &str) {
    let words = Words::parse(words.split_whitespace()).unwrap();
    let configuration = setup::configuration(&words).unwrap();
    let reload = Command::Reload {
        configuration,
        allow_removal: true,
    };
    answer(world, reload);
}

fn pool(world: &World) -> PoolView {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let route = &view.routes[0].pools[0];
    let pool = view.pools[0].clone();
    assert_eq!(
        (route.old_answers_until, &route.old_answers_from),
        (pool.old_answers_until, &pool.old_answers_from)
    );
    pool
}

fn serial(world: &World) -> Serial {
    world.zones.zone(&zone()).unwrap().serial()
}

/// The secondary says that it has this of every zone.
fn says(world: &mut World, serial: impl Fn(Serial) -> Serial) {
    let zones = world.zones.clone();
    let sightings = zones.iter().map(|zone| Sighting {
        secondary: SECONDARY.parse().unwrap(),
        apex: zone.apex().clone(),
        serial: serial(zone.serial()),
    });
    world.tell(Event::Sighted(sightings.collect()));
    pass(world, 1);
}

/// The time that is shown, in seconds from now; none while a server still gives old answers out.
fn gone_in(world: &World) -> Option<i64> {
    let until: Option<Wall> = pool(world).old_answers_until;
    until.map(|until| (until.as_millis() - world.wall().as_millis()).div_euclid(1000))
}

#[test]
fn a_secondary_that_lags_behind_keeps_a_drained_pool_in_use() {
    let mut world = started(WITH_SECONDARY);
    says(&mut world, |ours| ours);
    let old = serial(&world);
    let lags = format!(
        "secondary ns2 (192.0.2.53) still serves serial {old} of _xmpp-server._tcp.contoso.com, where edgepool1 is first (and 1 more)"
    );
    assert_eq!(
        drain_first(&mut world),
        format!(
            "edgepool1: old answers are not gone yet: {lags}; do not stop it before `repoint status` says when they are"
        )
    );
    pass(&mut world, 3600);
    assert_eq!(pool(&world).old_answers_from, Some(lags.clone()));
    // A restart does not make it known.
    world.kill();
    world.start();
    pass(&mut world, 60);
    let unheard = pool(&world).old_answers_from.unwrap();
    assert!(
        unheard.contains("has not said yet which serial"),
        "{unheard}"
    );
    says(&mut world, |_| old);
    assert!(
        pool(&world)
            .old_answers_from
            .unwrap()
            .starts_with("secondary ns2")
    );
    says(&mut world, |ours| Serial(ours.0 + 9));
    let ahead = pool(&world).old_answers_from.unwrap();
    assert!(ahead.contains("ahead of our"), "{ahead}");
    says(&mut world, |ours| ours);
    assert_eq!(pool(&world).old_answers_from, None);
    assert_eq!(gone_in(&world), Some(TTL as i64 - 1));
    // Once known, it stays known.
    world.kill();
    world.start();
    pass(&mut world, 10);
    assert_eq!(gone_in(&world), Some(TTL as i64 - 11));
}

#[test]
fn a_secondary_that_is_taken_away_is_not_waited_for_and_one_without_the_zone_neither() {
    let mut world = started(WITH_SECONDARY);
    drain_first(&mut world);
    pass(&mut world, 600);
    assert_eq!(gone_in(&world), None);
    reload(&mut world, "");
    assert_eq!(gone_in(&world), Some(TTL as i64 - 1));
}

#[test]
fn without_secondaries_the_time_counts_from_the_publication() {
    let mut world = started("");
    let text = drain_first(&mut world);
    assert!(
        text.starts_with("edgepool1: old answers are gone at "),
        "{text}"
    );
    assert_eq!(gone_in(&world), Some(TTL as i64 - 1));
    let decided = world.engine.as_ref().unwrap().view(world.now()).routes[0].clone();
    let until = decided.decision.at + Duration::from_secs(TTL);
    assert_eq!(pool(&world).old_answers_until, Some(until));
}

#[test]
fn a_zone_without_its_key_is_named_as_one_that_still_has_the_pool_first() {
    let mut world = started("dnssec=yes");
    let tag = active(&mut world);
    let whole = world.disk.ring.clone();
    world.disk.ring.remove(&zone(), tag);
    world.kill();
    world.start();
    pass(&mut world, 60);
    let why = "zone xmpp.contoso.com still has edgepool1 first: a private key of it is missing (repoint status)";
    let text = drain_first(&mut world);
    assert!(
        text.contains(&format!(
            "edgepool1: old answers are not gone yet: {why}; do not stop it"
        )),
        "{text}"
    );
    pass(&mut world, 600);
    assert_eq!(pool(&world).old_answers_from.as_deref(), Some(why));
    world.kill();
    world.disk.ring = whole;
    world.start();
    pass(&mut world, 10);
    assert_eq!(pool(&world).old_answers_from, None);
    assert_eq!(gone_in(&world), Some(TTL as i64 - 10));
}

#[test]
fn a_zone_that_is_being_signed_is_named_as_one_that_still_has_the_pool_first() {
    let mut world = started("dnssec=yes most_at_once=0");
    world.drafts_take = Duration::from_secs(600);
    world.stop();
    // Static records have another TTL, and their signatures are to be made anew.
    let words = Words::parse("dnssec=yes most_at_once=0 zone_ttl=2h".split_whitespace()).unwrap();
    world.configuration = setup::configuration(&words).unwrap();
    world.start();
    pass(&mut world, 10);
    let text = drain_first(&mut world);
    let why = "its next version is still being signed";
    assert!(text.contains(why), "{text}");
    pass(&mut world, 300);
    assert!(pool(&world).old_answers_from.unwrap().contains(why));
    pass(&mut world, 1200);
    assert_eq!(pool(&world).old_answers_from, None);
    assert!(pool(&world).old_answers_until.is_some());
}

#[test]
fn a_zone_that_its_primary_has_not_sent_is_named() {
    let mut world = started("names=within zone=contoso.com");
    let text = drain_first(&mut world);
    let why = "zone contoso.com is not served, and other servers may have it: its primary has not sent it yet";
    assert!(text.contains(why), "{text}");
}

#[test]
fn a_ttl_that_was_lowered_shortly_before_a_drain_counts() {
    let mut world = started("ttl=1h");
    reload(&mut world, "ttl=30s");
    pass(&mut world, 600);
    drain_first(&mut world);
    let left = gone_in(&world).unwrap();
    assert!((2990..=3000).contains(&left), "{left}");
    // A secondary that took both versions at once gave out the long one until then.
    let mut world = started(&format!("ttl=1h {WITH_SECONDARY}"));
    reload(&mut world, &format!("ttl=30s {WITH_SECONDARY}"));
    pass(&mut world, 600);
    drain_first(&mut world);
    says(&mut world, |ours| ours);
    assert_eq!(gone_in(&world), Some(3599));
}

#[test]
fn a_drained_target_waits_for_secondaries_as_a_pool_does() {
    let mut world = started(&format!("targets=2 {WITH_SECONDARY}"));
    says(&mut world, |ours| ours);
    let target: repoint::topology::DomainName = "edge1a.contoso.com".parse().unwrap();
    let key = OverrideKey::DrainTarget {
        pool: "edgepool1".parse().unwrap(),
        target: target.clone(),
    };
    let text = answer(&mut world, drain(key)).join("\n");
    let from =
        "edge1a.contoso.com: old answers are not gone yet: secondary ns2 (192.0.2.53) still serves";
    assert!(text.contains(from), "{text}");
    let seen = |world: &World| pool(world).drained_targets[&target].clone();
    assert!(seen(&world).old_answers_from.is_some());
    says(&mut world, |ours| ours);
    assert_eq!(seen(&world).old_answers_from, None);
    let until = seen(&world).old_answers_until.unwrap();
    assert_eq!((until.as_millis() - world.wall().as_millis()) / 1000, 29);
    // The last target: its pool has nothing else, and nothing else serves.
    let mut world = started("pools=1 targets=1");
    let key = OverrideKey::DrainTarget {
        pool: "edgepool1".parse().unwrap(),
        target: "edge1.contoso.com".parse().unwrap(),
    };
    let command = Command::SetOverride {
        key,
        pool: None,
        never: false,
        lifetime: Lifetime::Forever,
        force: true,
    };
    let text = answer(&mut world, command).join("\n");
    let stays = "edge1.contoso.com stays first where nothing else serves: do not stop it";
    assert!(text.contains(stays), "{text}");
}

#[test]
fn a_target_that_is_drained_after_its_pool_was_left_waits_all_the_same() {
    let mut world = started(&format!("targets=2 {WITH_SECONDARY}"));
    says(&mut world, |ours| ours);
    let failover = Command::Failover {
        route: "contoso".parse().unwrap(),
        to: Some("edgepool2".parse().unwrap()),
    };
    answer(&mut world, failover);
    let key = OverrideKey::DrainTarget {
        pool: "edgepool1".parse().unwrap(),
        target: "edge1a.contoso.com".parse().unwrap(),
    };
    let text = answer(&mut world, drain(key)).join("\n");
    let from =
        "edge1a.contoso.com: old answers are not gone yet: secondary ns2 (192.0.2.53) still serves";
    assert!(text.contains(from), "{text}");
}
