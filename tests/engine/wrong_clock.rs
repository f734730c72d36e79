//! Signed zones whose wall clock is wrong: what validators with the right time meet.

use repoint::decide::OverrideKey;
use repoint::engine::{AlarmKind, Command, Lifetime};

use crate::signed::{active, pass, signed_world, version, zone};
use crate::world::{Happened, StoreMood, World};

/// When the signatures of the version served begin and end, as a validator reads them: the latest inception, the
/// earliest expiration.
fn validity(world: &World) -> (i64, i64) {
    let version = version(world);
    let (inception, _) = version.latest_signature().unwrap();
    let expiration = version.expiration().unwrap();
    (inception.as_millis(), expiration.as_millis())
}

fn clock_doubtful(world: &World) -> bool {
    let view = world.engine.as_ref().unwrap().view(world.now());
    let mut alarms = view.alarms.iter();
    alarms.any(|alarm| alarm.kind == AlarmKind::ClockDoubtful)
}

/// A process begins while the store does not answer: until it has waited for it, nothing is served.
fn start_slowly(world: &mut World) {
    world.store(StoreMood::Hung);
    world.start();
    pass(world, 1);
}

#[test]
fn a_clock_that_is_set_back_before_the_first_publication_is_believed() {
    let mut world = signed_world();
    active(&mut world);
    let signed_at = validity(&world).0;
    world.kill();
    start_slowly(&mut world);
    world.wall_off -= YEARS;
    let happened = pass(&mut world, 60);
    let mut published = happened.iter().filter_map(|one| match one {
        Happened::Published(zones) => zones.zone(&zone()),
        _ => None,
    });
    let first = published.next().unwrap().latest_signature().unwrap();
    assert!(first.0 <= world.wall(), "also the first of them");
    assert!(signed_at > world.wall().as_millis());
    assert!(!clock_doubtful(&world));
}

#[test]
fn a_clock_that_is_set_right_before_the_first_publication_is_followed_once() {
    let mut world = signed_world();
    active(&mut world);
    world.kill();
    world.wall_off -= YEARS;
    start_slowly(&mut world);
    // Not all the way.
    world.wall_off += YEARS - 86_400_000;
    pass(&mut world, 60);
    assert!(clock_doubtful(&world));
    let (inception, _) = validity(&world);
    let right = world.wall().as_millis() + 86_400_000;
    assert!(inception <= right && inception > right - 2 * 86_400_000);
    world.wall_off += 86_400_000;
    pass(&mut world, 60);
    assert!(!clock_doubtful(&world));
    assert!(validity(&world).0 <= world.wall().as_millis());
}

const YEARS: i64 = 20 * 365 * 86_400_000;

#[test]
fn a_start_with_a_clock_that_is_behind_makes_nothing_bogus() {
    let mut world = signed_world();
    active(&mut world);
    world.kill();
    world.wall_off -= YEARS;
    world.start();
    pass(&mut world, 600);
    assert!(clock_doubtful(&world));
    let pin = Command::SetOverride {
        key: OverrideKey::Pin {
            route: "contoso".parse().unwrap(),
        },
        pool: Some("edgepool2".parse().unwrap()),
        lifetime: Lifetime::Forever,
        never: false,
        force: true,
    };
    let before = version(&world).serial();
    world.request(pin, "ann", None, false, false);
    pass(&mut world, 2);
    assert_ne!(version(&world).serial(), before);
    let really = |world: &World| world.wall().as_millis() + YEARS;
    let (inception, expiration) = validity(&world);
    assert!(
        inception <= really(&world),
        "valid for clocks that are right"
    );
    assert!(expiration > really(&world) + 10 * 86_400_000);

    world.wall_off += YEARS;
    pass(&mut world, 60);
    assert!(!clock_doubtful(&world));
    let now = world.wall().as_millis();
    let (inception, expiration) = validity(&world);
    assert!(inception <= now && expiration > now + 10 * 86_400_000);
}

#[test]
fn signatures_of_a_clock_that_was_ahead_are_made_anew_when_an_operator_says_that_it_is_right_now() {
    let mut world = signed_world();
    active(&mut world);
    world.wall_off += YEARS;
    pass(&mut world, 600);
    world.kill();
    world.wall_off -= YEARS;
    world.start();
    pass(&mut world, 600);
    assert!(clock_doubtful(&world));
    assert!(validity(&world).0 > world.wall().as_millis());
    world.request(Command::AcceptState, "ann", None, false, false);
    pass(&mut world, 2);
    assert!(!clock_doubtful(&world));
    assert!(validity(&world).0 <= world.wall().as_millis());
}

#[test]
fn a_clock_that_is_set_back_while_repoint_runs_is_believed() {
    let mut world = signed_world();
    active(&mut world);
    world.wall_off += YEARS;
    pass(&mut world, 600);
    world.kill();
    world.start();
    pass(&mut world, 600);
    assert!(!clock_doubtful(&world));
    world.wall_off -= YEARS;
    pass(&mut world, 60);
    assert!(!clock_doubtful(&world));
    assert!(validity(&world).0 <= world.wall().as_millis());
}
