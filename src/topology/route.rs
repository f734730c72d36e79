//! Routes: what is switched as one, and by which policy.
//!
//! In: nothing. Out: plain validated values. Never here: where a route points now; that is a `Decision`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Pool;
use super::name::{DomainName, NameError, PoolName, RouteName};
use super::service::{CheckSettings, Family, ServiceKind};

/// What is switched as one: domains, services, the federation address name, pools in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The route's name.
    pub name: RouteName,
    /// The domains whose federation names it steers; at least one.
    pub domains: Vec<DomainName>,
    /// The domains probes ask for; at least one, the first of `domains` by default.
    pub check_domains: Vec<DomainName>,
    /// The pools, preferred first; at least one, each once.
    pub pools: Vec<RoutePool>,
    /// Where the steered names live.
    pub zones: ZonePlacement,
    /// Who may switch when the active pool fails.
    pub failover: FailoverPolicy,
    /// Who may return to a preferred pool.
    pub failback: FailbackPolicy,
    /// How long a pool must have been up without a break before an automatic return to it.
    pub hold_down: Duration,
    /// TTL of the steered records, in seconds.
    pub ttl: u32,
    /// Automatic switches within 60 minutes that latch the route.
    pub max_switches: u32,
    /// Targets of a pool that must be up, per required service and family.
    pub need: u32,
    /// Families that must be up for the pool to be up; none means IPv4 where the pool publishes it,
    /// else IPv6.
    pub require_families: Option<BTreeSet<Family>>,
    /// The federation A/AAAA record.
    pub address: Option<OwnerTemplate>,
    /// The services steered and probed.
    pub services: Vec<Service>,
}

impl Route {
    /// The pools' names, preferred first.
    pub fn pool_names(&self) -> impl Iterator<Item = &PoolName> {
        self.pools.iter().map(|pool| &pool.pool)
    }

    /// Whether the route uses `pool`.
    pub fn uses(&self, pool: &PoolName) -> bool {
        self.pool_names().any(|name| name == pool)
    }
}

/// A pool as a route uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePool {
    /// Which pool.
    pub pool: PoolName,
    /// The SRV priority dealt out to the pool in this place; distinct and rising along the list.
    pub priority: u16,
}

/// Where the names a route steers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZonePlacement {
    /// Each steered name is the apex of a tiny zone of its own (exact-owner delegation).
    Owners,
    /// The names lie in configured zones.
    Configured,
}

/// Who may leave a failed pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailoverPolicy {
    /// repoint switches.
    Auto,
    /// repoint raises an alarm with the command to type.
    Ask,
    /// repoint only journals what it would have done.
    Observe,
}

/// Who may return to the home or preferred pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailbackPolicy {
    /// Only the operator, by `repoint failback`.
    Manual,
    /// repoint, after `hold_down`.
    Auto,
}

/// How a service's SRV RRset shows the pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All pools, the active one preferred.
    Order,
    /// Without what is down or drained, never empty.
    Withdraw,
    /// The active pool's one target.
    Single,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Order => "order",
            Mode::Withdraw => "withdraw",
            Mode::Single => "single",
        })
    }
}

/// A service of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which protocol; each kind at most once in a route.
    pub kind: ServiceKind,
    /// How its SRV RRset shows the pools.
    pub mode: Mode,
    /// Whether a pool is down when this service is; otherwise it only raises alarms.
    pub required: bool,
    /// The SRV owner name of each domain.
    pub owner: OwnerTemplate,
    /// The port published and probed.
    pub port: u16,
    /// SRV target names of a pool where they differ from the targets' own; one per target, in order.
    pub target_names: BTreeMap<PoolName, Vec<DomainName>>,
    /// How its checks are made and judged.
    pub check: CheckSettings,
}

impl Service {
    /// The name that SRV records carry for the nth target of a pool.
    pub fn target_name<'a>(&'a self, pool: &'a Pool, n: usize) -> Option<&'a DomainName> {
        let own = self.target_names.get(&pool.name);
        let own = own.and_then(|names| names.get(n));
        own.or_else(|| Some(&pool.targets.get(n)?.name))
    }
}

/// An owner name with `{domain}` in the place of the domain: `_xmpp-server._tcp.{domain}`. Without it
/// the name is the same for every domain of the route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerTemplate(String);

impl OwnerTemplate {
    /// Takes a template whose result is a valid name for any domain of ordinary length.
    pub fn new(text: &str) -> Result<OwnerTemplate, NameError> {
        text.replace("{domain}", "domain.example")
            .parse::<DomainName>()?;
        Ok(OwnerTemplate(text.to_owned()))
    }

    /// The owner name for one domain; fails only when it becomes too long.
    pub fn for_domain(&self, domain: &DomainName) -> Result<DomainName, NameError> {
        self.0.replace("{domain}", domain.as_str()).parse()
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
