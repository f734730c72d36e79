//! How large a response is: every limit, every size, compression, and nothing after the last record.

#![allow(clippy::unwrap_used)]

mod dns;

use dns::{HEAD, Response, ask, query, zones};
use repoint::serve::{Transport, answer_within, read};
use repoint::zone::Zones;

fn big() -> Zones {
    let mut file = format!("{HEAD}host A 192.0.2.1\n");
    for n in 0..12 {
        file.push_str(&format!(
            "_few._tcp SRV {n} 0 5269 edge{n}.pools\nedge{n}.pools A 192.0.2.{n}\nedge{n}.pools AAAA 2001:db8::{n:x}\n"
        ));
    }
    // Answers of every size around the limits: one TXT record of n octets each.
    for n in 1..=6 {
        let strings = (0..n)
            .map(|_| format!(" \"{}\"", "x".repeat(200)))
            .collect::<String>();
        file.push_str(&format!("t{n} TXT{strings}\n"));
    }
    for n in 0..40 {
        file.push_str(&format!("many A 198.51.100.{n}\n"));
    }
    // A delegation whose glue is large.
    for n in 0..13 {
        file.push_str(&format!(
            "cut NS ns{n}.cut\nns{n}.cut A 192.0.2.{n}\nns{n}.cut AAAA 2001:db8::{n:x}\n"
        ));
    }
    for n in 0..13 {
        file.push_str(&format!(
            "far NS a-name-server-with-a-long-name-{n}.example.net.\n"
        ));
    }
    for n in 0..6 {
        file.push_str(&format!("sib NS ns{n}.cut\n"));
    }
    zones(&[("example", &file)])
}

/// The size a response has when nothing limits it, and how much of it is required.
fn full(zones: &Zones, name: &str, rtype: &str) -> Response {
    let full = query(name, rtype).edns(1232).ask_tcp(zones);
    assert!(!full.tc);
    full
}

const QUESTIONS: [(&str, &str); 16] = [
    ("_few._tcp.example.", "SRV"),
    ("t1.example.", "TXT"),
    ("t2.example.", "TXT"),
    ("t3.example.", "TXT"),
    ("t4.example.", "TXT"),
    ("t5.example.", "TXT"),
    ("t6.example.", "TXT"),
    ("many.example.", "A"),
    ("x.cut.example.", "A"),
    ("x.far.example.", "A"),
    ("x.sib.example.", "A"),
    ("host.example.", "A"),
    ("nothing.example.", "A"),
    ("host.example.", "MX"),
    ("example.", "ANY"),
    ("example.org.", "A"),
];

#[test]
fn every_limit_is_kept_with_whole_rrsets_an_opt_and_an_exact_tc() {
    let zones = big();
    for (name, rtype) in QUESTIONS {
        let whole = full(&zones, name, rtype);
        // The message up to its answer and authority sections, and up to the in-domain glue.
        let referral = whole.authorities().iter().any(|line| line.contains(" NS "));
        let in_domain = referral && name == "x.cut.example.";
        for limit in 512..=1232_u16 {
            let response = query(name, rtype).edns(limit).ask(&zones);
            let size = response.octets.len();
            assert!(
                size <= usize::from(limit),
                "{name} {rtype} at {limit}: {size}"
            );
            assert!(response.opt.is_some(), "{name} {rtype} at {limit}");
            assert_eq!(response.rcode, whole.rcode);
            assert_eq!(response.question, whole.question);
            if response.tc {
                // Whole or absent: required sections are not cut in the middle.
                assert!(
                    whole.octets.len() > usize::from(limit),
                    "{name} {rtype} at {limit}"
                );
                assert!(response.answers().is_empty());
                assert!(response.authorities().is_empty() || in_domain);
            } else {
                assert_eq!(
                    response.answers(),
                    whole.answers(),
                    "{name} {rtype} at {limit}"
                );
                assert_eq!(response.authorities(), whole.authorities());
                if in_domain {
                    assert_eq!(response.additionals(), whole.additionals(), "RFC 9471 §3.1");
                }
            }
            // Additional records come as whole RRsets of those there are.
            let all = whole.additionals();
            assert!(response.additionals().iter().all(|line| all.contains(line)));
            if whole.additionals().is_empty() || in_domain {
                assert_eq!(
                    response.tc,
                    whole.octets.len() > usize::from(limit),
                    "{name} {rtype} at {limit}"
                );
            }
            if usize::from(limit) >= whole.octets.len() {
                assert_eq!(response.octets.len(), whole.octets.len());
                assert!(!response.tc);
            }
        }
    }
}

