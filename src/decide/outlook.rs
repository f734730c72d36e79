//! What comes next for a route: `decide`'s own choice, asked about cases that have not come about.
//!
//! Each question changes a copy of the inputs (a pool is lost, an override has ended, time has passed) and lets
//! [`active::choose`] answer. No rule of deciding is repeated here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::active::{self, Choice, Move};
use super::candidate;
use super::latch::WINDOW;
use super::standby::{Standby, standbys};
use super::{
    CommandFault, Hold, Inputs, Override, Overrides, Reason, RouteState, Trigger,
    failback_position, failover_position,
};
use crate::clock::{Mono, Now, Wall};
use crate::health::{PoolHealth, Verdict};
use crate::topology::{FailbackPolicy, PoolName};

/// How long partners may keep an answer beyond its TTL: Openfire and Tigase cache SRV for 60 s.
pub const PARTNER_CACHE: Duration = Duration::from_secs(60);

/// Moments looked at before the rest of the future is left out.
const STEPS: usize = 32;

/// What comes next for a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// The other pools, and why each could not take over.
    pub standbys: Vec<Standby>,
    /// What happens when the active pool is lost; where it is down already, what happens now.
    pub loss: Loss,
    /// The next move that happens by itself as long as health stays as it is.
    pub next: Option<Foreseen>,
    /// How the route comes back to its home or most preferred pool; none while it is there.
    pub back: Option<Back>,
}

/// What happens when the active pool is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Loss {
    /// repoint switches by itself.
    Switches {
        /// To this pool.
        to: PoolName,
        /// Not before this moment, where something must end first.
        not_before: Option<Wall>,
    },
    /// Another pool could take over, but repoint does not move to it by itself.
    Waits {
        /// The pool that could take over.
        to: PoolName,
        /// What holds it back.
        holds: Vec<String>,
    },
    /// The route is pinned: it stays on this pool.
    Pinned {
        /// The end of the pin.
        until: Option<Wall>,
    },
    /// No other pool could take over.
    Stays,
}

/// A move that happens by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// When.
    pub at: Wall,
    /// To this pool.
    pub to: PoolName,
    /// The reason the decision will have.
    pub reason: Reason,
}

/// How a route comes back to its home or most preferred pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Back {
    /// By itself.
    ByItself {
        /// The moment, as long as health stays as it is. None: the pool must come up first.
        at: Option<Wall>,
    },
    /// Not while these hold it.
    Held {
        /// What holds it.
        holds: Vec<String>,
    },
    /// By an operator's command.
    ByCommand {
        /// Why the command would be refused now.
        refused: Option<CommandFault>,
    },
}

/// What comes next. `inputs` is the question of this moment; its trigger is not looked at.
pub fn outlook(inputs: &Inputs<'_>) -> Option<Outlook> {
    let active = &inputs.state.decision.as_ref()?.active;
    let next = next(inputs, active);
    Some(Outlook {
        standbys: standbys(inputs),
        loss: loss(inputs, active),
        back: back(inputs, active, next.as_ref()),
        next,
    })
}

/// How the route comes back to the pool that it belongs on; none while it is there.
pub fn way_back(inputs: &Inputs<'_>) -> Option<Back> {
    let active = &inputs.state.decision.as_ref()?.active;
    belongs_on(inputs).filter(|wanted| *wanted != active)?;
    back(inputs, active, next(inputs, active).as_ref())
}

/// The pool that a route belongs on: its home, else the most preferred.
pub fn belongs_on<'a>(inputs: &Inputs<'a>) -> Option<&'a PoolName> {
    let home = inputs.state.home.as_ref();
    home.filter(|home| inputs.route.uses(home))
        .or_else(|| inputs.route.pool_names().next())
}

/// A copy of the inputs that a question may change.
struct WhatIf<'a> {
    inputs: &'a Inputs<'a>,
    supposed: Option<(&'a PoolName, PoolHealth)>,
    overrides: Overrides,
    state: RouteState,
    trigger: Trigger,
    now: Now,
}

