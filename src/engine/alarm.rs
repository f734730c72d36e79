//! Alarms: named standing conditions with a severity and a beginning. One ends by itself when its condition does.
//!
//! In: nothing. Out: the value that status, log, history and the alarm command show.
//! Never here: how a condition is found (`conditions`), or running the alarm command (the shell does).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;

/// The conditions repoint raises alarms for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// No pool of a route is up: the last decision stays.
    FailingOpen,
    /// Our own network fails: no automatic change.
    Blind,
    /// Automatic switching stopped by too many switches.
    Latched,
    /// A route is pinned to a pool that is down.
    PinOnDownPool,
    /// The active pool is drained, and nothing better is there.
    DrainedButActive,
    /// An override ends soon.
    OverrideExpiring,
    /// An override has no end; repeated daily.
    OverrideWithoutEnd,
    /// A certificate is refused by partners, or its time is running out.
    Certificate,
    /// The store cannot commit.
    StoreFailing,
    /// State was restored or lost: no automatic change until it is accepted. With a zone as its subject: a server that
    /// counts has a later serial of it than ours.
    StateDoubtful,
    /// The configuration file was refused: the last accepted one is in force.
    ConfigRejected,
    /// Lines of a list of domains are not used.
    DomainRejected,
    /// A route does not point at its preferred (or home) pool.
    NotPreferred,
    /// No other pool of a route could take over from the active one.
    NoStandby,
    /// A family of addresses that the route's pools publish is missing from its address record.
    AddressFamily,
    /// A switch waits for the operator (`failover = "ask"`).
    SwitchWanted,
    /// A service that is not required is not up.
    ServiceImpaired,
    /// The active pool is degraded or only partly up.
    Impaired,
    /// An override names a pool, target or route that is not configured.
    OverrideUnmatched,
    /// A server has a later serial of a zone than ours, and nothing proves it.
    SerialAhead,
    /// A secondary does not answer.
    SecondarySilent,
    /// A secondary does not get the current version of a zone.
    SecondaryBehind,
    /// The certificate of our own encrypted transports cannot be used, or its time is running out.
    ServerCertificate,
    /// An address cannot be listened on, or a socket that was handed over cannot be used.
    ListenerFailed,
    /// A zone has never been received from its primaries: it is not served.
    InboundAbsent,
    /// What a primary sent cannot be used: the version received before stays in force.
    InboundRefused,
    /// A zone's primaries have not been heard for longer than its SOA allows: it is served on.
    InboundStale,
    /// A primary sends records from which it computes answers, and repoint cannot.
    InboundComputed,
    /// The parent has a DS of a zone that we have no key of.
    DnssecKeysLost,
    /// The private half of a key is not at hand.
    DnssecKeyMissing,
    /// The parent's DS points at none of the zone's keys.
    DnssecDsMismatch,
    /// A zone is not signed because its parent could not be asked.
    DnssecParentUnknown,
    /// A zone could not be signed.
    DnssecSigningFailing,
    /// Signatures were not renewed in time.
    DnssecResignOverdue,
    /// Signatures kept from before the start begin in the future: the clock is behind, or was ahead.
    ClockDoubtful,
}

impl AlarmKind {
    /// The name as status, log and the alarm command show it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlarmKind::FailingOpen => "failing-open",
            AlarmKind::Blind => "blind",
            AlarmKind::Latched => "latched",
            AlarmKind::PinOnDownPool => "pin-on-down-pool",
            AlarmKind::DrainedButActive => "drained-but-active",
            AlarmKind::OverrideExpiring => "override-expiring",
            AlarmKind::OverrideWithoutEnd => "override-without-end",
            AlarmKind::Certificate => "certificate",
            AlarmKind::StoreFailing => "store-failing",
            AlarmKind::StateDoubtful => "state-doubtful",
            AlarmKind::ConfigRejected => "config-rejected",
            AlarmKind::DomainRejected => "domain-rejected",
            AlarmKind::NotPreferred => "not-preferred",
            AlarmKind::NoStandby => "no-standby",
            AlarmKind::AddressFamily => "address-family",
            AlarmKind::SwitchWanted => "switch-wanted",
            AlarmKind::ServiceImpaired => "service-impaired",
            AlarmKind::Impaired => "impaired",
            AlarmKind::OverrideUnmatched => "override-unmatched",
            AlarmKind::SerialAhead => "serial-ahead",
            AlarmKind::SecondarySilent => "secondary-silent",
            AlarmKind::SecondaryBehind => "secondary-behind",
            AlarmKind::ServerCertificate => "server-certificate",
            AlarmKind::ListenerFailed => "listener-failed",
            AlarmKind::InboundAbsent => "inbound-absent",
            AlarmKind::InboundRefused => "inbound-refused",
            AlarmKind::InboundStale => "inbound-stale",
            AlarmKind::InboundComputed => "inbound-computed",
            AlarmKind::DnssecKeysLost => "dnssec-keys-lost",
            AlarmKind::DnssecKeyMissing => "dnssec-key-missing",
            AlarmKind::DnssecDsMismatch => "dnssec-ds-mismatch",
            AlarmKind::DnssecParentUnknown => "dnssec-parent-unknown",
            AlarmKind::DnssecSigningFailing => "dnssec-signing-failing",
            AlarmKind::DnssecResignOverdue => "dnssec-resign-overdue",
            AlarmKind::ClockDoubtful => "clock-doubtful",
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad it is. `status --check` exits with 1 for a warning and 2 for a critical alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Notice,
    /// Something should be looked at.
    Warning,
    /// Federation is down, or repoint cannot protect it.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        })
    }
}

/// A condition that something outside of the engine has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// How bad it is.
    pub severity: Severity,
    /// What is the case, in one sentence.
    pub text: String,
    /// What to do, as a command where there is one.
    pub remedy: Option<String>,
}

/// One standing condition. Kind and subject together identify it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Which condition.
    pub kind: AlarmKind,
    /// What it is about: a route, a pool, a check; empty for the whole node.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// Since when.
    pub since: Wall,
    /// What is the case, in one sentence.
    pub text: String,
    /// What to do, as a command where there is one.
    pub remedy: Option<String>,
}
