//! What a reload would change, before anything is changed.
//!
//! In: the configuration in force and the one that was read. Out: [`Changes`], from which the engine decides whether
//! the reload needs the operator's word (`--allow-removal`). Never here: applying them; their sentences are in `words`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

use crate::topology::{DomainName, PoolName, RouteName, Topology, ZonePlacement};

use super::Configuration;
use super::words;

/// A reload that takes away more zones than these is more likely a slip than a wish.
pub const ZONES_REMOVED_UNASKED: usize = 3;

/// A reload that takes away more domains than these, or more than a tenth of them, is more likely a slip than a wish.
pub const DOMAINS_REMOVED_UNASKED: usize = 10;

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Keys that take effect at the next start only; until then they stay as they are.
    pub at_restart: Vec<RestartChange>,
    /// Domains that no route had.
    pub domains_added: Vec<DomainName>,
    /// Domains that no route would have any more.
    pub domains_removed: Vec<DomainName>,
    /// How many domains there were; 0 where none is removed.
    pub domains_before: usize,
    /// Domains that would be in other routes.
    pub domains_moved: Vec<DomainName>,
    /// Lists of domains that are cut off inside a name.
    pub cut_lists: Vec<CutList>,
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
    /// All of it but `at_restart`, in sentences.
    pub words: Vec<String>,
}

/// A list of domains that ends inside the name of a domain in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutList {
    /// The file, as it was named.
    pub file: String,
    /// The number of its last line.
    pub line: usize,
    /// What is left of the name.
    pub text: String,
    /// The domain in force that begins with it.
    pub domain: DomainName,
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

impl RestartChange {
    /// The sentence for the start at which it takes effect.
    pub fn now_in_force(&self) -> String {
        format!("{} = {} (was {})", self.key, self.configured, self.in_force)
    }
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
    /// Many domains at once.
    Domains {
        /// How many.
        removed: usize,
        /// How many there were.
        of: usize,
        /// The first of them.
        first: Vec<DomainName>,
    },
    /// The rest of a list of domains that is cut off.
    CutList(CutList),
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
            Removal::Domains { removed, of, first } => write!(
                f,
                "{removed} of {of} domains would be gone: {}",
                words::examples(first, *removed)
            ),
            Removal::CutList(CutList {
                file,
                line,
                text,
                domain,
            }) => write!(
                f,
                "{file} is cut off on line {line}: {text:?} is the beginning of {domain}, which would be gone"
            ),
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
        let all = routes.chain(pools).chain(zones);
        all.chain(self.domain_removals()).collect()
    }

    /// What needs the operator's word at a start as well: customers that would be gone.
    pub fn domain_removals(&self) -> Vec<Removal> {
        let removed = self.domains_removed.len();
        let many = removed > DOMAINS_REMOVED_UNASKED || removed * 10 > self.domains_before;
        let domains = many.then(|| Removal::Domains {
            removed,
            of: self.domains_before,
            first: self.domains_removed.iter().take(3).cloned().collect(),
        });
        let cut = self.cut_lists.iter().cloned().map(Removal::CutList);
        domains.into_iter().chain(cut).collect()
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
    domains(old, new, &mut changes);
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
    changes.words = words::of(old, new, &changes);
    changes
}

/// Every domain with the routes that have it.
fn domains_of(topology: &Topology) -> BTreeMap<&DomainName, BTreeSet<&RouteName>> {
    let mut all: BTreeMap<&DomainName, BTreeSet<&RouteName>> = BTreeMap::new();
    for route in topology.routes.values() {
        for domain in &route.domains {
            all.entry(domain).or_default().insert(&route.name);
        }
    }
    all
}

fn domains(old: &Configuration, new: &Configuration, changes: &mut Changes) {
    let (were, will) = (domains_of(&old.topology), domains_of(&new.topology));
    for (domain, routes) in &will {
        match were.get(domain) {
            None => changes.domains_added.push((*domain).clone()),
            Some(before) if before != routes => changes.domains_moved.push((*domain).clone()),
            Some(_) => {}
        }
    }
    let removed = were.keys().filter(|domain| !will.contains_key(*domain));
    changes.domains_removed = removed.map(|domain| (*domain).clone()).collect();
    if !changes.domains_removed.is_empty() {
        changes.domains_before = were.len();
    }
    for list in &new.unfinished_lists {
        if were.keys().any(|domain| domain.as_str() == list.text) {
            continue;
        }
        let mut gone = changes.domains_removed.iter();
        if let Some(domain) = gone.find(|domain| domain.as_str().starts_with(&list.text)) {
            changes.cut_lists.push(CutList {
                file: list.file.clone(),
                line: list.line,
                text: list.text.clone(),
                domain: domain.clone(),
            });
        }
    }
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
