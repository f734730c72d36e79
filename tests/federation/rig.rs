//! The whole world of a story: two Prosody pools behind repoint, Unbound, and a partner with its client.
//!
//! In: faults. Out: the same world with a broken or mended pool 1.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use crate::authority::{Authority, Credentials};
use crate::client::Client;
use crate::daemon::Daemon;
use crate::fake::{Fake, HalfDead};
use crate::private_network::run;
use crate::repoint::Repoint;
use crate::resolver::{self, Source};
use crate::wait::wait_for;
use crate::{BackOff, CLIENT, DOMAIN, PARTNER, PATIENCE, POOLS, Pace, ejabberd, prosody};

/// What happens to pool 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server is killed: connections are refused.
    Killed,
    /// The server is stopped: connections are accepted, and nothing is said on them.
    Hung,
    /// Its packets are dropped.
    BlackHoled,
    /// Something half-dead answers in its place.
    HalfDead(HalfDead),
}

/// Which program the partner runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Software {
    Prosody,
    Ejabberd,
}

/// The world. Fields are dropped in this order: the partner first, so that the log of a failure ends with what it saw.
#[derive(Debug)]
pub(crate) struct Rig {
    partner: Option<Daemon>,
    fake: Option<Fake>,
    pools: Vec<Daemon>,
    repoint: Option<Repoint>,
    _resolver: Daemon,
    authority: Authority,
    contoso: Credentials,
    partner_credentials: Credentials,
    software: Software,
    back_off: BackOff,
    dir: PathBuf,
}

impl Rig {
    /// Two pools that work, and a nameserver for their domain. No partner yet.
    pub(crate) fn start(
        software: Software,
        back_off: BackOff,
        source: Source,
        pace: Pace,
        dir: &Path,
    ) -> Rig {
        let authority = Authority::new(dir);
        let contoso = authority.issue(&[DOMAIN]);
        let partner_credentials = authority.issue(&[PARTNER, CLIENT]);
        let pools = POOLS
            .iter()
            .map(|(name, address)| prosody::pool(name, *address, &contoso, &authority, dir))
            .collect();
        let mut rig = Rig {
            partner: None,
            fake: None,
            pools,
            repoint: None,
            _resolver: resolver::start(source, dir),
            authority,
            contoso,
            partner_credentials,
            software,
            back_off,
            dir: dir.to_owned(),
        };
        for n in 0..POOLS.len() {
            rig.wait_until_listening(n);
        }
        // After the pools, so that its first round finds them up.
        if source == Source::Repoint {
            rig.repoint = Some(Repoint::start(pace, &rig.authority, dir));
            for (name, _) in POOLS {
                rig.repoint().wait_for_verdict(name, "up", PATIENCE);
            }
        }
        rig
    }

    /// The nameserver under test.
    pub(crate) fn repoint(&mut self) -> &mut Repoint {
        self.repoint.as_mut().expect("this story has repoint")
    }

    /// Starts the partner's server, or starts it again: then it has no connection and no memory of a failure.
    pub(crate) fn start_partner(&mut self) {
        // The one before must have left its ports.
        self.partner = None;
        let start = match self.software {
            Software::Prosody => prosody::partner,
            Software::Ejabberd => ejabberd::partner,
        };
        self.partner = Some(start(
            self.back_off,
            &self.partner_credentials,
            &self.authority,
            &self.dir,
        ));
        // A client that says nothing: it shows that the server is ready, and causes no connection to a pool.
        Client::check_partner_is_ready();
    }

    /// Breaks pool 1.
    pub(crate) fn break_pool(&mut self, fault: Fault) {
        let (_, address) = POOLS[0];
        match fault {
            Fault::Killed => self.pools[0].kill(),
            Fault::Hung => self.pools[0].hang(),
            Fault::BlackHoled => drop_packets_to(address),
            Fault::HalfDead(how) => {
                self.pools[0].kill();
                self.fake = Some(Fake::start(how, address));
            }
        }
    }

    /// Undoes [`Rig::break_pool`] and waits until pool 1 accepts connections.
    pub(crate) fn mend_pool(&mut self, fault: Fault) {
        self.fake = None;
        match fault {
            Fault::Hung => self.pools[0].resume(),
            Fault::BlackHoled => drop(run("nft", &["delete", "table", "inet", "fault"])),
            Fault::Killed | Fault::HalfDead(_) => {
                let (name, address) = POOLS[0];
                self.pools[0] =
                    prosody::pool(name, address, &self.contoso, &self.authority, &self.dir);
            }
        }
        self.wait_until_listening(0);
    }

    fn wait_until_listening(&mut self, pool: usize) {
        let (name, address) = POOLS[pool];
        let daemon = &mut self.pools[pool];
        wait_for(&format!("{name} listens"), PATIENCE, || {
            assert!(daemon.is_running(), "{name} ended");
            TcpStream::connect((address, 5269)).ok()
        });
    }
}

/// Silence from an address, as of a host behind a dead link: neither accepted nor refused.
fn drop_packets_to(address: Ipv4Addr) {
    run("nft", &["add", "table", "inet", "fault"]);
    run(
        "nft",
        &[
            "add",
            "chain",
            "inet",
            "fault",
            "input",
            "{ type filter hook input priority 0; }",
        ],
    );
    run(
        "nft",
        &[
            "add",
            "rule",
            "inet",
            "fault",
            "input",
            "ip",
            "daddr",
            &address.to_string(),
            "drop",
        ],
    );
    run(
        "nft",
        &[
            "add",
            "rule",
            "inet",
            "fault",
            "input",
            "ip",
            "saddr",
            &address.to_string(),
            "drop",
        ],
    );
}
