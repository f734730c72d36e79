//! Commands, queries and reloads at once: no query unanswered, none with a mixed decision.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::full;
use crate::server::{Place, Pools, Server, active, ask_on, configuration, names};

struct Size {
    commanders: usize,
    queries_per_second: u32,
    reloads: usize,
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    queries: AtomicUsize,
    unanswered: AtomicUsize,
    compared: AtomicUsize,
    commands: AtomicUsize,
    refused: AtomicUsize,
    slowest_micros: AtomicUsize,
}

#[test]
fn commands_queries_and_reloads_at_once_leave_no_query_unanswered_or_mixed() {
    let size = if full() {
        Size {
            commanders: 20,
            queries_per_second: 2000,
            reloads: 50,
        }
    } else {
        Size {
            commanders: 8,
            queries_per_second: 400,
            reloads: 10,
        }
    };
    let pools = Pools::new();
    let routes = names(size.commanders);
    let place = Place::new(&configuration(&pools, &routes, 30));
    let server = place.start();
    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    let began = Instant::now();
    let clients = 4;
    std::thread::scope(|scope| {
        for route in &routes {
            scope.spawn(|| command(&server, route, &stop, &seen));
        }
        for client in 0..clients {
            let (server, routes, stop, seen) = (&server, &routes, &stop, &seen);
            let pause = Duration::from_secs(1) * clients / size.queries_per_second;
            scope.spawn(move || query(server, routes, client as usize, pause, stop, seen));
        }
        // Stopped also when an assertion of this thread fails.
        let _end = Stop(&stop);
        for n in 0..size.reloads {
            let ttl = if n % 2 == 0 { 31 } else { 30 };
            place.configure(&configuration(&pools, &routes, ttl));
            let (code, done) =
                server.control("POST", "/v1/configuration/reload", &serde_json::json!({}));
            assert_eq!(code, 200, "{done}");
            // Spread over the queries.
            let due = began + Duration::from_millis(100) * u32::try_from(n + 1).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    let took = began.elapsed();
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{} queries in {took:.1?} ({:.0}/s), {} unanswered, slowest {} µs; {} answers of one serial compared, none mixed; \
         {} commands by {} at once, {} refused; {} reloads",
        count(&seen.queries),
        count(&seen.queries) as f64 / took.as_secs_f64(),
        count(&seen.unanswered),
        count(&seen.slowest_micros),
        count(&seen.compared),
        count(&seen.commands),
        size.commanders,
        count(&seen.refused),
        size.reloads,
    );
    assert_eq!(count(&seen.unanswered), 0);
    assert!(count(&seen.queries) > 100 && count(&seen.compared) > 0 && count(&seen.commands) > 0);
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pins its own route to and fro; what is acknowledged is served.
fn command(server: &Server, route: &str, stop: &AtomicBool, seen: &Seen) {
    let _end = Stop(stop);
    let mut served = "pool1";
    while !stop.load(Ordering::Relaxed) {
        let wanted = if served == "pool1" { "pool2" } else { "pool1" };
        match server.pin(route, wanted, "") {
            (200, _) => {
                served = wanted;
                seen.commands.fetch_add(1, Ordering::Relaxed);
            }
            // A busy disk: refused and not in force.
            (503, _) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
            (code, answer) => panic!("{code}: {answer}"),
        }
        assert_eq!(server.active(route), served);
    }
}

/// Asks for SRV and address between two looks at the serial: with the same serial they must name the same pool.
fn query(
    server: &Server,
    routes: &[String],
    client: usize,
    pause: Duration,
    stop: &AtomicBool,
    seen: &Seen,
) {
    let _end = Stop(stop);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    let mut due = Instant::now();
    let ask = |name: &str, rtype: &str| {
        let began = Instant::now();
        seen.queries.fetch_add(1, Ordering::Relaxed);
        let response = ask_on(&socket, name, rtype);
        let micros = usize::try_from(began.elapsed().as_micros()).unwrap();
        seen.slowest_micros.fetch_max(micros, Ordering::Relaxed);
        if response.is_err() {
            seen.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        response.ok()
    };
    for route in routes.iter().cycle().skip(client) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let serial = |response: &crate::dns::Response| {
            response.answers()[0]
                .split_whitespace()
                .nth(5)
                .unwrap()
                .to_owned()
        };
        // Four at a stroke, so that they often fall between two changes.
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pause * 4;
        let before = ask("contoso.com", "SOA");
        let srv = ask(&format!("_xmpp-server._tcp.{route}.contoso.com"), "SRV");
        let address = ask(&format!("xmpp.{route}.contoso.com"), "A");
        let after = ask("contoso.com", "SOA");
        let (Some(before), Some(srv), Some(address), Some(after)) = (before, srv, address, after)
        else {
            continue;
        };
        let [address] = address.answers().try_into().unwrap();
        let hosted = match address.split_whitespace().last() {
            Some("192.0.2.10") => "pool1",
            Some("192.0.2.20") => "pool2",
            other => panic!("{other:?}"),
        };
        let first = active(&srv);
        if serial(&before) == serial(&after) {
            assert_eq!(
                first,
                hosted,
                "SRV and address of serial {}",
                serial(&after)
            );
            seen.compared.fetch_add(1, Ordering::Relaxed);
        }
    }
}
