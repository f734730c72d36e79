//! Processes that begin without a store, between others that have one: secondaries follow all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use repoint::engine::{Claim, Command, Event, Standing};
use repoint::zone::{Serial, ZoneVersion};

use crate::setup::{self, Words};
use crate::signed::pass;
use crate::world::{Happened, StoreMood, World};

fn world() -> World {
    let words = Words::parse([].into_iter()).unwrap();
    World::new(setup::configuration(&words).unwrap(), 1)
}

/// What a secondary has that follows every version it is told of.
#[derive(Default)]
struct Secondary(BTreeMap<String, Arc<ZoneVersion>>);

impl Secondary {
    /// # Panics
    /// When it ignores a version, because that is not later, or takes it for the one it has.
    fn follow(&mut self, happened: &[Happened], when: &str) {
        for what in happened {
            let Happened::Published(zones) = what else {
                continue;
            };
            for zone in zones.iter() {
                if let Some(held) = self.0.get(&zone.apex().to_string()) {
                    let same = held.serial() == zone.serial() && held.same_records(zone);
                    assert!(
                        same || zone.serial().is_after(held.serial()),
                        "{when}: {} after {}",
                        zone.serial(),
                        held.serial()
                    );
                }
                self.0.insert(zone.apex().to_string(), zone.clone());
            }
        }
    }

    fn process(&mut self, world: &mut World, mood: StoreMood, seconds: u64, when: &str) {
        world.store(mood);
        self.follow(&world.start(), when);
        self.follow(&pass(world, seconds), when);
        assert!(!world.zones.is_empty(), "{when}: nothing is served");
    }
}

#[test]
fn a_start_with_the_store_uses_later_serials_than_one_without_it() {
    use StoreMood::{Dead, Failing, Hung, Well};
    for without in [Dead, Failing, Hung] {
        for before in [0, 30, 2 * 86_400] {
            let mut world = world();
            let mut secondary = Secondary::default();
            if before > 0 {
                secondary.process(&mut world, Well, before, "before");
                world.kill();
                pass(&mut world, 5);
            }
            // One that began long after a kill is not ahead of the clock.
            if before > 0 && without == Dead {
                pass(&mut world, 60);
            }
            let when = format!("{without:?} after {before} s");
            secondary.process(&mut world, without, 40, &when);
            world.kill();
            secondary.process(&mut world, without, 40, &format!("{when}, again"));
            world.kill();
            secondary.process(&mut world, Well, 40, &format!("the store after {when}"));
        }
    }
}

#[test]
fn processes_without_a_store_that_end_within_a_second_use_no_serial_twice() {
    for mood in [StoreMood::Dead, StoreMood::Failing, StoreMood::Hung] {
        let mut world = world();
        let mut secondary = Secondary::default();
        secondary.process(&mut world, StoreMood::Well, 30, "before");
        world.kill();
        pass(&mut world, 30);
        world.store(mood);
        for round in 0..40_u64 {
            let when = format!("{mood:?}, round {round}");
            secondary.follow(&world.start(), &when);
            let until = world.elapsed() + Duration::from_millis(400 + 170 * (round % 20));
            while let Some(happened) = world.step(until) {
                secondary.follow(&happened, &when);
            }
            world.kill();
        }
        secondary.process(&mut world, StoreMood::Well, 30, "the store is back");
    }
}

#[test]
fn commands_without_a_store_wait_for_the_next_serial_and_are_carried_out() {
    let mut world = world();
    world.store(StoreMood::Dead);
    world.start();
    pass(&mut world, 2);
    for pool in ["edgepool2", "edgepool1", "edgepool2"] {
        let command = Command::Failover {
            route: "contoso".parse().unwrap(),
            to: Some(pool.parse().unwrap()),
        };
        world.request(command, "ann", None, false, true);
    }
    let happened = pass(&mut world, 8);
    let done = happened.iter().filter_map(|one| match one {
        Happened::Replied(_, result) => Some(result.as_ref().map(|done| done.volatile)),
        _ => None,
    });
    let done: Vec<_> = done.collect();
    assert_eq!(done.len(), 3);
    assert!(done.iter().all(|done| *done == Ok(true)), "{done:?}");
    let view = world.engine.as_ref().unwrap().view(world.now());
    assert_eq!(view.routes[0].decision.active.as_str(), "edgepool2");
}

/// A secondary with a key has this serial of every zone.
fn proves(world: &mut World, serial: Serial) {
    let zones: Vec<_> = world.zones.iter().cloned().collect();
    for zone in zones {
        world.event(Event::SerialAhead(Box::new(Claim {
            server: "secondary ns2".to_owned(),
            standing: Standing::SignedSecondary,
            addresses: ["192.0.2.53".parse().unwrap()].into(),
            apex: zone.apex().clone(),
            serial,
        })));
    }
}

fn serials(world: &World) -> Vec<Serial> {
    world.zones.iter().map(|zone| zone.serial()).collect()
}

#[test]
fn a_process_without_a_store_goes_past_a_serial_ahead_of_the_clock_at_once() {
    let mut world = world();
    world.store(StoreMood::Dead);
    world.start();
    pass(&mut world, 30);
    let ours = serials(&world)[0];
    let ahead = Serial(ours.0 + 10_000);
    proves(&mut world, ahead);
    pass(&mut world, 5);
    assert!(serials(&world).iter().all(|serial| serial.is_after(ahead)));
}

#[test]
fn a_start_after_an_orderly_stop_goes_past_a_serial_of_a_process_between_at_once() {
    let mut world = world();
    world.start();
    pass(&mut world, 30);
    let ours = serials(&world);
    world.stop();
    world.store(StoreMood::Dead);
    world.start();
    pass(&mut world, 30);
    let between = serials(&world);
    assert_ne!(ours, between);
    world.kill();
    world.store(StoreMood::Well);
    world.start();
    pass(&mut world, 5);
    // A minute is too short a time to give every zone a new serial.
    assert_eq!(serials(&world), ours);
    proves(&mut world, between[0]);
    pass(&mut world, 5);
    let mut after = serials(&world).into_iter().zip(between);
    assert!(after.all(|(after, between)| after.is_after(between)));
}

#[test]
fn a_start_a_while_after_an_orderly_stop_uses_later_serials_than_a_process_between() {
    let mut world = world();
    let mut secondary = Secondary::default();
    secondary.process(&mut world, StoreMood::Well, 30, "before");
    world.stop();
    secondary.process(&mut world, StoreMood::Dead, 90, "between");
    world.kill();
    secondary.process(&mut world, StoreMood::Well, 30, "after");
}

#[test]
fn a_running_process_does_not_follow_every_serial_that_a_secondary_proves() {
    let mut world = world();
    world.start();
    pass(&mut world, 3600);
    let ours = serials(&world);
    let proven = Serial(ours[0].0 + 100);
    proves(&mut world, proven);
    pass(&mut world, 5);
    assert_eq!(serials(&world), ours, "the next failover does");
}
