//! `repoint completions` and `repoint man`: made from the one definition of the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::config::EXAMPLE;
use super::failure::{Failure, Fault};
use super::manual;
use super::session::Session;

/// Print the completions for a shell
///
/// They ask this program, which offers the routes, pools and targets of the running server, or those of
/// /etc/repoint/repoint.toml.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  repoint completions bash > /usr/share/bash-completion/completions/repoint"
)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Write the man pages into man1 and man5 of a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint man /usr/local/share/man")]
pub(super) struct Man {
    /// The directory; it must be there
    directory: PathBuf,
}

impl Completions {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let failed = |why: String| {
            Failure::Local(Fault {
                what: format!("cannot write completions for {}", self.shell),
                why,
                in_force: "nothing was written".into(),
                hint: None,
            })
        };
        let shells = Shells::builtins();
        let shell = shells
            .completer(&self.shell.to_string())
            .ok_or_else(|| failed("there are none for it".into()))?;
        let mut text = Vec::new();
        shell
            .write_registration("COMPLETE", "repoint", "repoint", "repoint", &mut text)
            .map_err(|error| failed(error.to_string()))?;
        session.print(&String::from_utf8_lossy(&text));
        Ok(ExitCode::SUCCESS)
    }
}

impl Man {
    pub(super) fn run(&self, command: Command) -> Result<ExitCode, Failure> {
        write_pages(command, &self.directory).map_err(|error| {
            Failure::Local(Fault {
                what: format!("cannot write man pages into {}", self.directory.display()),
                why: error.to_string(),
                in_force: "some pages may have been written".into(),
                hint: None,
            })
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn write_pages(command: Command, directory: &Path) -> std::io::Result<()> {
    let section = |name| {
        let section = directory.join(name);
        match std::fs::create_dir(&section) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(section),
        }
    };
    clap_mangen::generate_to(command, section("man1")?)?;
    let page = manual::repoint_toml(EXAMPLE);
    std::fs::write(section("man5")?.join("repoint.toml.5"), page)
}
