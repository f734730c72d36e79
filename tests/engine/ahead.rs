//! Serials ahead of ours: who may raise doubt, that failover goes on, and that every step can be followed (RFC 1982).

use std::net::IpAddr;

use repoint::engine::{AlarmKind, Claim, Command, Event, Severity, Sighting, Standing};
use repoint::zone::{Name, Serial};

use crate::lost_keys::pass_few;
use crate::network::Behaviour;
use crate::setup::{self, Words};
use crate::signed::{self, active, pass, signed_world};
use crate::world::{Happened, World};

const SECONDARY: &str = "192.0.2.53:53";
const HALF: u32 = 1 << 31;

fn world(text: &str) -> World {
    let words = Words::parse(text.split_whitespace()).unwrap();
    let mut world = World::new(setup::configuration(&words).unwrap(), 1);
    world.start();
    pass(&mut world, 30);
    world
}

fn zone(world: &World) -> (Name, Serial) {
    let zone = world.zones.iter().next().unwrap();
    (zone.apex().clone(), zone.serial())
}

fn claim(
    world: &mut World,
    server: &str,
    standing: Standing,
    addresses: &[&str],
    by: u32,
) -> Serial {
    let (apex, ours) = zone(world);
    let serial = Serial(ours.0.wrapping_add(by));
    let addresses = addresses
        .iter()
        .map(|address| address.parse::<IpAddr>().unwrap());
    world.event(Event::SerialAhead(Box::new(Claim {
        server: server.to_owned(),
        standing,
        addresses: addresses.collect(),
        apex,
        serial,
    })));
    pass(world, 2);
    serial
}

fn severity(world: &World, kind: AlarmKind) -> Option<Severity> {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let mut alarms = view.alarms.iter();
    alarms
        .find(|alarm| alarm.kind == kind)
        .map(|alarm| alarm.severity)
}

fn accept(world: &mut World) -> bool {
    world.request(Command::AcceptState, "ann", None, false, false);
    let happened = pass(world, 5);
    let mut replies = happened.into_iter().filter_map(|one| match one {
        Happened::Replied(_, result) => Some(result.is_ok()),
        _ => None,
    });
    replies.next().unwrap()
}

/// The secondary says that it has every zone with this serial.
fn says(world: &mut World, serial: Serial) {
    let sightings = world.zones.iter().map(|zone| Sighting {
        secondary: SECONDARY.parse().unwrap(),
        apex: zone.apex().clone(),
        serial,
    });
    let sightings = sightings.collect();
    world.tell(Event::Sighted(sightings));
    pass(world, 5);
}

fn fails_over(world: &mut World) {
    let (_, before) = zone(world);
    world
        .network
        .set("192.0.2.10".parse().unwrap(), None, Behaviour::Refused);
    pass(world, 120);
    let view = world.engine.as_ref().unwrap().view(world.now());
    let decision = &view.routes[0].decision;
    assert_eq!(decision.active.as_str(), "edgepool2");
    assert!(zone(world).1.is_after(before), "followers follow");
}

#[test]
fn one_nameservers_word_is_an_alarm_and_stops_nothing() {
    for by in [1, 500_000, HALF - 1] {
        let mut world = world("");
        let serial = claim(
            &mut world,
            "nameserver ns3",
            Standing::Nameserver,
            &["203.0.113.3"],
            by,
        );
        assert_eq!(
            severity(&world, AlarmKind::SerialAhead),
            Some(Severity::Warning)
        );
        assert_eq!(severity(&world, AlarmKind::StateDoubtful), None);
        let before = zone(&world).1;
        fails_over(&mut world);
        assert!(
            zone(&world).1.0.wrapping_sub(before.0) < 1000,
            "{serial} is not aimed at"
        );
        assert!(!accept(&mut world), "there is nothing to accept");
    }
}

