//! repoint with one zone that is to be signed and two pools that accept connections.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::place::dig;
use crate::world::daemon::Daemon;
use crate::world::private_network::RESOLVER;
use crate::world::wait::wait_for;
use crate::{PATIENCE, SERVER, ZONE};

/// Name, published address, where it is probed.
const POOLS: [(&str, &str, &str); 2] = [
    ("pool1", "192.0.2.10", "127.0.1.1"),
    ("pool2", "192.0.2.20", "127.0.2.1"),
];

/// A running repoint.
pub(crate) struct Repoint {
    dir: PathBuf,
    _pools: Vec<TcpListener>,
    daemon: Daemon,
}

impl Repoint {
    /// Starts it and waits until it answers.
    pub(crate) fn start(dir: &Path) -> Repoint {
        let dir = dir.join("repoint");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("repoint.toml"), configuration(true)).unwrap();
        fs::write(dir.join("zone"), zone()).unwrap();
        let pools = POOLS.iter();
        let pools = pools.map(|(_, _, probe)| TcpListener::bind((*probe, 5269)).unwrap());
        let repoint = Repoint {
            _pools: pools.collect(),
            daemon: serve(&dir),
            dir,
        };
        repoint.until_served();
        repoint
    }

    fn until_served(&self) {
        wait_for("repoint answers", PATIENCE, || {
            let served = !dig(SERVER, ZONE, "SOA").is_empty();
            (served && self.attempt(&["key", "list"]).is_ok()).then_some(())
        });
    }

    /// Says in the configuration whether zones are signed, and has it read.
    pub(crate) fn sign(&self, signed: bool) {
        fs::write(self.dir.join("repoint.toml"), configuration(signed)).unwrap();
        self.command(&["config", "reload"]);
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Kills it, loses its state, starts it again.
    pub(crate) fn restart_without_state(&mut self) {
        self.daemon.kill();
        fs::remove_dir_all(self.state()).unwrap();
        self.daemon = serve(&self.dir);
        self.until_served();
    }

    /// What `key list` says of all zones.
    pub(crate) fn zones(&self) -> Vec<Value> {
        serde_json::from_str(&self.command(&["key", "list", "--json"])).unwrap()
    }

    /// What `key list` says of the zone.
    pub(crate) fn keys(&self) -> Value {
        self.zones().into_iter().next().expect("the zone is listed")
    }

    /// The alarms that stand.
    pub(crate) fn alarms(&self) -> String {
        // An alarm decides the exit code.
        let said = self.attempt(&["status", "--json"]);
        let said = said.unwrap_or_else(|said| said);
        let status: Value =
            serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"));
        status["alarms"].to_string()
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        self.attempt(arguments)
            .unwrap_or_else(|said| panic!("repoint {arguments:?}: {said}"))
    }

    /// Runs a command that must be refused, and gives why.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        self.attempt(arguments).expect_err("a refusal")
    }

    fn attempt(&self, arguments: &[&str]) -> Result<String, String> {
        let out = Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(arguments)
            .env("REPOINT_SOCKET", self.dir.join("control.sock"))
            .output()
            .unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match out.status.success() {
            true => Ok(text(&out.stdout)),
            false => Err(text(&out.stdout) + &text(&out.stderr)),
        }
    }
}

fn serve(dir: &Path) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
    command.args(["serve", "--config", "repoint.toml"]);
    Daemon::start("repoint", dir, command.current_dir(dir))
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
