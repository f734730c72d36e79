//! `repoint config`: checking a file before it counts, and having the server read it again.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use super::change::{ChangeOptions, done};
use super::failure::{Failure, REFUSED};
use super::session::{Session, paint_for};
use crate::config::{self, Configuration};
use crate::control::ReloadBody;

/// Check a configuration file, or have the server read its own again.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Config {
    /// Report every problem of a configuration file at once, each at its place with how to mend it
    ///
    /// Needs no running server, and changes nothing. Exit code 0: the file could be used; 1: it could not.
    #[command(after_help = "Example:\n  repoint config check /etc/repoint/repoint.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Have the server read its configuration file again: all of it or nothing
    ///
    /// A reload that removes an active or pinned pool, or more than a few zones, is refused without --allow-removal. With
    /// --dry-run it prints the decisions and the zone diff that the reload would lead to.
    #[command(after_help = "Example:\n  repoint config reload --dry-run && repoint config reload")]
    Reload {
        /// Permit that an active or pinned pool, or more than a few zones, go
        #[arg(long)]
        allow_removal: bool,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

impl Config {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Config::Check { file } => Ok(check(session, file)),
            Config::Reload {
                allow_removal,
                options,
            } => {
                let body = ReloadBody {
                    allow_removal: *allow_removal,
                };
                let path = options.on("/v1/configuration/reload");
                done(session, &session.client.send("POST", &path, &body)?)
            }
        }
    }
}

fn check(session: &Session, file: &std::path::Path) -> ExitCode {
    let paint = paint_for(std::io::stdout().is_terminal());
    match config::load(file) {
        Ok(configuration) => {
            if session.json {
                session.print_json(&configuration.warnings.to_json());
            } else {
                if !configuration.warnings.is_empty() {
                    let warnings = configuration.warnings.render(paint.colour);
                    session.print(&format!("{}\n", warnings.trim_end()));
                }
                session.print(&format!(
                    "{} could be used: {}\n",
                    file.display(),
                    summary(&configuration)
                ));
            }
            ExitCode::SUCCESS
        }
        Err(problems) => {
            match session.json {
                true => session.print_json(&problems.to_json()),
                false => session.print(&format!("{}\n", problems.render(paint.colour).trim_end())),
            }
            REFUSED.into()
        }
    }
}

/// What the file describes, in numbers; and what it leaves out that an operator would miss.
fn summary(configuration: &Configuration) -> String {
    let topology = &configuration.topology;
    let count = |n: usize, one: &str, many: &str| match n {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    };
    let canaries = match topology.canaries.len() {
        0 => "no canaries (a fault of our own network cannot be told from dead pools)".to_owned(),
        n => count(n, "canary", "canaries"),
    };
    format!(
        "{}, {}, {}, {canaries}",
        count(topology.routes.len(), "route", "routes"),
        count(topology.pools.len(), "pool", "pools"),
        count(topology.checks.iter().count(), "check", "checks"),
    )
}