#[test]
fn one_server_with_two_names_or_addresses_does_not_agree_with_itself() {
    let mut world = world("");
    let nameserver = Standing::Nameserver;
    claim(
        &mut world,
        "nameserver a",
        nameserver,
        &["203.0.113.3", "2001:db8::3"],
        500_000,
    );
    claim(
        &mut world,
        "nameserver b",
        nameserver,
        &["2001:db8::3"],
        500_000,
    );
    claim(
        &mut world,
        "secondary c",
        Standing::Secondary,
        &["203.0.113.3"],
        500_000,
    );
    assert_eq!(severity(&world, AlarmKind::StateDoubtful), None);
    claim(
        &mut world,
        "nameserver d",
        nameserver,
        &["203.0.113.4"],
        400_000,
    );
    assert_eq!(
        severity(&world, AlarmKind::StateDoubtful),
        Some(Severity::Critical)
    );
}

#[test]
fn failover_goes_on_past_a_serial_that_a_secondary_has_signed() {
    let mut world = world("");
    let signed = Standing::SignedSecondary;
    let serial = claim(
        &mut world,
        "secondary ns2",
        signed,
        &["192.0.2.53"],
        500_000,
    );
    assert_eq!(
        severity(&world, AlarmKind::StateDoubtful),
        Some(Severity::Critical)
    );
    fails_over(&mut world);
    assert!(zone(&world).1.is_after(serial), "the secondary follows");
    pass(&mut world, 60);
    assert_eq!(
        severity(&world, AlarmKind::StateDoubtful),
        None,
        "ours is later now"
    );
}

#[test]
fn the_word_of_an_unsigned_secondary_counts_when_an_operator_says_so() {
    let mut world = world("secondary=192.0.2.53:53");
    let serial = claim(
        &mut world,
        "secondary ns2",
        Standing::Secondary,
        &["192.0.2.53"],
        500_000,
    );
    assert_eq!(severity(&world, AlarmKind::StateDoubtful), None);
    assert_eq!(
        severity(&world, AlarmKind::SerialAhead),
        Some(Severity::Warning)
    );
    assert!(accept(&mut world));
    assert!(zone(&world).1.is_after(serial));
    assert_eq!(severity(&world, AlarmKind::SerialAhead), None);
}

#[test]
fn a_claim_that_is_taken_back_or_not_repeated_is_forgotten() {
    let mut world = world("secondary=192.0.2.53:53");
    let signed = Standing::SignedSecondary;
    claim(
        &mut world,
        "secondary ns2",
        signed,
        &["192.0.2.53"],
        500_000,
    );
    let ours = zone(&world).1;
    says(&mut world, ours);
    assert_eq!(severity(&world, AlarmKind::StateDoubtful), None);
    claim(
        &mut world,
        "secondary ns2",
        signed,
        &["192.0.2.53"],
        500_000,
    );
    assert_eq!(
        severity(&world, AlarmKind::StateDoubtful),
        Some(Severity::Critical)
    );
    pass(&mut world, 20 * 60);
    assert_eq!(severity(&world, AlarmKind::StateDoubtful), None);
}

#[test]
fn the_farthest_serial_is_passed_in_steps_that_every_secondary_follows() {
    for restart in [false, true] {
        let mut world = world("secondary=192.0.2.53:53");
        let signed = Standing::SignedSecondary;
        let mut held = zone(&world).1;
        says(&mut world, held);
        let goal = claim(
            &mut world,
            "secondary ns9",
            signed,
            &["203.0.113.9"],
            HALF - 1,
        );
        assert!(accept(&mut world));
        let mut steps = 0;
        while !zone(&world).1.is_after(goal) {
            let now = zone(&world).1;
            assert!(now.is_after(held), "{now} follows {held}");
            assert!(now.0.wrapping_sub(held.0) < HALF - 1, "{held} -> {now}");
            if restart {
                world.kill();
                world.start();
            }
            pass(&mut world, 3600);
            let waited = zone(&world).1;
            assert!(waited.0.wrapping_sub(now.0) < 100_000, "it waits for ns2");
            held = waited;
            says(&mut world, held);
            steps += 1;
            assert!(steps < 5, "{held} does not come near {goal}");
        }
        // A restart begins behind what was reserved, and so saves one.
        assert!(steps >= if restart { 1 } else { 2 }, "{steps}");
        let reached = zone(&world).1;
        assert!(reached.is_after(held) && reached.0.wrapping_sub(held.0) < HALF - 1);
        assert!(
            world.disk.reservation.unwrap().goal.is_none() || {
                pass(&mut world, 10);
                world.disk.reservation.unwrap().goal.is_none()
            }
        );
    }
}

