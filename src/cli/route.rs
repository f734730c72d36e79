//! `repoint route`: what is switched as one, where it points, and why.
//!
//! In: views of routes. Out: a line for each, one in detail, or the explanation of its answers.

use std::process::ExitCode;

use super::client::segment;
use super::complete;
use super::domain;
use super::explain;
use super::failure::Failure;
use super::moment::distance;
use super::paint::{Paint, Tone, hang};
use super::session::Session;
use super::status;
use super::table::{Cell, Table};
use crate::control::Explanation;
use crate::engine::View;

/// A provider's route has thousands.
const NAMES_SHOWN: usize = 24;

/// Look at routes: where they point, and why.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Route {
    /// One line per route
    List,
    /// A route's pools, policy, and steered names
    #[command(after_help = "Example:\n  repoint route show contoso")]
    Show {
        /// The route's name
        #[arg(add = complete::routes())]
        route: String,
    },
    /// Everything that led to a route's present answers, on one screen
    ///
    /// What the probes see, what is in force, the decision with its evidence, the records with TTL and serial, what would
    /// come next and what holds it back, and the longest a partner would wait if the active pool fell silent.
    #[command(
        after_help = "Examples:\n  repoint route explain contoso\n  repoint route explain customers --domain contoso.com"
    )]
    Explain(ExplainOptions),
}

/// What is explained.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ExplainOptions {
    /// The route's name
    #[arg(add = complete::routes())]
    route: String,
    /// Only the names of this domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
}

impl Route {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Route::List => {
                let reply = session.client.get("/v1/status")?;
                if session.json {
                    let view: View = session.client.read(&reply)?;
                    session.print_json(&view.routes);
                    return Ok(ExitCode::SUCCESS);
                }
                session.answer::<View>(&reply, status::routes)
            }
            Route::Show { route } => {
                let reply = session.client.get(&path(route))?;
                session.answer::<Explanation>(&reply, show)
            }
            Route::Explain(ExplainOptions { route, domain }) => {
                let reply = session.client.get(&path(route))?;
                let mut it: Explanation = session.client.read(&reply)?;
                if let Some(domain) = domain {
                    domain::narrow(session, &mut it, domain)?;
                }
                session.say(&it, || explain::screen(&it, session.paint));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn path(route: &str) -> String {
    format!("/v1/routes/{}/explanation", segment(route))
}

/// A route without the story.
pub(super) fn show(it: &Explanation, paint: Paint) -> String {
    let route = &it.route;
    let mut out = paint.heading(&format!("route {}", route.name), &it.at.to_string());
    out.push_str(&hang("domains  ", &explain::domains(&route.domains)));
    out.push('\n');
    let mut table = Table::headed(["pool", "priority", "place", "verdict", "since", ""]);
    for pool in &route.pools {
        let place = match pool.place {
            Some(0) => "active".to_owned(),
            Some(place) => format!("{}.", place + 1),
            None => "not published".into(),
        };
        let mut notes = Vec::new();
        if pool.pool == route.wanted {
            notes.push(if route.home.is_some() {
                "home"
            } else {
                "preferred"
            });
        }
        if pool.drained {
            notes.push("drained");
        }
        if pool.health.partial {
            notes.push("partly up");
        }
        table.row([
            pool.pool.as_str().into(),
            pool.priority.to_string().into(),
            place.into(),
            Cell::toned(
                status::tone_of(pool.health.verdict),
                status::verdict_word(pool.health.verdict),
            ),
            distance(pool.health.since_wall, it.at).into(),
            Cell::toned(Tone::Quiet, notes.join(", ")),
        ]);
    }
    out.push_str(&table.render(paint));
    out.push('\n');
    let mut names = Table::headed(["steered name", "records", "zone"]);
    for owner in route.owners.iter().take(NAMES_SHOWN) {
        let records = match owner.service {
            Some(_) => "SRV",
            None => "A/AAAA",
        };
        names.row([
            owner.owner.as_str().into(),
            records.into(),
            owner.zone.as_str().into(),
        ]);
    }
    out.push_str(&names.render(paint));
    let hidden = route.owners.len().saturating_sub(NAMES_SHOWN);
    if hidden > 0 {
        out.push_str(&format!("  and {hidden} more; --json has all\n"));
    }
    out
}
