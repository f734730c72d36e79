//! Digests of whole zones (RFC 8976): a secondary that verifies them takes what repoint serves, which has none.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crate::site::{PATIENCE, PRIMARY, Site, ZONE, configuration, serial_at, zone_file};
use crate::world::client::dig;
use crate::world::daemon::Daemon;
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::private_network::enter;
use crate::world::unbound;
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(180);
/// Where Unbound answers, and asks from.
const VERIFIER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 9);
/// Where the owner of a zone that repoint receives answers.
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 3);

/// The zone with a digest that is not its own.
fn with_stale_digest(serial: u32) -> String {
    let digest = "0123456789ABCDEF".repeat(6);
    format!("{}@ ZONEMD {serial} 1 1 {digest}\n", zone_file(serial))
}

/// Unbound with the zone of a primary; it verifies a digest that is there.
fn verifier(dir: &Path, primary: Ipv4Addr, without_digest: &str) -> Daemon {
    let lines = [
        "verbosity: 2".to_owned(),
        "auth-zone:".to_owned(),
        format!("name: {ZONE}"),
        format!("primary: {primary}"),
        "fallback-enabled: no".to_owned(),
        "for-downstream: yes".to_owned(),
        "zonemd-check: yes".to_owned(),
        format!("zonemd-reject-absence: {without_digest}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let setup = unbound::Setup {
        address: VERIFIER.into(),
        root: &[],
        anchors: "",
        stubs: &[],
        settings: &lines,
    };
    unbound::start(dir, &setup)
}

/// The configuration of Unbound as a secondary. It cannot sign, and asks for transfers from any address of its machine.
fn secondary() -> String {
    format!(
        "[[secondary]]\nname = \"unbound\"\naddress = \"{VERIFIER}:53\"\nallow = [\"{PRIMARY}\"]\ntsig = \"none\"\n"
    )
}

/// The verifier has the zone as repoint serves it.
fn follows(site: &Site) {
    wait_for("unbound has the zone of repoint", PATIENCE, || {
        let ours = serial_at(PRIMARY)?;
        (serial_at(VERIFIER) == Some(ours)).then_some(())
    });
    let owner = format!("_xmpp-server._tcp.{ZONE}");
    let sorted = |server: Ipv4Addr| {
        let text = dig(server, &owner, "SRV");
        let mut records: Vec<String> = text.lines().map(str::to_owned).collect();
        records.sort();
        records
    };
    let ours = sorted(PRIMARY);
    assert!(!ours.is_empty());
    assert_eq!(sorted(VERIFIER), ours);
    assert_eq!(dig(PRIMARY, ZONE, "ZONEMD"), "");
    let shown = site.repoint.command(&["zone", "show", ZONE]);
    let left_out = format!("the ZONEMD record of {ZONE}. is left out");
    assert!(shown.contains(&left_out), "{shown}");
}

#[test]
fn a_file_s_stale_digest_does_not_keep_the_zone_from_a_secondary_that_verifies() {
    enter(
        "digest::a_file_s_stale_digest_does_not_keep_the_zone_from_a_secondary_that_verifies",
        LIMIT,
        |dir| {
            let site = Site::start(dir, &secondary(), &with_stale_digest(1));
            let _verifier = verifier(dir, PRIMARY, "no");
            follows(&site);
            // After a change as well.
            site.flip("pool2");
            follows(&site);
        },
    );
}

#[test]
fn a_primary_s_digest_does_not_keep_the_zone_from_a_secondary_that_verifies() {
    enter(
        "digest::a_primary_s_digest_does_not_keep_the_zone_from_a_secondary_that_verifies",
        LIMIT,
        |dir| {
            let file = dir.join("owner.zone");
            fs::write(&file, with_stale_digest(7)).unwrap();
            let setup = Setup {
                listen: vec![(OWNER, 53).into()],
                zones: vec![Zone::new(ZONE, Source::File(file))],
                ..Setup::default()
            };
            let _owner = Nameserver::start(Software::Bind, "owner", dir, setup);
            let received = format!("primary = [\"{OWNER}:53\"]\ntsig = \"none\"");
            let text = configuration(&secondary()).replace("file = \"contoso.zone\"", &received);
            let site = Site::start_with(dir, &text, "", &[]);
            let _verifier = verifier(dir, PRIMARY, "no");
            follows(&site);
        },
    );
}

/// What the two stories above would be worth nothing without: Unbound does verify, and refuses.
#[test]
fn the_verifier_refuses_a_stale_digest_and_where_it_must_have_one_a_zone_without() {
    enter(
        "digest::the_verifier_refuses_a_stale_digest_and_where_it_must_have_one_a_zone_without",
        LIMIT,
        |dir| {
            let file = dir.join("owner.zone");
            fs::write(&file, with_stale_digest(7)).unwrap();
            let setup = Setup {
                listen: vec![(OWNER, 53).into()],
                zones: vec![Zone::new(ZONE, Source::File(file))],
                ..Setup::default()
            };
            let _owner = Nameserver::start(Software::Bind, "owner", dir, setup);
            let refuses = |verifier: &Daemon, why: &str| {
                wait_for("unbound says why it refuses the zone", PATIENCE, || {
                    verifier.said().contains(why).then_some(())
                });
                assert_eq!(serial_at(VERIFIER), None);
            };
            let stale = verifier(dir, OWNER, "no");
            refuses(&stale, "ZONEMD verification failed");
            drop(stale);
            let _site = Site::start(dir, &secondary(), &with_stale_digest(1));
            let absent = verifier(dir, PRIMARY, "yes");
            refuses(&absent, "ZONEMD");
        },
    );
}
