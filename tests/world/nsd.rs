//! NSD, told what a nameserver of a story does.

use std::fmt::Write as _;
use std::path::Path;

use super::nameserver::{Setup, Source};

pub(super) fn configuration(setup: &Setup, home: &Path) -> String {
    let at = home.display();
    let mut text = format!(
        "server:\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  zonesdir: {at}\n  database: \"\"\n  \
         pidfile: \"\"\n  zonelistfile: {at}/zone.list\n  xfrdfile: {at}/xfrd.state\n  xfrdir: {at}\n  \
         xfrd-reload-timeout: 0\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  verbosity: 2\n"
    );
    for address in &setup.listen {
        let (address, port) = (address.ip(), address.port());
        writeln!(text, "  ip-address: {address}@{port}").unwrap();
    }
    for line in setup.settings {
        writeln!(text, "  {line}").unwrap();
    }
    text.push_str("remote-control:\n  control-enable: no\n");
    let key = setup.key.map_or("NOKEY", |key| key.name);
    if let Some(key) = setup.key {
        let (name, secret) = (key.name, key.secret);
        write!(
            text,
            "key:\n  name: {name}\n  algorithm: hmac-sha256\n  secret: \"{secret}\"\n"
        )
        .unwrap();
    }
    for zone in &setup.zones {
        writeln!(text, "zone:\n  name: {}", zone.apex).unwrap();
        match &zone.source {
            Source::File(file) => writeln!(text, "  zonefile: {}", file.display()),
            Source::Edited(file) => {
                let file = file.display();
                writeln!(text, "  zonefile: {file}\n  store-ixfr: yes\n  create-ixfr: yes")
            }
            Source::Primary(primary) => {
                let (address, port) = (primary.ip(), primary.port());
                let from = setup.from(primary).ip();
                writeln!(
                    text,
                    "  zonefile: {}.copy\n  request-xfr: {address}@{port} {key}\n  outgoing-interface: {from}",
                    zone.apex
                )
            }
        }
        .unwrap();
        if let Some(notified) = setup.notify {
            let (address, port) = (notified.ip(), notified.port());
            writeln!(text, "  notify: {address}@{port} {key}").unwrap();
        }
        // Between two addresses of one machine the system may send from either.
        for anywhere in ["0.0.0.0/0", "::/0"] {
            writeln!(
                text,
                "  provide-xfr: {anywhere} {key}\n  allow-notify: {anywhere} {key}"
            )
            .unwrap();
        }
        for line in zone.settings {
            writeln!(text, "  {line}").unwrap();
        }
    }
    text
}
