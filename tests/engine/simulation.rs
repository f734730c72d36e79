//! A million random events: failures, commands, restarts, crashes between any two effects, clock steps, dead disks
//! and reloads, with every promise of `docs/architecture.md` checked after each (`promises`).
//!
//! In: a seed. Out: nothing, or the first broken promise with the command that replays it. `SIM_SEED` replays one life
//! (`SIM_SEED=random` tries seeds nobody has tried), `SIM_EVENTS` sets how many events are run in all, `SIM_TRACE=1`
//! prints what is done to the world. Never here: a check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use repoint::decide::OverrideKey;
use repoint::engine::{Command, Lifetime};
use repoint::topology::{PoolName, RouteName};

use crate::network::Behaviour;
use crate::promises::Promises;
use crate::setup::{self, Words};
use crate::world::{Happened, StoreMood, World};

/// Events of one life: long enough for hours of failures, short enough to replay.
const LIFE: u64 = 20_000;

const EVENTS: u64 = 1_000_000;

#[test]
fn a_million_random_events_break_no_promise() {
    let one = std::env::var("SIM_SEED").ok();
    let first = match one.as_deref() {
        Some("random") => rand::random::<u32>().into(),
        Some(seed) => {
            let seed = seed.parse().expect("SIM_SEED is a number or `random`");
            let events = number("SIM_EVENTS").unwrap_or(LIFE);
            if let Err(broken) = life(seed, events) {
                panic!("seed {seed}: {broken}");
            }
            return;
        }
        None => 1,
    };
    let events = number("SIM_EVENTS").unwrap_or(EVENTS);
    let lives = events.div_ceil(LIFE);
    let began = Instant::now();
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let broken = std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= lives {
                    return None;
                }
                match life(first + number, LIFE) {
                    Ok(events) => done.fetch_add(events, Ordering::Relaxed),
                    Err(broken) => {
                        next.store(lives, Ordering::Relaxed);
                        return Some((first + number, broken));
                    }
                };
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .find_map(|worker| worker.join().unwrap())
    });
    if let Some((seed, broken)) = broken {
        panic!(
            "seed {seed}: {broken}\nreplay it: SIM_SEED={seed} SIM_TRACE=1 cargo test --test engine a_million"
        );
    }
    let (done, took) = (done.into_inner(), began.elapsed());
    println!(
        "{done} events in {took:.1?}, seeds {first} to {}",
        first + lives - 1
    );
    assert!(done >= events, "only {done} events were run");
}

