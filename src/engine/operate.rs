//! Carrying out commands: work out, commit, publish, acknowledge.
//!
//! In: requests, one at a time. Out: a batch for the store, then the published change and the reply.
//! Never here: an acknowledgement before the change is both stored and served. A change is applied to a
//! clone of the engine first, without building zones; the batch is read off it, and which large zones are to be signed
//! before the command goes on (`drafts`). Zones of a dry run are built by the task that answers (`planned`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::challenge::described;
use super::command::{
    Command, Done, KeyChange, KeyVerb, Refusal, RefusalKind, Request, SIGNING, STORE_FAILING,
};
use super::core::{COMMAND_STORE_TIME, Engine, Triggers, users_of};
use super::drafts::Attempt;
use super::event::{BatchToken, Effect, StoreFault};
use super::plan::Plan;
use super::planned::changed;
use super::publish::Published;
use super::record::{Batch, Entry, EntryKind};
use crate::clock::Now;
use crate::decide::{OverrideKey, Trigger, latch};
use crate::health::MOST_PROBES;
use crate::topology::{DomainName, RouteName};
use crate::zone::{Draft, Name, Outline, Zones};

/// Requests that may wait behind the one under way.
const MOST_WAITING: usize = 256;

/// How long a request waits for the store to finish the requests before it. The one whose turn comes later is refused.
const PATIENCE: Duration = Duration::from_secs(6);

/// How long the store gets after that for a request that accepts to be lost at restart.
const LAST_CHANCE: Duration = Duration::from_millis(100);

/// A command whose batch is with the store.
#[derive(Clone, Debug)]
pub(super) struct Committing {
    token: BatchToken,
    request: Request,
    plan: Plan,
    batch: Batch,
    drafts: BTreeMap<Name, Arc<Draft>>,
}

impl Engine {
    /// Takes a request; it is begun when those before it are done.
    pub(super) fn receive(&mut self, request: Request, now: Now, out: &mut Vec<Effect>) {
        let waiting = self.queue.len() + self.drafts.waiting();
        if !self.is_serving() || waiting >= MOST_WAITING {
            let why = if self.is_serving() {
                "too many commands wait already"
            } else {
                "the server is still starting"
            };
            let refusal = self.refusal(
                RefusalKind::Unavailable,
                "busy",
                "cannot take the command".into(),
                why.into(),
                Some("try again".into()),
            );
            out.push(Effect::Reply {
                request: request.id,
                result: Err(Box::new(refusal)),
            });
            return;
        }
        self.queue.push_back(Attempt::first(request, now.mono));
        self.next_request(now, out);
    }

    /// Begins the next requests until one has to wait for the store.
    pub(super) fn next_request(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.drafts.forget_prepared(now.mono);
        while self.committing.is_none() && !self.numbers.is_pausing(now) {
            let put_aside = self.drafts.next(self.signing.stepping.is_some(), now.mono);
            let fresh = || self.queue.pop_front();
            let Some(attempt) = put_aside.or_else(fresh) else {
                return;
            };
            self.begin(attempt, now, out);
        }
    }

