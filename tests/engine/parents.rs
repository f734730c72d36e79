//! The parent zones of the world: what their servers say of DS.
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
    /// Nobody answers.
    pub(crate) silent: bool,
}

impl Parents {
    pub(crate) fn ask(&self, zone: &DomainName, now: Wall) -> Result<ParentDs, String> {
        if self.silent {
            return Err("no resolver says anything".into());
        }
        let apex = Name::from(zone);
        let keys = self.pointed.get(zone).into_iter().flatten();
        let set: Vec<Rdata> = keys.map(|key| key.ds(&apex)).collect();
        Ok(ParentDs::of(now, [Some((&set[..], DS_TTL)); 2]))
    }
}
