//! Transfers over TLS (RFC 9103), which need the key all the same: to kdig, and to stock secondaries that ask over nothing
//! else. Knot 3.2 transfers over TCP and QUIC only.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::made::made;
use crate::site::{
    KEY, PATIENCE, PRIMARY, Site, ZONE, address, configuration, name, records_at, secondary,
    serial_at, zone_file,
};
use crate::world::daemon::Daemon;
use crate::world::nameserver::Software;
use crate::world::private_network::{self, add_address};
use crate::world::tool::tool;
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(300);

/// repoint with DNS over TLS at port 853.
fn start(dir: &Path, secondaries: &str) -> Site {
    let pair = made(1, -1, 89);
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    let (chain, key) = (text(&pair.chain), text(&pair.key));
    fs::write(dir.join("chain.pem"), &chain).unwrap();
    let server = format!(
        "[server]\nlisten_tls = [\"{PRIMARY}:853\"]\ncertificate = \"chain.pem\"\ncertificate_key = \"key.pem\"\n"
    );
    let configuration = configuration(secondaries).replacen("[server]\n", &server, 1);
    let files = [("chain.pem", chain.as_str()), ("key.pem", &key)];
    Site::start_with(dir, &configuration, &zone_file(1), &files)
}

fn count(site: &Site, name: &str) -> u64 {
    let counters = site.repoint.json(&["status", "--counters"]);
    counters[name].as_u64().unwrap()
}

/// What kdig says to a transfer over TLS, and whether it is content.
fn kdig(dir: &Path, key: Option<&str>, from: &str) -> (bool, String) {
    let server = format!("@{PRIMARY}");
    let ca = format!("+tls-ca={}", dir.join("chain.pem").display());
    let mut arguments = vec![
        "-b",
        from,
        &server,
        "-p",
        "853",
        "+tls",
        &ca,
        "+tls-hostname=ns1.example.net",
        "+noedns",
        "+retry=0",
        ZONE,
        "AXFR",
    ];
    if let Some(key) = key {
        arguments.extend(["-y", key]);
    }
    let output = tool("kdig").args(&arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn kdig_transfers_a_zone_over_tls_from_its_address_with_its_key() {
    private_network::enter(
        "encrypted::kdig_transfers_a_zone_over_tls_from_its_address_with_its_key",
        LIMIT,
        |dir| {
            let site = start(dir, &secondary(Software::Knot));
            let own = address(Software::Knot);
            add_address(own);
            let right = KEY.option();
            let (content, said) = kdig(dir, Some(&right), &own.to_string());
            assert!(content, "{said}");
            let records = said.lines().filter(|line| line.contains("\tIN\t"));
            // The SOA ends it once more; dig is told to show it once.
            assert_eq!(
                records.count(),
                records_at(PRIMARY, own).len() + 1,
                "{said}"
            );
            assert!(count(&site, "tls_queries") >= 1);
            let wrong = format!("hmac-sha256:{}:c29tZXRoaW5nIGVsc2U=", KEY.name);
            for (key, from) in [
                (None, own.to_string()),
                (Some(wrong.as_str()), own.to_string()),
                (Some(right.as_str()), "127.0.0.1".to_owned()),
            ] {
                let (content, said) = kdig(dir, key, &from);
                assert!(
                    !content && !said.contains("host1."),
                    "{key:?} {from}: {said}"
                );
            }
        },
    );
}

#[test]
fn bind_and_nsd_follow_over_tls() {
    private_network::enter("encrypted::bind_and_nsd_follow_over_tls", LIMIT, |dir| {
        let secondaries = [Software::Bind, Software::Nsd];
        let site = start(dir, &secondaries.map(secondary).concat());
        let mut running = Vec::new();
        for software in secondaries {
            add_address(address(software));
            let home = dir.join(name(software));
            fs::create_dir_all(&home).unwrap();
            let ca = dir.join("chain.pem");
            let (program, arguments, text): (_, &[&str], _) = match software {
                Software::Bind => (
                    "named",
                    &["-g", "-n", "1", "-c", "config"],
                    bind(&home, &ca),
                ),
                _ => ("nsd", &["-d", "-c", "config"], nsd(&home, &ca)),
            };
            fs::write(home.join("config"), text).unwrap();
            running.push(Daemon::start_installed(
                program,
                arguments,
                &name(software),
                &home,
            ));
        }
        let in_step = |serial: u32| {
            for software in secondaries {
                wait_for(&format!("{software} has {serial}"), PATIENCE, || {
                    (serial_at(address(software)) == Some(serial)).then_some(())
                });
            }
        };
        in_step(serial_at(PRIMARY).unwrap());
        in_step(site.flip("pool2"));
        in_step(site.flip("pool1"));
        // Nothing but TLS has carried a zone.
        assert_eq!(count(&site, "tcp_queries"), 0);
        assert!(count(&site, "axfr") >= 2 && count(&site, "ixfr") >= 2);
        let own = address(Software::Bind);
        let ours = records_at(PRIMARY, own);
        for software in secondaries {
            assert_eq!(records_at(address(software), PRIMARY), ours, "{software}");
        }
    });
}

fn bind(home: &Path, ca: &Path) -> String {
    let (at, ca, own) = (home.display(), ca.display(), address(Software::Bind));
    let (key, secret) = (KEY.name, KEY.secret);
    format!(
        r#"options {{
  directory "{at}"; listen-on {{ {own}; }}; listen-on-v6 {{ none; }}; pid-file none; session-keyfile none;
  managed-keys-directory "{at}"; recursion no; dnssec-validation no; empty-zones-enable no; notify no;
  transfer-source {own}; query-source address {own}; serial-query-rate 1000;
  allow-transfer {{ any; }}; allow-notify {{ key "{key}"; }};
}};
controls {{ }};
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
tls xot {{ ca-file "{ca}"; remote-hostname "ns1.example.net"; }};
zone "{ZONE}" {{
  type secondary; file "copy"; primaries {{ {PRIMARY} port 853 key "{key}" tls xot; }};
}};
"#
    )
}

/// NOTIFY may come from any address: between two of one machine the system sends from either.
fn nsd(home: &Path, ca: &Path) -> String {
    let (at, ca, own) = (home.display(), ca.display(), address(Software::Nsd));
    let (key, secret) = (KEY.name, KEY.secret);
    format!(
        r#"server:
  ip-address: {own}
  username: ""
  chroot: ""
  zonesdir: "{at}"
  pidfile: ""
  xfrdfile: "{at}/xfrd.state"
  xfrdir: "{at}"
  zonelistfile: "{at}/zone.list"
  database: ""
  server-count: 1
  xfrd-reload-timeout: 0
  tls-cert-bundle: "{ca}"
remote-control:
  control-enable: no
key:
  name: "{key}"
  algorithm: hmac-sha256
  secret: "{secret}"
tls-auth:
  name: "repoint"
  auth-domain-name: "ns1.example.net"
zone:
  name: "{ZONE}"
  zonefile: "copy"
  request-xfr: {PRIMARY}@853 {key} repoint
  allow-notify: 0.0.0.0/0 {key}
  outgoing-interface: {own}
  provide-xfr: 127.0.0.1 NOKEY
  provide-xfr: 127.0.0.1 {key}
"#
    )
}
