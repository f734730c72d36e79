//! A small internet: a root, three domains on Knot and BIND, repoint and NSD below them, Unbound to ask.
//!
//! In: which of three worlds. Out: running servers. Everything is the same otherwise, so that what the clean one
//! does not say, the faults said.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslMethod};
use repoint::demo::{Authority, Leaf};
use serde_json::Value;

use crate::served;
use crate::world::daemon::Daemon;
use crate::world::private_network::{RESOLVER, find, run};
use crate::world::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);

/// The root, com, net and example.net, by NSD.
const ROOT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The zones above ours, by Knot and by BIND.
const PARENTS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 2, 1)];
/// repoint.
pub(crate) const NS1: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 1);
/// NSD, with copies of what repoint serves.
const NS2: Ipv4Addr = Ipv4Addr::new(10, 0, 4, 1);
pub(crate) const POOLS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 5, 1), Ipv4Addr::new(10, 0, 6, 1)];
/// The web server of contoso.com.
const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 8, 1);

pub(crate) const DOMAINS: [&str; 3] = ["contoso.com", "fabrikam.com", "litware.com"];

/// The zones that are signed in the signed world; fed.litware.com is not.
pub(crate) const SIGNED: [&str; 4] = [
    "_sipfederationtls._tcp.contoso.com",
    "_xmpps-server._tcp.contoso.com",
    "xmpp.contoso.com",
    "fed.fabrikam.com",
];

/// What is the matter with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// Nothing.
    Clean,
    /// Every fault is seeded.
    Faulty,
    /// Nothing, and all zones but one are signed; the zones above have no DS yet.
    Signed,
}

/// The running servers, and the files they have.
pub(crate) struct Lab {
    dir: PathBuf,
    world: World,
    daemons: Vec<Daemon>,
    /// Holds the port at the domain itself open.
    _web: Option<TcpListener>,
}

impl Lab {
    /// Starts everything, and waits until it answers.
    pub(crate) fn start(dir: &Path, world: World) -> Lab {
        for address in [ROOT, NS1, NS2, WEB].iter().chain(&PARENTS).chain(&POOLS) {
            run(
                "ip",
                &["addr", "add", &format!("{address}/32"), "dev", "lo"],
            );
        }
        let mut lab = Lab {
            dir: dir.to_owned(),
            world,
            daemons: Vec::new(),
            _web: (world == World::Faulty).then(|| TcpListener::bind((WEB, 5269)).unwrap()),
        };
        lab.pools();
        lab.root();
        for domain in DOMAINS {
            lab.write_parent(domain, &lab.parent(domain));
        }
        lab.knot();
        lab.bind();
        lab.unbound();
        lab.repoint();
        lab.second();
        lab
    }

    /// Runs `repoint delegation …` against the server.
    pub(crate) fn delegation(&self, arguments: &[&str]) -> Output {
        self.repoint_says(&[&["delegation"], arguments].concat())
    }

