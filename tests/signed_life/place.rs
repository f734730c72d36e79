//! What stands around repoint: a parent zone that Knot signs by itself, and a validating Unbound.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::daemon::Daemon;
use crate::world::private_network::{RESOLVER, find, run};
use crate::world::wait::wait_for;
use crate::{PARENT, PATIENCE, SERVER, ZONE};

/// The root, `net`, and a signed `com` with the delegation.
pub(crate) struct Parent {
    home: PathBuf,
    serial: u32,
    knot: Daemon,
}

impl Parent {
    /// Starts it without a DS of the zone.
    pub(crate) fn start(dir: &Path) -> Parent {
        for address in [PARENT, SERVER] {
            run(
                "ip",
                &["addr", "add", &format!("{address}/32"), "dev", "lo"],
            );
        }
        let home = home(dir, "parent");
        let at = home.display();
        let config = format!(
            "server:\n  listen: {PARENT}@53\n  rundir: {at}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ndatabase:\n  storage: {at}\npolicy:\n  - id: own\n    single-type-signing: on\n    \
             algorithm: ecdsap256sha256\n    nsec3: off\n    dnskey-ttl: 2\n    zone-max-ttl: 3600\ntemplate:\n  \
             - id: default\n    storage: {at}\n    file: \"%s.zone\"\n    zonefile-sync: -1\n    \
             zonefile-load: difference-no-serial\n    journal-content: all\nzone:\n  - domain: .\n    \
             file: root.zone\n  - domain: net\n  - domain: com\n    dnssec-signing: on\n    dnssec-policy: own\n"
        );
        fs::write(home.join("config"), config).unwrap();
        let zone = |file: &str, apex: &str, records: &str| {
            let text = format!("{}{records}", head(apex, 1));
            fs::write(home.join(file), text).unwrap();
        };
        let root = format!("a.root. A {PARENT}\ncom. NS a.root.\nnet. NS a.root.\n");
        zone("root.zone", ".", &root);
        zone("net.zone", "net.", &format!("ns1.hoster.net. A {SERVER}\n"));
        zone("com.zone", "com.", &delegation());
        let config = home.join("config");
        let knot = start("knotd", dir, "parent", &["-c", &config.to_string_lossy()]);
        let parent = Parent {
            home,
            serial: 1,
            knot,
        };
        wait_for("the parent is signed", PATIENCE, || {
            (!dig(PARENT, "com", "DNSKEY").is_empty()).then_some(())
        });
        parent
    }

    /// Its key, as a line for a trust anchor.
    pub(crate) fn anchor(&self) -> String {
        let keys = dig(PARENT, "com", "DNSKEY");
        keys.lines()
            .map(|key| format!("com. IN DNSKEY {key}\n"))
            .collect()
    }

    /// Has these DS records, and no other, as lines of a master file; waits until they are served.
    pub(crate) fn enter(&mut self, ds: &str) {
        self.serial += 1;
        let text = format!("{}{}{ds}", head("com.", self.serial), delegation());
        fs::write(self.home.join("com.zone"), text).unwrap();
        self.knot.hang_up();
        let tags = |text: &str, at: usize| {
            let fields = |line: &str| line.split_whitespace().nth(at).map(str::to_owned);
            let mut tags: Vec<String> = text.lines().filter_map(fields).collect();
            tags.sort();
            tags
        };
        let wanted: Vec<String> = ds
            .lines()
            .filter_map(|line| line.split("DS").nth(1))
            .flat_map(|data| tags(data, 0))
            .collect();
        wait_for("the parent has the DS", PATIENCE, || {
            (tags(&dig(PARENT, ZONE, "DS"), 0) == wanted).then_some(())
        });
    }
}

fn head(apex: &str, serial: u32) -> String {
    format!(
        "$TTL 2\n{apex} SOA a.root. hostmaster.root. {serial} 14400 3600 604800 2\n{apex} NS a.root.\n"
    )
}

fn delegation() -> String {
    format!("{ZONE}. NS ns1.hoster.net.\n")
}

/// Unbound with its own caching, validating from this trust anchor.
pub(crate) fn resolver(dir: &Path, anchor: &str) -> Daemon {
    let home = home(dir, "resolver");
    let at = home.display();
    fs::write(
        home.join("hints"),
        format!(". 3600 NS a.root.\na.root. 3600 A {PARENT}\n"),
    )
    .unwrap();
    fs::write(home.join("anchor"), anchor).unwrap();
    // A bogus answer is noted by whoever asks; for a minute it would only hide what comes after it. Not every validator
    // asks once more before it calls an answer bogus.
    let text = format!(
        "server:\n interface: {RESOLVER}\n access-control: 127.0.0.0/8 allow\n username: \"\"\n chroot: \"\"\n \
         directory: \"{at}\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n do-daemonize: no\n do-ip6: no\n \
         num-threads: 1\n val-log-level: 2\n val-bogus-ttl: 1\n val-max-restart: 0\n root-hints: \"{at}/hints\"\n \
         trust-anchor-file: \"{at}/anchor\"\n module-config: \"validator iterator\"\n do-not-query-localhost: no\n\
         remote-control:\n control-enable: no\n"
    );
    let config = home.join("config");
    fs::write(&config, text).unwrap();
    let config = config.to_string_lossy().into_owned();
    let daemon = start("unbound", dir, "resolver", &["-c", &config]);
    wait_for("the resolver answers", PATIENCE, || {
        (!dig(&RESOLVER.to_string(), "com", "SOA").is_empty()).then_some(())
    });
    daemon
}

fn home(dir: &Path, name: &str) -> PathBuf {
    let home = dir.join(name);
    fs::create_dir_all(&home).unwrap();
    home
}

fn start(program: &str, dir: &Path, name: &str, arguments: &[&str]) -> Daemon {
    // A copy: on hosts with AppArmor the installed one may read its own directories only.
    let copy = dir.join(name).join(program);
    fs::copy(find(program).unwrap(), &copy).unwrap();
    Daemon::start(name, dir, Command::new(copy).args(arguments))
}

/// What `dig +short` prints; empty also when nobody answers.
pub(crate) fn dig(server: &str, name: &str, rtype: &str) -> String {
    let server = format!("@{server}");
    let out = Command::new("dig")
        .args(["+short", "+tries=1", "+time=1", &server, name, rtype])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with(';'));
    lines.map(|line| format!("{line}\n")).collect()
}
