//! The state directory: made, locked, and the plain files beside the database.
//!
//! In: a path. Out: a locked directory; the accepted configuration and the reserved numbers as plain files,
//! for operators to read and for the day the database is lost. Never here: SQL.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{DATABASE, StoreError, accepted};
use crate::clock::Wall;
use crate::config::Sources;
use crate::engine::Reservation;

/// The accepted configuration as it is stored, beside the files it was read from.
const ACCEPTED: &str = "accepted.json";
/// The numbers reserved last. They must not repeat even when the database is lost.
const RESERVED: &str = "reserved.json";
/// The mark of the last stop, gone as soon as another process begins: with it, and only with the database that has
/// the same mark, nothing was published that was not kept. A file, because removing one works on a full disk.
const STOPPED: &str = "stopped.json";
/// Databases moved aside are evidence; so many of them are kept.
const KEPT_ASIDE: usize = 5;

/// The state directory, locked for this process as far as it can be.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Why it cannot be used, when it cannot even be opened.
    fault: Option<String>,
    /// The lock is on the directory itself: it needs no file, so it works on a full or read-only disk.
    _lock: Option<Flock<File>>,
}

impl Directory {
    /// Opens and locks it, and makes it first when it is missing.
    pub(super) fn open(path: &Path) -> Result<Directory, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let file = match made.and_then(|()| File::open(path)) {
            Ok(file) => file,
            Err(error) => {
                return Ok(Directory {
                    path: path.to_owned(),
                    fault: Some(format!("{}: {error}", path.display())),
                    _lock: None,
                });
            }
        };
        let identity = file.metadata().ok();
        let (lock, fault) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => (Some(lock), None),
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(StoreError::InUse {
                    dir: path.to_owned(),
                    holder: identity.and_then(|meta| lock_holder(meta.dev(), meta.ino())),
                });
            }
            // A file system without locks (some network ones) is no reason not to remember.
            Err((_, Errno::ENOLCK | Errno::EOPNOTSUPP)) => (None, None),
            Err((_, errno)) => (
                None,
                Some(format!("cannot lock {}: {errno}", path.display())),
            ),
        };
        Ok(Directory {
            path: path.to_owned(),
            fault,
            _lock: lock,
        })
    }

    /// Why it cannot be used at all.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether a repoint has remembered something here before, going by anything but the database itself. The log
    /// beside an empty database is no sign of it: a first start that was killed leaves one.
    pub(super) fn has_traces(&self) -> bool {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return false;
        };
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name == ACCEPTED || name == RESERVED || name.starts_with("repoint.db.")
        })
    }

    /// Moves the database and its log aside and says where.
    pub(super) fn move_aside(&self, why: &str, at: Wall) -> io::Result<PathBuf> {
        let stamp = at.to_string().replace(['-', ':'], "");
        let mut aside = self.path.join(format!("{DATABASE}.{why}-{stamp}"));
        for n in 2.. {
            if !aside.exists() {
                break;
            }
            aside = self.path.join(format!("{DATABASE}.{why}-{stamp}-{n}"));
        }
        for suffix in ["-wal", "-shm", ""] {
            let from = with_suffix(&self.database(), suffix);
            match fs::rename(&from, with_suffix(&aside, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.forget_oldest_aside(why);
        Ok(aside)
    }

    fn forget_oldest_aside(&self, why: &str) {
        let prefix = format!("{DATABASE}.{why}-");
        let Ok(entries) = fs::read_dir(&self.path) else {
            return;
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| {
                name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm")
            })
            .collect();
        names.sort();
        let superfluous = names.len().saturating_sub(KEPT_ASIDE);
        for name in &names[..superfluous] {
            for suffix in ["-wal", "-shm", ""] {
                // Best effort: a file that stays costs room, nothing else.
                let _ = fs::remove_file(with_suffix(&self.path.join(name), suffix));
            }
        }
    }

    /// Writes the accepted configuration beside the database: as JSON for a start without one, as files for people.
    pub(super) fn write_accepted(&self, text: &str) -> io::Result<()> {
        self.replace(ACCEPTED, text)?;
        match Sources::from_json(text) {
            Ok(sources) => accepted::lay_out(&self.path, &sources),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    pub(super) fn read_accepted(&self) -> Option<String> {
        fs::read_to_string(self.path.join(ACCEPTED)).ok()
    }

    pub(super) fn write_reserved(&self, reservation: Reservation) -> io::Result<()> {
        self.replace(RESERVED, &serde_json::to_string(&reservation)?)
    }

    pub(super) fn read_reserved(&self) -> Option<Reservation> {
        let text = fs::read_to_string(self.path.join(RESERVED)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Leaves the mark of a stop in order.
    pub(super) fn write_stopped(&self, mark: &str) -> io::Result<()> {
        self.replace(STOPPED, mark)
    }

    /// Takes the mark away, durably, and gives it; none when it was not there or stays.
    pub(super) fn take_stopped(&self) -> Option<String> {
        let path = self.path.join(STOPPED);
        let mark = fs::read_to_string(&path).ok()?;
        fs::remove_file(&path).ok()?;
        File::open(&self.path).ok()?.sync_all().ok()?;
        Some(mark)
    }

    /// Writes a file whole or not at all.
    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let fresh = self.path.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }
}

/// The later of two reservations; the generation tells, as it never wraps.
pub(super) fn later(a: Option<Reservation>, b: Option<Reservation>) -> Option<Reservation> {
    match (a, b) {
        (Some(a), Some(b)) if b.generation > a.generation => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// SQLite's side files carry the database's whole name and a suffix.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the database's file before SQLite does, so that it and its side files are for this user alone.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// The process that holds the lock of a file, by the kernel's list. Only for the error message.
fn lock_holder(dev: u64, ino: u64) -> Option<u32> {
    let wanted = format!(
        "{:02x}:{:02x}:{ino}",
        nix::sys::stat::major(dev),
        nix::sys::stat::minor(dev)
    );
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // 1: FLOCK  ADVISORY  WRITE 4711 08:01:1835032 0 EOF
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else {
            return None;
        };
        if file == wanted {
            pid.parse().ok()
        } else {
            None
        }
    })
}
