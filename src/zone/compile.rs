//! Compiling: decisions put into the layout's zones.
//!
//! In: a layout, the decisions in force, what was published before. Out: the next [`Zones`]. A zone whose records
//! are the same as before is the same value as before, serial included; all others get the one new serial.
//! Never here: where a name lives (`layout`), what a decision says (`decide/`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::build::{Build, Overlay};
use super::challenges::Challenges;
use super::draft::{Draft, Outline};
use super::history;
use super::key::KeyFault;
use super::lag::steered_as_it_was;
use super::layout::{Layout, ZonePlan};
use super::name::Name;
use super::nested::{Vouched, vouched};
use super::overlay::{Rendered, add_rest, challenges_by_zone, challenges_of, overlay, render};
use super::rdata::Rrset;
use super::serial::Serial;
use super::version::ZoneVersion;
use super::workers;
use super::zone_keys::ZoneKeys;
use super::zones::Zones;
use crate::clock::Wall;
use crate::decide::{Decision, Generation};
use crate::topology::RouteName;

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
    /// What is made beside the compilation; none when all is made here and now.
    pub beside: Option<Beside<'a>>,
}

/// How a publication is spared the work of large zones.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// No signed zone with more RRsets is rebuilt here, and no more signatures of one zone are renewed. It is outlined
    /// instead ([`Zones::outlines`]), and until its draft is there it stays as it was, with the decisions of now. Smaller
    /// zones of which nothing but signatures or the layout's own records is different have their turn in a later publication
    /// once so many RRsets are signed in this one ([`Zones::is_behind`]).
    pub most: usize,
    /// Drafts, by apex.
    pub drafts: &'a BTreeMap<Name, Arc<Draft>>,
}

impl Beside<'_> {
    /// The bound that a server has: 50 ms of one core.
    pub const MOST: usize = 2000;
}

/// Makes the next publication.
pub fn compile(inputs: &Inputs<'_>) -> Zones {
    let Work {
        rendered,
        plans,
        mut versions,
        builds,
        outlines,
        mut faults,
        vouched,
        is_behind,
        ..
    } = Work::of(inputs);
    let built = workers::map(builds, WORTH_A_CORE, |(at, build)| {
        let (apex, before) = (&build.plan.apex, build.before);
        (at, apex, before, build.version())
    });
    for (at, apex, before, version) in built {
        versions[at] = match version {
            Ok(version) => Some(version),
            Err(fault) => {
                faults.push((apex.clone(), fault));
                before.map(not_of_its_plan)
            }
        };
    }
    let outlines = outlines
        .into_iter()
        .map(|(at, outline)| match &versions[at] {
            Some(version) => Arc::new(outline.after(version)),
            None => Arc::new(outline),
        });
    Zones {
        generation: inputs.generation,
        serial: Some(inputs.serial),
        index: inputs.layout.index.clone(),
        outlines: outlines.collect(),
        plans,
        versions,
        rendered,
        nested: inputs.layout.nested.clone(),
        vouched,
        faults,
        is_behind,
        unsignable: inputs.unsignable.clone(),
    }
}

/// A version that is served on although its layout or a decision may say something else by now: the next one is made anew.
fn not_of_its_plan(version: &Arc<ZoneVersion>) -> Arc<ZoneVersion> {
    if !version.keeps_serial() {
        return version.clone();
    }
    Arc::new(ZoneVersion::clone(version).without_its_serial())
}

/// A version that is served on although decisions may say something else by now.
fn lagging(version: &Arc<ZoneVersion>) -> Arc<ZoneVersion> {
    if version.lags() {
        return version.clone();
    }
    Arc::new(ZoneVersion::clone(version).lagging(true))
}

/// What a publication would outline; nothing is built.
pub fn outlines(inputs: &Inputs<'_>) -> Vec<Arc<Outline>> {
    let outlines = Work::of(inputs).outlines.into_iter();
    outlines.map(|(_, outline)| Arc::new(outline)).collect()
}

/// What is to be done for a publication. Everything is by a zone's place in the layout.
struct Work<'a> {
    rendered: BTreeMap<RouteName, Arc<Rendered>>,
    /// What each version is made of.
    plans: Vec<Arc<ZonePlan>>,
    /// Those that stay.
    versions: Vec<Option<Arc<ZoneVersion>>>,
    /// Those that are made here.
    builds: Vec<(usize, Build<'a>)>,
    /// Those that are to be made elsewhere.
    outlines: Vec<(usize, Outline)>,
    faults: Vec<(Name, KeyFault)>,
    vouched: Vouched,
    /// RRsets that are signed here for small zones.
    signatures: usize,
    is_behind: bool,
}

