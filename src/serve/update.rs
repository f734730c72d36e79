//! Updates (RFC 2136) of challenges: TXT records at `_acme-challenge` names, for holders of certain TSIG keys, and
//! nothing else.
//!
//! In: the octets of an update that a known key has signed, the zones. Out: what it changes, or the code it gets; then a
//! response once whoever changes zones has done it. An update that comes again is not made again.
//! Never here: the change itself, how long a value stays.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::answer::Answer;
use super::expand::{name_at, rdata_at};
use super::message::write;
use super::options::Courtesies;
use super::peer::{Arrival, Outcome, Peer, Transport, room};
use super::question::{CLASS_IN, Envelope};
use super::refused::Why;
use super::replay::{Code, Met, Replays};
use crate::clock::Wall;
use crate::config::AcmeKey;
use crate::decide::Generation;
use crate::topology::DomainName;
use crate::tsig::{Refusal, Signer};
use crate::zone::{Name, Zones};

const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;
const ANY: u16 = 255;
/// Meta types, which are no data (RFC 2136 §3.4.1.2).
const METATYPES: std::ops::RangeInclusive<u16> = 249..=254;
/// No order needs more changes in one message.
const MOST_CHANGES: usize = 64;
const HEADER: usize = 12;
const LABEL: &[u8] = b"_acme-challenge";

/// An update to be made: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What is done, in order.
    pub changes: Vec<(DomainName, TextChange)>,
    /// The key that signed it.
    pub key: Name,
    /// Where it came from.
    pub peer: Peer,
    /// The generation that its prerequisites hold for; none when it has none.
    pub of: Option<Generation>,
}

/// What is done to the texts of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextChange {
    /// One is added.
    Add(String),
    /// One leaves.
    Delete(String),
    /// All leave.
    DeleteAll,
}

/// The code to answer with, once the change is served or refused.
pub type Made = Pin<Box<dyn Future<Output = ResponseCode> + Send>>;

/// Who may update challenges, and who makes the change.
#[derive(Clone, Default)]
pub struct Updates {
    keys: Vec<AcmeKey>,
    make: Option<Arc<dyn Fn(Update) -> Made + Send + Sync>>,
    replays: Arc<Replays>,
}

/// Why an update is not begun.
#[derive(Debug)]
pub(super) enum Unmade {
    /// It is answered with this code, and the operator may want to know why.
    Code(ResponseCode, Option<Why>),
    /// The key may not update what it asks for; with its scope, in words.
    Scope(String),
    /// It was signed too early to know whether it was made before.
    Signature(Refusal),
}

impl From<Why> for Unmade {
    fn from(why: Why) -> Unmade {
        Unmade::Code(ResponseCode::Refused, Some(why))
    }
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Updates {
    /// Holders of these keys may update, each within its scope; `make` makes the change. `replays` knows what came before a reload.
    pub fn new(
        keys: Vec<AcmeKey>,
        make: Arc<dyn Fn(Update) -> Made + Send + Sync>,
        replays: Arc<Replays>,
    ) -> Updates {
        Updates {
            keys,
            make: Some(make),
            replays,
        }
    }

    /// Begins what an update asks for, or says why not. The zone is one of ours.
    pub(super) fn begin(
        &self,
        arrival: &Arrival<'_>,
        zone: &Name,
        signer: Option<&Signer>,
    ) -> Result<Made, Unmade> {
        // HTTPS and QUIC answer at once. What is refused there is not remembered: it may come by another way, and is made then.
        if matches!(arrival.peer.transport, Transport::Https | Transport::Quic) {
            return Err(Why::Transport.into());
        }
        let signer = signer.ok_or(Why::Unsigned)?;
        let scope = self.keys.iter().find(|one| one.key == *signer.key().name());
        let (scope, make) = scope.zip(self.make.as_ref()).ok_or(Why::Key)?;
        let tell = match self.replays.meet(signer, arrival.now) {
            Met::First(tell) => tell,
            Met::Again(code) => return as_before(code),
            Met::TooEarly => return Err(Unmade::Signature(signer.too_early())),
        };
        let read = read(arrival.zones, zone, arrival.octets);
        // One that failed once fails again, also where its prerequisites hold by now.
        let (changes, has_prerequisites) = read.map_err(|rcode| {
            tell.send_replace(Some(rcode));
            let why = (rcode == ResponseCode::Refused).then_some(Why::NoChallenge);
            Unmade::Code(rcode, why)
        })?;
        if let Some((name, _)) = changes
            .iter()
            .find(|(name, _)| !scope.may_update(name, zone))
        {
            tell.send_replace(Some(ResponseCode::Refused));
            return Err(Unmade::Scope(format!(
                "{name} is not in its scope: {scope}"
            )));
        }
        let made = make(Update {
            changes,
            key: signer.key().name().clone(),
            peer: arrival.peer,
            of: has_prerequisites.then(|| arrival.zones.generation()),
        });
        Ok(Box::pin(async move {
            let rcode = made.await;
            tell.send_replace(Some(rcode));
            rcode
        }))
    }
}

/// What an update got that came before; waits where it is still being made.
fn as_before(mut code: Code) -> Result<Made, Unmade> {
    if let Some(rcode) = *code.borrow() {
        return Err(Unmade::Code(rcode, None));
    }
    Ok(Box::pin(async move {
        let code = code.wait_for(Option::is_some).await;
        // Nobody makes it any more, and nobody knows how far it came.
        let code = code.map_or(None, |code| *code);
        code.unwrap_or(ResponseCode::ServFail)
    }))
}

/// A response that comes when a change has been made.
pub struct Deferred {
    envelope: Envelope,
    signer: Option<Signer>,
    courtesies: Courtesies,
    /// The room its response has.
    room: usize,
    made: Made,
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}

impl Deferred {
    pub(super) fn new(
        envelope: Envelope,
        signer: Option<Signer>,
        courtesies: Courtesies,
        peer: Peer,
        made: Made,
    ) -> Deferred {
        Deferred {
            room: room(peer, &envelope),
            envelope,
            signer,
            courtesies,
            made,
        }
    }

