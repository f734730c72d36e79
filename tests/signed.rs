//! Signed requests, asked of the pure function: updates, transfers, and what is said besides their answers.

#![allow(clippy::unwrap_used)]

mod dns;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns::{HEAD, Response, query, wire, zones};
use hickory_proto::op::ResponseCode;
use repoint::clock::{Mono, Now, Wall};
use repoint::config::{AcmeKey, Secondary};
use repoint::serve::{
    Asked, Made, Manners, Outcome, Peer, RateLimit, RateTable, Replays, Responses, Secrets,
    Transfers, Transport, Updates, Why, respond, respond_or_transfer,
};
use repoint::tsig::{Algorithm, Fault, Key, sign};
use repoint::zone::{Name, Zones};

const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const NSID: u16 = 3;

fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes(), None).unwrap()
}

fn key(of: &str) -> Arc<Key> {
    let secret = b"thirty-two octets of a secret .!";
    Arc::new(Key::new(name(of), Algorithm::HmacSha256, secret).unwrap())
}

/// A zone whose SOA no datagram without EDNS has room for, and one with an alias.
fn example() -> Zones {
    let long = |c: &str| [c.repeat(60), c.repeat(60), c.repeat(60), c.repeat(50)].join(".");
    let far = format!(
        "$TTL 3600\n@ SOA {}. {}. 1 60 30 7d 30\n@ NS ns1.example.net.\n",
        long("m"),
        long("r")
    );
    let near = format!("{HEAD}alias CNAME WWW\nwww A 192.0.2.1\nmail MX 10 www\n");
    zones(&[("example", &near), ("far.example", &far)])
}

/// The key of those who may update challenges in the zone.
fn updater() -> AcmeKey {
    AcmeKey {
        key: name("upd.key."),
        zones: ["example".parse().unwrap()].into(),
        names: Default::default(),
    }
}

fn manners() -> Manners {
    let secondary = |name: &str, address: &str, tsig: Option<&str>| {
        Arc::new(Secondary {
            name: name.to_owned(),
            address: format!("{address}:53").parse().unwrap(),
            allow: [address.parse().unwrap()].into(),
            tsig: tsig.map(self::name),
            zones: None,
            source: None,
        })
    };
    let make = |_| -> Made { Box::pin(std::future::ready(ResponseCode::NoError)) };
    Manners {
        nsid: Some("a.ns.example".into()),
        cookies: Some(Secrets::Own([7; 16])),
        tsig: [key("sec.key."), key("upd.key.")].into_iter().collect(),
        updates: Updates::new(vec![updater()], Arc::new(make), Arc::default()),
        transfers: Transfers {
            secondaries: vec![
                secondary("signed", "192.0.2.53", Some("sec.key.")),
                secondary("plain", "192.0.2.54", None),
            ],
            ..Transfers::default()
        },
        ..Manners::default()
    }
}

fn from(address: &str, transport: Transport) -> Peer {
    Peer {
        address: format!("{address}:5353").parse().unwrap(),
        transport,
        idle: transport
            .keeps_connection()
            .then_some(Duration::from_secs(10)),
    }
}

fn now() -> Now {
    Now {
        mono: Mono::START + Duration::from_secs(60),
        wall: Wall::from_millis(1_800_000_000_000),
    }
}

fn signed(mut octets: Vec<u8>, by: &str) -> Vec<u8> {
    sign(&mut octets, &key(by), now().wall);
    octets
}

/// An update of `example.` with these prerequisites, a record each, that adds a challenge.
fn update(prerequisites: &[Vec<u8>], options: &[u8]) -> Vec<u8> {
    let mut update = query("example.", "SOA").flags(5 << 11);
    update.counts[1] = u16::try_from(prerequisites.len()).unwrap();
    update.counts[2] = 1;
    update.extra = prerequisites.concat();
    update.extra.extend(wire("_acme-challenge.example."));
    update
        .extra
        .extend([0, 16, 0, 1, 0, 0, 0, 60, 0, 4, 3, b'o', b'n', b'e']);
    update.opt(1232, 0, options).octets()
}

fn options(codes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (code, value) in codes {
        data.extend(code.to_be_bytes());
        data.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        data.extend(*value);
    }
    data
}

