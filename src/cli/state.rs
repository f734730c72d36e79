//! `repoint state`: copies of what the server remembers.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::change::{ChangeOptions, done};
use super::config::DEFAULT_FILE;
use super::failure::{Failure, Fault};
use super::moment::now;
use super::session::Session;
use crate::config;
use crate::control::Nothing;
use crate::store;

/// Copy what the server remembers, put a copy back, or declare it good.
#[derive(Debug, clap::Subcommand)]
pub(super) enum State {
    /// Write a copy of the server's memory: overrides, homes, decisions, history
    #[command(
        after_help = "Examples:\n  repoint state backup /var/backups/repoint.db\n  repoint state backup /var/backups/repoint.db --state /var/lib/repoint"
    )]
    Backup {
        /// The file to write; it must not be there yet
        file: PathBuf,
        /// Copy from this state directory, without asking a server
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
    },
    /// Put a copy in the place of a stopped server's memory
    ///
    /// What was there is kept beside it. After the next start nothing changes automatically until `repoint state accept`.
    #[command(
        after_help = "Example:\n  systemctl stop repoint\n  repoint state restore /var/backups/repoint.db --config /etc/repoint/repoint.toml"
    )]
    Restore {
        /// The copy
        file: PathBuf,
        /// The configuration that names the state directory
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
        /// The state directory itself, instead of a configuration
        #[arg(long, value_name = "DIR", conflicts_with = "config")]
        state: Option<PathBuf>,
    },
    /// Declare restored or lost state good: automatic changes go on. With clock-doubtful: declare the clock right
    #[command(after_help = "Example:\n  repoint status && repoint state accept")]
    Accept {
        #[command(flatten)]
        options: ChangeOptions,
    },
}

impl State {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            State::Backup { file, state } => backup(session, file, state.as_deref()),
            State::Restore {
                file,
                config,
                state,
            } => restore(session, file, config, state.as_deref()),
            State::Accept { options } => {
                let path = options.on("/v1/state/accept");
                done(session, &session.client.send("POST", &path, &Nothing {})?)
            }
        }
    }
}

fn backup(session: &Session, file: &Path, state: Option<&Path>) -> Result<ExitCode, Failure> {
    let fault = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "it is there already".to_owned(),
            _ => error.to_string(),
        };
        Failure::Local(Fault {
            what: format!("cannot write {}", file.display()),
            why,
            in_force: "no copy was made".into(),
            hint: None,
        })
    };
    // Opened before anything is asked, so that a bad path costs nothing; history is nobody else's business.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut to = options.open(file).map_err(fault)?;
    let copied = match state {
        Some(directory) => store::backup(directory, file)
            .map_err(|error| told(&error.to_string()))
            .and_then(|()| Ok(file.metadata().map_err(fault)?.len())),
        None => session.client.get("/v1/state/backup").and_then(|reply| {
            to.write_all(reply.bytes()).map_err(fault)?;
            to.sync_all().map_err(fault)?;
            Ok(reply.bytes().len() as u64)
        }),
    };
    let copied = copied.and_then(|bytes| match store::verify(file) {
        Ok(()) => Ok(bytes),
        Err(why) => Err(Failure::Local(Fault {
            what: "cannot copy the state".into(),
            why: format!("what came ({bytes} bytes) is not a whole copy: {why}"),
            in_force: "no copy was made".into(),
            hint: Some("type it again; look at the log of the server".into()),
        })),
    });
    match copied {
        Ok(bytes) => {
            let json = serde_json::json!({ "file": file, "bytes": bytes });
            session.talk(
                "DNSSEC keys and TSIG secrets are not in it: copy the directory keys/ of the state directory and the configuration yourself\n",
            );
            session.say(&json, || {
                format!(
                    "{} has the copy ({bytes} bytes)
",
                    file.display()
                )
            });
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            // Half a copy is worse than none.
            let _ = std::fs::remove_file(file);
            Err(failure)
        }
    }
}

fn restore(
    session: &Session,
    file: &Path,
    config: &Path,
    state: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let fault = |what: String, why: String| {
        Failure::Local(Fault {
            what,
            why,
            in_force: "the state is as it was".into(),
            hint: None,
        })
    };
    let directory = match state {
        Some(directory) => directory.to_owned(),
        None => match config::load(config) {
            Ok(configuration) => configuration.server.state,
            Err(problems) => {
                let what = format!(
                    "cannot use {} to find the state directory",
                    config.display()
                );
                let why = problems.render(false);
                return Err(fault(
                    what,
                    format!("{}\n(or name it: --state DIR)", why.trim_end()),
                ));
            }
        },
    };
    match store::restore(&directory, file, now()) {
        Ok(()) => {
            let json = serde_json::json!({ "state": directory, "from": file });
            session.say(&json, || {
                format!(
                    "{} is restored from {}; after the start, look at `repoint status` and type `repoint state accept`\n",
                    directory.display(),
                    file.display()
                )
            });
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(told(&error.to_string())),
    }
}

/// The store's own words, which have all four parts: what failed on which thing, why, what stays in force.
fn told(text: &str) -> Failure {
    let (what, rest) = text.split_once(": ").unwrap_or((text, ""));
    let (why, in_force) = rest.split_once('\n').unwrap_or((rest, ""));
    Failure::Local(Fault {
        what: what.to_owned(),
        why: why.to_owned(),
        in_force: in_force.to_owned(),
        hint: None,
    })
}
