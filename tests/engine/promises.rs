//! The invariants of `docs/architecture.md`, checked after every event against what partners see and what is true.
//!
//! In: what happened, the world around the engine, the ground truth. Out: the first broken promise, in words. It
//! works out everything anew from published zones, replies, commits and the network; of the engine's own thinking
//! only verdicts are taken (health has its own tests), and the reasons it journals. Never here: deciding.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use repoint::config::Configuration;
use repoint::decide::{OverrideKey, Reason};
use repoint::engine::{
    AlarmKind, Command, EntryKind, Lifetime, RequestId, RouteView, STORE_FAILING, View,
};
use repoint::health::Verdict;
use repoint::topology::{DomainName, FailoverPolicy, PoolName, Route, RouteName};
use repoint::zone::{Name, Serial, ZoneVersion, Zones};

use crate::outside::Outside;
use crate::served::{Records, Served, served};
use crate::truth::Truth;
use crate::world::{Happened, World};

/// The time in which automatic switches count.
const HOUR: Duration = Duration::from_secs(3600);

/// A failure may be remembered for this long before it helps to bring a pool down.
const MEMORY: Duration = Duration::from_secs(20 * 60);

/// Faults shorter than this are within the reach of one probe and one canary attempt.
const HAIR_TRIGGER: Duration = Duration::from_secs(10);

/// An answer to a command comes within this, whatever the store does.
const ANSWER: Duration = Duration::from_secs(10);

/// What an acknowledged override says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Will {
    pool: Option<PoolName>,
    never: bool,
    until: Option<i64>,
}

/// What is known of the override of one key.
#[derive(Clone, Debug)]
struct Known {
    will: Option<Will>,
    /// It was acknowledged as stored, and nothing has put that in doubt since.
    durable: bool,
}

#[derive(Clone, Debug)]
struct Switch {
    at: Duration,
    stored: bool,
}

#[derive(Clone, Debug)]
struct Asked {
    command: Command,
    at: Duration,
    dry_run: bool,
}

/// Acknowledged overrides and homes.
type Hidden = (
    BTreeMap<OverrideKey, Known>,
    BTreeMap<RouteName, (Option<PoolName>, bool)>,
);

/// Everything the checks remember.
pub(crate) struct Promises {
    pub(crate) in_force: Arc<Configuration>,
    pub(crate) truth: Truth,
    /// What validators may hold.
    pub(crate) outside: Outside,
    /// When the clock was last set forward.
    set_forward: Option<Duration>,
    /// When it was last set at all.
    stepped: Duration,
    /// When it was last in doubt; a process that has just been killed may have doubted it.
    doubted: Duration,
    /// Zones whose static part comes from a primary.
    inbound: BTreeMap<DomainName, Arrived>,
    owner_of_address: BTreeMap<IpAddr, PoolName>,
    owner_of_target: BTreeMap<String, PoolName>,
    generations: BTreeSet<u64>,
    last_generation: u64,
    /// What secondaries may hold.
    published: Published,
    /// What the running process serves; none before its first publication.
    serving: Option<Served>,
    actives: BTreeMap<RouteName, PoolName>,
    known: BTreeMap<OverrideKey, Known>,
    /// What somebody chose by `failover` and had acknowledged as stored.
    homes: BTreeMap<RouteName, (Option<PoolName>, bool)>,
    switches: BTreeMap<RouteName, Vec<Switch>>,
    /// What is on a disk that the running process could not read.
    hidden: Option<Hidden>,
    asked: BTreeMap<RequestId, Asked>,
    /// Changes that must be in the journal, and those that are.
    owed: BTreeMap<(u64, RouteName), Duration>,
    journaled: BTreeSet<(u64, RouteName)>,
    /// What partners saw of a route since a generation.
    shown: BTreeMap<(u64, RouteName), Shown>,
    alarms: BTreeMap<String, String>,
    started: Duration,
    /// When the running process published last.
    published_at: Duration,
    /// The store has granted numbers to the running process.
    granted: bool,
    /// The running process uses numbers that are not reserved; the one before did.
    leaning: bool,
    leaned: bool,
    /// The running process began so, or behind one that did.
    leaning_process: bool,
    /// Zones that the running process has served.
    begun: BTreeSet<String>,
    /// Zones that are served when they are signed, and were not before in this process.
    unsigned: BTreeSet<Name>,
    /// Zones that are served as they were until they are signed: a name that is new to them comes with their next version.
    lagging: BTreeSet<Name>,
    doubt: bool,
    /// The last time a will or a rule changed that delays automatic moves.
    disturbed: BTreeMap<RouteName, Duration>,
    clock_was_set: bool,
    view: Option<View>,
    looks: u64,
}

