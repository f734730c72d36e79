//! Debian's Knot, NSD and BIND, each on an address of its own, serving the corpus.
//!
//! In: zone files. Out: servers that answer. Settings change only what would make them incomparable: their response rate
//! limits, their extra authority records, their own size of datagrams.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::corpus::Corpus;
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};

/// A running server.
pub(crate) struct Peer {
    pub(crate) software: Software,
    pub(crate) address: Ipv4Addr,
    _server: Nameserver,
}

/// Starts all three and waits until each answers from all of its zones.
pub(crate) fn start(corpus: &Corpus, dir: &Path) -> Vec<Peer> {
    let files = corpus.files.iter();
    let files = files.map(|(apex, text)| {
        let file = dir.join(format!("{apex}.zone"));
        fs::write(&file, text).unwrap();
        Zone::new(apex, Source::File(file))
    });
    let zones: Vec<Zone> = files.collect();
    let peers = Software::ALL.map(|software| {
        let (address, settings) = settings(software);
        let setup = Setup {
            listen: vec![(address, 53).into()],
            zones: zones.clone(),
            settings,
            ..Setup::default()
        };
        Peer {
            software,
            address,
            _server: Nameserver::start(software, &software.to_string(), dir, setup),
        }
    });
    peers.into()
}

fn settings(software: Software) -> (Ipv4Addr, &'static [&'static str]) {
    match software {
        Software::Knot => (
            Ipv4Addr::new(127, 0, 1, 1),
            &["udp-max-payload: 1232", "tcp-idle-timeout: 60"],
        ),
        Software::Nsd => (
            Ipv4Addr::new(127, 0, 1, 2),
            &[
                "ipv4-edns-size: 1232",
                "refuse-any: no",
                "minimal-responses: no",
                "tcp-timeout: 60",
            ],
        ),
        Software::Bind => (
            Ipv4Addr::new(127, 0, 1, 3),
            &[
                "minimal-responses no-auth;",
                "minimal-any yes;",
                "max-udp-size 1232;",
                "edns-udp-size 1232;",
                "nocookie-udp-size 4096;",
                "answer-cookie no;",
                "zero-no-soa-ttl no;",
                "check-names primary ignore;",
                "rrset-order { order fixed; };",
                "tcp-idle-timeout 600;",
            ],
        ),
    }
}
