//! How many transfers are under way, and what came of the last ones.
//!
//! In: transfers that begin and end. Out: a [`Berth`] for each, or none when there are too many; [`LastTransfer`] of
//! each secondary and zone. Locked when a transfer begins and ends, never for a query.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::clock::Wall;
use crate::config::Secondary;
use crate::zone::Name;

/// Transfers under way, in all.
const IN_ALL: usize = 64;
/// Transfers under way of one secondary: more than any of them asks for at once by default.
const OF_ONE: usize = 16;

/// What the last transfer of a zone to a secondary was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTransfer {
    /// What was sent.
    pub kind: Kind,
    /// Up to which serial.
    pub serial: u32,
    /// How many octets, lengths not counted.
    pub octets: u64,
    /// In how many messages.
    pub messages: usize,
    /// When it ended.
    pub at: Wall,
    /// Whether all of it was taken.
    pub whole: bool,
}

/// Room for transfers. A clone is the same room.
#[derive(Clone, Debug, Default)]
pub struct Berths(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    taken: usize,
    of: HashMap<String, OfOne>,
}

#[derive(Debug, Default)]
struct OfOne {
    taken: usize,
    last: HashMap<Name, LastTransfer>,
}

impl Berths {
    /// Room for one more; none when there are too many already.
    pub(super) fn take(&self, secondary: &Arc<Secondary>) -> Option<Berth> {
        let mut state = self.state();
        let of = state.of.entry(secondary.name.clone()).or_default();
        if of.taken >= OF_ONE {
            return None;
        }
        of.taken += 1;
        state.taken += 1;
        let berth = Berth {
            berths: self.clone(),
            secondary: secondary.clone(),
        };
        let full = state.taken > IN_ALL;
        drop(state);
        // One too many gives its place back at once.
        (!full).then_some(berth)
    }

    /// The last transfer of a zone to a secondary.
    pub fn last(&self, secondary: &str, apex: &Name) -> Option<LastTransfer> {
        self.state().of.get(secondary)?.last.get(apex).copied()
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.state().taken
    }

    /// Forgets secondaries and zones that are no longer there.
    pub fn retain(&self, keep: impl Fn(&str, &Name) -> bool) {
        let mut state = self.state();
        for (name, of) in &mut state.of {
            of.last.retain(|apex, _| keep(name, apex));
        }
        state.of.retain(|_, of| of.taken > 0 || !of.last.is_empty());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a transfer under way; dropping it gives it back.
pub(super) struct Berth {
    berths: Berths,
    secondary: Arc<Secondary>,
}

impl Berth {
    /// Gives the place back, and notes what was sent.
    pub(super) fn leave(self, apex: &Name, last: LastTransfer) {
        {
            let mut state = self.berths.state();
            if let Some(of) = state.of.get_mut(&self.secondary.name) {
                of.last.insert(apex.clone(), last);
            }
        }
        drop(self);
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        let mut state = self.berths.state();
        state.taken = state.taken.saturating_sub(1);
        if let Some(of) = state.of.get_mut(&self.secondary.name) {
            of.taken = of.taken.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Berth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Berth({})", self.secondary.name)
    }
}
