//! Random lives of a zone: its server, secondaries that lag, a parent whose servers change one by one, an owner, an
//! operator, crashes and clocks.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use repoint::clock::Wall;
use repoint::keys::{
    Advice, Facts, ParentDs, Seen, Stage, Step, ZoneRow, begin, in_force, next, retire,
};
use repoint::zone::{KeyAlgorithm, Rdata, SigningKey};

use super::chain::{DsSet, Version};
use super::validator::Resolver;

/// Keys are made once: a life takes them in turn.
fn keys() -> &'static [Arc<SigningKey>] {
    static KEYS: OnceLock<Vec<Arc<SigningKey>>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let algorithms = [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519];
        let keys = (0..64).map(|n| Arc::new(SigningKey::generate(algorithms[n % 2]).unwrap()));
        let by_tag: BTreeMap<u16, Arc<SigningKey>> = keys.map(|key| (key.tag(), key)).collect();
        by_tag.into_values().collect()
    })
}

/// The first two have the zone from the server, which asks them what they have; the third has it from the second.
struct Secondary {
    has: Rc<Version>,
    number: u64,
    /// It has what its primary has by then, if that stays up.
    by: Option<u64>,
    /// It takes nothing over, for however long.
    frozen: bool,
    /// What the running process has heard that it has.
    heard: Option<u64>,
}

/// How many of them are asked.
const ASKED: usize = 2;

struct Life {
    random: StdRng,
    /// Seconds that have really passed.
    time: u64,
    /// What the server's clock shows beside it, in seconds.
    offset: i64,
    known_offset: i64,
    up: bool,
    row: ZoneRow,
    stored: ZoneRow,
    facts: Facts,
    served: Rc<Version>,
    /// Of the version served.
    number: u64,
    /// Since when a version is waited for, its number, and when every secondary was seen with it.
    carrier: Option<(Wall, u64, Option<Wall>)>,
    /// The version that lowered a TTL, until every secondary was seen with it.
    lowered: Option<u64>,
    secondaries: Vec<Secondary>,
    ds_ttl: u32,
    wanted_ds: Vec<Arc<SigningKey>>,
    parents: Vec<(Vec<Arc<SigningKey>>, u64)>,
    resolvers: Vec<Resolver>,
    used: usize,
    obedient: bool,
    quiet: bool,
    done: Vec<String>,
    completed: usize,
    lost: usize,
}

const PARENT_LAG: u64 = 8;

impl Life {
    fn new(seed: u64, obedient: bool) -> Life {
        let mut random = StdRng::seed_from_u64(seed);
        let propagation = random.random_range(10..40);
        let ttl = random.random_range(1..90);
        let served = Rc::new(Version {
            keys: Vec::new(),
            key_signers: Vec::new(),
            zone_signers: Vec::new(),
            ttl,
        });
        let mut row = ZoneRow::new("fed.contoso.com".parse().unwrap());
        row.serves(ttl, Wall::from_millis(0));
        let secondary = || Secondary {
            has: served.clone(),
            number: 0,
            by: None,
            frozen: false,
            heard: None,
        };
        Life {
            time: 1_000_000,
            offset: 0,
            known_offset: 0,
            up: true,
            stored: row.clone(),
            row,
            facts: Facts {
                wanted: true,
                algorithm: KeyAlgorithm::Ed25519,
                propagation: Duration::from_secs(propagation),
                seen: Seen::Missing(String::new()),
                held: None,
            },
            secondaries: vec![secondary(), secondary(), secondary()],
            served,
            number: 0,
            carrier: None,
            lowered: None,
            ds_ttl: random.random_range(5..120),
            wanted_ds: Vec::new(),
            parents: vec![(Vec::new(), 0); 3],
            resolvers: (0..12).map(|_| Resolver::default()).collect(),
            used: random.random_range(0..keys().len()),
            obedient,
            quiet: false,
            done: Vec::new(),
            completed: 0,
            lost: 0,
            random,
        }
    }