#[test]
fn truncation_begins_exactly_where_the_required_part_ends() {
    let zones = big();
    for (name, rtype) in [
        ("t3.example.", "TXT"),
        ("t4.example.", "TXT"),
        ("many.example.", "A"),
    ] {
        let size = u16::try_from(full(&zones, name, rtype).octets.len()).unwrap();
        assert!((513..=1232).contains(&size), "{name}: {size}");
        assert!(!query(name, rtype).edns(size).ask(&zones).tc);
        assert!(query(name, rtype).edns(size - 1).ask(&zones).tc);
    }
}

#[test]
fn dropping_additional_records_is_silent() {
    let zones = big();
    let whole = full(&zones, "_few._tcp.example.", "SRV");
    assert_eq!(whole.additionals().len(), 24);
    let limited = query("_few._tcp.example.", "SRV").edns(700).ask(&zones);
    assert!(!limited.tc);
    assert_eq!(limited.answers().len(), 12);
    assert!((1..24).contains(&limited.additionals().len()));
}

#[test]
fn sibling_glue_may_be_dropped_and_in_domain_glue_may_not() {
    // RFC 9471 §3.1 and §3.2
    let zones = big();
    let sibling = full(&zones, "x.sib.example.", "A");
    assert!(!sibling.additionals().is_empty());
    let in_domain = full(&zones, "x.cut.example.", "A");
    assert_eq!(in_domain.additionals().len(), 26);
    assert!(query("x.cut.example.", "A").edns(600).ask(&zones).tc);
    let plain = query("x.cut.example.", "A").ask(&zones);
    assert!(plain.tc && plain.octets.len() <= 512);
}

#[test]
fn without_edns_a_datagram_has_at_most_512_octets() {
    let zones = big();
    for (name, rtype) in QUESTIONS {
        let response = query(name, rtype).ask(&zones);
        assert!(response.octets.len() <= 512 && response.opt.is_none());
        let whole = query(name, rtype).ask_tcp(&zones);
        assert!(whole.octets.len() > 512 || !response.tc);
    }
}

#[test]
fn a_client_that_takes_less_than_512_is_taken_for_512_and_more_than_1232_for_1232() {
    // RFC 6891 §6.2.3
    let zones = big();
    let at = |size| query("t6.example.", "TXT").edns(size).ask(&zones);
    assert!(at(65535).tc && at(4096).tc && at(1232).tc);
    let small = |size| {
        query("t2.example.", "TXT")
            .edns(size)
            .ask(&zones)
            .octets
            .len()
    };
    assert_eq!(small(0), small(512));
    let five = query("t5.example.", "TXT").edns(65535).ask(&zones);
    assert!(!five.tc && five.octets.len() > 1000);
}

#[test]
fn over_tcp_everything_fits() {
    let mut file = HEAD.to_owned();
    for n in 0..250 {
        file.push_str(&format!("big TXT \"{n:03}{}\"\n", "x".repeat(220)));
    }
    let zones = zones(&[("example", &file)]);
    let response = query("big.example.", "TXT").ask_tcp(&zones);
    assert!(!response.tc);
    assert_eq!(response.answers().len(), 250);
    assert!(response.octets.len() > 55_000);
}

#[test]
fn the_question_is_what_owners_point_at() {
    let zones = big();
    let response = query("host.example.", "A").ask(&zones);
    // Header, question, then a pointer to its name.
    assert_eq!(response.octets[12 + 14 + 4..][..2], [0xc0, 12]);
    assert_eq!(response.octets.len(), 12 + 14 + 4 + 16);
}