#[test]
fn the_same_events_give_the_same_zones_byte_for_byte() {
    for seed in 1..=6 {
        let mut life = Life::new(seed);
        life.world.recordings = Some(Vec::new());
        let world = life.live(3_000).unwrap();
        let recordings = world.recordings.unwrap();
        let published: usize = recordings
            .into_iter()
            .map(|recording| recording.replay())
            .sum();
        assert!(published > 0, "seed {seed} published nothing");
    }
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// One world from its beginning to its end.
fn life(seed: u64, events: u64) -> Result<u64, String> {
    let run = AssertUnwindSafe(|| Life::new(seed).run(events));
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

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
    /// Time between two acts, at most.
    calm: Duration,
}

struct Life {
    dice: SmallRng,
    temper: Temper,
    words: Words,
    world: World,
    promises: Promises,
    trace: bool,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut dice = SmallRng::seed_from_u64(seed);
        let words = random_words(&mut dice);
        let configuration = setup::configuration(&words).unwrap();
        let mut some = |most: u32| {
            if dice.random_bool(0.3) {
                0
            } else {
                dice.random_range(1..=most)
            }
        };
        let temper = Temper {
            network: 20 + some(40),
            uplink: some(15),
            commands: some(40),
            crashes: some(15),
            clock: some(4),
            store: some(20),
            reloads: some(6),
            calm: Duration::from_secs([5, 30, 120, 600][dice.random_range(0..4)]),
        };
        let trace = std::env::var_os("SIM_TRACE").is_some();
        if trace {
            println!("{}\n{temper:?}", setup::text(&words));
        }
        Life {
            world: World::new(configuration.clone(), seed),
            promises: Promises::new(configuration),
            dice,
            temper,
            words,
            trace,
        }
    }

    fn run(self, events: u64) -> Result<u64, String> {
        Ok(self.live(events)?.events)
    }

    fn live(mut self, events: u64) -> Result<World, String> {
        self.start()?;
        while self.world.events < events {
            self.act()?;
            let pause = match self.dice.random_range(0..10) {
                0..3 => Duration::from_millis(self.dice.random_range(0..400)),
                3..9 => self.temper.calm.mul_f64(self.dice.random_range(0.0..1.0)),
                _ => Duration::from_secs(self.dice.random_range(60..3600)),
            };
            self.pass(pause)?;
        }
        Ok(self.world)
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.world.elapsed() + time;
        while let Some(happened) = self.world.step(until) {
            self.check(&happened)?;
        }
        Ok(())
    }

    fn check(&mut self, happened: &[Happened]) -> Result<(), String> {
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
            ..
        } = self.temper;
        let all = network + uplink + commands + crashes + clock + store + reloads;
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
        } else {
            self.reload();
        }
        Ok(())
    }

    fn change_network(&mut self) {
        use Behaviour as B;
        const SOME: [Behaviour; 22] = [
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Refused,
            B::Refused,
            B::Silent,
            B::Silent,
            B::Dropped,
            B::Closed,
            B::HostUnknown,
            B::TlsGarbage,
            B::LegacyTls,
            B::Slow,
            B::LocalFailure,
            B::WrongName,
            B::Unreachable,
            B::OneIn(3),
        ];
        let behaviour = *SOME.choose(&mut self.dice).unwrap();
        let topology = &self.promises.in_force.topology;
        let pools: Vec<_> = topology.pools.values().collect();
        let pool = *pools.choose(&mut self.dice).unwrap();
        let mut addresses: Vec<_> = pool
            .targets
            .iter()
            .flat_map(|t| t.addresses.iter().map(|a| a.probe))
            .collect();
        let mut service = None;
        if self.dice.random_bool(0.3) {
            addresses = vec![*addresses.choose(&mut self.dice).unwrap()];
        }
        if self.dice.random_bool(0.2) {
            let routes: Vec<_> = topology.routes.values().collect();
            let route = routes.choose(&mut self.dice).unwrap();
            service = route
                .services
                .choose(&mut self.dice)
                .map(|service| service.kind);
        }
        if self.trace {
            self.say(&format!(
                "{} {addresses:?} {service:?} is {behaviour:?}",
                pool.name
            ));
        }
        for address in addresses {
            self.world.network.set(address, service, behaviour);
        }
        self.note_truth();
    }

    fn change_uplink(&mut self) {
        let network = &mut self.world.network;
        match self.dice.random_range(0..3) {
            0 => network.cut = !network.cut,
            1 => network.canaries_silent = !network.canaries_silent,
            _ => (network.cut, network.canaries_silent) = (false, false),
        }
        if self.trace {
            let network = &self.world.network;
            self.say(&format!(
                "uplink cut {}, canaries silent {}",
                network.cut, network.canaries_silent
            ));
        }
        self.note_truth();
    }

    fn note_truth(&mut self) {
        let now = self.world.elapsed();
        self.promises
            .truth
            .note(&self.world.network, &self.promises.in_force, now);
    }

    fn crash(&mut self) -> Result<(), String> {
        if self.dice.random_bool(0.1) {
            self.world.disk.doubt = Some("the state was restored from a backup".into());
        }
        if self.dice.random_bool(0.4) {
            let effects = self.dice.random_range(0..12);
            if self.trace {
                self.say(&format!("to be killed after {effects} effects"));
            }
            self.world.kill_after = Some(effects);
            return Ok(());
        }
        if self.dice.random_bool(0.3) {
            let happened = self.world.stop();
            if self.trace {
                self.say("stop");
            }
            self.check(&happened)?;
        } else {
            if self.trace {
                self.say("kill");
            }
            self.world.kill();
        }
        self.promises.process_ends();
        Ok(())
    }

    fn step_clock(&mut self) {
        let seconds = self.dice.random_range(-6 * 3600..6 * 3600_i64);
        if self.trace {
            self.say(&format!("the clock is set by {seconds} s"));
        }
        self.world.wall_off += seconds * 1000;
        self.promises.clock_stepped();
    }

    fn change_store(&mut self) {
        let mood = match self.dice.random_range(0..10) {
            0..5 => StoreMood::Well,
            5 => StoreMood::Slow(Duration::from_millis(self.dice.random_range(1..190))),
            6 => StoreMood::Slow(Duration::from_millis(self.dice.random_range(190..3000))),
            7 => StoreMood::Failing,
            8 => StoreMood::Hung,
            _ => StoreMood::Dead,
        };
        if self.trace {
            self.say(&format!("store {mood:?}"));
        }
        self.world.store(mood);
    }

    fn reload(&mut self) {
        for _ in 0..self.dice.random_range(1..3) {
            mutate(&mut self.words, &mut self.dice);
        }
        let Ok(configuration) = setup::configuration(&self.words) else {
            return;
        };
        self.world.configuration = configuration.clone();
        let command = Command::Reload {
            configuration,
            allow_removal: self.dice.random_bool(0.5),
        };
        self.ask(command);
    }

    fn command(&mut self) {
        let topology = self.promises.in_force.topology.clone();
        let routes: Vec<RouteName> = topology.routes.keys().cloned().collect();
        let pools: Vec<PoolName> = topology.pools.keys().cloned().collect();
        let route = routes.choose(&mut self.dice).unwrap().clone();
        let pool = pools.choose(&mut self.dice).unwrap().clone();
        let target = topology.pools[&pool]
            .targets
            .choose(&mut self.dice)
            .unwrap()
            .name
            .clone();
        let key = match self.dice.random_range(0..10) {
            0..3 => OverrideKey::Pin {
                route: route.clone(),
            },
            3..6 => OverrideKey::DrainPool { pool: pool.clone() },
            6..8 => OverrideKey::DrainTarget {
                pool: pool.clone(),
                target,
            },
            8 => OverrideKey::FreezeRoute {
                route: route.clone(),
            },
            _ => OverrideKey::FreezeAll,
        };
        let command = match self.dice.random_range(0..12) {
            0..4 => Command::SetOverride {
                pool: matches!(key, OverrideKey::Pin { .. }).then(|| pool.clone()),
                never: matches!(key, OverrideKey::DrainPool { .. }) && self.dice.random_bool(0.3),
                key,
                lifetime: match self.dice.random_range(0..10) {
                    0 => Lifetime::Forever,
                    1..4 => Lifetime::For(Duration::from_secs(self.dice.random_range(1..60))),
                    _ => Lifetime::For(Duration::from_secs(self.dice.random_range(60..3600))),
                },
                force: self.dice.random_bool(0.5),
            },
            4..8 => {
                let engine = self.world.engine.as_ref().unwrap();
                let set = engine.view(self.world.now()).overrides;
                let key = set
                    .choose(&mut self.dice)
                    .map_or(key, |value| value.key.clone());
                Command::EndOverride { key }
            }
            8 => Command::EndOverride {
                key: OverrideKey::FreezeRoute { route },
            },
            9 => Command::Failback { route },
            10 if self.dice.random_bool(0.3) => Command::AcceptState,
            _ => Command::Failover {
                route,
                to: self.dice.random_bool(0.5).then_some(pool),
            },
        };
        self.ask(command);
    }

    fn ask(&mut self, command: Command) {
        self.ask_once(command.clone());
        // An operator who is refused, or two of them, ask again before the first is answered.
        if self.dice.random_bool(0.1) {
            self.ask_once(command.clone());
        }
        if let (Command::SetOverride { key, .. }, true) = (command, self.dice.random_bool(0.1)) {
            self.ask_once(Command::EndOverride { key });
        }
    }

    fn ask_once(&mut self, command: Command) {
        let (dry_run, volatile) = (self.dice.random_bool(0.05), self.dice.random_bool(0.15));
        if self.trace {
            self.say(&format!(
                "asks: {} (dry run {dry_run}, volatile {volatile})",
                command.describe()
            ));
        }
        let why = self.dice.random_bool(0.5).then_some("because");
        let id = self
            .world
            .request(command.clone(), "alice", why, dry_run, volatile);
        self.promises.asks(id, command, dry_run, &self.world);
    }
}

