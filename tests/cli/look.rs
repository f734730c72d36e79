//! Looking: views, zones, history, probes, and what a monitoring system gets.

use std::io::{BufRead, BufReader};

use crate::site::{Site, repoint, text};

#[test]
fn every_view_has_a_screen_and_json() {
    let site = Site::start();
    for (command, expected) in [
        (&["status"][..], "ROUTES"),
        (&["route", "list"], "contoso"),
        (
            &["route", "show", "contoso"],
            "_xmpp-server._tcp.contoso.com",
        ),
        (&["route", "explain", "contoso"], "RECOVERY"),
        (&["pool", "list"], "contoso*"),
        (&["pool", "show", "edgepool1"], "edge1.contoso.com"),
        (&["target", "list"], "edge2.contoso.com"),
        (&["target", "show", "edge1.contoso.com"], "edgepool1"),
        (&["zone", "list"], "xmpp.contoso.com"),
        (&["zone", "show", "xmpp.contoso.com"], "SOA"),
        (&["history"], "start"),
    ] {
        let said = site.say(command);
        assert!(said.contains(expected), "{command:?}: {said}");
        assert!(!said.contains('\x1b'), "colour on a pipe: {said:?}");
        assert!(!site.json(command).is_null());
    }
}

#[test]
fn every_question_is_counted() {
    let site = Site::start();
    let counted = |name: &str| site.json(&["status", "--counters"])[name].as_u64().unwrap();
    let (asked, answered) = (counted("udp_queries"), counted("noerror"));
    site.ask("_xmpp-server._tcp.contoso.com", "SRV");
    // An answer is counted behind its sending.
    site.until("it is counted", |_| {
        let both = (counted("udp_queries"), counted("noerror"));
        (both == (asked + 1, answered + 1)).then_some(())
    });
    let said = site.say(&["status", "--counters"]);
    let mut lines = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line[0] == "udp_queries").unwrap();
    assert_eq!(line[1], (asked + 1).to_string());
}

#[test]
fn a_healthy_node_is_ok_for_a_monitoring_system() {
    let site = Site::start_with("");
    let check = site.run(&["status", "--check"]);
    let line = text(&check.stdout);
    assert_eq!(check.status.code(), Some(0), "{line}");
    assert!(
        line.starts_with("REPOINT OK: 1 route, no alarm | routes=1 critical=0 warning=0 "),
        "{line}"
    );
}

#[test]
fn a_zone_diff_shows_what_the_last_version_changed() {
    let site = Site::start();
    let apex = "xmpp.contoso.com";
    assert_eq!(
        site.say(&["zone", "diff", apex]),
        "the zone has not changed since the server began\n"
    );
    site.say(&["failover", "contoso"]);
    let diff = site.say(&["zone", "diff", apex]);
    let of = |sign: char| {
        let lines = diff.lines().filter(move |line| line.starts_with(sign));
        lines.filter(|line| line.contains("\tA\t")).count()
    };
    assert_eq!((of('-'), of('+')), (1, 1), "{diff}");
}

#[test]
fn wrong_names_are_answered_with_near_ones() {
    let site = Site::start();
    for (command, near) in [
        (&["route", "explain", "contosso"][..], "contoso"),
        (
            &["pin", "contoso", "edgepool", "--for", "1h"],
            "edgepool1, edgepool2",
        ),
        (&["pool", "show", "edgpool1"], "edgepool1"),
        (&["zone", "show", "xmp.contoso.com"], "xmpp.contoso.com"),
        (&["history", "contosso"], "contoso"),
        (&["probe", "contoso", "edgepool3"], "edgepool1, edgepool2"),
    ] {
        let said = site.fails(1, command);
        assert!(
            said.contains(&format!("near are {near}")),
            "{command:?}: {said}"
        );
        assert!(said.contains("try: repoint "), "{said}");
    }
}