#[test]
fn srv_targets_are_not_compressed_and_are_pointed_at() {
    // RFC 2782; RFC 3597 §4
    let file = format!("{HEAD}_s._tcp SRV 1 2 3 edge.pools\nedge.pools A 192.0.2.1\n");
    let response = query("_s._tcp.example.", "SRV").ask(&zones(&[("example", &file)]));
    let target = dns::wire("edge.pools.example.");
    let found = response
        .octets
        .windows(target.len())
        .any(|octets| octets == target);
    assert!(found, "the target stands in full");
    assert_eq!(
        response.additionals(),
        ["edge.pools.example. 3600 A 192.0.2.1"]
    );
    let size =
        12 + (dns::wire("_s._tcp.example.").len() + 4) + (2 + 10 + 6 + target.len()) + (2 + 10 + 4);
    // The additional record's owner ends in names written before: two labels of it at most are new.
    assert!(response.octets.len() <= size + 2 + "edge".len() + "pools".len());
}

#[test]
fn names_of_rfc_1035_types_are_compressed() {
    let zones = big();
    let response = query("nothing.example.", "A").ask(&zones);
    let soa = dns::wire("hostmaster.example.net.").len() + dns::wire("ns1.example.net.").len() + 20;
    let plain =
        12 + dns::wire("nothing.example.").len() + 4 + 10 + dns::wire("example.").len() + soa;
    assert!(response.octets.len() < plain);
}

#[test]
fn case_is_compressed_only_where_it_agrees() {
    let zones = big();
    let response = query("hOST.eXAMPLE.", "MX").ask(&zones);
    assert_eq!(response.question.as_ref().unwrap().0, "hOST.eXAMPLE.");
    assert!(
        response.authorities()[0].starts_with("example. "),
        "the zone's own spelling"
    );
}

#[test]
fn a_response_never_exceeds_the_limit_whatever_is_asked_of_it() {
    let zones = big();
    let long = format!("{}.example.", "a".repeat(63));
    for name in [long.as_str(), "example.", "x.cut.example."] {
        for rtype in ["A", "NS", "ANY", "DS", "TXT"] {
            let octets = query(name, rtype).edns(512).octets();
            let response = ask(&zones, &octets, Transport::Udp).unwrap();
            assert!(response.octets.len() <= 512);
        }
    }
}

#[test]
fn addresses_that_do_not_fit_are_not_looked_for() {
    let mut file = HEAD.to_owned();
    for n in 0..900 {
        let octets = (n / 250, n % 250);
        file.push_str(&format!(
            "_s._tcp SRV 1 1 5269 t{n}\nt{n} A 192.0.{}.{}\n",
            octets.0, octets.1
        ));
        file.push_str(&format!("_s._tcp SRV 2 1 5269 t{n}\n"));
    }
    for n in 0..33 {
        file.push_str(&format!("_few._tcp SRV 1 1 5269 t{n}\n"));
    }
    let zones = zones(&[("example", &file)]);
    let found = |name: &str, room: usize| {
        let request = read(&query(name, "SRV").octets()).unwrap();
        let answer = answer_within(&zones, &request.question, false, room);
        answer.additionals.len()
    };
    assert_eq!(found("_s._tcp.example.", 1232), 0, "it is truncated");
    assert_eq!(found("_s._tcp.example.", usize::MAX), 900, "each once");
    assert_eq!(found("_few._tcp.example.", 65_535), 33);
    let some = found("_few._tcp.example.", 1232);
    assert!((1..33).contains(&some), "{some}");
    // What is sent is the same as if all had been found.
    let response = query("_few._tcp.example.", "SRV").edns(1232).ask(&zones);
    assert!(!response.tc);
    assert!(
        response.octets.len() > 1232 - 40,
        "{}",
        response.octets.len()
    );
    assert!(query("_s._tcp.example.", "SRV").edns(1232).ask(&zones).tc);
}
