//! What decisions, challenges and keys add to the static part of each zone.
//!
//! In: decisions, challenges, keys in force, what was published before. Out: RRsets by name, the very same values as before
//! where they say the same. Never here: versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::arrange::{cut_above, is_redirected};
use super::build::Overlay;
use super::challenges::Challenges;
use super::compile::Inputs;
use super::layout::{Layout, Slot, Steered, ZonePlan};
use super::name::Name;
use super::rdata::{Rdata, Rrset};
use super::version::ZoneVersion;
use super::zone_keys::ZoneKeys;
use crate::decide::Decision;
use crate::topology::{Family, RouteName, ServiceKind};

/// The RRsets of one decision; every zone of its route shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rendered {
    services: BTreeMap<ServiceKind, Arc<Rrset>>,
    addresses: BTreeMap<Family, Arc<Rrset>>,
}

impl Rendered {
    fn of(decision: &Decision) -> Rendered {
        let ttl = decision.ttl;
        let mut rendered = Rendered::default();
        for (kind, records) in &decision.services {
            let rdatas = records.iter().map(|srv| {
                Rdata::srv(srv.priority, srv.weight, srv.port, &Name::from(&srv.target))
            });
            rendered
                .services
                .extend(rrset(RecordType::SRV, ttl, rdatas).map(|set| (*kind, set)));
        }
        for (family, addresses) in &decision.addresses {
            let rtype = Steered::Address(*family).rtype();
            let rdatas = addresses.iter().copied().map(Rdata::address);
            rendered
                .addresses
                .extend(rrset(rtype, ttl, rdatas).map(|set| (*family, set)));
        }
        rendered
    }

    fn set(&self, what: Steered) -> Option<&Arc<Rrset>> {
        match what {
            Steered::Service(kind) => self.services.get(&kind),
            Steered::Address(family) => self.addresses.get(&family),
        }
    }
}

fn rrset(rtype: RecordType, ttl: u32, rdatas: impl Iterator<Item = Rdata>) -> Option<Arc<Rrset>> {
    let rdatas: Vec<Rdata> = rdatas.collect();
    (!rdatas.is_empty()).then(|| Arc::new(Rrset { rtype, ttl, rdatas }))
}

/// What each route's decision says; the very same value as before where it says the same.
pub(super) fn render(inputs: &Inputs<'_>) -> BTreeMap<RouteName, Arc<Rendered>> {
    let before = |route: &RouteName| inputs.previous.and_then(|zones| zones.rendered.get(route));
    let mut rendered: BTreeMap<RouteName, Arc<Rendered>> = BTreeMap::new();
    let slots = inputs.layout.plans.iter().flat_map(|plan| &plan.slots);
    for route in slots.map(|slot| &slot.route) {
        if rendered.contains_key(route) {
            continue;
        }
        let now = inputs.decisions.get(route).map(Rendered::of);
        let kept = before(route).filter(|before| now.as_ref().is_none_or(|now| now == &***before));
        let rendering = kept.cloned().or_else(|| now.map(Arc::new));
        rendered.extend(rendering.map(|rendering| (route.clone(), rendering)));
    }
    rendered
}

/// The challenges of each zone that has any, by its place in the layout.
pub(super) fn challenges_by_zone<'a>(
    layout: &Layout,
    challenges: &'a Challenges,
) -> BTreeMap<usize, Vec<(&'a Name, &'a Arc<Rrset>)>> {
    let mut zones: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for (name, set) in challenges.iter() {
        let Some(at) = layout.index.longest(name.key()) else {
            continue;
        };
        let plan = &layout.plans[at];
        let alias = plan.nodes.get(name.key());
        let alias = alias.is_some_and(|node| node.set(RecordType::CNAME).is_some());
        if !alias
            && !is_redirected(&plan.nodes, &plan.apex, name.key())
            && cut_above(&plan.nodes, &plan.apex, name.key()).is_none()
        {
            zones.entry(at).or_default().push((name, set));
        }
    }
    zones
}

/// What a decision puts into a slot; none while its route waits for its first decision.
pub(super) fn steered(
    slot: &Slot,
    rendered: &BTreeMap<RouteName, Arc<Rendered>>,
) -> Option<Option<Arc<Rrset>>> {
    let rendering = rendered.get(&slot.route)?;
    let set = rendering.set(slot.what);
    // A family may have no address while the other has; a service always has its records.
    let may_lack = matches!(slot.what, Steered::Address(_)) && !rendering.addresses.is_empty();
    (set.is_some() || may_lack).then(|| set.cloned())
}

/// What decisions, challenges and keys add to a zone; none while a steered name waits for its first decision.
pub(super) fn overlay(
    plan: &ZonePlan,
    rendered: &BTreeMap<RouteName, Arc<Rendered>>,
    challenges: &[(&Name, &Arc<Rrset>)],
    keys: Option<&Arc<ZoneKeys>>,
) -> Option<Overlay> {
    let mut overlay = Overlay::new();
    for slot in &plan.slots {
        let set = steered(slot, rendered)?;
        overlay.entry(slot.owner.clone()).or_default().extend(set);
    }
    add_rest(&mut overlay, plan, challenges, keys);
    Some(overlay)
}

/// Adds what challenges and keys ask for.
pub(super) fn add_rest(
    overlay: &mut Overlay,
    plan: &ZonePlan,
    challenges: &[(&Name, &Arc<Rrset>)],
    keys: Option<&Arc<ZoneKeys>>,
) {
    let mut put = |name: &Name, set: Arc<Rrset>| {
        overlay.entry(name.clone()).or_default().push(set);
    };
    for (name, set) in challenges {
        let written = plan
            .nodes
            .get(name.key())
            .and_then(|node| node.set(RecordType::TXT));
        put(name, merged(written, set));
    }
    for set in keys.iter().flat_map(|keys| keys.apex_sets(&plan.apex)) {
        put(&plan.apex, set);
    }
}

/// The challenges that a version has.
pub(super) fn challenges_of(version: &ZoneVersion) -> Vec<(&Name, &Arc<Rrset>)> {
    let names = version.challenged().iter();
    let texts = names.filter_map(|name| Some((name, version.set(name.key(), RecordType::TXT)?)));
    texts.collect()
}

/// Values of a challenge beside those that the master file has for the name.
fn merged(written: Option<&Arc<Rrset>>, challenge: &Arc<Rrset>) -> Arc<Rrset> {
    let Some(written) = written else {
        return challenge.clone();
    };
    let mut set = Rrset::clone(written);
    set.ttl = set.ttl.min(challenge.ttl);
    let new = challenge
        .rdatas
        .iter()
        .filter(|rdata| !written.rdatas.contains(rdata));
    set.rdatas.extend(new.cloned());
    Arc::new(set)
}
