//! repoint is killed in the middle of bursts of moves, again and again, while two stock secondaries follow and a validating
//! resolver asks.
//!
//! Asserted: a process never begins behind what a secondary has, nor gives the same serial to something else: after each
//! start every secondary has every record of repoint's. The resolver, which asks them all, never gets an answer that is
//! bogus. The moment of a kill is chance; its seed is printed.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::base::iana::Rtype;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::moves::{Stop, service, validated};
use crate::site::Site;
use crate::tree::Tree;
use crate::world::client::Client;
use crate::world::nameserver::Software;
use crate::world::pools::POOLS;
use crate::world::private_network::{RESOLVER, enter, run};
use crate::world::repoint::Repoint;
use crate::world::wait::wait_for;
use crate::{DOMAIN, Host, KNOT, NSD, PATIENCE, REPOINT, TSIG, ZONE, nameservers};

const KILLS: usize = 20;
const SECONDARIES: [Host; 2] = [NSD, KNOT];

#[test]
fn kills_in_bursts_of_moves_leave_no_secondary_ahead_or_different() {
    let seed = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = seed.unwrap_or_else(|| rand::random::<u16>().into());
    enter(
        "kills::kills_in_bursts_of_moves_leave_no_secondary_ahead_or_different",
        Duration::from_secs(300),
        |dir| {
            println!("SEED={seed}");
            let _tree = Tree::plant(dir, &[REPOINT, NSD, KNOT]);
            let without_anchor = nameservers::resolver(dir, "");
            let mut site = Site::start(dir, &SECONDARIES);
            let anchors = site.repoint.ds(ZONE);
            let _secondaries = [
                nameservers::secondary(Software::Nsd, NSD, dir),
                nameservers::secondary(Software::Knot, KNOT, dir),
            ];
            until_equal();
            drop(without_anchor);
            let _resolver = nameservers::resolver(dir, &anchors);
            let resolver = Client::new((RESOLVER, 53));
            wait_for("the resolver validates", PATIENCE, || {
                validated(&resolver, &service(), Rtype::SRV).then_some(())
            });
            let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
            let moves = std::thread::scope(|scope| {
                let _end = Stop(&stop);
                scope.spawn(|| ask(&stop, &asked));
                let mut dice = StdRng::seed_from_u64(seed);
                (0..KILLS)
                    .map(|_| kill(&mut site.repoint, &mut dice))
                    .sum::<usize>()
            });
            let asked = asked.load(Ordering::Relaxed);
            println!("{KILLS} kills in {moves} moves; {asked} answers validated, none bogus");
            assert!(moves > KILLS && asked > 0);
        },
    );
}

/// Kills it among moves and starts it again. How many moves were acknowledged.
fn kill(repoint: &mut Repoint, dice: &mut StdRng) -> usize {
    let socket = repoint.file("control.sock");
    let burst = std::thread::spawn(move || {
        let moved = |pool: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_repoint"));
            command.args(["pin", "fed", pool, "--for", "1h", "--reason", "the story"]);
            let out = command.env("REPOINT_SOCKET", &socket).output().unwrap();
            out.status.success()
        };
        let pools = POOLS.iter().rev().cycle();
        pools.take_while(|pool| moved(pool.name)).count()
    });
    std::thread::sleep(Duration::from_millis(dice.random_range(50..400)));
    repoint.kill();
    let moves = burst.join().unwrap();
    let before = SECONDARIES.map(serial_of);
    repoint.begin();
    let ours = wait_for("repoint answers", PATIENCE, || {
        Client::new((REPOINT.v4, 53)).serial(ZONE)
    });
    for (host, before) in SECONDARIES.iter().zip(before) {
        // RFC 1982 §3.2.
        let ahead = before.wrapping_sub(ours);
        assert!(
            ahead == 0 || ahead > 1 << 31,
            "{} has serial {before}, and repoint begins with {ours}",
            host.name
        );
    }
    until_equal();
    moves
}

fn serial_of(host: Host) -> u32 {
    let serial = Client::new((host.v4, 53)).serial(ZONE);
    serial.unwrap_or_else(|| panic!("{} answers", host.name))
}

/// Waits until every secondary has the serial of repoint's zone, and holds their records against each other.
fn until_equal() {
    for host in SECONDARIES {
        wait_for(&format!("{} has the zone", host.name), PATIENCE, || {
            let serial = Client::new((host.v4, 53)).serial(ZONE);
            (serial.is_some() && serial == Some(serial_of(REPOINT))).then_some(())
        });
        wait_for(&format!("{} has every record", host.name), PATIENCE, || {
            (records_of(host) == records_of(REPOINT)).then_some(())
        });
    }
}

/// Every record of a server's zone, as dig writes them.
fn records_of(host: Host) -> BTreeSet<String> {
    let server = format!("@{}", host.v4);
    let (from, key) = (NSD.v4.to_string(), TSIG.option());
    let options = ["+tcp", "+noall", "+answer", "+onesoa", ZONE, "AXFR"];
    let said = run(
        "dig",
        &[&[server.as_str(), "-b", &from, "-y", &key][..], &options].concat(),
    );
    // dig shows the TSIG records of the transfer beside them.
    let records = said
        .lines()
        .filter(|line| !line.starts_with(';') && !line.contains("TSIG"));
    let records: BTreeSet<String> = records.map(|line| line.to_ascii_lowercase()).collect();
    assert!(records.len() > 10, "{} gives no zone: {said}", host.name);
    records
}

fn ask(stop: &AtomicBool, asked: &AtomicUsize) {
    let client = Client::new((RESOLVER, 53));
    let questions = [
        (service(), Rtype::SRV),
        (format!("xmpp.{DOMAIN}"), Rtype::A),
        (format!("absent.{DOMAIN}"), Rtype::A),
    ];
    for (name, rtype) in questions.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        assert!(
            validated(&client, name, *rtype),
            "{name} {rtype}: bogus, insecure or lost"
        );
        asked.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}
