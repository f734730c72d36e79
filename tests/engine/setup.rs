//! Configurations of the stories, from a few words.
//!
//! In: `key=value` words, defaults for what they leave out. Out: the text of a configuration file, read by the real
//! reader. Never here: a topology made by hand; what the reader refuses no story may use.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use repoint::config::{self, Configuration};

/// The words of a `config` line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(pub(crate) BTreeMap<String, String>);

impl Words {
    pub(crate) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Words, String> {
        let mut all = BTreeMap::new();
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or(format!("{word:?} is not key=value"))?;
            all.insert(key.to_owned(), value.to_owned());
        }
        Ok(Words(all))
    }

    fn get<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.0.get(key).map_or(default, String::as_str)
    }

    fn number(&self, key: &str, default: usize) -> usize {
        self.0
            .get(key)
            .map_or(default, |value| value.parse().unwrap())
    }
}

/// The host name of a target: `edge1.contoso.com`, or `edge1a…`, `edge1b…` where a pool has several.
fn target_name(pool: usize, target: usize, targets: usize) -> String {
    let letter = match targets {
        1 => String::new(),
        _ => char::from(b'a' + u8::try_from(target).unwrap()).to_string(),
    };
    format!("edge{pool}{letter}.contoso.com")
}

fn default_address(pool: usize, target: usize) -> String {
    let network = ["192.0.2", "198.51.100", "203.0.113"][(pool - 1) % 3];
    format!("{network}.{}", 10 * (1 + (pool - 1) / 3) + target)
}

const ROUTE_NAMES: [&str; 3] = ["contoso", "fabrikam", "tailspin"];
const CHECK_KEYS: [&str; 11] = [
    "interval",
    "retry",
    "timeout",
    "fall",
    "min_fault",
    "rise",
    "steady",
    "certificate",
    "accept",
    "depth",
    "from",
];
const ROUTE_KEYS: [&str; 4] = ["failover", "failback", "hold_down", "ttl"];
const ROUTE_NUMBERS: [&str; 2] = ["max_switches", "need"];

