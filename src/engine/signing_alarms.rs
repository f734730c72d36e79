//! Which alarms zones' keys and signatures raise.
//!
//! In: rows, what each waits for, what is served. Out: conditions of the moment. Never here: a change of anything.

use std::time::Duration;

use super::alarm::{AlarmKind, Severity};
use super::alarms::Condition;
use super::core::Engine;
use super::signing::Moment;
use crate::clock::Now;
use crate::keys::{KeyRow, Trouble, ZoneRow};
use crate::topology::DomainName;
use crate::zone::Name;

/// Signatures are to be valid for so many more days: secondaries outlive us for seven.
const LEAST_VALIDITY_DAYS: u64 = 10;
/// A parent is given this long to answer, and is asked several times meanwhile, before it is called unknown.
const FAIR_CHANCE: Duration = Duration::from_secs(15);

impl Engine {
    pub(super) fn key_conditions(&self, now: Now, all: &mut Vec<Condition>) {
        for row in self.signing.rows.values() {
            let served = self.layout.soa_ttl(&Name::from(&row.apex)).is_some();
            if !served {
                continue;
            }
            let missing = row.keys.iter().filter(|key| {
                let private = self.signing.ring.private(&row.apex, key.dnskey());
                private.is_none()
            });
            all.extend(missing.map(|key| self.key_missing(row, key)));
            let moment = self.signing.moments.get(&row.apex);
            all.extend(moment.and_then(|moment| self.trouble(&row.apex, moment, now)));
        }
        all.extend(self.zones.faults().iter().map(|(zone, fault)| {
            let zone = zone.to_string();
            let zone = zone.trim_end_matches('.');
            critical(
                AlarmKind::DnssecSigningFailing,
                zone,
                format!(
                    "zone {zone} could not be signed: {fault}; the version before is served on"
                ),
                "look at the log".to_owned(),
            )
        }));
        let dated = self.signing.dating.dated(now.wall);
        let end = self.zones.expiration();
        let days = end.map(|end| end.since(dated).as_secs() / 86_400);
        if let Some(days) = days.filter(|days| *days < LEAST_VALIDITY_DAYS) {
            all.push(critical(
                AlarmKind::DnssecResignOverdue,
                "",
                format!("signatures are overdue to be renewed: the first ends in {days} days"),
                "look at the other alarms, and at the clock of this machine".to_owned(),
            ));
        }
        all.extend(self.clock_condition(now));
    }

    fn key_missing(&self, row: &ZoneRow, key: &KeyRow) -> Condition {
        let (zone, tag) = (&row.apex, key.tag());
        let faults = self.signing.faults.iter();
        let why = faults.filter(|fault| fault.contains(&format!("{zone}.{tag}.")));
        let mut why = why.cloned().collect::<Vec<_>>().join("; ");
        if why.is_empty() {
            why = "there is no file of it".to_owned();
        }
        let served = match self.zones.zone(zone) {
            Some(version) if version.is_signed() => {
                "the version signed last is served on, and no failover changes it"
            }
            Some(_) => "the parent has no DS, and the zone is served unsigned",
            None => "no signed version is kept, and the zone is not served here",
        };
        critical(
            AlarmKind::DnssecKeyMissing,
            zone.as_str(),
            format!("key {tag} of zone {zone} cannot be used ({why}); {served}"),
            format!(
                "repoint key import {zone} FILE, or put the file back into the keys directory of the state and restart; or docs/dnssec.md, lost keys"
            ),
        )
    }

    /// What only an operator or the owner of the parent zone can mend.
    fn trouble(&self, zone: &DomainName, moment: &Moment, now: Now) -> Option<Condition> {
        let outlook = moment.outlook.as_ref()?;
        Some(match outlook.trouble.as_ref()? {
            Trouble::KeysLost { tags } => critical(
                AlarmKind::DnssecKeysLost,
                zone.as_str(),
                format!(
                    "the parent has a DS ({tags}) for zone {zone} and there is no key of it: validators refuse every answer"
                ),
                match self.ds_kept_in(zone) {
                    Some(above) => behind(&above),
                    None => format!(
                        "repoint key import {zone} FILE with the key, or have the DS removed at the parent: docs/dnssec.md, lost keys"
                    ),
                },
            ),
            Trouble::DsMismatch { tags } => critical(
                AlarmKind::DnssecDsMismatch,
                zone.as_str(),
                format!(
                    "the parent's DS ({tags}) of zone {zone} points at none of its keys: validators refuse every answer"
                ),
                match self.ds_kept_in(zone) {
                    Some(above) => behind(&above),
                    None => format!("repoint key ds {zone} prints what the parent should have"),
                },
            ),
            Trouble::ParentUnknown => {
                let since = moment.unknown_since?;
                if now.mono.since(since) < FAIR_CHANCE {
                    return None;
                }
                let why = moment.fault.as_deref();
                let why = why.unwrap_or("not every one of its servers answers");
                Condition {
                    kind: AlarmKind::DnssecParentUnknown,
                    subject: zone.to_string(),
                    severity: Severity::Warning,
                    text: format!(
                        "zone {zone} is not signed: whether its parent has a DS is not known ({why})"
                    ),
                    remedy: Some(format!(
                        "when you know that it has none: repoint key generate {zone} --parent-has-no-ds"
                    )),
                }
            }
        })
    }
}

/// A DS that is kept here and is another somewhere comes from a nameserver with an old version.
fn behind(above: &DomainName) -> String {
    format!(
        "repoint keeps the DS in {above} itself, so a nameserver of {above} has an old version or another zone: \
         repoint zone secondaries {above}, and repoint delegation check"
    )
}

fn critical(kind: AlarmKind, subject: &str, text: String, remedy: String) -> Condition {
    Condition {
        kind,
        subject: subject.to_owned(),
        severity: Severity::Critical,
        text,
        remedy: Some(remedy),
    }
}
