//! What operators ask of zones' keys.
//!
//! In: a command. Out: a plan with the rows it makes, or a refusal that says what would break. Never here: steps that
//! time brings (`signing`); making a key.

use super::command::{KeyChange, KeyVerb, Refusal, RefusalKind, Request};
use super::core::Engine;
use super::plan::Plan;
use super::record::EntryKind;
use super::signing::TakenStep;
use crate::clock::Now;
use crate::keys::{self, RequestFault};
use crate::topology::DomainName;
use crate::zone::{Dnskey, Name};

/// The code of a refusal because a key of the zone has the tag already: another key will do.
pub const SAME_TAG: &str = "same-tag";

impl Engine {
    pub(super) fn plan_keys(
        &self,
        request: &Request,
        zone: &DomainName,
        change: &KeyChange,
        now: Now,
    ) -> Result<Plan, Box<Refusal>> {
        let refuse =
            |kind, code: &str, why: &str, hint| self.refuse(request, kind, code, why, hint);
        let row = self.signing.rows.get(zone);
        let served = self.layout.soa_ttl(&Name::from(zone)).is_some();
        let Some(row) = row.filter(|_| served) else {
            let why = format!("zone {zone} is not served here");
            return Err(refuse(RefusalKind::NotFound, "unknown-zone", &why, None));
        };
        if self.signing.stepping.is_some() {
            let why = "a step of a zone's keys is just being stored";
            let hint = Some("try again".to_owned());
            return Err(refuse(RefusalKind::Unavailable, "busy", why, hint));
        }
        if let KeyChange::Begin { key, .. } = change
            && self.late.has_key(zone, key.tag())
        {
            let why = "an earlier command with this key was refused, and the store has not settled that yet";
            let hint = Some("try again".to_owned());
            return Err(refuse(RefusalKind::Unavailable, "busy", why, hint));
        }
        let facts = self.key_facts(zone, now);
        let (row, key, text) = match change {
            KeyChange::Begin {
                verb,
                key,
                parent_has_no_ds,
                ..
            } => {
                let (tag, public) = (key.tag(), key.dnskey());
                let at_hand = |key: &Dnskey| self.signing.ring.private(zone, key).is_some();
                let first = row.keys.is_empty();
                let mut text = match verb {
                    KeyVerb::Generate => format!("zone {zone}: key {tag} generated"),
                    KeyVerb::Import => format!("zone {zone}: key {tag} imported"),
                    KeyVerb::Roll => format!("zone {zone}: roll to key {tag} begun"),
                };
                let known = row.key(tag).filter(|known| known.dnskey() == public);
                let asked = match verb {
                    // Its private half is back: nothing that holds keys up gets worse by it.
                    KeyVerb::Import if known.is_some() && !at_hand(public) => {
                        text = format!("zone {zone}: the private half of key {tag} imported");
                        Ok(row.clone())
                    }
                    KeyVerb::Generate if !first => Err(RequestFault::HasKey),
                    KeyVerb::Roll if first => Err(RequestFault::NoKey),
                    _ => {
                        let mended = (*verb == KeyVerb::Import && !first)
                            .then(|| keys::mend(row, at_hand, [public], now.wall));
                        mended.flatten().map_or_else(
                            || {
                                let public = public.clone();
                                keys::begin(row, public, *parent_has_no_ds, &facts, now.wall)
                            },
                            Ok,
                        )
                    }
                };
                let row = asked.map_err(|fault| self.key_refused(request, zone, &fault))?;
                (row, Some(key.clone()), text)
            }
            KeyChange::Retire { tag, force } => {
                let asked = match force {
                    true => keys::force_retire(row, *tag),
                    false => keys::retire(row, *tag, now.wall),
                };
                let row = asked.map_err(|fault| self.key_refused(request, zone, &fault))?;
                let how = if *force {
                    "removed by force"
                } else {
                    "retired"
                };
                (row, None, format!("zone {zone}: key {tag} {how}"))
            }
        };
        let mut plan = self.empty_plan(request, EntryKind::Keys, None, text, now);
        let clock = self.signing.dating.offset();
        plan.keys.push(TakenStep { row, key, clock });
        Ok(plan)
    }

    fn key_refused(
        &self,
        request: &Request,
        zone: &DomainName,
        fault: &RequestFault,
    ) -> Box<Refusal> {
        let (kind, code, hint) = match fault {
            RequestFault::NotWanted => (
                RefusalKind::Conflict,
                "not-signed",
                Some("set dnssec = true for it, then: repoint config reload".to_owned()),
            ),
            RequestFault::Held(_) => (
                RefusalKind::Conflict,
                "held",
                Some("try again when that is over".to_owned()),
            ),
            RequestFault::HasKey => (
                RefusalKind::Conflict,
                "has-key",
                Some(format!("repoint key roll {zone}")),
            ),
            RequestFault::NoKey => (
                RefusalKind::Conflict,
                "no-key",
                Some(format!("repoint key generate {zone}")),
            ),
            RequestFault::UnderWay { .. } | RequestFault::Withdrawing => (
                RefusalKind::Conflict,
                "under-way",
                Some(format!("repoint key list {zone} says what it waits for")),
            ),
            RequestFault::SameTag(_) => (RefusalKind::Conflict, SAME_TAG, None),
            RequestFault::ParentUnknown => (
                RefusalKind::Conflict,
                "parent-unknown",
                Some("when you know that it has none, repeat it with --parent-has-no-ds".to_owned()),
            ),
            RequestFault::ParentHasDs(_) => (
                RefusalKind::Conflict,
                "parent-has-ds",
                Some("import that key, or have the DS removed at the parent first".to_owned()),
            ),
            RequestFault::Unknown(_) => (
                RefusalKind::NotFound,
                "unknown-key",
                Some(format!("repoint key list {zone}")),
            ),
            RequestFault::Only => (
                RefusalKind::Conflict,
                "only-key",
                Some("to end signing, set dnssec = false for the zone and reload; --force removes it now and makes answers bogus".to_owned()),
            ),
            RequestFault::Retiring(_) => (RefusalKind::Conflict, "retiring", None),
            RequestFault::Carries => (
                RefusalKind::Conflict,
                "carries",
                Some(format!("repoint key ds {zone} says what the parent should have; let the roll end, then roll again")),
            ),
            RequestFault::NotEntryPoint => (RefusalKind::Invalid, "flags", None),
        };
        self.refuse(request, kind, code, &fault.to_string(), hint)
    }
}
