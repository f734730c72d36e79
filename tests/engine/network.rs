//! The simulated network: how each address answers a probe, and whether our own uplink works.
//!
//! In: behaviours set by the story. Out: the observation that the real prober would hand back, and how long it takes.
//! Never here: thresholds, or what an observation means.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use repoint::clock::{Mono, Wall};
use repoint::probe::{
    CertificateFacts, CertificateFault, Observation, Phase, ProbeResult, Reason, StreamCondition,
    TlsFacts,
};
use repoint::topology::{Check, CheckId, ServiceKind};

/// How an address answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Ok,
    Refused,
    Silent,
    Dropped,
    Closed,
    Unreachable,
    HostUnknown,
    TlsGarbage,
    LegacyTls,
    TlsRefused,
    ResourceConstraint,
    PolicyViolation,
    WrongName,
    Slow,
    LocalFailure,
    /// Of so many probes in a row the last one is refused.
    OneIn(u32),
}

impl Behaviour {
    /// The word of the stories.
    pub(crate) fn parse(word: &str) -> Option<Behaviour> {
        Some(match word {
            "ok" => Behaviour::Ok,
            "refused" => Behaviour::Refused,
            "silent" => Behaviour::Silent,
            "dropped" => Behaviour::Dropped,
            "closed" => Behaviour::Closed,
            "unreachable" => Behaviour::Unreachable,
            "host-unknown" => Behaviour::HostUnknown,
            "tls-garbage" => Behaviour::TlsGarbage,
            "legacy-tls" => Behaviour::LegacyTls,
            "tls-refused" => Behaviour::TlsRefused,
            "resource-constraint" => Behaviour::ResourceConstraint,
            "policy-violation" => Behaviour::PolicyViolation,
            "wrong-name" => Behaviour::WrongName,
            "slow" => Behaviour::Slow,
            "local-failure" => Behaviour::LocalFailure,
            "one-in-three" => Behaviour::OneIn(3),
            _ => return None,
        })
    }

    /// Whether a probe counts as a failure of the pool, with the default policy.
    pub(crate) fn fails(self) -> bool {
        use Behaviour as B;
        matches!(
            self,
            B::Refused
                | B::Silent
                | B::Dropped
                | B::Closed
                | B::Unreachable
                | B::HostUnknown
                | B::TlsGarbage
                | B::TlsRefused
                | B::WrongName
        )
    }
}

/// When a certificate is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) from: Wall,
    pub(crate) to: Wall,
}

/// Everything outside the node.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// By address, or by address and service where one differs.
    behaviours: BTreeMap<(IpAddr, Option<ServiceKind>), Behaviour>,
    pub(crate) certificates: BTreeMap<IpAddr, Validity>,
    pub(crate) usual_certificate: Validity,
    /// Our own network is cut: nothing is reached.
    pub(crate) cut: bool,
    /// Canaries do not answer although our network works.
    pub(crate) canaries_silent: bool,
    counts: BTreeMap<CheckId, u32>,
}

const QUICK: Duration = Duration::from_millis(12);

