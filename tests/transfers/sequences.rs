//! The messages of a transfer, and what a secondary makes of them: AXFR and IXFR of signed zones, as octets.
//!
//! In: publications one after the other. Out: what every client must find: one version, whole, and IXFR that leads from any
//! remembered version to the current one.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use domain::base::MessageBuilder;
use domain::base::iana::Rtype;
use domain::rdata::tsig::Time48;
use domain::tsig as theirs;
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};
use repoint::ask::Reply;
use repoint::clock::{Mono, Now};
use repoint::config::Secondary;
use repoint::serve::{
    Manners, Outcome, Peer, Responses, Transfer, TransferKind, Transfers, Transport, respond,
    respond_or_transfer,
};
use repoint::tsig::{Algorithm, Key};
use repoint::zone::{KeyAlgorithm, Name, Zones};

use crate::ground::{Served, configuration, key, single};

fn manners() -> Manners {
    manners_with(None)
}

/// One secondary, which signs with this key.
fn manners_with(key: Option<Arc<Key>>) -> Manners {
    let secondary = Secondary {
        name: "ns2".to_owned(),
        address: "192.0.2.53:53".parse().unwrap(),
        allow: ["192.0.2.53".parse().unwrap()].into(),
        tsig: key.as_ref().map(|key| key.name().clone()),
        zones: None,
        source: None,
    };
    Manners {
        tsig: key.into_iter().collect(),
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
    begin_as(zones, manners, &request(since), now)
}

fn begin_as(zones: &Zones, manners: &Manners, request: &[u8], now: Now) -> Transfer {
    let peer = peer(Transport::Tcp);
    match respond_or_transfer(zones, manners, request, peer, now, &mut Vec::new()) {
        Responses::Many(transfer) => *transfer,
        other => panic!("{other:?}"),
    }
}

/// No record of these tests has more octets.
const LONGEST: usize = 200;

/// All records of a transfer, in order, and how many messages it took: as few as have room for them.
fn records(mut transfer: Transfer, now: Now) -> (Vec<Record>, usize) {
    let (mut out, mut all, mut messages) = (Vec::new(), Vec::new(), 0);
    let mut room = 0;
    while transfer.next(now.wall, &mut out) {
        assert!(room < LONGEST, "a message with room for another record");
        room = (16_usize << 10)
            .checked_sub(out.len())
            .expect("at most 16 KiB");
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
        let all = begin(&served.zones, &manners, None, now(&served));
        let current = whole(&records(all, now(&served)).0);
        let is_signed = current.iter().any(|record| record.contains("RRSIG"));
        assert_eq!(is_signed, signed);
        let zone = served.zone();
        let remembered: Vec<u32> = zone.history().iter().map(|change| change.from.0).collect();
        assert!(remembered.len() >= 3, "{remembered:?}");
        for (since, mut have) in versions {
            let transfer = begin(&served.zones, &manners, Some(since), now(&served));
            let kind = transfer.kind();
            let (records, _) = records(transfer, now(&served));
            if remembered.contains(&since) {
                assert_eq!(kind, TransferKind::Ixfr, "since {since}");
                // RFC 1995 §5: what was moved there and back is not told.
                let differs = have.symmetric_difference(&current).count();
                assert_eq!(records.len(), differs + 2, "since {since}");
                apply(&mut have, &records);
            } else {
                assert_eq!(kind, TransferKind::Axfr, "since {since}");
                have = whole(&records);
            }
            assert_eq!(have, current, "since {since}");
        }
        // A serial that was never published.
        let transfer = begin(&served.zones, &manners, Some(u32::MAX - 7), now(&served));
        assert_eq!(transfer.kind(), TransferKind::Axfr);
        assert_eq!(whole(&records(transfer, now(&served)).0), current);
    }
}

#[test]
fn changes_longer_than_the_zone_are_not_sent() {
    let manners = manners();
    let mut served = Served::new(&statics(60), None);
    let before = served.serial;
    served.configuration = configuration("");
    let zone = served.publish();
    assert_eq!(
        zone.history().last().map(|change| change.from.0),
        Some(before)
    );
    let transfer = begin(&served.zones, &manners, Some(before), now(&served));
    assert_eq!(transfer.kind(), TransferKind::Axfr);
    whole(&records(transfer, now(&served)).0);
    // The way back is shorter than the zone that it leads to.
    let before = served.serial;
    served.configuration = configuration(&statics(60));
    served.publish();
    let transfer = begin(&served.zones, &manners, Some(before), now(&served));
    assert_eq!(transfer.kind(), TransferKind::Ixfr);
}

#[test]
fn every_message_of_a_transfer_is_signed() {
    // RFC 8945 §5.3.1 allows gaps; older secondaries do not.
    let name = Name::from_text(b"key.example.", None).unwrap();
    let secret = b"thirty-two octets of a secret .!";
    let ours = Key::new(name, Algorithm::HmacSha256, secret).unwrap();
    let manners = manners_with(Some(Arc::new(ours)));
    let keys = single(&key(KeyAlgorithm::EcdsaP256Sha256));
    let served = Served::new(&statics(300), Some(keys));
    let time = Time48::from_u64(u64::try_from(served.now.as_millis() / 1000).unwrap());

    let name = theirs::KeyName::from_str("key.example").unwrap();
    let shared = theirs::Key::new(theirs::Algorithm::Sha256, secret, name, None, None).unwrap();
    let mut question = MessageBuilder::new_vec().question();
    let zone = domain::base::Name::<Vec<u8>>::from_str("contoso.example").unwrap();
    question.push((zone, Rtype::AXFR)).unwrap();
    let mut asked = question.additional();
    let mut client = theirs::ClientSequence::request(Arc::new(shared), &mut asked, time).unwrap();

    let mut transfer = begin_as(&served.zones, &manners, &asked.finish(), now(&served));
    let (mut out, mut messages) = (Vec::new(), 0);
    while transfer.next(served.now, &mut out) {
        assert!(out.len() <= 16 << 10, "{} octets", out.len());
        let mut message = domain::base::Message::from_octets(out.clone()).unwrap();
        let last = message.additional().unwrap().last().unwrap().unwrap();
        assert_eq!(last.rtype(), Rtype::TSIG, "message {messages}");
        client.answer(&mut message, time).unwrap();
        messages += 1;
    }
    client.done().unwrap();
    assert!(messages > 3, "{messages} messages");
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
    while transfer.next(served.now, &mut out) {
        let published = if all.is_empty() { 1000 } else { 1 };
        all.extend(Message::from_vec(&out).unwrap().answers.clone());
        for _ in 0..published {
            served.active = 3 - served.active;
            served.publish();
        }
    }
    assert!(served.serial > 1002, "more than one message");
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
