//! Zones that are served as they were for a while, because their next version is still being signed elsewhere.
//!
//! In: what is served, the layout that everything else follows already. Out: why a zone cannot be served as it was
//! meanwhile, or what decisions put into it. Never here: signing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::arrange::cut_above;
use super::build::Overlay;
use super::layout::{Layout, Slot, Steered, ZonePlan};
use super::name::Name;
use super::overlay::{Rendered, steered};
use super::version::{Found, ZoneVersion};
use super::zones::Zones;
use crate::topology::RouteName;

/// Why a zone cannot be served as it was while everything else follows another layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LagFault {
    /// Nothing would answer for the zone's names.
    #[error("its names are in zone {0} until then")]
    NamesElsewhere(Name),
    /// The zone has names of its own there, not a delegation.
    #[error("zone {0} inside it is new")]
    NewInside(Name),
    /// The zone has a delegation there, and nothing would answer below it.
    #[error("zone {0} inside it is no zone of its own any more")]
    GoneInside(Name),
    /// SRV records lead to a name that has no address yet.
    #[error("target {0} of a pool has its address there only then")]
    NewTarget(Name),
}

impl Zones {
    /// Checks that a zone can be served as it is while everything else follows `layout`, whose SRV records lead to
    /// `targets`.
    ///
    /// # Errors
    /// The first reason why resolvers would not find a name that they find now, or find wrong answers below it.
    pub fn can_lag(
        &self,
        apex: &Name,
        layout: &Layout,
        targets: &BTreeSet<Name>,
    ) -> Result<(), LagFault> {
        let Some(place) = layout.index.exact(apex.key()) else {
            return Ok(());
        };
        let plan = &layout.plans[place];
        let served = self.version_at(apex);
        let is_cut =
            |zone: &ZoneVersion, name: &Name| matches!(zone.find(name.key()), Found::Cut(_));
        if served.is_none()
            && let Some(outer) = self.zone_of(apex.key())
            && !is_cut(outer, apex)
        {
            return Err(LagFault::NamesElsewhere(outer.apex().clone()));
        }
        let is_inside = |other: &&Name| *other != apex && other.is_at_or_below(apex);
        if let Some(served) = served {
            let mut inside = layout.apexes().filter(is_inside);
            let new = inside
                .find(|inner| self.index.exact(inner.key()).is_none() && !is_cut(served, inner));
            if let Some(new) = new {
                return Err(LagFault::NewInside(new.clone()));
            }
        }
        let mut inside = self.iter().map(|zone| zone.apex()).filter(is_inside);
        let gone = inside.find(|inner| {
            layout.index.exact(inner.key()).is_none()
                && cut_above(&plan.nodes, apex, inner.key()).is_none()
        });
        if let Some(gone) = gone {
            return Err(LagFault::GoneInside(gone.clone()));
        }
        let new = targets.iter().find(|target| {
            layout.index.longest(target.key()) == Some(place)
                && plan.has_address(target)
                && !served.is_some_and(|served| has_address(served, target))
        });
        new.map_or(Ok(()), |new| Err(LagFault::NewTarget(new.clone())))
    }
}

const ADDRESSES: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

fn has_address(zone: &ZoneVersion, name: &Name) -> bool {
    let mut types = ADDRESSES.into_iter();
    types.any(|rtype| zone.set(name.key(), rtype).is_some())
}

impl ZonePlan {
    fn has_address(&self, name: &Name) -> bool {
        let node = self.nodes.get(name.key());
        let written = node.is_some_and(|node| ADDRESSES.iter().any(|t| node.set(*t).is_some()));
        let mut slots = self.slots.iter();
        written || slots.any(|slot| slot.owner == *name && matches!(slot.what, Steered::Address(_)))
    }
}

