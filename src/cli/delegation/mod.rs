//! `repoint delegation`: what the zones above need, whether they have it, and the way out.
//!
//! In: a route or a zone, from the server or from a configuration file. Out: records, findings, the next step. Never
//! here: a change of anything.

mod check;
mod leave;
mod show;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::client::segment;
use super::failure::{Failure, Fault, REFUSED};
use super::moment;
use super::session::Session;
use crate::config;
use crate::control::Probed;
use crate::delegation::{
    self, Arrangement, CertificateSeen, LeaveStep, Selection, Served, first_zones, gather, judge,
    parent_records, sight,
};
use crate::near::nearest;
use crate::topology::{DomainName, RouteName};

/// See to the delegation: the records that the zones above must have.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Delegation {
    /// Print the exact records that the zones above need, as a master file with numbered steps
    ///
    /// Without --option for the arrangement that is configured: A, each steered name delegated by itself; B, _tcp of the domain
    /// delegated whole; C, a child zone with aliases from the public names into it; D, static SRV records and a delegated
    /// federation address. What is printed can be read by a nameserver; the steps are its comments.
    #[command(
        after_help = "Examples:\n  repoint delegation show contoso\n  repoint delegation show contoso --option C\n  \
                      repoint delegation show --config /etc/repoint/repoint.toml"
    )]
    Show {
        #[command(flatten)]
        of: Of,
        /// What another arrangement would need
        #[arg(long, value_name = "A|B|C|D", value_enum, hide_possible_values = true)]
        option: Option<Arrangement>,
    },
    /// Ask the zones above and every nameserver, and report what is wrong, each with its remedy
    ///
    /// The questions go out from this machine. Exit code 0 when nothing is wrong, 1 with warnings, 2 with errors.
    #[command(
        after_help = "Examples:\n  repoint delegation check\n  repoint delegation check contoso --json\n  \
                      repoint delegation check contoso --leave"
    )]
    Check {
        #[command(flatten)]
        of: Of,
        /// The way out: which step one is at, and when it is safe to stop
        ///
        /// Looks at the zones above and remembers what it saw, so run it once before anything is changed there, TTLs included,
        /// and again after each step. Exit code 0 when it is safe to stop, 1 while it is not.
        #[arg(long, conflicts_with = "config")]
        leave: bool,
        /// Where --leave remembers what it saw; in the server's state directory when left out
        #[arg(long, value_name = "FILE", requires = "leave")]
        memory: Option<PathBuf>,
    },
}

/// What is looked at, and where it is known from.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    /// A route, the apex of a zone, or a domain; everything when left out
    #[arg(value_name = "ROUTE|ZONE|DOMAIN")]
    name: Option<String>,
    /// By this configuration file, instead of asking the server: what a first start would serve
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Delegation {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Delegation::Show { of, option } => {
                let served = of.served(session)?;
                let records = parent_records(&served, *option);
                session.say(&records, || show::screen(&served, &records));
                Ok(ExitCode::SUCCESS)
            }
            Delegation::Check {
                of,
                leave: true,
                memory,
            } => leave_by_steps(session, of, memory.as_deref()),
            Delegation::Check { of, .. } => {
                let served = of.served(session)?;
                let certificates = of.certificates(session, &served);
                let facts = session.client.wait_for(gather(served, certificates));
                let findings = judge(&facts);
                let report = check::Report {
                    zones: facts.zones.len(),
                    domains: facts.domains.len(),
                    findings: &findings,
                };
                session.say(&report, || {
                    check::screen(&facts.served, &findings, session.paint)
                });
                Ok(check::code(&findings).into())
            }
        }
    }
}

impl Of {
    /// What the pools' certificates are good for: by the server's own probes, one of each check. A route that cannot be
    /// probed is said and left out.
    fn certificates(&self, session: &Session, served: &Served) -> Vec<CertificateSeen> {
        let routes: BTreeSet<&RouteName> = served.domains.iter().map(|d| &d.route).collect();
        let mut seen = Vec::new();
        for route in routes {
            let probed = match &self.config {
                Some(file) => super::probe::without_server(file, route.as_str(), None),
                None => super::probe::by_the_server(session, route.as_str(), None),
            };
            match probed {
                Ok(probed) => seen.extend(probed.into_iter().filter_map(certificate)),
                Err(failure) => session.talk(&failure.render(session.paint)),
            }
        }
        seen
    }

