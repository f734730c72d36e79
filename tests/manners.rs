//! What responses say besides the answer: EDNS options, the server's names, limits. Asked of the pure function, on a
//! clock of the tests' own.

#![allow(clippy::unwrap_used)]

#[path = "dns/mod.rs"]
mod dns;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dns::{HEAD, Query, Response, ask_as, query, zones};
use repoint::clock::{Mono, Now, Wall};
use repoint::serve::{Manners, Outcome, Peer, RateLimit, RateTable, Secrets, Transport, respond};
use repoint::zone::Zones;

const NSID: u16 = 3;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const EXTENDED_ERROR: u16 = 15;

fn example() -> Zones {
    let mut file =
        format!("{HEAD}host A 192.0.2.1\n*.wild TXT wild\nsub NS ns.sub\nns.sub A 192.0.2.2\n");
    for n in 0..40 {
        file.push_str(&format!("_s._tcp SRV 1 1 5269 t{n}\nt{n} A 192.0.2.{n}\n"));
        file.push_str(&format!("t{n} TXT \"{}\"\n", "x".repeat(20 * n % 250)));
    }
    for n in 0..4 {
        file.push_str(&format!("text{n} TXT \"{}\"\n", "x".repeat(100 + 40 * n)));
        file.push_str(&format!("text{n} TXT \"{}\"\n", "y".repeat(240)));
    }
    zones(&[("example", &file)])
}

fn manners() -> Manners {
    Manners {
        nsid: Some("a.ns.example".into()),
        version: Some("unsaid".into()),
        cookies: Some(Secrets::Own([7; 16])),
        rate_limit: None,
        ..Manners::default()
    }
}

fn limited(rate: u32, slip: u32) -> Manners {
    Manners {
        rate_limit: Some(RateLimit {
            rate,
            slip,
            exempt: vec!["10.0.0.0/8".parse().unwrap()],
            table: Arc::new(RateTable::new([1; 16])),
        }),
        ..manners()
    }
}

fn from(address: &str, transport: Transport) -> Peer {
    let address: IpAddr = address.parse().unwrap();
    Peer {
        address: (address, 5353).into(),
        transport,
        idle: None,
    }
}

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::START + Duration::from_millis(millis),
        wall: Wall::from_millis(1_800_000_000_000) + Duration::from_millis(millis),
    }
}

fn udp() -> Peer {
    from("192.0.2.99", Transport::Udp)
}

/// Asks with options, each a code and its data.
fn with(query: Query, options: &[(u16, &[u8])]) -> Query {
    let mut data = Vec::new();
    for (code, value) in options {
        data.extend(code.to_be_bytes());
        data.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        data.extend(*value);
    }
    query.opt(1232, 0, &data)
}

fn ask(peer: Peer, query: &Query) -> Response {
    ask_as(peer, &example(), &manners(), at(0), &query.octets()).unwrap()
}

fn option(response: &Response, code: u16) -> Option<Vec<u8>> {
    response.opt.as_ref().and_then(|opt| opt.option(code))
}

// NSID

#[test]
fn nsid_is_told_to_who_asks() {
    let asked = with(query("host.example.", "A"), &[(NSID, &[])]);
    assert_eq!(option(&ask(udp(), &asked), NSID).unwrap(), b"a.ns.example");
    let unasked = query("host.example.", "A").edns(1232);
    assert_eq!(option(&ask(udp(), &unasked), NSID), None);
    let nameless = ask_as(
        udp(),
        &example(),
        &Manners::default(),
        at(0),
        &asked.octets(),
    );
    assert_eq!(option(&nameless.unwrap(), NSID), None);
}

// The server's names in class CH

#[test]
fn the_servers_names_are_told_where_they_are_configured() {
    for (name, text) in [
        ("version.bind.", "unsaid"),
        ("VERSION.Server.", "unsaid"),
        ("hostname.bind.", "a.ns.example"),
        ("id.server.", "a.ns.example"),
    ] {
        let asked = query(name, "TXT").class(3);
        let response = ask(udp(), &asked);
        assert!(response.aa && response.rcode == 0);
        assert_eq!(response.answers(), [format!("{name} 0 TXT \"{text}\"")]);
        let plain = ask_as(
            udp(),
            &example(),
            &Manners::default(),
            at(0),
            &asked.octets(),
        );
        assert_eq!(
            plain.unwrap().rcode,
            5,
            "{name}: nothing is told by default"
        );
        assert_eq!(
            ask(udp(), &query(name, "TXT")).rcode,
            5,
            "{name} in class IN"
        );
        assert_eq!(ask(udp(), &query(name, "A").class(3)).rcode, 5);
    }
    assert_eq!(ask(udp(), &query("authors.bind.", "TXT").class(3)).rcode, 5);
    assert_eq!(ask(udp(), &query("example.", "SOA").class(3)).rcode, 5);
}

