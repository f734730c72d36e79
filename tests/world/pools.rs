//! Two pools that accept connections, and the route `fed` that moves between them.
//!
//! In: the domain. Out: listening sockets; the lines of a configuration and of a zone file that speak of them.

use std::net::TcpListener;

/// A pool of one target, which has the pool's name in the domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    /// The address that is published.
    pub(crate) publish: &'static str,
    /// Where it listens, and is probed.
    probe: &'static str,
}

/// In order of preference.
pub(crate) const POOLS: [Pool; 2] = [
    Pool {
        name: "pool1",
        publish: "192.0.2.10",
        probe: "127.0.3.1",
    },
    Pool {
        name: "pool2",
        publish: "192.0.2.20",
        probe: "127.0.3.2",
    },
];

/// Has both accept connections, as long as what it gives lives.
pub(crate) fn open() -> [TcpListener; 2] {
    POOLS.map(|pool| TcpListener::bind((pool.probe, 5269)).unwrap())
}

/// The pools and the route of a configuration, with these settings of the route.
pub(crate) fn configuration(domain: &str, settings: &str) -> String {
    let pools = POOLS.map(|Pool { name, publish, probe }| {
        format!(
            "[[pool]]\nname = \"{name}\"\n\
             target = [{{ name = \"{name}.{domain}\", publish = [\"{publish}\"], probe = [\"{probe}\"] }}]\n"
        )
    });
    // Not as fast as it can be: a probe that takes two seconds is no failure on a busy machine.
    format!(
        r#"{}
[[route]]
name = "fed"
domains = ["{domain}"]
pools = ["pool1", "pool2"]
service = [{{ kind = "xmpp-server" }}]
address = {{ name = "xmpp.{{domain}}" }}
check = {{ depth = "tcp", interval = "2s", retry = "200ms", timeout = "2s" }}
{settings}
"#,
        pools.concat()
    )
}

/// The targets' addresses, for the zone of the domain.
pub(crate) fn records() -> String {
    let records = POOLS.map(|pool| format!("{} A {}\n", pool.name, pool.publish));
    records.concat()
}
