//! The records for the zones above, in each arrangement, and that other software reads them.
//! `UPDATE_EXPECT=1` rewrites the files in `tests/golden/delegation/`.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::configs;
use crate::world::tool::tool;

fn show(config: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("repoint.toml");
    std::fs::write(&file, config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_repoint"))
        .args(["delegation", "show", "--config"])
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(config: &str, arguments: &[&str]) -> String {
    let output = show(config, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/delegation")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs (UPDATE_EXPECT=1 rewrites it); now:\n{text}",
        path.display()
    );
}

/// The records in a zone for `origin` that has nothing else, as BIND reads it.
fn is_read_by_bind(origin: &str, records: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zone");
    let head = format!(
        "{origin}. 3600 IN SOA ns.example.net. hostmaster.example.net. 1 60 30 604800 30\n\
         {origin}. 3600 IN NS ns.example.net.\n"
    );
    std::fs::write(&file, format!("{head}{records}")).unwrap();
    let checked = tool("named-checkzone")
        .args(["-i", "local", origin])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}\n{records}");
    let harmless = |line: &&str| line.contains("loaded serial") || *line == "OK";
    let complaints: Vec<&str> = said.lines().filter(|line| !harmless(line)).collect();
    assert!(complaints.is_empty(), "{said}\n{records}");
}

#[test]
fn each_arrangement_has_its_records() {
    for (name, config) in [
        ("show-a", configs::owners()),
        ("show-b", configs::service_tree()),
        ("show-c", configs::child()),
    ] {
        let shown = text(&config, &["contoso"]);
        is_read_by_bind("contoso.com", &shown);
        golden(name, &shown);
    }
    let whole = text(&configs::whole(), &[]);
    is_read_by_bind("com", &whole);
    golden("show-whole", &whole);
}

#[test]
fn another_arrangement_can_be_thought_of() {
    for option in ["A", "B", "C", "D"] {
        let shown = text(&configs::owners(), &["contoso", "--option", option]);
        is_read_by_bind("contoso.com", &shown);
        golden(&format!("option-{}", option.to_lowercase()), &shown);
    }
    assert_eq!(
        text(&configs::owners(), &["contoso", "--option", "A"]),
        text(&configs::owners(), &["contoso"])
    );
}

#[test]
fn one_zone_can_be_asked_for() {
    let shown = text(&configs::owners(), &["xmpp.contoso.com"]);
    assert!(shown.contains("xmpp.contoso.com.\t3600\tIN\tNS\tns1.example.net."));
    assert!(!shown.contains("_xmpp-server"), "{shown}");
}

#[test]
fn a_name_that_is_not_there_is_refused_with_what_is_near() {
    let output = show(&configs::owners(), &["contso"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("near are contoso"), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
}

#[test]
fn thousands_of_domains_have_one_set_of_steps_and_a_block_each() {
    let shown = text(&configs::many(3000), &[]);
    let steps = shown
        .lines()
        .filter(|line| line.starts_with("; 1. "))
        .count();
    assert_eq!(steps, 1);
    let records = shown.lines().filter(|line| line.contains("\tIN\t")).count();
    assert_eq!(records, 3000 * 5);
    is_read_by_bind("example", &shown);

    let json = show(&configs::many(3000), &["--json"]).stdout;
    let blocks: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(blocks.as_array().unwrap().len(), 3000);
    let first = &blocks[0];
    assert_eq!(first["arrangement"], "A");
    assert_eq!(first["records"][0]["step"], "delegate");
    assert_eq!(first["records"][0]["type"], "NS");
}
