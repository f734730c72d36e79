//! What needs no server: help, versions, completions, man pages, wrong usage.

use crate::site::{repoint, text};

fn alone(arguments: &[&str]) -> std::process::Output {
    repoint(std::path::Path::new("/nonexistent/control.sock"), arguments)
}

/// Every command there is, with its nouns' verbs.
const COMMANDS: &[&[&str]] = &[
    &["serve"],
    &["demo"],
    &["status"],
    &["route", "list"],
    &["route", "show"],
    &["route", "explain"],
    &["pool", "list"],
    &["pool", "show"],
    &["pool", "drain"],
    &["pool", "undrain"],
    &["target", "list"],
    &["target", "show"],
    &["target", "drain"],
    &["target", "undrain"],
    &["pin"],
    &["unpin"],
    &["freeze"],
    &["unfreeze"],
    &["failover"],
    &["failback"],
    &["probe"],
    &["history"],
    &["zone", "list"],
    &["zone", "show"],
    &["zone", "diff"],
    &["config", "check"],
    &["config", "example"],
    &["config", "reload"],
    &["state", "backup"],
    &["state", "restore"],
    &["acme", "set"],
    &["acme", "clear"],
    &["acme", "list"],
    &["state", "accept"],
    &["completions"],
    &["man"],
];

#[test]
fn every_command_explains_itself() {
    for command in COMMANDS {
        let output = alone(&[command, &["--help"][..]].concat());
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
        assert!(said.contains("Usage: repoint "), "{command:?}: {said}");
        assert!(
            said.lines().all(|line| line.chars().count() <= 100),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn commands_that_change_something_give_an_example() {
    for command in COMMANDS {
        let said = text(&alone(&[command, &["--help"][..]].concat()).stdout);
        if said.contains("--dry-run") {
            assert!(said.contains("Example"), "{command:?}: {said}");
            assert!(said.contains("--reason"), "{command:?}: {said}");
        }
    }
}

#[test]
fn the_reference_has_every_command() {
    let reference = std::fs::read_to_string("docs/commands.md").unwrap();
    for command in COMMANDS {
        let (noun, verb) = (command[0], command.last().unwrap());
        let named = reference.contains(&format!("`repoint {noun}"))
            || reference.contains(&format!("`{noun} "))
            || reference.contains(&format!("{noun} list|"));
        assert!(
            named && reference.contains(verb),
            "{command:?} is not in docs/commands.md"
        );
    }
}

#[test]
fn wrong_usage_exits_with_2_and_asks_nobody() {
    for arguments in [
        &["pim"][..],
        &["pin"],
        &["status", "--chek"],
        &["route"],
        &[],
    ] {
        let output = alone(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn completions_and_man_pages_come_from_the_same_definition() {
    for shell in ["bash", "zsh", "fish"] {
        let output = alone(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        let said = text(&output.stdout);
        assert!(
            said.contains("COMPLETE") && said.contains("repoint"),
            "{said}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let output = alone(&["man", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for page in [
        "man1/repoint.1",
        "man1/repoint-pin.1",
        "man1/repoint-pool-drain.1",
        "man5/repoint.toml.5",
    ] {
        let text = std::fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(text.contains(".SH"), "{page}");
    }
    let nowhere = alone(&["man", "/nonexistent"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).starts_with("cannot write man pages into /nonexistent: "));
}
