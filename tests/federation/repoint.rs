//! repoint itself: the built program, configured as an operator would for the two pools, and its command line.
//!
//! In: commands. Out: what it printed, and what it answers to DNS questions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::authority::Authority;
use crate::daemon::Daemon;
use crate::resolver::ask;
use crate::wait::wait_for;
use crate::world::tool;
use crate::{DOMAIN, NAMESERVER, PATIENCE, POOLS, Pace, RESOLVER};

/// A running repoint. It keeps its state directory across [`Repoint::kill_and_restart`].
#[derive(Debug)]
pub(crate) struct Repoint {
    dir: PathBuf,
    daemon: Daemon,
}

impl Repoint {
    /// Starts it and waits until it answers with pool 1 first, as it must without any state.
    pub(crate) fn start(pace: Pace, authority: &Authority, dir: &Path) -> Repoint {
        fs::write(
            dir.join("repoint.toml"),
            configuration(pace, authority, dir),
        )
        .expect("the scratch directory is writable");
        fs::write(dir.join("contoso.zone"), zone()).expect("the scratch directory is writable");
        let mut repoint = Repoint {
            dir: dir.to_owned(),
            daemon: serve(dir),
        };
        repoint.wait_until_first(POOLS[0].0, PATIENCE);
        repoint
    }

    /// `kill -9`, and a start from what was stored.
    pub(crate) fn kill_and_restart(&mut self) {
        self.daemon.kill();
        assert_eq!(
            self.order(),
            Vec::<String>::new(),
            "a killed repoint answers nothing"
        );
        self.daemon = serve(&self.dir);
        wait_for("repoint answers again", PATIENCE, || {
            assert!(self.daemon.is_running(), "repoint ended");
            (!self.order().is_empty()).then_some(())
        });
    }

    /// Runs a command of the command line that must succeed, and gives its standard output.
    ///
    /// # Panics
    /// When it fails, with what it said.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let out = self.try_command(arguments);
        assert!(
            out.status.success(),
            "repoint {arguments:?}: {}\n{}{}",
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn try_command(&self, arguments: &[&str]) -> Output {
        tool::repoint()
            .args(arguments)
            .env("REPOINT_SOCKET", socket(&self.dir))
            .output()
            .expect("repoint was built")
    }

    /// The pools in the order in which partners try them: the SRV targets by priority, as repoint itself answers.
    pub(crate) fn order(&self) -> Vec<String> {
        let mut records: Vec<(u16, String)> =
            ask(NAMESERVER, &format!("_xmpp-server._tcp.{DOMAIN}"), "SRV")
                .iter()
                .filter_map(|record| {
                    let mut fields = record.split_whitespace();
                    let priority = fields.next()?.parse().ok()?;
                    let pool = fields.nth(2)?.split('.').next()?.to_owned();
                    Some((priority, pool))
                })
                .collect();
        records.sort();
        records.into_iter().map(|(_, pool)| pool).collect()
    }

    /// Waits until `pool` is preferred, the other one still published behind it, and the federation address is `pool`'s.
    pub(crate) fn wait_until_first(&mut self, pool: &str, limit: Duration) {
        let address = POOLS
            .iter()
            .find(|(name, _)| *name == pool)
            .expect("one of our pools")
            .1
            .to_string();
        wait_for(&format!("repoint names {pool} first"), limit, || {
            assert!(self.daemon.is_running(), "repoint ended");
            let order = self.order();
            (order.len() == POOLS.len()
                && order[0] == pool
                && self.federation_address() == [address.clone()])
            .then_some(())
        });
    }

    /// The federation A record.
    pub(crate) fn federation_address(&self) -> Vec<String> {
        ask(NAMESERVER, &format!("xmpp.{DOMAIN}"), "A")
    }

    /// Waits until repoint's own verdict of a pool is `verdict`.
    pub(crate) fn wait_for_verdict(&self, pool: &str, verdict: &str, limit: Duration) {
        wait_for(&format!("repoint finds {pool} {verdict}"), limit, || {
            let shown: serde_json::Value =
                serde_json::from_str(&self.command(&["pool", "show", pool, "--json"]))
                    .expect("--json prints JSON");
            (shown["verdict"] == verdict).then_some(())
        });
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

fn serve(dir: &Path) -> Daemon {
    Daemon::start(
        "repoint",
        dir,
        tool::repoint()
            .arg("serve")
            .arg("--config")
            .arg(dir.join("repoint.toml")),
    )
}

fn configuration(pace: Pace, authority: &Authority, dir: &Path) -> String {
    let (ttl, check) = match pace {
        Pace::Default => ("", ""),
        // Not as fast as it can be: a probe that takes two seconds is no failure on a busy machine.
        Pace::Fast => (
            "ttl = \"1s\"\n",
            "interval = \"2s\"\nretry = \"200ms\"\ntimeout = \"2s\"\nfall = 3\nmin_fault = \"0s\"\nsteady = 3\nrise = 3\n",
        ),
    };
    let pools: String = POOLS
        .iter()
        .map(|(name, address)| {
            format!("[[pool]]\nname = \"{name}\"\nsite = \"{name}-site\"\n[[pool.target]]\nname = \"{name}.{DOMAIN}\"\npublish = [\"{address}\"]\n\n")
        })
        .collect();
    let names: Vec<&str> = POOLS.iter().map(|(name, _)| *name).collect();
    format!(
        r#"version = 1

[server]
listen = ["{NAMESERVER}:53"]
state = {state:?}
control = {control:?}

[dns]
nameservers = [{{ name = "ns1.example.net" }}, {{ name = "ns2.example.net" }}]

[health]
canaries = ["{RESOLVER}:53"]

{pools}[[route]]
name = "contoso"
domains = ["{DOMAIN}"]
pools = {names:?}
failover = "auto"
failback = "manual"
{ttl}
[route.address]
name = "xmpp.{{domain}}"

[[route.service]]
kind = "xmpp-server"

[route.check]
depth = "tls"
ca = {root:?}
{check}
[[zone]]
apex = "{DOMAIN}"
file = {zone:?}
"#,
        state = dir.join("state"),
        control = socket(dir),
        root = authority.root(),
        zone = dir.join("contoso.zone"),
    )
}

/// The names of the domain that are not steered.
fn zone() -> String {
    let pools: String = POOLS
        .iter()
        .map(|(name, address)| format!("{name} A {address}\n"))
        .collect();
    format!(
        "$ORIGIN {DOMAIN}.\n$TTL 5\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 604800 1\n@ NS ns1.example.net.\n@ NS ns2.example.net.\n{pools}"
    )
}
