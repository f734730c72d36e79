//! The life of a signed zone as a validating resolver sees it: the real binary below a signed parent, which is changed
//! only when `repoint key` says that it may be, and an Unbound that keeps what it has heard.
//!
//! All the while questions of every kind are asked: none may be bogus, and none may lose its AD bit while the zone is
//! to be secure. TTLs are a second, so that caches run out within the test.

#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod asking;
mod nested;
mod place;
mod site;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use asking::Asker;
use place::{Parent, resolver};
use site::Site;

use crate::world::client::dig;
use crate::world::daemon::Daemon;
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::pools::POOLS;
use crate::world::private_network::enter;
use crate::world::wait::wait_for;

const PROGRAMS: &[&str] = &["knotd", "unbound", "dig"];
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
const LIMIT: Duration = Duration::from_secs(300);
/// More than twice every TTL.
const SLOW_OWNER: Duration = Duration::from_secs(3);

const ZONE: &str = "fed.contoso.com";
/// Serves the root, which is not signed, and `com`, which is.
const PARENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
const SECONDARY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);

/// Everything that runs.
struct World {
    parent: Parent,
    site: Site,
    asker: Asker,
    _resolver: Daemon,
}

impl World {
    /// A zone that is to be signed, below a parent without a DS.
    fn begin(dir: &Path) -> World {
        let parent = Parent::start(dir);
        let resolver = resolver(dir, &parent.anchors());
        let site = Site::start(dir);
        World {
            parent,
            site,
            asker: Asker::start(),
            _resolver: resolver,
        }
    }

    /// Makes the parent as `key ds` says, once that says that it is safe, and gives the tags that were entered.
    fn follow_advice(&mut self) -> Vec<u64> {
        let tags = wait_for("it is safe to change the parent", PATIENCE, || {
            let zone = self.site.keys();
            let tags = zone["ds"]["tags"].as_array().unwrap().clone();
            (zone["ds"]["advice"] == "now").then_some(tags)
        });
        // Owners are slow, and the zone has to be fine until they have done it: longer than any cache keeps anything.
        self.asker.ask_for(SLOW_OWNER);
        let ds = self.site.repoint.ds(ZONE);
        assert_eq!(ds.is_empty(), tags.is_empty(), "{ds}");
        self.parent.enter(&ds);
        tags.iter().map(|tag| tag.as_u64().unwrap()).collect()
    }

    /// Waits until the zone's only key is active and nothing is left to do, and gives its tag.
    fn until_settled(&self) -> u64 {
        wait_for("one key is active", PATIENCE, || {
            let zone = self.site.keys();
            let keys = zone["keys"].as_array().unwrap();
            let settled = keys.len() == 1 && keys[0]["stage"] == "active";
            (settled && zone["ds"]["advice"] == "done").then(|| keys[0]["tag"].as_u64().unwrap())
        })
    }

    /// From a zone without keys to one that validators vouch for; from here on they always have to.
    fn until_secure(&mut self) -> u64 {
        wait_for("a key is made, as the parent has no DS", PATIENCE, || {
            (self.site.keys()["signed"] == true).then_some(())
        });
        let entered = self.follow_advice();
        let tag = self.until_settled();
        assert_eq!(entered, [tag]);
        self.asker.until_each(true);
        tag
    }
}

#[test]
fn signing_begins_a_key_is_rolled_and_a_pool_fails_over() {
    enter(
        "signing_begins_a_key_is_rolled_and_a_pool_fails_over",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            // Insecure as long as the parent has no DS, signed or not.
            world.asker.until_each(false);
            let first = world.until_secure();
            world.asker.demand_ad(true);

            world.site.repoint.command(&["key", "roll", ZONE]);
            let entered = world.follow_advice();
            assert!(entered.len() == 1 && entered != [first], "{entered:?}");
            assert_eq!([world.until_settled()], *entered);
            world.asker.until_each(true);

            world
                .site
                .repoint
                .command(&["pin", "fed", "pool2", "--for", "1h", "--reason", "test"]);
            wait_for("the resolver has the failover", PATIENCE, || {
                let said = dig("127.0.0.53", &format!("xmpp.{ZONE}"), "A");
                (said.trim() == POOLS[1].publish).then_some(())
            });
            world.asker.until_each(true);
            world.asker.end();
        },
    );
}

#[test]
fn a_roll_waits_for_a_secondary_that_is_behind() {
    enter(
        "a_roll_waits_for_a_secondary_that_is_behind",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            world.until_secure();
            let setup = Setup {
                listen: vec![(SECONDARY, 53).into()],
                zones: vec![Zone::new(ZONE, Source::Primary((SERVER, 53).into()))],
                ..Setup::default()
            };
            world.site.has_secondary(SECONDARY);
            let secondary = Nameserver::start(Software::Knot, "ns2", dir, setup);
            wait_for("the secondary has the zone", PATIENCE, || {
                (!dig(SECONDARY, ZONE, "SOA").is_empty()).then_some(())
            });
            secondary.hang();
            world.site.repoint.command(&["key", "roll", ZONE]);
            for _ in 0..3 {
                let said = world.site.repoint.command(&["key", "ds", ZONE]);
                let waits = "NOT YET: it waits for secondary ns2 to have serial ";
                assert!(said.contains(waits), "{said}");
                world.asker.ask_for(SLOW_OWNER);
            }
            secondary.resume();
            let entered = world.follow_advice();
            assert_eq!([world.until_settled()], *entered);
            let keys = |server| {
                let said = dig(server, ZONE, "DNSKEY");
                let mut keys: Vec<String> = said.lines().map(str::to_owned).collect();
                keys.sort();
                keys
            };
            wait_for("the secondary has the new key alone", PATIENCE, || {
                (keys(SECONDARY) == keys(SERVER)).then_some(())
            });
            world.asker.end();
        },
    );
}

