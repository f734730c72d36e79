//! repoint with two pools, and stock secondaries around it, on addresses of their own.
//!
//! In: what a story needs. Out: running programs; what they answer. Inside a private network: port 53 is free.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::world::daemon::Daemon;
use crate::world::private_network::{find, run};
use crate::world::wait::wait_for;

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where repoint answers.
pub(crate) const PRIMARY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// The secret that all share, in base64.
pub(crate) const SECRET: &str = "bGV0IG1lIGluLCBJIGFtIGEgc2Vjb25kYXJ5IHNlcnZlcg==";
/// The name of their TSIG key.
pub(crate) const KEY: &str = "followers.example";
/// The zone that is steered.
pub(crate) const ZONE: &str = "contoso.com";

/// A stock nameserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Knot,
    Nsd,
    Bind,
}

impl Server {
    pub(crate) const ALL: [Server; 3] = [Server::Knot, Server::Nsd, Server::Bind];

    pub(crate) fn address(self) -> Ipv4Addr {
        match self {
            Server::Knot => Ipv4Addr::new(127, 0, 1, 1),
            Server::Nsd => Ipv4Addr::new(127, 0, 1, 2),
            Server::Bind => Ipv4Addr::new(127, 0, 1, 3),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Server::Knot => "knot",
            Server::Nsd => "nsd",
            Server::Bind => "bind",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// repoint and its pools.
pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    repoint: Option<Daemon>,
    _pools: [TcpListener; 2],
}

impl Site {
    /// Starts repoint with `extra` behind its configuration, and waits until it takes commands.
    pub(crate) fn start(dir: &Path, extra: &str) -> Site {
        let pools = [
            TcpListener::bind("127.0.3.1:5269").unwrap(),
            TcpListener::bind("127.0.3.2:5269").unwrap(),
        ];
        let site = dir.join("repoint");
        fs::create_dir(&site).unwrap();
        fs::write(site.join("followers.secret"), SECRET).unwrap();
        fs::write(site.join("contoso.zone"), zone_file(1)).unwrap();
        let mut site = Site {
            dir: site,
            repoint: None,
            _pools: pools,
        };
        site.configure(extra);
        site.begin();
        site
    }

    pub(crate) fn configure(&self, extra: &str) {
        let text = format!(
            r#"version = 1
[server]
listen = ["{PRIMARY}:53"]
state = "state"
control = "control.sock"
[dns]
nameservers = [{{ name = "ns1.example.net" }}, {{ name = "ns2.example.net" }}]
[health.check]
depth = "tcp"
interval = "1s"
retry = "200ms"
timeout = "800ms"
[[pool]]
name = "pool1"
target = [{{ name = "edge1.contoso.com", publish = ["192.0.2.10"], probe = ["127.0.3.1"] }}]
[[pool]]
name = "pool2"
target = [{{ name = "edge2.contoso.com", publish = ["192.0.2.20"], probe = ["127.0.3.2"] }}]
[[zone]]
apex = "{ZONE}"
file = "contoso.zone"
[[route]]
name = "contoso"
domains = ["{ZONE}"]
pools = ["pool1", "pool2"]
failover = "observe"
service = [{{ kind = "xmpp-server" }}]
address = {{ name = "xmpp.{{domain}}" }}
[[tsig]]
name = "{KEY}"
algorithm = "hmac-sha256"
secret_file = "followers.secret"
{extra}
"#
        );
        fs::write(self.dir.join("repoint.toml"), text).unwrap();
    }

    /// Starts the server.
    pub(crate) fn begin(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
        command
            .args(["serve", "--config", "repoint.toml"])
            .current_dir(&self.dir);
        self.repoint = Some(Daemon::start("repoint", &self.dir, &mut command));
        wait_for("repoint takes commands", PATIENCE, || {
            self.try_command(&["status", "--json"]).ok()
        });
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.repoint = None;
    }

    /// The configuration of a secondary for this server.
    pub(crate) fn secondary(server: Server) -> String {
        let (name, address) = (server.name(), server.address());
        format!("[[secondary]]\nname = \"{name}\"\naddress = \"{address}:53\"\ntsig = \"{KEY}\"\n")
    }

    /// Runs a command and gives what it says.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        self.try_command(arguments)
            .unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    pub(crate) fn try_command(&self, arguments: &[&str]) -> Result<String, String> {
        let out = Command::new(env!("CARGO_BIN_EXE_repoint"))
            .args(arguments)
            .env("REPOINT_SOCKET", self.dir.join("control.sock"))
            .current_dir(&self.dir)
            .output()
            .unwrap();
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&out.stderr).into_owned())
        }
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_str(&self.command(&arguments)).unwrap()
    }

    /// Moves the route to its other pool; gives the new serial.
    pub(crate) fn flip(&self, to: &str) -> u32 {
        self.command(&["failover", "contoso", "--to", to]);
        serial_at(PRIMARY, ZONE).unwrap()
    }
}

/// The static part of the zone: enough that a change of the route is a small part of it.
pub(crate) fn zone_file(serial: u32) -> String {
    let mut text = format!(
        "$TTL 3600\n@ SOA ns1.example.net. hostmaster.example.net. {serial} 60 30 604800 30\n\
         @ NS ns1.example.net.\n@ NS ns2.example.net.\n"
    );
    for n in 0..40 {
        text.push_str(&format!(
            "host{n} A 192.0.2.{n}\nhost{n} TXT \"host {n}\"\n"
        ));
    }
    text
}

