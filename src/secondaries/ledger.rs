//! When whom to tell and ask, and what is known of each: pure.
//!
//! In: the configured secondaries, publications, replies, the time. Out: [`Errand`]s, never too many at once; [`Ahead`]; which
//! serials are there that were not before.
//! Never here: clocks, sockets.
//!
//! Every secondary has its own share of what is under way, and one that does not answer has next to none: thousands of zones
//! of a dead secondary do not keep a living one waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use super::step::{ROUND, Step};
use crate::clock::{Mono, Now, Wall};
use crate::config::Secondary;
use crate::engine::Sighting;
use crate::zone::{Name, Serial, ZoneVersion, Zones};

/// Errands of one secondary under way at one time.
const SHARE: usize = 16;
/// So many errands in a row that came to nothing, and one at a time is enough to learn that it is back.
const SILENT: u32 = 3;
/// How many versions of a zone are remembered, to say how far behind a secondary is.
const REMEMBERED: usize = 64;

/// What is done at a secondary for one zone.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Where.
    pub secondary: Arc<Secondary>,
    /// The version published: its apex, its SOA.
    pub version: Arc<ZoneVersion>,
    /// What.
    pub what: What,
    /// The secondary's place in the ledger.
    pub(super) at: usize,
}

/// What an errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Tell it that the zone has changed.
    Notify,
    /// Ask for its serial.
    Ask,
}

/// A secondary that has a later serial than we ever published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Which secondary.
    pub secondary: Arc<Secondary>,
    /// Of which zone.
    pub apex: Name,
    /// Its serial.
    pub has: Serial,
    /// Ours.
    pub ours: Serial,
}

/// A zone as published.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) version: Arc<ZoneVersion>,
    /// The last versions, oldest first, with the moment each was published.
    pub(super) before: VecDeque<(Serial, Wall)>,
}

/// A secondary with its zones.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) secondary: Arc<Secondary>,
    pub(super) steps: BTreeMap<Name, Step>,
    /// What is due when; each step has at most one entry of each sort.
    due: BTreeSet<(Mono, What, Name)>,
    under_way: BTreeSet<(What, Name)>,
    /// Errands in a row without an answer.
    unanswered: u32,
    /// Since when it has not answered at all.
    pub(super) silent_since: Option<Wall>,
    pub(super) silence: Option<String>,
}

/// Everything known of all secondaries.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(super) accounts: Vec<Account>,
    pub(super) zones: BTreeMap<Name, Published>,
    /// What was said that was not known, and is not told yet.
    sightings: Vec<Sighting>,
}

impl Ledger {
    /// Takes the secondaries of a configuration over. What is known of one that stays the same stays.
    pub fn configure(&mut self, secondaries: &[Arc<Secondary>], now: Now) {
        let mut old = std::mem::take(&mut self.accounts);
        for secondary in secondaries {
            let same = old
                .iter()
                .position(|account| account.secondary == *secondary);
            self.accounts.push(match same {
                Some(at) => {
                    let mut account = old.swap_remove(at);
                    // Results of what is under way may belong to another place by now: it is begun anew.
                    for (_, apex) in std::mem::take(&mut account.under_way) {
                        account.plan(&apex);
                    }
                    account
                }
                None => Account::new(secondary.clone()),
            });
        }
        self.follow_zones(now);
    }

    /// Takes a publication over.
    pub fn publish(&mut self, zones: &Zones, now: Now) {
        let gone: Vec<Name> = self
            .zones
            .keys()
            .filter(|apex| zones.version_at(apex).is_none())
            .cloned()
            .collect();
        for apex in gone {
            self.zones.remove(&apex);
        }
        for version in zones.iter() {
            let apex = version.apex();
            match self.zones.get_mut(apex) {
                Some(published) if published.version.serial() == version.serial() => {}
                Some(published) => {
                    published.version = version.clone();
                    published.before.push_back((version.serial(), now.wall));
                    if published.before.len() > REMEMBERED {
                        published.before.pop_front();
                    }
                    for account in &mut self.accounts {
                        account.published(apex, now);
                    }
                }
                None => {
                    let published = Published {
                        version: version.clone(),
                        before: [(version.serial(), now.wall)].into(),
                    };
                    self.zones.insert(apex.clone(), published);
                }
            }
        }
        self.follow_zones(now);
    }

    /// Every secondary has an entry for each of its zones, and no other.
    fn follow_zones(&mut self, now: Now) {
        for account in &mut self.accounts {
            let secondary = account.secondary.clone();
            let gone = |apex: &Name| !self.zones.contains_key(apex) || !secondary.has(apex);
            account.steps.retain(|apex, _| !gone(apex));
            account.due.retain(|(_, _, apex)| !gone(apex));
            for apex in self.zones.keys().filter(|apex| secondary.has(apex)) {
                if !account.steps.contains_key(apex) {
                    account
                        .steps
                        .insert(apex.clone(), Step::new(now, Duration::ZERO));
                    account.plan(apex);
                }
            }
        }
    }

    /// What is to be done now.
    pub fn due(&mut self, now: Mono) -> Vec<Errand> {
        let mut errands = Vec::new();
        for (at, account) in self.accounts.iter_mut().enumerate() {
            while account.has_room()
                && let Some((when, what, apex)) = account.due.first().cloned()
                && when <= now
            {
                account.due.pop_first();
                let Some(published) = self.zones.get(&apex) else {
                    continue;
                };
                account.under_way.insert((what, apex));
                errands.push(Errand {
                    secondary: account.secondary.clone(),
                    version: published.version.clone(),
                    what,
                    at,
                });
            }
        }
        errands
    }

