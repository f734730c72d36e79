//! The real program, from outside: its start and end, its signals, its reloads, and what it owes when it is killed,
//! overloaded or robbed of its disk.
//!
//! `REPOINT_TEST_FULL=1` runs the two load tests with the numbers of the project's goals instead of smaller ones.

#![allow(clippy::unwrap_used)]

#[path = "../dns/mod.rs"]
mod dns;
#[path = "../world/tool.rs"]
mod tool;

mod alarms;
mod disk;
mod files;
mod kill;
mod listeners;
mod load;
mod manager;
mod memory;
mod manners;
mod open_files;
mod privileges;
mod removal;
mod server;
mod sources;
mod start;
mod state;
mod stopped;
mod updates;

/// Whether the load tests run at full size.
fn full() -> bool {
    std::env::var_os("REPOINT_TEST_FULL").is_some()
}
