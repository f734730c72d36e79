//! Findings as a screen: worst first, what is the same everywhere said once.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::paint::{Paint, Tone, hang};
use crate::delegation::{Code, Finding, Served, Severity};

/// Subjects of one finding that are named; the rest is counted.
const SHOWN: usize = 4;

/// Texts of one code and remedy that are all shown; of more a few are.
const TEXTS: usize = 12;

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    /// How many zones and domains were looked at.
    pub(super) zones: usize,
    pub(super) domains: usize,
    pub(super) findings: &'a [Finding],
}

/// The findings, then what they were found in.
pub(in crate::cli) fn screen(served: &Served, findings: &[Finding], paint: Paint) -> String {
    let mut out = String::new();
    let mut groups: BTreeMap<(Severity, _, &str, &str), Vec<&str>> = BTreeMap::new();
    for finding in findings {
        let key = (
            finding.severity,
            finding.code,
            finding.seen.as_str(),
            finding.remedy.as_str(),
        );
        groups.entry(key).or_default().push(&finding.subject);
    }
    // Where each subject has a text of its own, a few stand for all.
    let mut kinds: BTreeMap<(Severity, Code, &str), usize> = BTreeMap::new();
    for (severity, code, _, remedy) in groups.keys() {
        *kinds.entry((*severity, *code, *remedy)).or_default() += 1;
    }
    let mut told: BTreeMap<(Severity, Code, &str), usize> = BTreeMap::new();
    for ((severity, code, seen, remedy), subjects) in groups {
        let kind = (severity, code, remedy);
        let texts = kinds[&kind];
        let number = told.entry(kind).or_default();
        *number += 1;
        if texts > TEXTS && *number > SHOWN {
            continue;
        }
        let tone = match severity {
            Severity::Error => Tone::Bad,
            Severity::Warning => Tone::Doubtful,
            Severity::Info => Tone::Quiet,
        };
        let mut named = subjects[..subjects.len().min(SHOWN)].join(", ");
        if subjects.len() > SHOWN {
            named.push_str(&format!(" and {} more", subjects.len() - SHOWN));
        }
        if texts <= TEXTS || *number == 1 {
            let title = format!("{} {}", severity.as_str(), code.as_str());
            out.push_str(&format!("{}\n", paint.tone(tone, &title)));
        }
        out.push_str(&hang("  of      ", &named));
        out.push_str(&hang("  seen    ", seen));
        if texts > TEXTS && *number < SHOWN {
            continue;
        }
        if texts > TEXTS {
            let more = texts - SHOWN;
            out.push_str(&hang(
                "  more    ",
                &format!("{more} others like these; --json has all"),
            ));
        }
        out.push_str(&hang("  remedy  ", remedy));
        out.push('\n');
    }
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if findings.iter().any(|f| f.code == Code::ResolversSilent) {
        out.push_str(&format!(
            "{} and {} were not looked at\n",
            counted(served.zones.len(), "zone"),
            counted(served.domains.len(), "domain")
        ));
        return out;
    }
    out.push_str(&format!(
        "{} of {} looked at: {}\n",
        counted(served.zones.len(), "zone"),
        counted(served.domains.len(), "domain"),
        match (errors, warnings) {
            (0, 0) => paint.tone(Tone::Good, "nothing is wrong"),
            _ => format!(
                "{}, {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            ),
        }
    ));
    out
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// 0 when nothing is wrong, 1 with warnings, 2 with errors.
pub(super) fn code(findings: &[Finding]) -> u8 {
    let worst = findings.iter().map(|finding| finding.severity).min();
    match worst {
        Some(Severity::Error) => 2,
        Some(Severity::Warning) => 1,
        Some(Severity::Info) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::golden;
    use super::*;

    const PLAIN: Paint = Paint {
        colour: false,
        whole: false,
    };

    fn finding(severity: Severity, code: Code, subject: &str) -> Finding {
        Finding {
            severity,
            code,
            subject: subject.into(),
            seen: "ns2.example.net. (198.51.100.53:53), named above and in the zone: it answers REFUSED".into(),
            remedy: "configure the zone there (as a secondary of repoint), or take the server out of the NS records above \
                     and in the zone"
                .into(),
        }
    }

    fn served() -> Served {
        Served {
            live: true,
            resolvers: vec![],
            state: "/var/lib/repoint".into(),
            zones: vec![],
            domains: vec![],
            targets: vec![],
        }
    }

    #[test]
    fn what_is_the_same_everywhere_is_said_once() {
        let mut findings: Vec<Finding> = (0..2000)
            .map(|n| {
                let zone = format!("xmpp.d{n}.example");
                finding(Severity::Error, Code::LameNameserver, &zone)
            })
            .collect();
        findings.push(finding(
            Severity::Warning,
            Code::SerialDiffers,
            "fed.contoso.com",
        ));
        findings.push(finding(Severity::Info, Code::DsAbsent, "fed.contoso.com"));
        golden("delegation-check", &screen(&served(), &findings, PLAIN));
        assert_eq!(code(&findings), 2);
        assert_eq!(code(&findings[2000..]), 1);
        assert_eq!(code(&findings[2001..]), 0);
    }

    #[test]
    fn thousands_of_different_texts_are_a_few_lines() {
        let findings: Vec<Finding> = (0..10_000)
            .map(|n| Finding {
                seen: format!(
                    "no alias, where one should lead to _xmpp-server._tcp.c{n}.fed.example."
                ),
                ..finding(
                    Severity::Error,
                    Code::AliasMissing,
                    &format!("_xmpp-server._tcp.c{n}.example"),
                )
            })
            .collect();
        let text = screen(&served(), &findings, PLAIN);
        assert!(text.contains("9996 others like these"), "{text}");
        assert_eq!(text.matches("remedy").count(), 1, "{text}");
        assert!(text.lines().count() < 30, "{text}");
    }

    #[test]
    fn a_clean_delegation_is_one_line() {
        golden("delegation-check-clean", &screen(&served(), &[], PLAIN));
    }
}
