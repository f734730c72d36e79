//! What is out there of signed zones: versions that a secondary still serves, answers and DS RRsets that a cache still
//! holds. A validator may put any of it together with any other.
//!
//! In: publications, changes of parents, starts and ends of the process. Out: the first combination that is bogus.
//! Everything lags as long as it may: a secondary has a new version no earlier than `propagation` after it was
//! published, and not while the process is dead; a cache keeps an answer for the longest TTL. Never here: what the
//! engine thinks of keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use repoint::clock::Wall;
use repoint::topology::DomainName;
use repoint::zone::{Dnskey, ZoneVersion, Zones};

use crate::chain::{DsSet, Version, broken};
use crate::signatures::{Signatures, Validity};

/// Between the decision for a version and its publication a slow store may lie.
const SLACK: Duration = Duration::from_secs(3);

/// Until when somebody gives something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Always,
    Until(Duration),
    /// By a secondary that cannot hear of a later version while the process is dead.
    Stranded,
}

#[derive(Debug)]
struct Held<T> {
    what: T,
    ttl: u32,
    given: Given,
}

impl<T> Held<T> {
    fn is_gone(&self, now: Duration) -> bool {
        let kept = Duration::from_secs(self.ttl.into());
        matches!(self.given, Given::Until(until) if until + kept <= now)
    }
}

#[derive(Default)]
struct Zone {
    served: Option<Arc<ZoneVersion>>,
    versions: Vec<Held<Version>>,
    ds: Vec<Held<DsSet>>,
}

/// Everything out there.
#[derive(Default)]
pub(crate) struct Outside {
    zones: BTreeMap<DomainName, Zone>,
    signatures: Signatures,
    /// A process runs that has lost its memory: zones may be unsigned whatever the parents say.
    amnesia: bool,
    /// Zones of which the next process cannot know how long they have waited.
    timeless: BTreeSet<DomainName>,
}

impl Outside {
    /// Zones are published, at this moment of a clock that may be known to be wrong. Every version must be whole; and together with all that is held, not bogus.
    pub(crate) fn published(
        &mut self,
        zones: &Zones,
        propagation: Duration,
        now: Duration,
        (wall, clock_is_wrong): (Wall, bool),
    ) -> Result<(), String> {
        for version in zones.iter() {
            let apex = version.apex().to_domain_name().unwrap();
            let zone = self.zones.entry(apex.clone()).or_default();
            let same = |before: &Arc<ZoneVersion>| Arc::ptr_eq(before, version);
            if zone.served.as_ref().is_some_and(same) {
                continue;
            }
            zone.served = Some(version.clone());
            // One that waits to be signed, or for its turn, has what a clock that was ahead has left until it is. For how
            // long that may be, `trust` checks.
            let mut waiting = zones.outlines().iter();
            let waits = waiting.any(|outline| outline.apex() == version.apex());
            let waits = waits || zones.is_behind();
            let validity = match (waits, clock_is_wrong) {
                (true, _) => Validity::Any,
                (false, true) => Validity::LongEnough,
                (false, false) => Validity::Now,
            };
            let says = self.signatures.check(version, wall, validity);
            let says = says.map_err(|wrong| format!("zone {apex}: {wrong}"))?;
            let lagging = Given::Until(now + propagation.saturating_sub(SLACK));
            let ttl = says.ttl;
            replace(&mut zone.versions, [(says, ttl)], lagging);
            self.complaint(&apex, now)?;
        }
        Ok(())
    }

    /// What the parent's servers say of a zone from now on.
    pub(crate) fn pointed<'a>(
        &mut self,
        apex: &DomainName,
        sets: impl IntoIterator<Item = &'a [Dnskey]>,
        ttl: u32,
        now: Duration,
    ) -> Result<(), String> {
        let zone = self.zones.entry(apex.clone()).or_default();
        let of = |keys: &[Dnskey]| -> DsSet {
            keys.iter()
                .map(|key| (key.tag(), key.algorithm()))
                .collect()
        };
        let sets = sets.into_iter().map(|keys| (of(keys), ttl));
        replace(&mut zone.ds, sets, Given::Until(now));
        self.complaint(apex, now)
    }

    /// A process begins; `knows` when it could read what the one before had stored.
    pub(crate) fn process_begins(&mut self, knows: bool, propagation: Duration, now: Duration) {
        let forgotten = std::mem::take(&mut self.timeless);
        for (apex, zone) in &mut self.zones {
            zone.served = None;
            for held in &mut zone.versions {
                if held.given == Given::Stranded {
                    held.given = Given::Until(now + propagation.saturating_sub(SLACK));
                }
            }
            if (self.amnesia && knows) || forgotten.contains(apex) {
                // Nobody promised anything to those who believed then: only what is given out now counts.
                zone.versions.retain(|held| held.given == Given::Always);
                zone.ds.retain(|held| held.given == Given::Always);
            }
        }
        if self.amnesia && knows {
            self.zones
                .values_mut()
                .for_each(|zone| zone.versions.clear());
        }
        self.amnesia = !knows;
    }

    /// The process is gone: whoever lags goes on with what it has.
    pub(crate) fn process_ends(&mut self, now: Duration) {
        let versions = self.zones.values_mut().flat_map(|zone| &mut zone.versions);
        for held in versions {
            if matches!(held.given, Given::Until(until) if until > now) {
                held.given = Given::Stranded;
            }
        }
    }

    /// The clock has been set forward, and the disk does not know it of this zone yet, or knows it now: a process that
    /// begins meanwhile takes it for time that has passed.
    pub(crate) fn timeless(&mut self, apex: &DomainName, is: bool) {
        match is {
            true => self.timeless.insert(apex.clone()),
            false => self.timeless.remove(apex),
        };
    }

    fn complaint(&mut self, apex: &DomainName, now: Duration) -> Result<(), String> {
        let Some(zone) = self.zones.get_mut(apex).filter(|_| !self.amnesia) else {
            return Ok(());
        };
        zone.versions.retain(|held| !held.is_gone(now));
        zone.ds.retain(|held| !held.is_gone(now));
        for ds in &zone.ds {
            for keys in &zone.versions {
                let data = zone.versions.iter().map(|held| &held.what);
                if let Some(why) = broken(&ds.what, &keys.what, data) {
                    return Err(format!("zone {apex} is bogus: {why}"));
                }
            }
        }
        Ok(())
    }
}

/// These are given out from now on; what was until now is given out by those who lag.
fn replace<T: PartialEq>(
    held: &mut Vec<Held<T>>,
    new: impl IntoIterator<Item = (T, u32)>,
    lagging: Given,
) {
    for before in held
        .iter_mut()
        .filter(|before| before.given == Given::Always)
    {
        before.given = lagging;
    }
    for (what, ttl) in new {
        held.retain(|before| before.what != what || before.ttl > ttl);
        held.push(Held {
            what,
            ttl,
            given: Given::Always,
        });
    }
}
