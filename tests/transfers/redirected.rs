//! DNAMEs at stock secondaries: transferred whole and as a change, and answered there as repoint answers.

use std::net::Ipv4Addr;
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::followers::view;
use crate::site::{PATIENCE, PRIMARY, Site, address, follow, secondary, serial_at, zone_file};
use crate::world::client::Client;
use crate::world::nameserver::Software;
use crate::world::private_network;
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(180);

/// The answer section of a question for an address, as text in lower case, in order.
fn answer(server: Ipv4Addr, name: &str) -> Option<Vec<String>> {
    let reply = Client::new((server, 53)).ask(name, Rtype::A)?;
    let records = reply.answer().unwrap().map(|record| {
        let record = record.unwrap();
        let record = record.to_any_record::<domain::rdata::AllRecordData<_, _>>();
        record.unwrap().to_string().to_lowercase()
    });
    let mut records: Vec<String> = records.collect();
    records.sort();
    Some(records)
}

#[test]
fn stock_secondaries_redirect_as_repoint_does() {
    let test = "redirected::stock_secondaries_redirect_as_repoint_does";
    private_network::enter(test, LIMIT, |dir| {
        let zone = |more: &str| {
            let text = "old DNAME new\nleft-out.old A 192.0.2.99\nhost.new A 192.0.2.77\n";
            format!("{}{text}{more}", zone_file(1))
        };
        let secondaries: String = Software::ALL.map(secondary).concat();
        let site = Site::start(dir, &secondaries, &zone(""));
        let _running = Software::ALL.map(|server| follow(server, dir));
        let in_step = |serial: Option<u32>| {
            for server in Software::ALL {
                wait_for(&format!("{server} follows"), PATIENCE, || {
                    (serial.is_some() && serial_at(address(server)) == serial).then_some(())
                });
            }
        };
        let same = |name: &str, records: usize| {
            let ours = answer(PRIMARY, name).unwrap();
            assert_eq!(ours.len(), records, "{ours:?}");
            for server in Software::ALL {
                assert_eq!(answer(address(server), name).unwrap(), ours, "{server}");
            }
        };
        in_step(serial_at(PRIMARY));
        same("host.old.contoso.com", 3);
        same("left-out.old.contoso.com", 2);

        let before = serial_at(PRIMARY);
        std::fs::write(site.repoint.file("contoso.zone"), zone("older DNAME old\n")).unwrap();
        site.repoint.command(&["config", "reload"]);
        let serial = serial_at(PRIMARY);
        assert_ne!(serial, before);
        in_step(serial);
        same("host.older.contoso.com", 5);
        for server in Software::ALL {
            wait_for(&format!("{server} had what changed"), PATIENCE, || {
                (view(&site, server)["last_transfer"]["kind"] == "ixfr").then_some(())
            });
        }
    });
}
