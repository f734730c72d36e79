//! Rows of zones that this process does not know yet, or has not served for a while.
//!
//! In: the files of keys, the version kept, a layout. Out: what a row begins from. Never here: what follows from a row (`keys`).

use super::core::Engine;
use super::event::Effect;
use super::record::EntryKind;
use crate::keys::ZoneRow;
use crate::topology::DomainName;

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
