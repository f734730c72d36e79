//! The configuration file.
//!
//! In: TOML text and the files it names. Out: a [`Configuration`], complete and valid, or every problem at once
//! with file, line, what is wrong and how to mend it. Never here: applying it; a change of any value in force.
//!
//! `v1` reads the file's shape into a draft (TOML ends there), `validate` checks the relations and makes the topology.

mod compare;
mod draft;
mod problem;
mod reader;
mod render;
mod settings;
mod sources;
mod suggest;
mod summary;
mod v1;
mod validate;
mod zones;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use crate::topology::{DomainName, Topology};
use crate::zone::{Layout, StaticZone};

pub use compare::{Changes, Removal, RestartChange, ZONES_REMOVED_UNASKED, compare};
use draft::{Draft, RouteDraft};
use problem::{At, Place};
pub use problem::{ConfigProblems, Problem, Rule, Severity};
pub use reader::Apply;
pub use settings::{AlarmSettings, LogFormat, LogLevel, LogSettings, ServerSettings};
pub use sources::{Sources, SourcesError};
pub use summary::{RouteSummary, ServiceSummary, Summary, summary};

/// An accepted configuration: complete, and valid as a whole.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Where the server listens and keeps its state.
    pub server: ServerSettings,
    /// How the log is written.
    pub log: LogSettings,
    /// The program that is told about alarms.
    pub alarm: AlarmSettings,
    /// What is steered, and how it is probed.
    pub topology: Topology,
    /// The static records of the zones that have a file, by apex.
    pub statics: BTreeMap<DomainName, Arc<StaticZone>>,
    /// Where every steered name lives.
    pub layout: Arc<Layout>,
    /// The text of every file read: enough to read it again when the files are gone or broken.
    pub sources: Sources,
    /// What the operator should know; nothing of it refuses the configuration.
    pub warnings: ConfigProblems,
}

/// Reads a configuration file and the files it names.
///
/// # Errors
/// Every problem at once; nothing of a refused configuration is returned.
pub fn load(path: &Path) -> Result<Configuration, ConfigProblems> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &name, &mut |file| std::fs::read_to_string(file)),
        Err(error) => {
            let mut problems = ConfigProblems::default();
            let place = Place {
                file: problems.add_file(&name, ""),
                span: 0..0,
            };
            problems
                .error(
                    Rule::Unreadable,
                    &place,
                    format!("cannot read the configuration {name}: {error}"),
                )
                .help("check the path and the permissions of the file");
            Err(problems)
        }
    }
}

/// Reads a configuration from text. `name` is its file's name, for messages and as the place that relative paths
/// begin at; `files` reads the files that it names.
///
/// # Errors
/// Every problem at once; nothing of a refused configuration is returned.
pub fn parse(
    text: &str,
    name: &str,
    files: &mut dyn FnMut(&Path) -> io::Result<String>,
) -> Result<Configuration, ConfigProblems> {
    let mut problems = ConfigProblems::default();
    let mut sources = Sources::new(name, text);
    let mut files = |path: &Path| {
        let text = files(path)?;
        sources.keep(path, &text);
        Ok(text)
    };
    let read = read(text, name, &mut files, &mut problems);
    problems.settle();
    match read {
        Some(read) if !problems.refuse() => Ok(Configuration {
            server: read.draft.server,
            log: read.draft.log,
            alarm: read.draft.alarm,
            topology: read.topology,
            statics: read.statics,
            layout: Arc::new(read.layout),
            sources,
            warnings: problems,
        }),
        _ => Err(problems),
    }
}

/// Reads an accepted configuration again, from the texts that were kept.
///
/// # Errors
/// Every problem, when this version of the program refuses what another one accepted.
pub fn parse_sources(sources: &Sources) -> Result<Configuration, ConfigProblems> {
    parse(sources.text(), sources.name(), &mut |path| {
        sources.read(path)
    })
}

/// Every key that is read, dotted (`route.service.kind`), and when a change of it takes effect.
pub fn keys() -> impl Iterator<Item = (String, Apply)> {
    let sections = v1::keys::ALL.iter();
    sections.flat_map(|section| {
        let path = match section.path {
            "" => String::new(),
            path => format!("{path}."),
        };
        section
            .keys
            .iter()
            .map(move |key| (format!("{path}{}", key.name), key.apply))
    })
}

type Files<'f> = dyn FnMut(&Path) -> io::Result<String> + 'f;

/// What was made of a file, as far as it could be made.
struct Read {
    draft: Draft,
    topology: Topology,
    statics: zones::Statics,
    layout: Layout,
}

