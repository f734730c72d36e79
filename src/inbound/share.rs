//! Shares what transfers need among primaries, so that a slow or hostile primary does not stop the
//! zones of the others: how many transfers run at one time, and how much memory their records take.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Transfers from one primary that run at one time.
const OF_ONE: usize = 8;
/// Transfers from all primaries that run at one time, not counting one of each primary: however many primaries are slow,
/// another one's zones do not wait for them.
pub(super) const OF_ALL: usize = 128;
/// Octets of memory that the records of transfers from one primary, and from all, may take.
const MEMORY_OF_ONE: usize = 320 << 20;
pub(super) const MEMORY_OF_ALL: usize = 640 << 20;
/// The last octets of all memory: only primaries whose transfers take at most [`SMALL`] octets use them.
const MEMORY_OF_SMALL: usize = MEMORY_OF_ALL / 4;
const SMALL: usize = 16 << 20;

/// What all transfers share.
#[derive(Debug)]
pub(super) struct Shares {
    slots: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    primaries: Mutex<HashMap<IpAddr, Arc<Share>>>,
}

/// What the transfers from one primary share.
#[derive(Debug)]
struct Share {
    slots: Arc<Semaphore>,
    /// The one transfer that does not count among all.
    own: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

impl Default for Share {
    fn default() -> Share {
        Share {
            slots: Arc::new(Semaphore::new(OF_ONE)),
            own: Arc::new(Semaphore::new(1)),
            memory: Arc::new(Semaphore::new(MEMORY_OF_ONE)),
        }
    }
}

impl Default for Shares {
    fn default() -> Shares {
        Shares {
            slots: Arc::new(Semaphore::new(OF_ALL)),
            memory: Arc::new(Semaphore::new(MEMORY_OF_ALL)),
            primaries: Mutex::default(),
        }
    }
}

/// Permission for one transfer, until it is dropped.
#[derive(Debug)]
pub(super) struct TransferSlot {
    /// The memory that its records are counted against.
    pub(super) memory: TransferMemory,
    _share: Arc<Share>,
    _of_one: Option<OwnedSemaphorePermit>,
    _own_or_of_all: Option<OwnedSemaphorePermit>,
}

impl Shares {
    /// Waits until one more transfer from this primary may run.
    pub(super) async fn slot(&self, primary: IpAddr) -> TransferSlot {
        let share = self.share(primary);
        // The semaphores are never closed. Transfers of one primary wait among themselves first.
        let of_one = share.slots.clone().acquire_owned().await.ok();
        let own_or_of_all = tokio::select! {
            biased;
            own = share.own.clone().acquire_owned() => own.ok(),
            of_all = self.slots.clone().acquire_owned() => of_all.ok(),
        };
        TransferSlot {
            memory: TransferMemory {
                of_one: share.memory.clone(),
                of_all: self.memory.clone(),
            },
            _share: share,
            _of_one: of_one,
            _own_or_of_all: own_or_of_all,
        }
    }

