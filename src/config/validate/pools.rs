//! Pools: names, targets, addresses as published and as probed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::topology::{Address, DomainName, Family, Pool, PoolName, Target};

use super::super::draft::{Draft, PoolDraft, TargetDraft};
use super::super::problem::{At, ConfigProblems, Rule, no_duplicates};
use super::super::value::List;

/// The pools: those that could be made, and the names of the others.
pub(super) struct Pools {
    built: BTreeMap<PoolName, Pool>,
    declared: Vec<PoolName>,
    /// Some pool has no name that could be taken: any name might be its.
    nameless: bool,
}

impl Pools {
    /// A pool that could be made.
    pub(super) fn get(&self, name: &PoolName) -> Option<&Pool> {
        self.built.get(name)
    }

    /// Whether the file has a pool of this name, or one that might be meant.
    pub(super) fn declares(&self, name: &PoolName) -> bool {
        self.nameless || self.declared.contains(name)
    }

    /// The names of all pools of the file.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(PoolName::as_str)
    }

    pub(super) fn into_built(self) -> BTreeMap<PoolName, Pool> {
        self.built
    }
}

/// Makes the pools.
pub(super) fn pools(draft: &Draft, problems: &mut ConfigProblems) -> Pools {
    let names: Vec<At<PoolName>> = draft.pools.iter().filter_map(|p| p.name.clone()).collect();
    no_duplicates(&names, "pool", problems);
    let mut pools = Pools {
        built: BTreeMap::new(),
        declared: names.into_iter().map(|name| name.value).collect(),
        nameless: draft.pools.iter().any(|pool| pool.name.is_none()),
    };
    for pool in &draft.pools {
        let built = build(pool, problems);
        if let Some(built) = built {
            pools.built.entry(built.name.clone()).or_insert(built);
        }
    }
    pools
}

/// Warns of pools that nothing uses.
pub(super) fn unused(draft: &Draft, problems: &mut ConfigProblems) {
    let misread = problems
        .errors()
        .any(|problem| problem.rule == Rule::UnknownPool);
    if misread || draft.routes.iter().any(|route| !route.pools.whole) {
        return;
    }
    for name in draft.pools.iter().filter_map(|pool| pool.name.as_ref()) {
        let mut used = draft.routes.iter().flat_map(|route| &route.pools.items);
        if used.all(|entry| entry.value.pool.value != name.value) {
            problems
                .warning(
                    Rule::UnusedPool,
                    &name.place,
                    format!("pool {} is used by no route; it is not probed", name.value),
                )
                .help("add it to the pools of a route, or leave it out");
        }
    }
}

fn build(pool: &PoolDraft, problems: &mut ConfigProblems) -> Option<Pool> {
    let title = pool
        .name
        .as_ref()
        .map_or("a pool".to_owned(), |n| format!("pool {}", n.value));
    if pool.targets_given && pool.targets.is_empty() {
        problems
            .error(
                Rule::MissingKey,
                &pool.place,
                format!("{title} has no target"),
            )
            .help("add a [[pool.target]] with name and publish");
    }
    let names: Vec<At<DomainName>> = pool.targets.iter().filter_map(|t| t.name.clone()).collect();
    no_duplicates(&names, "target", problems);
    let mut published: Vec<At<IpAddr>> = Vec::new();
    let mut targets = Vec::new();
    for target in &pool.targets {
        published.extend(target.publish.iter().flat_map(|list| list.items.clone()));
        let addresses = addresses(&title, target, problems);
        source(target, addresses.as_deref(), problems);
        if let (Some(name), Some(addresses)) = (&target.name, addresses) {
            targets.push(Target {
                name: name.value.clone(),
                addresses,
                source: target.source.as_ref().map(|source| source.value),
            });
        }
    }
    no_duplicates(&published, "address", problems);
    if targets.is_empty() || targets.len() < pool.targets.len() {
        return None;
    }
    Some(Pool {
        name: pool.name.as_ref()?.value.clone(),
        site: pool.site.clone(),
        targets,
    })
}

