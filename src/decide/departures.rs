//! What a route's answers put first before: until when partners may still be led there.
//!
//! In: changes of the decision with the SOA serial of their publication, and news that no server is behind it. Out:
//! [`OldAnswers`] of pools and targets.
//! Never here: which server has which version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Decision, PARTNER_CACHE};
use crate::clock::Wall;
use crate::topology::{DomainName, PoolName};

/// Where the answers from before a change may still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldAnswers {
    /// A server may still give them out: one that has a version before this serial.
    Served {
        /// The first serial without them.
        serial: u32,
        /// Their TTL in seconds: it counts from when no server gives them out any more.
        ttl: u32,
        /// Caches may keep them at least until then, because of a longer TTL from before.
        not_before: Wall,
    },
    /// No server gives them out; resolvers may keep them until then.
    Cached {
        /// The time.
        until: Wall,
    },
}

impl OldAnswers {
    /// Until when resolvers may keep them; none while a server may still give them out.
    pub fn until(self) -> Option<Wall> {
        match self {
            OldAnswers::Served { .. } => None,
            OldAnswers::Cached { until } => Some(until),
        }
    }

    /// The first serial without them; none when no server gives them out.
    pub fn serial(self) -> Option<u32> {
        match self {
            OldAnswers::Served { serial, .. } => Some(serial),
            OldAnswers::Cached { .. } => None,
        }
    }

    fn are_gone(self, now: Wall) -> bool {
        self.until()
            .is_some_and(|until| until + PARTNER_CACHE <= now)
    }
}

/// What a route's answers put first before, and do not now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departures {
    /// Pools that were active.
    pub pools: BTreeMap<PoolName, OldAnswers>,
    /// Targets that were first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<DomainName, OldAnswers>,
    /// Answers of a longer TTL than that in force, whichever pool they put first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    longer: Option<OldAnswers>,
}

impl Departures {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Departures::default()
    }

    /// From pools with the time until which resolvers may keep their answers.
    pub fn of_pools(left: BTreeMap<PoolName, Wall>) -> Departures {
        let pools = left.into_iter();
        Departures {
            pools: pools
                .map(|(pool, until)| (pool, OldAnswers::Cached { until }))
                .collect(),
            ..Departures::default()
        }
    }

    /// Takes note of a decision that is published instead of `before` with this serial.
    pub fn note(&mut self, before: &Decision, after: &Decision, serial: u32, now: Wall) {
        self.pools.retain(|_, old| !old.are_gone(now));
        self.targets.retain(|_, old| !old.are_gone(now));
        self.longer = self.longer.filter(|old| !old.are_gone(now));
        let (mut ttl, mut not_before) = (before.ttl, now);
        match self.longer {
            Some(OldAnswers::Cached { until }) => not_before = until,
            Some(OldAnswers::Served {
                ttl: longer,
                not_before: until,
                ..
            }) => (ttl, not_before) = (ttl.max(longer), until),
            None => {}
        }
        let old = OldAnswers::Served {
            serial,
            ttl,
            not_before,
        };
        if before.ttl > after.ttl {
            self.longer = Some(old);
        }
        self.pools.remove(&after.active);
        if before.active != after.active {
            self.pools.insert(before.active.clone(), old);
        }
        let first = first_targets(after);
        self.targets.retain(|target, _| !first.contains(target));
        // Each of them may be drained later.
        for target in first_targets(before).difference(&first) {
            self.targets.insert((*target).clone(), old);
        }
    }

    /// The serials that servers are still to reach.
    pub fn serials(&self) -> BTreeSet<u32> {
        let old = self.pools.values().chain(self.targets.values());
        let old = old.chain(&self.longer);
        old.filter_map(|old| old.serial()).collect()
    }

    /// Every server has this serial or a later one.
    pub fn reached(&mut self, reached: u32, now: Wall) {
        let old = self.pools.values_mut().chain(self.targets.values_mut());
        for old in old.chain(&mut self.longer) {
            if let OldAnswers::Served {
                serial,
                ttl,
                not_before,
            } = *old
                && serial == reached
            {
                let until = now + Duration::from_secs(ttl.into());
                *old = OldAnswers::Cached {
                    until: until.max(not_before),
                };
            }
        }
    }
}

/// The targets that a decision puts first in any service.
pub fn first_targets(decision: &Decision) -> BTreeSet<&DomainName> {
    let services = decision.services.values();
    let first = services.flat_map(|records| {
        let best = records.iter().map(|record| record.priority).min();
        let first = records
            .iter()
            .filter(move |record| Some(record.priority) == best);
        first.map(|record| &record.target)
    });
    first.collect()
}
