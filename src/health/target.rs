//! Targets: what the verdicts of checks say about the targets of a pool as one route uses it.
//!
//! In: the health of the checks of the pool. Out: the verdict of each target per service and family, a [`TargetHealth`].
//! Never here: what decides about a pool (`pool`).
//!
//! - An *address* is as bad as the worst of its check domains (of its required services): a partner of any domain may come.
//! - A *target* has a service in a family when the best of its addresses there has it: what is dead is withheld from the
//!   federation address record, and partners that connect to an SRV target try its other addresses (RFC 6120 §3.2.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::verdict::{AddressHealth, CheckHealth, TargetHealth, Verdict};
use crate::topology::{CheckUse, Family, Pool, Route, ServiceKind};

/// A check's health in the place where it counts.
pub(super) struct Seen<'a> {
    pub(super) usage: &'a CheckUse,
    pub(super) health: &'a CheckHealth,
}

/// The worst over check domains, per service, target and published address; ordered, so that one target's part is a range.
pub(super) struct Table<V>(BTreeMap<(ServiceKind, usize, IpAddr), V>);

impl<V: Ord + Copy> Table<V> {
    /// `best` is what an address has before any of its checks is looked at, `value` what a check says of it.
    pub(super) fn of(seen: &[Seen<'_>], best: V, value: impl Fn(&Seen<'_>) -> V) -> Table<V> {
        let mut table = BTreeMap::new();
        for one in seen {
            let usage = one.usage;
            let cell = table
                .entry((usage.service, usage.target, usage.publish))
                .or_insert(best);
            *cell = (*cell).max(value(one));
        }
        Table(table)
    }

    /// The best over the addresses of one family; none when the target publishes none of it.
    fn target(&self, service: ServiceKind, target: usize, family: Family) -> Option<V> {
        // IPv4 addresses sort before IPv6 ones.
        let lowest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let highest = IpAddr::V6(Ipv6Addr::from(u128::MAX));
        self.0
            .range((service, target, lowest)..=(service, target, highest))
            .inspect(|_| looked_at())
            .filter(|((_, _, address), _)| Family::of(*address) == family)
            .map(|(_, value)| *value)
            .min()
    }

    /// What at least `need` targets reach or better; none where no target has the service in the family. A pool with
    /// fewer targets than that (in this family) needs all of them: the configuration refuses such a `need`, and this
    /// must not make it down.
    pub(super) fn enough_targets(
        &self,
        service: ServiceKind,
        family: Family,
        pool: &Pool,
        need: u32,
    ) -> Option<V> {
        let mut values: Vec<V> = (0..pool.targets.len())
            .filter_map(|target| self.target(service, target, family))
            .collect();
        values.sort_unstable();
        let need = usize::try_from(need).unwrap_or(usize::MAX);
        let place = need.clamp(1, values.len().max(1)) - 1;
        values.get(place).copied()
    }
}

/// The health of the addresses of each target, for the required services.
pub(super) fn addresses(
    pool: &Pool,
    required: &BTreeSet<ServiceKind>,
    seen: &[Seen<'_>],
) -> Vec<BTreeMap<IpAddr, AddressHealth>> {
    let mut all = vec![BTreeMap::new(); pool.targets.len()];
    for Seen { usage, health } in seen {
        let Some(addresses) = all
            .get_mut(usage.target)
            .filter(|_| required.contains(&usage.service))
        else {
            continue;
        };
        let address = addresses.entry(usage.publish).or_insert(AddressHealth {
            family: Family::of(usage.publish),
            verdict: Verdict::Up,
            proven: true,
        });
        address.verdict = address.verdict.max(health.verdict);
        address.proven &= health.proven;
    }
    all
}

/// How one target of a pool is, service by service and address by address.
pub(super) fn target_health(
    index: usize,
    pool: &Pool,
    route: &Route,
    required: &BTreeSet<ServiceKind>,
    families: &BTreeSet<Family>,
    table: &Table<Verdict>,
    addresses: BTreeMap<IpAddr, AddressHealth>,
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
    TargetHealth {
        name: target.name.clone(),
        verdict,
        services,
        addresses,
    }
}

#[cfg(not(test))]
fn looked_at() {}

#[cfg(test)]
fn looked_at() {
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + 1);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;
    use crate::clock::{Mono, Wall};
    use crate::topology::{CheckId, Target};

    thread_local! {
        /// Cells of tables that were looked at.
        pub(super) static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn every_target_looks_at_its_own_addresses_only() {
        let count = 2_000_u16;
        let address = |n: u16| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
        let pool = Pool {
            name: "pool".parse().unwrap(),
            site: None,
            targets: (0..count)
                .map(|n| Target {
                    name: format!("edge{n}.contoso.com").parse().unwrap(),
                    addresses: Vec::new(),
                    source: None,
                })
                .collect(),
        };
        let health = CheckHealth {
            verdict: Verdict::Down,
            since: Mono::START,
            since_wall: Wall::default(),
            suspect: false,
            failures: 3,
            successes: 0,
            proven: false,
            last: None,
            last_wall: None,
            cause: None,
            observed: 1,
        };
        let uses: Vec<CheckUse> = (0..count)
            .map(|n| CheckUse {
                service: ServiceKind::XmppServer,
                target: n.into(),
                publish: address(n),
                check: CheckId::from(format!("{n}")),
            })
            .collect();
        let seen: Vec<Seen<'_>> = uses
            .iter()
            .map(|usage| Seen {
                usage,
                health: &health,
            })
            .collect();
        let table = Table::of(&seen, Verdict::Up, |seen| seen.health.verdict);
        LOOKED_AT.set(0);
        let enough =
            |need| table.enough_targets(ServiceKind::XmppServer, Family::Ipv4, &pool, need);
        assert_eq!(enough(1), Some(Verdict::Down));
        assert_eq!(
            LOOKED_AT.get(),
            usize::from(count),
            "one cell for each target"
        );
    }
}
