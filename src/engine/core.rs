//! The engine's core: one writer, pure.
//!
//! In: [`Event`]s and the time. Out: [`Effect`]s, in the order they are to be carried out.
//! Never here: clocks, sockets, files, sleeping. Every event ends in `settle`, which brings overrides,
//! decisions, probes, the journal and alarms up to the moment; so no event can forget one of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::RouteChange;
use super::alarms::Alarms;
use super::command::Request;
use super::event::{BatchToken, Effect, Event, StoreFault};
use super::journal::Journal;
use super::numbers::Numbers;
use super::operate::Committing;
use super::record::{Batch, Entry, EntryKind, Remembered, StoredRoute};
use crate::clock::{Mono, Now, Wall};
use crate::config::Configuration;
use crate::decide::{
    Change, Generation, Hold, Inputs, Outcome, Overrides, Reason, RouteState, Trigger, Wanted,
    decide, latch,
};
use crate::health::{Health, Transition};
use crate::topology::{CheckId, PoolName, RouteName, Topology};
use crate::zone::{self, Zones};

/// How long the store is given before a command is refused (DESIGN §7).
pub(super) const COMMAND_STORE_TIME: Duration = Duration::from_millis(200);

/// How long the store is given at start before repoint serves without its consent.
const START_STORE_TIME: Duration = Duration::from_secs(2);

/// Conditions that only time brings about are looked at this often.
const LOOK_ROUND: Duration = Duration::from_secs(30);

/// The engine. A clone is a what-if: dry runs and previews apply a change to one.
#[derive(Clone)]
pub struct Engine {
    pub(super) configuration: Arc<Configuration>,
    pub(super) users: BTreeMap<CheckId, BTreeSet<RouteName>>,
    pub(super) health: Health,
    pub(super) overrides: Overrides,
    pub(super) routes: BTreeMap<RouteName, RouteState>,
    pub(super) warm: BTreeSet<RouteName>,
    pub(super) held: BTreeMap<RouteName, Held>,
    pub(super) zones: Arc<Zones>,
    pub(super) numbers: Numbers,
    pub(super) journal: Journal,
    pub(super) queue: VecDeque<Request>,
    pub(super) committing: Option<Committing>,
    /// Batches that were too slow and may be committed yet, with what they were to change.
    pub(super) late: BTreeMap<BatchToken, String>,
    pub(super) alarms: Alarms,
    pub(super) doubt: Option<String>,
    pub(super) store_fault: Option<String>,
    pub(super) rejected: Option<String>,
    pub(super) started: Now,
    pub(super) last: Now,
    /// When the node was last found not to be blind any more.
    pub(super) sighted: Mono,
    serving: bool,
    /// Questions whose answers could not be published for want of numbers.
    starved: Triggers,
    next_token: u64,
    next_look: Mono,
}

/// What the last question about a route left open.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) wanted: Option<Wanted>,
    pub(super) wake: Option<Mono>,
    pub(super) all_down: bool,
    /// The pool that a `would-switch` entry has named already.
    told: Option<PoolName>,
}

/// Which routes to ask about, and why.
pub(super) type Triggers = BTreeMap<RouteName, Trigger>;

impl Engine {
    /// Begins from what is remembered. The first zones are published as soon as the store has granted
    /// numbers for them, or has failed to.
    pub fn new(
        configuration: Arc<Configuration>,
        remembered: Remembered,
        seed: u64,
        now: Now,
    ) -> (Engine, Vec<Effect>) {
        let topology = &configuration.topology;
        let mut engine = Engine {
            users: users_of(topology),
            health: Health::new(topology, seed, now),
            overrides: remembered.overrides.into_iter().collect(),
            routes: remembered
                .routes
                .into_iter()
                .map(|row| restore(row, now))
                .collect(),
            warm: BTreeSet::new(),
            held: BTreeMap::new(),
            zones: Arc::new(Zones::empty()),
            numbers: Numbers::after(remembered.reservation),
            journal: Journal::default(),
            queue: VecDeque::new(),
            committing: None,
            late: BTreeMap::new(),
            alarms: Alarms::default(),
            doubt: remembered.doubt,
            store_fault: remembered.unavailable,
            rejected: None,
            started: now,
            last: now,
            sighted: now.mono,
            serving: false,
            starved: Triggers::new(),
            next_token: 0,
            next_look: now.mono,
            configuration,
        };
        let mut out = Vec::new();
        if engine.store_fault.is_some() {
            let next = engine.next_serial(now);
            engine.numbers.without_store(next, now.wall);
            engine.begin_serving(now, &mut out);
        } else {
            engine
                .journal
                .reserve(engine.numbers.wish(engine.next_serial(now)));
        }
        engine.settle(Triggers::new(), now, &mut out);
        (engine, out)
    }

