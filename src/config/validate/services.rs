//! Services of a route: ports, modes, target names.

use std::collections::BTreeMap;

use crate::topology::{DomainName, Mode, OwnerTemplate, Pool, PoolName, Service, ServiceKind};

use super::super::draft::{Draft, RouteDraft, ServiceDraft};
use super::super::problem::{At, ConfigProblems, Place, Rule, no_duplicates};
use super::super::suggest::{nearest, quoted};
use super::check::{self, Subject};
use super::{Places, title};

/// Makes a route's services.
pub(super) fn services(
    draft: &Draft,
    route: &RouteDraft,
    domains: &[At<DomainName>],
    check_domains: &[DomainName],
    pools: &[(&Pool, &Place)],
    places: &mut Places,
    problems: &mut ConfigProblems,
) -> Vec<Service> {
    let kinds: Vec<At<ServiceKind>> = route.services.iter().map(|s| s.kind.clone()).collect();
    no_duplicates(&kinds, "service", problems);
    let name = route.name.as_ref().map_or("", |name| name.value.as_str());
    // What is probed is asked for by name as well, so `from` must be none of these either.
    let mut hosted = domains.to_vec();
    if let Some(list) = &route.check_domains {
        let items = list
            .items
            .iter()
            .filter(|d| check_domains.contains(&d.value));
        hosted.extend(items.cloned());
    }
    let mut services: Vec<Service> = Vec::new();
    for service in &route.services {
        let subject = Subject {
            kind: service.kind.value,
            route: name,
            place: &service.kind.place,
            domains: &hosted,
        };
        let layers = [&draft.health.check, &route.check, &service.check];
        let settings = check::settings(&subject, layers, problems);
        let kind = service.kind.value;
        let target_names = target_names(route, service, pools, places, problems);
        let built = Service {
            kind,
            mode: mode(service, problems),
            required: service.required,
            owner: owner(service),
            port: port(route, service, problems),
            target_names,
            check: settings,
        };
        single(route, &built, service, pools, problems);
        tell_apart(route, &built, service, domains, pools, problems);
        if kind == ServiceKind::SipFederationTls {
            directly_in_domain(route, &built, service, domains, pools, problems);
        }
        if services.iter().all(|other| other.kind != kind) {
            services.push(built);
        }
    }
    services
}

/// The owner template of a service, the standard one unless configured.
pub(in super::super) fn owner(service: &ServiceDraft) -> OwnerTemplate {
    match &service.owner {
        Some(owner) => owner.value.clone(),
        None => OwnerTemplate::new(service.kind.value.default_owner())
            .expect("the standard owner names are names"),
    }
}

fn port(route: &RouteDraft, service: &ServiceDraft, problems: &mut ConfigProblems) -> u16 {
    let standard = service.kind.value.standard_port();
    let Some(port) = &service.port else {
        return standard;
    };
    if port.value != standard && !service.allow_nonstandard_port {
        problems
            .error(
                Rule::Port,
                &port.place,
                format!(
                    "{} of {} on port {}: partners and their firewalls expect {standard}",
                    service.kind.value,
                    title(route),
                    port.value
                ),
            )
            .help(format!(
                "write port = {standard}, or allow_nonstandard_port = true if you are sure"
            ));
    }
    port.value
}

/// `order`, unless configured; SIP partners take the first record and no other.
fn mode(service: &ServiceDraft, problems: &mut ConfigProblems) -> Mode {
    if service.kind.value != ServiceKind::SipFederationTls {
        return service.mode.as_ref().map_or(Mode::Order, |mode| mode.value);
    }
    if let Some(mode) = service
        .mode
        .as_ref()
        .filter(|mode| mode.value != Mode::Single)
    {
        problems
            .error(
                Rule::SipMode,
                &mode.place,
                format!("sipfederationtls in mode \"{}\": Lync partners do not fail over along SRV priorities", mode.value),
            )
            .help("write mode = \"single\", or leave it out: the active pool is then the only record");
    }
    Mode::Single
}

