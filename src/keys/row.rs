//! A zone's keys as they are remembered: all that a procedure knows.
//!
//! In: keys, what was published when, what the parent said. Out: rows, the same after a restart. Never here: which
//! step comes next (`step`), private keys.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Seen};
use super::octets;
use super::parent::ParentDs;
use crate::clock::Wall;
use crate::topology::DomainName;
use crate::zone::{Dnskey, KeyAlgorithm, Name, Rdata};

/// The TTL of a DS that was never seen, in seconds: what most parents have, or less.
const DS_TTL_UNSEEN: u32 = 86_400;
/// Caches forget after this time whatever the TTL was (RFC 8767 §4: seven days), so no step waits longer.
const REMEMBERED_AT_MOST: u32 = 7 * 86_400;

/// One zone's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneRow {
    /// The zone.
    pub apex: DomainName,
    /// Its keys, oldest first; none when it is not signed.
    pub keys: Vec<KeyRow>,
    /// What the parent said last.
    pub parent: Option<ParentDs>,
    /// The largest TTL that a DS of the zone was seen with since it has keys, in seconds.
    pub ds_ttl: Option<u32>,
    /// The longest TTL in the version served, in seconds.
    pub longest_ttl: u32,
    /// Versions before it that had a longer TTL: how long, in seconds, and until when they were served.
    pub older: Option<(u32, Wall)>,
    /// The longest TTL of a version that is to be served once this row is stored, in seconds; zero for none.
    #[serde(default)]
    pub coming_ttl: u32,
    /// Signing is being ended.
    pub withdrawal: Option<Withdrawal>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its public half.
    pub public: PublicKey,
    /// Where it is on its way.
    pub stage: Stage,
    /// Since when, or since when a running server serves it so.
    pub since: Wall,
    /// When every nameserver had the version that began the stage; none while that is not certain.
    pub spread: Option<Wall>,
}

/// The stages of a key, in the order they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It signs the zone and is not in the DNSKEY RRset yet: a new algorithm begins so (RFC 6781 §4.1.4).
    Presigning,
    /// In the DNSKEY RRset; signs. Caches may still hold answers from before.
    Published,
    /// CDS and CDNSKEY ask the parent for its DS.
    Offered,
    /// Every server of the parent has its DS.
    Active,
    /// Another key has taken its place, and the parent is to drop its DS.
    Leaving,
    /// No server of the parent has its DS; caches may still.
    Expiring,
    /// Out of the DNSKEY RRset; its signatures stay while caches may hold it (RFC 6781 §4.1.4).
    Unpublished,
}

impl Stage {
    /// The word of `key list`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Presigning => "presigning",
            Stage::Published => "published",
            Stage::Offered => "offered",
            Stage::Active => "active",
            Stage::Leaving => "leaving",
            Stage::Expiring => "expiring",
            Stage::Unpublished => "unpublished",
        }
    }

    /// Whether the key is in the DNSKEY RRset.
    pub fn is_published(self) -> bool {
        !matches!(self, Stage::Presigning | Stage::Unpublished)
    }

    /// Whether a DS of the key makes a chain that every cache can follow.
    pub fn carries(self) -> bool {
        matches!(self, Stage::Offered | Stage::Active)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Signing is being ended: the parent is to drop every DS first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Since when.
    pub since: Wall,
    /// Since when no server of the parent has a DS.
    pub ds_gone: Option<Wall>,
}

impl ZoneRow {
    /// A zone without keys.
    pub fn new(apex: DomainName) -> ZoneRow {
        ZoneRow {
            apex,
            keys: Vec::new(),
            parent: None,
            ds_ttl: None,
            longest_ttl: 0,
            older: None,
            coming_ttl: 0,
            withdrawal: None,
        }
    }

    /// The zone's name as records have it.
    pub fn name(&self) -> Name {
        Name::from(&self.apex)
    }

    /// The key with this tag.
    pub fn key(&self, tag: u16) -> Option<&KeyRow> {
        self.keys.iter().find(|key| key.tag() == tag)
    }

