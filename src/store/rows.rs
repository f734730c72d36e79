//! Rows: a batch written, and what was remembered read.
//!
//! In: a connection. Out: rows in it, or the values they hold. Never here: when, and what to do when it fails.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::{Batch, Budget, Challenge, Entry, Remembered, Reservation};

/// How much history is kept. The limits are by count first, because a wall clock that was set wrong for an hour
/// must not empty it: of each budget the newest `KEPT_AT_LEAST` stay, whatever their age.
const DAY: i64 = 24 * 60 * 60 * 1000;
/// By budget: none pushes out the entries of another.
const BOUNDS: [Bounds; 4] = [
    Bounds {
        count: 40_000,
        age: 92 * DAY,
    },
    Bounds {
        count: 60_000,
        age: 366 * DAY,
    },
    Bounds {
        count: 20_000,
        age: 366 * DAY,
    },
    Bounds {
        count: 5_000,
        age: 92 * DAY,
    },
];
/// An entry that says the same as one of the last so many of its budget, within a day, is counted and not stored again.
const REPEATS_WITHIN: i64 = 200;
const KEPT_AT_LEAST: i64 = 1_000;
/// Old entries are removed once in so many new ones.
const TRIM_EVERY: i64 = 256;

struct Bounds {
    count: i64,
    age: i64,
}

/// Keys of `meta`.
const ACCEPTED: &str = "accepted";
const COMMITS: &str = "commits";
const DOUBT: &str = "doubt";
const OPENED: &str = "opened";
const RESERVATION: &str = "reservation";
const STOPPED: &str = "stopped";

/// Commits a batch whole or not at all. Out: how many batches the database has taken.
pub(super) fn commit(connection: &mut Connection, batch: &Batch) -> Result<u64, rusqlite::Error> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (key, value) in &batch.overrides {
        match value {
            Some(value) => upsert(&change, "overrides", "key", &json(key)?, &json(value)?)?,
            None => {
                change
                    .prepare_cached("DELETE FROM overrides WHERE key = ?1")?
                    .execute([json(key)?])?;
            }
        }
    }
    for state in &batch.routes {
        upsert(
            &change,
            "routes",
            "route",
            state.route.as_str(),
            &json(state)?,
        )?;
    }
    for (name, values) in &batch.challenges {
        if values.is_empty() {
            change
                .prepare_cached("DELETE FROM challenges WHERE name = ?1")?
                .execute([name.as_str()])?;
        } else {
            upsert(&change, "challenges", "name", name.as_str(), &json(values)?)?;
        }
    }
    for row in &batch.keys {
        upsert(&change, "zone_keys", "apex", row.apex.as_str(), &json(row)?)?;
    }
    if let Some(reservation) = &batch.reservation {
        set_meta(&change, RESERVATION, &json(reservation)?)?;
    }
    if let Some(accepted) = &batch.accepted {
        set_meta(&change, ACCEPTED, accepted)?;
    }
    if batch.state_accepted {
        change.execute("DELETE FROM meta WHERE key = ?1", [DOUBT])?;
    }
    for entry in &batch.entries {
        insert(&change, entry)?;
    }
    let commits = commits(&change)?.saturating_add(1);
    set_meta(&change, COMMITS, &commits.to_string())?;
    change.commit()?;
    Ok(commits)
}

