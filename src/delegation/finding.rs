//! A finding: what is wrong or worth knowing, where it was seen, and what mends it.
//!
//! In: nothing. Out: plain values. Never here: how it is found.

use serde::Serialize;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub code: Code,
    /// The zone, domain, target or pool it is about.
    pub subject: String,
    /// What was seen, and where.
    pub seen: String,
    /// What mends it.
    pub remedy: String,
}

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Partners do not reach the domain, or some of them, or will not in an outage.
    Error,
    /// It works, and will hurt some day.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// What a finding is. The words are stable; scripts may depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The words say it; docs/delegation.md explains each.
pub enum Code {
    ResolversSilent,
    ParentUnknown,
    ParentServerSilent,
    ParentServersDiffer,
    NotDelegated,
    AliasAtApex,
    NsMismatch,
    LameNameserver,
    NameserverUnreachable,
    NameserversLeftOut,
    GlueMissing,
    GlueMismatch,
    GlueSuperfluous,
    DsLeftover,
    DsMismatch,
    DsAbsent,
    SerialDiffers,
    NxdomainAtEmptyName,
    TcpSilent,
    RecursionOffered,
    OnePlace,
    AtThePools,
    AliasMissing,
    SrvMissing,
    SrvUnknown,
    Port,
    TargetAlias,
    TargetWithoutAddress,
    TargetUnknown,
    SipTarget,
    Ttl,
    DelegationTtl,
    NegativeTtl,
    ApexListens,
    ApexDrops,
    Certificate,
}

impl Code {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::ResolversSilent => "resolvers-silent",
            Code::ParentUnknown => "parent-unknown",
            Code::ParentServerSilent => "parent-server-silent",
            Code::ParentServersDiffer => "parent-servers-differ",
            Code::NotDelegated => "not-delegated",
            Code::AliasAtApex => "alias-at-apex",
            Code::NsMismatch => "ns-mismatch",
            Code::LameNameserver => "lame-nameserver",
            Code::NameserverUnreachable => "nameserver-unreachable",
            Code::NameserversLeftOut => "nameservers-left-out",
            Code::GlueMissing => "glue-missing",
            Code::GlueMismatch => "glue-mismatch",
            Code::GlueSuperfluous => "glue-superfluous",
            Code::DsLeftover => "ds-leftover",
            Code::DsMismatch => "ds-mismatch",
            Code::DsAbsent => "ds-absent",
            Code::SerialDiffers => "serial-differs",
            Code::NxdomainAtEmptyName => "nxdomain-at-empty-name",
            Code::TcpSilent => "tcp-silent",
            Code::RecursionOffered => "recursion-offered",
            Code::OnePlace => "one-place",
            Code::AtThePools => "at-the-pools",
            Code::AliasMissing => "alias-missing",
            Code::SrvMissing => "srv-missing",
            Code::SrvUnknown => "srv-unknown",
            Code::Port => "port",
            Code::TargetAlias => "target-alias",
            Code::TargetWithoutAddress => "target-without-address",
            Code::TargetUnknown => "target-unknown",
            Code::SipTarget => "sip-target",
            Code::Ttl => "ttl",
            Code::DelegationTtl => "delegation-ttl",
            Code::NegativeTtl => "negative-ttl",
            Code::ApexListens => "apex-listens",
            Code::ApexDrops => "apex-drops",
            Code::Certificate => "certificate",
        }
    }
}
