//! `repoint config`: checking a file before it counts, and having the server read it again.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::change::{ChangeOptions, done};
use super::failure::{Failure, REFUSED};
use super::session::{Session, paint_for};
use crate::config::{self, Configuration, OpenFiles};
use crate::control::ReloadBody;
use crate::daemon;
use crate::probe::Prober;
use crate::serve::processors;
use crate::shell::Clock;

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
    let checked = config::load(file).map(|configuration| {
        let authorities = authorities(&configuration);
        (configuration, authorities)
    });
    let problems = match &checked {
        Ok((configuration, _)) => &configuration.warnings,
        Err(problems) => problems,
    };
    if session.json {
        let summary = checked.as_ref().ok().map(|(configuration, authorities)| {
            let mut summary = config::summary(configuration);
            summary.authorities = authorities.clone().unwrap_or_default();
            summary
        });
        let fault = checked
            .as_ref()
            .ok()
            .and_then(|(_, found)| found.as_ref().err());
        session.print_json(&json!({
            "usable": summary.is_some() && fault.is_none(),
            "problems": problems.to_json(),
            "authorities_fault": fault,
            "summary": summary,
            "open_files": checked.as_ref().ok().and_then(|(found, _)| open_files(found)),
        }));
    } else if !problems.is_empty() {
        session.print(&format!("{}\n\n", problems.render(paint.colour).trim_end()));
    }
    match checked {
        Ok((configuration, Ok(authorities))) => {
            let mut summary = config::summary(&configuration);
            summary.authorities = authorities;
            if !session.json {
                session.print(&summary.to_string());
                if let Some(files) = open_files(&configuration) {
                    session.print(&format!("{files} (as this shell has it)\n"));
                }
            }
            ExitCode::SUCCESS
        }
        Ok((_, Err(fault))) => {
            if !session.json {
                session.print(&format!(
                    "{} cannot be used here: {fault}\n",
                    file.display()
                ));
            }
            REFUSED.into()
        }
        Err(_) => REFUSED.into(),
    }
}

/// How the open files would be divided under the limit that this process could have.
fn open_files(configuration: &Configuration) -> Option<OpenFiles> {
    let (_, most) = daemon::open_files().ok()?;
    Some(OpenFiles::new(configuration, most, processors()))
}

/// Which certificate authorities the checks would trust on this machine, as the prober finds them.
fn authorities(configuration: &Configuration) -> Result<Vec<String>, String> {
    let checks = configuration.topology.checks.iter();
    let settings = checks.map(|(_, check)| &check.settings);
    let clock = Clock::new();
    let prober = Prober::new(settings, Arc::new(move || clock.now()));
    let prober = prober.map_err(|error| error.to_string())?;
    Ok(prober.trust_descriptions())
}
