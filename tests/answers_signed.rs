//! Answers from signed zones: which signatures and proofs stand beside what (RFC 4035 §3.1), and how large they are.

#![allow(clippy::unwrap_used)]

mod dns;

use std::collections::BTreeMap;
use std::sync::Arc;

use dns::{HEAD, Query, Response, query, signed_zones, zones};
use repoint::serve::{Answer, Courtesies, answer, read, write};
use repoint::zone::{KeyAlgorithm, Name, SigningKey, ZoneKeys, Zones};

const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const DNSSEC_OK: u32 = 0x8000;

const FILE: &str = "host A 192.0.2.1\n\
    host AAAA 2001:db8::1\n\
    alias CNAME host\n\
    away CNAME www.example.org.\n\
    lost CNAME nothing\n\
    a.b.empty TXT \"below two empty names\"\n\
    *.wild A 192.0.2.2\n\
    *.wild MX 10 host\n\
    there.wild TXT \"not the wildcard\"\n\
    *.wildalias CNAME host\n\
    x.*.star TXT \"the asterisk is empty\"\n\
    secure NS ns.secure\n\
    secure DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
    ns.secure A 192.0.2.3\n\
    plain NS ns.plain\n\
    ns.plain A 192.0.2.4\n\
    _s._tcp SRV 10 0 5269 host\n";

fn signed(files: &[(&str, &str)]) -> Zones {
    let keys: BTreeMap<Name, Arc<ZoneKeys>> = files
        .iter()
        .map(|(apex, _)| {
            let key = SigningKey::generate(KeyAlgorithm::EcdsaP256Sha256).unwrap();
            let keys = ZoneKeys::single(Arc::new(key), 3600);
            (name(&format!("{apex}.")), Arc::new(keys))
        })
        .collect();
    signed_zones(Vec::new(), files, &keys)
}

fn example() -> Zones {
    signed(&[("example", &format!("{HEAD}{FILE}"))])
}

fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes(), None).unwrap()
}

fn with_dnssec(name: &str, rtype: &str) -> Query {
    query(name, rtype).opt(1232, DNSSEC_OK, &[])
}

/// A section as `owner TYPE`, a signature as `owner TYPE'`; the zone's own name left out.
fn outline(response: &Response, section: usize) -> String {
    let records = response.records.iter().filter(|r| r.section == section);
    let mut words: Vec<String> = records
        .map(|record| {
            let rtype = match record.rtype {
                RRSIG => format!("{}'", record.rdata.split(' ').next().unwrap()),
                other => repoint::zone::type_text(other.into()).to_string(),
            };
            let owner = record.owner.strip_suffix("example.").unwrap();
            format!(
                "{}{} {rtype}",
                owner,
                if owner.is_empty() { "@" } else { "" }
            )
        })
        .collect();
    words.dedup();
    words.join(", ").replace(". ", " ")
}