    /// Whether there is nothing in it to remember.
    pub fn is_blank(&self) -> bool {
        self.keys.is_empty() && self.withdrawal.is_none()
    }

    /// Takes over what the parent says. True when it says something else than before.
    pub fn heard(&mut self, parent: ParentDs) -> bool {
        let news = self
            .parent
            .as_ref()
            .is_none_or(|before| !before.says_the_same(&parent));
        // The least TTL is of no use: a cache may have filled just before it was lowered.
        let ttl = self.ds_ttl;
        let remembered = parent.ttl.map(|ttl| ttl.min(REMEMBERED_AT_MOST));
        self.ds_ttl = self.ds_ttl.max(remembered);
        self.parent = Some(parent);
        news || ttl != self.ds_ttl
    }

    /// The row that has to be stored before a version with this longest TTL is served; none when this one will do. A
    /// process that was killed may have served it, and the next one cannot know of it otherwise.
    pub fn before_serving(&self, longest_ttl: u32) -> Option<ZoneRow> {
        let longest_ttl = longest_ttl.min(REMEMBERED_AT_MOST);
        let known = longest_ttl <= self.longest_ttl.max(self.coming_ttl);
        if known || self.keys.is_empty() {
            return None;
        }
        Some(ZoneRow {
            coming_ttl: longest_ttl,
            ..self.clone()
        })
    }

    /// Takes over the longest TTL of the version that is served from now on. True when the row is another.
    pub fn serves(&mut self, longest_ttl: u32, now: Wall) -> bool {
        let longest_ttl = longest_ttl.min(REMEMBERED_AT_MOST);
        let came = self.coming_ttl > 0 && longest_ttl >= self.coming_ttl;
        if came {
            self.coming_ttl = 0;
        }
        if longest_ttl == self.longest_ttl {
            return came;
        }
        if longest_ttl < self.longest_ttl {
            let last = (self.longest_ttl, now);
            let gone = |(ttl, until): (u32, Wall)| until + seconds(ttl);
            self.older = self
                .older
                .filter(|older| gone(*older) > gone(last))
                .or(Some(last));
        }
        self.longest_ttl = longest_ttl;
        true
    }

    /// A process begins: what no nameserver may have got from the one before is served from now on. True when the row
    /// is another.
    pub fn begun_again(&mut self, now: Wall) -> bool {
        let before = self.clone();
        for key in &mut self.keys {
            // A moment in the future is of a clock that has been set back.
            key.since = key.since.min(now);
            key.spread = key.spread.map(|at| at.min(now));
            if key.spread.is_none() && key.stage.waits_for_copies() {
                key.since = now;
            }
        }
        if let Some(withdrawal) = &mut self.withdrawal {
            withdrawal.since = withdrawal.since.min(now);
            withdrawal.ds_gone = withdrawal.ds_gone.map(|at| at.min(now));
        }
        // A secondary may have them still, and one of which nothing is known but that it was to be served.
        let older = self.older.map_or(0, |(ttl, _)| ttl).max(self.coming_ttl);
        self.older = (older > 0).then_some((older, now));
        self.coming_ttl = 0;
        // What was heard before counts as old: it is asked for again. Before a first key is made it counts for nothing.
        let signed = !self.keys.is_empty();
        self.parent = self.parent.take().filter(|_| signed);
        if let Some(parent) = &mut self.parent {
            parent.at = parent.at.min(now);
        }
        *self != before
    }

    /// The zone comes back into the configuration. Somebody else may have served it meanwhile, so what was waited for before
    /// is waited for again, and what the parent said before is worth nothing.
    pub fn returned(&mut self, now: Wall) {
        self.parent = None;
        for key in &mut self.keys {
            if key.stage.carries() {
                key.enter(Stage::Published, now);
            } else if key.stage.waits_for_copies() {
                key.enter(key.stage, now);
            }
        }
        if let Some(withdrawal) = &mut self.withdrawal {
            (withdrawal.since, withdrawal.ds_gone) = (now, None);
        }
        self.begun_again(now);
    }

