//! Owners of the zones above, who have DS records put there and taken away; operators who roll keys.
//!
//! In: dice, what repoint advises, what a zone says of its keys. Out: what the parents' servers say; commands. They do as
//! told, at times of their own, and may always take every DS away. Never here: a DS that nobody was told to add.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use repoint::engine::{KeyChange, KeyVerb};
use repoint::keys::{Advice, Stage};
use repoint::zone::{Dnskey, SigningKey};

use super::*;
use crate::parents::DS_TTL;

impl Life {
    /// Something is done to a zone's parent, or to its servers.
    pub(super) fn tend_parents(&mut self) -> Result<(), String> {
        self.second_servers_follow()?;
        let engine = self.world.engine.as_ref().unwrap();
        let zones = engine.view(self.world.now()).zone_keys;
        let Some(zone) = zones.choose(&mut self.dice) else {
            return Ok(());
        };
        let apex = zone.zone.clone();
        let row = self.world.disk.keys.get(&apex).cloned();
        let key_of = |tag: &u16| row.as_ref()?.key(*tag).map(|key| key.dnskey().clone());
        match self.dice.random_range(0..20) {
            0..10 if zone.ds.advice == Advice::Now => {
                let mut wanted: Vec<Dnskey> = zone.ds.tags.iter().filter_map(key_of).collect();
                // Some add before they remove.
                if !wanted.is_empty() && self.dice.random_bool(0.3) {
                    let there = self.world.parents.pointed.get(&apex).into_iter().flatten();
                    let published = |key: &&Dnskey| {
                        let row = row.as_ref().and_then(|row| row.key(key.tag()));
                        row.is_some_and(|row| row.stage != Stage::Unpublished)
                    };
                    wanted.extend(there.filter(published).cloned());
                }
                self.point(&apex, wanted)?;
            }
            // RFC 7344: the parent looks by itself.
            10..14 => {
                if let Some(wanted) = self.cdnskey(&apex) {
                    self.point(&apex, wanted)?;
                }
            }
            14 if self.dice.random_bool(0.3) => self.point(&apex, Vec::new())?,
            15 => self.world.parents.half_silent ^= true,
            16 => self.world.parents.silent ^= true,
            _ => (self.world.parents.silent, self.world.parents.half_silent) = (false, false),
        }
        Ok(())
    }

    fn second_servers_follow(&mut self) -> Result<(), String> {
        let lagging: Vec<DomainName> = self.world.parents.lagging.keys().cloned().collect();
        for apex in lagging {
            if self.dice.random_bool(0.4) {
                self.world.parents.lagging.remove(&apex);
                self.pointed(&apex)?;
            }
        }
        Ok(())
    }

    /// The DS RRset of a zone is made to point at these keys: at one server at once, at the other maybe later.
    fn point(&mut self, apex: &DomainName, mut keys: Vec<Dnskey>) -> Result<(), String> {
        keys.sort();
        keys.dedup();
        if self.trace {
            let tags: Vec<u16> = keys.iter().map(Dnskey::tag).collect();
            self.say(&format!("the parent of {apex} has DS of {tags:?}"));
        }
        let parents = &mut self.world.parents;
        let before = parents.pointed.insert(apex.clone(), keys);
        if self.dice.random_bool(0.5) {
            let lagging = before.unwrap_or_default();
            parents.lagging.entry(apex.clone()).or_insert(lagging);
        }
        self.pointed(apex)
    }

    fn pointed(&mut self, apex: &DomainName) -> Result<(), String> {
        let sets = self.world.parents.sets(apex);
        let outside = &mut self.promises.outside;
        let broken = outside.pointed(apex, sets, DS_TTL, self.world.elapsed());
        self.or_broken(broken)
    }

    /// What a zone says its parent should have; none where it says nothing.
    fn cdnskey(&self, apex: &DomainName) -> Option<Vec<Dnskey>> {
        let zone = self.world.zones.zone(apex)?;
        let said = zone.apex_node().set(RecordType::CDNSKEY)?;
        // RFC 8078 §4: algorithm 0 asks for none at all.
        let keys = said.rdatas.iter().filter(|rdata| rdata.wire()[3] != 0);
        keys.map(|rdata| Dnskey::from_rdata(rdata.clone()))
            .collect()
    }

    /// An operator begins a roll, or lets go of a key.
    pub(super) fn change_keys(&mut self) {
        let engine = self.world.engine.as_ref().unwrap();
        let zones = engine.view(self.world.now()).zone_keys;
        let Some(zone) = zones.choose(&mut self.dice) else {
            return;
        };
        let apex = zone.zone.clone();
        let verb = match (zone.keys.is_empty(), self.dice.random_range(0..4)) {
            (false, 0) => {
                let tag = zone.keys.choose(&mut self.dice).unwrap().tag;
                let change = KeyChange::Retire { tag, force: false };
                return self.ask(Command::Keys { zone: apex, change });
            }
            (false, _) => KeyVerb::Roll,
            (true, 0..3) => KeyVerb::Generate,
            (true, _) => KeyVerb::Import,
        };
        let algorithms = self.words.0["algorithms"].clone();
        let algorithms: Vec<&str> = algorithms.split(',').collect();
        let algorithm = algorithms.choose(&mut self.dice).unwrap();
        let made: Result<Arc<SigningKey>, String> =
            self.world.make_key(&apex, algorithm.parse().unwrap());
        let Ok(key) = made else { return };
        let parents = self.world.parents.sets(&apex);
        let change = KeyChange::Begin {
            verb,
            key,
            new_file: true,
            parent_has_no_ds: parents.iter().all(|set| set.is_empty())
                && self.dice.random_bool(0.5),
        };
        self.ask(Command::Keys { zone: apex, change });
    }
}
