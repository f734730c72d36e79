//! An observation as text, phase by phase, for `repoint probe`.
//!
//! In: an [`Observation`]. Out: lines. Never here: a verdict; what an observation means for a pool depends on
//! thresholds and policy.

use std::time::Duration;

use super::observation::{
    CertificateFacts, CertificateFault, Observation, Phase, PhaseTiming, ProbeResult, Reason,
    TlsFacts,
};
use crate::clock::Wall;
use crate::topology::ServiceKind;

/// Names of a certificate shown; `--json` has them all.
const NAMES_SHOWN: usize = 6;

/// The observation in lines without line ends: one for each phase, then the result, then hints.
///
/// ```text
/// connect                  0.4 ms  192.0.2.10:5269
/// tls handshake            3.1 ms  TLSv1.3 TLS_AES_256_GCM_SHA384
/// certificate              0.1 ms  contoso.com, expires in 61 days (2027-01-21T03:00:00Z)
/// result                   reached tls in 4.2 ms
/// ```
pub fn report(observation: &Observation) -> Vec<String> {
    let mut lines = Vec::new();
    for timing in merged(&observation.phases) {
        let fact = fact(observation, timing.phase);
        lines.push(line(
            timing.phase.as_str(),
            &format!("{:>10}  {fact}", millis(timing.micros)),
        ));
    }
    lines.push(line("result", &result(observation)));
    for hint in hints(observation) {
        lines.push(line("hint", &hint));
    }
    for note in &observation.notes {
        lines.push(line("note", note));
    }
    lines
}

/// A phase of two steps (the header and the features inside TLS) is one line.
fn merged(phases: &[PhaseTiming]) -> Vec<PhaseTiming> {
    let mut merged: Vec<PhaseTiming> = Vec::new();
    for timing in phases {
        match merged.iter_mut().find(|other| other.phase == timing.phase) {
            Some(other) => other.micros = other.micros.saturating_add(timing.micros),
            None => merged.push(*timing),
        }
    }
    merged
}

fn line(label: &str, text: &str) -> String {
    format!("{label:<20}{text}").trim_end().to_owned()
}

