//! The configuration file.
//!
//! In: TOML text and the files it names. Out: a [`Configuration`], complete and valid, or every problem at once
//! with file, line, what is wrong and how to mend it. Never here: applying it; a change of any value in force.
//!
//! `v1` reads the file's shape into a draft (TOML ends there), `validate` checks the relations and makes the topology.

mod advice;
mod compare;
mod dnssec;
mod domains;
mod draft;
mod exchange;
mod named_files;
mod network;
mod open_files;
mod problem;
mod render;
mod secondary;
mod secrets;
mod settings;
mod sources;
mod suggest;
mod summary;
mod syntax;
mod table;
mod v1;
mod validate;
mod value;
mod words;
mod zones;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use crate::files;
use crate::topology::{DomainName, Topology};
use crate::tsig;
use crate::zone::{Layout, Name, StaticZone};

pub use compare::{
    Changes, CutList, DOMAINS_REMOVED_UNASKED, Removal, RestartChange, ZONES_REMOVED_UNASKED,
    compare,
};
pub use dnssec::Dnssec;
pub use domains::{RejectedLines, UnfinishedList};
use draft::Draft;
pub use exchange::{Exchange, PrimarySummary, SecondarySummary};
use named_files::Files;
pub use network::Network;
pub use open_files::{MOST_CONNECTIONS, OpenFiles};
use problem::Place;
pub use problem::{ConfigProblems, Problem, Rule, Severity};
pub use secondary::Secondary;
pub use settings::{
    AcmeKey, AcmeSettings, AlarmSettings, CookieSecrets, LogFormat, LogLevel, LogSettings,
    MannersSettings, ServerSettings,
};
pub use sources::{Sources, SourcesError};
pub use summary::{RouteSummary, ServiceSummary, Summary, summary};
pub use table::Apply;

/// An accepted configuration: complete, and valid as a whole.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Where the server listens and keeps its state.
    pub server: ServerSettings,
    /// How the log is written.
    pub log: LogSettings,
    /// The program that is told about alarms.
    pub alarm: AlarmSettings,
    /// Whom to ask about names that are not ours; those of the system when empty.
    pub resolvers: Vec<SocketAddr>,
    /// Which zones are signed, and how.
    pub dnssec: Dnssec,
    /// What is steered, and how it is probed.
    pub topology: Topology,
    /// The static records of the zones that have a file, by apex.
    pub statics: BTreeMap<DomainName, Arc<StaticZone>>,
    /// The TSIG keys.
    pub tsig: tsig::Keys,
    /// Who may transfer zones and is notified.
    pub secondaries: Vec<Arc<Secondary>>,
    /// How requests are answered, whatever they ask.
    pub manners: MannersSettings,
    /// Who may change challenges of certificate authorities.
    pub acme: AcmeSettings,
    /// Where every steered name lives.
    pub layout: Arc<Layout>,
    /// Lines of lists of domains that are not used.
    pub rejected_lines: Vec<RejectedLines>,
    /// Lists of domains that may be cut off.
    pub unfinished_lists: Vec<UnfinishedList>,
    /// The text of every file read: enough to read it again when the files are gone or broken.
    pub sources: Sources,
    /// What the operator should know; nothing of it refuses the configuration.
    pub warnings: ConfigProblems,
    /// The same, and what is worth knowing only when the file is checked.
    pub advice: ConfigProblems,
}

impl Configuration {
    /// Whether a zone with this apex is served.
    pub fn has_zone(&self, apex: &DomainName) -> bool {
        let apex = Name::from(apex);
        self.layout.apexes().any(|other| *other == apex)
    }
}

