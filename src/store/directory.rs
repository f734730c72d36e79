//! The state directory: made, locked, and the plain files beside the database.
//!
//! In: a path. Out: a locked directory; the accepted configuration and the reserved numbers as plain files,
//! for operators to read and for the day the database is lost. Never here: SQL.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::lock::Locks;
use super::{DATABASE, StoreError, accepted};
use crate::clock::Wall;
use crate::config::Sources;
use crate::engine::Reservation;
use crate::files;

/// The accepted configuration as it is stored, beside the files it was read from.
const ACCEPTED: &str = "accepted.json";
/// The numbers reserved last. They must not repeat even when the database is lost.
const RESERVED: &str = "reserved.json";
/// The mark of the last stop, gone as soon as another process begins: with it, and only with the database that has
/// the same mark, nothing was published that was not kept. A file, because removing one works on a full disk.
const STOPPED: &str = "stopped.json";
/// What SQLite adds to the database's name for its side files; the last is the database itself.
const SIDES: [&str; 4] = ["-wal", "-shm", "-journal", ""];
/// More octets than the accepted configuration has with all its files.
const LARGEST_ACCEPTED: u64 = 1 << 30;
/// More octets than the other files have.
const LARGEST_NOTE: u64 = 64 << 10;
/// Databases moved aside are evidence; so many of them are kept.
const KEPT_ASIDE: usize = 5;

/// How many batches were committed. It is behind the database after a power cut, and never ahead of it: where it is, the
/// database has lost its log.
const COMMITS: &str = "commits";
/// No reservation reaches this generation in the life of a node.
const MOST_GENERATION: u64 = 1 << 62;

/// The accepted configuration that a state directory has as a file. It need not be locked.
pub fn accepted_in(state: &Path) -> Option<String> {
    files::read_text(&state.join(ACCEPTED), LARGEST_ACCEPTED).ok()
}

/// The state directory, locked for this process as far as it can be.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Why it cannot be used, when it cannot even be opened.
    fault: Option<String>,
    _locks: Locks,
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
                    _locks: Locks::default(),
                });
            }
        };
        close_to_others(&file, path);
        match Locks::take(file, path) {
            Ok((locks, fault)) => Ok(Directory {
                path: path.to_owned(),
                fault,
                _locks: locks,
            }),
            Err(holder) => Err(StoreError::InUse {
                dir: path.to_owned(),
                holder,
            }),
        }
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

    /// A sign that a repoint has remembered something here before, going by anything but the content of the database. Our
    /// own first start leaves none when it is killed: the database is made under another name.
    pub(super) fn trace(&self) -> Option<String> {
        let database = fs::metadata(self.database()).ok();
        let is_empty = database.as_ref().is_none_or(|meta| meta.len() == 0);
        let entries = fs::read_dir(&self.path).ok()?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.file_name() != "keys" || has_entries(&entry.path()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| match name.as_str() {
                ACCEPTED | RESERVED | STOPPED | COMMITS | "accepted" | "accepted.old" | "keys" => {
                    true
                }
                DATABASE => is_empty,
                "repoint.db-wal" | "repoint.db-shm" | "repoint.db-journal" => is_empty,
                name => name.starts_with("repoint.db.") && !name.starts_with("repoint.db.new"),
            })
            .collect();
        names.sort();
        names.into_iter().next()
    }

    /// Whether the database or a side file of it is there.
    pub(super) fn has_remains(&self) -> bool {
        let database = self.database();
        SIDES
            .iter()
            .any(|side| with_suffix(&database, side).exists())
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
        for suffix in SIDES {
            let from = with_suffix(&self.database(), suffix);
            match fs::rename(&from, with_suffix(&aside, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // The count belongs to the database that is gone. It may not be there.
        let _ = fs::remove_file(self.path.join(COMMITS));
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
                let is_side = SIDES
                    .iter()
                    .any(|side| !side.is_empty() && name.ends_with(side));
                name.starts_with(&prefix) && !is_side
            })
            .collect();
        names.sort();
        let superfluous = names.len().saturating_sub(KEPT_ASIDE);
        for name in &names[..superfluous] {
            for suffix in SIDES {
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
        accepted_in(&self.path)
    }

    pub(super) fn write_reserved(&self, reservation: Reservation) -> io::Result<()> {
        self.replace(RESERVED, &serde_json::to_string(&reservation)?)
    }

    /// The numbers beside the database; none where there is no such file.
    ///
    /// # Errors
    /// Why the file says nothing that can be true.
    pub(super) fn read_reserved(&self) -> Result<Option<Reservation>, String> {
        let path = self.path.join(RESERVED);
        let told = |why: String| format!("{} cannot be used: {why}", path.display());
        let text = match files::read_text(&path, LARGEST_NOTE) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(error.to_string())),
        };
        let read: Reservation = serde_json::from_str(&text).map_err(|e| told(e.to_string()))?;
        match is_plausible(&read) {
            true => Ok(Some(read)),
            false => Err(told(format!(
                "generation {} cannot be true",
                read.generation
            ))),
        }
    }

    /// Notes how many batches are committed. Not synced: only a count ahead of the database says anything.
    pub(super) fn write_commits(&self, count: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join(COMMITS))?;
        file.write_all_at(format!("{count:020}\n").as_bytes(), 0)
    }

    /// How many batches were committed, as far as it is known beside the database.
    pub(super) fn read_commits(&self) -> Option<u64> {
        let text = files::read_text(&self.path.join(COMMITS), LARGEST_NOTE).ok()?;
        text.trim_end().parse().ok()
    }

    /// Leaves the mark of a stop in order.
    pub(super) fn write_stopped(&self, mark: &str) -> io::Result<()> {
        self.replace(STOPPED, mark)
    }

    /// Takes the mark away, durably, and gives it; none when it was not there or stays.
    pub(super) fn take_stopped(&self) -> Option<String> {
        let path = self.path.join(STOPPED);
        let mark = files::read_text(&path, LARGEST_NOTE).ok()?;
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

/// Whether a reservation can be what a node has written.
pub(super) fn is_plausible(reservation: &Reservation) -> bool {
    reservation.generation.0 < MOST_GENERATION
}

fn has_entries(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// State is for its user alone: it has private keys and secrets.
fn close_to_others(directory: &File, path: &Path) {
    let Ok(mode) = directory
        .metadata()
        .map(|meta| meta.permissions().mode() & 0o7777)
    else {
        return;
    };
    if mode & 0o077 == 0 {
        return;
    }
    let path = path.display();
    match directory.set_permissions(Permissions::from_mode(mode & 0o700)) {
        Ok(()) => tracing::warn!(
            "the state directory {path} was open to others (mode {mode:04o}): it is closed now"
        ),
        Err(error) => tracing::warn!(
            "the state directory {path} is open to others (mode {mode:04o}) and cannot be closed: {error}; type: chmod 700 {path}"
        ),
    }
}
