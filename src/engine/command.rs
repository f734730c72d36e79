//! Commands: what an operator can ask of the engine, and how it answers.
//!
//! In: requests from the control interface. Out: [`Done`] once the change is served, or a [`Refusal`].
//! Never here: parsing of arguments or HTTP; those are `cli/` and `control/`.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::challenge::ChallengeChange;
use super::planned::Planned;
use crate::config::Configuration;
use crate::decide::{Decision, Generation, OverrideKey};
use crate::topology::{DomainName, PoolName, RouteName};
use crate::zone::SigningKey;

/// Tells requests apart while they are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One request with who asks for it and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What is asked.
    pub command: Command,
    /// Who asks: the user name behind the control socket, or what `--author` says.
    pub author: String,
    /// Why, in the operator's words.
    pub why: Option<String>,
    /// Work it out and answer, but change nothing.
    pub dry_run: bool,
    /// Accept that the change is lost at restart when the store cannot commit it.
    pub volatile: bool,
    /// Refuse when something else is in force by the time it is this command's turn.
    pub expected: Option<Expected>,
}

/// The code of a refusal because the store did not commit the change in time. It may still commit it; what is in force is
/// stored behind it then.
pub const STORE_FAILING: &str = "store-failing";

/// The code of a refusal because of [`Request::expected`].
pub const CHANGED_MEANWHILE: &str = "changed-meanwhile";

/// The code of a refusal because a reload takes away too much.
pub const REMOVAL: &str = "removal";

/// The code of a refusal because a primary's zone does not go together with a configuration.
pub const MISFIT: &str = "inbound";

/// The code of a refusal because a reload needs zones that are not signed yet.
pub const SIGNING: &str = "signing";

/// What whoever asks has looked at: the command is meant for no other state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The generation of a route's last decision.
    Route(RouteName, Generation),
    /// The generation served.
    Node(Generation),
}

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Command {
    /// Pin, drain or freeze.
    SetOverride {
        /// What it is about.
        key: OverrideKey,
        /// The pool, for a pin.
        pool: Option<PoolName>,
        /// For the drain of a pool: not even last.
        never: bool,
        /// How long.
        lifetime: Lifetime,
        /// Do it although the pool is down, or although nothing else would be left.
        force: bool,
    },
    /// Unpin, undrain or unfreeze. Unfreezing a route also clears its latch.
    EndOverride {
        /// What it is about.
        key: OverrideKey,
    },
    /// Leave the active pool.
    Failover {
        /// The route.
        route: RouteName,
        /// Where to; the best other pool when absent. Never to a pool that is down: that is what a pin is for.
        to: Option<PoolName>,
    },
    /// Return to the most preferred pool.
    Failback {
        /// The route.
        route: RouteName,
    },
    /// Put another configuration in force.
    Reload {
        /// The configuration, read and valid in itself.
        configuration: Arc<Configuration>,
        /// Allow it to remove an active or pinned pool, a route, many domains or many zones.
        allow_removal: bool,
    },
    /// Put challenges of certificate authorities in place, or take them away.
    Challenges {
        /// What is done, in order.
        changes: Vec<(DomainName, ChallengeChange)>,
        /// How long values that are set stay; what the configuration says when absent.
        lifetime: Option<Duration>,
        /// Clearing what is not there is fine.
        lenient: bool,
    },
    /// Change a zone's keys.
    Keys {
        /// The zone.
        zone: DomainName,
        /// How.
        change: KeyChange,
    },
    /// Declare restored or lost state good: automatic changes may go on; or, where only the clock is in doubt, the clock.
    AcceptState,
}

/// A change of a zone's keys that an operator asks for.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// Put a new key to work, whose file is written already.
    Begin {
        /// How it was asked for.
        verb: KeyVerb,
        /// The key.
        key: Arc<SigningKey>,
        /// The operator's word that the parent has no DS, where it cannot be asked.
        parent_has_no_ds: bool,
        /// Its file was written for this command. Should the store fail the command, the engine removes the file, once
        /// no row can name the key.
        new_file: bool,
    },
    /// Let go of a key.
    Retire {
        /// Its tag.
        tag: u16,
        /// At once, whatever breaks.
        force: bool,
    },
}

/// How a new key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyVerb {
    /// A first key.
    Generate,
    /// A key made elsewhere, first or not.
    Import,
    /// One that takes the place of another.
    Roll,
}

/// How long an override lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifetime {
    /// From now on for this long.
    For(Duration),
    /// Until it is ended by command; alarms daily.
    Forever,
}

/// What a command did. The change is served when this is returned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The generation that serves it; the one before when nothing changed in the answers.
    pub generation: Generation,
    /// Routes whose answers changed.
    pub changes: Vec<RouteChange>,
    /// How many zones have a version with other records.
    pub zones: usize,
    /// The zones' differences in master-file text, for a dry run; empty otherwise.
    pub zone_diff: String,
    /// Of a dry run, until `zones` and `zone_diff` are made of it: [`Done::describe`].
    #[serde(skip)]
    pub planned: Option<Planned>,
    /// What a reload changed in the configuration, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configuration: Vec<String>,
    /// What the operator should know, in sentences.
    pub warnings: Vec<String>,
    /// It was a dry run: nothing was changed.
    pub dry_run: bool,
    /// It is in force but not stored: it is lost at restart.
    pub volatile: bool,
}

impl Done {
    /// Makes the zones of a dry run and the text of how they differ. It takes seconds where zones are large or many: not for
    /// the engine's task.
    pub fn describe(&mut self) {
        if let Some(planned) = self.planned.take() {
            (self.zones, self.zone_diff) = planned.differences();
        }
    }
}

/// How one route's decision changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// The route.
    pub route: RouteName,
    /// The decision before; none for a new route.
    pub before: Option<Decision>,
    /// The decision after; none for a route that was removed.
    pub after: Option<Decision>,
}

/// Why a command was not carried out, in four parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}: {why}\n{in_force}")]
pub struct Refusal {
    /// A stable word for programs: `unknown-route`, `pool-down`, `store-failing` …
    pub code: String,
    /// Which HTTP status fits.
    pub kind: RefusalKind,
    /// What failed, on which thing: `cannot pin route contoso to edgepool2`.
    pub what: String,
    /// Why.
    pub why: String,
    /// What stays in force: `edgepool1 stays active (generation 118)`.
    pub in_force: String,
    /// What to type instead, if anything helps.
    pub hint: Option<String>,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The thing named does not exist.
    NotFound,
    /// The request contradicts itself or the configuration.
    Invalid,
    /// It contradicts what is in force; another command or `--force` makes it possible.
    Conflict,
    /// It cannot be done now: the store fails, the engine stops.
    Unavailable,
}
