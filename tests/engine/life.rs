//! One life of a world, at random: time passes, and now and then something is done to it.
//!
//! In: a seed. Out: what was lived through, or the first broken promise. What can be done has a file for each who does it:
//! the machine and its network (`trouble`), operators (`commands`), owners of parent zones (`owners`), primaries
//! (`senders`). Never here: a check.

mod commands;
mod owners;
mod senders;
mod trouble;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use repoint::decide::OverrideKey;
use repoint::engine::{Command, Lifetime};
use repoint::topology::{DomainName, PoolName, RouteName};

use crate::promises::Promises;
use crate::setup::{self, Words};
use crate::world::{Happened, World};

use senders::Sender;

/// How rough a life is: how often each kind of trouble comes.
#[derive(Debug)]
struct Temper {
    network: u32,
    uplink: u32,
    commands: u32,
    crashes: u32,
    clock: u32,
    store: u32,
    reloads: u32,
    owners: u32,
    senders: u32,
    /// Time between two acts, at most.
    calm: Duration,
}

/// What a life was full of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lived {
    pub(crate) events: u64,
    pub(crate) publications: u64,
    /// Keys that came to their end.
    pub(crate) keys: u64,
    /// Large zones signed beside the engine.
    pub(crate) drafts: u64,
    /// Versions that primaries sent.
    pub(crate) sent: u64,
    pub(crate) kills: u64,
    /// Kills between a publication and the disk.
    pub(crate) untold: u64,
}

impl Lived {
    pub(crate) fn add(&mut self, other: Lived) {
        self.events += other.events;
        self.publications += other.publications;
        self.keys += other.keys;
        self.sent += other.sent;
        self.kills += other.kills;
        self.drafts += other.drafts;
        self.untold += other.untold;
    }
}

/// One life.
pub(crate) struct Life {
    dice: SmallRng,
    temper: Temper,
    words: Words,
    pub(crate) world: World,
    promises: Promises,
    senders: BTreeMap<DomainName, Sender>,
    lived: Lived,
    /// How many events it has.
    length: u64,
    trace: bool,
}

impl Life {
    /// A life of so many events.
    pub(crate) fn new(seed: u64, length: u64) -> Life {
        Life::of(seed, length, &["ed25519", "ecdsap256sha256"])
    }

    /// One that publishes the same octets whenever it is lived.
    pub(crate) fn repeatable(seed: u64, length: u64) -> Life {
        Life::of(seed, length, &["ed25519"])
    }

    fn of(seed: u64, length: u64, algorithms: &[&str]) -> Life {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut words = words::random(&mut dice);
        words.0.insert("algorithms".into(), algorithms.join(","));
        let configuration = setup::configuration(&words).unwrap();
        let mut some = |most: u32| {
            if dice.random_bool(0.3) {
                0
            } else {
                dice.random_range(1..=most)
            }
        };
        let mut temper = Temper {
            network: 5 + some(40),
            uplink: some(15),
            commands: some(40),
            crashes: 3 + some(15),
            clock: some(4),
            store: some(20),
            reloads: some(6),
            owners: 20 + some(80),
            senders: 10 + some(20),
            calm: Duration::from_secs([5, 30, 120, 600][dice.random_range(0..4)]),
        };
        if dice.random_bool(0.3) {
            // Where nothing fails for long, keys come to their end.
            temper = Temper {
                network: 2,
                uplink: 0,
                store: 1,
                reloads: 2,
                commands: temper.commands + 10,
                clock: temper.clock + 4,
                owners: 80,
                calm: Duration::from_secs(120),
                ..temper
            };
        }
        let trace = std::env::var_os("SIM_TRACE").is_some();
        if trace {
            println!("{}\n{temper:?}", setup::text(&words));
        }
        let mut world = World::new(configuration.clone(), seed);
        world.drafts_take = Duration::from_millis(dice.random_range(1..1500));
        Life {
            world,
            promises: Promises::new(configuration),
            dice,
            temper,
            words,
            senders: BTreeMap::new(),
            lived: Lived::default(),
            length,
            trace,
        }
    }