/// What decisions put into a zone that is still made of `plan`, while `next` is being signed. A name that no route steers
/// any more keeps what is served.
pub(super) fn steered_as_it_was(
    plan: &ZonePlan,
    next: &ZonePlan,
    rendered: &BTreeMap<RouteName, Arc<Rendered>>,
    served: &ZoneVersion,
) -> Overlay {
    let key = |slot: &Slot| (slot.owner.clone(), u16::from(slot.what.rtype()));
    let steers_next: BTreeMap<_, &Slot> = next.slots.iter().map(|slot| (key(slot), slot)).collect();
    let mut overlay = Overlay::new();
    for slot in &plan.slots {
        let now = steers_next.get(&key(slot)).copied().unwrap_or(slot);
        let set = steered(now, rendered)
            .unwrap_or_else(|| served.set(slot.owner.key(), slot.what.rtype()).cloned());
        overlay.entry(slot.owner.clone()).or_default().extend(set);
    }
    overlay
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fixture::{decision, layout, route, topology};
    use super::super::{Beside, Challenges, Inputs, KeyAlgorithm, Serial, SigningKey, ZoneKeys};
    use super::super::{LayoutProblem, compile};
    use super::*;
    use crate::clock::Wall;
    use crate::decide::{Decision, Generation};
    use crate::topology::{DomainName, ZonePlacement};

    fn name(text: &str) -> Name {
        Name::from(&text.parse::<DomainName>().unwrap())
    }

    /// Routes `a` of contoso.com and `b` of sub.contoso.com, as far as they are wanted.
    fn layout_of(routes: &[&str], zones: &[&str]) -> Layout {
        let domain = |route: &str| match route {
            "a" => "contoso.com",
            _ => "sub.contoso.com",
        };
        let routes = routes
            .iter()
            .map(|name| route(name, &[domain(name)], ZonePlacement::Configured));
        let layout: Result<Layout, Vec<LayoutProblem>> =
            layout(&topology(routes.collect(), zones), &[]);
        layout.unwrap()
    }

    /// The zone contoso.com is signed; with `before`, whatever is signed is large.
    fn publish(
        layout: &Layout,
        keys: &Arc<ZoneKeys>,
        decisions: &[Decision],
        before: Option<&Zones>,
    ) -> Zones {
        let serial = before.map_or(1, |before| before.serial().unwrap().0 + 1);
        let drafts = BTreeMap::new();
        compile(&Inputs {
            layout,
            decisions: &decisions
                .iter()
                .map(|one| (one.route.clone(), one.clone()))
                .collect(),
            keys: &[(name("contoso.com"), keys.clone())].into(),
            unsignable: &Arc::default(),
            challenges: &Challenges::default(),
            previous: before,
            generation: Generation(u64::from(serial)),
            serial: Serial(serial),
            now: Wall::from_millis(1_795_230_000_000),
            beside: before.map(|_| Beside {
                most: 0,
                drafts: &drafts,
            }),
        })
    }

    fn keys() -> Arc<ZoneKeys> {
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        Arc::new(ZoneKeys::single(Arc::new(key), 600))
    }

    fn srv(zones: &Zones, owner: &str) -> Vec<String> {
        let zone = zones.version_at(&name("contoso.com")).unwrap();
        let set = zone.set(name(owner).key(), RecordType::SRV).unwrap();
        let texts = set
            .rdatas
            .iter()
            .map(|rdata| rdata.to_text(RecordType::SRV));
        texts.collect()
    }

    #[test]
    fn a_zone_that_waits_for_its_draft_follows_the_routes_that_a_reload_has_left() {
        let keys = keys();
        let both = layout_of(&["a", "b"], &["contoso.com"]);
        let decisions = [decision("a", 1), decision("b", 1)];
        let before = publish(&both, &keys, &decisions, None);
        let only_a = layout_of(&["a"], &["contoso.com"]);
        let after = publish(&only_a, &keys, &[decision("a", 2)], Some(&before));
        assert_eq!(after.outlines().len(), 1, "it is not signed here");
        let (of_a, of_b) = (
            "_xmpp-server._tcp.contoso.com",
            "_xmpp-server._tcp.sub.contoso.com",
        );
        assert!(
            srv(&after, of_a)[0].contains("edge2"),
            "{:?}",
            srv(&after, of_a)
        );
        assert_eq!(srv(&after, of_b), srv(&before, of_b));
    }

    #[test]
    fn a_zone_lags_only_where_no_name_is_lost_and_none_is_bogus() {
        let keys = keys();
        let apex = name("contoso.com");
        let decisions = [decision("a", 1), decision("b", 1)];
        let one = layout_of(&["a", "b"], &["contoso.com"]);
        let two = layout_of(&["a", "b"], &["contoso.com", "sub.contoso.com"]);
        let target = BTreeSet::from([name("edge1.contoso.com")]);
        let lag = |from: &Layout, to: &Layout| {
            let served = publish(from, &keys, &decisions, None);
            served.can_lag(&apex, to, &target)
        };
        let inner = name("sub.contoso.com");
        assert_eq!(lag(&one, &one), Ok(()));
        assert_eq!(lag(&one, &two), Err(LagFault::NewInside(inner.clone())));
        assert_eq!(lag(&two, &one), Err(LagFault::GoneInside(inner.clone())));
        let served = publish(&one, &keys, &decisions, None);
        let elsewhere = served.can_lag(&inner, &two, &target);
        assert_eq!(elsewhere, Err(LagFault::NamesElsewhere(apex.clone())));
        // The zone has the addresses of the pools' targets only with a route that leads to them.
        let none = layout_of(&[], &["contoso.com"]);
        assert_eq!(
            lag(&none, &one),
            Err(LagFault::NewTarget(name("edge1.contoso.com")))
        );
    }
}
