//! What all changing commands share: who, why and how, and the answer once the change is served.
//!
//! In: the options of a change; what the server did. Out: the query of the request; generation, new order, warnings.

use std::process::ExitCode;

use super::client::{Reply, segment};
use super::failure::{Failure, lifetime_missing};
use super::paint::{Paint, Tone};
use super::session::Session;
use crate::control::{How, lifetime};
use crate::decide::Decision;
use crate::engine::{Done, Lifetime, RouteChange};

/// Who, why and how.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ChangeOptions {
    /// Why: kept in history and shown wherever the change shows
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the decision and the zone diff it would lead to; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept that the change is lost at restart if the store cannot commit it
    #[arg(long)]
    volatile: bool,
    /// On whose behalf; your own user name is kept as well
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

/// How long an override lasts.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LifetimeOption {
    /// How long: 30m, 2h, 3d … or forever (alarms daily). Required
    #[arg(long = "for", value_name = "TIME", value_parser = lifetime::parse)]
    lifetime: Option<Lifetime>,
}

impl LifetimeOption {
    /// The lifetime, or the help that a command without one deserves.
    pub(super) fn required(&self, what: &str, command: &str) -> Result<Lifetime, Failure> {
        self.lifetime.ok_or_else(|| lifetime_missing(what, command))
    }
}

impl ChangeOptions {
    /// Whether nothing is to be changed.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The path with who, why and how in its query.
    pub(super) fn on(&self, path: &str) -> String {
        let how = How {
            reason: self.reason.clone(),
            author: self.author.clone(),
            dry_run: self.dry_run,
            volatile: self.volatile,
        };
        let mut pairs = Vec::new();
        let mut pair = |key: &str, value: &str| pairs.push(format!("{key}={}", segment(value)));
        if let Some(reason) = &how.reason {
            pair("reason", reason);
        }
        if let Some(author) = &how.author {
            pair("author", author);
        }
        if how.dry_run {
            pair("dry_run", "true");
        }
        if how.volatile {
            pair("volatile", "true");
        }
        match pairs.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", pairs.join("&")),
        }
    }
}

/// Prints what the server did.
pub(super) fn done(session: &Session, reply: &Reply) -> Result<ExitCode, Failure> {
    session.answer::<Done>(reply, screen)
}

pub(super) fn screen(done: &Done, paint: Paint) -> String {
    let zones = match done.zones {
        1 => "1 zone".to_owned(),
        zones => format!("{zones} zones"),
    };
    let generation = done.generation;
    let mut out = match (done.dry_run, done.changes.is_empty(), done.zones) {
        (true, true, 0) => "dry run: no answer would change; nothing was done\n".to_owned(),
        (true, true, _) => format!("dry run: {zones} would change; nothing was done\n"),
        (true, false, _) => "dry run: these answers would change; nothing was done\n".to_owned(),
        (false, true, 0) => {
            format!("done; no answer changed, generation {generation} stays served\n")
        }
        (false, true, _) => format!("done; generation {generation} is served, {zones} changed\n"),
        (false, false, _) => format!("done; generation {generation} is served\n"),
    };
    for sentence in &done.configuration {
        out.push_str(&format!("  {sentence}\n"));
    }
    let width = done.changes.iter().map(|c| c.route.as_str().len()).max();
    for change in &done.changes {
        out.push_str(&change_lines(change, width.unwrap_or(0)));
    }
    for warning in &done.warnings {
        out.push_str(&format!(
            "{}: {warning}\n",
            paint.tone(Tone::Doubtful, "note")
        ));
    }
    if done.volatile {
        let note = "it is not stored: lost when the server restarts";
        out.push_str(&format!("{}: {note}\n", paint.tone(Tone::Bad, "volatile")));
    }
    if !done.zone_diff.is_empty() {
        out.push('\n');
        out.push_str(&summary(&done.zone_diff).unwrap_or_else(|| diff(&done.zone_diff, paint)));
    }
    out
}

/// A route with its new order, and the one before below it.
fn change_lines(change: &RouteChange, width: usize) -> String {
    let route = format!("{:<width$}", change.route.as_str());
    let blank = " ".repeat(width);
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if order(before) == order(after) => {
            format!("  {route}  {}  (same order, other records)\n", order(after))
        }
        (Some(before), Some(after)) => {
            format!(
                "  {route}  {}\n  {blank}  before: {}\n",
                order(after),
                order(before)
            )
        }
        (None, Some(after)) => format!("  {route}  {}  (new)\n", order(after)),
        (Some(_), None) => format!("  {route}  removed\n"),
        (None, None) => String::new(),
    }
}

fn order(decision: &Decision) -> String {
    let pools = decision.order.iter().enumerate();
    let places: Vec<String> = pools
        .map(|(at, pool)| format!("{}. {pool}", at + 1))
        .collect();
    places.join(", ")
}

/// The longest zone diff that is printed whole.
const WHOLE: usize = 200;
/// Lines shown of a longer one.
const EXAMPLES: usize = 10;

/// Totals and a few examples of a long zone diff; none of one that is printed whole.
fn summary(text: &str) -> Option<String> {
    if text.lines().count() <= WHOLE {
        return None;
    }
    let (mut new, mut gone, mut changed) = (0, 0, 0);
    let (mut added, mut removed) = (0, 0);
    let mut examples: Vec<&str> = Vec::new();
    for line in text.lines() {
        let count = match line.as_bytes() {
            [b'+', ..] => &mut added,
            [b'-', ..] => &mut removed,
            _ if line.ends_with(" is new") => &mut new,
            _ if line.ends_with(" is gone") => &mut gone,
            _ => &mut changed,
        };
        *count += 1;
        // What a zone has of its own changes with every version.
        let own = ["SOA", "RRSIG", "NSEC"].iter().any(|rtype| {
            let mut fields = line.split('\t');
            fields.any(|field| field == *rtype)
        });
        let heads = changed > 0
            && line.starts_with("; zone")
            && !line.ends_with(" is new")
            && !line.ends_with(" is gone");
        if !own && !heads && examples.len() < EXAMPLES {
            examples.push(line);
        }
    }
    let mut out = format!(
        "{new} zones are new, {gone} are gone, {changed} change: {added} records added, {removed} removed; the first {}:\n",
        examples.len()
    );
    for line in examples {
        out.push_str(&format!("{line}\n"));
    }
    out.push_str("--json has all of them\n");
    Some(out)
}

/// A zone diff with its lines in colour.
pub(super) fn diff(text: &str, paint: Paint) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'-') => Tone::Bad,
            Some(b'+') => Tone::Good,
            _ => Tone::Plain,
        };
        out.push_str(&paint.tone(tone, line));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dry_run_of_thousands_of_names_is_totals_and_ten_examples() {
        let mut text =
            "; zone fed.example.net.\n- fed.example.net.\t300\tIN\tSOA\tns1. h. 1 2 3 4 5\n"
                .to_owned();
        for n in 0..10_000 {
            text.push_str(&format!(
                "- c{n}.fed.example.net.\t30\tIN\tSRV\t10 0 5269 a.example.\n"
            ));
        }
        for n in 0..20 {
            text.push_str(&format!(
                "; zone _xmpp-server._tcp.new{n}.example. is new\n"
            ));
        }
        let said = summary(&text).unwrap();
        assert!(
            said.starts_with(
                "20 zones are new, 0 are gone, 1 change: 0 records added, 10001 removed"
            ),
            "{said}"
        );
        assert_eq!(said.lines().count(), 12, "{said}");
        assert!(said.contains("- c9.fed.example.net."), "{said}");
        assert_eq!(summary("; zone a. is new\n"), None);
    }
}
