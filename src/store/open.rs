//! Opening the database in whatever condition it is.
//!
//! In: the state directory. Out: a connection if there can be one, and what could be read in any case.
//! Never here: a reason not to start. What is wrong is told by `Remembered::doubt` and `Remembered::unavailable`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::backup::CopyError;
use super::directory::{Directory, is_plausible, later, make_private, with_suffix};
use super::rows;
use super::schema::{self, Misfit};
use super::zones;
use crate::clock::Wall;
use crate::decide::Generation;
use crate::engine::{Batch, KeptInbound, Remembered, Reservation};

/// What the writer begins with.
#[derive(Debug)]
pub(super) enum Database {
    /// Ready.
    Open(Connection),
    /// Cannot be written now; tried again for each batch.
    Later,
    /// Must not be written by this process: nobody knows what is in it.
    Never(String),
}

/// What opening found.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) remembered: Remembered,
    pub(super) accepted: Option<String>,
}

/// Why the database does not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Its content cannot be trusted: it is moved aside.
    #[error("{0}")]
    Unreadable(String),
    /// The disk or its permissions, or a version that is not ours: it is left alone.
    #[error("{0}")]
    Unusable(String),
    /// A later version's: it is left alone.
    #[error("a later version wrote it (schema {found}, this version knows {known})")]
    Later {
        /// Its schema.
        found: usize,
        /// Ours.
        known: usize,
    },
}

impl Trouble {
    /// What to do, where that is not the disk's repair.
    fn fix(&self) -> Option<String> {
        match self {
            Trouble::Later { known, .. } => Some(format!(
                "install the later version of repoint again and restart; or stop repoint, restore the copy from before the upgrade \
                 (repoint state restore repoint.db.schema-{known}, in the state directory) or a backup, and start it"
            )),
            Trouble::Unreadable(_) | Trouble::Unusable(_) => None,
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        use rusqlite::ffi;
        let content = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => {
                matches!(
                    failure.code,
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch
                ) || matches!(
                    failure.extended_code,
                    // No such table or column; pages the disk no longer gives.
                    ffi::SQLITE_ERROR | ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ
                )
            }
            _ => true,
        };
        if content {
            Trouble::Unreadable(error.to_string())
        } else {
            Trouble::Unusable(error.to_string())
        }
    }
}

impl From<Misfit> for Trouble {
    fn from(misfit: Misfit) -> Trouble {
        match misfit {
            Misfit::Foreign => Trouble::Unreadable("it is not a database of repoint".into()),
            Misfit::Newer { found, known } => Trouble::Later { found, known },
            Misfit::Copy(error) => Trouble::Unusable(format!(
                "it is of an older version, and a copy of it could not be made before changing it: {error}"
            )),
            Misfit::Sqlite(error) => error.into(),
        }
    }
}

/// Opens the database, or what is left of it.
pub(super) fn open(directory: &Directory, at: Wall) -> Opened {
    if let Some(fault) = directory.fault() {
        return without(fault);
    }
    let path = directory.database();
    let existed = fs::metadata(&path).is_ok_and(|meta| meta.len() > 0);
    let lost = directory.trace().filter(|_| !existed).map(|trace| {
        format!(
            "the database was missing from the state directory or empty, and {trace} there is from an earlier run"
        )
    });
    let mut opened = match attempt(directory, existed, at) {
        Ok(mut opened) => {
            if let Some(lost) = lost {
                doubt(&mut opened, lost);
            }
            opened
        }
        Err(Trouble::Unreadable(why)) => renew(directory, &why, at),
        Err(trouble) => {
            let why = format!("{}: {trouble}", path.display());
            let mut opened = match read_copy(&path, existed) {
                Ok(mut opened) => {
                    opened.remembered.unavailable = Some(why);
                    opened.remembered.doubt = lost.or(opened.remembered.doubt);
                    opened
                }
                Err(error) => without(&format!("{why}; nor can it be read: {error}")),
            };
            opened.remembered.unavailable_fix = trouble.fix();
            opened
        }
    };
    check_numbers(&mut opened, directory, at);
    opened
}

