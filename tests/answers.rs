//! What is answered: the sentences of the RFCs, one test each.

#![allow(clippy::unwrap_used)]

mod dns;

use dns::{HEAD, Query, ask, query, wire, zones};
use repoint::serve::Transport;
use repoint::zone::Zones;

const SOA: &str = "example. 30 SOA ns1.example.net. hostmaster.example.net. 7 60 30 604800 30";

/// The zone of RFC 4592 §2.2.1, with what the other tests need beside it.
fn example() -> Zones {
    let file = format!(
        "{HEAD}\
         *.example.          3600 TXT \"this is a wildcard\"\n\
         *.example.          3600 MX 10 host1.example.\n\
         sub.*.example.      3600 TXT \"this is not a wildcard\"\n\
         host1.example.      3600 A 192.0.2.1\n\
         _ssh._tcp.host1.example. 3600 SRV 0 0 22 host1.example.\n\
         _ssh._tcp.host2.example. 3600 SRV 0 0 22 host1.example.\n\
         subdel.example.     3600 NS ns.example.com.\n\
         subdel.example.     3600 NS ns.subdel.example.\n\
         subdel.example.     3600 DS 12345 13 2 {}\n\
         ns.subdel           3600 A 192.0.2.2\n\
         ns.subdel           3600 AAAA 2001:db8::2\n\
         other               3600 NS ns.subdel\n\
         alias               60   CNAME host1\n\
         alias2              60   CNAME alias\n\
         dangling            60   CNAME nothing.host1\n\
         away                60   CNAME www.example.com.\n\
         down                60   CNAME x.subdel\n\
         loop1               60   CNAME loop2\n\
         loop2               60   CNAME loop1\n\
         *.wa                60   CNAME host1\n\
         text                3600 TXT \"a\"\n\
         _xmpp-server._tcp   30   SRV 10 0 5269 host1\n\
         _xmpp-server._tcp   30   SRV 20 0 5269 host3\n\
         _xmpp-server._tcp   30   SRV 30 0 5269 edge.example.org.\n\
         host3               60   A 192.0.2.3\n\
         host3               60   AAAA 2001:db8::3\n\
         mail                60   MX 10 host3\n",
        "AB".repeat(32)
    );
    zones(&[("example", &file)])
}

// RFC 1034 §4.3.2

#[test]
fn an_exact_match_is_answered_with_authority() {
    let response = query("host1.example.", "A").ask(&example());
    assert!(response.aa && !response.tc && response.rcode == 0);
    assert_eq!(response.answers(), ["host1.example. 3600 A 192.0.2.1"]);
    assert!(response.authorities().is_empty());
}

#[test]
fn a_name_of_another_zone_is_refused_without_authority() {
    for name in ["example.org.", "com.", ".", "xexample."] {
        let response = query(name, "A").ask(&example());
        assert_eq!(response.rcode, 5, "{name}");
        assert!(!response.aa);
        assert!(response.records.is_empty());
    }
}

#[test]
fn the_longest_apex_answers() {
    let outer = format!("{HEAD}inner NS ns1.example.net.\n");
    let inner = format!("{HEAD}www A 192.0.2.2\n");
    let zones = zones(&[("example", &outer), ("inner.example", &inner)]);
    let response = query("www.inner.example.", "A").ask(&zones);
    assert_eq!(response.answers(), ["www.inner.example. 3600 A 192.0.2.2"]);
    assert!(response.aa);
}

#[test]
fn below_a_cut_is_a_referral_without_authority() {
    for name in [
        "subdel.example.",
        "host.subdel.example.",
        "ns.subdel.example.",
    ] {
        let response = query(name, "A").ask(&example());
        assert_eq!((response.rcode, response.aa), (0, false), "{name}");
        assert!(response.answers().is_empty());
        assert_eq!(
            response.authorities(),
            [
                "subdel.example. 3600 NS ns.example.com.",
                "subdel.example. 3600 NS ns.subdel.example."
            ]
        );
        assert_eq!(
            response.additionals(),
            [
                "ns.subdel.example. 3600 A 192.0.2.2",
                "ns.subdel.example. 3600 AAAA 2001:db8::2"
            ]
        );
    }
}