fn read(
    text: &str,
    name: &str,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Option<Read> {
    let file = problems.add_file(name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let hard = syntax(file, &errors, problems);
    if hard {
        return None;
    }
    let top = top(document.get_ref(), file);
    if !version(document.get_ref(), &top, problems) {
        return None;
    }
    let base = Path::new(name).parent().unwrap_or(Path::new(""));
    let draft = v1::read(document.get_ref(), top, base, problems);
    let routes = draft.routes.iter();
    let domains: Vec<Vec<At<DomainName>>> = routes
        .map(|route| domains(route, files, problems))
        .collect();
    check_authorities(&draft, files, problems);
    let zones = zones::read(&draft, files, problems);
    let parts = validate::parts(&draft, &domains, problems);
    let topology = Topology::new(
        parts.pools,
        parts.routes,
        parts.zones,
        parts.nameservers,
        parts.canaries,
    );
    let layout = zones::layout(&draft, &topology, &zones, &parts.places, problems);
    quiet_after_syntax_errors(file, &errors, problems);
    Some(Read {
        draft,
        topology,
        statics: zones.statics,
        layout: layout?,
    })
}

/// Reports what is not TOML. Says whether the rest of the file would be misread: after a slip inside one value it is
/// not; after an open bracket it is.
fn syntax(file: usize, errors: &[toml::de::Error], problems: &mut ConfigProblems) -> bool {
    let soft = |error: &toml::de::Error| {
        error.message() == "duplicate key"
            || error.message().starts_with("string values must be quoted")
    };
    let place = |error: &toml::de::Error| Place {
        file,
        span: error.span().unwrap_or(0..0),
    };
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let first = errors
        .iter()
        .filter(|error| !soft(error))
        .min_by_key(|error| start(error));
    // What comes after the first misreading follows from it.
    let end = first.map_or(usize::MAX, start);
    for error in errors
        .iter()
        .filter(|error| soft(error) && start(error) < end)
    {
        let (message, help) = if error.message() == "duplicate key" {
            (
                "the key is written twice in its table",
                "leave one of them out",
            )
        } else {
            (
                "the value is neither a number nor text in quotes",
                "put it in quotes: \"10s\"",
            )
        };
        problems
            .error(Rule::Syntax, &place(error), message)
            .help(help);
    }
    if let Some(first) = first {
        let message = first.message().lines().collect::<Vec<_>>().join("; ");
        problems
            .error(Rule::Syntax, &place(first), format!("this is not TOML: {message}"))
            .help("look at the end of the line before, too; the rest of the file is read when this is mended");
    }
    first.is_some()
}

/// A value with a slip in it has one problem, not two.
fn quiet_after_syntax_errors(
    file: usize,
    errors: &[toml::de::Error],
    problems: &mut ConfigProblems,
) {
    let line = |span| problems.line_of(&Place { file, span });
    let lines: Vec<usize> = errors.iter().filter_map(|e| e.span()).map(line).collect();
    problems.list.retain(|problem| {
        problem.rule == Rule::Syntax || problem.place.file != file || !lines.contains(&problem.line)
    });
}

/// Where the file begins to speak: its version, else its first character.
fn top(document: &DeTable<'_>, file: usize) -> Place {
    let span = document
        .get_key_value("version")
        .map_or(0..0, |(key, value)| {
            let (key, value) = (key.span(), value.span());
            key.start..value.end.max(key.end)
        });
    Place { file, span }
}

/// Looks at `version` before anything else: another version has other keys.
fn version(document: &DeTable<'_>, top: &Place, problems: &mut ConfigProblems) -> bool {
    let Some(value) = document.get("version") else {
        problems
            .error(
                Rule::Version,
                top,
                "the file does not say which version of its form it has",
            )
            .help("write version = 1 at the top");
        return true;
    };
    let number = value.get_ref().as_integer();
    if number.is_some_and(|number| number.to_string() == "1") {
        return true;
    }
    let place = Place {
        file: top.file,
        span: value.span(),
    };
    problems
        .error(
            Rule::Version,
            &place,
            "this program reads version 1 of the file",
        )
        .help("write version = 1, or use the program that the file was written for");
    false
}

/// The domains of a route, those of its file included.
fn domains(
    route: &RouteDraft,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Vec<At<DomainName>> {
    let mut all = route.domains.items.clone();
    let Some(path) = &route.domains_file else {
        return all;
    };
    let Some((file, text)) = read_file(path, "the list of domains", files, problems) else {
        return all;
    };
    let before = all.len();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.split('#').next().unwrap_or("");
        let domain = content.trim();
        if !domain.is_empty() {
            let at = start + (content.len() - content.trim_start().len());
            let place = Place {
                file,
                span: at..at + domain.len(),
            };
            match domain.parse() {
                Ok(value) => all.push(At { value, place }),
                Err(error) => {
                    problems
                        .error(
                            Rule::BadValue,
                            &place,
                            format!("this is not a domain: {error}"),
                        )
                        .help("write one domain per line; # begins a comment");
                }
            }
        }
        start += line.len();
    }
    if all.len() == before && !problems.list.iter().any(|p| p.place.file == file) {
        problems
            .error(Rule::BadValue, &path.place, "the list of domains is empty")
            .help("write one domain per line; # begins a comment");
    }
    all
}

/// Certificate authorities are read here too: a missing file is found now, not when a pool is to be judged.
fn check_authorities(draft: &Draft, files: &mut Files<'_>, problems: &mut ConfigProblems) {
    let of_routes = draft.routes.iter().flat_map(|route| {
        std::iter::once(&route.check).chain(route.services.iter().map(|service| &service.check))
    });
    let layers = std::iter::once(&draft.health.check).chain(of_routes);
    for ca in layers.filter_map(|layer| layer.ca.as_ref()) {
        let Some((_, text)) = read_file(ca, "the certificate authorities", files, problems) else {
            continue;
        };
        if !text.contains("-----BEGIN CERTIFICATE-----")
            && !text.contains("-----BEGIN TRUSTED CERTIFICATE-----")
        {
            problems
                .error(
                    Rule::BadValue,
                    &ca.place,
                    format!("{} has no certificate in it", ca.value.display()),
                )
                .help("name a PEM file: it has lines -----BEGIN CERTIFICATE-----");
        }
    }
}

fn read_file(
    path: &At<std::path::PathBuf>,
    what: &str,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Option<(usize, String)> {
    let name = path.value.display().to_string();
    match files(&path.value) {
        Ok(text) => Some((problems.add_file(&name, &text), text)),
        Err(error) => {
            problems
                .error(
                    Rule::Unreadable,
                    &path.place,
                    format!("cannot read {what} {name}: {error}"),
                )
                .help("check the path (a relative one begins beside the configuration file) and its permissions");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::{FailoverPolicy, Mode, PoolName, RouteName, ServiceKind};

    /// The shape of the design, whole.
    const DESIGN: &str = r#"
version = 1
[server]
listen = ["127.0.0.1:5300", "[::1]:5300"]
state  = "state"
[dns]
nameservers = [{ name = "ns1.example.net" }, { name = "ns2.example.net" }]
dnssec = false
[health]
canaries = ["198.51.100.1:53", "203.0.113.7:5269"]

[[pool]]
name = "edgepool1"
site = "site1"
[[pool.target]]
name    = "edge1.contoso.com"
publish = ["192.0.2.10", "2001:db8::10"]
probe   = ["10.0.0.10"]
[[pool]]
name = "edgepool2"
[[pool.target]]
name    = "Edge2.Contoso.com."
publish = ["192.0.2.20", "2001:db8::20"]

[[route]]
name    = "contoso"
domains = ["contoso.com"]
pools   = ["edgepool1", "edgepool2"]
zones   = "owners"
failover = "auto"
[route.address]
name = "xmpp.{domain}"
[[route.service]]
kind = "xmpp-server"
check = { fall = 2 }
[[route.service]]
kind = "sipfederationtls"
[route.check]
interval = "20s"
"#;

    fn parse_alone(text: &str) -> Result<Configuration, ConfigProblems> {
        parse(text, "/etc/repoint/repoint.toml", &mut |path| {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                path.display().to_string(),
            ))
        })
    }

    #[test]
    fn the_shape_of_the_design_becomes_a_topology() {
        let configuration = parse_alone(DESIGN).unwrap();
        assert_eq!(configuration.server.listen.len(), 2);
        assert_eq!(configuration.server.state, Path::new("/etc/repoint/state"));
        let topology = &configuration.topology;
        let route = &topology.routes[&"contoso".parse::<RouteName>().unwrap()];
        assert_eq!(route.failover, FailoverPolicy::Auto);
        let priorities: Vec<u16> = route.pools.iter().map(|pool| pool.priority).collect();
        assert_eq!(priorities, [10, 20]);
        let [xmpp, sip] = route.services.as_slice() else {
            panic!("two services: {:?}", route.services)
        };
        assert_eq!(
            (xmpp.kind, xmpp.mode),
            (ServiceKind::XmppServer, Mode::Order)
        );
        assert_eq!((xmpp.check.fall, xmpp.check.interval.as_secs()), (2, 20));
        assert_eq!((sip.port, sip.mode), (5061, Mode::Single));
        assert_eq!((sip.check.fall, sip.check.interval.as_secs()), (3, 20));
        let first = &topology.pools[&"edgepool1".parse::<PoolName>().unwrap()].targets[0];
        let pairs: Vec<String> = first
            .addresses
            .iter()
            .map(|a| format!("{} {}", a.publish, a.probe))
            .collect();
        assert_eq!(pairs, ["192.0.2.10 10.0.0.10", "2001:db8::10 2001:db8::10"]);
        let second = &topology.pools[&"edgepool2".parse::<PoolName>().unwrap()].targets[0];
        assert_eq!(second.name.as_str(), "edge2.contoso.com");
        assert_eq!(topology.checks.iter().count(), 8);
    }

    #[test]
    fn what_was_kept_makes_the_same_configuration_again() {
        let text = DESIGN.replace(
            "domains = [\"contoso.com\"]",
            "domains_file = \"domains.txt\"",
        );
        let configuration = parse(&text, "/etc/repoint/repoint.toml", &mut |path| {
            assert_eq!(path, Path::new("/etc/repoint/domains.txt"));
            Ok("# ours\ncontoso.com # the first\n\n".to_owned())
        })
        .unwrap();
        let kept = Sources::from_json(&configuration.sources.to_json()).unwrap();
        let again = parse_sources(&kept).unwrap();
        assert_eq!(again.topology, configuration.topology);
        assert_eq!(again.sources, configuration.sources);
        assert!(compare(&configuration, &again).is_empty());
        assert!(Sources::from_json("{}").is_err());
    }
}