/// Takes the later of the numbers in the database and beside it. The copy beside it is written after the database: one
/// that is later says that the database has lost something, and one that cannot be true is left out with words.
fn check_numbers(opened: &mut Opened, directory: &Directory, at: Wall) {
    let mut known = opened.remembered.reservation;
    if let Some(absurd) = known.filter(|known| !is_plausible(known)) {
        known = None;
        doubt(
            opened,
            format!(
                "the database reserves generation {}, which cannot be true",
                absurd.generation
            ),
        );
    }
    let beside = match directory.read_reserved() {
        Ok(beside) => beside,
        Err(why) => {
            tracing::warn!("{why}; the database's own numbers count, and the file is written anew");
            if known.is_none() && !opened.remembered.forgotten {
                doubt(opened, why);
                // Later than all numbers that a node gives out one by one.
                known = Some(Reservation {
                    generation: Generation(u64::try_from(at.as_millis()).unwrap_or(0)),
                    serial: at.unix_seconds(),
                    goal: None,
                    at: None,
                });
            }
            None
        }
    };
    let is_later =
        |beside: &Reservation| known.is_none_or(|known| beside.generation > known.generation);
    // A database that was not read cannot be older.
    let is_read = !opened.remembered.forgotten;
    if is_read && opened.remembered.doubt.is_none() && beside.as_ref().is_some_and(is_later) {
        doubt(
            opened,
            "the database is older than reserved.json beside it: it or its log was lost or put back".into(),
        );
    }
    let all = later(known, beside);
    if let (Database::Open(connection), Some(all)) =
        (&opened.database, all.filter(|_| all != known))
        && let Err(error) = rows::set_reservation(connection, &all)
    {
        tracing::warn!("cannot write the numbers of reserved.json into the database: {error}");
    }
    opened.remembered.reservation = all;
}

/// A connection for the writer, of the latest schema.
pub(super) fn open_writable(directory: &Directory) -> Result<Connection, Trouble> {
    let path = directory.database();
    if !path.exists() {
        make_whole(directory).map_err(|error| Trouble::Unusable(error.to_string()))?;
    }
    let mut connection = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    schema::prepare(&connection)?;
    schema::migrate(&mut connection, &path, schema::STEPS)?;
    Ok(connection)
}

