//! Which alarms routes and their pools raise.
//!
//! In: decisions, what is held back, health. Out: conditions of the moment. Never here: a change of anything.

use std::time::Duration;

use super::alarm::{AlarmKind, Severity};
use super::alarms::Condition;
use super::core::Engine;
use crate::clock::{Mono, Now};
use crate::decide::Hold;
use crate::health::{PoolHealth, Verdict};
use crate::topology::{PoolName, Route};

/// An active pool that has been unknown for this long is impaired.
const LONG_UNKNOWN: Duration = Duration::from_secs(60);

impl Engine {
    /// The conditions of one route.
    pub(super) fn route_conditions(&self, route: &Route, now: Now, all: &mut Vec<Condition>) {
        let Some(state) = self.routes.get(&route.name) else {
            return;
        };
        let Some(decision) = &state.decision else {
            return;
        };
        let inputs = self.inputs(route, state, now);
        all.extend(self.standby_condition(route, &inputs, now));
        all.extend(self.preference_condition(route, &inputs));
        all.extend(self.family_condition(route, &inputs));
        let name = &route.name;
        let active = &decision.active;
        let mut raise = |kind, severity, text: String, remedy: Option<String>| {
            all.push(Condition {
                kind,
                subject: name.to_string(),
                severity,
                text,
                remedy,
            });
        };
        let health = self.health.pool(name, active);
        let verdict = health.map_or(Verdict::Unknown, |health| health.verdict);
        let held = self.held.get(name);
        let pinned = self.overrides.pin(name);

        // With nowhere to go, what is said of the active pool is the same whether the others are down or unknown.
        let stuck = verdict == Verdict::Down && held.is_none_or(|held| held.wanted.is_none());
        if held.is_some_and(|held| held.all_down) || (stuck && pinned.is_none()) {
            raise(
                AlarmKind::FailingOpen,
                Severity::Critical,
                format!("no pool of route {name} is up; {active} stays first"),
                Some(format!("repoint route explain {name}")),
            );
        }
        if let Some((pool, _)) = pinned.filter(|_| verdict == Verdict::Down) {
            raise(
                AlarmKind::PinOnDownPool,
                Severity::Critical,
                format!("route {name} is pinned to {pool}, which is down"),
                Some(self.typed(format!("repoint unpin {name}"))),
            );
        }
        if self.overrides.drain(active).is_some() && pinned.is_none() {
            let undrain = self.typed(self.undrain(active));
            raise(
                AlarmKind::DrainedButActive,
                Severity::Warning,
                format!("{active} is drained but active in route {name}: nothing better is there"),
                Some(format!(
                    "see what keeps the others: repoint route explain {name}; or end the drain: {undrain}"
                )),
            );
        }
        if state.latched.is_some() {
            raise(
                AlarmKind::Latched,
                Severity::Critical,
                format!("route {name} has switched too often: automatic switching has stopped"),
                Some(self.typed(format!("when the cause is fixed: repoint unfreeze {name}"))),
            );
        }
        if let Some(wanted) = held.and_then(|held| held.wanted.as_ref())
            && verdict == Verdict::Down
            && wanted.holds.iter().any(needs_the_operator)
        {
            raise(
                AlarmKind::SwitchWanted,
                Severity::Critical,
                format!(
                    "{active} is down and {} serves; {}",
                    wanted.to, wanted.holds[0]
                ),
                Some(self.typed(format!("repoint failover {name} --to {}", wanted.to))),
            );
        }
        // Before the first round is over, what is not known yet is no news.
        let Some(health) = health.filter(|_| self.warm.contains(name)) else {
            return;
        };
        if let Some(how) = self.impairment(health, now) {
            let cause = health.evidence.first();
            let cause = cause
                .map(|e| format!(": {} ({})", e.cause, e.check))
                .unwrap_or_default();
            raise(
                AlarmKind::Impaired,
                Severity::Warning,
                format!("{active}, active in route {name}, is {how}{cause}"),
                Some(format!("repoint route explain {name}")),
            );
        }
        let optional: Vec<String> = health
            .optional
            .iter()
            .filter(|(_, verdict)| **verdict != Verdict::Unknown)
            .map(|(service, verdict)| format!("{service} is {verdict}"))
            .collect();
        if !optional.is_empty() {
            raise(
                AlarmKind::ServiceImpaired,
                Severity::Warning,
                format!(
                    "{}: at {active}, not required in route {name}",
                    optional.join(", ")
                ),
                Some(format!("repoint route explain {name}")),
            );
        }
    }

    /// Whether a pool of a route has been unknown for so long that it says something.
    pub(super) fn is_long_unknown(&self, route: &Route, pool: &PoolName, now: Now) -> bool {
        let health = self.health.pool(&route.name, pool);
        health.is_some_and(|health| {
            health.verdict == Verdict::Unknown && self.has_lasted(health.since, now)
        })
    }

    fn has_lasted(&self, since: Mono, now: Now) -> bool {
        let since = since.max(self.sighted);
        self.health.blind().is_none() && now.mono.since(since) >= LONG_UNKNOWN
    }

    /// A command as it must be typed now: without a store it is refused unless it is `--volatile`.
    pub(super) fn typed(&self, command: String) -> String {
        match self.store_fault {
            Some(_) => format!("{command} --volatile"),
            None => command,
        }
    }

    /// What is wrong with an active pool that is not down; none when nothing is.
    fn impairment(&self, health: &PoolHealth, now: Now) -> Option<&'static str> {
        let seen = |verdict| health.evidence.iter().any(|e| e.verdict == verdict);
        match health.verdict {
            Verdict::Degraded => Some("degraded"),
            // Blind has its own alarm, and what a start, a reload or blindness left unknown is soon known.
            Verdict::Unknown => self.has_lasted(health.since, now).then_some("unknown"),
            // A check that is only not known yet impairs nothing: a reload has just brought it.
            Verdict::Up if health.partial && (seen(Verdict::Down) || seen(Verdict::Degraded)) => {
                Some("only partly up")
            }
            _ => None,
        }
    }
}

/// Whether a held switch stays undone until somebody does something. What time or the network brings about by
/// itself does not count.
fn needs_the_operator(hold: &Hold) -> bool {
    match hold {
        Hold::Ask | Hold::Observe | Hold::Frozen | Hold::Latched | Hold::StateDoubtful => true,
        Hold::Blind | Hold::NotWarm | Hold::HoldDown { .. } => false,
    }
}
