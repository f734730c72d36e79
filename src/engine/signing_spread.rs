//! How far a zone's versions have come among its configured secondaries.
//!
//! In: which serials the secondaries said they have. Out: what steps of keys have to know of it ([`Seen`]). Never here:
//! asking them; a secondary that was not heard of since this process began counts as one that has nothing.
//!
//! What is waited for is the version that carries the keys in force, or a later one: a zone that changes all the time does
//! not keep its keys waiting.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::core::Engine;
use crate::clock::{Now, Wall};
use crate::keys::Seen;
use crate::topology::DomainName;
use crate::zone::{Name, Serial};

/// A secondary said which serial of a zone it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its address.
    pub secondary: SocketAddr,
    /// The zone.
    pub apex: Name,
    /// The serial.
    pub serial: Serial,
}

/// What all secondaries said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Sightings {
    serials: BTreeMap<Name, BTreeMap<SocketAddr, Serial>>,
}

impl Sightings {
    /// The serials that secondaries have of a zone.
    pub(super) fn of(&self, apex: &Name) -> Option<&BTreeMap<SocketAddr, Serial>> {
        self.serials.get(apex)
    }
}

/// What is known of one zone at its secondaries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spreading {
    /// The version that carries the keys in force, while a key waits for it.
    carrier: Option<Carrier>,
    /// The version that lowered a TTL.
    lowered: Option<Lowered>,
}

#[derive(Clone, Copy, Debug)]
struct Carrier {
    /// The stage that waits for it began then.
    since: Wall,
    /// It, or the first version that was looked at after it.
    serial: Serial,
    /// When every secondary had it.
    seen: Option<Wall>,
}

#[derive(Clone, Copy, Debug)]
enum Lowered {
    Awaited(Serial),
    Seen,
}

impl Spreading {
    /// A TTL was lowered.
    pub(super) fn ttl_lowered(&mut self) {
        self.lowered = None;
    }

    /// The wall clock was set.
    pub(super) fn clock_set(&mut self, by_millis: i64) {
        let moved = |at: Wall| Wall::from_millis(at.as_millis().saturating_add(by_millis));
        if let Some(carrier) = &mut self.carrier {
            carrier.since = moved(carrier.since);
            carrier.seen = carrier.seen.map(moved);
        }
    }
}

impl Engine {
    /// Secondaries said which serials they have.
    pub(super) fn sighted(&mut self, sightings: Vec<Sighting>, now: Now) {
        for sighting in sightings {
            let serials = &mut self.sightings.serials;
            let of_zone = serials.entry(sighting.apex.clone()).or_default();
            of_zone.insert(sighting.secondary, sighting.serial);
            let Some(apex) = sighting.apex.to_domain_name() else {
                continue;
            };
            let row = self.signing.rows.get(&apex);
            if row.is_some_and(|row| row.older.is_some() || row.spreads_since().is_some()) {
                self.signing.look_at(&apex, now.mono);
            }
        }
        self.follow_old_answers(now);
    }

    /// What secondaries that are not configured any more have said does not count, should they come back.
    pub(super) fn forget_secondaries(&mut self) {
        let secondaries = &self.configuration.secondaries;
        for of_zone in self.sightings.serials.values_mut() {
            of_zone.retain(|address, _| secondaries.iter().any(|known| known.address == *address));
        }
    }

    /// Brings what is known of a zone at its secondaries up to the moment.
    pub(super) fn follow_spread(&mut self, apex: &DomainName, now: Now) {
        let name = Name::from(apex);
        let (Some(row), Some(served)) = (self.signing.rows.get(apex), self.zones.version_at(&name))
        else {
            return;
        };
        let since = row.spreads_since();
        let (waits, has_older) = (row.waits_for_copies(), row.older.is_some());
        let served = served.serial();
        let moment = self.signing.moments.get(apex);
        let mut spreading = moment.map(|moment| moment.spreading).unwrap_or_default();
        let known = spreading.carrier.filter(|known| Some(known.since) == since);
        let first = since.filter(|_| self.carries_keys(&name));
        spreading.carrier = known.or(first.map(|since| Carrier {
            since,
            serial: served,
            seen: None,
        }));
        let mut arrived = false;
        if let Some(carrier) = &mut spreading.carrier
            && carrier.seen.is_none()
            && self.lacking(&name, carrier.serial).is_none()
        {
            carrier.seen = Some(now.wall);
            arrived = true;
        }
        let lowered = match spreading.lowered {
            _ if !has_older => None,
            Some(Lowered::Seen) => None,
            Some(Lowered::Awaited(serial)) => Some(serial),
            None => Some(served),
        };
        if let Some(serial) = lowered {
            // A key that waits for copies waits for those of versions before its own: what is served later does not count.
            let counts = arrived || !waits || spreading.lowered.is_none();
            let seen = counts && self.lacking(&name, serial).is_none();
            spreading.lowered = Some(match seen {
                true => Lowered::Seen,
                false => Lowered::Awaited(serial),
            });
            if let Some(row) = self.signing.rows.get_mut(apex).filter(|_| counts) {
                row.older_served_until(now.wall);
            }
        }
        let moment = self.signing.moments.entry(apex.clone()).or_default();
        moment.spreading = spreading;
    }

