//! What the facts mean.
//!
//! In: [`Facts`]. Out: [`Finding`]s, worst first, each with its remedy. Never here: asking, a clock.

mod domain;
mod parent;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use super::facts::Facts;
use super::finding::{Code, Finding, Severity};
use super::served::ServedZone;
use crate::topology::DomainName;

/// Judges everything that was seen.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    if let Some(silent) = &facts.silent {
        findings.error(
            Code::ResolversSilent,
            &"resolvers",
            format!("no resolver answers, so nothing was asked: {silent}"),
            "correct [dns] resolvers, or the nameservers in /etc/resolv.conf, and run this again",
        );
    }
    let served: HashMap<&DomainName, &ServedZone> = facts
        .served
        .zones
        .iter()
        .map(|zone| (&zone.apex, zone))
        .collect();
    for zone in &facts.zones {
        let Some(served) = served.get(&zone.apex) else {
            continue;
        };
        parent::judge(zone, served, &mut findings);
        servers::judge(zone, served, &facts.served, &mut findings);
    }
    let broken: BTreeSet<String> = findings
        .all
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.subject.clone())
        .collect();
    domain::judge(facts, &broken, &mut findings);
    let mut all = findings.all;
    all.sort();
    all.dedup();
    all
}

#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, code: Code, subject: &dyn ToString, seen: String, remedy: &str) {
        self.add(Severity::Error, code, subject, seen, remedy);
    }

    fn warning(&mut self, code: Code, subject: &dyn ToString, seen: String, remedy: &str) {
        self.add(Severity::Warning, code, subject, seen, remedy);
    }

    fn info(&mut self, code: Code, subject: &dyn ToString, seen: String, remedy: &str) {
        self.add(Severity::Info, code, subject, seen, remedy);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        subject: &dyn ToString,
        seen: String,
        remedy: &str,
    ) {
        self.all.push(Finding {
            severity,
            code,
            subject: subject.to_string(),
            seen,
            remedy: remedy.to_owned(),
        });
    }
}

/// Names that are named where there may be any number of them.
const NAMED: usize = 8;

/// The first of them as a list in a sentence, and how many more there are.
fn some<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut items = items.into_iter();
    let first = list(items.by_ref().take(NAMED));
    match items.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Items as a list in a sentence.
fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}
