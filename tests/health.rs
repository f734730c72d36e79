//! Health on a virtual clock: a world of servers that answer, hang or lie, probed as the schedule says.
//!
//! Hours pass in milliseconds. Every random test names the seed it failed with.
#![allow(clippy::unwrap_used)]

#[path = "health/bound.rs"]
mod bound;
#[path = "health/canaries.rs"]
mod canaries;
#[path = "health/manners.rs"]
mod manners;
#[path = "health/reload.rs"]
mod reload;
#[path = "health/world.rs"]
mod world;
