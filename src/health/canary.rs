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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn canary(last: u8) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, last], 53))
    }

    fn at(millis: u64) -> Mono {
        Mono::START + Duration::from_millis(millis)
    }

    /// Two canaries that were tried at the start, one second ago.
    fn two() -> Canaries {
        let mut canaries = Canaries::default();
        canaries.reconfigure(&[canary(1), canary(2)]);
        assert_eq!(canaries.due(at(0)), [canary(1), canary(2)]);
        ended(&mut canaries, 1, 0, 10, true);
        ended(&mut canaries, 2, 0, 10, true);
        assert_eq!(canaries.due(at(1_000)), []);
        canaries
    }

    fn ended(
        canaries: &mut Canaries,
        last: u8,
        began: u64,
        end: u64,
        answered: bool,
    ) -> CanaryNews {
        let observation = CanaryObservation {
            canary: canary(last),
            began: at(began),
            ended: at(end),
            answered,
        };
        let wall = Wall::from_millis(i64::try_from(end).unwrap());
        canaries.ended(
            &observation,
            Now {
                mono: at(end),
                wall,
            },
        )
    }

    #[test]
    fn a_failure_has_every_canary_tried_at_once() {
        let mut canaries = two();
        canaries.wanted(at(2_000));
        assert_eq!(canaries.next_deadline(), Some(at(2_000)));
        assert_eq!(canaries.due(at(2_000)), [canary(1), canary(2)]);
        assert_eq!(
            canaries.due(at(2_001)),
            [],
            "each has one attempt in flight"
        );
    }

    #[test]
    fn a_failure_during_an_attempt_has_another_one_begun_after_it() {
        let mut canaries = two();
        canaries.wanted(at(2_000));
        canaries.due(at(2_000));
        canaries.wanted(at(2_500));
        assert_eq!(
            ended(&mut canaries, 1, 2_000, 2_600, true),
            CanaryNews::Answered(at(2_000))
        );
        assert_eq!(
            canaries.due(at(2_600)),
            [canary(1)],
            "the other one is still being tried"
        );
    }

    #[test]
    fn one_answer_is_enough_and_blind_needs_them_all_to_fail() {
        let mut canaries = two();
        canaries.wanted(at(2_000));
        canaries.due(at(2_000));
        assert_eq!(
            ended(&mut canaries, 1, 2_000, 5_000, false),
            CanaryNews::Nothing
        );
        assert_eq!(
            ended(&mut canaries, 2, 2_000, 5_000, false),
            CanaryNews::BlindBegan
        );
        assert_eq!(canaries.blind(), Some(Wall::from_millis(5_000)));
        assert_eq!(canaries.due(at(6_999)), []);
        assert_eq!(canaries.due(at(7_000)), [canary(1), canary(2)]);
        let since = Wall::from_millis(5_000);
        assert_eq!(
            ended(&mut canaries, 2, 7_000, 7_020, true),
            CanaryNews::BlindEnded { since }
        );
        assert_eq!(canaries.blind(), None);
        assert_eq!(canaries.healthy_since(), Some(at(7_020)));
    }

    #[test]
    fn attempts_begun_before_the_failure_make_nobody_blind() {
        let mut canaries = two();
        canaries.wanted(at(2_000));
        canaries.due(at(2_000));
        ended(&mut canaries, 1, 2_000, 2_010, true);
        canaries.wanted(at(2_500));
        canaries.due(at(2_500));
        assert_eq!(
            ended(&mut canaries, 2, 2_000, 5_000, false),
            CanaryNews::Nothing
        );
        canaries.due(at(5_000));
        assert_eq!(
            ended(&mut canaries, 1, 2_500, 5_500, false),
            CanaryNews::Nothing
        );
        assert_eq!(
            ended(&mut canaries, 2, 5_000, 8_000, false),
            CanaryNews::BlindBegan
        );
    }

    #[test]
    fn without_a_failure_silent_canaries_make_nobody_blind() {
        let mut canaries = two();
        let next = canaries.next_deadline().unwrap();
        assert_eq!(next, at(0) + ROUTINE);
        assert_eq!(canaries.due(next).len(), 2);
        let began = u64::try_from(next.as_micros() / 1000).unwrap();
        ended(&mut canaries, 1, began, began + 3_000, false);
        ended(&mut canaries, 2, began, began + 3_000, false);
        assert_eq!(canaries.blind(), None);
        let seen: Vec<_> = canaries.view().map(|(_, answered)| answered).collect();
        assert_eq!(seen, [Some(false), Some(false)]);
    }

    #[test]
    fn an_attempt_whose_result_never_comes_counts_as_unanswered() {
        let mut canaries = two();
        canaries.wanted(at(2_000));
        canaries.due(at(2_000));
        assert_eq!(canaries.next_deadline(), Some(at(7_000)));
        assert_eq!(canaries.lost(at(6_999)), []);
        let lost = canaries.lost(at(7_000));
        let now = Now {
            mono: at(7_000),
            wall: Wall::from_millis(7_000),
        };
        let news: Vec<_> = lost
            .iter()
            .map(|attempt| canaries.ended(attempt, now))
            .collect();
        assert_eq!(news, [CanaryNews::Nothing, CanaryNews::BlindBegan]);
    }

    #[test]
    fn a_canary_that_stays_keeps_its_state_and_a_new_one_is_tried_at_once() {
        let mut canaries = two();
        canaries.reconfigure(&[canary(2), canary(3)]);
        let seen: Vec<_> = canaries.view().collect();
        assert_eq!(seen, [(canary(2), Some(true)), (canary(3), None)]);
        assert_eq!(canaries.due(at(1_000)), [canary(3)]);
        canaries.reconfigure(&[]);
        assert!(!canaries.configured());
        assert_eq!(canaries.next_deadline(), None);
    }
}