    /// Lives it.
    ///
    /// # Errors
    /// The first broken promise.
    pub(crate) fn live(&mut self) -> Result<Lived, String> {
        self.start()?;
        while self.world.events < self.length {
            self.act()?;
            // Most of what happens is that probes succeed: time passes, but not many events of it between two acts.
            let (pause, most) = match self.dice.random_range(0..40) {
                0..12 => (Duration::from_millis(self.dice.random_range(0..400)), 30),
                12..35 => (
                    self.temper.calm.mul_f64(self.dice.random_range(0.0..1.0)),
                    60,
                ),
                35..39 => (Duration::from_secs(self.dice.random_range(60..3600)), 150),
                _ => (
                    Duration::from_secs(self.dice.random_range(600..20_000)),
                    1500,
                ),
            };
            self.pass(pause, most)?;
        }
        self.lived.events = self.world.events;
        self.lived.keys = self.world.keys_forgotten;
        self.lived.drafts = self.world.drafted;
        Ok(self.lived)
    }

    /// Lets time pass, but not more than so many events.
    fn pass(&mut self, time: Duration, most: u64) -> Result<(), String> {
        let until = self.world.elapsed() + time;
        let last = self.length.min(self.world.events + most);
        while self.world.events < last {
            let Some(happened) = self.world.step(until) else {
                break;
            };
            self.check(&happened)?;
        }
        Ok(())
    }

    fn check(&mut self, happened: &[Happened]) -> Result<(), String> {
        let published = |what: &&Happened| matches!(what, Happened::Published(_));
        self.lived.publications += happened.iter().filter(published).count() as u64;
        let killed = |what: &Happened| matches!(what, Happened::Killed);
        if happened.iter().any(killed) {
            self.lived.kills += 1;
            self.lived.untold += u64::from(happened.iter().any(|what| published(&what)));
        }
        if self.trace {
            for what in happened {
                match what {
                    Happened::Log(text) => self.say(text),
                    Happened::Replied(_, Ok(done)) => {
                        self.say(&format!("done, volatile {}", done.volatile));
                    }
                    Happened::Replied(_, Err(refusal)) => self.say(&format!("refused: {refusal}")),
                    Happened::Killed => self.say("killed"),
                    Happened::Published(zones) => {
                        self.say(&format!("published {}", zones.generation()));
                    }
                    Happened::Committed(_) | Happened::Alarm(..) => {}
                }
            }
        }
        let reload = happened
            .iter()
            .any(|what| matches!(what, Happened::Replied(..)));
        let broken = self.promises.check(&self.world, happened);
        if reload && self.world.engine.is_some() {
            // A refused file is put back, as a careful operator would.
            self.world.configuration = self.promises.in_force.clone();
        }
        self.or_broken(broken)
    }

    fn or_broken(&self, broken: Result<(), String>) -> Result<(), String> {
        broken.map_err(|broken| {
            let (at, events) = (self.world.elapsed(), self.world.events);
            format!("{broken}\nafter {events} events, at {at:?}")
        })
    }

    fn say(&self, text: &str) {
        println!("{:>14.3?} {text}", self.world.elapsed().as_secs_f64());
    }

    fn start(&mut self) -> Result<(), String> {
        if self.trace {
            self.say("start");
        }
        self.promises.process_begins(&self.world);
        self.senders_forgotten();
        let happened = self.world.start();
        self.check(&happened)
    }

    /// Something is done to the world.
    fn act(&mut self) -> Result<(), String> {
        if self.world.engine.is_none() {
            return self.start();
        }
        let Temper {
            network,
            uplink,
            commands,
            crashes,
            clock,
            store,
            reloads,
            owners,
            senders,
            ..
        } = self.temper;
        let machine = network + uplink + crashes + clock + store;
        let all = machine + commands + reloads + owners + senders;
        let mut pick = self.dice.random_range(0..all);
        let mut chosen = |weight: u32| {
            let hit = pick < weight;
            pick = pick.wrapping_sub(weight);
            hit
        };
        if chosen(network) {
            self.change_network();
        } else if chosen(uplink) {
            self.change_uplink();
        } else if chosen(commands) {
            self.command();
        } else if chosen(crashes) {
            return self.crash();
        } else if chosen(clock) {
            self.step_clock();
        } else if chosen(store) {
            self.change_store();
        } else if chosen(owners) {
            return self.tend_parents();
        } else if chosen(senders) {
            self.send();
        } else {
            self.reload();
        }
        Ok(())
    }

    fn note_truth(&mut self) {
        let now = self.world.elapsed();
        self.promises
            .truth
            .note(&self.world.network, &self.promises.in_force, now);
    }
}
