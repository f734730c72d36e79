//! The owner's server: Knot, NSD or BIND on port 5353 of the loopback, which notifies port 53 of it.
//!
//! In: records of contoso.com. Out: a server that serves them, and others when they are edited.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::world::daemon::Daemon;
use crate::world::private_network::{find, run};
use crate::world::wait::wait_for;

/// The secret both sides have, in base64.
pub(crate) const SECRET: &str = "b3duZXIgYW5kIHJlcG9pbnQgc2hhcmUgdGhpcyE=";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Signs the zone itself.
    Knot,
    /// Has no incremental transfers.
    Nsd,
    Bind,
}

pub(crate) struct Primary {
    kind: Kind,
    home: PathBuf,
    daemon: Daemon,
}

fn zone_text(serial: u32, records: &str) -> String {
    format!(
        "$ORIGIN contoso.com.\n$TTL 300\n@ SOA ns1.contoso.com. hostmaster {serial} 3 1 6 30\n@ NS ns1\nns1 A 192.0.2.53\n{records}"
    )
}

impl Primary {
    /// Starts a server with these records.
    pub(crate) fn start(kind: Kind, dir: &Path, records: &str) -> Primary {
        let home = dir.join("primary");
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("zone"), zone_text(1, records)).unwrap();
        let at = home.display();
        let (program, text, arguments): (_, _, &[&str]) = match kind {
            Kind::Knot => (
                "knotd",
                format!(
                    "server:\n  listen: 127.0.0.1@5353\n  rundir: {at}\n  background-workers: 1\n\
                     database:\n  storage: {at}\nlog:\n  - target: stderr\n    any: info\n\
                     key:\n  - id: owner.example\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
                     remote:\n  - id: repoint\n    address: 127.0.0.1@53\n    key: owner.example\n\
                     acl:\n  - id: out\n    key: owner.example\n    action: transfer\n\
                     zone:\n  - domain: contoso.com\n    file: {at}/zone\n    zonefile-load: difference\n    \
                     zonefile-sync: -1\n    journal-content: all\n    dnssec-signing: on\n    notify: repoint\n    acl: out\n"
                ),
                &["-c", "config"],
            ),
            Kind::Nsd => (
                "nsd",
                format!(
                    "server:\n  ip-address: 127.0.0.1@5353\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
                     zonesdir: {at}\n  database: \"\"\n  pidfile: \"\"\n  zonelistfile: {at}/zone.list\n  \
                     xfrdfile: {at}/xfrd.state\n  xfrdir: {at}\nremote-control:\n  control-enable: no\n\
                     key:\n  name: owner.example.\n  algorithm: hmac-sha256\n  secret: {SECRET}\n\
                     zone:\n  name: contoso.com\n  zonefile: {at}/zone\n  notify: 127.0.0.1@53 owner.example.\n  \
                     provide-xfr: 127.0.0.1 owner.example.\n"
                ),
                &["-d", "-c", "config"],
            ),
            Kind::Bind => (
                "named",
                format!(
                    "key owner.example {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
                     options {{ directory \"{at}\"; listen-on port 5353 {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n  \
                     pid-file none; session-keyfile none; managed-keys-directory \"{at}\"; recursion no;\n  \
                     dnssec-validation no; empty-zones-enable no; }};\ncontrols {{ }};\n\
                     zone contoso.com {{ type primary; file \"{at}/zone\"; ixfr-from-differences yes;\n  \
                     notify explicit; also-notify {{ 127.0.0.1 port 53 key owner.example; }};\n  \
                     allow-transfer {{ key owner.example; }}; }};\n"
                ),
                &["-g", "-n", "1", "-c", "config"],
            ),
        };
        fs::write(home.join("config"), text).unwrap();
        // A copy: on hosts with AppArmor the installed one may read its own directories only.
        let copy = home.join(program);
        fs::copy(find(program).unwrap(), &copy).unwrap();
        let mut command = Command::new(copy);
        command.args(arguments).current_dir(&home);
        Primary {
            kind,
            daemon: Daemon::start(program, dir, &mut command),
            home,
        }
    }

    /// Puts other records in the file and has the server read it.
    pub(crate) fn edit(&mut self, serial: u32, records: &str) {
        let fresh = self.home.join("zone.new");
        fs::write(&fresh, zone_text(serial, records)).unwrap();
        fs::rename(fresh, self.home.join("zone")).unwrap();
        match self.kind {
            Kind::Knot => {
                let socket = self.home.join("knot.sock");
                let socket = socket.display().to_string();
                run("knotc", &["-s", &socket, "zone-reload", "contoso.com"]);
            }
            Kind::Nsd | Kind::Bind => self.daemon.hang_up(),
        }
    }

    pub(crate) fn kill(&mut self) {
        self.daemon.kill();
        wait_for("the primary is gone", Duration::from_secs(20), || {
            (!self.daemon.is_running()).then_some(())
        });
    }
}
