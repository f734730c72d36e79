//! Commits whose outcome is not known yet, and what is undone only once it is.
//!
//! The store may commit a batch after its deadline, and a batch that failed may come to light after a crash. The rows in
//! force are written behind it, and the file of a refused key is removed only after that: until then a crash may leave a
//! row that names the key.

use std::collections::BTreeMap;

use super::command::{Command, KeyChange, Request};
use super::core::Engine;
use super::event::{BatchToken, Effect};
use super::record::{Entry, EntryKind};
use crate::clock::Now;
use crate::topology::DomainName;

/// What has no outcome yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Late {
    commits: BTreeMap<BatchToken, LateCommit>,
    refused_keys: Vec<RefusedKey>,
}

/// A batch that the store has not finished by its deadline.
#[derive(Clone, Debug)]
enum LateCommit {
    /// Its command was refused; what it was to change.
    Refused(String),
    /// Its command is in force all the same, and this entry is in the batch.
    InForce(Box<Entry>),
}

/// A key whose command the store failed. Its file was written for that command.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RefusedKey {
    zone: DomainName,
    tag: u16,
    /// The batch that may still be committed.
    token: BatchToken,
}

impl Late {
    /// The file of this key waits to be removed.
    pub(super) fn has_key(&self, zone: &DomainName, tag: u16) -> bool {
        let mut keys = self.refused_keys.iter();
        keys.any(|key| key.zone == *zone && key.tag == tag)
    }

    /// A command was refused because of the store. `late`: its batch may still be committed.
    pub(super) fn refused(&mut self, token: BatchToken, request: &Request, text: &str, late: bool) {
        if late {
            let refused = LateCommit::Refused(text.to_owned());
            self.commits.insert(token, refused);
        }
        if let Command::Keys { zone, change } = &request.command
            && let KeyChange::Begin {
                key,
                new_file: true,
                ..
            } = change
        {
            self.refused_keys.push(RefusedKey {
                zone: zone.clone(),
                tag: key.tag(),
                token,
            });
        }
    }

    /// A command is in force although its batch has no outcome yet.
    pub(super) fn in_force(&mut self, token: BatchToken, entry: Entry) {
        let in_force = LateCommit::InForce(Box::new(entry));
        self.commits.insert(token, in_force);
    }
}

impl Engine {
    /// The outcome of a batch that was late, if the token is one's.
    pub(super) fn late_stored(&mut self, token: BatchToken, committed: bool, now: Now) -> bool {
        let Some(late) = self.late.commits.remove(&token) else {
            return false;
        };
        match (late, committed) {
            (LateCommit::Refused(change), true) => {
                let text = format!("refused because the store was too slow, and undone: {change}");
                self.note(EntryKind::Override, None, text, now);
            }
            (LateCommit::InForce(entry), false) => self.journal.entry(*entry),
            (LateCommit::Refused(_), false) | (LateCommit::InForce(_), true) => {}
        }
        true
    }

    /// Removes the files of refused keys that no row on the disk can name any more.
    pub(super) fn forget_refused_keys(&mut self, out: &mut Vec<Effect>) {
        if self.late.refused_keys.is_empty() {
            return;
        }
        let is_open = |key: &RefusedKey| {
            self.late.commits.contains_key(&key.token)
                || self.journal.has_keys_of(&key.zone)
                || self.is_storing_keys_of(&key.zone)
        };
        let (open, settled): (Vec<_>, Vec<_>) =
            self.late.refused_keys.iter().cloned().partition(is_open);
        self.late.refused_keys = open;
        for RefusedKey { zone, tag, .. } in settled {
            out.push(Effect::ForgetKey { zone, tag });
        }
    }
}
