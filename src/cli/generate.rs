//! `repoint completions` and `repoint man`: made from the one definition of the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::failure::{Failure, Fault};
use super::session::Session;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  repoint completions bash > /usr/share/bash-completion/completions/repoint"
)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Write the man pages into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// The directory; it must be there
    directory: PathBuf,
}

impl Completions {
    pub(super) fn run(&self, session: &Session, mut command: Command) -> Result<ExitCode, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "repoint", &mut text);
        session.print(&String::from_utf8_lossy(&text));
        Ok(ExitCode::SUCCESS)
    }
}

impl Man {
    pub(super) fn run(&self, command: Command) -> Result<ExitCode, Failure> {
        clap_mangen::generate_to(command, &self.directory).map_err(|error| {
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