fn random_words(dice: &mut SmallRng) -> Words {
    let mut words = Words::default();
    let mut set = |key: &str, value: String| words.0.insert(key.to_owned(), value);
    let one = |dice: &mut SmallRng, of: &[&str]| (*of.choose(dice).unwrap()).to_owned();
    set("targets", one(dice, &["1", "1", "2", "3"]));
    set("routes", one(dice, &["1", "1", "2"]));
    set("crossed", one(dice, &["yes", "no"]));
    set("v6", one(dice, &["no", "no", "yes"]));
    set("canaries", one(dice, &["0", "1", "2", "2", "2"]));
    set(
        "services",
        one(
            dice,
            &["xmpp-server", "xmpp-server", "xmpp-server,xmpps-server"],
        ),
    );
    set("optional", one(dice, &["", "xmpps-server"]));
    set("mode", one(dice, &["order", "order", "withdraw"]));
    let (interval, timeout) = *[("2s", "1s"), ("5s", "2s"), ("10s", "3s")]
        .choose(dice)
        .unwrap();
    set("interval", interval.into());
    set("timeout", timeout.into());
    set("retry", one(dice, &["500ms", "1s", "2s"]));
    set("fall", one(dice, &["1", "2", "3", "4"]));
    set("min_fault", one(dice, &["0s", "3s", "10s"]));
    let (rise, steady) = *[("2", "2"), ("4", "3"), ("6", "5")].choose(dice).unwrap();
    set("rise", rise.into());
    set("steady", steady.into());
    words
        .0
        .insert("pools".into(), one(dice, &["2", "2", "3", "4"]));
    for _ in 0..8 {
        mutate(&mut words, dice);
    }
    words
}

