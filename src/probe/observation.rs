//! What came back from one probe: facts, not a verdict.
//!
//! In: one try, made by a prober. Out: an [`Observation`], which `health/` judges by the policy of the
//! check. Never here: I/O, thresholds, or the question whether a fact is good or bad for a route.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Wall};
use crate::topology::{CheckId, Depth, DomainName};

/// What one probe of one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The check that was tried.
    pub check: CheckId,
    /// The address and port connected to.
    pub peer: SocketAddr,
    /// When the probe began.
    #[serde(skip)]
    pub began: Mono,
    /// When it ended.
    #[serde(skip)]
    pub ended: Mono,
    /// The wall clock at its end, for display.
    pub at: Wall,
    /// The deepest phase that succeeded; none when not even the connection came about.
    pub reached: Option<Depth>,
    /// Why it stopped where it did.
    pub result: ProbeResult,
    /// How long each phase took, in order.
    pub phases: Vec<PhaseTiming>,
    /// What the TLS handshake negotiated, when there was one.
    pub tls: Option<TlsFacts>,
    /// The certificate the server showed.
    pub certificate: Option<CertificateFacts>,
    /// Things worth saying that decide nothing, such as the hint of `see-other-host`.
    pub notes: Vec<String>,
    /// The form of the domain that the server knows, where it is not the one that partners use: `xn--bcher-kva.example`.
    #[serde(default)]
    pub known_as: Option<String>,
}

impl Observation {
    /// Whether this process was kept from running while the probe was made: it proves nothing and is made again.
    pub fn is_overslept(&self) -> bool {
        let reason = match &self.result {
            ProbeResult::Stopped { reason, .. } => Some(reason),
            ProbeResult::Reached => None,
        };
        matches!(reason, Some(Reason::Overslept { .. }))
    }

    /// How long the whole probe took.
    pub fn duration(&self) -> Duration {
        self.ended.since(self.began)
    }
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum ProbeResult {
    /// The configured depth was reached.
    Reached,
    /// It stopped before that.
    Stopped {
        /// The phase that did not succeed.
        phase: Phase,
        /// Why.
        reason: Reason,
    },
}

/// The steps of a probe, in order. Direct TLS and SIP skip the steps that they do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The TCP connection.
    Connect,
    /// The peer's stream header.
    StreamHeader,
    /// The features of the first stream.
    StreamFeatures,
    /// The answer to `<starttls/>`.
    Starttls,
    /// The TLS handshake.
    Tls,
    /// The certificate's chain, validity and name.
    Certificate,
    /// The header and features of the stream inside TLS.
    Features,
    /// Closing the stream; its failure is a note, never a result.
    Close,
}

impl Phase {
    /// The phase in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::StreamHeader => "stream header",
            Phase::StreamFeatures => "stream features",
            Phase::Starttls => "starttls",
            Phase::Tls => "tls handshake",
            Phase::Certificate => "certificate",
            Phase::Features => "features inside tls",
            Phase::Close => "close",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One phase and the time it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTiming {
    /// Which phase.
    pub phase: Phase,
    /// How long it took, whether it succeeded or not, in microseconds.
    pub micros: u64,
}

/// Why a probe stopped. Each reason is one row, or one cell, of the verdict table in `docs/health.md`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// The connection was refused: the host is there, nobody listens.
    Refused,
    /// Nothing answered the connection attempt in time: dropped, or the host is gone.
    ConnectTimeout,
    /// The network said that the host or network cannot be reached.
    Unreachable,
    /// The probe could not be made for a reason on our side (no socket, no route, bad source address).
    LocalFailure {
        /// What the operating system said.
        error: String,
    },
    /// This process did not run for so long during the probe that its failure proves nothing.
    Overslept {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// The connection was accepted, then not one byte came in time.
    Silence,
    /// The connection was closed or reset before one byte came.
    ClosedAtOnce,
    /// It was closed or reset in the middle of the phase.
    Closed,
    /// The phase had begun to answer but did not end in time.
    TooSlow,
    /// What came is not XML, or not the XML that a stream may contain.
    NotXml,
    /// What came is XML but not an XMPP stream for servers.
    NotXmpp,
    /// The server sent more than any honest answer needs.
    TooMuch,
    /// The stream header came from another domain than the one asked for.
    WrongDomain {
        /// The domain the header named.
        from: String,
    },
    /// The server answered with a stream error (RFC 6120 §4.9.3).
    StreamError {
        /// Which.
        condition: StreamCondition,
    },
    /// The server offers no STARTTLS.
    StarttlsNotOffered,
    /// The server answered `<starttls/>` with `<failure/>`.
    StarttlsRefused,
    /// What came in place of a TLS handshake is not TLS, or the handshake broke for a fault of the server.
    TlsBroken {
        /// What the TLS library said.
        detail: String,
    },
    /// The server ended the handshake with an alert, and not for want of a client certificate. The probe offers more
    /// than partners do: they are refused too.
    TlsRefused {
        /// The alert.
        detail: String,
    },
    /// The server selected another application protocol than XMPP between servers (XEP-0368).
    OtherProtocol,
    /// Partners would refuse the certificate.
    Certificate {
        /// Why.
        fault: CertificateFault,
    },
}

impl Reason {
    /// Whether the failure came before the server knew which domain was asked for. It then counts for
    /// every check domain of the address.
    pub fn before_stream(&self) -> bool {
        matches!(
            self,
            Reason::Refused
                | Reason::ConnectTimeout
                | Reason::Unreachable
                | Reason::Silence
                | Reason::ClosedAtOnce
        )
    }

