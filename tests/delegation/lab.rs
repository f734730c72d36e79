//! A small internet: a root, three domains on Knot and BIND, repoint and NSD below them, Unbound to ask.
//!
//! In: which of three worlds. Out: running servers. Everything is the same otherwise, so that what the clean one
//! does not say, the faults said.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslMethod};
use repoint::demo::{Authority, Leaf};
use serde_json::Value;

use crate::served;
use crate::world::client::dig;
use crate::world::daemon::Daemon;
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::private_network::{RESOLVER, add_address};
use crate::world::repoint::Repoint;
use crate::world::unbound;
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
    /// The two servers of the zones above, by Knot and by BIND.
    parents: [Nameserver; 2],
    repoint: Repoint,
    _root: Nameserver,
    _second: Nameserver,
    _resolver: Daemon,
    /// Holds the port at the domain itself open.
    _web: Option<TcpListener>,
}

impl Lab {
    /// Starts everything, and waits until it answers.
    pub(crate) fn start(dir: &Path, world: World) -> Lab {
        for address in [NS1, WEB].iter().chain(&POOLS) {
            add_address(*address);
        }
        pools(dir, world);
        for domain in DOMAINS {
            write_parent(dir, domain, &parent(world, domain));
        }
        // Each server of the zones above with its own address, and the same files.
        let parents = [(Software::Knot, PARENTS[0]), (Software::Bind, PARENTS[1])];
        let parents = parents.map(|(software, address)| {
            let zones = DOMAINS.map(|domain| (domain, parent_file(dir, domain)));
            serve(software, &software.to_string(), dir, address, &zones)
        });
        let root = root(dir);
        let resolver = resolver(dir);
        let repoint = repoint(dir, world);
        Lab {
            _second: second(dir, world, &repoint),
            _web: (world == World::Faulty).then(|| TcpListener::bind((WEB, 5269)).unwrap()),
            _root: root,
            _resolver: resolver,
            dir: dir.to_owned(),
            world,
            parents,
            repoint,
        }
    }

    /// Runs `repoint delegation …` against the server.
    pub(crate) fn delegation(&self, arguments: &[&str]) -> Output {
        self.repoint_says(&[&["delegation"], arguments].concat())
    }

    /// Runs `repoint …` against the server.
    pub(crate) fn repoint_says(&self, arguments: &[&str]) -> Output {
        self.repoint.run(arguments)
    }

    /// A file of repoint's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.repoint.file(name)
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

    /// What the zone above a domain has to begin with.
    pub(crate) fn parent(&self, domain: &str) -> String {
        parent(self.world, domain)
    }

    /// Puts another version of a zone above in force, on both its servers.
    pub(crate) fn replace_parent(&mut self, domain: &str, text: &str) {
        self.replace_parents(&[(domain, text.to_owned())]);
    }

    /// The same for several at once.
    pub(crate) fn replace_parents(&mut self, texts: &[(&str, String)]) {
        for (domain, text) in texts {
            write_parent(&self.dir, domain, text);
        }
        for server in &mut self.parents {
            server.restart();
        }
    }

    /// Ends one of the two servers of the zones above.
    pub(crate) fn kill_bind(&mut self) {
        self.parents[1].kill();
    }
}

