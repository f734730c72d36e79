//! Which alarms stand: the conditions of this moment, compared with those of the moment before.
//!
//! In: the engine's state. Out: alarms that began, ended or are repeated, as effects and history.
//! Never here: deciding. An alarm never changes an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alarm::{Alarm, AlarmKind, Concern, Severity};
use super::core::Engine;
use super::damper::Dampers;
use super::event::{Effect, RejectionKind};
use super::inbound::{Staleness, in_force};
use super::record::EntryKind;
use crate::clock::{Mono, Now, Wall};
use crate::config::RejectedLines;
use crate::decide::{Override, OverrideKey};
use crate::probe::CertificateFacts;
use crate::topology::{CertificatePolicy, RouteName};

/// An override that ends within this time is announced; a short one within a sixth of its lifetime.
const EXPIRING: Duration = Duration::from_secs(15 * 60);

/// An override without end is announced this often.
const REPEAT: Duration = Duration::from_secs(24 * 60 * 60);

/// The alarms that stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarms {
    standing: BTreeMap<(AlarmKind, String), (Alarm, Mono)>,
    dampers: Dampers,
}

impl Alarms {
    /// All alarms, worst first.
    pub(super) fn list(&self) -> Vec<Alarm> {
        let mut all: Vec<Alarm> = self
            .standing
            .values()
            .map(|(alarm, _)| alarm.clone())
            .collect();
        all.sort_by(|a, b| (b.severity, a.kind, &a.subject).cmp(&(a.severity, b.kind, &b.subject)));
        all
    }
}

/// A condition that is the case now.
pub(super) struct Condition {
    pub(super) kind: AlarmKind,
    pub(super) subject: String,
    pub(super) severity: Severity,
    pub(super) text: String,
    pub(super) remedy: Option<String>,
}

impl Engine {
    /// Works out the conditions of the moment; tells what began, worsened, ended or is to be repeated.
    pub(super) fn look(&mut self, now: Now, out: &mut Vec<Effect>) {
        let mut standing = BTreeMap::new();
        for condition in self.conditions(now) {
            let key = (condition.kind, condition.subject.clone());
            let before = self.alarms.standing.remove(&key);
            let mut alarm = Alarm {
                kind: condition.kind,
                subject: condition.subject,
                severity: condition.severity,
                since: before.as_ref().map_or(now.wall, |(alarm, _)| alarm.since),
                text: condition.text,
                remedy: condition.remedy,
            };
            if let Some((old, _)) = &before {
                let eases = alarm.severity < old.severity;
                if self.alarms.dampers.holds(&key, eases, now.mono) {
                    alarm = old.clone();
                }
            }
            let told = before.as_ref().map(|(_, told)| *told);
            let changed = before
                .as_ref()
                .is_none_or(|(old, _)| old.severity != alarm.severity);
            let repeats = alarm.kind == AlarmKind::OverrideWithoutEnd
                && told.is_some_and(|told| now.mono.since(told) >= REPEAT);
            if changed {
                let text = format!("alarm {}: {}", alarm.kind, alarm.text);
                self.note(
                    EntryKind::Alarm,
                    self.route_named(&alarm.subject).as_ref(),
                    text,
                    now,
                );
            }
            if changed || repeats {
                out.push(Effect::Alarm {
                    alarm: alarm.clone(),
                    raised: true,
                });
            }
            let told = told.filter(|_| !changed && !repeats).unwrap_or(now.mono);
            standing.insert(key, (alarm, told));
        }
        let ended = std::mem::replace(&mut self.alarms.standing, standing);
        for (key, (alarm, told)) in ended {
            if self.alarms.dampers.holds(&key, true, now.mono) {
                self.alarms.standing.insert(key, (alarm, told));
                continue;
            }
            let text = format!("alarm {} ended: {}", alarm.kind, alarm.text);
            self.note(
                EntryKind::Alarm,
                self.route_named(&alarm.subject).as_ref(),
                text,
                now,
            );
            out.push(Effect::Alarm {
                alarm,
                raised: false,
            });
        }
    }

    fn route_named(&self, subject: &str) -> Option<RouteName> {
        let name: RouteName = subject.parse().ok()?;
        self.topology().routes.contains_key(&name).then_some(name)
    }

