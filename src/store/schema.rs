//! The database's shape, and how older shapes become this one.
//!
//! In: a connection. Out: one whose tables are those of this program; a copy of the file is kept before any
//! step that changes an older one. Never here: what the rows mean.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::backup::{CopyError, copy_into};

/// "rpnt": tells a database of repoint from any other.
const APPLICATION_ID: i32 = 0x7270_6e74;

/// Step n makes schema n + 1 out of schema n. Steps are only ever added.
pub(super) const STEPS: &[&str] = &[
    // 1: JSON in the value columns, as the types of `engine::record` and `decide` write it.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE overrides (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE routes (route TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
     CREATE TABLE entries (
         id INTEGER PRIMARY KEY,
         generation INTEGER NOT NULL,
         at INTEGER NOT NULL,
         route TEXT,
         kind TEXT NOT NULL,
         lasting INTEGER NOT NULL,
         text TEXT NOT NULL,
         author TEXT,
         why TEXT,
         decision TEXT
     ) STRICT;
     CREATE INDEX entries_by_route ON entries (route, id);
     CREATE INDEX entries_by_age ON entries (lasting, id);",
    // 2: zones as served, as octets (`octets`): a snapshot and the changes of each; and what primaries sent.
    "CREATE TABLE zones (
         apex BLOB PRIMARY KEY,
         serial INTEGER NOT NULL,
         snapshot INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE zone_changes (
         id INTEGER PRIMARY KEY,
         apex BLOB NOT NULL,
         from_serial INTEGER NOT NULL,
         to_serial INTEGER NOT NULL,
         body BLOB NOT NULL
     ) STRICT;
     CREATE TABLE snapshots (
         id INTEGER PRIMARY KEY,
         snapshot INTEGER NOT NULL,
         start INTEGER NOT NULL,
         body BLOB NOT NULL
     ) STRICT;
     CREATE INDEX snapshots_by_number ON snapshots (snapshot, start);
     CREATE TABLE inbound (
         apex BLOB PRIMARY KEY,
         snapshot INTEGER NOT NULL,
         source TEXT NOT NULL,
         received INTEGER NOT NULL,
         checked INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;",
    // 3: challenges of certificate authorities, the values of a name as JSON.
    "CREATE TABLE challenges (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    // 4: DNSSEC keys' public halves and stages, JSON of `keys::ZoneRow`.
    "CREATE TABLE zone_keys (apex TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    // 5: history with a budget for each sort of entry (0 routine, 1 what people and switches did, 2 conditions, 3
    // challenges); an entry that repeats is counted, with the moment of the first.
    "ALTER TABLE entries RENAME COLUMN lasting TO budget;
     ALTER TABLE entries ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
     ALTER TABLE entries ADD COLUMN first INTEGER;
     UPDATE entries SET budget = 2 WHERE kind IN ('\"alarm\"', '\"would-switch\"', '\"inbound\"');
     UPDATE entries SET budget = 3 WHERE kind = '\"challenge\"';",
];

/// Why a database cannot be used as it is.
#[derive(Debug)]
pub(super) enum Misfit {
    /// Another program's file.
    Foreign,
    /// A later repoint wrote it.
    Newer {
        /// Its schema.
        found: usize,
        /// The latest this program knows.
        known: usize,
    },
    /// The copy that must be kept could not be made: better not to migrate.
    Copy(CopyError),
    /// SQLite said no.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Misfit {
    fn from(error: rusqlite::Error) -> Misfit {
        Misfit::Sqlite(error)
    }
}

/// Sets the modes every read-write connection needs: a commit is on the disk when it returns.
pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    // Another process of ours (a backup) may hold the file for a moment.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
    let _mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    Ok(())
}

/// Brings the database at `path` to the latest schema.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    steps: &[&str],
) -> Result<(), Misfit> {
    let (application, found) = identity(connection)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if found > steps.len() {
        return Err(Misfit::Newer {
            found,
            known: steps.len(),
        });
    }
    if tables > 0 && application != APPLICATION_ID {
        return Err(Misfit::Foreign);
    }
    if found == steps.len() {
        return Ok(());
    }
    if found > 0 {
        let mut copy = path.as_os_str().to_owned();
        copy.push(format!(".schema-{found}"));
        copy_into(connection, Path::new(&copy)).map_err(Misfit::Copy)?;
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &steps[found..] {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", steps.len() as i64)?;
    change.commit()?;
    Ok(())
}

/// Makes the tables of a new database.
pub(super) fn create(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in STEPS {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", STEPS.len() as i64)?;
    change.commit()
}

/// Whether a database has any table, without changing it.
pub(super) fn has_tables(path: &Path) -> Result<bool, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables > 0)
}

/// Whether the file is a repoint database of a schema this program knows, without changing it.
pub(super) fn fits(connection: &Connection) -> Result<(), Misfit> {
    let (application, found) = identity(connection)?;
    if application != APPLICATION_ID || found == 0 {
        return Err(Misfit::Foreign);
    }
    if found > STEPS.len() {
        return Err(Misfit::Newer {
            found,
            known: STEPS.len(),
        });
    }
    Ok(())
}

fn identity(connection: &Connection) -> Result<(i32, usize), rusqlite::Error> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((application, usize::try_from(version).unwrap_or(usize::MAX)))
}

/// SQLite's own check of every page; the first fault it finds.
pub(super) fn check_pages(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(if said == "ok" { None } else { Some(said) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_older_database_is_copied_before_it_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repoint.db");
        let copy = dir.path().join("repoint.db.schema-1");
        let mut connection = Connection::open(&path).unwrap();
        prepare(&connection).unwrap();
        let first = &STEPS[..1];
        migrate(&mut connection, &path, first).unwrap();
        assert!(!copy.exists(), "there was nothing to keep");
        connection
            .execute("INSERT INTO meta VALUES ('doubt', 'before')", [])
            .unwrap();

        let broken = [
            STEPS[0],
            "UPDATE meta SET value = 'half'; no such statement",
        ];
        assert!(migrate(&mut connection, &path, &broken).is_err());
        let doubt = |connection: &Connection| -> String {
            connection
                .query_row("SELECT value FROM meta WHERE key = 'doubt'", [], |row| {
                    row.get(0)
                })
                .unwrap()
        };
        assert_eq!(doubt(&connection), "before", "a step is whole or not done");

        let next = [STEPS[0], "UPDATE meta SET value = 'after'"];
        migrate(&mut connection, &path, &next).unwrap();
        assert_eq!(doubt(&connection), "after");
        assert_eq!(identity(&connection).unwrap().1, 2);
        let mut kept = Connection::open(&copy).unwrap();
        assert_eq!(doubt(&kept), "before", "the way back");
        migrate(&mut kept, &copy, first).unwrap();

        let older = migrate(&mut connection, &path, first);
        assert!(matches!(older, Err(Misfit::Newer { found: 2, known: 1 })));
    }
}