/// Makes the database under another name first: one without its tables was never made by us, it has lost them. The file
/// is made before SQLite does, so that it and its side files are for this user alone.
fn make_whole(directory: &Directory) -> Result<(), CopyError> {
    let fresh = with_suffix(&directory.database(), ".new");
    for suffix in ["-wal", "-shm", "-journal", ""] {
        match fs::remove_file(with_suffix(&fresh, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    make_private(&fresh)?;
    let mut connection = Connection::open_with_flags(
        &fresh,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    schema::create(&mut connection)?;
    connection.close().map_err(|(_, error)| error)?;
    fs::rename(&fresh, directory.database())?;
    Ok(fs::File::open(directory.path())?.sync_all()?)
}

fn attempt(directory: &Directory, existed: bool, at: Wall) -> Result<Opened, Trouble> {
    // An empty file is no database that we made. What lies beside it belongs to one that is gone.
    if !existed && directory.has_remains() {
        let aside = directory.move_aside("empty", at);
        aside.map_err(|error| Trouble::Unusable(error.to_string()))?;
    }
    let has_tables = !existed || schema::has_tables(&directory.database())?;
    let mut connection = open_writable(directory)?;
    if existed && let Some(fault) = schema::check_pages(&connection)? {
        return Err(Trouble::Unreadable(fault));
    }
    let (mut remembered, unreadable) = rows::recall(&connection)?;
    recall_zones(&connection, &mut remembered)?;
    let accepted = rows::accepted(&connection)?;
    let commits = rows::commits(&connection)?;
    let mark = rows::stopped(&connection)?;
    remembered.complete = directory
        .take_stopped()
        .is_some_and(|left| Some(&left) == mark.as_ref() && stopped_recently(&left, at));
    let written = rows::note_opened(&mut connection, at.as_millis());
    let mut opened = Opened {
        database: Database::Open(connection),
        remembered,
        accepted,
    };
    if unreadable > 0 {
        let why =
            format!("{unreadable} rows of the database could not be understood and are left out");
        doubt(&mut opened, why);
    }
    if !has_tables {
        doubt(
            &mut opened,
            "the database had no tables: its log was lost".into(),
        );
    }
    let told = directory.read_commits().filter(|_| existed);
    if let Some(lost) = told.and_then(|told| told.checked_sub(commits))
        && lost > 0
    {
        let why = format!(
            "the database lacks the last {lost} changes that were committed to it: its log was lost or damaged, or it was put back"
        );
        doubt(&mut opened, why);
        // The doubt is kept in the database: the count goes on from what is there. A disk that takes nothing is told below.
        let _ = directory.write_commits(commits);
    }
    match written.map_err(Trouble::from) {
        Ok(()) => Ok(opened),
        Err(Trouble::Unreadable(why)) => Err(Trouble::Unreadable(why)),
        Err(trouble) => {
            opened.database = Database::Later;
            opened.remembered.unavailable =
                Some(format!("{}: {trouble}", directory.database().display()));
            Ok(opened)
        }
    }
}

/// Reads the zones kept last. One that cannot be read is left out and told: it is published anew.
fn recall_zones(connection: &Connection, remembered: &mut Remembered) -> Result<(), Trouble> {
    let recalled = zones::recall(connection)?;
    for apex in recalled.unreadable {
        tracing::warn!(
            "what was kept of zone {apex} cannot be read: secondaries will transfer it whole; nothing else is lost"
        );
    }
    remembered.zones = recalled.zones;
    remembered.inbound = recalled.inbound;
    Ok(())
}

/// How long the mark of an orderly stop counts. A process that could not read the state directory may have published
/// since, and leaves nothing behind; and a state directory that comes back with a whole machine is not noticed to be old.
const MARK_COUNTS: Duration = Duration::from_secs(60);

fn stopped_recently(mark: &str, at: Wall) -> bool {
    let stopped = mark
        .split(' ')
        .next()
        .and_then(|millis| millis.parse().ok());
    stopped
        .map(Wall::from_millis)
        .is_some_and(|stopped| at >= stopped && at.since(stopped) <= MARK_COUNTS)
}

/// Moves an unreadable database aside and begins a new one with what can be saved.
fn renew(directory: &Directory, why: &str, at: Wall) -> Opened {
    let aside = match directory.move_aside("unreadable", at) {
        Ok(aside) => aside,
        Err(error) => {
            let fault = format!("{why}; and it cannot be moved aside: {error}");
            return without(&fault);
        }
    };
    let (saved, accepted) = on_copy(&aside, |connection| {
        // Lets SQLite read a file that is shorter than its first page says.
        connection.pragma_update(None, "writable_schema", true)?;
        Ok((
            rows::salvage(connection),
            rows::accepted(connection).ok().flatten(),
        ))
    })
    .unwrap_or_default();
    let text = format!(
        "the database could not be read ({why}) and was moved to {}; saved from it: {} overrides, {} routes",
        aside.display(),
        saved.overrides.len(),
        saved.routes.len()
    );
    let mut opened = match attempt(directory, false, at) {
        Ok(opened) => opened,
        Err(trouble) => Opened {
            database: Database::Later,
            remembered: Remembered {
                unavailable: Some(trouble.to_string()),
                ..Remembered::default()
            },
            accepted: None,
        },
    };
    if let Database::Open(connection) = &mut opened.database {
        let batch = Batch {
            overrides: saved
                .overrides
                .iter()
                .map(|one| (one.key.clone(), Some(one.clone())))
                .collect(),
            routes: saved.routes.clone(),
            keys: saved.keys.clone(),
            reservation: saved.reservation,
            accepted: accepted.clone(),
            ..Batch::default()
        };
        if let Err(error) = rows::commit(connection, &batch) {
            opened.remembered.unavailable = Some(error.to_string());
            opened.database = Database::Later;
        }
    }
    opened.remembered.overrides = saved.overrides;
    opened.remembered.routes = saved.routes;
    opened.remembered.keys = saved.keys;
    opened.remembered.reservation = saved.reservation;
    opened.accepted = accepted;
    doubt(&mut opened, text);
    opened
}

/// Notes a doubt for good, as far as it can be written. An earlier one that nobody accepted stays in front.
fn doubt(opened: &mut Opened, why: String) {
    let why = match opened.remembered.doubt.take() {
        Some(before) if before != why => format!("{before}; {why}"),
        _ => why,
    };
    if let Database::Open(connection) = &opened.database
        && let Err(error) = rows::set_doubt(connection, &why)
    {
        opened.remembered.unavailable = Some(error.to_string());
        opened.database = Database::Later;
    }
    opened.remembered.doubt = Some(why);
}

/// Nothing is known and nothing can be written. That is no doubt about the state: there is none, and nothing that could
/// be accepted. The process decides from its own probes, as at a first start.
fn without(fault: &str) -> Opened {
    Opened {
        database: Database::Never(format!("{fault}; it will be tried again at the next start")),
        remembered: Remembered {
            unavailable: Some(fault.into()),
            forgotten: true,
            ..Remembered::default()
        },
        accepted: None,
    }
}

/// Reads a database that cannot be opened where it lies. A full or read-only disk leaves no room for the log's
/// index, without which SQLite would miss the newest commits.
fn read_copy(path: &Path, existed: bool) -> Result<Opened, Trouble> {
    let (remembered, accepted) = if existed {
        on_copy(path, |connection| {
            schema::fits(connection)?;
            let (mut remembered, _) = rows::recall(connection)?;
            recall_zones(connection, &mut remembered)?;
            Ok((remembered, rows::accepted(connection)?))
        })?
    } else {
        Default::default()
    };
    Ok(Opened {
        database: Database::Later,
        remembered,
        accepted,
    })
}

/// What primaries had sent, as far as a database in this state directory can be read. Nothing there is touched.
pub fn inbound_in(state: &Path) -> Vec<KeptInbound> {
    let read = on_copy(&state.join(super::DATABASE), |connection| {
        schema::fits(connection)?;
        let (mut remembered, _) = rows::recall(connection)?;
        recall_zones(connection, &mut remembered)?;
        Ok(remembered.inbound)
    });
    read.unwrap_or_default()
}

/// Works on a private copy of a database and its log, in the first temporary directory that has room.
fn on_copy<T>(path: &Path, work: impl Fn(&Connection) -> Result<T, Trouble>) -> Result<T, Trouble> {
    let mut trouble = Trouble::Unusable("no temporary directory".into());
    for base in [std::env::temp_dir(), "/dev/shm".into(), "/run".into()] {
        let place = base.join(format!("repoint-read-{}", std::process::id()));
        let result = copy_to(path, &place)
            .map_err(|error| Trouble::Unusable(format!("{}: {error}", place.display())))
            .and_then(|copy| {
                let connection = Connection::open_with_flags(
                    copy,
                    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                )?;
                work(&connection)
            });
        // What stays of it is a temporary file of this user.
        let _ = fs::remove_dir_all(&place);
        match result {
            Ok(value) => return Ok(value),
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

fn copy_to(path: &Path, place: &Path) -> io::Result<PathBuf> {
    // Fails when it is there: nobody else's directory is ever used.
    DirBuilder::new().mode(0o700).create(place)?;
    let copy = place.join("copy.db");
    fs::copy(path, &copy)?;
    match fs::copy(with_suffix(path, "-wal"), with_suffix(&copy, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(copy),
    }
}
