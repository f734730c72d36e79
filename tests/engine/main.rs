//! The proof of the pure core: stories with their expected course, and a simulation that looks for one that goes wrong.
//!
//! In: the real engine, configuration, health, deciding and zones. Out: transcripts that can be read, and a million
//! random events without a broken promise. Never here: sockets, files of the store, the machine's clocks.
#![allow(clippy::unwrap_used)]

mod nested;
mod network;
mod parents;
mod promises;
mod purity;
mod scenario;
mod served;
mod setup;
mod signed;
mod lost_keys;
mod wrong_clock;
mod simulation;
mod truth;
mod world;
