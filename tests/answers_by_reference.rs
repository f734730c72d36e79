//! Random zones and random questions, compared with an implementation that knows nothing but a list of records.

#![allow(clippy::unwrap_used)]

mod dns;

use std::collections::{BTreeMap, BTreeSet};

use dns::{HEAD, Response, ask, query, zones};
use proptest::prelude::*;
use repoint::serve::Transport;

/// What a name of a random zone holds.
#[derive(Debug, Clone)]
enum Holds {
    /// RRsets of these types, one record each.
    Data(BTreeSet<&'static str>),
    Alias(String),
    /// A DNAME beside an A record.
    Redirection(String),
    Delegation {
        ds: bool,
    },
}

fn label() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")]
}

/// A name below `example.`, as text without case to think of.
fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(label(), 0..5).prop_map(|labels| {
        labels
            .iter()
            .map(|label| format!("{label}."))
            .collect::<String>()
            + "example."
    })
}

fn holds() -> impl Strategy<Value = Holds> {
    let data = proptest::collection::btree_set(
        prop_oneof![Just("A"), Just("AAAA"), Just("TXT"), Just("MX")],
        1..4,
    );
    prop_oneof![
        4 => data.prop_map(Holds::Data),
        2 => name().prop_map(Holds::Alias),
        1 => Just(Holds::Alias("www.example.net.".into())),
        2 => name().prop_map(Holds::Redirection),
        2 => any::<bool>().prop_map(|ds| Holds::Delegation { ds }),
    ]
}

type Zone = BTreeMap<String, Holds>;

fn zone() -> impl Strategy<Value = Zone> {
    proptest::collection::btree_map(name(), holds(), 0..12).prop_map(|mut zone| {
        // What a master file may not say is tested elsewhere.
        zone.retain(|name, holds| match holds {
            Holds::Data(_) | Holds::Redirection(_) => true,
            Holds::Alias(_) => name != "example.",
            Holds::Delegation { .. } => name != "example." && !name.starts_with('*'),
        });
        zone
    })
}

fn rdata(rtype: &str) -> &'static str {
    match rtype {
        "A" => "192.0.2.1",
        "AAAA" => "2001:db8::1",
        "TXT" => "\"x\"",
        "MX" => "10 mail.example.net.",
        "NS" => "ns.example.net.",
        _ => "1 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB",
    }
}

fn file(zone: &Zone) -> String {
    let mut text = HEAD.to_owned();
    for (name, holds) in zone {
        for (rtype, rdata) in records(holds) {
            text.push_str(&format!("{name} 60 {rtype} {rdata}\n"));
        }
    }
    text
}

fn records(holds: &Holds) -> Vec<(&'static str, String)> {
    match holds {
        Holds::Data(types) => types
            .iter()
            .map(|rtype| (*rtype, rdata(rtype).to_owned()))
            .collect(),
        Holds::Alias(target) => vec![("CNAME", target.clone())],
        Holds::Redirection(target) => vec![("A", rdata("A").to_owned()), ("DNAME", target.clone())],
        Holds::Delegation { ds } => {
            let mut records = vec![("NS", rdata("NS").to_owned())];
            if *ds {
                records.push(("DS", rdata("DS").to_owned()));
            }
            records
        }
    }
}

/// The answer as the list of records gives it.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    rcode: u16,
    aa: bool,
    answers: Vec<String>,
    authority: Option<(String, &'static str)>,
}

fn below(name: &str, ancestor: &str) -> bool {
    name == ancestor || name.ends_with(&format!(".{ancestor}"))
}

fn parent(name: &str) -> &str {
    name.split_once('.').unwrap().1
}