fn begin(zones: &Zones, manners: &Manners, octets: &[u8], peer: Peer) -> (Responses, Vec<u8>) {
    let mut out = Vec::new();
    let said = respond_or_transfer(zones, manners, octets, peer, now(), &mut out);
    (said, out)
}

/// The code that is answered at once; none where a change is begun.
fn code(responses: &Responses) -> Option<u16> {
    match responses {
        Responses::One(Outcome::Response { rcode, .. }) => Some((*rcode).into()),
        Responses::Later(_) => None,
        other => panic!("{other:?}"),
    }
}

/// The options of a response's OPT, which may have a TSIG behind it.
fn said(octets: &[u8]) -> Vec<(u16, usize)> {
    let message = hickory_proto::op::Message::from_vec(octets).unwrap();
    let edns = message.edns.expect("an OPT");
    let each = edns.options().options.iter();
    each.map(|(code, option)| (u16::from(*code), usize::from(option.len())))
        .collect()
}

// Updates

#[test]
fn a_prerequisite_may_be_compressed_and_written_in_another_case() {
    let (zones, manners) = (example(), manners());
    // The owner, type and class; TTL 0; the RDATA.
    let record = |owner: &str, rtype: u8, rdata: &[u8]| {
        let mut record = wire(owner);
        record.extend([0, rtype, 0, 1, 0, 0, 0, 0, 0]);
        record.push(u8::try_from(rdata.len()).unwrap());
        record.extend(rdata);
        record
    };
    // The zone's name stands behind the header.
    let pointed = |label: &[u8]| [label, &[0xc0, 12]].concat();
    let cases = [
        (record("alias.example.", 5, &wire("www.example.")), None),
        (record("alias.example.", 5, &wire("WWW.Example.")), None),
        (record("ALIAS.example.", 5, &pointed(b"\x03www")), None),
        (
            record("mail.example.", 15, &pointed(b"\0\x0a\x03wWw")),
            None,
        ),
        (record("www.example.", 1, &[192, 0, 2, 1]), None),
        (record("alias.example.", 5, &pointed(b"\x02ww")), Some(8)),
        (
            record("mail.example.", 15, &pointed(b"\0\x0b\x03www")),
            Some(8),
        ),
        (record("www.example.", 1, &[192, 0, 2]), Some(1)),
        (record("alias.example.", 5, &[0xc0, 255]), Some(1)),
    ];
    for (n, (record, rcode)) in cases.into_iter().enumerate() {
        let octets = signed(update(&[record], &[]), "upd.key.");
        let (said, _) = begin(&zones, &manners, &octets, from("192.0.2.9", Transport::Tcp));
        assert_eq!(code(&said), rcode, "case {n}");
    }
}

#[test]
fn an_update_that_is_refused_for_its_way_may_come_by_another() {
    let (zones, mut manners) = (example(), manners());
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let make = move |_| -> Made {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(ResponseCode::NoError))
    };
    let replays = Arc::new(Replays::default());
    manners.updates = Updates::new(vec![updater()], Arc::new(make), replays);
    let octets = signed(update(&[], &[]), "upd.key.");
    for transport in [Transport::Https, Transport::Quic] {
        let (said, _) = begin(&zones, &manners, &octets, from("192.0.2.9", transport));
        assert_eq!(code(&said), Some(5), "{transport}");
        assert_eq!(made.load(Ordering::Relaxed), 0);
    }
    let (said, _) = begin(&zones, &manners, &octets, from("192.0.2.9", Transport::Tcp));
    assert_eq!(code(&said), None, "it is made");
    assert_eq!(made.load(Ordering::Relaxed), 1);
    let (said, _) = begin(&zones, &manners, &octets, from("192.0.2.9", Transport::Tcp));
    assert_eq!(code(&said), None, "it waits for the first");
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

// What is said besides

