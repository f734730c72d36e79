//! Alarms about the pools behind the active one: none could take over, or the route is not where it belongs.
//!
//! What each pool could do, and how the route comes back, is `decide`'s answer; this puts it into words.

use super::alarm::{AlarmKind, Severity};
use super::alarms::Condition;
use super::core::Engine;
use crate::clock::Now;
use crate::decide::{Back, Inputs, Obstacle, Standby, belongs_on, obstacle_of, standbys, way_back};
use crate::health::Verdict;
use crate::topology::{Family, PoolName, Route};

impl Engine {
    /// No other pool of the route could take over. A route that has one pool only is warned of when its
    /// configuration is checked: an alarm that never ends helps nobody.
    pub(super) fn standby_condition(
        &self,
        route: &Route,
        inputs: &Inputs<'_>,
        now: Now,
    ) -> Option<Condition> {
        if route.pools.len() < 2 || !self.warm.contains(&route.name) {
            return None;
        }
        let (name, active) = (&route.name, &inputs.state.decision.as_ref()?.active);
        let standbys = standbys(inputs);
        let stands_by = |standby: &Standby| match &standby.obstacle {
            None => true,
            // What a start, a reload or blindness left unknown is soon known.
            Some(Obstacle::Unknown { .. }) => !self.is_long_unknown(route, &standby.pool, now),
            Some(_) => false,
        };
        if standbys.iter().any(stands_by) {
            return None;
        }
        let health = self.health.pool(name, active);
        let verdict = health.map_or(Verdict::Unknown, |health| health.verdict);
        let well = match verdict {
            Verdict::Up => true,
            Verdict::Unknown => !self.is_long_unknown(route, active, now),
            Verdict::Degraded | Verdict::Down => false,
        };
        let others: Vec<String> = standbys.iter().map(ToString::to_string).collect();
        let others = others.join("; ");
        // A drained pool that serves is used when all else is down, and it is about to be stopped.
        let last_resort = standbys
            .iter()
            .any(|standby| matches!(standby.obstacle, Some(Obstacle::Drained { .. })));
        let left = match last_resort {
            true => format!("only drained pools of route {name} can take over: {others}"),
            false => format!("no pool of route {name} can take over: {others}"),
        };
        let (severity, text) = match well {
            true => (Severity::Warning, format!("if {active} fails, {left}")),
            false => (
                Severity::Critical,
                format!("{active} is {verdict}, and {left}"),
            ),
        };
        let drained = standbys.iter().find(|standby| {
            let obstacle = standby.obstacle.as_ref();
            matches!(
                obstacle,
                Some(Obstacle::Drained { .. } | Obstacle::Never { .. })
            )
        });
        let remedy = match drained {
            Some(drained) => {
                let undrain = self.typed(self.undrain(&drained.pool));
                format!("when the work on it is done: {undrain}")
            }
            None => format!("repoint route explain {name}"),
        };
        Some(Condition {
            kind: AlarmKind::NoStandby,
            subject: name.to_string(),
            severity,
            text,
            remedy: Some(remedy),
        })
    }

    /// The federation address record lacks a family that it has while the route is where it belongs.
    pub(super) fn family_condition(&self, route: &Route, inputs: &Inputs<'_>) -> Option<Condition> {
        let owner = route.address.as_ref()?;
        let (name, decision) = (&route.name, inputs.state.decision.as_ref()?);
        let active = &decision.active;
        let publishes = |pool: &PoolName, family| {
            let pool = self.topology().pools.get(pool);
            pool.is_some_and(|pool| pool.publishes(family))
        };
        let belongs = belongs_on(inputs)?;
        let missing: Vec<Family> = Family::ALL
            .into_iter()
            .filter(|family| !decision.addresses.contains_key(family))
            .filter(|family| publishes(belongs, *family) || publishes(active, *family))
            .collect();
        let first = *missing.first()?;
        let records: Vec<&str> = missing.iter().map(|family| family.record()).collect();
        let first_domain = route.domains.first();
        let owner = first_domain
            .and_then(|domain| owner.for_domain(domain).ok())
            .map_or_else(|| owner.as_str().to_owned(), |owner| owner.to_string());
        let more = match route.domains.len() {
            0 | 1 => String::new(),
            domains => format!(" (and the name of {} more domains)", domains - 1),
        };
        let (why, remedy) = match publishes(active, first) {
            true => (
                format!("the {first} addresses of {active} are down"),
                format!("repoint route explain {name}"),
            ),
            false => (
                format!("{active}, which is active, publishes no {first} address"),
                format!(
                    "give {active} an {first} address in the configuration, then: {}",
                    self.typed("repoint config reload".into())
                ),
            ),
        };
        Some(Condition {
            kind: AlarmKind::AddressFamily,
            subject: name.to_string(),
            severity: Severity::Warning,
            text: format!(
                "{owner}{more} has no {} record in route {name}: {why}; partners that need one find no address",
                records.join(" and no ")
            ),
            remedy: Some(remedy),
        })
    }

