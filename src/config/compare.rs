//! What a reload would change, before anything is changed.
//!
//! In: the configuration in force and the one that was read. Out: [`Changes`], from which the engine decides whether
//! the reload needs the operator's word. Never here: applying them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

use crate::topology::{DomainName, PoolName, RouteName, Topology, ZonePlacement};

use super::Configuration;

/// A reload that takes away more zones than these is more likely a slip than a wish.
pub const ZONES_REMOVED_UNASKED: usize = 3;

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Keys that take effect at the next start only; until then they stay as they are.
    pub at_restart: Vec<RestartChange>,
    /// Zones that would be served in addition.
    pub zones_added: Vec<DomainName>,
    /// Zones that would no longer be served.
    pub zones_removed: Vec<DomainName>,
    /// New routes.
    pub routes_added: Vec<RouteName>,
    /// Routes that would be gone.
    pub routes_removed: Vec<RouteName>,
    /// Routes with other settings.
    pub routes_changed: Vec<RouteName>,
    /// New pools.
    pub pools_added: Vec<PoolName>,
    /// Pools that would be gone.
    pub pools_removed: Vec<PoolName>,
    /// Pools with other targets, addresses or sites.
    pub pools_changed: Vec<PoolName>,
    /// Pools that a route would no longer use, for routes that stay.
    pub pools_left: Vec<(RouteName, PoolName)>,
    /// Something else: canaries, nameservers, alarms, static records.
    pub others: Vec<&'static str>,
}

/// A key that takes effect at the next start only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestartChange {
    /// The key: `server.listen`.
    pub key: &'static str,
    /// Its value in force.
    pub in_force: String,
    /// Its value in the file.
    pub configured: String,
}

impl fmt::Display for RestartChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RestartChange {
            key,
            in_force,
            configured,
        } = self;
        write!(
            f,
            "{key} = {configured} takes effect at the next start; until then it is {in_force}"
        )
    }
}

/// Something that a reload takes away only when the operator has said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// A route with all its names.
    Route(RouteName),
    /// A pool that is active in a route or pinned.
    Pool(RouteName, PoolName),
    /// Many zones at once.
    Zones(usize),
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Removal::Route(route) => {
                write!(f, "route {route} would be gone, and its names with it")
            }
            Removal::Pool(route, pool) => {
                write!(
                    f,
                    "pool {pool} is active or pinned in route {route} and would be gone from it"
                )
            }
            Removal::Zones(count) => write!(f, "{count} zones would no longer be served"),
        }
    }
}

impl Changes {
    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    /// What needs the operator's word (`--allow-removal`). `held` says whether a pool is active or pinned in
    /// a route.
    pub fn removals(&self, held: impl Fn(&RouteName, &PoolName) -> bool) -> Vec<Removal> {
        let routes = self.routes_removed.iter().cloned().map(Removal::Route);
        let pools = self
            .pools_left
            .iter()
            .filter(|(route, pool)| held(route, pool));
        let pools = pools.map(|(route, pool)| Removal::Pool(route.clone(), pool.clone()));
        let zones = self.zones_removed.len();
        let zones = (zones > ZONES_REMOVED_UNASKED).then_some(Removal::Zones(zones));
        routes.chain(pools).chain(zones).collect()
    }
}

/// What would change if `new` came into force after `old`.
pub fn compare(old: &Configuration, new: &Configuration) -> Changes {
    let (was, will) = (&old.topology, &new.topology);
    let (zones_were, zones_will) = (apexes(was), apexes(will));
    let mut changes = Changes {
        at_restart: at_restart(old, new),
        zones_added: zones_will.difference(&zones_were).cloned().collect(),
        zones_removed: zones_were.difference(&zones_will).cloned().collect(),
        ..Changes::default()
    };
    (
        changes.routes_added,
        changes.routes_removed,
        changes.routes_changed,
    ) = difference(&was.routes, &will.routes);
    (
        changes.pools_added,
        changes.pools_removed,
        changes.pools_changed,
    ) = difference(&was.pools, &will.pools);
    for (name, route) in &was.routes {
        let Some(now) = will.routes.get(name) else {
            continue;
        };
        let left = route.pool_names().filter(|pool| !now.uses(pool));
        changes
            .pools_left
            .extend(left.map(|pool| (name.clone(), pool.clone())));
    }
    let others = [
        ("health.canaries", was.canaries != will.canaries),
        ("dns", was.nameservers != will.nameservers),
        ("dns.resolvers", old.resolvers != new.resolvers),
        ("dnssec", old.dnssec != new.dnssec),
        ("alarm", old.alarm != new.alarm),
        ("server.certificate", certificate(old) != certificate(new)),
        ("static records", statics_differ(old, new)),
        ("primaries", primaries_differ(was, will)),
        ("tsig", old.tsig != new.tsig),
        ("dns.manners", old.manners != new.manners),
        ("acme", old.acme != new.acme),
        ("secondary", old.secondaries != new.secondaries),
    ];
    let differing = others.into_iter().filter(|(_, differ)| *differ);
    changes.others = differing.map(|(name, _)| name).collect();
    changes
}

