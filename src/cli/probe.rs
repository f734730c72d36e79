//! `repoint probe`: one probe of each check, phase by phase, by the server or without one.
//!
//! In: a route, perhaps a pool. Out: what came back, and which roots were trusted. Never here: a verdict; a single
//! probe changes none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::client::segment;
use super::complete;
use super::failure::{Failure, Fault, REFUSED};
use super::paint::{Paint, Tone};
use super::session::Session;
use crate::config;
use crate::control::{ProbeBody, Probed, probe_route};
use crate::health::Grade;
use crate::near::nearest;
use crate::probe::{Prober, report};
use crate::shell::Clock;

/// Probe a route's pools now, and print each phase with its time.
///
/// The probes are those of the route's checks: the same addresses, depth and trusted roots. They change no verdict. With
/// --config no server is needed: the way to try a configuration before its first start.
///
/// Exit code 0 when every probe counts as a success, good or degraded; 1 when one counts as a failure or could not be made.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  repoint probe contoso edgepool2\n  repoint probe contoso --config repoint.toml"
)]
pub(super) struct Probe {
    /// The route
    #[arg(add = complete::routes())]
    route: String,
    /// Only this pool
    #[arg(add = complete::pools())]
    pool: Option<String>,
    /// Probe from here, by this configuration file, instead of asking the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Probe {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let probed = match &self.config {
            Some(file) => without_server(file, &self.route, self.pool.as_deref())?,
            None => by_the_server(session, &self.route, self.pool.as_deref())?,
        };
        session.say(&probed, || screen(&probed, session.paint));
        let succeeded = |one: &Probed| one.counts_as < Grade::Unknown;
        Ok(match probed.iter().all(succeeded) {
            true => ExitCode::SUCCESS,
            false => REFUSED.into(),
        })
    }
}

/// One probe of each check of a route, made by the server.
pub(super) fn by_the_server(
    session: &Session,
    route: &str,
    pool: Option<&str>,
) -> Result<Vec<Probed>, Failure> {
    let pool = match pool {
        Some(pool) => Some(pool.parse().map_err(|fault| {
            super::failure::not_a_name(&format!("probe route {route}"), &fault)
        })?),
        None => None,
    };
    let path = format!("/v1/routes/{}/probes", segment(route));
    let reply = session.client.send("POST", &path, &ProbeBody { pool })?;
    session.client.read(&reply)
}

/// The same from here, by a configuration file.
pub(super) fn without_server(
    file: &Path,
    route: &str,
    pool: Option<&str>,
) -> Result<Vec<Probed>, Failure> {
    let what = format!("cannot probe route {route}");
    let fault = |why: String| {
        Failure::Local(Fault {
            what: what.clone(),
            why,
            in_force: String::new(),
            hint: None,
        })
    };
    let configuration = config::load(file).map_err(|problems| fault(problems.render(false)))?;
    let topology = &configuration.topology;
    let routes: BTreeMap<&str, _> = topology
        .routes
        .values()
        .map(|r| (r.name.as_str(), r))
        .collect();
    let route = routes
        .get(route)
        .ok_or_else(|| fault(unknown("route", route, routes.keys().copied())))?;
    let pools: Vec<&str> = route.pool_names().map(|pool| pool.as_str()).collect();
    let pool = match pool {
        None => None,
        Some(name) => Some(
            route
                .pool_names()
                .find(|pool| pool.as_str() == name)
                .ok_or_else(|| fault(unknown("pool of the route", name, pools)))?,
        ),
    };
    let clock = Clock::new();
    let settings = topology.checks.iter().map(|(_, check)| &check.settings);
    let prober = Prober::new(settings, Arc::new(move || clock.now()))
        .map(Arc::new)
        .map_err(|error| fault(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| fault(error.to_string()))?;
    Ok(runtime.block_on(probe_route(prober, topology, &route.name, pool)))
}

fn unknown<'a>(noun: &str, name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let near = nearest(name, names.iter().copied());
    match near.is_empty() {
        true => format!(
            "no {noun} has the name {name}; there are {}",
            names.join(", ")
        ),
        false => format!(
            "no {noun} has the name {name}; near are {}",
            near.join(", ")
        ),
    }
}

/// One block per probe: where and for whom, each phase, the roots.
fn screen(probed: &[Probed], paint: Paint) -> String {
    let blocks: Vec<String> = probed
        .iter()
        .map(|one| {
            let title = format!(
                "{} of pool {}: {}",
                one.target, one.pool, one.observation.check
            );
            let mut out = paint.heading(&title, "");
            // JSON has no moments of the prober's clock; the length makes up for them.
            let mut observation = one.observation.clone();
            observation.ended = observation.began + Duration::from_micros(one.micros);
            for line in report(&observation) {
                out.push_str(&format!("  {}\n", paint.tone(tone(one, &line), &line)));
            }
            let line = format!("{:<20}{}", "counts as", counts_as(one));
            out.push_str(&format!("  {}\n", paint.tone(tone(one, &line), &line)));
            out.push_str(&format!("  {:<20}{}\n", "trusted", one.trusted));
            out
        })
        .collect();
    match blocks.is_empty() {
        true => "there is nothing to probe: the route's services have no checks\n".into(),
        false => blocks.join("\n"),
    }
}

fn tone(one: &Probed, line: &str) -> Tone {
    let result = line.starts_with("result") || line.starts_with("counts as");
    match (result, one.counts_as) {
        (false, _) => Tone::Plain,
        (true, Grade::Good) => Tone::Good,
        (true, Grade::Degraded | Grade::Unknown) => Tone::Doubtful,
        (true, Grade::Failed) => Tone::Bad,
    }
}

/// `failure: certificate: expired`. A verdict takes several probes: this is what one of them says.
fn counts_as(one: &Probed) -> String {
    let word = match one.counts_as {
        Grade::Good => "good",
        Grade::Degraded => "degraded",
        Grade::Unknown => "nothing, neither good nor bad",
        Grade::Failed => "failure",
    };
    match &one.cause {
        Some(cause) => format!("{word}: {cause}"),
        None => word.to_owned(),
    }
}
