//! How many open files the server needs, and how many client connections a limit leaves room for.
//!
//! Clients must never take the descriptors that probes, the store and the control socket need: a
//! server without them neither sees that a pool is down nor takes commands.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::Configuration;

/// Client connections at one time, where the limit of open files allows them.
pub const MOST_CONNECTIONS: usize = 1000;
/// The least client connections that are allowed, whatever the limit: the share of the limit.
const LEAST_SHARE: u64 = 8;

/// Runtimes, standard streams, log, store, keys.
const BASE: u64 = 64;
/// Connections of the control socket, and the socket.
const CONTROL: u64 = 65;
/// Probes at one time.
const MOST_PROBES: usize = 512;
/// Questions to parents, nameservers, secondaries and resolvers; files read; alarm commands.
const OUTSIDE: u64 = 96;
/// Transfers from one primary, and from all.
const TRANSFERS_OF_ONE: usize = 8;
const MOST_TRANSFERS: usize = 128;

/// The open files of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OpenFiles {
    /// Open files that the operating system allows.
    pub limit: u64,
    /// Open files that are kept for listeners, probes, store, control and transfers.
    pub reserve: u64,
    /// Client connections at one time.
    pub connections: usize,
}

impl OpenFiles {
    /// Divides what the operating system allows. `workers` is how many UDP sockets each address has
    /// where the configuration does not say it.
    pub fn new(configuration: &Configuration, limit: u64, workers: usize) -> OpenFiles {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let server = &configuration.server;
        let workers = server.workers.map_or(count(workers), u64::from);
        let plain = count(server.listen.len()) * (workers + 2);
        // A stream's listener may hold one accepted connection that waits for its permit.
        let encrypted = 2 * count(server.listen_tls.len() + server.listen_https.len())
            + count(server.listen_quic.len());
        let topology = &configuration.topology;
        let probes = topology.checks.iter().count().min(MOST_PROBES) + topology.canaries.len();
        let primaries = topology
            .inbound()
            .flat_map(|(_, primary)| &primary.addresses);
        let primaries: BTreeSet<IpAddr> = primaries.map(|address| address.ip()).collect();
        let transfers = (primaries.len() * TRANSFERS_OF_ONE).min(MOST_TRANSFERS);
        let reserve =
            BASE + CONTROL + OUTSIDE + plain + encrypted + count(probes) + count(transfers);
        let left = limit.saturating_sub(reserve).max(limit / LEAST_SHARE);
        let connections =
            usize::try_from(left).map_or(MOST_CONNECTIONS, |left| left.clamp(1, MOST_CONNECTIONS));
        OpenFiles {
            limit,
            reserve,
            connections,
        }
    }

    /// Whether the limit leaves room for fewer connections than there may be.
    pub fn is_short(&self) -> bool {
        self.connections < MOST_CONNECTIONS
    }

    /// The limit that leaves room for all connections.
    pub fn wanted(&self) -> u64 {
        self.reserve + u64::try_from(MOST_CONNECTIONS).unwrap_or(0)
    }
}

impl fmt::Display for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenFiles {
            limit,
            reserve,
            connections,
        } = self;
        write!(
            f,
            "{limit} open files are allowed: {reserve} are kept for listeners, probes, store and control, and clients have {connections} connections at most"
        )?;
        if self.is_short() {
            write!(
                f,
                "; for {MOST_CONNECTIONS} connections set LimitNOFILE={} in the unit",
                self.wanted()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn configuration() -> Configuration {
        let text = "version = 1\n[server]\nlisten = [\"192.0.2.53:53\"]\nstate = \"state\"\n\
                    [dns]\nnameservers = [{ name = \"ns1.example.net\" }]\n\
                    [[pool]]\nname = \"pool1\"\n[[pool.target]]\nname = \"edge1.contoso.com\"\n\
                    publish = [\"192.0.2.10\"]\n[[route]]\nname = \"route1\"\ndomains = [\"contoso.com\"]\n\
                    pools = [\"pool1\"]\nzones = \"owners\"\n[route.address]\nname = \"xmpp.contoso.com\"\n\
                    [[route.service]]\nkind = \"xmpp-server\"\n";
        super::super::parse(text, "repoint.toml", &mut |_| {
            Err(std::io::ErrorKind::NotFound.into())
        })
        .unwrap()
    }

    #[test]
    fn clients_have_what_the_reserve_leaves_and_always_something() {
        let configuration = configuration();
        let files = |limit| OpenFiles::new(&configuration, limit, 2);
        let large = files(20_000);
        assert_eq!((large.connections, large.is_short()), (1000, false));
        let common = files(1024);
        assert_eq!(common.connections as u64 + common.reserve, 1024);
        assert!(common.is_short() && common.connections > 500);
        assert!(common.to_string().ends_with(&format!(
            "for 1000 connections set LimitNOFILE={} in the unit",
            common.reserve + 1000
        )));
        let tiny = files(128);
        assert_eq!(tiny.connections, 16);
        assert_eq!(files(0).connections, 1);
        assert_eq!(files(u64::MAX).connections, 1000);
    }
}