    /// When something is due next; what waits for room is not counted, as room comes with a result.
    pub fn next_deadline(&self) -> Option<Mono> {
        let free = self.accounts.iter().filter(|account| account.has_room());
        free.filter_map(|account| account.due.first())
            .map(|(when, _, _)| *when)
            .min()
    }

    /// A NOTIFY was acknowledged, or why not.
    pub fn notified(&mut self, errand: &Errand, result: Result<(), String>, now: Now) {
        let apex = errand.version.apex().clone();
        let newest = self.newest(&apex);
        let Some((account, newest)) = self.account(errand).zip(newest) else {
            return;
        };
        account.heard(result.as_ref().err(), now);
        if let Some(step) = account.steps.get_mut(&apex) {
            match result {
                Ok(()) => step.acknowledged(errand.version.serial(), newest, now),
                Err(why) => step.unheard(why, now),
            }
        }
        account.under_way.remove(&(What::Notify, apex.clone()));
        account.plan(&apex);
    }

    /// A secondary said which serial it has, or why it did not; `Reply::Nothing` when no word came.
    pub fn answered(&mut self, errand: &Errand, reply: Reply, now: Now) -> Option<Ahead> {
        let apex = errand.version.apex().clone();
        let newest = self.newest(&apex);
        let (account, newest) = self.account(errand).zip(newest)?;
        let silence = match &reply {
            Reply::Nothing(why) => Some(why),
            Reply::Serial(_) | Reply::Other(_) => None,
        };
        account.heard(silence, now);
        let spread = spread(&account.secondary, &apex);
        let (mut ahead, mut sighting) = (None, None);
        if let Some(step) = account.steps.get_mut(&apex) {
            match reply {
                Reply::Serial(has) => {
                    let news = step.has != Some(has);
                    sighting = news.then(|| Sighting {
                        secondary: errand.secondary.address,
                        apex: apex.clone(),
                        serial: has,
                    });
                    step.said(has, newest, now, spread);
                    ahead = has.is_after(newest).then(|| Ahead {
                        secondary: errand.secondary.clone(),
                        apex: apex.clone(),
                        has,
                        ours: newest,
                    });
                }
                Reply::Other(why) | Reply::Nothing(why) => step.silent(why, now),
            }
        }
        account.under_way.remove(&(What::Ask, apex.clone()));
        account.plan(&apex);
        self.sightings.extend(sighting);
        ahead
    }

    /// Whether something was said that is not told yet.
    pub fn has_sightings(&self) -> bool {
        !self.sightings.is_empty()
    }

    /// What was said since this was asked last.
    pub fn take_sightings(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.sightings)
    }

    fn newest(&self, apex: &Name) -> Option<Serial> {
        Some(self.zones.get(apex)?.version.serial())
    }

    /// The account of an errand; none when the configuration has changed since.
    fn account(&mut self, errand: &Errand) -> Option<&mut Account> {
        let account = self.accounts.get_mut(errand.at)?;
        Arc::ptr_eq(&account.secondary, &errand.secondary).then_some(account)
    }
}

/// What a secondary replied to the question for its serial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This serial.
    Serial(Serial),
    /// Something else: it does not have the zone.
    Other(String),
    /// Nothing that is to be believed.
    Nothing(String),
}

impl Account {
    fn new(secondary: Arc<Secondary>) -> Account {
        Account {
            secondary,
            steps: BTreeMap::new(),
            due: BTreeSet::new(),
            under_way: BTreeSet::new(),
            unanswered: 0,
            silent_since: None,
            silence: None,
        }
    }

    fn has_room(&self) -> bool {
        let share = if self.unanswered >= SILENT { 1 } else { SHARE };
        self.under_way.len() < share
    }

    fn published(&mut self, apex: &Name, now: Now) {
        if let Some(step) = self.steps.get_mut(apex) {
            step.published(now);
            self.plan(apex);
        }
    }

    /// It answered, or did not.
    fn heard(&mut self, silence: Option<&String>, now: Now) {
        match silence {
            None => {
                self.unanswered = 0;
                (self.silent_since, self.silence) = (None, None);
            }
            Some(why) => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.silent_since = self.silent_since.or(Some(now.wall));
                self.silence = Some(why.clone());
            }
        }
    }

    /// Enters when a zone's next errands are due; what is under way is entered when it has ended.
    fn plan(&mut self, apex: &Name) {
        let Some(step) = self.steps.get_mut(apex) else {
            return;
        };
        let wanted = [(What::Notify, step.tell), (What::Ask, Some(step.ask))];
        for ((what, when), entered) in wanted.into_iter().zip(&mut step.entered) {
            if let Some(old) = entered.take() {
                self.due.remove(&(old, what, apex.clone()));
            }
            let under_way = self.under_way.contains(&(what, apex.clone()));
            if let Some(when) = when.filter(|_| !under_way) {
                self.due.insert((when, what, apex.clone()));
                *entered = Some(when);
            }
        }
    }
}

/// So that thousands of zones are not asked for all at once: a part of the round, always the same for one zone.
fn spread(secondary: &Secondary, apex: &Name) -> Duration {
    let mut hasher = DefaultHasher::new();
    (secondary.name.as_str(), apex.key()).hash(&mut hasher);
    ROUND.mul_f64((hasher.finish() % 1000) as f64 / 5000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
