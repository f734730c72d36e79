//! What a dry run would change in the zones.
//!
//! In: all that zones would be made of. Out: how they would differ, as text, made by the task that answers: to sign and to
//! compare large zones, or thousands of small ones, takes seconds. Never here: a change of anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::clock::Wall;
use crate::decide::{Decision, Generation};
use crate::topology::RouteName;
use crate::zone::{
    self, Challenges, Inputs, Layout, Name, Serial, ZoneKeys, ZoneVersion, Zones, compile,
};

/// All that the zones of a dry run are made of, and the zones served.
#[derive(Clone)]
pub struct Planned {
    pub(super) before: Arc<Zones>,
    pub(super) layout: Arc<Layout>,
    pub(super) decisions: BTreeMap<RouteName, Decision>,
    pub(super) keys: Arc<BTreeMap<Name, Arc<ZoneKeys>>>,
    pub(super) unsignable: Arc<BTreeSet<Name>>,
    pub(super) challenges: Challenges,
    pub(super) generation: Generation,
    pub(super) serial: Serial,
    pub(super) now: Wall,
}

impl Planned {
    /// How many zones would be different, and their differences in master-file text.
    pub(super) fn differences(&self) -> (usize, String) {
        let after = compile(&Inputs {
            layout: &self.layout,
            decisions: &self.decisions,
            keys: &self.keys,
            unsignable: &self.unsignable,
            challenges: &self.challenges,
            previous: Some(&self.before),
            generation: self.generation,
            serial: self.serial,
            now: self.now,
            beside: None,
        });
        (changed(&self.before, &after), text(&self.before, &after))
    }
}

/// How many zones have other records than before, or are no longer there.
pub(super) fn changed(before: &Zones, after: &Zones) -> usize {
    let is_new = |version: &&Arc<ZoneVersion>| {
        let old = before.version_at(version.apex());
        old.is_none_or(|old| old.serial() != version.serial())
    };
    let is_gone = |version: &&Arc<ZoneVersion>| after.version_at(version.apex()).is_none();
    after.iter().filter(is_new).count() + before.iter().filter(is_gone).count()
}

fn text(before: &Zones, after: &Zones) -> String {
    let mut text = String::new();
    for version in after.iter() {
        let apex = version.apex();
        let Some(old) = before.version_at(apex) else {
            text.push_str(&format!("; zone {apex} is new\n"));
            continue;
        };
        if Arc::ptr_eq(old, version) {
            continue;
        }
        let delta = zone::diff(old, version);
        if delta.changes_records() {
            text.push_str(&format!("; zone {apex}\n{delta}"));
        }
    }
    for version in before.iter() {
        let apex = version.apex();
        if after.version_at(apex).is_none() {
            text.push_str(&format!("; zone {apex} is gone\n"));
        }
    }
    text
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        Arc::ptr_eq(&self.before, &other.before) && self.generation == other.generation
    }
}

impl Eq for Planned {}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planned(generation {})", self.generation)
    }
}
