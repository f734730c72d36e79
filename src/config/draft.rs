//! A configuration as it was written: single values taken, relations between them not yet looked at.
//!
//! In: what `v1` read. Out: values with their places, for `validate`. What could not be taken is absent, and
//! its problem has been reported. Never here: TOML.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::topology::{
    Accept, CertificatePolicy, Depth, DomainName, FailbackPolicy, FailoverPolicy, Family, Mode,
    OwnerTemplate, PoolName, RouteName, ServiceKind, SiteName, ZonePlacement,
};
use crate::tsig::Algorithm;
use crate::zone::Name;

use super::dnssec::Dnssec;
use super::problem::{At, Place};
use super::settings::{AcmeSettings, AlarmSettings, LogSettings, MannersSettings, ServerSettings};
use super::value::List;

/// A whole file.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The top of the file.
    pub(super) place: Place,
    pub(super) server: ServerSettings,
    pub(super) log: LogSettings,
    pub(super) alarm: AlarmSettings,
    pub(super) nameservers: NameserversDraft,
    pub(super) health: HealthDraft,
    pub(super) pools: Vec<PoolDraft>,
    pub(super) routes: Vec<RouteDraft>,
    pub(super) zones: Vec<ZoneDraft>,
    pub(super) tsig: Vec<TsigDraft>,
    pub(super) secondaries: Vec<SecondaryDraft>,
    pub(super) acme: AcmeDraft,
}

/// `[dns]`.
#[derive(Clone, Debug)]
pub(super) struct NameserversDraft {
    pub(super) place: Place,
    pub(super) servers: Vec<NameserverDraft>,
    /// Some were written, even if none could be taken.
    pub(super) given: bool,
    pub(super) hostmaster: Option<DomainName>,
    pub(super) ttl: u32,
    pub(super) negative_ttl: u32,
    pub(super) resolvers: Vec<SocketAddr>,
    pub(super) manners: MannersDraft,
    pub(super) dnssec: Dnssec,
}

/// An entry of `nameservers`.
#[derive(Clone, Debug)]
pub(super) struct NameserverDraft {
    pub(super) name: At<DomainName>,
    pub(super) addresses: Vec<At<IpAddr>>,
}

/// `[health]`.
#[derive(Clone, Debug)]
pub(super) struct HealthDraft {
    pub(super) place: Place,
    pub(super) canaries: Vec<At<SocketAddr>>,
    /// Some were written, even if none could be taken.
    pub(super) canaries_given: bool,
    pub(super) check: CheckDraft,
}

/// `[[pool]]`.
#[derive(Clone, Debug)]
pub(super) struct PoolDraft {
    pub(super) place: Place,
    pub(super) name: Option<At<PoolName>>,
    pub(super) site: Option<SiteName>,
    pub(super) targets: Vec<TargetDraft>,
    /// A `target` key was written.
    pub(super) targets_given: bool,
}

/// `[[pool.target]]`.
#[derive(Clone, Debug)]
pub(super) struct TargetDraft {
    pub(super) name: Option<At<DomainName>>,
    pub(super) publish: Option<List<IpAddr>>,
    pub(super) probe: Option<List<IpAddr>>,
    pub(super) source: Option<At<IpAddr>>,
}

/// `[[route]]`.
#[derive(Clone, Debug)]
pub(super) struct RouteDraft {
    pub(super) place: Place,
    pub(super) name: Option<At<RouteName>>,
    pub(super) domains: List<DomainName>,
    pub(super) domains_file: Option<At<PathBuf>>,
    pub(super) check_domains: Option<List<DomainName>>,
    pub(super) pools: List<RoutePoolDraft>,
    pub(super) zones: ZonePlacement,
    pub(super) failover: FailoverPolicy,
    pub(super) failback: FailbackPolicy,
    pub(super) hold_down: At<Duration>,
    pub(super) ttl: At<u32>,
    pub(super) max_switches: u32,
    pub(super) need: At<u32>,
    pub(super) require_families: Option<At<BTreeSet<Family>>>,
    pub(super) address: Option<At<OwnerTemplate>>,
    pub(super) services: Vec<ServiceDraft>,
    /// The `service` key is an empty list.
    pub(super) no_services: bool,
    pub(super) check: CheckDraft,
}

