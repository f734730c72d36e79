//! Which pool is active: the one question partners feel.
//!
//! In: candidates, the route's state, what triggered the question. Out: the active pool, what moved it, and
//! what would move it but is held back. Never here: the order behind the active pool.

use std::time::Duration;

use super::candidate::{Candidate, Rank};
use super::latch;
use super::{Hold, Inputs, Reason, Trigger, Wanted};
use crate::clock::Mono;
use crate::health::Verdict;
use crate::topology::{FailbackPolicy, FailoverPolicy, PoolName};

/// The answer.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) active: PoolName,
    /// What moved it; none when it stayed.
    pub(super) moved: Option<Move>,
    /// An automatic move that something holds back.
    pub(super) wanted: Option<Wanted>,
    /// When to ask again although nothing happened.
    pub(super) wake: Option<Mono>,
}

/// Who moved the route.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Operator(Reason),
    Automatic(Reason),
}

/// Chooses the active pool. `candidates` are in order of preference and not empty.
pub(super) fn choose(inputs: &Inputs<'_>, candidates: &[Candidate<'_>]) -> Choice {
    let pinned = inputs
        .overrides
        .pin(&inputs.route.name)
        .and_then(|(pool, pin)| Some((find(candidates, pool)?, pin)));
    let current = inputs
        .state
        .decision
        .as_ref()
        .and_then(|decision| find(candidates, &decision.active).filter(|pool| !pool.excluded));

    if let Some((pool, pin)) = pinned {
        let moved = current.is_none_or(|current| current.name() != pool.name());
        let reason = || match &inputs.trigger {
            Trigger::Operator(reason) => reason.clone(),
            _ => Reason::Override {
                change: format!("{} to {}", pin.key, pool.name()),
                author: Some(pin.author.clone()),
                why: pin.reason.clone(),
                key: Some(pin.key.clone()),
            },
        };
        return Choice {
            active: pool.name().clone(),
            moved: moved.then(|| Move::Operator(reason())),
            wanted: None,
            wake: None,
        };
    }
    if let Some(choice) = commanded(inputs, candidates) {
        return choice;
    }
    let Some(current) = current else {
        return begin(inputs, candidates);
    };
    if let Some(choice) = leave_drained(inputs, candidates, current) {
        return choice;
    }
    match current.verdict() {
        Verdict::Down => leave_down(inputs, candidates, current),
        _ => fail_back(inputs, candidates, current),
    }
}

/// `failover` or `failback` names the pool just now. What was known when the command was planned allowed it. A pool that
/// has gone down while the command was being stored is not moved to: it would be left again at once.
fn commanded(inputs: &Inputs<'_>, candidates: &[Candidate<'_>]) -> Option<Choice> {
    let pool = find(candidates, inputs.commanded?)?;
    if pool.verdict() == Verdict::Down {
        return None;
    }
    let active = inputs.state.decision.as_ref().map(|last| &last.active);
    let moved = match &inputs.trigger {
        Trigger::Operator(reason) if active != Some(pool.name()) => {
            Some(Move::Operator(reason.clone()))
        }
        _ => None,
    };
    Some(stay_at(pool.name(), moved))
}

/// No decision yet, or the configuration (or a drain with `--never`) took the active pool away.
fn begin(inputs: &Inputs<'_>, candidates: &[Candidate<'_>]) -> Choice {
    let first_start = inputs.state.decision.is_none();
    let open = || candidates.iter().filter(|pool| !pool.excluded);
    // A first start serves the preferred order: the pool that happens to be observed first is not better than the
    // others. Once every check has been observed, ranks tell them apart.
    let best = if first_start && !inputs.warm {
        open().min_by_key(|pool| (pool.drained, pool.preference))
    } else {
        best_of(open())
    };
    let best = best.expect("a route has a pool, and not every pool is excluded");
    let reason = match &inputs.trigger {
        Trigger::Operator(reason) => reason.clone(),
        _ if first_start => Reason::FirstStart,
        _ => Reason::Configuration,
    };
    stay_at(best.name(), Some(Move::Operator(reason)))
}