/// Pairs what is published with what is probed: per family in order, so that NAT can be written for one family
/// and left out for the other.
fn addresses(
    title: &str,
    target: &TargetDraft,
    problems: &mut ConfigProblems,
) -> Option<Vec<Address>> {
    let publish = target.publish.as_ref()?;
    for address in &publish.items {
        publishable(address, problems);
    }
    if publish.items.is_empty() && publish.whole {
        problems
            .error(
                Rule::BadValue,
                &publish.place,
                format!("a target of {title} publishes no address"),
            )
            .help("write its addresses: publish = [\"192.0.2.10\"]");
        return None;
    }
    let probe = target.probe.as_ref();
    if let Some(probe) = probe {
        no_duplicates(&probe.items, "address", problems);
        for address in &probe.items {
            connectable(address, problems);
        }
    }
    if !publish.whole || probe.is_some_and(|list| !list.whole) {
        return None;
    }
    let of_family = |list: &List<IpAddr>, family| -> Vec<IpAddr> {
        let all = list.items.iter().map(|item| item.value);
        all.filter(|address| Family::of(*address) == family)
            .collect()
    };
    let mut pairs = BTreeMap::new();
    for family in Family::ALL {
        let published = of_family(publish, family);
        let probed = probe.map_or_else(Vec::new, |list| of_family(list, family));
        if !probed.is_empty() && probed.len() != published.len() {
            let place = probe.map_or(&publish.place, |list| &list.place);
            let counts =
                |n: usize| format!("{n} {family} address{}", if n == 1 { "" } else { "es" });
            problems
                .error(
                    Rule::ProbePairs,
                    place,
                    format!(
                        "a target of {title} publishes {} and is probed at {}: which is which is unclear",
                        counts(published.len()),
                        counts(probed.len())
                    ),
                )
                .also(&publish.place, "published here")
                .help("write one probe address for each published one of that family, in the same order, or none");
            return None;
        }
        for (at, publish) in published.into_iter().enumerate() {
            pairs.insert(publish, probed.get(at).copied().unwrap_or(publish));
        }
    }
    let in_order = publish.items.iter().map(|item| Address {
        publish: item.value,
        probe: pairs.get(&item.value).copied().unwrap_or(item.value),
    });
    Some(in_order.collect())
}

/// An address that goes into A or AAAA records.
fn publishable(address: &At<IpAddr>, problems: &mut ConfigProblems) {
    if !connectable(address, problems) {
        return;
    }
    let why = match address.value {
        ip if ip.is_loopback() => "it is this machine's own",
        IpAddr::V4(ip) if ip.is_private() => "it is private (RFC 1918)",
        IpAddr::V4(ip) if ip.is_link_local() => "it is link-local",
        IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => {
            "it is shared between providers and customers (RFC 6598)"
        }
        IpAddr::V6(ip) if ip.is_unique_local() => "it is unique local (RFC 4193)",
        _ => return,
    };
    problems
        .warning(
            Rule::UnreachableAddress,
            &address.place,
            format!("partners elsewhere cannot reach {}: {why}", address.value),
        )
        .help(
            "publish the address partners use, and write this one into probe if probes must use it",
        );
}

/// Whether anything can be connected to at this address.
fn connectable(address: &At<IpAddr>, problems: &mut ConfigProblems) -> bool {
    let why = match address.value {
        ip if ip.is_unspecified() => "it is the unspecified address",
        ip if ip.is_multicast() => "it is a multicast address",
        IpAddr::V4(ip) if ip.is_broadcast() => "it is the broadcast address",
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => "it is an IPv4 address in IPv6 form",
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            "it is link-local: it means something on one cable only"
        }
        _ => return true,
    };
    problems
        .error(
            Rule::BadValue,
            &address.place,
            format!("{} cannot be the address of a target: {why}", address.value),
        )
        .help("write the address that connections are made to");
    false
}

fn source(target: &TargetDraft, addresses: Option<&[Address]>, problems: &mut ConfigProblems) {
    let (Some(source), Some(addresses)) = (&target.source, addresses) else {
        return;
    };
    let same_family = |a: &&Address| a.probe.is_ipv4() == source.value.is_ipv4();
    if addresses.iter().find(same_family).is_none() {
        problems
            .error(
                Rule::NoEffect,
                &source.place,
                format!(
                    "no address of this target can be probed from {}: none is of its family",
                    source.value
                ),
            )
            .help("write a local address of the family that is probed, or leave source out");
    }
}
