//! All that this node knows of health, as the engine sees it.
//!
//! In: the topology, observations, canaries' answers, the time. Out: verdicts of checks and pools, the probes that
//! are due, and what has just changed. Never here: I/O, deciding, publishing, logging.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::canary::{Canaries, CanaryNews};
use super::judge::{Grade, Outcome, judge};
use super::pool::pool_health;
use super::schedule::{End, Schedule};
use super::threshold::Gate;
use super::transition::{Transition, pool_transitions};
use super::verdict::{CheckHealth, PoolHealth, Verdict};
use super::watch::{Change, Watch};
use crate::clock::{Mono, Now, Wall};
use crate::probe::{CanaryObservation, CertificateFacts, Observation, ProbeResult, Reason};
use crate::topology::{
    Check, CheckId, CheckUse, DomainName, Pool, PoolName, Route, RouteName, ServiceKind, Topology,
};

/// What is to be probed now. Everything in it is marked as in flight; each result is expected back by
/// [`Health::observe`] or [`Health::canary`].
#[derive(Debug, Default)]
pub struct Due {
    /// Checks.
    pub probes: Vec<(CheckId, Arc<Check>)>,
    /// Canaries, each within [`CANARY_TIMEOUT`](super::CANARY_TIMEOUT).
    pub canaries: Vec<SocketAddr>,
    /// What changed because a result never came.
    pub transitions: Vec<Transition>,
}

/// Checks, pools, canaries and the schedule of probes.
#[derive(Clone, Debug)]
pub struct Health {
    checks: BTreeMap<CheckId, Watch>,
    pools: BTreeMap<(RouteName, PoolName), Watched>,
    canaries: Canaries,
    schedule: Schedule,
    /// Checks whose thresholds are complete and that wait for a canary's answer.
    waiting: BTreeSet<CheckId>,
}

/// One pool as one route uses it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) route: Arc<Route>,
    pub(super) pool: Arc<Pool>,
    pub(super) uses: Vec<CheckUse>,
    pub(super) health: PoolHealth,
}

impl Health {
    /// Begins to watch: every check is unknown. `seed` makes this node's probe times differ from another's.
    pub fn new(topology: &Topology, seed: u64, now: Now) -> Health {
        let mut health = Health {
            checks: BTreeMap::new(),
            pools: BTreeMap::new(),
            canaries: Canaries::default(),
            schedule: Schedule::new(seed),
            waiting: BTreeSet::new(),
        };
        health.reconfigure(topology, now);
        health
    }

    /// Takes over another topology. A check that is the same keeps its state; one whose settings changed keeps its
    /// verdict and starts to count anew. The returned transitions are those of pools.
    pub fn reconfigure(&mut self, topology: &Topology, now: Now) -> Vec<Transition> {
        let mut known = std::mem::take(&mut self.checks);
        // The number in an identifier depends on the other checks: what is probed identifies a check for good.
        let mut by_peer: BTreeMap<Place, Watch> = BTreeMap::new();
        let mut unchanged: BTreeMap<CheckId, Watch> = BTreeMap::new();
        for (id, check) in topology.checks.iter() {
            if let Some(watch) = known.remove(id) {
                if watch.check == *check {
                    unchanged.insert(id.clone(), watch);
                } else {
                    by_peer.insert(place_of(&watch.check), watch);
                }
            }
        }
        for (_, watch) in known {
            by_peer.entry(place_of(&watch.check)).or_insert(watch);
        }
        for (id, check) in topology.checks.iter() {
            let watch = match unchanged.remove(id) {
                Some(mut watch) => {
                    watch.users.clear();
                    watch
                }
                None => Watch::new(check, before(&by_peer, check), now),
            };
            self.checks.insert(id.clone(), watch);
        }
        self.waiting
            .retain(|id| self.checks.get(id).is_some_and(Watch::waits_for_canary));
        let blind = self.canaries.blind();
        self.canaries.reconfigure(&topology.canaries);
        self.schedule.reconfigure(topology.checks.iter(), now.mono);
        let mut transitions = self.reconfigure_pools(topology, now);
        if let (Some(since), None) = (blind, self.canaries.blind()) {
            // The rule was turned off: what was seen without it counted is forgotten, as when a canary answers.
            transitions.push(Transition::BlindEnded { since });
            self.forget_unconfirmed(None, now, &mut transitions);
        }
        transitions
    }

