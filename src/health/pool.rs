//! Pools: what the verdicts of checks say about a pool as one route uses it.
//!
//! In: the route, the pool, the health of its checks. Out: a [`PoolHealth`]. Never here: operator's will, which
//! pool is better, what to publish; those are `decide/`.
//!
//! A pool has a service in a family as its `need`-th best target has it (`target`); the pool is the worst of its required
//! services and families.

use std::collections::BTreeSet;

use super::target::{Seen, Table, addresses, target_health};
use super::verdict::{CheckHealth, Evidence, PoolHealth, Verdict};
use crate::clock::Now;
use crate::topology::{CheckId, CheckUse, Family, Pool, Route, ServiceKind};

/// Works out a pool's health. `previous` gives the moment since which an unchanged verdict has held.
pub(super) fn pool_health<'a>(
    route: &Route,
    pool: &Pool,
    uses: &[CheckUse],
    check: impl Fn(&CheckId) -> Option<&'a CheckHealth>,
    previous: Option<&PoolHealth>,
    now: Now,
) -> PoolHealth {
    let seen: Vec<Seen<'_>> = uses
        .iter()
        .filter_map(|usage| check(&usage.check).map(|health| Seen { usage, health }))
        .collect();
    let required = required_services(route);
    let families = required_families(route, pool);
    let table = Table::of(&seen, Verdict::Up, |seen| seen.health.verdict);
    let enough = |service, family| table.enough_targets(service, family, pool, route.need);

    let verdict = required
        .iter()
        .flat_map(|service| families.iter().map(|family| (*service, *family)))
        .map(|(service, family)| enough(service, family).unwrap_or(Verdict::Unknown))
        .max()
        .unwrap_or(Verdict::Unknown);
    let optional = route
        .services
        .iter()
        .map(|service| service.kind)
        .filter(|kind| !required.contains(kind))
        .filter_map(|kind| {
            let verdict = families
                .iter()
                .map(|family| enough(kind, *family).unwrap_or(Verdict::Unknown))
                .max()?;
            (verdict != Verdict::Up).then_some((kind, verdict))
        })
        .collect();
    let whole = seen
        .iter()
        .filter(|seen| required.contains(&seen.usage.service))
        .all(|seen| seen.health.verdict == Verdict::Up);
    let (since, since_wall) = match previous {
        Some(previous) if previous.verdict == verdict => (previous.since, previous.since_wall),
        _ => (now.mono, now.wall),
    };
    PoolHealth {
        verdict,
        partial: verdict == Verdict::Up && !whole,
        since,
        since_wall,
        observed: seen.iter().all(|seen| seen.health.observed > 0),
        targets: addresses(pool, &required, &seen)
            .into_iter()
            .enumerate()
            .map(|(index, addresses)| {
                target_health(index, pool, route, &required, &families, &table, addresses)
            })
            .collect(),
        optional,
        evidence: evidence(&seen, &required),
    }
}

/// The services that decide. When none is marked as required, all are: a pool must be judged by something.
pub(super) fn required_services(route: &Route) -> BTreeSet<ServiceKind> {
    let marked: BTreeSet<ServiceKind> = route
        .services
        .iter()
        .filter(|service| service.required)
        .map(|service| service.kind)
        .collect();
    if marked.is_empty() {
        return route.services.iter().map(|service| service.kind).collect();
    }
    marked
}

/// The families that decide: those configured, as far as the pool publishes them; else IPv4 where the pool
/// publishes it, else IPv6. A family that a pool does not publish at all cannot keep it from being up.
pub(super) fn required_families(route: &Route, pool: &Pool) -> BTreeSet<Family> {
    let published: BTreeSet<Family> = pool
        .targets
        .iter()
        .flat_map(|target| &target.addresses)
        .map(|address| Family::of(address.publish))
        .collect();
    let configured: BTreeSet<Family> = route
        .require_families
        .iter()
        .flatten()
        .copied()
        .filter(|family| published.contains(family))
        .collect();
    if configured.is_empty() {
        return published.into_iter().take(1).collect(); // IPv4 sorts first
    }
    configured
}

impl PoolHealth {
    /// Shows what a check with the same verdict as before has come to. Evidence is in order, so it is found at once.
    pub(super) fn renew_evidence(&mut self, id: &CheckId, health: &CheckHealth) {
        let place = self.evidence.binary_search_by(|one| {
            let verdict = health.verdict.cmp(&one.verdict);
            verdict.then_with(|| one.check.cmp(id))
        });
        if let Ok(place) = place {
            self.evidence[place] = evidence_of(id, health);
        }
    }
}

fn evidence_of(id: &CheckId, health: &CheckHealth) -> Evidence {
    let cause = health.cause.clone().or_else(|| health.last.clone());
    Evidence {
        check: id.clone(),
        verdict: health.verdict,
        failures: health.failures,
        cause: cause.unwrap_or_else(|| "not observed yet".into()),
        at: health.last_wall.unwrap_or(health.since_wall),
    }
}

