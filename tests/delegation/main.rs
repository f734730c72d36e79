//! `repoint delegation`: what the zones above need, whether they have it, and the way out.
#![allow(clippy::unwrap_used)]

mod configs;
mod lab;
mod leave;
mod live;
mod served;
mod show;
mod signed;
#[path = "../world/mod.rs"]
mod world;

/// What the stories in a private network start.
const PROGRAMS: &[&str] = &[
    "knotd",
    "nsd",
    "named",
    "unbound",
    "dig",
    "dnssec-dsfromkey",
];
