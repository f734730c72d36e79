//! Probing a route on demand, with the checks it has.
//!
//! In: the topology and a prober. Out: one observation for each check, with the pool and target it stands for.
//! Never here: verdicts; these observations are judged, shown and forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::health::{Grade, judge};
use crate::probe::{Observation, Prober};
use crate::topology::{Check, CheckId, DomainName, PoolName, RouteName, Topology};

/// One probe on demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The pool.
    pub pool: PoolName,
    /// The target's name.
    pub target: DomainName,
    /// What came back.
    pub observation: Observation,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Which roots were trusted.
    pub trusted: String,
    /// How it would count for the check.
    #[serde(default = "good")]
    pub counts_as: Grade,
    /// Why it is not plainly good, or what is worth knowing although it is.
    #[serde(default)]
    pub cause: Option<String>,
}

/// What an older server does not say.
fn good() -> Grade {
    Grade::Good
}

/// A check that is due, with its place in the answer.
struct Due {
    place: usize,
    pool: PoolName,
    target: DomainName,
    id: CheckId,
    check: Arc<Check>,
}

/// Probes every check of a route once, or those of one of its pools. Checks of one address take turns, as always.
pub async fn probe_route(
    prober: Arc<Prober>,
    topology: &Topology,
    route: &RouteName,
    pool: Option<&PoolName>,
) -> Vec<Probed> {
    let mut turns: BTreeMap<IpAddr, Vec<Due>> = BTreeMap::new();
    for due in due(topology, route, pool) {
        turns.entry(due.check.peer.ip()).or_default().push(due);
    }
    let mut addresses = JoinSet::new();
    for turn in turns.into_values() {
        let prober = Arc::clone(&prober);
        addresses.spawn(async move {
            let mut probed = Vec::new();
            for due in turn {
                let observation = prober.probe(&due.id, &due.check).await;
                let trusted = prober.trust_description(&due.check.settings).to_owned();
                let outcome = judge(&observation, &due.check.settings);
                probed.push((
                    due.place,
                    Probed {
                        pool: due.pool,
                        target: due.target,
                        micros: u64::try_from(observation.duration().as_micros())
                            .unwrap_or(u64::MAX),
                        observation,
                        trusted,
                        counts_as: outcome.grade,
                        cause: outcome.cause,
                    },
                ));
            }
            probed
        });
    }
    let mut all = addresses.join_all().await.concat();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, probed)| probed).collect()
}

fn due(topology: &Topology, route: &RouteName, only: Option<&PoolName>) -> Vec<Due> {
    let mut due: Vec<Due> = Vec::new();
    let Some(route) = topology.routes.get(route) else {
        return due;
    };
    for name in route.pool_names() {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let Some(pool) = topology.pools.get(name) else {
            continue;
        };
        for using in topology.checks_of(&route.name, name) {
            let known = due.iter().any(|due| due.id == using.check);
            let check = topology.checks.get(&using.check);
            let target = pool.targets.get(using.target);
            if let (false, Some(check), Some(target)) = (known, check, target) {
                due.push(Due {
                    place: due.len(),
                    pool: name.clone(),
                    target: target.name.clone(),
                    id: using.check.clone(),
                    check: Arc::clone(check),
                });
            }
        }
    }
    due
}
