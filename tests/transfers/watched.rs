//! Nameservers that are named in NS records and not configured as secondaries.

use std::fs;
use std::time::Duration;

use crate::site::{PATIENCE, Site, ZONE, address, zone_file};
use crate::world::nameserver::{Nameserver, Setup, Software, Source, Zone};
use crate::world::private_network::enter;
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_second_primary_that_only_ns_records_name_is_an_alarm() {
    enter(
        "watched::a_second_primary_that_only_ns_records_name_is_an_alarm",
        LIMIT,
        |dir| {
            // Somebody has taken a copy of the zone along, and edits it there.
            let zone = |serial| {
                let ours = zone_file(serial);
                format!("{ours}@ NS ns9\nns9 A {}\n", address(Software::Nsd))
            };
            let file = dir.join("second.zone");
            fs::write(&file, zone(3_000_000_000)).unwrap();
            let setup = Setup {
                listen: vec![(address(Software::Nsd), 53).into()],
                zones: vec![Zone::new(ZONE, Source::File(file))],
                ..Setup::default()
            };
            let _second = Nameserver::start(Software::Nsd, "second", dir, setup);
            let site = Site::start(dir, "", &zone(1));
            let alarm = wait_for("the second primary is noticed", PATIENCE, || {
                let alarms = site.repoint.alarms();
                let mut ahead = alarms.iter().filter(|a| a["kind"] == "serial-ahead");
                ahead.next().map(|alarm| alarm["text"].to_string())
            });
            let who = format!(
                "nameserver ns9.{ZONE} ({}) has serial 3000000000",
                address(Software::Nsd)
            );
            assert!(alarm.contains(&who), "{alarm}");
        },
    );
}
