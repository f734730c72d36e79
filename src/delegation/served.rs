//! What the zones above must know of what repoint serves, as plain data.
//!
//! In: nothing. Out: [`Served`], which the control interface hands to the command line. Never here: where it comes from
//! (`extract`), or what the zones above really have; that is asked.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::topology::{DomainName, PoolName, RouteName, ServiceKind};

/// The zones and names of one route, of one zone, or of everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// A running server said so; else it is what the configuration file alone would lead to.
    pub live: bool,
    /// `[dns] resolvers`.
    pub resolvers: Vec<SocketAddr>,
    /// The server's state directory.
    pub state: PathBuf,
    /// The zones, in canonical order of their apexes.
    pub zones: Vec<ServedZone>,
    /// The domains, in order of their routes.
    pub domains: Vec<ServedDomain>,
    /// The names that SRV records lead to, with the addresses their pools publish.
    pub targets: Vec<ServedTarget>,
}

/// A zone that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedZone {
    /// Its apex.
    pub apex: DomainName,
    /// Its serial.
    pub serial: u32,
    /// Its nameservers, as its NS records have them.
    pub nameservers: Vec<Host>,
    /// The TTL of its NS records, in seconds.
    pub ns_ttl: u32,
    /// How long resolvers remember that something is not in it, in seconds.
    pub negative_ttl: u32,
    /// Whether it is signed.
    pub signed: bool,
    /// The DS records that the zone above should have, as master files write their data.
    pub ds: Vec<String>,
    /// Its own names that have no records, only names below them.
    pub empty_names: Vec<DomainName>,
    /// The zone of ours that delegates it; then there is nothing to ask of others.
    pub within: Option<DomainName>,
    /// That zone has its DS by itself.
    #[serde(default)]
    pub vouched: bool,
}

/// A host and the addresses known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: DomainName,
    /// Its addresses; none where it is not ours to say.
    pub addresses: Vec<IpAddr>,
}

/// A domain of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedDomain {
    /// The domain.
    pub domain: DomainName,
    /// Its route.
    pub route: RouteName,
    /// Its steered names.
    pub names: Vec<ServedName>,
}

/// A name that a route steers for a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedName {
    /// The service; none for the federation address.
    pub service: Option<ServiceKind>,
    /// The port of the service; 0 for the federation address.
    pub port: u16,
    /// The name that partners ask for.
    pub public: DomainName,
    /// The name that is steered: another one behind an alias.
    pub owner: DomainName,
    /// The zone it lies in.
    pub zone: DomainName,
    /// The zone of ours that the public name lies in, if any.
    pub public_zone: Option<DomainName>,
    /// What is served for it now.
    pub records: Vec<ServedRecord>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServedRecord {
    /// Its type, as master files write it.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its data, as master files write it.
    pub data: String,
}

/// A name that SRV records lead to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServedTarget {
    /// The name.
    pub name: DomainName,
    /// The pool it belongs to.
    pub pool: PoolName,
    /// The addresses the pool publishes.
    pub addresses: Vec<IpAddr>,
    /// The zone of ours that it lies in, if any.
    pub zone: Option<DomainName>,
}

/// What of all that is served is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    #[default]
    All,
    /// One route.
    Route(RouteName),
    /// One zone, and the names in it.
    Zone(DomainName),
    /// One domain in every route that has it.
    Domain(DomainName),
}

impl Served {
    /// The zone with this apex.
    pub fn zone(&self, apex: &DomainName) -> Option<&ServedZone> {
        self.zones.iter().find(|zone| zone.apex == *apex)
    }
}