#[test]
fn any_and_ns_at_a_cut_are_referrals_too() {
    for rtype in ["ANY", "NS", "SOA", "TXT"] {
        let response = query("subdel.example.", rtype).ask(&example());
        assert!(!response.aa && response.answers().is_empty(), "{rtype}");
        assert_eq!(response.authorities().len(), 2);
    }
}

#[test]
fn ds_at_a_cut_is_answered_by_the_parent_side() {
    let response = query("subdel.example.", "DS").ask(&example());
    assert!(response.aa);
    assert_eq!(response.answers().len(), 1);
    let none = query("other.example.", "DS").ask(&example());
    assert!(none.is_no_data());
    let below = query("a.subdel.example.", "DS").ask(&example());
    assert!(!below.aa && below.authorities().len() == 2);
}

#[test]
fn ds_at_an_apex_is_answered_from_the_zone_above_where_that_is_ours() {
    let outer = format!("{HEAD}inner NS ns1.example.net.\n");
    let both = zones(&[("example", &outer), ("inner.example", HEAD)]);
    let response = query("inner.example.", "DS").ask(&both);
    assert!(response.is_no_data());
    assert!(response.authorities()[0].starts_with("example. "));
    let alone = zones(&[("inner.example", HEAD)]);
    let response = query("inner.example.", "DS").ask(&alone);
    assert!(response.is_no_data());
    assert!(response.authorities()[0].starts_with("inner.example. "));
}

/// A name error for the name of a zone would be believed for all of it (RFC 8020).
#[test]
fn ds_at_an_apex_that_the_zone_above_does_not_delegate_is_no_data() {
    let files = [("example", HEAD), ("inner.example", HEAD)];
    let both = dns::zones_with(Vec::new(), &files);
    let response = query("inner.example.", "DS").ask(&both);
    assert!(response.is_no_data());
    assert!(response.authorities()[0].starts_with("inner.example. "));
}

#[test]
fn a_zone_inside_a_zone_is_delegated_without_being_told() {
    let both = zones(&[("example", HEAD), ("inner.example", HEAD)]);
    let response = query("inner.example.", "DS").ask(&both);
    assert!(response.authorities()[0].starts_with("example. 30 SOA"));
}

#[test]
fn an_alias_is_followed_to_its_data() {
    let response = query("alias2.example.", "A").ask(&example());
    assert!(response.aa);
    assert_eq!(
        response.answers(),
        [
            "alias2.example. 60 CNAME alias.example.",
            "alias.example. 60 CNAME host1.example.",
            "host1.example. 3600 A 192.0.2.1"
        ]
    );
}

#[test]
fn an_alias_is_not_followed_when_the_alias_itself_is_asked_for() {
    for rtype in ["CNAME", "ANY"] {
        let response = query("alias.example.", rtype).ask(&example());
        assert_eq!(
            response.answers(),
            ["alias.example. 60 CNAME host1.example."]
        );
    }
}

#[test]
fn what_may_stand_beside_an_alias_is_the_aliass_own() {
    // RFC 4035 §2.5: the zone is not signed, so there is nothing of it, and nothing is followed.
    for rtype in ["NSEC", "RRSIG"] {
        assert!(query("alias.example.", rtype).ask(&example()).is_no_data());
    }
}

#[test]
fn an_alias_without_the_type_ends_in_no_data() {
    let response = query("alias.example.", "AAAA").ask(&example());
    assert_eq!(response.rcode, 0);
    assert_eq!(response.answers().len(), 1);
    assert_eq!(response.authorities(), [SOA]);
}

#[test]
fn the_code_is_that_of_the_last_name_of_a_chain() {
    // RFC 6604 §2.1
    let response = query("dangling.example.", "A").ask(&example());
    assert_eq!(response.rcode, 3);
    assert_eq!(
        response.answers(),
        ["dangling.example. 60 CNAME nothing.host1.example."]
    );
    assert_eq!(response.authorities(), [SOA]);
}

#[test]
fn an_alias_out_of_our_zones_is_all_we_say() {
    let response = query("away.example.", "A").ask(&example());
    assert_eq!((response.rcode, response.aa), (0, true));
    assert_eq!(
        response.answers(),
        ["away.example. 60 CNAME www.example.com."]
    );
    assert!(response.authorities().is_empty());
}

#[test]
fn an_alias_into_a_delegation_ends_in_its_referral() {
    let response = query("down.example.", "A").ask(&example());
    assert_eq!((response.rcode, response.aa), (0, true));
    assert_eq!(response.answers().len(), 1);
    assert_eq!(response.authorities().len(), 2);
}

