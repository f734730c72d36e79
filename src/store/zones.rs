//! Kept zones: what is written of each version, and the versions read again.
//!
//! In: all zones as published. Out: rows, in slices that leave room for commands between them; at start the zones as
//! they were kept last. Never here: when to write.
//!
//! A zone is a snapshot of one of its versions and the changes of its history. A snapshot is written anew when the
//! history does not reach back to it any more, so a zone has at most about twice its own size on the disk.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::octets;
use crate::clock::Wall;
use crate::engine::{InboundCopy, Keep, KeptInbound};
use crate::topology::DomainName;
use crate::zone::{Cancellation, Name, Serial, StaticZone, ZoneVersion};

/// About how much one transaction writes, and how long it takes at most: a command may be waiting.
const SLICE: usize = 256 << 10;
const SLICE_TIME: Duration = Duration::from_millis(10);

/// What the database has, so that only what is new is written.
#[derive(Debug, Default)]
pub(super) struct Known {
    zones: HashMap<Name, KnownZone>,
    inbound: HashMap<Name, (i64, Arc<StaticZone>, Wall)>,
    next_snapshot: i64,
}

#[derive(Clone, Debug)]
struct KnownZone {
    snapshot: i64,
    of: Serial,
    /// Row, serial before, serial after; oldest first.
    changes: VecDeque<(i64, Serial, Serial)>,
}

impl KnownZone {
    fn serial(&self) -> Serial {
        self.changes.back().map_or(self.of, |(_, _, to)| *to)
    }
}

impl Known {
    /// Looks what the database has; removes what a process that was killed left unfinished.
    pub(super) fn load(connection: &Connection) -> Result<Known, rusqlite::Error> {
        connection.execute(
            "DELETE FROM snapshots WHERE snapshot NOT IN
                 (SELECT snapshot FROM zones UNION SELECT snapshot FROM inbound)",
            [],
        )?;
        let mut known = Known::default();
        let mut zones = connection.prepare("SELECT apex, serial, snapshot FROM zones")?;
        let mut rows = zones.query([])?;
        while let Some(row) = rows.next()? {
            let apex = Name::from_wire(&row.get::<_, Vec<u8>>(0)?);
            let zone = KnownZone {
                of: Serial(row.get(1)?),
                snapshot: row.get(2)?,
                changes: VecDeque::new(),
            };
            known.zones.extend(apex.ok().map(|apex| (apex, zone)));
        }
        let mut changes = connection
            .prepare("SELECT apex, id, from_serial, to_serial FROM zone_changes ORDER BY id")?;
        let mut rows = changes.query([])?;
        while let Some(row) = rows.next()? {
            let apex = Name::from_wire(&row.get::<_, Vec<u8>>(0)?);
            let zone = apex.ok().and_then(|apex| known.zones.get_mut(&apex));
            if let Some(zone) = zone {
                let (from, to) = (Serial(row.get(2)?), Serial(row.get(3)?));
                zone.changes.push_back((row.get(1)?, from, to));
            }
        }
        known.next_snapshot = connection.query_row(
            "SELECT coalesce(max(snapshot), 0) FROM snapshots",
            [],
            |row| row.get::<_, i64>(0),
        )? + 1;
        // What primaries sent is compared as a value, not by its serial; after a start it is written once.
        Ok(known)
    }
}

/// Keeping under way.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) keep: Keep,
    versions: VecDeque<Arc<ZoneVersion>>,
    inbound: VecDeque<KeptInbound>,
    begun: bool,
    /// A large snapshot, of which so many octets are written.
    large: Option<(i64, Vec<u8>, usize)>,
}

/// What a slice has changed, told to [`Known`] once it is committed.
enum Done {
    Zone(Name, KnownZone),
    Inbound(Name, (i64, Arc<StaticZone>, Wall)),
    Gone(Name),
    InboundGone(Name),
}

impl Work {
    pub(super) fn new(keep: Keep) -> Work {
        Work {
            versions: keep.zones.iter().cloned().collect(),
            inbound: keep.inbound.iter().cloned().collect(),
            keep,
            begun: false,
            large: None,
        }
    }

