//! Canaries: off-site addresses that tell a dead pool from a dead uplink.
//!
//! In: the moments at which checks failed, and what became of attempts to reach canaries. Out: which canaries to
//! try now, and whether our own network fails (*blind*). Never here: sockets, or what a failure means for a check.
//!
//! A canary has one attempt in flight. A failure that ended at E is answered by an attempt begun at or after E:
//! answered by one canary, the network worked; unanswered by all, the node is blind until one answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::{Mono, Now, Wall};
use crate::probe::CanaryObservation;

/// Bound of one attempt to reach a canary.
pub const CANARY_TIMEOUT: Duration = Duration::from_secs(3);

/// An attempt whose result has not come by this much after its bound counts as unanswered.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// While blind, a canary is tried again this long after its last attempt ended.
const BLIND_RETRY: Duration = Duration::from_secs(2);

/// However many checks fail, a canary is tried no more often than this.
const CANARY_SPACING: Duration = Duration::from_millis(200);

/// Canaries are tried this often without need, so that a dead one is seen before it is needed.
const ROUTINE: Duration = Duration::from_secs(300);

/// What a canary's result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CanaryNews {
    /// Nothing.
    Nothing,
    /// One answered; its attempt began then.
    Answered(Mono),
    /// None has answered after a failure: our own network fails.
    BlindBegan,
    /// One answered for the first time since: our own network works again.
    BlindEnded {
        /// Since when it had failed.
        since: Wall,
    },
}

/// One canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Canary {
    address: SocketAddr,
    in_flight: Option<Mono>,
    /// When the last attempt that has ended began, and when it ended.
    last: Option<(Mono, Mono)>,
    answered: Option<bool>,
}

/// All canaries and what they say of our own network.
#[derive(Clone, Debug, Default)]
pub(super) struct Canaries {
    list: Vec<Canary>,
    /// When the failures ended that no attempt has answered for yet, oldest first.
    waiting: VecDeque<Mono>,
    /// When the latest answered attempt began.
    answered: Option<Mono>,
    blind: Option<Wall>,
    healthy_since: Option<Mono>,
}

impl Canaries {
    pub(super) fn reconfigure(&mut self, addresses: &[SocketAddr]) {
        let known = std::mem::take(&mut self.list);
        for address in addresses {
            if self.list.iter().any(|canary| canary.address == *address) {
                continue;
            }
            let same = known.iter().find(|canary| canary.address == *address);
            self.list.push(same.copied().unwrap_or(Canary {
                address: *address,
                in_flight: None,
                last: None,
                answered: None,
            }));
        }
        if self.list.is_empty() {
            *self = Canaries::default();
        }
    }

    /// Whether the blind rule is on.
    pub(super) fn configured(&self) -> bool {
        !self.list.is_empty()
    }

    pub(super) fn blind(&self) -> Option<Wall> {
        self.blind
    }

    /// When the latest answered attempt began.
    pub(super) fn answered(&self) -> Option<Mono> {
        self.answered
    }

    /// When our own network was found working again after it had failed.
    pub(super) fn healthy_since(&self) -> Option<Mono> {
        self.healthy_since
    }

    /// Each canary, and whether it answered when it was last tried.
    pub(super) fn view(&self) -> impl Iterator<Item = (SocketAddr, Option<bool>)> {
        self.list
            .iter()
            .map(|canary| (canary.address, canary.answered))
    }

    /// A check failed at `ended`: an attempt begun at or after that is wanted at once.
    pub(super) fn wanted(&mut self, ended: Mono) {
        if !self.list.is_empty() && self.waiting.back().is_none_or(|last| *last < ended) {
            self.waiting.push_back(ended);
        }
    }

    /// The canaries to try now; marks them in flight.
    pub(super) fn due(&mut self, now: Mono) -> Vec<SocketAddr> {
        let (waiting, blind) = (self.waiting.back().copied(), self.blind.is_some());
        let mut due = Vec::new();
        for canary in &mut self.list {
            if canary.due(waiting, blind).is_some_and(|at| at <= now) {
                canary.in_flight = Some(now);
                due.push(canary.address);
            }
        }
        due
    }

    /// Attempts whose result never came. Each is to be handed to [`Canaries::ended`] as unanswered.
    pub(super) fn lost(&self, now: Mono) -> Vec<CanaryObservation> {
        self.list
            .iter()
            .filter_map(|canary| {
                let began = canary.in_flight?;
                (began + CANARY_TIMEOUT + LOST_AFTER <= now).then_some(CanaryObservation {
                    canary: canary.address,
                    began,
                    ended: now,
                    answered: false,
                })
            })
            .collect()
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, observation: &CanaryObservation, now: Now) -> CanaryNews {
        let Some(canary) = self
            .list
            .iter_mut()
            .find(|canary| canary.address == observation.canary)
        else {
            return CanaryNews::Nothing;
        };
        let stale = canary
            .last
            .is_some_and(|(began, _)| observation.began < began);
        if stale && !observation.answered {
            return CanaryNews::Nothing;
        }
        canary.in_flight = canary.in_flight.filter(|began| *began > observation.began);
        canary.last = Some((observation.began, now.mono));
        canary.answered = Some(observation.answered);
        if observation.answered {
            self.one_answered(observation.began, now)
        } else {
            self.one_failed(now)
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let (waiting, blind) = (self.waiting.back().copied(), self.blind.is_some());
        self.list
            .iter()
            .filter_map(|canary| match canary.in_flight {
                Some(began) => Some(began + CANARY_TIMEOUT + LOST_AFTER),
                None => canary.due(waiting, blind),
            })
            .min()
    }

    fn one_answered(&mut self, began: Mono, now: Now) -> CanaryNews {
        self.answered = self.answered.max(Some(began));
        if let Some(since) = self.blind.take() {
            self.waiting.clear();
            self.healthy_since = Some(now.mono);
            return CanaryNews::BlindEnded { since };
        }
        while self.waiting.front().is_some_and(|ended| *ended <= began) {
            self.waiting.pop_front();
        }
        CanaryNews::Answered(began)
    }

    fn one_failed(&mut self, now: Now) -> CanaryNews {
        // Every canary has had an attempt begun at or after the oldest failure, and none was answered: an
        // answered one would have taken that failure out of `waiting`.
        let tried = self
            .list
            .iter()
            .map(|canary| canary.last.map(|(began, _)| began))
            .min()
            .flatten();
        let unanswered = match (self.waiting.front(), tried) {
            (Some(oldest), Some(tried)) => *oldest <= tried,
            _ => false,
        };
        if !unanswered || self.blind.is_some() {
            return CanaryNews::Nothing;
        }
        self.waiting.clear();
        self.blind = Some(now.wall);
        CanaryNews::BlindBegan
    }
}

impl Canary {
    /// When to try it next, given the latest failure that wants an answer; none while it is being tried.
    fn due(&self, waiting: Option<Mono>, blind: bool) -> Option<Mono> {
        if self.in_flight.is_some() {
            return None;
        }
        let Some((began, ended)) = self.last else {
            return Some(Mono::START);
        };
        if blind {
            // Not at every failure: when all is dead, there are many of them.
            return Some(ended + BLIND_RETRY);
        }
        match waiting {
            Some(wanted) if began < wanted => Some(wanted.max(began + CANARY_SPACING)),
            _ => Some(began + ROUTINE),
        }
    }
}
