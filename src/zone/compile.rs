//! Compiling: decisions put into the layout's zones.
//!
//! In: a layout, the decisions in force, what was published before. Out: the next [`Zones`]. A zone whose records
//! are the same as before is the same value as before, serial included; all others get the one new serial.
//! Never here: where a name lives (`layout`), what a decision says (`decide/`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::arrange::cut_above;
use super::build::{Build, Overlay};
use super::challenges::Challenges;
use super::layout::{Layout, Steered, ZonePlan};
use super::name::Name;
use super::nested::vouched;
use super::rdata::{Rdata, Rrset};
use super::serial::Serial;
use super::version::ZoneVersion;
use super::workers;
use super::zone_keys::ZoneKeys;
use super::zones::Zones;
use crate::clock::Wall;
use crate::decide::{Decision, Generation};
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

/// As many zones as are worth another core.
const WORTH_A_CORE: usize = 64;

/// All that a publication is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Where every name lives.
    pub layout: &'a Layout,
    /// The decisions in force. A route without one keeps what `previous` says of it; where there is nothing
    /// either, its zones are left out and questions about them refused: a negative answer would be cached, a
    /// refusal is not.
    pub decisions: &'a BTreeMap<RouteName, Decision>,
    /// The keys in force, by apex. A zone without any is not signed. What a zone inside another zone of ours asks its parent
    /// for is put there.
    pub keys: &'a BTreeMap<Name, Arc<ZoneKeys>>,
    /// Zones whose keys are not at hand: a signed version stays as it is, and without one the zone is not served.
    pub unsignable: &'a Arc<BTreeSet<Name>>,
    /// The challenges in force.
    pub challenges: &'a Challenges,
    /// What was published before.
    pub previous: Option<&'a Zones>,
    /// The number of this publication.
    pub generation: Generation,
    /// What zones that change will carry. It comes from [`Layout::next_serial`] and must be after every serial
    /// published before.
    pub serial: Serial,
    /// From when signatures count.
    pub now: Wall,
}

/// Makes the next publication.
pub fn compile(inputs: &Inputs<'_>) -> Zones {
    let Inputs {
        layout,
        previous,
        serial,
        now,
        ..
    } = *inputs;
    let rendered = render(inputs);
    let mut challenges = challenges_by_zone(layout, inputs.challenges);
    let same_layout = previous.is_some_and(|zones| Arc::ptr_eq(&zones.index, &layout.index));
    let vouched = vouched(&layout.nested, inputs.keys);
    let vouched_before = previous.filter(|_| same_layout).map(|zones| &zones.vouched);
    let unchanged = |route: &RouteName| {
        let before = previous.and_then(|zones| zones.rendered.get(route));
        matches!((before, rendered.get(route)), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
    };
    let mut soas: BTreeMap<*const Rrset, Arc<Rrset>> = BTreeMap::new();
    let mut versions: Vec<Option<Arc<ZoneVersion>>> = Vec::with_capacity(layout.plans.len());
    let mut builds = Vec::new();
    for (at, plan) in layout.plans.iter().enumerate() {
        if plan.awaited {
            versions.push(None);
            continue;
        }
        let before = previous.and_then(|zones| match same_layout {
            true => zones.versions.get(at)?.as_ref(),
            false => zones.version_at(&plan.apex),
        });
        let same_plan = same_layout
            && previous
                .and_then(|zones| zones.plans.get(at))
                .is_some_and(|before| Arc::ptr_eq(before, plan));
        if inputs.unsignable.contains(&plan.apex) {
            versions.push(before.filter(|before| before.is_signed()).cloned());
            continue;
        }
        let keys = inputs.keys.get(&plan.apex);
        let challenges = challenges.remove(&at).unwrap_or_default();
        let inner = vouched.get(&at);
        let inner_before = vouched_before.and_then(|vouched| vouched.get(&at));
        if let Some(before) = before
            && same_plan
            && challenges.is_empty()
            && inner == inner_before
            && before.stands(keys, now)
            && plan.slots.iter().all(|slot| unchanged(&slot.route))
        {
            versions.push(Some(before.clone()));
            continue;
        }
        versions.push(None);
        let Some(mut overlay) = overlay(plan, &rendered, &challenges, keys) else {
            continue;
        };
        // A DS that has gone leaves its name to be looked at.
        for name in inner_before.into_iter().flat_map(BTreeMap::keys) {
            overlay.entry(name.clone()).or_default();
        }
        for (name, set) in inner.into_iter().flatten() {
            overlay.entry(name.clone()).or_default().push(set.clone());
        }
        // Generated zones have one SOA between them, so its copy with the new serial is made once.
        let soa = soas
            .entry(Arc::as_ptr(&plan.soa))
            .or_insert_with(|| with_serial(&plan.soa, serial))
            .clone();
        let build = Build {
            plan,
            before,
            same_plan,
            keys,
            overlay,
            challenged: challenges.iter().map(|(name, _)| (*name).clone()).collect(),
            soa,
            serial,
            now,
        };
        builds.push((at, build));
    }
    let mut faults = Vec::new();
    let built = workers::map(builds, WORTH_A_CORE, |(at, build)| {
        let (apex, before) = (&build.plan.apex, build.before);
        (at, apex, before, build.version())
    });
    for (at, apex, before, version) in built {
        versions[at] = match version {
            Ok(version) => Some(version),
            Err(fault) => {
                faults.push((apex.clone(), fault));
                // It is not of this plan, so the next one is made anew.
                before.map(|before| Arc::new(ZoneVersion::clone(before).without_its_serial()))
            }
        };
    }
    Zones {
        generation: inputs.generation,
        serial: Some(serial),
        index: layout.index.clone(),
        plans: layout.plans.clone(),
        versions,
        rendered,
        nested: layout.nested.clone(),
        vouched,
        faults,
        unsignable: inputs.unsignable.clone(),
    }
}

/// What each route's decision says; the very same value as before where it says the same.
fn render(inputs: &Inputs<'_>) -> BTreeMap<RouteName, Arc<Rendered>> {
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
fn challenges_by_zone<'a>(
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
        if !alias && cut_above(&plan.nodes, &plan.apex, name.key()).is_none() {
            zones.entry(at).or_default().push((name, set));
        }
    }
    zones
}

