//! `check` tables: one layer of settings of a check.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::topology::{Accept, CertificatePolicy, Depth};

use super::super::draft::CheckDraft;
use super::super::problem::{At, ConfigProblems, Rule};
use super::super::suggest::quoted;
use super::super::table::Table;
use super::super::value::Value;
use super::path;

/// Shorter than this is no pace a network answers at, and would keep the prober busy with nothing else.
const SHORTEST: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// Was a word of `accept`: it made a pool up whose TLS no partner could use.
const NO_LONGER_ACCEPTED: &str = "tls-unsupported";

pub(super) fn read(mut table: Table<'_>, base: &Path, problems: &mut ConfigProblems) -> CheckDraft {
    let depths = Depth::ALL.map(|depth| (depth.as_str(), depth));
    let policies = [
        ("require", CertificatePolicy::Require),
        ("warn", CertificatePolicy::Warn),
        ("ignore", CertificatePolicy::Ignore),
    ];
    let duration = |table: &mut Table<'_>, key, from, to, problems: &mut ConfigProblems| {
        let value: Option<Value<'_>> = table.get(key);
        value.and_then(|v| v.duration(from..=to, problems))
    };
    let draft = CheckDraft {
        depth: table.get("depth").and_then(|v| v.choice(&depths, problems)),
        interval: duration(&mut table, "interval", SHORTEST, DAY, problems),
        retry: duration(&mut table, "retry", SHORTEST, HOUR, problems),
        timeout: duration(&mut table, "timeout", SHORTEST, HOUR, problems),
        fall: table
            .get("fall")
            .and_then(|v| v.integer(1..=1000, problems)),
        min_fault: duration(&mut table, "min_fault", Duration::ZERO, HOUR, problems),
        rise: table
            .get("rise")
            .and_then(|v| v.integer(1..=1000, problems)),
        steady: table
            .get("steady")
            .and_then(|v| v.integer(1..=1000, problems)),
        certificate: table
            .get("certificate")
            .and_then(|v| v.choice(&policies, problems)),
        ca: table.get("ca").and_then(|v| path(&v, base, problems)),
        from: table.get("from").and_then(|v| {
            v.parsed(
                "a domain name like \"probe.example.net\"",
                str::parse,
                problems,
            )
        }),
        accept: table.get("accept").map(|v| accept(&v, problems)),
    };
    table.finish(problems);
    draft
}

fn accept(value: &Value<'_>, problems: &mut ConfigProblems) -> At<BTreeSet<Accept>> {
    let words = Accept::ALL.map(|accept| (accept.as_str(), accept));
    let wanted = format!(
        "a list of {}",
        quoted(words.iter().map(|(word, _)| *word), "and")
    );
    let words: Vec<_> = words
        .into_iter()
        .map(|(word, accept)| (word, Some(accept)))
        .collect();
    let list = value.list_of(&wanted, problems, |item, p| {
        if item.text(&wanted, p)?.value == NO_LONGER_ACCEPTED {
            return Some(without_effect(item, p));
        }
        item.choice(&words, p)
    });
    At {
        value: list
            .items
            .into_iter()
            .filter_map(|item| item.value)
            .collect(),
        place: list.place,
    }
}

/// Older configurations have it, so it is no error.
fn without_effect(item: &Value<'_>, problems: &mut ConfigProblems) -> At<Option<Accept>> {
    problems
        .warning(
            Rule::NoEffect,
            item.place(),
            format!(
                "{NO_LONGER_ACCEPTED:?} has no effect: the probe offers every TLS that partners do, and a server that \
                 refuses it is down"
            ),
        )
        .help(
            "leave it out; old servers that do answer with TLS 1.0 or 1.1 are accepted with \"legacy-tls\"",
        );
    At {
        value: None,
        place: item.place().clone(),
    }
}
