//! Zones from a primary, with Debian's Knot, NSD and BIND as the owner's server and the real program behind them.

#![allow(clippy::unwrap_used)]

#[path = "../dns/mod.rs"]
mod dns;
#[path = "../world/mod.rs"]
mod world;
#[path = "../daemon/server.rs"]
#[allow(dead_code)] // Not all of it is used here.
mod server;

mod primary;
mod restart;
mod stories;

/// The programs these stories start.
const PROGRAMS: &[&str] = &["knotd", "nsd", "named", "ip", "unshare"];