    fn wall(&self) -> Wall {
        let seconds = i64::try_from(self.time).unwrap() + self.offset;
        Wall::from_millis(seconds * 1000)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn key(&mut self) -> Arc<SigningKey> {
        loop {
            self.used = (self.used + 1) % keys().len();
            let key = keys()[self.used].clone();
            if self.row.key(key.tag()).is_none() {
                return key;
            }
        }
    }

    fn note(&mut self, what: String) {
        self.done.push(format!("{}: {what}", self.time));
    }

    fn step(&mut self) {
        self.time += self.random.random_range(1..6);
        self.parents_follow();
        self.secondaries_follow();
        if self.up {
            self.server();
        } else if self.chance(0.1) {
            self.start();
        }
        self.owner();
        self.validate();
    }

    fn server(&mut self) {
        if self.chance(0.002) {
            // Back or forth, by seconds or weeks.
            let size = [3, 600, 3_000_000]
                .choose(&mut self.random)
                .copied()
                .unwrap();
            self.offset += self.random.random_range(-size..=size);
        }
        if self.known_offset != self.offset {
            let by = (self.offset - self.known_offset) * 1000;
            self.known_offset = self.offset;
            self.row.clock_set(by);
            self.stored = self.row.clone();
            self.carrier = None;
        }
        if !self.quiet && self.chance(0.01) {
            self.facts.held = match self.facts.held {
                None => Some("route contoso is failing over".into()),
                Some(_) => None,
            };
        }
        if self.chance(0.3) {
            let parent = self.ask();
            self.row.heard(parent);
        }
        self.operator();
        for _ in 0..4 {
            self.see();
            match next(&self.row, &self.facts, self.wall()) {
                Step::Take { mut row, what } => {
                    if self.lowered.is_some() {
                        row.older = self.row.older;
                    }
                    if let Some(what) = what {
                        self.note(what);
                    }
                    if row.keys.len() < self.row.keys.len() {
                        self.completed += 1;
                    }
                    if !self.take(*row) {
                        return;
                    }
                }
                Step::Generate => {
                    let key = self.key();
                    let row = begin(
                        &self.row,
                        key.dnskey().clone(),
                        false,
                        &self.facts,
                        self.wall(),
                    );
                    self.note(format!("key {} generated", key.tag()));
                    if !self.take(row.unwrap()) {
                        return;
                    }
                }
                Step::Wait(_) => break,
            }
        }
        if self.chance(0.003) {
            self.crash();
        }
    }

    /// Commit, publish; a crash may come before, between and after.
    fn take(&mut self, row: ZoneRow) -> bool {
        if self.chance(0.02) {
            self.crash();
            return false;
        }
        self.stored = row.clone();
        if self.chance(0.02) {
            self.crash();
            return false;
        }
        self.row = row;
        self.publish();
        true
    }

    fn publish(&mut self) {
        let private = |public: &repoint::zone::Dnskey| {
            keys().iter().find(|key| key.dnskey() == public).cloned()
        };
        let keys = in_force(&self.row, self.row.longest_ttl, private).unwrap();
        let version = Version::of(&keys, keys.ttl);
        if *self.served == version {
            return;
        }
        self.served = Rc::new(version);
        self.number += 1;
    }

    /// Asks the secondaries what they have.
    fn see(&mut self) {
        let now = self.wall();
        for secondary in &mut self.secondaries[..ASKED] {
            if self.random.random_bool(0.5) {
                secondary.heard = Some(secondary.number);
            }
        }
        let heard = self.secondaries[..ASKED].iter().map(|one| one.heard);
        let everywhere = heard.min().flatten();
        let since = self.row.spreads_since();
        let known = self.carrier.filter(|(known, _, _)| Some(*known) == since);
        self.carrier = known.or(since.map(|since| (since, self.number, None)));
        let mut arrived = false;
        if let Some((_, number, seen @ None)) = &mut self.carrier
            && everywhere >= Some(*number)
        {
            *seen = Some(now);
            arrived = true;
        }
        self.facts.seen = match self.carrier {
            Some((_, number, None)) => Seen::Missing(format!("version {number}")),
            Some((_, _, Some(at))) => Seen::Everywhere(at),
            None => Seen::Everywhere(now),
        };
        if let Some(number) = self.lowered
            && (arrived || !self.row.waits_for_copies())
        {
            self.row.older_served_until(now);
            if everywhere >= Some(number) {
                self.lowered = None;
            }
        }
    }

    fn crash(&mut self) {
        self.note("crash".into());
        self.up = false;
    }

    fn start(&mut self) {
        self.note("start".into());
        self.up = true;
        // Nobody can tell a clock set forward while nothing ran from time that has passed.
        if self.chance(0.2) {
            self.offset -= self.random.random_range(0..100_000);
        }
        self.known_offset = self.offset;
        if self.chance(0.1) {
            self.lose_database();
        }
        self.row = self.stored.clone();
        self.row.begun_again(self.wall());
        self.publish();
        self.carrier = None;
        self.lowered = Some(self.number);
        for secondary in &mut self.secondaries[..ASKED] {
            (secondary.by, secondary.heard) = (None, None);
        }
    }

    /// Only the files of keys are left. Which of two algorithms was not in the DNSKEY RRset nobody knows then, nor that
    /// TTLs were longer.
    fn lose_database(&mut self) {
        let unknowable = |stage| matches!(stage, Stage::Presigning | Stage::Unpublished);
        let stored = &self.stored;
        if stored.older.is_some() || stored.keys.iter().any(|key| unknowable(key.stage)) {
            return;
        }
        let found = stored.keys.iter().map(|key| key.dnskey().clone());
        let mut row = ZoneRow::new(stored.apex.clone()).adopting(found, self.wall());
        row.serves(stored.longest_ttl, self.wall());
        self.lost += usize::from(!row.keys.is_empty());
        self.stored = row;
        self.note("the database is lost".into());
    }

    fn operator(&mut self) {
        if self.quiet {
            return;
        }
        if self.chance(0.002) {
            self.facts.wanted = !self.facts.wanted;
            self.note(format!("wanted: {}", self.facts.wanted));
        }
        if self.chance(0.004) {
            let key = self.key();
            let begun = begin(
                &self.row,
                key.dnskey().clone(),
                false,
                &self.facts,
                self.wall(),
            );
            if let Ok(row) = begun {
                self.note(format!("roll to {}", key.tag()));
                self.take(row);
            }
        }
        if self.up && self.chance(0.002) {
            let tags: Vec<u16> = self.row.keys.iter().map(|key| key.tag()).collect();
            if let Some(tag) = tags.choose(&mut self.random).copied()
                && let Ok(row) = retire(&self.row, tag, self.wall())
            {
                self.note(format!("retire {tag}"));
                self.take(row);
            }
        }
        if self.up && self.chance(0.003) {
            let ttl = self.random.random_range(1..90);
            let mut row = self.row.clone();
            row.serves(ttl, self.wall());
            if self.take(row) {
                self.lowered = Some(self.number);
            }
        }
    }

    fn ask(&mut self) -> ParentDs {
        let zone = self.row.name();
        let mut sets = Vec::new();
        for (set, _) in &self.parents {
            let answers = self.random.random_bool(0.9);
            let rdatas: Vec<Rdata> = set.iter().map(|key| key.dnskey().ds(&zone)).collect();
            sets.push(answers.then_some(rdatas));
        }
        let servers = sets
            .iter()
            .map(|set| set.as_ref().map(|set| (&set[..], self.ds_ttl)));
        ParentDs::of(self.wall(), servers)
    }

    fn owner(&mut self) {
        if !self.obedient && self.chance(0.01) {
            let some = self.random.random_range(0..3);
            self.wanted_ds = (0..some)
                .map(|_| keys().choose(&mut self.random).unwrap().clone())
                .collect();
        }
        if self.chance(0.001) {
            self.wanted_ds = Vec::new();
            self.note("owner removes every DS".into());
        }
        if !self.up || !self.chance(0.05) {
            return;
        }
        let said = self.row.ds_advice(&self.facts);
        if said.advice != Advice::Now {
            return;
        }
        let of_tag = |tag: &u16| keys().iter().find(|key| key.tag() == *tag).unwrap().clone();
        let mut wanted: Vec<_> = said.tags.iter().map(of_tag).collect();
        // Some add before they remove.
        if !wanted.is_empty() && self.chance(0.3) {
            let there = self.wanted_ds.iter();
            let published = |key: &&Arc<SigningKey>| {
                self.row
                    .key(key.tag())
                    .is_some_and(|row| row.stage != Stage::Unpublished)
            };
            wanted.extend(there.filter(published).cloned());
            wanted.sort_by_key(|key| key.tag());
            wanted.dedup_by_key(|key| key.tag());
        }
        let tags: Vec<u16> = wanted.iter().map(|key| key.tag()).collect();
        self.note(format!("owner wants DS of {tags:?}"));
        self.wanted_ds = wanted;
    }

    fn parents_follow(&mut self) {
        for at in 0..self.parents.len() {
            let tags =
                |set: &[Arc<SigningKey>]| -> Vec<u16> { set.iter().map(|key| key.tag()).collect() };
            if tags(&self.parents[at].0) == tags(&self.wanted_ds) {
                self.parents[at].1 = self.time + PARENT_LAG;
            } else if self.parents[at].1 <= self.time || self.chance(0.2) {
                self.parents[at].0 = self.wanted_ds.clone();
            }
        }
    }

    fn secondaries_follow(&mut self) {
        for at in 0..self.secondaries.len() {
            let asked = at < ASKED;
            let (has, number) = if asked {
                (self.served.clone(), self.number)
            } else {
                (self.secondaries[1].has.clone(), self.secondaries[1].number)
            };
            let thaws = self.quiet || self.chance(0.02);
            let freezes = asked && !self.quiet && self.chance(0.002);
            let early = self.chance(0.1);
            let by = self.time + self.facts.propagation.as_secs() - 1;
            let secondary = &mut self.secondaries[at];
            secondary.frozen = (secondary.frozen && !thaws) || freezes;
            if secondary.number == number {
                secondary.by = None;
            } else if !secondary.frozen && (self.up || !asked) {
                // One that lags already does not get more time for each version that it misses.
                let by = *secondary.by.get_or_insert(by);
                if by <= self.time || early {
                    (secondary.has, secondary.number, secondary.by) = (has, number, None);
                }
            }
        }
    }

    fn validate(&mut self) {
        let parents: Vec<DsSet> = self
            .parents
            .iter()
            .map(|(set, _)| {
                set.iter()
                    .map(|key| (key.tag(), key.dnskey().algorithm()))
                    .collect()
            })
            .collect();
        let mut servers: Vec<_> = self.secondaries.iter().map(|one| one.has.clone()).collect();
        if self.up {
            servers.push(self.served.clone());
        }
        let ttl = self.ds_ttl;
        for resolver in &mut self.resolvers {
            resolver.live(
                self.time,
                &mut self.random,
                |random| (parents.choose(random).unwrap().clone(), ttl),
                |random| servers.choose(random).cloned(),
            );
        }
    }

    fn complaint(&self) -> Option<String> {
        self.resolvers.iter().find_map(Resolver::complaint)
    }
}

fn seeds() -> impl Iterator<Item = u64> {
    let one = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let lives = std::env::var("LIVES").map_or(12, |lives| lives.parse().unwrap());
    one.map_or(0..lives, |seed: u64| seed..seed + 1)
}

#[test]
fn no_answer_is_ever_bogus_for_an_owner_who_does_as_told() {
    let (mut completed, mut lost) = (0, 0);
    for seed in seeds() {
        let mut life = Life::new(seed, true);
        for _ in 0..6_000 {
            life.step();
            if let Some(complaint) = life.complaint() {
                let last = life.done.iter().rev().take(25).rev();
                let story: Vec<_> = last.map(String::as_str).collect();
                panic!(
                    "SEED={seed} time {}: {complaint}\n{}\n{:?}",
                    life.time,
                    story.join("\n"),
                    life.row
                );
            }
        }
        completed += life.completed;
        lost += life.lost;
    }
    assert!(
        std::env::var("SEED").is_ok() || (completed > 20 && lost > 3),
        "only {completed} keys came to their end, and {lost} databases were lost"
    );
}

#[test]
fn an_owner_who_does_what_was_refused_gets_out_of_it_again() {
    for seed in seeds() {
        let mut life = Life::new(seed, false);
        for _ in 0..4_000 {
            life.step();
        }
        // From here on the owner does as told, and nobody begins anything.
        life.obedient = true;
        life.quiet = true;
        life.facts.wanted = true;
        life.facts.held = None;
        let mut bogus_at = 0;
        for turn in 0..4_000 {
            life.step();
            if life.complaint().is_some() {
                bogus_at = turn;
            }
        }
        assert!(
            bogus_at < 3_000,
            "SEED={seed}: still bogus after {bogus_at} turns: {:?}",
            life.row
        );
    }
}
