//! The journal: what has happened and is not stored yet.
//!
//! In: rows and entries of automatic changes, which are published before they are stored; results of the
//! store. Out: one batch at a time for the store. Never here: a command's own batch, which is committed
//! before its change is published; but rows it replaces are dropped here, so that an old row that is tried
//! again can never overwrite a newer one.

use std::time::Duration;

use super::challenge::Challenge;
use super::event::BatchToken;
use super::record::{Batch, Budget, Entry, Reservation, StoredRoute};
use crate::clock::Mono;
use crate::decide::{Override, OverrideKey};
use crate::keys::ZoneRow;
use crate::topology::DomainName;

/// How many entries wait for a store that fails. Beyond it the oldest are dropped; rows never are.
const MOST_ENTRIES: usize = 10_000;

/// How long to wait after a failure before the store is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// Rows and entries on their way to the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    waiting: Batch,
    under_way: Option<(BatchToken, Batch)>,
    retry_at: Option<Mono>,
    /// Entries dropped because too many waited.
    pub(super) dropped: u64,
}

impl Journal {
    pub(super) fn entry(&mut self, entry: Entry) {
        self.waiting.entries.push(entry);
        self.bound();
    }

    pub(super) fn route(&mut self, row: StoredRoute) {
        self.waiting.routes.retain(|old| old.route != row.route);
        self.waiting.routes.push(row);
    }

    pub(super) fn set_override(&mut self, key: OverrideKey, value: Option<Override>) {
        self.waiting.overrides.retain(|(old, _)| *old != key);
        self.waiting.overrides.push((key, value));
    }

    pub(super) fn challenges(&mut self, name: DomainName, values: Vec<Challenge>) {
        self.waiting.challenges.retain(|(old, _)| *old != name);
        self.waiting.challenges.push((name, values));
    }

    pub(super) fn keys(&mut self, row: ZoneRow) {
        self.waiting.keys.retain(|old| old.apex != row.apex);
        self.waiting.keys.push(row);
    }

    pub(super) fn reserve(&mut self, reservation: Reservation) {
        self.waiting.reservation = Some(reservation);
    }

    pub(super) fn accepted(&mut self, sources: String) {
        self.waiting.accepted = Some(sources);
    }

    /// Whether a reservation is waiting or under way.
    pub(super) fn is_reserving(&self) -> bool {
        let under_way = self
            .under_way
            .as_ref()
            .is_some_and(|(_, batch)| batch.reservation.is_some());
        under_way || self.waiting.reservation.is_some()
    }

    /// A command's batch is about to be committed: what it replaces must not be tried again.
    pub(super) fn superseded_by(&mut self, batch: &Batch) {
        let under_way = self.under_way.as_mut().map(|(_, batch)| batch);
        for mine in [Some(&mut self.waiting), under_way].into_iter().flatten() {
            mine.overrides
                .retain(|(key, _)| batch.overrides.iter().all(|(new, _)| new != key));
            mine.routes
                .retain(|row| batch.routes.iter().all(|new| new.route != row.route));
            mine.challenges
                .retain(|(name, _)| batch.challenges.iter().all(|(new, _)| new != name));
            mine.keys
                .retain(|row| batch.keys.iter().all(|new| new.apex != row.apex));
        }
    }

    /// Whether rows that a command's batch names as well are waiting or under way.
    pub(super) fn touches(&self, batch: &Batch) -> bool {
        let under_way = self.under_way.as_ref().map(|(_, batch)| batch);
        [Some(&self.waiting), under_way]
            .into_iter()
            .flatten()
            .any(|mine| {
                let overrides = mine
                    .overrides
                    .iter()
                    .any(|(key, _)| batch.overrides.iter().any(|(new, _)| new == key));
                let routes = mine
                    .routes
                    .iter()
                    .any(|row| batch.routes.iter().any(|new| new.route == row.route));
                let challenges = mine
                    .challenges
                    .iter()
                    .any(|(name, _)| batch.challenges.iter().any(|(new, _)| new == name));
                let keys = mine
                    .keys
                    .iter()
                    .any(|row| batch.keys.iter().any(|new| new.apex == row.apex));
                overrides || routes || challenges || keys
            })
    }

    /// Whether the row of a zone's keys is waiting or under way.
    pub(super) fn has_keys_of(&self, zone: &DomainName) -> bool {
        let under_way = self.under_way.as_ref().map(|(_, batch)| batch);
        let batches = [Some(&self.waiting), under_way].into_iter().flatten();
        batches
            .flat_map(|batch| &batch.keys)
            .any(|row| row.apex == *zone)
    }

    /// The next batch, if the store is idle and there is something to store.
    pub(super) fn next(
        &mut self,
        token: impl FnOnce() -> BatchToken,
        now: Mono,
    ) -> Option<(BatchToken, Batch)> {
        if self.under_way.is_some()
            || self.waiting.is_empty()
            || self.retry_at.is_some_and(|at| at > now)
        {
            return None;
        }
        self.retry_at = None;
        let batch = std::mem::take(&mut self.waiting);
        let token = token();
        self.under_way = Some((token, batch.clone()));
        Some((token, batch))
    }

    /// Everything that waits, for a clean stop; what is under way is with the store already.
    pub(super) fn rest(&mut self) -> Option<Batch> {
        let rest = std::mem::take(&mut self.waiting);
        (!rest.is_empty()).then_some(rest)
    }

