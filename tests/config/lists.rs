//! Lists of domains: what one bad line does, and what a list that is cut off does.

use std::io;

use repoint::config::{self, Changes, ConfigProblems, Configuration, Removal, Rule};

const BASE: &str = r#"
version = 1
[dns]
nameservers = [{ name = "ns1.example.net" }]
[health]
canaries = ["198.51.100.1:53"]
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["192.0.2.10"]
[[pool]]
name = "edgepool2"
[[pool.target]]
name = "edge2.contoso.com"
publish = ["192.0.2.20"]
[[route]]
name = "customers"
domains_file = "domains.txt"
pools = ["edgepool1", "edgepool2"]
zones = "owners"
[[route.service]]
kind = "xmpp-server"
"#;

fn with_list(text: &str, list: &str) -> Result<Configuration, ConfigProblems> {
    config::parse(text, "repoint.toml", &mut |path| match path.to_str() {
        Some("domains.txt") => Ok(list.to_owned()),
        Some("other.txt") => Ok("other.example\nc3.example\n".to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    })
}

fn listed(list: &str) -> Configuration {
    with_list(BASE, list).unwrap_or_else(|problems| panic!("{problems}"))
}

fn domains(configuration: &Configuration, route: &str) -> Vec<String> {
    let route = &configuration.topology.routes[&route.parse().unwrap()];
    route.domains.iter().map(ToString::to_string).collect()
}

fn customers(count: usize) -> String {
    (1..=count).map(|n| format!("c{n}.example\n")).collect()
}

fn changes(before: &str, after: &str) -> Changes {
    config::compare(&listed(before), &listed(after))
}

fn removals(changes: &Changes) -> Vec<Removal> {
    changes
        .removals(|_, _| false)
        .into_iter()
        .filter(|removal| !matches!(removal, Removal::Zones(_)))
        .collect()
}

#[test]
fn a_bad_line_rejects_its_domain_and_no_other() {
    let configuration = listed(
        "\u{feff}c1.example\r\nc2..example\r\n# a comment\r\nc3.example # ours\r\nC1.example.\r\n\
         c 4.example\r\nbücher.example\r\nc4.example\r\n",
    );
    assert_eq!(
        domains(&configuration, "customers"),
        [
            "c1.example",
            "c3.example",
            "xn--bcher-kva.example",
            "c4.example"
        ]
    );
    let [rejected] = configuration.rejected_lines.as_slice() else {
        panic!("{:?}", configuration.rejected_lines)
    };
    let lines: Vec<usize> = rejected.first.iter().map(|(line, _)| *line).collect();
    assert_eq!((rejected.file.as_str(), rejected.count), ("domains.txt", 3));
    assert_eq!(lines, [2, 5, 6]);
    assert_eq!(rejected.first[1].1, "c1.example stands on line 1 already");
    assert!(configuration.unfinished_lists.is_empty());
}

#[test]
fn a_domain_whose_names_cannot_exist_or_have_no_zone_is_rejected_alone() {
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(60), "b".repeat(58));
    let configuration = listed(&format!("c1.example\n{long}\n"));
    assert_eq!(domains(&configuration, "customers"), ["c1.example"]);
    let text = BASE.replace("zones = \"owners\"\n", "")
        + "[[zone]]\napex = \"c1.example\"\n[[zone]]\napex = \"c2.example\"\n";
    let configuration = with_list(&text, "c1.example\nc3.example\nc2.example\n").unwrap();
    assert_eq!(
        domains(&configuration, "customers"),
        ["c1.example", "c2.example"]
    );
    let (line, why) = &configuration.rejected_lines[0].first[0];
    assert_eq!(*line, 2);
    assert!(
        why.contains("_xmpp-server._tcp.c3.example lies in no [[zone]]"),
        "{why}"
    );
}

#[test]
fn a_domain_that_another_route_steers_stays_with_that_route() {
    let second = BASE[BASE.find("[[route]]").unwrap()..]
        .replace("\"customers\"", "\"others\"")
        .replace("domains.txt", "other.txt");
    let configuration = with_list(&format!("{BASE}{second}"), &customers(4)).unwrap();
    assert_eq!(domains(&configuration, "customers").len(), 4);
    assert_eq!(domains(&configuration, "others"), ["other.example"]);
    let rejected = &configuration.rejected_lines[0];
    assert_eq!(
        (rejected.file.as_str(), rejected.first[0].0),
        ("other.txt", 2)
    );
    assert!(
        rejected.first[0].1.contains("route customers steers"),
        "{rejected:?}"
    );
}

