//! A signed zone inside the signed zone: nobody enters its DS anywhere, and it is secure all the same.

use domain::base::iana::{Rcode, Rtype};
use serde_json::Value;

use crate::site::configuration;
use crate::world::client::{Client, dig};
use crate::world::private_network::{RESOLVER, enter};
use crate::world::wait::wait_for;
use crate::{LIMIT, PATIENCE, SERVER, World, ZONE};

const INNER: &str = "in.fed.contoso.com";

/// The inner zone with the resolver that is asked for it all the while.
struct Inner {
    world: World,
    client: Client,
}

impl Inner {
    fn configure(&self, signed: bool) {
        let outer = configuration(true);
        let text = format!("{outer}\n[[zone]]\napex = \"{INNER}\"\ndnssec = {signed}\n");
        self.world.site.repoint.configure(&text);
    }

    fn keys(&self) -> Value {
        let mut zones = self.world.site.zones().into_iter();
        let inner = zones.find(|zone| zone["zone"] == INNER);
        inner.unwrap_or_default()
    }

    /// Whether the resolver vouches for an answer, and for one that there is nothing.
    fn is_secure(&self) -> bool {
        let names = [INNER.to_owned(), format!("absent.{INNER}")];
        let answers = names.map(|name| {
            let reply = self.client.ask(&name, Rtype::SOA).expect("an answer");
            let rcode = reply.header().rcode();
            assert!(
                rcode == Rcode::NOERROR || rcode == Rcode::NXDOMAIN,
                "{name}: {rcode}"
            );
            reply.header().ad()
        });
        answers == [true; 2]
    }

    /// Waits; no answer may be bogus meanwhile, and all must be secure where that is demanded.
    fn until<T>(&self, what: &str, demand_ad: bool, condition: impl Fn() -> Option<T>) -> T {
        wait_for(what, PATIENCE, || {
            assert!(self.is_secure() || !demand_ad, "{what}: no AD bit");
            condition()
        })
    }

    /// The tag of its only key, once every server of the outer zone has its DS.
    fn settled(&self) -> Option<u64> {
        let zone = self.keys();
        let keys = zone["keys"].as_array()?;
        let settled = keys.len() == 1 && keys[0]["stage"] == "active";
        (settled && zone["ds"]["advice"] == "done").then(|| keys[0]["tag"].as_u64())?
    }
}

#[test]
fn a_zone_inside_a_signed_one_is_signed_rolled_and_unsigned_by_itself() {
    enter(
        "nested::a_zone_inside_a_signed_one_is_signed_rolled_and_unsigned_by_itself",
        LIMIT,
        |dir| {
            let mut world = World::begin(dir);
            world.until_secure();
            world.asker.demand_ad(true);
            let mut inner = Inner {
                world,
                client: Client::new((RESOLVER, 53)),
            };
            inner.configure(true);
            let first = inner.until("the inner zone's key is active", false, || inner.settled());
            inner.until("it is secure", false, || inner.is_secure().then_some(()));
            let said = inner.world.site.repoint.command(&["key", "ds", INNER]);
            assert!(said.contains("nothing to enter"), "{said}");
            assert!(said.lines().all(|line| line.starts_with(';')), "{said}");

            inner.world.site.repoint.command(&["key", "roll", INNER]);
            inner.until("its key is rolled", true, || {
                inner.settled().filter(|tag| *tag != first)
            });

            inner.configure(false);
            inner.until("it is served unsigned", false, || {
                dig(SERVER, INNER, "DNSKEY").is_empty().then_some(())
            });
            assert_eq!(dig(SERVER, INNER, "DS"), "");
            assert!(!dig(SERVER, ZONE, "DNSKEY").is_empty());
            inner.until("it is insecure", false, || {
                (!inner.is_secure()).then_some(())
            });
            inner.world.asker.end();
        },
    );
}
