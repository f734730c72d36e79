//! The disk of the world: what the store holds, and what a process that begins finds.
//!
//! In: batches, zones to keep. Out: [`Remembered`]. Never here: when a batch reaches it, or whether.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use repoint::clock::Wall;
use repoint::decide::{Override, OverrideKey};
use repoint::engine::{
    Batch, Challenge, Entry, Keep, KeptInbound, Remembered, Reservation, StoredRoute,
};
use repoint::keys::{KeyRing, ZoneRow};
use repoint::topology::{DomainName, RouteName};
use repoint::zone::{Change, Name, OwnedRecord, Serial, ZoneVersion};

/// As in the store: what an orderly stop left behind counts for so long.
const MARK_COUNTS: Duration = Duration::from_secs(60);

/// What is on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) overrides: BTreeMap<OverrideKey, Override>,
    pub(crate) challenges: BTreeMap<DomainName, Vec<Challenge>>,
    pub(crate) routes: BTreeMap<RouteName, StoredRoute>,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) doubt: Option<String>,
    /// Zones as the store has them: a snapshot, and changes up to the version kept last.
    pub(crate) zones: BTreeMap<Name, KeptZone>,
    /// Nothing was published since that is not in `zones`.
    pub(crate) complete: bool,
    /// When the last zones were handed over.
    pub(crate) kept: Wall,
    pub(crate) inbound: Vec<KeptInbound>,
    pub(crate) keys: BTreeMap<DomainName, ZoneRow>,
    /// Files of private keys.
    pub(crate) ring: KeyRing,
}

/// A zone on the disk.
#[derive(Clone, Debug)]
pub(crate) struct KeptZone {
    serial: Serial,
    records: Vec<OwnedRecord>,
    changes: Vec<Arc<Change>>,
}

impl Disk {
    /// Keeps the first `count` zones: a process that is killed meanwhile gets no further.
    pub(crate) fn keep(&mut self, keep: &Keep, count: usize) {
        self.zones
            .retain(|apex, _| keep.zones.version_at(apex).is_some());
        for version in keep.zones.iter().take(count) {
            let changes = version.history().to_vec();
            let before = self.zones.get(version.apex());
            let reached = before.filter(|kept| {
                changes.iter().any(|change| change.from == kept.serial)
                    || kept.serial == version.serial()
            });
            let (serial, records) = match reached {
                Some(kept) => (kept.serial, kept.records.clone()),
                None => (
                    version.serial(),
                    version.records().map(Into::into).collect(),
                ),
            };
            let kept = KeptZone {
                serial,
                records,
                changes,
            };
            self.zones.insert(version.apex().clone(), kept);
        }
        if count >= keep.zones.len() {
            self.inbound = keep.inbound.clone();
            (self.complete, self.kept) = (keep.last, keep.at);
        }
    }

    pub(crate) fn commit(&mut self, batch: &Batch) {
        self.complete = false;
        for (key, value) in &batch.overrides {
            match value {
                Some(value) => self.overrides.insert(key.clone(), value.clone()),
                None => self.overrides.remove(key),
            };
        }
        for (name, values) in &batch.challenges {
            self.challenges.insert(name.clone(), values.clone());
        }
        for row in &batch.routes {
            self.routes.insert(row.route.clone(), row.clone());
        }
        for row in &batch.keys {
            self.keys.insert(row.apex.clone(), row.clone());
        }
        self.reservation = batch.reservation.or(self.reservation);
        self.entries.extend(batch.entries.iter().cloned());
        if batch.state_accepted {
            self.doubt = None;
        }
    }

    pub(crate) fn recall(&self, at: Wall) -> Remembered {
        let is_recent = at >= self.kept && at.since(self.kept) <= MARK_COUNTS;
        Remembered {
            overrides: self.overrides.values().cloned().collect(),
            challenges: self.challenges.values().flatten().cloned().collect(),
            routes: self.routes.values().cloned().collect(),
            reservation: self.reservation,
            zones: self
                .zones
                .iter()
                .map(|(apex, kept)| {
                    let (records, changes) = (kept.records.clone(), kept.changes.clone());
                    let version = ZoneVersion::replayed(apex, kept.serial, records, changes);
                    Arc::new(version.expect("what was kept is a version"))
                })
                .collect(),
            complete: self.complete && is_recent,
            inbound: self.inbound.clone(),
            doubt: self.doubt.clone(),
            keys: self.keys.values().cloned().collect(),
            ring: self.ring.clone(),
            ..Remembered::default()
        }
    }
}
