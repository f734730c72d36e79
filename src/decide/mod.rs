//! Deciding where each route points.
//!
//! In: verdicts, overrides, a route's state, and the time, which the caller passes.
//! Out: one [`Decision`] per route, with the [`Reason`] it was taken, and what is held back and by what.
//!
//! Never here: I/O, sleeping, reading a clock. Equal inputs give equal decisions, so every decision can be
//! replayed from history.

mod decision;
mod departures;
mod overrides;
mod candidate;
mod active;
mod render;
pub mod latch;
mod operate;
mod standby;
mod outlook;
#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

pub use decision::{Decision, Generation, Reason, RouteState, SrvRecord};
pub use departures::{Departures, OldAnswers, first_targets};
pub use operate::{CommandFault, Position, failback_position, failover_position};
pub use outlook::{Back, Foreseen, Loss, Outlook, PARTNER_CACHE, belongs_on, outlook, way_back};
pub use overrides::{Override, OverrideKey, Overrides};
pub use standby::{Obstacle, Standby, obstacle_of, standbys};

use crate::clock::{Mono, Now};
use crate::health::{Evidence, PoolHealth, Verdict};
use crate::topology::{
    CheckId, DomainName, FailoverPolicy, Mode, PoolName, Route, ServiceKind, Topology,
};
use active::{Choice, Move};
use candidate::Candidate;

/// All that a decision depends on.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The world as configured.
    pub topology: &'a Topology,
    /// The route to decide about.
    pub route: &'a Route,
    /// What is known of its pools; a pool not in it is unknown.
    pub verdicts: BTreeMap<PoolName, &'a PoolHealth>,
    /// The operator's standing will.
    pub overrides: &'a Overrides,
    /// What the route remembers.
    pub state: &'a RouteState,
    /// Our own network fails: no automatic change.
    pub blind: bool,
    /// Every check has been observed once since the start: automatic changes may be made.
    pub warm: bool,
    /// State was lost or restored and not accepted yet: no automatic change.
    pub doubt: bool,
    /// Why the question is asked.
    pub trigger: Trigger,
    /// The pool that `failover` or `failback` moves the route to just now.
    pub commanded: Option<&'a PoolName>,
    /// The time.
    pub now: Now,
}

/// Why a decision is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Something was observed, or time has passed.
    Observation,
    /// An operator commanded something that concerns the route, or an override of theirs ended.
    Operator(Reason),
    /// The configuration changed, or the process began.
    Configuration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where the route points. Its generation and time are those of the last decision unless `change` says
    /// that something changed; the engine then gives it new ones.
    pub decision: Decision,
    /// What changed.
    pub change: Change,
    /// An automatic move that something holds back.
    pub wanted: Option<Wanted>,
    /// When to ask again although nothing happened.
    pub wake: Option<Mono>,
    /// No pool is up, degraded or unknown: the last decision stays.
    pub all_down: bool,
}

/// How a decision differs from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    None,
    /// The active pool is the same; something else differs.
    Reorder,
    /// Another pool is active.
    Switch {
        /// Done by repoint and not by an operator, an override or the configuration; it counts for the latch.
        automatic: bool,
    },
}

/// An automatic move that is wanted but held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where to.
    pub to: PoolName,
    /// Why.
    pub reason: Reason,
    /// What holds it back; at least one.
    pub holds: Vec<Hold>,
}

/// What holds an automatic move back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// State is not accepted yet.
    StateDoubtful,
    /// The first round of probes is not over.
    NotWarm,
    /// Our own network fails.
    Blind,
    /// The operator froze the route.
    Frozen,
    /// Too many switches.
    Latched,
    /// `failover = "ask"`.
    Ask,
    /// `failover = "observe"`.
    Observe,
    /// The pool has not been up for the hold-down.
    HoldDown {
        /// When it will have been.
        until: Mono,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hold::StateDoubtful => "state was lost or restored and is not accepted yet",
            Hold::NotWarm => "the first round of probes is not over",
            Hold::Blind => "our own network fails (blind)",
            Hold::Frozen => "frozen by the operator",
            Hold::Latched => "latched: too many automatic switches within an hour",
            Hold::Ask => "failover = \"ask\" leaves it to the operator",
            Hold::Observe => "failover = \"observe\" only journals it",
            Hold::HoldDown { .. } => "the pool must stay up for the hold-down first",
        })
    }
}

/// Decides where a route points. Total: there is a decision whatever fails.
pub fn decide(inputs: &Inputs<'_>) -> Outcome {
    let candidates = candidate::candidates(inputs);
    let choice = active::choose(inputs, &candidates);
    let last = inputs.state.decision.as_ref();
    // A pool that the operator ruled out altogether cannot save the route.
    let all_down = candidates
        .iter()
        .filter(|pool| !pool.excluded || *pool.name() == choice.active)
        .all(|pool| pool.verdict() == Verdict::Down);

    let stays = last.is_some_and(|last| last.active == choice.active);
    let by_observation = matches!(inputs.trigger, Trigger::Observation);
    // When all is down, what `withdraw` took away is published again; all else stays.
    let returns = inputs
        .route
        .services
        .iter()
        .any(|s| s.mode == Mode::Withdraw);
    let keeps = !may_change_by_itself(inputs) || (all_down && !returns);
    let held = stays && by_observation && keeps;
    if let (true, Some(last)) = (held, last) {
        return outcome(last.clone(), Change::None, choice, all_down);
    }
    let decision = point(inputs, &candidates, &choice, last, all_down);
    let change = match last {
        Some(last) if last.same_answers(&decision) => {
            return outcome(last.clone(), Change::None, choice, all_down);
        }
        Some(last) if last.active == decision.active => Change::Reorder,
        _ => Change::Switch {
            automatic: matches!(choice.moved, Some(Move::Automatic(_))),
        },
    };
    outcome(decision, change, choice, all_down)
}