#[test]
fn an_alias_is_followed_into_another_zone_of_ours() {
    let from = format!("{HEAD}a CNAME www.contoso.com.\n");
    let to = format!("{HEAD}www A 192.0.2.9\n");
    let zones = zones(&[("example", &from), ("contoso.com", &to)]);
    let response = query("a.example.", "A").ask(&zones);
    assert_eq!(
        response.answers(),
        [
            "a.example. 3600 CNAME www.contoso.com.",
            "www.contoso.com. 3600 A 192.0.2.9"
        ]
    );
}

#[test]
fn aliases_in_a_circle_end() {
    let response = query("loop1.example.", "A").ask(&example());
    assert_eq!(response.rcode, 0);
    assert_eq!(
        response.answers(),
        [
            "loop1.example. 60 CNAME loop2.example.",
            "loop2.example. 60 CNAME loop1.example."
        ]
    );
}

#[test]
fn a_long_chain_is_followed_eight_aliases_far() {
    let mut file = HEAD.to_owned();
    for n in 0..20 {
        file.push_str(&format!("c{n} CNAME c{}\n", n + 1));
    }
    file.push_str("c20 A 192.0.2.1\n");
    let response = query("c0.example.", "A").ask(&zones(&[("example", &file)]));
    assert_eq!(response.answers().len(), 8);
}

// RFC 2308

#[test]
fn a_negative_answer_carries_the_soa_with_the_lesser_ttl() {
    // RFC 2308 §5: the lesser of the SOA's TTL and its MINIMUM.
    let absent = query("nothing.host1.example.", "A").ask(&example());
    assert!(absent.is_name_error());
    assert_eq!(absent.authorities(), [SOA]);
    let low = HEAD.replace("$TTL 3600", "$TTL 20");
    let response = query("nothing.example.", "A").ask(&zones(&[("example", &low)]));
    assert!(response.authorities()[0].starts_with("example. 20 SOA"));
}

#[test]
fn a_name_without_the_type_is_no_data_and_not_a_name_error() {
    let response = query("host1.example.", "TXT").ask(&example());
    assert!(response.is_no_data());
    assert_eq!(response.authorities(), [SOA]);
    assert!(
        query("host1.example.", "TYPE65280")
            .ask(&example())
            .is_no_data()
    );
}

#[test]
fn the_soa_itself_keeps_its_own_ttl() {
    let response = query("example.", "SOA").ask(&example());
    assert!(response.answers()[0].starts_with("example. 3600 SOA"));
    assert!(response.authorities().is_empty());
}

// RFC 8020, RFC 9156

#[test]
fn an_empty_non_terminal_exists() {
    for name in ["_tcp.example.", "_tcp.host1.example.", "host2.example."] {
        for rtype in ["A", "NS", "SRV", "ANY"] {
            assert!(
                query(name, rtype).ask(&example()).is_no_data(),
                "{name} {rtype}"
            );
        }
    }
}

#[test]
fn a_minimising_resolver_reaches_every_name() {
    // RFC 9156: NS or A for every ancestor, none of which may be a name error.
    let zones = example();
    for name in ["example.", "_tcp.example.", "_xmpp-server._tcp.example."] {
        for rtype in ["NS", "A"] {
            assert_eq!(query(name, rtype).ask(&zones).rcode, 0, "{name}");
        }
    }
}

// RFC 4592 §2.2.1: the examples of the RFC

#[test]
fn the_wildcard_examples_of_rfc_4592_hold() {
    let zones = example();
    let answers = |name: &str, rtype: &str| query(name, rtype).ask(&zones).answers();
    assert_eq!(
        answers("host3x.example.", "MX"),
        ["host3x.example. 3600 MX 10 host1.example."]
    );
    assert!(query("host3x.example.", "A").ask(&zones).is_no_data());
    assert_eq!(
        answers("foo.bar.example.", "TXT"),
        ["foo.bar.example. 3600 TXT \"this is a wildcard\""]
    );
    assert!(query("host1.example.", "MX").ask(&zones).is_no_data());
    assert!(query("sub.*.example.", "MX").ask(&zones).is_no_data());
    assert!(
        query("_telnet._tcp.host1.example.", "SRV")
            .ask(&zones)
            .is_name_error()
    );
    assert!(!query("host.subdel.example.", "A").ask(&zones).aa);
    assert!(query("ghost.*.example.", "MX").ask(&zones).is_name_error());
}