    /// A version of a zone without keys was served up to now, by the process before: its longest TTL, and the longest TTL of
    /// what it has followed.
    pub fn served_before(&mut self, longest_ttl: u32, longest_followed: u32, now: Wall) {
        self.longest_ttl = longest_ttl;
        if longest_followed > longest_ttl {
            self.older = Some((longest_followed, now));
        }
    }

    /// What became known while this row was on its way to the store stays known; `in_force` is the row that it takes the
    /// place of.
    pub fn carry_over(&mut self, in_force: &ZoneRow) {
        let heard = |row: &ZoneRow| row.parent.as_ref().map(|parent| parent.at);
        if heard(in_force) > heard(self) {
            self.parent.clone_from(&in_force.parent);
        }
        if !self.keys.is_empty() {
            self.ds_ttl = self.ds_ttl.max(in_force.ds_ttl);
        }
        (self.longest_ttl, self.older) = (in_force.longest_ttl, in_force.older);
        self.coming_ttl = self.coming_ttl.max(in_force.coming_ttl);
    }

    /// Forgets versions whose every copy is gone.
    pub fn forget_older(&mut self, propagation: Duration, now: Wall) {
        let gone = |(ttl, until): (u32, Wall)| until + propagation + seconds(ttl) <= now;
        self.older = self.older.filter(|older| !gone(*older));
    }

    /// The wall clock was set: every moment moves with it, so no wait becomes shorter or longer.
    pub fn clock_set(&mut self, by_millis: i64) {
        let moved = |at: Wall| Wall::from_millis(at.as_millis().saturating_add(by_millis));
        for key in &mut self.keys {
            key.since = moved(key.since);
            key.spread = key.spread.map(moved);
        }
        if let Some(parent) = &mut self.parent {
            parent.at = moved(parent.at);
        }
        if let Some(withdrawal) = &mut self.withdrawal {
            withdrawal.since = moved(withdrawal.since);
            withdrawal.ds_gone = withdrawal.ds_gone.map(moved);
        }
        self.older = self.older.map(|(ttl, until)| (ttl, moved(until)));
    }

    /// How long caches may hold a DS.
    pub(super) fn ds_time(&self) -> Duration {
        let offered = self.keys.iter().any(|key| key.stage > Stage::Published);
        let unseen = if offered { DS_TTL_UNSEEN } else { 0 };
        seconds(self.ds_ttl.unwrap_or(unseen).max(self.longest_ttl))
    }

    /// The longest TTL of a copy that somebody may still hold.
    pub(super) fn longest_held(&self) -> u32 {
        let older = self.older.map_or(0, |(ttl, _)| ttl);
        self.longest_ttl.max(older)
    }

    /// When every copy from before a key's stage is gone at the earliest, if its version spreads no faster than it may.
    /// Otherwise what has to be done before that can be said.
    pub(super) fn copies_gone<'a>(&self, key: &KeyRow, facts: &'a Facts) -> Result<Wall, &'a str> {
        let current = key.spread_by(facts)? + seconds(self.longest_ttl);
        let older = self
            .older
            .map(|(ttl, until)| until + facts.propagation + seconds(ttl));
        Ok(current.max(older.unwrap_or(current)))
    }

    /// Since when a version has to reach every nameserver, for a key whose stage waits for that; none when none does.
    pub fn spreads_since(&self) -> Option<Wall> {
        let spreading = self.keys.iter().filter(|key| key.is_spreading());
        spreading.map(|key| key.since).max()
    }

    /// Whether a key waits until copies of versions before its own are gone.
    pub fn waits_for_copies(&self) -> bool {
        self.keys.iter().any(|key| key.stage.waits_for_copies())
    }

    /// A nameserver has served a version with a longer TTL up to now.
    pub fn older_served_until(&mut self, now: Wall) {
        self.older = self.older.map(|(ttl, until)| (ttl, until.max(now)));
    }
}

impl Stage {
    /// Whether the stage ends when caches have forgotten what was before it.
    pub(super) fn waits_for_copies(self) -> bool {
        matches!(
            self,
            Stage::Presigning | Stage::Published | Stage::Unpublished
        )
    }
}

