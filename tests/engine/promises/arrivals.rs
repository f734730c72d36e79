//! What primaries have sent is served whole, the last of it soon, and never taken back but by a process that lost it.
//!
//! In: what was sent, zones as published. Out: the first broken promise. Never here: what is steered in such a zone.

use repoint::topology::ZonePlacement;

use super::*;
use crate::primaries;

/// What was sent is served within this, while the store grants numbers.
const SOON: Duration = Duration::from_secs(30);

/// What the running process has of one zone: what it found on the disk, then what was sent to it.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    serials: Vec<u32>,
    /// Which of them is served.
    served: Option<usize>,
    last: Duration,
}

impl Promises {
    /// A primary sends a version, which fits.
    pub(crate) fn sent(&mut self, apex: &DomainName, serial: u32, now: Duration) {
        let arrived = self.inbound.entry(apex.clone()).or_default();
        arrived.serials.push(serial);
        arrived.last = now;
    }

    /// A process begins with what is on the disk.
    pub(super) fn nothing_sent(&mut self, world: &World) {
        self.inbound.clear();
        if world.cannot_read_its_disk() {
            return;
        }
        for kept in &world.disk.inbound {
            let serial = kept.copy.zone.serial().0;
            self.sent(&kept.copy.apex, serial, world.elapsed());
        }
    }

    /// Whether a route's names lie in a zone of which nothing has arrived that is served, or that is not signed yet; or
    /// all of them come with the next version of their zones.
    pub(super) fn waits(&self, route: &RouteName) -> bool {
        let topology = &self.in_force.topology;
        let Some(route) = topology.routes.get(route) else {
            return false;
        };
        let awaited = |domain: &DomainName| {
            let arrived = self.inbound.get(domain);
            topology.primary(domain).is_some()
                && arrived.is_none_or(|arrived| arrived.served.is_none())
        };
        let names = names_of(route);
        let unsigned = |name: &DomainName| {
            let name = Name::from(name);
            self.unsigned.iter().any(|apex| name.is_at_or_below(apex))
        };
        (route.zones == ZonePlacement::Configured && route.domains.iter().any(awaited))
            || names.iter().any(unsigned)
            || names.iter().all(|name| self.comes_later(name))
    }

    pub(super) fn published_arrivals(&mut self, zones: &Zones) -> Result<(), Broken> {
        for (apex, _) in self.in_force.topology.inbound() {
            let arrived = self.inbound.entry(apex.clone()).or_default();
            let Some(zone) = zones.zone(apex) else {
                promise!(
                    arrived.served.is_none() || self.unsigned.contains(&Name::from(apex)),
                    "zone {apex} of a primary was served and is not any more"
                );
                continue;
            };
            let serial = primaries::shown(apex, zone)?;
            let place = arrived.serials.iter().rposition(|sent| *sent == serial);
            let Some(place) = place else {
                return Err(format!(
                    "zone {apex} shows serial {serial} of its primary, which nobody sent: {:?}",
                    arrived.serials
                ));
            };
            promise!(
                arrived.served.is_none_or(|before| before <= place),
                "zone {apex} goes back to serial {serial} of its primary"
            );
            arrived.served = Some(place);
        }
        Ok(())
    }

    /// The last version is served soon.
    pub(super) fn check_arrivals(&self, world: &World) -> Result<(), Broken> {
        let now = world.elapsed();
        for (apex, _) in self.in_force.topology.inbound() {
            let Some(arrived) = self.inbound.get(apex) else {
                continue;
            };
            let time = (now - arrived.last).min(world.store_well_for());
            let last = arrived.serials.len().checked_sub(1);
            promise!(
                arrived.served == last || time < SOON,
                "zone {apex}: of {:?} its primary sent, number {:?} is served after {time:?}",
                arrived.serials,
                arrived.served
            );
        }
        Ok(())
    }
}

/// The names that a route steers.
pub(super) fn names_of(route: &Route) -> Vec<DomainName> {
    let steered = route.services.iter().map(|service| &service.owner);
    let names = steered.chain(&route.address).flat_map(|owner| {
        let domains = route.domains.iter();
        domains.filter_map(|domain| owner.for_domain(domain).ok())
    });
    names.collect()
}
