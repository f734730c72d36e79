//! Starting with what there is: a good file, a broken one, none, a state that is taken, a socket that cannot be had.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use crate::server::{Place, Pools, configuration, names};

#[test]
fn it_answers_takes_commands_and_ends_cleanly() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    let mut server = place.start();
    assert_eq!(server.active("route1"), "pool1");
    let mode = std::fs::metadata(place.file("control.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
    assert_eq!(
        server.active("route1"),
        "pool2",
        "the change is served when the command returns"
    );

    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(!place.file("control.sock").exists());
    let server = place.start();
    assert_eq!(
        server.active("route1"),
        "pool2",
        "a pin survives the restart"
    );
    let history = server
        .control("GET", "/v1/history", &serde_json::Value::Null)
        .1;
    assert!(
        history.to_string().contains("pin of route route1"),
        "{history}"
    );
}

#[test]
fn a_broken_missing_or_garbled_file_at_start_gives_way_to_the_accepted_one() {
    let pools = Pools::new();
    let good = configuration(&pools, &names(1), 30);
    let place = Place::new(&good);
    let mut server = place.start();
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
    server.kill_9();

    let broken = good.replace(
        "pools = [\"pool1\", \"pool2\"]",
        "pools = [\"pool1\", \"pol2\"]",
    );
    let not_toml = good.replace("[[pool]]", "[[pool");
    for text in [Some(broken), Some(not_toml), None] {
        match &text {
            Some(text) => place.configure(text),
            None => std::fs::remove_file(place.file("repoint.toml")).unwrap(),
        }
        let mut command = place.command();
        if text.is_none() {
            command.args(["--state", "state"]);
        }
        let mut server = place.begin(command);
        server.address = server.answering();
        server.logged("taking commands on");
        assert_eq!(server.active("route1"), "pool2");
        server.until("the alarm", |server| {
            server.alarms().contains(&"config-rejected".to_owned())
        });
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ended().code(), Some(0));
    }

    place.configure(&good);
    let server = place.start();
    assert!(!server.alarms().contains(&"config-rejected".to_owned()));
}

#[test]
fn the_service_manager_s_state_directory_is_used_when_there_is_no_file() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    drop(place.start());
    std::fs::remove_file(place.file("repoint.toml")).unwrap();
    let mut command = place.command();
    command.env("STATE_DIRECTORY", place.file("state"));
    let server = place.begin(command);
    server.answering();
}

#[test]
fn without_any_configuration_it_says_why_and_what_it_looked_for() {
    let place = Place::new("version = 1\n[server]\nstate = \"state\"\nlisten = 5\n");
    let mut server = place.begin(place.command());
    assert_eq!(server.ended().code(), Some(2));
    server.logged("nothing is served");
    let said = server.log();
    assert!(said.contains("repoint.toml:4"), "{said}");
    assert!(said.contains("state"), "{said}");
    assert!(
        !place.file("state").exists(),
        "a failed start leaves nothing behind"
    );
}

#[test]
fn a_second_server_on_the_same_state_is_refused_and_the_first_goes_on() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    let first = place.start();
    let mut second = place.begin(place.command());
    assert_eq!(second.ended().code(), Some(2));
    second.logged("another repoint");
    assert_eq!(first.active("route1"), "pool1");
    assert_eq!(first.pin("route1", "pool2", "").0, 200);
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = configuration(&Pools::new(), &names(1), 30)
        .replace("\"127.0.0.1:0\"", &format!("\"127.0.0.1:{port}\""));
    let place = Place::new(&text);
    let mut server = place.begin(place.command());
    assert_eq!(server.ended().code(), Some(1));
    let line = server.logged("cannot serve");
    assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
    assert!(line.contains("the port is taken"), "{line}");
}

#[test]
fn without_its_control_socket_it_answers_and_takes_commands_when_it_can() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    std::fs::write(place.file("control.sock"), "in the way").unwrap();
    let mut server = place.begin(place.command());
    server.address = server.answering();
    assert_eq!(server.active("route1"), "pool1");
    server.logged("a file that is no socket lies there");
    std::fs::remove_file(place.file("control.sock")).unwrap();
    server.logged("taking commands on");
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
}

#[test]
fn lost_state_changes_nothing_by_itself_until_it_is_accepted() {
    let mut pools = Pools::new();
    let place = Place::new(&configuration(&pools, &names(1), 30));
    drop(place.start());
    for suffix in ["", "-wal", "-shm"] {
        // The log and its index are there only after a kill.
        let _ = std::fs::remove_file(place.file(&format!("state/repoint.db{suffix}")));
    }
    let server = place.start();
    assert!(server.alarms().contains(&"state-doubtful".to_owned()));
    server.pools_up();
    pools.first = None;
    server.until("pool1 down", |server| {
        server.status()["pools"][0]["verdict"] == "down"
    });
    assert_eq!(
        server.active("route1"),
        "pool1",
        "nobody knows what was pinned"
    );
    let accepted = server.control("POST", "/v1/state/accept", &serde_json::json!({}));
    assert_eq!(accepted.0, 200, "{accepted:?}");
    server.until("the failover", |server| server.active("route1") == "pool2");
    assert!(!server.alarms().contains(&"state-doubtful".to_owned()));
}

/// The alarm of a kind, as its text and remedy.
fn alarm(server: &crate::server::Server, kind: &str) -> Option<(String, String)> {
    let status = server.status();
    let mut alarms = status["alarms"].as_array()?.iter();
    let alarm = alarms.find(|alarm| alarm["kind"] == kind)?;
    let text = |key: &str| alarm[key].as_str().unwrap_or_default().to_owned();
    Some((text("text"), text("remedy")))
}

#[test]
fn with_a_state_directory_that_cannot_be_made_a_dead_pool_is_left_and_the_remedies_work_as_typed() {
    let mut pools = Pools::new();
    let text = configuration(&pools, &names(1), 30);
    let place = Place::new(&text.replace("state = \"state\"", "state = \"taken/state\""));
    std::fs::write(place.file("taken"), "a file").unwrap();
    let server = place.start();
    server.pools_up();
    let (said, remedy) = alarm(&server, "store-failing").expect("the alarm");
    assert!(said.contains("automatic failover goes on"), "{said}");
    assert!(said.contains("no pin, drain, freeze or home"), "{said}");
    assert!(remedy.contains("--volatile"), "{remedy}");
    assert_eq!(alarm(&server, "state-doubtful"), None, "one thing is said");

    let address = pools.first.take().unwrap().local_addr().unwrap();
    server.until("the failover", |server| server.active("route1") == "pool2");
    let (code, refused) = server.pin("route1", "pool2", "");
    assert_eq!(code, 503, "{refused}");
    assert!(
        refused["hint"].as_str().unwrap().contains("--volatile"),
        "{refused}"
    );

    pools.first = Some(std::net::TcpListener::bind(address).unwrap());
    server.until("a remedy for the way back", |server| {
        alarm(server, "not-preferred").is_some_and(|(_, remedy)| remedy.starts_with("repoint "))
    });
    let (_, remedy) = alarm(&server, "not-preferred").unwrap();
    let typed = remedy.strip_prefix("repoint ").unwrap().split_whitespace();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["--socket", "control.sock"])
        .args(typed)
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{remedy}: {done:?}");
    assert_eq!(server.active("route1"), "pool1");
}