    fn served(&self, session: &Session) -> Result<Served, Failure> {
        match &self.config {
            Some(file) => self.of_file(file),
            None => {
                let of = self.name.as_deref();
                let query = of.map_or(String::new(), |name| format!("?of={}", segment(name)));
                let reply = session.client.get(&format!("/v1/delegation{query}"))?;
                session.client.read(&reply)
            }
        }
    }

    fn of_file(&self, file: &Path) -> Result<Served, Failure> {
        let fault = |why: String| {
            Failure::Local(Fault {
                what: format!("cannot look at the delegation by {}", file.display()),
                why,
                in_force: "nothing was asked and nothing was changed".into(),
                hint: None,
            })
        };
        let configuration = config::load(file).map_err(|problems| fault(problems.render(false)))?;
        let selection = match &self.name {
            None => Selection::All,
            Some(name) => {
                let routes = configuration.topology.routes.keys();
                let domains = || {
                    let routes = configuration.topology.routes.values();
                    routes.flat_map(|route| &route.domains)
                };
                let route = routes.clone().find(|route| route.as_str() == name);
                match (route, name.parse::<DomainName>()) {
                    (Some(route), _) => Selection::Route(route.clone()),
                    (None, Ok(apex)) if configuration.has_zone(&apex) => Selection::Zone(apex),
                    (None, Ok(domain)) if domains().any(|known| *known == domain) => {
                        Selection::Domain(domain)
                    }
                    _ => {
                        let zones = configuration.topology.zones.keys();
                        let names = zones.chain(domains()).map(DomainName::as_str);
                        let names = routes.map(|route| route.as_str()).chain(names);
                        let near = nearest(name, names).join(", ");
                        let near = match near.is_empty() {
                            true => String::new(),
                            false => format!("; near are {near}"),
                        };
                        return Err(fault(format!(
                            "no route, zone or domain has the name {name}{near}"
                        )));
                    }
                }
            }
        };
        let zones = first_zones(&configuration);
        Ok(Served::of(&configuration, &zones, &selection, false))
    }
}

/// Looks at the zones above, remembers it, and says where one is.
fn leave_by_steps(session: &Session, of: &Of, memory: Option<&Path>) -> Result<ExitCode, Failure> {
    let served = of.served(session)?;
    let file = memory.map_or_else(|| served.state.join(leave::FILE), Path::to_owned);
    let mut memory = leave::recall(&file)?;
    let sightings = session.client.wait_for(sight(&served));
    let now = moment::now();
    let leaving = delegation::leave(&mut memory, &sightings, leave::reading(now));
    leave::keep(&file, &memory)?;
    let records = match leaving.step {
        LeaveStep::Replace => own_records(session, &served)?,
        _ => String::new(),
    };
    let answer = serde_json::json!({ "leaving": leaving, "records": records });
    session.say(&answer, || {
        leave::screen(&served, &leaving, &records, now, session.paint)
    });
    Ok(match leaving.step {
        LeaveStep::Safe => ExitCode::SUCCESS,
        _ => REFUSED.into(),
    })
}

/// What the zones above need of their own when nothing leads here any more: all that is served now, and the SRV records
/// of a child zone under the names that partners ask for.
fn own_records(session: &Session, served: &Served) -> Result<String, Failure> {
    let mut records = String::new();
    for zone in &served.zones {
        let path = format!("/v1/zones/{}/text", segment(zone.apex.as_str()));
        let text = session.client.get(&path)?.text();
        records.push_str(&leave::portable(zone.apex.as_str(), &text));
    }
    let names = served.domains.iter().flat_map(|domain| &domain.names);
    for name in names.filter(|name| name.owner != name.public && name.public_zone.is_none()) {
        for record in &name.records {
            let (public, ttl, rtype, data) =
                (&name.public, record.ttl, &record.rtype, &record.data);
            records.push_str(&format!("{public}.\t{ttl}\tIN\t{rtype}\t{data}\n"));
        }
    }
    Ok(records)
}

/// What a probe saw of a certificate; nothing when it did not come so far, which is the verdict's matter.
fn certificate(probed: Probed) -> Option<CertificateSeen> {
    let facts = probed.observation.certificate?;
    Some(CertificateSeen {
        pool: probed.pool,
        target: probed.target,
        peer: probed.observation.peer,
        check: probed.observation.check.domain().to_owned(),
        names: facts.names,
        fault: facts.fault.map(|fault| fault.describe()),
    })
}
