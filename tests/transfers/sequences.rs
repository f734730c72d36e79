//! The messages of a transfer, and what a secondary makes of them: AXFR and IXFR of signed zones, as octets.
//!
//! In: publications one after the other. Out: what every client must find: one version, whole, and IXFR that leads from any
//! remembered version to the current one.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};
use repoint::ask::Reply;
use repoint::clock::{Mono, Now};
use repoint::config::Secondary;
use repoint::serve::{
    Manners, Outcome, Peer, Responses, Transfer, TransferKind, Transfers, Transport, respond,
    respond_or_transfer,
};
use repoint::zone::{KeyAlgorithm, Zones};

use crate::ground::{Served, key, single};

fn manners() -> Manners {
    let secondary = Secondary {
        name: "ns2".to_owned(),
        address: "192.0.2.53:53".parse().unwrap(),
        allow: ["192.0.2.53".parse().unwrap()].into(),
        tsig: None,
        zones: None,
    };
    Manners {
        transfers: Transfers {
            secondaries: vec![Arc::new(secondary)],
            ..Transfers::default()
        },
        ..Manners::default()
    }
}

fn peer(transport: Transport) -> Peer {
    Peer {
        address: "192.0.2.53:4711".parse().unwrap(),
        transport,
        idle: None,
    }
}

fn now(served: &Served) -> Now {
    Now {
        mono: Mono::START,
        wall: served.now,
    }
}

/// A request for the whole zone, or for what changed since a serial.
fn request(since: Option<u32>) -> Vec<u8> {
    let mut octets = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, u8::from(since.is_some()), 0, 0];
    let apex = b"\x07contoso\x07example\0";
    octets.extend(apex);
    octets.extend([0, if since.is_some() { 251 } else { 252 }, 0, 1]);
    if let Some(since) = since {
        octets.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
        octets.extend(since.to_be_bytes());
        octets.extend([0; 16]);
    }
    octets
}

fn begin(zones: &Zones, manners: &Manners, since: Option<u32>, now: Now) -> Transfer {
    let peer = peer(Transport::Tcp);
    match respond_or_transfer(zones, manners, &request(since), peer, now, &mut Vec::new()) {
        Responses::Many(transfer) => *transfer,
        other => panic!("{other:?}"),
    }
}

/// All records of a transfer, in order, and how many messages it took.
fn records(mut transfer: Transfer, now: Now) -> (Vec<Record>, usize) {
    let (mut out, mut all, mut messages) = (Vec::new(), Vec::new(), 0);
    while transfer.next(now.wall, &mut out) {
        assert!(out.len() <= 16 << 10, "{} octets", out.len());
        let message = Message::from_vec(&out).unwrap();
        assert!(message.metadata.authoritative);
        assert_eq!(
            message.queries.len(),
            usize::from(messages == 0),
            "the question comes once"
        );
        // Our own reader finds no fault with it either.
        Reply::read(&out).unwrap();
        all.extend(message.answers.clone());
        messages += 1;
    }
    (all, messages)
}

fn serial(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    }
}

/// A zone as its set of records.
fn whole(records: &[Record]) -> BTreeSet<String> {
    let (first, last) = (&records[0], &records[records.len() - 1]);
    assert_eq!(first, last, "the SOA is first and last");
    assert!(serial(first).is_some());
    let set: BTreeSet<String> = records[1..].iter().map(ToString::to_string).collect();
    assert_eq!(set.len(), records.len() - 1, "no record twice");
    set
}

/// Applies an incremental transfer (RFC 1995 §4) to what a client has.
fn apply(have: &mut BTreeSet<String>, records: &[Record]) {
    let newest = serial(&records[0]).unwrap();
    let mut removing = false;
    for record in &records[1..records.len() - 1] {
        if record.record_type() == RecordType::SOA {
            removing = !removing;
        }
        if removing {
            assert!(
                have.remove(&record.to_string()),
                "{record} is not there to be removed"
            );
        } else {
            assert!(have.insert(record.to_string()), "{record} is there already");
        }
    }
    assert!(!removing);
    assert_eq!(serial(&records[records.len() - 1]), Some(newest));
}

/// Enough static records that a flip is a small part of the zone.
fn statics(count: usize) -> String {
    (0..count)
        .map(|n| format!("host{n} A 192.0.2.{}\n", n % 250))
        .collect()
}

