//! The proof of the pure core: stories with their expected course, and a simulation that looks for one that goes wrong.
//!
//! In: the real engine, configuration, health, deciding and zones. Out: transcripts that can be read, and a million
//! random events without a broken promise. Never here: sockets, files of the store, the machine's clocks.
#![allow(clippy::unwrap_used)]

mod ahead;
mod blind;
#[path = "../keys/chain.rs"]
mod chain;
mod disk;
mod in_time;
mod large;
mod life;
mod longer_ttls;
mod lost_keys;
mod made_keys;
mod nested;
mod many_zones;
mod network;
mod old_answers;
mod outside;
mod parents;
mod primaries;
mod promises;
mod purity;
mod recording;
mod restored;
mod scenario;
mod served;
mod setup;
mod signatures;
mod signed;
mod spread;
mod simulation;
mod slow_store;
mod truth;
mod world;
mod without_store;
mod wrong_clock;
