//! A validating resolver that keeps what it has heard as long as it may, and combines it in every way.
//!
//! In: what a nameserver or the parent says at a moment. Out: a complaint when a chain of trust breaks. It is as
//! strict as the strictest: every algorithm of the DS RRset has to sign the DNSKEY RRset, every algorithm of the DNSKEY
//! RRset the data (Unbound's harden-algo-downgrade).

use std::rc::Rc;

use hickory_proto::rr::RecordType;
use rand::RngExt;
use rand::rngs::StdRng;
use repoint::zone::ZoneKeys;

/// What one version of the zone says, as far as a validator cares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    /// Tag and algorithm of the DNSKEY RRset's keys.
    pub(crate) keys: Vec<(u16, u8)>,
    /// What signs the DNSKEY RRset.
    pub(crate) key_signers: Vec<u16>,
    /// What signs everything else.
    pub(crate) zone_signers: Vec<u16>,
    /// The longest TTL.
    pub(crate) ttl: u32,
}

impl Version {
    pub(crate) fn of(keys: &ZoneKeys, ttl: u32) -> Version {
        let signers = |rtype| {
            let all = keys.signers.iter();
            all.filter(|signer| signer.role.signs(rtype))
                .map(|signer| signer.key.tag())
                .collect()
        };
        let published = keys.published.iter();
        Version {
            keys: published.map(|key| (key.tag(), key.algorithm())).collect(),
            key_signers: signers(RecordType::DNSKEY),
            zone_signers: signers(RecordType::SOA),
            ttl,
        }
    }

    fn algorithms(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.keys.iter().map(|(_, algorithm)| *algorithm).collect();
        all.dedup();
        all
    }
}

/// A DS RRset: tag and algorithm of the keys pointed at.
pub(crate) type DsSet = Vec<(u16, u8)>;

/// One resolver's cache: the DS, the DNSKEY RRset (or its absence), and some data, each with its end.
#[derive(Default)]
pub(crate) struct Resolver {
    ds: Option<(DsSet, u64)>,
    keys: Option<(Rc<Version>, u64)>,
    data: [Option<(Rc<Version>, u64)>; 3],
}

impl Resolver {
    /// Forgets what has run out and, at random, more; then asks again for some of it.
    pub(crate) fn live(
        &mut self,
        now: u64,
        random: &mut StdRng,
        parent: impl Fn(&mut StdRng) -> (DsSet, u32),
        server: impl Fn(&mut StdRng) -> Option<Rc<Version>>,
    ) {
        self.ds
            .take_if(|(_, end)| *end <= now || random.random_bool(0.01));
        self.keys
            .take_if(|(_, end)| *end <= now || random.random_bool(0.01));
        if self.ds.is_none() && random.random_bool(0.7) {
            let (set, ttl) = parent(random);
            self.ds = Some((set, now + u64::from(ttl)));
        }
        let fetch = |random: &mut StdRng| {
            let version = server(random)?;
            let end = now + u64::from(version.ttl);
            Some((version, end))
        };
        if self.keys.is_none() && random.random_bool(0.7) {
            self.keys = fetch(random);
        }
        for data in &mut self.data {
            data.take_if(|(_, end)| *end <= now || random.random_bool(0.02));
            if data.is_none() && random.random_bool(0.5) {
                *data = fetch(random);
            }
        }
    }

    /// What is bogus in the cache.
    pub(crate) fn complaint(&self) -> Option<String> {
        let (ds, _) = self.ds.as_ref().filter(|(ds, _)| !ds.is_empty())?;
        let (keys, _) = self.keys.as_ref()?;
        for (_, algorithm) in ds {
            let anchored = ds.iter().any(|pointed| {
                pointed.1 == *algorithm
                    && keys.keys.contains(pointed)
                    && keys.key_signers.contains(&pointed.0)
            });
            if !anchored {
                return Some(format!("DS {ds:?} and DNSKEY of {keys:?}"));
            }
        }
        for (data, _) in self.data.iter().flatten() {
            for algorithm in keys.algorithms() {
                let signed = keys
                    .keys
                    .iter()
                    .any(|(tag, of)| *of == algorithm && data.zone_signers.contains(tag));
                if !signed {
                    return Some(format!("DS {ds:?}, DNSKEY of {keys:?}, data of {data:?}"));
                }
            }
        }
        None
    }
}
