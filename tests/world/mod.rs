//! Real programs in a network of their own: shared by the tests that need ports 53 and 5269, several addresses, or
//! servers that must not be heard outside. One file per program: how it is configured, started and waited for.
//!
//! A test that uses this names the programs it starts in `crate::PROGRAMS`.

#![allow(dead_code, clippy::unwrap_used)] // Not every test uses all of it.

mod bind;
pub(crate) mod client;
pub(crate) mod daemon;
mod knot;
pub(crate) mod nameserver;
mod nsd;
pub(crate) mod pools;
pub(crate) mod private_network;
pub(crate) mod repoint;
pub(crate) mod tool;
pub(crate) mod unbound;
pub(crate) mod wait;