    /// Whether this token is the journal's; then the batch is done with. Returns the reservation committed.
    pub(super) fn stored(&mut self, token: BatchToken) -> Option<Option<Reservation>> {
        let (_, batch) = self.under_way.take_if(|(mine, _)| *mine == token)?;
        Some(batch.reservation)
    }

    /// The batch was not committed: it waits again, in front of what came since.
    pub(super) fn failed(&mut self, token: BatchToken, now: Mono) -> bool {
        let Some((_, batch)) = self.under_way.take_if(|(mine, _)| *mine == token) else {
            return false;
        };
        let newer = std::mem::replace(&mut self.waiting, batch);
        for (key, value) in newer.overrides {
            self.set_override(key, value);
        }
        for row in newer.routes {
            self.route(row);
        }
        for (name, values) in newer.challenges {
            self.challenges(name, values);
        }
        for row in newer.keys {
            self.keys(row);
        }
        if newer.reservation.is_some() {
            self.waiting.reservation = newer.reservation;
        }
        self.waiting.entries.extend(newer.entries);
        self.bound();
        self.retry_at = Some(now + RETRY);
        true
    }

    /// When to ask again after a failure.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.retry_at
            .filter(|_| self.under_way.is_none() && !self.waiting.is_empty())
    }

    fn bound(&mut self) {
        let entries = &mut self.waiting.entries;
        let over = entries.len().saturating_sub(MOST_ENTRIES);
        for _ in 0..over {
            // What changed answers, or what a person did, is the last to go.
            let mut each = entries.iter();
            let least = each.position(|entry| entry.kind.budget() != Budget::Changes);
            entries.remove(least.unwrap_or(0));
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::Wall;
    use crate::decide::Generation;
    use crate::engine::EntryKind;

    fn key() -> OverrideKey {
        OverrideKey::FreezeAll
    }

    fn entry(text: &str) -> Entry {
        Entry {
            generation: Generation(1),
            at: Wall::default(),
            route: None,
            kind: EntryKind::Start,
            text: text.into(),
            author: None,
            why: None,
            decision: None,
        }
    }

    #[test]
    fn a_failed_batch_is_tried_again_in_front_of_newer_entries() {
        let mut journal = Journal::default();
        journal.entry(entry("old"));
        let (token, _) = journal.next(|| BatchToken(1), Mono::START).unwrap();
        journal.entry(entry("new"));
        assert!(journal.failed(token, Mono::START));
        assert_eq!(journal.next(|| BatchToken(2), Mono::START), None);
        let (_, batch) = journal.next(|| BatchToken(2), Mono::START + RETRY).unwrap();
        let texts: Vec<_> = batch
            .entries
            .iter()
            .map(|entry| entry.text.as_str())
            .collect();
        assert_eq!(texts, ["old", "new"]);
    }

    #[test]
    fn an_old_row_that_is_tried_again_does_not_undo_a_command() {
        let mut journal = Journal::default();
        journal.set_override(key(), None);
        let (token, _) = journal.next(|| BatchToken(1), Mono::START).unwrap();
        let command = Batch {
            overrides: vec![(key(), None)],
            ..Batch::default()
        };
        journal.superseded_by(&command);
        assert!(journal.failed(token, Mono::START));
        assert_eq!(journal.next(|| BatchToken(2), Mono::START + RETRY), None);
    }

    fn route(home: &str) -> StoredRoute {
        StoredRoute {
            left: std::collections::BTreeMap::new(),
            departures: crate::decide::Departures::default(),
            route: "contoso".parse().unwrap(),
            decision: None,
            home: Some(home.parse().unwrap()),
            switches: Vec::new(),
            latched: None,
            proven: std::collections::BTreeSet::new(),
        }
    }

    fn zone(longest_ttl: u32) -> ZoneRow {
        ZoneRow {
            longest_ttl,
            ..ZoneRow::new("contoso.com".parse().unwrap())
        }
    }

    #[test]
    fn rows_that_came_since_a_failed_batch_take_the_place_of_its_own() {
        let mut journal = Journal::default();
        journal.route(route("edgepool1"));
        journal.keys(zone(30));
        let (token, _) = journal.next(|| BatchToken(1), Mono::START).unwrap();
        journal.route(route("edgepool2"));
        journal.keys(zone(60));
        assert!(journal.failed(token, Mono::START));
        let (_, batch) = journal.next(|| BatchToken(2), Mono::START + RETRY).unwrap();
        assert_eq!(batch.routes, [route("edgepool2")]);
        assert_eq!(batch.keys, [zone(60)]);
    }

    #[test]
    fn an_old_row_of_keys_that_is_tried_again_does_not_undo_a_step() {
        let mut journal = Journal::default();
        journal.keys(zone(30));
        let (token, _) = journal.next(|| BatchToken(1), Mono::START).unwrap();
        let step = Batch {
            keys: vec![zone(60)],
            ..Batch::default()
        };
        journal.superseded_by(&step);
        assert!(journal.failed(token, Mono::START));
        assert_eq!(journal.next(|| BatchToken(2), Mono::START + RETRY), None);
    }

    #[test]
    fn waiting_entries_are_bounded() {
        let mut journal = Journal::default();
        for _ in 0..MOST_ENTRIES + 5 {
            journal.entry(entry("x"));
        }
        assert_eq!(journal.dropped, 5);
        let mut switch = entry("switch");
        switch.kind = EntryKind::Switch;
        journal.entry(switch.clone());
        for _ in 0..MOST_ENTRIES + 5 {
            journal.entry(entry("x"));
        }
        assert!(journal.waiting.entries.contains(&switch), "others go first");
    }
}