fn millis(micros: u64) -> String {
    let tenths = micros.saturating_add(50) / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

fn fact(observation: &Observation, phase: Phase) -> String {
    let stopped = match &observation.result {
        ProbeResult::Stopped { phase: at, reason } if *at == phase => Some(reason.describe()),
        _ => None,
    };
    let fact = match phase {
        Phase::Connect => Some(observation.peer.to_string()),
        Phase::Tls => observation.tls.as_ref().map(negotiated),
        Phase::Certificate => observation
            .certificate
            .as_ref()
            .map(|c| shown(c, observation.at)),
        _ => None,
    };
    match (fact, stopped) {
        (Some(fact), Some(reason)) => format!("{fact}: {reason}"),
        (None, Some(reason)) => reason,
        (Some(fact), None) => fact,
        (None, None) => "ok".to_owned(),
    }
}

fn negotiated(tls: &TlsFacts) -> String {
    let asks = if tls.client_certificate_wanted {
        ", asks for a client certificate"
    } else {
        ""
    };
    let alpn = match &tls.alpn {
        Some(alpn) => format!(", ALPN {alpn}"),
        None => String::new(),
    };
    format!("{} {}{alpn}{asks}", tls.version, tls.cipher)
}

fn shown(certificate: &CertificateFacts, now: Wall) -> String {
    let mut names = certificate
        .names
        .iter()
        .take(NAMES_SHOWN)
        .cloned()
        .collect::<Vec<_>>();
    if names.is_empty() {
        names.push(format!("no names ({})", certificate.subject));
    } else if certificate.names.len() > NAMES_SHOWN {
        names.push("…".to_owned());
    }
    let end = certificate.not_after;
    let validity = if now < certificate.not_before {
        format!(
            "valid only in {} (from {})",
            days(certificate.not_before.since(now)),
            certificate.not_before
        )
    } else if now < end {
        format!("expires in {} ({end})", days(end.since(now)))
    } else {
        format!("expired {} ago ({end})", days(now.since(end)))
    };
    let verdict = match &certificate.fault {
        None => String::new(),
        Some(fault) => format!("; partners refuse it: {}", fault.describe()),
    };
    format!("{}, {validity}{verdict}", names.join(" "))
}

fn days(span: Duration) -> String {
    let hours = span.as_secs() / 3600;
    match hours / 24 {
        0 if hours == 1 => "1 hour".to_owned(),
        0 => format!("{hours} hours"),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn result(observation: &Observation) -> String {
    let took = millis(u64::try_from(observation.duration().as_micros()).unwrap_or(u64::MAX));
    let reached = observation
        .reached
        .map_or("nothing", |depth| depth.as_str());
    match &observation.result {
        ProbeResult::Reached => format!("reached {reached} in {took}"),
        ProbeResult::Stopped { phase, reason } => {
            format!(
                "stopped in {phase} after {took}: {}; reached {reached}",
                reason.describe()
            )
        }
    }
}

fn hints(observation: &Observation) -> Vec<String> {
    let mut hints = Vec::new();
    if let ProbeResult::Stopped {
        reason: Reason::TlsRefused { .. },
        ..
    } = &observation.result
    {
        hints.push(
            "the probe offers TLS 1.0 to 1.3 and every suite that partners have, so they are refused too; look \
             whether the server has a certificate for the domain"
                .to_owned(),
        );
    }
    if let Some(TlsFacts {
        legacy: true,
        version,
        ..
    }) = &observation.tls
    {
        hints.push(format!(
            "legacy TLS ({version}): partners that demand TLS 1.2 cannot connect; accept = [\"legacy-tls\"] \
             makes it count as up"
        ));
    }
    if let Some(certificate) = &observation.certificate {
        if !certificate.client_auth && certificate.fault != Some(CertificateFault::Missing) {
            hints.push(
                "the certificate is not for client authentication (EKU): partners may refuse it on the pool's \
                 own outbound connections"
                    .to_owned(),
            );
        }
        if let Some(fault) = &certificate.fault {
            if matches!(fault, CertificateFault::WrongName { .. }) {
                hints.push(where_partners_look(observation).to_owned());
            }
            hints.push(fault.remedy(observation.check.domain()));
        }
    }
    hints
}

fn where_partners_look(observation: &Observation) -> &'static str {
    match observation.check.service() {
        Some(ServiceKind::SipFederationTls) => {
            "partners look for the SRV target, for sip. and the domain, or for the domain, in dNSName; Lync and Skype \
             for Business look for the target; the common name does not count"
        }
        _ => {
            "partners look for the domain in dNSName, SRV-ID or xmppAddr; the common name and the SRV target do not \
             count"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Mono;
    use crate::probe::StreamCondition;
    use crate::topology::{CheckId, Depth};
    use std::net::SocketAddr;

    fn observation(result: ProbeResult, phases: &[(Phase, u64)]) -> Observation {
        Observation {
            check: CheckId::from("xmpp-server/192.0.2.10:5269/contoso.com".to_owned()),
            peer: SocketAddr::from(([192, 0, 2, 10], 5269)),
            began: Mono::from_micros(1000),
            ended: Mono::from_micros(5249),
            at: Wall::from_millis(1_800_000_000_000),
            reached: Some(Depth::Tls),
            result,
            phases: phases
                .iter()
                .map(|(phase, micros)| PhaseTiming {
                    phase: *phase,
                    micros: *micros,
                })
                .collect(),
            tls: Some(TlsFacts {
                version: "TLSv1".to_owned(),
                cipher: "AES128-SHA".to_owned(),
                legacy: true,
                client_certificate_wanted: false,
                alpn: None,
            }),
            certificate: Some(CertificateFacts {
                subject: "CN=contoso.com".to_owned(),
                issuer: "CN=An Authority".to_owned(),
                names: vec!["contoso.com".to_owned()],
                matches: None,
                not_before: Wall::from_millis(1_700_000_000_000),
                not_after: Wall::from_millis(1_800_000_000_000 + 61 * 86_400_000),
                client_auth: false,
                fingerprint: String::new(),
                fault: None,
            }),
            notes: vec!["the server offers dialback".to_owned()],
            known_as: None,
        }
    }

    #[test]
    fn a_probe_is_told_phase_by_phase_with_hints() {
        let phases = [
            (Phase::Connect, 420),
            (Phase::Tls, 3149),
            (Phase::Certificate, 80),
            (Phase::Features, 100),
            (Phase::Features, 200),
        ];
        assert_eq!(
            report(&observation(ProbeResult::Reached, &phases)),
            [
                "connect                 0.4 ms  192.0.2.10:5269",
                "tls handshake           3.1 ms  TLSv1 AES128-SHA",
                "certificate             0.1 ms  contoso.com, expires in 61 days (2027-03-17T08:00:00Z)",
                "features inside tls     0.3 ms  ok",
                "result              reached tls in 4.2 ms",
                "hint                legacy TLS (TLSv1): partners that demand TLS 1.2 cannot connect; \
                 accept = [\"legacy-tls\"] makes it count as up",
                "hint                the certificate is not for client authentication (EKU): partners may \
                 refuse it on the pool's own outbound connections",
                "note                the server offers dialback",
            ]
        );
    }

    #[test]
    fn a_stop_is_told_where_it_happened() {
        let reason = Reason::StreamError {
            condition: StreamCondition::HostUnknown,
        };
        let result = ProbeResult::Stopped {
            phase: Phase::StreamFeatures,
            reason,
        };
        let mut stopped = observation(
            result,
            &[(Phase::Connect, 1000), (Phase::StreamFeatures, 50)],
        );
        (stopped.tls, stopped.certificate, stopped.reached) = (None, None, Some(Depth::Tcp));
        stopped.notes.clear();
        assert_eq!(
            report(&stopped),
            [
                "connect                 1.0 ms  192.0.2.10:5269",
                "stream features         0.1 ms  stream error host-unknown",
                "result              stopped in stream features after 4.2 ms: stream error host-unknown; \
                 reached tcp",
            ]
        );
    }
}