#[test]
fn what_stands_beside_each_kind_of_answer() {
    let zones = example();
    for (name, rtype, answers, authority) in [
        ("host", "A", "host A, host A'", ""),
        ("@", "SOA", "@ SOA, @ SOA'", ""),
        ("@", "DNSKEY", "@ DNSKEY, @ DNSKEY'", ""),
        ("@", "CDS", "@ CDS, @ CDS'", ""),
        ("@", "CDNSKEY", "@ CDNSKEY, @ CDNSKEY'", ""),
        ("host", "NSEC", "host NSEC, host NSEC'", ""),
        // RFC 8482 §4.1
        ("host", "ANY", "host A, host A'", ""),
        ("host", "RRSIG", "host A'", ""),
        (
            "alias",
            "A",
            "alias CNAME, alias CNAME', host A, host A'",
            "",
        ),
        ("away", "A", "away CNAME, away CNAME'", ""),
        ("alias", "NSEC", "alias NSEC, alias NSEC'", ""),
        // §3.1.3.1: no data; an empty non-terminal
        ("host", "MX", "", "@ SOA, @ SOA', host NSEC, host NSEC'"),
        ("empty", "A", "", "@ SOA, @ SOA', away NSEC, away NSEC'"),
        ("@", "DS", "", "@ SOA, @ SOA', @ NSEC, @ NSEC'"),
        (
            "alias",
            "MX",
            "alias CNAME, alias CNAME'",
            "@ SOA, @ SOA', host NSEC, host NSEC'",
        ),
        // §3.1.3.2: no such name; one NSEC proves both halves, or each its own
        ("-", "A", "", "@ SOA, @ SOA', @ NSEC, @ NSEC'"),
        (
            "nothing",
            "A",
            "",
            "@ SOA, @ SOA', lost NSEC, lost NSEC', @ NSEC, @ NSEC'",
        ),
        (
            "lost",
            "A",
            "lost CNAME, lost CNAME'",
            "@ SOA, @ SOA', lost NSEC, lost NSEC', @ NSEC, @ NSEC'",
        ),
        // §3.1.3.3: the wildcard was right to answer
        (
            "m.wild",
            "A",
            "m.wild A, m.wild A'",
            "*.wild NSEC, *.wild NSEC'",
        ),
        ("*.wild", "A", "*.wild A, *.wild A'", ""),
        (
            "x.wildalias",
            "A",
            "x.wildalias CNAME, x.wildalias CNAME', host A, host A'",
            "*.wildalias NSEC, *.wildalias NSEC'",
        ),
        // §3.1.3.4: no data at the wildcard, which may be empty
        (
            "m.wild",
            "TXT",
            "",
            "@ SOA, @ SOA', *.wild NSEC, *.wild NSEC'",
        ),
        (
            "x.wild",
            "TXT",
            "",
            "@ SOA, @ SOA', *.wild NSEC, *.wild NSEC', there.wild NSEC, there.wild NSEC'",
        ),
        (
            "z.star",
            "A",
            "",
            "@ SOA, @ SOA', secure NSEC, secure NSEC', x.*.star NSEC, x.*.star NSEC'",
        ),
        // §3.1.4: delegations
        ("x.secure", "A", "", "secure NS, secure DS, secure DS'"),
        ("x.plain", "A", "", "plain NS, plain NSEC, plain NSEC'"),
        ("secure", "DS", "secure DS, secure DS'", ""),
        ("plain", "DS", "", "@ SOA, @ SOA', plain NSEC, plain NSEC'"),
        ("plain", "NSEC", "", "plain NS, plain NSEC, plain NSEC'"),
    ] {
        let owner = match name {
            "@" => "example.".to_owned(),
            _ => format!("{name}.example."),
        };
        let response = with_dnssec(&owner, rtype).ask(&zones);
        assert_eq!(outline(&response, 1), answers, "{name} {rtype}");
        assert_eq!(outline(&response, 2), authority, "{name} {rtype}");
        // AD and CD are for those who validate (§3.1.6).
        assert_eq!(response.low_flags, 0);
        assert!(!response.tc);
    }
}

#[test]
fn additional_addresses_come_before_their_signatures_and_glue_has_none() {
    let zones = example();
    let response = with_dnssec("_s._tcp.example.", "SRV").ask(&zones);
    assert_eq!(
        outline(&response, 3),
        "host A, host AAAA, host A', host AAAA'"
    );
    let response = with_dnssec("x.secure.example.", "A").ask(&zones);
    assert_eq!(outline(&response, 3), "ns.secure A");
}

#[test]
fn who_does_not_ask_for_dnssec_gets_none_of_it() {
    let zones = example();
    for name in [
        "host",
        "nothing",
        "empty",
        "x.wild",
        "x.secure",
        "x.plain",
        "x.wildalias",
    ] {
        for rtype in ["A", "MX", "ANY", "DS"] {
            let owner = format!("{name}.example.");
            for plain in [query(&owner, rtype), query(&owner, rtype).edns(1232)] {
                let response = plain.ask(&zones);
                let foreign = |rtype: u16| matches!(rtype, RRSIG | NSEC | 43 | 48);
                let found = response.records.iter().find(|r| foreign(r.rtype));
                assert_eq!(found, None, "{name} {rtype}");
            }
        }
    }
    // What is asked for by its type is data as any other (RFC 4035 §3.1).
    let response = query("host.example.", "NSEC").ask(&zones);
    assert_eq!(outline(&response, 1), "host NSEC");
    let response = query("host.example.", "RRSIG").ask(&zones);
    assert_eq!(outline(&response, 1), "host A'");
}

