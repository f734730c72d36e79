//! What is remembered: the rows that the engine asks the store to keep and finds again at start.
//!
//! In: overrides, route states, reservations, journal entries. Out: one [`Batch`] per commit, and
//! [`Remembered`] at start. Never here: SQL, files, or how durable a batch is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::challenge::Challenge;
use super::keeping::{Keep, KeptInbound};
use crate::clock::Wall;
use crate::decide::{Decision, Departures, Generation, Override, OverrideKey};
use crate::keys::{KeyRing, ZoneRow};
use crate::topology::{DomainName, PoolName, RouteName};
use crate::zone::ZoneVersion;

/// Rows that are committed together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Overrides set (some) or ended (none).
    pub overrides: Vec<(OverrideKey, Option<Override>)>,
    /// Route states, replaced whole; a route that left the configuration is kept.
    pub routes: Vec<StoredRoute>,
    /// Zones' keys with their stages, replaced whole; public halves only.
    pub keys: Vec<ZoneRow>,
    /// Numbers that may be used up to these bounds without asking again.
    pub reservation: Option<Reservation>,
    /// Challenges of a name, replaced whole; none takes the name away.
    pub challenges: Vec<(DomainName, Vec<Challenge>)>,
    /// What happened, oldest first.
    pub entries: Vec<Entry>,
    /// The configuration accepted, as the text of all its files (JSON of `config::Sources`).
    pub accepted: Option<String>,
    /// State that had been restored or lost is accepted from here on.
    pub state_accepted: bool,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        *self == Batch::default()
    }
}

/// A route's state as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRoute {
    /// The route.
    pub route: RouteName,
    /// Its last decision.
    pub decision: Option<Decision>,
    /// The pool an operator's `failover` chose.
    pub home: Option<PoolName>,
    /// Automatic changes of the active pool in the last 60 minutes.
    pub switches: Vec<Wall>,
    /// Latched since.
    pub latched: Option<Wall>,
    /// Addresses that have proven themselves.
    pub proven: BTreeSet<IpAddr>,
    /// Pools that were active before, and until when resolvers may hold answers that put them first. Written for
    /// versions that know nothing of `departures`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<PoolName, Wall>,
    /// What answers put first before.
    #[serde(default, skip_serializing_if = "Departures::is_empty")]
    pub departures: Departures,
}

/// Numbers reserved ahead, so that none repeats after a crash or without a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Generations up to and including this one may be used.
    pub generation: Generation,
    /// SOA serials up to and including this one (RFC 1982 order) may be used.
    pub serial: u32,
    /// A serial of another server that an operator accepted: ours go past it, in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<u32>,
    /// When it was asked for, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
}

/// One line of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The generation in force after it.
    pub generation: Generation,
    /// When.
    pub at: Wall,
    /// The route it is about, if it is about one.
    pub route: Option<RouteName>,
    /// What sort of event.
    pub kind: EntryKind,
    /// What happened, in one line.
    pub text: String,
    /// Who, if somebody did.
    pub author: Option<String>,
    /// Why, in the operator's words.
    pub why: Option<String>,
    /// The decision taken, with its evidence.
    pub decision: Option<Decision>,
}

/// The sorts of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// The process began.
    Start,
    /// The active pool changed.
    Switch,
    /// Something behind the active pool changed.
    Reorder,
    /// What `failover = "observe"` or `"ask"` would have done.
    WouldSwitch,
    /// An override was set, changed, ended or expired.
    Override,
    /// Automatic switching latched or was released.
    Latch,
    /// A verdict of a pool changed.
    Verdict,
    /// An alarm began or ended.
    Alarm,
    /// A configuration was put in force or refused.
    Configuration,
    /// A zone's keys took a step.
    Keys,
    /// A primary sent another version of a zone, or what is none.
    Inbound,
    /// A challenge of a certificate authority was set, cleared or ended.
    Challenge,
}

/// Which part of the history's room an entry takes. What pools and keys of others can bring about has a part of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Budget {
    /// What happens all the time.
    Routine = 0,
    /// What changed answers, or what a person did.
    Changes = 1,
    /// Conditions that began or ended.
    Conditions = 2,
    /// Challenges of certificate authorities.
    Challenges = 3,
}

impl EntryKind {
    /// The budget of entries of this sort.
    pub fn budget(self) -> Budget {
        match self {
            EntryKind::Start | EntryKind::Reorder | EntryKind::Verdict => Budget::Routine,
            EntryKind::Switch
            | EntryKind::Override
            | EntryKind::Latch
            | EntryKind::Configuration
            | EntryKind::Keys => Budget::Changes,
            EntryKind::WouldSwitch | EntryKind::Alarm | EntryKind::Inbound => Budget::Conditions,
            EntryKind::Challenge => Budget::Challenges,
        }
    }
}

/// What is left to store when the engine ends.
#[derive(Clone, Debug, Default)]
pub struct Parting {
    /// What waits, and the numbers that were reserved and not used.
    pub batch: Option<Batch>,
    /// The zones as they were served last.
    pub keep: Option<Keep>,
}

/// What the store gives back at start.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Overrides in force.
    pub overrides: Vec<Override>,
    /// Route states.
    pub routes: Vec<StoredRoute>,
    /// Zones' keys.
    pub keys: Vec<ZoneRow>,
    /// Private keys.
    pub ring: KeyRing,
    /// Files of private keys that are of no use, one sentence each.
    pub key_faults: Vec<String>,
    /// The bounds reserved last; none on a first start.
    pub reservation: Option<Reservation>,
    /// Challenges of certificate authorities.
    pub challenges: Vec<Challenge>,
    /// The zones as they were kept last, each with its history.
    pub zones: Vec<Arc<ZoneVersion>>,
    /// Nothing was published after they were kept: the last process ended in order.
    pub complete: bool,
    /// What primaries had sent.
    pub inbound: Vec<KeptInbound>,
    /// Why the state is not to be trusted until accepted: it was restored from a backup, or lost.
    pub doubt: Option<String>,
    /// Why nothing could be stored from the start: the process goes on without a store.
    pub unavailable: Option<String>,
    /// What to do about that, where it is not the repair of the state directory.
    pub unavailable_fix: Option<String>,
    /// Nothing could be read either: no override and no decision from before is in force.
    pub forgotten: bool,
}
