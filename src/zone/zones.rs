//! The zones as published together: one immutable value, swapped whole.
//!
//! In: zone versions of one compilation. Out: the zone a name lies in, by the longest apex, in as many steps
//! as the name has labels however many zones there are. Never here: building a version; that is `compile`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::draft::Outline;
use super::key::KeyFault;
use super::layout::ZonePlan;
use super::name::{Name, label_count, parent_key};
use super::nested::{Nested, Vouched, vouching};
use super::overlay::Rendered;
use super::rdata::Rdata;
use super::serial::Serial;
use super::validity;
use super::version::ZoneVersion;
use crate::clock::Wall;
use crate::decide::Generation;
use crate::topology::{DomainName, RouteName};

/// Which zone has which apex: made once per layout, shared by every publication.
#[derive(Clone, Debug, Default)]
pub(super) struct ZoneIndex {
    by_key: HashMap<Box<[u8]>, usize>,
    /// Bit `n` is set when some apex has `n` labels: other ancestors need no look.
    label_counts: u128,
}

impl ZoneIndex {
    pub(super) fn new<'a>(apexes: impl IntoIterator<Item = &'a Name>) -> ZoneIndex {
        let mut index = ZoneIndex::default();
        for (at, apex) in apexes.into_iter().enumerate() {
            index.label_counts |= 1 << apex.label_count().min(127);
            index.by_key.insert(apex.key().into(), at);
        }
        index
    }

    pub(super) fn exact(&self, key: &[u8]) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The zone with the longest apex that `key` is at or below.
    pub(super) fn longest(&self, key: &[u8]) -> Option<usize> {
        let mut at = key;
        let mut labels = label_count(key);
        loop {
            if self.label_counts & (1 << labels.min(127)) != 0
                && let Some(found) = self.exact(at)
            {
                return Some(found);
            }
            at = parent_key(at)?;
            labels -= 1;
        }
    }
}

/// All zones of one publication.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    pub(super) generation: Generation,
    pub(super) serial: Option<Serial>,
    pub(super) index: Arc<ZoneIndex>,
    /// What each version was made from.
    pub(super) plans: Vec<Arc<ZonePlan>>,
    pub(super) versions: Vec<Option<Arc<ZoneVersion>>>,
    pub(super) rendered: BTreeMap<RouteName, Arc<Rendered>>,
    pub(super) nested: Arc<[Nested]>,
    /// What outer zones say of inner ones.
    pub(super) vouched: Vouched,
    pub(super) faults: Vec<(Name, KeyFault)>,
    pub(super) outlines: Vec<Arc<Outline>>,
    pub(super) is_behind: bool,
    /// Zones whose keys are not at hand.
    pub(super) unsignable: Arc<BTreeSet<Name>>,
}

impl Zones {
    /// No zones: every question is refused.
    pub fn empty() -> Zones {
        Zones::default()
    }

    /// The generation published.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The serial that zones changed by this publication carry; none when there is none.
    pub fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// Zones that could not be signed, and why. The version before stays in force; a zone that had none is not served.
    pub fn faults(&self) -> &[(Name, KeyFault)] {
        &self.faults
    }

    /// Large zones whose next version is to be made beside the engine. What was published before stays, with the decisions
    /// of now; a zone of which nothing was published is not served.
    pub fn outlines(&self) -> &[Arc<Outline>] {
        &self.outlines
    }

    /// Whether small zones wait for their turn to be signed: by compiling again.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    pub(super) fn outline_of(&self, apex: &Name) -> Option<&Arc<Outline>> {
        self.outlines.iter().find(|outline| outline.apex() == apex)
    }

    /// Whether other keys than those that a zone is served with wait for its draft.
    pub fn awaits_keys(&self, apex: &Name) -> bool {
        let served = self.version_at(apex).and_then(|version| version.keys());
        let outline = self.outline_of(apex);
        outline.is_some_and(|outline| outline.keys.as_ref() != served)
    }

    /// Zones of `before` that waited for their drafts, and are served with other keys since.
    pub fn with_late_keys<'a>(&self, before: &'a Zones) -> Vec<&'a Name> {
        let waited = before.outlines.iter().map(|outline| outline.apex());
        let keys = |zones: &Zones, apex: &Name| zones.version_at(apex)?.keys().cloned();
        waited
            .filter(|apex| keys(self, apex) != keys(before, apex))
            .collect()
    }

    /// When signatures must next be renewed, by compiling again; none when no zone is signed. A zone whose keys are not
    /// at hand does not count, nor does one that waits for its draft: its signatures stay due, and compiling does not help.
    pub fn next_resign(&self) -> Option<Wall> {
        let waits = |apex: &Name| self.outline_of(apex).is_some();
        let renewable = self
            .iter()
            .filter(|zone| !self.unsignable.contains(zone.apex()) && !waits(zone.apex()));
        let first = renewable.filter_map(|zone| zone.expiration()).min();
        first.map(validity::renewal)
    }

    /// When the first signature of any zone expires; none when no zone is signed. With less than ten days left, a renewal
    /// is overdue.
    pub fn expiration(&self) -> Option<Wall> {
        self.iter().filter_map(|zone| zone.expiration()).min()
    }

    /// The zone that a name lies in: the longest apex wins.
    pub fn zone_of(&self, key: &[u8]) -> Option<&Arc<ZoneVersion>> {
        self.versions.get(self.index.longest(key)?)?.as_ref()
    }

    /// Whether a name lies in a zone that has no version yet: nothing was decided of it.
    pub fn is_waiting(&self, name: &Name) -> bool {
        let at = self.index.longest(name.key());
        at.is_some_and(|at| self.versions.get(at).is_none_or(Option::is_none))
    }

    /// The zone that holds the parent's side of an apex: the one above it (RFC 4035 §3.1.4.1, for DS).
    pub fn zone_above(&self, apex: &Name) -> Option<&Arc<ZoneVersion>> {
        self.zone_of(parent_key(apex.key())?)
    }

    /// The zone of ours that has the DS of this one by itself: [`Layout::vouches_for`](super::Layout::vouches_for).
    pub fn vouches_for(&self, apex: &Name) -> Option<&Name> {
        vouching(&self.nested, &self.plans, apex)
    }

    /// The zone with this apex.
    pub fn zone(&self, apex: &DomainName) -> Option<&Arc<ZoneVersion>> {
        self.version_at(&Name::from(apex))
    }

    /// The zone with this apex, by its name in wire form.
    pub fn version_at(&self, apex: &Name) -> Option<&Arc<ZoneVersion>> {
        self.versions.get(self.index.exact(apex.key())?)?.as_ref()
    }

    /// The version at a place of the layout, and what it is made of where that is known.
    pub(super) fn at(&self, at: usize) -> (Option<&Arc<ZoneVersion>>, Option<&Arc<ZonePlan>>) {
        let version = self.versions.get(at).and_then(Option::as_ref);
        (version, version.and_then(|_| self.plans.get(at)))
    }

    /// The addresses that our zones have for a name, IPv4 first; none where it does not lie in one of them.
    pub fn addresses_of(&self, name: &Name) -> Vec<IpAddr> {
        let zone = self.zone_of(name.key());
        let sets = [RecordType::A, RecordType::AAAA]
            .map(|rtype| zone.and_then(|zone| zone.set(name.key(), rtype)));
        let rdatas = sets.into_iter().flatten().flat_map(|set| &set.rdatas);
        rdatas.filter_map(Rdata::as_address).collect()
    }

    /// All zones, in canonical order of their apexes.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ZoneVersion>> {
        self.versions.iter().flatten()
    }

    /// How many zones are served.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether no zone is served.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
