//! Checks: which addresses are probed, for which service and domain, and for which routes.
//!
//! In: pools and routes. Out: every [`Check`] once, however many routes use it, and the table that
//! leads from a route's pool to its checks. Never here: results of checks; those are `health/`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::{DomainName, PoolName, RouteName};
use super::route::{Route, Service};
use super::service::{CheckSettings, ServiceKind};
use super::{Pool, Topology};

/// Identifies a check within one topology, in words an operator can read:
/// `xmpp-server/192.0.2.10:5269/contoso.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(Arc<str>);

impl CheckId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The service it begins with.
    pub fn service(&self) -> Option<ServiceKind> {
        self.0.split('/').next()?.parse().ok()
    }

    /// The check domain it ends with.
    pub fn domain(&self) -> &str {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        last.split('#').next().unwrap_or_default()
    }
}

impl From<String> for CheckId {
    fn from(text: String) -> CheckId {
        CheckId(text.into())
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One address, port, service and check domain as seen from this node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Check {
    /// The protocol spoken.
    pub service: ServiceKind,
    /// Where the probe connects; not always the published address.
    pub peer: SocketAddr,
    /// The domain asked for (`to`, SNI, certificate).
    pub domain: DomainName,
    /// The name of the SRV target, for services whose partners look for it in the certificate (SIP). XMPP partners do
    /// not: there the check is the same whatever the target is called.
    pub target: Option<DomainName>,
    /// The local address to probe from; chosen by the kernel when absent.
    pub source: Option<IpAddr>,
    /// How it is made and judged.
    pub settings: CheckSettings,
}

/// Where a check's verdict counts: one address of one target of one pool, for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckUse {
    /// The service it counts for.
    pub service: ServiceKind,
    /// Index of the target in the pool.
    pub target: usize,
    /// The address that partners are given when this check is up.
    pub publish: IpAddr,
    /// The check.
    pub check: CheckId,
}

/// All checks of a topology and who uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    by_id: BTreeMap<CheckId, Arc<Check>>,
    uses: BTreeMap<(RouteName, PoolName), Vec<CheckUse>>,
}

impl Checks {
    /// Works out the checks of these routes.
    pub(super) fn of(
        pools: &BTreeMap<PoolName, Pool>,
        routes: &BTreeMap<RouteName, Route>,
    ) -> Checks {
        let mut checks = Checks::default();
        let mut ids: BTreeMap<Check, CheckId> = BTreeMap::new();
        for route in routes.values() {
            for route_pool in &route.pools {
                let Some(pool) = pools.get(&route_pool.pool) else {
                    continue;
                };
                let uses = checks.uses_of(route, pool, &mut ids);
                checks
                    .uses
                    .insert((route.name.clone(), pool.name.clone()), uses);
            }
        }
        checks
    }

    /// The check with this identifier.
    pub fn get(&self, id: &CheckId) -> Option<&Arc<Check>> {
        self.by_id.get(id)
    }

    /// All checks, in order of identifier.
    pub fn iter(&self) -> impl Iterator<Item = (&CheckId, &Arc<Check>)> {
        self.by_id.iter()
    }

    /// The checks that decide about `pool` in `route`.
    pub fn used_by(&self, route: &RouteName, pool: &PoolName) -> &[CheckUse] {
        self.uses
            .get(&(route.clone(), pool.clone()))
            .map_or(&[], Vec::as_slice)
    }

    fn uses_of(
        &mut self,
        route: &Route,
        pool: &Pool,
        ids: &mut BTreeMap<Check, CheckId>,
    ) -> Vec<CheckUse> {
        let mut uses = Vec::new();
        for service in &route.services {
            for (target, spec) in pool.targets.iter().enumerate() {
                for address in &spec.addresses {
                    for domain in &route.check_domains {
                        let check = Check {
                            service: service.kind,
                            peer: SocketAddr::new(address.probe, probe_port(service)),
                            domain: domain.clone(),
                            target: service
                                .kind
                                .shows_target()
                                .then(|| service.target_name(pool, target))
                                .flatten()
                                .cloned(),
                            source: spec
                                .source
                                .filter(|s| s.is_ipv4() == address.probe.is_ipv4()),
                            settings: service.check.clone(),
                        };
                        let check = self.intern(check, ids);
                        let publish = address.publish;
                        uses.push(CheckUse {
                            service: service.kind,
                            target,
                            publish,
                            check,
                        });
                    }
                }
            }
        }
        uses
    }

    fn intern(&mut self, check: Check, ids: &mut BTreeMap<Check, CheckId>) -> CheckId {
        if let Some(id) = ids.get(&check) {
            return id.clone();
        }
        let stem = format!("{}/{}/{}", check.service, check.peer, check.domain);
        // Equal in what is probed but not in how: the second one gets a number.
        let id = (1_u32..)
            .map(|n| {
                if n == 1 {
                    stem.clone()
                } else {
                    format!("{stem}#{n}")
                }
            })
            .map(CheckId::from)
            .find(|id| !self.by_id.contains_key(id))
            .expect("there are more numbers than checks");
        self.by_id.insert(id.clone(), Arc::new(check.clone()));
        ids.insert(check, id.clone());
        id
    }
}

fn probe_port(service: &Service) -> u16 {
    service.port
}

impl Topology {
    /// The checks that decide about `pool` in `route`.
    pub fn checks_of(&self, route: &RouteName, pool: &PoolName) -> &[CheckUse] {
        self.checks.used_by(route, pool)
    }
}