/// The first broken promise.
pub(crate) type Broken = String;

macro_rules! promise {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}

mod arrivals;
mod decisions;
mod history;
mod moves;
mod published;
mod trust;
mod wills;

use arrivals::Arrived;
use decisions::Shown;
use history::Published;

impl Promises {
    pub(crate) fn new(configuration: Arc<Configuration>) -> Promises {
        Promises {
            in_force: configuration,
            truth: Truth::default(),
            outside: Outside::default(),
            set_forward: None,
            stepped: Duration::ZERO,
            doubted: Duration::ZERO,
            inbound: BTreeMap::new(),
            shown: BTreeMap::new(),
            owner_of_address: BTreeMap::new(),
            owner_of_target: BTreeMap::new(),
            generations: BTreeSet::new(),
            last_generation: 0,
            published: Published::default(),
            serving: None,
            actives: BTreeMap::new(),
            known: BTreeMap::new(),
            homes: BTreeMap::new(),
            switches: BTreeMap::new(),
            hidden: None,
            asked: BTreeMap::new(),
            owed: BTreeMap::new(),
            journaled: BTreeSet::new(),
            alarms: BTreeMap::new(),
            started: Duration::ZERO,
            published_at: Duration::ZERO,
            granted: false,
            leaning: false,
            leaned: false,
            leaning_process: false,
            begun: BTreeSet::new(),
            unsigned: BTreeSet::new(),
            lagging: BTreeSet::new(),
            doubt: false,
            disturbed: BTreeMap::new(),
            clock_was_set: false,
            view: None,
            looks: 0,
        }
    }

    /// A process begins.
    pub(crate) fn process_begins(&mut self, world: &World) {
        self.in_force = world.configuration.clone();
        self.started = world.elapsed();
        self.serving = None;
        self.begun.clear();
        self.leaned |= std::mem::take(&mut self.leaning);
        self.leaning_process = false;
        self.granted = false;
        let unreadable = world.cannot_read_its_disk();
        let goes_on = world.goes_on_after_a_stop();
        self.published
            .process_begins(world.wall(), unreadable, goes_on);
        let propagation = self.in_force.dnssec.propagation;
        let now = world.elapsed();
        self.outside.process_begins(!unreadable, propagation, now);
        self.set_forward = None;
        self.nothing_sent(world);
        self.doubt = world.disk.doubt.is_some() && !unreadable;
        if unreadable {
            self.hidden = Some((
                std::mem::take(&mut self.known),
                std::mem::take(&mut self.homes),
            ));
            self.switches.clear();
        }
        self.alarms.clear();
        self.view = None;
        if std::mem::take(&mut self.clock_was_set) {
            // Rows remember the wall clock: what a process counts after it was set is not ours to know.
            self.switches.clear();
        }
        self.truth
            .begin_anew(&world.network, &self.in_force, world.elapsed());
        self.disturb_all(world.elapsed());
    }

    /// The process is gone.
    pub(crate) fn process_ends(&mut self, world: &World) {
        self.outside.process_ends(world.elapsed());
        for asked in std::mem::take(&mut self.asked).into_values() {
            self.put_in_doubt(&asked.command);
        }
        for known in self.known.values_mut().filter(|known| !known.durable) {
            // Volatile, or refused while its batch was with the disk: what is stored decides now.
            known.will = None;
        }
        self.homes.retain(|_, (_, durable)| *durable);
        if let Some((known, homes)) = self.hidden.take() {
            (self.known, self.homes) = (known, homes);
        }
        for switches in self.switches.values_mut() {
            switches.retain(|switch| switch.stored);
        }
        self.owed.clear();
        self.serving = None;
        self.view = None;
    }