/// SRV target names where they differ from the targets' own: as many as the pool has targets.
fn target_names(
    route: &RouteDraft,
    service: &ServiceDraft,
    pools: &[(&Pool, &Place)],
    places: &mut Places,
    problems: &mut ConfigProblems,
) -> BTreeMap<PoolName, Vec<DomainName>> {
    let mut names = BTreeMap::new();
    for (pool_name, list) in &service.targets {
        for name in &list.items {
            places
                .targets
                .insert(name.value.clone(), name.place.clone());
        }
        no_duplicates(&list.items, "target", problems);
        if route
            .pools
            .items
            .iter()
            .all(|entry| entry.value.pool.value != pool_name.value)
        {
            let of_route = route
                .pools
                .items
                .iter()
                .map(|e| e.value.pool.value.as_str());
            let text = format!(
                "targets names pool {}, which {} does not use",
                pool_name.value,
                title(route)
            );
            let near = nearest(pool_name.value.as_str(), of_route.clone());
            problems
                .error(Rule::UnknownPool, &pool_name.place, text)
                .help(match near {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("its pools are {}", quoted(of_route, "and")),
                });
            continue;
        }
        let Some((pool, _)) = pools.iter().find(|(pool, _)| pool.name == pool_name.value) else {
            continue;
        };
        if list.whole && list.items.len() != pool.targets.len() {
            problems
                .error(
                    Rule::BadValue,
                    &list.place,
                    format!(
                        "targets gives pool {} {} name(s), but it has {} target(s)",
                        pool.name,
                        list.items.len(),
                        pool.targets.len()
                    ),
                )
                .help("write one name for each [[pool.target]], in the same order");
            continue;
        }
        if list.whole {
            let own = list.items.iter().map(|name| name.value.clone()).collect();
            names.insert(pool.name.clone(), own);
        }
    }
    names
}

/// The name a partner is given for a target of a pool.
fn names_of<'a>(service: &'a Service, pool: &'a Pool) -> Vec<&'a DomainName> {
    match service.target_names.get(&pool.name) {
        Some(names) => names.iter().collect(),
        None => pool.targets.iter().map(|target| &target.name).collect(),
    }
}

fn single(
    route: &RouteDraft,
    service: &Service,
    draft: &ServiceDraft,
    pools: &[(&Pool, &Place)],
    problems: &mut ConfigProblems,
) {
    if service.mode != Mode::Single {
        return;
    }
    let at = draft
        .mode
        .as_ref()
        .map_or(&draft.kind.place, |mode| &mode.place);
    for (pool, place) in pools.iter().filter(|(pool, _)| pool.targets.len() > 1) {
        problems
            .error(
                Rule::SingleTargets,
                at,
                format!(
                    "{} of {} is in mode \"single\", but pool {} has {} targets: which one is meant is unclear",
                    service.kind,
                    title(route),
                    pool.name,
                    pool.targets.len()
                ),
            )
            .also(place, "this pool")
            .help("give the pool one target with several addresses, or use mode = \"order\"");
    }
}

/// Partners tell pools apart by the names in SRV records. One name for two pools is right only where the name's
/// addresses move with the active pool, and nothing else is shown.
fn tell_apart(
    route: &RouteDraft,
    service: &Service,
    draft: &ServiceDraft,
    domains: &[At<DomainName>],
    pools: &[(&Pool, &Place)],
    problems: &mut ConfigProblems,
) {
    let steered: Vec<DomainName> = match &route.address {
        Some(address) => domains
            .iter()
            .filter_map(|domain| address.value.for_domain(&domain.value).ok())
            .collect(),
        None => Vec::new(),
    };
    let mut seen: BTreeMap<&DomainName, (&Pool, &Place)> = BTreeMap::new();
    for (pool, place) in pools {
        for name in names_of(service, pool) {
            let moves = service.mode == Mode::Single && steered.contains(name);
            let Some((other, other_place)) = seen.insert(name, (pool, place)) else {
                continue;
            };
            if other.name == pool.name || moves {
                continue;
            }
            problems
                .error(
                    Rule::TargetCollision,
                    &draft.kind.place,
                    format!(
                        "{} of {}: pools {} and {} have the same target {name}, so partners cannot tell them apart",
                        service.kind,
                        title(route),
                        other.name,
                        pool.name
                    ),
                )
                .also(other_place, "one pool")
                .also(place, "the other")
                .help("give each pool's target a name of its own: targets = { pool = [\"name\"] }");
        }
    }
}

/// Lync matches the SIP domain with the target's parent, label by label.
fn directly_in_domain(
    route: &RouteDraft,
    service: &Service,
    draft: &ServiceDraft,
    domains: &[At<DomainName>],
    pools: &[(&Pool, &Place)],
    problems: &mut ConfigProblems,
) {
    for (pool, _) in pools {
        for name in names_of(service, pool) {
            let outside = |domain: &&At<DomainName>| name.parent().as_ref() != Some(&domain.value);
            let Some(domain) = domains.iter().find(outside) else {
                continue;
            };
            let place = draft.targets.iter().find(|(own, _)| own.value == pool.name);
            let place = place.map_or(&draft.kind.place, |(_, list)| &list.place);
            let help = if domains.len() == 1 {
                format!(
                    "write targets = {{ {} = [\"sipfed1.{}\"] }}, and that name into the certificate",
                    pool.name, domain.value
                )
            } else {
                "give each domain with SIP federation a route of its own".to_owned()
            };
            problems
                .error(
                    Rule::SipTarget,
                    place,
                    format!(
                        "sipfederationtls of {}: target {name} of pool {} does not lie directly in {}, so Lync partners refuse it",
                        title(route),
                        pool.name,
                        domain.value
                    ),
                )
                .also(&domain.place, "the domain")
                .help(help);
        }
    }
}
