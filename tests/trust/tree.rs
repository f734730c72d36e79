//! The tree above the zone: a root, `com` and `net`, served by one Knot, with the address of every host in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::private_network::add_address;
use crate::{Host, ROOT, ZONE};

/// The nameserver of the root and the top-level domains.
pub(crate) struct Tree {
    com: PathBuf,
    knot: Nameserver,
}

impl Tree {
    /// Gives every host its addresses, and serves the tree with a delegation of the zone to `nameservers`.
    pub(crate) fn plant(dir: &Path, nameservers: &[Host]) -> Tree {
        for host in nameservers {
            add_address(host.v4);
            add_address(host.v6);
        }
        let zone = |apex: &str, records: String| {
            let file = dir.join(format!("tree.{apex}"));
            let text = format!(
                "$ORIGIN .\n$TTL 3600\n{apex} SOA a.root. hostmaster.root. 1 14400 3600 604800 300\n{apex} NS a.root.\n{records}"
            );
            fs::write(&file, text).unwrap();
            Zone::new(apex, Source::File(file))
        };
        let addresses = |host: &Host| {
            let Host { name, v4, v6 } = host;
            format!("{name}. A {v4}\n{name}. AAAA {v6}\n")
        };
        let root = addresses(&ROOT) + "com. NS a.root.\nnet. NS a.root.\n";
        let delegation = nameservers.iter();
        let delegation = delegation.map(|host| format!("{ZONE}. NS {}.\n", host.name));
        let setup = Setup {
            listen: ROOT.sockets(),
            zones: vec![
                zone(".", root),
                zone("com", delegation.collect()),
                zone("net", nameservers.iter().map(addresses).collect()),
            ],
            ..Setup::default()
        };
        Tree {
            com: dir.join("tree.com"),
            knot: Nameserver::start(Software::Knot, "tree", dir, setup),
        }
    }

    /// Puts DS records of the zone into its parent, as lines of a master file.
    pub(crate) fn enter(&mut self, ds: &str) {
        let text = fs::read_to_string(&self.com).unwrap();
        fs::write(&self.com, text + ds).unwrap();
        self.knot.restart();
    }
}