    /// Takes one event and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        self.last = now;
        let mut out = Vec::new();
        let mut triggers = Triggers::new();
        match event {
            Event::Observed(observation) => {
                let transitions = self.health.observe(&observation, now);
                self.observed(&observation.check, &mut triggers);
                self.tell(&transitions, now, &mut triggers, &mut out);
            }
            Event::Canary(observation) => {
                let transitions = self.health.canary(&observation, now);
                self.tell(&transitions, now, &mut triggers, &mut out);
            }
            Event::Request(request) => self.receive(*request, now, &mut out),
            Event::Stored { token, result } => {
                self.stored(token, result, now, &mut triggers, &mut out);
            }
            Event::ConfigurationRejected { problems } => {
                let first = problems.lines().next().unwrap_or("unreadable").to_owned();
                let text = format!("configuration refused: {first}; the one in force stays");
                self.note(EntryKind::Configuration, None, text.clone(), now);
                out.push(Effect::Log { warn: true, text });
                self.rejected = Some(problems);
                self.next_look = now.mono;
            }
            Event::Tick => {}
        }
        self.settle(triggers, now, &mut out);
        out
    }

    /// When the engine wants to be called with [`Event::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Mono> {
        let override_end = self
            .overrides
            .next_end()
            .map(|end| self.last.mono + end.since(self.last.wall));
        let wakes = self.held.values().filter_map(|held| held.wake);
        [
            self.health.next_deadline(),
            override_end,
            self.journal.deadline(),
            Some(self.next_look),
        ]
        .into_iter()
        .flatten()
        .chain(wakes)
        .min()
    }

    /// The zones served.
    pub fn zones(&self) -> Arc<Zones> {
        self.zones.clone()
    }

    /// Takes the last batch for a clean stop: whatever waits to be stored.
    pub fn finish(&mut self) -> Option<Batch> {
        self.journal
            .next(|| BatchToken(u64::MAX), self.last.mono + LOOK_ROUND)
            .map(|(_, batch)| batch)
    }

    /// Whether the first zones have been published.
    pub(super) fn is_serving(&self) -> bool {
        self.serving
    }

    /// The serial that the clock, and the serials of the static zones, ask for next.
    fn next_serial(&self, now: Now) -> zone::Serial {
        self.configuration
            .layout
            .next_serial(self.numbers.serial(), now.wall.unix_seconds())
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.configuration.topology
    }

    pub(super) fn token(&mut self) -> BatchToken {
        self.next_token += 1;
        BatchToken(self.next_token)
    }

    /// Alarms are worked out again at the end of this event.
    pub(super) fn look_again(&mut self) {
        self.next_look = self.last.mono;
    }

    /// Brings everything up to the moment.
    fn settle(&mut self, mut triggers: Triggers, now: Now, out: &mut Vec<Effect>) {
        if self.serving {
            self.expire_overrides(now, &mut triggers, out);
            self.warm_up(&mut triggers);
            self.wake(now, &mut triggers);
            if !triggers.is_empty() {
                self.reconsider(&triggers, None, now, out);
            }
            self.next_request(now, out);
        }
        let due = self.health.due(now);
        let mut late = Triggers::new();
        self.tell(&due.transitions, now, &mut late, out);
        if self.serving && !late.is_empty() {
            self.reconsider(&late, None, now, out);
        }
        out.extend(
            due.probes
                .into_iter()
                .map(|(id, check)| Effect::Probe { id, check }),
        );
        out.extend(due.canaries.into_iter().map(|canary| Effect::ProbeCanary {
            canary,
            timeout: crate::health::CANARY_TIMEOUT,
        }));
        if self.numbers.is_short() && !self.journal.is_reserving() {
            self.journal
                .reserve(self.numbers.wish(self.next_serial(now)));
        }
        if self.next_look <= now.mono {
            self.look(now, out);
            self.next_look = now.mono + LOOK_ROUND;
        }
        let token = BatchToken(self.next_token + 1);
        if let Some((token, batch)) = self.journal.next(|| token, now.mono) {
            self.next_token += 1;
            let within = (!self.serving).then_some(START_STORE_TIME);
            out.push(Effect::Store {
                token,
                batch: Box::new(batch),
                within,
            });
        }
    }

    /// The first zones of this process.
    fn begin_serving(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.serving = true;
        self.note(EntryKind::Start, None, "started".into(), now);
        let all = self.topology().routes.keys();
        let triggers = all
            .map(|route| (route.clone(), Trigger::Configuration))
            .collect();
        self.publish_anyway(&triggers, now, out);
    }

    fn stored(
        &mut self,
        token: BatchToken,
        result: Result<(), StoreFault>,
        now: Now,
        triggers: &mut Triggers,
        out: &mut Vec<Effect>,
    ) {
        match &result {
            Ok(()) => {
                if self.store_fault.take().is_some() {
                    out.push(Effect::Log {
                        warn: false,
                        text: "the store commits again".into(),
                    });
                    self.next_look = now.mono;
                }
            }
            Err(fault) => {
                if self.store_fault.is_none() {
                    self.next_look = now.mono;
                }
                self.store_fault = Some(fault.to_string());
            }
        }
        if self.command_stored(token, &result, now, out) {
            return;
        }
        match result {
            Ok(()) => {
                if let Some(Some(reservation)) = self.journal.stored(token) {
                    self.numbers.granted(reservation);
                    triggers.append(&mut self.starved);
                }
            }
            // The batch is still with the store: its second result will come.
            Err(StoreFault::TooSlow(_)) => {}
            Err(StoreFault::Failed(_)) => {
                self.journal.failed(token, now.mono);
            }
        }
        if !self.serving {
            let next = self.next_serial(now);
            if self.numbers.peek(next).is_none() {
                self.numbers.without_store(next, now.wall);
            }
            self.begin_serving(now, out);
        }
    }

    fn observed(&self, check: &CheckId, triggers: &mut Triggers) {
        for route in self.users.get(check).into_iter().flatten() {
            triggers.insert(route.clone(), Trigger::Observation);
        }
    }

    /// Logs and journals what changed in health, and marks the routes it concerns.
    fn tell(
        &mut self,
        transitions: &[Transition],
        now: Now,
        triggers: &mut Triggers,
        out: &mut Vec<Effect>,
    ) {
        for transition in transitions {
            match transition {
                Transition::Check { check, .. } | Transition::Proven { check } => {
                    self.observed(check, triggers);
                }
                Transition::Pool { route, .. } | Transition::Observed { route, .. } => {
                    triggers.insert(route.clone(), Trigger::Observation);
                }
                Transition::BlindBegan | Transition::BlindEnded { .. } => {
                    let all = self.topology().routes.keys();
                    triggers.extend(all.map(|route| (route.clone(), Trigger::Observation)));
                }
            }
            if matches!(transition, Transition::BlindEnded { .. }) {
                self.sighted = now.mono;
            }
            let Some(text) = describe(transition) else {
                continue;
            };
            match transition {
                Transition::Pool { route, .. } => {
                    self.note(EntryKind::Verdict, Some(route), text.clone(), now);
                }
                Transition::BlindBegan | Transition::BlindEnded { .. } => {
                    self.note(EntryKind::Verdict, None, text.clone(), now);
                }
                _ => {}
            }
            out.push(Effect::Log {
                warn: is_bad(transition),
                text,
            });
        }
        if !transitions.is_empty() {
            self.next_look = now.mono;
        }
    }

    fn expire_overrides(&mut self, now: Now, triggers: &mut Triggers, out: &mut Vec<Effect>) {
        let ended: Vec<_> = self
            .overrides
            .iter()
            .filter(|o| o.has_ended(now.wall))
            .cloned()
            .collect();
        for value in ended {
            self.overrides.remove(&value.key);
            self.journal.set_override(value.key.clone(), None);
            let text = format!("{} expired (set by {})", value.key, value.author);
            let reason = Reason::Override {
                change: format!("{} expired", value.key),
                author: None,
                why: None,
            };
            for route in self.routes_under(&value.key) {
                if let Some(state) = self.routes.get_mut(&route) {
                    state.hold_from = now.mono;
                }
                triggers.insert(route, Trigger::Operator(reason.clone()));
            }
            self.note(EntryKind::Override, None, text.clone(), now);
            out.push(Effect::Log { warn: true, text });
            self.next_look = now.mono;
        }
    }

    fn warm_up(&mut self, triggers: &mut Triggers) {
        if self.warm.len() == self.topology().routes.len() {
            return;
        }
        let configuration = self.configuration.clone();
        for (name, route) in &configuration.topology.routes {
            let observed = |pool| {
                self.health
                    .pool(name, pool)
                    .is_some_and(|pool| pool.observed)
            };
            if !self.warm.contains(name) && route.pool_names().all(observed) {
                self.warm.insert(name.clone());
                triggers.entry(name.clone()).or_insert(Trigger::Observation);
            }
        }
    }

    fn wake(&mut self, now: Now, triggers: &mut Triggers) {
        for (route, held) in &mut self.held {
            if held.wake.is_some_and(|at| at <= now.mono) {
                held.wake = None;
                triggers
                    .entry(route.clone())
                    .or_insert(Trigger::Observation);
            }
        }
    }

    /// Asks about routes and publishes what changed.
    pub(super) fn reconsider(
        &mut self,
        triggers: &Triggers,
        commanded: Option<(&RouteName, &PoolName)>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Published {
        let outcomes = self.outcomes(triggers, commanded, now);
        let changed = outcomes
            .iter()
            .any(|(_, outcome)| outcome.change != Change::None);
        let numbers = if changed {
            self.numbers.take(self.next_serial(now))
        } else {
            None
        };
        if changed && numbers.is_none() {
            // Without a number nothing may be published: it could repeat after a crash (DESIGN §9.2).
            if self.store_fault.is_none() {
                self.store_fault = Some("no numbers are reserved".into());
                self.next_look = now.mono;
            }
            return Published {
                changes: Vec::new(),
                out_of_numbers: true,
            };
        }
        let mut changes = Vec::new();
        for (route, outcome) in outcomes {
            changes.extend(self.take_over(&route, outcome, numbers.map(|(g, _)| g), now, out));
        }
        if let Some(numbers) = numbers {
            self.compile(numbers, out);
        }
        Published {
            changes,
            out_of_numbers: false,
        }
    }

    /// Publishes new zones whether or not a decision changed: at the start and after a reload.
    pub(super) fn publish_anyway(
        &mut self,
        triggers: &Triggers,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Published {
        let Some(numbers) = self.numbers.take(self.next_serial(now)) else {
            return Published {
                changes: Vec::new(),
                out_of_numbers: true,
            };
        };
        let mut changes = Vec::new();
        for (route, outcome) in self.outcomes(triggers, None, now) {
            changes.extend(self.take_over(&route, outcome, Some(numbers.0), now, out));
        }
        self.compile(numbers, out);
        Published {
            changes,
            out_of_numbers: false,
        }
    }

    fn outcomes(
        &mut self,
        triggers: &Triggers,
        commanded: Option<(&RouteName, &PoolName)>,
        now: Now,
    ) -> Vec<(RouteName, Outcome)> {
        let mut outcomes = Vec::new();
        for (name, trigger) in triggers {
            let Some(route) = self.configuration.topology.routes.get(name) else {
                continue;
            };
            let state = self
                .routes
                .entry(name.clone())
                .or_insert_with(|| first_state(now));
            let verdicts = route.pool_names().filter_map(|pool| {
                self.health
                    .pool(name, pool)
                    .map(|health| (pool.clone(), health))
            });
            let inputs = Inputs {
                topology: &self.configuration.topology,
                route,
                verdicts: verdicts.collect(),
                overrides: &self.overrides,
                state,
                blind: self.health.blind().is_some(),
                warm: self.warm.contains(name),
                doubt: self.doubt.is_some(),
                trigger: trigger.clone(),
                commanded: commanded
                    .filter(|(moved, _)| *moved == name)
                    .map(|(_, pool)| pool),
                now,
            };
            outcomes.push((name.clone(), decide(&inputs)));
        }
        outcomes
    }

    /// Puts one outcome into the route's state, the journal and the log.
    fn take_over(
        &mut self,
        route: &RouteName,
        outcome: Outcome,
        generation: Option<Generation>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Option<RouteChange> {
        self.tell_wanted(route, &outcome, now, out);
        self.learn_addresses(route);
        let generation = generation.filter(|_| outcome.change != Change::None)?;
        let state = self.routes.get_mut(route)?;
        let before = state.decision.clone();
        let mut decision = outcome.decision;
        decision.generation = generation;
        decision.at = now.wall;
        state.decision = Some(decision.clone());

        let automatic = outcome.change == (Change::Switch { automatic: true });
        let configured = self.configuration.topology.routes.get(route)?;
        let latched = automatic && latch::count_switch(state, configured, now.mono, now.wall);
        let kind = match outcome.change {
            Change::Switch { .. } => EntryKind::Switch,
            _ => EntryKind::Reorder,
        };
        let text = describe_change(
            before.as_ref().map(|b| &b.active),
            &decision.active,
            &decision.reason,
        );
        out.push(Effect::Log {
            warn: automatic,
            text: format!("route {route}: {text} (generation {generation})"),
        });
        let (author, why) = match &decision.reason {
            Reason::Commanded { author, why, .. } => (Some(author.clone()), why.clone()),
            Reason::Override { author, why, .. } => (author.clone(), why.clone()),
            _ => (None, None),
        };
        self.journal.entry(Entry {
            generation,
            at: now.wall,
            route: Some(route.clone()),
            kind,
            text,
            author,
            why,
            decision: Some(decision.clone()),
        });
        if latched {
            let text = "automatic switching latched: too many switches within an hour".to_owned();
            self.note(EntryKind::Latch, Some(route), text.clone(), now);
            out.push(Effect::Log {
                warn: true,
                text: format!("route {route}: {text}"),
            });
        }
        self.learn_addresses(route);
        if let Some(row) = self.row(route) {
            self.journal.route(row);
        }
        self.next_look = now.mono;
        Some(RouteChange {
            route: route.clone(),
            before,
            after: Some(decision),
        })
    }

    /// Journals once what policy or a hold keeps repoint from doing by itself.
    fn tell_wanted(
        &mut self,
        route: &RouteName,
        outcome: &Outcome,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let old = self.held.remove(route).unwrap_or_default();
        let left_to_operator = outcome.wanted.as_ref().filter(|wanted| {
            wanted
                .holds
                .iter()
                .all(|hold| matches!(hold, Hold::Ask | Hold::Observe))
        });
        let told = left_to_operator.map(|wanted| wanted.to.clone());
        if let Some(wanted) = left_to_operator.filter(|_| told != old.told) {
            let text = format!(
                "would switch to {} ({}): {}",
                wanted.to,
                wanted.reason.describe(),
                wanted.holds[0]
            );
            self.note(EntryKind::WouldSwitch, Some(route), text.clone(), now);
            out.push(Effect::Log {
                warn: true,
                text: format!("route {route}: {text}"),
            });
        }
        let wanted_changed = old.wanted.is_some() != outcome.wanted.is_some();
        if wanted_changed || old.all_down != outcome.all_down {
            self.next_look = now.mono;
        }
        let wanted = outcome.wanted.clone();
        let held = Held {
            wanted,
            wake: outcome.wake,
            all_down: outcome.all_down,
            told,
        };
        self.held.insert(route.clone(), held);
    }

    /// Remembers which configured addresses have proven themselves; forgets those that have left both the
    /// configuration and the decision.
    fn learn_addresses(&mut self, route: &RouteName) {
        let Some(configured) = self.configuration.topology.routes.get(route) else {
            return;
        };
        let Some(state) = self.routes.get_mut(route) else {
            return;
        };
        let first_start = state.decision.is_none();
        let mut present = BTreeSet::new();
        for name in configured.pool_names() {
            let Some(pool) = self.configuration.topology.pools.get(name) else {
                continue;
            };
            let health = self.health.pool(route, name);
            for address in pool.targets.iter().flat_map(|target| &target.addresses) {
                present.insert(address.publish);
                let known = health.into_iter().flat_map(|health| &health.targets);
                let proven = known
                    .filter_map(|t| t.addresses.get(&address.publish))
                    .any(|a| a.proven);
                if proven || first_start {
                    state.proven.insert(address.publish);
                }
            }
        }
        let published: BTreeSet<_> = state
            .decision
            .iter()
            .flat_map(|decision| decision.addresses.values().flatten().copied())
            .collect();
        state
            .proven
            .retain(|address| present.contains(address) || published.contains(address));
    }

    fn compile(&mut self, numbers: (Generation, zone::Serial), out: &mut Vec<Effect>) {
        let decisions: BTreeMap<_, _> = self
            .configuration
            .topology
            .routes
            .keys()
            .filter_map(|name| {
                let decision = self.routes.get(name)?.decision.clone()?;
                Some((name.clone(), decision))
            })
            .collect();
        let (generation, serial) = numbers;
        let zones = zone::compile(
            &self.configuration.layout,
            &decisions,
            Some(&self.zones),
            generation,
            serial,
        );
        self.zones = Arc::new(zones);
        out.push(Effect::Publish(self.zones.clone()));
    }

    /// A journal entry without a decision.
    pub(super) fn note(
        &mut self,
        kind: EntryKind,
        route: Option<&RouteName>,
        text: String,
        now: Now,
    ) {
        self.journal.entry(Entry {
            generation: self.numbers.generation(),
            at: now.wall,
            route: route.cloned(),
            kind,
            text,
            author: None,
            why: None,
            decision: None,
        });
    }

    /// A route's state as it is stored.
    pub(super) fn row(&self, route: &RouteName) -> Option<StoredRoute> {
        let state = self.routes.get(route)?;
        let wall = |at: &Mono| {
            let ago = i64::try_from(self.last.mono.since(*at).as_millis()).unwrap_or(0);
            Wall::from_millis(self.last.wall.as_millis() - ago)
        };
        Some(StoredRoute {
            route: route.clone(),
            decision: state.decision.clone(),
            home: state.home.clone(),
            switches: state.switches.iter().map(wall).collect(),
            latched: state.latched,
            proven: state.proven.clone(),
        })
    }
}

/// What came of a question that may have published something.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) changes: Vec<RouteChange>,
    pub(super) out_of_numbers: bool,
}

pub(super) fn users_of(topology: &Topology) -> BTreeMap<CheckId, BTreeSet<RouteName>> {
    let mut users: BTreeMap<CheckId, BTreeSet<RouteName>> = BTreeMap::new();
    for route in topology.routes.values() {
        for pool in route.pool_names() {
            for used in topology.checks_of(&route.name, pool) {
                users
                    .entry(used.check.clone())
                    .or_default()
                    .insert(route.name.clone());
            }
        }
    }
    users
}

fn first_state(now: Now) -> RouteState {
    RouteState {
        hold_from: now.mono,
        ..RouteState::default()
    }
}

fn restore(row: StoredRoute, now: Now) -> (RouteName, RouteState) {
    // Moments of the wall clock become moments of this process's monotonic clock; one in the future (a
    // clock set back) counts as just now.
    let mono = |at: &Wall| now.mono - now.wall.since(*at);
    let state = RouteState {
        decision: row.decision,
        home: row.home,
        switches: row.switches.iter().map(mono).collect(),
        latched: row.latched,
        hold_from: now.mono,
        proven: row.proven,
    };
    (row.route, state)
}

/// A transition as a line of the log; none where there is nothing to say.
fn describe(transition: &Transition) -> Option<String> {
    let because = |cause: &Option<String>| {
        cause
            .as_ref()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default()
    };
    Some(match transition {
        Transition::Check {
            check,
            from,
            to,
            cause,
        } => {
            format!("check {check}: {from} -> {to}{}", because(cause))
        }
        Transition::Pool {
            route,
            pool,
            from,
            to,
            cause,
        } => {
            format!(
                "pool {pool} in route {route}: {from} -> {to}{}",
                because(cause)
            )
        }
        Transition::BlindBegan => {
            "blind: no canary answers, so no automatic change is made".to_owned()
        }
        Transition::BlindEnded { since } => format!("not blind any more (since {since})"),
        Transition::Proven { .. } | Transition::Observed { .. } => return None,
    })
}

/// Whether a transition deserves attention.
fn is_bad(transition: &Transition) -> bool {
    match transition {
        Transition::Check { from, to, .. } | Transition::Pool { from, to, .. } => to > from,
        Transition::BlindBegan => true,
        _ => false,
    }
}

fn describe_change(before: Option<&PoolName>, after: &PoolName, reason: &Reason) -> String {
    match before {
        Some(before) if before != after => format!("{before} -> {after}: {}", reason.describe()),
        Some(_) => format!("{after} stays active: {}", reason.describe()),
        None => format!("{after} active: {}", reason.describe()),
    }
}