    /// A probe has ended. Dropped are results of checks that are not configured (any more), of probes made with
    /// settings that no longer hold, and of probes that had been taken for lost.
    pub fn observe(&mut self, observation: &Observation, now: Now) -> Vec<Transition> {
        self.observe_all(std::slice::from_ref(observation), now)
    }

    /// Several probes have ended. Pools are worked out once, so that many results of a large pool cost little more
    /// than one.
    pub fn observe_all(&mut self, observations: &[Observation], now: Now) -> Vec<Transition> {
        let (mut touched, mut transitions) = (Touched::new(), Vec::new());
        for observation in observations {
            self.count(observation, now, &mut touched, &mut transitions);
        }
        self.refresh(touched, now, &mut transitions);
        transitions
    }

    fn count(
        &mut self,
        observation: &Observation,
        now: Now,
        touched: &mut Touched,
        transitions: &mut Vec<Transition>,
    ) {
        let (id, ip) = (&observation.check, observation.peer.ip());
        if !self.schedule.awaits(id, observation.began) {
            return;
        }
        let watch = self.checks.get_mut(id);
        let Some(watch) = watch.filter(|watch| observation.began >= watch.born) else {
            self.schedule.ended(id, ip, End::Dropped, now.mono);
            return;
        };
        if observation.is_overslept() && watch.excuses_oversleeping() {
            // As if it had not been made: the check is still due.
            self.schedule.ended(id, ip, End::Dropped, now.mono);
            return;
        }
        let outcome = judge(observation, &watch.check.settings);
        let shared = outcome.grade == Grade::Failed && fails_before_stream(observation);
        let ip = watch.check.peer.ip();
        let siblings = if shared {
            self.schedule.siblings(id)
        } else {
            Vec::new()
        };
        let times = (observation.began, observation.ended);
        self.note(id, &outcome, times, now, touched, transitions);
        if let Some(watch) = self.checks.get_mut(id) {
            watch.show(&outcome.line, observation.at);
            if observation.certificate.is_some() {
                watch.certificate = observation.certificate.clone();
            }
            if watch.health.observed == 1 {
                touched.extend(watch.users.iter().cloned());
            }
        }
        self.renew_evidence(id);
        let mut again = self.checks.get(id).map(|watch| watch.retry(now));
        for sibling in siblings {
            self.note(&sibling, &outcome, times, now, touched, transitions);
            if let Some(watch) = self.checks.get_mut(&sibling) {
                watch.show(&outcome.line, observation.at);
                again = again.min(Some(watch.retry(now)));
            }
            self.renew_evidence(&sibling);
        }
        let again = again.unwrap_or_default();
        let recovers = self.checks.get(id).filter(|watch| watch.recovers());
        let pace = recovers.map(Watch::recovery_pace);
        let end = match outcome.grade {
            Grade::Good | Grade::Degraded => match pace {
                Some(again) => End::Recovering { again },
                None => End::Good,
            },
            Grade::Unknown => End::Nothing { again },
            Grade::Failed if shared => End::FailedForAll { again },
            Grade::Failed => End::Failed { again },
        };
        self.schedule.ended(id, ip, end, now.mono);
    }

    /// An attempt to reach a canary has ended.
    pub fn canary(&mut self, observation: &CanaryObservation, now: Now) -> Vec<Transition> {
        let before = self.canaries.answered();
        let mut transitions = Vec::new();
        match self.canaries.ended(observation, now) {
            CanaryNews::Nothing => {}
            CanaryNews::Answered(began) => self.confirm(began, now, &mut transitions),
            CanaryNews::BlindBegan => {
                transitions.push(Transition::BlindBegan);
                self.forget_unconfirmed(before, now, &mut transitions);
            }
            CanaryNews::BlindEnded { since } => {
                transitions.push(Transition::BlindEnded { since });
                self.forget_unconfirmed(before, now, &mut transitions);
            }
        }
        transitions
    }

    /// The probes to begin now, each marked as in flight.
    pub fn due(&mut self, now: Now) -> Due {
        let (probes, lost) = self.schedule.due(now.mono);
        let mut due = Due {
            probes,
            ..Due::default()
        };
        for id in lost {
            self.lost(&id, now, &mut due.transitions);
        }
        for attempt in self.canaries.lost(now.mono) {
            due.transitions.extend(self.canary(&attempt, now));
        }
        due.canaries = self.canaries.due(now.mono);
        due
    }

