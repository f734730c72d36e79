//! `[server]`: where DNS is served, and what for.
//!
//! In: its table. Out: [`ServerSettings`], and every relation between its keys that is broken. Never here: the files of
//! the certificate; they change while the server runs, and a private key is not kept with the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::super::problem::{At, ConfigProblems, Place, Rule};
use super::super::settings::ServerSettings;
use super::super::value::Value;
use super::{keys, path};

pub(super) fn read(
    value: Option<Value<'_>>,
    base: &Path,
    problems: &mut ConfigProblems,
) -> ServerSettings {
    let mut settings = ServerSettings::default();
    let Some(mut table) = value.and_then(|v| v.table(&keys::SERVER, problems)) else {
        return settings;
    };
    let mut listeners = Listeners::default();
    if let Some(value) = table.get("listen") {
        let wanted = "a list of addresses like [\"0.0.0.0:53\", \"[::]:53\"]";
        settings.listen = listeners.read(&value, "listen", wanted, 53, problems);
        if settings.listen.is_empty() && value.is_empty_list() {
            value.bad("it is empty", format!("write {wanted}"), problems);
        }
    } else {
        let place = table.place().clone();
        listeners.add("listen", settings.listen.iter().copied(), &place);
    }
    for (key, port, addresses) in [
        ("listen_tls", 853, &mut settings.listen_tls),
        ("listen_https", 443, &mut settings.listen_https),
        ("listen_quic", 853, &mut settings.listen_quic),
    ] {
        if let Some(value) = table.get(key) {
            let wanted = format!("a list of addresses like [\"0.0.0.0:{port}\", \"[::]:{port}\"]");
            *addresses = listeners.read(&value, key, &wanted, port, problems);
        }
    }
    listeners.tell_apart(problems);
    let certificate = table
        .get("certificate")
        .and_then(|v| path(&v, base, problems));
    let key = table
        .get("certificate_key")
        .and_then(|v| path(&v, base, problems));
    match (&certificate, &key) {
        (Some(_), Some(_)) | (None, None) => {}
        (Some(there), None) => other_half(&there.place, "certificate", "certificate_key", problems),
        (None, Some(there)) => other_half(&there.place, "certificate_key", "certificate", problems),
    }
    match (&certificate, &key, listeners.first_encrypted()) {
        (None, None, Some((key, place))) => {
            problems
                .error(
                    Rule::MissingKey,
                    place,
                    format!("{key} needs a certificate, and none is named"),
                )
                .help("add certificate = \"tls/fullchain.pem\" and certificate_key = \"tls/privkey.pem\" to [server]");
        }
        (Some(there), Some(_), None) => {
            problems
                .warning(
                    Rule::NoEffect,
                    &there.place,
                    "certificate has no effect: nothing is served with it",
                )
                .help("add listen_tls = [\"0.0.0.0:853\", \"[::]:853\"], or leave certificate and certificate_key out");
        }
        _ => {}
    }
    settings.certificate = certificate.map(|path| path.value);
    settings.certificate_key = key.map(|path| path.value);
    if let Some(state) = table.get("state").and_then(|v| path(&v, base, problems)) {
        settings.state = state.value;
    }
    if let Some(control) = table.get("control").and_then(|v| path(&v, base, problems)) {
        // sockaddr_un has room for 108 bytes with the last zero.
        if control.value.as_os_str().len() > 107 {
            problems
                .error(
                    Rule::BadValue,
                    &control.place,
                    "\"control\" cannot be taken: the path is longer than 107 bytes",
                )
                .help("choose a shorter path, like \"/run/repoint/control.sock\"");
        }
        settings.control = control.value;
    }
    if let Some(mode) = table.get("control_mode").and_then(|v| mode(&v, problems)) {
        settings.control_mode = mode.value;
    }
    settings.control_group = table
        .get("control_group")
        .and_then(|v| v.text("the name of a group", problems))
        .map(|group| group.value.to_owned());
    settings.user = table
        .get("user")
        .and_then(|v| v.text("the name of a user", problems))
        .map(|user| user.value.to_owned());
    settings.workers = table
        .get("workers")
        .and_then(|v| v.integer(1..=1024, problems))
        .map(|workers| workers.value);
    table.finish(problems);
    settings
}

fn other_half(there: &Place, key: &str, missing: &str, problems: &mut ConfigProblems) {
    problems
        .error(
            Rule::MissingKey,
            there,
            format!("{key} is of no use without {missing}"),
        )
        .help(format!("add {missing} to [server], or leave {key} out"));
}

/// Every address that is listened on, with the key that names it.
#[derive(Default)]
struct Listeners {
    found: Vec<(&'static str, At<SocketAddr>)>,
}

impl Listeners {
    fn read(
        &mut self,
        value: &Value<'_>,
        key: &'static str,
        wanted: &str,
        port: u16,
        problems: &mut ConfigProblems,
    ) -> Vec<SocketAddr> {
        let list = value.list_of(wanted, problems, |item, p| item.socket(port, p));
        super::super::problem::no_duplicates(&list.items, "address", problems);
        let addresses = list.items.iter().map(|item| item.value).collect();
        self.found
            .extend(list.items.into_iter().map(|item| (key, item)));
        addresses
    }

    fn add(
        &mut self,
        key: &'static str,
        addresses: impl Iterator<Item = SocketAddr>,
        place: &Place,
    ) {
        let items = addresses.map(|value| At {
            value,
            place: place.clone(),
        });
        self.found.extend(items.map(|item| (key, item)));
    }

    fn first_encrypted(&self) -> Option<(&'static str, &Place)> {
        let encrypted = self.found.iter().find(|(key, _)| *key != "listen");
        encrypted.map(|(key, item)| (*key, &item.place))
    }

    /// One address and port carries one kind of stream and one kind of datagram.
    fn tell_apart(&self, problems: &mut ConfigProblems) {
        let kinds = |key: &str| match key {
            "listen" => ["stream", "datagram"].as_slice(),
            "listen_quic" => ["datagram"].as_slice(),
            _ => ["stream"].as_slice(),
        };
        let mut taken: BTreeMap<(&str, SocketAddr), &str> = BTreeMap::new();
        for (key, item) in &self.found {
            // Any free port is a port of its own.
            if item.value.port() == 0 {
                continue;
            }
            let others: Vec<&str> = kinds(key)
                .iter()
                .filter_map(|kind| taken.insert((kind, item.value), key))
                .filter(|other| other != key)
                .collect();
            if let Some(other) = others.first() {
                let address = item.value;
                problems
                    .error(
                        Rule::Duplicate,
                        &item.place,
                        format!("{address} is in {other} already: {key} needs an address or a port of its own"),
                    )
                    .help("DNS over TLS and over QUIC have port 853, DNS over HTTPS has port 443");
            }
        }
    }
}

fn mode(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<u32>> {
    let parse = |text: &str| {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777 && !text.starts_with('+'))
            .ok_or("it is not a mode in octal digits")
    };
    value.parsed("a mode in quotes, like \"0660\"", parse, problems)
}
