//! What can be seen of zones' keys: for `key list`, `status`, `zone show`; and which alarms they raise.
//!
//! In: rows, what each waits for. Out: plain values, public halves only. Never here: a change of anything.

use serde::{Deserialize, Serialize};

use super::alarm::{AlarmKind, Severity};
use super::alarms::Condition;
use super::core::Engine;
use crate::clock::{Now, Wall};
use crate::keys::{Advice, DsAdvice, KeyRow, Outlook, Stage, Trouble, ZoneRow};
use crate::topology::DomainName;
use crate::zone::{Name, ZoneVersion};

/// Signatures are to be valid for so many more days: secondaries outlive us for seven.
const LEAST_VALIDITY_DAYS: u64 = 10;

/// A zone that is signed, or is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneKeysView {
    /// The zone.
    pub zone: DomainName,
    /// The configuration wants it signed.
    pub wanted: bool,
    /// The version served is signed.
    pub signed: bool,
    /// Its keys, oldest first.
    pub keys: Vec<KeyView>,
    /// What its keys wait for; none before that is known.
    pub outlook: Option<Outlook>,
    /// What the parent's DS RRset should be.
    pub ds: DsAdvice,
    /// The zone above, where it is served here and has the DS by itself as the keys need it.
    #[serde(default)]
    pub ds_kept_in: Option<DomainName>,
    /// The key tags that the parent's DS point at, and when it was asked; none while it has not answered.
    pub parent: Option<ParentView>,
    /// Why the parent could not be asked, or no key be made.
    pub fault: Option<String>,
}

/// What a parent said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentView {
    /// When it was asked.
    pub at: Wall,
    /// Every one of its servers has answered.
    pub complete: bool,
    /// The tags of all DS seen, as text.
    pub tags: String,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its tag.
    pub tag: u16,
    /// The number of its algorithm.
    pub algorithm: u8,
    /// The word for it.
    pub algorithm_name: String,
    /// Its stage.
    pub stage: Stage,
    /// Since when.
    pub since: Wall,
    /// DS records of it, as a master file has them: SHA-256, SHA-384.
    pub ds: Vec<String>,
    /// Its DNSKEY record.
    pub dnskey: String,
    /// Its private half is at hand.
    pub private: bool,
}

/// A signed zone in short: what `zone show` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningView {
    /// Its keys, oldest first.
    pub keys: Vec<SigningKeyView>,
    /// Every signature is valid until then at least.
    pub valid_until: Wall,
}

/// A key of a signed zone in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyView {
    /// Its tag.
    pub tag: u16,
    /// The word for its algorithm.
    pub algorithm: String,
    /// Its stage.
    pub stage: Stage,
}

impl ZoneKeysView {
    /// What a procedure waits for now, when only the owner of the parent zone can go on with it; what is wrong is an
    /// alarm instead, and nobody has to do anything for a DS that is kept here.
    pub fn waits_for_parent(&self) -> Option<&str> {
        let outlook = self.outlook.as_ref()?;
        let waits = outlook.trouble.is_none() && outlook.next.is_some();
        let waits = waits && self.ds_kept_in.is_none();
        if self.keys.is_empty() || self.ds.advice != Advice::Now || !waits {
            return None;
        }
        outlook.waits_for.as_deref()
    }
}

impl Engine {
    /// How a version is signed; none when it is not.
    pub(super) fn signing_view(&self, version: &ZoneVersion) -> Option<SigningView> {
        let valid_until = version.expiration()?;
        let apex = version.apex().to_domain_name()?;
        let keys = self.signing.rows.get(&apex).map(|row| &row.keys);
        let keys = keys.into_iter().flatten().map(|key| SigningKeyView {
            tag: key.tag(),
            algorithm: algorithm_name(key),
            stage: key.stage,
        });
        Some(SigningView {
            keys: keys.collect(),
            valid_until,
        })
    }

    /// Every zone that is signed, or is to be.
    pub(super) fn zone_keys_views(&self, now: Now) -> Vec<ZoneKeysView> {
        let rows = self.signing.rows.values().filter(|row| {
            let name = Name::from(&row.apex);
            let known = self.layout.soa_ttl(&name).is_some();
            known && (!row.is_blank() || self.configuration.dnssec.signs(&row.apex))
        });
        rows.map(|row| self.zone_keys_view(row, now)).collect()
    }

    fn zone_keys_view(&self, row: &ZoneRow, now: Now) -> ZoneKeysView {
        let facts = self.key_facts(&row.apex, now);
        let moment = self.signing.moments.get(&row.apex);
        let version = self.zones.zone(&row.apex);
        ZoneKeysView {
            zone: row.apex.clone(),
            wanted: facts.wanted,
            signed: version.is_some_and(|version| version.is_signed()),
            keys: row.keys.iter().map(|key| self.key_view(row, key)).collect(),
            outlook: moment.and_then(|moment| moment.outlook.clone()),
            ds: row.ds_advice(&facts),
            ds_kept_in: self.ds_kept_in(&row.apex),
            parent: row.parent.as_ref().map(|parent| ParentView {
                at: parent.at,
                complete: parent.complete,
                tags: parent.tags(),
            }),
            fault: moment.and_then(|moment| moment.fault.clone()),
        }
    }

