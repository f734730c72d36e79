//! The engine's core: one writer, pure.
//!
//! In: [`Event`]s and the time. Out: [`Effect`]s, in the order they are to be carried out.
//! Never here: clocks, sockets, files, sleeping. Every event ends in `settle`, which brings overrides,
//! decisions, probes, the journal and alarms up to the moment; so no event can forget one of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ahead::Claims;
use super::alarm::{AlarmKind, Concern};
use super::alarms::{Alarms, first_error};
use super::challenge::InForce;
use super::drafts::{Attempt, Drafts};
use super::event::{BatchToken, Effect, Event, Rejection, StoreFault};
use super::inbound::Inbound;
use super::journal::Journal;
use super::keeping::{Keep, Keeping};
use super::late::Late;
use super::numbers::Numbers;
use super::operate::Committing;
use super::publish::Held;
use super::record::{Entry, EntryKind, Parting, Remembered};
use super::rows::restore;
use super::signing::Signing;
use super::signing_spread::Sightings;
use crate::clock::{Mono, Now};
use crate::config::Configuration;
use crate::decide::{Generation, Overrides, RouteState, Trigger};
use crate::health::{Health, MOST_PROBES};
use crate::topology::{CheckId, DomainName, PoolName, RouteName, Topology};
use crate::zone::{self, Layout, ZoneVersion, Zones};

/// How long the store is given before a command is refused.
pub(super) const COMMAND_STORE_TIME: Duration = Duration::from_secs(2);

/// How long the store is given at start before repoint serves without its consent.
const START_STORE_TIME: Duration = Duration::from_secs(2);

/// Conditions that only time brings about are looked at this often.
const LOOK_ROUND: Duration = Duration::from_secs(30);