/// Every zone of a topology.
pub(super) fn apexes(topology: &Topology) -> BTreeSet<DomainName> {
    let mut apexes: BTreeSet<DomainName> = topology.zones.keys().cloned().collect();
    let routes = topology.routes.values();
    for route in routes.filter(|route| route.zones == ZonePlacement::Owners) {
        let templates = route.services.iter().map(|service| &service.owner);
        for template in templates.chain(&route.address) {
            let owners = route
                .domains
                .iter()
                .map(|domain| template.for_domain(domain));
            apexes.extend(owners.flatten());
        }
    }
    apexes
}

fn statics_differ(old: &Configuration, new: &Configuration) -> bool {
    let texts = |configuration: &Configuration| -> Vec<(DomainName, String)> {
        let zones = configuration.statics.iter();
        zones
            .map(|(apex, zone)| (apex.clone(), zone.to_master_text()))
            .collect()
    };
    texts(old) != texts(new)
}

/// Whether zones that stay have other primaries or another TSIG key.
fn primaries_differ(was: &Topology, will: &Topology) -> bool {
    let mut zones = was.zones.iter();
    zones.any(|(apex, zone)| {
        let now = will.zones.get(apex);
        now.is_some_and(|now| now.primary != zone.primary)
    })
}

fn difference<K: Ord + Clone, V: PartialEq>(
    was: &BTreeMap<K, V>,
    will: &BTreeMap<K, V>,
) -> (Vec<K>, Vec<K>, Vec<K>) {
    let missing = |from: &BTreeMap<K, V>, of: &BTreeMap<K, V>| -> Vec<K> {
        of.keys()
            .filter(|key| !from.contains_key(key))
            .cloned()
            .collect()
    };
    let changed = was
        .iter()
        .filter(|(key, value)| will.get(key).is_some_and(|now| now != *value));
    (
        missing(was, will),
        missing(will, was),
        changed.map(|(key, _)| key.clone()).collect(),
    )
}

fn certificate(configuration: &Configuration) -> [Option<&Path>; 2] {
    let server = &configuration.server;
    [
        server.certificate.as_deref(),
        server.certificate_key.as_deref(),
    ]
}

fn at_restart(old: &Configuration, new: &Configuration) -> Vec<RestartChange> {
    let were = restart_values(old);
    let will = restart_values(new);
    let pairs = were.into_iter().zip(will);
    pairs
        .filter(|((_, was), (_, will))| was != will)
        .map(|((key, in_force), (_, configured))| RestartChange {
            key,
            in_force,
            configured,
        })
        .collect()
}

/// The keys marked `restart`, with their values as text.
fn restart_values(configuration: &Configuration) -> Vec<(&'static str, String)> {
    let (server, log) = (&configuration.server, &configuration.log);
    let text = |value: &dyn Debug| format!("{value:?}");
    let addresses = |list: &[SocketAddr]| {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        format!("{list:?}")
    };
    let absent = || "absent".to_owned();
    vec![
        ("server.listen", addresses(&server.listen)),
        ("server.listen_tls", addresses(&server.listen_tls)),
        ("server.listen_https", addresses(&server.listen_https)),
        ("server.listen_quic", addresses(&server.listen_quic)),
        ("server.state", text(&server.state)),
        ("server.control", text(&server.control)),
        (
            "server.control_mode",
            format!("\"{:04o}\"", server.control_mode),
        ),
        (
            "server.control_group",
            server
                .control_group
                .as_ref()
                .map_or_else(absent, |v| text(v)),
        ),
        (
            "server.user",
            server.user.as_ref().map_or_else(absent, |v| text(v)),
        ),
        (
            "server.workers",
            server.workers.map_or_else(absent, |v| v.to_string()),
        ),
        ("log.format", text(&log.format.as_str())),
        ("log.level", text(&log.level.as_str())),
    ]
}
