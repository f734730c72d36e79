//! What the parent zone says of a zone's DS.
//!
//! In: DS records that the parent's servers answered with. Out: whether a key is pointed at everywhere, somewhere or
//! nowhere. Never here: asking.

use std::fmt;

use hickory_proto::rr::RecordType;
use serde::{Deserialize, Serialize};

use super::octets;
use crate::clock::Wall;
use crate::zone::{Dnskey, Name, Rdata};

/// The RDATA of one DS record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ds(#[serde(with = "octets")] Vec<u8>);

impl Ds {
    /// Takes the RDATA as a message carries it.
    pub fn new(rdata: &Rdata) -> Ds {
        Ds(rdata.wire().to_vec())
    }

    /// The tag of the key it points at; zero when it is too short to have one.
    pub fn tag(&self) -> u16 {
        match self.0[..] {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 0,
        }
    }

    /// Whether it points at this key of the zone.
    pub fn is_of(&self, key: &Dnskey, zone: &Name) -> bool {
        Rdata::new(RecordType::DS, &self.0).is_some_and(|ds| key.matches_ds(zone, &ds))
    }
}

impl fmt::Debug for Ds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ds({})", self.tag())
    }
}

/// What the parent's servers said when they were asked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentDs {
    /// When the first of them was asked.
    pub at: Wall,
    /// Every server of the parent has answered. Only then something follows from what was not seen.
    pub complete: bool,
    /// DS records that every server that answered has.
    pub everywhere: Vec<Ds>,
    /// DS records that some server has.
    pub anywhere: Vec<Ds>,
    /// The largest TTL seen of a DS RRset, in seconds; none where none was seen.
    pub ttl: Option<u32>,
}

impl ParentDs {
    /// Puts together what each server said: its DS RRset with its TTL, or none when it did not answer. DS RRsets are
    /// empty where the parent has none.
    pub fn of<'a>(
        at: Wall,
        servers: impl IntoIterator<Item = Option<(&'a [Rdata], u32)>>,
    ) -> ParentDs {
        let mut seen = ParentDs {
            at,
            complete: true,
            everywhere: Vec::new(),
            anywhere: Vec::new(),
            ttl: None,
        };
        let mut answered = 0;
        for server in servers {
            let Some((rdatas, ttl)) = server else {
                seen.complete = false;
                continue;
            };
            let set: Vec<Ds> = rdatas.iter().map(Ds::new).collect();
            if answered == 0 {
                seen.everywhere.clone_from(&set);
            } else {
                seen.everywhere.retain(|ds| set.contains(ds));
            }
            if !set.is_empty() {
                seen.ttl = seen.ttl.max(Some(ttl));
            }
            seen.anywhere.extend(set);
            answered += 1;
        }
        seen.complete &= answered > 0;
        for list in [&mut seen.everywhere, &mut seen.anywhere] {
            list.sort();
            list.dedup();
        }
        seen
    }

    /// Every server has answered, and has a DS of this key.
    pub fn has_everywhere(&self, key: &Dnskey, zone: &Name) -> bool {
        self.complete && self.everywhere.iter().any(|ds| ds.is_of(key, zone))
    }

    /// Every server has answered, and none has a DS of this key.
    pub fn has_nowhere(&self, key: &Dnskey, zone: &Name) -> bool {
        self.complete && !self.has_somewhere(key, zone)
    }

    /// Some server has a DS of this key.
    pub fn has_somewhere(&self, key: &Dnskey, zone: &Name) -> bool {
        self.anywhere.iter().any(|ds| ds.is_of(key, zone))
    }

    /// Every server has answered, and none has any DS.
    pub fn is_empty(&self) -> bool {
        self.complete && self.anywhere.is_empty()
    }

    /// Whether both say the same, whenever they said it.
    pub fn says_the_same(&self, other: &ParentDs) -> bool {
        ParentDs {
            at: other.at,
            ..self.clone()
        } == *other
    }

    /// The key tags pointed at, for people.
    pub fn tags(&self) -> String {
        let mut tags: Vec<u16> = self.anywhere.iter().map(Ds::tag).collect();
        tags.dedup();
        match tags[..] {
            [] => "none".to_owned(),
            _ => {
                let tags: Vec<String> = tags.iter().map(u16::to_string).collect();
                tags.join(", ")
            }
        }
    }
}
