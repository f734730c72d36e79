//! `repoint history`: what happened, as a log reads.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use super::client::segment;
use super::complete;
use super::failure::{Failure, Fault};
use super::moment::{now, parse_since};
use super::paint::{Paint, Tone, hang};
use super::session::Session;
use super::status::quoted;
use crate::clock::Wall;
use crate::engine::{Entry, EntryKind};

/// Time between two looks of `--follow`.
const FOLLOW: Duration = Duration::from_secs(1);
/// `--follow` looks back so far each time: entries reach the disk a little after they happened.
const OVERLAP_MS: i64 = 60_000;

/// Show what happened: switches, overrides, verdicts, alarms. The newest comes last.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  repoint history contoso --since 2h\n  repoint history --since 2026-11-20T00:00:00Z --limit 1000"
)]
pub(super) struct History {
    /// Only this route, and what is about all routes
    #[arg(add = complete::routes())]
    route: Option<String>,
    /// Not before: 2h (so long ago), or 2026-11-20T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Go on printing what happens
    #[arg(long)]
    follow: bool,
}

impl History {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let since = match &self.since {
            Some(text) => Some(parse_since(text, now()).map_err(|why| {
                Failure::Usage(Fault {
                    what: "cannot show history".into(),
                    why,
                    in_force: String::new(),
                    hint: Some("repoint history --since 2h".into()),
                })
            })?),
            None => None,
        };
        let reply = session.client.get(&self.path(since, self.limit))?;
        if !self.follow {
            return session.answer::<Vec<Entry>>(&reply, |entries, paint| list(entries, paint));
        }
        let mut entries: Vec<Entry> = session.client.read(&reply)?;
        let mut shown: BTreeSet<String> = BTreeSet::new();
        let mut newest = now();
        loop {
            for entry in &entries {
                // An entry has no number of its own; as text it is told from all others.
                let text = serde_json::to_string(entry).unwrap_or_default();
                if !shown.insert(text.clone()) {
                    continue;
                }
                newest = newest.max(entry.at);
                let read = match session.json {
                    true => session.print(&format!("{text}\n")),
                    false => session.print(&line(entry, 0, session.paint)),
                };
                if !read {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            std::thread::sleep(FOLLOW);
            let from = Wall::from_millis(newest.as_millis() - OVERLAP_MS);
            let reply = session.client.get(&self.path(Some(from), 10_000))?;
            entries = session.client.read(&reply)?;
        }
    }

    fn path(&self, since: Option<Wall>, limit: usize) -> String {
        let mut path = format!("/v1/history?limit={limit}");
        if let Some(route) = &self.route {
            path.push_str(&format!("&route={}", segment(route)));
        }
        if let Some(since) = since {
            path.push_str(&format!("&since={}", since.as_millis()));
        }
        path
    }
}

/// Entries, oldest first.
pub(super) fn list(entries: &[Entry], paint: Paint) -> String {
    if entries.is_empty() {
        return "nothing happened\n".into();
    }
    let subject = |entry: &Entry| entry.route.as_ref().map_or(1, |r| r.as_str().len());
    let width = entries.iter().map(subject).max().unwrap_or(0);
    entries
        .iter()
        .map(|entry| line(entry, width, paint))
        .collect()
}

fn line(entry: &Entry, width: usize, paint: Paint) -> String {
    let route = entry.route.as_ref().map_or("-", |route| route.as_str());
    let first = format!(
        "{}  {:>5}  {route:<width$}  {:<13} ",
        entry.at,
        format!("#{}", entry.generation),
        kind(entry.kind)
    );
    let author = match &entry.author {
        // Some texts name their author already.
        Some(author) if !entry.text.contains(&format!("by {author}")) => format!(" by {author}"),
        _ => String::new(),
    };
    let why = match &entry.why {
        Some(why) if !entry.text.contains(why.as_str()) => format!(": {}", quoted(Some(why))),
        _ => String::new(),
    };
    // The kind is in its own column.
    let text = entry.text.strip_prefix("alarm ").unwrap_or(&entry.text);
    let lines = hang(&first, &format!("{text}{author}{why}"));
    let tone = match entry.kind {
        EntryKind::Switch => Tone::Heading,
        EntryKind::Latch | EntryKind::WouldSwitch => Tone::Doubtful,
        EntryKind::Verdict | EntryKind::Reorder => Tone::Quiet,
        _ => Tone::Plain,
    };
    format!("{}\n", paint.tone(tone, lines.trim_end()))
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Start => "start",
        EntryKind::Switch => "switch",
        EntryKind::Reorder => "reorder",
        EntryKind::WouldSwitch => "would switch",
        EntryKind::Override => "override",
        EntryKind::Latch => "latch",
        EntryKind::Verdict => "verdict",
        EntryKind::Keys => "keys",
        EntryKind::Alarm => "alarm",
        EntryKind::Configuration => "configuration",
        EntryKind::Inbound => "inbound",
        EntryKind::Challenge => "challenge",
    }
}
