//! Decisions: where a route points, and why.
//!
//! In: nothing. Out: the values `decide` makes, `zone/` renders, `store/` keeps and views show.
//! Never here: how a decision is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Departures, OverrideKey};
use crate::clock::{Mono, Wall};
use crate::health::Evidence;
use crate::topology::{DomainName, Family, PoolName, RouteName, ServiceKind};

/// The global number of a published change: never repeats, only grows. Not an SOA serial.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a route points now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The route.
    pub route: RouteName,
    /// The generation it was published in.
    pub generation: Generation,
    /// When it was taken.
    pub at: Wall,
    /// The pool put first.
    pub active: PoolName,
    /// All pools, the active one first.
    pub order: Vec<PoolName>,
    /// Per service: the SRV records, lowest priority number first; never empty.
    pub services: BTreeMap<ServiceKind, Vec<SrvRecord>>,
    /// Per family: the federation addresses; a family without any is absent.
    pub addresses: BTreeMap<Family, Vec<IpAddr>>,
    /// TTL of all of these, in seconds.
    pub ttl: u32,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// Whether both give partners the same answers.
    pub fn same_answers(&self, other: &Decision) -> bool {
        self.active == other.active
            && self.order == other.order
            && self.services == other.services
            && self.addresses == other.addresses
            && self.ttl == other.ttl
    }
}

/// One SRV record of a decision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SrvRecord {
    /// RFC 2782 priority: the lowest number is preferred.
    pub priority: u16,
    /// RFC 2782 weight; zero, as every priority has its own pool.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The target; never an alias.
    pub target: DomainName,
}

/// Why a decision was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// The first decision of a route that has no history.
    FirstStart,
    /// The active pool failed and a better one was there.
    Failover {
        /// The pool left.
        from: PoolName,
        /// What was seen of it.
        evidence: Vec<Evidence>,
    },
    /// The home or preferred pool had been up for the hold-down.
    Failback {
        /// The pool left.
        from: PoolName,
        /// How long the pool returned to had been up.
        #[serde(with = "seconds")]
        up_for: Duration,
    },
    /// The operator moved the route by `failover` or `failback`.
    Commanded {
        /// What was commanded: `failover`, `failback`.
        command: String,
        /// The pool left.
        from: PoolName,
        /// Who.
        author: String,
        /// Why, in the operator's words.
        why: Option<String>,
    },
    /// A pin, drain or freeze was set, changed or ended.
    Override {
        /// What happened, in words: `pin of route contoso set`.
        change: String,
        /// Who, if somebody did; an expiry has no author.
        author: Option<String>,
        /// Why, in the operator's words.
        why: Option<String>,
        /// The override that was set or changed; none where one ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<OverrideKey>,
    },
    /// The active pool stays; what stands behind it changed.
    Reorder {
        /// What was seen of the pools that changed place.
        evidence: Vec<Evidence>,
    },
    /// The configuration changed.
    Configuration,
}

impl Reason {
    /// The reason in one line, without the pools' new order.
    pub fn describe(&self) -> String {
        match self {
            Reason::FirstStart => "first start: the preferred order".into(),
            Reason::Failover { from, evidence } => match evidence.first() {
                Some(first) => format!("{from} down: {} ({})", first.cause, first.check),
                None => format!("{from} down"),
            },
            Reason::Failback { from, up_for } => format!(
                "back from {from}: up without a break for {}",
                humantime::format_duration(Duration::from_secs(up_for.as_secs()))
            ),
            Reason::Commanded {
                command,
                from,
                author,
                why,
            } => {
                format!("{command} from {from} by {author}{}", because(why))
            }
            Reason::Override {
                change,
                author,
                why,
                ..
            } => {
                let by = author
                    .as_ref()
                    .map(|who| format!(" by {who}"))
                    .unwrap_or_default();
                format!("{change}{by}{}", because(why))
            }
            Reason::Reorder { evidence } => match evidence.first() {
                Some(first) => {
                    format!("{} is {} ({})", first.check, first.verdict, first.cause)
                }
                None => "reordered after a recovery".into(),
            },
            Reason::Configuration => "configuration changed".into(),
        }
    }
}

fn because(why: &Option<String>) -> String {
    why.as_ref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default()
}

/// What a route remembers besides its last decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// The last decision; none before the first.
    pub decision: Option<Decision>,
    /// The pool an operator's `failover` chose; none means the most preferred.
    pub home: Option<PoolName>,
    /// Automatic changes of the active pool, oldest first; only the last 60 minutes count.
    pub switches: Vec<Mono>,
    /// Automatic switching has stopped, since when: too many switches.
    pub latched: Option<Wall>,
    /// Hold-down counts from here at the earliest: the end of an override, the start of the process.
    pub hold_from: Mono,
    /// What answers put first before.
    pub left: Departures,
    /// Published addresses that have proven themselves, or were there from the first start.
    pub proven: BTreeSet<IpAddr>,
}

mod seconds {
    //! Durations in JSON as whole seconds.
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}
