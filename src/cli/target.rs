//! `repoint target`: the SRV targets of pools, and their drains.

use std::process::ExitCode;

use super::change::ChangeOptions;
use super::client::segment;
use super::complete;
use super::drain::{DrainOptions, Drained, drain, undrain};
use super::failure::{Failure, Fault};
use super::moment::{distance, now};
use super::paint::{Paint, Tone};
use super::session::Session;
use super::status::{tone_of, verdict_word};
use super::table::{Cell, Table};
use crate::clock::Wall;
use crate::control::TargetView;
use crate::near::nearest;

/// Look at targets, and take single ones out of use
///
/// A target is named by its host name, or as POOL/TARGET where two pools have it.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Target {
    /// One line per target
    List,
    /// A target with its addresses and checks
    Show {
        /// Its host name, or POOL/TARGET
        #[arg(add = complete::targets())]
        target: String,
    },
    /// Put a target behind every pool that is up
    #[command(
        after_help = "Example:\n  repoint target drain edge1b.contoso.com --for 2h --reason \"disk\""
    )]
    Drain {
        /// Its host name, or POOL/TARGET
        #[arg(add = complete::targets())]
        target: String,
        #[command(flatten)]
        options: DrainOptions,
    },
    /// End the drain of a target
    #[command(after_help = "Example:\n  repoint target undrain edge1b.contoso.com")]
    Undrain {
        /// Its host name, or POOL/TARGET
        #[arg(add = complete::targets())]
        target: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

impl Target {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Target::List => {
                let reply = session.client.get("/v1/targets")?;
                session.answer::<Vec<TargetView>>(&reply, |targets, paint| list(targets, paint))
            }
            Target::Show { target } => {
                let path = path(session, target)?;
                let reply = session.client.get(&path)?;
                session.answer::<TargetView>(&reply, |it, paint| show(it, now(), paint))
            }
            Target::Drain { target, options } => {
                drain(session, &drained(session, target)?, false, options)
            }
            Target::Undrain { target, options } => {
                undrain(session, &drained(session, target)?, options)
            }
        }
    }
}

fn drained<'a>(session: &Session, target: &'a str) -> Result<Drained<'a>, Failure> {
    Ok(Drained {
        noun: "target",
        name: target,
        path: format!("{}/drain", path(session, target)?),
    })
}

/// The path of the one target that `text` means.
fn path(session: &Session, text: &str) -> Result<String, Failure> {
    if let Some((pool, target)) = text.split_once('/') {
        return Ok(format!(
            "/v1/pools/{}/targets/{}",
            segment(pool),
            segment(target)
        ));
    }
    let reply = session.client.get("/v1/targets")?;
    let targets: Vec<TargetView> = session.client.read(&reply)?;
    let wanted = text.trim_end_matches('.').to_ascii_lowercase();
    let found: Vec<&TargetView> = targets
        .iter()
        .filter(|t| t.name.as_str() == wanted)
        .collect();
    let (why, hint) = match found.as_slice() {
        [one] => {
            let (pool, target) = (one.pool.as_str(), one.name.as_str());
            return Ok(format!(
                "/v1/pools/{}/targets/{}",
                segment(pool),
                segment(target)
            ));
        }
        [] => {
            let near = nearest(text, targets.iter().map(|t| t.name.as_str()));
            let why = match near.is_empty() {
                true => "no target has this name".to_owned(),
                false => format!("no target has this name; near are {}", near.join(", ")),
            };
            (why, "repoint target list".to_owned())
        }
        several => {
            let pools: Vec<&str> = several.iter().map(|t| t.pool.as_str()).collect();
            let why = format!("the pools {} have a target of this name", pools.join(", "));
            (why, format!("{}/{wanted}", pools[0]))
        }
    };
    Err(Failure::Local(Fault {
        what: format!("cannot find target {text}"),
        why,
        in_force: "nothing was changed".into(),
        hint: Some(hint),
    }))
}

/// One line per target.
pub(super) fn list(targets: &[TargetView], paint: Paint) -> String {
    let mut table = Table::headed(["target", "pool", "verdict", "", "addresses"]);
    for target in targets {
        let addresses: Vec<String> = target.addresses.keys().map(ToString::to_string).collect();
        table.row([
            target.name.as_str().into(),
            target.pool.as_str().into(),
            Cell::toned(tone_of(target.verdict), verdict_word(target.verdict)),
            Cell::toned(
                Tone::Doubtful,
                if target.drain.is_some() {
                    "drained"
                } else {
                    ""
                },
            ),
            addresses.join(", ").into(),
        ]);
    }
    table.render(paint)
}

/// A target with its addresses and checks.
pub(super) fn show(target: &TargetView, now: Wall, paint: Paint) -> String {
    let title = format!("target {} of pool {}", target.name, target.pool);
    let mut out = paint.heading(&title, "");
    let verdict = paint.tone(tone_of(target.verdict), verdict_word(target.verdict));
    out.push_str(&format!("verdict  {verdict}\n"));
    let routes: Vec<&str> = target.routes.iter().map(|r| r.as_str()).collect();
    out.push_str(&format!("routes   {}\n", routes.join(", ")));
    if let Some(drain) = &target.drain {
        let end = match drain.until {
            Some(until) => format!("until {until}"),
            None => "without end".into(),
        };
        out.push_str(&format!("drained  by {}, {end}\n", drain.author));
    }
    out.push('\n');
    let mut addresses = Table::headed(["address", "verdict", ""]);
    for (address, health) in &target.addresses {
        let note = match health.proven {
            true => "",
            false => "not published before it has proven itself",
        };
        addresses.row([
            address.to_string().into(),
            Cell::toned(tone_of(health.verdict), verdict_word(health.verdict)),
            Cell::toned(Tone::Quiet, note),
        ]);
    }
    out.push_str(&addresses.render(paint));
    out.push('\n');
    let mut checks = Table::headed(["check", "verdict", "last observation"]);
    for check in &target.checks {
        let health = &check.health;
        let last = health
            .last
            .clone()
            .unwrap_or_else(|| "not probed yet".into());
        let when = health
            .last_wall
            .map(|at| format!(", {}", distance(at, now)));
        checks.row([
            check.id.as_str().into(),
            Cell::toned(tone_of(health.verdict), verdict_word(health.verdict)),
            Cell::toned(Tone::Quiet, format!("{last}{}", when.unwrap_or_default())),
        ]);
    }
    out.push_str(&checks.render(paint));
    out
}
