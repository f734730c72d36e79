//! Serials ahead of ours: which servers claim one, which claims count, and the steps that take our serials past one.
//!
//! In: [`Claim`]s of other servers, what secondaries hold. Out: the serial to aim for.
//! Never here: a stop of automatic failover. A claim concerns the publication of one zone, not our decisions.
//!
//! Anybody can run a server that a zone's NS records name. Therefore a claim counts only when a configured secondary
//! signed it, or when two servers without an address in common agree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Engine, Triggers};
use super::event::Effect;
use super::signing_spread::Sighting;
use crate::clock::{Mono, Now};
use crate::decide::Generation;
use crate::zone::{Name, Serial};

/// A claim that is not repeated is forgotten after this time: three rounds of asking.
const CLAIM_LASTS: Duration = Duration::from_secs(15 * 60);

/// Claims of nameservers remembered for one zone. Those beyond it are left out; configured secondaries always count.
const MOST_CLAIMS: usize = 16;

/// A zone whose serial is this far behind the node's serials is published once more before serials take a large step:
/// its own step must stay below 2^31 - 1 (RFC 1982 §3.2).
const MOST_LAG: u32 = 1 << 29;

/// How far ahead of the clock a process without a store may come: a block that was reserved before it, and one serial in two
/// seconds for the twelve days that it may count on (`leaning`).
const MOST_FORGOTTEN: u32 = 1 << 20;

/// Alarms for claims are worked out this long after the first one.
const GATHER: Duration = Duration::from_secs(1);

/// A server has a later serial of a zone than we ever published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The server, as people name it.
    pub server: String,
    /// What the server is to us.
    pub standing: Standing,
    /// All addresses of the server.
    pub addresses: BTreeSet<IpAddr>,
    /// The zone.
    pub apex: Name,
    /// The serial it has.
    pub serial: Serial,
}

/// What a server that claims a serial is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The zone's NS records name it.
    Nameserver,
    /// A configured secondary without a TSIG key.
    Secondary,
    /// A configured secondary that signed its answer.
    SignedSecondary,
}

/// What other servers claim, by zone and server.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    pub(super) heard: BTreeMap<Name, BTreeMap<String, (Claim, Mono)>>,
    /// Serials took a large step, and not every secondary is known to hold it yet.
    unconfirmed: bool,
    /// Something has changed that the next step may have waited for.
    look: bool,
    /// The claim that an operator accepted last.
    accepted: Option<Serial>,
    /// The farthest claim that counts, of all zones.
    proven: Option<Serial>,
    /// The serial that the publication of every zone anew is to have.
    chosen: Option<Serial>,
}

impl Claims {
    /// Begins after a restart; `climbs` when steps were under way.
    pub(super) fn after_restart(climbs: bool) -> Claims {
        Claims {
            unconfirmed: climbs,
            look: climbs,
            ..Claims::default()
        }
    }

    /// The next step is worth another look.
    pub(super) fn look_again(&mut self) {
        self.look = true;
    }

    pub(super) fn of(&self, apex: &Name) -> impl Iterator<Item = &Claim> {
        let claims = self.heard.get(apex).into_iter().flatten();
        claims.map(|(_, (claim, _))| claim)
    }

    /// The farthest serial of a zone that counts. Two servers agree on the lesser of their serials.
    pub(super) fn proven(&self, apex: &Name, ours: Serial) -> Option<&Claim> {
        let signed = self
            .of(apex)
            .filter(|claim| claim.standing == Standing::SignedSecondary);
        let agreed = self.of(apex).filter(|claim| {
            let same = self.addresses_of_server(claim);
            self.of(apex).any(|other| {
                other.addresses.is_disjoint(&same) && !claim.serial.is_after(other.serial)
            })
        });
        farthest(signed.chain(agreed), ours)
    }

