//! `repoint config`: checking a file before it counts, and having the server read it again.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::change::{ChangeOptions, done};
use super::failure::{Failure, REFUSED};
use super::here;
use super::session::{Session, paint_for};
use crate::config::{self, Configuration, OpenFiles};
use crate::control::{ConfigurationFile, ReloadBody};
use crate::daemon;
use crate::serve::processors;

/// Where the configuration is unless something else is said.
pub(super) const DEFAULT_FILE: &str = "/etc/repoint/repoint.toml";

/// The annotated example: one file for the documentation, this program and its manual page.
pub(super) const EXAMPLE: &str = include_str!("../../docs/repoint.example.toml");

/// Check a configuration file, or have the server read its own again.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Config {
    /// Report every problem of a configuration file at once, each at its place with how to mend it
    ///
    /// Changes nothing, and needs no running server. What the file names is looked at as well: certificates, programs, lists
    /// of domains. Exit code 0: the file could be used here; 1: it could not.
    #[command(
        after_help = "Examples:\n  repoint config check\n  repoint config check /tmp/new.toml"
    )]
    Check {
        /// The file; that of the running server, or /etc/repoint/repoint.toml, when left out
        file: Option<PathBuf>,
    },
    /// Print an annotated configuration with every key there is
    #[command(after_help = "Example:\n  repoint config example > /etc/repoint/repoint.toml")]
    Example,
    /// Have the server read its configuration file again: all of it or nothing
    ///
    /// A reload that removes a route, an active or pinned pool, more than 3 zones, more than 10 domains or more than a tenth of
    /// the domains is refused without --allow-removal. With --dry-run it prints what would change in the configuration, in the
    /// decisions and in the zones.
    #[command(after_help = "Example:\n  repoint config reload --dry-run && repoint config reload")]
    Reload {
        /// Permit that a route, an active or pinned pool, many domains or many zones go
        #[arg(long)]
        allow_removal: bool,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

impl Config {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Config::Check { file: Some(file) } => Ok(check(session, file)),
            Config::Check { file: None } => {
                let file = own_file(session);
                session.talk(&format!("checking {}\n", file.display()));
                Ok(check(session, &file))
            }
            Config::Example => {
                session.print(EXAMPLE);
                Ok(ExitCode::SUCCESS)
            }
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

/// The file of the server that answers on the socket, or else the one that a server starts with.
fn own_file(session: &Session) -> PathBuf {
    let reply = session.client.get("/v1/configuration");
    let told = reply.and_then(|reply| session.client.read::<ConfigurationFile>(&reply));
    told.map_or_else(|_| DEFAULT_FILE.into(), |told| told.file)
}

fn check(session: &Session, file: &Path) -> ExitCode {
    let paint = paint_for(std::io::stdout().is_terminal());
    let checked = config::load(file).map(|configuration| {
        let here = here::look(&configuration);
        (configuration, here)
    });
    let problems = match &checked {
        Ok((configuration, _)) => &configuration.advice,
        Err(problems) => problems,
    };
    if session.json {
        let found = checked.as_ref().ok();
        let summary = found.map(|(configuration, here)| {
            let mut summary = config::summary(configuration);
            summary.authorities = here.authorities.clone().unwrap_or_default();
            summary
        });
        session.print_json(&json!({
            "usable": found.is_some_and(|(_, here)| here.faults.is_empty()),
            "problems": problems.to_json(),
            "authorities_fault": found.and_then(|(_, here)| here.authorities.as_ref().err()),
            "certificate": found.and_then(|(_, here)| here.certificate.as_ref()),
            "faults": found.map_or(&[][..], |(_, here)| &here.faults),
            "summary": summary,
            "open_files": checked.as_ref().ok().and_then(|(found, _)| open_files(found)),
        }));
    } else if !problems.is_empty() {
        session.print(&format!("{}\n\n", problems.render(paint.colour).trim_end()));
    }
    let Ok((configuration, here)) = checked else {
        return REFUSED.into();
    };
    if !here.faults.is_empty() {
        let file = file.display();
        let faults = here.faults.iter();
        let lines: String = faults
            .map(|fault| format!("{file} cannot be used here: {fault}\n"))
            .collect();
        if !session.json {
            session.print(&lines);
        }
        return REFUSED.into();
    }
    if !session.json {
        let mut summary = config::summary(&configuration);
        summary.authorities = here.authorities.unwrap_or_default();
        session.print(&summary.to_string());
        if let Some(files) = open_files(&configuration) {
            session.print(&format!("{files} (as this shell has it)\n"));
        }
        if let Some(certificate) = here.certificate {
            session.print(&format!(
                "certificate of TLS, HTTPS and QUIC: {certificate}\n"
            ));
        }
    }
    ExitCode::SUCCESS
}

/// How the open files would be divided under the limit that this process could have.
fn open_files(configuration: &Configuration) -> Option<OpenFiles> {
    let (_, most) = daemon::open_files().ok()?;
    Some(OpenFiles::new(configuration, most, processors()))
}