/// What decisions, challenges and keys add to a zone; none while a steered name waits for its first decision.
fn overlay(
    plan: &ZonePlan,
    rendered: &BTreeMap<RouteName, Arc<Rendered>>,
    challenges: &[(&Name, &Arc<Rrset>)],
    keys: Option<&Arc<ZoneKeys>>,
) -> Option<Overlay> {
    let mut overlay = Overlay::new();
    let mut put = |name: &Name, set: Option<Arc<Rrset>>| {
        overlay.entry(name.clone()).or_default().extend(set);
    };
    for slot in &plan.slots {
        let rendering = rendered.get(&slot.route)?;
        let set = rendering.set(slot.what);
        // A family may have no address while the other has; a service always has its records.
        let may_lack = matches!(slot.what, Steered::Address(_)) && !rendering.addresses.is_empty();
        if set.is_none() && !may_lack {
            return None;
        }
        put(&slot.owner, set.cloned());
    }
    for (name, set) in challenges {
        let written = plan
            .nodes
            .get(name.key())
            .and_then(|node| node.set(RecordType::TXT));
        put(name, Some(merged(written, set)));
    }
    for set in keys.iter().flat_map(|keys| keys.apex_sets(&plan.apex)) {
        put(&plan.apex, Some(set));
    }
    Some(overlay)
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

fn with_serial(soa: &Rrset, serial: Serial) -> Arc<Rrset> {
    let rdatas = soa
        .rdatas
        .iter()
        .map(|rdata| rdata.with_soa_serial(serial.0));
    Arc::new(Rrset {
        rtype: soa.rtype,
        ttl: soa.ttl,
        rdatas: rdatas.collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fixture::{decision, layout, publish, route, topology};
    use super::super::{LayoutProblem, diff};
    use super::*;
    use crate::topology::ZonePlacement;

    fn two_routes() -> Result<Layout, Vec<LayoutProblem>> {
        let routes = vec![
            route("a", &["contoso.com"], ZonePlacement::Owners),
            route("b", &["contoso.example"], ZonePlacement::Owners),
        ];
        layout(&topology(routes, &[]), &[])
    }

    #[test]
    fn a_zone_that_does_not_change_is_the_same_value_with_the_same_serial() {
        let layout = two_routes().unwrap();
        let first = publish(&layout, &[decision("a", 1), decision("b", 1)], None, 10);
        let second = publish(
            &layout,
            &[decision("a", 2), decision("b", 1)],
            Some(&first),
            11,
        );
        for (before, after) in first.iter().zip(second.iter()) {
            if before.apex().to_string().ends_with("example.") {
                assert!(Arc::ptr_eq(before, after));
                assert_eq!(after.serial(), Serial(10));
            } else {
                assert_eq!((before.serial(), after.serial()), (Serial(10), Serial(11)));
            }
        }
    }

    #[test]
    fn a_zone_keeps_its_serial_across_a_reload_that_does_not_touch_it() {
        let decisions = [decision("a", 1), decision("b", 1)];
        let first = publish(&two_routes().unwrap(), &decisions, None, 10);
        let only_a = vec![route("a", &["contoso.com"], ZonePlacement::Owners)];
        let reloaded = layout(&topology(only_a, &[]), &[]).unwrap();
        let second = publish(&reloaded, &decisions, Some(&first), 11);
        assert_eq!(second.len(), 3);
        for zone in second.iter() {
            let before = first.version_at(zone.apex()).unwrap();
            assert!(Arc::ptr_eq(before, zone));
        }
    }

    #[test]
    fn a_failover_changes_srv_and_addresses_and_nothing_else() {
        let route = route("a", &["contoso.com"], ZonePlacement::Configured);
        let layout = layout(&topology(vec![route], &["contoso.com"]), &[]).unwrap();
        let first = publish(&layout, &[decision("a", 1)], None, 10);
        let second = publish(&layout, &[decision("a", 2)], Some(&first), 11);
        let zone = |zones: &Zones| zones.iter().next().unwrap().clone();
        let (before, after) = (zone(&first), zone(&second));
        let delta = diff(&before, &after);
        assert!(delta.changes_records());
        let soa = "contoso.com.\t3600\tIN\tSOA\tns1.example.net. hostmaster.example.net.";
        assert_eq!(
            delta.to_string().replace(soa, "SOA"),
            "- SOA 10 60 30 604800 30\n\
             - _xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5269 edge1.contoso.com.\n\
             - _xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t20 0 5269 edge2.contoso.com.\n\
             - _xmpps-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5270 edge1.contoso.com.\n\
             - _xmpps-server._tcp.contoso.com.\t30\tIN\tSRV\t20 0 5270 edge2.contoso.com.\n\
             - xmpp.contoso.com.\t30\tIN\tA\t192.0.2.10\n\
             - xmpp.contoso.com.\t30\tIN\tAAAA\t2001:db8::10\n\
             + SOA 11 60 30 604800 30\n\
             + _xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5269 edge2.contoso.com.\n\
             + _xmpp-server._tcp.contoso.com.\t30\tIN\tSRV\t20 0 5269 edge1.contoso.com.\n\
             + _xmpps-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5270 edge2.contoso.com.\n\
             + _xmpps-server._tcp.contoso.com.\t30\tIN\tSRV\t20 0 5270 edge1.contoso.com.\n\
             + xmpp.contoso.com.\t30\tIN\tA\t198.51.100.10\n"
        );
    }

    #[test]
    fn a_zone_that_waits_for_its_first_decision_is_not_served() {
        let layout = two_routes().unwrap();
        let zones = publish(&layout, &[decision("a", 1)], None, 10);
        assert_eq!(zones.len(), 3);
        assert!(
            zones
                .iter()
                .all(|zone| zone.apex().to_string().ends_with("com."))
        );
        let key = Name::from_text(b"xmpp.contoso.example.", None).unwrap();
        assert!(zones.zone_of(key.key()).is_none());
    }

    #[test]
    fn a_missing_decision_leaves_what_was_published() {
        let layout = two_routes().unwrap();
        let first = publish(&layout, &[decision("a", 1), decision("b", 2)], None, 10);
        let second = publish(&layout, &[], Some(&first), 11);
        assert_eq!(second.len(), 6);
        assert!(
            first
                .iter()
                .zip(second.iter())
                .all(|(a, b)| Arc::ptr_eq(a, b))
        );
    }

    #[test]
    fn an_empty_srv_set_is_never_published() {
        let layout = two_routes().unwrap();
        let mut empty = decision("a", 1);
        empty.services.insert(ServiceKind::XmppServer, Vec::new());
        let zones = publish(&layout, &[empty], None, 10);
        let key = Name::from_text(b"_xmpp-server._tcp.contoso.com.", None).unwrap();
        assert!(zones.zone_of(key.key()).is_none());
    }

    #[test]
    fn two_thousand_domains_fail_over_in_one_publication() {
        let names: Vec<String> = (0..2000).map(|n| format!("d{n}.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let routes = vec![
            route("a", &names, ZonePlacement::Owners),
            route("b", &["contoso.com"], ZonePlacement::Owners),
        ];
        let layout = layout(&topology(routes, &[]), &[]).unwrap();
        let first = publish(&layout, &[decision("a", 1), decision("b", 1)], None, 10);
        let start = std::time::Instant::now();
        let second = publish(
            &layout,
            &[decision("a", 2), decision("b", 1)],
            Some(&first),
            11,
        );
        let many = start.elapsed();
        let third = publish(
            &layout,
            &[decision("a", 2), decision("b", 2)],
            Some(&second),
            12,
        );
        println!(
            "6,000 zones changed in {many:?}, 3 more in {:?}",
            start.elapsed() - many
        );
        assert_eq!(third.len(), 6003);
        let with = |serial| {
            third
                .iter()
                .filter(|zone| zone.serial() == Serial(serial))
                .count()
        };
        assert_eq!((with(11), with(12)), (6000, 3));
    }
}
