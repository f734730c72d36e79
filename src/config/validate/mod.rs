//! Relations between values, which make a draft a topology.
//!
//! In: a [`Draft`], the domains read from files. Out: the parts of a [`Topology`](crate::topology::Topology), as
//! far as they could be made, and every broken relation. Never here: TOML, files.
//!
//! Parts are made even when something is wrong, so that what depends on them is looked at in the same run; a
//! part that could not be made is known by name, so that nothing else is reported for its absence.

mod check;
mod owners;
mod pools;
mod primary;
mod routes;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::topology::{
    DomainName, Nameserver, Nameservers, Pool, PoolName, Route, RouteName, Zone,
};

use super::draft::{Draft, RouteDraft};
use super::problem::{At, ConfigProblems, Place, Rule, no_duplicates};
pub(super) use services::owner as service_owner;

/// What a topology is made of, with the places that later problems point at.
pub(super) struct Parts {
    pub(super) pools: BTreeMap<PoolName, Pool>,
    pub(super) routes: BTreeMap<RouteName, Route>,
    pub(super) zones: BTreeMap<DomainName, Zone>,
    pub(super) nameservers: Nameservers,
    pub(super) canaries: Vec<SocketAddr>,
    pub(super) places: Places,
}

/// Where things were configured.
#[derive(Default)]
pub(super) struct Places {
    pub(super) routes: BTreeMap<RouteName, Place>,
    pub(super) zones: BTreeMap<DomainName, Place>,
    pub(super) targets: BTreeMap<DomainName, Place>,
    pub(super) nameservers: Vec<At<DomainName>>,
}

/// Checks a whole draft. `domains` gives the domains of each route of the draft, files included.
pub(super) fn parts(
    draft: &Draft,
    domains: &[Vec<At<DomainName>>],
    problems: &mut ConfigProblems,
) -> Parts {
    let mut places = Places::default();
    let pools = pools::pools(draft, problems);
    for pool in &draft.pools {
        for name in pool
            .targets
            .iter()
            .filter_map(|target| target.name.as_ref())
        {
            places
                .targets
                .insert(name.value.clone(), name.place.clone());
        }
    }
    let mut routes = BTreeMap::new();
    for (route, domains) in draft.routes.iter().zip(domains) {
        let Some(name) = &route.name else { continue };
        let built = routes::route(draft, route, domains, &pools, &mut places, problems);
        if places.routes.contains_key(&name.value) {
            continue;
        }
        places.routes.insert(name.value.clone(), name.place.clone());
        if let Some(built) = built {
            routes.insert(name.value.clone(), built);
        }
    }
    let names: Vec<At<RouteName>> = draft.routes.iter().filter_map(|r| r.name.clone()).collect();
    no_duplicates(&names, "route", problems);
    owners::collisions(&draft.routes, domains, problems);
    something_to_serve(draft, problems);
    pools::unused(draft, problems);
    canaries(draft, problems);
    let zones = zones(draft, &mut places, problems);
    places.nameservers = draft
        .nameservers
        .servers
        .iter()
        .map(|s| s.name.clone())
        .collect();
    Parts {
        pools: pools.into_built(),
        routes,
        zones,
        nameservers: nameservers(draft),
        canaries: draft.health.canaries.iter().map(|c| c.value).collect(),
        places,
    }
}

fn something_to_serve(draft: &Draft, problems: &mut ConfigProblems) {
    if draft.pools.is_empty() && draft.routes.is_empty() && draft.zones.is_empty() {
        problems
            .error(
                Rule::Nothing,
                &draft.place,
                "there is nothing to serve: no [[pool]], no [[route]], no [[zone]]",
            )
            .help("a first configuration is in docs/repoint.example.toml");
    } else if draft.routes.is_empty() {
        problems
            .error(
                Rule::Nothing,
                &draft.place,
                "there is no [[route]]: nothing would be kept on a pool that works",
            )
            .help("add a [[route]] with domains, pools and a [[route.service]]");
    }
}

fn canaries(draft: &Draft, problems: &mut ConfigProblems) {
    if !draft.health.canaries_given {
        problems
            .warning(
                Rule::NoCanaries,
                &draft.health.place,
                "no canaries: the blind rule is off, so a failure of this machine's own network looks like \
                 a failure of every pool",
            )
            .help("under [health] write canaries = [\"198.51.100.1:53\"]: addresses off this site that answer TCP");
    }
    for canary in &draft.health.canaries {
        let ip = canary.value.ip();
        if ip.is_unspecified() || ip.is_multicast() || canary.value.port() == 0 {
            problems
                .error(
                    Rule::BadValue,
                    &canary.place,
                    format!("canary {} cannot be reached by TCP", canary.value),
                )
                .help("name an address off this site that answers TCP, with its port");
        }
        let used = draft.pools.iter().find_map(|pool| {
            let lists = pool.targets.iter().flat_map(|t| [&t.publish, &t.probe]);
            let mut addresses = lists.flatten().flat_map(|list| &list.items);
            let address = addresses.find(|address| address.value == ip)?;
            Some((pool, address))
        });
        if let Some((pool, address)) = used {
            let pool = pool.name.as_ref().map_or("?", |name| name.value.as_str());
            problems
                .error(
                    Rule::CanaryInPool,
                    &canary.place,
                    format!(
                        "canary {} is an address of pool {pool}: it would vouch for itself",
                        canary.value
                    ),
                )
                .also(&address.place, "the pool's address")
                .help("choose a canary that has nothing to do with the pools");
        }
    }
}

fn zones(
    draft: &Draft,
    places: &mut Places,
    problems: &mut ConfigProblems,
) -> BTreeMap<DomainName, Zone> {
    let apexes: Vec<At<DomainName>> = draft.zones.iter().filter_map(|z| z.apex.clone()).collect();
    no_duplicates(&apexes, "zone", problems);
    let mut zones = BTreeMap::new();
    for zone in &draft.zones {
        let primary = primary::primary(zone, draft, problems);
        let Some(apex) = &zone.apex else { continue };
        let place = places.zones.entry(apex.value.clone());
        place.or_insert(apex.place.clone());
        let zone = Zone {
            apex: apex.value.clone(),
            primary,
        };
        zones.insert(apex.value.clone(), zone);
    }
    zones
}

fn nameservers(draft: &Draft) -> Nameservers {
    let mut seen = BTreeSet::new();
    let servers = draft.nameservers.servers.iter();
    Nameservers {
        servers: servers
            .filter(|server| seen.insert(&server.name.value))
            .map(|server| Nameserver {
                name: server.name.value.clone(),
                addresses: server.addresses.iter().map(|a| a.value).collect(),
            })
            .collect(),
        hostmaster: draft.nameservers.hostmaster.clone(),
        negative_ttl: draft.nameservers.negative_ttl,
        ttl: draft.nameservers.ttl,
    }
}

/// A route as messages name it.
fn title(route: &RouteDraft) -> String {
    match &route.name {
        Some(name) => format!("route {}", name.value),
        None => "a route".to_owned(),
    }
}
