//! Steps of zones' keys on their way: stored first, then served.
//!
//! In: rows that `keys` says are next. Out: a batch for the store, then new zones. Never here: when a step is due.

use super::core::{COMMAND_STORE_TIME, Engine, Triggers};
use super::event::{BatchToken, Effect, StoreFault};
use super::record::{Batch, Entry, EntryKind};
use super::signing::{PAUSE, Stepping, TakenStep};
use crate::clock::Now;

impl Engine {
    /// Has steps stored; they count when they are.
    pub(super) fn store_steps(
        &mut self,
        steps: Vec<TakenStep>,
        said: Vec<String>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let entries = said.into_iter().map(|text| Entry {
            generation: self.numbers.generation(),
            at: now.wall,
            route: None,
            kind: EntryKind::Keys,
            text,
            author: None,
            why: None,
            decision: None,
        });
        let batch = Batch {
            keys: steps.iter().map(|step| step.row.clone()).collect(),
            entries: entries.collect(),
            ..Batch::default()
        };
        self.journal.superseded_by(&batch);
        let token = self.token();
        for entry in &batch.entries {
            out.push(Effect::Log {
                warn: false,
                text: entry.text.clone(),
            });
        }
        out.push(Effect::Store {
            token,
            batch: Box::new(batch),
            within: Some(COMMAND_STORE_TIME),
        });
        self.signing.stepping = Some(Stepping { token, steps });
    }

    /// The result of a batch of steps, if the token is one.
    pub(super) fn steps_stored(
        &mut self,
        token: BatchToken,
        result: &Result<(), StoreFault>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> bool {
        let stepping = &mut self.signing.stepping;
        let Some(Stepping { steps, .. }) = stepping.take_if(|stepping| stepping.token == token)
        else {
            return false;
        };
        if result.is_ok() {
            self.take_rows(steps, now, out);
            self.publish_keys(now, out);
            return true;
        }
        // Should the batch be committed after all, the rows in force follow it to the disk.
        self.signing.pause = Some(now.mono + PAUSE);
        for step in steps {
            let apex = step.row.apex;
            if let Some(row) = self.signing.rows.get(&apex) {
                self.journal.keys(row.clone());
            }
            if let Some(key) = step.key {
                self.signing.made_again(&apex, key);
            }
            self.signing.look_at(&apex, now.mono);
        }
        true
    }

    /// Publishes zones with the keys in force, or with fresh signatures.
    pub(super) fn publish_keys(&mut self, now: Now, out: &mut Vec<Effect>) {
        let published = self.publish_anyway(&Triggers::new(), now, out);
        if published.out_of_numbers && !self.signing.unpublished {
            // What is served later counts from later.
            self.signing.pause = Some(now.mono + PAUSE);
        }
        if self.signing.unpublished && !published.out_of_numbers {
            for row in self.signing.rows.values_mut() {
                row.begun_again(now.wall);
            }
        }
        self.signing.unpublished = published.out_of_numbers;
        self.signing.changed = false;
        if !self.zones.faults().is_empty() {
            // Its signatures are still due: it is tried again, not at once.
            self.signing.pause = Some(now.mono + PAUSE);
        }
    }
}
