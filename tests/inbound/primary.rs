//! The owner's server: Knot, NSD or BIND on port 5353 of the loopback, which notifies port 53 of it.
//!
//! In: records of contoso.com. Out: a server that serves them, and others when they are edited, and tells which transfers
//! it gave.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::server::PATIENCE;
use crate::world::nameserver::{Key, Nameserver, Setup, Software, Source, Zone};
use crate::world::wait::wait_for;

/// The key both sides have.
pub(crate) const KEY: Key = Key {
    name: "owner.example",
    secret: "b3duZXIgYW5kIHJlcG9pbnQgc2hhcmUgdGhpcyE=",
};

pub(crate) struct Primary {
    file: PathBuf,
    server: Nameserver,
}

fn zone_text(serial: u32, records: &str) -> String {
    format!(
        "$ORIGIN contoso.com.\n$TTL 300\n@ SOA ns1.contoso.com. hostmaster {serial} 3 1 6 30\n@ NS ns1\nns1 A 192.0.2.53\n{records}"
    )
}

impl Primary {
    /// Starts a server with these records. Knot signs them itself.
    pub(crate) fn start(software: Software, dir: &Path, records: &str) -> Primary {
        let file = dir.join("owner.zone");
        fs::write(&file, zone_text(1, records)).unwrap();
        let mut zone = Zone::new("contoso.com", Source::Edited(file.clone()));
        if software == Software::Knot {
            zone.settings = &["dnssec-signing: on"];
        }
        let setup = Setup {
            listen: vec![(Ipv4Addr::LOCALHOST, 5353).into()],
            zones: vec![zone],
            key: Some(KEY),
            notify: Some((Ipv4Addr::LOCALHOST, 53).into()),
            ..Setup::default()
        };
        Primary {
            file,
            server: Nameserver::start(software, "primary", dir, setup),
        }
    }

    /// Puts other records in the file and has the server read it.
    pub(crate) fn edit(&self, serial: u32, records: &str) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, zone_text(serial, records)).unwrap();
        fs::rename(fresh, &self.file).unwrap();
        self.server.reload();
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Waits until it has logged these words.
    pub(crate) fn logged(&self, words: &str) {
        wait_for(&format!("the primary says {words:?}"), PATIENCE, || {
            self.server.log().contains(words).then_some(())
        });
    }
}