/// TLS servers on the pools' addresses. The second one's XMPP certificate lacks a domain. A SIP certificate names the target
/// alone, or a sibling of it that no partner asks for.
fn pools(dir: &Path, world: World) {
    let authority = Authority::new("A Test Authority").unwrap();
    fs::write(dir.join("ca.pem"), authority.pem().unwrap()).unwrap();
    for (n, address) in POOLS.into_iter().enumerate() {
        let faulty = world == World::Faulty;
        let names = DOMAINS
            .iter()
            .filter(|domain| !(faulty && n == 1 && **domain == "fabrikam.com"));
        let xmpp = names.map(|name| (*name).to_owned()).collect();
        let sip = match faulty && n == 0 {
            true => "www.contoso.com".to_owned(),
            false => format!("edge{}.contoso.com", n + 1),
        };
        let xmpp = acceptor(&authority, xmpp);
        let sip = acceptor(&authority, vec![sip]);
        for (port, acceptor) in [(5270, &xmpp), (5271, &xmpp), (5061, &sip)] {
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

/// Accepts TLS with a certificate of these names.
fn acceptor(authority: &Authority, names: Vec<String>) -> SslAcceptor {
    let mut leaf = Leaf::for_domain(&DOMAINS[0].parse().unwrap());
    leaf.dns = names;
    (leaf.srv, leaf.xmpp) = (Vec::new(), Vec::new());
    let identity = authority.issue(&leaf).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&identity.certificate).unwrap();
    acceptor.set_private_key(&identity.key).unwrap();
    acceptor.build()
}

/// The nameserver of everything above the zones above.
fn root(dir: &Path) -> Nameserver {
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
    let zones = zones.map(|(apex, text)| {
        let file = dir.join(format!("root.{apex}"));
        fs::write(&file, text).unwrap();
        (apex, file)
    });
    serve(Software::Nsd, "root", dir, ROOT, &zones)
}

/// What the zone above a domain has.
fn parent(world: World, domain: &str) -> String {
    let faulty = world == World::Faulty;
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

fn parent_file(dir: &Path, domain: &str) -> PathBuf {
    dir.join(format!("{domain}.zone"))
}

fn write_parent(dir: &Path, domain: &str, text: &str) {
    fs::write(parent_file(dir, domain), text).unwrap();
}

fn serve(
    software: Software,
    name: &str,
    dir: &Path,
    address: Ipv4Addr,
    files: &[(&str, PathBuf)],
) -> Nameserver {
    let zones = files.iter();
    let zones = zones.map(|(apex, file)| Zone::new(apex, Source::File(file.clone())));
    let setup = Setup {
        listen: vec![(address, 53).into()],
        zones: zones.collect(),
        ..Setup::default()
    };
    Nameserver::start(software, name, dir, setup)
}

/// repoint, which has offered a DS for every zone that is to be signed.
fn repoint(dir: &Path, world: World) -> Repoint {
    // A key may be offered when the copies from before it are gone: short TTLs at first make that a matter of seconds.
    let signed = world == World::Signed;
    let authority = fs::read_to_string(dir.join("ca.pem")).unwrap();
    let files = |short| {
        DOMAINS[1..]
            .iter()
            .map(move |domain| (format!("fed.{domain}.zone"), served::zone(domain, short)))
    };
    let first: Vec<(String, String)> = files(signed)
        .chain([("ca.pem".to_owned(), authority)])
        .collect();
    let first: Vec<(&str, &str)> = first
        .iter()
        .map(|(file, text)| (file.as_str(), text.as_str()))
        .collect();
    let repoint = Repoint::start(dir, &served::config(world, signed), &first);
    for apex in ["xmpp.contoso.com", "fed.litware.com"] {
        wait_for(&format!("{apex} is served"), PATIENCE, || {
            (!dig(NS1, apex, "SOA").is_empty()).then_some(())
        });
    }
    if signed {
        for apex in SIGNED {
            wait_for(&format!("{apex} asks for a DS"), PATIENCE, || {
                (!dig(NS1, apex, "CDS").is_empty()).then_some(())
            });
        }
        for (file, text) in files(false) {
            fs::write(repoint.file(&file), text).unwrap();
        }
        repoint.configure(&served::config(world, false));
    }
    repoint
}

/// The second nameserver, with what repoint serves just now.
fn second(dir: &Path, world: World, repoint: &Repoint) -> Nameserver {
    let apexes = [
        "_sipfederationtls._tcp.contoso.com",
        "_xmpps-server._tcp.contoso.com",
        "xmpp.contoso.com",
        "fed.fabrikam.com",
        "fed.litware.com",
    ];
    let faulty = world == World::Faulty;
    let zones = apexes.map(|apex| {
        let mut text = repoint.command(&["zone", "show", apex]);
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
        let file = dir.join(format!("second.{apex}"));
        fs::write(&file, text).unwrap();
        (apex, file)
    });
    serve(Software::Nsd, "second", dir, NS2, &zones)
}

fn resolver(dir: &Path) -> Daemon {
    let setup = unbound::Setup {
        address: RESOLVER.into(),
        root: &[ROOT.into()],
        anchors: "",
        stubs: &[],
        // Nothing is remembered for long, so that a changed parent is seen.
        settings: &[
            "do-ip6: no",
            "cache-max-ttl: 1",
            "cache-max-negative-ttl: 1",
            "infra-host-ttl: 1",
        ],
    };
    unbound::start(dir, &setup)
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
