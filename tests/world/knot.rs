//! Knot DNS, told what a nameserver of a story does.

use std::fmt::Write as _;
use std::path::Path;

use super::nameserver::{Setup, Source};

pub(super) fn configuration(setup: &Setup, home: &Path) -> String {
    let at = home.display();
    let listen = setup.listen.iter();
    let listen: Vec<String> = listen
        .map(|address| format!("\"{}@{}\"", address.ip(), address.port()))
        .collect();
    let mut text = format!(
        "server:\n  listen: [{}]\n  rundir: {at}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 2\n",
        listen.join(", ")
    );
    for line in setup.settings {
        writeln!(text, "  {line}").unwrap();
    }
    writeln!(text, "database:\n  storage: {at}").unwrap();
    writeln!(text, "log:\n  - target: stderr\n    any: info").unwrap();
    let mut signed = String::new();
    if let Some(key) = setup.key {
        let (name, secret) = (key.name, key.secret);
        signed = format!("    key: {name}\n");
        write!(
            text,
            "key:\n  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret}\n"
        )
        .unwrap();
    }
    let primaries = setup.zones.iter().filter_map(|zone| match zone.source {
        Source::Primary(primary) => Some(primary),
        Source::File(_) | Source::Edited(_) => None,
    });
    let mut remotes: Vec<_> = primaries.chain(setup.notify).collect();
    remotes.sort_unstable();
    remotes.dedup();
    text.push_str("remote:\n");
    for remote in &remotes {
        let (address, port) = (remote.ip(), remote.port());
        let via = setup.from(remote).ip();
        write!(
            text,
            "  - id: \"{remote}\"\n    address: \"{address}@{port}\"\n    via: \"{via}\"\n{signed}"
        )
        .unwrap();
    }
    write!(
        text,
        "acl:\n  - id: peers\n{signed}    action: [notify, transfer]\n\
         template:\n  - id: default\n    storage: {at}\n    acl: peers\n    semantic-checks: off\n    zonefile-sync: -1\n"
    )
    .unwrap();
    if let Some(notified) = setup.notify {
        writeln!(text, "    notify: \"{notified}\"").unwrap();
    }
    text.push_str("zone:\n");
    for zone in &setup.zones {
        writeln!(text, "  - domain: \"{}\"", zone.apex).unwrap();
        match &zone.source {
            Source::File(file) => {
                let file = file.display();
                writeln!(text, "    file: {file}\n    journal-content: none")
            }
            Source::Edited(file) => writeln!(
                text,
                "    file: {}\n    zonefile-load: difference\n    journal-content: all",
                file.display()
            ),
            Source::Primary(primary) => writeln!(text, "    master: \"{primary}\""),
        }
        .unwrap();
        for line in zone.settings {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}