    fn conditions(&self, now: Now) -> Vec<Condition> {
        let mut all = Vec::new();
        self.node_conditions(&mut all);
        for route in self.topology().routes.values() {
            self.route_conditions(route, now, &mut all);
        }
        for value in self.overrides.iter() {
            self.override_conditions(value, now, &mut all);
        }
        self.certificate_conditions(now, &mut all);
        self.claim_conditions(&mut all);
        self.inbound_conditions(now, &mut all);
        self.key_conditions(now, &mut all);
        all
    }

    fn node_conditions(&self, all: &mut Vec<Condition>) {
        let accept = self.typed("look at `repoint status`, then: repoint state accept".into());
        let mut raise = |kind, severity, text: String, remedy: Option<&str>| {
            let remedy = remedy.map(str::to_owned);
            all.push(Condition {
                kind,
                subject: String::new(),
                severity,
                text,
                remedy,
            });
        };
        if self.health.blind().is_some() {
            raise(
                AlarmKind::Blind,
                Severity::Critical,
                "no canary answers: our own network fails; no automatic change is made".into(),
                Some("check this machine's uplink; answers go on as they were"),
            );
        }
        if let Some(fault) = &self.store_fault {
            // Whether failover goes on is said once: by the doubt, where there is one.
            let failover = match &self.doubt {
                Some(_) => "",
                None => "automatic failover goes on, ",
            };
            let memory = match self.forgotten {
                true => "no pin, drain, freeze or home from before is in force, ",
                false => "",
            };
            let fix = match (&self.store_fix, self.forgotten) {
                (Some(fix), _) => fix,
                (None, true) => "fix the state directory, then restart repoint",
                (None, false) => "fix the disk of the state directory",
            };
            let remedy = format!("{fix}; until then add --volatile to commands");
            raise(
                AlarmKind::StoreFailing,
                Severity::Critical,
                format!(
                    "the store does not commit: {fault}; {memory}{failover}commands are refused unless they are --volatile"
                ),
                Some(&remedy),
            );
        }
        if let Some(doubt) = &self.doubt {
            raise(
                AlarmKind::StateDoubtful,
                Severity::Critical,
                format!("{doubt}; no automatic change is made until it is accepted"),
                Some(&accept),
            );
        }
        if let Some(rejection) = &self.rejected {
            let first = first_error(&rejection.problems);
            raise(
                AlarmKind::ConfigRejected,
                Severity::Warning,
                format!(
                    "the configuration was refused ({first}); the one accepted last is in force"
                ),
                Some(match rejection.kind {
                    RejectionKind::Removal => {
                        "look: repoint config reload --dry-run --allow-removal; if it is meant, the same without --dry-run"
                    }
                    RejectionKind::Faulty => {
                        "repoint config check FILE, then: repoint config reload"
                    }
                    RejectionKind::Signing => {
                        "within 10 minutes, when `repoint status` names no zone that is being signed: repoint config reload"
                    }
                }),
            );
        }
        let lists = self.configuration.rejected_lines.iter();
        all.extend(lists.map(rejected_lines));
        all.extend(self.concerns.iter().map(|((kind, subject), concern)| {
            let Concern {
                severity,
                text,
                remedy,
            } = concern.clone();
            Condition {
                kind: *kind,
                subject: subject.clone(),
                severity,
                text,
                remedy,
            }
        }));
    }