    /// The next moment at which [`Health::due`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        let probes = self.schedule.next_deadline();
        let canaries = self.canaries.next_deadline();
        probes.into_iter().chain(canaries).min()
    }

    /// What is known of a check.
    pub fn check(&self, id: &CheckId) -> Option<&CheckHealth> {
        self.checks.get(id).map(|watch| &watch.health)
    }

    /// What is known of a pool as a route uses it.
    pub fn pool(&self, route: &RouteName, pool: &PoolName) -> Option<&PoolHealth> {
        self.pools
            .get(&(route.clone(), pool.clone()))
            .map(|watched| &watched.health)
    }

    pub(super) fn watched(&self, route: &RouteName, pool: &PoolName) -> Option<&Watched> {
        self.pools.get(&(route.clone(), pool.clone()))
    }

    /// How many successes in a row bring a check up.
    pub(super) fn rise(&self, id: &CheckId) -> Option<u32> {
        self.checks.get(id).map(|watch| watch.check.settings.rise)
    }

    pub(super) fn recovery_pace(&self, id: &CheckId) -> Option<Duration> {
        self.checks.get(id).map(Watch::recovery_pace)
    }

    /// When a check is probed next, as far as that is known.
    pub(super) fn due_at(&self, id: &CheckId, now: Now) -> Option<Mono> {
        self.schedule.due_at(id).map(|at| at.max(now.mono))
    }

    /// Since when our own network has failed, if it does.
    pub fn blind(&self) -> Option<Wall> {
        self.canaries.blind()
    }

    /// The canaries, and whether each answered when it was last tried.
    pub fn canaries(&self) -> impl Iterator<Item = (SocketAddr, Option<bool>)> {
        self.canaries.view()
    }

    /// The certificate each check has shown last.
    pub fn certificates(&self) -> impl Iterator<Item = (&CheckId, &CertificateFacts)> {
        self.checks
            .iter()
            .filter_map(|(id, watch)| Some((id, watch.certificate.as_ref()?)))
    }

    /// Works out every pool anew after the topology changed.
    fn reconfigure_pools(&mut self, topology: &Topology, now: Now) -> Vec<Transition> {
        let known = std::mem::take(&mut self.pools);
        let pools: BTreeMap<&PoolName, Arc<Pool>> = topology
            .pools
            .iter()
            .map(|(name, pool)| (name, Arc::new(pool.clone())))
            .collect();
        let mut transitions = Vec::new();
        for route in topology.routes.values() {
            let route = Arc::new(route.clone());
            for name in route.pool_names() {
                let Some(pool) = pools.get(name) else {
                    continue;
                };
                let key = (route.name.clone(), name.clone());
                let uses = topology.checks_of(&route.name, name).to_vec();
                for id in uses.iter().map(|usage| &usage.check) {
                    if let Some(watch) = self.checks.get_mut(id)
                        && watch.users.last() != Some(&key)
                    {
                        watch.users.push(key.clone());
                    }
                }
                let before = known.get(&key).map(|watched| &watched.health);
                let checks = &self.checks;
                let health = pool_health(
                    &route,
                    pool,
                    &uses,
                    |id| checks.get(id).map(|watch| &watch.health),
                    before,
                    now,
                );
                if let Some(before) = before {
                    transitions.extend(pool_transitions(&key, before, &health));
                }
                let (route, pool) = (Arc::clone(&route), Arc::clone(pool));
                self.pools.insert(
                    key,
                    Watched {
                        route,
                        pool,
                        uses,
                        health,
                    },
                );
            }
        }
        transitions
    }

    fn gate(&self) -> Gate {
        let answered = self.canaries.answered();
        if !self.canaries.configured() {
            Gate::Open
        } else if self.canaries.blind().is_some() {
            Gate::Blind { answered }
        } else {
            Gate::Confirm {
                answered,
                healthy_since: self.canaries.healthy_since(),
            }
        }
    }

    /// Counts an outcome for one check.
    fn note(
        &mut self,
        id: &CheckId,
        outcome: &Outcome,
        times: (Mono, Mono),
        now: Now,
        touched: &mut Touched,
        transitions: &mut Vec<Transition>,
    ) {
        let gate = self.gate();
        let Some(watch) = self.checks.get_mut(id) else {
            return;
        };
        let change = watch.count(outcome, times, gate, now);
        if watch.waits_for_canary() {
            self.waiting.insert(id.clone());
        } else {
            self.waiting.remove(id);
        }
        // A check that is down needs no canary to stay so.
        if outcome.grade == Grade::Failed
            && change.to != Verdict::Down
            && matches!(gate, Gate::Confirm { .. })
        {
            self.canaries.wanted(times.1);
        }
        report(id, watch, change, touched, transitions);
    }

    /// A canary answered: what waited for that goes down.
    fn confirm(&mut self, began: Mono, now: Now, transitions: &mut Vec<Transition>) {
        let mut touched = Touched::new();
        let waiting = std::mem::take(&mut self.waiting);
        for id in waiting {
            if let Some(watch) = self.checks.get_mut(&id) {
                let change = watch.canary_answered(began, now);
                report(&id, watch, change, &mut touched, transitions);
                if watch.waits_for_canary() {
                    self.waiting.insert(id);
                }
            }
        }
        self.refresh(touched, now, transitions);
    }

    /// Blindness began or ended: what was seen since the canaries last answered proves nothing.
    fn forget_unconfirmed(
        &mut self,
        answered: Option<Mono>,
        now: Now,
        transitions: &mut Vec<Transition>,
    ) {
        let mut touched = Touched::new();
        self.waiting.clear();
        for (id, watch) in &mut self.checks {
            let change = watch.forget_unconfirmed(answered, now);
            report(id, watch, change, &mut touched, transitions);
        }
        self.refresh(touched, now, transitions);
    }

    /// A probe's result never came.
    fn lost(&mut self, id: &CheckId, now: Now, transitions: &mut Vec<Transition>) {
        let outcome = Outcome {
            grade: Grade::Unknown,
            accepted: Vec::new(),
            cause: Some("the probe never ended".into()),
            line: "the probe never ended".into(),
        };
        let mut touched = Touched::new();
        let times = (now.mono, now.mono);
        self.note(id, &outcome, times, now, &mut touched, transitions);
        self.renew_evidence(id);
        self.refresh(touched, now, transitions);
    }

    /// A check has its verdict as before, and something else to show for it.
    fn renew_evidence(&mut self, id: &CheckId) {
        let Some(watch) = self.checks.get(id) else {
            return;
        };
        for user in &watch.users {
            if let Some(watched) = self.pools.get_mut(user) {
                watched.health.renew_evidence(id, &watch.health);
            }
        }
    }

    /// Works out anew the pools whose checks have changed.
    fn refresh(&mut self, touched: Touched, now: Now, transitions: &mut Vec<Transition>) {
        for key in touched {
            let Some(watched) = self.pools.get_mut(&key) else {
                continue;
            };
            let checks = &self.checks;
            let health = pool_health(
                &watched.route,
                &watched.pool,
                &watched.uses,
                |id| checks.get(id).map(|watch| &watch.health),
                Some(&watched.health),
                now,
            );
            transitions.extend(pool_transitions(&key, &watched.health, &health));
            watched.health = health;
        }
    }
}