/// How many batches the database has taken.
pub(super) fn commits(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let text = meta(connection, COMMITS)?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Takes over numbers from beside the database.
pub(super) fn set_reservation(
    connection: &Connection,
    reservation: &Reservation,
) -> Result<(), rusqlite::Error> {
    set_meta(connection, RESERVATION, &json(reservation)?)
}

/// Keeps a doubt until the state is accepted.
pub(super) fn set_doubt(connection: &Connection, why: &str) -> Result<(), rusqlite::Error> {
    set_meta(connection, DOUBT, why)
}

/// Writes a few pages, to learn at the start and not at the first pin whether the disk takes them.
pub(super) fn note_opened(connection: &mut Connection, at: i64) -> Result<(), rusqlite::Error> {
    let padding = 4 * 4096;
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // An update would leave pages whose bytes stay the same unwritten.
    change.execute("DELETE FROM meta WHERE key = ?1", [OPENED])?;
    // From here on something may be published that is not kept.
    change.execute("DELETE FROM meta WHERE key = ?1", [STOPPED])?;
    set_meta(&change, OPENED, &format!("{at:padding$}"))?;
    change.commit()
}

/// What a core is to begin with. Rows that cannot be read are left out and counted.
pub(super) fn recall(connection: &Connection) -> Result<(Remembered, usize), rusqlite::Error> {
    let mut unreadable = 0;
    let remembered = Remembered {
        overrides: values(
            connection,
            "SELECT value FROM overrides ORDER BY key",
            &mut unreadable,
        )?,
        routes: values(
            connection,
            "SELECT value FROM routes ORDER BY route",
            &mut unreadable,
        )?,
        challenges: values::<Vec<Challenge>>(
            connection,
            "SELECT value FROM challenges ORDER BY name",
            &mut unreadable,
        )?
        .concat(),
        keys: values(
            connection,
            "SELECT value FROM zone_keys ORDER BY apex",
            &mut unreadable,
        )?,
        reservation: meta(connection, RESERVATION)?.and_then(|text| parse(&text, &mut unreadable)),
        doubt: meta(connection, DOUBT)?,
        ..Remembered::default()
    };
    Ok((remembered, unreadable))
}

/// What can be saved from a database with faults: every row that can still be reached and understood.
pub(super) fn salvage(connection: &Connection) -> Remembered {
    let mut unreadable = 0;
    Remembered {
        overrides: reachable(connection, "SELECT value FROM overrides"),
        routes: reachable(connection, "SELECT value FROM routes"),
        challenges: reachable::<Vec<Challenge>>(connection, "SELECT value FROM challenges")
            .concat(),
        keys: reachable(connection, "SELECT value FROM zone_keys"),
        ring: Default::default(),
        key_faults: Vec::new(),
        reservation: meta(connection, RESERVATION)
            .ok()
            .flatten()
            .and_then(|text| parse(&text, &mut unreadable)),
        ..Remembered::default()
    }
}

/// Notes which stop the zones are complete for.
pub(super) fn set_stopped(connection: &Connection, mark: &str) -> Result<(), rusqlite::Error> {
    set_meta(connection, STOPPED, mark)
}

/// The stop that the zones are complete for, unless something was published since.
pub(super) fn stopped(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    meta(connection, STOPPED)
}

/// The configuration accepted last.
pub(super) fn accepted(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    meta(connection, ACCEPTED)
}

/// Puts another text in place of the accepted configuration, or none.
pub(super) fn replace_accepted(
    connection: &Connection,
    accepted: Option<&str>,
) -> Result<(), rusqlite::Error> {
    match accepted {
        Some(accepted) => set_meta(connection, ACCEPTED, accepted),
        None => connection
            .execute("DELETE FROM meta WHERE key = ?1", [ACCEPTED])
            .map(drop),
    }
}

/// Raises the reserved generation, so that nothing issued after a backup was made is issued again.
pub(super) fn skip_generations(connection: &Connection, by: u64) -> Result<(), rusqlite::Error> {
    let (remembered, _) = recall(connection)?;
    if let Some(mut reservation) = remembered.reservation {
        reservation.generation.0 = reservation.generation.0.saturating_add(by);
        set_meta(connection, RESERVATION, &json(&reservation)?)?;
    }
    Ok(())
}

fn insert(change: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
    let budget = entry.kind.budget();
    let decision = entry.decision.as_ref().map(json).transpose()?;
    let (kind, at) = (json(&entry.kind)?, entry.at.as_millis());
    let route = entry.route.as_ref().map(|route| route.as_str());
    let before: Option<(i64, i64, i64)> = match budget {
        Budget::Conditions | Budget::Challenges => change
            .prepare_cached(
                "SELECT id, times, coalesce(first, at) FROM
                     (SELECT * FROM entries WHERE budget = ?1 ORDER BY id DESC LIMIT ?2)
                 WHERE kind = ?3 AND text = ?4 AND route IS ?5 AND author IS ?6 AND why IS ?7
                     AND decision IS NULL AND abs(?8 - at) < ?9 LIMIT 1",
            )?
            .query_row(
                params![
                    budget as i64,
                    REPEATS_WITHIN,
                    kind,
                    entry.text,
                    route,
                    entry.author,
                    entry.why,
                    at,
                    DAY,
                ],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?,
        Budget::Routine | Budget::Changes => None,
    };
    if let Some((id, ..)) = before {
        change
            .prepare_cached("DELETE FROM entries WHERE id = ?1")?
            .execute([id])?;
    }
    let (times, first) = match before {
        Some((_, times, first)) => (times.saturating_add(1), Some(first)),
        None => (1, None),
    };
    change
        .prepare_cached(
            "INSERT INTO entries
                 (generation, at, route, kind, budget, text, author, why, decision, times, first)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            i64::try_from(entry.generation.0).unwrap_or(i64::MAX),
            at,
            route,
            kind,
            budget as i64,
            entry.text,
            entry.author,
            entry.why,
            decision,
            times,
            first,
        ])?;
    if change.last_insert_rowid() % TRIM_EVERY == 0 {
        for (budget, bounds) in (0..).zip(&BOUNDS) {
            trim(change, budget, bounds, at)?;
        }
    }
    Ok(())
}

fn trim(
    change: &Transaction<'_>,
    budget: i64,
    bounds: &Bounds,
    now: i64,
) -> Result<(), rusqlite::Error> {
    let nth = |n: i64| -> Result<Option<i64>, rusqlite::Error> {
        change
            .query_row(
                "SELECT id FROM entries WHERE budget = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2",
                params![budget, n],
                |row| row.get(0),
            )
            .optional()
    };
    if let Some(id) = nth(bounds.count)? {
        change.execute(
            "DELETE FROM entries WHERE budget = ?1 AND id <= ?2",
            params![budget, id],
        )?;
    }
    if let Some(id) = nth(KEPT_AT_LEAST)? {
        change.execute(
            "DELETE FROM entries WHERE budget = ?1 AND id <= ?2 AND at < ?3",
            params![budget, id, now - bounds.age],
        )?;
    }
    Ok(())
}

fn upsert(
    change: &Connection,
    table: &str,
    column: &str,
    key: &str,
    value: &str,
) -> Result<(), rusqlite::Error> {
    change
        .prepare_cached(&format!(
            "INSERT INTO {table} ({column}, value) VALUES (?1, ?2)
             ON CONFLICT ({column}) DO UPDATE SET value = excluded.value"
        ))?
        .execute([key, value])?;
    Ok(())
}

fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), rusqlite::Error> {
    upsert(connection, "meta", "key", key, value)
}

fn meta(connection: &Connection, key: &str) -> Result<Option<String>, rusqlite::Error> {
    connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()
}

fn values<T: DeserializeOwned>(
    connection: &Connection,
    query: &str,
    unreadable: &mut usize,
) -> Result<Vec<T>, rusqlite::Error> {
    let mut statement = connection.prepare(query)?;
    let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut values = Vec::new();
    for text in texts {
        values.extend(parse(&text?, unreadable));
    }
    Ok(values)
}

fn reachable<T: DeserializeOwned>(connection: &Connection, query: &str) -> Vec<T> {
    let Ok(mut statement) = connection.prepare(query) else {
        return Vec::new();
    };
    let Ok(texts) = statement.query_map([], |row| row.get::<_, String>(0)) else {
        return Vec::new();
    };
    // A page that cannot be read ends the walk: SQLite may give the same error for ever.
    texts
        .map_while(Result::ok)
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect()
}

fn parse<T: DeserializeOwned>(text: &str, unreadable: &mut usize) -> Option<T> {
    let value = serde_json::from_str(text).ok();
    *unreadable += usize::from(value.is_none());
    value
}

/// The types written here have no maps with keys JSON lacks; should one come, the commit fails with its reason.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
