//! Services (the federation protocols), address families, and how a check of a service is made.
//!
//! In: nothing. Out: plain values with the defaults of the design.
//! Never here: probing itself.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::name::DomainName;

/// A federation protocol, found by its SRV owner name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// XMPP server-to-server with STARTTLS (RFC 6120), port 5269.
    #[serde(rename = "xmpp-server")]
    XmppServer,
    /// XMPP server-to-server with direct TLS (XEP-0368), port 5270.
    #[serde(rename = "xmpps-server")]
    XmppsServer,
    /// SIP federation over TLS, port 5061.
    #[serde(rename = "sipfederationtls")]
    SipFederationTls,
}

impl ServiceKind {
    /// All kinds, in the order they are shown.
    pub const ALL: [ServiceKind; 3] = [
        ServiceKind::XmppServer,
        ServiceKind::XmppsServer,
        ServiceKind::SipFederationTls,
    ];

    /// The service's name as configuration and commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceKind::XmppServer => "xmpp-server",
            ServiceKind::XmppsServer => "xmpps-server",
            ServiceKind::SipFederationTls => "sipfederationtls",
        }
    }

    /// Whether partners look for the SRV target's name in the certificate. With XMPP they look for the domain
    /// (RFC 6120 §13.7.2).
    pub fn shows_target(self) -> bool {
        self == ServiceKind::SipFederationTls
    }

    /// The port partners expect.
    pub fn standard_port(self) -> u16 {
        match self {
            ServiceKind::XmppServer => 5269,
            ServiceKind::XmppsServer => 5270,
            ServiceKind::SipFederationTls => 5061,
        }
    }

    /// The SRV owner name unless configured: `_xmpp-server._tcp.{domain}`.
    pub fn default_owner(self) -> &'static str {
        match self {
            ServiceKind::XmppServer => "_xmpp-server._tcp.{domain}",
            ServiceKind::XmppsServer => "_xmpps-server._tcp.{domain}",
            ServiceKind::SipFederationTls => "_sipfederationtls._tcp.{domain}",
        }
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ServiceKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| text.to_owned())
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4, published as A.
    Ipv4,
    /// IPv6, published as AAAA.
    Ipv6,
}

impl Family {
    /// Both families.
    pub const ALL: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() {
            Family::Ipv4
        } else {
            Family::Ipv6
        }
    }

    /// The type of its address record.
    pub fn record(self) -> &'static str {
        match self {
            Family::Ipv4 => "A",
            Family::Ipv6 => "AAAA",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        })
    }
}

/// How far a probe goes before it is content. Each depth includes the ones before it; [`Depth::of`] says what the
/// words mean for services that do not have every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The TCP connection.
    Tcp,
    /// The stream header and its features.
    Stream,
    /// `<proceed/>` after `<starttls/>`.
    Starttls,
    /// The TLS handshake and the certificate.
    Tls,
    /// The features of the stream inside TLS.
    Features,
}

impl Depth {
    /// How far a probe of this service goes when its depth is this one. Direct TLS has no stream outside TLS: `stream`
    /// is the one inside. SIP ends with the handshake.
    pub fn of(self, service: ServiceKind) -> Depth {
        match (service, self) {
            (ServiceKind::XmppServer, depth) | (_, depth @ Depth::Tcp) => depth,
            (ServiceKind::XmppsServer, Depth::Stream | Depth::Features) => Depth::Features,
            (ServiceKind::XmppsServer | ServiceKind::SipFederationTls, _) => Depth::Tls,
        }
    }

    /// All depths, shallowest first.
    pub const ALL: [Depth; 5] = [
        Depth::Tcp,
        Depth::Stream,
        Depth::Starttls,
        Depth::Tls,
        Depth::Features,
    ];

    /// The depth as configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Depth::Tcp => "tcp",
            Depth::Stream => "stream",
            Depth::Starttls => "starttls",
            Depth::Tls => "tls",
            Depth::Features => "features",
        }
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a certificate that partners would refuse does to a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificatePolicy {
    /// It counts as a failure: partners never recover from it by themselves.
    Require,
    /// It counts as degraded.
    Warn,
    /// It counts for nothing.
    Ignore,
}

/// A degradation the operator declares acceptable: it then counts as up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// TLS below 1.2.
    LegacyTls,
    /// `resource-constraint` stream errors.
    ResourceConstraint,
    /// An answer slower than half of `timeout`.
    Slow,
    /// Less than 1/20 of the certificate's lifetime left.
    CertificateExpiring,
}

