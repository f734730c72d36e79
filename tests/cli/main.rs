//! The command line against the real server: what an operator types, what comes back, and what partners are
//! answered by then.

#![allow(clippy::unwrap_used)]

#[path = "../dns/mod.rs"]
mod dns;
#[path = "../world/tool.rs"]
mod tool;
mod acme;
mod complete;
mod customers;
mod keys;
mod look;
mod overrides;
mod probing;
mod moves;
mod serving;
mod shortcuts;
mod site;
mod talk;