fn outcome(decision: Decision, change: Change, choice: Choice, all_down: bool) -> Outcome {
    Outcome {
        decision,
        change,
        wanted: choice.wanted,
        wake: choice.wake,
        all_down,
    }
}

/// Whether health may change anything now without an operator.
fn may_change_by_itself(inputs: &Inputs<'_>) -> bool {
    inputs.warm
        && !inputs.doubt
        && !inputs.blind
        && inputs.overrides.freeze(&inputs.route.name).is_none()
        && inputs.route.failover != FailoverPolicy::Observe
}

fn point(
    inputs: &Inputs<'_>,
    candidates: &[Candidate<'_>],
    choice: &Choice,
    last: Option<&Decision>,
    all_down: bool,
) -> Decision {
    // Where health may not change anything, a command or a new configuration changes only what it names:
    // everything else keeps the place it has.
    let settled = last.is_some() && (!may_change_by_itself(inputs) || all_down);
    let order = order(candidates, &choice.active, last.filter(|_| settled));
    let mut decision = Decision {
        route: inputs.route.name.clone(),
        generation: last.map_or(Generation::default(), |last| last.generation),
        at: last.map_or(inputs.now.wall, |last| last.at),
        active: choice.active.clone(),
        order: order.iter().map(|pool| pool.name().clone()).collect(),
        services: render::services(inputs, &order, settled),
        addresses: render::addresses(inputs, order[0], settled),
        ttl: inputs.route.ttl,
        reason: Reason::Configuration,
    };
    decision.reason = match (&choice.moved, &inputs.trigger) {
        (Some(Move::Operator(reason) | Move::Automatic(reason)), _) => reason.clone(),
        (None, Trigger::Operator(reason)) => reason.clone(),
        (None, Trigger::Configuration) => Reason::Configuration,
        (None, Trigger::Observation) => Reason::Reorder {
            evidence: evidence_of_change(inputs, &order, last, &decision),
        },
    };
    decision
}

/// The active pool, then the rest by rank; by their last place where health may not change anything.
fn order<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    active: &PoolName,
    settled_in: Option<&Decision>,
) -> Vec<&'c Candidate<'a>> {
    let mut pools: Vec<_> = candidates
        .iter()
        .filter(|pool| !pool.excluded || pool.name() == active)
        .collect();
    match settled_in {
        None => pools.sort_by_key(|p| (p.name() != active, p.rank(), p.preference)),
        Some(last) => {
            let place = |p: &Candidate<'_>| last.order.iter().position(|name| name == p.name());
            pools.sort_by_key(|p| {
                let place = place(p).unwrap_or(usize::MAX);
                (p.name() != active, p.drained, place, p.preference)
            });
        }
    }
    pools
}

/// So much evidence is kept with a decision.
const EVIDENCE: usize = 8;

/// What was seen of the targets and addresses whose records differ from the last decision's.
fn evidence_of_change(
    inputs: &Inputs<'_>,
    order: &[&Candidate<'_>],
    last: Option<&Decision>,
    new: &Decision,
) -> Vec<Evidence> {
    let Some(last) = last else {
        let all = order.iter().filter_map(|pool| pool.health);
        let all = all.flat_map(|health| &health.evidence);
        return all.take(EVIDENCE).cloned().collect();
    };
    let (records, addresses) = (moved_records(last, new), moved_addresses(last, new));
    let changed = |pool: &Candidate<'_>| -> BTreeSet<&CheckId> {
        let uses = inputs.topology.checks_of(&inputs.route.name, pool.name());
        let moved = uses.iter().filter(|usage| {
            let name = render::target_name(inputs.route, usage.service, pool, usage.target);
            name.is_some_and(|name| records.contains(&(usage.service, name)))
                || addresses.contains(&usage.publish)
        });
        moved.map(|usage| &usage.check).collect()
    };
    let seen = order.iter().filter_map(|pool| Some((pool, pool.health?)));
    seen.flat_map(|(pool, health)| {
        let changed = changed(pool);
        let evidence = health.evidence.iter();
        evidence.filter(move |evidence| changed.contains(&evidence.check))
    })
    .take(EVIDENCE)
    .cloned()
    .collect()
}

/// The targets whose records are not the same in both decisions.
fn moved_records<'a>(
    last: &'a Decision,
    new: &'a Decision,
) -> BTreeSet<(ServiceKind, &'a DomainName)> {
    let of = |decision: &'a Decision| -> BTreeSet<(ServiceKind, &'a SrvRecord)> {
        let sets = decision.services.iter();
        sets.flat_map(|(kind, records)| records.iter().map(move |record| (*kind, record)))
            .collect()
    };
    let (last, new) = (of(last), of(new));
    let moved = last.symmetric_difference(&new);
    moved
        .map(|(kind, record)| (*kind, &record.target))
        .collect()
}

/// The addresses that are in one of both decisions.
fn moved_addresses(last: &Decision, new: &Decision) -> BTreeSet<IpAddr> {
    let of = |decision: &Decision| -> BTreeSet<IpAddr> {
        decision.addresses.values().flatten().copied().collect()
    };
    of(last).symmetric_difference(&of(new)).copied().collect()
}
