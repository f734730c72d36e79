//! A process that is stopped, as by SIGSTOP or with its machine: its own silence is nobody's fault.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::server::{PATIENCE, Place, Server};

/// Longer than `timeout`, `interval` and `hold_down` of the configuration below.
const STOPPED: Duration = Duration::from_secs(5);

const ANSWER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
    from='contoso.com' id='1' version='1.0'><stream:features/>";

/// An XMPP server that answers at once, or keeps a connection waiting and then closes it, as servers do with peers of
/// whom they hear nothing.
#[derive(Clone, Default)]
struct Pool(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    keeps_waiting: bool,
    waiting: usize,
    answered: usize,
}

impl Pool {
    fn serve(&self, listener: TcpListener) {
        let pool = self.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let pool = pool.clone();
                std::thread::spawn(move || pool.meet(connection));
            }
        });
    }

    fn meet(&self, mut connection: TcpStream) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        if state.keeps_waiting {
            state.waiting += 1;
            changed.notify_all();
            drop(
                changed
                    .wait_while(state, |state| state.keeps_waiting)
                    .unwrap(),
            );
            return;
        }
        state.answered += 1;
        changed.notify_all();
        drop(state);
        // Whoever has gone away needs no answer.
        let _ = connection.write_all(ANSWER.as_bytes());
        let _ = connection.read_to_end(&mut Vec::new());
    }

    fn keep_waiting(&self, keeps_waiting: bool) {
        self.0.0.lock().unwrap().keeps_waiting = keeps_waiting;
        self.0.1.notify_all();
    }

    fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let waited = changed.wait_timeout_while(state, PATIENCE, |state| !holds(state));
        assert!(!waited.unwrap().1.timed_out(), "{what}");
    }

    fn answered(&self) -> usize {
        self.0.0.lock().unwrap().answered
    }
}

fn configuration(port: u16) -> String {
    format!(
        r#"version = 1
[server]
listen = ["127.0.0.1:0"]
state = "state"
control = "control.sock"
[dns]
nameservers = [{{ name = "ns1.example.net" }}]
[health.check]
depth = "stream"
interval = "3s"
retry = "200ms"
timeout = "3s"
fall = 1
min_fault = "0s"
rise = 1
steady = 1
[[pool]]
name = "pool1"
target = [{{ name = "pool1.contoso.com", publish = ["192.0.2.10"], probe = ["127.0.1.1"] }}]
[[pool]]
name = "pool2"
target = [{{ name = "pool2.contoso.com", publish = ["192.0.2.20"], probe = ["127.0.2.1"] }}]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["pool1", "pool2"]
zones = "owners"
[[route.service]]
kind = "xmpp-server"
port = {port}
allow_nonstandard_port = true
"#
    )
}

#[test]
fn a_server_that_was_stopped_takes_its_own_silence_for_nobody_s_fault() {
    let (first, second) = same_port_twice();
    let place = Place::new(&configuration(first.local_addr().unwrap().port()));
    let (pool1, pool2) = (Pool::default(), Pool::default());
    pool1.serve(first);
    pool2.serve(second);
    let server = place.start();
    server.pools_up();
    let generation = server.status()["generation"].clone();

    pool1.keep_waiting(true);
    pool1.until("a probe of pool 1 is under way", |state| state.waiting > 0);
    server.signal(Signal::SIGSTOP);
    server.until("it is stopped", Server::is_stopped);
    let stopped = Instant::now();
    // Its probe is closed by the pool, and all its timers end, while it is stopped.
    pool1.keep_waiting(false);
    while let Some(left) = STOPPED.checked_sub(stopped.elapsed()) {
        std::thread::park_timeout(left);
    }
    let before = [pool1.answered(), pool2.answered()];
    server.signal(Signal::SIGCONT);

    for (pool, before) in [(&pool1, before[0]), (&pool2, before[1])] {
        pool.until("both pools are probed again", |state| {
            state.answered >= before + 3
        });
    }
    let status = server.status();
    for pool in status["pools"].as_array().unwrap() {
        assert_eq!(pool["verdict"], "up", "{pool}");
    }
    assert_eq!(status["generation"], generation, "{}", server.log());
    assert_eq!(server.alarms(), Vec::<String>::new());
    let log = server.log();
    assert!(!log.contains(" down"), "{log}");
}

fn same_port_twice() -> (TcpListener, TcpListener) {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.1.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.2.1", port)) {
            return (first, second);
        }
    }
    panic!("no port is free on both addresses");
}
