//! What can be seen of zones' keys: for `key list`, `status`, `zone show`.
//!
//! In: rows, what each waits for. Out: plain values, public halves only. Never here: a change of anything.

use serde::{Deserialize, Serialize};

use super::core::Engine;
use crate::clock::{Now, Wall};
use crate::keys::{Advice, DsAdvice, KeyRow, Outlook, ParentDs, Stage, ZoneRow};
use crate::topology::DomainName;
use crate::zone::{Name, ZoneVersion};

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
    /// Some server has a DS.
    pub has_ds: bool,
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
        let signed = version.is_some_and(|version| version.is_signed());
        let keys: Vec<KeyView> = row.keys.iter().map(|key| self.key_view(row, key)).collect();
        let mut ds = row.ds_advice(&facts);
        if version.is_some() && !signed && keys.iter().any(|key| !key.private) {
            // What nobody can sign with must not be pointed at.
            let none = row.parent.as_ref().is_some_and(ParentDs::is_empty);
            ds.tags = Vec::new();
            ds.advice = if none { Advice::Done } else { Advice::Now };
        }
        ZoneKeysView {
            zone: row.apex.clone(),
            wanted: facts.wanted,
            signed,
            keys,
            outlook: moment.and_then(|moment| moment.outlook.clone()),
            ds,
            ds_kept_in: self.ds_kept_in(&row.apex),
            parent: row.parent.as_ref().map(|parent| ParentView {
                at: parent.at,
                complete: parent.complete,
                has_ds: !parent.anywhere.is_empty(),
                tags: parent.tags(),
            }),
            fault: moment.and_then(|moment| moment.fault.clone()),
        }
    }

    pub(super) fn ds_kept_in(&self, apex: &DomainName) -> Option<DomainName> {
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
}

fn algorithm_name(key: &KeyRow) -> String {
    let known = key.algorithm().map(|algorithm| algorithm.as_str());
    known.unwrap_or("unknown").to_owned()
}
