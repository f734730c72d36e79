//! repoint with two pools, and stock secondaries around it, on addresses of their own.
//!
//! In: what a story needs. Out: running programs; what they answer. Inside a private network: port 53 is free.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use crate::world::client::Client;
use crate::world::nameserver::{Key, Nameserver, Setup, Software, Source, Zone};
use crate::world::pools;
use crate::world::private_network::run;
use crate::world::repoint::Repoint;

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where repoint answers.
pub(crate) const PRIMARY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// The TSIG key that all share.
pub(crate) const KEY: Key = Key {
    name: "followers.example",
    secret: "bGV0IG1lIGluLCBJIGFtIGEgc2Vjb25kYXJ5IHNlcnZlcg==",
};
/// The zone that is steered.
pub(crate) const ZONE: &str = "contoso.com";

/// Where a secondary answers, and asks from.
pub(crate) fn address(secondary: Software) -> Ipv4Addr {
    match secondary {
        Software::Knot => Ipv4Addr::new(127, 0, 1, 1),
        Software::Nsd => Ipv4Addr::new(127, 0, 1, 2),
        Software::Bind => Ipv4Addr::new(127, 0, 1, 3),
    }
}

/// What repoint's configuration calls a secondary.
pub(crate) fn name(secondary: Software) -> String {
    secondary.to_string().to_lowercase()
}

/// repoint and its pools.
pub(crate) struct Site {
    pub(crate) repoint: Repoint,
    _pools: [TcpListener; 2],
}

impl Site {
    /// Starts repoint with `extra` behind its configuration and this static part of the zone, and waits until it takes
    /// commands.
    pub(crate) fn start(dir: &Path, extra: &str, zone: &str) -> Site {
        Site::start_with(dir, &configuration(extra), zone, &[])
    }

    /// The same with another configuration and more files.
    pub(crate) fn start_with(
        dir: &Path,
        configuration: &str,
        zone: &str,
        more: &[(&str, &str)],
    ) -> Site {
        let files = [("followers.secret", KEY.secret), ("contoso.zone", zone)];
        Site {
            _pools: pools::open(),
            repoint: Repoint::start(dir, configuration, &[&files, more].concat()),
        }
    }

    /// Moves the route to its other pool; gives the new serial.
    pub(crate) fn flip(&self, to: &str) -> u32 {
        self.repoint.command(&["failover", "fed", "--to", to]);
        serial_at(PRIMARY).unwrap()
    }
}

/// The configuration, with `extra` behind it.
pub(crate) fn configuration(extra: &str) -> String {
    let steered = pools::configuration(ZONE, "failover = \"observe\"");
    format!(
        r#"version = 1
[server]
listen = ["{PRIMARY}:53"]
state = "state"
control = "control.sock"
[dns]
nameservers = [{{ name = "ns1.example.net" }}, {{ name = "ns2.example.net" }}]
{steered}
[[zone]]
apex = "{ZONE}"
file = "contoso.zone"
[[tsig]]
name = "{key}"
algorithm = "hmac-sha256"
secret_file = "followers.secret"
{extra}
"#,
        key = KEY.name
    )
}

/// The configuration of a secondary.
pub(crate) fn secondary(software: Software) -> String {
    let (name, address, key) = (name(software), address(software), KEY.name);
    format!("[[secondary]]\nname = \"{name}\"\naddress = \"{address}:53\"\ntsig = \"{key}\"\n")
}

/// The static part of the zone: enough that a change of the route is a small part of it.
pub(crate) fn zone_file(serial: u32) -> String {
    let mut text = format!(
        "$TTL 3600\n@ SOA ns1.example.net. hostmaster.example.net. {serial} 60 30 604800 30\n\
         @ NS ns1.example.net.\n@ NS ns2.example.net.\n"
    );
    text.push_str(&pools::records());
    for n in 0..40 {
        text.push_str(&format!(
            "host{n} A 192.0.2.{n}\nhost{n} TXT \"host {n}\"\n"
        ));
    }
    text
}

/// Starts a stock server as a secondary of the zone.
pub(crate) fn follow(software: Software, dir: &Path) -> Nameserver {
    let setup = Setup {
        listen: vec![(address(software), 53).into()],
        zones: vec![Zone::new(ZONE, Source::Primary((PRIMARY, 53).into()))],
        key: Some(KEY),
        ..Setup::default()
    };
    Nameserver::start(software, &name(software), dir, setup)
}

/// The zone's serial at a server; none while it does not have the zone.
pub(crate) fn serial_at(address: Ipv4Addr) -> Option<u32> {
    Client::new((address, 53)).serial(ZONE)
}

/// All records of the zone at a server, sorted, as dig prints them, asked from an address.
pub(crate) fn records_at(address: Ipv4Addr, from: Ipv4Addr) -> Vec<String> {
    let (server, from, key) = (format!("@{address}"), from.to_string(), KEY.option());
    let arguments = [
        "-b",
        &from,
        "-y",
        &key,
        &server,
        ZONE,
        "AXFR",
        "+onesoa",
        "+nocomments",
        "+nocmd",
        "+nostats",
    ];
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
