//! Planning a command: what it would change, or why it is refused.
//!
//! In: a request and the engine's state. Out: a [`Plan`] or a refusal. Never here: changing anything.

use std::sync::Arc;

use super::challenge::Challenge;
use super::command::{Command, Lifetime, MISFIT, REMOVAL, Refusal, RefusalKind, Request};
use super::core::{Engine, Triggers};
use super::operate::triggers;
use super::record::{Entry, EntryKind};
use super::signing::TakenStep;
use crate::clock::{Now, Wall};
use crate::config::{self, Configuration};
use crate::decide::{
    CommandFault, Generation, Inputs, Override, OverrideKey, Position, Reason, Trigger,
    failback_position, failover_position,
};
use crate::topology::{DomainName, PoolName, RouteName};
use crate::zone::Serial;

/// What a command changes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) overrides: Vec<(OverrideKey, Option<Override>)>,
    pub(super) homes: Vec<(RouteName, Option<PoolName>)>,
    pub(super) commanded: Option<(RouteName, PoolName)>,
    pub(super) released: Vec<RouteName>,
    pub(super) held_from_now: Vec<RouteName>,
    pub(super) configuration: Option<Arc<Configuration>>,
    pub(super) challenges: Vec<(DomainName, Vec<Challenge>)>,
    pub(super) accepts_state: bool,
    /// The clock is right, though signatures from before begin in its future.
    pub(super) accepts_clock: bool,
    /// Serials go past this one, in every zone.
    pub(super) takes_over: Option<Serial>,
    pub(super) keys: Vec<TakenStep>,
    /// Rows of keys that come with longer TTLs.
    pub(super) longer_ttls: Vec<TakenStep>,
    pub(super) triggers: Triggers,
    pub(super) entry: Entry,
    pub(super) warnings: Vec<String>,
    /// What a reload changes, in sentences.
    pub(super) words: Vec<String>,
}

impl Engine {
    /// Works out what a request changes.
    pub(super) fn plan(&self, request: &Request, now: Now) -> Result<Plan, Box<Refusal>> {
        self.check_expected(request)?;
        match &request.command {
            Command::SetOverride {
                key,
                pool,
                never,
                lifetime,
                force,
            } => {
                let pool = pool.as_ref();
                let warnings = self.check_set(request, key, pool, *never, *force)?;
                let value = Override {
                    key: key.clone(),
                    pool: pool.cloned(),
                    never: *never,
                    author: request.author.clone(),
                    reason: request.why.clone(),
                    since: now.wall,
                    until: self.until(request, *lifetime, now)?,
                };
                Ok(self.plan_set(request, value, warnings, now))
            }
            Command::EndOverride { key } => self.plan_end(request, key, now),
            Command::Failover { route, to } => {
                self.plan_move(request, route, "failover", now, |inputs| {
                    failover_position(inputs, to.as_ref())
                })
            }
            Command::Failback { route } => {
                self.plan_move(request, route, "failback", now, failback_position)
            }
            Command::Reload {
                configuration,
                allow_removal,
            } => self.plan_reload(request, configuration, *allow_removal, now),
            Command::Keys { zone, change } => self.plan_keys(request, zone, change, now),
            Command::AcceptState => self.plan_accept(request, now),
            Command::Challenges {
                changes,
                lifetime,
                lenient,
            } => self.plan_challenges(request, changes, *lifetime, *lenient, now),
        }
    }

    /// Whether an override may be set, and what its operator should know.
    fn check_set(
        &self,
        request: &Request,
        key: &OverrideKey,
        pool: Option<&PoolName>,
        never: bool,
        force: bool,
    ) -> Result<Vec<String>, Box<Refusal>> {
        let mut warnings = Vec::new();
        self.check_key(request, key)?;
        if let OverrideKey::Pin { route } = key {
            self.check_pin(request, route, pool, force, &mut warnings)?;
        }
        if let OverrideKey::DrainPool { pool } = key {
            self.check_drain(request, pool, never, force, &mut warnings)?;
        }
        Ok(warnings)
    }

    fn until(
        &self,
        request: &Request,
        lifetime: Lifetime,
        now: Now,
    ) -> Result<Option<Wall>, Box<Refusal>> {
        match lifetime {
            Lifetime::Forever => Ok(None),
            Lifetime::For(time) if time.is_zero() => Err(self.refuse(
                request,
                RefusalKind::Invalid,
                "no-time",
                "it would end at once",
                None,
            )),
            Lifetime::For(time) => Ok(Some(now.wall + time)),
        }
    }