    /// A command is on its way.
    pub(crate) fn asks(&mut self, id: RequestId, command: Command, dry_run: bool, world: &World) {
        self.asked.insert(
            id,
            Asked {
                command,
                at: world.elapsed(),
                dry_run,
            },
        );
    }

    /// The wall clock was set by so many seconds.
    pub(crate) fn clock_stepped(&mut self, by: i64, world: &World) {
        self.clock_was_set = true;
        self.stepped = world.elapsed();
        if by < 0 {
            self.published.clock_was_set_back();
        }
        if by > 0 {
            self.set_forward = Some(world.elapsed());
            self.nobody_knows_the_time(world);
        }
    }

    /// Checks everything that what happened may have broken.
    pub(crate) fn check(&mut self, world: &World, happened: &[Happened]) -> Result<(), Broken> {
        let now = world.elapsed();
        if happened.iter().any(|what| matches!(what, Happened::Killed)) {
            // What happened before it was killed still has to be right; a reload may have been carried out that
            // nobody was told of.
            let reload = self.asked.values().find_map(|asked| match &asked.command {
                Command::Reload { configuration, .. } if !asked.dry_run => {
                    Some(configuration.clone())
                }
                _ => None,
            });
            let reloaded = happened.iter().any(
                |what| matches!(what, Happened::Log(text) if text.contains("configuration reloaded")),
            );
            if let Some(configuration) = reload.filter(|_| reloaded) {
                self.in_force = configuration;
            }
            self.check_happened(world, happened)?;
            self.process_ends(world);
            return Ok(());
        }
        self.check_happened(world, happened)?;
        self.expire(world);
        self.looks += 1;
        let important = happened
            .iter()
            .any(|what| matches!(what, Happened::Published(_) | Happened::Replied(..)));
        if important || self.looks.is_multiple_of(16) {
            self.look(world)?;
        }
        for (id, asked) in &self.asked {
            promise!(
                now - asked.at <= ANSWER,
                "command {id:?} {:?} has no answer",
                asked.command
            );
        }
        let since_start = now - self.started;
        promise!(
            self.serving.is_some() || since_start <= Duration::from_secs(3),
            "§9.11: nothing is served {since_start:?} after the start"
        );
        Ok(())
    }

