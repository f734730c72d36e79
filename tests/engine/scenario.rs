//! Stories: `tests/scenarios/*.txt`, commands in an operator's words, and what came of them.
//!
//! In: blocks of commands up to `----`. Out: the transitions, decisions, answers, alarms and replies they led to,
//! compared with what the file says; `UPDATE_EXPECT=1` rewrites it (read the difference before it is committed),
//! `SCENARIO=word` runs only files whose name contains the word. Never here: judging; a story is right when its
//! reader, with the design at hand, says so.
//!
//! ```text
//! # What the story shows.
//!
//! config failback=auto hold_down=2m        words of setup.rs; `config + key=value` changes single ones
//! start
//! wait 30s
//! ----
//! t=3s     contoso: edgepool1 active: first start: the preferred order
//! ```

mod arrange;
mod foretold;
mod look;
mod operate;
mod tell;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use repoint::zone::Serial;

use self::tell::Seen;
use crate::setup::Words;
use crate::world::World;

#[test]
fn every_story_goes_as_it_is_told() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut wrong = String::new();
    let mut told = 0;
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".txt") || !name.contains(&only) {
            continue;
        }
        told += 1;
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# "),
            "{name} does not open with a comment that says what it shows"
        );
        let outcome = tell(&text);
        if outcome == text {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, outcome).unwrap();
        } else {
            write!(wrong, "\n{name}:\n{}", difference(&text, &outcome)).unwrap();
        }
    }
    assert!(told > 0, "no story was told");
    assert!(
        wrong.is_empty(),
        "{wrong}\nlines with - were expected, lines with + came; UPDATE_EXPECT=1 rewrites the files"
    );
}

/// Runs the story and returns the file with the output that came.
fn tell(text: &str) -> String {
    let mut story = Story::new();
    let mut out = String::new();
    let mut skipping = false;
    let mut pending = Vec::new();
    for raw in text.lines() {
        if skipping {
            if raw.is_empty() {
                skipping = false;
                out.push('\n');
            }
            continue;
        }
        out.push_str(raw);
        out.push('\n');
        if raw == "----" {
            for command in pending.drain(..) {
                story.command(command);
            }
            for line in story.lines.drain(..) {
                out.push_str(&line);
                out.push('\n');
            }
            skipping = true;
        } else if !raw.is_empty() && !raw.starts_with('#') {
            pending.push(raw);
        }
    }
    assert!(pending.is_empty(), "the last block has no ----");
    out
}

/// The lines that differ, each with two before and after it.
fn difference(expected: &str, came: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), came.lines().collect());
    // Longest common subsequence; stories are short.
    let mut table = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut all: Vec<(char, &str)> = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            all.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && table[i + 1][j] >= table[i][j + 1]) {
            all.push(('-', a[i]));
            i += 1;
        } else {
            all.push(('+', b[j]));
            j += 1;
        }
    }
    let near = |at: usize| {
        let window = at.saturating_sub(3)..(at + 4).min(all.len());
        all[window].iter().any(|(sign, _)| *sign != ' ')
    };
    let mut out = String::new();
    for (at, (sign, line)) in all.iter().enumerate() {
        if near(at) {
            writeln!(out, "  {sign} {line}").unwrap();
        }
    }
    out
}

/// One story being told.
struct Story {
    world: Option<World>,
    words: Words,
    lines: Vec<String>,
    seen: Seen,
    entries_told: usize,
    /// The serial that a secondary was found to have.
    ahead: Option<Serial>,
}

impl Story {
    fn new() -> Story {
        Story {
            world: None,
            words: Words::default(),
            lines: Vec::new(),
            seen: Seen::default(),
            entries_told: 0,
            ahead: None,
        }
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("`config` comes first")
    }

    fn say(&mut self, text: impl AsRef<str>) {
        let elapsed = self.world().elapsed().as_secs();
        let time = humantime::format_duration(Duration::from_secs(elapsed)).to_string();
        let time = time
            .replace("days", "d")
            .replace("day", "d")
            .replace(' ', "");
        self.lines
            .push(format!("{:<12}{}", format!("t={time}"), text.as_ref()));
    }

    fn command(&mut self, text: &str) {
        let words = split(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if self.arrange(&words).is_none() && self.operate(&words).is_none() {
            panic!("{text:?} is not a command of the stories");
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.world().elapsed() + time;
        while let Some(happened) = self.world().step(until) {
            self.tell(happened);
        }
    }
}

/// Words, with quotes around those that have spaces.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a quote ends"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}
