//! What a decision says: SRV records per service and addresses per family, from the order of the pools.
//!
//! In: the order, candidates, the last decision. Out: the records' content. Never here: owner names and
//! zones; those are `zone/`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::candidate::Candidate;
use super::{Inputs, SrvRecord};
use crate::health::Verdict;
use crate::topology::{DomainName, Family, Mode, Route, Service, ServiceKind};

/// The SRV records of every service. `order` has the active pool first; `settled` says that health may
/// not change anything now, so targets keep the place they have.
pub(super) fn services(
    inputs: &Inputs<'_>,
    order: &[&Candidate<'_>],
    settled: bool,
) -> BTreeMap<ServiceKind, Vec<SrvRecord>> {
    let services = inputs.route.services.iter();
    services
        .map(|service| (service.kind, records(inputs, service, order, settled)))
        .collect()
}

fn records(
    inputs: &Inputs<'_>,
    service: &Service,
    order: &[&Candidate<'_>],
    settled: bool,
) -> Vec<SrvRecord> {
    let priorities = dealt_priorities(inputs, order.len());
    let last = priorities.last().copied().unwrap_or(0);
    // Where the first priority is 0, adding it to the last would give the last again.
    let behind_all = last.saturating_add(u16::from(priorities.first() == Some(&0)));
    if service.mode == Mode::Single {
        let targets = order
            .first()
            .map(|pool| targets(service, pool))
            .unwrap_or_default();
        let priority = priorities.first().copied().unwrap_or(0);
        let one = targets.into_iter().take(1);
        return one
            .map(|(_, name)| record(service, priority, name))
            .collect();
    }
    let mut all = Vec::new();
    let mut kept = Vec::new();
    for (place, (pool, priority)) in order.iter().zip(&priorities).enumerate() {
        let behind = demoted(inputs, service, pool, last, settled);
        for (index, name) in targets(service, pool) {
            let is_behind = behind.contains(&index);
            // Half-dead servers trap partners (RFC 2782 clients stop at the first connection that is
            // accepted), so a dead target of a living pool stands behind every pool.
            let priority = if is_behind {
                behind_all.saturating_add(*priority)
            } else {
                *priority
            };
            let unfit = if settled {
                !was_there(inputs, service.kind, name)
            } else {
                pool.verdict() == Verdict::Down
            };
            let withdrawn = is_behind || (place > 0 && (unfit || pool.drained));
            let record = record(service, priority, name);
            if !withdrawn {
                kept.push(record.clone());
            }
            all.push(record);
        }
    }
    // When everything is down, `withdraw` renders as `order`: an SRV RRset is never empty, and partners
    // that can reach what we cannot are served.
    let all_down = order.iter().all(|pool| pool.verdict() == Verdict::Down);
    let mut records = match service.mode {
        Mode::Withdraw if !all_down && !kept.is_empty() => kept,
        _ => all,
    };
    records.sort();
    records
}

/// The configured priorities in rising order: the active pool gets the lowest, whichever pool it is.
fn dealt_priorities(inputs: &Inputs<'_>, count: usize) -> Vec<u16> {
    let mut priorities: Vec<u16> = inputs
        .route
        .pools
        .iter()
        .map(|pool| pool.priority)
        .collect();
    priorities.sort_unstable();
    priorities.truncate(count);
    priorities
}

/// The targets of a pool that go behind: drained, or down for this service. None when that would be all
/// of them: then the pool keeps its place as a whole.
fn demoted(
    inputs: &Inputs<'_>,
    service: &Service,
    pool: &Candidate<'_>,
    last: u16,
    settled: bool,
) -> Vec<usize> {
    let goes_behind = |index: usize, name: &DomainName| {
        let target = &pool.pool.targets[index];
        inputs
            .overrides
            .target_is_drained(pool.name(), &target.name)
            || if settled {
                was_behind(inputs, service.kind, name, last)
            } else {
                pool.service(index, service.kind) == Verdict::Down
            }
    };
    let all = targets(service, pool);
    let behind: Vec<usize> = all
        .iter()
        .filter(|(i, name)| goes_behind(*i, name))
        .map(|(i, _)| *i)
        .collect();
    if behind.len() == all.len() {
        Vec::new()
    } else {
        behind
    }
}

/// Whether the last decision had a record of this target.
fn was_there(inputs: &Inputs<'_>, kind: ServiceKind, name: &DomainName) -> bool {
    let decision = inputs.state.decision.as_ref();
    let records = decision.and_then(|decision| decision.services.get(&kind));
    records.is_some_and(|records| records.iter().any(|record| record.target == *name))
}

fn was_behind(inputs: &Inputs<'_>, kind: ServiceKind, name: &DomainName, last: u16) -> bool {
    let decision = inputs.state.decision.as_ref();
    let records = decision.and_then(|decision| decision.services.get(&kind));
    records.is_some_and(|records| {
        records
            .iter()
            .any(|record| record.target == *name && record.priority > last)
    })
}

/// The names a service's records carry for a pool, with the index of the target each stands for.
fn targets<'a>(service: &'a Service, pool: &Candidate<'a>) -> Vec<(usize, &'a DomainName)> {
    match service.target_names.get(pool.name()) {
        Some(names) => names.iter().enumerate().collect(),
        None => pool
            .pool
            .targets
            .iter()
            .map(|target| &target.name)
            .enumerate()
            .collect(),
    }
}

/// The name that a service's records carry for one target of a pool.
pub(super) fn target_name<'a>(
    route: &'a Route,
    kind: ServiceKind,
    pool: &Candidate<'a>,
    index: usize,
) -> Option<&'a DomainName> {
    let service = route.services.iter().find(|s| s.kind == kind)?;
    targets(service, pool)
        .into_iter()
        .find(|(at, _)| *at == index)
        .map(|(_, name)| name)
}