    /// All addresses of the server that makes a claim, those under its other names included.
    fn addresses_of_server(&self, claim: &Claim) -> BTreeSet<IpAddr> {
        let mut all = claim.addresses.clone();
        loop {
            let before = all.len();
            for other in self.of(&claim.apex) {
                if !other.addresses.is_disjoint(&all) {
                    all.extend(&other.addresses);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// The farthest serial of a zone that an operator can accept: also that of a configured secondary without a key.
    fn acceptable(&self, apex: &Name, ours: Serial) -> Option<&Claim> {
        let secondaries = self
            .of(apex)
            .filter(|claim| claim.standing != Standing::Nameserver);
        farthest(secondaries.chain(self.proven(apex, ours)), ours)
    }
}

pub(super) fn farthest<'a>(
    claims: impl Iterator<Item = &'a Claim>,
    from: Serial,
) -> Option<&'a Claim> {
    claims.max_by_key(|claim| distance(from, claim.serial))
}

fn distance(from: Serial, to: Serial) -> u32 {
    to.0.wrapping_sub(from.0)
}

impl Engine {
    /// A server claims a serial ahead of ours.
    pub(super) fn hear_claim(&mut self, claim: Claim, now: Now) {
        // A version may have been published since the server was asked.
        if !self.is_ahead(&claim) {
            return;
        }
        let claims = self.claims.heard.entry(claim.apex.clone()).or_default();
        let known = claims.get(&claim.server).map(|(known, _)| known.serial);
        let is_nameserver = |claim: &Claim| claim.standing == Standing::Nameserver;
        if known.is_none() && is_nameserver(&claim) {
            let nameservers = claims.values().filter(|(known, _)| is_nameserver(known));
            if nameservers.count() >= MOST_CLAIMS {
                return;
            }
        }
        let (apex, serial) = (claim.apex.clone(), claim.serial);
        claims.insert(claim.server.clone(), (claim, now.mono));
        if known == Some(serial) {
            return;
        }
        self.prove(&apex);
        self.claims.look |= self.is_doubted(&apex);
        // Thousands of zones may come at once.
        self.next_look = self.next_look.min(now.mono + GATHER);
    }

    /// Takes note when a claim about a zone counts and is the farthest that does.
    fn prove(&mut self, apex: &Name) {
        let Some((ours, last)) = self.zones.version_at(apex).zip(self.numbers.serial()) else {
            return;
        };
        let proven = self.claims.proven(apex, ours.serial());
        let Some(serial) = proven.map(|claim| claim.serial) else {
            return;
        };
        let known = self.claims.proven.filter(|known| known.is_after(last));
        let is_farther = known.is_none_or(|known| distance(last, serial) > distance(last, known));
        if serial.is_after(last) && is_farther {
            self.claims.proven = Some(serial);
            self.claims.look = true;
        }
    }

    /// Secondaries said what they have: one that is not ahead any more takes its claim back.
    pub(super) fn withdraw_claims(&mut self, sightings: &[Sighting]) {
        self.claims.look = true;
        for sighting in sightings {
            let address = sighting.secondary.ip().to_canonical();
            let Some(ours) = self.zones.version_at(&sighting.apex) else {
                continue;
            };
            if sighting.serial.is_after(ours.serial()) {
                continue;
            }
            if let Some(claims) = self.claims.heard.get_mut(&sighting.apex) {
                let before = claims.len();
                claims.retain(|_, (claim, _)| {
                    claim.standing == Standing::Nameserver || !claim.addresses.contains(&address)
                });
                if claims.len() != before {
                    self.look_again();
                }
            }
        }
    }

    /// Whether a zone's publication is in doubt: a claim counts.
    pub(super) fn is_doubted(&self, apex: &Name) -> bool {
        let ours = self.zones.version_at(apex);
        ours.is_some_and(|ours| self.claims.proven(apex, ours.serial()).is_some())
    }

    /// What an operator accepts with the state: the farthest claim, and a sentence for each zone.
    pub(super) fn acceptable_claims(&self) -> Option<(Serial, String)> {
        let last = self.numbers.serial()?;
        let claims = self.claims.heard.keys().filter_map(|apex| {
            let ours = self.zones.version_at(apex)?;
            self.claims.acceptable(apex, ours.serial())
        });
        let ahead: Vec<&Claim> = claims.collect();
        let beyond = ahead
            .iter()
            .copied()
            .filter(|claim| claim.serial.is_after(last));
        let most = farthest(beyond, last).or(ahead.first().copied())?;
        let others = match ahead.len() {
            1 => String::new(),
            n => format!(" and {} more zones", n - 1),
        };
        let text = format!(
            "{} has serial {} of {}{others}",
            most.server,
            most.serial,
            plain(&most.apex)
        );
        Some((most.serial, text))
    }

    /// Servers whose claims do not count, for the refusal to accept them.
    pub(super) fn unproven_claim(&self) -> Option<&Claim> {
        let mut all = self.claims.heard.values().flatten();
        all.next().map(|(_, (claim, _))| claim)
    }

    /// Serials go past this one, in every zone: at once as far as secondaries follow, the rest in later steps.
    pub(super) fn accept_claim(&mut self, serial: Serial, now: Now) {
        self.claims.accepted = Some(serial);
        self.numbers.set_goal(Some(serial));
        let next = self.next_serial(now);
        self.claims.chosen = Some(next);
        let reservation = self.numbers.extend(next, now.wall);
        // Behind one that may be under way, which knows nothing of it.
        self.journal.reserve(reservation);
        self.zones = Arc::new(self.zones.renewed());
        self.claims.look = true;
    }

    /// The serial that the next publication aims for beyond the natural one: past what an operator accepted, or past
    /// a claim that counts.
    pub(super) fn aimed(&self, natural: Serial) -> Serial {
        let Some(last) = self.numbers.serial() else {
            return natural;
        };
        if let Some(chosen) = self.claims.chosen {
            return chosen;
        }
        let beyond = |serial: &Serial| serial.is_after(last);
        let goal = self.numbers.goal().filter(|goal| !last.is_after(*goal));
        let Some(goal) = goal.or(self.claims.proven.filter(beyond)) else {
            return natural;
        };
        let step = last.towards(Serial(goal.0.wrapping_add(1)));
        match step.is_after(natural) && self.may_step(last) {
            true => step,
            false => natural,
        }
    }

    /// Whether every zone and every secondary would follow a large step from here.
    fn may_step(&self, last: Serial) -> bool {
        let mut zones = self.zones.iter();
        !self.claims.unconfirmed && zones.all(|zone| distance(zone.serial(), last) < MOST_LAG)
    }

    /// A zone that keeps its serial, so far behind that it could not follow another large step.
    pub(super) fn left_behind(&self, last: Serial) -> Option<String> {
        let mut zones = self.zones.iter();
        let behind = zones.find(|zone| {
            self.keeps_serial(zone.apex()) && distance(zone.serial(), last) >= MOST_LAG
        })?;
        Some(format!("a new version of {}", plain(behind.apex())))
    }

    /// Takes the numbers of the next publication.
    pub(super) fn take_numbers(&mut self, now: Now) -> Option<(Generation, Serial)> {
        let last = self.numbers.serial();
        let next = self.next_serial(now);
        self.claims.chosen = None;
        let (generation, serial) = self.numbers.take(next, now)?;
        // A zone that was left behind may follow now.
        self.claims.look |= self.numbers.goal().is_some();
        self.claims.unconfirmed |= last.is_some_and(|last| distance(last, serial) >= MOST_LAG);
        Some((generation, serial))
    }

    /// Takes the next step towards what was accepted, as soon as secondaries hold the one before.
    pub(super) fn follow_claims(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !std::mem::take(&mut self.claims.look) {
            return;
        }
        if self.claims.unconfirmed && self.awaited().is_none() {
            self.claims.unconfirmed = false;
        }
        let Some(last) = self.numbers.serial() else {
            return;
        };
        let Some(goal) = self.numbers.goal() else {
            // Failover must not wait for numbers past a claim that counts.
            let next = self.next_serial(now);
            let is_reserved = self
                .numbers
                .peek(next, now)
                .is_some_and(|(_, serial)| serial == next);
            if self.claims.proven.is_some() && !is_reserved && !self.journal.is_reserving() {
                self.journal.reserve(self.numbers.wish(next, now.wall));
            }
            self.pass_forgotten(is_reserved, now, out);
            return;
        };
        if last.is_after(goal) {
            self.numbers.set_goal(None);
            let wish = self.numbers.wish(self.next_serial(now), now.wall);
            self.journal.reserve(wish);
            self.look_again();
            return;
        }
        if self.claims.unconfirmed {
            return;
        }
        let next = self.next_serial(now);
        if self
            .numbers
            .peek(next, now)
            .is_some_and(|(_, serial)| serial == next)
        {
            if self.left_behind(last).is_some() {
                return;
            }
            self.claims.chosen = Some(next);
            self.zones = Arc::new(self.zones.renewed());
            self.publish_anyway(&Triggers::new(), now, out);
            // A zone that did not follow would be published again and again.
            self.claims.look = self.claims.unconfirmed || self.may_step(next);
            self.look_again();
        } else if !self.journal.is_reserving() {
            self.journal.reserve(self.numbers.wish(next, now.wall));
        }
    }

    /// Publishes a version past a serial that counts at once where a process without a store explains it: this one knows
    /// nothing of serials ahead of the clock, and one before it left nothing behind.
    fn pass_forgotten(&mut self, is_reserved: bool, now: Now, out: &mut Vec<Effect>) {
        let next = self.next_serial(now);
        let clock = Serial(now.wall.unix_seconds());
        let leans = self.numbers.is_leaning();
        let has_begun = now.mono.since(self.started.mono) <= CLAIM_LASTS;
        // Servers that agree, and that nobody has configured, lead no farther than a lost process can have come.
        let farthest = Serial(clock.0.wrapping_add(MOST_FORGOTTEN));
        let is_explained = |claim: &Claim| {
            let signed = claim.standing == Standing::SignedSecondary;
            (leans && (signed || !claim.serial.is_after(farthest)))
                || (has_begun && !claim.serial.is_after(clock))
        };
        let passed = self.claims.heard.keys().any(|apex| {
            let ours = self.zones.version_at(apex).map(|zone| zone.serial());
            let claim = ours.and_then(|ours| self.claims.proven(apex, ours));
            claim.is_some_and(|claim| {
                let serial = claim.serial;
                is_explained(claim) && next.is_after(serial) && !self.keeps_serial(apex)
            })
        });
        if passed && is_reserved {
            self.zones = Arc::new(self.zones.renewed());
            self.publish_anyway(&Triggers::new(), now, out);
        } else if passed {
            self.claims.look_again();
        }
    }

    /// Forgets claims that are not repeated, and those that our serials have passed.
    pub(super) fn sweep_claims(&mut self, now: Now) {
        let mut heard = std::mem::take(&mut self.claims.heard);
        for claims in heard.values_mut() {
            claims.retain(|_, (claim, at)| {
                now.mono.since(*at) <= CLAIM_LASTS && self.is_ahead(claim)
            });
        }
        heard.retain(|_, claims| !claims.is_empty());
        self.claims.proven = None;
        self.claims.heard = heard;
        let zones: Vec<Name> = self.claims.heard.keys().cloned().collect();
        zones.iter().for_each(|apex| self.prove(apex));
    }

    /// Whether a claim is ahead of the version served. A zone that cannot be signed keeps its serial: what was accepted
    /// for it is not doubted again.
    fn is_ahead(&self, claim: &Claim) -> bool {
        let accepted = self.claims.accepted;
        let accepted = accepted.is_some_and(|accepted| !claim.serial.is_after(accepted));
        let ours = self.zones.version_at(&claim.apex);
        ours.is_some_and(|ours| claim.serial.is_after(ours.serial()))
            && !(accepted && self.keeps_serial(&claim.apex))
    }

    /// A configured secondary that does not hold what is published, and is not ahead of it either.
    pub(super) fn awaited(&self) -> Option<String> {
        let mut zones = self.zones.iter();
        zones.find_map(|zone| self.follower_without(zone.apex(), zone.serial()))
    }
}

/// A name without its last dot.
pub(super) fn plain(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