/// What a reload may change.
fn mutate(words: &mut Words, dice: &mut SmallRng) {
    let one = |dice: &mut SmallRng, of: &[&str]| (*of.choose(dice).unwrap()).to_owned();
    let (key, value) = match dice.random_range(0..11) {
        0 => (
            "failover",
            one(dice, &["auto", "auto", "auto", "auto", "ask", "observe"]),
        ),
        1 => ("failback", one(dice, &["auto", "manual"])),
        2 => ("hold_down", one(dice, &["20s", "2m", "10m"])),
        3 => ("max_switches", one(dice, &["1", "2", "4", "6"])),
        4 => ("ttl", one(dice, &["30s", "60s"])),
        5 => ("order", {
            let mut pools = vec!["edgepool1", "edgepool2", "edgepool3", "edgepool4"];
            let count = dice.random_range(2..=4);
            rand::seq::SliceRandom::shuffle(pools.as_mut_slice(), dice);
            pools.truncate(count);
            pools.join(",")
        }),
        6 => (
            "edge1",
            one(dice, &["192.0.2.10", "192.0.2.77", "192.0.2.78"]),
        ),
        7 => ("v6", one(dice, &["no", "yes"])),
        8 => ("routes", one(dice, &["1", "2"])),
        9 => ("targets", one(dice, &["1", "2"])),
        _ => ("mode", one(dice, &["order", "withdraw"])),
    };
    words.0.insert(key.to_owned(), value);
}