#[test]
fn a_list_without_a_usable_line_is_refused_as_a_whole() {
    for list in [
        "",
        "\u{feff}",
        "# nothing\n\n",
        "not..one\nnor..this\n",
        "\0\0\0\n",
    ] {
        assert!(with_list(BASE, list).is_err(), "{list:?}");
    }
    let missing = BASE.replace("domains.txt", "missing.txt");
    assert!(with_list(&missing, "").is_err());
}

#[test]
fn a_thousand_bad_lines_are_counted_and_a_few_are_shown() {
    let bad: String = (0..1000).map(|n| format!("bad line {n}\n")).collect();
    let configuration = listed(&format!("c1.example\n{bad}"));
    assert_eq!(configuration.rejected_lines[0].count, 1000);
    assert_eq!(configuration.rejected_lines[0].first.len(), 10);
    let warnings = configuration.warnings.warnings();
    let about_lines = warnings.filter(|warning| warning.rule == Rule::RejectedDomain);
    assert_eq!(about_lines.count(), 11, "10, and the rest");
}

#[test]
fn a_list_that_loses_most_of_its_domains_needs_the_operator_s_word() {
    let all = customers(11_000);
    let cut = &all[..all.find("c1001.exam").unwrap() + "c1001.ex".len()];
    let changes = changes(&all, cut);
    let said: Vec<String> = removals(&changes).iter().map(ToString::to_string).collect();
    assert_eq!(
        said[0],
        "10000 of 11000 domains would be gone: c10000.example, c10001.example, c10002.example and 9997 more"
    );
    assert_eq!(
        changes.words[0..2],
        [
            "domain c1001.ex added",
            "10000 of 11000 domains removed: c10000.example, c10001.example, c10002.example and 9997 more"
        ]
    );
}

#[test]
fn ten_of_many_domains_may_go_and_eleven_or_a_tenth_may_not() {
    let all = customers(200);
    assert!(removals(&changes(&all, &customers(190))).is_empty());
    assert_eq!(removals(&changes(&all, &customers(189))).len(), 1);
    assert!(removals(&changes(&customers(20), &customers(18))).is_empty());
    assert_eq!(removals(&changes(&customers(20), &customers(17))).len(), 1);
    assert_eq!(removals(&changes(&customers(2), &customers(1))).len(), 1);
    assert!(removals(&changes(&customers(20), &customers(30))).is_empty());
}

#[test]
fn a_list_that_ends_inside_a_name_needs_the_operator_s_word() {
    let all = customers(200);
    for half in ["c199.exam", "c199", "c199.", "c199.example."] {
        let cut = all.replace("c199.example\nc200.example\n", half);
        let changes = changes(&all, &cut);
        let cut_off = matches!(removals(&changes).as_slice(), [Removal::CutList(_)]);
        // A whole name may be the last one: then a domain is gone, and a warning says why that may be.
        assert_eq!(
            cut_off,
            half != "c199.example.",
            "{half}: {:?}",
            removals(&changes)
        );
        let warnings = listed(&cut).warnings;
        assert!(
            warnings
                .iter()
                .any(|problem| problem.rule.as_str() == "unfinished-list"),
            "{half}"
        );
    }
}

#[test]
fn what_is_different_is_said_in_words() {
    let before = BASE.to_owned() + "[[zone]]\napex = \"fed.example\"\n";
    let after = before
        .replace("zones = \"owners\"\n", "zones = \"owners\"\nttl = \"2m\"\n")
        .replace("[dns]\n", "[dns]\ndnssec = true\n")
        .replace("publish = [\"192.0.2.20\"]", "publish = [\"192.0.2.21\"]")
        .replace(
            "apex = \"fed.example\"",
            "apex = \"new.example\"\ndnssec = false",
        )
        .replace(
            "pools = [\"edgepool1\", \"edgepool2\"]",
            "pools = [\"edgepool2\", \"edgepool1\"]",
        )
        .replace(
            "kind = \"xmpp-server\"",
            "kind = \"xmpp-server\"\n[[route.service]]\nkind = \"xmpps-server\"\nrequired = false",
        );
    let list = customers(1);
    let changes = config::compare(
        &with_list(&before, &list).unwrap(),
        &with_list(&after, &list).unwrap(),
    );
    assert_eq!(
        changes.words,
        [
            "route customers: pools edgepool2, edgepool1 (was edgepool1, edgepool2), ttl 120 s (was 30 s), service xmpps-server added",
            "pool edgepool2: target edge2.contoso.com publishes 192.0.2.21 (was 192.0.2.20)",
            "2 zones added: _xmpps-server._tcp.c1.example, new.example",
            "zone fed.example removed",
            "DNSSEC enabled for _xmpp-server._tcp.c1.example, _xmpps-server._tcp.c1.example",
        ]
    );
}