    fn check_happened(&mut self, world: &World, happened: &[Happened]) -> Result<(), Broken> {
        for what in happened {
            if let Happened::Replied(id, Ok(done)) = what
                && let Some(asked) = self.asked.get(id)
                && let Command::Reload { configuration, .. } = &asked.command
                && !done.dry_run
            {
                self.in_force = configuration.clone();
                self.truth
                    .begin_anew(&world.network, &self.in_force, world.elapsed());
                self.disturb_all(world.elapsed());
            }
        }
        self.learn_owners(&self.in_force.clone());
        // A process that was killed may not have said so yet.
        let clock_is_wrong = self.alarms.contains_key("clock-doubtful ")
            || happened.iter().any(|what| match what {
                Happened::Alarm(alarm, raised) => *raised && alarm.kind == AlarmKind::ClockDoubtful,
                what => matches!(what, Happened::Killed),
            });
        if clock_is_wrong {
            self.doubted = world.elapsed();
        }
        for what in happened {
            match what {
                Happened::Published(zones) => self.published(world, zones, clock_is_wrong)?,
                Happened::Replied(id, result) => {
                    let Some(asked) = self.asked.remove(id) else {
                        return Err(format!("an answer to {id:?}, which nobody waits for"));
                    };
                    match result {
                        Ok(done) if !asked.dry_run => {
                            self.done(world, &asked, done.volatile);
                            Self::check_key(world, &asked.command, done.volatile)?;
                        }
                        Ok(_) => {}
                        // A refusal by the store leaves open what the disk has.
                        Err(refusal) if refusal.code == STORE_FAILING => {
                            self.put_in_doubt(&asked.command);
                        }
                        Err(_) => {}
                    }
                }
                Happened::Alarm(alarm, raised) => {
                    let key = format!("{} {}", alarm.kind, alarm.subject);
                    let severity = alarm.severity.to_string();
                    if *raised {
                        let before = self.alarms.insert(key.clone(), severity.clone());
                        promise!(
                            before != Some(severity)
                                || alarm.kind.as_str() == "override-without-end",
                            "alarm {key} is raised again although it stands"
                        );
                    } else {
                        promise!(
                            self.alarms.remove(&key).is_some(),
                            "alarm {key} ends, but never began"
                        );
                    }
                }
                Happened::Committed(batch) => {
                    if let Some(upto) = batch.reservation {
                        let early = upto.at.is_some_and(|at| at > world.wall().unix_seconds());
                        self.published.reserved(upto.serial, early);
                        self.granted |=
                            self.serving.is_none() || upto.generation.0 >= self.last_generation;
                        self.leaning &=
                            self.hidden.is_some() || upto.generation.0 < self.last_generation;
                    }
                    for entry in &batch.entries {
                        let decided = matches!(entry.kind, EntryKind::Switch | EntryKind::Reorder);
                        if let (true, Some(route)) = (decided, &entry.route) {
                            let key = (entry.generation.0, route.clone());
                            promise!(
                                entry.decision.is_some() && !entry.text.is_empty(),
                                "§9.10: the entry of generation {} says nothing",
                                entry.generation
                            );
                            promise!(
                                self.journaled.insert(key.clone()),
                                "§9.10: two entries for {key:?}"
                            );
                            self.check_entry(&key, entry)?;
                        }
                    }
                    for row in &batch.routes {
                        let switches = self.switches.entry(row.route.clone()).or_default();
                        let stored = row.switches.len();
                        for switch in switches.iter_mut().rev().take(stored) {
                            switch.stored = true;
                        }
                    }
                    for (key, value) in &batch.overrides {
                        if let Some(known) = self.known.get_mut(key) {
                            let will = value.as_ref().map(|value| Will {
                                pool: value.pool.clone(),
                                never: value.never,
                                until: value.until.map(|until| until.as_millis()),
                            });
                            if known.will == will {
                                known.durable = true;
                            }
                        }
                    }
                }
                Happened::Log(_) | Happened::Killed => {}
            }
        }
        Ok(())
    }

    /// The checks that need the engine's own view.
    fn look(&mut self, world: &World) -> Result<(), Broken> {
        let Some(engine) = &world.engine else {
            return Ok(());
        };
        let Some(_) = &self.serving else {
            return Ok(());
        };
        let now = world.elapsed();
        let view = engine.view(world.now());
        self.check_wills(world, &view)?;
        self.check_arrivals(world)?;
        self.check_trust(world, &view)?;
        for route in &view.routes {
            let name = &route.name;
            let before = self
                .view
                .as_ref()
                .and_then(|view| view.routes.iter().find(|r| r.name == *name));
            let seen = self.actives.get(name);
            promise!(
                seen == Some(&route.decision.active) || self.waits(name),
                "route {name}: the view says {}, partners see {seen:?}",
                route.decision.active
            );
            if let Some(before) = before
                && before.decision.generation != route.decision.generation
                && before.decision.active != route.decision.active
            {
                let before = before.clone();
                self.check_switch(world, &view, &before, route)?;
            }
            self.check_down_is_left(now, &view, route)?;
        }
        self.check_journal(world)?;
        self.view = Some(view);
        Ok(())
    }

    /// §9.10: every change is in the journal once the store has had time.
    fn check_journal(&mut self, world: &World) -> Result<(), Broken> {
        let journaled = &self.journaled;
        self.owed.retain(|key, _| !journaled.contains(key));
        let well = world.store_well_for();
        for (key, at) in &self.owed {
            let time = (world.elapsed() - *at).min(well);
            promise!(
                time < Duration::from_secs(30),
                "§9.10: change {key:?} is not in the journal"
            );
        }
        Ok(())
    }
}
