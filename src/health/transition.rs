//! What has just changed in health, as facts.
//!
//! In: the health of a check or pool before and after. Out: [`Transition`]s, for the log, the journal and `decide/`.
//! Never here: what to do about them.

use super::verdict::{PoolHealth, Verdict};
use crate::clock::Wall;
use crate::topology::{CheckId, PoolName, RouteName};

/// A fact that has just come about, for the log, the journal and `decide/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A check has another verdict.
    Check {
        /// Which.
        check: CheckId,
        /// The verdict before.
        from: Verdict,
        /// The verdict now.
        to: Verdict,
        /// Why, in one line; none when all is well.
        cause: Option<String>,
    },
    /// A check has reached `rise` successes in a row for the first time: its address may be published.
    Proven {
        /// Which.
        check: CheckId,
    },
    /// A pool has another verdict in a route.
    Pool {
        /// The route.
        route: RouteName,
        /// The pool.
        pool: PoolName,
        /// The verdict before.
        from: Verdict,
        /// The verdict now.
        to: Verdict,
        /// The worst check and its cause, in one line; none when all is well.
        cause: Option<String>,
    },
    /// Every check of a pool has been observed at least once.
    Observed {
        /// The route.
        route: RouteName,
        /// The pool.
        pool: PoolName,
    },
    /// No canary answered after a failure: our own network fails.
    BlindBegan,
    /// A canary answers again.
    BlindEnded {
        /// Since when the node had been blind.
        since: Wall,
    },
}

/// The transitions between two states of a pool.
pub(super) fn pool_transitions(
    (route, pool): &(RouteName, PoolName),
    before: &PoolHealth,
    after: &PoolHealth,
) -> Vec<Transition> {
    let mut transitions = Vec::new();
    if after.observed && !before.observed {
        transitions.push(Transition::Observed {
            route: route.clone(),
            pool: pool.clone(),
        });
    }
    if after.verdict != before.verdict {
        let worst = after.evidence.first();
        transitions.push(Transition::Pool {
            route: route.clone(),
            pool: pool.clone(),
            from: before.verdict,
            to: after.verdict,
            cause: worst
                .filter(|_| after.verdict != Verdict::Up)
                .map(|worst| format!("{}: {}", worst.check, worst.cause)),
        });
    }
    transitions
}
