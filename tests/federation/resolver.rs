//! Debian's Unbound as the partner's resolver, and the pools': contoso.example is a stub zone to repoint, or, to compare
//! with, two SRV records that never change.
//!
//! Never here: a query that leaves the private network; names outside the story are refused.

use std::path::Path;

use crate::daemon::Daemon;
use crate::world::{client, unbound};
use crate::{CLIENT, DOMAIN, NAMESERVER, PARTNER, PARTNER_ADDRESS, POOLS, RESOLVER};

/// Who answers for contoso.example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// repoint, asked through a stub zone.
    Repoint,
    /// Two SRV records that nobody changes: pool 1 preferred, pool 2 behind it.
    StaticRecords,
}

/// Starts Unbound and waits until it answers.
pub(crate) fn start(source: Source, dir: &Path) -> Daemon {
    let local = |zone: &str, kind: &str| format!("local-zone: \"{zone}\" {kind}");
    let data = |record: String| format!("local-data: \"{record}\"");
    let mut lines = vec![
        "do-ip6: no".to_owned(),
        "log-queries: yes".to_owned(),
        "log-replies: yes".to_owned(),
        local(".", "refuse"),
        local(&format!("{PARTNER}."), "static"),
        data(format!(
            "_xmpp-server._tcp.{PARTNER}. 300 SRV 0 0 5269 xmpp.{PARTNER}."
        )),
        data(format!(
            "_xmpp-server._tcp.{CLIENT}. 300 SRV 0 0 5269 xmpp.{PARTNER}."
        )),
        data(format!("xmpp.{PARTNER}. 300 A {PARTNER_ADDRESS}")),
    ];
    let mut stubs = Vec::new();
    match source {
        Source::Repoint => {
            lines.push(local(&format!("{DOMAIN}."), "transparent"));
            let server = NAMESERVER.parse().expect("an address");
            stubs.push((DOMAIN.to_owned(), server));
        }
        Source::StaticRecords => {
            lines.push(local(&format!("{DOMAIN}."), "static"));
            for (n, (name, address)) in POOLS.iter().enumerate() {
                let service = format!("_xmpp-server._tcp.{DOMAIN}.");
                lines.push(data(format!("{service} 5 SRV {n} 0 5269 {name}.{DOMAIN}.")));
                lines.push(data(format!("{name}.{DOMAIN}. 5 A {address}")));
            }
        }
    }
    let settings: Vec<&str> = lines.iter().map(String::as_str).collect();
    let setup = unbound::Setup {
        address: RESOLVER.into(),
        root: &[],
        anchors: "",
        stubs: &stubs,
        settings: &settings,
    };
    unbound::start(dir, &setup)
}

/// What a nameserver says, record by record, without names and TTLs; nothing when nobody answers.
pub(crate) fn ask(server: &str, name: &str, record: &str) -> Vec<String> {
    let said = client::dig(server, name, record);
    said.lines().map(str::to_owned).collect()
}
