//! Unbound, the resolver of a story: below the story's own root, or asking given servers about given zones.
//!
//! In: whom it asks, what it trusts. Out: a resolver that answers. Never here: a question to anything outside.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::client::Client;
use super::daemon::Daemon;
use super::private_network::add_address;
use super::wait::wait_for;

/// How long it may take to begin on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it is told.
#[derive(Clone, Debug)]
pub(crate) struct Setup<'a> {
    /// Where it answers, on port 53.
    pub(crate) address: IpAddr,
    /// The addresses of the root's only nameserver; without them it knows no root.
    pub(crate) root: &'a [IpAddr],
    /// DS or DNSKEY records, as lines of a master file; without any it validates nothing.
    pub(crate) anchors: &'a str,
    /// Zones, and who is asked about them, whatever the zones above say.
    pub(crate) stubs: &'a [(String, IpAddr)],
    /// More lines of its section `server`.
    pub(crate) settings: &'a [&'a str],
}

/// Starts it in `dir/resolver`, and waits until it answers.
pub(crate) fn start(dir: &Path, setup: &Setup<'_>) -> Daemon {
    add_address(setup.address);
    let home = dir.join("resolver");
    fs::create_dir_all(&home).unwrap();
    let mut hints = ". 3600 NS a.root.\n".to_owned();
    for address in setup.root {
        let rtype = if address.is_ipv4() {
            RecordType::A
        } else {
            RecordType::AAAA
        };
        writeln!(hints, "a.root. 3600 {rtype} {address}").unwrap();
    }
    fs::write(home.join("hints"), hints).unwrap();
    fs::write(home.join("anchors"), setup.anchors).unwrap();
    fs::write(home.join("config"), configuration(&home, setup)).unwrap();
    let mut daemon = Daemon::start_installed("unbound", &["-c", "config"], "resolver", &home);
    // A name that it knows by itself (RFC 6761 §6.3).
    let client = Client::new((setup.address, 53));
    wait_for("the resolver answers", PATIENCE, || {
        assert!(daemon.is_running(), "unbound ended");
        client.ask("localhost", domain::base::iana::Rtype::A)
    });
    daemon
}

fn configuration(home: &Path, setup: &Setup<'_>) -> String {
    let (at, address) = (home.display(), setup.address);
    let modules = if setup.anchors.is_empty() {
        "iterator"
    } else {
        "validator iterator"
    };
    let mut text = format!(
        "server:\n interface: {address}\n access-control: 127.0.0.0/8 allow\n username: \"\"\n chroot: \"\"\n \
         directory: \"{at}\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n do-daemonize: no\n num-threads: 1\n \
         val-log-level: 2\n module-config: \"{modules}\"\n trust-anchor-file: anchors\n do-not-query-localhost: no\n"
    );
    if !setup.root.is_empty() {
        text.push_str(" root-hints: hints\n");
    }
    for line in setup.settings {
        writeln!(text, " {line}").unwrap();
    }
    text.push_str("remote-control:\n control-enable: no\n");
    for (apex, server) in setup.stubs {
        writeln!(text, "stub-zone:\n name: \"{apex}\"\n stub-addr: {server}").unwrap();
    }
    text
}
