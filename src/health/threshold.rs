//! Counting: the state of one check between its observations.
//!
//! In: graded observations, canary answers, the moment our own network was found failing. Out: the check's
//! [`Verdict`]. Never here: judging (`judge`), when to probe (`schedule`), which canaries to ask (`canary`).
//!
//! ```text
//!             first success                fall failures over min_fault
//!  Unknown ───────────────────▶ Up ───────────────────────────────────────▶ Down
//!     ▲                        │ ▲  \ fall degraded           rise successes  │
//!     │ fall unknown, or blind │ │   ▼                                       │
//!     └────────────────────────┘ └─ Degraded ◀───────────────────────────────┘
//! ```

use std::time::Duration;

use super::verdict::Verdict;
use crate::clock::Mono;
use crate::topology::CheckSettings;

/// What the canaries say at the moment of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// No canaries are configured: a failure decides at once.
    Open,
    /// A failure decides when a canary has answered an attempt begun after it.
    Confirm {
        /// When the latest attempt that was answered had begun.
        answered: Option<Mono>,
        /// Before this moment our own network failed: a probe that began then proves nothing.
        healthy_since: Option<Mono>,
    },
    /// Our own network fails: no failure decides anything.
    Blind {
        /// When the latest attempt that was answered had begun.
        answered: Option<Mono>,
    },
}

/// The counts of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) verdict: Verdict,
    /// A failure that no success has followed.
    pub(super) suspect: bool,
    pub(super) successes: u32,
    pub(super) proven: bool,
    failing: Run,
    /// Of the failures counted, how many a canary has confirmed.
    confirmed: u32,
    degraded: Run,
    /// Good observations in a row, without a degraded one between.
    clean: u32,
    /// Unknown observations in a row.
    unknown: u32,
    /// The end of the failure that completed the thresholds and waits for a canary.
    deciding: Option<Mono>,
}

/// Observations of one grade that have not been cleared, and the time they span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    count: u32,
    /// When the probe of the first one began: a silent server has failed during all of the probe.
    first: Option<Mono>,
    /// When the probe of the last one ended.
    last: Option<Mono>,
}

impl Run {
    fn add(&mut self, began: Mono, ended: Mono) {
        self.count = self.count.saturating_add(1);
        self.first.get_or_insert(began);
        self.last = Some(ended);
    }

