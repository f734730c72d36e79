//! Judging: what one observation says about its check, before anything is counted.
//!
//! In: an [`Observation`] and the settings of its check. Out: an [`Outcome`]: a grade, the cause in one line, the
//! degradations that the operator accepts. Never here: memory of earlier observations; that is `threshold`.
//!
//! The table is `docs/health.md`, one row per arm below.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::probe::{CertificateFacts, Observation, Phase, ProbeResult, Reason, StreamCondition};
use crate::topology::{Accept, CertificatePolicy, CheckSettings};

/// How one observation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
        ProbeResult::Stopped { phase, reason } => sum.stopped(*phase, reason, &line),
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
                let known_as = observation.known_as.as_ref();
                let known_as = known_as.map_or(String::new(), |form| format!(" as {form}"));
                format!(
                    "reached {depth} in {} ms{known_as}",
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
    fn stopped(&mut self, phase: Phase, reason: &Reason, line: &str) {
        match reason {
            Reason::LocalFailure { .. } | Reason::Overslept { .. } => {
                self.worsen(Grade::Unknown, line.to_owned());
            }
            Reason::Certificate { fault } => self.certificate_refused(&fault.describe()),
            Reason::StreamError { condition } => self.stream_error(phase, condition, line),
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
            | Reason::TlsRefused { .. }
            | Reason::OtherProtocol
            | Reason::TlsBroken { .. } => self.worsen(Grade::Failed, line.to_owned()),
        }
    }

    fn stream_error(&mut self, phase: Phase, condition: &StreamCondition, line: &str) {
        match condition {
            // It had taken us until we asked for TLS: it is TLS that fails, and for partners as well.
            StreamCondition::UndefinedCondition if phase == Phase::Starttls => {
                self.worsen(Grade::Failed, line.to_owned());
            }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::{Mono, Wall};
    use crate::probe::{CertificateFault, PhaseTiming, TlsFacts};
    use crate::topology::{CheckId, Depth, ServiceKind};

    fn settings() -> CheckSettings {
        CheckSettings::default_for(ServiceKind::XmppServer)
    }

    fn observed(result: ProbeResult) -> Observation {
        Observation {
            check: CheckId::from("xmpp-server/192.0.2.10:5269/contoso.com".to_owned()),
            peer: "192.0.2.10:5269".parse().unwrap(),
            began: Mono::START,
            ended: Mono::START + Duration::from_millis(12),
            at: Wall::from_millis(1_800_000_000_000),
            reached: (result == ProbeResult::Reached).then_some(Depth::Tls),
            result,
            phases: Vec::new(),
            tls: None,
            certificate: None,
            notes: Vec::new(),
            known_as: None,
        }
    }

    fn stopped(phase: Phase, reason: Reason) -> Observation {
        observed(ProbeResult::Stopped { phase, reason })
    }

    fn stream_error(condition: StreamCondition) -> Observation {
        stopped(Phase::StreamHeader, Reason::StreamError { condition })
    }

    fn certificate(fault: Option<CertificateFault>, days_left: u64) -> CertificateFacts {
        let day = Duration::from_secs(86_400);
        let now = Wall::from_millis(1_800_000_000_000);
        CertificateFacts {
            subject: "CN=contoso.com".into(),
            issuer: "CN=authority".into(),
            names: vec!["contoso.com".into()],
            matches: None,
            not_before: Wall::from_millis(
                1_800_000_000_000 - 86_400_000 * (100 - days_left as i64),
            ),
            not_after: now + day * u32::try_from(days_left).unwrap(),
            client_auth: true,
            fingerprint: "00".into(),
            fault,
        }
    }

    fn grade(observation: &Observation) -> Grade {
        judge(observation, &settings()).grade
    }

    #[test]
    fn the_full_depth_is_good_and_says_how_long_it_took() {
        let outcome = judge(&observed(ProbeResult::Reached), &settings());
        assert_eq!(outcome.grade, Grade::Good);
        assert_eq!(outcome.line, "reached tls in 12 ms");
        assert_eq!(outcome.cause, None);
    }

    #[test]
    fn what_partners_cannot_use_is_a_failure() {
        let text = || "detail".to_owned();
        let rows = [
            (Phase::Connect, Reason::Refused),
            (Phase::Connect, Reason::ConnectTimeout),
            (Phase::Connect, Reason::Unreachable),
            (Phase::StreamHeader, Reason::Silence),
            (Phase::StreamHeader, Reason::ClosedAtOnce),
            (Phase::StreamFeatures, Reason::Closed),
            (Phase::StreamFeatures, Reason::TooSlow),
            (Phase::StreamHeader, Reason::NotXml),
            (Phase::StreamHeader, Reason::NotXmpp),
            (Phase::StreamFeatures, Reason::TooMuch),
            (Phase::StreamHeader, Reason::WrongDomain { from: text() }),
            (Phase::StreamFeatures, Reason::StarttlsNotOffered),
            (Phase::Starttls, Reason::StarttlsRefused),
            (Phase::Tls, Reason::TlsBroken { detail: text() }),
            (Phase::Tls, Reason::TlsRefused { detail: text() }),
            (Phase::Tls, Reason::OtherProtocol),
        ];
        for (phase, reason) in rows {
            assert_eq!(
                grade(&stopped(phase, reason.clone())),
                Grade::Failed,
                "{reason:?}"
            );
        }
    }

    #[test]
    fn stream_errors_of_a_useless_server_are_failures() {
        for condition in [
            StreamCondition::HostUnknown,
            StreamCondition::HostGone,
            StreamCondition::SystemShutdown,
            StreamCondition::InternalServerError,
            StreamCondition::RemoteConnectionFailed,
            StreamCondition::SeeOtherHost,
            StreamCondition::NotWellFormed,
            StreamCondition::Other("strange".into()),
        ] {
            assert_eq!(
                grade(&stream_error(condition.clone())),
                Grade::Failed,
                "{condition}"
            );
        }
    }

    #[test]
    fn stream_errors_about_the_prober_count_as_up_and_are_noted() {
        for condition in [
            StreamCondition::PolicyViolation,
            StreamCondition::NotAuthorized,
            StreamCondition::InvalidFrom,
            StreamCondition::UndefinedCondition,
        ] {
            let outcome = judge(&stream_error(condition.clone()), &settings());
            assert_eq!(outcome.grade, Grade::Good, "{condition}");
            assert!(outcome.cause.unwrap().contains(&condition.to_string()));
        }
    }

    #[test]
    fn an_unexplained_error_in_answer_to_starttls_is_a_failure() {
        let condition = StreamCondition::UndefinedCondition;
        let observation = stopped(Phase::Starttls, Reason::StreamError { condition });
        assert_eq!(grade(&observation), Grade::Failed);
    }

    #[test]
    fn our_own_failure_is_unknown() {
        let error = "cannot assign requested address".to_owned();
        let local = stopped(Phase::Connect, Reason::LocalFailure { error });
        assert_eq!(grade(&local), Grade::Unknown);
    }

    #[test]
    fn each_degradation_is_degraded_unless_the_operator_accepts_it() {
        let mut slow = observed(ProbeResult::Reached);
        slow.ended = slow.began + Duration::from_millis(1_501);
        let mut legacy = observed(ProbeResult::Reached);
        legacy.tls = Some(TlsFacts {
            version: "TLSv1".into(),
            cipher: "AES128-SHA".into(),
            legacy: true,
            client_certificate_wanted: false,
            alpn: None,
        });
        let mut expiring = observed(ProbeResult::Reached);
        expiring.certificate = Some(certificate(None, 4));
        let busy = stream_error(StreamCondition::ResourceConstraint);
        for (observation, accept) in [
            (slow, Accept::Slow),
            (legacy, Accept::LegacyTls),
            (expiring, Accept::CertificateExpiring),
            (busy, Accept::ResourceConstraint),
        ] {
            assert_eq!(grade(&observation), Grade::Degraded, "{accept}");
            let tolerant = CheckSettings {
                accept: BTreeSet::from([accept]),
                ..settings()
            };
            let outcome = judge(&observation, &tolerant);
            assert_eq!(
                (outcome.grade, outcome.accepted),
                (Grade::Good, vec![accept])
            );
        }
    }

    #[test]
    fn a_certificate_with_a_twentieth_of_its_life_left_is_still_good() {
        let mut observation = observed(ProbeResult::Reached);
        observation.certificate = Some(certificate(None, 5));
        assert_eq!(grade(&observation), Grade::Good);
    }

    #[test]
    fn a_refused_certificate_counts_as_the_policy_says_however_far_the_probe_went() {
        let fault = CertificateFault::Expired;
        let certificate = certificate(Some(fault.clone()), 0);
        let mut stopped = stopped(Phase::Certificate, Reason::Certificate { fault });
        let mut reached = observed(ProbeResult::Reached);
        stopped.certificate = Some(certificate.clone());
        reached.certificate = Some(certificate);
        for observation in [stopped, reached] {
            for (policy, grade) in [
                (CertificatePolicy::Require, Grade::Failed),
                (CertificatePolicy::Warn, Grade::Degraded),
                (CertificatePolicy::Ignore, Grade::Good),
            ] {
                let settings = CheckSettings {
                    certificate: policy,
                    ..settings()
                };
                let outcome = judge(&observation, &settings);
                assert_eq!(outcome.grade, grade, "{policy:?}");
                assert_eq!(outcome.cause.unwrap().matches("expired").count(), 1);
            }
        }
    }

    #[test]
    fn waiting_for_the_peer_to_close_is_not_slowness() {
        let mut observation = observed(ProbeResult::Reached);
        observation.ended = observation.began + Duration::from_millis(2_012);
        observation.phases.push(PhaseTiming {
            phase: Phase::Close,
            micros: 2_000_000,
        });
        let outcome = judge(&observation, &settings());
        assert_eq!(outcome.grade, Grade::Good);
        assert_eq!(outcome.line, "reached tls in 12 ms");
    }

    #[test]
    fn a_line_names_the_reason_and_the_phase_once() {
        let silence = stopped(Phase::StreamHeader, Reason::Silence);
        assert_eq!(
            judge(&silence, &settings()).line,
            "silence in stream header"
        );
        let refused = stopped(Phase::Connect, Reason::Refused);
        assert_eq!(judge(&refused, &settings()).line, "connection refused");
    }
}