    fn share(&self, primary: IpAddr) -> Arc<Share> {
        let mut primaries = self
            .primaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A primary that nobody waits for any more is forgotten.
        primaries.retain(|_, share| Arc::strong_count(share) > 1);
        primaries.entry(primary.to_canonical()).or_default().clone()
    }
}

/// The memory that the records of transfers may take.
#[derive(Clone, Debug)]
pub struct TransferMemory {
    of_one: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

impl Default for TransferMemory {
    fn default() -> TransferMemory {
        TransferMemory {
            of_one: Share::default().memory,
            of_all: Shares::default().memory,
        }
    }
}

/// What one transfer holds of it, until it is dropped.
pub(super) type HeldMemory = Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>;

impl TransferMemory {
    /// Grows what one transfer holds to so many octets; false when there is no more.
    pub(super) fn grow(&self, held: &mut HeldMemory, octets: usize) -> bool {
        let counted = held.as_ref().map_or(0, |(of_one, _)| of_one.num_permits());
        let more = octets.saturating_sub(counted);
        let take = |of: &Arc<Semaphore>| {
            let more = u32::try_from(more).ok()?;
            of.clone().try_acquire_many_owned(more).ok()
        };
        let of_primary = MEMORY_OF_ONE - self.of_one.available_permits() + more;
        let left = self.of_all.available_permits().saturating_sub(more);
        if of_primary > SMALL && left < MEMORY_OF_SMALL {
            return false;
        }
        let (Some(of_one), Some(of_all)) = (take(&self.of_one), take(&self.of_all)) else {
            return false;
        };
        match held {
            Some(held) => {
                held.0.merge(of_one);
                held.1.merge(of_all);
            }
            None => *held = Some((of_one, of_all)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::Future;
    use std::task::{Context, Waker};

    /// A slot, if there is one without waiting.
    fn now(shares: &Shares, primary: &str) -> Option<TransferSlot> {
        let slot = std::pin::pin!(shares.slot(primary.parse().unwrap()));
        match slot.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(slot) => Some(slot),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_slow_primary_keeps_its_own_zones_waiting_and_no_others() {
        let shares = Shares::default();
        let mut slow = Vec::new();
        while let Some(slot) = now(&shares, "192.0.2.1") {
            slow.push(slot);
        }
        assert_eq!(slow.len(), OF_ONE);
        assert!(now(&shares, "192.0.2.2").is_some());
        slow.pop();
        assert!(now(&shares, "::ffff:192.0.2.1").is_some());
        drop(slow);
        assert!(now(&shares, "192.0.2.3").is_some());
        assert_eq!(shares.primaries.lock().unwrap().len(), 1);
    }

    #[test]
    fn however_many_primaries_are_slow_another_one_is_transferred_from() {
        let shares = Shares::default();
        let mut slow = Vec::new();
        for number in 0..200 {
            while let Some(slot) = now(&shares, &format!("198.51.100.{number}")) {
                slow.push(slot);
            }
        }
        assert_eq!(slow.len(), 200 + OF_ALL);
        let healthy = now(&shares, "192.0.2.1");
        assert!(healthy.is_some());
        assert!(now(&shares, "192.0.2.1").is_none(), "its second one waits");
        drop(healthy);
        assert!(now(&shares, "192.0.2.1").is_some());
    }

    #[test]
    fn primaries_with_huge_zones_leave_memory_for_those_with_small_ones() {
        let shares = Shares::default();
        let mut held = Vec::new();
        for number in 0..10 {
            let slot = now(&shares, &format!("198.51.100.{number}")).unwrap();
            let mut memory = None;
            let mut wanted = 8 << 20;
            while slot.memory.grow(&mut memory, wanted) {
                wanted += 8 << 20;
            }
            held.push((slot, memory));
        }
        let small = now(&shares, "192.0.2.1").unwrap();
        let mut memory = None;
        assert!(small.memory.grow(&mut memory, 10 << 20));
        assert!(octets(&held[0].1) > MEMORY_OF_ONE - (8 << 20));
    }

    fn octets(memory: &HeldMemory) -> usize {
        memory
            .as_ref()
            .map_or(0, |(of_one, _)| of_one.num_permits())
    }

    #[test]
    fn one_primary_cannot_take_the_memory_of_all() {
        let shares = Shares::default();
        let (one, other) = (now(&shares, "192.0.2.1"), now(&shares, "192.0.2.2"));
        let (one, other) = (one.unwrap(), other.unwrap());
        let (mut first, mut second, mut theirs) = (None, None, None);
        assert!(one.memory.grow(&mut first, MEMORY_OF_ONE - 1000));
        assert!(one.memory.grow(&mut first, MEMORY_OF_ONE - 500));
        assert!(!one.memory.grow(&mut second, 501));
        assert!(other.memory.grow(&mut theirs, 100 << 20));
        drop(first);
        assert!(one.memory.grow(&mut second, 501));
    }
}
