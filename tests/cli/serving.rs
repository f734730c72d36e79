//! `serve`, reloading, backup and restore.

use nix::sys::signal::Signal;

use crate::site::Site;

#[test]
fn a_reload_is_all_or_nothing_and_dry_when_asked() {
    let site = Site::start();
    site.write_configuration("ttl = \"60s\"");
    let dry = site.say(&["config", "reload", "--dry-run"]);
    assert!(dry.contains("dry run"), "{dry}");
    assert!(dry.contains("\t60\tIN\tSRV\t"), "{dry}");
    assert_eq!(
        site.json(&["route", "show", "contoso"])["route"]["decision"]["ttl"],
        30
    );
    let said = site.say(&["config", "reload", "--reason", "slower"]);
    assert!(said.contains("is served"), "{said}");
    assert_eq!(
        site.json(&["route", "show", "contoso"])["route"]["decision"]["ttl"],
        60
    );

    site.write_configuration("ttl = \"60s\"\nhold_up = \"1m\"\nfailover = \"perhaps\"");
    let refused = site.fails(1, &["config", "reload"]);
    assert!(refused.contains("hold_up"), "{refused}");
    assert!(refused.contains("perhaps"), "{refused}");
    assert!(refused.contains("stays in force"), "{refused}");
    assert_eq!(site.answered_pool(), "edgepool1");
    let alarms = site.json(&["status"])["alarms"].clone();
    let kinds: Vec<_> = alarms
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["kind"].clone())
        .collect();
    assert!(
        kinds.iter().any(|kind| kind == "config-rejected"),
        "{kinds:?}"
    );
}

#[test]
fn a_reload_that_removes_the_active_pool_wants_to_be_meant() {
    let site = Site::start();
    let text = std::fs::read_to_string(site.configuration()).unwrap();
    let text = text.replace(
        "pools = [\"edgepool1\", \"edgepool2\"]",
        "pools = [\"edgepool2\"]",
    );
    std::fs::write(site.configuration(), text).unwrap();
    let refused = site.fails(1, &["config", "reload"]);
    assert!(refused.contains("edgepool1"), "{refused}");
    assert!(refused.contains("--allow-removal"), "{refused}");
    assert_eq!(site.answered_pool(), "edgepool1");
    site.say(&["config", "reload", "--allow-removal"]);
    assert_eq!(site.answered_pool(), "edgepool2");
}

#[test]
fn a_hangup_reloads_and_a_terminate_ends_cleanly() {
    let mut site = Site::start();
    site.write_configuration("ttl = \"45s\"");
    site.signal(Signal::SIGHUP);
    site.until("the new TTL is in force", |site| {
        let route = site.json(&["route", "show", "contoso"]);
        (route["route"]["decision"]["ttl"] == 45).then_some(())
    });
    assert_eq!(site.stop(), Some(0));
    assert!(!site.path("control.sock").exists());
}

#[test]
fn a_start_with_a_broken_file_serves_what_was_accepted() {
    let mut site = Site::start();
    assert_eq!(site.stop(), Some(0));
    std::fs::write(site.configuration(), "version = ").unwrap();
    site.serve();
    let alarm = site.until("the alarm stands", |site| {
        let output = site.run(&["status", "--json"]);
        let view: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let alarms = view["alarms"].as_array()?.clone();
        alarms
            .into_iter()
            .find(|alarm| alarm["kind"] == "config-rejected")
    });
    assert!(
        alarm["text"].as_str().is_some_and(|text| !text.is_empty()),
        "{alarm}"
    );
    assert_eq!(site.answered_pool(), "edgepool1");
}

#[test]
fn a_backup_is_restored_and_waits_to_be_accepted() {
    let mut site = Site::start();
    site.say(&["pin", "contoso", "edgepool2", "--for", "forever"]);
    let copy = site.path("copy.db");
    let copy = copy.to_str().unwrap();
    let said = site.say(&["state", "backup", copy]);
    assert!(said.contains("has the copy"), "{said}");
    let again = site.fails(1, &["state", "backup", copy]);
    assert!(again.contains("it is there already"), "{again}");
    site.say(&["unpin", "contoso"]);
    site.say(&["failback", "contoso"]);
    assert_eq!(site.answered_pool(), "edgepool1");

    let file = site.configuration();
    let restore = ["state", "restore", copy, "--config", file.to_str().unwrap()];
    let running = site.fails(1, &restore);
    assert!(running.contains("state"), "{running}");
    assert_eq!(site.stop(), Some(0));
    let said = site.say(&restore);
    assert!(said.contains("state accept"), "{said}");
    site.serve();
    assert_eq!(site.answered_pool(), "edgepool2");
    assert_eq!(site.json(&["status"])["overrides"][0]["pool"], "edgepool2");
    assert!(site.say(&["status"]).contains("state-doubtful"));
    site.say(&["state", "accept"]);
    assert!(!site.say(&["status"]).contains("state-doubtful"));
}

#[test]
fn a_second_server_does_not_take_the_first_one_s_place() {
    let site = Site::start();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["serve", "--config"])
        .arg(site.configuration())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("state"), "{said}");
    assert_eq!(site.answered_pool(), "edgepool1");
    site.say(&["status"]);
}