#[test]
fn a_wildcard_does_not_reach_past_the_closest_encloser() {
    assert!(
        query("x._tcp.example.", "TXT")
            .ask(&example())
            .is_name_error()
    );
}

#[test]
fn a_wildcard_asked_for_by_name_is_an_ordinary_name() {
    let response = query("*.example.", "TXT").ask(&example());
    assert_eq!(
        response.answers(),
        ["*.example. 3600 TXT \"this is a wildcard\""]
    );
}

#[test]
fn a_wildcard_alias_is_expanded_and_followed() {
    let response = query("x.wa.example.", "A").ask(&example());
    assert_eq!(
        response.answers(),
        [
            "x.wa.example. 60 CNAME host1.example.",
            "host1.example. 3600 A 192.0.2.1"
        ]
    );
}

#[test]
fn a_wildcard_that_is_an_empty_non_terminal_gives_no_data() {
    let file = format!("{HEAD}a.*.w TXT x\n");
    let zones = zones(&[("example", &file)]);
    assert!(query("q.w.example.", "TXT").ask(&zones).is_no_data());
}

// Additional section

#[test]
fn every_srv_target_in_our_zones_has_its_addresses_added() {
    let response = query("_xmpp-server._tcp.example.", "SRV").ask(&example());
    assert_eq!(response.answers().len(), 3);
    assert_eq!(
        response.additionals(),
        [
            "host1.example. 3600 A 192.0.2.1",
            "host3.example. 60 A 192.0.2.3",
            "host3.example. 60 AAAA 2001:db8::3"
        ]
    );
}

#[test]
fn mx_and_ns_targets_have_their_addresses_added_too() {
    assert_eq!(
        query("mail.example.", "MX")
            .ask(&example())
            .additionals()
            .len(),
        2
    );
    let file = "$TTL 60\n@ SOA ns1 h 1 60 30 7d 30\n@ NS ns1\nns1 A 192.0.2.53\n";
    let response = query("example.", "NS").ask(&zones(&[("example", file)]));
    assert_eq!(response.additionals(), ["ns1.example. 60 A 192.0.2.53"]);
}

#[test]
fn a_target_in_another_zone_of_ours_has_its_address_added() {
    let srv = format!("{HEAD}_s._tcp SRV 0 0 1 host.contoso.com.\n");
    let host = format!("{HEAD}host A 192.0.2.9\n");
    let zones = zones(&[("example", &srv), ("contoso.com", &host)]);
    let response = query("_s._tcp.example.", "SRV").ask(&zones);
    assert_eq!(
        response.additionals(),
        ["host.contoso.com. 3600 A 192.0.2.9"]
    );
}

#[test]
fn glue_of_a_sibling_delegation_is_added_when_there_is_room() {
    // RFC 9471 §2.2
    let response = query("x.other.example.", "A").ask(&example());
    assert_eq!(
        response.authorities(),
        ["other.example. 3600 NS ns.subdel.example."]
    );
    assert_eq!(response.additionals().len(), 2);
}

#[test]
fn a_referral_of_an_unsigned_zone_has_no_ds() {
    // Without a signature it would prove nothing (RFC 4035 §3.1.4 speaks of signed zones).
    for flags in [0, 0x8000] {
        let response = query("x.subdel.example.", "A").opt(1232, flags, &[]);
        assert_eq!(response.ask(&example()).authorities().len(), 2);
    }
}

// RFC 8482

#[test]
fn any_is_answered_with_one_rrset() {
    let response = query("host3.example.", "ANY").ask(&example());
    assert_eq!(response.answers(), ["host3.example. 60 A 192.0.2.3"]);
    let apex = query("example.", "ANY").ask_tcp(&example());
    assert_eq!(apex.answers().len(), 1);
}

// Header

#[test]
fn the_response_repeats_what_it_must_and_clears_the_rest() {
    // RD, AD and CD set, RA and Z too.
    let response = query("host1.example.", "A").flags(0x01f0).ask(&example());
    assert_eq!((response.id, response.opcode), (0xbeef, 0));
    assert!(response.rd);
    assert_eq!(response.low_flags, 0);
    assert!(!query("host1.example.", "A").ask(&example()).rd);
}

