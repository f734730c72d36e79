//! What partners see of a route comes from one decision: the one that the journal has for the generation.
//!
//! In: everything steered as it is published, the journal's entries. Out: the first broken promise. Never here: whether the
//! decision is right.

use repoint::decide::Decision;
use repoint::engine::Entry;
use repoint::topology::ServiceKind;

use super::*;
use crate::served::Srv;

/// How many generations are remembered: a store may be behind by so many.
const REMEMBERED: usize = 4_000;

/// All records of one route, whatever their owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    services: BTreeMap<ServiceKind, Vec<Srv>>,
    addresses: BTreeSet<IpAddr>,
    /// Some zone of the route is not served yet.
    partly: bool,
}

impl Shown {
    fn of(decision: &Decision) -> Shown {
        let services = decision.services.iter().map(|(kind, records)| {
            let mut records: Vec<Srv> = records
                .iter()
                .map(|srv| Srv {
                    priority: srv.priority,
                    port: srv.port,
                    target: srv.target.to_string(),
                })
                .collect();
            records.sort();
            (*kind, records)
        });
        Shown {
            services: services.collect(),
            addresses: decision.addresses.values().flatten().copied().collect(),
            partly: false,
        }
    }
}

impl Promises {
    /// §9.3: all names of a route say the same; what they say is remembered.
    pub(super) fn note_shown(&mut self, generation: u64, all: &Served) -> Result<(), Broken> {
        let mut shown: BTreeMap<RouteName, Shown> = BTreeMap::new();
        for ((route, owner), (records, _)) in all {
            let shown = shown.entry(route.clone()).or_default();
            match records {
                Records::Srv(kind, records, _) => {
                    let before = shown
                        .services
                        .entry(*kind)
                        .or_insert_with(|| records.clone());
                    promise!(
                        before == records,
                        "§9.3: {owner} says {records:?}, another {before:?}"
                    );
                }
                Records::Addresses(addresses, _) => {
                    let addresses: BTreeSet<IpAddr> = addresses.iter().copied().collect();
                    let before = &mut shown.addresses;
                    promise!(
                        before.is_empty() || *before == addresses,
                        "§9.3: {owner} has {addresses:?}, another name {before:?}"
                    );
                    *before = addresses;
                }
            }
        }
        for (route, mut shown) in shown {
            shown.partly = self.waits(&route);
            self.shown.insert((generation, route), shown);
        }
        while self.shown.len() > REMEMBERED {
            self.shown.pop_first();
        }
        Ok(())
    }

    /// §9.10: the journal has the decision that was published.
    pub(super) fn check_entry(&self, key: &(u64, RouteName), entry: &Entry) -> Result<(), Broken> {
        let (Some(shown), Some(decision)) = (self.shown.get(key), &entry.decision) else {
            return Ok(());
        };
        let mut decided = Shown::of(decision);
        if shown.addresses.is_empty() {
            // A route without a federation name has addresses nowhere.
            decided.addresses.clear();
        }
        if shown.partly {
            let kinds: Vec<ServiceKind> = shown.services.keys().copied().collect();
            decided.services.retain(|kind, _| kinds.contains(kind));
            decided.partly = true;
        }
        promise!(
            *shown == decided,
            "§9.10: generation {} of {} shows {shown:?}, the journal has {decided:?}",
            key.0,
            key.1
        );
        Ok(())
    }
}
