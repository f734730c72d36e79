//! Answers at and below a DNAME (RFC 6672), one sentence of it each.

#![allow(clippy::unwrap_used)]

mod dns;

use dns::{HEAD, query, zones};
use repoint::zone::Zones;

const SOA: &str = "example. 30 SOA ns1.example.net. hostmaster.example.net. 7 60 30 604800 30";

fn example() -> Zones {
    let far = format!("{}.{}.{}", "f".repeat(63), "f".repeat(63), "f".repeat(59));
    let file = format!(
        "{HEAD}\
         old        600 DNAME New\n\
         old            TXT   \"beside a DNAME other types may stand\"\n\
         host.new       A     192.0.2.7\n\
         a.b.new        AAAA  2001:db8::7\n\
         deep.new       CNAME host.old\n\
         *.w.new        TXT   \"x\"\n\
         alias          CNAME host.old\n\
         first          DNAME second\n\
         second         DNAME new\n\
         circle         DNAME circle\n\
         growing        DNAME more.growing\n\
         away           DNAME example.net.\n\
         across         DNAME contoso.com.\n\
         far            DNAME {far}\n\
         *.wild         DNAME new\n\
         cut.new        NS    ns.example.net.\n\
         *.wild         TXT   \"y\"\n"
    );
    let contoso = format!("{HEAD}www A 192.0.2.80\n@ MX 10 host.old.example.\n");
    zones(&[("example", &file), ("contoso.com", &contoso)])
}

#[test]
fn a_name_below_a_dname_is_an_alias_of_the_same_name_below_its_target() {
    let response = query("host.old.example.", "A").ask(&example());
    assert!(response.aa && response.rcode == 0);
    assert_eq!(
        response.answers(),
        [
            "old.example. 600 DNAME New.example.",
            "host.old.example. 600 CNAME host.New.example.",
            "host.New.example. 3600 A 192.0.2.7",
        ]
    );
    let response = query("a.b.old.example.", "AAAA").ask(&example());
    assert_eq!(
        response.answers()[1..],
        [
            "a.b.old.example. 600 CNAME a.b.New.example.",
            "a.b.New.example. 3600 AAAA 2001:db8::7",
        ]
    );
}

#[test]
fn the_name_of_a_dname_itself_is_not_redirected() {
    let zones = example();
    assert!(query("old.example.", "A").ask(&zones).is_no_data());
    let txt = query("old.example.", "TXT").ask(&zones);
    assert_eq!(txt.answers().len(), 1);
    let dname = query("old.example.", "DNAME").ask(&zones);
    assert_eq!(dname.answers(), ["old.example. 600 DNAME New.example."]);
}

#[test]
fn every_type_is_redirected_alike() {
    for rtype in ["DNAME", "ANY", "NS", "SOA", "DS", "NSEC", "RRSIG"] {
        let response = query("none.old.example.", rtype).ask(&example());
        assert_eq!(
            response.answers(),
            [
                "old.example. 600 DNAME New.example.",
                "none.old.example. 600 CNAME none.New.example.",
            ],
            "{rtype}"
        );
        assert_eq!(response.rcode, 3, "{rtype}: the last name is not there");
        assert_eq!(response.authorities(), [SOA]);
    }
}

#[test]
fn the_alias_that_is_made_is_not_followed_when_it_is_asked_for() {
    let response = query("none.first.example.", "CNAME").ask(&example());
    assert_eq!(
        response.answers(),
        [
            "first.example. 3600 DNAME second.example.",
            "none.first.example. 3600 CNAME none.second.example.",
        ]
    );
    assert_eq!(response.rcode, 0);
    assert!(response.authorities().is_empty());
}

#[test]
fn the_labels_in_front_keep_the_case_of_the_question() {
    let response = query("HoSt.OLD.example.", "A").ask(&example());
    assert_eq!(
        response.answers()[1],
        "HoSt.OLD.example. 600 CNAME HoSt.New.example."
    );
}

