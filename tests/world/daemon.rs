//! A program that runs until we stop it: started with its output in a file, ended by its process id.
//!
//! In: a command, or an installed program. Out: the running process, which can be killed, hung and resumed, and what it
//! said; on drop it is killed.
//! Never here: ending anything by name, or anything that we did not start.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::tool::copy_of;

/// A running program. Dropping it kills it, and shows its last words when the test is failing.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` with its output appended to `dir/name.out`.
    pub(crate) fn start(name: &str, dir: &Path, command: &mut Command) -> Daemon {
        let log = dir.join(format!("{name}.out"));
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("the log file, twice"))
            .stderr(out);
        // A group of its own: when the group of a test's shell loses its last parent, the kernel continues whatever
        // is stopped in it, and a hung server would come back to life.
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name} ({command:?}): {e}"));
        Daemon {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Starts a program of the system in `home`, its output in `home/name.out`.
    pub(crate) fn start_installed(
        program: &str,
        arguments: &[&str],
        name: &str,
        home: &Path,
    ) -> Daemon {
        let mut command = copy_of(program, home);
        Daemon::start(name, home, command.args(arguments).current_dir(home))
    }

    /// `kill -9`, also of what it has forked, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Its group is that of its own name as long as nobody has waited for it. A stopped process is killed as well.
        if self.is_running() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }

    /// Everything that it has printed and logged.
    pub(crate) fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `kill -STOP`: its sockets still accept connections, and nothing ever answers.
    pub(crate) fn hang(&self) {
        kill(self.pid(), Signal::SIGSTOP).expect("the process is ours");
    }

    /// Undoes [`Daemon::hang`].
    pub(crate) fn resume(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("the process is ours");
    }

    /// `kill -HUP`: it reads its files again.
    pub(crate) fn hang_up(&self) {
        kill(self.pid(), Signal::SIGHUP).expect("the process is ours");
    }

    /// Whether it is still running: one that ended during start-up has said why in its log.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.said();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!(
                "-- last lines of {}:\n{}",
                self.name,
                lines[lines.len().saturating_sub(25)..].join("\n")
            );
        }
    }
}
