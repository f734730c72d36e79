//! One probe while it is being made: its bound, its timings and the facts gathered so far.
//!
//! In: the steps of a protocol's ladder, one at a time. Out: an [`Observation`], whole however it ended.
//! Never here: what a step does; and no wait without the bound.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::domainpart::Form;
use super::observation::{
    CertificateFacts, Observation, Phase, PhaseTiming, ProbeResult, Reason, TlsFacts,
};
use super::tcp;
use super::wire::Wire;
use crate::clock::{Mono, Now, ReadNow};
use crate::harmless::disturbs;
use crate::patience::Patience;
use crate::topology::{Check, CheckId, Depth};

/// How long a peer is waited for when closing: RFC 6120 §4.4 sets no bound.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// A probe that fails after this process did not run for so long proves nothing.
pub(super) const OVERSLEPT: Duration = Duration::from_secs(1);
/// Notes kept, and characters of each: peers write part of them.
const MAX_NOTES: usize = 8;
const MAX_NOTE: usize = 200;

/// The phase that did not succeed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) phase: Phase,
    pub(super) reason: Reason,
}

impl Stop {
    /// The same stop, with the reason `other` if it was for lack of time.
    pub(super) fn if_late(mut self, other: Reason) -> Stop {
        if self.reason == Reason::TooSlow {
            self.reason = other;
        }
        self
    }
}

/// A probe under way.
pub(super) struct Attempt<'a> {
    /// What is probed.
    pub(super) check: &'a Check,
    /// The deepest step that succeeded.
    pub(super) reached: Option<Depth>,
    /// What TLS negotiated.
    pub(super) tls: Option<TlsFacts>,
    /// The server's certificate.
    pub(super) certificate: Option<CertificateFacts>,
    /// How the domain is written to the server.
    pub(super) form: Form,
    read_now: &'a ReadNow,
    began: Mono,
    concluded: Option<Now>,
    patience: Patience,
    close_until: Option<Instant>,
    phases: Vec<PhaseTiming>,
    notes: Vec<String>,
}

impl<'a> Attempt<'a> {
    /// Begins; `timeout` runs from now.
    pub(super) fn begin(check: &'a Check, read_now: &'a ReadNow) -> Attempt<'a> {
        Attempt {
            check,
            reached: None,
            tls: None,
            certificate: None,
            form: Form::Unicode,
            read_now,
            began: read_now().mono,
            concluded: None,
            patience: Patience::new(check.settings.timeout),
            close_until: None,
            phases: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Begins anew with the other form of the domain. Time and phases go on.
    pub(super) fn begin_again(&mut self, form: Form) {
        self.form = form;
        (self.reached, self.tls, self.certificate) = (None, None, None);
        (self.concluded, self.close_until) = (None, None);
        self.notes.clear();
    }

    /// The domain as it is written to the server.
    pub(super) fn domainpart(&self) -> String {
        self.form.of(&self.check.domain)
    }

    /// Whether the probe is to go further than `depth`.
    pub(super) fn goes_past(&self, depth: Depth) -> bool {
        self.check.settings.depth.of(self.check.service) > depth
    }

    /// The time now, for what a certificate says.
    pub(super) fn now(&self) -> Now {
        (self.read_now)()
    }

    /// Takes one step, within what is left of the time. A step that does not end is `TooSlow`.
    pub(super) async fn step<T>(
        &mut self,
        phase: Phase,
        step: impl Future<Output = Result<T, Reason>>,
    ) -> Result<T, Stop> {
        let began = self.now().mono;
        let outcome = self
            .patience
            .wait(step)
            .await
            .unwrap_or(Err(Reason::TooSlow));
        self.time(phase, began);
        outcome.map_err(|reason| Stop { phase, reason })
    }

    /// Records that `phase` took from `began` until now.
    pub(super) fn time(&mut self, phase: Phase, began: Mono) {
        let took = self.now().mono.since(began);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.phases.push(PhaseTiming { phase, micros });
    }

    /// The TCP connection, with which every ladder begins.
    pub(super) async fn connect(&mut self) -> Result<Wire, Stop> {
        let connecting = tcp::connect(self.check.peer, self.check.source);
        let stream = self
            .step(Phase::Connect, connecting)
            .await
            .map_err(|stop| stop.if_late(Reason::ConnectTimeout))?;
        self.reached = Some(Depth::Tcp);
        Ok(Wire::new(stream))
    }

    /// Says goodbye. The result stands already: neither the time this takes nor its failure counts.
    /// None when the peer did not answer it in time, which all goodbyes of a probe share.
    pub(super) async fn close<T>(&mut self, goodbye: impl Future<Output = T>) -> Option<T> {
        let began = self.conclude().mono;
        let wait = || sleep(CLOSE_WAIT).deadline();
        let until = *self.close_until.get_or_insert_with(wait);
        let outcome = self.patience.wait_until(Some(until), goodbye).await;
        self.time(Phase::Close, began);
        outcome
    }

    /// The result is known now; the observation ends here.
    fn conclude(&mut self) -> Now {
        let now = self.now();
        *self.concluded.get_or_insert(now)
    }

    /// Adds a note, cleaned of what could disturb a terminal or a log.
    pub(super) fn note(&mut self, text: &str) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(printable(text));
        }
    }

    /// The observation.
    pub(super) fn finish(mut self, id: &CheckId, outcome: Result<(), Stop>) -> Observation {
        let ended = self.conclude();
        let past_header = self.reached.is_some_and(|depth| depth > Depth::Tcp);
        let unusual = self.form == Form::Ascii && past_header;
        let known_as = unusual.then(|| self.domainpart());
        Observation {
            check: id.clone(),
            peer: self.check.peer,
            began: self.began,
            ended: ended.mono,
            at: ended.wall,
            reached: self.reached,
            result: match outcome {
                Ok(()) => ProbeResult::Reached,
                // Peers end connections on which nothing comes, and packets are lost meanwhile.
                Err(Stop { phase, .. }) if self.patience.lost() >= OVERSLEPT => {
                    let lost = self.patience.lost().as_millis();
                    let millis = u64::try_from(lost).unwrap_or(u64::MAX);
                    let reason = Reason::Overslept { millis };
                    ProbeResult::Stopped { phase, reason }
                }
                Err(Stop { phase, reason }) => ProbeResult::Stopped { phase, reason },
            },
            phases: self.phases,
            tls: self.tls,
            certificate: self.certificate,
            notes: self.notes,
            known_as,
        }
    }
}

/// A peer's words, fit to be shown: nothing that moves the cursor or turns the direction of a line, and not too
/// many.
pub(super) fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| if disturbs(c) { ' ' } else { c });
    clean.take(MAX_NOTE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_write_over_what_is_shown_beside_its_words() {
        let text = "a\u{1b}[2Jb\u{202e}c\u{61c}d\u{85}e\u{fc}\n";
        assert_eq!(printable(text), "a [2Jb c d e\u{fc} ");
        assert_eq!(printable(&"x".repeat(1000)).len(), MAX_NOTE);
    }
}
