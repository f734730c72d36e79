//! Longer TTLs: what caches may keep longer than before is stored before it is served.
//!
//! In: layouts on their way into force, what primaries send. Out: rows to be stored first. Never here: how long keys wait for
//! old copies (`keys`).
//!
//! A step of keys waits until caches have forgotten older answers. A process that is killed right behind a publication has
//! not stored how long that is, and the next one, with shorter TTLs, would not wait long enough.

use std::collections::BTreeMap;

use super::core::Engine;
use super::event::Effect;
use super::inbound::Waiting;
use super::signing::TakenStep;
use crate::clock::Now;
use crate::config::Configuration;
use crate::keys::ZoneRow;
use crate::topology::DomainName;
use crate::zone::{Layout, Name};

impl Engine {
    /// The rows that have to be stored before a layout of a configuration is served.
    pub(super) fn rows_before_serving(
        &self,
        configuration: &Configuration,
        layout: &Layout,
    ) -> Vec<TakenStep> {
        // A step on its way to the store is there first: the row must not take it back.
        let stepping = self.signing.stepping.iter();
        let stepping: BTreeMap<_, _> = stepping
            .flat_map(|stepping| &stepping.steps)
            .map(|step| (&step.row.apex, &step.row))
            .collect();
        let rows = self.signing.rows.values();
        let rows = rows.map(|row| stepping.get(&row.apex).copied().unwrap_or(row));
        let rows = rows.filter_map(|row| row_before_serving(row, configuration, layout));
        rows.map(|row| self.step_to(row)).collect()
    }

    /// Puts the TTLs of stored rows in force. What else is in the rows in force may be newer, so they are stored again.
    pub(super) fn take_longer_ttls(&mut self, rows: &[TakenStep]) {
        for TakenStep { row: stored, .. } in rows {
            if let Some(row) = self.signing.rows.get_mut(&stored.apex) {
                row.coming_ttl = row.coming_ttl.max(stored.coming_ttl);
                self.journal.keys(row.clone());
            }
        }
    }

    /// The rows of a start. They are stored with the first numbers, and so before anything is served.
    pub(super) fn store_longer_ttls(&mut self) {
        let (configuration, layout) = (self.configuration.clone(), self.layout.clone());
        for TakenStep { row, .. } in self.rows_before_serving(&configuration, &layout) {
            self.journal.keys(row.clone());
            self.signing.rows.insert(row.apex.clone(), row);
        }
    }

    /// Whether a version that a primary has sent has to wait for the store. A process without a store has nothing to wait for.
    pub(super) fn waits_for_row(&self, apex: &DomainName, layout: &Layout) -> bool {
        let row = self.signing.rows.get(apex);
        let first = row.and_then(|row| row_before_serving(row, &self.configuration, layout));
        first.is_some() && !self.numbers.is_leaning()
    }

    /// Whether a version that a primary has sent waits for the store.
    pub(super) fn waits_to_be_served(&self, apex: &DomainName) -> bool {
        let inbound = self.inbound.get(apex);
        inbound.is_some_and(|inbound| inbound.waiting().is_some())
    }

    /// What has to be stored before it is served; none when everything is.
    pub(super) fn step_before_serving(&self, apex: &DomainName) -> Option<TakenStep> {
        let waiting = self.inbound.get(apex)?.waiting()?;
        let row = self.signing.rows.get(apex)?;
        let row = row_before_serving(row, &self.configuration, &waiting.layout)?;
        Some(self.step_to(row))
    }

    /// Puts versions in force that have waited for rows of these zones.
    pub(super) fn take_waiting(&mut self, apexes: &[DomainName], now: Now, out: &mut Vec<Effect>) {
        for apex in apexes {
            let inbound = self.inbound.get_mut(apex);
            if let Some(Waiting { from, zone, .. }) = inbound.and_then(|inbound| inbound.admit()) {
                self.take_received(apex.clone(), from, zone, now, out);
            }
        }
    }

    /// What to do about a reload that was refused because rows could not be stored.
    pub(super) fn longer_ttls_hint(&self, rows: &[TakenStep]) -> String {
        let first = rows.first().map(|step| &step.row);
        let zone = first.map_or(String::new(), |row| row.apex.to_string());
        let ttl = first.map_or(0, |row| row.coming_ttl);
        format!(
            "fix the state directory; or leave the TTLs of signed zones as they are until then (zone {zone} would have one of {ttl} s, which has to \
             be stored first, also with --volatile)"
        )
    }

    fn step_to(&self, row: ZoneRow) -> TakenStep {
        let (key, clock) = (None, self.signing.dating.offset());
        TakenStep { row, key, clock }
    }
}

fn row_before_serving(
    row: &ZoneRow,
    configuration: &Configuration,
    layout: &Layout,
) -> Option<ZoneRow> {
    let apex: Name = row.name();
    let routes = layout.routes_of(&apex);
    let steered = routes.filter_map(|name| configuration.topology.routes.get(name));
    let steered = steered.map(|route| route.ttl).max();
    let longest = layout.longest_static_ttl(&apex)?;
    row.before_serving(longest.max(steered.unwrap_or(0)))
}
