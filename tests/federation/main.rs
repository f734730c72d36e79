//! Federation with the real programs: Debian's Prosody and ejabberd as partners, two Prosody pools, Unbound as the
//! partners' resolver with a stub zone to repoint, and a client that sends a message every 200 ms.
//!
//! Each story runs in a private network (see `private_network`), needs root, and asserts conditions, not times: the
//! bounds are there to end a story that is broken. How long an outage partners feel is measured by
//! `scripts/bench-partners`, with this same rig.

mod authority;
mod client;
mod ejabberd;
mod fake;
mod outage;
mod prosody;
mod repoint;
mod resolver;
mod rig;
#[path = "../world/mod.rs"]
mod world;

use std::net::Ipv4Addr;
use std::time::Duration;

use client::Client;
use fake::HalfDead;
use resolver::Source;
use rig::{Fault, Rig, Software};
use world::private_network::RESOLVER;
use world::{daemon, private_network, wait};

/// The domain that both pools host. Not below `test`: the resolver library inside Prosody denies that such names exist.
const DOMAIN: &str = "contoso.example";
/// The pools, preferred first. Federation has one port, so they differ by address.
const POOLS: [(&str, Ipv4Addr); 2] = [
    ("pool1", Ipv4Addr::new(127, 0, 1, 1)),
    ("pool2", Ipv4Addr::new(127, 0, 2, 1)),
];
/// The partner's domain and the address of its server.
const PARTNER: &str = "partner.example";
const PARTNER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The client is a component of the partner's server.
const CLIENT: &str = "client.partner.example";
const COMPONENT_PORT: u16 = 5347;
const SECRET: &str = "secret";
/// Where repoint answers.
const NAMESERVER: &str = "127.0.0.2";
/// What the stories start.
const PROGRAMS: &[&str] = &["nft", "dig", "prosody", "unbound", "erl", "ejabberdctl"];

/// How long anything local may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a story may take.
const STORY: Duration = Duration::from_secs(300);

/// How patient the partner is with a peer that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BackOff {
    /// As installed.
    Stock,
    /// A few seconds, so that stories stay short.
    Short,
}

/// How fast repoint detects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As documented.
    Default,
    /// A few seconds, so that stories stay short.
    Fast,
}

/// The story of a fault: federation goes on through pool 2, pool 1 returns, an operator's failback moves it back.
fn goes_on_through_pool_2(test: &str, software: Software, fault: Fault) {
    private_network::enter(test, STORY, |dir| {
        let mut rig = Rig::start(software, BackOff::Short, Source::Repoint, Pace::Fast, dir);
        rig.start_partner();
        let client = if fault == Fault::Killed {
            let client = Client::start();
            client.wait_for_answers_of("pool1", PATIENCE);
            rig.break_pool(fault);
            client
        } else {
            // Connections that exist when a pool falls silent are beyond DNS: these partners have none yet, and try
            // the broken pool while repoint still names it first.
            rig.break_pool(fault);
            Client::start()
        };

        rig.repoint().wait_until_first("pool2", PATIENCE);
        client.wait_for_answers_of("pool2", PATIENCE * 2);

        rig.mend_pool(fault);
        rig.repoint().wait_for_verdict("pool1", "up", PATIENCE);
        assert_eq!(
            rig.repoint().order(),
            ["pool2", "pool1"],
            "failback waits for an operator"
        );
        rig.repoint().command(&["failback", "contoso"]);
        assert_eq!(
            rig.repoint().order(),
            ["pool1", "pool2"],
            "a command is served when it returns"
        );
        rig.repoint().wait_until_first("pool1", PATIENCE);
        // What is connected stays: going back interrupts nobody.
        client.wait_for_answers_of("pool2", PATIENCE);

        drop(client);
        rig.start_partner();
        Client::start().wait_for_answers_of("pool1", PATIENCE);
    });
}

/// One test per partner and fault, named as a sentence.
macro_rules! stories {
    ($($name:ident: $software:ident, $fault:expr;)*) => {$(
        #[test]
        fn $name() {
            goes_on_through_pool_2(stringify!($name), Software::$software, $fault);
        }
    )*};
}

stories! {
    prosody_goes_on_when_the_pool_is_killed: Prosody, Fault::Killed;
    prosody_goes_on_when_the_pool_hangs: Prosody, Fault::Hung;
    prosody_goes_on_when_the_pool_is_black_holed: Prosody, Fault::BlackHoled;
    prosody_goes_on_when_the_pool_closes_at_once: Prosody, Fault::HalfDead(HalfDead::ClosesAtOnce);
    prosody_goes_on_when_the_pool_says_host_unknown: Prosody, Fault::HalfDead(HalfDead::HostUnknown);
    prosody_goes_on_when_the_pool_speaks_tls_garbage: Prosody, Fault::HalfDead(HalfDead::TlsGarbage);
    ejabberd_goes_on_when_the_pool_is_killed: Ejabberd, Fault::Killed;
    ejabberd_goes_on_when_the_pool_hangs: Ejabberd, Fault::Hung;
    ejabberd_goes_on_when_the_pool_is_black_holed: Ejabberd, Fault::BlackHoled;
    ejabberd_goes_on_when_the_pool_closes_at_once: Ejabberd, Fault::HalfDead(HalfDead::ClosesAtOnce);
    ejabberd_goes_on_when_the_pool_says_host_unknown: Ejabberd, Fault::HalfDead(HalfDead::HostUnknown);
    ejabberd_goes_on_when_the_pool_speaks_tls_garbage: Ejabberd, Fault::HalfDead(HalfDead::TlsGarbage);
}

#[test]
fn pin_holds_against_health_and_across_kill_9() {
    private_network::enter("pin_holds_against_health_and_across_kill_9", STORY, |dir| {
        let mut rig = Rig::start(
            Software::Prosody,
            BackOff::Short,
            Source::Repoint,
            Pace::Fast,
            dir,
        );
        rig.repoint().command(&[
            "pin", "contoso", "pool1", "--for", "1h", "--reason", "a story",
        ]);
        rig.start_partner();
        let client = Client::start();
        client.wait_for_answers_of("pool1", PATIENCE);

        rig.break_pool(Fault::Killed);
        rig.repoint().wait_for_verdict("pool1", "down", PATIENCE);
        assert_eq!(
            rig.repoint().order(),
            ["pool1", "pool2"],
            "a pin wins over health"
        );
        rig.repoint().kill_and_restart();
        assert_eq!(
            rig.repoint().order(),
            ["pool1", "pool2"],
            "an acknowledged pin is in force after kill -9"
        );
        rig.repoint().wait_for_verdict("pool1", "down", PATIENCE);
        assert_eq!(
            rig.repoint().order(),
            ["pool1", "pool2"],
            "and stays, when health is known again"
        );
        // Partners skip a pool that refuses connections: all pools are published, also behind a pin.
        client.wait_for_answers_of("pool2", PATIENCE);

        rig.repoint().command(&["unpin", "contoso"]);
        rig.repoint().wait_until_first("pool2", PATIENCE);
    });
}
