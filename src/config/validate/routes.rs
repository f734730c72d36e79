//! Routes: domains, pools with their priorities, policy.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::topology::{DomainName, FailbackPolicy, Family, Pool, Route, RoutePool};

use super::super::draft::{Draft, RouteDraft, RoutePoolDraft};
use super::super::problem::{At, ConfigProblems, Place, Rule, no_duplicates};
use super::super::suggest::nearest;
use super::pools::Pools;
use super::{Places, services, title};

/// Makes one route; none when a part of it could not be taken.
pub(super) fn route(
    draft: &Draft,
    route: &RouteDraft,
    domains: &[At<DomainName>],
    pools: &Pools,
    places: &mut Places,
    problems: &mut ConfigProblems,
) -> Option<Route> {
    no_duplicates(domains, "domain", problems);
    let check_domains = check_domains(route, domains, problems);
    let entries: Vec<&At<RoutePoolDraft>> = route.pools.items.iter().collect();
    let names: Vec<_> = entries
        .iter()
        .map(|entry| entry.value.pool.clone())
        .collect();
    no_duplicates(&names, "pool", problems);
    for name in &names {
        if !pools.declares(&name.value) {
            let text = format!(
                "{} uses pool {}, which is not defined",
                title(route),
                name.value
            );
            let problem = problems.error(Rule::UnknownPool, &name.place, text);
            match nearest(name.value.as_str(), pools.names()) {
                Some(near) => problem.help(format!("did you mean {near:?}?")),
                None => problem.help(format!(
                    "the pools are {}",
                    super::super::suggest::quoted(pools.names(), "and")
                )),
            };
        }
    }
    let mut built_pools: Vec<(&Pool, &Place)> = Vec::new();
    for name in &names {
        if let Some(pool) = pools.get(&name.value)
            && !built_pools.iter().any(|(other, _)| other.name == pool.name)
        {
            built_pools.push((pool, &name.place));
        }
    }
    let priorities = priorities(route, problems);
    one_pool(route, problems);
    shared_addresses(route, &built_pools, problems);
    need(route, &built_pools, problems);
    families(route, &built_pools, problems);
    vanishing(route, &built_pools, problems);
    policy(route, problems);
    let services = services::services(
        draft,
        route,
        domains,
        &check_domains,
        &built_pools,
        places,
        problems,
    );
    if route.no_services {
        problems
            .error(
                Rule::MissingKey,
                &route.place,
                format!("{} has no service", title(route)),
            )
            .help("add a [[route.service]] with kind = \"xmpp-server\"");
    }
    let mut known = BTreeSet::new();
    let domains: Vec<DomainName> = domains.iter().map(|d| d.value.clone()).collect();
    let pools: Vec<RoutePool> = names
        .iter()
        .zip(priorities)
        .filter(|(name, _)| pools.get(&name.value).is_some() && known.insert(&name.value))
        .map(|(name, priority)| RoutePool {
            pool: name.value.clone(),
            priority,
        })
        .collect();
    if domains.is_empty() || check_domains.is_empty() || pools.is_empty() || services.is_empty() {
        return None;
    }
    Some(Route {
        name: route.name.as_ref()?.value.clone(),
        domains,
        check_domains,
        pools,
        zones: route.zones,
        failover: route.failover,
        failback: route.failback,
        hold_down: route.hold_down.value,
        ttl: route.ttl.value,
        max_switches: route.max_switches,
        need: route.need.value,
        require_families: route.require_families.as_ref().map(|f| f.value.clone()),
        address: route.address.as_ref().map(|address| address.value.clone()),
        services,
    })
}

