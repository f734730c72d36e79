//! The processes that a program of the operator has left running, wherever they went.
//!
//! In: the mark that a run has in its environment. Out: none of them runs any more. A child that begins a session of its
//! own (`setsid`) is not in the program's process group, so the group alone does not find it.
//! Never here: processes of anybody else. Those without a mark are ended only where every process below this one comes from
//! a run: this process adopts orphans, had no children at the start, whose own children we would adopt as well, and no
//! other run is under way. The first process of a machine or container (PID 1) adopts everybody's orphans, and ends those
//! with a mark alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// The variable that every process of a run has, unless it has cleared its environment.
pub(super) const MARK: &str = "REPOINT_RUN";
/// A program that forks faster than it is killed does so this often.
const ROUNDS: usize = 20;

static ADOPTS: AtomicBool = AtomicBool::new(false);
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// Whether there were children at the start. What they leave behind becomes ours as well, and looks like what a run leaves.
static HAD_CHILDREN: AtomicBool = AtomicBool::new(false);

/// Orphans of our children become ours, so that they are found, and their ends are collected. For a server's process only.
pub fn adopt_orphans() {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = stat_of(entry.path().join("stat"))?;
        // A thread of ours is no entry of its own here.
        (pid != own).then_some(stat.parent)
    });
    let had_children = parents.into_iter().any(|parent| parent == own);
    HAD_CHILDREN.store(had_children, Ordering::Relaxed);
    match nix::sys::prctl::set_child_subreaper(true) {
        Ok(()) => ADOPTS.store(true, Ordering::Relaxed),
        Err(error) => tracing::warn!("cannot adopt what an alarm command leaves running: {error}"),
    }
}

/// The children that run. Held while one is begun: before it is another program it looks like an orphan.
pub(super) fn children() -> MutexGuard<'static, BTreeSet<i32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends everything that a run has left. Blocks for some milliseconds.
pub(super) fn end_all(mark: &str) {
    let mut signalled = BTreeSet::new();
    for _ in 0..ROUNDS {
        let children = children();
        let left = left_by(mark, &children);
        for process in &left {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            if process.is_orphan {
                let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
            }
        }
        drop(children);
        let is_new = left
            .iter()
            .any(|process| !process.is_dead && signalled.insert(process.pid));
        if left.is_empty() || !is_new && left.iter().all(|process| process.is_dead) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

struct Process {
    pid: i32,
    is_orphan: bool,
    is_dead: bool,
}

fn left_by(mark: &str, children: &BTreeSet<i32>) -> Vec<Process> {
    let own = std::process::id();
    let marked = format!("{MARK}={mark}");
    let has_neighbours = HAD_CHILDREN.load(Ordering::Relaxed) || !children.is_empty();
    let is_spared = own == 1 || has_neighbours;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        if children.contains(&pid) || u32::try_from(pid).ok()? == own {
            return None;
        }
        let stat = stat_of(entry.path().join("stat"))?;
        let is_dead = stat.is_dead;
        let is_orphan = ADOPTS.load(Ordering::Relaxed) && stat.parent == own;
        // Of another user, or gone: then there is nothing to read.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut variables = environment.split(|octet| *octet == 0);
        let is_marked = variables.any(|variable| variable == marked.as_bytes());
        let prefix = format!("{MARK}=");
        let of_other = !is_marked
            && environment
                .split(|octet| *octet == 0)
                .any(|variable| variable.starts_with(prefix.as_bytes()));
        let is_of_run = is_orphan && !of_other && (is_dead || !is_spared);
        (is_marked && !is_dead || is_of_run).then_some(Process {
            pid,
            is_orphan,
            is_dead,
        })
    });
    processes.collect()
}

/// What the system says of a process.
struct Stat {
    parent: u32,
    /// It has ended and waits to be collected.
    is_dead: bool,
}

fn stat_of(stat: PathBuf) -> Option<Stat> {
    let text = fs::read_to_string(stat).ok()?;
    // 4711 (its name) S 1 ...: the name may have anything in it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat {
        is_dead: fields.next()? == "Z",
        parent: fields.next()?.parse().ok()?,
    })
}