    fn span(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.since(first),
            _ => Duration::ZERO,
        }
    }

    fn decides(&self, settings: &CheckSettings) -> bool {
        self.count >= settings.fall && self.span() >= settings.min_fault
    }
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            verdict: Verdict::Unknown,
            suspect: false,
            successes: 0,
            proven: false,
            failing: Run::default(),
            confirmed: 0,
            degraded: Run::default(),
            clean: 0,
            unknown: 0,
            deciding: None,
        }
    }

    /// The same verdict with nothing counted: what a check becomes when its settings change.
    pub(super) fn carried_over(&self) -> Tally {
        Tally {
            verdict: self.verdict,
            proven: self.proven,
            ..Tally::new()
        }
    }

    /// Failures counted and not cleared.
    pub(super) fn failures(&self) -> u32 {
        self.failing.count
    }

    /// Whether the thresholds are complete and only a canary's answer is missing.
    pub(super) fn waits_for_canary(&self) -> bool {
        self.deciding.is_some()
    }

    /// A good or degraded observation.
    pub(super) fn success(
        &mut self,
        degraded: bool,
        began: Mono,
        ended: Mono,
        settings: &CheckSettings,
    ) {
        self.suspect = false;
        self.deciding = None;
        self.unknown = 0;
        self.successes = self.successes.saturating_add(1);
        if degraded {
            self.clean = 0;
            self.degraded.add(began, ended);
        } else {
            self.clean = self.clean.saturating_add(1);
        }
        if self.successes >= settings.steady {
            self.clear_failures();
        }
        if self.clean >= settings.steady {
            self.degraded = Run::default();
        }
        if self.successes >= settings.rise {
            self.proven = true;
        }
        self.verdict = match self.verdict {
            Verdict::Unknown if degraded => Verdict::Degraded,
            Verdict::Unknown => Verdict::Up,
            Verdict::Up if degraded && self.degraded.decides(settings) => Verdict::Degraded,
            Verdict::Degraded if self.clean >= settings.rise => Verdict::Up,
            // Back to up only when all of the successes that count were clean.
            Verdict::Down if self.clean >= settings.rise => Verdict::Up,
            Verdict::Down if self.successes >= settings.rise => Verdict::Degraded,
            unchanged => unchanged,
        };
        if self.verdict == Verdict::Up && self.clean >= settings.rise {
            self.degraded = Run::default();
        }
    }

    /// A failure. A check that is down stays so.
    pub(super) fn failure(
        &mut self,
        began: Mono,
        ended: Mono,
        settings: &CheckSettings,
        gate: Gate,
    ) {
        self.suspect = true;
        self.successes = 0;
        self.clean = 0;
        self.unknown = 0;
        if let Gate::Confirm {
            healthy_since: Some(since),
            ..
        } = gate
            && began < since
        {
            return; // It ended when our network worked again, but it was made when it did not.
        }
        self.note_confirmed(gate);
        self.failing.add(began, ended);
        if self.verdict == Verdict::Down || !self.failing.decides(settings) {
            return;
        }
        match gate {
            Gate::Open => self.verdict = Verdict::Down,
            Gate::Blind { .. } => self.verdict = Verdict::Unknown,
            // The first failure that completes the thresholds stays the deciding one: were it replaced by
            // each later one, a canary slower than `retry` would never be in time.
            Gate::Confirm { answered, .. } => {
                let deciding = *self.deciding.get_or_insert(ended);
                if let Some(answered) = answered.filter(|answered| *answered >= deciding) {
                    self.canary_answered(answered);
                }
            }
        }
    }

    /// An observation that says nothing about the peer. `fall` of them in a row make a verdict unknown that
    /// was up or degraded. A check that is down stays so: nothing has shown that it is not.
    pub(super) fn unknown(&mut self, settings: &CheckSettings) {
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown >= settings.fall && self.verdict != Verdict::Down {
            self.verdict = Verdict::Unknown;
        }
    }

    /// A canary has answered an attempt that began at `began`, and our network was not in doubt.
    pub(super) fn canary_answered(&mut self, began: Mono) {
        if self.deciding.is_some_and(|ended| ended <= began) {
            self.deciding = None;
            self.verdict = Verdict::Down;
        }
    }

    /// Our own network fails, or has just been found working again after it failed: what no canary has
    /// confirmed is forgotten, and a check that was about to go down is unknown.
    pub(super) fn forget_unconfirmed(&mut self, answered: Option<Mono>) {
        if self.deciding.take().is_some() {
            self.verdict = Verdict::Unknown;
        }
        self.note_confirmed(Gate::Blind { answered });
        if self.confirmed == 0 {
            self.clear_failures();
        } else {
            self.failing.count = self.failing.count.min(self.confirmed);
        }
    }

    /// Takes note of which failures so far have been followed by a canary's answer.
    fn note_confirmed(&mut self, gate: Gate) {
        let (Gate::Confirm { answered, .. } | Gate::Blind { answered }) = gate else {
            return;
        };
        if let (Some(last), Some(answered)) = (self.failing.last, answered)
            && answered >= last
        {
            self.confirmed = self.failing.count;
        }
    }

    fn clear_failures(&mut self) {
        self.failing = Run::default();
        self.confirmed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::ServiceKind;

    /// Feeds a tally one observation per second: `.` good, `d` degraded, `x` failed, `?` unknown.
    struct Feed {
        tally: Tally,
        settings: CheckSettings,
        gate: Gate,
        second: u64,
    }

    impl Feed {
        fn new() -> Feed {
            Feed {
                tally: Tally::new(),
                settings: CheckSettings {
                    min_fault: Duration::ZERO,
                    ..CheckSettings::default_for(ServiceKind::XmppServer)
                },
                gate: Gate::Open,
                second: 0,
            }
        }

        fn up() -> Feed {
            let mut feed = Feed::new();
            feed.feed(".");
            feed
        }

        fn at(&self) -> Mono {
            Mono::START + Duration::from_secs(self.second)
        }

        fn feed(&mut self, observations: &str) -> Verdict {
            for observation in observations.chars() {
                self.second += 1;
                let at = self.at();
                let settings = &self.settings;
                match observation {
                    '.' => self.tally.success(false, at, at, settings),
                    'd' => self.tally.success(true, at, at, settings),
                    'x' => self.tally.failure(at, at, settings, self.gate),
                    '?' => self.tally.unknown(settings),
                    other => panic!("{other:?} is no observation"),
                }
            }
            self.tally.verdict
        }
    }

    #[test]
    fn unknown_becomes_up_at_the_first_success_and_down_as_from_up() {
        assert_eq!(Feed::new().feed("."), Verdict::Up);
        assert_eq!(Feed::new().feed("d"), Verdict::Degraded);
        assert_eq!(Feed::new().feed("xx"), Verdict::Unknown);
        assert_eq!(Feed::new().feed("xxx"), Verdict::Down);
        assert_eq!(Feed::new().feed("xx."), Verdict::Up);
    }

    #[test]
    fn fall_failures_make_it_down_though_successes_come_between() {
        assert_eq!(Feed::up().feed("xx"), Verdict::Up);
        assert_eq!(Feed::up().feed("x..x..x"), Verdict::Down);
        assert_eq!(Feed::up().feed("x....x....x"), Verdict::Down);
    }

    #[test]
    fn steady_successes_in_a_row_clear_the_count() {
        assert_eq!(Feed::up().feed("xx.....x"), Verdict::Up);
        assert_eq!(Feed::up().feed("xx.....xxx"), Verdict::Down);
    }

    #[test]
    fn failures_that_span_less_than_min_fault_do_not_make_it_down() {
        let mut feed = Feed::up();
        feed.settings.min_fault = Duration::from_secs(4);
        assert_eq!(feed.feed("xxxx"), Verdict::Up);
        assert_eq!(feed.feed("x"), Verdict::Down);
    }

    #[test]
    fn rise_successes_in_a_row_make_it_up() {
        let mut feed = Feed::up();
        assert_eq!(feed.feed("xxx....."), Verdict::Down);
        assert_eq!(feed.feed("x....."), Verdict::Down);
        assert_eq!(feed.feed("."), Verdict::Up);
        assert_eq!(feed.tally.failures(), 0);
    }

    #[test]
    fn a_check_that_recovers_with_degraded_successes_becomes_degraded() {
        let mut feed = Feed::up();
        assert_eq!(feed.feed("xxx...d.."), Verdict::Degraded);
        assert_eq!(feed.feed("...."), Verdict::Up);
    }

    #[test]
    fn fall_degraded_observations_make_it_degraded_and_rise_clean_ones_up_again() {
        assert_eq!(Feed::up().feed("dd"), Verdict::Up);
        assert_eq!(Feed::up().feed("d..d..d"), Verdict::Degraded);
        assert_eq!(Feed::up().feed("dd.....d"), Verdict::Up);
        let mut feed = Feed::up();
        assert_eq!(feed.feed("ddd....."), Verdict::Degraded);
        assert_eq!(feed.feed("."), Verdict::Up);
        assert_eq!(feed.feed("dd"), Verdict::Up);
        assert_eq!(Feed::up().feed("dddxxx"), Verdict::Down);
    }

    #[test]
    fn degraded_observations_are_successes_as_regards_down() {
        assert_eq!(Feed::up().feed("xxdddddx"), Verdict::Degraded);
    }

    #[test]
    fn fall_unknown_observations_in_a_row_make_it_unknown_unless_it_is_down() {
        assert_eq!(Feed::up().feed("??"), Verdict::Up);
        assert_eq!(Feed::up().feed("???"), Verdict::Unknown);
        assert_eq!(Feed::up().feed("??.??"), Verdict::Up);
        assert_eq!(Feed::up().feed("xxx?????"), Verdict::Down);
        assert_eq!(Feed::up().feed("xxx...?..."), Verdict::Up);
    }

    #[test]
    fn suspicion_ends_at_the_first_success_and_the_count_stays() {
        let mut feed = Feed::up();
        feed.feed("x");
        assert!(feed.tally.suspect);
        feed.feed(".");
        assert!(!feed.tally.suspect);
        assert_eq!(feed.tally.failures(), 1);
    }

    #[test]
    fn proven_comes_with_rise_successes_in_a_row_and_stays() {
        let mut feed = Feed::new();
        feed.feed("..x.....");
        assert!(!feed.tally.proven);
        feed.feed(".");
        assert!(feed.tally.proven);
        feed.feed("xxx");
        assert!(feed.tally.proven);
    }

    fn confirm(answered: Option<Mono>) -> Gate {
        Gate::Confirm {
            answered,
            healthy_since: None,
        }
    }

    #[test]
    fn with_canaries_it_keeps_its_verdict_until_one_answers_an_attempt_begun_after_the_failure() {
        let mut feed = Feed::up();
        feed.gate = confirm(None);
        assert_eq!(feed.feed("xxx"), Verdict::Up);
        assert!(feed.tally.waits_for_canary());
        let before = feed.at() - Duration::from_millis(1);
        feed.tally.canary_answered(before);
        assert_eq!(feed.tally.verdict, Verdict::Up);
        feed.tally.canary_answered(feed.at());
        assert_eq!(feed.tally.verdict, Verdict::Down);
    }

    #[test]
    fn a_success_while_the_canary_is_asked_keeps_it_up() {
        let mut feed = Feed::up();
        feed.gate = confirm(None);
        feed.feed("xxx.");
        feed.tally.canary_answered(feed.at());
        assert_eq!(feed.tally.verdict, Verdict::Up);
    }

    #[test]
    fn a_later_failure_does_not_postpone_the_canary_that_is_being_asked() {
        let mut feed = Feed::up();
        feed.gate = confirm(None);
        feed.feed("xxx");
        let asked = feed.at();
        feed.feed("x");
        feed.tally.canary_answered(asked);
        assert_eq!(feed.tally.verdict, Verdict::Down);
    }

    #[test]
    fn blindness_makes_unknown_what_would_be_down_and_forgets_what_no_canary_confirmed() {
        let mut feed = Feed::up();
        feed.gate = confirm(None);
        feed.feed("x");
        let answered = Some(feed.at());
        feed.gate = confirm(answered);
        feed.feed("xx");
        feed.tally.forget_unconfirmed(answered);
        assert_eq!(feed.tally.verdict, Verdict::Unknown);
        assert_eq!(feed.tally.failures(), 1, "the first failure was confirmed");
        feed.gate = Gate::Blind { answered };
        assert_eq!(feed.feed("xxxxx"), Verdict::Unknown);
        feed.tally.forget_unconfirmed(answered);
        assert_eq!(feed.tally.failures(), 1);
        assert_eq!(feed.feed("."), Verdict::Up);
    }

    #[test]
    fn a_failure_begun_before_our_network_worked_again_is_not_counted() {
        let mut feed = Feed::up();
        feed.gate = Gate::Confirm {
            answered: None,
            healthy_since: Some(Mono::START + Duration::from_secs(3)),
        };
        feed.feed("xx");
        assert_eq!(feed.tally.failures(), 1);
        assert!(feed.tally.suspect);
    }

    #[test]
    fn changed_settings_keep_the_verdict_and_forget_the_counts() {
        let mut feed = Feed::up();
        feed.feed(".....xx");
        let carried = feed.tally.carried_over();
        assert_eq!((carried.verdict, carried.proven), (Verdict::Up, true));
        assert_eq!((carried.failures(), carried.successes), (0, 0));
    }
}
