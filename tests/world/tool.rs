//! The only way in which a test starts a foreign program: by its name in the table `scripts/tools`, which
//! `scripts/test packages` installs from.
//!
//! In: a name. Out: a command for the test to complete.
//! Never here: a program of ours, which every test starts by its path; `tests/tools.rs` sees to both.

#![allow(dead_code)] // Not every test starts everything.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) command: &'static str,
    pub(crate) package: &'static str,
    /// The line for bash that shows that it is there.
    pub(crate) proof: &'static str,
}

/// The lines of the table.
pub(crate) fn table() -> impl Iterator<Item = Tool> {
    let lines = include_str!("../../scripts/tools").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (command, rest) = line.split_once(' ').expect("command, package, proof");
        let (package, proof) = rest.trim_start().split_once(' ').expect("package, proof");
        Tool {
            command,
            package,
            proof: proof.trim_start(),
        }
    })
}

/// A command that runs the program `name`.
///
/// # Panics
/// When the table does not have it, or the machine does not.
pub(crate) fn tool(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|missing| panic!("{missing}")))
}

/// A command that runs a copy of the program in `home`: where AppArmor is in force, the installed one may read its own
/// directories only.
pub(crate) fn copy_of(name: &str, home: &Path) -> Command {
    let copy = home.join(name);
    if !copy.exists() {
        let installed = find(name).unwrap_or_else(|missing| panic!("{missing}"));
        std::fs::copy(installed, &copy).expect("a copy of it");
    }
    Command::new(copy)
}

/// The program under test; another build of it, for the table of outages, by `REPOINT_BIN`.
pub(crate) fn repoint() -> Command {
    let built = env!("CARGO_BIN_EXE_repoint");
    Command::new(std::env::var_os("REPOINT_BIN").unwrap_or_else(|| built.into()))
}

/// This test program again, through `launcher`, which may be empty; its arguments follow.
pub(crate) fn myself_through(launcher: &[&str]) -> Command {
    let myself = std::env::current_exe().expect("the path of this test");
    match launcher {
        [] => Command::new(myself),
        [launcher, arguments @ ..] => {
            let mut command = tool(launcher);
            command.args(arguments).arg(myself);
            command
        }
    }
}

/// Where a program of the table lies.
///
/// # Errors
/// It is not installed, and the package that has it.
///
/// # Panics
/// When the table does not have it.
pub(crate) fn find(name: &str) -> Result<PathBuf, String> {
    let tool = table().find(|tool| tool.command == name).unwrap_or_else(|| {
        panic!("no line of scripts/tools has {name}: a test starts only what is installed from there")
    });
    let places = path_with_sbin();
    // A name with a directory is joined to none.
    let mut paths = std::env::split_paths(&places).map(|place| place.join(name));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let package = tool.package;
        format!("{name} is missing: install the Debian package {package}, or run scripts/test packages as root")
    })
}

/// PATH with the directories of system programs, which a user's may lack.
pub(crate) fn path_with_sbin() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}