    /// The route is not on its home or most preferred pool.
    pub(super) fn preference_condition(
        &self,
        route: &Route,
        inputs: &Inputs<'_>,
    ) -> Option<Condition> {
        let name = &route.name;
        let active = &inputs.state.decision.as_ref()?.active;
        let wanted = belongs_on(inputs).filter(|wanted| *wanted != active)?;
        if self.overrides.pin(name).is_some() {
            return None;
        }
        let back = way_back(inputs)?;
        let obstacle = obstacle_of(inputs, wanted);
        let state = match (&obstacle, self.health.pool(name, wanted)) {
            (Some(obstacle), _) => format!("{wanted} is {obstacle}"),
            (None, Some(health)) => {
                format!("{wanted} is {} since {}", health.verdict, health.since_wall)
            }
            (None, None) => format!("nothing is known of {wanted}"),
        };
        Some(Condition {
            kind: AlarmKind::NotPreferred,
            subject: name.to_string(),
            severity: Severity::Warning,
            text: format!("route {name} points at {active}, not at {wanted}: {state}"),
            remedy: Some(self.way_back_in_words(route, inputs, wanted, obstacle.as_ref(), &back)),
        })
    }

    fn way_back_in_words(
        &self,
        route: &Route,
        inputs: &Inputs<'_>,
        wanted: &PoolName,
        obstacle: Option<&Obstacle>,
        back: &Back,
    ) -> String {
        let name = &route.name;
        let command = match &inputs.state.home {
            Some(home) if home == wanted => format!("repoint failover {name} --to {home}"),
            _ => format!("repoint failback {name}"),
        };
        let command = self.typed(command);
        let hold_down = humantime::format_duration(route.hold_down);
        let drained = matches!(
            obstacle,
            Some(Obstacle::Drained { .. } | Obstacle::Never { .. })
        );
        // What the command would meet now.
        let sooner = match obstacle {
            None => format!("; at once: {command}"),
            Some(_) if drained => {
                let undrain = self.typed(self.undrain(wanted));
                format!("; at once: {undrain}, then: {command}")
            }
            Some(_) => String::new(),
        };
        match back {
            Back::ByItself { at: Some(at) } => {
                format!("nothing to do: it returns by itself at {at}{sooner}")
            }
            Back::ByItself { at: None } => format!(
                "nothing to do here: it returns by itself once {wanted} has been up for {hold_down}{sooner}"
            ),
            Back::Held { holds } => {
                let holds = holds.join(", ");
                format!("it does not return by itself ({holds}){sooner}")
            }
            Back::ByCommand { .. } if drained => {
                let until = self.overrides.drain(wanted).and_then(|drain| drain.until);
                let until = until
                    .map(|until| format!(" at {until}"))
                    .unwrap_or_default();
                let undrain = self.typed(self.undrain(wanted));
                format!("when the drain has ended{until}: {command}; to end it: {undrain}")
            }
            Back::ByCommand { refused: None } => command,
            Back::ByCommand { refused: Some(_) } => format!("when {wanted} is up: {command}"),
        }
    }
}