#[test]
fn a_secondary_that_is_ahead_again_and_again_does_not_lose_the_others() {
    let mut world = world("secondary=192.0.2.53:53 routes=2");
    let held: Vec<(Name, Serial)> = world
        .zones
        .iter()
        .map(|zone| (zone.apex().clone(), zone.serial()))
        .collect();
    let liar = Standing::SignedSecondary;
    for round in 0..8 {
        claim(
            &mut world,
            "secondary liar",
            liar,
            &["203.0.113.9"],
            HALF - 1,
        );
        let to = if round % 2 == 0 {
            Behaviour::Refused
        } else {
            Behaviour::Ok
        };
        world.network.set("192.0.2.10".parse().unwrap(), None, to);
        let other = if round % 2 == 0 {
            Behaviour::Ok
        } else {
            Behaviour::Refused
        };
        world
            .network
            .set("198.51.100.10".parse().unwrap(), None, other);
        pass(&mut world, 600);
        for (apex, held) in &held {
            let now = world.zones.version_at(apex).unwrap().serial();
            assert!(
                now == *held || now.is_after(*held),
                "ns2 holds {held} of {apex}, and not {now}"
            );
        }
    }
}

#[test]
fn steps_wait_for_a_zone_that_cannot_get_a_new_version() {
    let mut world = signed_world();
    let tag = active(&mut world);
    world.disk.ring.remove(&signed::zone(), tag);
    world.kill();
    world.start();
    pass(&mut world, 60);
    let stuck = world.zones.zone(&signed::zone()).unwrap().serial();
    let is_other = |apex: &Name| apex.to_string() != format!("{}.", signed::ZONE);
    let mut all: Vec<_> = world.zones.iter().cloned().collect();
    all.retain(|zone| is_other(zone.apex()));
    let other = all[0].clone();
    world.event(Event::SerialAhead(Box::new(Claim {
        server: "secondary ns2".to_owned(),
        standing: Standing::Secondary,
        addresses: ["192.0.2.53".parse().unwrap()].into(),
        apex: other.apex().clone(),
        serial: Serial(other.serial().0.wrapping_add(HALF - 100)),
    })));
    pass(&mut world, 2);
    let before = world.zones.generation();
    assert!(accept(&mut world));
    pass_few(&mut world, 60, 2000);
    let published = world.zones.generation().0 - before.0;
    assert!(published <= 4, "{published} publications in a minute");
    assert_eq!(world.zones.zone(&signed::zone()).unwrap().serial(), stuck);
}

#[test]
fn many_addresses_of_a_nameserver_leave_room_for_a_secondary() {
    let mut world = world("secondary=192.0.2.53:53");
    for n in 0..40 {
        let server = format!("nameserver ns3 (203.0.113.{n})");
        let addresses = ["203.0.113.1", "203.0.113.2"];
        claim(&mut world, &server, Standing::Nameserver, &addresses, 5_000);
    }
    let secondary = Standing::Secondary;
    let serial = claim(
        &mut world,
        "secondary ns2",
        secondary,
        &["192.0.2.53"],
        500_000,
    );
    assert!(accept(&mut world));
    assert!(zone(&world).1.is_after(serial));
}
