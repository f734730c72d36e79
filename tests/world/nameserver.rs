//! A stock authoritative nameserver, as its operator would run it: Debian's Knot, NSD or BIND.
//!
//! In: where it listens, and its zones, from master files or from a primary. Out: a server that runs, and what it logged.
//! How each is told so stands in the file named for it. Never here: what a story wants of its zones.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::client::Client;
use super::daemon::Daemon;
use super::private_network::add_address;
use super::wait::wait_for;
use super::{bind, knot, nsd};

/// How long a server may take to begin on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Software {
    Knot,
    Nsd,
    Bind,
}

impl Software {
    pub(crate) const ALL: [Software; 3] = [Software::Knot, Software::Nsd, Software::Bind];
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Software::Knot => "Knot",
            Software::Nsd => "NSD",
            Software::Bind => "BIND",
        })
    }
}

/// A TSIG key of HMAC-SHA256.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// In base64.
    pub(crate) secret: &'static str,
}

impl Key {
    /// As `dig -y` and `kdig -y` take it.
    pub(crate) fn option(self) -> String {
        format!("hmac-sha256:{}:{}", self.name, self.secret)
    }
}

/// Where a zone's records come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// From a master file; on a reload it is read again.
    File(PathBuf),
    /// From a master file, and what each reload changed is kept for IXFR.
    Edited(PathBuf),
    /// From this primary.
    Primary(SocketAddr),
}

/// A zone that it serves.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// Without its last dot, but for the root.
    pub(crate) apex: String,
    pub(crate) source: Source,
    /// More lines of the zone's own section, in the server's words.
    pub(crate) settings: &'static [&'static str],
}

impl Zone {
    pub(crate) fn new(apex: &str, source: Source) -> Zone {
        Zone {
            apex: apex.to_owned(),
            source,
            settings: &[],
        }
    }
}

/// What it is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// All of one port. It asks from them as well.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) zones: Vec<Zone>,
    /// What signs transfers and NOTIFY, in and out, and has to; without one anybody may transfer and notify.
    pub(crate) key: Option<Key>,
    /// Who is told of a new version.
    pub(crate) notify: Option<SocketAddr>,
    /// More lines of the section `server` (Knot, NSD) or `options` (BIND).
    pub(crate) settings: &'static [&'static str],
}

impl Setup {
    /// The address to speak to `peer` from.
    pub(super) fn from(&self, peer: &SocketAddr) -> SocketAddr {
        let mut listen = self.listen.iter();
        let of_family = listen.find(|own| own.is_ipv4() == peer.is_ipv4());
        *of_family.expect("an address of the peer's family")
    }
}

/// A running nameserver.
#[derive(Debug)]
pub(crate) struct Nameserver {
    pub(crate) software: Software,
    name: String,
    home: PathBuf,
    setup: Setup,
    daemon: Daemon,
}

impl Nameserver {
    /// Starts it in `dir/name`, and waits until it answers for every zone that it reads from a file. Its addresses are
    /// added to the private network.
    pub(crate) fn start(software: Software, name: &str, dir: &Path, setup: Setup) -> Nameserver {
        for listen in &setup.listen {
            add_address(listen.ip());
        }
        let home = dir.join(name);
        fs::create_dir_all(&home).unwrap();
        let text = match software {
            Software::Knot => knot::configuration(&setup, &home),
            Software::Nsd => nsd::configuration(&setup, &home),
            Software::Bind => bind::configuration(&setup, &home),
        };
        fs::write(home.join("config"), text).unwrap();
        let mut server = Nameserver {
            daemon: run(software, name, &home),
            software,
            name: name.to_owned(),
            home,
            setup,
        };
        server.until_served();
        server
    }

    /// Reads its files again.
    pub(crate) fn reload(&self) {
        self.daemon.hang_up();
    }

    /// Ends it and starts it again, with the files as they are now.
    pub(crate) fn restart(&mut self) {
        self.daemon.kill();
        self.daemon = run(self.software, &self.name, &self.home);
        self.until_served();
    }

    pub(crate) fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Has it answer nobody and do nothing.
    pub(crate) fn hang(&self) {
        self.daemon.hang();
    }

    /// Undoes [`Nameserver::hang`].
    pub(crate) fn resume(&self) {
        self.daemon.resume();
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.daemon.said()
    }

    fn until_served(&mut self) {
        let client = Client::new(self.setup.listen[0]);
        let files = self.setup.zones.iter();
        for zone in files.filter(|zone| !matches!(zone.source, Source::Primary(_))) {
            wait_for(
                &format!("{} serves {}", self.name, zone.apex),
                PATIENCE,
                || {
                    assert!(self.daemon.is_running(), "{} ended", self.name);
                    client.serial(&zone.apex)
                },
            );
        }
    }
}

fn run(software: Software, name: &str, home: &Path) -> Daemon {
    let (program, arguments): (_, &[&str]) = match software {
        Software::Knot => ("knotd", &["-c", "config"]),
        Software::Nsd => ("nsd", &["-d", "-c", "config"]),
        Software::Bind => ("named", &["-g", "-n", "1", "-c", "config"]),
    };
    Daemon::start_installed(program, arguments, name, home)
}