    /// Whether every secondary has been seen with the version that lowered a zone's TTL.
    pub(super) fn lower_ttl_is_everywhere(&self, apex: &DomainName) -> bool {
        let moment = self.signing.moments.get(apex);
        moment.is_some_and(|moment| matches!(moment.spreading.lowered, Some(Lowered::Seen)))
    }

    /// Where the version that carries a zone's keys has been seen.
    pub(super) fn seen(&self, apex: &DomainName, now: Now) -> Seen {
        let name = Name::from(apex);
        let since = self
            .signing
            .rows
            .get(apex)
            .and_then(|row| row.spreads_since());
        let moment = self.signing.moments.get(apex);
        let carrier = moment.and_then(|moment| moment.spreading.carrier);
        let carrier = carrier.filter(|carrier| Some(carrier.since) == since);
        if let Some(at) = carrier.and_then(|carrier| carrier.seen) {
            return Seen::Everywhere(at);
        }
        if carrier.is_none() && since.is_some() && !self.carries_keys(&name) {
            return Seen::Missing("the zone to be signed with it".to_owned());
        }
        // Nobody has a zone that has never come from its primary, whatever keys it has.
        let Some(served) = self.zones.version_at(&name) else {
            return Seen::Missing("the zone to be served".to_owned());
        };
        let serial = carrier.map_or(served.serial(), |carrier| carrier.serial);
        match self.lacking(&name, serial) {
            Some(what) => Seen::Missing(what),
            None => Seen::Everywhere(now.wall),
        }
    }

    /// Whether the version served has been made with the keys in force.
    fn carries_keys(&self, apex: &Name) -> bool {
        let faulty = self.zones.faults().iter().any(|(zone, _)| zone == apex);
        let signs = !self.signing.unsignable.contains(apex);
        signs && !faulty && !self.zones.awaits_keys(apex)
    }

    /// A configured secondary that does not have this version of a zone yet. One that is ahead does not count: it does
    /// not follow us.
    pub(super) fn follower_without(&self, apex: &Name, serial: Serial) -> Option<String> {
        let heard = self.sightings.serials.get(apex);
        let mut secondaries = self.configuration.secondaries.iter();
        let late = secondaries.find(|secondary| {
            let has = heard.and_then(|heard| heard.get(&secondary.address));
            secondary.has(apex) && has.is_none_or(|has| serial.is_after(*has))
        })?;
        Some(format!("secondary {} to have serial {serial}", late.name))
    }

    /// What a configured secondary that does not have this version of a zone, or a later one of ours, has still to do.
    fn lacking(&self, apex: &Name, serial: Serial) -> Option<String> {
        let newest = self.zones.version_at(apex)?.serial();
        let heard = self.sightings.serials.get(apex);
        let mut secondaries = self.configuration.secondaries.iter();
        secondaries.find_map(|secondary| {
            if !secondary.has(apex) {
                return None;
            }
            let has = heard.and_then(|heard| heard.get(&secondary.address));
            let why = match has {
                // One that is ahead of us has somebody else's version.
                Some(has) if !serial.is_after(*has) && !has.is_after(newest) => return None,
                Some(has) => format!("it has {has}"),
                None => "it has not said yet what it has".to_owned(),
            };
            let name = &secondary.name;
            Some(format!("secondary {name} to have serial {serial} ({why})"))
        })
    }
}
