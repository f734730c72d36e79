//! Debian's Knot, NSD and BIND, each on an address of its own, serving the corpus.
//!
//! In: zone files. Out: servers that answer. Settings change only what would make them incomparable: their response rate
//! limits, their extra authority records, their own size of datagrams.

use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::corpus::Corpus;
use crate::dns::query;
use crate::world::daemon::Daemon;
use crate::world::private_network::{find, run};
use crate::world::wait::wait_for;

/// One of the servers compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Server {
    Knot,
    Nsd,
    Bind,
}

impl Server {
    const ALL: [Server; 3] = [Server::Knot, Server::Nsd, Server::Bind];

    fn address(self) -> Ipv4Addr {
        match self {
            Server::Knot => Ipv4Addr::new(127, 0, 1, 1),
            Server::Nsd => Ipv4Addr::new(127, 0, 1, 2),
            Server::Bind => Ipv4Addr::new(127, 0, 1, 3),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Server::Knot => "Knot",
            Server::Nsd => "NSD",
            Server::Bind => "BIND",
        })
    }
}

/// A running server.
pub(crate) struct Peer {
    pub(crate) server: Server,
    pub(crate) address: Ipv4Addr,
    _daemon: Daemon,
}

/// Starts all three and waits until each answers from the last of its zones.
pub(crate) fn start(corpus: &Corpus, dir: &Path) -> Vec<Peer> {
    for (apex, text) in &corpus.files {
        fs::write(dir.join(format!("{apex}.zone")), text).unwrap();
    }
    let mut peers: Vec<Peer> = Server::ALL
        .into_iter()
        .map(|server| {
            // BIND listens on addresses that an interface has.
            let address = format!("{}/32", server.address());
            run("ip", &["addr", "add", &address, "dev", "lo"]);
            let home = dir.join(format!("{server}"));
            fs::create_dir(&home).unwrap();
            let (program, arguments) = configure(server, corpus, dir, &home);
            // A copy: on hosts with AppArmor the installed one may read its own directories only.
            let copy = home.join(program);
            fs::copy(find(program).unwrap(), &copy).unwrap();
            let mut command = Command::new(copy);
            command.args(arguments).current_dir(&home);
            Peer {
                server,
                address: server.address(),
                _daemon: Daemon::start(program, dir, &mut command),
            }
        })
        .collect();
    for peer in &mut peers {
        for (apex, _) in &corpus.files {
            let what = format!("{} serves {apex}", peer.server);
            wait_for(&what, Duration::from_secs(60), || {
                assert!(peer._daemon.is_running(), "{} ended", peer.server);
                answers(peer.address, apex).then_some(())
            });
        }
    }
    peers
}

fn answers(address: Ipv4Addr, apex: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let octets = query(apex, "SOA").octets();
    let mut reply = [0; 512];
    socket.send_to(&octets, (address, 53)).is_ok()
        && socket
            .recv(&mut reply)
            .is_ok_and(|length| length > 12 && reply[3] & 15 == 0 && reply[7] == 1)
}

/// Writes the server's configuration; gives its program and arguments.
fn configure(
    server: Server,
    corpus: &Corpus,
    dir: &Path,
    home: &Path,
) -> (&'static str, Vec<String>) {
    let address = server.address();
    let zones: Vec<(&str, String)> = corpus
        .files
        .iter()
        .map(|(apex, _)| {
            let file = dir.join(format!("{apex}.zone"));
            (apex.as_str(), file.display().to_string())
        })
        .collect();
    let at = home.display();
    let mut text = match server {
        Server::Knot => format!(
            "server:\n  listen: {address}@53\n  rundir: {at}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\n  udp-max-payload: 1232\n  tcp-idle-timeout: 60\n\
             database:\n  storage: {at}\n\
             log:\n  - target: stderr\n    any: warning\n\
             template:\n  - id: default\n    storage: {at}\n    zonefile-load: whole\n    zonefile-sync: -1\n    \
             journal-content: none\n    semantic-checks: off\nzone:\n"
        ),
        Server::Nsd => format!(
            "server:\n  ip-address: {address}\n  port: 53\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
             zonesdir: {at}\n  database: \"\"\n  pidfile: \"\"\n  zonelistfile: {at}/zone.list\n  \
             xfrdfile: {at}/xfrd.state\n  xfrdir: {at}\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  \
             ipv4-edns-size: 1232\n  refuse-any: no\n  minimal-responses: no\n  tcp-timeout: 60\n\
             remote-control:\n  control-enable: no\n"
        ),
        Server::Bind => format!(
            "options {{\n  directory \"{at}\";\n  listen-on port 53 {{ {address}; }};\n  listen-on-v6 {{ none; }};\n  \
             pid-file none;\n  session-keyfile none;\n  managed-keys-directory \"{at}\";\n  recursion no;\n  \
             dnssec-validation no;\n  empty-zones-enable no;\n  notify no;\n  minimal-responses no-auth;\n  \
             minimal-any yes;\n  max-udp-size 1232;\n  edns-udp-size 1232;\n  nocookie-udp-size 4096;\n  \
             answer-cookie no;\n  zero-no-soa-ttl no;\n  check-names primary ignore;\n  check-integrity no;\n  rrset-order {{ order fixed; }};\n  \
             tcp-idle-timeout 600;\n}};\ncontrols {{ }};\n"
        ),
    };
    for (apex, file) in zones {
        match server {
            Server::Knot => writeln!(text, "  - domain: {apex}.\n    file: {file}"),
            Server::Nsd => writeln!(text, "zone:\n  name: {apex}\n  zonefile: {file}"),
            Server::Bind => writeln!(
                text,
                "zone \"{apex}\" {{ type primary; file \"{file}\"; }};"
            ),
        }
        .unwrap();
    }
    let config = home.join("config");
    fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    match server {
        Server::Knot => ("knotd", vec!["-c".into(), config]),
        Server::Nsd => ("nsd", vec!["-d".into(), "-c".into(), config]),
        Server::Bind => (
            "named",
            vec!["-g".into(), "-n".into(), "1".into(), "-c".into(), config],
        ),
    }
}
