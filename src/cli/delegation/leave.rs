//! The way out as a checklist, and what is remembered of it between runs.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use super::super::failure::{Failure, Fault};
use super::super::moment;
use super::super::paint::{Paint, Tone, hang};
use crate::clock::Wall;
use crate::delegation::{LeaveStep, Leaving, Memory, Reading, Served};

/// Its file in the state directory.
pub(super) const FILE: &str = "leaving.json";
/// Subjects named; the rest is counted.
const SHOWN: usize = 6;

/// What was seen before; nothing when there is no file yet.
pub(super) fn recall(file: &Path) -> Result<Memory, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(fault("read", file, &error.to_string())),
    };
    serde_json::from_str(&text).map_err(|error| fault("read", file, &error.to_string()))
}

/// Keeps what was seen: whole or not at all.
pub(super) fn keep(file: &Path, memory: &Memory) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let beside = file.with_extension("json.tmp");
        let mut new = fs::File::create(&beside)?;
        new.write_all(serde_json::to_string_pretty(memory)?.as_bytes())?;
        new.sync_all()?;
        fs::rename(beside, file)
    };
    write().map_err(|error| fault("write", file, &error.to_string()))
}

/// The machine's clocks. Where it does not say when it began to run, its wall clock has to do.
pub(super) fn reading(wall: Wall) -> Reading {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let uptime = fs::read_to_string("/proc/uptime").ok();
    let seconds = uptime.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let uptime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Reading {
        boot: boot
            .filter(|_| uptime.is_some())
            .map(|text| text.trim().to_owned()),
        uptime_ms: uptime.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0)),
        wall,
    }
}

fn fault(verb: &str, file: &Path, why: &str) -> Failure {
    Failure::Local(Fault {
        what: format!(
            "cannot {verb} {}, where the way out is remembered",
            file.display()
        ),
        why: why.to_owned(),
        in_force:
            "nothing is said: without it safe could be said too early; the server goes on as before"
                .into(),
        hint: Some(
            "run it as the server's user or as root, or give another place with --memory FILE"
                .into(),
        ),
    })
}

/// The checklist, and for the step of replacing the records to enter.
pub(in crate::cli) fn screen(
    served: &Served,
    leaving: &Leaving,
    records: &str,
    now: Wall,
    paint: Paint,
) -> String {
    let mut out = String::new();
    for (n, step) in LeaveStep::ALL.into_iter().enumerate() {
        let (word, tone) = match step.cmp(&leaving.step) {
            std::cmp::Ordering::Less => ("done", Tone::Good),
            std::cmp::Ordering::Equal => ("now ", Tone::Heading),
            std::cmp::Ordering::Greater => ("    ", Tone::Quiet),
        };
        let first = format!("  {word}  {}. ", n + 1);
        out.push_str(&paint.tone(tone, &hang(&first, explain(step))));
        if step == leaving.step {
            detail(&mut out, leaving, now);
        }
    }
    if !records.is_empty() {
        out.push_str("\n; what is served now, for the zones above\n");
        out.push_str(records);
    }
    out.push('\n');
    out.push_str(&verdict(served, leaving, now, paint));
    out
}

fn explain(step: LeaveStep) -> &'static str {
    match step {
        LeaveStep::DsOut => {
            "Take the DS records out of the zones above. Nothing else yet: unsigned answers are refused as long as anybody \
             remembers a DS."
        }
        LeaveStep::DsWait => "Wait until nobody remembers them.",
        LeaveStep::Replace => {
            "Enter the records below in the zones above, and take NS, glue and aliases to us out in the same change."
        }
        LeaveStep::NsWait => {
            "Wait until nobody remembers the delegation. Leave repoint running: resolvers still ask it."
        }
        LeaveStep::Safe => "Stop repoint and its secondaries.",
    }
}

fn detail(out: &mut String, leaving: &Leaving, now: Wall) {
    let indent = "           ";
    if !leaving.there.is_empty() {
        let mut named = leaving.there[..leaving.there.len().min(SHOWN)].join(", ");
        if leaving.there.len() > SHOWN {
            named.push_str(&format!(" and {} more", leaving.there.len() - SHOWN));
        }
        let text = match leaving.step {
            LeaveStep::DsOut => format!("there are DS records of {named}"),
            _ => format!("still led here, or without records: {named}"),
        };
        out.push_str(&hang(indent, &text));
    }
    for why in leaving.unknown.iter().take(SHOWN) {
        out.push_str(&hang(indent, &format!("not known of {why}")));
    }
    if let Some(until) = leaving.until {
        out.push_str(&hang(
            indent,
            &format!("until {}", moment::both(until, now)),
        ));
    }
}

