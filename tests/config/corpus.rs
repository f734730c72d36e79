//! Files that are wrong, each beside the exact text that says so.
//!
//! `UPDATE_EXPECT=1 cargo test --test config` writes the expected texts anew; read the difference before you commit it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use repoint::config::{self, Rule};

/// The file's outcome as `config check` would say it.
fn outcome(path: &Path) -> String {
    let problems = match config::load(path) {
        Ok(configuration) => configuration.warnings,
        Err(problems) => problems,
    };
    let mut text = problems.render(false);
    text.push('\n');
    text
}

fn corpus() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("tests/configs")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    assert!(files.len() > 40, "the corpus is there: {files:?}");
    files
}

#[test]
fn every_wrong_file_is_told_so_in_exactly_these_words() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for path in corpus() {
        let said = outcome(&path);
        let expected = path.with_extension("txt");
        if update {
            std::fs::write(&expected, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            wrong.push(format!(
                "== {} ==\nsaid:\n{said}\nexpected:\n{expected}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_file_that_breaks_it() {
    let mut said = String::new();
    for path in corpus() {
        let text = outcome(&path);
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if let Some(rule) = Rule::ALL.iter().find(|rule| rule.as_str() == stem) {
            assert!(
                text.contains(&format!("[{rule}]")),
                "{stem} does not break its rule:\n{text}"
            );
        }
        said.push_str(&text);
    }
    // Said by `config check` alone: check_command.rs.
    let only_checked = Rule::OneNameserver.as_str();
    let silent: Vec<&str> = Rule::ALL
        .iter()
        .map(|rule| rule.as_str())
        .filter(|rule| *rule != only_checked)
        .filter(|rule| !said.contains(&format!("[{rule}]")))
        .collect();
    assert!(silent.is_empty(), "no file breaks {silent:?}");
}

#[test]
fn every_problem_says_how_to_mend_it() {
    for path in corpus() {
        let problems = match config::load(&path) {
            Ok(configuration) => configuration.warnings,
            Err(problems) => problems,
        };
        for problem in problems.iter() {
            assert!(
                problem.help.is_some(),
                "{}: {}",
                path.display(),
                problem.message
            );
            let last = problem.message.chars().last().unwrap();
            assert!(last != '.', "{}: {}", path.display(), problem.message);
        }
    }
}

#[test]
fn ten_faults_are_reported_at_once_each_at_its_line() {
    let path = Path::new("tests/configs/ten-faults.toml");
    let lines: Vec<String> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let problems = config::load(path).unwrap_err();
    let found: BTreeSet<(&str, &str)> = problems
        .errors()
        .map(|problem| (problem.rule.as_str(), lines[problem.line - 1].as_str()))
        .collect();
    let pools = "pools = [{ pool = \"edgepool1\", priority = 20 }, { pool = \"edgepool3\", priority = 10 }]";
    let expected = BTreeSet::from([
        ("canary-in-pool", "canaries = [\"192.0.2.10:53\"]"),
        ("probe-pairs", "probe = [\"10.0.0.20\"]"),
        ("priority-order", pools),
        ("unknown-pool", pools),
        ("unknown-key", "hold_dwn = \"5m\""),
        ("need-exceeds-targets", "need = 3"),
        ("nonstandard-port", "port = 5222"),
        ("bad-value", "mode = \"ordered\""),
        ("sip-mode", "mode = \"order\""),
        ("timeout-exceeds-interval", "timeout = \"20s\""),
        ("rise-below-steady", "rise = 2"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn programs_read_the_same_problems_as_people() {
    let problems = config::load(Path::new("tests/configs/sip-mode.toml")).unwrap_err();
    let json = problems.to_json();
    let first = &json[0];
    assert_eq!(first["severity"], "error");
    assert_eq!(first["rule"], "sip-mode");
    assert_eq!(first["file"], "tests/configs/sip-mode.toml");
    assert_eq!(first["line"], 33);
    assert_eq!(first["column"], 8);
    assert!(first["message"].as_str().unwrap().contains("\"order\""));
    assert!(first["help"].as_str().unwrap().contains("single"));
}

#[test]
fn colour_is_given_only_when_asked_for() {
    let problems = config::load(Path::new("tests/configs/sip-mode.toml")).unwrap_err();
    assert!(problems.render(true).contains('\u{1b}'));
    assert!(!problems.render(false).contains('\u{1b}'));
}
