//! A validating resolver that keeps what it has heard as long as it may, and combines it in every way.
//!
//! In: what a nameserver or the parent says at a moment. Out: a complaint when a chain of trust breaks. Never here: what
//! breaks it (`chain`).

use std::rc::Rc;

use hickory_proto::rr::RecordType;
use rand::RngExt;
use rand::rngs::StdRng;
use repoint::zone::ZoneKeys;

use super::chain::{DsSet, Version, broken};

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
}

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
        let data = self.data.iter().flatten().map(|(data, _)| &**data);
        broken(ds, keys, data)
    }
}