impl<'a> WhatIf<'a> {
    fn new(inputs: &'a Inputs<'a>) -> WhatIf<'a> {
        WhatIf {
            inputs,
            supposed: None,
            overrides: inputs.overrides.clone(),
            state: inputs.state.clone(),
            trigger: Trigger::Observation,
            now: inputs.now,
        }
    }

    /// Supposes that a pool has had this verdict since `since`.
    fn suppose(mut self, pool: &'a PoolName, verdict: Verdict, since: Mono) -> WhatIf<'a> {
        let seen = self.inputs.verdicts.get(pool).copied();
        let supposed = PoolHealth {
            verdict,
            since,
            evidence: seen.map_or_else(Vec::new, |seen| seen.evidence.clone()),
            ..PoolHealth::unknown(self.now)
        };
        self.supposed = Some((pool, supposed));
        self
    }

    fn choose(&self) -> Choice {
        let mut verdicts = self.inputs.verdicts.clone();
        if let Some((pool, supposed)) = &self.supposed {
            verdicts.insert((*pool).clone(), supposed);
        }
        let inputs = Inputs {
            topology: self.inputs.topology,
            route: self.inputs.route,
            verdicts,
            overrides: &self.overrides,
            state: &self.state,
            trigger: self.trigger.clone(),
            commanded: None,
            now: self.now,
            ..*self.inputs
        };
        active::choose(&inputs, &candidate::candidates(&inputs))
    }

    /// Goes on to the next moment that can change the answer; false when there is none.
    fn advance(&mut self, wake: Option<Mono>) -> bool {
        let route = self.inputs.route;
        let ends = self.overrides.iter().filter(|o| o.key.concerns(route));
        let next_end = ends.filter_map(|value| value.until).min();
        let next_end = next_end.map(|end| self.now.mono + end.since(self.now.wall));
        // A count that is over the limit holds without a latch until it has fallen again.
        let counts = self.state.switches.iter().map(|at| *at + WINDOW);
        let counts = counts.filter(|_| self.state.latched.is_none());
        let later = |at: &Mono| *at > self.now.mono;
        let moments = wake.into_iter().chain(counts).filter(later);
        let Some(at) = moments.chain(next_end).min() else {
            return false;
        };
        self.now = Now {
            mono: at,
            wall: self.now.wall + at.since(self.now.mono),
        };
        self.trigger = Trigger::Observation;
        for value in self.overrides.take_ended(self.now.wall) {
            if value.key.concerns(route) {
                self.state.hold_from = self.now.mono;
                self.trigger = Trigger::Operator(value.ended());
            }
        }
        true
    }

    /// The first move to another pool than `active`.
    fn first_move(&mut self, active: &PoolName) -> Option<Foreseen> {
        for _ in 0..STEPS {
            let choice = self.choose();
            if choice.active != *active {
                let (Move::Operator(reason) | Move::Automatic(reason)) = choice.moved?;
                return Some(Foreseen {
                    at: self.now.wall,
                    to: choice.active,
                    reason,
                });
            }
            if !self.advance(choice.wake) {
                return None;
            }
        }
        None
    }
}

fn next(inputs: &Inputs<'_>, active: &PoolName) -> Option<Foreseen> {
    WhatIf::new(inputs).first_move(active)
}

fn loss(inputs: &Inputs<'_>, active: &PoolName) -> Loss {
    if let Some((_, pin)) = inputs.overrides.pin(&inputs.route.name) {
        return Loss::Pinned { until: pin.until };
    }
    let down = inputs.verdicts.get(active);
    let down = down.filter(|health| health.verdict == Verdict::Down);
    let since = down.map_or(inputs.now.mono, |health| health.since);
    let lost = || WhatIf::new(inputs).suppose(active, Verdict::Down, since);
    let choice = lost().choose();
    if choice.active != *active {
        return Loss::Switches {
            to: choice.active,
            not_before: None,
        };
    }
    if let Some(then) = lost().first_move(active) {
        return Loss::Switches {
            to: then.to,
            not_before: Some(then.at),
        };
    }
    match choice.wanted {
        Some(wanted) => Loss::Waits {
            to: wanted.to,
            holds: words(&wanted.holds),
        },
        None => Loss::Stays,
    }
}

fn back(inputs: &Inputs<'_>, active: &PoolName, next: Option<&Foreseen>) -> Option<Back> {
    let wanted = belongs_on(inputs).filter(|wanted| *wanted != active)?;
    if let Some(next) = next.filter(|next| next.to == *wanted) {
        return Some(Back::ByItself { at: Some(next.at) });
    }
    if let Some((pool, pin)) = inputs.overrides.pin(&inputs.route.name) {
        let holds = vec![format!("pinned to {pool}{}", end_of(pin))];
        return Some(Back::Held { holds });
    }
    if inputs.route.failback == FailbackPolicy::Manual {
        let position = match &inputs.state.home {
            Some(home) if home == wanted => failover_position(inputs, Some(home)),
            _ => failback_position(inputs),
        };
        return Some(Back::ByCommand {
            refused: position.err(),
        });
    }
    // Suppose that the pool has been well for longer than any hold-down, and that its drain has ended.
    let since = inputs.now.mono - (inputs.route.hold_down + Duration::from_secs(1));
    let mut well = WhatIf::new(inputs).suppose(wanted, Verdict::Up, since);
    well.state.hold_from = since;
    let drain = inputs.overrides.drain(wanted);
    if drain.is_some_and(|drain| drain.until.is_some()) {
        well.overrides.remove(&super::OverrideKey::DrainPool {
            pool: wanted.clone(),
        });
    }
    let choice = well.choose();
    if choice.active == *wanted {
        return Some(Back::ByItself { at: None });
    }
    let holds = match (choice.wanted, drain) {
        (Some(held), _) => words(&held.holds),
        (None, Some(drain)) => vec![format!("{}{}", drain.key, end_of(drain))],
        (None, None) => vec![format!("{wanted} is drained target by target")],
    };
    Some(Back::Held { holds })
}

fn end_of(value: &Override) -> String {
    match value.until {
        Some(until) => format!(" until {until}"),
        None => " without end".into(),
    }
}

fn words(holds: &[Hold]) -> Vec<String> {
    holds.iter().map(ToString::to_string).collect()
}
