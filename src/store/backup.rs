//! Backup and restore of the state.
//!
//! In: a state directory, a file. Out: a consistent copy, also while a server writes; or that copy put back,
//! marked so that nothing changes automatically until an operator accepts it. Never here: restoring under a running
//! server.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::directory::Directory;
use super::{DATABASE, StoreError, rows, schema};
use crate::clock::Wall;
use crate::config::Sources;

/// More than any server publishes between a backup and its restoring: no generation is issued twice.
const GENERATIONS_SKIPPED: u64 = 1_000_000;

/// How the names of copies that are sent to somebody begin.
const PASSING: &str = "backup-";

/// How long another program may hold the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why no backup was made.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot back up the state in {} to {}: {error}\nnothing was changed",
    dir.display(),
    to.display()
)]
pub struct BackupError {
    dir: PathBuf,
    to: PathBuf,
    error: CopyError,
}

/// Why a backup was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The server runs on it.
    #[error(transparent)]
    InUse(#[from] StoreError),
    /// The file is no backup, or the directory takes none.
    #[error(
        "cannot restore {} into {}: {why}\nthe state there is as it was",
        from.display(),
        dir.display()
    )]
    Failed {
        /// The state directory.
        dir: PathBuf,
        /// The backup.
        from: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Why a database could not be copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// The database or its copy.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Somebody else holds the database.
    #[error("another program holds the database for more than {} s", PATIENCE.as_secs())]
    Busy,
    /// What came of it is no whole database.
    #[error("the copy is not whole: {0}")]
    Faulty(String),
    /// The copy's file.
    #[error("{0}")]
    File(#[from] io::Error),
}

/// Copies the state to a file as it is at one moment. A server may be running on it.
pub fn backup(dir: &Path, to: &Path) -> Result<(), BackupError> {
    let copy = || -> Result<(), CopyError> {
        let source = Connection::open_with_flags(
            dir.join(DATABASE),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        source.busy_timeout(PATIENCE)?;
        copy_with(&source, to, without_secrets)
    };
    copy().map_err(|error| BackupError {
        dir: dir.to_owned(),
        to: to.to_owned(),
        error,
    })
}

/// A file beside the state for a copy that is sent to somebody and then removed.
pub fn passing_copy(dir: &Path) -> PathBuf {
    dir.join(format!("{PASSING}{:016x}.tmp", rand::random::<u64>()))
}

/// Removes such copies that an interrupted process has left: they may hold secrets. Only while no server runs.
pub(super) fn sweep(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        let name = entry.file_name();
        let middle = name.to_str().and_then(|name| name.strip_prefix(PASSING));
        middle.is_some_and(|rest| {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            after == ".tmp" || after.starts_with(".tmp.new") || after.starts_with(".tmp-")
        })
    });
    for entry in left {
        let path = entry.path();
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(
                "{}: left by an interrupted backup, and removed",
                path.display()
            ),
            Err(error) => {
                tracing::warn!("{}: left by an interrupted backup: {error}", path.display());
            }
        }
    }
}

/// Puts a backup in place of the state, which is kept beside it. `at` names it. No server may be running.
pub fn restore(dir: &Path, from: &Path, at: Wall) -> Result<(), RestoreError> {
    let directory = Directory::open(dir)?;
    put_back(&directory, from, at).map_err(|why| RestoreError::Failed {
        dir: dir.to_owned(),
        from: from.to_owned(),
        why,
    })
}

fn put_back(directory: &Directory, from: &Path, at: Wall) -> Result<(), String> {
    if let Some(fault) = directory.fault() {
        return Err(fault.to_owned());
    }
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let source = Connection::open_with_flags(
        from,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|e| say(&e))?;
    schema::fits(&source).map_err(|misfit| super::open::Trouble::from(misfit).to_string())?;
    if let Some(fault) = schema::check_pages(&source).map_err(|e| say(&e))? {
        return Err(fault);
    }
    let fresh = directory.path().join(format!("{DATABASE}.restoring"));
    copy_into(&source, &fresh).map_err(|e| say(&e))?;
    let mark = || -> Result<(), rusqlite::Error> {
        let connection = Connection::open(&fresh)?;
        let doubt = format!("it was restored from {} at {at}", from.display());
        rows::set_doubt(&connection, &doubt)?;
        rows::skip_generations(&connection, GENERATIONS_SKIPPED)?;
        connection.close().map_err(|(_, error)| error)
    };
    mark().map_err(|e| say(&e))?;
    // Restored by root, used by the server's own user.
    let owner = fs::metadata(directory.path()).map_err(|e| say(&e))?;
    if owner.uid() != nix::unistd::geteuid().as_raw() {
        chown(&fresh, Some(owner.uid()), Some(owner.gid())).map_err(|e| say(&e))?;
    }
    // What is restored is not what was served last.
    directory.take_stopped();
    directory
        .move_aside("before-restore", at)
        .map_err(|e| say(&e))?;
    fs::rename(&fresh, directory.database()).map_err(|e| say(&e))?;
    File::open(directory.path())
        .and_then(|dir| dir.sync_all())
        .map_err(|e| say(&e))
}

/// Whether a file is a whole copy of the state.
///
/// # Errors
/// Why it is not.
pub fn verify(copy: &Path) -> Result<(), String> {
    let check = || -> Result<Option<String>, super::open::Trouble> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(copy, flags)?;
        schema::fits(&connection)?;
        Ok(schema::check_pages(&connection)?)
    };
    match check() {
        Ok(None) => Ok(()),
        Ok(Some(fault)) => Err(fault),
        Err(trouble) => Err(trouble.to_string()),
    }
}

/// Takes secrets out of a copy, also out of pages that are free: who may take a copy need not be who may read secrets.
fn without_secrets(copy: &Connection) -> Result<(), CopyError> {
    let Some(accepted) = rows::accepted(copy)? else {
        return Ok(());
    };
    // What is no configuration of ours has nobody's secrets in a place that is known: it is left out whole.
    let redacted = Sources::from_json(&accepted).map(|sources| sources.redacted().to_json());
    rows::replace_accepted(copy, redacted.ok().as_deref())?;
    copy.execute_batch("VACUUM")?;
    Ok(())
}

/// Copies a database as it is at one moment into a new file for this user alone, whole or not at all.
pub(super) fn copy_into(source: &Connection, to: &Path) -> Result<(), CopyError> {
    copy_with(source, to, |_| Ok(()))
}

fn copy_with(
    source: &Connection,
    to: &Path,
    change: impl Fn(&Connection) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let mut fresh = to.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let result = fill(source, &fresh, change)
        .and_then(|()| verify(&fresh).map_err(CopyError::Faulty))
        .and_then(|()| Ok(fs::rename(&fresh, to)?));
    if result.is_err() {
        // It may not have been made at all.
        let _ = fs::remove_file(&fresh);
    }
    result
}

fn fill(
    source: &Connection,
    fresh: &Path,
    change: impl Fn(&Connection) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    // Emptied first: left over from an attempt that was interrupted.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(fresh)?;
    let mut copy = Connection::open(fresh)?;
    // All pages in one step: one moment, whatever is written meanwhile.
    let began = Instant::now();
    loop {
        match Backup::new(source, &mut copy)?.step(-1)? {
            StepResult::Done => break,
            _ if began.elapsed() > PATIENCE => return Err(CopyError::Busy),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    // Without a log beside it, so that the one file is all there is to keep.
    let _mode: String = copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    change(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    file.sync_all()?;
    Ok(())
}