    fn begin(&mut self, attempt: Attempt, now: Now, out: &mut Vec<Effect>) {
        let Some(mut attempt) = self.drafts.keep_order(attempt) else {
            return;
        };
        self.drafts.take_prepared(&mut attempt);
        let plan = match self.plan(&attempt.request, now) {
            Ok(plan) => plan,
            Err(refusal) => {
                out.push(Effect::Reply {
                    request: attempt.request.id,
                    result: Err(refusal),
                });
                return;
            }
        };
        let mut twin = self.rehearsal(&attempt.drafts);
        let published = twin.apply(&plan, now, &mut Vec::new());
        let wanted = self.wanted_by(&twin);
        if attempt.request.dry_run && !published.out_of_numbers {
            let done = Done {
                generation: twin.numbers.generation(),
                changes: published.changes,
                configuration: plan.words,
                warnings: plan.warnings,
                dry_run: true,
                planned: twin.drafts.planned(),
                ..Done::default()
            };
            out.push(Effect::Reply {
                request: attempt.request.id,
                result: Ok(Box::new(done)),
            });
            return;
        }
        let Some(attempt) = self.drafts.put_aside(attempt, &wanted, now.mono) else {
            return;
        };
        let reloads = plan.configuration.is_some();
        if let Some(why) = self.cannot_go_ahead(&twin, &wanted).filter(|_| reloads) {
            let hint =
                "repeat it in a minute: the zones are being signed, and then it takes no time";
            let (kind, hint) = (RefusalKind::Unavailable, Some(hint.to_owned()));
            let refusal = self.refuse(&attempt.request, kind, SIGNING, &why, hint);
            out.push(Effect::Reply {
                request: attempt.request.id,
                result: Err(refusal),
            });
            self.drafts.prepare(attempt, wanted);
            return;
        }
        let impatient = attempt.has_waited(PATIENCE, now.mono);
        let Attempt {
            request, drafts, ..
        } = attempt;
        if impatient && !request.volatile {
            let why = "the store was busy with the commands before it for too long";
            let hint = "try again, or repeat with --volatile: it is then lost at restart";
            let result = self.refuse(
                &request,
                RefusalKind::Unavailable,
                "busy",
                why,
                Some(hint.to_owned()),
            );
            out.push(Effect::Reply {
                request: request.id,
                result: Err(result),
            });
            return;
        }
        if published.out_of_numbers {
            let token = self.token();
            self.late.refused(token, &request, "", false);
            let refusal = self.store_refusal(&request, "no numbers are reserved for a new version");
            out.push(Effect::Reply {
                request: request.id,
                result: Err(Box::new(refusal)),
            });
            return;
        }
        let batch = plan.batch(&twin, &published);
        self.journal.superseded_by(&batch);
        let token = self.token();
        out.push(Effect::Store {
            token,
            batch: Box::new(batch.clone()),
            within: Some(if impatient {
                LAST_CHANCE
            } else {
                COMMAND_STORE_TIME
            }),
        });
        self.committing = Some(Committing {
            token,
            request,
            plan,
            batch,
            drafts,
        });
    }

    /// The result of a command's batch, if the token is one.
    pub(super) fn command_stored(
        &mut self,
        token: BatchToken,
        result: &Result<(), StoreFault>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(committing) = self
            .committing
            .take_if(|committing| committing.token == token)
        else {
            return false;
        };
        let Committing {
            request,
            mut plan,
            batch,
            drafts,
            ..
        } = committing;
        let volatile = match result {
            Ok(()) => false,
            Err(fault) => {
                let late = matches!(fault, StoreFault::TooSlow(_));
                if !request.volatile || !plan.longer_ttls.is_empty() {
                    self.late.refused(token, &request, &plan.entry.text, late);
                    self.store_in_force(&batch);
                    let mut refusal = self.store_refusal(&request, &fault.to_string());
                    if !plan.longer_ttls.is_empty() {
                        refusal.hint = Some(self.longer_ttls_hint(&plan.longer_ttls));
                    }
                    out.push(Effect::Reply {
                        request: request.id,
                        result: Err(Box::new(refusal)),
                    });
                    return true;
                }
                for entry in &batch.entries {
                    match late {
                        true => self.late.in_force(token, entry.clone()),
                        false => self.journal.entry(entry.clone()),
                    }
                }
                true
            }
        };
        // A large zone that changed since waits for another draft.
        self.drafts.lend(drafts);
        let before = self.zones.clone();
        let published = self.apply(&plan, now, out);
        self.drafts.return_lent();
        let mut warnings = std::mem::take(&mut plan.warnings);
        warnings.extend(self.held_zones(&published));
        warnings.extend(self.drained_notes(&plan, now));
        if plan.configuration.is_some() || !plan.keys.is_empty() || !plan.challenges.is_empty() {
            warnings.extend(zones_to_follow(&before, &self.zones));
        }
        if published.out_of_numbers {
            // It is stored and counts: a refusal would be wrong after a restart.
            self.unpublished = true;
            warnings.push(match self.numbers.is_leaning() {
                true => "it is served in a second or two, with the next version".into(),
                false => {
                    "it is stored, and served later: no numbers are reserved for a new version"
                        .into()
                }
            });
        }
        if let Some(left) = self
            .died_meanwhile(&plan)
            .filter(|_| !published.out_of_numbers)
        {
            self.note(EntryKind::Override, None, left.clone(), now);
            warnings.push(left);
        }
        // Nothing of a batch that failed is known to be stored: its rows follow when the store is back. What the journal
        // had begun to store since the command began would overwrite a batch that did not. And what came of the command
        // may differ from what was planned.
        if volatile || self.journal.touches(&batch) || self.differs_from(&batch) {
            self.store_in_force(&batch);
        }
        let done = Done {
            generation: self.numbers.generation(),
            zones: changed(&before, &self.zones),
            changes: published.changes,
            configuration: std::mem::take(&mut plan.words),
            warnings,
            volatile,
            ..Done::default()
        };
        out.push(Effect::Reply {
            request: request.id,
            result: Ok(Box::new(done)),
        });
        true
    }