#[test]
fn signing_ends_when_the_parent_has_forgotten_the_key() {
    enter(
        "signing_ends_when_the_parent_has_forgotten_the_key",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            world.until_secure();
            world.asker.demand_ad(true);

            world.site.sign(false);
            wait_for("the parent is asked to remove the DS", PATIENCE, || {
                let said = dig(SERVER, ZONE, "CDS");
                (said.trim() == "0 0 0 00").then_some(())
            });
            world.asker.until_each(true);
            world.asker.demand_ad(false);
            assert!(world.follow_advice().is_empty());
            wait_for("the zone is served unsigned", PATIENCE, || {
                dig(SERVER, ZONE, "DNSKEY").is_empty().then_some(())
            });
            world.asker.until_each(false);
            // A listed zone is one that is signed, or is to be.
            assert!(world.site.zones().is_empty());
            world.asker.end();
        },
    );
}

#[test]
fn lost_keys_are_told_and_never_replaced_by_others() {
    enter(
        "lost_keys_are_told_and_never_replaced_by_others",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            let tag = world.until_secure();
            world.asker.demand_ad(true);
            world.asker.until_each(true);
            let saved = dir.join("saved.pem");
            let kept = format!("state/keys/{ZONE}.{tag}.pem");
            fs::copy(world.site.repoint.file(&kept), &saved).unwrap();
            world.asker.pause();

            world.site.restart_without_state();
            wait_for("the loss is told", PATIENCE, || {
                let alarms = world.site.alarms();
                alarms
                    .contains(&"dnssec-keys-lost".to_owned())
                    .then_some(())
            });
            let zone = world.site.keys();
            assert_eq!(zone["keys"].as_array().unwrap().len(), 0, "{zone:#}");
            let refused = world.site.repoint.refused(&["key", "generate", ZONE]);
            assert!(refused.contains("DS"), "{refused}");
            assert_eq!(dig(SERVER, ZONE, "DNSKEY"), "");

            let saved = saved.to_string_lossy().into_owned();
            world.site.repoint.command(&["key", "import", ZONE, &saved]);
            assert_eq!(world.until_settled(), tag);
            world.asker.until_each(true);
            let alarms = world.site.alarms();
            assert!(
                !alarms.iter().any(|kind| kind.starts_with("dnssec-")),
                "{alarms:?}"
            );
            world.asker.go_on();
            world.asker.until_each(true);
            world.asker.end();
        },
    );
}

#[test]
fn a_lost_database_makes_nothing_bogus_while_the_keys_are_there() {
    enter(
        "a_lost_database_makes_nothing_bogus_while_the_keys_are_there",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            let tag = world.until_secure();
            world.asker.demand_ad(true);
            world.asker.until_each(true);
            // Nobody answers for a moment.
            world.asker.pause();
            assert!(world.site.restart_without_database());
            world.asker.until_each(true);
            world.asker.go_on();
            world.asker.ask_for(SLOW_OWNER);

            let alarms = world.site.alarms();
            assert_eq!(alarms, ["state-doubtful"]);
            let zone = world.site.keys();
            assert_eq!(zone["keys"].as_array().unwrap().len(), 1, "{zone:#}");
            world.site.repoint.command(&["state", "accept"]);
            assert_eq!(world.until_settled(), tag);
            assert!(world.site.alarms().is_empty());
            world.asker.end();
        },
    );
}

#[test]
fn a_pool_fails_within_a_roll_and_the_roll_waits() {
    enter(
        "a_pool_fails_within_a_roll_and_the_roll_waits",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            let first = world.until_secure();
            world.asker.demand_ad(true);
            world.site.repoint.command(&["key", "roll", ZONE]);
            wait_for("the roll waits for the parent", PATIENCE, || {
                (world.site.keys()["ds"]["advice"] == "now").then_some(())
            });
            world.site.fail_first_pool();
            wait_for("the resolver has the failover", PATIENCE, || {
                let said = dig("127.0.0.53", &format!("xmpp.{ZONE}"), "A");
                (said.trim() == POOLS[1].publish).then_some(())
            });
            let entered = world.follow_advice();
            assert!(entered.len() == 1 && entered != [first], "{entered:?}");
            let zone = wait_for("the roll waits for the failover", PATIENCE, || {
                let zone = world.site.keys();
                let waits = zone["outlook"]["waits_for"].as_str()?;
                let waits = waits.contains("route fed has just switched");
                waits.then_some(zone)
            });
            assert_eq!(zone["keys"][0]["stage"], "expiring", "{zone:#}");
            assert_eq!(zone["keys"][1]["stage"], "active", "{zone:#}");
            world.asker.until_each(true);
            assert_eq!([world.until_settled()], *entered);
            world.asker.until_each(true);
            world.asker.end();
        },
    );
}