/// Pools with a check that has changed.
type Touched = BTreeSet<(RouteName, PoolName)>;

fn report(
    id: &CheckId,
    watch: &Watch,
    change: Change,
    touched: &mut Touched,
    transitions: &mut Vec<Transition>,
) {
    let Change {
        from,
        to,
        newly_proven,
    } = change;
    if from != to {
        transitions.push(Transition::Check {
            check: id.clone(),
            from,
            to,
            cause: watch.health.cause.clone().filter(|_| to != Verdict::Up),
        });
    }
    if newly_proven {
        transitions.push(Transition::Proven { check: id.clone() });
    }
    if from != to || newly_proven {
        touched.extend(watch.users.iter().cloned());
    }
}

/// What a check probes, however it does.
type Place = (
    ServiceKind,
    SocketAddr,
    DomainName,
    Option<IpAddr>,
    Option<DomainName>,
);

fn place_of(check: &Check) -> Place {
    (
        check.service,
        check.peer,
        check.domain.clone(),
        check.source,
        check.target.clone(),
    )
}

/// What was known of this check as it was made until now, also where its SRV target had another name.
fn before<'a>(known: &'a BTreeMap<Place, Watch>, check: &Check) -> Option<&'a Watch> {
    let place = place_of(check);
    known.get(&place).or_else(|| {
        let (service, peer, domain, source, _) = place;
        let (found, watch) = known
            .range((service, peer, domain.clone(), source, None)..)
            .next()?;
        let same = (found.0, found.1, &found.2, found.3) == (service, peer, &domain, source);
        same.then_some(watch)
    })
}

fn fails_before_stream(observation: &Observation) -> bool {
    match &observation.result {
        ProbeResult::Reached => false,
        ProbeResult::Stopped { reason, .. } => Reason::before_stream(reason),
    }
}
