//! What the passing of time brings about, and when it does so next.
//!
//! In: the time. Out: overrides that end, routes to ask about; the moment of the next tick. Never here: a clock; what follows
//! for a route.

use super::core::{Engine, Triggers};
use super::event::Effect;
use super::record::EntryKind;
use crate::clock::{Mono, Now};
use crate::decide::Trigger;

impl Engine {
    /// When the engine wants to be called with [`Event::Tick`](super::event::Event::Tick) at the latest.
    pub fn next_deadline(&self) -> Option<Mono> {
        let override_end = self
            .overrides
            .next_end()
            .map(|end| self.last.mono + end.since(self.last.wall));
        let resign = self.zones.next_resign().map(|at| {
            let dated = self.signing.dating.dated(self.last.wall);
            let at = self.last.mono + at.since(dated);
            self.signing.pause.map_or(at, |pause| pause.max(at))
        });
        let is_free = self.committing.is_none() && self.signing.stepping.is_none();
        let rest = (self.zones.is_behind() && is_free).then_some(self.last.mono);
        let rest = rest.map(|at| self.signing.pause.map_or(at, |pause| pause.max(at)));
        let wakes = self.held.values().filter_map(|held| held.wake);
        // What needs a serial waits for it.
        let ready = self.numbers.ready_at(self.last);
        let with_serial = |at: Mono| ready.map_or(at, |ready| ready.max(at));
        [
            self.health.next_deadline(),
            override_end,
            self.challenges.next_end(self.last),
            self.journal.deadline(),
            self.keeping.deadline(),
            self.signing.next_deadline().map(with_serial),
            self.drafts.deadline(&self.zones).map(with_serial),
            resign.map(with_serial),
            rest.map(with_serial),
            ready,
            Some(self.next_look),
        ]
        .into_iter()
        .flatten()
        .chain(wakes)
        .min()
    }

    /// Ends overrides whose time is over.
    pub(super) fn expire_overrides(
        &mut self,
        now: Now,
        triggers: &mut Triggers,
        out: &mut Vec<Effect>,
    ) {
        for value in self.overrides.take_ended(now.wall) {
            self.journal.set_override(value.key.clone(), None);
            let text = format!("{} expired (set by {})", value.key, value.author);
            let reason = value.ended();
            for route in self.routes_under(&value.key) {
                if let Some(state) = self.routes.get_mut(&route) {
                    state.hold_from = now.mono;
                }
                triggers.insert(route, Trigger::Operator(reason.clone()));
            }
            self.note(EntryKind::Override, None, text.clone(), now);
            out.push(Effect::Log { warn: true, text });
            self.next_look = now.mono;
        }
    }

    /// Asks about routes of whose pools everything has been observed by now.
    pub(super) fn warm_up(&mut self, triggers: &mut Triggers) {
        if self.warm.len() == self.topology().routes.len() {
            return;
        }
        let configuration = self.configuration.clone();
        for (name, route) in &configuration.topology.routes {
            let observed = |pool| {
                let health = self.health.pool(name, pool);
                let mut uses = configuration.topology.checks_of(name, pool).iter();
                health.is_some_and(|pool| pool.observed)
                    && !uses.any(|used| self.unseen.contains(&used.check))
            };
            if !self.warm.contains(name) && route.pool_names().all(observed) {
                self.warm.insert(name.clone());
                triggers.entry(name.clone()).or_insert(Trigger::Observation);
            }
        }
    }

    /// Asks about routes that wanted to be asked about now.
    pub(super) fn wake(&mut self, now: Now, triggers: &mut Triggers) {
        for (route, held) in &mut self.held {
            if held.wake.is_some_and(|at| at <= now.mono) {
                held.wake = None;
                triggers
                    .entry(route.clone())
                    .or_insert(Trigger::Observation);
            }
        }
    }
}
