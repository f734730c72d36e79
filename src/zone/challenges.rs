//! TXT records that prove control of a name to a certificate authority (RFC 8555 §8.4).
//!
//! In: names and values that `acme` commands and updates gave. Out: the TXT RRset of each name.
//! Never here: who may set one, and until when it stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::rdata::{Rdata, Rrset};

/// The TTL of a challenge, in seconds: it is asked for once, and the next one is different.
const TTL: u32 = 1;

/// The challenges in force. Each goes into the zone that its name lies in; one that lies in none, below a
/// delegation or at an alias is not served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenges {
    texts: BTreeMap<Name, Arc<Rrset>>,
}

impl Challenges {
    /// Takes the values of each name. A value longer than a character string (255 octets) is left out.
    pub fn new<'a>(texts: impl IntoIterator<Item = (Name, Vec<&'a [u8]>)>) -> Challenges {
        let sets = texts.into_iter().filter_map(|(name, values)| {
            let mut rdatas: Vec<Rdata> = values.into_iter().filter_map(text).collect();
            rdatas.sort();
            rdatas.dedup();
            let (rtype, ttl) = (RecordType::TXT, TTL);
            (!rdatas.is_empty()).then(|| (name, Arc::new(Rrset { rtype, ttl, rdatas })))
        });
        Challenges {
            texts: sets.collect(),
        }
    }

    /// The TXT RRset of each name, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<Rrset>)> {
        self.texts.iter()
    }
}

fn text(value: &[u8]) -> Option<Rdata> {
    let mut wire = vec![u8::try_from(value.len()).ok()?];
    wire.extend(value);
    Rdata::new(RecordType::TXT, &wire)
}
