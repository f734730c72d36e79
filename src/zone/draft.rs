//! Drafts: the next version of a large zone, made beside the engine while what was published before is served on.
//!
//! In: an [`Outline`], which has all that the version is made of. Out: a [`Draft`]. From it `compile` makes the version
//! as quickly as after a failover: it looks only at what has changed since. Never here: where and when one is made.

use std::fmt;
use std::sync::Arc;

use super::build::{Build, Overlay};
use super::compile::with_serial;
use super::key::KeyFault;
use super::layout::{Layout, ZonePlan};
use super::name::Name;
use super::serial::Serial;
use super::version::ZoneVersion;
use super::zone_keys::ZoneKeys;
use crate::clock::Wall;

/// All that a zone's next version is made of, but for its serial.
pub struct Outline {
    pub(super) plan: Arc<ZonePlan>,
    /// What is served meanwhile, or was before a restart.
    pub(super) before: Option<Arc<ZoneVersion>>,
    pub(super) same_plan: bool,
    pub(super) keys: Option<Arc<ZoneKeys>>,
    pub(super) overlay: Overlay,
    pub(super) challenged: Vec<Name>,
    pub(super) inner: Vec<Name>,
    pub(super) now: Wall,
}

impl Outline {
    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.plan.apex
    }

    /// About how many RRsets will be signed.
    pub fn rrsets(&self) -> usize {
        self.plan.nodes.tally().sets
    }

    /// Whether both lead to the same draft, decisions aside.
    pub fn is_like(&self, other: &Outline) -> bool {
        self.keys == other.keys
            && self.challenged == other.challenged
            && (Arc::ptr_eq(&self.plan, &other.plan) || self.plan.says_the_same(&other.plan))
    }

    /// The same, to follow on this version.
    pub(super) fn after(self, before: &Arc<ZoneVersion>) -> Outline {
        Outline {
            before: Some(before.clone()),
            ..self
        }
    }

    /// Makes the draft: some seconds for 100,000 RRsets. Its serial is one that nothing else was or will be published with.
    pub fn draft(&self, serial: Serial) -> Draft {
        let build = Build {
            plan: &self.plan,
            before: self.before.as_ref(),
            draft: None,
            same_plan: self.same_plan,
            keys: self.keys.as_ref(),
            overlay: self.overlay.clone(),
            challenged: self.challenged.clone(),
            inner: self.inner.clone(),
            soa: with_serial(&self.plan.soa, serial),
            serial,
            now: self.now,
            renews: true,
            // It is a large one.
            least_history: 0,
        };
        Draft {
            version: build.version(),
            plan: self.plan.clone(),
            before: self.before.clone(),
            keys: self.keys.clone(),
            challenged: self.challenged.clone(),
            inner: self.inner.clone(),
        }
    }
}

/// A version that was never published, to make one of that will be.
pub struct Draft {
    version: Result<Arc<ZoneVersion>, KeyFault>,
    pub(super) plan: Arc<ZonePlan>,
    /// The version that the draft's history goes on from.
    before: Option<Arc<ZoneVersion>>,
    pub(super) keys: Option<Arc<ZoneKeys>>,
    challenged: Vec<Name>,
    /// The names of zones inside it whose DS it may have.
    pub(super) inner: Vec<Name>,
}

impl Draft {
    /// Why it could not be signed.
    pub fn fault(&self) -> Option<&KeyFault> {
        self.version.as_ref().err()
    }

    pub(super) fn version(&self) -> Option<&Arc<ZoneVersion>> {
        self.version.as_ref().ok()
    }

    /// Whether it is of the records that a layout has for its zone.
    pub fn is_of_layout(&self, layout: &Layout) -> bool {
        let place = layout.index.exact(self.plan.apex.key());
        let plan = place.map(|at| &layout.plans[at]);
        plan.is_some_and(|plan| Arc::ptr_eq(&self.plan, plan) || self.plan.says_the_same(plan))
    }

    /// Whether its signatures are valid by now.
    pub(super) fn has_begun(&self, now: Wall) -> bool {
        let window = self.version().and_then(|version| version.signed());
        window.is_none_or(|window| window.inception <= now)
    }

    /// Whether a version of this is made from it by looking at a few names.
    pub(super) fn is_of(
        &self,
        plan: &Arc<ZonePlan>,
        keys: Option<&Arc<ZoneKeys>>,
        challenged: &[Name],
    ) -> bool {
        fn signing(keys: Option<&Arc<ZoneKeys>>) -> Option<Vec<(&super::Dnskey, super::Role)>> {
            keys.map(|keys| keys.signing_keys())
        }
        signing(self.keys.as_ref()) == signing(keys)
            && self.challenged == challenged
            && (Arc::ptr_eq(&self.plan, plan) || self.plan.says_the_same(plan))
    }

    /// Whether a version with this serial can go on from the draft's history after `before`: nothing was published since
    /// the draft was begun.
    pub(super) fn leads_on(&self, before: &Arc<ZoneVersion>, serial: Serial) -> bool {
        let own = self
            .version()
            .filter(|own| own.serial().is_after(before.serial()) && serial.is_after(own.serial()));
        own.is_some()
            && self
                .before
                .as_ref()
                .is_some_and(|base| Arc::ptr_eq(base, before))
    }
}

impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outline({})", self.apex())
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({:?})", self.version)
    }
}