    /// What to say of a commanded move to a pool that went down while the command was being stored.
    fn died_meanwhile(&self, plan: &Plan) -> Option<String> {
        let (route, pool) = plan.commanded.as_ref()?;
        let decision = self.routes.get(route)?.decision.as_ref()?;
        let active = &decision.active;
        (active != pool).then(|| {
            format!("route {route}: {pool} went down while the command was being stored; {active} is active")
        })
    }

    /// Whether rows of routes came out otherwise than a command's batch has them.
    fn differs_from(&self, batch: &Batch) -> bool {
        let mut rows = batch.routes.iter();
        rows.any(|row| self.row(&row.route).as_ref() != Some(row))
    }

    /// Whether a command is having a reservation stored for serials that go on behind another server's.
    pub(super) fn is_taking_over(&self) -> bool {
        let committing = self.committing.as_ref();
        committing.is_some_and(|committing| committing.batch.reservation.is_some())
    }

    /// Whether a row of this zone's keys is with the store, for a command or for a step.
    pub(super) fn is_storing_keys_of(&self, zone: &DomainName) -> bool {
        let committing = self.committing.iter();
        let commanded = committing.flat_map(|committing| &committing.batch.keys);
        let stepping = self.signing.stepping.iter();
        let steps = stepping.flat_map(|stepping| stepping.steps.iter().map(|step| &step.row));
        commanded.chain(steps).any(|row| row.apex == *zone)
    }

    /// Why answers of routes that were moved do not follow.
    fn held_zones(&self, published: &Published) -> Vec<String> {
        let held = self.signing.unsignable.iter().filter(|apex| {
            let mut moved = published.changes.iter().map(|change| &change.route);
            moved.any(|route| self.layout.routes_of(apex).any(|of| of == route))
        });
        held.map(|apex| {
            let apex = apex.to_string();
            let apex = apex.trim_end_matches('.');
            format!("zone {apex} stays as it was: a private key of it is missing (repoint status)")
        })
        .collect()
    }

    /// Has the journal store what is in force of everything a command's batch names. The store works in order, so
    /// this also undoes a batch that was refused for slowness and is committed after all; and rows that the
    /// batch would have replaced, and that therefore no longer wait, are not lost with it.
    fn store_in_force(&mut self, batch: &Batch) {
        for (key, _) in &batch.overrides {
            let in_force = self.overrides.get(key).cloned();
            self.journal.set_override(key.clone(), in_force);
        }
        for (name, _) in &batch.challenges {
            let in_force = self.challenges.of(name);
            self.journal.challenges(name.clone(), in_force);
        }
        for row in &batch.routes {
            if let Some(row) = self.row(&row.route) {
                self.journal.route(row);
            }
        }
        for row in &batch.keys {
            if let Some(row) = self.signing.rows.get(&row.apex) {
                self.journal.keys(row.clone());
            }
        }
        if batch.accepted.is_some() {
            self.journal.accepted(self.configuration.sources.to_json());
        }
    }

