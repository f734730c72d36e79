//! repoint with one zone that is to be signed and two pools that accept connections.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use domain::base::iana::{Rcode, Rtype};
use serde_json::Value;

use crate::world::client::{Client, dig};
use crate::world::pools::{self, POOLS};
use crate::world::private_network::{RESOLVER, add_address};
use crate::world::repoint::Repoint;
use crate::world::wait::wait_for;
use crate::{PATIENCE, SERVER, ZONE};

/// repoint and its pools.
pub(crate) struct Site {
    pub(crate) repoint: Repoint,
    pools: Vec<TcpListener>,
}

impl Site {
    /// Starts them and waits until repoint answers.
    pub(crate) fn start(dir: &Path) -> Site {
        add_address(SERVER);
        let site = Site {
            pools: pools::open().into(),
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

    /// Kills repoint, loses its database and neither its keys nor what else there is, starts it again. Out: whether the
    /// first answer was signed.
    pub(crate) fn restart_without_database(&mut self) -> bool {
        self.repoint.kill();
        for file in std::fs::read_dir(self.repoint.file("state")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if name.starts_with("repoint.db") {
                std::fs::remove_file(&path).unwrap();
            }
        }
        let first = std::thread::spawn(|| {
            let server = Client::new((SERVER, 53));
            wait_for("a first answer", PATIENCE, || {
                let reply = server.ask(ZONE, Rtype::SOA)?;
                let rcode = reply.header().rcode();
                // A zone that is not served yet is asked for elsewhere.
                (rcode != Rcode::REFUSED).then_some(reply)
            })
        });
        self.repoint.begin();
        let first = first.join().unwrap();
        let mut records = first.answer().unwrap();
        records.any(|record| record.unwrap().rtype() == Rtype::RRSIG)
    }

    /// Nobody listens at the first pool any more.
    pub(crate) fn fail_first_pool(&mut self) {
        self.repoint.until_up(POOLS[0].name);
        self.pools.remove(0);
    }

    /// Has a secondary at this address.
    pub(crate) fn has_secondary(&self, address: Ipv4Addr) {
        let secondary =
            format!("[[secondary]]\nname = \"ns2\"\naddress = \"{address}:53\"\ntsig = \"none\"\n");
        self.repoint
            .configure(&format!("{}{secondary}", configuration(true)));
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

/// The configuration.
pub(crate) fn configuration(signed: bool) -> String {
    let steered = pools::configuration(ZONE, "ttl = \"1s\"");
    format!(
        r#"version = 1

[server]
listen = ["{SERVER}:53"]
state = "state"
control = "control.sock"

[dns]
nameservers = [{{ name = "ns1.hoster.net" }}]
ttl = "1s"
negative_ttl = "1s"
dnssec = {signed}
resolvers = ["{RESOLVER}:53"]
propagation = "1s"
rate_limit = 0

{steered}
[[zone]]
apex = "{ZONE}"
file = "zone"
"#
    )
}

/// The names of the zone that are not steered.
fn zone() -> String {
    let pools = pools::records();
    format!(
        "$ORIGIN {ZONE}.\n$TTL 1\n@ SOA ns1.hoster.net. hostmaster.hoster.net. 1 60 30 604800 1\n\
         @ NS ns1.hoster.net.\n{pools}"
    )
}