#[test]
fn updates_and_transfers_are_answered_with_all_that_others_are() {
    // RFC 7873 §5.3: a client that does not get its cookie back believes nothing.
    let (zones, manners) = (example(), manners());
    let asked = options(&[(COOKIE, &[1; 8]), (NSID, &[]), (KEEPALIVE, &[])]);
    let (cookie, nsid, keepalive) = ((COOKIE, 24), (NSID, 12), (KEEPALIVE, 2));
    let mut out = Vec::new();
    // Whatever becomes of an update, its response is written alike.
    let octets = signed(update(&[], &asked), "upd.key.");
    for (transport, also) in [(Transport::Udp, false), (Transport::Tcp, true)] {
        let peer = from("192.0.2.9", transport);
        respond(&zones, &manners, &octets, peer, now(), &mut out);
        let said = said(&out);
        assert!(said.contains(&cookie) && said.contains(&nsid), "{said:?}");
        assert_eq!(said.contains(&keepalive), also, "{transport}: {said:?}");
    }
    let axfr = query("example.", "AXFR").opt(1232, 0, &asked).octets();
    for (octets, address) in [
        (signed(axfr.clone(), "sec.key."), "192.0.2.53"),
        (axfr, "192.0.2.54"),
    ] {
        let peer = from(address, Transport::Tcp);
        let (Responses::Many(mut transfer), _) = begin(&zones, &manners, &octets, peer) else {
            panic!("a transfer");
        };
        while transfer.next(now().wall, &mut out) {
            let said = said(&out);
            assert_eq!(said, [nsid, cookie, keepalive]);
        }
    }
    let mut ixfr = query("example.", "IXFR");
    ixfr.counts[2] = 1;
    ixfr.extra = [wire("example."), vec![0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]].concat();
    ixfr.extra.extend([0; 20]);
    let octets = ixfr.opt(1232, 0, &asked).octets();
    let peer = from("192.0.2.54", Transport::Udp);
    respond(&zones, &manners, &octets, peer, now(), &mut out);
    let said = said(&out);
    assert!(said.contains(&cookie) && said.contains(&nsid), "{said:?}");
}

#[test]
fn signed_responses_are_padded_with_their_signature() {
    // RFC 8467 §4.1 speaks of the message.
    let (zones, mut manners) = (example(), manners());
    let padding = options(&[(PADDING, &[0; 8]), (COOKIE, &[1; 8])]);
    let soa = query("example.", "SOA").opt(1232, 0, &padding).octets();
    let axfr = query("example.", "AXFR").opt(1232, 0, &padding).octets();
    let mut other = signed(soa.clone(), "sec.key.");
    let end = other.len();
    other[end - 20] ^= 1;
    let peer = from("192.0.2.53", Transport::Tls);
    let mut out = Vec::new();
    for (octets, rcode) in [
        (signed(soa.clone(), "sec.key."), 0),
        (signed(soa.clone(), "nobodys.key.with.a.long.name."), 9),
        (other, 9),
        (signed(update(&[], &padding), "upd.key."), 5),
    ] {
        respond(&zones, &manners, &octets, peer, now(), &mut out);
        assert_eq!(out[3] & 0x0f, rcode);
        assert!(said(&out).iter().any(|(code, _)| *code == PADDING));
        assert_eq!(out.len() % 468, 0, "{} octets", out.len());
    }
    let octets = signed(axfr, "sec.key.");
    let (Responses::Many(mut transfer), _) = begin(&zones, &manners, &octets, peer) else {
        panic!("a transfer");
    };
    assert!(transfer.next(now().wall, &mut out));
    assert_eq!(out.len() % 468, 0, "{} octets", out.len());
    // A wrong time is told with ours beside it.
    manners.cookies = None;
    let late = Now {
        wall: now().wall + Duration::from_secs(1000),
        ..now()
    };
    respond(
        &zones,
        &manners,
        &signed(soa, "sec.key."),
        peer,
        late,
        &mut out,
    );
    assert_eq!((out[3] & 0x0f, out.len() % 468), (9, 0));
}

// Transfers over UDP