    /// Writes a slice. True when everything is written.
    pub(super) fn slice(
        &mut self,
        connection: &mut Connection,
        known: &mut Known,
    ) -> Result<bool, rusqlite::Error> {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let began = Instant::now();
        let mut written = 0;
        let mut done = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            self.remove_gone(&change, known, &mut done)?;
        }
        while written < SLICE
            && began.elapsed() < SLICE_TIME
            && let Some(version) = self.versions.front().cloned()
        {
            let Some(zone) = self.zone(&change, known, &version, &mut written)? else {
                break;
            };
            self.versions.pop_front();
            done.extend(zone.map(|zone| Done::Zone(version.apex().clone(), zone)));
        }
        while written < SLICE
            && began.elapsed() < SLICE_TIME
            && self.versions.is_empty()
            && let Some(kept) = self.inbound.front().cloned()
        {
            let Some(row) = self.received(&change, known, &kept, &mut written)? else {
                break;
            };
            self.inbound.pop_front();
            let apex = Name::from(&kept.copy.apex);
            done.extend(row.map(|row| Done::Inbound(apex, row)));
        }
        let finished = self.versions.is_empty() && self.inbound.is_empty();
        if written > 0 || !done.is_empty() {
            change.commit()?;
        }
        for done in done {
            match done {
                Done::Zone(apex, zone) => drop(known.zones.insert(apex, zone)),
                Done::Inbound(apex, row) => drop(known.inbound.insert(apex, row)),
                Done::Gone(apex) => drop(known.zones.remove(&apex)),
                Done::InboundGone(apex) => drop(known.inbound.remove(&apex)),
            }
        }
        Ok(finished)
    }

    fn remove_gone(
        &self,
        change: &Transaction<'_>,
        known: &Known,
        done: &mut Vec<Done>,
    ) -> Result<(), rusqlite::Error> {
        for (apex, zone) in &known.zones {
            if self.keep.zones.version_at(apex).is_none() {
                change.execute("DELETE FROM zone_changes WHERE apex = ?1", [apex.wire()])?;
                change.execute("DELETE FROM zones WHERE apex = ?1", [apex.wire()])?;
                remove_snapshot(change, zone.snapshot)?;
                done.push(Done::Gone(apex.clone()));
            }
        }
        let kept = |apex: &Name| {
            let mut inbound = self.keep.inbound.iter();
            inbound.any(|kept| Name::from(&kept.copy.apex) == *apex)
        };
        let mut rows = change.prepare("SELECT apex, snapshot FROM inbound")?;
        let rows = rows.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
        for row in rows {
            let (wire, snapshot) = row?;
            if let Ok(apex) = Name::from_wire(&wire)
                && !kept(&apex)
            {
                change.execute("DELETE FROM inbound WHERE apex = ?1", [&wire])?;
                remove_snapshot(change, snapshot)?;
                done.push(Done::InboundGone(apex));
            }
        }
        Ok(())
    }

    /// Writes what is new of one zone. None: only a part of it; some none: there was nothing new.
    #[allow(clippy::type_complexity)] // three answers, said above
    fn zone(
        &mut self,
        change: &Transaction<'_>,
        known: &mut Known,
        version: &ZoneVersion,
        written: &mut usize,
    ) -> Result<Option<Option<KnownZone>>, rusqlite::Error> {
        let apex = version.apex();
        let before = known.zones.get(apex).cloned();
        if before
            .as_ref()
            .is_some_and(|zone| zone.serial() == version.serial())
        {
            return Ok(Some(None));
        }
        let history = version.history();
        // Where our changes go on from those that are written, and whether they still reach the snapshot.
        let goes_on = before.as_ref().and_then(|zone| {
            let serial = zone.serial();
            history.iter().position(|change| change.from == serial)
        });
        let reaches = before
            .as_ref()
            .is_some_and(|zone| history.iter().any(|change| change.from == zone.of));
        let (snapshot, of) = match &before {
            Some(zone) if goes_on.is_some() && reaches => (zone.snapshot, zone.of),
            _ => {
                let encode = || {
                    let mut body = Vec::new();
                    version
                        .records()
                        .for_each(|record| octets::put(record, &mut body));
                    body
                };
                let Some(id) = self.snapshot(change, known, encode, written)? else {
                    return Ok(None);
                };
                (id, version.serial())
            }
        };
        let mut changes = before
            .as_ref()
            .map(|zone| zone.changes.clone())
            .unwrap_or_default();
        let oldest = history.first().map(|change| change.from);
        let superfluous = match changes
            .iter()
            .position(|(_, from, _)| Some(*from) == oldest)
        {
            _ if goes_on.is_none() => changes.len(),
            Some(place) => place,
            // All that is written is older than the history.
            None if goes_on == Some(0) => changes.len(),
            None => 0,
        };
        for (id, _, _) in changes.drain(..superfluous) {
            change
                .prepare_cached("DELETE FROM zone_changes WHERE id = ?1")?
                .execute([id])?;
        }
        for step in &history[goes_on.unwrap_or(0)..] {
            let body = octets::of_change(step);
            change
                .prepare_cached(
                    "INSERT INTO zone_changes (apex, from_serial, to_serial, body)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![apex.wire(), step.from.0, step.to.0, body])?;
            changes.push_back((change.last_insert_rowid(), step.from, step.to));
            *written += body.len();
        }
        if before.as_ref().is_none_or(|zone| zone.snapshot != snapshot) {
            change
                .prepare_cached(
                    "INSERT INTO zones (apex, serial, snapshot) VALUES (?1, ?2, ?3)
                     ON CONFLICT (apex) DO UPDATE SET serial = excluded.serial, snapshot = excluded.snapshot",
                )?
                .execute(params![apex.wire(), of.0, snapshot])?;
            if let Some(before) = before {
                remove_snapshot(change, before.snapshot)?;
            }
        }
        Ok(Some(Some(KnownZone {
            snapshot,
            of,
            changes,
        })))
    }

    /// Writes what a primary sent, if it is new. The answers are those of `zone`.
    #[allow(clippy::type_complexity)] // three answers, said there
    fn received(
        &mut self,
        change: &Transaction<'_>,
        known: &mut Known,
        kept: &KeptInbound,
        written: &mut usize,
    ) -> Result<Option<Option<(i64, Arc<StaticZone>, Wall)>>, rusqlite::Error> {
        let KeptInbound { copy, checked } = kept;
        let apex = Name::from(&copy.apex);
        let before = known.inbound.get(&apex).cloned();
        let same = before.filter(|(_, zone, _)| Arc::ptr_eq(zone, &copy.zone));
        if let Some((snapshot, zone, noted)) = same {
            if noted == *checked {
                return Ok(Some(None));
            }
            change
                .prepare_cached("UPDATE inbound SET checked = ?2 WHERE apex = ?1")?
                .execute(params![apex.wire(), checked.as_millis()])?;
            return Ok(Some(Some((snapshot, zone, *checked))));
        }
        let encode = || {
            let mut body = Vec::new();
            let records = copy.zone.owned_records();
            records.for_each(|record| octets::put(record.borrowed(), &mut body));
            body
        };
        let Some(snapshot) = self.snapshot(change, known, encode, written)? else {
            return Ok(None);
        };
        change.execute(
            "DELETE FROM snapshots WHERE snapshot = (SELECT snapshot FROM inbound WHERE apex = ?1)",
            [apex.wire()],
        )?;
        change.execute(
            "INSERT OR REPLACE INTO inbound (apex, snapshot, source, received, checked)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                apex.wire(),
                snapshot,
                copy.from.to_string(),
                copy.received.as_millis(),
                checked.as_millis()
            ],
        )?;
        Ok(Some(Some((snapshot, copy.zone.clone(), *checked))))
    }

    /// Writes a snapshot as far as there is room; its number once it is whole.
    fn snapshot(
        &mut self,
        change: &Transaction<'_>,
        known: &mut Known,
        encode: impl FnOnce() -> Vec<u8>,
        written: &mut usize,
    ) -> Result<Option<i64>, rusqlite::Error> {
        let (id, body, from) = self.large.take().unwrap_or_else(|| {
            known.next_snapshot += 1;
            (known.next_snapshot, encode(), 0)
        });
        let room = SLICE.saturating_sub(*written).max(1);
        // A small one is not cut for what little room is left.
        let to = if body.len() - from <= SLICE {
            body.len()
        } else {
            from + room
        };
        change
            .prepare_cached("INSERT INTO snapshots (snapshot, start, body) VALUES (?1, ?2, ?3)")?
            .execute(params![
                id,
                i64::try_from(from).unwrap_or(i64::MAX),
                &body[from..to]
            ])?;
        *written += to - from;
        if to < body.len() {
            self.large = Some((id, body, to));
            return Ok(None);
        }
        Ok(Some(id))
    }
}

