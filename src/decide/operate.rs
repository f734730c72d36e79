//! Commanded moves: where `failover` and `failback` take a route, or why not.
//!
//! In: the same inputs as deciding. Out: a [`Position`] to put into the route's state. Never here: the
//! records; `decide` makes them from the state.

use serde::{Deserialize, Serialize};

use super::candidate::{self, Candidate};
use super::{Inputs, active};
use crate::health::Verdict;
use crate::topology::PoolName;

/// Where a command puts a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The pool to be active.
    pub active: PoolName,
    /// The pool that is home from now on.
    pub home: Option<PoolName>,
    /// The pool that was active.
    pub from: PoolName,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Why a commanded move is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandFault {
    /// The route is pinned.
    #[error("the route is pinned to {0}")]
    Pinned(PoolName),
    /// The pool named is not in the route.
    #[error("pool {0} is not in the route")]
    NotInRoute(PoolName),
    /// The route points there already.
    #[error("{0} is active already")]
    AlreadyActive(PoolName),
    /// The pool is down.
    #[error("{0} is down")]
    Down(PoolName),
    /// The pool is drained.
    #[error("{0} is drained")]
    Drained(PoolName),
    /// No other pool is there to move to.
    #[error("no other pool of the route is up")]
    NoOther,
}

/// Where `failover` goes: to the pool named, else the best other one. It becomes home.
pub fn failover_position(
    inputs: &Inputs<'_>,
    to: Option<&PoolName>,
) -> Result<Position, CommandFault> {
    let candidates = candidate::candidates(inputs);
    let from = current(inputs, &candidates)?;
    let target = match to {
        Some(name) => candidates
            .iter()
            .find(|pool| pool.name() == name)
            .ok_or_else(|| CommandFault::NotInRoute(name.clone()))?,
        None => {
            let others = candidates
                .iter()
                .filter(|pool| *pool.name() != from && !pool.excluded);
            active::best_of(others.filter(|pool| pool.serves())).ok_or(CommandFault::NoOther)?
        }
    };
    move_to(inputs, target, from, Some(target.name().clone()))
}

/// Where `failback` goes: to the most preferred pool. Home is cleared.
pub fn failback_position(inputs: &Inputs<'_>) -> Result<Position, CommandFault> {
    let candidates = candidate::candidates(inputs);
    let from = current(inputs, &candidates)?;
    let preferred = candidates
        .iter()
        .find(|pool| !pool.excluded)
        .ok_or(CommandFault::NoOther)?;
    move_to(inputs, preferred, from, None)
}

fn current(inputs: &Inputs<'_>, candidates: &[Candidate<'_>]) -> Result<PoolName, CommandFault> {
    if let Some((pool, _)) = inputs.overrides.pin(&inputs.route.name) {
        return Err(CommandFault::Pinned(pool.clone()));
    }
    let decided = inputs
        .state
        .decision
        .as_ref()
        .map(|decision| decision.active.clone());
    decided
        .or_else(|| candidates.first().map(|pool| pool.name().clone()))
        .ok_or(CommandFault::NoOther)
}

fn move_to(
    inputs: &Inputs<'_>,
    target: &Candidate<'_>,
    from: PoolName,
    home: Option<PoolName>,
) -> Result<Position, CommandFault> {
    let name = target.name().clone();
    if name == from && home == inputs.state.home {
        return Err(CommandFault::AlreadyActive(name));
    }
    // A drained pool would be left again by the drain, and a down one by the next observation: to hold a
    // route on such a pool is what a pin is for.
    if target.drained {
        return Err(CommandFault::Drained(name));
    }
    let mut warnings = Vec::new();
    match target.verdict() {
        Verdict::Down => return Err(CommandFault::Down(name)),
        Verdict::Degraded => warnings.push(format!("{name} is degraded")),
        Verdict::Unknown => warnings.push(format!("nothing is known of {name} yet")),
        Verdict::Up => {}
    }
    Ok(Position {
        active: name,
        home,
        from,
        warnings,
    })
}