impl KeyRow {
    /// A key that enters a stage.
    pub fn new(public: PublicKey, stage: Stage, since: Wall) -> KeyRow {
        KeyRow {
            public,
            stage,
            since,
            spread: None,
        }
    }

    /// Its DNSKEY.
    pub fn dnskey(&self) -> &Dnskey {
        &self.public.0
    }

    /// Its key tag.
    pub fn tag(&self) -> u16 {
        self.dnskey().tag()
    }

    /// Its algorithm; none for one we do not sign with.
    pub fn algorithm(&self) -> Option<KeyAlgorithm> {
        KeyAlgorithm::from_number(self.dnskey().algorithm())
    }

    /// Whether its stage waits until every nameserver has the version that began it.
    pub(super) fn is_spreading(&self) -> bool {
        self.spread.is_none() && self.stage.waits_for_copies()
    }

    /// When every nameserver has the version that began the stage, or will have had the time for it; or what has to be
    /// done before that can be said. `propagation` counts from when the secondaries have it: others may have it from them.
    pub(super) fn spread_by<'a>(&self, facts: &'a Facts) -> Result<Wall, &'a str> {
        match (self.spread, &facts.seen) {
            (Some(at), _) => Ok(at),
            (None, Seen::Everywhere(at)) => Ok(self.since.max(*at) + facts.propagation),
            (None, Seen::Missing(what)) => Err(what),
        }
    }

    pub(super) fn enter(&mut self, stage: Stage, now: Wall) {
        self.stage = stage;
        self.since = now;
        self.spread = None;
    }
}

/// A public key, stored as the RDATA of its DNSKEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub Dnskey);

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        octets::serialize(self.0.rdata().wire(), to)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<PublicKey, D::Error> {
        let wire = octets::deserialize(from)?;
        let key = Rdata::new(RecordType::DNSKEY, &wire).and_then(Dnskey::from_rdata);
        let fault = || serde::de::Error::custom("these octets are no DNSKEY");
        key.map(PublicKey).ok_or_else(fault)
    }
}

pub(super) fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An Ed25519 key.
    const KEY: &[u8] = &[1, 1, 3, 15, 7, 7, 7, 7];

    #[test]
    fn a_ttl_of_years_holds_nothing_up_for_years() {
        let now = Wall::from_millis(1_795_000_000_000);
        let mut row = ZoneRow::new("fed.contoso.com".parse().unwrap());
        row.serves(i32::MAX.cast_unsigned(), now);
        row.serves(300, now);
        assert_eq!(row.older, Some((7 * 86_400, now)));
        assert_eq!(row.longest_held(), 7 * 86_400);
        row.heard(ParentDs::of(now, [Some((&[][..], u32::MAX))]));
        assert_eq!(row.ds_ttl, None);
        let ds = crate::zone::Rdata::new(hickory_proto::rr::RecordType::DS, &[0; 36]).unwrap();
        row.heard(ParentDs::of(now, [Some((&[ds][..], u32::MAX))]));
        assert_eq!(row.ds_ttl, Some(7 * 86_400));
    }

    #[test]
    fn a_version_that_may_have_been_served_before_a_restart_counts_as_served_until_then() {
        let now = Wall::from_millis(1_795_000_000_000);
        let mut row = ZoneRow::new("fed.contoso.com".parse().unwrap());
        row.serves(60, now);
        assert_eq!(row.before_serving(300), None, "it has no key");
        let key = Dnskey::from_rdata(Rdata::new(RecordType::DNSKEY, KEY).unwrap()).unwrap();
        row.keys
            .push(KeyRow::new(PublicKey(key), Stage::Active, now));
        assert_eq!(row.before_serving(60), None);
        let mut row = row.before_serving(300).unwrap();
        assert_eq!(row.before_serving(300), None, "it says so already");
        let mut served = row.clone();
        assert!(row.begun_again(now));
        assert_eq!((row.older, row.coming_ttl), (Some((300, now)), 0));
        // Once it is served it is like any other.
        assert!(served.serves(300, now));
        assert_eq!((served.longest_ttl, served.coming_ttl), (300, 0));
    }
}
