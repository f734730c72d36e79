//! Backup and restore of the real program's memory.

use std::process::{Command, Output};

use nix::sys::signal::Signal;

use crate::server::{Place, Pools, configuration, names};

fn repoint(place: &Place, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["--socket", "control.sock"])
        .args(arguments)
        .current_dir(place.dir.path())
        .output()
        .unwrap()
}

#[test]
fn copies_that_are_made_at_once_are_all_whole_and_have_no_secret() {
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
    let key = format!(
        "[[tsig]]\nname = \"k.example\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{secret}\"\n"
    );
    let place = Place::new(&format!(
        "{}{key}",
        configuration(&Pools::new(), &names(1), 30)
    ));
    let mut server = place.start();
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
    let copies: Vec<String> = (0..8).map(|n| format!("copy-{n}.db")).collect();
    std::thread::scope(|scope| {
        for copy in &copies {
            scope.spawn(|| {
                let said = repoint(&place, &["state", "backup", copy]);
                assert!(said.status.success(), "{said:?}");
            });
        }
    });
    for copy in &copies {
        let octets = std::fs::read(place.file(copy)).unwrap();
        assert!(
            octets.starts_with(b"SQLite format 3"),
            "{copy}: {} octets",
            octets.len()
        );
        let mut windows = octets.windows(secret.len());
        assert!(
            !windows.any(|window| window == secret.as_bytes()),
            "{copy} has the secret"
        );
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0));
    let restored = repoint(
        &place,
        &["state", "restore", "copy-3.db", "--state", "state"],
    );
    assert!(restored.status.success(), "{restored:?}");
    // Also where the configuration file is gone.
    place.configure("[server]\nstate = \"state\"\nbroken");
    let server = place.start();
    assert_eq!(server.active("route1"), "pool2");
}

#[test]
fn a_backup_comes_back_in_doubt_and_in_force_and_automatic_changes_wait_for_acceptance() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    let mut server = place.start();
    assert_eq!(server.pin("route1", "pool2", "").0, 200);
    let running = repoint(&place, &["state", "backup", "running.db"]);
    assert!(running.status.success(), "{running:?}");
    let unpinned = server.control("DELETE", "/v1/routes/route1/pin", &serde_json::Value::Null);
    assert_eq!(unpinned.0, 200, "{unpinned:?}");
    let generation = server.status()["generation"].as_u64().unwrap();

    let refused = repoint(
        &place,
        &["state", "restore", "running.db", "--state", "state"],
    );
    assert!(!refused.status.success(), "not under a running server");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another repoint"));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended().code(), Some(0));
    let stopped = repoint(
        &place,
        &["state", "backup", "stopped.db", "--state", "state"],
    );
    assert!(stopped.status.success(), "{stopped:?}");
    let restored = repoint(
        &place,
        &["state", "restore", "running.db", "--config", "repoint.toml"],
    );
    assert!(restored.status.success(), "{restored:?}");

    let server = place.start();
    assert_eq!(
        server.active("route1"),
        "pool2",
        "the pin of the backup is in force"
    );
    assert!(
        server.status()["generation"].as_u64().unwrap() > generation,
        "no number comes twice"
    );
    assert!(server.alarms().contains(&"state-doubtful".to_owned()));
    let accepted = repoint(&place, &["state", "accept"]);
    assert!(accepted.status.success(), "{accepted:?}");
    assert!(!server.alarms().contains(&"state-doubtful".to_owned()));
}