#[test]
fn an_incremental_transfer_over_udp_keeps_within_a_datagram_and_the_rate_limit() {
    let zones = example();
    let mut manners = manners();
    manners.rate_limit = Some(RateLimit {
        rate: 5,
        slip: 2,
        exempt: Vec::new(),
        table: Arc::new(RateTable::new([1; 16])),
    });
    let ixfr = |zone: &str| {
        let mut ixfr = query(zone, "IXFR");
        ixfr.counts[2] = 1;
        ixfr.extra = [wire(zone), vec![0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]].concat();
        ixfr.extra.extend([0; 20]);
        ixfr
    };
    let mut out = Vec::new();
    let plain = from("192.0.2.54", Transport::Udp);
    respond(
        &zones,
        &manners,
        &ixfr("far.example.").octets(),
        plain,
        now(),
        &mut out,
    );
    let response = Response::read(&out);
    assert!(response.tc && out.len() <= 512, "{} octets", out.len());
    let octets = ixfr("far.example.").edns(1232).octets();
    respond(&zones, &manners, &octets, plain, now(), &mut out);
    let response = Response::read(&out);
    assert!(!response.tc && response.aa);
    assert_eq!(response.answers().len(), 1);
    // Whoever forges a secondary's address gets no more out of this than out of a question.
    let octets = ixfr("example.").octets();
    let ask = |octets: &[u8], peer| respond(&zones, &manners, octets, peer, now(), &mut Vec::new());
    let limited = |outcome| matches!(outcome, Outcome::Limited { .. });
    assert!((0..20).any(|_| limited(ask(&octets, plain))));
    let octets = signed(octets, "sec.key.");
    let signer = from("192.0.2.53", Transport::Udp);
    assert!(!(0..20).any(|_| limited(ask(&octets, signer))));
}

// What operators hear of

#[test]
fn what_is_refused_is_told_with_its_reason() {
    let (zones, manners) = (example(), manners());
    let axfr = |zone: &str| query(zone, "AXFR").octets();
    let tcp = |address| from(address, Transport::Tcp);
    let www = [wire("www.example."), vec![0, 255, 0, 255, 0, 0, 0, 0, 0, 0]].concat();
    let mut other = query("example.", "SOA").flags(5 << 11);
    other.counts[2] = 1;
    other.extra = www;
    let mut badsig = signed(axfr("example."), "sec.key.");
    let end = badsig.len();
    badsig[end - 20] ^= 1;
    let cases = [
        (
            axfr("example."),
            tcp("192.0.2.1"),
            Asked::Transfer,
            Why::Address,
        ),
        (
            axfr("example."),
            tcp("192.0.2.53"),
            Asked::Transfer,
            Why::Unsigned,
        ),
        (
            signed(axfr("example."), "upd.key."),
            tcp("192.0.2.53"),
            Asked::Transfer,
            Why::Key,
        ),
        (
            axfr("example.org."),
            tcp("192.0.2.54"),
            Asked::Transfer,
            Why::NoZone,
        ),
        (
            axfr("example."),
            from("192.0.2.54", Transport::Udp),
            Asked::Transfer,
            Why::Transport,
        ),
        (
            update(&[], &[]),
            tcp("192.0.2.9"),
            Asked::Update,
            Why::Unsigned,
        ),
        (
            signed(update(&[], &[]), "sec.key."),
            tcp("192.0.2.9"),
            Asked::Update,
            Why::Key,
        ),
        (
            signed(other.octets(), "upd.key."),
            tcp("192.0.2.9"),
            Asked::Update,
            Why::NoChallenge,
        ),
        (
            badsig,
            tcp("192.0.2.53"),
            Asked::Signed,
            Why::Signature(Fault::BadSig),
        ),
        (
            signed(axfr("example."), "no.key."),
            tcp("192.0.2.53"),
            Asked::Signed,
            Why::Signature(Fault::BadKey),
        ),
    ];
    for (n, (octets, peer, asked, why)) in cases.into_iter().enumerate() {
        let (said, _) = begin(&zones, &manners, &octets, peer);
        let Responses::One(Outcome::Response {
            refused: Some(refused),
            ..
        }) = said
        else {
            panic!("case {n}: {said:?}");
        };
        assert_eq!((refused.asked, refused.why), (asked, why), "case {n}");
        assert!(refused.zone.is_some());
    }
    // Whoever merely asks for what is not ours is nobody's concern.
    let (said, _) = begin(
        &zones,
        &manners,
        &query("example.org.", "A").octets(),
        tcp("192.0.2.1"),
    );
    assert!(matches!(
        said,
        Responses::One(Outcome::Response { refused: None, .. })
    ));
}
