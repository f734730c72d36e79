//! A disk that hangs: commands are refused, answers and failover go on.

use serde_json::json;

use crate::server::{Place, Pools, configuration, names};

#[test]
fn with_a_dead_disk_commands_are_refused_and_answers_and_failover_go_on() {
    let mut pools = Pools::new();
    let place = Place::new(&configuration(&pools, &names(2), 30));
    let server = place.start();
    server.pools_up();
    let disk = rusqlite::Connection::open(place.file("state/repoint.db")).unwrap();
    disk.execute_batch("BEGIN IMMEDIATE").unwrap();

    let (code, refusal) = server.pin("route1", "pool2", "");
    assert_eq!(code, 503, "{refusal}");
    assert_eq!(refusal["code"], "store-failing", "{refusal}");
    for part in ["what", "why", "in_force"] {
        assert!(!refusal[part].as_str().unwrap().is_empty(), "{refusal}");
    }
    assert_eq!(server.active("route1"), "pool1", "refused is not in force");
    let (code, done) = server.pin("route1", "pool2", "?volatile=true");
    assert_eq!((code, &done["volatile"]), (200, &json!(true)), "{done}");
    assert_eq!(server.active("route1"), "pool2");

    pools.first = None;
    server.until("the failover", |server| server.active("route2") == "pool2");
    assert!(server.alarms().contains(&"store-failing".to_owned()));

    disk.execute_batch("ROLLBACK").unwrap();
    server.until("the end of the alarm", |server| {
        !server.alarms().contains(&"store-failing".to_owned())
    });
    let (code, done) = server.pin("route2", "pool2", "");
    assert_eq!(code, 200, "{done}");
}

#[test]
fn what_was_decided_while_the_disk_hung_is_remembered_when_it_is_back() {
    let mut pools = Pools::new();
    let place = Place::new(&configuration(&pools, &names(1), 30));
    let mut server = place.start();
    server.pools_up();
    let disk = rusqlite::Connection::open(place.file("state/repoint.db")).unwrap();
    disk.execute_batch("BEGIN IMMEDIATE").unwrap();
    pools.first = None;
    server.until("the failover", |server| server.active("route1") == "pool2");
    disk.execute_batch("ROLLBACK").unwrap();
    server.until("the journal", |server| {
        let history = server
            .control("GET", "/v1/history", &serde_json::Value::Null)
            .1;
        history.to_string().contains("pool1 -> pool2")
    });
    drop(disk);
    server.kill_9();
    let server = place.start();
    assert_eq!(
        server.active("route1"),
        "pool2",
        "no restart goes back by itself"
    );
}

#[test]
fn without_any_state_directory_it_answers_alarms_and_takes_what_may_be_lost() {
    let text = configuration(&Pools::new(), &names(1), 30)
        .replace("state = \"state\"", "state = \"file/state\"");
    let place = Place::new(&text);
    std::fs::write(place.file("file"), "in the way").unwrap();
    let server = place.start();
    assert_eq!(server.active("route1"), "pool1");
    let alarms = server.alarms();
    assert!(alarms.contains(&"store-failing".to_owned()), "{alarms:?}");
    let (code, refusal) = server.pin("route1", "pool2", "");
    assert_eq!(
        (code, &refusal["code"]),
        (503, &json!("store-failing")),
        "{refusal}"
    );
    assert_eq!(server.pin("route1", "pool2", "?volatile=true").0, 200);
    assert_eq!(server.active("route1"), "pool2");
}