fn check_domains(
    route: &RouteDraft,
    domains: &[At<DomainName>],
    problems: &mut ConfigProblems,
) -> Vec<DomainName> {
    let Some(list) = &route.check_domains else {
        return domains
            .first()
            .map(|domain| domain.value.clone())
            .into_iter()
            .collect();
    };
    no_duplicates(&list.items, "check domain", problems);
    if list.items.is_empty() && list.whole {
        problems
            .error(
                Rule::BadValue,
                &list.place,
                format!("{} has no domain to probe", title(route)),
            )
            .help("leave check_domains out to probe the first domain, or name some");
    }
    for domain in &list.items {
        if !domains.is_empty() && !domains.iter().any(|d| d.value == domain.value) {
            problems
                .warning(
                    Rule::ForeignCheckDomain,
                    &domain.place,
                    format!(
                        "check domain {} is not a domain of {}: pools that do not host it will be found down",
                        domain.value,
                        title(route)
                    ),
                )
                .help("probe a domain of the route, unless every pool hosts this one as well");
        }
    }
    let mut seen = BTreeSet::new();
    let all = list.items.iter().map(|domain| domain.value.clone());
    all.filter(|domain| seen.insert(domain.clone())).collect()
}

/// 10, 20, 30 … along the list, or what is written: for all pools or for none, rising.
fn priorities(route: &RouteDraft, problems: &mut ConfigProblems) -> Vec<u16> {
    let entries = &route.pools.items;
    let given: Vec<&At<u16>> = entries
        .iter()
        .filter_map(|e| e.value.priority.as_ref())
        .collect();
    let steps = (1..=u16::MAX).map(|step| step.saturating_mul(10));
    if given.is_empty() {
        return steps.take(entries.len()).collect();
    }
    if given.len() < entries.len() {
        if let Some(without) = entries.iter().find(|entry| entry.value.priority.is_none()) {
            problems
                .error(
                    Rule::PriorityMixed,
                    &without.place,
                    format!("{} gives priorities to some of its pools only", title(route)),
                )
                .label("no priority here")
                .also(&given[0].place, "a priority here")
                .help("give every pool a priority, or none: then they are 10, 20, 30 … along the list");
        }
        return steps.take(entries.len()).collect();
    }
    for pair in given.windows(2) {
        let [before, after] = pair else { continue };
        if after.value <= before.value {
            let what = if after.value == before.value {
                "partners would spread over both pools"
            } else {
                "the list says the pool before it is preferred, the numbers say this one"
            };
            problems
                .error(
                    Rule::PriorityOrder,
                    &after.place,
                    format!(
                        "priority {} does not rise above {}: {what}",
                        after.value, before.value
                    ),
                )
                .also(&before.place, "the pool before")
                .help("a lower number is preferred; number the pools upwards along the list");
        }
    }
    given.iter().map(|priority| priority.value).collect()
}

fn one_pool(route: &RouteDraft, problems: &mut ConfigProblems) {
    if let [only] = route.pools.items.as_slice()
        && route.pools.whole
    {
        problems
            .warning(
                Rule::OnePool,
                &only.place,
                format!(
                    "{} has one pool: there is nothing to fail over to",
                    title(route)
                ),
            )
            .help("add the second pool");
    }
}

/// Two pools on one address fail together, and one verdict would count for both.
fn shared_addresses(route: &RouteDraft, pools: &[(&Pool, &Place)], problems: &mut ConfigProblems) {
    let mut seen: BTreeMap<IpAddr, (&Pool, &Place)> = BTreeMap::new();
    for (pool, place) in pools {
        let addresses = pool.targets.iter().flat_map(|target| &target.addresses);
        let both: BTreeSet<IpAddr> = addresses.flat_map(|a| [a.publish, a.probe]).collect();
        for address in both {
            match seen.get(&address) {
                Some((other, other_place)) => {
                    problems
                        .error(
                            Rule::SharedAddress,
                            place,
                            format!(
                                "pools {} and {} of {} share the address {address}: they would fail together",
                                other.name,
                                pool.name,
                                title(route)
                            ),
                        )
                        .also(other_place, "the other pool")
                        .help("give each pool addresses of its own");
                }
                None => {
                    seen.insert(address, (pool, place));
                }
            }
        }
    }
}