impl Accept {
    /// All names, in the order they are documented.
    pub const ALL: [Accept; 4] = [
        Accept::LegacyTls,
        Accept::ResourceConstraint,
        Accept::Slow,
        Accept::CertificateExpiring,
    ];

    /// The name as configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Accept::LegacyTls => "legacy-tls",
            Accept::ResourceConstraint => "resource-constraint",
            Accept::Slow => "slow",
            Accept::CertificateExpiring => "certificate-expiring",
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a check is made and judged. Two routes with equal settings share the check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CheckSettings {
    /// How far a probe goes.
    pub depth: Depth,
    /// Time from the start of one probe to the start of the next, ±10 %.
    #[serde(with = "humantime_text")]
    pub interval: Duration,
    /// Time from the end of a probe to the start of the next while the check is suspect.
    #[serde(with = "humantime_text")]
    pub retry: Duration,
    /// Bound of a whole probe.
    #[serde(with = "humantime_text")]
    pub timeout: Duration,
    /// Counted failures that make the check down.
    pub fall: u32,
    /// Least time the counted failures must span.
    #[serde(with = "humantime_text")]
    pub min_fault: Duration,
    /// Successes in a row that make a down check up.
    pub rise: u32,
    /// Successes in a row that clear the count of failures of an up check; at most `rise`.
    pub steady: u32,
    /// What a certificate that partners would refuse means.
    pub certificate: CertificatePolicy,
    /// PEM file of the certificate authorities to trust; the system's roots when absent.
    pub ca: Option<PathBuf>,
    /// `from` of the probe's stream; must be a domain the probed server does not host.
    pub from: Option<DomainName>,
    /// Degradations that count as up.
    pub accept: BTreeSet<Accept>,
}

impl CheckSettings {
    /// The defaults for a service. SIP is probed slowly: each failed TLS handshake writes
    /// an event on a Lync Edge, and a bad success ratio throttles the prober.
    pub fn default_for(kind: ServiceKind) -> CheckSettings {
        let interval = match kind {
            ServiceKind::SipFederationTls => Duration::from_secs(60),
            ServiceKind::XmppServer | ServiceKind::XmppsServer => Duration::from_secs(10),
        };
        // With STARTTLS the stream was judged before TLS. With direct TLS there is only the one inside: without it any
        // TLS server would pass.
        let depth = match kind {
            ServiceKind::XmppsServer => Depth::Features,
            ServiceKind::XmppServer | ServiceKind::SipFederationTls => Depth::Tls,
        };
        CheckSettings {
            depth,
            interval,
            retry: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            fall: 3,
            min_fault: Duration::from_secs(10),
            rise: 6,
            steady: 5,
            certificate: CertificatePolicy::Require,
            ca: None,
            from: None,
            accept: BTreeSet::new(),
        }
    }

    /// The longest time from the moment a pool falls silent to the verdict `down`, as `docs/health.md` has it:
    /// interval + max(fall × timeout + (fall − 1) × retry, min_fault + retry + timeout) + 1 s.
    pub fn detection(&self) -> Duration {
        self.detection_behind(Duration::ZERO)
    }

    /// The same where each probe may have to wait this long for its turn, because more addresses are probed than
    /// probes may be under way.
    pub fn detection_behind(&self, turn: Duration) -> Duration {
        let probes = self.fall.saturating_add(1);
        self.detection_alone() + turn * probes
    }

    fn detection_alone(&self) -> Duration {
        let counted = self.timeout * self.fall + self.retry * self.fall.saturating_sub(1);
        let spanned = self.min_fault + self.retry + self.timeout;
        self.interval + counted.max(spanned) + Duration::from_secs(1)
    }
}

mod humantime_text {
    //! Durations in JSON as the configuration writes them: `"10s"`.
    use std::time::Duration;

    pub(super) fn serialize<S: serde::Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_is_bounded_by_the_longer_of_counting_and_spanning() {
        let defaults = CheckSettings::default_for(ServiceKind::XmppServer);
        assert_eq!(defaults.detection(), Duration::from_secs(10 + 15 + 1));
        let patient = CheckSettings {
            fall: 5,
            ..defaults
        };
        assert_eq!(patient.detection(), Duration::from_secs(10 + 23 + 1));
    }
}