#[test]
fn a_refusal_is_json_on_stdout_for_a_script() {
    let site = Site::start();
    let output = site.run(&["route", "show", "nowhere", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let refusal: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(refusal["code"], "unknown-route");
    assert!(text(&output.stderr).starts_with("cannot find route nowhere: "));
}

#[test]
fn history_is_filtered_by_time_and_number() {
    let site = Site::start();
    for _ in 0..2 {
        site.say(&[
            "freeze",
            "contoso",
            "--for",
            "1h",
            "--reason",
            "quiet please",
        ]);
    }
    let count = |arguments: &[&str]| site.json(arguments).as_array().unwrap().len();
    site.until("both are in history", |site| {
        let history = site.json(&["history"]);
        let said = |entry: &&serde_json::Value| entry["why"] == "quiet please";
        (history.as_array().unwrap().iter().filter(said).count() == 2).then_some(())
    });
    assert_eq!(count(&["history", "--limit", "1"]), 1);
    assert_eq!(count(&["history", "--since", "2100-01-01T00:00:00Z"]), 0);
    assert!(count(&["history", "--since", "1h"]) >= 2);
    let wrong = site.fails(2, &["history", "--since", "yesterday"]);
    assert!(wrong.contains("neither a length of time"), "{wrong}");
}

#[test]
fn a_probe_is_printed_phase_by_phase_by_the_server_and_without_one() {
    let mut site = Site::start();
    let file = site.configuration();
    let without = ["--config", file.to_str().unwrap()];
    for more in [&[][..], &without] {
        let said = site.say(&[&["probe", "contoso"][..], more].concat());
        assert!(
            said.contains("edge1.contoso.com of pool edgepool1"),
            "{said}"
        );
        assert!(
            said.contains("edge2.contoso.com of pool edgepool2"),
            "{said}"
        );
        assert!(said.contains("  connect  "), "{said}");
        assert!(said.contains("reached tcp"), "{said}");
    }
    site.pool1.fail();
    for more in [&[][..], &without] {
        let output = site.run(&[&["probe", "contoso", "edgepool1"][..], more].concat());
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("connection refused"), "{said}");
        assert!(!said.contains("edgepool2"), "{said}");
    }
    let wrong = site.fails(1, &["probe", "contosso", "--config", without[1]]);
    assert!(wrong.contains("near are contoso"), "{wrong}");
}

#[test]
fn a_server_that_is_not_there_is_told_from_a_refusal() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let output = repoint(&socket, &["status"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("there is no such socket"), "{said}");
    assert!(said.contains("nothing was asked"), "{said}");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let output = repoint(&socket, &["pin", "contoso", "edgepool1", "--for", "1h"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("nobody serves it"));
    let output = repoint(&socket, &["status", "--check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("REPOINT CRITICAL: "));
}

#[test]
fn what_is_followed_and_watched_goes_on_until_nobody_reads() {
    let site = Site::start();
    let mut follow = site.spawn(&["history", "--follow", "--limit", "1"]);
    let mut watch = site.spawn(&["status", "--watch"]);
    let mut screens = BufReader::new(watch.stdout.take().unwrap()).lines();
    // The first screen is there before anything changes.
    assert!(screens.next().unwrap().unwrap().starts_with("repoint "));
    site.say(&["freeze", "contoso", "--for", "1h", "--reason", "now"]);
    let mut entries = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(entries.any(|line| line.unwrap().contains("freeze of route contoso set")));
    assert!(screens.any(|line| line.unwrap().contains("frozen")));
    // Both write again, find the pipe closed, and end well.
    drop((entries, screens));
    site.until("both have ended", |site| {
        site.say(&["unfreeze", "contoso"]);
        site.say(&["freeze", "contoso", "--for", "1h"]);
        let ended = (follow.try_wait().unwrap(), watch.try_wait().unwrap());
        let (Some(follow), Some(watch)) = ended else {
            return None;
        };
        assert!(follow.success() && watch.success());
        Some(())
    });
}