#[test]
fn a_negative_answers_soa_its_signature_and_nsec_may_be_kept_equally_long() {
    // RFC 2308 §5; RFC 4034 §3.1.4 for the original TTL that stays signed; RFC 9077 §3.
    let response = with_dnssec("host.example.", "MX").ask(&example());
    assert_eq!(response.records.len(), 4);
    assert!(response.records.iter().all(|record| record.ttl == 30));
    let soa = &response.records[1];
    assert!(soa.rdata.starts_with("SOA 13 1 3600 "), "{}", soa.rdata);
}

#[test]
fn an_expanded_signature_keeps_the_labels_of_its_wildcard() {
    // RFC 4035 §3.1.3.3; RFC 4034 §3.1.3
    let zones = example();
    let expanded = with_dnssec("a.b.c.wild.example.", "A").ask(&zones);
    assert!(expanded.records[1].rdata.starts_with("A 13 2 "));
    assert_eq!(expanded.records[1].owner, "a.b.c.wild.example.");
}

#[test]
fn ds_is_answered_by_the_zone_above_and_signed_by_it() {
    // RFC 4035 §3.1.4.1
    let parent = format!("{HEAD}{FILE}child NS ns1.example.net.\nmoved NS ns9.example.org.\n");
    let child = format!("{HEAD}www A 192.0.2.9\n");
    let zones = signed(&[
        ("example", &parent),
        ("child.example", &child),
        ("moved.example", &child),
    ]);
    // A zone of ours inside a zone of ours has its DS there.
    let response = with_dnssec("child.example.", "DS").ask(&zones);
    assert_eq!(outline(&response, 1), "child DS, child DS'");
    let signer = &response.records[1].rdata;
    assert!(signer.contains(" example. "), "{signer}");
    // One that is delegated to somebody else has none.
    let response = with_dnssec("moved.example.", "DS").ask(&zones);
    assert_eq!(
        outline(&response, 2),
        "@ SOA, @ SOA', moved NSEC, moved NSEC'"
    );
    let signer = &response.records[1].rdata;
    assert!(signer.contains(" example. "), "{signer}");
    let response = with_dnssec("child.example.", "NSEC").ask(&zones);
    assert!(response.records[1].rdata.contains(" child.example. "));
}

#[test]
fn an_unsigned_zone_beside_a_signed_one_proves_nothing() {
    let file = format!("{HEAD}{FILE}");
    let plain = zones(&[("example", &file)]);
    for (name, rtype) in [
        ("nothing.example.", "A"),
        ("x.plain.example.", "A"),
        ("x.wild.example.", "A"),
    ] {
        let response = with_dnssec(name, rtype).ask(&plain);
        assert!(
            response
                .records
                .iter()
                .all(|r| !matches!(r.rtype, RRSIG | NSEC))
        );
    }
}

/// A zone whose answers have every size.
fn large() -> String {
    let mut file = format!("{HEAD}{FILE}");
    for n in 0..40 {
        file.push_str(&format!(
            "many A 198.51.100.{n}\n_few._tcp SRV {n} 0 5269 edge{}.pools\n",
            n % 8
        ));
    }
    for n in 0..8 {
        file.push_str(&format!(
            "edge{n}.pools A 192.0.2.{n}\nedge{n}.pools AAAA 2001:db8::{n:x}\n\
             cut NS ns{n}.cut\nns{n}.cut A 192.0.2.{n}\nns{n}.cut AAAA 2001:db8::{n:x}\n\
             safe NS a-name-server-with-a-long-name-{n}.example.net.\n"
        ));
    }
    file.push_str(
        "safe DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
    );
    let mut target = "host".to_owned();
    for n in 0..8 {
        file.push_str(&format!("chain{n} CNAME {target}\n"));
        target = format!("chain{n}");
    }
    for n in 0..6 {
        file.push_str(&format!("beside NS ns{n}.cut\n"));
    }
    file
}