/// Reads a configuration file and the files it names.
///
/// # Errors
/// Every problem at once; nothing of a refused configuration is returned.
pub fn load(path: &Path) -> Result<Configuration, ConfigProblems> {
    let name = path.display().to_string();
    match read_file(path) {
        Ok(text) => parse(&text, &name, &mut read_file),
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

fn read_file(path: &Path) -> io::Result<String> {
    files::read_text(path, files::LARGEST)
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
    parse_once_more(text, name, files, false)
}

/// `again` says that the texts were accepted before: then a secret that cannot be read leaves its TSIG key out, and
/// the rest is served.
fn parse_once_more(
    text: &str,
    name: &str,
    files: &mut dyn FnMut(&Path) -> io::Result<String>,
    again: bool,
) -> Result<Configuration, ConfigProblems> {
    let mut problems = ConfigProblems::default();
    let mut sources = Sources::new(name, text);
    let mut files = Files {
        read: files,
        sources: &mut sources,
        again,
    };
    let read = read(text, name, &mut files, &mut problems);
    problems.settle();
    let mut advice = problems.clone();
    if let Some(read) = &read {
        advice::single_nameservers(read, &mut advice);
        advice.settle();
    }
    match read {
        Some(read) if !problems.refuse() => Ok(Configuration {
            server: read.draft.server,
            log: read.draft.log,
            alarm: read.draft.alarm,
            resolvers: read.draft.nameservers.resolvers,
            dnssec: read.draft.nameservers.dnssec,
            topology: read.topology,
            statics: read.statics,
            tsig: read.tsig,
            secondaries: read.secondaries,
            manners: read.manners,
            acme: read.acme,
            layout: Arc::new(read.layout),
            rejected_lines: read.rejected,
            unfinished_lists: read.unfinished,
            sources,
            warnings: problems,
            advice,
        }),
        _ => Err(problems),
    }
}

/// Reads an accepted configuration again, from the texts that were kept. Secrets are not among them: those are read
/// where they lie, and one that cannot be read any more is a warning.
///
/// # Errors
/// Every problem, when this version of the program refuses what another one accepted.
pub fn parse_sources(sources: &Sources) -> Result<Configuration, ConfigProblems> {
    let mut files = |path: &Path| sources.read(path).or_else(|_| read_file(path));
    parse_once_more(sources.text(), sources.name(), &mut files, true)
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

/// What was made of a file, as far as it could be made.
struct Read {
    draft: Draft,
    rejected: Vec<RejectedLines>,
    unfinished: Vec<UnfinishedList>,
    topology: Topology,
    statics: zones::Statics,
    tsig: tsig::Keys,
    secondaries: Vec<Arc<Secondary>>,
    manners: MannersSettings,
    acme: AcmeSettings,
    layout: Layout,
}

fn read(
    text: &str,
    name: &str,
    files: &mut Files<'_>,
    problems: &mut ConfigProblems,
) -> Option<Read> {
    let file = problems.add_file(name, &secrets::masked(text));
    let (document, errors) = DeTable::parse_recoverable(text);
    let misread = syntax::report(file, &errors, problems);
    if misread {
        return None;
    }
    let top = syntax::top(document.get_ref(), file);
    if !syntax::version(document.get_ref(), &top, problems) {
        return None;
    }
    let base = Path::new(name).parent().unwrap_or(Path::new(""));
    let draft = v1::read(document.get_ref(), top, base, problems);
    let lists = domains::read(&draft, files, problems);
    named_files::check_authorities(&draft, files, problems);
    let tsig = secrets::keys(&draft, files, problems);
    let manners = secrets::manners(&draft, files, problems);
    let zones = zones::read(&draft, files, problems);
    let parts = validate::parts(&draft, &lists.domains, problems);
    let topology = Topology::new(
        parts.pools,
        parts.routes,
        parts.zones,
        parts.nameservers,
        parts.canaries,
    );
    let secondaries = secondary::secondaries(&draft, &topology, problems);
    let acme = secondary::acme(&draft, &topology, problems);
    let layout = zones::layout(&draft, &topology, &zones, &parts.places, problems);
    syntax::quiet_after_syntax_errors(file, &errors, problems);
    Some(Read {
        draft,
        rejected: lists.rejected,
        unfinished: lists.unfinished,
        topology,
        statics: zones.statics,
        tsig,
        secondaries,
        manners,
        acme,
        layout: layout?,
    })
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
    fn a_configuration_that_cannot_be_read_is_a_problem_like_others() {
        let directory = tempfile::tempdir().unwrap();
        let missing = load(&directory.path().join("repoint.toml")).unwrap_err();
        let [problem] = missing.errors().collect::<Vec<_>>()[..] else {
            panic!("one problem: {missing}")
        };
        assert_eq!((problem.rule, problem.line), (Rule::Unreadable, 1));
        let latin1 = directory.path().join("latin1.toml");
        std::fs::write(&latin1, b"version = 1 # \xfc").unwrap();
        let said = load(&latin1).unwrap_err().to_string();
        assert!(said.contains("UTF-8"), "{said}");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("repoint.toml");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let said = load(&path).unwrap_err().to_string();
        assert!(said.contains("it is a device"), "{said}");
        std::fs::remove_file(&path).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        file.set_len((64 << 20) + 1).unwrap();
        let said = load(&path).unwrap_err().to_string();
        assert!(said.contains("larger than 64 MiB"), "{said}");
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
