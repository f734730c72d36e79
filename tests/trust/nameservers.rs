//! Stock secondaries of the zone, each configured as its operator would, and a validating resolver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::daemon::Daemon;
use crate::world::private_network::{RESOLVER, find};
use crate::{BIND, Host, KNOT, NSD, REPOINT, ROOT, TSIG_NAME, TSIG_SECRET, ZONE};

fn place(dir: &Path, name: &str) -> PathBuf {
    let place = dir.join(name);
    fs::create_dir_all(&place).unwrap();
    // Daemons that give up their rights must still write here.
    std::os::unix::fs::chown(&place, None, None).unwrap();
    place
}

fn start(name: &str, dir: &Path, program: &str, arguments: &[&str]) -> Daemon {
    let mut command = Command::new(find(program).unwrap());
    command.args(arguments);
    Daemon::start(name, dir, &mut command)
}

/// NSD, which asks for IXFR and falls back to AXFR.
pub(crate) fn nsd(dir: &Path) -> Daemon {
    let place = place(dir, "nsd");
    let Host { v4, v6, .. } = NSD;
    let from = REPOINT.v4;
    let text = format!(
        r#"server:
    ip-address: {v4}
    ip-address: {v6}
    username: ""
    chroot: ""
    zonesdir: "{place}"
    database: ""
    pidfile: "{place}/nsd.pid"
    xfrdfile: "{place}/xfrd.state"
    zonelistfile: "{place}/zone.list"
    xfrdir: "{place}"
    xfrd-reload-timeout: 0
    hide-version: yes
remote-control:
    control-enable: no
key:
    name: "{TSIG_NAME}"
    algorithm: hmac-sha256
    secret: "{TSIG_SECRET}"
zone:
    name: "{ZONE}"
    zonefile: "zone"
    request-xfr: {from} {TSIG_NAME}
    outgoing-interface: {v4}
    # Between two addresses of one machine the system sends from the one it sends to.
    allow-notify: 0.0.0.0/0 {TSIG_NAME}
"#,
        place = place.display()
    );
    let file = place.join("nsd.conf");
    fs::write(&file, text).unwrap();
    start("nsd", dir, "nsd", &["-d", "-c", &file.to_string_lossy()])
}

/// Knot.
pub(crate) fn knot(dir: &Path) -> Daemon {
    let place = place(dir, "knot");
    let Host { v4, v6, .. } = KNOT;
    let from = REPOINT.v4;
    let text = format!(
        r#"server:
  listen: ["{v4}@53", "{v6}@53"]
  rundir: {place}
database:
  storage: {place}
key:
  - id: {TSIG_NAME}
    algorithm: hmac-sha256
    secret: {TSIG_SECRET}
remote:
  - id: repoint
    address: {from}@53
    via: {v4}
    key: {TSIG_NAME}
acl:
  - id: notify
    key: {TSIG_NAME}
    action: notify
zone:
  - domain: {ZONE}
    storage: {place}
    file: zone
    master: repoint
    acl: notify
    zonefile-sync: -1
"#,
        place = place.display()
    );
    let file = place.join("knot.conf");
    fs::write(&file, text).unwrap();
    start("knot", dir, "knotd", &["-c", &file.to_string_lossy()])
}

/// BIND.
pub(crate) fn bind(dir: &Path) -> Daemon {
    let place = place(dir, "bind");
    let Host { v4, v6, .. } = BIND;
    let from = REPOINT.v4;
    let text = format!(
        r#"options {{
    directory "{place}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {v4}; }};
    listen-on-v6 {{ {v6}; }};
    recursion no;
    dnssec-validation no;
    serial-query-rate 1000;
    notify no;
    empty-zones-enable no;
}};
controls {{ }};
key "{TSIG_NAME}" {{ algorithm hmac-sha256; secret "{TSIG_SECRET}"; }};
server {from} {{ keys {{ "{TSIG_NAME}"; }}; }};
zone "{ZONE}" {{
    type secondary;
    file "zone";
    primaries {{ {from} key "{TSIG_NAME}"; }};
    transfer-source {v4};
    allow-notify {{ key "{TSIG_NAME}"; }};
}};
"#,
        place = place.display()
    );
    let file = place.join("named.conf");
    fs::write(&file, text).unwrap();
    start("bind", dir, "named", &["-g", "-c", &file.to_string_lossy()])
}

/// Unbound below this test's root, validating the zone from these trust anchors (DS or DNSKEY lines); `keep` says
/// whether it may keep what it has asked.
pub(crate) fn resolver(dir: &Path, anchors: &str, keep: bool) -> Daemon {
    let place = place(dir, "resolver");
    fs::write(
        place.join("root.hints"),
        format!(
            ". 3600 NS a.root.\na.root. 3600 A {}\na.root. 3600 AAAA {}\n",
            ROOT.v4, ROOT.v6
        ),
    )
    .unwrap();
    fs::write(place.join("anchors"), anchors).unwrap();
    let text = format!(
        r#"server:
    interface: {RESOLVER}
    access-control: 127.0.0.0/8 allow
    username: ""
    chroot: ""
    directory: "{place}"
    pidfile: "{place}/pid"
    use-syslog: no
    verbosity: 1
    val-log-level: 2
    root-hints: "{place}/root.hints"
    trust-anchor-file: "{place}/anchors"
    module-config: "validator iterator"
    do-not-query-localhost: no
    num-threads: 1
    {cache}
remote-control:
    control-enable: no
"#,
        place = place.display(),
        cache = if keep {
            ""
        } else {
            "cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n    infra-host-ttl: 900"
        },
    );
    let file = place.join("unbound.conf");
    fs::write(&file, text).unwrap();
    start(
        "resolver",
        dir,
        "unbound",
        &["-d", "-c", &file.to_string_lossy()],
    )
}
