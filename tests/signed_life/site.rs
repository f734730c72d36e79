//! repoint with one zone that is to be signed and two pools that accept connections.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::world::client::dig;
use crate::world::private_network::{RESOLVER, add_address};
use crate::world::repoint::Repoint;
use crate::world::wait::wait_for;
use crate::{PATIENCE, SERVER, ZONE};

/// Name, published address, where it is probed.
const POOLS: [(&str, &str, &str); 2] = [
    ("pool1", "192.0.2.10", "127.0.1.1"),
    ("pool2", "192.0.2.20", "127.0.2.1"),
];

/// repoint and its pools.
pub(crate) struct Site {
    pub(crate) repoint: Repoint,
    _pools: Vec<TcpListener>,
}

impl Site {
    /// Starts them and waits until repoint answers.
    pub(crate) fn start(dir: &Path) -> Site {
        add_address(SERVER);
        let pools = POOLS.iter();
        let pools = pools.map(|(_, _, probe)| TcpListener::bind((*probe, 5269)).unwrap());
        let site = Site {
            _pools: pools.collect(),
            repoint: Repoint::start(dir, &configuration(true), &[("zone", &zone())]),
        };
        site.until_served();
        site
    }

    fn until_served(&self) {
        wait_for("repoint answers", PATIENCE, || {
            (!dig(SERVER, ZONE, "SOA").is_empty()).then_some(())
        });
    }

    /// Says in the configuration whether zones are signed, and has it read.
    pub(crate) fn sign(&self, signed: bool) {
        self.repoint.configure(&configuration(signed));
    }

    /// Kills repoint, loses its state, starts it again.
    pub(crate) fn restart_without_state(&mut self) {
        self.repoint.kill();
        std::fs::remove_dir_all(self.repoint.file("state")).unwrap();
        self.repoint.begin();
        self.until_served();
    }

    /// What `key list` says of all zones.
    pub(crate) fn zones(&self) -> Vec<Value> {
        let listed = self.repoint.json(&["key", "list"]);
        listed.as_array().unwrap().clone()
    }

    /// What `key list` says of the zone.
    pub(crate) fn keys(&self) -> Value {
        self.zones().into_iter().next().expect("the zone is listed")
    }

    /// The kinds of the alarms that stand.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let alarms = self.repoint.alarms().into_iter();
        alarms
            .map(|alarm| alarm["kind"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn configuration(signed: bool) -> String {
    let pools = POOLS.iter().map(|(name, publish, probe)| {
        format!(
            "[[pool]]\nname = \"{name}\"\n[[pool.target]]\nname = \"{name}.{ZONE}\"\npublish = [\"{publish}\"]\n\
             probe = [\"{probe}\"]\n\n"
        )
    });
    let pools: String = pools.collect();
    format!(
        r#"version = 1

[server]
listen = ["{SERVER}:53"]
state = "state"
control = "control.sock"

[dns]
nameservers = [{{ name = "ns1.hoster.net" }}]
ttl = "2s"
negative_ttl = "1s"
dnssec = {signed}
resolvers = ["{RESOLVER}:53"]
propagation = "1s"
rate_limit = 0

{pools}[[route]]
name = "fed"
domains = ["{ZONE}"]
pools = ["pool1", "pool2"]
ttl = "1s"

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
"#
    )
}

/// The names of the zone that are not steered.
fn zone() -> String {
    let pools = POOLS.iter();
    let pools: String = pools
        .map(|(name, publish, _)| format!("{name} A {publish}\n"))
        .collect();
    format!(
        "$ORIGIN {ZONE}.\n$TTL 2\n@ SOA ns1.hoster.net. hostmaster.hoster.net. 1 60 30 604800 1\n\
         @ NS ns1.hoster.net.\n{pools}"
    )
}
