//! Zones kept by the store: what is read again after stops and kills, how much room they take.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use repoint::clock::Wall;
use repoint::decide::Generation;
use repoint::engine::{InboundCopy, Keep, KeptInbound, Remembered};
use repoint::store::{self, Store};
use repoint::topology::{DomainName, Nameservers, Topology, Zone};
use repoint::zone::{Challenges, Inputs, Layout, Serial, StaticZone, ZoneVersion, Zones, compile};

const AT: Wall = Wall::from_millis(1_795_000_000_000);

fn domain(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn zone(apex: &str, records: &str) -> StaticZone {
    let text = format!(
        "$TTL 3600\n@ SOA ns1.example.net. hostmaster 7 60 30 7d 30\n@ NS ns1.example.net.\n{records}"
    );
    let mut none = |_: repoint::zone::Include<'_>| Err("none".to_owned());
    StaticZone::parse(&domain(apex), "test", text.as_bytes(), &mut none).unwrap()
}

/// The next publication of zones with these records.
fn publish(zones: &[(&str, &str)], previous: &Zones, serial: u32) -> Zones {
    let statics: BTreeMap<_, _> = zones
        .iter()
        .map(|(apex, records)| (domain(apex), Arc::new(zone(apex, records))))
        .collect();
    let configured = statics.keys().map(|apex| {
        let zone = Zone {
            apex: apex.clone(),
            primary: None,
        };
        (apex.clone(), zone)
    });
    let nameservers = Nameservers {
        servers: Vec::new(),
        hostmaster: None,
        negative_ttl: 30,
        ttl: 3600,
    };
    let (none, routes) = (BTreeMap::new(), BTreeMap::new());
    let topology = Topology::new(none, routes, configured.collect(), nameservers, Vec::new());
    compile(&Inputs {
        layout: &Layout::new(&topology, statics).unwrap(),
        decisions: &BTreeMap::new(),
        keys: &BTreeMap::new(),
        unsignable: &Arc::default(),
        challenges: &Challenges::default(),
        previous: Some(previous),
        generation: Generation(serial.into()),
        serial: Serial(serial),
        now: AT,
        beside: None,
    })
}

fn keep(zones: &Zones, last: bool) -> Keep {
    Keep {
        zones: Arc::new(zones.clone()),
        inbound: Vec::new(),
        at: AT,
        last,
    }
}

async fn kept(store: &Store, zones: &Zones, last: bool) {
    store.keep(keep(zones, last)).await.unwrap().unwrap();
}

fn open(dir: &Path) -> (Store, Remembered) {
    Store::open(dir, AT).unwrap()
}

/// Every record of every zone, and the histories.
fn shown<'a>(zones: impl Iterator<Item = &'a Arc<ZoneVersion>>) -> Vec<String> {
    let mut all: Vec<String> = zones
        .map(|zone| {
            let mut lines: Vec<String> = zone.records().map(|r| r.to_string()).collect();
            lines[1..].sort();
            format!("{lines:#?}{:#?}", zone.history())
        })
        .collect();
    all.sort();
    all
}

fn octets(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("repoint.db")).unwrap().len()
}

#[tokio::test]
async fn every_version_is_read_again_with_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let mut zones = Zones::empty();
    // A zone that grows to many records, so that snapshots are written anew now and then; one that never changes;
    // one that goes away and comes back.
    for step in 1..120_u32 {
        let many: String = (0..step % 50)
            .map(|n| format!("a{n} A 192.0.2.{}\n", (n + step) % 200))
            .collect();
        let mut all = vec![
            ("a.example", many.as_str()),
            ("b.example", "x A 192.0.2.1\n"),
        ];
        if step % 20 < 10 {
            all.push(("c.example", "*.x TXT \"a\\000b\"\n"));
        }
        zones = publish(&all, &zones, 1000 + step);
        if step % 3 != 0 {
            // Some publications come too fast for the disk.
            kept(&store, &zones, false).await;
        }
        if step % 7 == 0 {
            kept(&store, &zones, false).await;
            assert_eq!(
                shown(store.recall().await.unwrap().zones.iter()),
                shown(zones.iter())
            );
            drop(store);
            let (again, remembered) = open(dir.path());
            assert_eq!(
                shown(remembered.zones.iter()),
                shown(zones.iter()),
                "step {step}"
            );
            assert!(!remembered.complete);
            store = again;
        }
    }
}

