//! Every command that a message tells the reader to type is one that the command line takes.
//!
//! The texts are found in the sources: a message that no test brings about is read all the same.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use super::Cli;

/// What a placeholder may stand for.
const SAMPLES: [&str; 5] = ["contoso", "contoso.com", "12345", "2h", ""];

fn sources(directory: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// The string literals of a source, without escapes and without what a line end inside leaves.
fn literals(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\'' => {
                // A character, or a lifetime.
                let one = chars.next();
                if one == Some('\\') {
                    chars.next();
                }
                if chars.peek() == Some(&'\'') {
                    chars.next();
                }
            }
            '"' => {
                let mut literal = String::new();
                while let Some(char) = chars.next() {
                    match char {
                        '"' => break,
                        '\\' => match chars.next() {
                            Some('\n') => {
                                while chars.peek().is_some_and(|c| c.is_whitespace()) {
                                    chars.next();
                                }
                            }
                            Some('n') => literal.push('\n'),
                            Some(other) => literal.push(other),
                            None => {}
                        },
                        other => literal.push(other),
                    }
                }
                all.push(literal);
            }
            _ => {}
        }
    }
    all
}

/// The commands in a text: from `repoint` and one of its nouns or verbs to the end of the clause.
fn commands(text: &str, nouns: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("repoint ") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|char| char.is_alphanumeric() || "/-._".contains(char)) {
            continue;
        }
        let rest = &text[at..];
        let ends = ["`", "\n", ";", ", ", " (", ": ", " → ", ". ", ")"];
        let end = ends.iter().filter_map(|end| rest.find(end)).min();
        let command = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ':', ',']);
        let first = command.split_whitespace().nth(1).unwrap_or_default();
        if before == Some('`') || nouns.iter().any(|noun| noun == first) {
            all.push(command.to_owned());
        }
    }
    all
}

/// Words as a shell has them; every placeholder stands for the sample.
fn words(command: &str, sample: &str) -> Vec<String> {
    let mut text = String::new();
    let mut depth = 0;
    for char in command.chars() {
        match char {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                text.push_str(sample);
            }
            _ if depth > 0 => {}
            other => text.push(other),
        }
    }
    let mut words = Vec::new();
    for (number, part) in text.split(['"', '\'']).enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Whether it can be typed; prose may follow, but no option and nothing that stands for a name.
fn is_taken(command: &str) -> bool {
    SAMPLES.iter().any(|sample| {
        let marked = words(command, "{}");
        let words = words(command, sample);
        (2..=words.len()).rev().any(|length| {
            let typed = &words[..length];
            let rest = marked.get(length..).unwrap_or_default();
            let prose = rest
                .iter()
                .all(|word| !word.starts_with('-') && !word.contains("{}"));
            let taken = match Cli::try_parse_from(typed) {
                Ok(_) => true,
                Err(error) => error.kind() == clap::error::ErrorKind::DisplayVersion,
            };
            prose && taken
        })
    })
}

#[test]
fn every_command_in_a_message_is_one_that_can_be_typed() {
    let nouns: Vec<String> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let (mut seen, mut wrong) = (0, Vec::new());
    // This file has wrong ones.
    for file in files.iter().filter(|file| !file.ends_with("remedies.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for command in literals(&text)
            .iter()
            .flat_map(|text| commands(text, &nouns))
        {
            seen += 1;
            if !is_taken(&command) {
                wrong.push(format!("{}: {command}", file.display()));
            }
        }
    }
    assert!(seen > 60, "only {seen} commands were found");
    assert!(wrong.is_empty(), "cannot be typed:\n{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_is_found() {
    for wrong in [
        "repoint pool undrian {pool}",
        "repoint failover {route} --too {pool}",
        "repoint pin contoso",
        "repoint route",
        "repoint status {route} says it",
    ] {
        assert!(!is_taken(wrong), "{wrong}");
    }
    assert!(is_taken(
        "repoint pool drain {pool} --for 2h --reason \"SR-1234: firmware\""
    ));
}

#[test]
fn every_command_that_is_offered_without_a_store_takes_volatile() {
    for command in [
        "repoint unpin contoso",
        "repoint pin contoso edgepool1 --for 2h",
        "repoint pool drain edgepool1 --for 2h",
        "repoint pool undrain edgepool1",
        "repoint target undrain edge1.contoso.com",
        "repoint freeze --for 2h",
        "repoint unfreeze contoso",
        "repoint failover contoso --to edgepool1",
        "repoint failback contoso",
        "repoint state accept",
        "repoint config reload",
    ] {
        assert!(is_taken(&format!("{command} --volatile")), "{command}");
    }
}