    /// Puts a planned change in force and publishes what follows from it.
    pub(super) fn apply(&mut self, plan: &Plan, now: Now, out: &mut Vec<Effect>) -> Published {
        for (key, value) in &plan.overrides {
            match value {
                Some(value) => self.overrides.set(value.clone()),
                None => self.overrides.remove(key),
            };
        }
        for (route, home) in &plan.homes {
            if let Some(state) = self.routes.get_mut(route) {
                state.home = home.clone();
            }
        }
        for route in &plan.released {
            if let Some(state) = self.routes.get_mut(route) {
                latch::release(state);
            }
        }
        for route in &plan.held_from_now {
            if let Some(state) = self.routes.get_mut(route) {
                state.hold_from = now.mono;
            }
        }
        if plan.accepts_state {
            self.doubt = None;
        }
        if plan.accepts_clock {
            self.signing.dating.believe();
        }
        for (name, values) in &plan.challenges {
            self.challenges.put(name, values.clone());
        }
        if let Some(serial) = plan.takes_over {
            self.accept_claim(serial, now);
        }
        self.look_again();
        out.push(Effect::Log {
            warn: false,
            text: plan.entry.text.clone(),
        });
        self.take_longer_ttls(&plan.longer_ttls);
        if !plan.keys.is_empty() {
            self.take_rows(plan.keys.clone(), now, out);
        }
        if !plan.keys.is_empty() || plan.accepts_clock {
            let published = self.publish_anyway(&plan.triggers, now, out);
            self.signing.unpublished |= published.out_of_numbers;
            return published;
        }
        match &plan.configuration {
            Some(configuration) => self.reconfigure(configuration.clone(), now, out),
            None if !plan.challenges.is_empty() || plan.takes_over.is_some() => {
                self.publish_anyway(&plan.triggers, now, out)
            }
            None => {
                let commanded = plan.commanded.as_ref().map(|(route, pool)| (route, pool));
                self.reconsider(&plan.triggers, commanded, now, out)
            }
        }
    }

