//! Zones at other servers: transfers, TSIG, NOTIFY, and what is known of each secondary.

#![allow(clippy::unwrap_used)]

mod digest;
mod encrypted;
mod followers;
#[path = "../signing/ground.rs"]
#[allow(dead_code)] // Not all of it is needed here.
mod ground;
mod large;
#[path = "../transports/made.rs"]
mod made;
mod redirected;
mod sequences;
mod site;
mod tsig;
mod watched;
#[path = "../world/mod.rs"]
mod world;

/// What the tests start.
const PROGRAMS: &[&str] = &["knotd", "nsd", "named", "dig", "kdig", "unbound"];
