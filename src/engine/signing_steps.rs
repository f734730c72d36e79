//! Steps of zones' keys on their way: stored first, then served.
//!
//! In: rows that `keys` says are next. Out: a batch for the store, then new zones. Never here: when a step is due.

use std::time::Duration;

use super::core::{COMMAND_STORE_TIME, Engine, Triggers};
use super::event::{BatchToken, Effect, StoreFault};
use super::record::{Batch, Entry, EntryKind};
use super::signing::{PAUSE, Stepping, TakenStep};
use crate::clock::Now;
use crate::keys::ZoneRow;

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
            let apexes: Vec<_> = steps.iter().map(|step| step.row.apex.clone()).collect();
            self.take_rows(steps, now, out);
            self.take_waiting(&apexes, now, out);
            self.publish_keys(now, out);
            return true;
        }
        // Should the batch be committed after all, the rows in force follow it to the disk.
        self.signing.pause = Some(now.mono + PAUSE);
        for step in steps {
            let apex = step.row.apex;
            if let (Some(inbound), Err(fault)) = (self.inbound.get_mut(&apex), result) {
                inbound.keep_waiting(&fault.to_string());
            }
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

    /// Puts rows in force, each stored already.
    pub(super) fn take_rows(&mut self, steps: Vec<TakenStep>, now: Now, out: &mut Vec<Effect>) {
        let propagation = self.configuration.dnssec.propagation;
        for TakenStep { row, key, clock } in steps {
            let (apex, stored) = (row.apex.clone(), row.clone());
            let row = self.with_news(row, clock, propagation, now);
            if row != stored {
                // Also in place of the row before, should that have been stored for the same news behind this one.
                self.journal.keys(row.clone());
            }
            if let Some(key) = key {
                self.signing.ring.insert(apex.clone(), key);
            }
            let before = self.signing.rows.insert(apex.clone(), row);
            let row = &self.signing.rows[&apex];
            let before = before.iter().flat_map(|before| &before.keys);
            let gone = before
                .map(|key| key.tag())
                .filter(|tag| row.key(*tag).is_none());
            for tag in gone.collect::<Vec<_>>() {
                self.signing.ring.remove(&apex, tag);
                out.push(Effect::ForgetKey {
                    zone: apex.clone(),
                    tag,
                });
            }
            self.signing.look_at(&apex, now.mono);
        }
        self.refresh_keys();
        self.look_again();
    }

    /// A row that was stored, with what has come while it was.
    fn with_news(&self, mut row: ZoneRow, clock: i64, propagation: Duration, now: Now) -> ZoneRow {
        let set = self.signing.dating.offset() - clock;
        if set != 0 {
            row.clock_set(set);
        }
        if let Some(in_force) = self.signing.rows.get(&row.apex) {
            row.carry_over(in_force);
            if self.lower_ttl_is_everywhere(&row.apex) {
                row.forget_older(propagation, now.wall);
            }
        }
        row
    }

    /// Publishes zones with the keys in force, or with fresh signatures.
    pub(super) fn publish_keys(&mut self, now: Now, out: &mut Vec<Effect>) {
        let published = self.publish_anyway(&Triggers::new(), now, out);
        if published.out_of_numbers {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Mono, Wall};
    use crate::config;
    use crate::engine::numbers::Numbers;
    use crate::engine::{Command, Event, KeyChange, KeyVerb, Remembered, Request, RequestId};
    use crate::topology::DomainName;
    use crate::zone::{KeyAlgorithm, Serial, SigningKey};

    const CONFIGURATION: &str = r#"version = 1
[dns]
nameservers = [{ name = "ns1.example.net" }]
dnssec = true
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["192.0.2.10"]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["edgepool1"]
zones = "owners"
[[route.service]]
kind = "xmpp-server"
"#;

    fn at(seconds: i64) -> Now {
        Now {
            mono: Mono::from_micros(seconds * 1_000_000),
            wall: Wall::from_millis(1_795_219_200_000 + seconds * 1000),
        }
    }

    /// Commits what is to be stored until nothing is, and gives everything that was to be done.
    fn commit(engine: &mut Engine, effects: Vec<Effect>, now: Now) -> Vec<Effect> {
        let (mut waiting, mut done) = (effects, Vec::new());
        while !waiting.is_empty() {
            let tokens = waiting.iter().filter_map(|effect| match effect {
                Effect::Store { token, .. } => Some(*token),
                _ => None,
            });
            let tokens: Vec<BatchToken> = tokens.collect();
            done.append(&mut waiting);
            for token in tokens {
                let result = Ok(());
                waiting.extend(engine.handle(Event::Stored { token, result }, now));
            }
        }
        done
    }

    #[test]
    fn a_step_that_is_stored_when_numbers_have_run_out_is_served_when_there_are_some() {
        let mut none = |_: &std::path::Path| Err(io::Error::other("no files"));
        let configuration = config::parse(CONFIGURATION, "repoint.toml", &mut none).unwrap();
        let memory = Remembered::default();
        let (mut engine, effects) = Engine::new(Arc::new(configuration), memory, 1, at(0));
        commit(&mut engine, effects, at(0));
        let zone: DomainName = "_xmpp-server._tcp.contoso.com".parse().unwrap();
        let signed = |engine: &Engine| engine.zones.zone(&zone).unwrap().is_signed();

        let request = Request {
            id: RequestId(1),
            command: Command::Keys {
                zone: zone.clone(),
                change: KeyChange::Begin {
                    verb: KeyVerb::Generate,
                    key: Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap()),
                    parent_has_no_ds: true,
                    new_file: true,
                },
            },
            author: "ann".into(),
            why: None,
            dry_run: false,
            volatile: false,
            expected: None,
        };
        let effects = engine.handle(Event::Request(Box::new(request)), at(1));
        let reserved = engine.numbers.clone();
        let (used, wall) = (engine.numbers.used(at(1).wall), at(1).wall);
        engine.numbers = Numbers::after(used, Serial(1), wall);
        let token = effects.iter().find_map(|effect| match effect {
            Effect::Store { token, batch, .. } if !batch.keys.is_empty() => Some(*token),
            _ => None,
        });
        let (token, result) = (token.unwrap(), Ok(()));
        let effects = engine.handle(Event::Stored { token, result }, at(1));
        // It is stored: a refusal would have the file of its key removed.
        let replied = effects.iter().find_map(|effect| match effect {
            Effect::Reply { result, .. } => Some(result.clone()),
            _ => None,
        });
        let warnings = replied.unwrap().unwrap().warnings;
        assert!(warnings[0].contains("served later"), "{warnings:?}");
        assert!(!signed(&engine));

        engine.numbers = reserved;
        engine.handle(Event::Tick, at(10));
        assert!(signed(&engine));
    }
}
