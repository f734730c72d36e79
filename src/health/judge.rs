//! Judging: what one observation says about its check, before anything is counted.
//!
//! In: an [`Observation`] and the settings of its check. Out: an [`Outcome`]: a grade, the cause in one line, the
//! degradations that the operator accepts. Never here: memory of earlier observations; that is `threshold`.
//!
//! The table is `docs/health.md`, one row per arm below.

use std::time::Duration;

use crate::probe::{CertificateFacts, Observation, Phase, ProbeResult, Reason, StreamCondition};
use crate::topology::{Accept, CertificatePolicy, CheckSettings};

/// How one observation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// A success.
    Good,
    /// A success as regards down, but partners are served worse than they should be.
    Degraded,
    /// Counts neither way: the fault is on our side.
    Unknown,
    /// A failure.
    Failed,
}

/// One observation, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it counts.
    pub grade: Grade,
    /// Degradations that were seen and count as good because the operator accepts them.
    pub accepted: Vec<Accept>,
    /// Why it is not plainly good, or what is worth knowing although it is; in one line.
    pub cause: Option<String>,
    /// What was seen, in one line: `reached tls in 12 ms`, `silence in stream header`.
    pub line: String,
}

/// Judges one observation by the settings of its check.
pub fn judge(observation: &Observation, settings: &CheckSettings) -> Outcome {
    let line = line_of(observation);
    let mut sum = Sum::new(settings);
    match &observation.result {
        ProbeResult::Reached => {}
        ProbeResult::Stopped { reason, .. } => sum.stopped(reason, &line),
    }
    if sum.grade < Grade::Unknown {
        sum.shortcomings(observation);
    }
    Outcome {
        grade: sum.grade,
        accepted: sum.accepted,
        cause: (!sum.causes.is_empty()).then(|| sum.causes.join(", ")),
        line,
    }
}

fn line_of(observation: &Observation) -> String {
    match &observation.result {
        ProbeResult::Reached => match observation.reached {
            Some(depth) => {
                format!(
                    "reached {depth} in {} ms",
                    answer_time(observation).as_millis()
                )
            }
            None => format!("reached in {} ms", answer_time(observation).as_millis()),
        },
        ProbeResult::Stopped { phase, reason } => match (phase, reason) {
            // The connect phase and the certificate name themselves in their reasons.
            (Phase::Connect, _) | (Phase::Certificate, Reason::Certificate { .. }) => {
                reason.describe()
            }
            _ => format!("{} in {phase}", reason.describe()),
        },
    }
}

/// How long the server took to answer: closing is up to the peer's mood and says nothing about its health.
fn answer_time(observation: &Observation) -> Duration {
    let closing = observation
        .phases
        .iter()
        .filter(|timing| timing.phase == Phase::Close)
        .map(|timing| Duration::from_micros(timing.micros))
        .sum();
    observation.duration().saturating_sub(closing)
}

/// The grade as it is worked out: it only gets worse.
struct Sum<'a> {
    settings: &'a CheckSettings,
    grade: Grade,
    accepted: Vec<Accept>,
    causes: Vec<String>,
}

impl<'a> Sum<'a> {
    fn new(settings: &'a CheckSettings) -> Sum<'a> {
        Sum {
            settings,
            grade: Grade::Good,
            accepted: Vec::new(),
            causes: Vec::new(),
        }
    }

    /// The probe did not reach its depth.
    fn stopped(&mut self, reason: &Reason, line: &str) {
        match reason {
            Reason::LocalFailure { .. } => self.worsen(Grade::Unknown, line.to_owned()),
            Reason::Certificate { fault } => self.certificate_refused(&fault.describe()),
            // The depth before TLS was reached; of TLS itself nothing is known, and a pool is not taken
            // out of service for what our client cannot speak.
            Reason::TlsUnsupported { .. } => self.degraded(Accept::TlsUnsupported, line.to_owned()),
            Reason::StreamError { condition } => self.stream_error(condition, line),
            Reason::Refused
            | Reason::ConnectTimeout
            | Reason::Unreachable
            | Reason::Silence
            | Reason::ClosedAtOnce
            | Reason::Closed
            | Reason::TooSlow
            | Reason::NotXml
            | Reason::NotXmpp
            | Reason::TooMuch
            | Reason::WrongDomain { .. }
            | Reason::StarttlsNotOffered
            | Reason::StarttlsRefused
            | Reason::TlsBroken { .. } => self.worsen(Grade::Failed, line.to_owned()),
        }
    }

    fn stream_error(&mut self, condition: &StreamCondition, line: &str) {
        match condition {
            StreamCondition::ResourceConstraint => {
                self.degraded(Accept::ResourceConstraint, line.to_owned());
            }
            // The server is alive and knows the domain: it only does not want to talk to the name the
            // probe gave, or to one without a name (a Lync Edge knows its partners only).
            StreamCondition::PolicyViolation
            | StreamCondition::NotAuthorized
            | StreamCondition::InvalidFrom
            | StreamCondition::UndefinedCondition => self
                .causes
                .push(format!("{line} (the server answers: counts as up)")),
            // `see-other-host` among them: it is never followed, partners would not find their stream here.
            _ => self.worsen(Grade::Failed, line.to_owned()),
        }
    }

    /// What keeps a probe that came far enough from being plainly good.
    fn shortcomings(&mut self, observation: &Observation) {
        let took = answer_time(observation);
        if took > self.settings.timeout / 2 {
            let text = format!("slow ({} ms)", took.as_millis());
            self.degraded(Accept::Slow, text);
        }
        if let Some(tls) = observation.tls.as_ref().filter(|tls| tls.legacy) {
            self.degraded(Accept::LegacyTls, format!("legacy TLS ({})", tls.version));
        }
        if let Some(certificate) = &observation.certificate {
            self.certificate(certificate, observation);
        }
    }

    fn certificate(&mut self, certificate: &CertificateFacts, observation: &Observation) {
        let stopped_by_it = matches!(
            &observation.result,
            ProbeResult::Stopped {
                reason: Reason::Certificate { .. },
                ..
            }
        );
        match &certificate.fault {
            Some(fault) if !stopped_by_it => self.certificate_refused(&fault.describe()),
            Some(_) => {}
            // A certificate without a lifetime says nothing about how soon it ends.
            None if certificate.not_after > certificate.not_before
                && certificate.remaining_permille(observation.at) < 50
                && self.settings.certificate != CertificatePolicy::Ignore =>
            {
                let text = format!("certificate expires {}", certificate.not_after);
                self.degraded(Accept::CertificateExpiring, text);
            }
            None => {}
        }
    }

    fn certificate_refused(&mut self, fault: &str) {
        let text = format!("certificate: {fault}");
        match self.settings.certificate {
            CertificatePolicy::Require => self.worsen(Grade::Failed, text),
            CertificatePolicy::Warn => self.worsen(Grade::Degraded, text),
            CertificatePolicy::Ignore => self.causes.push(format!("{text} (ignored)")),
        }
    }

    fn degraded(&mut self, degradation: Accept, text: String) {
        if self.settings.accept.contains(&degradation) {
            self.accepted.push(degradation);
            self.causes.push(format!("{text} (accepted)"));
        } else {
            self.worsen(Grade::Degraded, text);
        }
    }

    fn worsen(&mut self, grade: Grade, text: String) {
        self.grade = self.grade.max(grade);
        self.causes.push(text);
    }
}