/// A drained pool is left for a better one. The operator asked for it, so freeze and latch do not hold it;
/// but only the command itself may go to a pool of which nothing is known.
fn leave_drained(
    inputs: &Inputs<'_>,
    candidates: &[Candidate<'_>],
    current: &Candidate<'_>,
) -> Option<Choice> {
    if !current.drained {
        return None;
    }
    let by_command = matches!(inputs.trigger, Trigger::Operator(_)) && inputs.commanded.is_none();
    if !by_command && (inputs.blind || !inputs.warm || inputs.doubt) {
        return None;
    }
    let better = candidates
        .iter()
        .filter(|pool| !pool.excluded && pool.rank() < current.rank())
        .filter(|pool| by_command || pool.serves());
    let best = best_of(better)?;
    let reason = match &inputs.trigger {
        Trigger::Operator(reason) => reason.clone(),
        _ => {
            let drain = inputs.overrides.drain(current.name());
            Reason::Override {
                change: format!("drain of pool {}: {} serves", current.name(), best.name()),
                author: drain.map(|drain| drain.author.clone()),
                why: drain.and_then(|drain| drain.reason.clone()),
                key: drain.map(|drain| drain.key.clone()),
            }
        }
    };
    Some(stay_at(best.name(), Some(Move::Operator(reason))))
}

fn leave_down(
    inputs: &Inputs<'_>,
    candidates: &[Candidate<'_>],
    current: &Candidate<'_>,
) -> Choice {
    let better = || {
        candidates
            .iter()
            .filter(|pool| !pool.excluded && pool.serves() && pool.rank() < current.rank())
    };
    let Some(best) = best_of(better()) else {
        return stay_at(current.name(), None);
    };
    let reason = Reason::Failover {
        from: current.name().clone(),
        evidence: current
            .health
            .map(|health| health.evidence.clone())
            .unwrap_or_default(),
    };
    let mut holds = general_holds(inputs);
    match inputs.route.failover {
        FailoverPolicy::Auto => {}
        FailoverPolicy::Ask => holds.push(Hold::Ask),
        FailoverPolicy::Observe => holds.push(Hold::Observe),
    }
    let latched = latch::is_latched(inputs.state, inputs.route, inputs.now.mono);
    if !latched {
        return carry_out(current, best, reason, holds, None);
    }
    // The latch's exception: a down pool may be left for one that has proven itself.
    let lasting = best_of(better().filter(|pool| held_down(inputs, pool).is_none()));
    match lasting {
        Some(lasting) => carry_out(current, lasting, reason, holds, None),
        None => {
            holds.push(Hold::Latched);
            let wake = better().filter_map(|pool| held_down(inputs, pool)).min();
            carry_out(current, best, reason, holds, wake)
        }
    }
}

/// Towards home, else the most preferred pool. Several pools may stand before the current one; the first of
/// them that has been up for the hold-down gets the route.
fn fail_back(inputs: &Inputs<'_>, candidates: &[Candidate<'_>], current: &Candidate<'_>) -> Choice {
    if inputs.route.failback == FailbackPolicy::Manual {
        return stay_at(current.name(), None);
    }
    let before: Vec<_> = homeward(inputs, candidates)
        .into_iter()
        .take_while(|pool| pool.name() != current.name())
        .filter(|pool| !pool.excluded && pool.rank() == Rank::Up)
        .collect();
    let ready = before.iter().find(|pool| held_down(inputs, pool).is_none());
    if let Some(ready) = ready {
        let reason = Reason::Failback {
            from: current.name().clone(),
            up_for: up_since(inputs, ready).map_or(Duration::ZERO, |up| inputs.now.mono.since(up)),
        };
        let mut holds = general_holds(inputs);
        if inputs.route.failover == FailoverPolicy::Observe {
            holds.push(Hold::Observe);
        }
        if latch::is_latched(inputs.state, inputs.route, inputs.now.mono) {
            holds.push(Hold::Latched);
        }
        return carry_out(current, ready, reason, holds, None);
    }
    let next = before
        .iter()
        .filter_map(|pool| Some((held_down(inputs, pool)?, *pool)))
        .min_by_key(|(at, _)| *at);
    match next {
        None => stay_at(current.name(), None),
        Some((at, pool)) => {
            let reason = Reason::Failback {
                from: current.name().clone(),
                up_for: inputs.route.hold_down,
            };
            carry_out(
                current,
                pool,
                reason,
                vec![Hold::HoldDown { until: at }],
                Some(at),
            )
        }
    }
}

/// What holds back every automatic move.
fn general_holds(inputs: &Inputs<'_>) -> Vec<Hold> {
    let mut holds = Vec::new();
    if inputs.doubt {
        holds.push(Hold::StateDoubtful);
    }
    if !inputs.warm {
        holds.push(Hold::NotWarm);
    }
    if inputs.blind {
        holds.push(Hold::Blind);
    }
    if inputs.overrides.freeze(&inputs.route.name).is_some() {
        holds.push(Hold::Frozen);
    }
    holds
}

fn carry_out(
    current: &Candidate<'_>,
    to: &Candidate<'_>,
    reason: Reason,
    holds: Vec<Hold>,
    wake: Option<Mono>,
) -> Choice {
    if holds.is_empty() {
        return stay_at(to.name(), Some(Move::Automatic(reason)));
    }
    let wanted = Wanted {
        to: to.name().clone(),
        reason,
        holds,
    };
    Choice {
        active: current.name().clone(),
        moved: None,
        wanted: Some(wanted),
        wake,
    }
}

fn stay_at(active: &PoolName, moved: Option<Move>) -> Choice {
    Choice {
        active: active.clone(),
        moved,
        wanted: None,
        wake: None,
    }
}

/// The pools in the order in which failback wants them: home, then by preference.
fn homeward<'c, 'a>(
    inputs: &Inputs<'_>,
    candidates: &'c [Candidate<'a>],
) -> Vec<&'c Candidate<'a>> {
    let mut sequence: Vec<_> = candidates.iter().collect();
    sequence.sort_by_key(|pool| {
        (
            inputs.state.home.as_ref() != Some(pool.name()),
            pool.preference,
        )
    });
    sequence
}

/// The moment from which a pool counts as up for the hold-down.
fn up_since(inputs: &Inputs<'_>, pool: &Candidate<'_>) -> Option<Mono> {
    let health = pool.health.filter(|health| health.verdict == Verdict::Up)?;
    Some(health.since.max(inputs.state.hold_from))
}

/// When the pool's hold-down will be over; none when it is.
fn held_down(inputs: &Inputs<'_>, pool: &Candidate<'_>) -> Option<Mono> {
    // A pool that is not up is always held down; it is asked again when its verdict changes.
    let Some(up) = up_since(inputs, pool) else {
        return Some(inputs.now.mono + inputs.route.hold_down);
    };
    let until = up + inputs.route.hold_down;
    (until > inputs.now.mono).then_some(until)
}

fn find<'c, 'a>(candidates: &'c [Candidate<'a>], name: &PoolName) -> Option<&'c Candidate<'a>> {
    candidates.iter().find(|pool| pool.name() == name)
}

pub(super) fn best_of<'c, 'a: 'c>(
    pools: impl Iterator<Item = &'c Candidate<'a>>,
) -> Option<&'c Candidate<'a>> {
    pools.min_by_key(|pool| (pool.rank(), pool.preference))
}
