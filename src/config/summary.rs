//! What a configuration would do, on one screen.
//!
//! In: an accepted configuration. Out: [`Summary`], as text for `config check` and as JSON. Never here: warnings; those
//! are the configuration's own.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::health::MOST_PROBES;
use crate::topology::{
    Depth, DomainName, FailbackPolicy, FailoverPolicy, Mode, PoolName, Route, RouteName, Service,
    ServiceKind, Topology,
};

use super::Configuration;
use super::compare::apexes;
use super::exchange::{Exchange, listed};

/// What a configuration would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The file, as it was named.
    pub file: String,
    /// Where DNS would be served.
    pub listen: Vec<SocketAddr>,
    /// Where it would be served over TLS.
    pub listen_tls: Vec<SocketAddr>,
    /// Where it would be served over HTTPS.
    pub listen_https: Vec<SocketAddr>,
    /// Where it would be served over QUIC.
    pub listen_quic: Vec<SocketAddr>,
    /// Its routes.
    pub routes: Vec<RouteSummary>,
    /// How many pools it has.
    pub pools: usize,
    /// How many checks it makes.
    pub checks: usize,
    /// On how many addresses.
    pub addresses: usize,
    /// The zones it would serve.
    pub zones: Vec<DomainName>,
    /// Those of them that are to be signed.
    pub signed: Vec<DomainName>,
    /// With whom zones are exchanged.
    #[serde(flatten)]
    pub exchange: Exchange,
    /// The canaries; without any the blind rule is off.
    pub canaries: Vec<SocketAddr>,
    /// Which certificate authorities count, one sentence each.
    pub authorities: Vec<String>,
}

/// What it would do with a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteSummary {
    /// Its name.
    pub name: RouteName,
    /// Its domains.
    pub domains: Vec<DomainName>,
    /// Its pools, preferred first.
    pub pools: Vec<PoolName>,
    /// Who may leave a pool.
    pub failover: FailoverPolicy,
    /// Who may return.
    pub failback: FailbackPolicy,
    /// TTL of its records, in seconds.
    pub ttl: u32,
    /// Its services.
    pub services: Vec<ServiceSummary>,
}

/// What it would do with a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceSummary {
    /// Which.
    pub kind: ServiceKind,
    /// What its SRV records show.
    pub mode: Mode,
    /// Whether a pool is down with it.
    pub required: bool,
    /// How far its probes go.
    pub depth: Depth,
    /// How often they are made.
    #[serde(serialize_with = "as_text")]
    pub interval: Duration,
    /// The longest time from the moment a pool falls silent to the verdict.
    #[serde(serialize_with = "as_text")]
    pub detection: Duration,
}

/// Sums a configuration up. Which certificates are behind its authorities only the prober knows: it replaces
/// [`Summary::authorities`].
pub fn summary(configuration: &Configuration) -> Summary {
    let topology = &configuration.topology;
    let peers: BTreeSet<IpAddr> = topology
        .checks
        .iter()
        .map(|(_, check)| check.peer.ip())
        .collect();
    let turn = topology.longest_turn(MOST_PROBES);
    let zones: Vec<DomainName> = apexes(topology).into_iter().collect();
    Summary {
        file: configuration.sources.name().to_owned(),
        listen: configuration.server.listen.clone(),
        listen_tls: configuration.server.listen_tls.clone(),
        listen_https: configuration.server.listen_https.clone(),
        listen_quic: configuration.server.listen_quic.clone(),
        routes: topology
            .routes
            .values()
            .map(|one| route(one, turn))
            .collect(),
        pools: topology.pools.len(),
        checks: topology.checks.iter().count(),
        addresses: peers.len(),
        signed: zones
            .iter()
            .filter(|apex| configuration.dnssec.signs(apex))
            .cloned()
            .collect(),
        zones,
        exchange: Exchange::of(configuration),
        canaries: topology.canaries.clone(),
        authorities: authorities(topology),
    }
}

fn route(route: &Route, turn: Duration) -> RouteSummary {
    RouteSummary {
        name: route.name.clone(),
        domains: route.domains.clone(),
        pools: route.pool_names().cloned().collect(),
        failover: route.failover,
        failback: route.failback,
        ttl: route.ttl,
        services: route
            .services
            .iter()
            .map(|one| service(one, turn))
            .collect(),
    }
}

fn service(service: &Service, turn: Duration) -> ServiceSummary {
    ServiceSummary {
        kind: service.kind,
        mode: service.mode,
        required: service.required,
        depth: service.check.depth,
        interval: service.check.interval,
        detection: service.check.detection_behind(turn),
    }
}

fn authorities(topology: &Topology) -> Vec<String> {
    let checks = topology.checks.iter();
    let files: BTreeSet<Option<&PathBuf>> = checks
        .map(|(_, check)| check.settings.ca.as_ref())
        .collect();
    let named = files.into_iter().map(|file| match file {
        Some(path) => format!("those in {}", path.display()),
        None => "the system's roots".to_owned(),
    });
    named.collect()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} can be used", self.file)?;
        for route in &self.routes {
            route.fmt(f)?;
        }
        writeln!(
            f,
            "{}, {} on {}",
            counted(self.pools, "pool", "pools"),
            counted(self.checks, "check", "checks"),
            counted(self.addresses, "address", "addresses")
        )?;
        let zones = counted(self.zones.len(), "zone", "zones");
        writeln!(f, "{zones}: {}", listed(&self.zones))?;
        match self.signed.len() {
            0 => writeln!(f, "none of them is signed")?,
            all if all == self.zones.len() => writeln!(f, "all of them are signed")?,
            _ => writeln!(f, "signed: {}", listed(&self.signed))?,
        }
        self.exchange.fmt(f)?;
        for (over, addresses) in [
            ("", &self.listen),
            ("over TLS ", &self.listen_tls),
            ("over HTTPS ", &self.listen_https),
            ("over QUIC ", &self.listen_quic),
        ] {
            if !addresses.is_empty() {
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                writeln!(f, "served {over}on {}", list.join(", "))?;
            }
        }
        if self.canaries.is_empty() {
            writeln!(f, "no canaries: the blind rule is off")?;
        } else {
            let canaries: Vec<String> = self.canaries.iter().map(ToString::to_string).collect();
            writeln!(f, "canaries: {}", canaries.join(", "))?;
        }
        writeln!(
            f,
            "certificate authorities that count: {}",
            self.authorities.join("; ")
        )
    }
}

impl fmt::Display for RouteSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failover = match self.failover {
            FailoverPolicy::Auto => "automatic failover",
            FailoverPolicy::Ask => "failover on command",
            FailoverPolicy::Observe => "observed only",
        };
        let failback = match self.failback {
            FailbackPolicy::Auto => "automatic failback",
            FailbackPolicy::Manual => "failback on command",
        };
        let pools: Vec<&str> = self.pools.iter().map(PoolName::as_str).collect();
        writeln!(
            f,
            "route {}: {} on {}; {failover}, {failback}, TTL {} s",
            self.name,
            listed(&self.domains),
            pools.join(", then "),
            self.ttl
        )?;
        for service in &self.services {
            writeln!(
                f,
                "  {}: {}{}, probed to depth {} every {}; a pool that falls silent is found after {} at most",
                service.kind,
                service.mode,
                if service.required {
                    ""
                } else {
                    ", not required"
                },
                service.depth,
                humantime::format_duration(service.interval),
                humantime::format_duration(service.detection)
            )?;
        }
        Ok(())
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn as_text<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}
