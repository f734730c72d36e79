//! Pools: what the verdicts of checks say about a pool as one route uses it.
//!
//! In: the route, the pool, the health of its checks. Out: a [`PoolHealth`]. Never here: operator's will, which
//! pool is better, what to publish; those are `decide/`.
//!
//! - An *address* is as bad as the worst of its check domains (of its required services): a partner of any domain may come.
//! - A *target* has a service in a family when the best of its addresses there has it: what is dead is withheld from the
//!   federation address record, and partners that connect to an SRV target try its other addresses (RFC 6120 §3.2.1).
//! - A *pool* has a service in a family as its `need`-th best target has it; the pool is the worst of its required
//!   services and families.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::verdict::{AddressHealth, CheckHealth, Evidence, PoolHealth, TargetHealth, Verdict};
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
    let table = Table::of(&seen);

    let verdict = required
        .iter()
        .flat_map(|service| families.iter().map(|family| (*service, *family)))
        .map(|(service, family)| table.enough_targets(service, family, pool, route.need))
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
                .map(|family| table.enough_targets(kind, *family, pool, route.need))
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
        targets: (0..pool.targets.len())
            .map(|index| target_health(index, pool, route, &required, &families, &table, &seen))
            .collect(),
        optional,
        evidence: evidence(&seen, &required),
    }
}

/// A check's health in the place where it counts.
struct Seen<'a> {
    usage: &'a CheckUse,
    health: &'a CheckHealth,
}

/// The worst over check domains, per service, target and published address.
struct Table(BTreeMap<(ServiceKind, usize, IpAddr), Verdict>);

impl Table {
    fn of(seen: &[Seen<'_>]) -> Table {
        let mut table = BTreeMap::new();
        for Seen { usage, health } in seen {
            let cell = table
                .entry((usage.service, usage.target, usage.publish))
                .or_insert(Verdict::Up);
            *cell = (*cell).max(health.verdict);
        }
        Table(table)
    }

    /// The best over the addresses of one family; none when the target publishes none of it.
    fn target(&self, service: ServiceKind, target: usize, family: Family) -> Option<Verdict> {
        self.0
            .iter()
            .filter(|((s, t, address), _)| {
                *s == service && *t == target && Family::of(*address) == family
            })
            .map(|(_, verdict)| *verdict)
            .min()
    }

    /// The verdict that at least `need` targets reach or better. A pool with fewer targets than that (in this
    /// family) needs all of them: the configuration refuses such a `need`, and this must not make it down.
    fn enough_targets(
        &self,
        service: ServiceKind,
        family: Family,
        pool: &Pool,
        need: u32,
    ) -> Verdict {
        let mut verdicts: Vec<Verdict> = (0..pool.targets.len())
            .filter_map(|target| self.target(service, target, family))
            .collect();
        verdicts.sort_unstable();
        let need = usize::try_from(need).unwrap_or(usize::MAX);
        let place = need.clamp(1, verdicts.len().max(1)) - 1;
        verdicts.get(place).copied().unwrap_or(Verdict::Unknown)
    }
}

/// The services that decide. When none is marked as required, all are: a pool must be judged by something.
fn required_services(route: &Route) -> BTreeSet<ServiceKind> {
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
fn required_families(route: &Route, pool: &Pool) -> BTreeSet<Family> {
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

fn target_health(
    index: usize,
    pool: &Pool,
    route: &Route,
    required: &BTreeSet<ServiceKind>,
    families: &BTreeSet<Family>,
    table: &Table,
    seen: &[Seen<'_>],
) -> TargetHealth {
    let target = &pool.targets[index];
    let published: BTreeSet<Family> = target
        .addresses
        .iter()
        .map(|address| Family::of(address.publish))
        .collect();
    // A target that has no address of a required family is judged by those that it has.
    let mut judged: BTreeSet<Family> = published.intersection(families).copied().collect();
    if judged.is_empty() {
        judged = published;
    }
    let services: BTreeMap<ServiceKind, Verdict> = route
        .services
        .iter()
        .filter_map(|service| {
            let verdict = judged
                .iter()
                .filter_map(|family| table.target(service.kind, index, *family))
                .max()?;
            Some((service.kind, verdict))
        })
        .collect();
    let verdict = services
        .iter()
        .filter(|(kind, _)| required.contains(kind))
        .map(|(_, verdict)| *verdict)
        .max()
        .unwrap_or(Verdict::Unknown);
    let mut addresses: BTreeMap<IpAddr, AddressHealth> = BTreeMap::new();
    for Seen { usage, health } in seen {
        if usage.target != index || !required.contains(&usage.service) {
            continue;
        }
        let address = addresses.entry(usage.publish).or_insert(AddressHealth {
            family: Family::of(usage.publish),
            verdict: Verdict::Up,
            proven: true,
        });
        address.verdict = address.verdict.max(health.verdict);
        address.proven &= health.proven;
    }
    TargetHealth {
        name: target.name.clone(),
        verdict,
        services,
        addresses,
    }
}

/// The checks of required services that are not up, worst first.
fn evidence(seen: &[Seen<'_>], required: &BTreeSet<ServiceKind>) -> Vec<Evidence> {
    let mut named = BTreeSet::new();
    let mut evidence: Vec<Evidence> = seen
        .iter()
        .filter(|seen| required.contains(&seen.usage.service) && seen.health.verdict != Verdict::Up)
        .filter(|seen| named.insert(&seen.usage.check))
        .map(|Seen { usage, health }| Evidence {
            check: usage.check.clone(),
            verdict: health.verdict,
            failures: health.failures,
            cause: health
                .cause
                .clone()
                .or_else(|| health.last.clone())
                .unwrap_or_else(|| "not observed yet".into()),
            at: health.last_wall.unwrap_or(health.since_wall),
        })
        .collect();
    evidence.sort_by(|a, b| {
        b.verdict
            .cmp(&a.verdict)
            .then_with(|| a.check.cmp(&b.check))
    });
    evidence
}
