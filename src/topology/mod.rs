//! The world as configured: sites, pools, targets, routes, services, zones and the checks they call for.
//!
//! In: values the configuration has read. Out: an immutable [`Topology`], valid by construction as far as
//! single values go; relations between them are checked by `config::validate`, which alone makes one.
//! Never here: I/O, health, decisions, DNS library types.

mod check;
mod name;
mod route;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use check::{Check, CheckId, CheckUse, Checks};
pub use name::{DomainName, LabelError, NameError, PoolName, RouteName, SiteName};
pub use route::{
    FailbackPolicy, FailoverPolicy, Mode, OwnerTemplate, Route, RoutePool, Service, ZonePlacement,
};
pub use service::{Accept, CertificatePolicy, CheckSettings, Depth, Family, ServiceKind};

/// An Edge pool: targets that serve the same domains and share their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The pool's name.
    pub name: PoolName,
    /// Where it stands, for display.
    pub site: Option<SiteName>,
    /// Its SRV targets; at least one.
    pub targets: Vec<Target>,
}

impl Pool {
    /// Whether one of its targets has an address of the family.
    pub fn publishes(&self, family: Family) -> bool {
        let mut addresses = self.targets.iter().flat_map(|target| &target.addresses);
        addresses.any(|address| Family::of(address.publish) == family)
    }
}

/// One SRV target: a host name with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host name SRV records carry; never an alias.
    pub name: DomainName,
    /// Its addresses; at least one.
    pub addresses: Vec<Address>,
    /// The local address to probe from.
    pub source: Option<IpAddr>,
}

/// An address as partners are given it and as it is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The address published.
    pub publish: IpAddr,
    /// The address probed; differs behind NAT.
    pub probe: IpAddr,
}

/// A configured zone: a child delegation or a whole domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The zone's apex.
    pub apex: DomainName,
    /// Where its static part is edited, when that is another nameserver.
    pub primary: Option<Primary>,
}

/// The nameservers that a zone's static part is transferred from (RFC 9499: its primaries).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Their addresses, asked in this order; at least one.
    pub addresses: Vec<SocketAddr>,
    /// The TSIG key both sides sign with; none when the owner has said that there is none.
    pub tsig: Option<DomainName>,
    /// The address that those of its family are asked from; a listening address when absent.
    pub source: Option<IpAddr>,
}

/// What generated zones say about their nameservers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameservers {
    /// Their names, the first one also the SOA MNAME; empty only where no zone is generated.
    pub servers: Vec<Nameserver>,
    /// The SOA RNAME as a domain name: `hostmaster.contoso.com`.
    pub hostmaster: Option<DomainName>,
    /// Negative TTL and SOA MINIMUM of generated zones, in seconds.
    pub negative_ttl: u32,
    /// TTL of generated SOA and NS records, in seconds.
    pub ttl: u32,
}

/// A nameserver of the zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameserver {
    /// Its host name.
    pub name: DomainName,
    /// Its addresses, only where the glue is ours.
    pub addresses: Vec<IpAddr>,
}

/// The world as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Pools by name.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Routes by name.
    pub routes: BTreeMap<RouteName, Route>,
    /// Configured zones by apex.
    pub zones: BTreeMap<DomainName, Zone>,
    /// The nameservers generated zones name.
    pub nameservers: Nameservers,
    /// Off-site addresses that tell a dead pool from a dead uplink, reached by TCP.
    pub canaries: Vec<SocketAddr>,
    /// Every check, once.
    pub checks: Checks,
}

impl Topology {
    /// The longest time that a probe waits for its turn when every address is silent at once and `most` probes may
    /// be under way.
    pub fn longest_turn(&self, most: usize) -> Duration {
        let addresses: BTreeSet<IpAddr> = self
            .checks
            .iter()
            .map(|(_, check)| check.peer.ip())
            .collect();
        let timeouts = self.checks.iter().map(|(_, check)| check.settings.timeout);
        let rounds = addresses.len().saturating_sub(1) / most.max(1);
        timeouts.max().unwrap_or_default() * u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    /// Joins validated parts and works out the checks.
    pub fn new(
        pools: BTreeMap<PoolName, Pool>,
        routes: BTreeMap<RouteName, Route>,
        zones: BTreeMap<DomainName, Zone>,
        nameservers: Nameservers,
        canaries: Vec<SocketAddr>,
    ) -> Topology {
        let checks = Checks::of(&pools, &routes);
        Topology {
            pools,
            routes,
            zones,
            nameservers,
            canaries,
            checks,
        }
    }

    /// The zones whose static part comes from a primary, with it.
    pub fn inbound(&self) -> impl Iterator<Item = (&DomainName, &Primary)> {
        let zones = self.zones.iter();
        zones.filter_map(|(apex, zone)| Some((apex, zone.primary.as_ref()?)))
    }

    /// The primaries of a zone, if its static part comes from some.
    pub fn primary(&self, apex: &DomainName) -> Option<&Primary> {
        self.zones.get(apex)?.primary.as_ref()
    }
}
