//! The documents that explain the configuration, held to what the program does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use repoint::config::{self, Apply, Configuration};
use toml::de::{DeTable, DeValue};

const EXAMPLE: &str = include_str!("../../docs/repoint.example.toml");

/// A line of the annotated example that is commented out.
#[derive(Clone, Copy)]
enum Shown<'a> {
    /// `#key = value`: the default.
    Default(&'a str),
    /// `#key = value  # example`: there is no default.
    Example(&'a str),
}

fn shown(line: &str) -> Option<Shown<'_>> {
    let text = line.strip_prefix('#')?;
    let example = text.trim_end().ends_with("# example");
    let key = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.contains(" = ");
    let table = text.starts_with("[[") && example;
    if !key && !table {
        return None;
    }
    Some(if example {
        Shown::Example(text)
    } else {
        Shown::Default(text)
    })
}

fn parse(text: &str) -> Configuration {
    let read = config::parse(text, "repoint.example.toml", &mut |path| {
        match path.to_str() {
        Some("domains.txt") => Ok("contoso.com\n".to_owned()),
        Some("cookie.secret") => Ok("# two\n00112233445566778899aabbccddeeff\nFFEEDDCCBBAA99887766554433221100\n".to_owned()),
        Some("tsig/ns2.secret") => Ok("c2VjcmV0\n".to_owned()),
        Some("/etc/repoint/our-ca.pem") => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
        Some("zones/fed.contoso.com.zone") => Ok(
            "$TTL 60\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 30\n@ NS ns1.example.net.\n".to_owned(),
        ),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    }
    });
    read.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn uncommented(mut wanted: impl FnMut(&Shown<'_>) -> bool) -> String {
    let lines = EXAMPLE.lines().map(|line| match shown(line) {
        Some(kind) if wanted(&kind) => match kind {
            Shown::Default(text) | Shown::Example(text) => text,
        },
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_defaults_the_example_documents_are_the_defaults() {
    let as_it_is = parse(EXAMPLE);
    let mut documented = 0;
    let written_out = parse(&uncommented(|kind| {
        let default = matches!(kind, Shown::Default(_));
        documented += usize::from(default);
        default
    }));
    assert!(documented > 40, "defaults are documented: {documented}");
    assert_eq!(as_it_is.server, written_out.server);
    assert_eq!(as_it_is.log, written_out.log);
    assert_eq!(as_it_is.alarm, written_out.alarm);
    assert_eq!(as_it_is.topology, written_out.topology);
    assert_eq!(as_it_is.manners, written_out.manners);
    assert_eq!(as_it_is.acme, written_out.acme);
    assert_eq!(as_it_is.secondaries, written_out.secondaries);
    // A file that says nothing about the daemon gives the same: what is documented is not only what is written here.
    let silent = uncommented(|_| false)
        .replace("[server]\n", "")
        .replace("[log]\n", "")
        .replace("[alarm]\n", "")
        .replace("[route.check]\n", "");
    let silent = parse(&silent);
    assert_eq!(as_it_is.server, silent.server);
    assert_eq!(as_it_is.server, config::ServerSettings::default());
    assert_eq!(as_it_is.log, config::LogSettings::default());
    assert_eq!(as_it_is.alarm, config::AlarmSettings::default());
    assert_eq!(as_it_is.manners, config::MannersSettings::default());
    assert_eq!(as_it_is.acme, config::AcmeSettings::default());
    assert_eq!(as_it_is.topology, silent.topology);
}

#[test]
fn the_example_is_what_the_program_prints_and_passes_its_own_check_without_a_warning() {
    let repoint = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let printed = repoint(&["config", "example"]);
    assert!(printed.status.success());
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), EXAMPLE);
    // Alone in a directory: it names no file that an operator does not have.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("repoint.toml");
    std::fs::write(&file, EXAMPLE).unwrap();
    let checked = repoint(&["config", "check", file.to_str().unwrap()]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(
        said.starts_with(&format!("{} can be used\n", file.display())),
        "{said}"
    );
}

#[test]
fn a_default_that_is_changed_changes_the_configuration() {
    // Guards the test above: each documented default is really read.
    let as_it_is = parse(EXAMPLE);
    let slower = EXAMPLE.replacen("#interval = \"10s\"", "interval = \"11s\"", 1);
    assert_ne!(parse(&slower).topology, as_it_is.topology);
}

#[test]
fn every_example_value_can_be_taken() {
    let examples: Vec<&str> = EXAMPLE
        .lines()
        .filter_map(|line| match shown(line) {
            Some(Shown::Example(text)) => Some(text),
            _ => None,
        })
        .collect();
    assert!(examples.len() > 10);
    // The last two tables are examples as a whole; other examples name what is in them.
    let (head, tables) = EXAMPLE.split_once("#[[tsig]]").unwrap();
    let (tables, tail) = tables.split_once("# ── Challenges").unwrap();
    let tables = tables.replace("\n#secret = ", "\n# secret = ");
    let tables: Vec<&str> = tables
        .lines()
        .map(|line| match shown(line) {
            Some(Shown::Default(text) | Shown::Example(text)) => text,
            None => line,
        })
        .collect();
    let whole = format!("{head}[[tsig]]{}\n# ── Challenges{tail}", tables.join("\n"));
    for example in &examples {
        let mut text = whole.replacen(&format!("\n#{example}"), &format!("\n{example}"), 1);
        if example.starts_with("domains_file") {
            text = text.replace("\ndomains = ", "\n#domains = ");
        }
        if example.starts_with("secret ") {
            text = text.replace("\nsecret_file = ", "\n#secret_file = ");
            text = text.replace("\n# secret = ", "\nsecret = ");
        }
        let of_primary = ["primary", "tsig = \"ns2", "source = \"192.0.2.53"];
        if of_primary.iter().any(|start| example.starts_with(start)) {
            text = text.replace("#primary = ", "primary = ");
            text = text.replace("#tsig = \"ns2", "tsig = \"ns2");
        }
        if example.starts_with("listen_") || example.starts_with("certificate") {
            // They stand together or not at all.
            for other in examples
                .iter()
                .filter(|other| other.starts_with("listen_tls") || other.starts_with("certificate"))
            {
                text = text.replacen(&format!("#{other}"), other, 1);
            }
        }
        parse(&text);
    }
}

#[test]
fn every_key_is_in_the_example_and_no_other() {
    // Keys may repeat here (`check = { … }` is shown twice), so the text is read as it comes.
    let mut text = String::new();
    for line in uncommented(|_| true).lines() {
        text.push_str(line);
        text.push('\n');
    }
    let (document, _) = DeTable::parse_recoverable(&text);
    let mut found = BTreeSet::new();
    // A second line with the same key is dropped by the TOML reader; read those by themselves.
    for line in EXAMPLE.lines() {
        if let Some(Shown::Example(text)) = shown(line)
            && text.starts_with("check = ")
        {
            let (document, _) = DeTable::parse_recoverable(text);
            collect(document.get_ref(), "route.service.", &mut found);
        }
    }
    collect(document.get_ref(), "", &mut found);
    let known: BTreeSet<String> = config::keys().map(|(key, _)| key).collect();
    assert_eq!(found, known);
}

fn collect(table: &DeTable<'_>, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{path}{}", key.get_ref());
        // The keys of this table are names of pools.
        if path != "route.service.targets" {
            collect_value(value.get_ref(), &path, found);
        }
        found.insert(path);
    }
}

fn collect_value(value: &DeValue<'_>, path: &str, found: &mut BTreeSet<String>) {
    match value {
        DeValue::Table(table) => collect(table, &format!("{path}."), found),
        DeValue::Array(items) => {
            for item in items {
                collect_value(item.get_ref(), path, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_key_is_marked_live_or_restart_as_the_program_treats_it() {
    let known: BTreeMap<String, Apply> = config::keys().collect();
    let mut section = String::new();
    let mut mark = None;
    let mut seen = BTreeSet::new();
    for line in EXAMPLE.lines() {
        let code = match shown(line) {
            Some(Shown::Default(text) | Shown::Example(text)) => text,
            None => line,
        };
        for (text, apply) in [("[live]", Apply::Live), ("[restart]", Apply::Restart)] {
            if line.starts_with("# ") && line.ends_with(text) {
                mark = Some(apply);
            }
        }
        let code = code.trim_end_matches("# example").trim_end();
        let header = code.trim_matches(['[', ']']);
        let key = if code.starts_with('[') && !code.contains('"') {
            section = header.to_owned();
            Some(header.to_owned())
        } else if let Some((name, _)) = code.split_once(" = ")
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            Some(if section.is_empty() {
                name.to_owned()
            } else {
                format!("{section}.{name}")
            })
        } else {
            None
        };
        let Some(key) = key else { continue };
        let apply = known.get(&key).unwrap_or_else(|| panic!("{key} is no key"));
        // The keys of [route.check] are those of [health.check], explained there; sections carry their keys' marks.
        let explained = !key.starts_with("route.check.");
        let is_section = code.starts_with('[');
        if explained && !is_section && seen.insert(key.clone()) {
            assert_eq!(mark, Some(*apply), "{key} is marked wrongly or not at all");
        }
        if !code.starts_with("check = ") {
            mark = None;
        }
    }
    assert!(seen.len() > 50, "{seen:?}");
}

fn worked_example(name: &str) -> Configuration {
    let path = Path::new("docs/examples").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let heading: Vec<&str> = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .collect();
    let heading = heading.join("\n");
    for needed in ["The situation:", "  NS  ", "example.net"] {
        assert!(heading.contains(needed), "{name} explains {needed}");
    }
    let configuration = config::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(
        configuration.warnings.is_empty(),
        "{}",
        configuration.warnings
    );
    configuration
}

#[test]
fn the_university_has_two_zones_of_its_own_names() {
    let summary = config::summary(&worked_example("university-prosody.toml"));
    let zones: Vec<&str> = summary.zones.iter().map(|zone| zone.as_str()).collect();
    assert_eq!(
        zones,
        [
            "_xmpp-server._tcp.contoso.example",
            "_xmpps-server._tcp.contoso.example"
        ]
    );
    assert_eq!(
        summary.to_string(),
        "docs/examples/university-prosody.toml can be used\n\
         route university: contoso.example on computing-centre, then library; automatic failover, automatic failback, TTL 30 s\n\
         \x20 xmpp-server: order, probed to depth tls every 10s; a pool that falls silent is found after 26s at most\n\
         \x20 xmpps-server: order, not required, probed to depth features every 10s; a pool that falls silent is found after 26s at most\n\
         2 pools, 8 checks on 4 addresses\n\
         2 zones: _xmpp-server._tcp.contoso.example, _xmpps-server._tcp.contoso.example\n\
         none of them is signed\n\
         no secondaries: nobody may transfer a zone\n\
         served on 0.0.0.0:53, [::]:53\n\
         canaries: 203.0.113.53:53, 203.0.113.7:5269\n\
         certificate authorities that count: the system's roots\n"
    );
}

#[test]
fn the_lync_pair_is_probed_behind_its_nat_and_waits_for_a_person() {
    let configuration = worked_example("lync-pair-behind-nat.toml");
    let summary = config::summary(&configuration);
    assert_eq!(summary.zones.len(), 3);
    assert_eq!(
        summary.routes[0].failover,
        repoint::topology::FailoverPolicy::Ask
    );
    for (_, check) in configuration.topology.checks.iter() {
        assert!(check.peer.ip().to_string().starts_with("10."), "{check:?}");
        assert_eq!(check.source.unwrap().to_string(), "10.9.0.2");
    }
    let intervals: BTreeSet<u64> = configuration
        .topology
        .checks
        .iter()
        .map(|(_, check)| check.settings.interval.as_secs())
        .collect();
    assert_eq!(intervals, BTreeSet::from([10, 60]));
}

#[test]
fn the_provider_has_one_zone_for_all_customers_and_probes_two_of_them() {
    let configuration = worked_example("provider-many-domains.toml");
    let summary = config::summary(&configuration);
    assert_eq!(summary.zones.len(), 1);
    assert_eq!(summary.routes[0].domains.len(), 4);
    let asked: BTreeSet<&str> = configuration
        .topology
        .checks
        .iter()
        .map(|(_, check)| check.domain.as_str())
        .collect();
    assert_eq!(asked, BTreeSet::from(["contoso.com", "example.net"]));
    assert_eq!(configuration.sources.files().count(), 2);
}
