//! `kill -9` while pins are being set: what was acknowledged is in force after the restart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::full;
use crate::server::{Place, Pools, configuration, names, request};

/// What is known of a route's pin.
#[derive(Clone, Default)]
struct Pinned {
    acknowledged: Option<&'static str>,
    /// Asked for, and not answered when the server died: it may or may not be in force.
    asked: Option<&'static str>,
}

#[test]
fn every_acknowledged_pin_is_in_force_after_kill_9() {
    let rounds = if full() { 200 } else { 20 };
    let routes = names(4);
    let place = Place::new(&configuration(&Pools::new(), &routes, 30));
    let pins: Vec<Mutex<Pinned>> = routes.iter().map(|_| Mutex::default()).collect();
    let mut total = 0;
    let mut longest = Duration::ZERO;
    for round in 1..=rounds {
        // Now and then also in the middle of a start.
        let mut early = place.begin(place.command());
        let life = Duration::from_micros(rand::rng().random_range(0..30_000));
        let end = Instant::now() + life;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        early.kill_9();

        let began = Instant::now();
        let mut server = place.begin(place.command());
        server.address = server.answering();
        longest = longest.max(began.elapsed());
        for (route, pin) in routes.iter().zip(&pins) {
            let served = server.active(route);
            let mut pin = pin.lock().unwrap();
            let allowed = [pin.acknowledged.unwrap_or("pool1"), pin.asked.unwrap_or("")];
            assert!(
                allowed.contains(&served.as_str()),
                "round {round}: {route} is served as {served}, acknowledged was {:?}, asked for {:?}\n{}",
                pin.acknowledged,
                pin.asked,
                server.log()
            );
            if pin.asked.is_some() {
                // Now it is known whether it had come through.
                pin.acknowledged = Some(if served == "pool1" { "pool1" } else { "pool2" });
                pin.asked = None;
            }
        }
        server.logged("taking commands on");
        assert!(
            !server.alarms().contains(&"state-doubtful".to_owned()),
            "{}",
            server.log()
        );

        let acknowledged = AtomicUsize::new(0);
        let wanted = rand::rng().random_range(1..=12);
        let socket = server.control_path();
        std::thread::scope(|scope| {
            for (route, pin) in routes.iter().zip(&pins) {
                let (acknowledged, socket) = (&acknowledged, &socket);
                scope.spawn(move || {
                    loop {
                        let before = pin.lock().unwrap().acknowledged;
                        let pool = if before == Some("pool2") {
                            "pool1"
                        } else {
                            "pool2"
                        };
                        pin.lock().unwrap().asked = Some(pool);
                        let body = serde_json::json!({ "pool": pool, "for": "1h", "force": true });
                        let path = format!("/v1/routes/{route}/pin");
                        match request(socket, "PUT", &path, &body) {
                            Ok((200, _)) => {
                                let mut pin = pin.lock().unwrap();
                                pin.acknowledged = Some(pool);
                                pin.asked = None;
                                acknowledged.fetch_add(1, Ordering::Relaxed);
                            }
                            // A busy disk: refused, so not in force; it may come to light all the same.
                            Ok((503, _)) => {}
                            Ok((code, answer)) => panic!("{code}: {answer}"),
                            Err(_) => return,
                        }
                    }
                });
            }
            let until = Instant::now() + crate::server::PATIENCE;
            while acknowledged.load(Ordering::Relaxed) < wanted && Instant::now() < until {
                std::hint::spin_loop();
            }
            server.kill_9();
        });
        total += acknowledged.load(Ordering::Relaxed);
    }
    assert!(total >= rounds, "pins were acknowledged");
    println!(
        "{rounds} kills, {total} acknowledged pins, none lost; longest start to first answers {longest:?}"
    );
}
