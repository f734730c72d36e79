//! Stock secondaries of the zone, and a validating resolver.

use std::path::Path;

use crate::world::daemon::Daemon;
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::private_network::RESOLVER;
use crate::world::unbound;
use crate::{Host, REPOINT, ROOT, TSIG, ZONE};

/// A secondary on a host, with copies of what repoint serves.
pub(crate) fn secondary(software: Software, host: Host, dir: &Path) -> Nameserver {
    let settings: &[&str] = match software {
        Software::Nsd => &["hide-version: yes"],
        Software::Knot | Software::Bind => &[],
    };
    let primary = Source::Primary((REPOINT.v4, 53).into());
    let setup = Setup {
        listen: host.sockets(),
        zones: vec![Zone::new(ZONE, primary)],
        key: Some(TSIG),
        settings,
        ..Setup::default()
    };
    Nameserver::start(software, host.name, dir, setup)
}

/// Unbound below this test's root, which validates the zone from these trust anchors and keeps nothing that it has asked.
pub(crate) fn resolver(dir: &Path, anchors: &str) -> Daemon {
    let setup = unbound::Setup {
        address: RESOLVER.into(),
        root: &[ROOT.v4.into(), ROOT.v6.into()],
        anchors,
        stubs: &[],
        settings: &[
            "cache-max-ttl: 0",
            "cache-max-negative-ttl: 0",
            "infra-host-ttl: 900",
            "aggressive-nsec: no",
        ],
    };
    unbound::start(dir, &setup)
}