impl Network {
    pub(crate) fn new(began: Wall) -> Network {
        let days = |n: i64| Wall::from_millis(began.as_millis() + n * 24 * 3_600_000);
        Network {
            behaviours: BTreeMap::new(),
            certificates: BTreeMap::new(),
            usual_certificate: Validity {
                from: days(-30),
                to: days(335),
            },
            cut: false,
            canaries_silent: false,
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn set(
        &mut self,
        address: IpAddr,
        service: Option<ServiceKind>,
        behaviour: Behaviour,
    ) {
        if service.is_none() {
            self.behaviours.retain(|(other, _), _| *other != address);
        }
        self.behaviours.insert((address, service), behaviour);
    }

    pub(crate) fn behaviour(&self, address: IpAddr, service: ServiceKind) -> Behaviour {
        let set = self.behaviours.get(&(address, Some(service)));
        set.or_else(|| self.behaviours.get(&(address, None)))
            .copied()
            .unwrap_or(Behaviour::Ok)
    }

    /// What a probe that begins now comes back with, and after how long.
    pub(crate) fn probe(
        &mut self,
        id: &CheckId,
        check: &Check,
        began: Mono,
        wall: Wall,
    ) -> (Observation, Duration) {
        let address = check.peer.ip();
        let count = self.counts.entry(id.clone()).or_insert(0);
        *count += 1;
        let count = *count;
        let behaviour = match self.behaviour(address, check.service) {
            _ if self.cut => Behaviour::Dropped,
            Behaviour::OneIn(n) if count.is_multiple_of(n) => Behaviour::Refused,
            Behaviour::OneIn(_) => Behaviour::Ok,
            other => other,
        };
        let validity = self
            .certificates
            .get(&address)
            .copied()
            .unwrap_or(self.usual_certificate);
        let timeout = check.settings.timeout;
        let stop = |phase, reason| ProbeResult::Stopped { phase, reason };
        let error = |condition| Reason::StreamError { condition };
        let mut fault = None;
        let mut version = "TLSv1.3";
        let (result, took) = match behaviour {
            Behaviour::Ok | Behaviour::OneIn(_) if validity.to <= wall => {
                fault = Some(CertificateFault::Expired);
                (
                    stop(
                        Phase::Certificate,
                        Reason::Certificate {
                            fault: CertificateFault::Expired,
                        },
                    ),
                    QUICK,
                )
            }
            Behaviour::Ok | Behaviour::OneIn(_) => (ProbeResult::Reached, QUICK),
            Behaviour::LegacyTls => {
                version = "TLSv1";
                (ProbeResult::Reached, QUICK)
            }
            Behaviour::Slow => (ProbeResult::Reached, timeout * 2 / 3),
            Behaviour::Refused => (stop(Phase::Connect, Reason::Refused), QUICK),
            Behaviour::Silent => (stop(Phase::StreamHeader, Reason::Silence), timeout),
            Behaviour::Dropped => (stop(Phase::Connect, Reason::ConnectTimeout), timeout),
            Behaviour::Closed => (stop(Phase::StreamHeader, Reason::ClosedAtOnce), QUICK),
            Behaviour::Unreachable => (stop(Phase::Connect, Reason::Unreachable), QUICK),
            Behaviour::HostUnknown => (
                stop(Phase::StreamFeatures, error(StreamCondition::HostUnknown)),
                QUICK,
            ),
            Behaviour::ResourceConstraint => (
                stop(
                    Phase::StreamFeatures,
                    error(StreamCondition::ResourceConstraint),
                ),
                QUICK,
            ),
            Behaviour::PolicyViolation => (
                stop(
                    Phase::StreamFeatures,
                    error(StreamCondition::PolicyViolation),
                ),
                QUICK,
            ),
            Behaviour::TlsGarbage => (
                stop(
                    Phase::Tls,
                    Reason::TlsBroken {
                        detail: "wrong version number".into(),
                    },
                ),
                QUICK,
            ),
            Behaviour::TlsRefused => (
                stop(
                    Phase::Tls,
                    Reason::TlsRefused {
                        detail: "ssl/tls alert handshake failure".into(),
                    },
                ),
                QUICK,
            ),
            Behaviour::WrongName => {
                let wrong = CertificateFault::WrongName {
                    wanted: check.domain.to_string(),
                };
                fault = Some(wrong.clone());
                (
                    stop(Phase::Certificate, Reason::Certificate { fault: wrong }),
                    QUICK,
                )
            }
            Behaviour::LocalFailure => (
                stop(
                    Phase::Connect,
                    Reason::LocalFailure {
                        error: "too many open files".into(),
                    },
                ),
                QUICK,
            ),
        };
        let has_tls = result == ProbeResult::Reached || fault.is_some();
        let observation = Observation {
            check: id.clone(),
            peer: check.peer,
            began,
            ended: began + took,
            at: wall + took,
            reached: (result == ProbeResult::Reached).then_some(check.settings.depth),
            result,
            phases: Vec::new(),
            tls: has_tls.then(|| TlsFacts {
                version: version.into(),
                cipher: "TLS_AES_128_GCM_SHA256".into(),
                legacy: version == "TLSv1",
                client_certificate_wanted: false,
                alpn: None,
            }),
            certificate: has_tls.then(|| CertificateFacts {
                subject: "CN=edge".into(),
                issuer: "CN=authority".into(),
                names: vec![check.domain.to_string()],
                matches: (!matches!(fault, Some(CertificateFault::WrongName { .. })))
                    .then(|| check.domain.clone()),
                not_before: validity.from,
                not_after: validity.to,
                client_auth: true,
                fingerprint: String::new(),
                fault,
            }),
            notes: Vec::new(),
            known_as: None,
        };
        (observation, took)
    }

    /// Whether a canary answers an attempt that begins now, and after how long.
    pub(crate) fn canary(&self, _canary: SocketAddr, timeout: Duration) -> (bool, Duration) {
        if self.cut || self.canaries_silent {
            (false, timeout)
        } else {
            (true, QUICK)
        }
    }
}
