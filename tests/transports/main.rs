//! The encrypted transports of the real program: what stock clients get over TLS, HTTPS and QUIC, how the certificate is
//! changed, and what slow and hostile clients can take from others.

#![allow(clippy::unwrap_used)]

#[path = "../dns/mod.rs"]
mod dns;
#[path = "../world/tool.rs"]
mod tool;

#[path = "../daemon/server.rs"]
#[allow(dead_code)]
mod server;

mod bounds;
mod certificate;
mod client;
mod flood;
mod held;
mod hostile;
mod https;
mod made;
mod place;
mod quic;
mod stock;
mod tls;
