//! Keys that outlived what was known of them: their files are there, the zone's row is lost, or older than they are.
//!
//! In: a zone without a row, or with one that the parent's DS does not fit; the keys at hand. Out: a row that signs with
//! them all, then, from what the parent says, one that stays. Never here: files.
//!
//! The zone is signed before the parent is heard. That is never worse than to serve it unsigned: a parent without a DS
//! makes either good, a DS of one of the keys makes signed answers the only good ones, and a DS of a key that is not at hand
//! neither. Of several keys, as within a roll, nobody knows which caches rely on; so all sign, and those that the parent
//! does not point at leave as after a roll.

use super::outlook::{Asking, Outlook};
use super::parent::ParentDs;
use super::row::{KeyRow, PublicKey, Stage, ZoneRow};
use super::step::{Due, outlook};
use crate::clock::Wall;
use crate::zone::Dnskey;

impl ZoneRow {
    /// The row of a zone of which nothing is known but its keys.
    pub fn adopting(mut self, keys: impl IntoIterator<Item = Dnskey>, now: Wall) -> ZoneRow {
        let keys = keys.into_iter().map(PublicKey);
        let rows = keys.map(|key| KeyRow::new(key, Stage::Published, now));
        self.keys.extend(rows);
        self
    }
}

/// The row of a zone whose parent points at none of its keys, but at one that is at hand: a backup from before a roll was
/// restored, or a lost key is back. None when there is nothing to mend, or nothing to mend it with.
///
/// Keys whose private half is not at hand are dropped: they cannot sign, and no DS points at them. The others stay as within
/// a roll of which nobody knows which caches rely on.
pub fn mend<'a>(
    row: &ZoneRow,
    at_hand: impl Fn(&Dnskey) -> bool,
    found: impl IntoIterator<Item = &'a Dnskey>,
    now: Wall,
) -> Option<ZoneRow> {
    let (parent, name) = (row.parent.as_ref()?, row.name());
    let pointed = |key: &Dnskey| parent.has_somewhere(key, &name);
    if row.keys.iter().any(|key| pointed(key.dnskey())) {
        return None;
    }
    let mut after = row.clone();
    after.keys.retain(|key| at_hand(key.dnskey()));
    // A server that does not answer may point at one of keys that can sign.
    if !parent.complete && !row.keys.is_empty() && after.keys.len() == row.keys.len() {
        return None;
    }
    let found = found.into_iter().filter(|key| {
        let free = after.key(key.tag()).is_none();
        free && key.is_secure_entry_point() && pointed(key)
    });
    let found: Vec<Dnskey> = found.cloned().collect();
    if found.is_empty() {
        return None;
    }
    for key in &mut after.keys {
        key.enter(Stage::Published, now);
    }
    Some(after.adopting(found, now))
}

/// Which of several adopted keys stays. None where nothing is to be decided: otherwise a zone never has several keys of
/// which none carries.
pub(super) fn settle(row: &ZoneRow, now: Wall) -> Option<Due> {
    let published = row.keys.iter().all(|key| key.stage == Stage::Published);
    if row.keys.len() < 2 || !published {
        return None;
    }
    let name = row.name();
    let pointed = |test: fn(&ParentDs, &Dnskey, &crate::zone::Name) -> bool| {
        let parent = row.parent.as_ref()?;
        let mut keys = row.keys.iter();
        keys.find(|key| test(parent, key.dnskey(), &name))
    };
    let complete = row.parent.as_ref().is_some_and(|parent| parent.complete);
    let stays = pointed(ParentDs::has_everywhere)
        .or_else(|| pointed(ParentDs::has_somewhere))
        .or_else(|| row.keys.first().filter(|_| complete));
    let Some(stays) = stays.map(KeyRow::tag) else {
        return Some(Due::Later(Outlook {
            look_at: None,
            ..outlook(
                Some("one of the keys found in the keys directory stays"),
                "word from the parent, which of them its DS points at",
                None,
                Asking::Often,
            )
        }));
    };
    let mut after = row.clone();
    for key in after.keys.iter_mut().filter(|key| key.tag() != stays) {
        key.enter(Stage::Leaving, now);
    }
    let what = format!("key {stays} stays; the others that were found are let go");
    Some(Due::Now(Box::new(after), Some(what)))
}