/// The checks of required services that are not up, worst first.
fn evidence(seen: &[Seen<'_>], required: &BTreeSet<ServiceKind>) -> Vec<Evidence> {
    let mut named = BTreeSet::new();
    let mut evidence: Vec<Evidence> = seen
        .iter()
        .filter(|seen| required.contains(&seen.usage.service) && seen.health.verdict != Verdict::Up)
        .filter(|seen| named.insert(&seen.usage.check))
        .map(|Seen { usage, health }| evidence_of(&usage.check, health))
        .collect();
    evidence.sort_by(|a, b| {
        b.verdict
            .cmp(&a.verdict)
            .then_with(|| a.check.cmp(&b.check))
    });
    evidence
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Mono, Wall};
    use crate::topology::{
        Address, CheckSettings, FailbackPolicy, FailoverPolicy, Mode, Nameservers, OwnerTemplate,
        RoutePool, Service, Target, Topology, ZonePlacement,
    };

    const V4: &str = "192.0.2.10";
    const V4_OTHER: &str = "192.0.2.11";
    const V6: &str = "2001:db8::10";

    /// A pool whose checks have the verdicts of the first rule whose text their identifier contains; else up.
    struct Case {
        targets: Vec<Vec<&'static str>>,
        services: Vec<(ServiceKind, bool)>,
        domains: usize,
        need: u32,
        families: Option<BTreeSet<Family>>,
        rules: Vec<(&'static str, Verdict)>,
    }

    impl Case {
        fn new(targets: &[&[&'static str]], rules: &[(&'static str, Verdict)]) -> Case {
            Case {
                targets: targets.iter().map(|target| target.to_vec()).collect(),
                services: vec![(ServiceKind::XmppServer, true)],
                domains: 1,
                need: 1,
                families: None,
                rules: rules.to_vec(),
            }
        }

        fn health(&self) -> PoolHealth {
            let (pool, route) = (self.pool(), self.route());
            let topology = Topology::new(
                BTreeMap::from([(pool.name.clone(), pool.clone())]),
                BTreeMap::from([(route.name.clone(), route.clone())]),
                BTreeMap::new(),
                Nameservers {
                    servers: Vec::new(),
                    hostmaster: None,
                    negative_ttl: 30,
                    ttl: 3600,
                },
                Vec::new(),
            );
            let uses = topology.checks_of(&route.name, &pool.name);
            let known: BTreeMap<CheckId, CheckHealth> = uses
                .iter()
                .map(|usage| (usage.check.clone(), self.check(&usage.check)))
                .collect();
            let now = Now {
                mono: Mono::from_micros(7),
                wall: Wall::from_millis(7),
            };
            pool_health(&route, &pool, uses, |id| known.get(id), None, now)
        }

        fn check(&self, id: &CheckId) -> CheckHealth {
            let rule = self
                .rules
                .iter()
                .find(|(text, _)| id.as_str().contains(text));
            let verdict = rule.map_or(Verdict::Up, |(_, verdict)| *verdict);
            CheckHealth {
                verdict,
                since: Mono::START,
                since_wall: Wall::from_millis(0),
                suspect: false,
                failures: 3,
                successes: 0,
                proven: verdict == Verdict::Up,
                last: None,
                last_wall: None,
                cause: Some("silence".into()),
                observed: 1,
            }
        }

        fn pool(&self) -> Pool {
            let targets = self
                .targets
                .iter()
                .enumerate()
                .map(|(n, addresses)| Target {
                    name: format!("edge{n}.contoso.com").parse().unwrap(),
                    addresses: addresses
                        .iter()
                        .map(|text| Address {
                            publish: text.parse().unwrap(),
                            probe: text.parse().unwrap(),
                        })
                        .collect(),
                    source: None,
                });
            Pool {
                name: "pool".parse().unwrap(),
                site: None,
                targets: targets.collect(),
            }
        }

        fn route(&self) -> Route {
            let domains: Vec<_> = (0..self.domains)
                .map(|n| format!("d{n}.contoso.com").parse().unwrap())
                .collect();
            let services = self.services.iter().map(|(kind, required)| Service {
                kind: *kind,
                mode: Mode::Order,
                required: *required,
                owner: OwnerTemplate::new(kind.default_owner()).unwrap(),
                port: kind.standard_port(),
                target_names: BTreeMap::new(),
                check: CheckSettings::default_for(*kind),
            });
            Route {
                name: "route".parse().unwrap(),
                domains: domains.clone(),
                check_domains: domains,
                pools: vec![RoutePool {
                    pool: "pool".parse().unwrap(),
                    priority: 10,
                }],
                zones: ZonePlacement::Owners,
                failover: FailoverPolicy::Auto,
                failback: FailbackPolicy::Manual,
                hold_down: Duration::from_secs(600),
                ttl: 30,
                max_switches: 6,
                need: self.need,
                require_families: self.families.clone(),
                address: None,
                services: services.collect(),
            }
        }
    }

    fn summary(health: &PoolHealth) -> (Verdict, bool) {
        (health.verdict, health.partial)
    }

    #[test]
    fn one_target_up_is_enough_and_the_pool_is_partial() {
        let down = (V4_OTHER, Verdict::Down);
        let health = Case::new(&[&[V4], &[V4_OTHER]], &[down]).health();
        assert_eq!(summary(&health), (Verdict::Up, true));
        assert_eq!(health.targets[0].verdict, Verdict::Up);
        assert_eq!(health.targets[1].verdict, Verdict::Down);
        assert_eq!(health.evidence.len(), 1);
        assert_eq!(health.evidence[0].cause, "silence");
    }

    #[test]
    fn need_says_how_many_targets_must_be_up() {
        let down = (V4_OTHER, Verdict::Down);
        let mut case = Case::new(&[&[V4], &[V4_OTHER]], &[down]);
        case.need = 2;
        assert_eq!(summary(&case.health()), (Verdict::Down, false));
        case.rules = vec![(V4_OTHER, Verdict::Degraded)];
        assert_eq!(summary(&case.health()), (Verdict::Degraded, false));
        case.rules.clear();
        assert_eq!(summary(&case.health()), (Verdict::Up, false));
        case.need = 9;
        assert_eq!(
            summary(&case.health()),
            (Verdict::Up, false),
            "all there are"
        );
    }

    #[test]
    fn the_best_among_enough_targets_decides() {
        let rules = [(V4, Verdict::Down), (V4_OTHER, Verdict::Unknown)];
        let health = Case::new(&[&[V4], &[V4_OTHER]], &rules).health();
        assert_eq!(summary(&health), (Verdict::Unknown, false));
        let worst = health
            .evidence
            .iter()
            .map(|e| e.verdict)
            .collect::<Vec<_>>();
        assert_eq!(worst, [Verdict::Down, Verdict::Unknown], "worst first");
    }

    #[test]
    fn a_target_with_several_addresses_is_up_while_one_of_them_is() {
        let down = (V4_OTHER, Verdict::Down);
        let health = Case::new(&[&[V4, V4_OTHER]], &[down]).health();
        assert_eq!(summary(&health), (Verdict::Up, true));
        let addresses = &health.targets[0].addresses;
        assert_eq!(addresses[&V4.parse().unwrap()].verdict, Verdict::Up);
        assert_eq!(addresses[&V4_OTHER.parse().unwrap()].verdict, Verdict::Down);
        assert!(!addresses[&V4_OTHER.parse().unwrap()].proven);
    }

    #[test]
    fn ipv4_decides_where_it_is_published_and_dead_ipv6_makes_partial() {
        let health = Case::new(&[&[V4, V6]], &[("2001:db8", Verdict::Down)]).health();
        assert_eq!(summary(&health), (Verdict::Up, true));
        let health = Case::new(&[&[V4, V6]], &[(V4, Verdict::Down)]).health();
        assert_eq!(summary(&health), (Verdict::Down, false));
    }

    #[test]
    fn a_pool_with_ipv6_only_is_judged_by_it() {
        let health = Case::new(&[&[V6]], &[("2001:db8", Verdict::Down)]).health();
        assert_eq!(summary(&health), (Verdict::Down, false));
        let mut case = Case::new(&[&[V6]], &[]);
        case.families = Some(BTreeSet::from([Family::Ipv4]));
        assert_eq!(
            summary(&case.health()),
            (Verdict::Up, false),
            "nothing of it is published"
        );
    }

    #[test]
    fn required_families_can_be_configured() {
        let mut case = Case::new(&[&[V4, V6]], &[("2001:db8", Verdict::Down)]);
        case.families = Some(BTreeSet::from(Family::ALL));
        assert_eq!(summary(&case.health()), (Verdict::Down, false));
        case.families = Some(BTreeSet::from([Family::Ipv6]));
        case.rules = vec![(V4, Verdict::Down)];
        assert_eq!(summary(&case.health()), (Verdict::Up, true));
    }

    #[test]
    fn the_worst_check_domain_of_an_address_counts() {
        let mut case = Case::new(&[&[V4]], &[("d1.contoso.com", Verdict::Down)]);
        case.domains = 3;
        assert_eq!(summary(&case.health()), (Verdict::Down, false));
    }

    #[test]
    fn a_service_that_is_not_required_only_shows() {
        let mut case = Case::new(&[&[V4]], &[("xmpps-server", Verdict::Down)]);
        case.services.push((ServiceKind::XmppsServer, false));
        let health = case.health();
        assert_eq!(summary(&health), (Verdict::Up, false));
        assert_eq!(health.optional[&ServiceKind::XmppsServer], Verdict::Down);
        assert_eq!(
            health.targets[0].services[&ServiceKind::XmppsServer],
            Verdict::Down
        );
        assert_eq!(health.targets[0].verdict, Verdict::Up);
        assert!(health.targets[0].addresses[&V4.parse().unwrap()].proven);
        assert!(health.evidence.is_empty());
        case.services[1].1 = true;
        assert_eq!(summary(&case.health()), (Verdict::Down, false));
        assert!(case.health().optional.is_empty());
    }

    #[test]
    fn a_route_that_requires_no_service_is_judged_by_all() {
        let mut case = Case::new(&[&[V4]], &[("xmpp-server", Verdict::Down)]);
        case.services[0].1 = false;
        assert_eq!(summary(&case.health()), (Verdict::Down, false));
    }
}
