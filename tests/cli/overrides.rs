//! Pin, drain and freeze: in force in the answers when the command returns, and loud.

use crate::site::Site;

#[test]
fn a_pin_is_served_when_the_command_returns_and_unpin_moves_nothing() {
    let site = Site::start();
    assert_eq!(site.answered_pool(), "edgepool1");
    let said = site.say(&[
        "pin",
        "contoso",
        "edgepool2",
        "--for",
        "2h",
        "--reason",
        "SR-1234: firmware",
    ]);
    assert_eq!(site.answered_pool(), "edgepool2");
    assert!(said.starts_with("done; generation "), "{said}");
    assert!(
        said.contains("contoso  1. edgepool2, 2. edgepool1"),
        "{said}"
    );
    assert!(
        said.contains("before: 1. edgepool1, 2. edgepool2"),
        "{said}"
    );
    let status = site.say(&["status"]);
    assert!(status.contains("pinned"), "{status}");
    assert!(
        status.contains("pin of route contoso to edgepool2 by "),
        "{status}"
    );
    let words: Vec<&str> = status.split_whitespace().collect();
    assert!(
        words.join(" ").contains("\"SR-1234: firmware\""),
        "{status}"
    );

    let said = site.say(&["unpin", "contoso"]);
    assert!(said.contains("no answer changed"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool2");
    assert!(
        site.json(&["status"])["overrides"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_dry_run_shows_the_zone_diff_and_changes_nothing() {
    let site = Site::start();
    let before = site.json(&["status"])["generation"].clone();
    let said = site.say(&["pin", "contoso", "edgepool2", "--for", "2h", "--dry-run"]);
    assert!(
        said.starts_with("dry run: these answers would change; nothing was done\n"),
        "{said}"
    );
    assert!(said.contains("1. edgepool2, 2. edgepool1"), "{said}");
    let gone = |line: &&str| line.starts_with('-') && line.contains("SRV");
    let come = |line: &&str| line.starts_with('+') && line.contains("SRV");
    assert_eq!(said.lines().filter(gone).count(), 2, "{said}");
    assert_eq!(said.lines().filter(come).count(), 2, "{said}");
    assert_eq!(site.answered_pool(), "edgepool1");
    let view = site.json(&["status"]);
    assert_eq!(view["generation"], before);
    assert!(view["overrides"].as_array().unwrap().is_empty());
}

#[test]
fn a_pin_to_a_pool_that_is_down_needs_force_and_says_what_it_means() {
    let mut site = Site::start();
    site.pool2.fail();
    site.until_verdict("edgepool2", "down");
    let pin = ["pin", "contoso", "edgepool2", "--for", "2h"];
    let refused = site.fails(1, &pin);
    assert!(
        refused.starts_with("cannot pin route contoso to edgepool2: edgepool2 is down"),
        "{refused}"
    );
    assert!(refused.contains("partners could not federate"), "{refused}");
    assert!(refused.contains("--force"), "{refused}");
    assert_eq!(site.answered_pool(), "edgepool1");

    let said = site.say(&[&pin[..], &["--force"]].concat());
    assert!(said.contains("note: edgepool2 is down"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool2");
    let alarm = site.until("the alarm stands", |site| {
        let view = site.json(&["status"]);
        let alarms = view["alarms"].as_array().unwrap().clone();
        alarms
            .into_iter()
            .find(|alarm| alarm["kind"] == "pin-on-down-pool")
    });
    assert_eq!(alarm["severity"], "critical");
    let check = site.run(&["status", "--check"]);
    assert_eq!(check.status.code(), Some(2));
    let line = String::from_utf8(check.stdout).unwrap();
    assert!(line.starts_with("REPOINT CRITICAL: "), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn a_pin_survives_kill_and_restart() {
    let mut site = Site::start();
    site.say(&[
        "pin",
        "contoso",
        "edgepool2",
        "--for",
        "forever",
        "--author",
        "alice",
    ]);
    site.kill();
    site.serve();
    assert_eq!(site.answered_pool(), "edgepool2");
    let pin = &site.json(&["status"])["overrides"][0];
    assert_eq!(pin["pool"], "edgepool2");
    assert!(
        pin["author"].as_str().unwrap().ends_with(" for alice"),
        "{pin}"
    );
    assert!(pin["until"].is_null());
}

#[test]
fn a_drained_pool_is_left_and_comes_last() {
    let site = Site::start();
    let said = site.say(&["pool", "drain", "edgepool1", "--for", "30m"]);
    assert!(said.contains("1. edgepool2, 2. edgepool1"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool2");
    assert!(site.say(&["pool", "list"]).contains("drained"));
    assert!(
        site.say(&["pool", "show", "edgepool1"])
            .contains("drain of pool edgepool1")
    );
    site.say(&["pool", "undrain", "edgepool1"]);
    assert_eq!(site.json(&["pool", "show", "edgepool1"])["drained"], false);
    let again = site.fails(1, &["pool", "undrain", "edgepool1"]);
    assert!(
        again.contains("there is no drain of pool edgepool1"),
        "{again}"
    );
}

#[test]
fn a_drain_of_the_last_pool_wants_to_be_meant() {
    let site = Site::start();
    site.say(&["pool", "drain", "edgepool1", "--for", "1h"]);
    let refused = site.fails(1, &["pool", "drain", "edgepool2", "--for", "1h"]);
    assert!(refused.contains("no undrained pool"), "{refused}");
    let said = site.say(&["pool", "drain", "edgepool2", "--for", "1h", "--yes"]);
    assert!(said.contains("no undrained pool"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool2");
}

#[test]
fn a_target_is_drained_by_its_name() {
    let site = Site::start();
    site.say(&["target", "drain", "edge1.contoso.com", "--for", "1h"]);
    assert!(site.say(&["target", "list"]).contains("drained"));
    let shown = site.json(&["target", "show", "edgepool1/edge1.contoso.com"]);
    assert_eq!(shown["drain"]["key"]["target"], "edge1.contoso.com");
    site.say(&["target", "undrain", "Edge1.Contoso.com."]);
    assert!(site.json(&["target", "show", "edge1.contoso.com"])["drain"].is_null());
    let wrong = site.fails(1, &["target", "drain", "edge3.contoso.com", "--for", "1h"]);
    assert!(
        wrong.contains("near are edge1.contoso.com, edge2.contoso.com"),
        "{wrong}"
    );
}

#[test]
fn a_frozen_route_stays_where_it_is_until_it_is_unfrozen() {
    let mut site = Site::start();
    site.say(&[
        "freeze",
        "contoso",
        "--for",
        "1h",
        "--reason",
        "firewall change",
    ]);
    site.pool1.fail();
    site.until_verdict("edgepool1", "down");
    assert_eq!(site.answered_pool(), "edgepool1");
    let explained = site.say(&["route", "explain", "contoso"]);
    assert!(explained.contains("freeze of route contoso"), "{explained}");
    assert!(explained.contains("  held  "), "{explained}");
    site.say(&["unfreeze", "contoso"]);
    site.until_answered("edgepool2");

    site.say(&["freeze", "--for", "1h"]);
    assert_eq!(
        site.json(&["status"])["overrides"][0]["key"]["kind"],
        "freeze-all"
    );
    site.say(&["unfreeze"]);
}

#[test]
fn an_override_without_a_length_is_wrong_usage_with_help() {
    let site = Site::start();
    for command in [
        &["pin", "contoso", "edgepool2"][..],
        &["pool", "drain", "edgepool1"],
        &["target", "drain", "edge1.contoso.com"],
        &["freeze"],
    ] {
        let said = site.fails(2, command);
        assert!(said.contains("--for is missing"), "{said}");
        assert!(said.contains("--for 2h"), "{said}");
    }
    let said = site.fails(2, &["freeze", "--for", "soon"]);
    assert!(said.contains("write 30m, 2h, 3d or forever"), "{said}");
    assert!(
        site.json(&["status"])["overrides"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_pool_that_is_never_to_be_used_leaves_the_answers() {
    let site = Site::start();
    let said = site.say(&["pool", "drain", "edgepool1", "--never", "--for", "1h"]);
    assert!(
        said.contains("before: 1. edgepool1, 2. edgepool2"),
        "{said}"
    );
    assert_eq!(site.answered_pool(), "edgepool2");
    let zone = site.say(&["zone", "show", "_xmpp-server._tcp.contoso.com"]);
    assert!(
        zone.contains("edge2.contoso.com.") && !zone.contains("edge1"),
        "{zone}"
    );
    site.say(&["pool", "undrain", "edgepool1"]);
    let zone = site.say(&["zone", "show", "_xmpp-server._tcp.contoso.com"]);
    assert!(zone.contains("edge1.contoso.com."), "{zone}");
}

#[test]
fn many_commands_at_one_time_are_each_answered_and_all_in_force() {
    let site = Site::start();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let pin = |number: usize| {
            let pool = if number.is_multiple_of(2) {
                "edgepool1"
            } else {
                "edgepool2"
            };
            let reason = format!("number {number}");
            let site = &site;
            scope.spawn(move || {
                site.json(&["pin", "contoso", pool, "--for", "1h", "--reason", &reason])
            })
        };
        let all: Vec<_> = (0..20).map(pin).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 20);
    let view = site.json(&["status"]);
    assert_eq!(
        site.answered_pool(),
        view["overrides"][0]["pool"].as_str().unwrap()
    );
    site.until("each is in history", |site| {
        let history = site.json(&["history", "--limit", "1000"]);
        let entries = history.as_array().unwrap();
        let pins = entries.iter().filter(|entry| {
            let why = entry["why"].as_str().unwrap_or_default();
            entry["kind"] == "override" && why.starts_with("number ")
        });
        (pins.count() == 20).then_some(())
    });
}

#[test]
fn what_cannot_be_stored_is_refused_unless_that_is_accepted() {
    let site = Site::start();
    let database = rusqlite::Connection::open(site.path("state/repoint.db")).unwrap();
    // Whoever holds the database keeps the server from committing, as a bad disk does.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let pin = ["pin", "contoso", "edgepool2", "--for", "1h"];
    let refused = site.fails(1, &pin);
    assert!(refused.contains("could not be stored"), "{refused}");
    assert!(refused.contains("--volatile"), "{refused}");
    assert_eq!(site.answered_pool(), "edgepool1");
    let said = site.say(&[&pin[..], &["--volatile"]].concat());
    assert!(said.contains("volatile: it is not stored"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool2");
    database.execute_batch("ROLLBACK").unwrap();
}
