//! The real program, configured by a story: started, killed, started again, and spoken to by its command line.
//!
//! In: a configuration with `state = "state"` and `control = "control.sock"`. Out: what its commands print.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::daemon::Daemon;
use super::wait::wait_for;

/// How long it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running repoint.
#[derive(Debug)]
pub(crate) struct Repoint {
    dir: PathBuf,
    daemon: Daemon,
}

impl Repoint {
    /// Starts it in `dir/repoint`, beside these other files, and waits until it takes commands.
    pub(crate) fn start(dir: &Path, configuration: &str, files: &[(&str, &str)]) -> Repoint {
        let dir = dir.join("repoint");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("repoint.toml"), configuration).unwrap();
        for (file, text) in files {
            fs::write(dir.join(file), text).unwrap();
        }
        let repoint = Repoint {
            daemon: serve(&dir),
            dir,
        };
        repoint.until_commanded();
        repoint
    }

    /// A file of its directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Has another configuration, live.
    pub(crate) fn configure(&self, configuration: &str) {
        fs::write(self.file("repoint.toml"), configuration).unwrap();
        self.command(&["config", "reload"]);
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        self.daemon.said()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts it again after [`Repoint::kill`].
    pub(crate) fn begin(&mut self) {
        self.daemon = serve(&self.dir);
        self.until_commanded();
    }

    fn until_commanded(&self) {
        wait_for("repoint takes commands", PATIENCE, || {
            self.attempt(&["pool", "list"]).ok()
        });
    }

    /// Runs a command, however it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
        command.args(arguments).current_dir(&self.dir);
        let socket = self.file("control.sock");
        command.env("REPOINT_SOCKET", socket).output().unwrap()
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        self.attempt(arguments)
            .unwrap_or_else(|said| panic!("repoint {arguments:?}: {said}"))
    }

    /// Runs a command that must be refused, and gives why.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        self.attempt(arguments).expect_err("a refusal")
    }

    fn attempt(&self, arguments: &[&str]) -> Result<String, String> {
        let out = self.run(arguments);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match out.status.success() {
            true => Ok(text(&out.stdout)),
            false => Err(text(&out.stdout) + &text(&out.stderr)),
        }
    }

    /// What a command prints with `--json`, whatever its exit code says of it.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let out = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&out.stdout).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&out.stderr);
            panic!("repoint {arguments:?}: {error}: {said}")
        })
    }

    /// The standing alarms.
    pub(crate) fn alarms(&self) -> Vec<Value> {
        let status = self.json(&["status"]);
        status["alarms"].as_array().unwrap().clone()
    }

    /// The DS records that the parent should have, also before it should, as lines of a master file.
    pub(crate) fn ds(&self, zone: &str) -> String {
        let said = self.command(&["key", "ds", zone]);
        let lines = said
            .lines()
            .map(|line| line.trim_start_matches("; NOT YET: "));
        let records = lines.filter(|line| !line.starts_with(';'));
        records.map(|record| format!("{record}\n")).collect()
    }

    /// Waits until it knows a pool to be up.
    pub(crate) fn until_up(&self, pool: &str) {
        wait_for(&format!("{pool} is up"), PATIENCE, || {
            (self.json(&["pool", "show", pool])["verdict"] == "up").then_some(())
        });
    }
}

fn serve(dir: &Path) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
    command.args(["serve", "--config", "repoint.toml"]);
    Daemon::start("repoint", dir, command.current_dir(dir))
}
