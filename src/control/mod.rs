//! The control interface: HTTP+JSON over a Unix socket, the same for the command line and for programs.
//!
//! In: requests of whoever may open the socket. Out: commands to the node, and what they or the views answer.
//! Never here: decisions, or text for people. A fault here never touches the answers to partners.
//!
//! Nouns are paths, verbs are methods, and *how* something is to be done (`reason`, `dry_run` …) is in the query.
//! `docs/api.md` lists the routes.

mod author;
mod challenge;
mod change;
mod delegation;
mod explanation;
mod extract;
#[cfg(test)]
pub(crate) mod fixture;
mod listener;
mod look;
mod node;
mod keys;
mod probing;
mod refusal;
mod router;
#[cfg(test)]
mod tests;
mod wire;

pub use explanation::Explanation;
pub use keys::{KeyBody, RetireBody};
pub use listener::{ListenError, Listener};
#[cfg(test)]
pub(crate) use look::target_views;
pub use node::{Answer, NewKey, Node, Reload};
pub use probing::{Probed, probe_route};
pub use router::router;
pub use wire::{
    ChallengeBody, ClearBody, ConfigurationFile, DrainBody, FailoverBody, FreezeBody, How, Nothing,
    PinBody, ProbeBody, Refreshed, ReloadBody, ServerHealth, TargetView, lifetime,
};