/// An entry of `pools`.
#[derive(Clone, Debug)]
pub(super) struct RoutePoolDraft {
    pub(super) pool: At<PoolName>,
    pub(super) priority: Option<At<u16>>,
}

/// `[[route.service]]`.
#[derive(Clone, Debug)]
pub(super) struct ServiceDraft {
    pub(super) kind: At<ServiceKind>,
    pub(super) mode: Option<At<Mode>>,
    pub(super) required: bool,
    pub(super) owner: Option<At<OwnerTemplate>>,
    pub(super) port: Option<At<u16>>,
    pub(super) allow_nonstandard_port: bool,
    pub(super) targets: Vec<(At<PoolName>, List<DomainName>)>,
    pub(super) check: CheckDraft,
}

/// One layer of check settings: what is absent comes from the layer before.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckDraft {
    pub(super) depth: Option<At<Depth>>,
    pub(super) interval: Option<At<Duration>>,
    pub(super) retry: Option<At<Duration>>,
    pub(super) timeout: Option<At<Duration>>,
    pub(super) fall: Option<At<u32>>,
    pub(super) min_fault: Option<At<Duration>>,
    pub(super) rise: Option<At<u32>>,
    pub(super) steady: Option<At<u32>>,
    pub(super) certificate: Option<At<CertificatePolicy>>,
    pub(super) ca: Option<At<PathBuf>>,
    pub(super) from: Option<At<DomainName>>,
    pub(super) accept: Option<At<BTreeSet<Accept>>>,
}

/// `[[zone]]`.
#[derive(Clone, Debug)]
pub(super) struct ZoneDraft {
    pub(super) apex: Option<At<DomainName>>,
    pub(super) file: Option<At<PathBuf>>,
    pub(super) primary: Option<List<SocketAddr>>,
    /// The inner absence is `tsig = "none"`.
    pub(super) tsig: Option<Option<At<Name>>>,
    /// Where `tsig` stands.
    pub(super) tsig_place: Option<Place>,
    pub(super) source: Option<At<IpAddr>>,
    pub(super) dnssec: Option<bool>,
}

/// `[[tsig]]`.
#[derive(Clone, Debug)]
pub(super) struct TsigDraft {
    pub(super) name: Option<At<Name>>,
    pub(super) algorithm: Option<At<Algorithm>>,
    pub(super) secret: Option<SecretDraft>,
}

/// Where a secret is.
#[derive(Clone)]
pub(super) enum SecretDraft {
    /// In a file of its own.
    File(At<PathBuf>),
    /// Here.
    Here(At<String>),
}

impl std::fmt::Debug for SecretDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretDraft::File(path) => write!(f, "File({})", path.value.display()),
            SecretDraft::Here(_) => f.write_str("Here"),
        }
    }
}

/// `[[secondary]]`.
#[derive(Clone, Debug)]
pub(super) struct SecondaryDraft {
    pub(super) name: Option<At<String>>,
    pub(super) address: Option<At<SocketAddr>>,
    pub(super) allow: Option<List<IpAddr>>,
    /// The inner absence is `tsig = "none"`.
    pub(super) tsig: Option<Option<At<Name>>>,
    pub(super) zones: Option<List<DomainName>>,
    pub(super) source: Option<At<IpAddr>>,
}

/// How requests are answered, of `[dns]`.
#[derive(Clone, Debug, Default)]
pub(super) struct MannersDraft {
    /// Without the secrets, which are in a file.
    pub(super) settings: MannersSettings,
    pub(super) cookie_secret: Option<At<PathBuf>>,
}

/// `[acme]`.
#[derive(Clone, Debug)]
pub(super) struct AcmeDraft {
    pub(super) tsig: Vec<AcmeKeyDraft>,
    pub(super) lifetime: Duration,
}

/// An entry of `tsig` in `[acme]`.
#[derive(Clone, Debug)]
pub(super) struct AcmeKeyDraft {
    pub(super) key: At<Name>,
    pub(super) zones: Vec<At<DomainName>>,
    pub(super) names: Vec<At<DomainName>>,
}

impl Default for AcmeDraft {
    fn default() -> AcmeDraft {
        let AcmeSettings { lifetime, .. } = AcmeSettings::default();
        AcmeDraft {
            tsig: Vec::new(),
            lifetime,
        }
    }
}
