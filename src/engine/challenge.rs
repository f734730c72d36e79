//! Challenges of certificate authorities: TXT values at `_acme-challenge` names, each with its end (RFC 8555 §8.4).
//!
//! In: commands and updates that put values or take them away, the time. Out: the values in force, and what the store
//! keeps of them. A value that has ended leaves by itself. Never here: who may ask, and the octets of an update.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Refusal, RefusalKind, Request};
use super::core::{Engine, Triggers};
use super::event::Effect;
use super::plan::Plan;
use super::record::EntryKind;
use crate::clock::{Mono, Now, Wall};
use crate::topology::DomainName;
use crate::zone::{Challenges, Found, Name};

/// The label that names of challenges begin with.
const LABEL: &str = "_acme-challenge.";
/// A TXT record's string.
const LONGEST_VALUE: usize = 255;
/// Values of one name: two orders at once need two, and a client that never clears must not fill a response.
const MOST_VALUES: usize = 16;
/// Names with values.
const MOST_NAMES: usize = 10_000;
/// No challenge takes longer.
const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// After an end that could not be published for want of numbers.
const RETRY: Duration = Duration::from_secs(5);

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The name it is at.
    pub name: DomainName,
    /// The text.
    pub value: String,
    /// Who put it there.
    pub author: String,
    /// When.
    pub since: Wall,
    /// When it leaves.
    pub until: Wall,
}

/// What is done to the values of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeChange {
    /// One is put beside the others; one that is there already lasts anew.
    Set(String),
    /// One leaves.
    Clear(String),
    /// All leave.
    ClearAll,
}

/// The values in force, by name. A name has some or is not here.
#[derive(Clone, Debug, Default)]
pub(super) struct InForce {
    values: BTreeMap<DomainName, Vec<Challenge>>,
    /// Not before this is an end looked at again.
    retry_at: Option<Mono>,
}

impl InForce {
    pub(super) fn new(remembered: Vec<Challenge>) -> InForce {
        let mut in_force = InForce::default();
        for challenge in remembered {
            let name = challenge.name.clone();
            in_force.values.entry(name).or_default().push(challenge);
        }
        in_force
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Challenge> {
        self.values.values().flatten()
    }

    pub(super) fn of(&self, name: &DomainName) -> Vec<Challenge> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn put(&mut self, name: &DomainName, values: Vec<Challenge>) {
        if values.is_empty() {
            self.values.remove(name);
        } else {
            self.values.insert(name.clone(), values);
        }
    }

    /// What the zones are compiled with.
    pub(super) fn rendered(&self) -> Challenges {
        Challenges::new(self.values.iter().map(|(name, values)| {
            let texts = values.iter().map(|one| one.value.as_bytes());
            (Name::from(name), texts.collect())
        }))
    }

    /// When the next value ends.
    pub(super) fn next_end(&self, last: Now) -> Option<Mono> {
        let end = self.iter().map(|one| one.until).min()?;
        let end = last.mono + end.since(last.wall);
        Some(self.retry_at.map_or(end, |retry_at| end.max(retry_at)))
    }
}

impl Engine {
    /// Works out what changes of challenges lead to. `lenient` says that clearing what is not there is fine, as in an
    /// update (RFC 2136 §3.4.2.4).
    pub(super) fn plan_challenges(
        &self,
        request: &Request,
        changes: &[(DomainName, ChallengeChange)],
        lifetime: Option<Duration>,
        lenient: bool,
        now: Now,
    ) -> Result<Plan, Box<Refusal>> {
        let invalid =
            |code: &str, why: &str| self.refuse(request, RefusalKind::Invalid, code, why, None);
        let lifetime = lifetime.unwrap_or(self.configuration.acme.lifetime);
        if lifetime.is_zero() {
            return Err(invalid("no-time", "it would end at once"));
        }
        if lifetime > LONGEST_LIFETIME {
            return Err(invalid("too-long", "a challenge lasts seven days at most"));
        }
        let mut after: BTreeMap<DomainName, Vec<Challenge>> = BTreeMap::new();
        for (name, change) in changes {
            self.check_challenge_name(request, name)?;
            let values = after
                .entry(name.clone())
                .or_insert_with(|| self.challenges.of(name));
            let before = values.len();
            match change {
                ChallengeChange::Set(value) => {
                    if value.is_empty() || value.len() > LONGEST_VALUE {
                        let why = format!(
                            "the value has {} octets, and may have 1 to {LONGEST_VALUE}",
                            value.len()
                        );
                        return Err(invalid("bad-value", &why));
                    }
                    values.retain(|one| one.value != *value);
                    values.push(Challenge {
                        name: name.clone(),
                        value: value.clone(),
                        author: request.author.clone(),
                        since: now.wall,
                        until: now.wall + lifetime,
                    });
                    if values.len() > MOST_VALUES {
                        let why = format!("{name} has {before} values already");
                        let hint = Some(format!("take them away: repoint acme clear {name}"));
                        let kind = RefusalKind::Conflict;
                        return Err(self.refuse(request, kind, "too-many", &why, hint));
                    }
                }
                ChallengeChange::Clear(value) => values.retain(|one| one.value != *value),
                ChallengeChange::ClearAll => values.clear(),
            }
            let cleared = !matches!(change, ChallengeChange::Set(_));
            if cleared && !lenient && values.len() == before {
                let why = format!("{name} has no such value");
                let hint = Some("see what is there: repoint acme list".to_owned());
                return Err(self.refuse(
                    request,
                    RefusalKind::NotFound,
                    "no-such-value",
                    &why,
                    hint,
                ));
            }
        }
        if self.challenges.values.len() + after.len() > MOST_NAMES {
            return Err(invalid(
                "too-many",
                "too many names have challenges already",
            ));
        }
        let text = described(changes);
        let mut plan = self.empty_plan(request, EntryKind::Challenge, None, text, now);
        plan.challenges = after.into_iter().collect();
        Ok(plan)
    }