/// The engine. A clone is a what-if: dry runs and previews apply a change to one.
#[derive(Clone)]
pub struct Engine {
    pub(super) configuration: Arc<Configuration>,
    pub(super) users: BTreeMap<CheckId, BTreeSet<RouteName>>,
    /// How long a probe may wait for its turn.
    pub(super) longest_turn: Duration,
    pub(super) health: Health,
    pub(super) overrides: Overrides,
    pub(super) challenges: InForce,
    pub(super) routes: BTreeMap<RouteName, RouteState>,
    pub(super) warm: BTreeSet<RouteName>,
    pub(super) held: BTreeMap<RouteName, Held>,
    pub(super) zones: Arc<Zones>,
    /// The configuration's layout, with what primaries have sent.
    pub(super) layout: Arc<Layout>,
    pub(super) inbound: BTreeMap<DomainName, Inbound>,
    /// A primary has sent what is not published yet.
    pub(super) unpublished: bool,
    pub(super) keeping: Keeping,
    pub(super) numbers: Numbers,
    pub(super) journal: Journal,
    pub(super) queue: VecDeque<Attempt>,
    pub(super) committing: Option<Committing>,
    pub(super) late: Late,
    pub(super) alarms: Alarms,
    pub(super) doubt: Option<String>,
    /// Serials ahead of ours that other servers claim.
    pub(super) claims: Claims,
    pub(super) store_fault: Option<String>,
    /// What to do about a store that could not be used at the start, where that is known.
    pub(super) store_fix: Option<String>,
    /// The state from before could not be read: nothing of it is in force.
    pub(super) forgotten: bool,
    pub(super) rejected: Option<Rejection>,
    /// Conditions found outside, by kind and subject.
    pub(super) concerns: BTreeMap<(AlarmKind, String), Concern>,
    pub(super) started: Now,
    pub(super) last: Now,
    /// When the node was last found not to be blind any more.
    pub(super) sighted: Mono,
    /// When the node was last found to be blind.
    pub(super) blinded: Mono,
    /// Checks that have not been observed since a long blindness ended.
    pub(super) unseen: BTreeSet<CheckId>,
    /// Zones' keys.
    pub(super) signing: Signing,
    /// Large zones on their way.
    pub(super) drafts: Drafts,
    /// What secondaries have.
    pub(super) sightings: Sightings,
    /// When the active pool of a route changed last, in this process.
    pub(super) moved: BTreeMap<RouteName, Mono>,
    serving: bool,
    /// Questions whose answers could not be published for want of numbers.
    pub(super) starved: Triggers,
    /// Where a command among them leads.
    pub(super) starved_move: Option<(RouteName, PoolName)>,
    next_token: u64,
    pub(super) next_look: Mono,
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
        let first = configuration
            .layout
            .next_serial(None, now.wall.unix_seconds());
        let mut engine = Engine {
            users: users_of(topology),
            longest_turn: topology.longest_turn(MOST_PROBES),
            health: Health::new(topology, seed, now),
            overrides: remembered.overrides.into_iter().collect(),
            challenges: InForce::new(remembered.challenges),
            routes: remembered
                .routes
                .into_iter()
                .map(|row| restore(row, now))
                .collect(),
            warm: BTreeSet::new(),
            held: BTreeMap::new(),
            zones: Arc::new(Zones::restored(
                remembered
                    .reservation
                    .map_or(Generation(0), |used| used.generation),
                remembered.zones.iter().map(|zone| ZoneVersion::clone(zone)),
                remembered.complete,
            )),
            layout: configuration.layout.clone(),
            inbound: BTreeMap::new(),
            unpublished: false,
            keeping: Keeping::default(),
            numbers: Numbers::after(remembered.reservation, first, now.wall),
            journal: Journal::default(),
            queue: VecDeque::new(),
            committing: None,
            late: Late::default(),
            alarms: Alarms::default(),
            doubt: remembered.doubt,
            claims: Claims::after_restart(
                remembered
                    .reservation
                    .is_some_and(|used| used.goal.is_some()),
            ),
            store_fault: remembered.unavailable,
            store_fix: remembered.unavailable_fix,
            forgotten: remembered.forgotten,
            rejected: None,
            concerns: BTreeMap::new(),
            started: now,
            last: now,
            sighted: now.mono,
            blinded: now.mono,
            unseen: BTreeSet::new(),
            signing: Signing::new(remembered.keys, remembered.ring, remembered.key_faults, now),
            drafts: Drafts::default(),
            sightings: Sightings::default(),
            moved: BTreeMap::new(),
            serving: false,
            starved: Triggers::new(),
            starved_move: None,
            next_token: 0,
            next_look: now.mono,
            configuration,
        };
        engine.restore_inbound(remembered.inbound, now);
        let mut out = Vec::new();
        engine.keys_before_compiling(&mut out);
        engine.store_longer_ttls();
        out.extend(engine.signing.faults.iter().map(|fault| Effect::Log {
            warn: true,
            text: format!("files of keys: {fault}"),
        }));
        if engine.store_fault.is_some() {
            engine.lean(now);
        } else {
            let next = engine.next_serial(now);
            engine.journal.reserve(engine.numbers.wish(next, now.wall));
        }
        engine.settle(Triggers::new(), now, &mut out);
        (engine, out)
    }

    /// Takes one event and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        self.last = now;
        self.follow_clock(now);
        let mut out = Vec::new();
        let mut triggers = Triggers::new();
        match event {
            Event::Observed(observation) => {
                let transitions = self.health.observe(&observation, now);
                self.seen_again(&observation);
                self.observed(&observation.check, &mut triggers);
                self.tell(&transitions, now, &mut triggers, &mut out);
            }
            Event::ObservedAll(observations) => {
                let transitions = self.health.observe_all(&observations, now);
                for observation in &observations {
                    self.seen_again(observation);
                    self.observed(&observation.check, &mut triggers);
                }
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
            Event::ConfigurationRejected(rejection) => {
                let first = first_error(&rejection.problems).to_owned();
                let text = format!("configuration refused: {first}; the one in force stays");
                self.note(EntryKind::Configuration, None, text.clone(), now);
                out.push(Effect::Log { warn: true, text });
                self.rejected = Some(rejection);
                self.next_look = now.mono;
            }
            Event::Concern {
                kind,
                subject,
                concern,
            } => {
                match concern {
                    Some(concern) => self.concerns.insert((kind, subject), concern),
                    None => self.concerns.remove(&(kind, subject)),
                };
                self.next_look = now.mono;
            }
            Event::SerialAhead(claim) => self.hear_claim(*claim, now),
            Event::Kept(result) => self.kept(result, now),
            Event::Inbound(news) => self.hear_inbound(*news, now, &mut out),
            Event::Sighted(sightings) => {
                self.withdraw_claims(&sightings);
                self.sighted(sightings, now);
            }
            Event::Parent { zone, heard } => self.heard_of_parent(&zone, heard, now),
            Event::KeyMade { zone, made } => self.key_made(&zone, made, now),
            Event::Drafted { token, drafted } => self.drafted(token, drafted, now, &mut out),
            Event::Tick => {}
        }
        self.settle(triggers, now, &mut out);
        out
    }

    /// The configuration in force.
    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }

    /// The zones served.
    pub fn zones(&self) -> Arc<Zones> {
        self.zones.clone()
    }

    /// What is left for a clean stop. Nothing may be handled after it.
    pub fn finish(&mut self) -> Parting {
        if let Some(used) = self.numbers.used(self.last.wall) {
            self.journal.reserve(used);
        }
        Parting {
            batch: self.journal.rest(),
            keep: self.serving.then(|| self.keep(true)),
        }
    }

    /// Whether the first zones have been published.
    pub(super) fn is_serving(&self) -> bool {
        self.serving
    }

    /// The serial that the clock, the serials of the static zones, and claims of other servers ask for next.
    pub(super) fn next_serial(&self, now: Now) -> zone::Serial {
        let seconds = self.numbers.seconds(now.wall);
        self.aimed(self.layout.next_serial(self.numbers.serial(), seconds))
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
        if self.numbers.is_leaning() && !self.numbers.is_pausing(now) {
            if !self.serving {
                self.begin_serving(now, out);
            }
            triggers.append(&mut self.starved);
            // What changes by itself may use up every serial that there is.
            self.next_request(now, out);
        }
        if self.serving {
            self.expire_overrides(now, &mut triggers, out);
            self.expire_challenges(now, out);
            self.warm_up(&mut triggers);
            self.wake(now, &mut triggers);
            if !triggers.is_empty() {
                let commanded = self.starved_move.take();
                let commanded = commanded.as_ref().map(|(route, pool)| (route, pool));
                self.reconsider(&triggers, commanded, now, out);
            }
            self.publish_drafted(now, out);
            self.publish_received(now, out);
            if !self.numbers.is_pausing(now) {
                self.tend_keys(now, out);
            }
            self.follow_claims(now, out);
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
        if self.serving {
            self.ask_for_draft(now, out);
        }
        if self.numbers.is_short(now.wall) && !self.journal.is_reserving() {
            let next = self.next_serial(now);
            self.journal.reserve(self.numbers.wish(next, now.wall));
        }
        if self.next_look <= now.mono {
            self.sweep_claims(now);
            self.look(now, out);
            self.next_look = now.mono + LOOK_ROUND;
        }
        if self.serving && self.keeping.begin(now.mono) {
            out.push(Effect::Keep(Box::new(self.keep(false))));
        }
        self.forget_refused_keys(out);
        // A lower reservation behind the one that a command is having stored would take it back.
        if self.is_taking_over() {
            return;
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
                self.store_fix = None;
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
        if self.late_stored(token, result.is_ok(), now)
            || self.steps_stored(token, &result, now, out)
            || self.command_stored(token, &result, now, out)
        {
            return;
        }
        match result {
            Ok(()) => {
                if let Some(Some(reservation)) = self.journal.stored(token) {
                    self.numbers.granted(reservation);
                    self.claims.look_again();
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
            match self.numbers.peek(next, now) {
                Some(_) => self.begin_serving(now, out),
                None if self.numbers.is_leaning() => {}
                None => self.lean(now),
            }
        }
    }

    /// Numbers are taken without the store, which grants none.
    fn lean(&mut self, now: Now) {
        let unix_seconds = self.started.wall.unix_seconds();
        let first = self.layout.next_serial(None, unix_seconds);
        self.numbers.without_store(first, self.started, now);
    }

    fn kept(&mut self, result: Result<(), String>, now: Now) {
        self.keeping.ended(result.is_ok(), now.mono);
        if let Err(fault) = result {
            if self.store_fault.is_none() {
                self.next_look = now.mono;
            }
            self.store_fault = Some(fault);
        }
    }

    fn keep(&self, last: bool) -> Keep {
        Keep {
            zones: self.zones.clone(),
            inbound: self.kept_inbound(),
            at: self.last.wall,
            last,
        }
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
