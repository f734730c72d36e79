//! Limits the octets that connections hold: requests that have not arrived whole, and answers that
//! their clients have not taken.
//!
//! Each connection has a limit of its own, and all connections of a server share one. Neither limit
//! concerns what is small: the first octets of each request, and the first answers of each
//! connection. So clients that exhaust the shared limit do not stop ordinary queries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// The longest DNS message.
pub(super) const LONGEST_MESSAGE: usize = 65535;
/// Octets of one request that no limit counts: a query is shorter.
pub(super) const SMALL_REQUEST: usize = 512;
/// Octets by which requests grow.
const STEP: usize = 4096;
/// Octets of requests on one connection: two of any length.
const CONNECTION_REQUESTS: usize = 128 << 10;
/// Octets of requests on all connections. 50 connections of one client do not reach it.
const ALL_REQUESTS: usize = 8 << 20;
/// Octets of answers on one connection: two of any length, hundreds of usual length.
const CONNECTION_RESPONSES: usize = 128 << 10;
/// Octets of answers on one connection that do not count against the shared limit.
const SMALL_RESPONSES: usize = 8 << 10;
/// Octets of answers on all connections. 50 connections of one client do not reach it.
const ALL_RESPONSES: usize = 32 << 20;

/// What all connections of a server may hold together.
pub(super) struct SharedBudget {
    requests: Arc<Semaphore>,
    responses: Arc<Semaphore>,
}

impl SharedBudget {
    pub(super) fn new() -> SharedBudget {
        SharedBudget {
            requests: Arc::new(Semaphore::new(ALL_REQUESTS)),
            responses: Arc::new(Semaphore::new(ALL_RESPONSES)),
        }
    }

    /// Whether more than half of the octets are in use: clients must then be faster.
    pub(super) fn is_short(&self) -> bool {
        self.requests.available_permits() < ALL_REQUESTS / 2
            || self.responses.available_permits() < ALL_RESPONSES / 2
    }

    pub(super) fn connection(&self) -> ConnectionBudget {
        ConnectionBudget {
            requests: Arc::new(Semaphore::new(CONNECTION_REQUESTS)),
            responses: Arc::new(Semaphore::new(CONNECTION_RESPONSES)),
            small_responses: Arc::new(Semaphore::new(SMALL_RESPONSES)),
            all_requests: self.requests.clone(),
            all_responses: self.responses.clone(),
            untaken: Arc::default(),
        }
    }
}

/// What one connection may hold, of its own limit and of the shared one.
#[derive(Clone)]
pub(super) struct ConnectionBudget {
    requests: Arc<Semaphore>,
    responses: Arc<Semaphore>,
    small_responses: Arc<Semaphore>,
    all_requests: Arc<Semaphore>,
    all_responses: Arc<Semaphore>,
    untaken: Arc<Mutex<Untaken>>,
}

/// When the answers were made that are not taken yet, in their order.
#[derive(Default)]
struct Untaken {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// No octets are left: of the connection, or of all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl ConnectionBudget {
    /// A request of which nothing has arrived yet.
    pub(super) fn request(&self) -> RequestCharge {
        RequestCharge {
            budget: self.clone(),
            held: None,
        }
    }

    /// Waits until the longest answer could be held on this connection; none when the answers
    /// before it are not taken in time.
    pub(super) async fn reserve(&self, patience: Duration) -> Option<ResponsePermit> {
        let longest = u32::try_from(LONGEST_MESSAGE + 2).unwrap_or(u32::MAX);
        let permit = self.responses.clone().acquire_many_owned(longest);
        Some(ResponsePermit {
            budget: self.clone(),
            own: timeout(patience, permit).await.ok()?.ok()?,
        })
    }

    /// Counts octets that a client did not take at once; gives them back when dropped.
    pub(super) fn untaken(&self, octets: usize) -> Result<OwnedSemaphorePermit, Exhausted> {
        take(&self.small_responses, octets).or_else(|_| take(&self.all_responses, octets))
    }

    /// Since when the oldest answer waits to be taken.
    pub(super) fn oldest_untaken(&self) -> Option<Instant> {
        let untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        untaken.since.first_key_value().map(|(_, since)| *since)
    }
}

fn take(semaphore: &Arc<Semaphore>, octets: usize) -> Result<OwnedSemaphorePermit, Exhausted> {
    let octets = u32::try_from(octets).map_err(|_| Exhausted)?;
    let permit = semaphore.clone().try_acquire_many_owned(octets);
    permit.map_err(|_| Exhausted)
}