/// Starts a stock server as a secondary of the zones; it may be asked for transfers by anyone.
pub(crate) fn follow(server: Server, dir: &Path, zones: &[&str]) -> Daemon {
    let address = format!("{}/32", server.address());
    run("ip", &["addr", "add", &address, "dev", "lo"]);
    let home = dir.join(server.name());
    fs::create_dir(&home).unwrap();
    let (program, arguments) = configure(server, &home, zones);
    // A copy: on hosts with AppArmor the installed one may read its own directories only.
    let copy = home.join(program);
    fs::copy(find(program).unwrap(), &copy).unwrap();
    let mut command = Command::new(copy);
    command.args(arguments).current_dir(&home);
    Daemon::start(program, &home, &mut command)
}

fn configure(server: Server, home: &Path, zones: &[&str]) -> (&'static str, Vec<String>) {
    let (at, address) = (home.display(), server.address());
    let mut text = match server {
        Server::Knot => format!(
            "server:\n  listen: {address}@53\n  rundir: {at}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 2\n\
             database:\n  storage: {at}\n\
             log:\n  - target: stderr\n    any: info\n\
             key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             remote:\n  - id: repoint\n    address: {PRIMARY}@53\n    via: {address}\n    key: {KEY}\n\
             acl:\n  - id: notify\n    address: 127.0.0.0/8\n    key: {KEY}\n    action: notify\n  \
             - id: anyone\n    address: 127.0.0.0/8\n    action: transfer\n\
             template:\n  - id: default\n    storage: {at}\n    master: repoint\n    acl: [notify, anyone]\n    \
             zonefile-sync: -1\nzone:\n"
        ),
        Server::Nsd => format!(
            "server:\n  ip-address: {address}\n  port: 53\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
             zonesdir: {at}\n  database: \"\"\n  pidfile: \"\"\n  zonelistfile: {at}/zone.list\n  \
             xfrdfile: {at}/xfrd.state\n  xfrdir: {at}\n  xfrd-reload-timeout: 0\n  verbosity: 2\n  rrl-ratelimit: 0\n\
             remote-control:\n  control-enable: no\n\
             key:\n  name: {KEY}\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n"
        ),
        Server::Bind => format!(
            "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             options {{\n  directory \"{at}\";\n  listen-on port 53 {{ {address}; }};\n  listen-on-v6 {{ none; }};\n  \
             pid-file none;\n  session-keyfile none;\n  managed-keys-directory \"{at}\";\n  recursion no;\n  \
             dnssec-validation no;\n  empty-zones-enable no;\n  notify no;\n  transfer-source {address};\n  \
             query-source address {address};\n  allow-transfer {{ any; }};\n  serial-query-rate 1000;\n  notify-rate 1000;\n}};\ncontrols {{ }};\n"
        ),
    };
    for zone in zones {
        text.push_str(&match server {
            Server::Knot => format!("  - domain: {zone}.\n    file: {zone}.zone\n"),
            Server::Nsd => format!(
                "zone:\n  name: {zone}\n  zonefile: {zone}.zone\n  allow-notify: 127.0.0.0/8 {KEY}\n  \
                 request-xfr: {PRIMARY}@53 {KEY}\n  outgoing-interface: {address}\n  provide-xfr: 127.0.0.0/8 NOKEY\n"
            ),
            Server::Bind => format!(
                "zone \"{zone}\" {{ type secondary; file \"{zone}.zone\"; primaries {{ {PRIMARY} key \"{KEY}\"; }}; allow-notify {{ key \"{KEY}\"; }}; }};\n"
            ),
        });
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

/// The serial that a server answers with; none while it does not have the zone.
pub(crate) fn serial_at(address: Ipv4Addr, zone: &str) -> Option<u32> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 6, 0, 1]);
    let mut reply = [0; 1232];
    socket
        .send_to(&query, SocketAddr::from((address, 53)))
        .unwrap();
    let length = socket.recv(&mut reply).ok()?;
    let message = hickory_proto::op::Message::from_vec(&reply[..length]).ok()?;
    message
        .answers
        .iter()
        .find_map(|record| match &record.data {
            hickory_proto::rr::RData::SOA(soa) => Some(soa.serial),
            _ => None,
        })
}

/// All records of a zone at a server, sorted, as dig prints them.
pub(crate) fn records_at(address: Ipv4Addr, zone: &str, from: Ipv4Addr, key: bool) -> Vec<String> {
    let (server, from) = (format!("@{address}"), from.to_string());
    let signed = format!("hmac-sha256:{KEY}:{SECRET}");
    let mut arguments = vec![
        "-b",
        &from,
        &server,
        zone,
        "AXFR",
        "+onesoa",
        "+nocomments",
        "+nocmd",
        "+nostats",
    ];
    if key {
        arguments.extend(["-y", &signed]);
    }
    let text = run("dig", &arguments);
    let lines = text.lines().map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.join(" ").to_lowercase()
    });
    let mut lines: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.contains(" tsig "))
        .collect();
    lines.sort();
    lines
}