#[tokio::test]
async fn only_the_start_right_after_an_orderly_stop_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let (store, remembered) = open(dir.path());
    assert!(!remembered.complete, "a first start");
    let zones = publish(&[("a.example", "x A 192.0.2.1\n")], &Zones::empty(), 5);
    kept(&store, &zones, true).await;
    drop(store);
    let backup = dir.path().join("backup");
    store::backup(dir.path(), &backup).unwrap();

    let (store, remembered) = open(dir.path());
    assert!(remembered.complete);
    assert_eq!(remembered.zones[0].serial(), Serial(5));
    drop(store);
    let (store, remembered) = open(dir.path());
    assert!(!remembered.complete, "nothing was said at the second stop");
    kept(&store, &zones, true).await;
    drop(store);

    // Whoever puts an older database back has not what was served last, whatever the mark beside it says.
    std::fs::copy(&backup, dir.path().join("repoint.db")).unwrap();
    let (store, remembered) = open(dir.path());
    assert!(!remembered.complete);
    kept(&store, &zones, true).await;
    drop(store);
    store::restore(dir.path(), &backup, AT).unwrap();
    let (store, remembered) = open(dir.path());
    assert!(!remembered.complete && remembered.doubt.is_some());
    assert_eq!(
        shown(remembered.zones.iter()),
        shown(zones.iter()),
        "a backup has the zones"
    );
    kept(&store, &zones, true).await;
    drop(store);
    let later = AT + std::time::Duration::from_secs(2 * 60);
    assert!(!Store::open(dir.path(), later).unwrap().1.complete);
}

#[tokio::test]
async fn a_zone_takes_about_twice_its_own_room_however_often_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let many: String = (0..300).map(|n| format!("a{n} A 192.0.2.1\n")).collect();
    let mut zones = Zones::empty();
    let mut most = 0;
    for step in 0..150_u32 {
        let moved: String = (0..30)
            .map(|n| format!("m{n} A 192.0.2.{}\n", step % 250))
            .collect();
        zones = publish(
            &[("a.example", &format!("{many}{moved}"))],
            &zones,
            1000 + step,
        );
        kept(&store, &zones, false).await;
        if step == 0 {
            most = octets(dir.path()).max(100 << 10) * 4;
        }
    }
    drop(store);
    assert!(
        octets(dir.path()) <= most,
        "{} > {most}",
        octets(dir.path())
    );
    let (_store, remembered) = open(dir.path());
    assert_eq!(shown(remembered.zones.iter()), shown(zones.iter()));
}

#[tokio::test]
async fn a_zone_that_cannot_be_read_is_no_reason_to_doubt_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let both = [
        ("a.example", "x A 192.0.2.1\n"),
        ("b.example", "x A 192.0.2.1\n"),
    ];
    kept(&store, &publish(&both, &Zones::empty(), 5), true).await;
    drop(store);
    let database = rusqlite::Connection::open(dir.path().join("repoint.db")).unwrap();
    let changed = database
        .execute("UPDATE snapshots SET body = x'01' WHERE id = 1", [])
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    let (_store, remembered) = open(dir.path());
    assert_eq!((remembered.zones.len(), remembered.doubt), (1, None));
}

#[tokio::test]
async fn large_zones_and_what_primaries_sent_are_kept_in_slices() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let many: String = (0..12_000)
        .map(|n| format!("host{n} A 192.0.2.1\n"))
        .collect();
    let zones = publish(
        &[("a.example", &many), ("b.example", "")],
        &Zones::empty(),
        5,
    );
    let sent = |records: &str| KeptInbound {
        copy: Arc::new(InboundCopy {
            apex: domain("sent.example"),
            zone: Arc::new(zone("sent.example", records)),
            from: "192.0.2.1:53".parse().unwrap(),
            received: AT,
        }),
        checked: AT,
    };
    for records in [many.as_str(), "x A 192.0.2.9\n"] {
        let kept = store.keep(Keep {
            inbound: vec![sent(records)],
            ..keep(&zones, false)
        });
        let batch = repoint::engine::Batch {
            accepted: Some("{}".into()),
            ..Default::default()
        };
        store.commit(batch).first(None).await.unwrap();
        kept.await.unwrap().unwrap();
    }
    drop(store);
    let (store, remembered) = open(dir.path());
    assert_eq!(shown(remembered.zones.iter()), shown(zones.iter()));
    let [again] = remembered.inbound.as_slice() else {
        panic!("one: {:?}", remembered.inbound)
    };
    let before = sent("x A 192.0.2.9\n");
    assert_eq!(
        again.copy.zone.to_master_text(),
        before.copy.zone.to_master_text()
    );
    assert_eq!((again.copy.from, again.checked), (before.copy.from, AT));
    kept(&store, &zones, false).await;
    drop(store);
    assert!(
        open(dir.path()).1.inbound.is_empty(),
        "it has left the configuration"
    );
}
