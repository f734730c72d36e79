//! Candidates: the pools of a route as deciding sees them, and their rank.
//!
//! In: health and drains. Out: pools with a [`Rank`]. Never here: which pool is active.

use crate::health::{PoolHealth, TargetHealth, Verdict};
use crate::topology::{Pool, PoolName, ServiceKind};

use super::{Inputs, Overrides};

/// How good a pool is to put first. The order is from best to worst; ties go by preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Up,
    Degraded,
    Unknown,
    DrainedButUp,
    Down,
}

/// One pool of the route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) pool: &'a Pool,
    /// Its place in the order of preference, from zero.
    pub(super) preference: usize,
    /// What is known of it; none while health has not heard of it.
    pub(super) health: Option<&'a PoolHealth>,
    /// Drained by the operator, as a whole or target by target.
    pub(super) drained: bool,
    /// Drained with `--never`.
    pub(super) excluded: bool,
}

impl<'a> Candidate<'a> {
    pub(super) fn name(&self) -> &'a PoolName {
        &self.pool.name
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.health
            .map_or(Verdict::Unknown, |health| health.verdict)
    }

    pub(super) fn rank(&self) -> Rank {
        match self.verdict() {
            Verdict::Down => Rank::Down,
            _ if self.drained => Rank::DrainedButUp,
            Verdict::Up => Rank::Up,
            Verdict::Degraded => Rank::Degraded,
            Verdict::Unknown => Rank::Unknown,
        }
    }

    /// Whether partners are known to be served: what repoint may move to by itself.
    pub(super) fn serves(&self) -> bool {
        matches!(self.verdict(), Verdict::Up | Verdict::Degraded)
    }

    /// What is known of one of its targets.
    pub(super) fn target(&self, index: usize) -> Option<&'a TargetHealth> {
        self.health.and_then(|health| health.targets.get(index))
    }

    /// The verdict of one of its targets for one service.
    pub(super) fn service(&self, index: usize, kind: ServiceKind) -> Verdict {
        self.target(index)
            .and_then(|target| target.services.get(&kind).copied())
            .unwrap_or(Verdict::Unknown)
    }
}

/// The pools of the route, preferred first. Where every pool is drained with `--never`, none is excluded:
/// an SRV RRset is never empty.
pub(super) fn candidates<'a>(inputs: &Inputs<'a>) -> Vec<Candidate<'a>> {
    let mut all: Vec<Candidate<'a>> = inputs
        .route
        .pool_names()
        .enumerate()
        .filter_map(|(preference, name)| {
            let pool = inputs.topology.pools.get(name)?;
            let drain = inputs.overrides.drain(name);
            Some(Candidate {
                pool,
                preference,
                health: inputs.verdicts.get(name).copied(),
                drained: drain.is_some() || every_target_is_drained(pool, inputs.overrides),
                excluded: drain.is_some_and(|drain| drain.never),
            })
        })
        .collect();
    if all.iter().all(|candidate| candidate.excluded) {
        for candidate in &mut all {
            candidate.excluded = false;
        }
    }
    all
}

fn every_target_is_drained(pool: &Pool, overrides: &Overrides) -> bool {
    pool.targets
        .iter()
        .all(|target| overrides.target_is_drained(&pool.name, &target.name))
}