    fn plan_set(
        &self,
        request: &Request,
        value: Override,
        warnings: Vec<String>,
        now: Now,
    ) -> Plan {
        let key = &value.key;
        let verb = if self.overrides.get(key).is_some() {
            "changed"
        } else {
            "set"
        };
        let pool = value.pool.as_ref();
        let to = pool.map(|pool| format!(" to {pool}")).unwrap_or_default();
        let change = format!("{key}{to} {verb}");
        let reason = override_reason(request, change.clone(), Some(key));
        let routes = self.routes_under(key);
        let mut plan = self.empty_plan(request, EntryKind::Override, one_of(&routes), change, now);
        plan.triggers = triggers(&routes, &Trigger::Operator(reason));
        plan.overrides.push((value.key.clone(), Some(value)));
        plan.warnings = warnings;
        plan
    }

    fn plan_end(
        &self,
        request: &Request,
        key: &OverrideKey,
        now: Now,
    ) -> Result<Plan, Box<Refusal>> {
        let routes = self.routes_under(key);
        let releases = match key {
            OverrideKey::FreezeRoute { route } => {
                let latched = |route| self.routes.get(route).is_some_and(|s| s.latched.is_some());
                routes.iter().filter(|_| latched(route)).cloned().collect()
            }
            _ => Vec::new(),
        };
        let is_set = self.overrides.get(key).is_some();
        if !is_set && releases.is_empty() {
            self.check_key(request, key)?;
            let hint = match key {
                OverrideKey::FreezeAll => self
                    .routes
                    .iter()
                    .find(|(_, state)| state.latched.is_some())
                    .map(|(route, _)| format!("a latch is released by `repoint unfreeze {route}`")),
                OverrideKey::FreezeRoute { .. } => self
                    .overrides
                    .get(&OverrideKey::FreezeAll)
                    .map(|_| "all routes are frozen: `repoint unfreeze`".to_owned()),
                _ => None,
            };
            let why = format!("there is no {key}");
            return Err(self.refuse(request, RefusalKind::Conflict, "not-set", &why, hint));
        }
        let change = match (is_set, releases.is_empty()) {
            (true, true) => format!("{key} ended"),
            (true, false) => format!("{key} ended, latch released"),
            (false, _) => "latch released".to_owned(),
        };
        let reason = override_reason(request, change.clone(), None);
        let mut plan = self.empty_plan(request, EntryKind::Override, one_of(&routes), change, now);
        plan.triggers = triggers(&routes, &Trigger::Operator(reason));
        plan.held_from_now = routes;
        plan.released = releases;
        if is_set {
            plan.overrides.push((key.clone(), None));
        }
        Ok(plan)
    }

