//! Room for connections: how many there may be, whose they are, and how long each may wait.
//!
//! In: limits, connections that begin and end. Out: a seat and a share for each, or none; patience that is shorter when
//! room is short. One hall for all listeners of streams, so that no transport takes what another needs unnoticed.
//! Never here: what is said on a connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::authority::Authority;
use super::budget::SharedBudget;
use super::counters::Counters;
use super::peer::{Outcome, Peer};
use super::respond::{Responses, respond, respond_or_transfer};
use crate::config::MOST_CONNECTIONS;

/// How patient TCP is with its clients.
#[derive(Clone, Copy, Debug)]
pub struct TcpLimits {
    /// Connections in all; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections of one address (of one /64 for IPv6); more are closed at once.
    pub per_address: usize,
    /// How long a connection may wait for its next request (RFC 7766 §6.2.3).
    pub idle: Duration,
    /// The same while more than half of all connections are in use; requests have no longer to arrive then.
    pub idle_when_short: Duration,
    /// How long a request may take to arrive, from its first octet.
    pub read: Duration,
    /// How long a client may take to accept what we write.
    pub write: Duration,
    /// How long one transfer may take in all, however steadily it is taken: its place is wanted by others.
    pub transfer: Duration,
    /// How long requests under way may take when the server stops.
    pub drain: Duration,
}

impl Default for TcpLimits {
    fn default() -> TcpLimits {
        TcpLimits {
            connections: MOST_CONNECTIONS,
            per_address: 50,
            idle: Duration::from_secs(10),
            idle_when_short: Duration::from_secs(1),
            read: Duration::from_secs(5),
            write: Duration::from_secs(5),
            // A zone of 256 MiB over 1.2 Mbit/s.
            transfer: Duration::from_secs(30 * 60),
            drain: Duration::from_secs(2),
        }
    }
}

/// What all connections of a server share.
pub(super) struct Hall {
    pub(super) limits: TcpLimits,
    seats: Arc<Semaphore>,
    /// Connections that wait for a place, at most one of each listener.
    waiting: AtomicUsize,
    /// Taken when a connection begins and ends, never for a query.
    shares: Mutex<HashMap<IpAddr, usize>>,
    /// The octets that all connections hold.
    pub(super) budget: SharedBudget,
    pub(super) authority: Authority,
    pub(super) counters: Arc<Counters>,
}

impl Hall {
    pub(super) fn new(limits: TcpLimits, authority: Authority, counters: Arc<Counters>) -> Hall {
        Hall {
            limits,
            seats: Arc::new(Semaphore::new(limits.connections)),
            waiting: AtomicUsize::new(0),
            shares: Mutex::new(HashMap::new()),
            budget: SharedBudget::new(),
            authority,
            counters,
        }
    }

    /// Answers one message with one, and counts it.
    pub(super) fn respond(&self, request: &[u8], peer: Peer, out: &mut Vec<u8>) -> Outcome {
        let (zones, manners) = (self.authority.zones.load(), self.authority.manners.load());
        let now = (self.authority.read_now)();
        let outcome = respond(&zones, &manners, request, peer, now, out);
        self.counters.count(peer.transport, &outcome);
        self.authority.refusals.tell(peer, &outcome, now.mono);
        outcome
    }

    /// Answers one message with one, or begins the transfer it asks for; counts it.
    pub(super) fn respond_or_transfer(
        &self,
        request: &[u8],
        peer: Peer,
        out: &mut Vec<u8>,
    ) -> Responses {
        let (zones, manners) = (self.authority.zones.load(), self.authority.manners.load());
        let now = (self.authority.read_now)();
        let responses = respond_or_transfer(&zones, &manners, request, peer, now, out);
        match &responses {
            Responses::One(outcome) => {
                self.counters.count(peer.transport, outcome);
                self.authority.refusals.tell(peer, outcome, now.mono);
            }
            Responses::Many(transfer) => self.counters.transfer(peer.transport, transfer.kind()),
            // Counted when it is made.
            Responses::Later(_) => {}
        }
        responses
    }

    /// How long a connection may wait for its next request, or for the rest of one that has begun.
    pub(super) fn patience(&self, begun: bool) -> Duration {
        let patience = if begun {
            self.limits.read
        } else {
            self.limits.idle
        };
        if self.is_short() {
            patience.min(self.limits.idle_when_short)
        } else {
            patience
        }
    }

    /// How long a client may take to accept an answer.
    pub(super) fn write_patience(&self) -> Duration {
        if self.is_short() {
            self.limits.write.min(self.limits.idle_when_short)
        } else {
            self.limits.write
        }
    }

    /// Whether more than half of the places, or of the octets that connections may hold, are taken.
    pub(super) fn is_short(&self) -> bool {
        self.seats.available_permits() * 2 < self.limits.connections || self.budget.is_short()
    }

    /// Whether more than half of an address's share is used up.
    pub(super) fn is_short_for(&self, peer: IpAddr) -> bool {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = shares.get(&share_of(peer)).copied().unwrap_or(0);
        taken * 2 > self.limits.per_address
    }

    /// Whether a connection waits for a place that another one has.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A place for a connection, as soon as there is one.
    pub(super) async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        if let Some(seat) = self.seat_now() {
            return Some(seat);
        }
        let _waiting = Waiting::begin(&self.waiting);
        self.seats.clone().acquire_owned().await.ok()
    }

    /// A place for a connection, if there is one now.
    pub(super) fn seat_now(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.clone().try_acquire_owned().ok()
    }

    /// Counts a connection against its address's share; none when that is used up.
    pub(super) fn enter(self: &Arc<Hall>, peer: IpAddr) -> Option<Share> {
        let peer = share_of(peer);
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = shares.entry(peer).or_insert(0);
        if *taken >= self.limits.per_address {
            return None;
        }
        *taken += 1;
        Some(Share {
            hall: self.clone(),
            peer,
        })
    }
}

/// One who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn begin(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection's part of its address's share; given back when it is dropped.
pub(super) struct Share {
    hall: Arc<Hall>,
    peer: IpAddr,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self
            .hall
            .shares
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = shares.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
                shares.remove(&self.peer);
            }
        }
    }
}

/// Who shares connections: an IPv4 address, or the /64 an IPv6 host can number itself from at will.
fn share_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}