fn record(service: &Service, priority: u16, target: &DomainName) -> SrvRecord {
    SrvRecord {
        priority,
        weight: 0,
        port: service.port,
        target: target.clone(),
    }
}

/// The federation addresses: those of the active pool that are up. A dead family is left out while the
/// other lives; where nothing is up, the last set stays.
pub(super) fn addresses(
    inputs: &Inputs<'_>,
    active: &Candidate<'_>,
    settled: bool,
) -> BTreeMap<Family, Vec<IpAddr>> {
    if inputs.route.address.is_none() {
        return BTreeMap::new();
    }
    let last = inputs
        .state
        .decision
        .as_ref()
        .filter(|last| last.active == *active.name());
    let known = Addresses {
        inputs,
        active,
        last: last.map(|last| &last.addresses),
        settled,
    };
    let usable: BTreeMap<Family, Vec<IpAddr>> = Family::ALL
        .into_iter()
        .map(|family| (family, known.usable(family)))
        .filter(|(_, addresses)| !addresses.is_empty())
        .collect();
    if !usable.is_empty() {
        return usable;
    }
    match last
        .map(|last| last.addresses.clone())
        .filter(|last| !last.is_empty())
    {
        Some(last) => last,
        None => known.published(),
    }
}

/// The addresses of the active pool, and the set published last if that pool was active then.
struct Addresses<'i, 'a> {
    inputs: &'i Inputs<'a>,
    active: &'i Candidate<'a>,
    last: Option<&'i BTreeMap<Family, Vec<IpAddr>>>,
    settled: bool,
}

impl Addresses<'_, '_> {
    /// The addresses of one family to publish; none when the family is dead.
    fn usable(&self, family: Family) -> Vec<IpAddr> {
        let configured = self.configured(family);
        let last = self.last(family);
        let stays = |address: &IpAddr| last.contains(address);
        let verdict = |address: &IpAddr| self.verdict(*address);
        let qualifies = |address: &&IpAddr| stays(address) || self.is_proven(**address);

        if self.settled && !last.is_empty() && last.iter().any(|a| configured.contains(a)) {
            return configured.iter().filter(|a| stays(a)).copied().collect();
        }
        let with = |wanted: Verdict| -> Vec<IpAddr> {
            configured
                .iter()
                .filter(qualifies)
                .filter(|a| verdict(a) == wanted)
                .copied()
                .collect()
        };
        // Unknown never changes anything: an address that was published and is unknown stays.
        let unknown = configured
            .iter()
            .filter(|a| stays(a) && verdict(a) == Verdict::Unknown);
        let mut usable = with(Verdict::Up);
        if usable.is_empty() {
            usable = with(Verdict::Degraded);
        }
        usable.extend(unknown);
        let waiting = configured.iter().any(|a| !stays(a) && !self.is_proven(*a));
        if usable.is_empty() && waiting {
            // The configuration replaced the addresses: the old ones stay until a new one has proven itself.
            usable.extend(last.iter().filter(|a| !configured.contains(a)));
        }
        if usable.is_empty() && self.last.is_none() {
            // Just switched to: what is not known to be dead is published, proven or not; what serves before what
            // is unknown.
            let best = configured.iter().map(&verdict).min();
            let best = best.filter(|best| *best != Verdict::Down);
            let alike = |a: &&IpAddr| match best {
                Some(Verdict::Up | Verdict::Degraded) => verdict(a) < Verdict::Unknown,
                Some(_) => verdict(a) == Verdict::Unknown,
                None => false,
            };
            usable.extend(configured.iter().filter(alike));
        }
        usable.sort_by_key(|address| configured.iter().position(|a| a == address));
        usable
    }

    fn published(&self) -> BTreeMap<Family, Vec<IpAddr>> {
        Family::ALL
            .into_iter()
            .map(|family| (family, self.configured(family)))
            .filter(|(_, addresses)| !addresses.is_empty())
            .collect()
    }

    fn configured(&self, family: Family) -> Vec<IpAddr> {
        let mut all = Vec::new();
        for address in self
            .active
            .pool
            .targets
            .iter()
            .flat_map(|target| &target.addresses)
        {
            if Family::of(address.publish) == family && !all.contains(&address.publish) {
                all.push(address.publish);
            }
        }
        all
    }

    fn last(&self, family: Family) -> Vec<IpAddr> {
        self.last
            .and_then(|last| last.get(&family))
            .cloned()
            .unwrap_or_default()
    }

    /// The best verdict any target has of the address.
    fn verdict(&self, address: IpAddr) -> Verdict {
        let targets = self.active.health.map_or(&[][..], |health| &health.targets);
        let verdicts = targets
            .iter()
            .filter_map(|target| target.addresses.get(&address));
        verdicts
            .map(|known| known.verdict)
            .min()
            .unwrap_or(Verdict::Unknown)
    }

    fn is_proven(&self, address: IpAddr) -> bool {
        let targets = self.active.health.map_or(&[][..], |health| &health.targets);
        self.inputs.state.proven.contains(&address)
            || targets
                .iter()
                .filter_map(|target| target.addresses.get(&address))
                .any(|known| known.proven)
    }
}
