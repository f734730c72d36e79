//! Standbys: which other pools could take over from the active one, and what keeps the rest from it.
//!
//! Deciding itself ranks candidates; this only names what that ranking means for each of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::candidate::{self, Candidate};
use super::{Inputs, Override};
use crate::clock::Wall;
use crate::health::Verdict;
use crate::topology::PoolName;

/// A pool of the route that is not active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standby {
    /// The pool.
    pub pool: PoolName,
    /// Why it could not take over; none when it could.
    pub obstacle: Option<Obstacle>,
}

/// Why a pool could not take over, or should not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Obstacle {
    /// It is down.
    Down {
        /// The worst check and its cause.
        cause: Option<String>,
    },
    /// Nothing is known of it, so repoint does not move to it by itself.
    Unknown {
        /// The worst check and its cause.
        cause: Option<String>,
    },
    /// An operator drained it. It is used only when everything else is down.
    Drained {
        /// Who; none where each target has its own drain.
        author: Option<String>,
        /// The end of the drain of the pool; none where it has none.
        until: Option<Wall>,
    },
    /// An operator drained it with `--never`.
    Never {
        /// Who.
        author: Option<String>,
        /// The end of the drain; none where it has none.
        until: Option<Wall>,
    },
}

impl fmt::Display for Standby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.obstacle {
            None => write!(f, "{} can take over", self.pool),
            Some(obstacle) => write!(f, "{} is {obstacle}", self.pool),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Obstacle::Drained { author: None, .. }) {
            return f.write_str("drained target by target");
        }
        let (word, cause, until) = match self {
            Obstacle::Down { cause } => ("down", cause, None),
            Obstacle::Unknown { cause } => ("unknown", cause, None),
            Obstacle::Drained { author, until } => ("drained", author, Some(until)),
            Obstacle::Never { author, until } => ("drained with --never", author, Some(until)),
        };
        f.write_str(word)?;
        match (cause, until) {
            (Some(cause), None) => write!(f, ": {cause}")?,
            (Some(author), Some(_)) => write!(f, " by {author}")?,
            (None, _) => {}
        }
        match until {
            Some(Some(until)) => write!(f, " until {until}"),
            Some(None) => f.write_str(" without end"),
            None => Ok(()),
        }
    }
}

/// Every pool of the route but the active one, preferred first.
pub fn standbys(inputs: &Inputs<'_>) -> Vec<Standby> {
    let active = inputs.state.decision.as_ref().map(|last| &last.active);
    candidate::candidates(inputs)
        .iter()
        .filter(|pool| Some(pool.name()) != active)
        .map(|pool| Standby {
            pool: pool.name().clone(),
            obstacle: obstacle(inputs, pool),
        })
        .collect()
}

/// What keeps one pool of the route from being used, whether it is active or not.
pub fn obstacle_of(inputs: &Inputs<'_>, pool: &PoolName) -> Option<Obstacle> {
    let candidates = candidate::candidates(inputs);
    let pool = candidates.iter().find(|one| one.name() == pool)?;
    obstacle(inputs, pool)
}

/// Health comes first: a drained pool that is down cannot take over when its drain ends.
fn obstacle(inputs: &Inputs<'_>, pool: &Candidate<'_>) -> Option<Obstacle> {
    let drain = inputs.overrides.drain(pool.name());
    let author = |drain: Option<&Override>| drain.map(|drain| drain.author.clone());
    let until = drain.and_then(|drain| drain.until);
    if pool.excluded {
        let author = author(drain);
        return Some(Obstacle::Never { author, until });
    }
    let worst = pool.health.and_then(|health| health.evidence.first());
    let cause = worst.map(|worst| format!("{} ({})", worst.cause, worst.check));
    match pool.verdict() {
        Verdict::Down => Some(Obstacle::Down { cause }),
        Verdict::Unknown => Some(Obstacle::Unknown { cause }),
        _ if pool.drained => {
            let author = author(drain);
            Some(Obstacle::Drained { author, until })
        }
        Verdict::Up | Verdict::Degraded => None,
    }
}
