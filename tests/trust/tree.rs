//! The tree above the zone: a root, `com` and `net`, served by one Knot; and the address of every host in it.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::world::daemon::Daemon;
use crate::world::private_network::{find, run};
use crate::world::wait::wait_for;
use crate::{Host, PATIENCE, ROOT, ZONE};

/// The nameserver of the root and the top-level domains.
pub(crate) struct Tree {
    _knot: Daemon,
}

impl Tree {
    /// Gives every host its addresses, and serves the tree with a delegation of the zone to `nameservers`.
    pub(crate) fn plant(dir: &Path, nameservers: &[Host]) -> Tree {
        for host in nameservers.iter().chain([&ROOT]) {
            add_address(host.v4);
            add_address(host.v6);
        }
        write_zones(dir, nameservers, "");
        let place = dir.join("tree");
        let zones: String = ["root", "com", "net"]
            .iter()
            .map(|name| {
                let apex = if *name == "root" { "." } else { name };
                format!("  - domain: {apex}\n    file: {}\n    zonefile-load: whole\n    journal-content: none\n", place.join(name).display())
            })
            .collect();
        let configuration = format!(
            "server:\n  listen: [\"{}@53\", \"{}@53\"]\n  rundir: {place}\ndatabase:\n  storage: {place}\nzone:\n{zones}",
            ROOT.v4,
            ROOT.v6,
            place = place.display(),
        );
        let file = place.join("knot.conf");
        fs::write(&file, configuration).unwrap();
        let knot = Daemon::start(
            "tree",
            dir,
            Command::new(find("knotd").unwrap()).arg("-c").arg(&file),
        );
        wait_for("the root answers", PATIENCE, || {
            (!ask(ROOT.v4, "com", "SOA").is_empty()).then_some(())
        });
        Tree { _knot: knot }
    }

    /// The same tree with DS records of the zone in its parent, as lines of a master file.
    pub(crate) fn replant(self, dir: &Path, nameservers: &[Host], ds: &str) -> Tree {
        drop(self);
        let tree = Tree::plant_again(dir, nameservers, ds);
        wait_for("the parent has the DS", PATIENCE, || {
            (!ask(ROOT.v4, ZONE, "DS").is_empty()).then_some(())
        });
        tree
    }

    fn plant_again(dir: &Path, nameservers: &[Host], ds: &str) -> Tree {
        write_zones(dir, nameservers, ds);
        let file = dir.join("tree").join("knot.conf");
        let knot = Daemon::start(
            "tree",
            dir,
            Command::new(find("knotd").unwrap()).arg("-c").arg(&file),
        );
        Tree { _knot: knot }
    }
}

fn write_zones(dir: &Path, nameservers: &[Host], ds: &str) {
    let place = dir.join("tree");
    fs::create_dir_all(&place).unwrap();
    let write = |file: &str, apex: &str, records: String| {
        let text = format!(
            "$TTL 3600\n{apex} SOA a.root. hostmaster.root. 1 14400 3600 604800 300\n{apex} NS a.root.\n{records}"
        );
        fs::write(place.join(file), text).unwrap();
    };
    let root = format!(
        "a.root. A {}\na.root. AAAA {}\ncom. NS a.root.\nnet. NS a.root.\n",
        ROOT.v4, ROOT.v6
    );
    let delegation: String = nameservers
        .iter()
        .map(|host| format!("{ZONE}. NS {}.\n", host.name))
        .collect();
    let hosts: String = nameservers
        .iter()
        .map(|host| {
            format!(
                "{name}. A {}\n{name}. AAAA {}\n",
                host.v4,
                host.v6,
                name = host.name
            )
        })
        .collect();
    write("root", ".", root);
    write("com", "com.", format!("{delegation}{ds}"));
    write("net", "net.", hosts);
}

fn add_address(address: &str) {
    let parsed: IpAddr = address.parse().unwrap();
    let with_prefix = match parsed {
        IpAddr::V4(_) => format!("{address}/32"),
        IpAddr::V6(_) => format!("{address}/128"),
    };
    let mut arguments = vec!["addr", "add", &with_prefix, "dev", "lo"];
    if parsed.is_ipv6() {
        arguments.push("nodad");
    }
    run("ip", &arguments);
}

/// What `dig +short` prints; empty also when nobody answers.
pub(crate) fn ask(server: &str, name: &str, rtype: &str) -> String {
    let out = Command::new("dig")
        .args([
            "+short",
            "+tries=1",
            "+time=1",
            &format!("@{server}"),
            name,
            rtype,
        ])
        .output()
        .unwrap();
    match out.status.success() {
        true => String::from_utf8(out.stdout).unwrap(),
        false => String::new(),
    }
}
