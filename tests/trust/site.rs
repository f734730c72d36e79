//! repoint with one signed zone, two pools that accept connections, and its secondaries.

use std::net::TcpListener;
use std::path::Path;

use crate::world::client::dig;
use crate::world::private_network::RESOLVER;
use crate::world::repoint::Repoint;
use crate::world::wait::wait_for;
use crate::{DOMAIN, Host, PATIENCE, REPOINT, TSIG, ZONE};

/// The pools: name, published address, where they are probed.
pub(crate) const POOLS: [(&str, &str, &str); 2] = [
    ("pool1", "194.58.193.10", "127.0.1.1"),
    ("pool2", "194.58.193.20", "127.0.2.1"),
];

/// repoint and its pools.
pub(crate) struct Site {
    pub(crate) repoint: Repoint,
    _pools: Vec<TcpListener>,
}

impl Site {
    /// Starts them and waits until the zone is signed and both pools are known to be up.
    pub(crate) fn start(dir: &Path, secondaries: &[Host]) -> Site {
        let pools = POOLS.iter();
        let pools = pools.map(|(_, _, probe)| TcpListener::bind((*probe, 5269)).unwrap());
        let zone = zone(secondaries);
        let site = Site {
            _pools: pools.collect(),
            repoint: Repoint::start(dir, &configuration(secondaries), &[("zone", &zone)]),
        };
        wait_for("the zone is signed", PATIENCE, || {
            (!dig(REPOINT.v4, ZONE, "DNSKEY").is_empty()).then_some(())
        });
        for (pool, ..) in POOLS {
            site.repoint.until_up(pool);
        }
        site
    }
}

fn configuration(secondaries: &[Host]) -> String {
    let pools: String = POOLS
        .iter()
        .map(|(name, publish, probe)| {
            format!(
                "[[pool]]\nname = \"{name}\"\n[[pool.target]]\nname = \"{name}.{DOMAIN}\"\npublish = [\"{publish}\"]\nprobe = [\"{probe}\"]\n\n"
            )
        })
        .collect();
    let secondaries: String = secondaries
        .iter()
        .map(|host| {
            format!(
                "[[secondary]]\nname = \"{}\"\naddress = \"{}:53\"\ntsig = \"{}\"\n\n",
                host.name, host.v4, TSIG.name
            )
        })
        .collect();
    format!(
        r#"version = 1

[server]
listen = ["{v4}:53", "[{v6}]:53"]
state = "state"
control = "control.sock"

[dns]
nameservers = [{{ name = "{name}" }}]
dnssec = true
resolvers = ["{RESOLVER}:53"]
propagation = "1s"
rate_limit = 0

[[tsig]]
name = "{tsig}"
algorithm = "hmac-sha256"
secret = "{secret}"

{secondaries}{pools}[[route]]
name = "fed"
domains = ["{DOMAIN}"]
pools = ["pool1", "pool2"]
failover = "auto"

[route.address]
name = "xmpp.{{domain}}"

[[route.service]]
kind = "xmpp-server"

[route.check]
depth = "tcp"
interval = "2s"
retry = "200ms"
timeout = "2s"

[[zone]]
apex = "{ZONE}"
file = "zone"
"#,
        v4 = REPOINT.v4,
        v6 = REPOINT.v6,
        name = REPOINT.name,
        tsig = TSIG.name,
        secret = TSIG.secret,
    )
}

/// The names of the zone that are not steered.
fn zone(secondaries: &[Host]) -> String {
    let pools: String = POOLS
        .iter()
        .map(|(name, publish, _)| format!("{name} A {publish}\n"))
        .collect();
    let nameservers: String = [&REPOINT]
        .into_iter()
        .chain(secondaries)
        .map(|host| format!("@ NS {}.\n", host.name))
        .collect();
    format!(
        "$ORIGIN {ZONE}.\n$TTL 300\n@ SOA {}. hostmaster.hoster.net. 1 60 30 604800 30\n{nameservers}{pools}",
        REPOINT.name
    )
}
