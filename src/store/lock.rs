//! The locks of the state directory: one process at a time.
//!
//! In: the directory. Out: locks held, or the process that holds them. Any user who can open a directory can lock it, so a
//! lock on the directory counts only when a process of the directory's user, or of root, holds it alone. The lock file
//! inside is for that user only. Never here: a reason not to start on a full or read-only disk, which has no lock file.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const LOCK: &str = "lock";

/// What is locked.
#[derive(Debug, Default)]
pub(super) struct Locks {
    _directory: Option<Flock<File>>,
    _file: Option<Flock<File>>,
}

/// A process with a lock, by the kernel's list.
struct Holder {
    pid: u32,
    is_exclusive: bool,
}

impl Locks {
    /// Takes the locks. Out: also why the directory cannot be used all the same.
    ///
    /// # Errors
    /// Another process uses the directory; its number when the kernel tells.
    pub(super) fn take(
        directory: File,
        path: &Path,
    ) -> Result<(Locks, Option<String>), Option<u32>> {
        let meta = directory.metadata().ok();
        let holders = || match &meta {
            Some(meta) => holders(meta.dev(), meta.ino()),
            None => Vec::new(),
        };
        let file = match lock_file(path, meta.as_ref().map(|meta| (meta.uid(), meta.gid()))) {
            Some(file) => match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => Some(lock),
                Err((file, Errno::EWOULDBLOCK)) => {
                    let of_file = file
                        .metadata()
                        .map(|meta| self::holders(meta.dev(), meta.ino()));
                    return Err(of_file.ok().and_then(|all| Some(all.first()?.pid)));
                }
                Err(_) => None,
            },
            None => None,
        };
        let (lock, fault) = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => (Some(lock), None),
            Err((_, Errno::EWOULDBLOCK)) => {
                let owner = meta.as_ref().map(|meta| meta.uid());
                let holders = holders();
                let mut ours = holders.iter().filter(|held| {
                    let user = user_of(held.pid);
                    held.is_exclusive && (user == Some(0) || user == owner)
                });
                if let Some(held) = ours.next() {
                    return Err(Some(held.pid));
                }
                if file.is_none() && holders.is_empty() {
                    return Err(None);
                }
                let who = holders
                    .first()
                    .map(|held| format!(" (process {})", held.pid));
                tracing::warn!(
                    "another program{} holds a lock on the state directory {}: it is no repoint and changes nothing",
                    who.unwrap_or_default(),
                    path.display()
                );
                (None, None)
            }
            // A file system without locks (some network ones) is no reason not to remember.
            Err((_, Errno::ENOLCK | Errno::EOPNOTSUPP)) => (None, None),
            Err((_, errno)) => (
                None,
                Some(format!("cannot lock {}: {errno}", path.display())),
            ),
        };
        let locks = Locks {
            _directory: lock,
            _file: file,
        };
        Ok((locks, fault))
    }
}

/// The lock file, made when it is missing; none where the disk takes or gives none.
fn lock_file(directory: &Path, owner: Option<(u32, u32)>) -> Option<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(directory.join(LOCK))
        .ok()?;
    // Made by root for a restore, used by the server's own user.
    if let Some((user, group)) = owner.filter(|_| nix::unistd::geteuid().is_root()) {
        let _ = fchown(&file, Some(user), Some(group));
    }
    Some(file)
}

fn user_of(pid: u32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}"))
        .ok()
        .map(|meta| meta.uid())
}

/// The processes that hold a lock on a file. Some kernels list the file of an overlay under another device: then the inode
/// has to tell.
fn holders(dev: u64, ino: u64) -> Vec<Holder> {
    let wanted = format!(
        "{:02x}:{:02x}:{ino}",
        nix::sys::stat::major(dev),
        nix::sys::stat::minor(dev)
    );
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let held = |is_it: &dyn Fn(&str) -> bool| -> Vec<Holder> {
        let lines = locks.lines().filter_map(|line| {
            // 1: FLOCK  ADVISORY  WRITE 4711 08:01:1835032 0 EOF
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, mode, pid, file, ..] = fields[..] else {
                return None;
            };
            let holder = Holder {
                pid: pid.parse().ok()?,
                is_exclusive: mode == "WRITE",
            };
            is_it(file).then_some(holder)
        });
        lines.collect()
    };
    let exact = held(&|file| file == wanted);
    match exact.is_empty() {
        true => held(&|file| file.rsplit(':').next() == Some(ino.to_string().as_str())),
        false => exact,
    }
}