fn need(route: &RouteDraft, pools: &[(&Pool, &Place)], problems: &mut ConfigProblems) {
    for (pool, place) in pools {
        let targets = pool.targets.len();
        if usize::try_from(route.need.value).is_ok_and(|need| need > targets) {
            let has = if targets == 1 {
                "one target".to_owned()
            } else {
                format!("{targets} targets")
            };
            problems
                .error(
                    Rule::Need,
                    &route.need.place,
                    format!(
                        "{} needs {} targets up, but pool {} has {has}: it could never be up",
                        title(route),
                        route.need.value,
                        pool.name
                    ),
                )
                .also(place, "this pool")
                .help(format!("write need = {targets} or less, or add targets"));
        }
    }
}

fn families(route: &RouteDraft, pools: &[(&Pool, &Place)], problems: &mut ConfigProblems) {
    let Some(required) = &route.require_families else {
        return;
    };
    for (pool, place) in pools {
        let addresses = || pool.targets.iter().flat_map(|target| &target.addresses);
        let published: BTreeSet<Family> = addresses().map(|a| Family::of(a.publish)).collect();
        for family in required.value.difference(&published) {
            problems
                .error(
                    Rule::FamilyMissing,
                    &required.place,
                    format!(
                        "{} requires {family}, but pool {} publishes no {family} address: it could never be up",
                        title(route),
                        pool.name
                    ),
                )
                .also(place, "this pool")
                .help(format!("publish an {family} address for it, or do not require {family}"));
        }
    }
}

/// A family that a preferred pool publishes and a later one does not is gone after a move.
fn vanishing(route: &RouteDraft, pools: &[(&Pool, &Place)], problems: &mut ConfigProblems) {
    for (number, (pool, place)) in pools.iter().enumerate() {
        for family in Family::ALL {
            let mut before = pools[..number].iter();
            let Some((other, other_place)) = before.find(|(before, _)| before.publishes(family))
            else {
                continue;
            };
            let required = route.require_families.as_ref();
            if pool.publishes(family) || required.is_some_and(|f| f.value.contains(&family)) {
                continue;
            }
            let record = family.record();
            let gone = match &route.address {
                Some(owner) => format!(
                    "after a move to pool {} the {record} record of {} is gone",
                    pool.name,
                    owner.value.as_str()
                ),
                None => format!(
                    "after a move to pool {} its targets have no {record} record",
                    pool.name
                ),
            };
            problems
                .warning(
                    Rule::FamilyVanishes,
                    place,
                    format!(
                        "{}: {gone}: the pool publishes no {family} address, and {} does",
                        title(route),
                        other.name
                    ),
                )
                .also(other_place, format!("this pool has an {family} address"))
                .help(format!(
                    "publish an {family} address for it; partners without the other family cannot reach it"
                ));
        }
    }
}

fn policy(route: &RouteDraft, problems: &mut ConfigProblems) {
    let ttl = &route.ttl;
    if ttl.value > 3600 {
        problems
            .warning(
                Rule::Ttl,
                &ttl.place,
                format!(
                    "ttl {}: partners keep a dead pool's answer that long after a failover",
                    humantime::format_duration(Duration::from_secs(ttl.value.into()))
                ),
            )
            .help("30 s to 60 s suits names that are switched");
    } else if ttl.value < 5 {
        problems
            .warning(
                Rule::Ttl,
                &ttl.place,
                format!(
                    "ttl {} s: below 30 s many resolvers and servers keep the answer longer anyway, and every message asks again",
                    ttl.value
                ),
            )
            .help("30 s to 60 s suits names that are switched");
    }
    let hold_down = &route.hold_down;
    let text = humantime::format_duration(hold_down.value);
    if hold_down.value > Duration::from_secs(24 * 3600) {
        problems
            .warning(
                Rule::HoldDown,
                &hold_down.place,
                format!("hold_down {text}: a pool that came back waits longer than a day"),
            )
            .help("10 min is the default; failback = \"manual\" waits for a person instead");
    } else if route.failback == FailbackPolicy::Auto && hold_down.value < Duration::from_secs(60) {
        problems
            .warning(
                Rule::HoldDown,
                &hold_down.place,
                format!("hold_down {text} with failback = \"auto\": a pool that flaps takes the partners with it each time"),
            )
            .help("10 min is the default");
    }
}