    fn reconfigure(
        &mut self,
        configuration: Arc<crate::config::Configuration>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Published {
        self.configuration = configuration.clone();
        self.forget_secondaries();
        self.merge_inbound();
        self.rejected = None;
        self.users = users_of(&configuration.topology);
        self.longest_turn = configuration.topology.longest_turn(MOST_PROBES);
        let transitions = self.health.reconfigure(&configuration.topology, now);
        // Every route is asked about below, whatever these say.
        self.tell(&transitions, now, &mut Triggers::new(), out);
        self.held
            .retain(|route, _| configuration.topology.routes.contains_key(route));
        self.warm
            .retain(|route| configuration.topology.routes.contains_key(route));
        let routes = configuration.topology.routes.keys();
        let triggers = routes
            .map(|route| (route.clone(), Trigger::Configuration))
            .collect();
        self.publish_anyway(&triggers, now, out)
    }

    /// The routes an override concerns.
    pub(super) fn routes_under(&self, key: &OverrideKey) -> Vec<RouteName> {
        let routes = self.topology().routes.values();
        let concerned = routes.filter(|route| key.concerns(route));
        concerned.map(|route| route.name.clone()).collect()
    }

    fn store_refusal(&self, request: &Request, why: &str) -> Refusal {
        self.refusal(
            RefusalKind::Unavailable,
            STORE_FAILING,
            format!("cannot {}", request.command.describe()),
            format!("the change could not be stored: {why}"),
            Some(format!(
                "{}, or repeat the command with --volatile: it is then lost at restart",
                self.store_fix
                    .as_deref()
                    .unwrap_or("fix the state directory")
            )),
        )
    }

    /// A refusal that says what stays in force: for the whole node the generation served.
    pub(super) fn refusal(
        &self,
        kind: RefusalKind,
        code: &str,
        what: String,
        why: String,
        hint: Option<String>,
    ) -> Refusal {
        let in_force = format!(
            "nothing changed: generation {} stays in force",
            self.zones.generation()
        );
        Refusal {
            code: code.into(),
            kind,
            what,
            why,
            in_force,
            hint,
        }
    }
}

impl Command {
    /// The command as a verb with its object: `pin route contoso to edgepool2`.
    pub fn describe(&self) -> String {
        match self {
            Command::SetOverride { key, pool, .. } => match (key, pool) {
                (OverrideKey::Pin { route }, Some(pool)) => format!("pin route {route} to {pool}"),
                (OverrideKey::Pin { route }, None) => format!("pin route {route}"),
                (OverrideKey::DrainPool { pool }, _) => format!("drain pool {pool}"),
                (OverrideKey::DrainTarget { pool, target }, _) => {
                    format!("drain target {target} of pool {pool}")
                }
                (OverrideKey::FreezeRoute { route }, _) => format!("freeze route {route}"),
                (OverrideKey::FreezeAll, _) => "freeze all routes".into(),
            },
            Command::EndOverride { key } => match key {
                OverrideKey::Pin { route } => format!("unpin route {route}"),
                OverrideKey::DrainPool { pool } => format!("undrain pool {pool}"),
                OverrideKey::DrainTarget { pool, target } => {
                    format!("undrain target {target} of pool {pool}")
                }
                OverrideKey::FreezeRoute { route } => format!("unfreeze route {route}"),
                OverrideKey::FreezeAll => "unfreeze all routes".into(),
            },
            Command::Failover {
                route,
                to: Some(pool),
            } => format!("fail route {route} over to {pool}"),
            Command::Failover { route, to: None } => format!("fail route {route} over"),
            Command::Failback { route } => format!("fail route {route} back"),
            Command::Reload { .. } => "reload the configuration".into(),
            Command::Keys { zone, change } => match change {
                KeyChange::Begin { verb, .. } => match verb {
                    KeyVerb::Generate => format!("generate a key for zone {zone}"),
                    KeyVerb::Import => format!("import a key for zone {zone}"),
                    KeyVerb::Roll => format!("roll the key of zone {zone}"),
                },
                KeyChange::Retire { tag, .. } => format!("retire key {tag} of zone {zone}"),
            },
            Command::AcceptState => "accept the state".into(),
            Command::Challenges { changes, .. } => described(changes),
        }
    }
}

impl Plan {
    /// What must be durable before the change is served: the intent, and the routes as they will be.
    fn batch(&self, twin: &Engine, published: &Published) -> Batch {
        let mut routes: BTreeMap<RouteName, ()> = BTreeMap::new();
        let homes = self.homes.iter().map(|(route, _)| route);
        let changed = published.changes.iter().map(|change| &change.route);
        routes.extend(
            homes
                .chain(&self.released)
                .chain(changed)
                .map(|route| (route.clone(), ())),
        );
        let rows = self.keys.iter().chain(&self.longer_ttls);
        Batch {
            overrides: self.overrides.clone(),
            routes: routes.keys().filter_map(|route| twin.row(route)).collect(),
            keys: rows.map(|step| step.row.clone()).collect(),
            reservation: self.takes_over.and_then(|_| twin.numbers.reserved()),
            challenges: self.challenges.clone(),
            entries: vec![Entry {
                generation: twin.numbers.generation(),
                ..self.entry.clone()
            }],
            accepted: self.configuration.as_ref().map(|new| new.sources.to_json()),
            state_accepted: self.accepts_state,
        }
    }
}

/// Zones for which a change is in force before it is served.
fn zones_to_follow(before: &Zones, after: &Zones) -> Option<String> {
    let meanwhile = "what was served before is served until then";
    let waited = |outline: &Outline| before.outlines().iter().any(|one| one.is_like(outline));
    let outlines = after.outlines().iter().filter(|outline| !waited(outline));
    let apexes: Vec<String> = outlines.map(|outline| outline.apex().to_string()).collect();
    let apexes: Vec<&str> = apexes
        .iter()
        .map(|apex| apex.trim_end_matches('.'))
        .collect();
    match &apexes[..] {
        [] => None,
        [apex] => Some(format!("zone {apex} is still being signed: {meanwhile}")),
        [first, rest @ ..] => {
            let (number, more) = (apexes.len(), rest.len());
            Some(format!(
                "{number} zones are still being signed: {meanwhile} ({first} and {more} more)"
            ))
        }
    }
}

/// The same trigger for several routes.
pub(super) fn triggers(routes: &[RouteName], trigger: &Trigger) -> Triggers {
    routes
        .iter()
        .map(|route| (route.clone(), trigger.clone()))
        .collect()
}
