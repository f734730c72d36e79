//! The promises of DESIGN §9, checked after every event against what partners see and what is true.
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
use repoint::engine::{Command, EntryKind, Lifetime, RequestId, RouteView, View};
use repoint::health::Verdict;
use repoint::topology::{FailoverPolicy, PoolName, Route, RouteName};
use repoint::zone::{Serial, ZoneVersion, Zones};

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
    owner_of_address: BTreeMap<IpAddr, PoolName>,
    owner_of_target: BTreeMap<String, PoolName>,
    generations: BTreeSet<u64>,
    last_generation: u64,
    zones: BTreeMap<String, Arc<ZoneVersion>>,
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
    alarms: BTreeMap<String, String>,
    started: Duration,
    /// The store has granted numbers to the running process.
    granted: bool,
    /// The running process uses numbers that are not reserved; the one before did.
    leaning: bool,
    leaned: bool,
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

impl Promises {
    pub(crate) fn new(configuration: Arc<Configuration>) -> Promises {
        Promises {
            in_force: configuration,
            truth: Truth::default(),
            owner_of_address: BTreeMap::new(),
            owner_of_target: BTreeMap::new(),
            generations: BTreeSet::new(),
            last_generation: 0,
            zones: BTreeMap::new(),
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
            granted: false,
            leaning: false,
            leaned: false,
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
        self.leaned |= std::mem::take(&mut self.leaning);
        self.granted = false;
        let unreadable = world.cannot_read_its_disk();
        self.doubt = world.disk.doubt.is_some() || unreadable;
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
    pub(crate) fn process_ends(&mut self) {
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

    /// The wall clock was set.
    pub(crate) fn clock_stepped(&mut self) {
        self.clock_was_set = true;
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
            self.process_ends();
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
        self.learn_owners();
        for what in happened {
            match what {
                Happened::Published(zones) => self.published(world, zones)?,
                Happened::Replied(id, result) => {
                    let Some(asked) = self.asked.remove(id) else {
                        return Err(format!("an answer to {id:?}, which nobody waits for"));
                    };
                    match result {
                        Ok(done) if !asked.dry_run => self.done(world, &asked, done.volatile),
                        Ok(_) => {}
                        // A refusal by the store leaves open what the disk has.
                        Err(refusal) if refusal.code == "store-failing" => {
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

    fn learn_owners(&mut self) {
        for pool in self.in_force.topology.pools.values() {
            for target in &pool.targets {
                self.owner_of_target
                    .insert(target.name.to_string(), pool.name.clone());
                for address in &target.addresses {
                    self.owner_of_address
                        .insert(address.publish, pool.name.clone());
                }
            }
        }
    }

    fn published(&mut self, world: &World, zones: &Arc<Zones>) -> Result<(), Broken> {
        let generation = zones.generation().0;
        promise!(
            self.generations.insert(generation),
            "§9.2: generation {generation} is published twice"
        );
        // Numbers beyond what is reserved may be used only where the store never granted any to this process. What
        // comes after such a process cannot know of them.
        let first = self.serving.is_none();
        let covered = world.disk.reservation.is_some_and(|upto| {
            let serial = zones
                .serial()
                .is_none_or(|serial| !serial.is_after(Serial(upto.serial)));
            generation <= upto.generation.0 && serial
        });
        promise!(
            covered || !self.granted,
            "§9.2: generation {generation} is not covered by what is reserved: {:?}",
            world.disk.reservation
        );
        self.leaning = !covered || self.hidden.is_some();
        let comparable = !(first && (self.leaning || self.leaned));
        promise!(
            generation > self.last_generation || !comparable,
            "§9.2: generation {generation} after {}",
            self.last_generation
        );
        self.last_generation = generation;
        if first {
            self.leaned = false;
        }
        for zone in zones.iter() {
            let apex = zone.apex().to_string();
            if let Some(before) = self.zones.get(&apex) {
                let same = Arc::ptr_eq(before, zone) || before.same_records(zone);
                let (was, is) = (before.serial(), zone.serial());
                let grows = is.is_after(was);
                promise!(
                    grows || (is == was && same) || !comparable,
                    "§9.2: zone {apex} has serial {is} after {was}, same records: {same}"
                );
            }
            self.zones.insert(apex, zone.clone());
        }
        let now = served(&self.in_force.topology, zones);
        for route in self.in_force.topology.routes.values() {
            let active = self.check_route_records(route, &now)?;
            self.actives.insert(route.name.clone(), active);
        }
        if let Some(before) = self.serving.replace(now.clone()) {
            for ((route, owner), (records, _)) in &now {
                let old = before.get(&(route.clone(), owner.clone()));
                // A route that comes back with a reload is served as it was remembered.
                if old.is_some_and(|(old, _)| old != records) {
                    self.owed
                        .insert((generation, route.clone()), world.elapsed());
                }
            }
        }
        Ok(())
    }

    /// §9.1 and §9.3: never empty, never only ".", and everything names the same active pool.
    fn check_route_records(&self, route: &Route, all: &Served) -> Result<PoolName, Broken> {
        let name = &route.name;
        let mut active: Option<PoolName> = None;
        let mut same = |pool: &PoolName, what: &str| -> Result<(), Broken> {
            let before = active.get_or_insert_with(|| pool.clone());
            promise!(
                before == pool,
                "§9.3: route {name}: {what} names {pool} first, another name {before}"
            );
            Ok(())
        };
        for domain in &route.domains {
            for service in &route.services {
                let owner = service
                    .owner
                    .for_domain(domain)
                    .map_err(|e| e.to_string())?;
                let Some((Records::Srv(_, records, ttl), _)) =
                    all.get(&(name.clone(), owner.clone()))
                else {
                    return Err(format!("§9.1: {owner} has no SRV RRset"));
                };
                promise!(!records.is_empty(), "§9.1: {owner} is empty");
                promise!(*ttl == route.ttl, "{owner} has TTL {ttl}");
                promise!(
                    records.iter().all(|srv| !srv.target.is_empty()),
                    "§9.1: {owner} names \".\""
                );
                let mut targets: Vec<_> = records.iter().map(|srv| &srv.target).collect();
                targets.sort();
                targets.dedup();
                promise!(
                    targets.len() == records.len(),
                    "{owner} names a target twice: {records:?}"
                );
                let best = records[0].priority;
                for srv in records.iter().filter(|srv| srv.priority == best) {
                    let Some(pool) = self.owner_of_target.get(&srv.target) else {
                        return Err(format!("{owner} names {}, which is no target", srv.target));
                    };
                    same(pool, owner.as_str())?;
                }
            }
            if let Some(template) = &route.address {
                let owner = template.for_domain(domain).map_err(|e| e.to_string())?;
                let Some((Records::Addresses(addresses, _), _)) =
                    all.get(&(name.clone(), owner.clone()))
                else {
                    return Err(format!("§9.11: {owner} has no address"));
                };
                promise!(!addresses.is_empty(), "§9.11: {owner} has no address");
                for address in addresses {
                    let Some(pool) = self.owner_of_address.get(address) else {
                        return Err(format!("{owner} has {address}, which is nobody's"));
                    };
                    same(pool, owner.as_str())?;
                }
            }
        }
        active.ok_or_else(|| format!("route {name} serves nothing"))
    }

    fn done(&mut self, world: &World, asked: &Asked, volatile: bool) {
        let durable = !volatile;
        self.disturb_all(world.elapsed());
        match &asked.command {
            Command::SetOverride {
                key,
                pool,
                never,
                lifetime,
                ..
            } => {
                // The end is counted from when the command was planned, so it is taken from the engine.
                let view = world.engine.as_ref().map(|engine| engine.view(world.now()));
                let set = view
                    .and_then(|view| view.overrides.into_iter().find(|o| o.key == *key))
                    .or_else(|| world.disk.overrides.get(key).cloned());
                let until = set
                    .and_then(|value| value.until)
                    .map(|until| until.as_millis());
                let until = until.filter(|_| *lifetime != Lifetime::Forever);
                let will = Will {
                    pool: pool.clone(),
                    never: *never,
                    until,
                };
                self.known.insert(
                    key.clone(),
                    Known {
                        will: Some(will),
                        durable,
                    },
                );
            }
            Command::EndOverride { key } => {
                self.known.insert(
                    key.clone(),
                    Known {
                        will: None,
                        durable,
                    },
                );
                if let OverrideKey::FreezeRoute { route } = key {
                    self.switches.remove(route);
                }
            }
            Command::Failover { route, to } => {
                let chosen = to.clone().or_else(|| self.actives.get(route).cloned());
                self.homes.insert(route.clone(), (chosen, durable));
            }
            Command::Failback { route } => {
                self.homes.insert(route.clone(), (None, durable));
            }
            Command::AcceptState => self.doubt = false,
            Command::Reload { .. } => {}
        }
    }

    fn put_in_doubt(&mut self, command: &Command) {
        match command {
            Command::SetOverride { key, .. } | Command::EndOverride { key } => {
                self.known
                    .entry(key.clone())
                    .or_insert(Known {
                        will: None,
                        durable: false,
                    })
                    .durable = false;
                if let OverrideKey::FreezeRoute { route } = key {
                    self.switches.remove(route);
                }
            }
            Command::Failover { route, .. } | Command::Failback { route } => {
                self.homes.remove(route);
            }
            // What the disk says counts at the next start.
            Command::Reload { .. } | Command::AcceptState => {}
        }
    }

    /// Overrides whose time is over end at the engine's next event.
    fn expire(&mut self, world: &World) {
        let wall = world.wall().as_millis();
        let now = world.elapsed();
        let mut ended = false;
        for known in self.known.values_mut() {
            if known
                .will
                .as_ref()
                .is_some_and(|will| will.until.is_some_and(|until| until <= wall))
            {
                known.will = None;
                // It is removed from the disk when the journal comes to it.
                known.durable = false;
                ended = true;
            }
        }
        if ended {
            self.disturb_all(now);
        }
    }

    fn disturb_all(&mut self, now: Duration) {
        for route in self.in_force.topology.routes.keys() {
            self.disturbed.insert(route.clone(), now);
        }
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
        for route in &view.routes {
            let name = &route.name;
            let before = self
                .view
                .as_ref()
                .and_then(|view| view.routes.iter().find(|r| r.name == *name));
            let seen = self.actives.get(name);
            promise!(
                seen == Some(&route.decision.active),
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

    /// §9.5 and §9.6: what was acknowledged is in force and on the disk; a pin wins.
    fn check_wills(&mut self, world: &World, view: &View) -> Result<(), Broken> {
        for (key, known) in &mut self.known {
            let in_force = view.overrides.iter().find(|value| value.key == *key);
            let in_force = in_force.map(|value| Will {
                pool: value.pool.clone(),
                never: value.never,
                until: value.until.map(|until| until.as_millis()),
            });
            let stored = world.disk.overrides.get(key).map(|value| Will {
                pool: value.pool.clone(),
                never: value.never,
                until: value.until.map(|until| until.as_millis()),
            });
            if known.durable {
                promise!(
                    known.will == in_force,
                    "§9.6: {key}: acknowledged {:?}, in force {in_force:?}",
                    known.will
                );
                promise!(
                    known.will == stored
                        || self.asked.values().any(|asked| names(&asked.command, key)),
                    "§9.6: {key}: acknowledged {:?}, on the disk {stored:?}",
                    known.will
                );
            }
            known.will = in_force;
        }
        for value in &view.overrides {
            let will = Will {
                pool: value.pool.clone(),
                never: value.never,
                until: value.until.map(|until| until.as_millis()),
            };
            self.known.entry(value.key.clone()).or_insert(Known {
                will: Some(will),
                durable: false,
            });
            let OverrideKey::Pin { route } = &value.key else {
                continue;
            };
            let Some(configured) = self.in_force.topology.routes.get(route) else {
                continue;
            };
            let Some(pool) = value.pool.as_ref().filter(|pool| configured.uses(pool)) else {
                continue;
            };
            promise!(
                self.actives.get(route) == Some(pool),
                "§9.5: route {route} is pinned to {pool}, partners see {:?}",
                self.actives.get(route)
            );
            let seen = view.routes.iter().find(|r| r.name == *route);
            let verdict = seen
                .and_then(|r| r.pools.iter().find(|p| p.pool == *pool))
                .map(|p| p.health.verdict);
            promise!(
                verdict != Some(Verdict::Down)
                    || view.alarms.iter().any(|alarm| {
                        alarm.kind.as_str() == "pin-on-down-pool" && alarm.subject == route.as_str()
                    }),
                "§9.5: route {route} is pinned to {pool}, which is down, without an alarm"
            );
        }
        for (route, (home, durable)) in &mut self.homes {
            let Some(seen) = view.routes.iter().find(|r| r.name == *route) else {
                continue;
            };
            let configured = &self.in_force.topology.routes[route];
            let expected = home.clone().filter(|home| configured.uses(home));
            if *durable {
                promise!(
                    seen.home == expected,
                    "§9.6: route {route}: home was set to {expected:?} and is {:?}",
                    seen.home
                );
            } else if seen.home.is_some() || home.as_ref().is_none_or(|home| configured.uses(home))
            {
                home.clone_from(&seen.home);
            }
        }
        Ok(())
    }

    /// §9.7, §9.8, §9.9: an automatic switch has a true cause and keeps the measure.
    fn check_switch(
        &mut self,
        world: &World,
        view: &View,
        before: &RouteView,
        after: &RouteView,
    ) -> Result<(), Broken> {
        let now = world.elapsed();
        let name = &after.name;
        let route = self.in_force.topology.routes[name].clone();
        let to = &after.decision.active;
        let (automatic, from) = match &after.decision.reason {
            Reason::Failover { from, .. } => (true, from),
            Reason::Failback { from, .. } => (false, from),
            _ => return Ok(()),
        };
        promise!(
            after.decision.generation.0 == self.last_generation
                || view.generation.0 >= after.decision.generation.0,
            "route {name} has a generation of the future"
        );
        promise!(
            view.blind.is_none(),
            "§9.7: route {name} switched from {from} to {to} while blind"
        );
        promise!(
            !self.doubt,
            "route {name} switched from {from} to {to} with its state in doubt"
        );
        promise!(
            route.failover != FailoverPolicy::Observe
                && (!automatic || route.failover == FailoverPolicy::Auto),
            "route {name} switched by itself, its failover is {:?}",
            route.failover
        );
        let frozen = view.overrides.iter().any(|value| match &value.key {
            OverrideKey::FreezeAll => true,
            OverrideKey::FreezeRoute { route } => route == name,
            _ => false,
        });
        promise!(
            !frozen,
            "route {name} switched from {from} to {to} while frozen"
        );
        let health = |pool: &PoolName| {
            after
                .pools
                .iter()
                .find(|p| p.pool == *pool)
                .map(|p| &p.health)
        };
        let Some(target) = health(to) else {
            return Err(format!(
                "route {name} switched to {to}, which it does not have"
            ));
        };
        let up_for = world.now().mono.since(target.since);
        if automatic {
            promise!(
                matches!(target.verdict, Verdict::Up | Verdict::Degraded),
                "§9.7: route {name} failed over to {to}, which is {}",
                target.verdict
            );
            // Without canaries nothing tells our own failure from theirs; and with so small a `min_fault` an outage of
            // ours can be over before the canaries are asked about the probe that it spoiled.
            let hair_trigger = route
                .services
                .iter()
                .any(|service| service.check.min_fault < HAIR_TRIGGER);
            let excused = match self.in_force.topology.canaries.is_empty() {
                true => self.truth.cut_within(MEMORY, now),
                false => hair_trigger && self.truth.cut_within(HAIR_TRIGGER, now),
            };
            promise!(
                self.truth.failed_within(from, MEMORY, now) || excused,
                "§9.7, §9.9: route {name} left {from} for {to}, but nothing of {from} has failed"
            );
        } else {
            promise!(
                target.verdict == Verdict::Up,
                "route {name} failed back to {to}, which is {}",
                target.verdict
            );
            let lived = now - self.started;
            promise!(
                up_for >= route.hold_down && lived >= route.hold_down,
                "§9.8: route {name} failed back to {to}, up for {up_for:?}, started {lived:?} ago"
            );
            promise!(
                before.home.as_ref() != Some(from),
                "§9.9: route {name} failed back from {from}, which is home"
            );
        }
        let switches = self.switches.entry(name.clone()).or_default();
        switches.retain(|switch| now - switch.at < HOUR);
        let limit = usize::try_from(route.max_switches).unwrap();
        promise!(
            switches.len() < limit || (automatic && up_for >= route.hold_down),
            "§9.8: route {name}: switch {} within the hour to {to}, up for {up_for:?}",
            switches.len() + 1
        );
        switches.push(Switch {
            at: now,
            stored: false,
        });
        Ok(())
    }

    /// §9.4: a pool that is down is not active while an undrained one is up.
    fn check_down_is_left(
        &self,
        now: Duration,
        view: &View,
        route: &RouteView,
    ) -> Result<(), Broken> {
        let name = &route.name;
        let configured = &self.in_force.topology.routes[name];
        let held = view.overrides.iter().any(|value| match &value.key {
            OverrideKey::FreezeAll => true,
            OverrideKey::FreezeRoute { route } => route == name,
            OverrideKey::Pin { route } => {
                route == name
                    && value
                        .pool
                        .as_ref()
                        .is_some_and(|pool| configured.uses(pool))
            }
            _ => false,
        });
        let latched = route.latched.is_some() || route.switches >= route.max_switches;
        let free = configured.failover == FailoverPolicy::Auto
            && !held
            && !latched
            && view.blind.is_none()
            && !self.doubt
            && route.warm;
        if !free {
            return Ok(());
        }
        let drained = |pool: &PoolName| {
            let targets = &self.in_force.topology.pools[pool].targets;
            let whole = |value: &repoint::decide::Override| matches!(&value.key, OverrideKey::DrainPool { pool: drained } if drained == pool);
            let all = targets.iter().all(|target| {
                view.overrides.iter().any(|value| {
                    matches!(&value.key, OverrideKey::DrainTarget { pool: p, target: t } if p == pool && *t == target.name)
                })
            });
            all || view.overrides.iter().any(whole)
        };
        let active = &route.decision.active;
        let verdict = |pool: &PoolName| {
            route
                .pools
                .iter()
                .find(|p| p.pool == *pool)
                .map_or(Verdict::Unknown, |p| p.health.verdict)
        };
        let better = configured
            .pool_names()
            .find(|pool| verdict(pool) == Verdict::Up && !drained(pool));
        if let Some(better) = better {
            promise!(
                verdict(active) != Verdict::Down,
                "§9.4: route {name}: {active} is down and active, {better} is up"
            );
        }
        // And in truth, given time: without canaries, or with our own network well all along.
        let patience = patience(configured);
        let disturbed = self.disturbed.get(name).copied().unwrap_or_default();
        if self.truth.sighted_for(now) < patience || now - disturbed < patience {
            return Ok(());
        }
        let well = configured
            .pool_names()
            .find(|pool| self.truth.well_for(pool, now) >= patience && !drained(pool));
        if let Some(well) = well {
            promise!(
                self.truth.dead_for(active, now) < patience,
                "§9.4: route {name}: {active} has been dead for {:?} and is active, {well} is well",
                self.truth.dead_for(active, now)
            );
        }
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

/// How long everything that has to be seen and counted may take, generously.
fn patience(route: &Route) -> Duration {
    let detection = route
        .services
        .iter()
        .map(|s| s.check.detection())
        .max()
        .unwrap_or_default();
    let rising = route
        .services
        .iter()
        .map(|s| {
            (s.check.interval + s.check.timeout + s.check.retry) * (s.check.rise + s.check.steady)
        })
        .max()
        .unwrap_or_default();
    (detection + rising) * 2 + Duration::from_secs(60)
}

fn names(command: &Command, wanted: &OverrideKey) -> bool {
    match command {
        Command::SetOverride { key, .. } | Command::EndOverride { key } => key == wanted,
        _ => false,
    }
}