#[test]
fn an_incremental_transfer_leads_from_every_remembered_version_to_the_current_one() {
    let manners = manners();
    for keys in [None, Some(single(&key(KeyAlgorithm::EcdsaP256Sha256)))] {
        let signed = keys.is_some();
        let mut served = Served::new(&statics(60), keys);
        let mut versions = Vec::new();
        for n in 0..8_u8 {
            let all = begin(&served.zones, &manners, None, now(&served));
            versions.push((served.serial, whole(&records(all, now(&served)).0)));
            served.active = 2 - n % 2;
            served.publish();
        }
        let current = whole(
            &records(
                begin(&served.zones, &manners, None, now(&served)),
                now(&served),
            )
            .0,
        );
        assert_eq!(
            current.iter().any(|record| record.contains("RRSIG")),
            signed
        );
        let mut incremental = 0;
        for (since, have) in versions {
            let transfer = begin(&served.zones, &manners, Some(since), now(&served));
            let kind = transfer.kind();
            let (records, _) = records(transfer, now(&served));
            let mut have = have;
            match kind {
                TransferKind::Ixfr => {
                    apply(&mut have, &records);
                    incremental += 1;
                    // What was moved there and back is not told: at most what one flip changes.
                    assert!(
                        records.len() < 30,
                        "{} records since {since}",
                        records.len()
                    );
                }
                _ => have = whole(&records),
            }
            assert_eq!(have, current, "since {since}");
        }
        assert!(incremental >= 3, "{incremental} were incremental");
    }
}

#[test]
fn what_a_flip_of_a_signed_zone_changes_is_small() {
    let (manners, keys) = (manners(), single(&key(KeyAlgorithm::EcdsaP256Sha256)));
    let mut served = Served::new(&statics(60), Some(keys));
    let before = served.serial;
    served.active = 2;
    served.publish();
    let mut transfer = begin(&served.zones, &manners, Some(before), now(&served));
    assert_eq!(transfer.kind(), TransferKind::Ixfr);
    let mut out = Vec::new();
    assert!(transfer.next(served.now, &mut out));
    println!("{} octets", out.len());
    assert!(out.len() <= 2048, "{} octets", out.len());
    assert!(!transfer.next(served.now, &mut Vec::new()), "one message");
}

#[test]
fn whoever_is_up_to_date_or_ahead_or_asks_by_datagram_gets_the_soa_alone() {
    let (manners, served) = (manners(), Served::new(&statics(60), None));
    for since in [served.serial, served.serial + 5] {
        let transfer = begin(&served.zones, &manners, Some(since), now(&served));
        let (records, messages) = records(transfer, now(&served));
        assert_eq!((records.len(), messages), (1, 1));
        assert_eq!(serial(&records[0]), Some(served.serial));
    }
    // An unknown serial is answered with the whole zone.
    let unknown = begin(
        &served.zones,
        &manners,
        Some(served.serial.wrapping_sub(100)),
        now(&served),
    );
    assert_eq!(unknown.kind(), TransferKind::Axfr);
    let mut out = Vec::new();
    let ask = |since, transport, out: &mut Vec<u8>| {
        respond(
            &served.zones,
            &manners,
            &request(since),
            peer(transport),
            now(&served),
            out,
        )
    };
    ask(Some(1), Transport::Udp, &mut out);
    let message = Message::from_vec(&out).unwrap();
    assert_eq!(message.answers.len(), 1);
    assert_eq!(serial(&message.answers[0]), Some(served.serial));
    for (since, transport) in [
        (None, Transport::Udp),
        (None, Transport::Https),
        (Some(1), Transport::Quic),
    ] {
        let outcome = ask(since, transport, &mut out);
        let refused = hickory_proto::op::ResponseCode::Refused;
        assert!(
            matches!(outcome, Outcome::Response { rcode, .. } if rcode == refused),
            "{transport}"
        );
    }
}

#[test]
fn a_transfer_shows_one_version_while_a_thousand_others_are_published() {
    let manners = manners();
    let mut served = Served::new(&statics(2000), None);
    let zones = served.zones.clone();
    let alone = whole(&records(begin(&zones, &manners, None, now(&served)), now(&served)).0);
    let mut transfer = begin(&served.zones, &manners, None, now(&served));
    let (mut out, mut all) = (Vec::new(), Vec::new());
    let mut messages = 0;
    while transfer.next(served.now, &mut out) {
        all.extend(Message::from_vec(&out).unwrap().answers.clone());
        messages += 1;
        for _ in 0..300 {
            served.active = 3 - served.active;
            served.publish();
        }
    }
    assert!(messages >= 3, "{messages} messages");
    assert!(served.serial > 1000 || messages < 4);
    assert_eq!(whole(&all), alone);
}

#[test]
fn transfers_at_once_are_bounded_and_their_places_come_back() {
    let (manners, served) = (manners(), Served::new("", None));
    let mut under_way: Vec<Transfer> = Vec::new();
    let refused = loop {
        let said = respond_or_transfer(
            &served.zones,
            &manners,
            &request(None),
            peer(Transport::Tcp),
            now(&served),
            &mut Vec::new(),
        );
        match said {
            Responses::Many(transfer) => under_way.push(*transfer),
            Responses::One(outcome) => break outcome,
            Responses::Later(update) => panic!("{update:?}"),
        }
        assert!(under_way.len() < 100);
    };
    let servfail = hickory_proto::op::ResponseCode::ServFail;
    assert!(matches!(refused, Outcome::Response { rcode, .. } if rcode == servfail));
    assert_eq!(manners.transfers.berths.under_way(), under_way.len());
    under_way.clear();
    assert_eq!(manners.transfers.berths.under_way(), 0);
    begin(&served.zones, &manners, None, now(&served));
}