    fn override_conditions(&self, value: &Override, now: Now, all: &mut Vec<Condition>) {
        let mut raise = |kind, severity, text: String, remedy: Option<String>| {
            all.push(Condition {
                kind,
                subject: value.key.to_string(),
                severity,
                text,
                remedy,
            });
        };
        let by = &value.author;
        match value.until {
            None => raise(
                AlarmKind::OverrideWithoutEnd,
                Severity::Notice,
                format!("{} has no end (set by {by} at {})", value.key, value.since),
                Some(self.typed(undo(&value.key))),
            ),
            Some(until) if value.has_ended(now.wall) || !is_near(until, value.since, now) => {}
            Some(until) => raise(
                AlarmKind::OverrideExpiring,
                Severity::Notice,
                format!("{} ends at {until} (set by {by})", value.key),
                Some(format!(
                    "to keep it, set it again: {}",
                    self.typed(again(value))
                )),
            ),
        }
        let topology = self.topology();
        let matches = match &value.key {
            OverrideKey::Pin { route } => topology
                .routes
                .get(route)
                .is_some_and(|route| value.pool.as_ref().is_some_and(|pool| route.uses(pool))),
            OverrideKey::FreezeRoute { route } => topology.routes.contains_key(route),
            OverrideKey::DrainPool { pool } => topology.pools.contains_key(pool),
            OverrideKey::DrainTarget { pool, target } => topology
                .pools
                .get(pool)
                .is_some_and(|pool| pool.targets.iter().any(|t| t.name == *target)),
            OverrideKey::FreezeAll => true,
        };
        if !matches {
            raise(
                AlarmKind::OverrideUnmatched,
                Severity::Warning,
                format!(
                    "{} names something that is not configured; it has no effect",
                    value.key
                ),
                Some(self.typed(undo(&value.key))),
            );
        }
    }

    fn inbound_conditions(&self, now: Now, all: &mut Vec<Condition>) {
        for (apex, inbound, staleness) in self.inbound_states(now) {
            let mut raise = |kind, severity, text: String| {
                all.push(Condition {
                    kind,
                    subject: apex.to_string(),
                    severity,
                    text,
                    remedy: Some(format!(
                        "repoint zone list, then: repoint zone refresh {apex}"
                    )),
                });
            };
            let failure = inbound.and_then(|inbound| inbound.failure());
            let last = failure.map_or(String::new(), |failure| format!(": {}", failure.text));
            let refused = inbound.and_then(|inbound| inbound.refused());
            let copy = inbound.and_then(|inbound| inbound.copy());
            if let Some(why) = refused {
                raise(
                    AlarmKind::InboundRefused,
                    Severity::Warning,
                    format!(
                        "what the primary of zone {apex} sent last is not in force: {why}; {}",
                        in_force(copy)
                    ),
                );
            }
            let Some((inbound, copy)) = inbound.zip(copy) else {
                if self.is_missed(inbound, now) {
                    raise(
                        AlarmKind::InboundAbsent,
                        Severity::Critical,
                        format!(
                            "zone {apex} has not been received from its primaries and is not served{last}"
                        ),
                    );
                }
                continue;
            };
            let computed = inbound.private().iter().filter(|r| r.is_computed());
            let records: Vec<String> = computed.map(ToString::to_string).collect();
            if !records.is_empty() {
                all.push(Condition {
                    kind: AlarmKind::InboundComputed,
                    subject: apex.to_string(),
                    severity: Severity::Warning,
                    text: format!(
                        "zone {apex} has {}: its primary computes answers from such records, repoint cannot; these names have no other answer here",
                        records.join("; ")
                    ),
                    remedy: Some(
                        "have the primary send A and AAAA records for these names (PowerDNS: outgoing-axfr-expand-alias=yes for ALIAS), or delegate them to it".into(),
                    ),
                });
            }
            let mut raise = |kind, severity, text: String| {
                all.push(Condition {
                    kind,
                    subject: apex.to_string(),
                    severity,
                    text,
                    remedy: Some(format!(
                        "repoint zone list, then: repoint zone refresh {apex}"
                    )),
                });
            };
            let minutes = inbound.age(now).as_secs() / 60;
            let serial = copy.zone.serial();
            match staleness {
                Staleness::Fresh => {}
                Staleness::Unconfirmed => raise(
                    AlarmKind::InboundStale,
                    Severity::Warning,
                    format!(
                        "zone {apex}: its primaries have not been heard for {minutes} min; serial {serial} is served on{last}"
                    ),
                ),
                Staleness::Expired => raise(
                    AlarmKind::InboundStale,
                    Severity::Critical,
                    format!(
                        "zone {apex}: its primaries have not been heard for {minutes} min, longer than its SOA allows; serial {serial} is served on{last}"
                    ),
                ),
            }
        }
    }