// Cookies

#[test]
fn a_client_cookie_gets_its_answer_and_a_server_cookie() {
    let client = [1, 2, 3, 4, 5, 6, 7, 8];
    let response = ask(
        udp(),
        &with(query("host.example.", "A"), &[(COOKIE, &client)]),
    );
    assert_eq!((response.rcode, response.answers().len()), (0, 1));
    let cookie = option(&response, COOKIE).unwrap();
    assert_eq!(cookie.len(), 24);
    assert_eq!(cookie[..8], client);
    // A good one stays, a bad one is replaced; both get the answer.
    let again = ask(
        udp(),
        &with(query("host.example.", "A"), &[(COOKIE, &cookie)]),
    );
    assert_eq!(option(&again, COOKIE).unwrap(), cookie);
    let mut bad = cookie.clone();
    bad[23] ^= 1;
    let response = ask(udp(), &with(query("host.example.", "A"), &[(COOKIE, &bad)]));
    assert_eq!((response.rcode, response.answers().len()), (0, 1));
    assert_eq!(option(&response, COOKIE).unwrap(), cookie);
}

#[test]
fn a_cookie_of_no_possible_length_is_a_format_error() {
    // RFC 7873 §5.2.2
    for length in [0, 1, 7, 9, 15, 41, 100] {
        let asked = with(query("host.example.", "A"), &[(COOKIE, &vec![1; length])]);
        let response = ask(udp(), &asked);
        assert_eq!(response.rcode, 1, "{length}");
        assert!(response.opt.is_some() && option(&response, COOKIE).is_none());
    }
}

#[test]
fn a_query_with_a_cookie_and_no_question_is_told_whether_the_cookie_is_good() {
    // RFC 7873 §5.4
    let alone = |cookie: &[u8]| {
        let mut asked = with(query("host.example.", "A"), &[(COOKIE, cookie)]);
        asked.question.clear();
        asked.counts[0] = 0;
        asked
    };
    let response = ask(udp(), &alone(&[1; 8]));
    assert_eq!(response.rcode, 0);
    assert!(response.question.is_none() && response.records.is_empty());
    let cookie = option(&response, COOKIE).unwrap();
    assert_eq!((cookie.len(), &cookie[..8]), (24, &[1; 8][..]));
    assert_eq!(ask(udp(), &alone(&cookie)).rcode, 0, "it is known");
    let mut bad = cookie.clone();
    bad[23] ^= 1;
    for bad in [&bad[..], &[1; 16], &[1; 40]] {
        let response = ask(udp(), &alone(bad));
        assert_eq!(response.rcode, 23, "BADCOOKIE");
        assert_eq!(option(&response, COOKIE).unwrap(), cookie);
    }
    // Neither where there are no cookies, nor for more than one question, nor for another operation.
    let without = Manners::default();
    let octets = alone(&[1; 8]).octets();
    let response = ask_as(udp(), &example(), &without, at(0), &octets).unwrap();
    assert_eq!(response.rcode, 1);
    let mut two = with(query("host.example.", "A"), &[(COOKIE, &[1; 8])]);
    two.counts[0] = 2;
    let again = two.question.clone();
    two.question.extend(again);
    assert_eq!(ask(udp(), &two).rcode, 1);
    assert_eq!(ask(udp(), &alone(&[1; 8]).flags(5 << 11)).rcode, 1);
}

#[test]
fn errors_carry_cookies_too() {
    let refused = ask(
        udp(),
        &with(query("example.org.", "A"), &[(COOKIE, &[1; 8])]),
    );
    assert_eq!(refused.rcode, 5);
    assert_eq!(option(&refused, COOKIE).unwrap().len(), 24);
}

