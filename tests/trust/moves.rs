//! Moves of a signed zone under load: a validating resolver that keeps nothing, clients that ask every nameserver, and
//! three stock secondaries that follow.
//!
//! Asserted: nothing lost, bogus or mixed, and every secondary has every move before the next one. Printed: how fast.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::base::iana::{Rcode, Rtype};
use domain::rdata::{A, Srv};

use crate::site::Site;
use crate::tree::Tree;
use crate::world::client::Client;
use crate::world::nameserver::Software;
use crate::world::pools::POOLS;
use crate::world::private_network::{RESOLVER, enter, run};
use crate::world::repoint::Repoint;
use crate::world::wait::wait_for;
use crate::{BIND, DOMAIN, KNOT, NSD, PATIENCE, REPOINT, TSIG, ZONE, nameservers};

/// One size of the story.
struct Size {
    moves: usize,
    queries_per_second: u32,
}

#[test]
fn moves_under_load_lose_no_answer_and_every_secondary_follows() {
    let full = std::env::var_os("REPOINT_TEST_FULL").is_some();
    let (size, limit) = match full {
        true => (
            Size {
                moves: 1000,
                queries_per_second: 2000,
            },
            1800,
        ),
        false => (
            Size {
                moves: 40,
                queries_per_second: 200,
            },
            300,
        ),
    };
    let limit = Duration::from_secs(limit);
    enter(
        "moves::moves_under_load_lose_no_answer_and_every_secondary_follows",
        limit,
        |dir| {
            let hosts = [REPOINT, NSD, KNOT, BIND];
            let _tree = Tree::plant(dir, &hosts);
            let without_anchor = nameservers::resolver(dir, "");
            let site = Site::start(dir, &[NSD, KNOT, BIND]);
            let anchors = site.repoint.ds(ZONE);
            let _secondaries = [
                nameservers::secondary(Software::Nsd, NSD, dir),
                nameservers::secondary(Software::Knot, KNOT, dir),
                nameservers::secondary(Software::Bind, BIND, dir),
            ];
            let ours = Client::new((REPOINT.v4, 53));
            for host in [NSD, KNOT, BIND] {
                let client = Client::new((host.v4, 53));
                wait_for(&format!("{} has the zone", host.name), PATIENCE, || {
                    let serial = ours.serial(ZONE).expect("repoint answers");
                    (client.serial(ZONE) == Some(serial)).then_some(())
                });
            }
            drop(without_anchor);
            let _resolver = nameservers::resolver(dir, &anchors);
            let resolver = Client::new((RESOLVER, 53));
            wait_for("the resolver validates", PATIENCE, || {
                validated(&resolver, &service(), Rtype::SRV).then_some(())
            });
            tell(&story(&site.repoint, &size), &size);
        },
    );
}

pub(crate) fn service() -> String {
    format!("_xmpp-server._tcp.{DOMAIN}")
}

#[derive(Default)]
struct Seen {
    validated: AtomicUsize,
    direct: AtomicUsize,
    compared: AtomicUsize,
    lost: AtomicUsize,
}

