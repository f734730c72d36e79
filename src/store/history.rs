//! History: journal entries as operators ask for them.
//!
//! In: a filter. Out: entries, oldest first. Reads by a connection of its own, so a long look at history never
//! holds up a commit. Never here: formatting.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};
use serde::{Deserialize, Serialize};

use super::rows::json;
use crate::clock::Wall;
use crate::decide::Generation;
use crate::engine::{Entry, EntryKind};
use crate::topology::RouteName;

/// A bound for one question, whatever `limit` says: about 20 MB.
const MOST: usize = 10_000;

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryFilter {
    /// Only what is about this route, or about all routes.
    pub route: Option<RouteName>,
    /// Nothing before this moment.
    pub since: Option<Wall>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<EntryKind>,
    /// The newest so many of what is left.
    pub limit: usize,
}

impl Default for HistoryFilter {
    fn default() -> HistoryFilter {
        HistoryFilter {
            route: None,
            since: None,
            kinds: Vec::new(),
            limit: 100,
        }
    }
}

/// Why history cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the history: {why}\nanswers and automatic changes are not affected")]
pub struct HistoryError {
    why: String,
}

impl HistoryError {
    /// Why, without what and what stays in force.
    pub fn why(&self) -> &str {
        &self.why
    }

    pub(crate) fn new(why: String) -> HistoryError {
        HistoryError { why }
    }
}

impl From<rusqlite::Error> for HistoryError {
    fn from(error: rusqlite::Error) -> HistoryError {
        HistoryError::new(error.to_string())
    }
}

/// Asks the database at `path`.
pub(super) fn query(path: &Path, filter: &HistoryFilter) -> Result<Vec<Entry>, HistoryError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let kinds: Vec<String> = filter.kinds.iter().map(json).collect::<Result<_, _>>()?;
    let mut statement = connection.prepare(
        "SELECT generation, at, route, kind, text, author, why, decision, times, first FROM entries
         WHERE (?1 IS NULL OR route = ?1 OR route IS NULL)
           AND (?2 IS NULL OR at >= ?2)
           AND (?3 = '[]' OR kind IN (SELECT value FROM json_each(?3)))
         ORDER BY id DESC LIMIT ?4",
    )?;
    let entries = statement.query_and_then(
        rusqlite::params![
            filter.route.as_ref().map(|route| route.as_str()),
            filter.since.map(Wall::as_millis),
            json(&kinds)?,
            i64::try_from(filter.limit.min(MOST)).unwrap_or(i64::MAX),
        ],
        entry,
    )?;
    let mut entries: Vec<Entry> = entries.collect::<Result<_, HistoryError>>()?;
    entries.reverse();
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<Entry, HistoryError> {
    let generation: i64 = row.get(0)?;
    let route: Option<String> = row.get(2)?;
    let kind: String = row.get(3)?;
    let decision: Option<String> = row.get(7)?;
    let (times, first): (i64, Option<i64>) = (row.get(8)?, row.get(9)?);
    let text: String = row.get(4)?;
    let text = match first.filter(|_| times > 1) {
        Some(first) => format!("{text} ({times} times since {})", Wall::from_millis(first)),
        None => text,
    };
    Ok(Entry {
        generation: Generation(u64::try_from(generation).unwrap_or(0)),
        at: Wall::from_millis(row.get(1)?),
        route: match route {
            Some(route) => Some(route.parse().map_err(unreadable)?),
            None => None,
        },
        kind: serde_json::from_str(&kind).map_err(unreadable)?,
        text,
        author: row.get(5)?,
        why: row.get(6)?,
        // A decision a later version wrote differently is left out rather than the whole history.
        decision: decision.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

fn unreadable(error: impl std::fmt::Display) -> HistoryError {
    HistoryError::new(format!("an entry does not parse: {error}"))
}