    fn plan_move(
        &self,
        request: &Request,
        route: &RouteName,
        command: &str,
        now: Now,
        position: impl Fn(&Inputs<'_>) -> Result<Position, CommandFault>,
    ) -> Result<Plan, Box<Refusal>> {
        let Some((configured, state)) = self
            .topology()
            .routes
            .get(route)
            .zip(self.routes.get(route))
        else {
            return Err(self.unknown_route(request, route));
        };
        let inputs = self.inputs(configured, state, now);
        let position =
            position(&inputs).map_err(|fault| self.move_refused(request, route, &fault))?;
        let reason = Reason::Commanded {
            command: command.to_owned(),
            from: position.from.clone(),
            author: request.author.clone(),
            why: request.why.clone(),
        };
        let change = if position.from == position.active {
            format!("{command}: {} stays active and is home", position.active)
        } else {
            format!("{command} from {} to {}", position.from, position.active)
        };
        let mut plan = self.empty_plan(
            request,
            EntryKind::Override,
            Some(route.clone()),
            change,
            now,
        );
        plan.triggers = triggers(std::slice::from_ref(route), &Trigger::Operator(reason));
        plan.homes.push((route.clone(), position.home));
        plan.commanded = Some((route.clone(), position.active));
        plan.warnings = position.warnings;
        Ok(plan)
    }

    fn plan_reload(
        &self,
        request: &Request,
        configuration: &Arc<Configuration>,
        allow_removal: bool,
        now: Now,
    ) -> Result<Plan, Box<Refusal>> {
        let layout = match self.layout_of(configuration) {
            Ok(layout) => layout,
            Err((apex, why)) => {
                let why = format!("zone {apex} as its primary sent it does not fit: {why}");
                return Err(self.refuse(request, RefusalKind::Conflict, MISFIT, &why, None));
            }
        };
        let changes = config::compare(&self.configuration, configuration);
        let held = |route: &RouteName, pool: &PoolName| {
            let decision = self
                .routes
                .get(route)
                .and_then(|state| state.decision.as_ref());
            decision.is_some_and(|decision| decision.active == *pool)
                || self
                    .overrides
                    .pin(route)
                    .is_some_and(|(pinned, _)| pinned == pool)
        };
        let removed: Vec<String> = changes
            .removals(held)
            .iter()
            .map(ToString::to_string)
            .collect();
        if !removed.is_empty() && !allow_removal {
            let why = format!("it removes what is in use: {}", removed.join("; "));
            let hint = "if that is meant: repoint config reload --allow-removal".to_owned();
            return Err(self.refuse(request, RefusalKind::Conflict, REMOVAL, &why, Some(hint)));
        }
        let mut words = changes.words.clone();
        if words.is_empty() && changes.at_restart.is_empty() {
            words.push("nothing in it is different".to_owned());
        }
        let all = words.iter().cloned();
        let all: Vec<String> = all
            .chain(changes.at_restart.iter().map(ToString::to_string))
            .collect();
        let change = format!("configuration reloaded: {}", all.join("; "));
        let mut plan = self.empty_plan(request, EntryKind::Configuration, None, change, now);
        plan.words = words;
        plan.warnings = removed;
        plan.warnings
            .extend(changes.at_restart.iter().map(ToString::to_string));
        plan.warnings.extend(self.signed_zones_left(configuration));
        plan.longer_ttls = self.rows_before_serving(configuration, &layout);
        plan.configuration = Some(configuration.clone());
        Ok(plan)
    }

    /// One doubt at a time: who accepts old state has not looked at the clock yet.
    fn plan_accept(&self, request: &Request, now: Now) -> Result<Plan, Box<Refusal>> {
        let claims = self.acceptable_claims();
        let claimed = claims.as_ref().map(|(_, text)| text.as_str());
        let doubts: Vec<&str> = self.doubt.as_deref().into_iter().chain(claimed).collect();
        if doubts.is_empty() {
            return self.plan_accept_clock(request, now);
        }
        let change = format!("state accepted ({})", doubts.join("; "));
        let mut plan = self.empty_plan(request, EntryKind::Configuration, None, change, now);
        let all: Vec<_> = self.topology().routes.keys().cloned().collect();
        plan.triggers = triggers(&all, &Trigger::Observation);
        plan.accepts_state = true;
        plan.takes_over = claims.map(|(serial, _)| serial);
        Ok(plan)
    }

    fn plan_accept_clock(&self, request: &Request, now: Now) -> Result<Plan, Box<Refusal>> {
        if !self.signing.dating.is_doubtful() {
            let why = "the state is not in doubt";
            let hint = self.unproven_claim().map(|claim| {
                format!(
                    "only {} claims a serial ahead of ours; a secondary of repoint belongs into [[secondary]], with a key",
                    claim.server
                )
            });
            return Err(self.refuse(request, RefusalKind::Conflict, "not-in-doubt", why, hint));
        }
        let change = format!("clock accepted ({}): zones are signed anew", now.wall);
        let mut plan = self.empty_plan(request, EntryKind::Configuration, None, change, now);
        plan.accepts_clock = true;
        Ok(plan)
    }

    pub(super) fn empty_plan(
        &self,
        request: &Request,
        kind: EntryKind,
        route: Option<RouteName>,
        text: String,
        now: Now,
    ) -> Plan {
        Plan {
            overrides: Vec::new(),
            homes: Vec::new(),
            commanded: None,
            released: Vec::new(),
            held_from_now: Vec::new(),
            configuration: None,
            challenges: Vec::new(),
            accepts_state: false,
            accepts_clock: false,
            takes_over: None,
            keys: Vec::new(),
            longer_ttls: Vec::new(),
            triggers: Triggers::new(),
            entry: Entry {
                generation: Generation::default(),
                at: now.wall,
                route,
                kind,
                text,
                author: Some(request.author.clone()),
                why: request.why.clone(),
                decision: None,
            },
            warnings: Vec::new(),
            words: Vec::new(),
        }
    }
}

fn override_reason(request: &Request, change: String, set: Option<&OverrideKey>) -> Reason {
    Reason::Override {
        change,
        author: Some(request.author.clone()),
        why: request.why.clone(),
        key: set.cloned(),
    }
}

fn one_of(routes: &[RouteName]) -> Option<RouteName> {
    match routes {
        [one] => Some(one.clone()),
        _ => None,
    }
}
