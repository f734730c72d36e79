//! One check under watch: its counts, and what views show of it.
//!
//! In: judged observations and what the canaries say. Out: the check's [`CheckHealth`], kept in step with its counts.
//! Never here: other checks, pools, the schedule.

use std::sync::Arc;
use std::time::Duration;

use super::judge::{Grade, Outcome};
use super::threshold::{Gate, Tally};
use super::verdict::{CheckHealth, Verdict};
use crate::clock::{Mono, Now, Wall};
use crate::probe::CertificateFacts;
use crate::topology::{Check, PoolName, RouteName, ServiceKind};

/// Least time between two probes of a SIP federation port that comes up.
const SIP_RECOVERY: Duration = Duration::from_secs(10);

/// One check.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) check: Arc<Check>,
    pub(super) health: CheckHealth,
    /// The certificate it has shown last.
    pub(super) certificate: Option<CertificateFacts>,
    /// Since when it has been made the way it is made now: an older probe's result does not count.
    pub(super) born: Mono,
    /// Who uses it.
    pub(super) users: Vec<(RouteName, PoolName)>,
    tally: Tally,
    /// Probes in a row that were not made because this process did not run.
    overslept: u32,
}

/// What has changed of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: Verdict,
    pub(super) to: Verdict,
    pub(super) newly_proven: bool,
}

impl Watch {
    /// Begins to watch a check. `before` is the same check as it was made until now, if there was one.
    pub(super) fn new(check: &Arc<Check>, before: Option<&Watch>, now: Now) -> Watch {
        let tally = before.map_or_else(Tally::new, |before| before.tally.carried_over());
        let health = match before {
            Some(before) => CheckHealth {
                suspect: false,
                failures: 0,
                successes: 0,
                ..before.health.clone()
            },
            None => CheckHealth {
                verdict: Verdict::Unknown,
                since: now.mono,
                since_wall: now.wall,
                suspect: false,
                failures: 0,
                successes: 0,
                proven: false,
                last: None,
                last_wall: None,
                cause: None,
                observed: 0,
            },
        };
        Watch {
            check: Arc::clone(check),
            health,
            certificate: before.and_then(|before| before.certificate.clone()),
            born: now.mono,
            users: Vec::new(),
            tally,
            overslept: 0,
        }
    }

    /// A probe was not made because this process did not run. It does not count, unless that has become a habit: then
    /// nothing is known any more.
    pub(super) fn excuses_oversleeping(&mut self) -> bool {
        self.overslept = self.overslept.saturating_add(1);
        self.overslept <= self.check.settings.fall
    }

    /// Counts a judged observation of a probe that lasted from `began` to `ended`.
    pub(super) fn count(
        &mut self,
        outcome: &Outcome,
        (began, ended): (Mono, Mono),
        gate: Gate,
        now: Now,
    ) -> Change {
        let settings = &self.check.settings;
        if outcome.grade != Grade::Unknown {
            self.overslept = 0;
        }
        match outcome.grade {
            Grade::Good => self.tally.success(false, began, ended, settings),
            Grade::Degraded => self.tally.success(true, began, ended, settings),
            Grade::Unknown => self.tally.unknown(settings),
            Grade::Failed => self.tally.failure(began, ended, settings, gate),
        }
        match (outcome.grade, self.tally.verdict) {
            (Grade::Failed, _) | (Grade::Good | Grade::Degraded, Verdict::Up) => {
                self.health.cause.clone_from(&outcome.cause);
            }
            (Grade::Degraded, Verdict::Degraded) | (Grade::Unknown, Verdict::Unknown) => {
                self.health.cause.clone_from(&outcome.cause);
            }
            // What made it what it is still stands.
            _ => {}
        }
        if outcome.grade == Grade::Failed && self.tally.verdict == Verdict::Unknown {
            self.explain_doubt(gate);
        }
        self.follow(now)
    }

    /// A canary answered an attempt begun at `began`.
    pub(super) fn canary_answered(&mut self, began: Mono, now: Now) -> Change {
        self.tally.canary_answered(began);
        self.follow(now)
    }

    /// Our own network fails or failed: failures that no canary has confirmed are forgotten.
    pub(super) fn forget_unconfirmed(&mut self, answered: Option<Mono>, now: Now) -> Change {
        self.tally.forget_unconfirmed(answered);
        let change = self.follow(now);
        if change.to == Verdict::Unknown && change.from != change.to {
            self.explain_doubt(Gate::Blind { answered });
        }
        change
    }

    /// Whether it would be down if a canary answered.
    pub(super) fn waits_for_canary(&self) -> bool {
        self.tally.waits_for_canary()
    }

    /// Shows an observation that counted for it.
    pub(super) fn show(&mut self, line: &str, at: Wall) {
        self.health.observed += 1;
        self.health.last = Some(line.to_owned());
        self.health.last_wall = Some(at);
    }

    /// How long after a failure it is tried again. While a verdict is at stake that is `retry`. A check that is
    /// down backs off, towards its interval: every failed handshake is an event in its server's log.
    pub(super) fn retry(&self, now: Now) -> Duration {
        let settings = &self.check.settings;
        match self.health.verdict {
            Verdict::Down => {
                let slowest = settings.interval.max(settings.retry);
                (now.mono.since(self.health.since) / 4).clamp(settings.retry, slowest)
            }
            Verdict::Up | Verdict::Degraded | Verdict::Unknown => settings.retry,
        }
    }

    /// Whether it is down and answers well again.
    pub(super) fn recovers(&self) -> bool {
        self.health.verdict == Verdict::Down && self.health.successes > 0
    }

    /// How soon after a good probe a check that is down is probed again. A Lync Edge counts what its federation port
    /// is asked: there it is less often.
    pub(super) fn recovery_pace(&self) -> Duration {
        let settings = &self.check.settings;
        let pace = match self.check.service {
            ServiceKind::SipFederationTls => settings.retry.max(SIP_RECOVERY),
            ServiceKind::XmppServer | ServiceKind::XmppsServer => settings.retry,
        };
        pace.min(settings.interval)
    }

    fn explain_doubt(&mut self, gate: Gate) {
        if let (Gate::Blind { .. }, Some(cause)) = (gate, &mut self.health.cause) {
            cause.push_str("; not confirmed: no canary answers");
        }
    }

    /// Brings what is shown in step with what is counted.
    fn follow(&mut self, now: Now) -> Change {
        let change = Change {
            from: self.health.verdict,
            to: self.tally.verdict,
            newly_proven: self.tally.proven && !self.health.proven,
        };
        if change.from != change.to {
            self.health.since = now.mono;
            self.health.since_wall = now.wall;
        }
        self.health.verdict = self.tally.verdict;
        self.health.suspect = self.tally.suspect;
        self.health.failures = self.tally.failures();
        self.health.successes = self.tally.successes;
        self.health.proven = self.tally.proven;
        change
    }
}
