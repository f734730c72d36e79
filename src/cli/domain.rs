//! `repoint domain`: one domain of the routes, as a customer asks about it.
//!
//! In: a domain. Out: the routes that have it, the pool each points at, and every name that is steered for it.

use std::process::ExitCode;

use super::client::segment;
use super::failure::{Failure, Fault};
use super::paint::{Paint, Tone, hang};
use super::session::Session;
use super::status::{tone_of, verdict_word};
use super::table::Table;
use crate::control::Explanation;
use crate::delegation::{Served, ServedDomain, ServedName};
use crate::topology::DomainName;

/// Look at one domain of the routes
#[derive(Debug, clap::Subcommand)]
pub(super) enum Domain {
    /// Where a domain points, which names are steered for it, and what they answer
    #[command(after_help = "Example:\n  repoint domain show contoso.com")]
    Show {
        /// The domain
        domain: String,
    },
}

impl Domain {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let Domain::Show { domain } = self;
        let served = of(session, domain)?;
        let mut routes = Vec::new();
        for of_route in &served.domains {
            let path = format!(
                "/v1/routes/{}/explanation",
                segment(of_route.route.as_str())
            );
            let reply = session.client.get(&path)?;
            routes.push(session.client.read::<Explanation>(&reply)?);
        }
        let json: Vec<_> = served
            .domains
            .iter()
            .zip(&routes)
            .map(|(of_route, it)| {
                serde_json::json!({
                    "domain": of_route.domain,
                    "route": of_route.route,
                    "active": it.route.decision.active,
                    "decided": it.route.decision.at,
                    "names": of_route.names,
                })
            })
            .collect();
        session.say(&json, || screen(&served, &routes, session.paint));
        Ok(ExitCode::SUCCESS)
    }
}

/// What is served for one domain.
pub(super) fn of(session: &Session, domain: &str) -> Result<Served, Failure> {
    let path = format!("/v1/delegation?domain={}", segment(domain));
    let reply = session.client.get(&path)?;
    session.client.read(&reply)
}

/// Leaves of an explanation what is about one domain.
pub(super) fn narrow(session: &Session, it: &mut Explanation, domain: &str) -> Result<(), Failure> {
    let served = of(session, domain)?;
    let mut routes = served.domains.iter();
    let Some(found) = routes.find(|found| found.route == it.route.name) else {
        let routes: Vec<&str> = served.domains.iter().map(|d| d.route.as_str()).collect();
        return Err(Failure::Local(Fault {
            what: format!("cannot explain {domain} in route {}", it.route.name),
            why: format!("the domain is in route {}", routes.join(", ")),
            in_force: String::new(),
            hint: routes
                .first()
                .map(|route| format!("repoint route explain {route} --domain {domain}")),
        }));
    };
    it.route.domains = vec![found.domain.clone()];
    let is_of = |owner: &DomainName| found.names.iter().any(|name| name.owner == *owner);
    it.route.owners.retain(|owner| is_of(&owner.owner));
    Ok(())
}

/// One block for each route that has the domain.
pub(super) fn screen(served: &Served, routes: &[Explanation], paint: Paint) -> String {
    let blocks: Vec<String> = served
        .domains
        .iter()
        .zip(routes)
        .map(|(domain, it)| block(served, domain, it, paint))
        .collect();
    blocks.join("\n")
}

fn block(served: &Served, domain: &ServedDomain, it: &Explanation, paint: Paint) -> String {
    let route = &it.route;
    let active = &route.decision.active;
    let mut out = paint.heading(&format!("domain {}", domain.domain), &it.at.to_string());
    out.push_str(&hang("  route   ", route.name.as_str()));
    let pool = route.pools.iter().find(|pool| pool.pool == *active);
    let verdict = pool.map_or_else(String::new, |pool| {
        let verdict = pool.health.verdict;
        let word = paint.tone(tone_of(verdict), verdict_word(verdict));
        format!(" {word}")
    });
    out.push_str(&format!("  active  {active}{verdict}\n"));
    out.push_str(&hang(
        "  why     ",
        &format!(
            "repoint route explain {} --domain {}",
            route.name, domain.domain
        ),
    ));
    out.push('\n');
    let mut table = Table::headed(["name", "ttl", "type", "data"]);
    for name in &domain.names {
        for (number, record) in name.records.iter().enumerate() {
            let owner = if number == 0 { name.owner.as_str() } else { "" };
            table.row([
                owner.into(),
                record.ttl.to_string().into(),
                record.rtype.as_str().into(),
                record.data.as_str().into(),
            ]);
        }
        if name.records.is_empty() {
            table.row([
                name.owner.as_str().into(),
                "".into(),
                "".into(),
                "no record".into(),
            ]);
        }
    }
    out.push_str(&table.render(paint));
    for name in domain.names.iter().filter(|name| name.public != name.owner) {
        let text = format!(
            "partners ask for {}; a CNAME there leads to {}",
            name.public, name.owner
        );
        out.push_str(&hang("  alias   ", &text));
    }
    out.push_str(&hang("  zones   ", &zones(served, &domain.names)));
    let check = format!("repoint delegation check {}", domain.domain);
    out.push_str(&paint.tone(Tone::Quiet, &hang("  above   ", &check)));
    out
}

fn zones(served: &Served, names: &[ServedName]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for name in names {
        let serial = served.zone(&name.zone).map(|zone| zone.serial.to_string());
        let serial = serial.map_or_else(String::new, |serial| format!(", serial {serial}"));
        let text = format!("{}{serial}", name.zone);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join("; ")
}
