//! What the DNS tests share: zones from text, queries octet by octet, and a strict reader of responses that
//! owes nothing to the code it checks.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use repoint::clock::{Now, ReadNow};
use repoint::decide::Generation;
use repoint::serve::{Manners, Outcome, Peer, Transport, respond};
use repoint::topology::{DomainName, Nameserver, Nameservers, Topology, Zone};
use repoint::zone::{
    Challenges, Inputs, Layout, Name, Rdata, Serial, StaticZone, ZoneKeys, Zones, compile,
    type_text,
};

/// The SOA and NS that a test zone begins with when its records are what matters.
pub const HEAD: &str = "$TTL 3600\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 30\n@ NS ns1.example.net.\n";

/// Publishes static zones, each given as its apex and the text of its master file.
pub fn zones(files: &[(&str, &str)]) -> Zones {
    let server = Nameserver {
        name: "ns1.example.net".parse().unwrap(),
        addresses: vec!["192.0.2.53".parse().unwrap()],
    };
    zones_with(vec![server], files)
}

/// The same where the configuration names these name servers, or none.
pub fn zones_with(servers: Vec<Nameserver>, files: &[(&str, &str)]) -> Zones {
    signed_zones(servers, files, &BTreeMap::new())
}

/// The same where zones with keys are signed, from now on.
pub fn signed_zones(
    servers: Vec<Nameserver>,
    files: &[(&str, &str)],
    keys: &BTreeMap<Name, Arc<ZoneKeys>>,
) -> Zones {
    let mut statics = BTreeMap::new();
    let mut configured = BTreeMap::new();
    for (apex, text) in files {
        let apex: DomainName = apex.parse().unwrap();
        let mut none = |_: repoint::zone::Include<'_>| Err("no file".to_owned());
        let zone = StaticZone::parse(&apex, "test.zone", text.as_bytes(), &mut none)
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        statics.insert(apex.clone(), Arc::new(zone));
        configured.insert(
            apex.clone(),
            Zone {
                apex,
                primary: None,
            },
        );
    }
    let nameservers = Nameservers {
        servers,
        hostmaster: None,
        negative_ttl: 30,
        ttl: 3600,
    };
    let topology = Topology::new(
        BTreeMap::new(),
        BTreeMap::new(),
        configured,
        nameservers,
        Vec::new(),
    );
    let layout = Layout::new(&topology, statics).unwrap();
    compile(&Inputs {
        layout: &layout,
        decisions: &BTreeMap::new(),
        keys,
        unsignable: &Arc::default(),
        challenges: &Challenges::default(),
        previous: None,
        generation: Generation(1),
        serial: Serial(7),
        now: read_now()().wall,
        beside: None,
    })
}

/// A query under construction.
#[derive(Clone)]
pub struct Query {
    pub id: u16,
    pub flags: u16,
    pub question: Vec<u8>,
    pub counts: [u16; 4],
    pub extra: Vec<u8>,
}

/// A query of class IN, RD clear, without EDNS.
pub fn query(name: &str, rtype: &str) -> Query {
    let mut question = wire(name);
    question.extend(number(rtype).to_be_bytes());
    question.extend([0, 1]);
    Query {
        id: 0xbeef,
        flags: 0,
        question,
        counts: [1, 0, 0, 0],
        extra: Vec::new(),
    }
}

impl Query {
    /// Adds an OPT of version 0.
    pub fn edns(self, udp_size: u16) -> Query {
        self.opt(udp_size, 0, &[])
    }

    /// Adds an OPT; `ttl` holds extended code, version and flags.
    pub fn opt(mut self, udp_size: u16, ttl: u32, options: &[u8]) -> Query {
        self.extra.extend([0, 0, 41]);
        self.extra.extend(udp_size.to_be_bytes());
        self.extra.extend(ttl.to_be_bytes());
        self.extra
            .extend(u16::try_from(options.len()).unwrap().to_be_bytes());
        self.extra.extend(options);
        self.counts[3] += 1;
        self
    }

    pub fn flags(mut self, flags: u16) -> Query {
        self.flags = flags;
        self
    }

    pub fn class(mut self, class: u16) -> Query {
        let at = self.question.len() - 2;
        self.question[at..].copy_from_slice(&class.to_be_bytes());
        self
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut octets = self.id.to_be_bytes().to_vec();
        octets.extend(self.flags.to_be_bytes());
        for count in self.counts {
            octets.extend(count.to_be_bytes());
        }
        octets.extend(&self.question);
        octets.extend(&self.extra);
        octets
    }

