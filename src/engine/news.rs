//! What health has to say: transitions logged, journaled, and turned into questions about routes.
//!
//! In: transitions. Out: log lines, journal entries, and the routes to ask about. Never here: what follows
//! for a route.

use std::time::Duration;

use super::core::{Engine, Triggers};
use super::event::Effect;
use super::record::EntryKind;
use crate::clock::Now;
use crate::decide::Trigger;
use crate::health::Transition;
use crate::probe::Observation;
use crate::topology::CheckId;

/// After the node has been blind for so long, what it saw before says nothing about now.
const STALE: Duration = Duration::from_secs(300);

impl Engine {
    pub(super) fn observed(&self, check: &CheckId, triggers: &mut Triggers) {
        for route in self.users.get(check).into_iter().flatten() {
            triggers.insert(route.clone(), Trigger::Observation);
        }
    }

    /// A check has been observed, also since a long blindness.
    pub(super) fn seen_again(&mut self, observation: &Observation) {
        if observation.began >= self.sighted {
            self.unseen.remove(&observation.check);
        }
    }

    /// Verdicts are older than a long blindness: nothing automatic follows from them before everything has been observed
    /// again, as after a start.
    fn distrust_verdicts(&mut self) {
        let checks = self.topology().checks.iter();
        self.unseen = checks.map(|(id, _)| id.clone()).collect();
        self.warm.clear();
    }

    /// Logs and journals what changed in health, and marks the routes it concerns.
    pub(super) fn tell(
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
            match transition {
                Transition::BlindBegan => self.blinded = now.mono,
                Transition::BlindEnded { .. } => {
                    self.sighted = now.mono;
                    if now.mono.since(self.blinded) >= STALE {
                        self.distrust_verdicts();
                    }
                }
                _ => {}
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
            self.look_again();
        }
    }
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