/// How long after the command each secondary had each move.
type Lags = Vec<(&'static str, Vec<Duration>)>;

struct Told {
    seen: Seen,
    took: Duration,
    lags: Lags,
    /// The octets of each move's IXFR, as dig received it.
    transfers: Vec<usize>,
}

fn story(repoint: &Repoint, size: &Size) -> Told {
    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    let threads = 4;
    let pause = Duration::from_secs(1) * threads / size.queries_per_second;
    let began = Instant::now();
    let (lags, transfers) = std::thread::scope(|scope| {
        let _end = Stop(&stop);
        for n in 0..threads {
            let (stop, seen) = (&stop, &seen);
            // Three of four ask the resolver, which asks all nameservers in turn and validates what they say.
            scope.spawn(move || match n {
                0 => ask_directly(pause, stop, seen),
                _ => ask_the_resolver(pause, stop, seen),
            });
        }
        move_to_and_fro(repoint, size.moves)
    });
    Told {
        seen,
        took: began.elapsed(),
        lags,
        transfers,
    }
}

/// Ends what asks when the story ends, however it ends.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn move_to_and_fro(repoint: &Repoint, moves: usize) -> (Lags, Vec<usize>) {
    let mut lags: Lags = [NSD, KNOT, BIND].map(|host| (host.name, Vec::new())).into();
    let clients = [NSD, KNOT, BIND].map(|host| Client::new((host.v4, 53)));
    let ours = Client::new((REPOINT.v4, 53));
    let mut transfers = Vec::new();
    for n in 0..moves {
        let before = ours.serial(ZONE).expect("repoint answers");
        let pool = POOLS[(n + 1) % 2].name;
        repoint.command(&["pin", "fed", pool, "--for", "1h", "--reason", "the story"]);
        let served = Instant::now();
        let serial = ours.serial(ZONE).expect("repoint answers");
        assert_ne!(serial, before, "a move is served when its command returns");
        let mut waiting: Vec<usize> = (0..clients.len()).collect();
        while !waiting.is_empty() {
            waiting.retain(|at| {
                let there = clients[*at].serial(ZONE) == Some(serial);
                if there {
                    lags[*at].1.push(served.elapsed());
                }
                !there
            });
            assert!(
                served.elapsed() < PATIENCE,
                "{:?} do not follow to {serial}",
                waiting.iter().map(|at| lags[*at].0).collect::<Vec<_>>()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        if n % 20 == 0 {
            transfers.push(octets_of_ixfr(before));
        }
    }
    (lags, transfers)
}

/// The size of the transfer from a serial to now, as dig counts it.
fn octets_of_ixfr(from: u32) -> usize {
    let said = run(
        "dig",
        &[
            &format!("@{}", REPOINT.v4),
            "-b",
            &NSD.v4.to_string(),
            "-y",
            &TSIG.option(),
            "+tcp",
            ZONE,
            &format!("ixfr={from}"),
        ],
    );
    let line = said
        .lines()
        .find(|line| line.contains("XFR size"))
        .expect("a transfer");
    let octets = line.split("bytes ").nth(1).expect("a size");
    octets.trim_end_matches(')').parse().expect("a number")
}

fn ask_the_resolver(pause: Duration, stop: &AtomicBool, seen: &Seen) {
    let client = Client::new((RESOLVER, 53));
    let questions = [
        (service(), Rtype::SRV),
        (format!("xmpp.{DOMAIN}"), Rtype::A),
        (format!("pool1.{DOMAIN}"), Rtype::A),
        (format!("absent.{DOMAIN}"), Rtype::A),
        (format!("_tcp.{DOMAIN}"), Rtype::TXT),
    ];
    let mut due = Instant::now();
    for (name, rtype) in questions.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pause;
        assert!(
            validated(&client, name, *rtype),
            "{name} {rtype}: bogus, insecure or lost"
        );
        seen.validated.fetch_add(1, Ordering::Relaxed);
    }
}

/// SRV and address between two looks at the serial: with one serial they must name one pool. Of secondaries only that they
/// answer: a process of NSD that ends may still answer from the version before, after the next one has begun.
fn ask_directly(pause: Duration, stop: &AtomicBool, seen: &Seen) {
    let clients = [REPOINT, NSD, KNOT, BIND].map(|host| Client::new((host.v4, 53)));
    let mut due = Instant::now();
    for (n, client) in clients.iter().enumerate().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pause * 4;
        let (before, first, hosting, after) = (
            client.serial(ZONE),
            first(client),
            hosting(client),
            client.serial(ZONE),
        );
        seen.direct.fetch_add(4, Ordering::Relaxed);
        let (Some(before), Some(first), Some(hosting), Some(after)) =
            (before, first, hosting, after)
        else {
            seen.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        if n == 0 && before == after {
            assert_eq!(first, hosting, "SRV and address of serial {after}");
            seen.compared.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn tell(told: &Told, size: &Size) {
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (validated, direct) = (count(&told.seen.validated), count(&told.seen.direct));
    println!(
        "{} moves in {:.1?} under {:.0} queries/s: {validated} answers validated, none bogus; {direct} asked directly, {} lost, \
         {} compared, none mixed",
        size.moves,
        told.took,
        (validated + direct) as f64 / told.took.as_secs_f64(),
        count(&told.seen.lost),
        count(&told.seen.compared),
    );
    for (name, lags) in &told.lags {
        let mut lags = lags.clone();
        lags.sort();
        println!(
            "{name} had the move after: median {:.1?}, longest {:.1?}",
            lags[lags.len() / 2],
            lags[lags.len() - 1]
        );
    }
    println!("octets of an IXFR of one move: {:?}", told.transfers);
    assert_eq!(count(&told.seen.lost), 0);
    assert!(validated > 0 && count(&told.seen.compared) > 0);
    assert!(told.transfers.iter().all(|octets| *octets <= 2048));
}

/// Whether a resolver has an answer and vouches for it.
pub(crate) fn validated(resolver: &Client, name: &str, rtype: Rtype) -> bool {
    resolver.ask(name, rtype).is_some_and(|reply| {
        let header = reply.header();
        header.ad() && matches!(header.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN)
    })
}

/// The pool that SRV puts first.
fn first(server: &Client) -> Option<String> {
    let reply = server.ask(&service(), Rtype::SRV)?;
    let mut records: Vec<(u16, String)> = reply
        .answer()
        .ok()?
        .limit_to::<Srv<_>>()
        .flatten()
        .map(|srv| (srv.data().priority(), srv.data().target().to_string()))
        .collect();
    records.sort();
    assert_eq!(records.len(), POOLS.len(), "all pools, always");
    assert_ne!(records[0].0, records[1].0);
    Some(records[0].1.split('.').next()?.to_owned())
}

/// The pool whose address the federation name has.
fn hosting(server: &Client) -> Option<String> {
    let reply = server.ask(&format!("xmpp.{DOMAIN}"), Rtype::A)?;
    let address = reply.answer().ok()?.limit_to::<A>().next()?.ok()?;
    let address = address.data().addr().to_string();
    let pool = POOLS.iter().find(|pool| pool.publish == address)?;
    Some(pool.name.to_owned())
}