#[test]
fn the_question_comes_back_in_its_own_case() {
    let response = query("hOsT1.eXaMpLe.", "A").ask(&example());
    assert_eq!(response.question.as_ref().unwrap().0, "hOsT1.eXaMpLe.");
    assert_eq!(response.answers(), ["hOsT1.eXaMpLe. 3600 A 192.0.2.1"]);
    let wild = query("FoO.example.", "TXT").ask(&example());
    assert!(wild.answers()[0].starts_with("FoO.example. "));
    let absent = query("NoThing.host1.example.", "A").ask(&example());
    assert_eq!(
        absent.question.as_ref().unwrap().0,
        "NoThing.host1.example."
    );
}

#[test]
fn a_response_is_never_answered() {
    let octets = query("host1.example.", "A").flags(0x8000).octets();
    assert!(ask(&example(), &octets, Transport::Udp).is_none());
}

#[test]
fn less_than_a_header_is_never_answered() {
    for length in 0..12 {
        assert!(ask(&example(), &vec![0; length], Transport::Udp).is_none());
    }
}

const UPDATE: u16 = 5;

#[test]
fn other_operations_are_not_implemented() {
    for opcode in (1..16_u16).filter(|opcode| *opcode != UPDATE) {
        let response = query("host1.example.", "A")
            .edns(1232)
            .flags(opcode << 11)
            .ask(&example());
        assert_eq!(response.rcode, 4, "opcode {opcode}");
        assert_eq!(u16::from(response.opcode), opcode);
        assert!(response.opt.is_some());
    }
}

#[test]
fn an_update_is_refused_for_zones_of_ours_and_not_ours_to_make_elsewhere() {
    // RFC 2136 §3.1.1, §3.1.2, §3.3
    let update = |zone: &str, rtype: &str| {
        query(zone, rtype)
            .edns(1232)
            .flags(UPDATE << 11)
            .ask(&example())
    };
    for (zone, rtype, rcode) in [
        ("example.", "SOA", 5),
        ("host1.example.", "SOA", 9),
        ("example.org.", "SOA", 9),
        ("example.", "A", 1),
    ] {
        let response = update(zone, rtype);
        assert_eq!(response.rcode, rcode, "{zone} {rtype}");
        assert_eq!(u16::from(response.opcode), UPDATE);
        assert!(response.opt.is_some() && response.records.is_empty());
    }
}

#[test]
fn anything_but_one_question_is_a_format_error() {
    let zones = example();
    let header_only = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(ask(&zones, &header_only, Transport::Udp).unwrap().rcode, 1);
    let mut two = query("host1.example.", "A").edns(1232);
    two.counts[0] = 2;
    let again = two.question.clone();
    two.question.extend(again);
    let response = two.ask(&zones);
    assert_eq!(response.rcode, 1);
    assert!(response.question.is_none() && response.opt.is_some());
}

