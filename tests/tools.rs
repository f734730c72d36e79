//! No test starts a foreign program that `scripts/test packages` does not install.
#![allow(clippy::unwrap_used)]

#[path = "world/tool.rs"]
mod tool;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where programs are started that an operator names.
const PRODUCT: &[&str] = &["src/shell/"];

/// A program of ours may be started anywhere.
const OURS: &str = "env!(\"CARGO_BIN_EXE_repoint\")";

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in ["src", "tests", "benches"] {
        collect(&top.join(directory), &mut found);
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(top).unwrap().to_owned(), text)
    };
    found.into_iter().map(read).collect()
}

/// What stands behind each `before` in a text, if it is a word of its own.
fn behind<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(before).filter_map(move |(at, _)| {
        let whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_.".contains(c));
        whole.then(|| text[at + before.len()..].trim_start())
    })
}

/// Whether the text starts a program by other means than the table.
fn goes_around_the_table(text: &str) -> bool {
    let starts = ["Command::new(", "Command::from("].map(|start| behind(text, start));
    let renamed = behind(text, "Command as ").next().is_some();
    renamed
        || starts
            .into_iter()
            .flatten()
            .any(|program| !program.starts_with(OURS))
}

#[test]
fn a_test_starts_foreign_programs_only_through_the_table() {
    let start = "Command::new";
    assert!(goes_around_the_table(&format!(
        "let c = {start}(\"kdig\");"
    )));
    assert!(goes_around_the_table(&format!(
        "process::{start}(\n  name)"
    )));
    assert!(goes_around_the_table(
        "use std::process::Command as Foreign;"
    ));
    assert!(!goes_around_the_table(&format!("{start}(\n    {OURS})")));
    assert!(!goes_around_the_table(&format!("Alarm{start}(&settings)")));

    let around: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|(path, _)| {
            *path != Path::new("tests/world/tool.rs") && *path != Path::new(file!())
        })
        .filter(|(path, _)| !PRODUCT.iter().any(|place| path.starts_with(place)))
        .filter(|(_, text)| goes_around_the_table(text))
        .map(|(path, _)| path)
        .collect();
    assert!(
        around.is_empty(),
        "start foreign programs with tool(\"name\") of tests/world/tool.rs, not here: {around:?}"
    );
}

#[test]
fn every_program_that_a_test_names_is_in_the_table() {
    let known: BTreeSet<&str> = tool::table().map(|tool| tool.command).collect();
    let mut unknown = Vec::new();
    let of_tests = |path: &Path| path.starts_with("tests") && path != Path::new(file!());
    for (path, text) in sources().iter().filter(|(path, _)| of_tests(path)) {
        for call in [
            "tool(\"",
            "find(\"",
            "copy_of(\"",
            "run(\"",
            "start_installed(\"",
        ] {
            let names = behind(text, call).filter_map(|rest| rest.split('"').next());
            let strange = names.filter(|name| !known.contains(name));
            unknown.extend(strange.map(|name| format!("{}: {name}", path.display())));
        }
    }
    assert!(unknown.is_empty(), "not in scripts/tools: {unknown:#?}");
}

#[test]
#[should_panic(expected = "no line of scripts/tools has true")]
fn a_program_that_is_not_in_the_table_is_not_started() {
    tool::tool("true");
}

#[test]
fn each_line_of_the_table_is_proved_by_running_a_program() {
    let mut proofs = BTreeSet::new();
    for tool in tool::table() {
        assert!(proofs.insert(tool.proof), "twice: {tool:?}");
        let word = tool.command.trim_start_matches("/usr/bin/");
        assert!(tool.proof.contains(word), "proved by another one: {tool:?}");
        let looked_for = ["command -v", "which ", "test -e", "test -x"];
        assert!(
            !looked_for.iter().any(|test| tool.proof.starts_with(test)),
            "only looked for: {tool:?}"
        );
    }
}