fn reference(zone: &Zone, name: &str, rtype: &str) -> Expected {
    // What lies below a redirection is not there, unless a delegation hides the redirection.
    let hidden = |name: &str| {
        let above = |holds: fn(&Holds) -> bool| {
            let names = zone.iter().filter(move |(_, held)| holds(held));
            names
                .map(|(owner, _)| owner.as_str())
                .filter(|owner| name != *owner && below(name, owner))
                .map(str::len)
                .min()
        };
        let redirected = above(|held| matches!(held, Holds::Redirection(_)));
        let cut = above(|held| matches!(held, Holds::Delegation { .. }));
        redirected.is_some_and(|at| cut.is_none_or(|cut| at < cut))
    };
    let there: Vec<&String> = zone.keys().filter(|owner| !hidden(owner)).collect();
    let exists = |name: &str| name == "example." || there.iter().any(|owner| below(owner, name));
    let mut expected = Expected {
        rcode: 0,
        aa: false,
        answers: Vec::new(),
        authority: None,
    };
    let mut asked = name.to_owned();
    let mut seen: Vec<String> = Vec::new();
    loop {
        if !below(&asked, "example.") {
            return expected;
        }
        let redirections = zone.iter().filter_map(|(owner, holds)| match holds {
            Holds::Redirection(target) if asked != *owner && below(&asked, owner) => {
                Some((owner, target))
            }
            _ => None,
        });
        let redirection = redirections.min_by_key(|(owner, _)| owner.len());
        let cuts = zone.iter().filter(|(owner, holds)| {
            matches!(holds, Holds::Delegation { .. }) && below(&asked, owner)
        });
        let cut = cuts.map(|(owner, _)| owner).min_by_key(|owner| owner.len());
        if let Some((owner, target)) = redirection
            && cut.is_none_or(|cut| cut.len() > owner.len())
        {
            expected.aa = true;
            let dname = format!("{owner} 60 DNAME {target}");
            if !expected.answers.contains(&dname) {
                expected.answers.push(dname);
            }
            let next = format!("{}{target}", asked.strip_suffix(owner.as_str()).unwrap());
            expected.answers.push(format!("{asked} 60 CNAME {next}"));
            if rtype == "CNAME" {
                return expected;
            }
            seen.push(asked);
            asked = next;
            if seen.len() >= 8 || seen.contains(&asked) {
                return expected;
            }
            continue;
        }
        if let Some(cut) = cut
            && !(rtype == "DS" && *cut == asked)
        {
            expected.authority = Some((cut.clone(), "NS"));
            return expected;
        }
        expected.aa = true;
        let source = if exists(&asked) {
            Some(asked.clone())
        } else {
            let mut encloser = parent(&asked);
            while !exists(encloser) {
                encloser = parent(encloser);
            }
            Some(format!("*.{encloser}")).filter(|wildcard| exists(wildcard))
        };
        let Some(source) = source else {
            expected.rcode = 3;
            expected.authority = Some(("example.".into(), "SOA"));
            return expected;
        };
        let mut held: Vec<(&str, u32, String)> = zone
            .get(&source)
            .filter(|_| !hidden(&source))
            .map(|holds| {
                records(holds)
                    .into_iter()
                    .map(|(t, r)| (t, 60, r))
                    .collect()
            })
            .unwrap_or_default();
        if source == "example." {
            held.push(("NS", 3600, "ns1.example.net.".into()));
            held.push((
                "SOA",
                3600,
                "ns1.example.net. hostmaster.example.net. 7 60 30 604800 30".into(),
            ));
        }
        held.sort_by_key(|(rtype, _, _)| dns::number(rtype));
        let show =
            |(rtype, ttl, rdata): &(&str, u32, String)| format!("{asked} {ttl} {rtype} {rdata}");
        let alias = held.iter().find(|(held, _, _)| *held == "CNAME");
        if let Some(alias) = alias
            && rtype != "CNAME"
            && rtype != "ANY"
        {
            expected.answers.push(show(alias));
            seen.push(asked.clone());
            asked = alias.2.clone();
            if seen.len() >= 8 || seen.contains(&asked) {
                return expected;
            }
            continue;
        }
        let found = held
            .iter()
            .find(|(held, _, _)| *held == rtype || rtype == "ANY");
        match found {
            Some(found) => expected.answers.push(show(found)),
            None => expected.authority = Some(("example.".into(), "SOA")),
        }
        return expected;
    }
}

fn said(response: &Response) -> Expected {
    let authority = response.records.iter().find(|record| record.section == 2);
    Expected {
        rcode: response.rcode,
        aa: response.aa,
        answers: response.answers(),
        authority: authority.map(|record| {
            let rtype = if record.rtype == 6 { "SOA" } else { "NS" };
            (record.owner.clone(), rtype)
        }),
    }
}

fn rtype() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("A"),
        Just("AAAA"),
        Just("TXT"),
        Just("MX"),
        Just("NS"),
        Just("SOA"),
        Just("DS"),
        Just("CNAME"),
        Just("ANY"),
        Just("SRV")
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_zones_are_answered_as_the_list_of_their_records_says(
        zone in zone(),
        questions in proptest::collection::vec((name(), rtype()), 1..30),
    ) {
        let zones = zones(&[("example", &file(&zone))]);
        for (name, rtype) in questions {
            let response = query(&name, rtype).ask_tcp(&zones);
            prop_assert_eq!(said(&response), reference(&zone, &name, rtype), "{} {}", name, rtype);
        }
    }

    #[test]
    fn the_case_of_a_question_changes_nothing_but_its_own_spelling(
        zone in zone(),
        name in name(),
        rtype in rtype(),
        upper in any::<u64>(),
    ) {
        let zones = zones(&[("example", &file(&zone))]);
        let mixed: String = name
            .char_indices()
            .map(|(n, c)| if upper >> (n % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        let plain = query(&name, rtype).ask_tcp(&zones);
        let other = query(&mixed, rtype).ask_tcp(&zones);
        prop_assert_eq!(&other.question.as_ref().unwrap().0, &mixed);
        let lower = |lines: Vec<String>| lines.iter().map(|line| line.to_lowercase()).collect::<Vec<_>>();
        prop_assert_eq!(lower(plain.answers()), lower(other.answers()));
        prop_assert_eq!((plain.rcode, plain.aa), (other.rcode, other.aa));
        // A DNAME keeps its own spelling.
        let first = |record: &&dns::Record| record.section == 1 && record.rtype != 39;
        for record in other.records.iter().filter(first).take(1) {
            prop_assert_eq!(&record.owner, &mixed);
        }
    }

    #[test]
    fn no_octets_make_the_server_panic_or_speak_nonsense(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let zones = zones(&[("example", HEAD)]);
        for transport in [Transport::Udp, Transport::Tcp] {
            if let Some(response) = ask(&zones, &octets, transport) {
                prop_assert!(octets.len() >= 12 && octets[2] & 0x80 == 0);
                prop_assert_eq!(&response.octets[..2], &octets[..2]);
                prop_assert!(response.octets.len() <= 1232);
            }
        }
    }

    #[test]
    fn a_good_query_with_some_octets_changed_is_still_answered_sanely(
        name in name(),
        rtype in rtype(),
        size in any::<u16>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let zones = zones(&[("example", HEAD)]);
        let mut octets = query(&name, rtype).opt(size, 0x8000, &[0, 10, 0, 2, 1, 2]).octets();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let response = ask(&zones, &octets, Transport::Udp);
        prop_assert_eq!(response.is_none(), octets[2] & 0x80 != 0);
        if let Some(response) = response {
            prop_assert!(response.octets.len() <= 1232);
            prop_assert_eq!(response.low_flags, 0);
        }
    }
}