fn verdict(served: &Served, leaving: &Leaving, now: Wall, paint: Paint) -> String {
    // Rounded up: a minute that has begun is too early.
    let hour = |at: Wall| {
        let up = at + Duration::from_millis(59_999);
        up.to_string().get(11..16).unwrap_or_default().to_owned()
    };
    match (leaving.step, leaving.until) {
        (LeaveStep::Safe, _) => paint.tone(Tone::Good, "safe to stop now\n"),
        (LeaveStep::NsWait, Some(until)) => {
            format!(
                "safe to stop at {} UTC, {}\n",
                hour(until),
                moment::both(until, now)
            )
        }
        _ => hang(
            "",
            &format!(
                "not safe to stop: {} zones are served. Run this again after each step; it looks, and changes nothing. \
                 What was before the first look is not known: no wait ends sooner than a day after it. Time counts while \
                 this machine runs on: what passes across a restart of it is waited for again.",
                served.zones.len()
            ),
        ),
    }
}

/// The records of a zone's text that another zone can take over: not the SOA, the apex's NS, or what signing made.
pub(super) fn portable(apex: &str, text: &str) -> String {
    let made = ["SOA", "RRSIG", "NSEC", "NSEC3", "DNSKEY", "CDS", "CDNSKEY"];
    let keep = |line: &&str| {
        let mut fields = line.split('\t');
        let (owner, rtype) = (
            fields.next().unwrap_or_default(),
            fields.nth(2).unwrap_or_default(),
        );
        let own_ns = rtype == "NS" && owner.trim_end_matches('.').eq_ignore_ascii_case(apex);
        !made.contains(&rtype) && !own_ns
    };
    text.lines()
        .filter(keep)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::golden;
    use super::*;

    const PLAIN: Paint = Paint {
        colour: false,
        whole: false,
    };
    const NOW: Wall = Wall::from_millis(1_795_230_000_000);

    fn shown(step: LeaveStep, there: &[&str], unknown: &[&str], until: Option<Wall>) -> String {
        let served = Served {
            live: true,
            resolvers: vec![],
            state: "/var/lib/repoint".into(),
            zones: vec![],
            domains: vec![],
            targets: vec![],
        };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let leaving = Leaving {
            step,
            until,
            there: texts(there),
            unknown: texts(unknown),
        };
        let records = match step {
            LeaveStep::Replace => "xmpp.contoso.com.\t30\tIN\tA\t192.0.2.10\n",
            _ => "",
        };
        screen(&served, &leaving, records, NOW, PLAIN)
    }

    #[test]
    fn each_step_of_the_way_out_says_what_to_do_and_when() {
        let hour = NOW + Duration::from_secs(3600);
        let zones = ["xmpp.contoso.com", "_xmpp-server._tcp.contoso.com"];
        let silent =
            ["xmpp.contoso.com: p1.example.net. (192.0.2.1:53): it did not answer within 6s"];
        golden("leave-ds", &shown(LeaveStep::DsOut, &zones, &[], None));
        golden(
            "leave-ds-wait",
            &shown(LeaveStep::DsWait, &[], &[], Some(hour)),
        );
        golden(
            "leave-replace",
            &shown(LeaveStep::Replace, &zones, &silent, None),
        );
        golden(
            "leave-ns-wait",
            &shown(LeaveStep::NsWait, &[], &[], Some(hour)),
        );
        golden("leave-safe", &shown(LeaveStep::Safe, &[], &[], None));
    }

    #[test]
    fn what_another_zone_takes_over_has_neither_soa_nor_signatures() {
        let text = "fed.contoso.com.\t3600\tIN\tSOA\tns1. host. 1 2 3 4 5\n\
                    Fed.contoso.com.\t3600\tIN\tNS\tns1.example.net.\n\
                    fed.contoso.com.\t30\tIN\tRRSIG\tSOA 13 3\n\
                    sub.fed.contoso.com.\t3600\tIN\tNS\tns1.example.net.\n\
                    xmpp.fed.contoso.com.\t30\tIN\tA\t192.0.2.10\n";
        assert_eq!(
            portable("fed.contoso.com", text),
            "sub.fed.contoso.com.\t3600\tIN\tNS\tns1.example.net.\n\
             xmpp.fed.contoso.com.\t30\tIN\tA\t192.0.2.10\n"
        );
    }
}