    /// Asks over UDP and reads the response.
    pub fn ask(&self, zones: &Zones) -> Response {
        ask(zones, &self.octets(), Transport::Udp).expect("a response")
    }

    /// Asks over TCP and reads the response.
    pub fn ask_tcp(&self, zones: &Zones) -> Response {
        ask(zones, &self.octets(), Transport::Tcp).expect("a response")
    }
}

/// The machine's clocks, for servers that are really started.
pub fn read_now() -> ReadNow {
    let clock = repoint::shell::Clock::new();
    Arc::new(move || clock.now())
}

/// Asks with these octets; none when nothing is said.
pub fn ask(zones: &Zones, octets: &[u8], transport: Transport) -> Option<Response> {
    let peer = Peer {
        address: ([127, 0, 0, 1], 53530).into(),
        transport,
        idle: None,
    };
    ask_as(peer, zones, &Manners::default(), Now::default(), octets)
}

/// The same from anybody, at any time, with any manners.
pub fn ask_as(
    peer: Peer,
    zones: &Zones,
    manners: &Manners,
    now: Now,
    octets: &[u8],
) -> Option<Response> {
    let mut out = Vec::new();
    match respond(zones, manners, octets, peer, now, &mut out) {
        Outcome::Silent | Outcome::Limited { slipped: false } => {
            assert!(out.is_empty());
            None
        }
        Outcome::Response { .. } | Outcome::Limited { slipped: true } => Some(Response::read(&out)),
    }
}

pub fn number(rtype: &str) -> u16 {
    match rtype.strip_prefix("TYPE") {
        Some(number) => number.parse().unwrap(),
        None => match rtype {
            "IXFR" => 251,
            "AXFR" => 252,
            "URI" => 256,
            other => u16::from(other.parse::<RecordType>().unwrap()),
        },
    }
}

