//! From decisions to zones: asking about routes, and publishing what changed as one set of zones.
//!
//! In: which routes to ask about, and why. Out: new zones, journal entries, and what is held back.
//! Never here: how a decision is reached (`decide`), or how zones are made of it (`zone`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::RouteChange;
use super::core::{Engine, Triggers};
use super::event::Effect;
use super::planned::Planned;
use super::record::{Entry, EntryKind};
use crate::clock::{Mono, Now};
use crate::decide::{
    Change, Generation, Hold, Inputs, Outcome, Reason, RouteState, Trigger, Wanted, decide, latch,
};
use crate::topology::{PoolName, Route, RouteName};
use crate::zone;

/// What the last question about a route left open.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) wanted: Option<Wanted>,
    pub(super) wake: Option<Mono>,
    pub(super) all_down: bool,
    /// The pool that a `would-switch` entry has named already.
    told: Option<PoolName>,
}

/// What came of a question that may have published something.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) changes: Vec<RouteChange>,
    pub(super) out_of_numbers: bool,
}

impl Engine {
    /// Asks about routes and publishes what changed.
    pub(super) fn reconsider(
        &mut self,
        triggers: &Triggers,
        commanded: Option<(&RouteName, &PoolName)>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Published {
        let outcomes = self.outcomes(triggers, commanded, now);
        let changed = outcomes
            .iter()
            .any(|(_, outcome)| outcome.change != Change::None);
        let numbers = if changed {
            self.take_numbers(now)
        } else {
            None
        };
        if changed && numbers.is_none() {
            // Without a number nothing may be published: it could repeat after a crash.
            if self.store_fault.is_none() {
                self.store_fault = Some("no numbers are reserved".into());
                self.look_again();
            }
            self.starved.extend(triggers.clone());
            if let Some((route, pool)) = commanded {
                self.starved_move = Some((route.clone(), pool.clone()));
            }
            return Published {
                changes: Vec::new(),
                out_of_numbers: true,
            };
        }
        let mut changes = Vec::new();
        for (route, outcome) in outcomes {
            changes.extend(self.take_over(&route, outcome, numbers, now, out));
        }
        if let Some(numbers) = numbers {
            self.compile(numbers, now, out);
        }
        Published {
            changes,
            out_of_numbers: false,
        }
    }

    /// Publishes new zones whether or not a decision changed: at the start and after a reload.
    pub(super) fn publish_anyway(
        &mut self,
        triggers: &Triggers,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Published {
        let Some(numbers) = self.take_numbers(now) else {
            self.starved.extend(triggers.clone());
            return Published {
                changes: Vec::new(),
                out_of_numbers: true,
            };
        };
        let mut changes = Vec::new();
        for (route, outcome) in self.outcomes(triggers, None, now) {
            changes.extend(self.take_over(&route, outcome, Some(numbers), now, out));
        }
        self.compile(numbers, now, out);
        Published {
            changes,
            out_of_numbers: false,
        }
    }

    fn outcomes(
        &mut self,
        triggers: &Triggers,
        commanded: Option<(&RouteName, &PoolName)>,
        now: Now,
    ) -> Vec<(RouteName, Outcome)> {
        for name in triggers.keys() {
            if !self.routes.contains_key(name) && self.topology().routes.contains_key(name) {
                self.routes.insert(name.clone(), first_state(now));
            }
        }
        let mut outcomes = Vec::new();
        for (name, trigger) in triggers {
            let Some(route) = self.configuration.topology.routes.get(name) else {
                continue;
            };
            let Some(state) = self.routes.get(name) else {
                continue;
            };
            let inputs = Inputs {
                trigger: trigger.clone(),
                commanded: commanded
                    .filter(|(moved, _)| *moved == name)
                    .map(|(_, pool)| pool),
                ..self.inputs(route, state, now)
            };
            outcomes.push((name.clone(), decide(&inputs)));
        }
        outcomes
    }

    /// What deciding about a route depends on at this moment, as after an observation.
    pub(super) fn inputs<'a>(
        &'a self,
        route: &'a Route,
        state: &'a RouteState,
        now: Now,
    ) -> Inputs<'a> {
        let verdicts = route.pool_names().filter_map(|pool| {
            let health = self.health.pool(&route.name, pool)?;
            Some((pool.clone(), health))
        });
        Inputs {
            topology: &self.configuration.topology,
            route,
            verdicts: verdicts.collect(),
            overrides: &self.overrides,
            state,
            blind: self.health.blind().is_some(),
            warm: self.warm.contains(&route.name),
            doubt: self.doubt.is_some(),
            trigger: Trigger::Observation,
            commanded: None,
            now,
        }
    }