    /// Waits until the change is served or refused, and writes the response.
    pub(super) async fn finish(
        mut self,
        read_now: impl Fn() -> Wall,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let rcode = self.made.as_mut().await;
        self.say(rcode, read_now(), out)
    }

    /// Refuses without a change, for transports that answer at once.
    pub(super) fn refuse(self, now: Wall, out: &mut Vec<u8>) -> Outcome {
        self.say(ResponseCode::Refused, now, out)
    }

    fn say(self, rcode: ResponseCode, now: Wall, out: &mut Vec<u8>) -> Outcome {
        let room = self.room.saturating_sub(self.courtesies.signature);
        let answer = Answer::empty(rcode);
        write(&self.envelope, &answer, &self.courtesies, room, out);
        if let Some(mut signer) = self.signer {
            signer.sign(out, now);
        }
        Outcome::of(rcode)
    }
}

/// A record of an update, which may say less than a record of a zone.
struct Record<'a> {
    name: Name,
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: &'a [u8],
    /// Where that stands in the message.
    place: Range<usize>,
}

type Changes = Vec<(DomainName, TextChange)>;

/// The changes of an update whose prerequisites hold, and whether it has any.
fn read(zones: &Zones, zone: &Name, octets: &[u8]) -> Result<(Changes, bool), ResponseCode> {
    let count = |at: usize| {
        let word = octets.get(at..at + 2).ok_or(ResponseCode::FormErr)?;
        Ok::<_, ResponseCode>(usize::from(u16::from_be_bytes([word[0], word[1]])))
    };
    let (prerequisites, updates) = (count(6)?, count(8)?);
    let (_, after_zone) = name_at(octets, HEADER).ok_or(ResponseCode::FormErr)?;
    let mut at = after_zone + 4;
    let mut next = || {
        let (record, end) = read_record(octets, at).ok_or(ResponseCode::FormErr)?;
        at = end;
        let lies_in = zones.zone_of(record.name.key());
        // RFC 2136 §3.2.3, §3.4.1.1
        match lies_in.is_some_and(|found| found.apex().key() == zone.key()) {
            true => Ok(record),
            false => Err(ResponseCode::NotZone),
        }
    };
    let mut wanted: BTreeMap<(Name, u16), Vec<Vec<u8>>> = BTreeMap::new();
    for _ in 0..prerequisites {
        let record = next()?;
        if record.ttl != 0 {
            return Err(ResponseCode::FormErr);
        }
        match prerequisite(zones, &record)? {
            Prerequisite::Holds => {}
            Prerequisite::Exactly => {
                let rtype = RecordType::from(record.rtype);
                // Its names may be compressed (RFC 3597 §4), and case does not matter in them (RFC 2136 §1.1.2).
                let rdata = rdata_at(octets, rtype, record.place).ok_or(ResponseCode::FormErr)?;
                wanted
                    .entry((record.name.to_lowercase(), record.rtype))
                    .or_default()
                    .push(rdata.canonical(rtype));
            }
        }
    }
    for ((name, rtype), mut rdatas) in wanted {
        let mut there = rdatas_at(zones, &name, rtype);
        rdatas.sort();
        rdatas.dedup();
        there.sort();
        if rdatas != there {
            return Err(ResponseCode::NXRRSet);
        }
    }
    let mut changes = Vec::new();
    let mut allowed = updates <= MOST_CHANGES;
    for _ in 0..updates {
        // The whole section is looked at before anything is refused for what it is (RFC 2136 §3.4.1).
        match change(&next()?)? {
            Some(change) => changes.push(change),
            None => allowed = false,
        }
    }
    match allowed {
        true => Ok((changes, prerequisites > 0)),
        false => Err(ResponseCode::Refused),
    }
}