#[test]
fn a_redirected_name_ends_wherever_a_name_may_end() {
    let zones = example();
    // A wildcard, an empty non-terminal, an alias that leads back, a delegation.
    let wild = query("x.w.old.example.", "TXT").ask(&zones);
    assert_eq!(wild.answers()[2], "x.w.New.example. 3600 TXT \"x\"");
    assert_eq!(
        query("b.old.example.", "A").ask(&zones).authorities(),
        [SOA]
    );
    let back = query("deep.old.example.", "A").ask(&zones);
    assert_eq!(
        back.answers(),
        [
            "old.example. 600 DNAME New.example.",
            "deep.old.example. 600 CNAME deep.New.example.",
            "deep.New.example. 3600 CNAME host.old.example.",
            "host.old.example. 600 CNAME host.New.example.",
            "host.New.example. 3600 A 192.0.2.7",
        ]
    );
    let cut = query("x.cut.old.example.", "A").ask(&zones);
    assert_eq!((cut.answers().len(), cut.authorities().len()), (2, 1));
}

#[test]
fn aliases_and_redirections_make_one_chain_across_our_zones() {
    let zones = example();
    assert_eq!(query("alias.example.", "A").ask(&zones).answers().len(), 4);
    let twice = query("host.first.example.", "A").ask(&zones);
    assert_eq!(
        twice.answers(),
        [
            "first.example. 3600 DNAME second.example.",
            "host.first.example. 3600 CNAME host.second.example.",
            "second.example. 3600 DNAME new.example.",
            "host.second.example. 3600 CNAME host.new.example.",
            "host.new.example. 3600 A 192.0.2.7",
        ]
    );
    let across = query("www.across.example.", "A").ask(&zones);
    assert_eq!(across.answers()[2], "www.contoso.com. 3600 A 192.0.2.80");
    let away = query("www.away.example.", "A").ask(&zones);
    assert_eq!((away.rcode, away.answers().len()), (0, 2));
    assert!(away.authorities().is_empty());
}

#[test]
fn circles_and_names_that_grow_end_with_the_alias_limit() {
    let zones = example();
    let circle = query("x.circle.example.", "A").ask(&zones);
    assert_eq!((circle.rcode, circle.answers().len()), (0, 2));
    let growing = query("x.growing.example.", "A").ask(&zones);
    // The DNAME once, and eight aliases.
    assert_eq!((growing.rcode, growing.answers().len()), (0, 9));
}

#[test]
fn a_dname_that_is_asked_for_by_way_of_itself_is_there_once() {
    let file = format!("{HEAD}a DNAME @\n");
    let zones = zones(&[("example", &file)]);
    let response = query("a.a.example.", "DNAME").ask(&zones);
    assert_eq!(
        response.answers(),
        [
            "a.example. 3600 DNAME example.",
            "a.a.example. 3600 CNAME a.example.",
        ]
    );
}

#[test]
fn a_name_that_becomes_too_long_is_yxdomain() {
    let zones = example();
    // 64 + 64 + 60 octets and "example." make 197: with 58 more the name is full.
    let fits = query(&format!("{}.far.example.", "x".repeat(57)), "A").ask_tcp(&zones);
    assert_eq!((fits.rcode, fits.answers().len()), (3, 2));
    let long = query(&format!("{}.far.example.", "x".repeat(58)), "A").ask_tcp(&zones);
    assert_eq!((long.rcode, long.aa), (6, true));
    assert_eq!(long.answers().len(), 1);
    assert!(long.answers()[0].starts_with("far.example. 3600 DNAME f"));
    assert!(long.authorities().is_empty());
}

#[test]
fn the_dname_of_a_wildcard_redirects_what_is_below_the_asterisk_alone() {
    let zones = example();
    let below = query("host.*.wild.example.", "A").ask(&zones);
    assert_eq!(below.answers().len(), 3);
    assert!(query("x.wild.example.", "A").ask(&zones).is_no_data());
}

#[test]
fn a_zone_may_redirect_everything_below_its_apex() {
    let file = format!("{HEAD}@ DNAME contoso.com.\n@ MX 10 mail.example.net.\n");
    let zones = zones(&[("example", &file)]);
    let below = query("www.example.", "A").ask(&zones);
    assert_eq!(
        below.answers()[1],
        "www.example. 3600 CNAME www.contoso.com."
    );
    for rtype in ["SOA", "NS", "MX", "DNAME"] {
        assert_eq!(query("example.", rtype).ask(&zones).answers().len(), 1);
    }
    assert!(query("example.", "A").ask(&zones).is_no_data());
}

#[test]
fn a_target_below_the_dname_of_another_zone_gets_no_addresses() {
    let mail = query("contoso.com.", "MX").ask(&example());
    assert_eq!(mail.records.len(), 1);
}
