//! What can be seen of the engine: one value with everything that `status`, `route`, `pool`, `target` and
//! `explain` show.
//!
//! In: the engine's state at one moment. Out: plain values, the same in JSON and for the command line.
//! Never here: formatting for people; that is `cli/`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::challenge::Challenge;
use super::inbound::InboundView;
use super::signing_view::{SigningView, ZoneKeysView};
use crate::clock::Wall;
use crate::decide::{Decision, Generation, Outlook, Override};
use crate::health::{CheckHealth, PoolHealth, Recovery, Verdict};
use crate::topology::{
    CheckId, CheckUse, DomainName, FailbackPolicy, FailoverPolicy, PoolName, RouteName,
    ServiceKind, SiteName,
};

/// The whole node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// When it was taken.
    pub at: Wall,
    /// When the process began.
    pub started: Wall,
    /// The version of the program.
    pub version: String,
    /// The generation served.
    pub generation: Generation,
    /// Our own network fails, since when.
    pub blind: Option<Wall>,
    /// The canaries and whether each answered last; empty when the blind rule is off.
    pub canaries: Vec<CanaryView>,
    /// All routes, in order of name.
    pub routes: Vec<RouteView>,
    /// All pools, in order of name.
    pub pools: Vec<PoolView>,
    /// All checks, in order of identifier.
    pub checks: Vec<CheckView>,
    /// All overrides in force.
    pub overrides: Vec<Override>,
    /// All challenges of certificate authorities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<Challenge>,
    /// All alarms that stand, worst first.
    pub alarms: Vec<Alarm>,
    /// All zones served, in order of apex.
    pub zones: Vec<ZoneView>,
    /// Zones that are signed, or are to be, in order of apex.
    #[serde(default)]
    pub zone_keys: Vec<ZoneKeysView>,
    /// The store's state in words when it fails.
    pub store_fault: Option<String>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// Its name.
    pub name: RouteName,
    /// Its domains.
    pub domains: Vec<DomainName>,
    /// The decision in force.
    pub decision: Decision,
    /// The pools, preferred first, as this route sees them.
    pub pools: Vec<RoutePoolView>,
    /// The pool it belongs on: home, else the most preferred.
    pub wanted: PoolName,
    /// The pool an operator's `failover` chose.
    pub home: Option<PoolName>,
    /// The policy.
    pub failover: FailoverPolicy,
    /// The policy.
    pub failback: FailbackPolicy,
    /// How long a pool must be up before the route comes back to it by itself. In seconds, as JSON.
    #[serde(rename = "hold_down_seconds", with = "seconds")]
    pub hold_down: Duration,
    /// Every check has been observed once since the start, so automatic changes may be made.
    pub warm: bool,
    /// Latched since.
    pub latched: Option<Wall>,
    /// Automatic switches in the last 60 minutes.
    pub switches: u32,
    /// How many latch it.
    pub max_switches: u32,
    /// What would change next and why it does not: one sentence each, in order of precedence.
    pub held_by: Vec<String>,
    /// What comes next, in the words of deciding itself.
    pub outlook: Outlook,
    /// The longest time from the failure of a silent pool to the decision, over the route's required
    /// services; the first term of what a partner waits. In seconds, as JSON.
    #[serde(rename = "detection_seconds", with = "seconds")]
    pub detection: Duration,
    /// The steered owner names with the zone each lies in.
    pub owners: Vec<OwnerView>,
}

/// A steered owner name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerView {
    /// The owner.
    pub owner: DomainName,
    /// The service whose SRV records it has; none for the federation A/AAAA.
    pub service: Option<ServiceKind>,
    /// The apex of its zone.
    pub zone: DomainName,
}

/// A pool as a route sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutePoolView {
    /// Its name.
    pub pool: PoolName,
    /// The priority configured for it.
    pub priority: u16,
    /// What was seen (observed).
    pub health: PoolHealth,
    /// Whether it is drained.
    pub drained: bool,
    /// How far it has come on its way back, when it is down and answers well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// Until when resolvers may hold answers that put it first, though it is not active any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_answers_until: Option<Wall>,
    /// Who still gives out such answers, in words; that time is known when nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_answers_from: Option<String>,
    /// Its place in the decision (effective): `active`, `2nd`, …, counted from zero.
    pub place: Option<usize>,
    /// Its checks, with the target (by index in the pool) and published address each decides about.
    pub checks: Vec<CheckUse>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: PoolName,
    /// Its site.
    pub site: Option<SiteName>,
    /// The worst verdict any route has of it; unknown when no route uses it.
    pub verdict: Verdict,
    /// Its targets' names.
    pub targets: Vec<DomainName>,
    /// Routes that use it, with whether it is active there.
    pub routes: BTreeMap<RouteName, bool>,
    /// Whether it is drained.
    pub drained: bool,
    /// Until when resolvers may hold answers that put it first in a route where it is not active any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_answers_until: Option<Wall>,
    /// Who still gives out such answers, in words; that time is known when nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_answers_from: Option<String>,
    /// Its targets that are drained by themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drained_targets: BTreeMap<DomainName, DrainedTargetView>,
}

/// A target that is drained by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainedTargetView {
    /// Routes that put it first all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_in: Vec<RouteName>,
    /// Until when resolvers may hold answers that put it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_answers_until: Option<Wall>,
    /// Who still gives out such answers, in words; that time is known when nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_answers_from: Option<String>,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// Its identifier.
    pub id: CheckId,
    /// The protocol.
    pub service: ServiceKind,
    /// Where it connects.
    pub peer: SocketAddr,
    /// The domain asked for.
    pub domain: DomainName,
    /// What is known.
    pub health: CheckHealth,
}

/// A canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryView {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it answered when it was last asked; none before the first time.
    pub answered: Option<bool>,
}

/// A zone served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneView {
    /// Its apex.
    pub apex: DomainName,
    /// Its SOA serial; none while it is not served, because its primary has not sent it or it was never signed yet.
    pub serial: Option<u32>,
    /// How many RRsets it has.
    pub rrsets: usize,
    /// Where its static part comes from, when that is a primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundView>,
    /// How it is signed, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningView>,
    /// About how many RRsets its next version has, while that is being signed; what was served before is served until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub being_signed: Option<usize>,
    /// What its master file or primary has and it has not, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl ZoneView {
    /// Its serial in words.
    pub fn serial_text(&self) -> String {
        let serial = self.serial.map(|serial| serial.to_string());
        serial.unwrap_or_else(|| "not served".into())
    }
}

mod seconds {
    //! Durations as seconds with a fraction.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}
