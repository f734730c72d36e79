//! repoint: an authoritative DNS server that keeps XMPP and SIP federation pointed at a pool that works.
//!
//! One noun per arrow:
//!
//! ```text
//! Probe ──probe──▶ Observation ──judge──▶ Verdict ──decide──▶ Decision ──compile──▶ ZoneVersion ──answer──▶ Answer
//! ```
//!
//! The modules below are in the order of that line, and each uses only those above it. Everything between an
//! observation and a zone version is pure: no sockets, no files, no clock. `docs/architecture.md` has the code map.

pub mod clock;
pub mod files;
pub mod patience;
pub mod harmless;
pub mod near;
pub mod topology;
pub mod probe;
pub mod health;
pub mod decide;
pub mod zone;
pub mod keys;
pub mod tsig;
pub mod config;
pub mod serve;
pub mod ask;
pub mod engine;
pub mod store;
pub mod shell;
pub mod secondaries;
pub mod inbound;
pub mod delegation;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod cli;
