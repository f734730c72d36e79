//! A zone with a digest of its own (ZONEMD), at a secondary that verifies digests.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::site::{PATIENCE, PRIMARY, Site, ZONE, zone_file};
use crate::world::client::Client;
use crate::world::private_network;
use crate::world::unbound;
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(180);
const UNBOUND: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 5);

#[test]
fn a_secondary_that_verifies_digests_takes_a_zone_whose_file_has_a_stale_one() {
    let test = "digest::a_secondary_that_verifies_digests_takes_a_zone_whose_file_has_a_stale_one";
    private_network::enter(test, LIMIT, |dir| {
        let follower = format!(
            "[[secondary]]\nname = \"verifier\"\naddress = \"{UNBOUND}\"\ntsig = \"none\"\n"
        );
        let stale = format!("@ ZONEMD 1 1 1 {}\n", "AB".repeat(48));
        let site = Site::start(dir, &follower, &(zone_file(1) + &stale));
        let text = site.repoint.command(&["zone", "show", ZONE]);
        assert!(
            text.contains("the ZONEMD record of contoso.com. is left out"),
            "{text}"
        );
        assert!(!text.contains("\tZONEMD\t"), "{text}");
        assert!(site.repoint.log().contains("WARN zone contoso.com.: "));
        let primary = format!("primary: {PRIMARY}");
        let name = format!("auth-zone:\n name: \"{ZONE}\"");
        // A digest that is there and wrong makes it refuse the zone.
        let zone = [
            name.as_str(),
            primary.as_str(),
            "for-downstream: yes",
            "zonemd-check: yes",
        ];
        let setup = unbound::Setup {
            address: IpAddr::V4(UNBOUND),
            root: &[],
            anchors: "",
            stubs: &[],
            settings: &zone,
        };
        let _unbound = unbound::start(dir, &setup);
        let client = Client::new((UNBOUND, 53));
        wait_for("the zone is there", PATIENCE, || {
            let reply = client.ask("host7.contoso.com", Rtype::A)?;
            (reply.header_counts().ancount() == 1).then_some(())
        });
    });
}