    /// Runs `repoint …` against the server.
    pub(crate) fn repoint_says(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_repoint"))
            .arg("--socket")
            .arg(self.dir.join("control.sock"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The findings as pairs of code and subject, without infos; and the exit code.
    pub(crate) fn check(&self, arguments: &[&str]) -> (Vec<(String, String)>, Option<i32>, Value) {
        let arguments = [&["check", "--json"], arguments].concat();
        let output = self.delegation(&arguments);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
        });
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let findings = report["findings"].as_array().unwrap().iter();
        let mut pairs: Vec<(String, String)> = findings
            .filter(|finding| finding["severity"] != "info")
            .map(|finding| (text(&finding["code"]), text(&finding["subject"])))
            .collect();
        pairs.sort();
        pairs.dedup();
        (pairs, output.status.code(), report)
    }

    /// TLS servers on the pools' addresses; the second one's certificate lacks a domain.
    fn pools(&self) {
        let authority = Authority::new("A Test Authority").unwrap();
        fs::write(self.dir.join("ca.pem"), authority.pem().unwrap()).unwrap();
        for (n, address) in POOLS.into_iter().enumerate() {
            let mut leaf = Leaf::for_domain(&DOMAINS[0].parse().unwrap());
            let missing = self.world == World::Faulty && n == 1;
            let names = DOMAINS
                .iter()
                .filter(|d| !(missing && **d == "fabrikam.com"));
            leaf.dns = names.map(|name| (*name).to_owned()).collect();
            (leaf.srv, leaf.xmpp) = (Vec::new(), Vec::new());
            let identity = authority.issue(&leaf).unwrap();
            let mut acceptor =
                SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
            acceptor.set_certificate(&identity.certificate).unwrap();
            acceptor.set_private_key(&identity.key).unwrap();
            let acceptor = acceptor.build();
            for port in [5270, 5271, 5061] {
                let listener = TcpListener::bind((address, port)).unwrap();
                let acceptor = acceptor.clone();
                std::thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        let acceptor = acceptor.clone();
                        std::thread::spawn(move || {
                            if let Ok(mut stream) = acceptor.accept(stream) {
                                // Until the other side goes.
                                let _ = std::io::Read::read(&mut stream, &mut [0; 64]);
                            }
                        });
                    }
                });
            }
        }
    }

    fn root(&mut self) {
        let mut com = soa("com.", "a.root.");
        for domain in DOMAINS {
            for n in [1, 2] {
                writeln!(com, "{domain}. 3600 NS p{n}.example.net.").unwrap();
            }
        }
        let mut hosts = soa("example.net.", "a.root.");
        for (name, address) in [
            ("p1", PARENTS[0]),
            ("p2", PARENTS[1]),
            ("ns1", NS1),
            ("ns2", NS2),
            ("ns3", ROOT),
            ("real", POOLS[0]),
        ] {
            writeln!(hosts, "{name}.example.net. 3600 A {address}").unwrap();
        }
        let top = format!(
            "{}com. 3600 NS a.root.\nnet. 3600 NS a.root.\na.root. 3600 A {ROOT}\n",
            soa(".", "a.root.")
        );
        let net = format!("{}example.net. 3600 NS a.root.\n", soa("net.", "a.root."));
        let zones = [
            (".", top),
            ("com", com),
            ("net", net),
            ("example.net", hosts),
        ];
        self.nsd(
            "root",
            ROOT,
            &zones.map(|(apex, text)| (apex.to_owned(), text)),
        );
    }

    /// What the zone above a domain has.
    pub(crate) fn parent(&self, domain: &str) -> String {
        let faulty = self.world == World::Faulty;
        let ns = |name: &str, ttl: u32, servers: &[&str]| -> String {
            let each = servers.iter();
            each.map(|server| format!("{name} {ttl} NS {server}\n"))
                .collect()
        };
        let both = ["ns1.example.net.", "ns2.example.net."];
        let mut text = soa(&format!("{domain}."), "p1.example.net.");
        text.push_str(&ns(
            &format!("{domain}."),
            3600,
            &["p1.example.net.", "p2.example.net."],
        ));
        match domain {
            "contoso.com" => {
                text.push_str(&format!("contoso.com. 300 A {WEB}\n"));
                // An alias where an address belongs, and no address at all.
                if faulty {
                    text.push_str("edge1.contoso.com. 300 CNAME real.example.net.\n");
                } else {
                    text.push_str(&format!("edge1.contoso.com. 300 A {}\n", POOLS[0]));
                    text.push_str(&format!("edge2.contoso.com. 300 A {}\n", POOLS[1]));
                }
                text.push_str(&ns("_sipfederationtls._tcp.contoso.com.", 3600, &both));
                text.push_str(&ns("_xmpps-server._tcp.contoso.com.", 3600, &both));
                if faulty {
                    // It serves other zones, not this one.
                    text.push_str("_xmpps-server._tcp.contoso.com. 3600 NS ns3.example.net.\n");
                    // One nameserver is forgotten, and a DS is left behind.
                    text.push_str(&ns("xmpp.contoso.com.", 3600, &both[..1]));
                    let digest = "ab".repeat(32);
                    text.push_str(&format!("xmpp.contoso.com. 3600 DS 4711 13 2 {digest}\n"));
                } else {
                    text.push_str(&ns("xmpp.contoso.com.", 3600, &both));
                }
            }
            child => {
                let cut = format!("fed.{child}.");
                let inside = format!("ns1.{cut}");
                let ttl = if faulty && child == "litware.com" {
                    86_400
                } else {
                    3600
                };
                text.push_str(&ns(&cut, ttl, &[&inside, both[1]]));
                let glue = match (faulty, child) {
                    (true, "fabrikam.com") => None,
                    (true, _) => Some(Ipv4Addr::new(10, 0, 9, 9)),
                    (false, _) => Some(NS1),
                };
                if let Some(glue) = glue {
                    text.push_str(&format!("{inside} 3600 A {glue}\n"));
                }
                text.push_str(&format!(
                    "_xmpps-server._tcp.{child}. 300 CNAME _xmpps-server._tcp.{cut}\n"
                ));
            }
        }
        text
    }

    fn write_parent(&self, domain: &str, text: &str) {
        fs::write(self.dir.join(format!("{domain}.zone")), text).unwrap();
    }

    fn knot(&mut self) {
        let home = self.home("knot");
        let (at, address) = (home.display(), PARENTS[0]);
        let mut text = format!(
            "server:\n  listen: {address}@53\n  rundir: {at}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ndatabase:\n  storage: {at}\nlog:\n  - target: stderr\n    any: warning\n\
             template:\n  - id: default\n    storage: {at}\n    zonefile-load: whole\n    zonefile-sync: -1\n    \
             journal-content: none\n    semantic-checks: off\nzone:\n"
        );
        for domain in DOMAINS {
            let file = self.dir.join(format!("{domain}.zone"));
            writeln!(text, "  - domain: {domain}.\n    file: {}", file.display()).unwrap();
        }
        let config = home.join("config");
        fs::write(&config, text).unwrap();
        self.run("knotd", "knot", &["-c", &config.display().to_string()]);
        self.until_served(PARENTS[0], &DOMAINS);
    }

    fn bind(&mut self) {
        let home = self.home("bind");
        let (at, address) = (home.display(), PARENTS[1]);
        let mut text = format!(
            "options {{\n  directory \"{at}\";\n  listen-on port 53 {{ {address}; }};\n  listen-on-v6 {{ none; }};\n  \
             pid-file none;\n  session-keyfile none;\n  managed-keys-directory \"{at}\";\n  recursion no;\n  \
             dnssec-validation no;\n  empty-zones-enable no;\n  notify no;\n  check-integrity no;\n}};\ncontrols {{ }};\n"
        );
        for domain in DOMAINS {
            let file = self.dir.join(format!("{domain}.zone"));
            let file = file.display();
            writeln!(
                text,
                "zone \"{domain}\" {{ type primary; file \"{file}\"; }};"
            )
            .unwrap();
        }
        let config = home.join("config");
        fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        self.run("named", "bind", &["-g", "-n", "1", "-c", &config]);
        self.until_served(PARENTS[1], &DOMAINS);
    }

    fn repoint(&mut self) {
        // A key may be offered when the copies from before it are gone: short TTLs at first make that a matter of seconds.
        self.configure(self.world == World::Signed);
        let config = self.dir.join("repoint.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
        command.args(["serve", "--config"]).arg(&config);
        self.daemons
            .push(Daemon::start("repoint", &self.dir, &mut command));
        self.until_served(NS1, &["xmpp.contoso.com", "fed.litware.com"]);
        let socket = self.dir.join("control.sock");
        wait_for("the control socket is there", PATIENCE, || {
            socket.exists().then_some(())
        });
        if self.world == World::Signed {
            self.until_offered();
            self.configure(false);
            let reload = self.repoint_says(&["config", "reload"]);
            assert!(reload.status.success(), "{reload:?}");
        }
    }

    fn configure(&self, short: bool) {
        let text = served::config(&self.dir, self.world, short);
        fs::write(self.dir.join("repoint.toml"), text).unwrap();
        for domain in &DOMAINS[1..] {
            let file = self.dir.join(format!("fed.{domain}.zone"));
            fs::write(file, served::zone(domain, short)).unwrap();
        }
    }

    /// Waits until every zone that is to be signed asks for its DS.
    fn until_offered(&self) {
        for apex in SIGNED {
            wait_for(&format!("{apex} asks for a DS"), PATIENCE, || {
                (!dig(NS1, apex, "CDS").is_empty()).then_some(())
            });
        }
    }

    /// The second nameserver, with what repoint serves just now.
    fn second(&mut self) {
        let apexes = [
            "_sipfederationtls._tcp.contoso.com",
            "_xmpps-server._tcp.contoso.com",
            "xmpp.contoso.com",
            "fed.fabrikam.com",
            "fed.litware.com",
        ];
        let faulty = self.world == World::Faulty;
        let zones = apexes.map(|apex| {
            let shown = self.repoint_says(&["zone", "show", apex]);
            let mut text = String::from_utf8(shown.stdout).unwrap();
            assert!(text.contains("\tSOA\t"), "{apex}: {text}");
            if faulty && apex.starts_with("_sip") {
                let serial = text.split_whitespace().nth(6).unwrap().to_owned();
                text = text.replacen(&serial, "1000", 1);
            }
            if faulty && apex == "fed.fabrikam.com" {
                // Its copy has lost everything below _tcp.
                let lines = text.lines().filter(|line| !line.contains("._tcp."));
                text = lines.map(|line| format!("{line}\n")).collect();
            }
            (apex.to_owned(), text)
        });
        self.nsd("second", NS2, &zones);
    }

    fn nsd(&mut self, name: &str, address: Ipv4Addr, zones: &[(String, String)]) {
        let home = self.home(name);
        let at = home.display();
        let mut text = format!(
            "server:\n  ip-address: {address}\n  port: 53\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
             zonesdir: {at}\n  database: \"\"\n  pidfile: \"\"\n  zonelistfile: {at}/zone.list\n  \
             xfrdfile: {at}/xfrd.state\n  xfrdir: {at}\nremote-control:\n  control-enable: no\n"
        );
        for (apex, records) in zones {
            let file = home.join(format!("{apex}zone"));
            fs::write(&file, records).unwrap();
            writeln!(
                text,
                "zone:\n  name: {apex}\n  zonefile: {}",
                file.display()
            )
            .unwrap();
        }
        let config = home.join("config");
        fs::write(&config, text).unwrap();
        self.run("nsd", name, &["-d", "-c", &config.display().to_string()]);
        let apexes: Vec<&str> = zones.iter().map(|(apex, _)| apex.as_str()).collect();
        self.until_served(address, &apexes);
    }

    fn unbound(&mut self) {
        let home = self.home("unbound.d");
        let at = home.display();
        let hints = home.join("root.hints");
        fs::write(
            &hints,
            format!(". 3600 NS a.root.\na.root. 3600 A {ROOT}\n"),
        )
        .unwrap();
        // Nothing is remembered for long, so that a changed parent is seen.
        let text = format!(
            "server:\n chroot: \"\"\n username: \"\"\n directory: \"{at}\"\n pidfile: \"\"\n use-syslog: no\n \
             logfile: \"\"\n do-daemonize: no\n interface: {RESOLVER}\n access-control: 127.0.0.0/8 allow\n \
             do-not-query-localhost: no\n do-ip6: no\n module-config: \"iterator\"\n root-hints: \"{}\"\n \
             cache-max-ttl: 1\n cache-max-negative-ttl: 1\n infra-host-ttl: 1\nremote-control:\n control-enable: no\n",
            hints.display()
        );
        let config = home.join("config");
        fs::write(&config, text).unwrap();
        self.run(
            "unbound",
            "unbound.d",
            &["-c", &config.display().to_string()],
        );
        self.until_served(RESOLVER, &["contoso.com"]);
    }

    fn home(&self, name: &str) -> PathBuf {
        let home = self.dir.join(name);
        fs::create_dir_all(&home).unwrap();
        home
    }

    fn run(&mut self, program: &str, name: &str, arguments: &[&str]) {
        let home = self.dir.join(name);
        // A copy: on hosts with AppArmor the installed one may read its own directories only.
        let copy = home.join(program);
        fs::copy(find(program).unwrap(), &copy).unwrap();
        let mut command = Command::new(copy);
        command.args(arguments).current_dir(&home);
        self.daemons
            .push(Daemon::start(name, &self.dir, &mut command));
    }

    fn until_served(&mut self, address: Ipv4Addr, apexes: &[&str]) {
        for apex in apexes {
            wait_for(&format!("{address} serves {apex}"), PATIENCE, || {
                let running = self.daemons.iter_mut().all(Daemon::is_running);
                assert!(running, "a server ended");
                (!dig(address, apex, "SOA").is_empty()).then_some(())
            });
        }
    }

    /// Puts another version of a zone above in force, on both its servers.
    pub(crate) fn replace_parent(&mut self, domain: &str, text: &str) {
        self.replace_parents(&[(domain, text.to_owned())]);
    }

    /// The same for several at once.
    pub(crate) fn replace_parents(&mut self, texts: &[(&str, String)]) {
        for (domain, text) in texts {
            self.write_parent(domain, text);
        }
        // Knot and BIND are the second and third that were started.
        for n in [1, 2] {
            self.daemons[n].kill();
        }
        self.daemons.remove(2);
        self.daemons.remove(1);
        self.knot();
        self.bind();
        let end = self.daemons.len();
        self.daemons[1..end].rotate_right(2);
    }

    /// Ends one of the two servers of the zones above.
    pub(crate) fn kill_bind(&mut self) {
        self.daemons[2].kill();
    }
}

/// Asks as an operator would.
pub(crate) fn dig(address: Ipv4Addr, name: &str, rtype: &str) -> String {
    let server = format!("@{address}");
    let out = Command::new("dig")
        .args(["+short", "+tries=1", "+timeout=1", &server, name, rtype])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().filter(|line| !line.starts_with(';')).collect()
}

pub(crate) fn soa(apex: &str, primary: &str) -> String {
    let ns = match primary {
        "a.root." => format!("{apex} 3600 NS a.root.\n"),
        _ => String::new(),
    };
    format!(
        "$TTL 3600\n{apex} 3600 IN SOA {primary} hostmaster.example.net. 1 60 30 604800 30\n{ns}"
    )
}
