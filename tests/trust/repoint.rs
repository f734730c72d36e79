//! repoint with one signed zone, two pools that accept connections, and its secondaries.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tree::ask;
use crate::world::daemon::Daemon;
use crate::world::private_network::RESOLVER;
use crate::world::wait::wait_for;
use crate::{DOMAIN, Host, PATIENCE, REPOINT, TSIG_NAME, TSIG_SECRET, ZONE};

/// The pools: name, published address, where they are probed.
pub(crate) const POOLS: [(&str, &str, &str); 2] = [
    ("pool1", "194.58.193.10", "127.0.1.1"),
    ("pool2", "194.58.193.20", "127.0.2.1"),
];

/// A running repoint.
pub(crate) struct Repoint {
    dir: PathBuf,
    _pools: Vec<TcpListener>,
    _daemon: Daemon,
}

impl Repoint {
    /// Starts it and waits until it answers and knows both pools to be up.
    pub(crate) fn start(dir: &Path, secondaries: &[Host]) -> Repoint {
        let dir = dir.join("repoint");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("repoint.toml"), configuration(secondaries)).unwrap();
        fs::write(dir.join("zone"), zone(secondaries)).unwrap();
        let pools = POOLS
            .iter()
            .map(|(_, _, probe)| TcpListener::bind((*probe, 5269)).unwrap())
            .collect();
        let daemon = Daemon::start(
            "repoint",
            &dir,
            Command::new(env!("CARGO_BIN_EXE_repoint"))
                .args(["serve", "--config", "repoint.toml"])
                .current_dir(&dir),
        );
        let repoint = Repoint {
            dir,
            _pools: pools,
            _daemon: daemon,
        };
        wait_for("repoint answers", PATIENCE, || {
            (!ask(REPOINT.v4, ZONE, "SOA").is_empty()).then_some(())
        });
        for (pool, ..) in POOLS {
            wait_for("pools are up", PATIENCE, || {
                let shown: serde_json::Value = serde_json::from_str(
                    &repoint
                        .try_command(&["pool", "show", pool, "--json"])
                        .ok()?,
                )
                .ok()?;
                (shown["verdict"] == "up").then_some(())
            });
        }
        repoint
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        self.try_command(arguments)
            .unwrap_or_else(|said| panic!("repoint {arguments:?}: {said}"))
    }

    fn try_command(&self, arguments: &[&str]) -> Result<String, String> {
        let out = Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(arguments)
            .env("REPOINT_SOCKET", self.socket())
            .output()
            .unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match out.status.success() {
            true => Ok(text(&out.stdout)),
            false => Err(text(&out.stdout) + &text(&out.stderr)),
        }
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
                "[[secondary]]\nname = \"{}\"\naddress = \"{}:53\"\ntsig = \"{TSIG_NAME}\"\n\n",
                host.name, host.v4
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
name = "{TSIG_NAME}"
algorithm = "hmac-sha256"
secret = "{TSIG_SECRET}"

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
