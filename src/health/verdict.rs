//! Verdicts, and what is known of a check, a target and a pool.
//!
//! In: nothing. Out: the values that `decide/` reads and views show. Never here: how they come about.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Now, Wall};
use crate::topology::{CheckId, DomainName, Family, ServiceKind};

/// What thresholds made of observations. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Partners are served.
    Up,
    /// Partners are served, but something better should be preferred.
    Degraded,
    /// Not known: not observed yet, or our own network may be at fault.
    Unknown,
    /// Partners are not served.
    Down,
}

impl Verdict {
    /// The verdict as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Up => "up",
            Verdict::Degraded => "degraded",
            Verdict::Unknown => "unknown",
            Verdict::Down => "down",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckHealth {
    /// The verdict after thresholds.
    pub verdict: Verdict,
    /// Since when, for timers.
    #[serde(skip)]
    pub since: Mono,
    /// Since when, for people.
    pub since_wall: Wall,
    /// A failure was seen that no success has followed yet.
    pub suspect: bool,
    /// Failures counted that `steady` successes in a row have not cleared.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// Whether it has reached `rise` successes in a row at least once since it came into the
    /// configuration. A new address is published only then.
    pub proven: bool,
    /// The last observation in one line: `reached tls in 12 ms`, `silence in stream header`.
    pub last: Option<String>,
    /// When that was.
    pub last_wall: Option<Wall>,
    /// Why it is not up, or what is worth knowing although it is (an accepted degradation, the failure that made
    /// it suspect), in one line.
    pub cause: Option<String>,
    /// How many observations have counted for it: its own, and failures before the stream that it shares.
    pub observed: u64,
}

/// What is known of one pool as one route uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolHealth {
    /// The worst over required services and families.
    pub verdict: Verdict,
    /// Up, but not every required target and address is.
    pub partial: bool,
    /// Since when it has had this verdict, for timers.
    #[serde(skip)]
    pub since: Mono,
    /// Since when, for people.
    pub since_wall: Wall,
    /// Every check of it has been observed at least once.
    pub observed: bool,
    /// Its targets, in configured order.
    pub targets: Vec<TargetHealth>,
    /// Services that are not required and not up: they raise alarms only.
    pub optional: BTreeMap<ServiceKind, Verdict>,
    /// The checks that keep it from being up, worst first.
    pub evidence: Vec<Evidence>,
}

impl PoolHealth {
    /// A pool of which nothing is known.
    pub fn unknown(now: Now) -> PoolHealth {
        PoolHealth {
            verdict: Verdict::Unknown,
            partial: false,
            since: now.mono,
            since_wall: now.wall,
            observed: false,
            targets: Vec::new(),
            optional: BTreeMap::new(),
            evidence: Vec::new(),
        }
    }
}

/// What is known of one target of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// The target's name.
    pub name: DomainName,
    /// The worst over required services and families.
    pub verdict: Verdict,
    /// Per service, required or not: the worst over the required families, in each the best of its addresses.
    pub services: BTreeMap<ServiceKind, Verdict>,
    /// Per published address: the worst over required services and check domains.
    pub addresses: BTreeMap<IpAddr, AddressHealth>,
}

/// What is known of one published address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressHealth {
    /// Its family.
    pub family: Family,
    /// The worst over its checks of required services.
    pub verdict: Verdict,
    /// Whether all of its checks of required services are proven (see [`CheckHealth::proven`]).
    pub proven: bool,
}

/// A check's part in a verdict or decision, kept with the decision for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Which check.
    pub check: CheckId,
    /// Its verdict then.
    pub verdict: Verdict,
    /// Failures counted then.
    pub failures: u32,
    /// The cause in one line: `silence in stream header`.
    pub cause: String,
    /// When the last observation was made.
    pub at: Wall,
}
