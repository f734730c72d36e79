//! Targets: what the verdicts of checks say about the targets of a pool as one route uses it.
//!
//! In: the health of the checks of the pool. Out: the verdict of each target per service and family, a [`TargetHealth`].
//! Never here: what decides about a pool (`pool`).
//!
//! - An *address* is as bad as the worst of its check domains (of its required services): a partner of any domain may come.
//! - A *target* has a service in a family when the best of its addresses there has it: what is dead is withheld from the
//!   federation address record, and partners that connect to an SRV target try its other addresses (RFC 6120 §3.2.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::verdict::{AddressHealth, CheckHealth, TargetHealth, Verdict};
use crate::topology::{CheckUse, Family, Pool, Route, ServiceKind};

/// A check's health in the place where it counts.
pub(super) struct Seen<'a> {
    pub(super) usage: &'a CheckUse,
    pub(super) health: &'a CheckHealth,
}

/// The worst over check domains, per service, target and published address.
pub(super) struct Table(BTreeMap<(ServiceKind, usize, IpAddr), Verdict>);

impl Table {
    pub(super) fn of(seen: &[Seen<'_>]) -> Table {
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
    pub(super) fn enough_targets(
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

/// How one target of a pool is, service by service and address by address.
pub(super) fn target_health(
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