    fn ds_kept_in(&self, apex: &DomainName) -> Option<DomainName> {
        self.layout.vouches_for(&Name::from(apex))?.to_domain_name()
    }

    fn key_view(&self, row: &ZoneRow, key: &KeyRow) -> KeyView {
        let name = row.name();
        let dnskey = key.dnskey();
        let ttl = self.layout.soa_ttl(&name).unwrap_or(3600);
        KeyView {
            tag: key.tag(),
            algorithm: dnskey.algorithm(),
            algorithm_name: algorithm_name(key),
            stage: key.stage,
            since: key.since,
            ds: dnskey.ds_records(&name),
            dnskey: format!("{name}\t{ttl}\tIN\tDNSKEY\t{}", dnskey.to_text()),
            private: self.signing.ring.private(&row.apex, dnskey).is_some(),
        }
    }

    pub(super) fn key_conditions(&self, now: Now, all: &mut Vec<Condition>) {
        let mut raise = |kind, subject: &str, severity, text: String, remedy: String| {
            all.push(Condition {
                kind,
                subject: subject.to_owned(),
                severity,
                text,
                remedy: Some(remedy),
            });
        };
        for row in self.signing.rows.values() {
            let zone = &row.apex;
            let name = Name::from(zone);
            if self.layout.soa_ttl(&name).is_none() {
                continue;
            }
            for key in &row.keys {
                if self.signing.ring.private(zone, key.dnskey()).is_none() {
                    let tag = key.tag();
                    let faults = self.signing.faults.iter();
                    let why = faults
                        .filter(|fault| fault.contains(&format!("{zone}.{tag}.")))
                        .map(String::as_str);
                    let why = why.collect::<Vec<_>>().join("; ");
                    let why = if why.is_empty() {
                        "there is no file of it".to_owned()
                    } else {
                        why
                    };
                    raise(
                        AlarmKind::DnssecKeyMissing,
                        zone.as_str(),
                        Severity::Critical,
                        format!("key {tag} of zone {zone} cannot be used ({why}); the version signed last is served on, and no failover changes it"),
                        "put the file back into the keys directory of the state and restart; or docs/dnssec.md, lost keys".to_owned(),
                    );
                }
            }
            let Some(moment) = self.signing.moments.get(zone) else {
                continue;
            };
            match moment
                .outlook
                .as_ref()
                .and_then(|outlook| outlook.trouble.as_ref())
            {
                Some(Trouble::KeysLost { tags }) => raise(
                    AlarmKind::DnssecKeysLost,
                    zone.as_str(),
                    Severity::Critical,
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
                Some(Trouble::DsMismatch { tags }) => raise(
                    AlarmKind::DnssecDsMismatch,
                    zone.as_str(),
                    Severity::Critical,
                    format!(
                        "the parent's DS ({tags}) of zone {zone} points at none of its keys: validators refuse every answer"
                    ),
                    match self.ds_kept_in(zone) {
                        Some(above) => behind(&above),
                        None => format!("repoint key ds {zone} prints what the parent should have"),
                    },
                ),
                Some(Trouble::ParentUnknown) if moment.fault.is_some() || row.parent.is_some() => {
                    let why = moment
                        .fault
                        .as_deref()
                        .unwrap_or("not every one of its servers answers");
                    raise(
                        AlarmKind::DnssecParentUnknown,
                        zone.as_str(),
                        Severity::Warning,
                        format!(
                            "zone {zone} is not signed: whether its parent has a DS is not known ({why})"
                        ),
                        format!(
                            "when you know that it has none: repoint key generate {zone} --parent-has-no-ds"
                        ),
                    );
                }
                _ => {}
            }
        }
        for (zone, fault) in self.zones.faults() {
            raise(
                AlarmKind::DnssecSigningFailing,
                zone.to_string().trim_end_matches('.'),
                Severity::Critical,
                format!(
                    "zone {zone} could not be signed: {fault}; the version before is served on"
                ),
                "look at the log".to_owned(),
            );
        }
        let days = self
            .zones
            .expiration()
            .map(|end| end.since(now.wall).as_secs() / 86_400);
        if let Some(days) = days.filter(|days| *days < LEAST_VALIDITY_DAYS) {
            raise(
                AlarmKind::DnssecResignOverdue,
                "",
                Severity::Critical,
                format!("signatures are overdue to be renewed: the first ends in {days} days"),
                "look at the other alarms, and at the clock of this machine".to_owned(),
            );
        }
    }
}

/// A DS that is kept here and is another somewhere comes from a nameserver with an old version.
fn behind(above: &DomainName) -> String {
    format!(
        "repoint keeps the DS in {above} itself, so a nameserver of {above} has an old version or another zone: \
         repoint zone secondaries {above}, and repoint delegation check"
    )
}

fn algorithm_name(key: &KeyRow) -> String {
    let known = key.algorithm().map(|algorithm| algorithm.as_str());
    known.unwrap_or("unknown").to_owned()
}