enum Prerequisite {
    Holds,
    /// An RRset must be exactly this and what else is said of it.
    Exactly,
}

/// RFC 2136 §3.2.
fn prerequisite(zones: &Zones, record: &Record<'_>) -> Result<Prerequisite, ResponseCode> {
    let in_use = || {
        let zone = zones.zone_of(record.name.key());
        let node = zone.and_then(|zone| zone.node(record.name.key()));
        node.is_some_and(|node| !node.sets.is_empty())
    };
    let exists = || !rdatas_at(zones, &record.name, record.rtype).is_empty();
    let (holds, otherwise) = match (record.class, record.rtype) {
        (CLASS_ANY | CLASS_NONE, _) if !record.rdata.is_empty() => {
            return Err(ResponseCode::FormErr);
        }
        (CLASS_ANY, ANY) => (in_use(), ResponseCode::NXDomain),
        (CLASS_ANY, _) => (exists(), ResponseCode::NXRRSet),
        (CLASS_NONE, ANY) => (!in_use(), ResponseCode::YXDomain),
        (CLASS_NONE, _) => (!exists(), ResponseCode::YXRRSet),
        (CLASS_IN, _) => return Ok(Prerequisite::Exactly),
        _ => return Err(ResponseCode::FormErr),
    };
    match holds {
        true => Ok(Prerequisite::Holds),
        false => Err(otherwise),
    }
}

/// RFC 2136 §3.4.1; none for a change that nobody may make here.
fn change(record: &Record<'_>) -> Result<Option<(DomainName, TextChange)>, ResponseCode> {
    let (class, rtype, empty) = (record.class, record.rtype, record.rdata.is_empty());
    let well_formed = match class {
        CLASS_IN => !METATYPES.contains(&rtype) && rtype != ANY,
        CLASS_ANY => record.ttl == 0 && empty && !METATYPES.contains(&rtype),
        CLASS_NONE => record.ttl == 0 && !METATYPES.contains(&rtype) && rtype != ANY,
        _ => false,
    };
    if !well_formed {
        return Err(ResponseCode::FormErr);
    }
    let is_challenge = record
        .name
        .labels()
        .next()
        .is_some_and(|label| label.eq_ignore_ascii_case(LABEL));
    let is_text = rtype == u16::from(RecordType::TXT) || (class == CLASS_ANY && rtype == ANY);
    let Some(name) = record
        .name
        .to_domain_name()
        .filter(|_| is_challenge && is_text)
    else {
        return Ok(None);
    };
    Ok(match class {
        CLASS_ANY => Some((name, TextChange::DeleteAll)),
        _ => text(record.rdata).map(|text| match class {
            CLASS_IN => (name, TextChange::Add(text)),
            _ => (name, TextChange::Delete(text)),
        }),
    })
}

/// The one string of a TXT record.
fn text(rdata: &[u8]) -> Option<String> {
    let (&length, text) = rdata.split_first()?;
    let whole = usize::from(length) == text.len();
    String::from_utf8(text.to_vec()).ok().filter(|_| whole)
}

/// The RDATA of an RRset, as equal records have it.
fn rdatas_at(zones: &Zones, name: &Name, rtype: u16) -> Vec<Vec<u8>> {
    let rtype = RecordType::from(rtype);
    let zone = zones.zone_of(name.key());
    let node = zone.and_then(|zone| zone.node(name.key()));
    let set = node.and_then(|node| node.set(rtype));
    let rdatas = set.into_iter().flat_map(|set| &set.rdatas);
    rdatas.map(|rdata| rdata.canonical(rtype)).collect()
}

fn read_record(octets: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let (name, at) = name_at(octets, at)?;
    let fixed = octets.get(at..at + 10)?;
    let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let end = at + 10 + usize::from(word(8));
    let record = Record {
        name,
        rtype: word(0),
        class: word(2),
        ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        rdata: octets.get(at + 10..end)?,
        place: at + 10..end,
    };
    Some((record, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_fault(octets: Vec<u8>) {
            let _ = read(&Zones::empty(), &Name::root(), &octets);
        }
    }
}
