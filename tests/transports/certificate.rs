//! The certificate: changed while clients come, broken, ending.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::client::{DOT, ask, connect, shown};
use crate::made::made;
use crate::place::{encrypted, over, put, text};
use crate::server::{Pools, Server};

fn reload(server: &Server) -> serde_json::Value {
    let (code, done) = server.control("POST", "/v1/configuration/reload", &json!({}));
    assert_eq!(code, 200, "{done}");
    done
}

fn alarm(server: &Server) -> Option<(String, String)> {
    let status = server.status();
    let alarms = status["alarms"].as_array().unwrap();
    let alarm = alarms
        .iter()
        .find(|alarm| alarm["kind"] == "server-certificate")?;
    let text = |key: &str| alarm[key].as_str().unwrap().to_owned();
    Some((text("severity"), text("text")))
}

/// Asks on new connections until told to stop; which certificates were shown.
fn keep_asking(address: SocketAddr, stop: &AtomicBool, seen: &Mutex<Vec<u32>>) {
    while !stop.load(Ordering::Relaxed) {
        let (response, serial) = ask(address, "host.other.example", "A").unwrap();
        assert_eq!(response.answers().len(), 1);
        seen.lock().unwrap().push(serial);
    }
}

#[test]
fn a_changed_certificate_is_shown_at_once_and_no_query_fails_for_it() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let address = over(&server, "tls");
    let standing = connect(address, DOT).unwrap();
    let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let last = 8;
    std::thread::scope(|scope| {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _end = Stop(&stop);
        for _ in 0..3 {
            scope.spawn(|| keep_asking(address, &stop, &seen));
        }
        for serial in 2..=last {
            made(serial, -1, 89).write(&place);
            reload(&server);
            // Who comes from now on sees the new one.
            let (_, now) = ask(address, "host.other.example", "A").unwrap();
            assert_eq!(now, serial);
            let seen_so = |serial| seen.lock().unwrap().contains(&serial);
            server.until("others see it", |_| seen_so(serial));
        }
    });
    assert_eq!(shown(&standing), 1);
    assert_eq!(alarm(&server), None);
    let seen = seen.into_inner().unwrap();
    assert!(seen.contains(&1) && seen.contains(&last), "{seen:?}");
}

#[test]
fn a_pair_that_does_not_fit_changes_nothing_and_is_an_alarm() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    let server = place.start();
    let address = over(&server, "tls");
    let other = made(2, -1, 89);
    for (what, chain, key) in [
        ("is not the key of", Some(other.chain.as_slice()), None),
        (
            "no -----BEGIN CERTIFICATE-----",
            Some(&b"nothing"[..]),
            None,
        ),
        ("no private key in PEM", None, Some(&b""[..])),
        ("cannot be read", None, Some(&b"gone"[..])),
    ] {
        made(1, -1, 89).write(&place);
        reload(&server);
        server.until("no alarm", |server| alarm(server).is_none());
        if let Some(chain) = chain {
            put(&place, "chain.pem", chain);
        }
        match key {
            Some(b"gone") => std::fs::remove_file(place.file("key.pem")).unwrap(),
            Some(key) => put(&place, "key.pem", key),
            None => {}
        }
        let done = reload(&server);
        let warned = done["warnings"].to_string();
        assert!(warned.contains("stays in force"), "{what}: {warned}");
        server.until("an alarm", |server| alarm(server).is_some());
        let (severity, text) = alarm(&server).unwrap();
        assert_eq!(severity, "warning");
        assert!(text.contains(what), "{what}: {text}");
        assert_eq!(ask(address, "host.other.example", "A").unwrap().1, 1);
        // Nothing of the key is in what is said.
        assert!(!server.log().contains("PRIVATE"), "{}", server.log());
    }
    other.write(&place);
    server.signal(Signal::SIGHUP);
    server.until("the new pair", |server| alarm(server).is_none());
    assert_eq!(ask(address, "host.other.example", "A").unwrap().1, 2);
}

#[test]
fn a_start_without_a_usable_certificate_answers_what_it_can() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    put(
        &place,
        "chain.pem",
        b"-----BEGIN CERTIFICATE-----\nrubbish\n",
    );
    let server = place.start();
    assert_eq!(server.ask("host.other.example", "A").answers().len(), 1);
    let (severity, text) = alarm(&server).unwrap();
    assert_eq!(severity, "critical");
    assert!(text.contains("UDP and TCP are served"), "{text}");
    let address = over(&server, "tls");
    assert!(connect(address, DOT).is_err());
    made(3, -1, 89).write(&place);
    reload(&server);
    assert_eq!(ask(address, "host.other.example", "A").unwrap().1, 3);
    server.until("no alarm", |server| alarm(server).is_none());
}

#[test]
fn a_certificate_that_ends_is_an_alarm_before_and_after() {
    let pools = Pools::new();
    let place = encrypted(&pools);
    made(1, -80, 10).write(&place);
    let server = place.start();
    let (severity, text) = alarm(&server).unwrap();
    assert!(
        severity == "warning" && text.contains("ends soon"),
        "{text}"
    );
    made(2, -90, -1).write(&place);
    reload(&server);
    server.until("a worse one", |server| {
        alarm(server).is_some_and(|(severity, _)| severity == "critical")
    });
    // Shown all the same: a client that does not check loses nothing.
    let address = over(&server, "tls");
    assert_eq!(ask(address, "host.other.example", "A").unwrap().1, 2);
    made(3, -1, 89).write(&place);
    reload(&server);
    server.until("no alarm", |server| alarm(server).is_none());
}

#[test]
fn as_many_udp_sockets_as_workers() {
    let pools = Pools::new();
    for workers in [1, 5] {
        let place = encrypted(&pools);
        place.configure(&text(&pools, &format!("workers = {workers}\n")));
        let server = place.start();
        let port = format!(":{:04X} ", server.address.port());
        let table = std::fs::read_to_string("/proc/net/udp").unwrap();
        let local = |line: &&str| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|a| format!("{a} ").ends_with(&port) && a.starts_with("0100007F"))
        };
        assert_eq!(table.lines().filter(local).count(), workers);
        assert_eq!(server.ask("host.other.example", "A").answers().len(), 1);
    }
}