#[test]
fn without_cookies_configured_the_option_is_ignored() {
    let asked = with(query("host.example.", "A"), &[(COOKIE, &[1; 8])]);
    let plain = ask_as(
        udp(),
        &example(),
        &Manners::default(),
        at(0),
        &asked.octets(),
    );
    assert!(plain.unwrap().opt.unwrap().options.is_empty());
}

// Extended errors

#[test]
fn an_error_says_why_to_clients_that_have_an_opt() {
    for (query, rcode, why) in [
        (query("example.org.", "A"), 5, 20),
        (query("example.", "AXFR"), 5, 18),
        (query("example.", "A").class(4), 5, 20),
        (query("example.", "TYPE200"), 4, 21),
        (query("example.", "A").flags(2 << 11), 4, 21),
        (query("example.", "SOA").flags(5 << 11), 5, 18),
        (query("example.org.", "SOA").flags(5 << 11), 9, 20),
    ] {
        let response = ask(udp(), &query.clone().edns(1232));
        assert_eq!(response.rcode, rcode);
        let why: u16 = why;
        assert_eq!(
            option(&response, EXTENDED_ERROR).unwrap(),
            why.to_be_bytes()
        );
        assert!(ask(udp(), &query).opt.is_none());
    }
    let fine = ask(udp(), &query("nothing.example.", "A").edns(1232));
    assert_eq!(option(&fine, EXTENDED_ERROR), None);
}

// Connections

#[test]
fn a_stream_says_how_long_it_may_be_idle_when_asked() {
    let asked = with(query("host.example.", "A"), &[(KEEPALIVE, &[])]);
    for (transport, said) in [
        (Transport::Udp, None),
        (Transport::Tcp, Some(vec![0, 100])),
        (Transport::Tls, Some(vec![0, 100])),
        (Transport::Https, None),
        (Transport::Quic, None),
    ] {
        let peer = Peer {
            idle: Some(Duration::from_secs(10)),
            ..from("192.0.2.99", transport)
        };
        assert_eq!(option(&ask(peer, &asked), KEEPALIVE), said, "{transport}");
        let unasked = query("host.example.", "A").edns(1232);
        assert_eq!(option(&ask(peer, &unasked), KEEPALIVE), None);
    }
}

#[test]
fn encrypted_responses_are_padded_to_blocks_and_others_never() {
    let questions = [
        ("host.example.", "A"),
        ("_s._tcp.example.", "SRV"),
        ("example.org.", "A"),
    ];
    for (name, rtype) in questions {
        let asked = with(
            query(name, rtype),
            &[(PADDING, &[0; 30]), (COOKIE, &[1; 8])],
        );
        for transport in [Transport::Tls, Transport::Https, Transport::Quic] {
            let peer = from("192.0.2.99", transport);
            let response = ask(peer, &asked);
            assert_eq!(response.octets.len() % 468, 0, "{name} over {transport}");
            assert!(
                option(&response, PADDING)
                    .unwrap()
                    .iter()
                    .all(|octet| *octet == 0)
            );
            assert!(
                ask(peer, &query(name, rtype)).opt.is_none(),
                "no OPT, no padding"
            );
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            let response = ask(from("192.0.2.99", transport), &asked);
            assert_eq!(option(&response, PADDING), None, "{name} over {transport}");
        }
    }
}

// Sizes

#[test]
fn every_limit_is_kept_with_all_options_and_an_answer_is_worth_more_than_what_is_said_besides() {
    let zones = example();
    let options: &[(u16, &[u8])] = &[(NSID, &[]), (COOKIE, &[1; 8])];
    let mut names: Vec<(String, &str)> =
        (0..8).map(|n| (format!("t{n}.example."), "TXT")).collect();
    names.extend((0..4).map(|n| (format!("text{n}.example."), "TXT")));
    names.push(("_s._tcp.example.".into(), "SRV"));
    names.push(("x.sub.example.".into(), "A"));
    names.push(("nothing.example.".into(), "A"));
    names.push((format!("{}example.org.", "a.".repeat(110)), "A"));
    for (name, rtype) in names {
        let mut seen_without_nsid = 0;
        for limit in (512..1300_u16).chain([2048, 4096]) {
            let mut asked = with(query(&name, rtype), options);
            let at_size = asked.extra.len() - 8 - (4 + 4 + 8);
            asked.extra[at_size..at_size + 2].copy_from_slice(&limit.to_be_bytes());
            let response = ask_as(udp(), &zones, &manners(), at(0), &asked.octets()).unwrap();
            let size = response.octets.len();
            assert!(
                size <= usize::from(limit.min(1232)),
                "{name} at {limit}: {size}"
            );
            assert_eq!(
                option(&response, COOKIE).unwrap().len(),
                24,
                "{name} at {limit}"
            );
            if response.tc {
                let whole = query(&name, rtype).edns(1232).ask_tcp(&zones);
                // A cookie is 28 octets; nothing else may cost an answer.
                assert!(
                    whole.octets.len() + 28 > usize::from(limit.min(1232)),
                    "{name} at {limit}"
                );
            }
            seen_without_nsid += usize::from(!response.tc && option(&response, NSID).is_none());
        }
        if name.starts_with("text") {
            assert!(seen_without_nsid < 20, "{name}: only where space is short");
        }
    }
}

