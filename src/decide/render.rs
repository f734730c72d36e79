//! What a decision says: SRV records per service and addresses per family, from the order of the pools.
//!
//! In: the order, candidates, the last decision. Out: the records' content. Never here: owner names and
//! zones; those are `zone/`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
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
    let before = Before::of(inputs, service.kind, last);
    let mut all = Vec::new();
    let mut kept = Vec::new();
    for (place, (pool, priority)) in order.iter().zip(&priorities).enumerate() {
        let behind = demoted(inputs, service, pool, settled.then_some(&before));
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
                !before.there.contains(name)
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
    settled_in: Option<&Before<'_>>,
) -> BTreeSet<usize> {
    let goes_behind = |index: usize, name: &DomainName| {
        let target = &pool.pool.targets[index];
        inputs
            .overrides
            .target_is_drained(pool.name(), &target.name)
            || match settled_in {
                Some(before) => before.behind.contains(name),
                None => pool.service(index, service.kind) == Verdict::Down,
            }
    };
    let all = targets(service, pool);
    let behind: BTreeSet<usize> = all
        .iter()
        .filter(|(i, name)| goes_behind(*i, name))
        .map(|(i, _)| *i)
        .collect();
    if behind.len() == all.len() {
        BTreeSet::new()
    } else {
        behind
    }
}

/// The targets that the last decision had records of, and those of them that stood behind every pool.
struct Before<'a> {
    there: BTreeSet<&'a DomainName>,
    behind: BTreeSet<&'a DomainName>,
}

impl<'a> Before<'a> {
    fn of(inputs: &Inputs<'a>, kind: ServiceKind, last: u16) -> Before<'a> {
        let decision = inputs.state.decision.as_ref();
        let records = decision.and_then(|decision| decision.services.get(&kind));
        let records = || records.into_iter().flatten();
        let behind = records().filter(|record| record.priority > last);
        Before {
            there: records().map(|record| &record.target).collect(),
            behind: behind.map(|record| &record.target).collect(),
        }
    }
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
    match service.target_names.get(pool.name()) {
        Some(names) => names.get(index),
        None => pool.pool.targets.get(index).map(|target| &target.name),
    }
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
    let known = Addresses::of(inputs, active, last.map(|last| &last.addresses), settled);
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
struct Addresses<'i> {
    last: Option<&'i BTreeMap<Family, Vec<IpAddr>>>,
    settled: bool,
    /// In configured order, each once.
    configured: Vec<IpAddr>,
    /// The place of each in that order.
    places: BTreeMap<IpAddr, usize>,
    /// The best verdict that any target has of an address.
    verdicts: BTreeMap<IpAddr, Verdict>,
    proven: BTreeSet<IpAddr>,
}

impl<'i> Addresses<'i> {
    fn of(
        inputs: &'i Inputs<'_>,
        active: &Candidate<'_>,
        last: Option<&'i BTreeMap<Family, Vec<IpAddr>>>,
        settled: bool,
    ) -> Addresses<'i> {
        let mut known = Addresses {
            last,
            settled,
            configured: Vec::new(),
            places: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            proven: inputs.state.proven.clone(),
        };
        let targets = active.pool.targets.iter();
        for address in targets.flat_map(|target| &target.addresses) {
            if let Entry::Vacant(place) = known.places.entry(address.publish) {
                place.insert(known.configured.len());
                known.configured.push(address.publish);
            }
        }
        let seen = active.health.map_or(&[][..], |health| &health.targets);
        for (address, health) in seen.iter().flat_map(|target| &target.addresses) {
            let best = known.verdicts.entry(*address).or_insert(health.verdict);
            *best = (*best).min(health.verdict);
            if health.proven {
                known.proven.insert(*address);
            }
        }
        known
    }

    /// The addresses of one family to publish; none when the family is dead.
    fn usable(&self, family: Family) -> Vec<IpAddr> {
        let configured = self.configured(family);
        let last = self.last(family);
        let published: BTreeSet<IpAddr> = last.iter().copied().collect();
        let stays = |address: &IpAddr| published.contains(address);
        let verdict = |address: &IpAddr| self.verdict(*address);
        let qualifies = |address: &&IpAddr| stays(address) || self.is_proven(**address);

        if self.settled && !last.is_empty() && last.iter().any(|a| self.places.contains_key(a)) {
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
            usable.extend(last.iter().filter(|a| !self.places.contains_key(a)));
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
        usable.sort_by_key(|address| self.places.get(address));
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
        let all = self.configured.iter().copied();
        all.filter(|address| Family::of(*address) == family)
            .collect()
    }

    fn last(&self, family: Family) -> Vec<IpAddr> {
        self.last
            .and_then(|last| last.get(&family))
            .cloned()
            .unwrap_or_default()
    }

    fn verdict(&self, address: IpAddr) -> Verdict {
        let known = self.verdicts.get(&address).copied();
        known.unwrap_or(Verdict::Unknown)
    }

    fn is_proven(&self, address: IpAddr) -> bool {
        self.proven.contains(&address)
    }
}
