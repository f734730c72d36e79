//! The ground truth: how long each pool has really been well, dead, or flawed, whatever the engine thinks of it.
//!
//! In: the network as the simulation sets it. Out: durations the promises are held against. Never here: thresholds,
//! verdicts, or anything that the engine said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repoint::config::Configuration;
use repoint::topology::{Pool, PoolName, ServiceKind};

use crate::network::{Behaviour, Network};

/// What is true of one pool.
#[derive(Clone, Debug, Default)]
struct PoolTruth {
    /// Every address answers every service well, since when.
    well: Option<Duration>,
    /// No address answers any service, since when.
    dead: Option<Duration>,
    /// When something about it was last failing; none when never.
    failing: Option<Duration>,
    is_failing: bool,
}

/// What is true.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    pools: BTreeMap<PoolName, PoolTruth>,
    /// Our own network works and the canaries answer, since when.
    sighted: Option<Duration>,
    /// When our own network was last cut or the canaries silent.
    cut: Option<Duration>,
}

impl Truth {
    /// Takes note of the network as it is now.
    pub(crate) fn note(&mut self, network: &Network, configuration: &Configuration, now: Duration) {
        let sighted = !network.cut && !network.canaries_silent;
        if !sighted || self.sighted.is_none() {
            self.cut = (!sighted || self.cut.is_some()).then_some(now);
        }
        self.sighted = sighted.then(|| self.sighted.unwrap_or(now));
        let services: BTreeSet<ServiceKind> = configuration
            .topology
            .routes
            .values()
            .flat_map(|route| route.services.iter().map(|service| service.kind))
            .collect();
        for (name, pool) in &configuration.topology.pools {
            let behaviours = behaviours(network, pool, &services);
            let truth = self.pools.entry(name.clone()).or_default();
            let well = behaviours.iter().all(|b| *b == Behaviour::Ok);
            let dead = behaviours.iter().all(|b| b.fails());
            let failing = behaviours
                .iter()
                .any(|b| b.fails() || matches!(b, Behaviour::OneIn(_)));
            truth.well = well.then(|| truth.well.unwrap_or(now));
            truth.dead = dead.then(|| truth.dead.unwrap_or(now));
            // A pool that has failed and cannot have been seen well since is as good as failing.
            let haunted = failing || (truth.is_failing && !(well && sighted));
            if haunted || truth.is_failing {
                truth.failing = Some(now);
            }
            truth.is_failing = haunted;
        }
    }

    /// Other addresses, services or rules: how long they have been well is counted anew.
    pub(crate) fn begin_anew(
        &mut self,
        network: &Network,
        configuration: &Configuration,
        now: Duration,
    ) {
        for truth in self.pools.values_mut() {
            truth.well = None;
            truth.dead = None;
        }
        self.note(network, configuration, now);
    }

    /// How long the pool has been entirely well.
    pub(crate) fn well_for(&self, pool: &PoolName, now: Duration) -> Duration {
        let since = self.pools.get(pool).and_then(|truth| truth.well);
        since.map_or(Duration::ZERO, |since| now - since)
    }

    /// How long the pool has been entirely dead.
    pub(crate) fn dead_for(&self, pool: &PoolName, now: Duration) -> Duration {
        let since = self.pools.get(pool).and_then(|truth| truth.dead);
        since.map_or(Duration::ZERO, |since| now - since)
    }

    /// How long our own network has worked.
    pub(crate) fn sighted_for(&self, now: Duration) -> Duration {
        self.sighted.map_or(Duration::ZERO, |since| now - since)
    }

    /// Whether anything of the pool has failed within the last `time`.
    pub(crate) fn failed_within(&self, pool: &PoolName, time: Duration, now: Duration) -> bool {
        let truth = self.pools.get(pool);
        truth.is_some_and(|truth| {
            truth.is_failing || truth.failing.is_some_and(|at| now - at <= time)
        })
    }

    /// Whether our own network has failed within the last `time`.
    pub(crate) fn cut_within(&self, time: Duration, now: Duration) -> bool {
        self.sighted.is_none() || self.cut.is_some_and(|at| now - at <= time)
    }
}

fn behaviours(network: &Network, pool: &Pool, services: &BTreeSet<ServiceKind>) -> Vec<Behaviour> {
    let addresses = pool.targets.iter().flat_map(|target| &target.addresses);
    addresses
        .flat_map(|address| {
            services
                .iter()
                .map(|service| network.behaviour(address.probe, *service))
        })
        .collect()
}