// Limits

/// Asks the same `per_second` times for `seconds`, and gives what came back.
fn flood(
    manners: &Manners,
    peer: Peer,
    query: impl Fn(u64) -> Query,
    per_second: u64,
    seconds: u64,
) -> Vec<Option<Response>> {
    let zones = example();
    (0..per_second * seconds)
        .map(|n| {
            let octets = query(n).octets();
            ask_as(peer, &zones, manners, at(n * 1000 / per_second), &octets)
        })
        .collect()
}

fn whole(responses: &[Option<Response>]) -> usize {
    responses
        .iter()
        .flatten()
        .filter(|r| !r.tc && r.rcode != 23)
        .count()
}

#[test]
fn a_flood_over_udp_is_limited_whatever_it_asks() {
    let questions: [fn(u64) -> Query; 9] = [
        |_| query("host.example.", "A"),
        |n| query(&format!("n{n}.wild.example."), "TXT"),
        |n| query(&format!("n{n}.nothing.example."), "A"),
        |_| query("host.example.", "AAAA"),
        |n| query(&format!("n{n}.sub.example."), "A"),
        |n| query(&format!("n{n}.example.org."), "A"),
        // One thing in many words: both names, any case, any type that is answered.
        |n| {
            let names = ["version.bind.", "VERSION.bind.", "version.server."];
            query(names[usize::try_from(n % 3).unwrap()], "TXT").class(3)
        },
        |n| query(&format!("n{n}.server."), "TXT").class(3),
        |n| query("host.example.", &format!("TYPE{}", 300 + n)),
    ];
    for (n, question) in questions.into_iter().enumerate() {
        let manners = limited(20, 2);
        let responses = flood(&manners, udp(), question, 500, 4);
        let went = whole(&responses);
        assert!((98..=102).contains(&went), "question {n}: {went}");
        let slipped = responses.iter().flatten().filter(|r| r.tc).count();
        let withheld = responses.iter().filter(|r| r.is_none()).count();
        assert!(
            slipped.abs_diff(withheld) <= 1,
            "question {n}: {slipped} {withheld}"
        );
        let slip = responses.iter().flatten().find(|r| r.tc).unwrap();
        assert!(slip.records.is_empty() && slip.question.is_some());
    }
}

#[test]
fn a_flood_that_asks_for_everything_there_is_gets_ten_times_as_much_in_all() {
    // Thirty things, none of them asked more often than the limit of each allows.
    let manners = limited(20, 2);
    let question = |n: u64| match n % 30 {
        t @ 0..20 => query(&format!("t{t}.example."), "A"),
        t @ 20..26 => query(&format!("t{t}.example."), "TXT"),
        26 => query(&format!("n{n}.example."), "A"),
        27 => query(&format!("n{n}.sub.example."), "A"),
        28 => query(&format!("n{n}.wild.example."), "TXT"),
        _ => query("version.bind.", "TXT").class(3),
    };
    let responses = flood(&manners, udp(), question, 30 * 15, 4);
    let went = whole(&responses);
    assert!((998..=1002).contains(&went), "{went}");
    let slipped = responses.iter().flatten().filter(|r| r.tc).count();
    let withheld = responses.iter().filter(|r| r.is_none()).count();
    assert!(slipped.abs_diff(withheld) <= 1, "{slipped} {withheld}");
    // A resolver that really asks as much comes with a cookie.
    let learn = with(query("host.example.", "A"), &[(COOKIE, &[1; 8])]);
    let cookie = option(&ask(udp(), &learn), COOKIE).unwrap();
    let known = |n| with(question(n), &[(COOKIE, &cookie)]);
    assert_eq!(whole(&flood(&manners, udp(), known, 30 * 15, 1)), 30 * 15);
}