    /// The reason in words, without the phase.
    pub fn describe(&self) -> String {
        match self {
            Reason::Refused => "connection refused".into(),
            Reason::ConnectTimeout => "no answer to the connection attempt".into(),
            Reason::Unreachable => "unreachable".into(),
            Reason::LocalFailure { error } => format!("the probe could not be made: {error}"),
            Reason::Overslept { millis } => format!(
                "the probe does not count: this process did not run for {}.{} s of it",
                millis / 1000,
                millis % 1000 / 100
            ),
            Reason::Silence => "silence".into(),
            Reason::ClosedAtOnce => "closed at once".into(),
            Reason::Closed => "connection closed".into(),
            Reason::TooSlow => "too slow".into(),
            Reason::NotXml => "not XML".into(),
            Reason::NotXmpp => "not an XMPP server stream".into(),
            Reason::TooMuch => "more data than an answer needs".into(),
            Reason::WrongDomain { from } => format!("answered as {from:?}"),
            Reason::StreamError { condition } => format!("stream error {condition}"),
            Reason::StarttlsNotOffered => "STARTTLS not offered".into(),
            Reason::StarttlsRefused => "STARTTLS refused".into(),
            Reason::TlsBroken { detail } => format!("TLS broken: {detail}"),
            Reason::TlsRefused { detail } => format!("TLS refused: {detail}"),
            Reason::OtherProtocol => "the server does not take xmpp-server (ALPN)".into(),
            Reason::Certificate { fault } => format!("certificate: {}", fault.describe()),
        }
    }
}

/// A stream error condition (RFC 6120 §4.9.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the names are the RFC's
pub enum StreamCondition {
    BadFormat,
    BadNamespacePrefix,
    Conflict,
    ConnectionTimeout,
    HostGone,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    InvalidXml,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    RemoteConnectionFailed,
    Reset,
    ResourceConstraint,
    RestrictedXml,
    SeeOtherHost,
    SystemShutdown,
    UndefinedCondition,
    UnsupportedEncoding,
    UnsupportedFeature,
    UnsupportedStanzaType,
    UnsupportedVersion,
    /// A condition no RFC names.
    Other(String),
}

impl fmt::Display for StreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamCondition::BadFormat => "bad-format",
            StreamCondition::BadNamespacePrefix => "bad-namespace-prefix",
            StreamCondition::Conflict => "conflict",
            StreamCondition::ConnectionTimeout => "connection-timeout",
            StreamCondition::HostGone => "host-gone",
            StreamCondition::HostUnknown => "host-unknown",
            StreamCondition::ImproperAddressing => "improper-addressing",
            StreamCondition::InternalServerError => "internal-server-error",
            StreamCondition::InvalidFrom => "invalid-from",
            StreamCondition::InvalidNamespace => "invalid-namespace",
            StreamCondition::InvalidXml => "invalid-xml",
            StreamCondition::NotAuthorized => "not-authorized",
            StreamCondition::NotWellFormed => "not-well-formed",
            StreamCondition::PolicyViolation => "policy-violation",
            StreamCondition::RemoteConnectionFailed => "remote-connection-failed",
            StreamCondition::Reset => "reset",
            StreamCondition::ResourceConstraint => "resource-constraint",
            StreamCondition::RestrictedXml => "restricted-xml",
            StreamCondition::SeeOtherHost => "see-other-host",
            StreamCondition::SystemShutdown => "system-shutdown",
            StreamCondition::UndefinedCondition => "undefined-condition",
            StreamCondition::UnsupportedEncoding => "unsupported-encoding",
            StreamCondition::UnsupportedFeature => "unsupported-feature",
            StreamCondition::UnsupportedStanzaType => "unsupported-stanza-type",
            StreamCondition::UnsupportedVersion => "unsupported-version",
            StreamCondition::Other(name) => name,
        })
    }
}