    /// Whether a challenge at this name would be served.
    fn check_challenge_name(
        &self,
        request: &Request,
        name: &DomainName,
    ) -> Result<(), Box<Refusal>> {
        let refuse = |kind, code: &str, why: &str, hint: Option<String>| {
            Err(self.refuse(request, kind, code, why, hint))
        };
        if !name.as_str().starts_with(LABEL) {
            let why = format!("{name} does not begin with {LABEL}");
            let hint = Some(format!("write {LABEL}{name}"));
            return refuse(RefusalKind::Invalid, "not-a-challenge", &why, hint);
        }
        let wire = Name::from(name);
        let Some(zone) = self.zones.zone_of(wire.key()) else {
            let why = format!("{name} lies in no zone served here");
            let hint = format!(
                "let the parent zone point here: {name}. CNAME {LABEL}NAME. with NAME in a zone served here \
                 (docs/acme.md), and set it there; repoint zone list shows the zones"
            );
            return refuse(RefusalKind::NotFound, "not-our-zone", &why, Some(hint));
        };
        match zone.find(wire.key()) {
            Found::Cut(_) => {
                let why = format!("{name} is delegated to other nameservers");
                refuse(RefusalKind::Conflict, "delegated", &why, None)
            }
            Found::Redirected(dname) => {
                let why = format!("{name} lies below the DNAME of {}", dname.name);
                let hint = Some("set it at the name that the DNAME leads to".to_owned());
                refuse(RefusalKind::Conflict, "redirected", &why, hint)
            }
            Found::Node(node) if node.set(hickory_proto::rr::RecordType::CNAME).is_some() => {
                let why = format!("{name} is an alias (CNAME)");
                let hint = Some("set it at the name that the alias leads to".to_owned());
                refuse(RefusalKind::Conflict, "alias", &why, hint)
            }
            _ => Ok(()),
        }
    }

    /// Takes away the values that have ended, and publishes what is left.
    pub(super) fn expire_challenges(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.challenges.retry_at.is_some_and(|at| at > now.mono)
            || self.challenges.iter().all(|one| one.until > now.wall)
        {
            return;
        }
        let before = self.challenges.clone();
        let mut ended = Vec::new();
        let names: Vec<DomainName> = before.values.keys().cloned().collect();
        for name in names {
            let (gone, left): (Vec<_>, Vec<_>) = before
                .of(&name)
                .into_iter()
                .partition(|one| one.until <= now.wall);
            if !gone.is_empty() {
                self.challenges.put(&name, left.clone());
                ended.push((name, left, gone));
            }
        }
        self.challenges.retry_at = None;
        if self
            .publish_anyway(&Triggers::new(), now, out)
            .out_of_numbers
        {
            self.challenges = before;
            self.challenges.retry_at = Some(now.mono + RETRY);
            return;
        }
        for (name, left, gone) in ended {
            self.journal.challenges(name.clone(), left);
            let count = gone.len();
            let text = format!("{name}: {count} challenge value(s) ended");
            self.note(EntryKind::Challenge, None, text.clone(), now);
            out.push(Effect::Log { warn: false, text });
        }
    }
}

/// The changes in words. Values are public: they are in the DNS.
pub(super) fn described(changes: &[(DomainName, ChallengeChange)]) -> String {
    let words: Vec<String> = changes
        .iter()
        .map(|(name, change)| match change {
            ChallengeChange::Set(value) => format!("set the challenge {value:?} at {name}"),
            ChallengeChange::Clear(value) => format!("clear the challenge {value:?} at {name}"),
            ChallengeChange::ClearAll => format!("clear the challenges at {name}"),
        })
        .collect();
    words.join("; ")
}
