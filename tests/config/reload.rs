//! What a reload would change, found before anything is changed.

use std::collections::BTreeSet;
use std::io;

use repoint::config::{self, Apply, Changes, Configuration, Removal};
use repoint::topology::{PoolName, RouteName};

const BEFORE: &str = r#"
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
name = "contoso"
domains = ["contoso.com", "contoso.example"]
pools = ["edgepool1", "edgepool2"]
zones = "owners"
[route.address]
name = "xmpp.{domain}"
[[route.service]]
kind = "xmpp-server"
[[zone]]
apex = "fed.contoso.com"
file = "fed.zone"
"#;

const ZONE: &str = "$TTL 60\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 30\n@ NS ns1.example.net.\n";

fn parse(text: &str, zone: &str) -> Configuration {
    config::parse(text, "repoint.toml", &mut |path| match path.to_str() {
        Some("fed.zone") => Ok(zone.to_owned()),
        _ => Err(io::Error::other("no such file")),
    })
    .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The changes that a replacement in the file makes.
fn changes(replacements: &[(&str, &str)]) -> Changes {
    let mut after = BEFORE.to_owned();
    for (from, to) in replacements {
        assert!(after.contains(from), "{from}");
        after = after.replacen(from, to, 1);
    }
    config::compare(&parse(BEFORE, ZONE), &parse(&after, ZONE))
}

fn never_held(_: &RouteName, _: &PoolName) -> bool {
    false
}

#[test]
fn a_reload_of_the_same_file_changes_nothing() {
    assert!(changes(&[]).is_empty());
    assert!(changes(&[("version = 1", "# a comment\nversion = 1")]).is_empty());
}

#[test]
fn a_key_for_the_next_start_is_named_with_both_values() {
    let changes = changes(&[(
        "[dns]",
        "[server]\nlisten = [\"127.0.0.1:5300\"]\n[log]\nformat = \"json\"\n[dns]",
    )]);
    let said: Vec<String> = changes.at_restart.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "server.listen = [\"127.0.0.1:5300\"] takes effect at the next start; until then it is [\"0.0.0.0:53\", \"[::]:53\"]",
            "log.format = \"json\" takes effect at the next start; until then it is \"text\"",
        ]
    );
    assert!(changes.removals(never_held).is_empty());
}

#[test]
fn every_key_marked_restart_is_noticed_when_it_changes() {
    let all = "[server]\nlisten = [\"127.0.0.1:5300\"]\nlisten_tls = [\"127.0.0.1:8530\"]\n\
               listen_https = [\"127.0.0.1:4430\"]\nlisten_quic = [\"127.0.0.1:8530\"]\n\
               certificate = \"chain.pem\"\ncertificate_key = \"key.pem\"\nstate = \"/tmp/state\"\ncontrol = \"/tmp/control\"\n\
               control_mode = \"0600\"\ncontrol_group = \"operators\"\nuser = \"nobody\"\nworkers = 3\n[log]\nformat = \"json\"\nlevel = \"debug\"\n[dns]";
    let noticed: BTreeSet<String> = changes(&[("[dns]", all)])
        .at_restart
        .iter()
        .map(|change| change.key.to_owned())
        .collect();
    let marked: BTreeSet<String> = config::keys()
        .filter(|(_, apply)| *apply == Apply::Restart)
        .map(|(key, _)| key)
        .collect();
    assert_eq!(noticed, marked);
}

#[test]
fn an_active_pool_is_not_taken_away_unasked() {
    let changes = changes(&[(
        "pools = [\"edgepool1\", \"edgepool2\"]",
        "pools = [\"edgepool1\"]",
    )]);
    let (contoso, second): (RouteName, PoolName) =
        ("contoso".parse().unwrap(), "edgepool2".parse().unwrap());
    assert_eq!(changes.pools_left, [(contoso.clone(), second.clone())]);
    assert_eq!(changes.routes_changed, std::slice::from_ref(&contoso));
    assert!(changes.pools_removed.is_empty());
    assert!(changes.removals(never_held).is_empty());
    let removals = changes.removals(|route, pool| *route == contoso && *pool == second);
    assert_eq!(removals, [Removal::Pool(contoso, second)]);
    assert_eq!(
        removals[0].to_string(),
        "pool edgepool2 is active or pinned in route contoso and would be gone from it"
    );
}

#[test]
fn a_route_is_not_taken_away_unasked() {
    let changes = changes(&[("name = \"contoso\"", "name = \"renamed\"")]);
    assert_eq!(changes.routes_removed.len(), 1);
    assert_eq!(changes.routes_added.len(), 1);
    assert!(matches!(
        changes.removals(never_held).as_slice(),
        [Removal::Route(_)]
    ));
}

#[test]
fn a_few_zones_may_go_and_many_may_not() {
    let one = changes(&[(
        "[[zone]]\napex = \"fed.contoso.com\"\nfile = \"fed.zone\"\n",
        "",
    )]);
    assert_eq!(one.zones_removed.len(), 1);
    assert!(one.removals(never_held).is_empty());
    let domains: Vec<String> = (0..5).map(|n| format!("\"c{n}.example\"")).collect();
    let many = BEFORE.replacen("\"contoso.example\"", &domains.join(", "), 1);
    let gone = config::compare(&parse(&many, ZONE), &parse(BEFORE, ZONE));
    assert_eq!(gone.zones_removed.len(), 10);
    assert_eq!(gone.zones_added.len(), 2);
    assert!(matches!(
        gone.removals(never_held).as_slice(),
        [
            Removal::Zones(10),
            Removal::Domains {
                removed: 5,
                of: 6,
                ..
            }
        ]
    ));
}

#[test]
fn other_static_records_are_a_change() {
    let with_host = format!("{ZONE}www A 192.0.2.80\n");
    let changes = config::compare(&parse(BEFORE, ZONE), &parse(BEFORE, &with_host));
    assert_eq!(changes.others, ["static records"]);
    let commented = format!("; a comment\n{ZONE}");
    assert!(config::compare(&parse(BEFORE, ZONE), &parse(BEFORE, &commented)).is_empty());
}
