//! Any octets as a request: the response is one that another reader can read, says what it must, and fits.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::base::{Message, Rtype};
use domain::rdata::AllRecordData;
use repoint::clock::{Mono, Now, Wall};
use repoint::decide::Generation;
use repoint::serve::{self, Manners, Outcome, Peer, Transport, Unasked, respond};
use repoint::topology::{DomainName, Nameserver, Nameservers, Topology, Zone};
use repoint::tsig::{Algorithm, Key, sign};
use repoint::zone::{
    Challenges, Inputs, Layout, Name, Serial, SigningKey, StaticZone, ZoneKeys, Zones, compile,
};

/// Everything an answer can be made of: wildcards, empty non-terminals, aliases, cuts with and without glue and DS, an RRset
/// that fits no datagram.
const ZONE: &str = include_str!("../seeds/query.zone");

/// A key for this and nothing else: signatures are the same in every run.
const KEY: &str = "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\n\
                   PrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n";

/// When all of this happens.
const NOW: Wall = Wall::from_millis(1_800_000_000_000);

const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Https,
    Transport::Quic,
];

/// The first octet says which zones, transport and manners; the others are the request.
pub fn query(data: &[u8]) {
    let Some((setting, request)) = data.split_first() else {
        return;
    };
    let mut request = request.to_vec();
    if setting >> 5 & 1 == 1 && (12..60_000).contains(&request.len()) {
        // What no search finds by itself: a good signature.
        sign(&mut request, &tsig_key(), NOW);
    }
    let request = request.as_slice();
    let zones = &published()[usize::from(setting & 1)];
    let transport = TRANSPORTS[usize::from(setting >> 1 & 7) % TRANSPORTS.len()];
    let manners = match setting >> 4 & 1 {
        0 => Manners::default(),
        _ => Manners {
            nsid: Some("ns1.example.net".into()),
            version: Some("repoint".into()),
            tsig: [tsig_key()].into_iter().collect(),
            ..Manners::default()
        },
    };
    let now = Now {
        mono: Mono::START,
        wall: NOW,
    };
    let peer = Peer {
        address: "192.0.2.77:5353".parse().unwrap(),
        transport,
        idle: transport
            .keeps_connection()
            .then_some(Duration::from_secs(10)),
    };
    let mut out = Vec::new();
    let outcome = respond(zones, &manners, request, peer, now, &mut out);
    let envelope = match serve::read(request) {
        Ok(request) => Some(request.envelope),
        Err(Unasked::Rejected(rejection)) => Some(rejection.envelope),
        Err(Unasked::Silent) => None,
    };
    let Some(envelope) = envelope else {
        // Nothing is said to what is no request: it could be an answer to us.
        assert_eq!(outcome, Outcome::Silent);
        assert!(out.is_empty());
        return;
    };
    assert_ne!(outcome, Outcome::Silent);
    // The rate limit is off, and nobody may transfer.
    assert!(matches!(outcome, Outcome::Response { .. }));
    let limit = match transport {
        Transport::Udp => serve::udp_limit(envelope.edns),
        _ => 65_535,
    };
    assert!(out.len() <= limit, "{} octets of {limit}", out.len());
    let header = (&out[..2], out[2] & 0x79, out[3] & 0x70);
    // The identifier, the operation and RD come back; QR is set; RA, AD and CD are not.
    assert_eq!(header, (&request[..2], request[2] & 0x79, 0));
    assert_eq!(out[2] & 0x80, 0x80);
    let opts = readable(&out);
    assert_eq!(opts, usize::from(envelope.edns.is_some()), "OPT for OPT");
}

/// The key that requests are signed with, and that is known where the manners are more than plain.
fn tsig_key() -> Arc<Key> {
    let name: DomainName = "key.example.net".parse().unwrap();
    Arc::new(Key::new(Name::from(&name), Algorithm::HmacSha256, &[7; 32]).unwrap())
}

/// Reads a whole message with the other reader; how many OPT it has.
fn readable(octets: &[u8]) -> usize {
    let message = Message::from_octets(octets).unwrap();
    let mut questions = message.question();
    let counts = message.header_counts();
    assert!(counts.qdcount() <= 1);
    for question in &mut questions {
        question.unwrap();
    }
    let mut opts = 0;
    let mut section = questions.next_section().unwrap();
    for number in 0..3 {
        for record in &mut section {
            let record = record.unwrap();
            record.to_any_record::<AllRecordData<_, _>>().unwrap();
            if record.rtype() == Rtype::OPT {
                assert_eq!(number, 2);
                opts += 1;
            }
        }
        if number == 2 {
            assert_eq!(
                section.pos(),
                octets.len(),
                "nothing behind the last record"
            );
            break;
        }
        section = section.next_section().unwrap().unwrap();
    }
    opts
}

/// The same zone, unsigned and signed.
fn published() -> &'static [Zones; 2] {
    static PUBLISHED: OnceLock<[Zones; 2]> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let key = Arc::new(SigningKey::from_bind_private(KEY, true).unwrap());
        [None, Some(ZoneKeys::single(key, 3600))].map(publish)
    })
}

fn publish(keys: Option<ZoneKeys>) -> Zones {
    let apex: DomainName = "example.com".parse().unwrap();
    let mut none = |_: repoint::zone::Include<'_>| Err("no file".to_owned());
    let zone = StaticZone::parse(&apex, "query.zone", ZONE.as_bytes(), &mut none)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let nameservers = Nameservers {
        servers: vec![Nameserver {
            name: "ns1.example.net".parse().unwrap(),
            addresses: Vec::new(),
        }],
        hostmaster: None,
        negative_ttl: 30,
        ttl: 3600,
    };
    let topology = Topology::new(
        BTreeMap::new(),
        BTreeMap::new(),
        [(
            apex.clone(),
            Zone {
                apex: apex.clone(),
                primary: None,
            },
        )]
        .into(),
        nameservers,
        Vec::new(),
    );
    let layout = Layout::new(&topology, [(apex.clone(), Arc::new(zone))].into()).unwrap();
    let keys = keys.into_iter();
    let keys = keys
        .map(|keys| (Name::from(&apex), Arc::new(keys)))
        .collect();
    compile(&Inputs {
        layout: &layout,
        decisions: &BTreeMap::new(),
        keys: &keys,
        challenges: &Challenges::default(),
        unsignable: &std::sync::Arc::default(),
        previous: None,
        generation: Generation(1),
        serial: Serial(7),
        now: NOW,
        beside: None,
    })
}
