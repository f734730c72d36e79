//! Knot, NSD and BIND as secondaries: they follow every change, by what changed.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::site::{
    KEY, PATIENCE, PRIMARY, Site, ZONE, address, configuration, follow, name, records_at,
    secondary, serial_at, zone_file,
};
use crate::world::nameserver::Software;
use crate::world::private_network;
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(300);
/// How many times the route moves.
const FLIPS: usize = 40;
/// What an incremental transfer of a flip may have.
const IXFR_OCTETS: u64 = 2048;

fn secondaries() -> String {
    Software::ALL.map(secondary).concat()
}

/// Waits until all have the zone at repoint's serial.
fn in_step(servers: &[Software]) {
    for server in servers {
        wait_for(&format!("{server} is in step"), PATIENCE, || {
            let ours = serial_at(PRIMARY)?;
            (serial_at(address(*server)) == Some(ours)).then_some(())
        });
    }
}

pub(crate) fn view(site: &Site, server: Software) -> serde_json::Value {
    let views = site.repoint.json(&["zone", "secondaries", ZONE]);
    let mut views = views.as_array().unwrap().iter();
    views.find(|view| view["name"] == name(server)).unwrap()["zones"][0].clone()
}

/// How many whole zones and how many changes repoint has sent.
fn transfers(site: &Site) -> (u64, u64) {
    let counters = site.repoint.json(&["status", "--counters"]);
    let read = |name: &str| {
        counters[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{counters:#}"))
    };
    (read("axfr"), read("ixfr"))
}

#[test]
fn stock_servers_follow_every_change_by_what_changed() {
    private_network::enter(
        "followers::stock_servers_follow_every_change_by_what_changed",
        LIMIT,
        |dir| {
            let site = Site::start(dir, &secondaries(), &zone_file(1));
            let _running = Software::ALL.map(|server| follow(server, dir));
            in_step(&Software::ALL);
            for server in Software::ALL {
                wait_for(
                    &format!("{server} is known to be in step"),
                    PATIENCE,
                    || (view(&site, server)["standing"] == "in-step").then_some(()),
                );
                assert_eq!(
                    view(&site, server)["last_transfer"]["kind"],
                    "axfr",
                    "{server}"
                );
            }
            let (whole, incremental) = transfers(&site);
            let mut delays: Vec<(Software, Vec<Duration>)> =
                Software::ALL.map(|s| (s, Vec::new())).into();
            for n in 0..FLIPS {
                let to = if n % 2 == 0 { "pool2" } else { "pool1" };
                let serial = site.flip(to);
                let began = Instant::now();
                let mut missing: Vec<usize> = (0..delays.len()).collect();
                while !missing.is_empty() {
                    assert!(
                        began.elapsed() < PATIENCE,
                        "{missing:?} did not follow to {serial}"
                    );
                    missing.retain(|at| {
                        let (server, delays) = &mut delays[*at];
                        let there = serial_at(address(*server)) == Some(serial);
                        if there {
                            delays.push(began.elapsed());
                        }
                        !there
                    });
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            // Not one of them needed the whole zone.
            let since = transfers(&site);
            assert_eq!(since.0, whole);
            assert!(since.1 >= incremental + (FLIPS * delays.len()) as u64);
            for (server, delays) in &mut delays {
                let last = view(&site, *server)["last_transfer"].clone();
                assert_eq!(
                    (&last["kind"], &last["whole"]),
                    (&"ixfr".into(), &true.into()),
                    "{server}: {last}"
                );
                assert!(
                    last["octets"].as_u64().unwrap() <= IXFR_OCTETS,
                    "{server}: {last}"
                );
                delays.sort();
                println!(
                    "{server}: median {:?}, longest {:?}, {} octets",
                    delays[FLIPS / 2],
                    delays[FLIPS - 1],
                    last["octets"]
                );
            }
            let ours = records_at(PRIMARY, address(Software::Knot));
            assert!(ours.len() >= 6, "{ours:?}");
            for server in Software::ALL {
                assert_eq!(records_at(address(server), PRIMARY), ours, "{server}");
            }
        },
    );
}

/// What dig says to a transfer asked from an address, with this key or without.
fn transfer(from: &str, key: Option<&str>, more: &[&str]) -> String {
    let server = format!("@{PRIMARY}");
    let mut arguments = vec!["-b", from, &server, ZONE, "AXFR"];
    if let Some(key) = key {
        arguments.extend(["-y", key]);
    }
    arguments.extend(more);
    private_network::run("dig", &arguments)
}

#[test]
fn address_and_key_are_both_required() {
    private_network::enter(
        "followers::address_and_key_are_both_required",
        LIMIT,
        |dir: &Path| {
            let site = Site::start(dir, &secondary(Software::Knot), &zone_file(1));
            private_network::add_address(address(Software::Knot));
            let right = KEY.option();
            let (key, secret) = (KEY.name, KEY.secret);
            let other_secret = format!("hmac-sha256:{key}:c29tZXRoaW5nIGVsc2UgYWx0b2dldGhlcg==");
            let other_name = format!("hmac-sha256:stranger.example:{secret}");
            let other_algorithm = format!("hmac-sha512:{key}:{secret}");
            let all = transfer("127.0.1.1", Some(&right), &[]);
            assert!(
                all.contains("XFR size") && all.contains("_xmpp-server"),
                "{all}"
            );
            for (from, key, said) in [
                ("127.0.0.9", Some(&right), "; Transfer failed."),
                ("127.0.1.1", None, "; Transfer failed."),
                ("127.0.1.1", Some(&other_secret), "BADSIG"),
                ("127.0.1.1", Some(&other_name), "BADKEY"),
                ("127.0.1.1", Some(&other_algorithm), "BADKEY"),
            ] {
                let refused = transfer(from, key.map(String::as_str), &[]);
                assert!(
                    refused.contains(said) && !refused.contains("_xmpp-server"),
                    "{from} {key:?}: {refused}"
                );
            }
            // RFC 1995 §2: over UDP the SOA alone; without a key not even that.
            let ixfr = |key: &[&str]| {
                let server = format!("@{PRIMARY}");
                let mut arguments = vec![
                    "-b",
                    "127.0.1.1",
                    &server,
                    ZONE,
                    "IXFR=1",
                    "+notcp",
                    "+ignore",
                ];
                arguments.extend(key);
                private_network::run("dig", &arguments)
            };
            let soa = ixfr(&["-y", &right]);
            assert!(
                soa.contains("SOA") && !soa.contains("_xmpp-server"),
                "{soa}"
            );
            let unsigned = ixfr(&[]);
            assert!(!unsigned.contains("SOA"), "{unsigned}");
            // The operator finds all of it in the log, by its reason, and counted.
            let refused = [
                "127.0.0.9 over tcp: a transfer of",
                "no secondary has this address",
                "unsigned: it must be signed",
                "BADSIG: the secrets differ",
                "BADKEY: no key has this name and algorithm",
            ];
            for words in refused {
                wait_for("a line in the log", LIMIT, || {
                    site.repoint.log().contains(words).then_some(())
                });
            }
            let counters = site.repoint.json(&["status", "--counters"]);
            let count = |name: &str| counters[name].as_u64().unwrap();
            assert_eq!(count("transfers_refused"), 3, "{counters:#}");
            assert_eq!(count("signatures_refused"), 3, "{counters:#}");
            // Both are live: a reload takes the right away and gives it back.
            site.repoint.configure(&configuration(""));
            assert!(transfer("127.0.1.1", Some(&right), &[]).contains("Transfer failed"));
            let unsigned = secondary(Software::Knot).replace(KEY.name, "none");
            site.repoint.configure(&configuration(&unsigned));
            assert!(transfer("127.0.1.1", None, &[]).contains("XFR size"));
        },
    );
}

#[test]
fn a_signed_secondary_ahead_of_us_is_an_alarm_until_it_is_accepted() {
    private_network::enter(
        "followers::a_signed_secondary_ahead_of_us_is_an_alarm_until_it_is_accepted",
        LIMIT,
        |dir| {
            let mut site = Site::start(dir, &secondary(Software::Knot), &zone_file(1));
            let _knot = follow(Software::Knot, dir);
            in_step(&[Software::Knot]);
            // The whole state is lost, and the clock of the machine that had it was years ahead: so says the zone's file now.
            site.repoint.kill();
            let zone = site.repoint.file("contoso.zone");
            std::fs::write(&zone, zone_file(2_800_000_000)).unwrap();
            std::fs::remove_dir_all(site.repoint.file("state")).unwrap();
            site.repoint.begin();
            let high = wait_for("knot has the high serial", PATIENCE, || {
                serial_at(address(Software::Knot)).filter(|serial| *serial > 2_500_000_000)
            });
            site.repoint.kill();
            std::fs::write(&zone, zone_file(1)).unwrap();
            std::fs::remove_dir_all(site.repoint.file("state")).unwrap();
            site.repoint.begin();
            let ours = serial_at(PRIMARY).unwrap();
            assert!(ours < high, "{ours} is behind {high}");
            let alarm = wait_for("the state is in doubt", PATIENCE, || {
                let mut alarms = site.repoint.alarms().into_iter();
                alarms.find(|alarm| alarm["kind"] == "state-doubtful")
            });
            let text = alarm["text"].as_str().unwrap();
            assert!(
                text.contains("secondary knot") && text.contains(&high.to_string()),
                "{text}"
            );
            site.repoint.command(&["state", "accept"]);
            let after = serial_at(PRIMARY).unwrap();
            assert!(after > high, "{after} is after {high}");
            in_step(&[Software::Knot]);
            // Durable: a process that is killed at once goes on behind it.
            site.repoint.kill();
            site.repoint.begin();
            let again = serial_at(PRIMARY).unwrap();
            assert!(again >= after, "{again} is not behind {after}");
            in_step(&[Software::Knot]);
        },
    );
}