    /// Puts one outcome into the route's state, the journal and the log.
    fn take_over(
        &mut self,
        route: &RouteName,
        outcome: Outcome,
        numbers: Option<(Generation, zone::Serial)>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Option<RouteChange> {
        self.tell_wanted(route, &outcome, now, out);
        self.learn_addresses(route);
        let (generation, serial) = numbers.filter(|_| outcome.change != Change::None)?;
        let state = self.routes.get_mut(route)?;
        let before = state.decision.clone();
        let mut decision = outcome.decision;
        decision.generation = generation;
        decision.at = now.wall;
        if let Some(before) = &before {
            state.left.note(before, &decision, serial.0, now.wall);
        }
        state.decision = Some(decision.clone());

        if before.is_some() && matches!(outcome.change, Change::Switch { .. }) {
            self.moved.insert(route.clone(), now.mono);
        }
        let automatic = outcome.change == (Change::Switch { automatic: true });
        let configured = self.configuration.topology.routes.get(route)?;
        let latched = automatic && latch::count_switch(state, configured, now.mono, now.wall);
        let kind = match outcome.change {
            Change::Switch { .. } => EntryKind::Switch,
            _ => EntryKind::Reorder,
        };
        let text = describe_change(
            before.as_ref().map(|b| &b.active),
            &decision.active,
            &decision.reason,
        );
        out.push(Effect::Log {
            warn: automatic,
            text: format!("route {route}: {text} (generation {generation})"),
        });
        let (author, why) = match &decision.reason {
            Reason::Commanded { author, why, .. } => (Some(author.clone()), why.clone()),
            Reason::Override { author, why, .. } => (author.clone(), why.clone()),
            _ => (None, None),
        };
        self.journal.entry(Entry {
            generation,
            at: now.wall,
            route: Some(route.clone()),
            kind,
            text,
            author,
            why,
            decision: Some(decision.clone()),
        });
        if latched {
            let text = "automatic switching latched: too many switches within an hour".to_owned();
            self.note(EntryKind::Latch, Some(route), text.clone(), now);
            out.push(Effect::Log {
                warn: true,
                text: format!("route {route}: {text}"),
            });
        }
        self.learn_addresses(route);
        if let Some(row) = self.row(route) {
            self.journal.route(row);
        }
        self.look_again();
        Some(RouteChange {
            route: route.clone(),
            before,
            after: Some(decision),
        })
    }

    /// Journals once what policy or a hold keeps repoint from doing by itself.
    fn tell_wanted(
        &mut self,
        route: &RouteName,
        outcome: &Outcome,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let old = self.held.remove(route).unwrap_or_default();
        let left_to_operator = outcome.wanted.as_ref().filter(|wanted| {
            wanted
                .holds
                .iter()
                .all(|hold| matches!(hold, Hold::Ask | Hold::Observe))
        });
        let told = left_to_operator.map(|wanted| wanted.to.clone());
        if let Some(wanted) = left_to_operator.filter(|_| told != old.told) {
            let text = format!(
                "would switch to {} ({}): {}",
                wanted.to,
                wanted.reason.describe(),
                wanted.holds[0]
            );
            self.note(EntryKind::WouldSwitch, Some(route), text.clone(), now);
            out.push(Effect::Log {
                warn: true,
                text: format!("route {route}: {text}"),
            });
        }
        let wanted_changed = old.wanted.is_some() != outcome.wanted.is_some();
        if wanted_changed || old.all_down != outcome.all_down {
            self.look_again();
        }
        let wanted = outcome.wanted.clone();
        let held = Held {
            wanted,
            wake: outcome.wake,
            all_down: outcome.all_down,
            told,
        };
        self.held.insert(route.clone(), held);
    }

    /// Remembers which configured addresses have proven themselves; forgets those that have left both the
    /// configuration and the decision.
    fn learn_addresses(&mut self, route: &RouteName) {
        let Some(configured) = self.configuration.topology.routes.get(route) else {
            return;
        };
        let Some(state) = self.routes.get_mut(route) else {
            return;
        };
        let first_start = state.decision.is_none();
        let mut present = BTreeSet::new();
        for name in configured.pool_names() {
            let Some(pool) = self.configuration.topology.pools.get(name) else {
                continue;
            };
            let targets = self.health.pool(route, name).into_iter();
            let known = targets.flat_map(|health| &health.targets);
            let proven: BTreeSet<IpAddr> = known
                .flat_map(|target| &target.addresses)
                .filter(|(_, address)| address.proven)
                .map(|(address, _)| *address)
                .collect();
            for address in pool.targets.iter().flat_map(|target| &target.addresses) {
                present.insert(address.publish);
                if first_start || proven.contains(&address.publish) {
                    state.proven.insert(address.publish);
                }
            }
        }
        let published: BTreeSet<_> = state
            .decision
            .iter()
            .flat_map(|decision| decision.addresses.values().flatten().copied())
            .collect();
        state
            .proven
            .retain(|address| present.contains(address) || published.contains(address));
    }

    fn compile(&mut self, numbers: (Generation, zone::Serial), now: Now, out: &mut Vec<Effect>) {
        let decisions: BTreeMap<_, _> = self
            .configuration
            .topology
            .routes
            .keys()
            .filter_map(|name| {
                let decision = self.routes.get(name)?.decision.clone()?;
                Some((name.clone(), decision))
            })
            .collect();
        self.keys_before_compiling(out);
        let (generation, serial) = numbers;
        let drafts = self.drafts.take(&self.layout);
        let challenges = self.challenges.rendered();
        let inputs = zone::Inputs {
            layout: &self.layout,
            decisions: &decisions,
            keys: &self.signing.in_force,
            unsignable: &self.signing.unsignable,
            challenges: &challenges,
            previous: Some(&self.zones),
            generation,
            serial,
            now: self.signing.dating.dated(now.wall),
            beside: Some(zone::Beside {
                most: self.configuration.dnssec.most_at_once,
                drafts: &drafts,
            }),
        };
        if self.drafts.rehearses() {
            let (outlines, dated) = (zone::outlines(&inputs), inputs.now);
            let planned = Planned {
                before: self.zones.clone(),
                layout: self.layout.clone(),
                keys: self.signing.in_force.clone(),
                unsignable: self.signing.unsignable.clone(),
                challenges,
                generation,
                serial,
                now: dated,
                decisions,
            };
            return self.drafts.rehearse(outlines, Some(planned));
        }
        let zones = zone::compile(&inputs);
        for (apex, fault) in zones.faults() {
            out.push(Effect::Log {
                warn: true,
                text: format!(
                    "cannot sign zone {apex}: {fault}; its version before stays in force"
                ),
            });
        }
        let before = std::mem::replace(&mut self.zones, Arc::new(zones));
        self.keys_followed(&before, now);
        self.unpublished = false;
        self.keeping.want();
        self.signing.compiled = Some(now.mono);
        let followed = !before.outlines().is_empty() || before.is_behind();
        self.keys_after_compiling(followed, now);
        self.follow_old_answers(now);
        out.push(Effect::Publish(self.zones.clone()));
    }
}

fn first_state(now: Now) -> RouteState {
    RouteState {
        hold_from: now.mono,
        ..RouteState::default()
    }
}

fn describe_change(before: Option<&PoolName>, after: &PoolName, reason: &Reason) -> String {
    match before {
        Some(before) if before != after => format!("{before} -> {after}: {}", reason.describe()),
        Some(_) => format!("{after} stays active: {}", reason.describe()),
        None => format!("{after} active: {}", reason.describe()),
    }
}
