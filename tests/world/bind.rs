//! BIND, told what a nameserver of a story does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::nameserver::{Setup, Source};

pub(super) fn configuration(setup: &Setup, home: &Path) -> String {
    let at = home.display();
    let port = setup.listen[0].port();
    let of = |family: fn(&&SocketAddr) -> bool| -> String {
        let own = setup.listen.iter().filter(family);
        own.map(|own| format!("{}; ", own.ip())).collect()
    };
    let (v4, v6) = (of(|own| own.is_ipv4()), of(|own| own.is_ipv6()));
    let mut text = format!(
        "options {{\n  directory \"{at}\";\n  listen-on port {port} {{ {v4}}};\n  listen-on-v6 port {port} {{ {v6}}};\n  \
         pid-file none;\n  session-keyfile none;\n  managed-keys-directory \"{at}\";\n  recursion no;\n  \
         dnssec-validation no;\n  empty-zones-enable no;\n  check-integrity no;\n  serial-query-rate 1000;\n  \
         notify-rate 1000;\n  notify-delay 0;\n"
    );
    if let Some(own) = setup.listen.iter().find(|own| own.is_ipv4()) {
        let own = own.ip();
        writeln!(
            text,
            "  transfer-source {own};\n  query-source address {own};"
        )
        .unwrap();
    }
    for line in setup.settings {
        writeln!(text, "  {line}").unwrap();
    }
    // What a peer is, in a list of peers; what is put behind an address to speak to it.
    let (peers, signed) = match setup.key {
        Some(key) => (
            format!("key \"{}\"", key.name),
            format!(" key \"{}\"", key.name),
        ),
        None => ("any".to_owned(), String::new()),
    };
    write!(
        text,
        "  allow-transfer {{ {peers}; }};\n  allow-notify {{ {peers}; }};\n"
    )
    .unwrap();
    match setup.notify {
        Some(notified) => writeln!(
            text,
            "  notify explicit;\n  also-notify {{ {} port {}{signed}; }};",
            notified.ip(),
            notified.port()
        ),
        None => writeln!(text, "  notify no;"),
    }
    .unwrap();
    text.push_str("};\ncontrols { };\n");
    if let Some(key) = setup.key {
        let (name, secret) = (key.name, key.secret);
        writeln!(
            text,
            "key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};"
        )
        .unwrap();
    }
    for zone in &setup.zones {
        write!(text, "zone \"{}\" {{ ", zone.apex).unwrap();
        match &zone.source {
            Source::File(file) => write!(text, "type primary; file \"{}\";", file.display()),
            Source::Edited(file) => write!(
                text,
                "type primary; file \"{}\"; ixfr-from-differences yes;",
                file.display()
            ),
            Source::Primary(primary) => write!(
                text,
                "type secondary; file \"{}.copy\"; primaries {{ {} port {}{signed}; }};",
                zone.apex,
                primary.ip(),
                primary.port()
            ),
        }
        .unwrap();
        for line in zone.settings {
            write!(text, " {line}").unwrap();
        }
        text.push_str(" };\n");
    }
    text
}