    fn certificate_conditions(&self, now: Now, all: &mut Vec<Condition>) {
        for (id, facts) in self.health.certificates() {
            let Some(check) = self.topology().checks.get(id) else {
                continue;
            };
            if check.settings.certificate == CertificatePolicy::Ignore {
                continue;
            }
            if let Some((severity, text)) = certificate_fault(facts, now) {
                let subject = id.to_string();
                let text = format!("certificate of {}: {text}", check.peer);
                let domain = check.domain.as_str();
                let fault = facts.fault.as_ref();
                let remedy = fault.map_or_else(
                    || format!("renew it for {domain}"),
                    |fault| fault.remedy(domain),
                );
                let remedy = Some(remedy);
                all.push(Condition {
                    kind: AlarmKind::Certificate,
                    subject,
                    severity,
                    text,
                    remedy,
                });
            }
        }
    }
}

/// The command that ends an override.
fn undo(key: &OverrideKey) -> String {
    match key {
        OverrideKey::Pin { route } => format!("repoint unpin {route}"),
        OverrideKey::DrainPool { pool } => format!("repoint pool undrain {pool}"),
        OverrideKey::DrainTarget { target, .. } => format!("repoint target undrain {target}"),
        OverrideKey::FreezeRoute { route } => format!("repoint unfreeze {route}"),
        OverrideKey::FreezeAll => "repoint unfreeze".into(),
    }
}

/// The command that sets an override again, for two hours.
fn again(value: &Override) -> String {
    let never = if value.never { " --never" } else { "" };
    let command = match &value.key {
        OverrideKey::Pin { route } => match &value.pool {
            Some(pool) => format!("repoint pin {route} {pool}"),
            // A pin without a pool is never set.
            None => return undo(&value.key),
        },
        OverrideKey::DrainPool { pool } => format!("repoint pool drain {pool}{never}"),
        OverrideKey::DrainTarget { target, .. } => format!("repoint target drain {target}"),
        OverrideKey::FreezeRoute { route } => format!("repoint freeze {route}"),
        OverrideKey::FreezeAll => "repoint freeze".into(),
    };
    format!("{command} --for 2h")
}

/// Lines of a list of domains that are not used.
fn rejected_lines(lines: &RejectedLines) -> Condition {
    let RejectedLines { file, count, first } = lines;
    let shown: Vec<String> = first
        .iter()
        .take(3)
        .map(|(line, why)| format!("{file}:{line}: {why}"))
        .collect();
    let shown = shown.join("; ");
    let text = match count {
        1 => format!("a line is not used: {shown}; the other domains of the file are used"),
        _ => format!("{count} lines are not used: {shown}; the other domains of the file are used"),
    };
    Condition {
        kind: AlarmKind::DomainRejected,
        subject: file.clone(),
        severity: Severity::Warning,
        text,
        remedy: Some("correct or remove the line, then: repoint config reload".into()),
    }
}

/// Whether an end is to be announced: soon, and not already when a short override is set.
fn is_near(until: Wall, since: Wall, now: Now) -> bool {
    until.since(now.wall) <= EXPIRING.min(until.since(since) / 2)
}

/// What is wrong with a certificate, if anything: refused now, or its time is running out (at a
/// third and a sixth of its lifetime left, degraded at a twentieth).
fn certificate_fault(facts: &CertificateFacts, now: Now) -> Option<(Severity, String)> {
    if let Some(fault) = &facts.fault {
        return Some((
            Severity::Critical,
            format!("partners refuse it: {}", fault.describe()),
        ));
    }
    let severity = match facts.remaining_permille(now.wall) {
        0..50 => Severity::Critical,
        50..167 => Severity::Warning,
        167..334 => Severity::Notice,
        _ => return None,
    };
    Some((severity, format!("it ends at {}", facts.not_after)))
}

/// Of a configuration's problems, warnings among them, the first that it was refused for.
pub(super) fn first_error(problems: &str) -> &str {
    let mut lines = problems.lines();
    let first = lines.clone().next();
    let error = lines.find(|line| line.starts_with("error"));
    error.or(first).unwrap_or("unreadable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_error_and_not_by_a_warning_before_it() {
        let problems =
            "warning[no-canaries]: no canaries\n --> a.toml:1\n\nerror[zone-file]: no SOA\n";
        assert_eq!(first_error(problems), "error[zone-file]: no SOA");
        assert_eq!(first_error("cannot read a.toml"), "cannot read a.toml");
    }
}
