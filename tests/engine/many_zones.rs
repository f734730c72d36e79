//! Many small zones: however many are to be signed at once, one publication signs a bounded number of RRsets, and failovers
//! come between.
//!
//! In: worlds with twenty RRsets as the bound. Out: signatures counted per publication. Never here: how long signing takes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use repoint::engine::{ChallengeChange, Command};
use repoint::zone::Zones;

use crate::in_time::pin;
use crate::setup::{self, Words};
use crate::signed::{pass, world};
use crate::world::{Happened, World};

const WORDS: &str = "dnssec=yes domains=20 most_at_once=20";

/// As many RRsets as the largest of these zones may have with all records of keys.
const OF_ONE_ZONE: usize = 12;

fn many_zones() -> World {
    let mut world = world(WORDS);
    world.start();
    pass(&mut world, 600);
    assert_eq!(
        world.zones.iter().filter(|zone| zone.is_signed()).count(),
        40
    );
    assert!(!world.zones.is_behind());
    world
}

fn signatures(zones: &Zones) -> BTreeSet<String> {
    let texts = zones.iter().map(|zone| zone.to_master_text());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.contains("\tRRSIG\t")).collect()
}

/// How many signatures each publication has that the one before had not.
fn new_signatures(before: &Arc<Zones>, happened: &[Happened]) -> Vec<usize> {
    let published = happened.iter().filter_map(|one| match one {
        Happened::Published(zones) => Some(zones),
        _ => None,
    });
    let all: Vec<_> = std::iter::once(before)
        .chain(published)
        .map(|zones| signatures(zones))
        .collect();
    all.windows(2)
        .map(|pair| pair[1].difference(&pair[0]).count())
        .collect()
}

#[test]
fn zones_whose_keys_step_at_once_are_signed_some_at_a_time() {
    let mut world = world("dnssec=yes domains=40 most_at_once=20");
    world.start();
    let happened = pass(&mut world, 600);
    let signed: Vec<usize> = happened
        .iter()
        .filter_map(|one| match one {
            Happened::Published(zones) => {
                Some(zones.iter().filter(|zone| zone.is_signed()).count())
            }
            _ => None,
        })
        .collect();
    let most = signed.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(most.unwrap() <= 20, "{signed:?}");
    assert_eq!(signed.last(), Some(&80), "in the end all are");
}

#[test]
fn signatures_that_are_due_in_many_zones_at_once_are_renewed_some_at_a_time() {
    let mut world = many_zones();
    let before = world.zones.clone();
    // Every signature begins in the future of this clock.
    world.wall_off -= 4 * 3_600_000;
    let happened = pass(&mut world, 60);
    let new = new_signatures(&before, &happened);
    assert!(new.iter().all(|new| *new <= 20 + OF_ONE_ZONE), "{new:?}");
    assert!(!world.zones.is_behind());
    for zone in world.zones.iter() {
        let (begins, _) = zone.latest_signature().unwrap();
        assert!(begins <= world.wall(), "{zone:?}");
    }
}

#[test]
fn a_reload_that_changes_many_zones_signs_them_some_at_a_time_and_a_pin_goes_before() {
    let mut world = many_zones();
    let before = world.zones.clone();
    // The SOA, and with it the TTL of the keys.
    let words = format!("{WORDS} zone_ttl=77s");
    let words = Words::parse(words.split_whitespace()).unwrap();
    let command = Command::Reload {
        configuration: setup::configuration(&words).unwrap(),
        allow_removal: false,
    };
    world.request(command, "ann", None, false, false);
    let mut happened = Vec::new();
    while !world.zones.is_behind() {
        happened.extend(
            world
                .step(world.elapsed() + Duration::from_secs(10))
                .unwrap(),
        );
    }
    let with_77 = |zones: &Zones| zones.iter().filter(|zone| zone.soa().ttl == 77).count();
    let new = new_signatures(&before, &happened);
    assert!(
        with_77(&world.zones) < 10,
        "{} {new:?}",
        with_77(&world.zones)
    );
    pin(&mut world, "edgepool2");
    let away = |zones: &Zones| {
        let texts = zones.iter().map(|zone| zone.to_master_text());
        texts
            .filter(|text| text.contains("\tA\t198.51.100.10\n"))
            .count()
    };
    let mut moved = false;
    while !moved || world.zones.is_behind() {
        let step = world
            .step(world.elapsed() + Duration::from_secs(10))
            .unwrap();
        if away(&world.zones) > 0 {
            assert_eq!(away(&world.zones), 20, "in one publication");
            moved = true;
        } else {
            happened.extend(step);
        }
    }
    let new = new_signatures(&before, &happened);
    assert!(new.iter().all(|new| *new <= 20 + OF_ONE_ZONE), "{new:?}");
    assert_eq!(with_77(&world.zones), 40);
}

#[test]
fn zones_with_challenges_in_force_keep_no_others_waiting() {
    let mut world = many_zones();
    let apexes = world.zones.iter().map(|zone| zone.apex().to_string());
    let names = apexes.filter_map(|apex| {
        let name = apex.trim_end_matches('.');
        let name = name.starts_with("xmpp.").then_some(name)?;
        format!("_acme-challenge.{name}").parse().ok()
    });
    let changes: Vec<_> = names
        .map(|name| (name, ChallengeChange::Set("value".into())))
        .collect();
    assert_eq!(changes.len(), 20);
    let challenges = Command::Challenges {
        changes,
        lifetime: None,
        lenient: false,
    };
    world.request(challenges, "ann", None, false, false);
    pass(&mut world, 60);
    let words = format!("{WORDS} zone_ttl=5m");
    let words = Words::parse(words.split_whitespace()).unwrap();
    let reload = Command::Reload {
        configuration: setup::configuration(&words).unwrap(),
        allow_removal: false,
    };
    world.request(reload, "ann", None, false, false);
    let happened = pass(&mut world, 60);
    let published = happened
        .iter()
        .filter(|one| matches!(one, Happened::Published(_)))
        .count();
    assert!(published <= 100, "{published} publications in a minute");
    assert!(!world.zones.is_behind());
    let ttls: BTreeSet<u32> = world.zones.iter().map(|zone| zone.soa().ttl).collect();
    assert_eq!(ttls, BTreeSet::from([300]));
}