/// The octets of a request that has arrived in part; dropping it gives them back.
pub(super) struct RequestCharge {
    budget: ConnectionBudget,
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl RequestCharge {
    /// Counts a request of so many octets, which grows.
    pub(super) fn grow_to(&mut self, octets: usize) -> Result<(), Exhausted> {
        if octets <= SMALL_REQUEST {
            return Ok(());
        }
        let counted = self.held.as_ref().map_or(0, |(own, _)| own.num_permits());
        let more = octets.next_multiple_of(STEP).saturating_sub(counted);
        if more == 0 {
            return Ok(());
        }
        let own = take(&self.budget.requests, more)?;
        let all = take(&self.budget.all_requests, more)?;
        match &mut self.held {
            None => self.held = Some((own, all)),
            Some(held) => {
                held.0.merge(own);
                held.1.merge(all);
            }
        }
        Ok(())
    }

    /// Adds what has arrived to a request.
    pub(super) fn append(&mut self, request: &mut Vec<u8>, more: &[u8]) -> Result<(), Exhausted> {
        let whole = request.len() + more.len();
        self.grow_to(whole)?;
        if whole > request.capacity() {
            // In steps: the allocator's own growth may double what is counted.
            let step = if whole <= SMALL_REQUEST {
                SMALL_REQUEST
            } else {
                STEP
            };
            request.reserve_exact(whole.next_multiple_of(step) - request.len());
        }
        request.extend_from_slice(more);
        Ok(())
    }
}

/// Permission to make an answer of any length.
pub(super) struct ResponsePermit {
    budget: ConnectionBudget,
    own: OwnedSemaphorePermit,
}

impl ResponsePermit {
    /// Keeps an answer until it is dropped, which says that the client has taken it.
    pub(super) fn hold(self, mut octets: Vec<u8>) -> Result<HeldResponse, Exhausted> {
        let ResponsePermit { budget, mut own } = self;
        octets.shrink_to_fit();
        let all = budget.untaken(octets.len())?;
        drop(own.split(own.num_permits().saturating_sub(octets.len())));
        let mut untaken = budget
            .untaken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let number = untaken.next;
        untaken.next += 1;
        untaken.since.insert(number, Instant::now());
        drop(untaken);
        Ok(HeldResponse {
            octets,
            number,
            untaken: budget.untaken,
            _permits: (own, all),
        })
    }
}

/// An answer that its client has not taken yet.
pub(super) struct HeldResponse {
    octets: Vec<u8>,
    number: u64,
    untaken: Arc<Mutex<Untaken>>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl AsRef<[u8]> for HeldResponse {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for HeldResponse {
    fn drop(&mut self) {
        let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        untaken.since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn answers_that_are_not_taken_keep_others_of_their_connection_waiting() {
        let budget = SharedBudget::new().connection();
        let mut held = Vec::new();
        while let Some(permit) = budget.reserve(SOON).await {
            held.push(permit.hold(vec![0; 300]).unwrap());
            assert!(held.len() <= CONNECTION_RESPONSES / 300);
        }
        let most = held.len();
        assert!(most >= 200, "{most} answers of 300 octets");
        assert!(budget.oldest_untaken().is_some());
        held.clear();
        assert!(budget.oldest_untaken().is_none());
        while let Some(permit) = budget.reserve(SOON).await {
            held.push(permit.hold(vec![0; 60_000]).unwrap());
        }
        assert_eq!(held.len(), 2);
        // The next one waits for as long as they are held, and no longer.
        let waiting = tokio::spawn(async move {
            let permit = budget.reserve(Duration::from_secs(60)).await;
            permit.is_some()
        });
        held.clear();
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn all_connections_share_one_limit_and_small_answers_do_not_need_it() {
        let shared = SharedBudget::new();
        let mut held = Vec::new();
        loop {
            let permit = shared.connection().reserve(SOON).await.unwrap();
            match permit.hold(vec![0; 60_000]) {
                Ok(answer) => held.push(answer),
                Err(Exhausted) => break,
            }
            assert!(held.len() <= ALL_RESPONSES / 60_000);
        }
        assert!(shared.is_short());
        let other = shared.connection();
        let permit = other.reserve(SOON).await.unwrap();
        let small = permit.hold(vec![0; 1200]).unwrap();
        assert_eq!(small.as_ref().len(), 1200);
        held.clear();
        assert!(!shared.is_short());
        let permit = other.reserve(SOON).await.unwrap();
        assert!(permit.hold(vec![0; 60_000]).is_ok());
    }

    #[test]
    fn requests_that_arrive_in_part_share_one_limit_and_queries_do_not_need_it() {
        let shared = SharedBudget::new();
        let part = [0; 1000];
        let mut held = Vec::new();
        // One connection.
        let connection = shared.connection();
        let mut of_one = 0;
        for _ in 0..32 {
            let (mut charge, mut request) = (connection.request(), Vec::new());
            while request.len() < 60_000 && charge.append(&mut request, &part).is_ok() {}
            assert!(request.capacity() <= request.len().next_multiple_of(STEP));
            of_one += request.len();
            held.push((charge, request));
        }
        assert!(of_one <= CONNECTION_REQUESTS + 32 * SMALL_REQUEST);
        // Many connections.
        for _ in 0..1000 {
            let (mut charge, mut request) = (shared.connection().request(), Vec::new());
            while request.len() < 60_000 && charge.append(&mut request, &part).is_ok() {}
            held.push((charge, request));
        }
        let all: usize = held.iter().map(|(_, request)| request.capacity()).sum();
        assert!(all <= ALL_REQUESTS, "{all}");
        assert!(shared.is_short());
        let (mut charge, mut request) = (shared.connection().request(), Vec::new());
        assert_eq!(charge.append(&mut request, &part[..512]), Ok(()));
        assert_eq!(charge.append(&mut request, &part), Err(Exhausted));
        held.clear();
        assert!(!shared.is_short());
        assert_eq!(charge.append(&mut request, &part), Ok(()));
    }
}