impl<'a> Work<'a> {
    fn of(inputs: &Inputs<'a>) -> Work<'a> {
        let Inputs {
            layout,
            previous,
            serial,
            now,
            ..
        } = *inputs;
        let mut work = Work {
            rendered: render(inputs),
            plans: layout.plans.clone(),
            versions: Vec::with_capacity(layout.plans.len()),
            builds: Vec::new(),
            outlines: Vec::new(),
            faults: Vec::new(),
            vouched: vouched(&layout.nested, inputs.keys),
            signatures: 0,
            is_behind: false,
        };
        let mut challenges = challenges_by_zone(layout, inputs.challenges);
        let same_layout = previous.is_some_and(|zones| Arc::ptr_eq(&zones.index, &layout.index));
        let mut soas: BTreeMap<*const Rrset, Arc<Rrset>> = BTreeMap::new();
        for (at, plan) in layout.plans.iter().enumerate() {
            work.versions.push(None);
            if plan.awaited {
                continue;
            }
            let place = previous.and_then(|zones| match same_layout {
                true => Some(at),
                false => zones.index.exact(plan.apex.key()),
            });
            let placed = previous.zip(place);
            let (before, made_of) = placed.map_or((None, None), |(zones, at)| zones.at(at));
            // What was there before a restart is not served, but its signatures are still of use.
            let restored = || previous?.outline_of(&plan.apex)?.before.as_ref();
            let before = before.or_else(restored);
            let inner = work.vouched.get(&at);
            let inner_before = placed.and_then(|(zones, at)| zones.vouched.get(&at));
            let same_plan = made_of
                .is_some_and(|made_of| Arc::ptr_eq(made_of, plan) || made_of.says_the_same(plan));
            if inputs.unsignable.contains(&plan.apex) {
                let signed = before.filter(|before| before.is_signed());
                work.versions[at] = signed.map(not_of_its_plan);
                continue;
            }
            let keys = inputs.keys.get(&plan.apex);
            let challenges = challenges.remove(&at).unwrap_or_default();
            let unchanged = |route: &RouteName| {
                let before = previous.and_then(|zones| zones.rendered.get(route));
                matches!((before, work.rendered.get(route)), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
            };
            if let Some(before) = before
                && challenges.is_empty()
                && inner == inner_before
                && plan.slots.iter().all(|slot| unchanged(&slot.route))
            {
                if same_plan && before.stands(keys, now) {
                    work.versions[at] = Some(before.clone());
                    continue;
                }
                if work.signs_enough(inputs.beside)
                    && before.can_wait(keys)
                    && let Some(made_of) =
                        made_of.filter(|made_of| same_plan || made_of.has_shape_of(plan))
                {
                    work.plans[at] = made_of.clone();
                    work.versions[at] = Some(before.clone());
                    work.is_behind = true;
                    continue;
                }
            }
            let Some(mut overlay) = overlay(plan, &work.rendered, &challenges, keys) else {
                continue;
            };
            let inner = inner_before
                .into_iter()
                .chain(inner)
                .flat_map(BTreeMap::keys);
            let inner: Vec<Name> = inner.cloned().collect();
            work.vouch(at, &inner, &mut overlay);
            // Generated zones have one SOA between them, so its copy with the new serial is made once.
            let soa = soas
                .entry(Arc::as_ptr(&plan.soa))
                .or_insert_with(|| with_serial(&plan.soa, serial))
                .clone();
            let renews = !work.signs_enough(inputs.beside);
            work.is_behind |= !renews && before.is_some_and(|before| before.is_due(now));
            let build = Build {
                plan,
                before,
                draft: None,
                same_plan,
                keys,
                overlay,
                challenged: challenges.iter().map(|(name, _)| (*name).clone()).collect(),
                inner,
                soa,
                serial,
                now,
                renews,
                least_history: history::least(layout.plans.len()),
            };
            match inputs.beside {
                Some(beside) => work.sort(at, build, made_of, beside),
                None => work.builds.push((at, build)),
            }
        }
        work
    }

    /// Whether zones that can wait are the next publication's.
    fn signs_enough(&self, beside: Option<Beside<'_>>) -> bool {
        beside.is_some_and(|beside| self.signatures > beside.most)
    }

    /// Whether a zone is built here, from its draft if there is one, or outlined.
    fn sort(
        &mut self,
        at: usize,
        mut build: Build<'a>,
        made_of: Option<&'a Arc<ZonePlan>>,
        beside: Beside<'a>,
    ) {
        let apex = &build.plan.apex;
        // A clock that was set back since leaves a draft that nobody takes yet.
        let draft = beside.drafts.get(apex).map(Arc::as_ref);
        let draft = draft.filter(|draft| draft.has_begun(build.now));
        let fits =
            draft.is_some_and(|draft| draft.is_of(build.plan, build.keys, &build.challenged));
        if let Some(fault) = draft.and_then(Draft::fault).filter(|_| fits) {
            self.faults.push((apex.clone(), fault.clone()));
        }
        build.draft = draft.filter(|draft| draft.fault().is_none());
        if let Some(draft) = build.draft {
            build.inner.extend(draft.inner.iter().cloned());
            self.vouch(at, &draft.inner, &mut build.overlay);
            build.same_plan = fits;
            // What is due since then is the next publication's.
            build.renews = !fits;
            if fits {
                self.builds.push((at, build));
                return;
            }
        }
        if !build.is_large(beside.most, made_of.is_some()) {
            self.signatures += build.signatures();
            self.builds.push((at, build));
            return;
        }
        let made_of = match build.draft {
            Some(draft) => Some(&draft.plan),
            None if build.same_plan => Some(build.plan),
            None => made_of,
        };
        if let Some(plan) = made_of {
            self.plans[at] = plan.clone();
            match self.held(at, &build, plan) {
                Some(held) => self.builds.push((at, held)),
                None => self.versions[at] = build.before.map(lagging),
            }
        }
        self.outlines.push((at, build.outline()));
    }

    /// Puts the DS of zones inside a zone where they belong. One that has gone leaves its name to be looked at.
    fn vouch(&self, at: usize, inner: &[Name], overlay: &mut Overlay) {
        let vouched = self.vouched.get(&at);
        for name in inner {
            let ds = vouched.and_then(|vouched| vouched.get(name));
            let sets = overlay.entry(name.clone()).or_default();
            sets.retain(|set| set.rtype != RecordType::DS);
            sets.extend(ds.cloned());
        }
    }

    /// A zone as it was, with the decisions of now; none where it is not known how it was signed.
    fn held(&self, at: usize, build: &Build<'a>, plan: &'a Arc<ZonePlan>) -> Option<Build<'a>> {
        let base = build.base()?;
        let keys = match build.draft {
            Some(draft) => draft.keys.as_ref(),
            None => base.keys(),
        };
        if base.is_signed() && !keys.is_some_and(|keys| keys.is_signed()) {
            return None;
        }
        let mut overlay = steered_as_it_was(plan, build.plan, &self.rendered, base);
        add_rest(&mut overlay, plan, &challenges_of(base), keys);
        self.vouch(at, &build.inner, &mut overlay);
        Some(Build {
            plan,
            before: build.before,
            draft: build.draft,
            same_plan: true,
            keys,
            overlay,
            challenged: base.challenged().to_vec(),
            inner: Vec::new(),
            soa: with_serial(&plan.soa, build.serial),
            serial: build.serial,
            now: build.now,
            renews: false,
            least_history: build.least_history,
        })
    }
}

pub(super) fn with_serial(soa: &Rrset, serial: Serial) -> Arc<Rrset> {
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
    use crate::topology::{ServiceKind, ZonePlacement};

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
    fn thousands_of_small_zones_share_what_they_keep_of_their_past() {
        let names: Vec<String> = (0..600).map(|n| format!("d{n}.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let many = layout(
            &topology(vec![route("a", &names, ZonePlacement::Owners)], &[]),
            &[],
        );
        let one = layout(
            &topology(vec![route("a", &names[..1], ZonePlacement::Owners)], &[]),
            &[],
        );
        let kept = |layout: &Layout| {
            let mut zones = publish(layout, &[decision("a", 1)], None, 10);
            for flip in 1..16_u8 {
                let there = [decision("a", 1 + flip % 2)];
                zones = publish(layout, &there, Some(&zones), 10 + u32::from(flip));
            }
            let octets = |zone: &Arc<ZoneVersion>| -> (usize, usize) {
                let sizes: Vec<usize> = zone.history().iter().map(|change| change.octets).collect();
                (sizes.iter().sum(), *sizes.last().unwrap())
            };
            let each = zones.iter().map(octets);
            each.fold((0, 0), |all, zone| (all.0 + zone.0, all.1 + zone.1))
        };
        let (all, newest) = kept(&many.unwrap());
        assert!(all <= (4 << 20) + newest, "{all} {newest}");
        let (all, newest) = kept(&one.unwrap());
        assert!(all > 4 * newest, "a few zones keep more: {all} {newest}");
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
