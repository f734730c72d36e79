//! Rows of zones that this process does not know yet, or has not served for a while.
//!
//! In: the files of keys, the version kept, a layout. Out: what a row begins from. Never here: what follows from a row (`keys`).

use super::core::Engine;
use super::event::Effect;
use super::record::EntryKind;
use crate::config::Configuration;
use crate::keys::{ParentDs, ZoneRow};
use crate::topology::DomainName;
use crate::zone::Name;

impl Engine {
    /// A zone comes back that an earlier configuration of this process had.
    pub(super) fn zone_returned(&mut self, apex: &DomainName) {
        if let Some(moment) = self.signing.moments.get_mut(apex) {
            moment.begin_again();
        }
        if let Some(row) = self.signing.rows.get_mut(apex) {
            row.returned(self.last.wall);
            if !row.is_blank() {
                self.journal.keys(row.clone());
            }
        }
    }

    /// What is to be said of signed zones that a configuration no longer has.
    pub(super) fn signed_zones_left(&self, configuration: &Configuration) -> Vec<String> {
        let rows = self.signing.rows.values().filter(|row| {
            let name = row.name();
            let left = self.layout.soa_ttl(&name).is_some()
                && configuration.layout.soa_ttl(&name).is_none()
                && configuration.topology.primary(&row.apex).is_none();
            // A zone above that is served here drops its DS with it.
            left && !row.keys.is_empty() && self.layout.vouches_for(&name).is_none()
        });
        let parents = rows.map(|row| (&row.apex, row.parent.as_ref()));
        let pointed = parents.filter(|(_, parent)| !parent.is_some_and(ParentDs::is_empty));
        let said = pointed.map(|(apex, parent)| {
            let has = match parent.filter(|parent| !parent.anywhere.is_empty()) {
                Some(parent) => format!("has a DS ({})", parent.tags()),
                None => "may have a DS".to_owned(),
            };
            format!(
                "zone {apex} is signed and would no longer be served, and its parent {has}: whoever serves it next needs the same keys, or \
                 the DS has to be removed first, with dnssec = false"
            )
        });
        said.collect()
    }

    /// Whether a zone cannot get another version as things are.
    pub(super) fn keeps_serial(&self, apex: &Name) -> bool {
        let mut faults = self.zones.faults().iter();
        self.signing.unsignable.contains(apex) || faults.any(|(zone, _)| zone == apex)
    }

    /// The row of a zone without keys is not stored for its TTLs: they are those of the version kept.
    pub(super) fn recall_ttl(&mut self, apex: &DomainName) {
        let row = self.signing.rows.get_mut(apex);
        if let Some(row) = row.filter(|row| row.keys.is_empty())
            && let Some(kept) = self.zones.zone(apex)
        {
            let (longest, followed) = (kept.longest_ttl(), kept.longest_ttl_followed());
            row.served_before(longest, followed, self.last.wall);
        }
    }

    /// A zone that nothing is known of, but for its keys should their files be there: a zone that ever had a key has a row.
    pub(super) fn row_without_memory(
        &mut self,
        apex: &DomainName,
        out: &mut Vec<Effect>,
    ) -> ZoneRow {
        let found = self.signing.ring.public(apex).cloned();
        let row = ZoneRow::new(apex.clone()).adopting(found, self.last.wall);
        if !row.keys.is_empty() {
            let tags: Vec<String> = row.keys.iter().map(|key| key.tag().to_string()).collect();
            let tags = tags.join(", ");
            let text = format!(
                "zone {apex}: nothing is known of its keys, and the files of {tags} are there: it is signed with them"
            );
            self.note(EntryKind::Keys, None, text.clone(), self.last);
            out.push(Effect::Log { warn: true, text });
            self.journal.keys(row.clone());
        }
        row
    }
}
