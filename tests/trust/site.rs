//! repoint with one signed zone, two pools that accept connections, and its secondaries.

use std::net::TcpListener;
use std::path::Path;

use crate::world::client::dig;
use crate::world::pools::{self, POOLS};
use crate::world::private_network::RESOLVER;
use crate::world::repoint::Repoint;
use crate::world::wait::wait_for;
use crate::{DOMAIN, Host, PATIENCE, REPOINT, TSIG, ZONE};

/// repoint and its pools.
pub(crate) struct Site {
    pub(crate) repoint: Repoint,
    _pools: [TcpListener; 2],
}

impl Site {
    /// Starts them and waits until the zone is signed and both pools are known to be up.
    pub(crate) fn start(dir: &Path, secondaries: &[Host]) -> Site {
        let zone = zone(secondaries);
        let site = Site {
            _pools: pools::open(),
            repoint: Repoint::start(dir, &configuration(secondaries), &[("zone", &zone)]),
        };
        wait_for("the zone is signed", PATIENCE, || {
            (!dig(REPOINT.v4, ZONE, "DNSKEY").is_empty()).then_some(())
        });
        for pool in POOLS {
            site.repoint.until_up(pool.name);
        }
        site
    }
}

fn configuration(secondaries: &[Host]) -> String {
    let steered = pools::configuration(DOMAIN, "failover = \"auto\"");
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

{secondaries}{steered}
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
    let pools = pools::records();
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