#[test]
fn streams_exempt_networks_and_known_clients_have_no_limit() {
    let ask_host = |_| query("host.example.", "A");
    for peer in [
        from("192.0.2.99", Transport::Tcp),
        from("192.0.2.99", Transport::Tls),
        from("10.1.2.3", Transport::Udp),
    ] {
        assert_eq!(whole(&flood(&limited(5, 2), peer, ask_host, 500, 1)), 500);
    }
    let manners = limited(5, 2);
    let learn = with(query("host.example.", "A"), &[(COOKIE, &[1; 8])]);
    let cookie = ask_as(udp(), &example(), &manners, at(0), &learn.octets()).unwrap();
    let cookie = option(&cookie, COOKIE).unwrap();
    let known = |_| with(query("host.example.", "A"), &[(COOKIE, &cookie)]);
    assert_eq!(whole(&flood(&manners, udp(), known, 500, 1)), 500);
    // The same cookie from elsewhere is worth nothing.
    let elsewhere = from("198.51.100.9", Transport::Udp);
    assert!(whole(&flood(&manners, elsewhere, known, 500, 1)) < 20);
}

#[test]
fn a_client_that_takes_cookies_is_told_to_come_back_with_one() {
    // RFC 7873 §5.2.3: under pressure, and with a good cookie at once.
    let manners = limited(5, 2);
    let asked = |_| with(query("host.example.", "A"), &[(COOKIE, &[1; 8])]);
    let responses = flood(&manners, udp(), asked, 500, 1);
    let told: Vec<&Response> = responses
        .iter()
        .flatten()
        .filter(|r| r.rcode == 23)
        .collect();
    assert!(told.len() > 200 && !told.iter().any(|r| r.tc));
    assert!(
        told.iter()
            .all(|r| r.octets.len() <= asked(0).octets().len() + 16)
    );
    let cookie = option(told[0], COOKIE).unwrap();
    let back = with(query("host.example.", "A"), &[(COOKIE, &cookie)]);
    let response = ask_as(udp(), &example(), &manners, at(1000), &back.octets()).unwrap();
    assert_eq!(response.answers().len(), 1);
    // Nobody else is told so.
    let never = flood(
        &limited(0, 2),
        udp(),
        |_| query("host.example.", "A"),
        100,
        1,
    );
    assert!(never.iter().flatten().all(|r| r.rcode != 23));
    let calm = ask(udp(), &asked(0));
    assert_eq!(calm.rcode, 0);
}

// Signed requests

#[test]
fn a_refusal_of_a_signature_keeps_within_a_datagram_whatever_names_the_client_put_into_it() {
    let long = |letter: &str| vec![letter.repeat(60); 4].join(".");
    for (name, algorithm, fits) in [
        ("host.example".to_owned(), "hmac-sha256".to_owned(), true),
        (long("q"), long("a"), false),
    ] {
        let mut octets = query(&name, "A").octets();
        octets[11] += 1;
        octets.extend(dns::wire(&long("k")));
        octets.extend([0, 250, 0, 255, 0, 0, 0, 0]);
        let mut data = dns::wire(&algorithm);
        data.extend([0, 0, 0x6b, 0x49, 0xd2, 0, 1, 44, 0, 16]);
        data.extend([7; 16]);
        data.extend([0, 0, 0, 0, 0, 0]);
        octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        octets.extend(data);

        let mut out = Vec::new();
        let said = respond(&example(), &manners(), &octets, udp(), at(0), &mut out);
        let Outcome::Response { rcode, .. } = said else {
            panic!("{said:?}");
        };
        assert_eq!(u16::from(rcode), 9, "NOTAUTH");
        assert!(out.len() <= 512, "{} octets", out.len());
        let (truncated, additional) = (out[2] & 0x02 != 0, out[11]);
        assert_eq!((truncated, additional), (!fits, u8::from(fits)));
    }
}
