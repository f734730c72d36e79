//! What DNS people see of a signed zone that repoint serves with stock secondaries, below a root and top-level domains
//! of this test's own, in a private network.
//!
//! - Zonemaster, the registries' own checker, finds no error.
//! - Through a thousand moves, with Knot, NSD and BIND as secondaries and a validating Unbound asking all the while,
//!   no answer is lost, bogus or mixed. `REPOINT_TEST_FULL=1` runs it at full size.
//! - Killed in the middle of moves, repoint leaves no secondary ahead of it or with something else.
//!
//! The addresses are ordinary public ones, as Zonemaster refuses private ones; they exist only inside.

#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod kills;
mod moves;
mod nameservers;
mod site;
mod tree;
mod zonemaster;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use world::nameserver::Key;

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
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Host {
    const fn new(name: &'static str, v4: [u8; 4], v6: [u16; 8]) -> Host {
        let [a, b, c, d] = v4;
        let [s, t, u, v, w, x, y, z] = v6;
        Host {
            name,
            v4: Ipv4Addr::new(a, b, c, d),
            v6: Ipv6Addr::new(s, t, u, v, w, x, y, z),
        }
    }

    fn sockets(self) -> Vec<SocketAddr> {
        vec![(self.v4, 53).into(), (self.v6, 53).into()]
    }
}

/// Serves the root and the top-level domains.
const ROOT: Host = Host::new("a.root", [193, 0, 14, 1], [0x2001, 0x7fd, 0, 0, 0, 0, 0, 1]);
const REPOINT: Host = hoster("ns1.hoster.net", [194, 58, 192, 1], 0x1000);
const NSD: Host = hoster("ns2.hoster.net", [195, 60, 64, 1], 0x2000);
const KNOT: Host = hoster("ns3.hoster.net", [185, 1, 2, 1], 0x3000);
const BIND: Host = hoster("ns4.hoster.net", [185, 10, 3, 1], 0x4000);

const fn hoster(name: &'static str, v4: [u8; 4], network: u16) -> Host {
    Host::new(name, v4, [0x2001, 0x67c, network, 0, 0, 0, 0, 1])
}

/// The TSIG key between repoint and its secondaries.
const TSIG: Key = Key {
    name: "secondaries.hoster.net",
    secret: "c2l4dHkgZm91ciBjaGFyYWN0ZXJzIG9mIHNlY3JldCE=",
};
