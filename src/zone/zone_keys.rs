//! What a zone publishes of its keys and signs with, at one moment.
//!
//! In: what the key lifecycle decided. Out: [`ZoneKeys`], which can say every stage of a roll: keys that are only
//! published, keys that only sign, two that do both. Never here: which stage it is, or when the next one comes.

use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::key::{Dnskey, SigningKey};
use super::name::Name;
use super::rdata::{Rdata, Rrset};

/// A zone's keys as they are in force. Without any the zone is unsigned.
#[derive(Clone, Debug, Default)]
pub struct ZoneKeys {
    /// The TTL of the DNSKEY, CDS and CDNSKEY RRsets, in seconds.
    pub ttl: u32,
    /// The DNSKEY RRset. A key may stand here before it signs and after.
    pub published: Vec<Dnskey>,
    /// What signs. A key may sign before it is published (RFC 6781 §4.1.4, algorithm rolls).
    pub signers: Vec<Signer>,
    /// What the CDS and CDNSKEY RRsets tell the parent.
    pub child: ChildRecords,
}

/// One key that signs, and what.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The key.
    pub key: Arc<SigningKey>,
    /// Its part.
    pub role: Role,
}

/// Which RRsets a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All of them: a combined signing key (CSK).
    Everything,
    /// DNSKEY, CDS and CDNSKEY: a key signing key.
    Keys,
    /// All but these: a zone signing key.
    Zone,
}

impl Role {
    /// Whether a key of this role signs the RRset of this type.
    pub fn signs(self, rtype: RecordType) -> bool {
        let of_keys =
            rtype == RecordType::DNSKEY || rtype == RecordType::CDS || rtype == RecordType::CDNSKEY;
        match self {
            Role::Everything => true,
            Role::Keys => of_keys,
            Role::Zone => !of_keys,
        }
    }
}

/// What a zone says to its parent (RFC 7344).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChildRecords {
    /// Nothing: no CDS, no CDNSKEY.
    #[default]
    None,
    /// The parent's DS RRset should be of these keys.
    Keys(Vec<Dnskey>),
    /// The parent's DS RRset should go (RFC 8078 §4).
    Delete,
}

impl ZoneKeys {
    /// Whether both differ in nothing but their TTL.
    pub(super) fn same_but_ttl(&self, other: &ZoneKeys) -> bool {
        self.published == other.published
            && self.child == other.child
            && self.signing_keys() == other.signing_keys()
    }

    /// The keys of a zone with one combined signing key that the parent should point at.
    pub fn single(key: Arc<SigningKey>, ttl: u32) -> ZoneKeys {
        let dnskey = key.dnskey().clone();
        let role = Role::Everything;
        ZoneKeys {
            ttl,
            published: vec![dnskey.clone()],
            signers: vec![Signer { key, role }],
            child: ChildRecords::Keys(vec![dnskey]),
        }
    }

    /// Whether a zone with these keys is signed.
    pub fn is_signed(&self) -> bool {
        !self.signers.is_empty()
    }

    /// The public halves of the keys that sign, and their parts.
    pub(super) fn signing_keys(&self) -> Vec<(&Dnskey, Role)> {
        let signers = self.signers.iter();
        signers
            .map(|signer| (signer.key.dnskey(), signer.role))
            .collect()
    }

    /// The apex's DNSKEY, CDS and CDNSKEY RRsets; none for an unsigned zone.
    pub(super) fn apex_sets(&self, apex: &Name) -> Vec<Arc<Rrset>> {
        if !self.is_signed() {
            return Vec::new();
        }
        let (cds, cdnskey) = match &self.child {
            ChildRecords::None => (Vec::new(), Vec::new()),
            ChildRecords::Keys(keys) => (
                keys.iter().map(|key| key.ds(apex)).collect(),
                keys.iter().map(|key| key.rdata().clone()).collect(),
            ),
            // RFC 8078 §4, as erratum 5049 has it.
            ChildRecords::Delete => (
                Rdata::new(RecordType::CDS, &[0; 5]).into_iter().collect(),
                Rdata::new(RecordType::CDNSKEY, &[0, 0, 3, 0, 0])
                    .into_iter()
                    .collect(),
            ),
        };
        let dnskeys = self
            .published
            .iter()
            .map(|key| key.rdata().clone())
            .collect();
        [
            (RecordType::DNSKEY, dnskeys),
            (RecordType::CDS, cds),
            (RecordType::CDNSKEY, cdnskey),
        ]
        .into_iter()
        .filter_map(|(rtype, mut rdatas): (_, Vec<Rdata>)| {
            rdatas.sort();
            rdatas.dedup();
            let ttl = self.ttl;
            (!rdatas.is_empty()).then(|| Arc::new(Rrset { rtype, ttl, rdatas }))
        })
        .collect()
    }
}

impl PartialEq for ZoneKeys {
    /// Equal when they publish and sign the same; keys are told apart by their public halves.
    fn eq(&self, other: &ZoneKeys) -> bool {
        self.ttl == other.ttl && self.same_but_ttl(other)
    }
}