/// The text of the configuration file.
pub(crate) fn text(words: &Words) -> String {
    let mut out =
        String::from("version = 1\n[dns]\nnameservers = [{ name = \"ns1.example.net\" }]\n");
    if words.get("dnssec", "no") == "yes" {
        out.push_str("dnssec = true\n");
    }
    // Only its signatures are the same when a process lives again.
    let algorithm = words.get("algorithm", "ed25519");
    writeln!(out, "dnssec_algorithm = {algorithm:?}").unwrap();
    for (word, key) in [("propagation", "propagation"), ("zone_ttl", "ttl")] {
        if let Some(value) = words.0.get(word) {
            writeln!(out, "{key} = {value:?}").unwrap();
        }
    }
    out.push_str("[health]\n");
    let canaries = ["192.0.2.250:53", "198.51.100.250:53"];
    let used: Vec<String> = canaries
        .iter()
        .take(words.number("canaries", 2))
        .map(|c| format!("{c:?}"))
        .collect();
    writeln!(out, "canaries = [{}]", used.join(", ")).unwrap();

    let pools: Vec<usize> = match words.0.get("order") {
        Some(order) => order
            .split(',')
            .map(|p| p.trim_start_matches("edgepool").parse().unwrap())
            .collect(),
        None => (1..=words.number("pools", 2)).collect(),
    };
    let targets = words.number("targets", 1);
    let sip = words.get("services", "xmpp-server").contains("sip");
    let mut sorted = pools.clone();
    sorted.sort_unstable();
    for pool in sorted {
        writeln!(out, "[[pool]]\nname = \"edgepool{pool}\"").unwrap();
        for target in 0..targets {
            let key = format!("edge{pool}");
            let mut publish = vec![match words.0.get(&key) {
                Some(address) if target == 0 => address.clone(),
                _ => default_address(pool, target),
            }];
            if words.get("v6", "no") == "yes" {
                publish.push(format!("2001:db8:{pool}::{}", 10 + target));
            }
            let publish: Vec<String> = publish.iter().map(|a| format!("{a:?}")).collect();
            let name = target_name(pool, target, targets);
            writeln!(
                out,
                "[[pool.target]]\nname = {name:?}\npublish = [{}]",
                publish.join(", ")
            )
            .unwrap();
        }
    }
    // Steered names lie in zones of their own, or within the zone of their domain.
    let within = words.get("names", "owners") == "within";
    for (index, route) in ROUTE_NAMES
        .iter()
        .take(words.number("routes", 1))
        .enumerate()
    {
        let domains: Vec<String> = (0..words.number("domains", 1))
            .map(|n| {
                if n == 0 {
                    format!("{route}.com")
                } else {
                    format!("{route}{n}.com")
                }
            })
            .map(|domain| format!("{domain:?}"))
            .collect();
        let mut order = pools.clone();
        if words.get("crossed", "no") == "yes" && index % 2 == 1 {
            order.reverse();
        }
        let mut priorities = words.get("priorities", "").split(',');
        let order: Vec<String> = order
            .iter()
            .map(|pool| match priorities.next().filter(|p| !p.is_empty()) {
                Some(priority) => format!("{{ pool = \"edgepool{pool}\", priority = {priority} }}"),
                None => format!("\"edgepool{pool}\""),
            })
            .collect();
        write!(
            out,
            "[[route]]\nname = {route:?}\ndomains = [{}]\npools = [{}]\n",
            domains.join(", "),
            order.join(", ")
        )
        .unwrap();
        if !within {
            out.push_str("zones = \"owners\"\n");
        }
        for key in ROUTE_KEYS {
            if let Some(value) = words.0.get(key) {
                writeln!(out, "{key} = {value:?}").unwrap();
            }
        }
        for key in ROUTE_NUMBERS {
            if let Some(value) = words.0.get(key) {
                writeln!(out, "{key} = {value}").unwrap();
            }
        }
        if let Some(families) = words.0.get("require_families") {
            let families: Vec<String> = families.split(',').map(|f| format!("{f:?}")).collect();
            writeln!(out, "require_families = [{}]", families.join(", ")).unwrap();
        }
        if words.get("address", "yes") == "yes" {
            writeln!(out, "[route.address]\nname = \"xmpp.{{domain}}\"").unwrap();
        }
        writeln!(out, "[route.check]").unwrap();
        for key in CHECK_KEYS {
            match (key, words.0.get(key)) {
                (_, None) => {}
                ("fall" | "rise" | "steady", Some(value)) => {
                    writeln!(out, "{key} = {value}").unwrap();
                }
                ("accept", Some(value)) => writeln!(out, "{key} = [{value:?}]").unwrap(),
                (_, Some(value)) => writeln!(out, "{key} = {value:?}").unwrap(),
            }
        }
        for kind in words.get("services", "xmpp-server").split(',') {
            writeln!(out, "[[route.service]]\nkind = {kind:?}").unwrap();
            if kind.starts_with("sip") {
                writeln!(out, "mode = \"single\"").unwrap();
            } else if let Some(mode) = words.0.get("mode") {
                writeln!(out, "mode = {mode:?}").unwrap();
            }
            if words
                .get("optional", "")
                .split(',')
                .any(|optional| optional == kind)
            {
                writeln!(out, "required = false").unwrap();
            }
        }
    }
    let primary = words.get("zone", "");
    let routes = ROUTE_NAMES.iter().take(words.number("routes", 1));
    for apex in routes.map(|route| format!("{route}.com")) {
        if within && apex != primary {
            writeln!(out, "[[zone]]\napex = {apex:?}").unwrap();
        }
    }
    if let Some(apex) = words.0.get("zone") {
        writeln!(
            out,
            "[[zone]]\napex = {apex:?}\nprimary = [\"192.0.2.1:53\"]\ntsig = \"none\""
        )
        .unwrap();
    }
    if let Some(address) = words.0.get("secondary") {
        writeln!(
            out,
            "[[secondary]]\nname = \"ns2\"\naddress = {address:?}\ntsig = \"none\""
        )
        .unwrap();
    }
    if sip {
        // Microsoft's strict match: SIP targets lie directly in the domain, which the names above do.
        assert_eq!(words.number("routes", 1), 1);
    }
    out
}

/// The configuration these words stand for.
pub(crate) fn configuration(words: &Words) -> Result<Arc<Configuration>, String> {
    let text = text(words);
    let none = |path: &std::path::Path| {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            path.display().to_string(),
        ))
    };
    match config::parse(&text, "repoint.toml", &mut { none }) {
        Ok(mut configuration) => {
            let most = &mut configuration.dnssec.most_at_once;
            *most = words.number("most_at_once", *most);
            Ok(Arc::new(configuration))
        }
        Err(problems) => Err(format!("{problems:?}\n{text}")),
    }
}

/// The addresses a word of a story means: those of a pool, of a target, or the address itself.
pub(crate) fn addresses(configuration: &Configuration, word: &str) -> Vec<IpAddr> {
    if let Ok(address) = word.parse() {
        return vec![address];
    }
    let pools = configuration.topology.pools.values();
    let targets = pools.flat_map(|pool| pool.targets.iter().map(move |target| (pool, target)));
    targets
        .filter(|(pool, target)| pool.name.as_str() == word || target.name.as_str() == word)
        .flat_map(|(_, target)| target.addresses.iter().map(|address| address.probe))
        .collect()
}