/// Why partners would refuse a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum CertificateFault {
    /// None was shown.
    Missing,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It does not lead to a trusted authority.
    NotTrusted {
        /// What the TLS library said.
        detail: String,
        /// What is wrong with the chain.
        #[serde(default)]
        why: Distrust,
    },
    /// It has none of the names that partners look for (RFC 6120 §13.7.2; the common name does not count).
    WrongName {
        /// Those names, in words.
        #[serde(default)]
        wanted: String,
    },
}

/// What is wrong with a certificate's chain.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Distrust {
    /// It is signed by itself.
    SelfSigned,
    /// It leads to an authority that is not trusted.
    UnknownAuthority,
    /// The server does not send what leads to an authority.
    NoIssuer,
    /// It is for another purpose than a server's.
    WrongPurpose,
    /// An intermediate's time is over or has not come.
    IntermediateTime,
    /// A key is too short or a signature too weak.
    Weak,
    /// Anything else.
    #[default]
    Other,
}

impl CertificateFault {
    /// The fault in words.
    pub fn describe(&self) -> String {
        match self {
            CertificateFault::Missing => "none shown".into(),
            CertificateFault::Expired => "expired".into(),
            CertificateFault::NotYetValid => "not yet valid".into(),
            CertificateFault::NotTrusted { detail, .. } => format!("not trusted ({detail})"),
            CertificateFault::WrongName { wanted } => format!("does not name {wanted}"),
        }
    }

    /// What to do about it, as a command to the operator.
    pub fn remedy(&self, domain: &str) -> String {
        use Distrust as D;

        match self {
            CertificateFault::Missing => format!("give the server a certificate for {domain}"),
            CertificateFault::Expired => format!("renew it for {domain}"),
            CertificateFault::NotYetValid => {
                "compare the clocks of the server and of this machine; else get one that is valid now".into()
            }
            CertificateFault::WrongName { wanted } => format!("get one that names {wanted}"),
            CertificateFault::NotTrusted { why, .. } => match why {
                D::SelfSigned => {
                    "get one from an authority that partners trust; if they trust this one as it is, set ca to its file"
                }
                D::UnknownAuthority => {
                    "set ca to its authority's file if partners trust that one; else install the intermediates that \
                     lead to an authority they trust"
                }
                D::NoIssuer => {
                    "install the intermediates on the server, behind its certificate in the same file; for a private \
                     authority set ca to its file"
                }
                D::WrongPurpose => {
                    "get one for servers: its extended key usage must have serverAuth"
                }
                D::IntermediateTime => {
                    "install intermediates on the server that are valid now; the server's own certificate can stay"
                }
                D::Weak => {
                    "get one with an RSA key of 2048 bits or more, or an ECDSA key, signed with SHA-256; its \
                     intermediates too"
                }
                D::Other => "look at the chain with `openssl s_client -showcerts`, and at the server's file",
            }
            .into(),
        }
    }
}

/// What the TLS handshake negotiated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// `TLSv1.3`, `TLSv1.2`, `TLSv1.1`, `TLSv1`.
    pub version: String,
    /// The cipher suite, as OpenSSL names it.
    pub cipher: String,
    /// Below TLS 1.2.
    pub legacy: bool,
    /// Whether the server asked for a client certificate.
    pub client_certificate_wanted: bool,
    /// The application protocol that the server selected, if it did.
    #[serde(default)]
    pub alpn: Option<String>,
}

/// What a certificate says. All times are wall time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// The subject, in one line.
    pub subject: String,
    /// The issuer, in one line.
    pub issuer: String,
    /// The names it is good for: dNSName, SRV-ID (`_xmpp-server.…`) and xmppAddr, as written.
    pub names: Vec<String>,
    /// The name that partners look for and that it has: the check domain; with SIP also the SRV target.
    pub matches: Option<DomainName>,
    /// Start of its validity.
    pub not_before: Wall,
    /// End of its validity.
    pub not_after: Wall,
    /// Whether its extended key usage allows it as a client certificate, which outbound federation needs.
    pub client_auth: bool,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
    /// Why partners would refuse it, if they would, also where the policy ignores it.
    pub fault: Option<CertificateFault>,
}

impl CertificateFacts {
    /// The share of the lifetime that is left at `now`, in thousandths; zero when expired.
    pub fn remaining_permille(&self, now: Wall) -> u64 {
        let lifetime = self.not_after.since(self.not_before).as_secs();
        let left = self.not_after.since(now).as_secs();
        (left.min(lifetime) * 1000)
            .checked_div(lifetime)
            .unwrap_or(0)
    }
}

/// One attempt to reach a canary by TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryObservation {
    /// Which canary.
    pub canary: SocketAddr,
    /// When the attempt began.
    pub began: Mono,
    /// When it ended.
    pub ended: Mono,
    /// Whether the connection came about, or was refused: either proves that our network works.
    pub answered: bool,
}