fn remove_snapshot(change: &Transaction<'_>, snapshot: i64) -> Result<(), rusqlite::Error> {
    change
        .prepare_cached("DELETE FROM snapshots WHERE snapshot = ?1")?
        .execute([snapshot])?;
    Ok(())
}

/// What can be read of the zones kept last, and the apexes of those that cannot.
pub(super) struct Recalled {
    pub(super) zones: Vec<Arc<ZoneVersion>>,
    pub(super) inbound: Vec<KeptInbound>,
    pub(super) unreadable: Vec<Name>,
}

/// Reads all that is kept. A zone that cannot be read costs its secondaries a whole transfer, nothing else.
pub(super) fn recall(connection: &Connection) -> Result<Recalled, rusqlite::Error> {
    let mut bodies: HashMap<i64, Vec<u8>> = HashMap::new();
    let mut parts =
        connection.prepare("SELECT snapshot, body FROM snapshots ORDER BY snapshot, start")?;
    let mut rows = parts.query([])?;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(1)?.as_blob().unwrap_or_default();
        bodies.entry(row.get(0)?).or_default().extend(body);
    }
    let mut changes: HashMap<Name, Option<Vec<Arc<_>>>> = HashMap::new();
    let mut stored = connection
        .prepare("SELECT apex, from_serial, to_serial, body FROM zone_changes ORDER BY id")?;
    let mut rows = stored.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(apex) = Name::from_wire(row.get_ref(0)?.as_blob().unwrap_or_default()) else {
            continue;
        };
        let (from, to) = (Serial(row.get(1)?), Serial(row.get(2)?));
        let change = octets::change(from, to, row.get_ref(3)?.as_blob().unwrap_or_default());
        let list = changes.entry(apex).or_insert_with(|| Some(Vec::new()));
        match (list.as_mut(), change) {
            (Some(list), Some(change)) => list.push(Arc::new(change)),
            _ => *list = None,
        }
    }
    let mut recalled = Recalled {
        zones: Vec::new(),
        inbound: Vec::new(),
        unreadable: Vec::new(),
    };
    let mut zones = connection.prepare("SELECT apex, serial, snapshot FROM zones")?;
    let mut rows = zones.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(apex) = Name::from_wire(row.get_ref(0)?.as_blob().unwrap_or_default()) else {
            continue;
        };
        let body = bodies.remove(&row.get(2)?).unwrap_or_default();
        let list = changes.remove(&apex).unwrap_or_else(|| Some(Vec::new()));
        let serial = Serial(row.get(1)?);
        let version = list
            .and_then(|list| ZoneVersion::replayed(&apex, serial, octets::records(&body)?, list));
        match version {
            Some(version) => recalled.zones.push(Arc::new(version)),
            None => recalled.unreadable.push(apex),
        }
    }
    let mut inbound =
        connection.prepare("SELECT apex, snapshot, source, received, checked FROM inbound")?;
    let mut rows = inbound.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(apex) = Name::from_wire(row.get_ref(0)?.as_blob().unwrap_or_default()) else {
            continue;
        };
        let body = bodies.remove(&row.get(1)?).unwrap_or_default();
        let source: String = row.get(2)?;
        let (received, checked) = (row.get(3)?, row.get(4)?);
        let kept = received_again(&apex, &body, &source, received, checked);
        match kept {
            Some(kept) => recalled.inbound.push(kept),
            None => recalled.unreadable.push(apex),
        }
    }
    Ok(recalled)
}

fn received_again(
    apex: &Name,
    body: &[u8],
    source: &str,
    received: i64,
    checked: i64,
) -> Option<KeptInbound> {
    let apex: DomainName = apex.to_domain_name()?;
    let from = source.parse().ok()?;
    let said = format!("the zone from {source}");
    let zone = StaticZone::received(
        &apex,
        &said,
        octets::records(body)?,
        &Cancellation::default(),
    )
    .ok()?;
    Some(KeptInbound {
        copy: Arc::new(InboundCopy {
            apex,
            zone: Arc::new(zone),
            from,
            received: Wall::from_millis(received),
        }),
        checked: Wall::from_millis(checked),
    })
}