/// The wire form of a plain name.
pub fn wire(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// A response, read strictly: every octet is accounted for.
#[derive(Debug)]
pub struct Response {
    pub octets: Vec<u8>,
    pub id: u16,
    pub opcode: u8,
    pub aa: bool,
    pub tc: bool,
    pub rd: bool,
    /// RA, Z, AD and CD together; all clear in whatever we send.
    pub low_flags: u8,
    /// With the extended part of the OPT.
    pub rcode: u16,
    pub question: Option<(String, u16, u16)>,
    pub opt: Option<Opt>,
    pub records: Vec<Record>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    pub udp_size: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub options: Vec<u8>,
}

impl Opt {
    /// The options one by one: code and data.
    pub fn each(&self) -> Vec<(u16, Vec<u8>)> {
        let mut rest = self.options.as_slice();
        let mut each = Vec::new();
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            each.push((
                u16::from_be_bytes([rest[0], rest[1]]),
                rest[4..4 + length].to_vec(),
            ));
            rest = &rest[4 + length..];
        }
        each
    }

    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<Vec<u8>> {
        let mut each = self.each().into_iter();
        each.find(|(found, _)| *found == code).map(|(_, data)| data)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub section: usize,
    pub owner: String,
    pub rtype: u16,
    pub ttl: u32,
    pub rdata: String,
}

impl Response {
    pub fn read(octets: &[u8]) -> Response {
        // An independent reader finds no fault with it either.
        hickory_proto::op::Message::from_vec(octets).expect("hickory reads it");
        let word = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        assert_eq!(octets[2] & 0x80, 0x80, "QR");
        let mut response = Response {
            octets: octets.to_vec(),
            id: word(0),
            opcode: octets[2] >> 3 & 15,
            aa: octets[2] & 4 != 0,
            tc: octets[2] & 2 != 0,
            rd: octets[2] & 1 != 0,
            low_flags: octets[3] >> 4,
            rcode: u16::from(octets[3] & 15),
            question: None,
            opt: None,
            records: Vec::new(),
        };
        let mut at = 12;
        assert!(word(4) <= 1, "at most one question");
        if word(4) == 1 {
            let name = read_name(octets, &mut at);
            response.question = Some((text(&name), word(at), word(at + 2)));
            at += 4;
        }
        for section in 1..=3 {
            for _ in 0..word(4 + 2 * section) {
                let owner = read_name(octets, &mut at);
                let (rtype, class) = (word(at), word(at + 2));
                let ttl = u32::from_be_bytes(octets[at + 4..at + 8].try_into().unwrap());
                let end = at + 10 + usize::from(word(at + 8));
                at += 10;
                let rdata = &octets[at..end];
                if rtype == 41 {
                    assert_eq!((section, text(&owner).as_str()), (3, "."));
                    assert!(response.opt.is_none(), "one OPT");
                    response.rcode |= u16::try_from(ttl >> 24 << 4).unwrap();
                    response.opt = Some(Opt {
                        udp_size: class,
                        version: (ttl >> 16 & 255) as u8,
                        dnssec_ok: ttl & 0x8000 != 0,
                        options: rdata.to_vec(),
                    });
                } else {
                    assert_eq!(class, response.question.as_ref().map_or(1, |q| q.2));
                    let plain = decompress(octets, rtype, at, end);
                    let rdata = Rdata::new(RecordType::from(rtype), &plain).unwrap();
                    response.records.push(Record {
                        section,
                        owner: text(&owner),
                        rtype,
                        ttl,
                        rdata: rdata.to_text(RecordType::from(rtype)),
                    });
                }
                at = end;
            }
        }
        assert_eq!(at, octets.len(), "octets after the last record");
        response
    }

    fn section(&self, section: usize) -> Vec<String> {
        let records = self
            .records
            .iter()
            .filter(|record| record.section == section);
        records
            .map(|r| {
                let rtype = type_text(RecordType::from(r.rtype));
                format!("{} {} {rtype} {}", r.owner, r.ttl, r.rdata)
            })
            .collect()
    }

    pub fn answers(&self) -> Vec<String> {
        self.section(1)
    }

    pub fn authorities(&self) -> Vec<String> {
        self.section(2)
    }

    pub fn additionals(&self) -> Vec<String> {
        self.section(3)
    }

    /// NXDOMAIN, authoritative, with the SOA.
    pub fn is_name_error(&self) -> bool {
        self.rcode == 3 && self.aa && self.answers().is_empty() && self.has_soa()
    }

    /// NOERROR without data, authoritative, with the SOA.
    pub fn is_no_data(&self) -> bool {
        self.rcode == 0 && self.aa && self.answers().is_empty() && self.has_soa()
    }

    fn has_soa(&self) -> bool {
        let authorities = self.authorities();
        authorities.len() == 1 && authorities[0].contains(" SOA ")
    }
}

/// Reads a name that may be compressed; pointers lead strictly backwards.
fn read_name(octets: &[u8], at: &mut usize) -> Vec<Vec<u8>> {
    let mut labels = Vec::new();
    let mut here = *at;
    let mut jumped = false;
    loop {
        let length = usize::from(octets[here]);
        if length >= 192 {
            let to = (length & 63) << 8 | usize::from(octets[here + 1]);
            assert!(
                to < here && to >= 12,
                "a pointer leads backwards, behind the header"
            );
            if !jumped {
                *at = here + 2;
            }
            jumped = true;
            here = to;
            continue;
        }
        assert!(length < 64);
        if length == 0 {
            if !jumped {
                *at = here + 1;
            }
            return labels;
        }
        labels.push(octets[here + 1..here + 1 + length].to_vec());
        here += 1 + length;
    }
}

fn text(labels: &[Vec<u8>]) -> String {
    if labels.is_empty() {
        return ".".into();
    }
    labels
        .iter()
        .map(|label| format!("{}.", String::from_utf8_lossy(label)))
        .collect()
}

fn decompress(octets: &[u8], rtype: u16, start: usize, end: usize) -> Vec<u8> {
    let (fixed, names) = match rtype {
        2 | 5 | 12 => (0, 1),
        15 => (2, 1),
        6 => (0, 2),
        _ => return octets[start..end].to_vec(),
    };
    let mut plain = octets[start..start + fixed].to_vec();
    let mut at = start + fixed;
    for _ in 0..names {
        for label in read_name(octets, &mut at) {
            plain.push(u8::try_from(label.len()).unwrap());
            plain.extend(label);
        }
        plain.push(0);
    }
    plain.extend(&octets[at..end]);
    plain
}
