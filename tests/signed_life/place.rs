//! What stands around repoint: a parent zone that Knot signs by itself, and a validating Unbound.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::client::dig;
use crate::world::daemon::Daemon;
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::private_network::{RESOLVER, add_address};
use crate::world::unbound;
use crate::world::wait::wait_for;
use crate::{PARENT, PATIENCE, SERVER, ZONE};

/// The root, `net`, and a signed `com` with the delegation.
pub(crate) struct Parent {
    com: PathBuf,
    serial: u32,
    knot: Nameserver,
}

impl Parent {
    /// Starts it without a DS of the zone.
    pub(crate) fn start(dir: &Path) -> Parent {
        let zone = |apex: &str, records: &str| {
            let file = dir.join(format!("parent{apex}"));
            fs::write(&file, format!("{}{records}", head(apex, 1))).unwrap();
            let apex = apex.strip_suffix('.').filter(|apex| !apex.is_empty());
            Zone::new(apex.unwrap_or("."), Source::File(file))
        };
        let root = format!("a.root. A {PARENT}\ncom. NS a.root.\nnet. NS a.root.\n");
        let net = format!("ns1.hoster.net. A {SERVER}\n");
        let mut com = zone("com.", &delegation());
        com.settings = &[
            "dnssec-signing: on",
            "zonefile-load: difference-no-serial",
            "journal-content: all",
        ];
        let setup = Setup {
            listen: vec![(PARENT, 53).into()],
            zones: vec![zone(".", &root), zone("net.", &net), com],
            ..Setup::default()
        };
        Parent {
            com: dir.join("parentcom."),
            serial: 1,
            knot: Nameserver::start(Software::Knot, "parent", dir, setup),
        }
    }

    /// Its keys, as lines for trust anchors.
    pub(crate) fn anchors(&self) -> String {
        let keys = wait_for("the parent is signed", PATIENCE, || {
            let keys = dig(PARENT, "com", "DNSKEY");
            (!keys.is_empty()).then_some(keys)
        });
        keys.lines()
            .map(|key| format!("com. IN DNSKEY {key}\n"))
            .collect()
    }

    /// Has these DS records, and no other, as lines of a master file; waits until they are served.
    pub(crate) fn enter(&mut self, ds: &str) {
        self.serial += 1;
        let text = format!("{}{}{ds}", head("com.", self.serial), delegation());
        fs::write(&self.com, text).unwrap();
        self.knot.reload();
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
        "$TTL 1\n{apex} SOA a.root. hostmaster.root. {serial} 14400 3600 604800 1\n{apex} NS a.root.\n"
    )
}

fn delegation() -> String {
    format!("{ZONE}. NS ns1.hoster.net.\n")
}

/// Unbound with its own caching, validating from these trust anchors.
pub(crate) fn resolver(dir: &Path, anchors: &str) -> Daemon {
    // Where repoint will be: asked before it is there, Unbound must not take it for unreachable.
    add_address(SERVER);
    let setup = unbound::Setup {
        address: RESOLVER.into(),
        root: &[PARENT.into()],
        anchors,
        stubs: &[],
        // A bogus answer is noted by whoever asks; for a minute it would only hide what comes after it. Not every
        // validator asks once more before it calls an answer bogus.
        settings: &["do-ip6: no", "val-bogus-ttl: 1", "val-max-restart: 0"],
    };
    unbound::start(dir, &setup)
}
