//! What DNS people see of a signed zone that repoint serves with stock secondaries, below a root and top-level domains
//! of this test's own, in a private network.
//!
//! - Zonemaster, the registries' own checker, finds no error.
//! - Through a thousand moves, with Knot, NSD and BIND as secondaries and a validating Unbound asking all the while,
//!   no answer is lost, bogus or mixed. `REPOINT_TEST_FULL=1` runs it at full size.
//!
//! The addresses are ordinary public ones, as Zonemaster refuses private ones; they exist only inside.

#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod moves;
mod nameservers;
mod repoint;
mod tree;
mod zonemaster;

use std::time::Duration;

const PROGRAMS: &[&str] = &["knotd", "nsd", "named", "unbound", "dig", "zonemaster-cli"];
/// How long anything local may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The zone under test, and the domain whose federation lives in it.
const ZONE: &str = "fed.contoso.com";
const DOMAIN: &str = "fed.contoso.com";

/// A nameserver's two addresses.
#[derive(Clone, Copy, Debug)]
struct Host {
    name: &'static str,
    v4: &'static str,
    v6: &'static str,
}

/// Serves the root and the top-level domains.
const ROOT: Host = Host {
    name: "a.root",
    v4: "193.0.14.1",
    v6: "2001:7fd::1",
};
const REPOINT: Host = Host {
    name: "ns1.hoster.net",
    v4: "194.58.192.1",
    v6: "2a01:3f0:1::1",
};
const NSD: Host = Host {
    name: "ns2.hoster.net",
    v4: "195.60.64.1",
    v6: "2001:67c:1000::1",
};
const KNOT: Host = Host {
    name: "ns3.hoster.net",
    v4: "185.1.2.1",
    v6: "2001:67c:2000::1",
};
const BIND: Host = Host {
    name: "ns4.hoster.net",
    v4: "185.10.3.1",
    v6: "2001:67c:3000::1",
};

/// The TSIG key between repoint and its secondaries.
const TSIG_NAME: &str = "secondaries.hoster.net";
const TSIG_SECRET: &str = "c2l4dHkgZm91ciBjaGFyYWN0ZXJzIG9mIHNlY3JldCE=";