#[test]
fn a_bomb_of_counts_is_a_format_error() {
    let octets = [0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(ask(&example(), &octets, Transport::Udp).unwrap().rcode, 1);
}

#[test]
fn malformed_messages_are_format_errors() {
    let zones = example();
    let good = query("host1.example.", "A").edns(1232).octets();
    for length in 12..good.len() {
        let response = ask(&zones, &good[..length], Transport::Udp).unwrap();
        assert_eq!(response.rcode, 1, "cut at {length}");
    }
    let mut trailing = good.clone();
    trailing.push(0);
    assert_eq!(ask(&zones, &trailing, Transport::Udp).unwrap().rcode, 1);
    let mut pointer = query("host1.example.", "A");
    pointer.question = vec![0xc0, 12, 0, 1, 0, 1];
    assert_eq!(pointer.ask(&zones).rcode, 1);
    let mut long_label = query("host1.example.", "A");
    long_label.question[0] = 64;
    assert_eq!(long_label.ask(&zones).rcode, 1);
    let mut long_name = query(&"a.".repeat(128), "A");
    assert_eq!(long_name.ask(&zones).rcode, 1);
    long_name = query(&"a.".repeat(127), "A");
    assert_eq!(long_name.ask(&zones).rcode, 5);
}

#[test]
fn other_classes_are_refused() {
    for class in [0, 2, 3, 4, 254, 255, 999] {
        let response = query("host1.example.", "A").class(class).ask(&example());
        assert_eq!(response.rcode, 5, "class {class}");
        assert!(!response.aa);
    }
}

#[test]
fn transfers_are_refused_over_every_transport() {
    for rtype in ["AXFR", "IXFR"] {
        assert_eq!(query("example.", rtype).ask(&example()).rcode, 5);
        assert_eq!(query("example.", rtype).ask_tcp(&example()).rcode, 5);
    }
}

#[test]
fn types_that_are_no_data_are_errors() {
    for (rtype, rcode) in [
        (0, 1),
        (41, 1),
        (249, 1),
        (250, 1),
        (253, 4),
        (254, 4),
        (128, 1),
        (200, 4),
    ] {
        let response = query("host1.example.", &format!("TYPE{rtype}")).ask(&example());
        assert_eq!(response.rcode, rcode, "type {rtype}");
    }
}

// RFC 6891

#[test]
fn an_opt_comes_back_whenever_one_was_sent_and_never_otherwise() {
    let zones = example();
    for name in [
        "host1.example.",
        "nothing.host1.example.",
        "x.subdel.example.",
        "example.org.",
    ] {
        let with = query(name, "A").edns(4096).ask(&zones);
        let opt = with.opt.as_ref().expect(name);
        assert_eq!((opt.udp_size, opt.version, opt.dnssec_ok), (1232, 0, false));
        // A name of others comes with the reason (RFC 8914).
        assert_eq!(opt.options.is_empty(), with.rcode != 5);
        assert!(query(name, "A").ask(&zones).opt.is_none());
    }
}

#[test]
fn an_unknown_edns_version_is_badvers() {
    // RFC 6891 §6.1.3
    for version in [1_u32, 2, 255] {
        let response = query("host1.example.", "A")
            .opt(1232, version << 16, &[])
            .ask(&example());
        assert_eq!(response.rcode, 16);
        assert_eq!(response.opt.as_ref().unwrap().version, 0);
        assert!(response.answers().is_empty() && response.question.is_some());
    }
}

#[test]
fn unknown_options_and_flags_are_ignored() {
    // RFC 6891 §6.1.2; the flags beside DO are reserved (§6.1.4).
    let options = [
        0xff, 0xf0, 0, 3, 1, 2, 3, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 3, 0, 0,
    ];
    let response = query("host1.example.", "A")
        .opt(1232, 0x7fff, &options)
        .ask(&example());
    assert_eq!(response.rcode, 0);
    assert_eq!(response.answers().len(), 1);
    assert!(response.opt.as_ref().unwrap().options.is_empty());
    assert_eq!(response.octets[response.octets.len() - 4..], [0, 0, 0, 0]);
}

#[test]
fn dnssec_ok_is_echoed() {
    let response = query("host1.example.", "A")
        .opt(1232, 0x8000, &[])
        .ask(&example());
    assert!(response.opt.as_ref().unwrap().dnssec_ok);
}

#[test]
fn options_that_do_not_fill_their_opt_are_a_format_error() {
    for options in [&[0][..], &[0, 3, 0], &[0, 3, 0, 1], &[0, 3, 0, 0, 9]] {
        let response = query("host1.example.", "A")
            .opt(1232, 0, options)
            .ask(&example());
        assert_eq!(response.rcode, 1, "{options:?}");
    }
}

#[test]
fn two_opts_are_a_format_error() {
    // RFC 6891 §6.1.1
    let response = query("host1.example.", "A")
        .edns(1232)
        .edns(1232)
        .ask(&example());
    assert_eq!(response.rcode, 1);
    assert!(response.opt.is_some());
}

#[test]
fn an_opt_not_owned_by_the_root_is_a_format_error() {
    let mut owned = query("host1.example.", "A");
    owned.extra = wire("x.");
    owned.extra.extend([0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    owned.counts[3] = 1;
    assert_eq!(owned.ask(&example()).rcode, 1);
}

#[test]
fn records_in_other_sections_of_a_query_do_not_matter() {
    let mut ixfr_like: Query = query("host1.example.", "A");
    ixfr_like.extra = vec![0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1];
    ixfr_like.counts[2] = 1;
    let response = ixfr_like.edns(1232).ask(&example());
    assert_eq!(response.answers().len(), 1);
    assert!(response.opt.is_some());
}
