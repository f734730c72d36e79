//! Keeping zones: what is published goes to the store behind its publication.
//!
//! In: publications, zones received from primaries; results of the store. Out: at most one [`Keep`] under way, and the
//! newest that waits behind it. Never here: what of it is new to the store; the store compares.
//!
//! Kept zones are no command's business: they have an effect of their own, so that a large one never stands between a
//! command and the disk.

use std::sync::Arc;
use std::time::Duration;

use super::inbound::InboundCopy;
use crate::clock::{Mono, Wall};
use crate::zone::Zones;

/// How long to wait after a failure before the store is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// What the store is to hold of the zones, whole: it replaces what it held before.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The zones as published.
    pub zones: Arc<Zones>,
    /// What primaries sent, as far as it is in force.
    pub inbound: Vec<KeptInbound>,
    /// The moment it is handed over.
    pub at: Wall,
    /// Nothing is published after it: the next start may go on with the serials it finds.
    pub last: bool,
}

/// A zone as its primary sent it, as it is kept.
#[derive(Clone, Debug)]
pub struct KeptInbound {
    /// What was sent.
    pub copy: Arc<InboundCopy>,
    /// When the primary last said that it is still so.
    pub checked: Wall,
}

/// What is kept, what waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeping {
    wanted: bool,
    under_way: bool,
    retry_at: Option<Mono>,
}

impl Keeping {
    /// Something new is to be kept.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether to hand the newest to the store now; then it is under way.
    pub(super) fn begin(&mut self, now: Mono) -> bool {
        let waits = self.retry_at.is_some_and(|at| at > now);
        if self.under_way || waits || !self.wanted {
            return false;
        }
        (self.wanted, self.under_way, self.retry_at) = (false, true, None);
        true
    }

    /// The store has done with what was under way.
    pub(super) fn ended(&mut self, kept: bool, now: Mono) {
        self.under_way = false;
        if !kept {
            self.wanted = true;
            self.retry_at = Some(now + RETRY);
        }
    }

    /// When to ask again after a failure.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.retry_at.filter(|_| !self.under_way && self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_waits_behind_what_is_under_way() {
        let mut keeping = Keeping::default();
        assert!(!keeping.begin(Mono::START), "there is nothing to keep");
        keeping.want();
        assert!(keeping.begin(Mono::START));
        keeping.want();
        keeping.want();
        assert!(!keeping.begin(Mono::START), "one at a time");
        keeping.ended(true, Mono::START);
        assert!(keeping.begin(Mono::START));
        keeping.ended(true, Mono::START);
        assert!(!keeping.begin(Mono::START), "all is kept");
    }

    #[test]
    fn what_could_not_be_kept_is_tried_again_later() {
        let mut keeping = Keeping::default();
        keeping.want();
        assert!(keeping.begin(Mono::START));
        keeping.ended(false, Mono::START);
        assert!(!keeping.begin(Mono::START));
        assert_eq!(keeping.deadline(), Some(Mono::START + RETRY));
        assert!(keeping.begin(Mono::START + RETRY));
    }
}