/// Questions whose answers have every size and every section.
const SIZES: [(&str, &str); 17] = [
    ("host.example.", "A"),
    ("example.", "DNSKEY"),
    ("many.example.", "A"),
    ("_few._tcp.example.", "SRV"),
    ("nothing.example.", "A"),
    ("host.example.", "MX"),
    ("x.wild.example.", "A"),
    ("x.wild.example.", "TXT"),
    ("x.wildalias.example.", "MX"),
    ("chain7.example.", "A"),
    ("chain6.example.", "MX"),
    ("x.cut.example.", "A"),
    ("x.safe.example.", "A"),
    ("x.beside.example.", "A"),
    ("safe.example.", "DS"),
    ("cut.example.", "DS"),
    ("example.org.", "A"),
];

#[test]
fn a_signed_response_of_any_limit_is_whole_or_truncated() {
    is_whole_or_truncated(&signed(&[("example", &large())]), DNSSEC_OK);
}

#[test]
fn a_response_of_any_limit_is_whole_or_truncated() {
    is_whole_or_truncated(&zones(&[("example", &large())]), 0);
}

/// RFC 2181 §9, RFC 9471 §3.1, RFC 4035 §3.1.1: with any room from 512 to 4096 octets, a response is within it, has its
/// OPT and nothing behind its last record, and says TC exactly when something required is missing.
fn is_whole_or_truncated(zones: &Zones, flags: u32) {
    for (owner, rtype) in SIZES {
        let asked = query(owner, rtype).opt(1232, flags, &[]).octets();
        let request = read(&asked).unwrap();
        let answer = answer(zones, &request.question, flags == DNSSEC_OK);
        let written = |answer: &Answer, limit: usize| {
            let mut out = Vec::new();
            let courtesies = Courtesies::default();
            let truncated = write(&request.envelope, answer, &courtesies, limit, &mut out);
            (out, truncated)
        };
        let mut required = answer.clone();
        required.additionals.retain(|placed| placed.required);
        let required = Response::read(&written(&required, 65_535).0);
        let needed = required.octets.len();
        let whole = Response::read(&written(&answer, 65_535).0);
        for limit in 512..=4096_u16 {
            let (octets, truncated) = written(&answer, usize::from(limit));
            // Reads strictly: nothing after the last record.
            let response = Response::read(&octets);
            let at = format!("{owner} {rtype} at {limit}");
            assert!(octets.len() <= usize::from(limit), "{at}");
            let opt = response.opt.as_ref();
            assert!(
                opt.is_some_and(|opt| opt.dnssec_ok == (flags == DNSSEC_OK)),
                "{at}"
            );
            assert_eq!(
                truncated,
                needed > usize::from(limit),
                "{at}: {needed} octets are needed"
            );
            assert_eq!(response.tc, truncated, "{at}");
            if !truncated {
                assert_eq!(response.answers(), whole.answers(), "{at}");
                assert_eq!(response.authorities(), whole.authorities(), "{at}");
                let (got, all) = (response.additionals(), whole.additionals());
                assert!(got.iter().all(|line| all.contains(line)), "{at}");
                let glue = required.additionals();
                assert!(glue.iter().all(|line| got.contains(line)), "{at}");
            }
            if whole.octets.len() <= usize::from(limit) {
                assert_eq!(octets.len(), whole.octets.len(), "{at}");
            }
            // Over UDP the room is what the client takes, and no more than 1232.
            if limit > 1300 && !limit.is_multiple_of(128) {
                continue;
            }
            let response = query(owner, rtype).opt(limit, flags, &[]).ask(zones);
            let room = usize::from(limit.min(1232));
            assert!(response.octets.len() <= room, "{at} over UDP");
            assert!(response.opt.is_some(), "{at} over UDP");
            // An error says why there, and leaves that out for want of room.
            assert_eq!(response.tc, needed > room, "{at} over UDP");
        }
    }
}
