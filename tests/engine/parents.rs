//! The parent zones of the world: what their two servers say of DS.
//!
//! In: what an owner puts there. Out: what somebody who asks hears. Never here: who asks, and when.

use std::collections::BTreeMap;

use repoint::clock::Wall;
use repoint::keys::ParentDs;
use repoint::topology::DomainName;
use repoint::zone::{Dnskey, Name, Rdata};

/// The TTL of every DS.
pub(crate) const DS_TTL: u32 = 300;

/// All parent zones.
#[derive(Clone, Default)]
pub(crate) struct Parents {
    /// The keys that a zone's DS RRset points at.
    pub(crate) pointed: BTreeMap<DomainName, Vec<Dnskey>>,
    /// Where the second server lags: what it still has.
    pub(crate) lagging: BTreeMap<DomainName, Vec<Dnskey>>,
    /// Nobody answers.
    pub(crate) silent: bool,
    /// The second server does not answer.
    pub(crate) half_silent: bool,
}

impl Parents {
    pub(crate) fn ask(&self, zone: &DomainName, now: Wall) -> Result<ParentDs, String> {
        if self.silent {
            return Err("no resolver says anything".into());
        }
        let apex = Name::from(zone);
        let sets = self
            .sets(zone)
            .map(|keys| -> Vec<Rdata> { keys.iter().map(|key| key.ds(&apex)).collect() });
        let [first, second] = &sets;
        let second = (!self.half_silent).then_some((&second[..], DS_TTL));
        Ok(ParentDs::of(now, [Some((&first[..], DS_TTL)), second]))
    }

    /// The keys that each server's DS RRset of a zone points at.
    pub(crate) fn sets(&self, zone: &DomainName) -> [&[Dnskey]; 2] {
        let first = self.pointed.get(zone).map_or(&[][..], Vec::as_slice);
        let second = self.lagging.get(zone).map_or(first, Vec::as_slice);
        [first, second]
    }
}
