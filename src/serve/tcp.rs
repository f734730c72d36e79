//! Serving connections (RFC 7766).
//!
//! In: one listener and the published zones. Out: an answer to each request of each connection, in order, as many as
//! the client sends at once. Every wait has an end, every address its share of the connections, and all of them
//! together a limit; idle ones go sooner when room is short, and while others wait for a place each connection
//! ends with its next answers.
//! Never here: what is answered.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::authority::Authority;
use super::counters::Counters;
use super::respond::{Outcome, Peer, Transport, respond};

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
    /// How long requests under way may take when the server stops.
    pub drain: Duration,
}

impl Default for TcpLimits {
    fn default() -> TcpLimits {
        TcpLimits {
            connections: 1000,
            per_address: 50,
            idle: Duration::from_secs(10),
            idle_when_short: Duration::from_secs(1),
            read: Duration::from_secs(5),
            write: Duration::from_secs(5),
            drain: Duration::from_secs(2),
        }
    }
}

/// Responses are gathered up to this many octets before they are written.
const GATHER: usize = 1 << 16;
/// Waiting for file descriptors to come free.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a server share.
pub(super) struct Hall {
    limits: TcpLimits,
    seats: Arc<Semaphore>,
    /// Connections that wait for a place, at most one of each listener.
    waiting: AtomicUsize,
    /// Taken when a connection begins and ends, never for a query.
    shares: Mutex<HashMap<IpAddr, usize>>,
    authority: Authority,
    counters: Arc<Counters>,
}

impl Hall {
    pub(super) fn new(limits: TcpLimits, authority: Authority, counters: Arc<Counters>) -> Hall {
        Hall {
            limits,
            seats: Arc::new(Semaphore::new(limits.connections)),
            waiting: AtomicUsize::new(0),
            shares: Mutex::new(HashMap::new()),
            authority,
            counters,
        }
    }

    /// How long a connection may wait for its next request, or for the rest of one that has begun.
    fn patience(&self, begun: bool) -> Duration {
        let patience = if begun {
            self.limits.read
        } else {
            self.limits.idle
        };
        if self.seats.available_permits() * 2 < self.limits.connections {
            patience.min(self.limits.idle_when_short)
        } else {
            patience
        }
    }

    /// Whether a connection waits for a place that another one has.
    fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A place for a connection, as soon as there is one.
    async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(seat) = self.seats.clone().try_acquire_owned() {
            return Some(seat);
        }
        let _waiting = Waiting::begin(&self.waiting);
        self.seats.clone().acquire_owned().await.ok()
    }

    /// Counts a connection against its address's share; none when that is used up.
    fn enter(self: &Arc<Hall>, peer: IpAddr) -> Option<Share> {
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
struct Share {
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

/// Accepts connections until `stop` says true, then lets those that are in the middle of something finish.
pub(super) async fn serve(
    listener: Arc<TcpListener>,
    hall: Arc<Hall>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client gave up while it waited to be accepted; nobody else is concerned.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                hall.counters.accept_failures();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "accepting tcp connections fails; udp is served on");
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        failing = false;
        hall.counters.tcp_connections();
        let Some(share) = hall.enter(peer.ip()) else {
            hall.counters.tcp_over_share();
            continue;
        };
        // One connection of each listener may wait here for a place, the others wait in the kernel's queue. A place
        // taken before there is a connection would be lost to the other listeners.
        let seat = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            seat = hall.seat() => seat,
        };
        let Some(seat) = seat else { break };
        let (hall, stop) = (hall.clone(), stop.clone());
        connections.spawn(async move {
            converse(stream, peer, &hall, stop).await;
            drop((share, seat));
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Why a conversation ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client closed, was idle, or the server stops.
    Over,
    /// The client took too long in the middle of something.
    TooSlow,
    /// The connection broke, or what came is no DNS.
    Broken,
}

async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    hall: &Hall,
    mut stop: watch::Receiver<bool>,
) {
    let peer = Peer {
        address: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        transport: Transport::Tcp,
    };
    // Answers are written whole; waiting to send them would only delay them.
    let _ = stream.set_nodelay(true);
    match answer_all(&mut stream, peer, hall, &mut stop).await {
        End::Over => {
            let _ = timeout(hall.limits.write, stream.shutdown()).await;
        }
        End::TooSlow => hall.counters.tcp_too_slow(),
        End::Broken => {}
    }
}

async fn answer_all(
    stream: &mut TcpStream,
    peer: Peer,
    hall: &Hall,
    stop: &mut watch::Receiver<bool>,
) -> End {
    let mut inbox: Vec<u8> = Vec::with_capacity(512);
    let mut outbox: Vec<u8> = Vec::new();
    let mut response: Vec<u8> = Vec::new();
    let mut deadline = None;
    loop {
        let mut used = 0;
        while let Some(request) = whole_request(&inbox[used..]) {
            let end = used + 2 + request.len();
            let (zones, manners) = (hall.authority.zones.load(), hall.authority.manners.load());
            let outcome = respond(&zones, &manners, request, peer, &mut response);
            drop((zones, manners));
            hall.counters.count(Transport::Tcp, outcome);
            if outcome == Outcome::Silent {
                return flush(stream, hall, &mut outbox)
                    .await
                    .unwrap_or(End::Broken);
            }
            let length = u16::try_from(response.len()).unwrap_or(u16::MAX);
            outbox.extend(length.to_be_bytes());
            outbox.extend(&response);
            used = end;
            if outbox.len() >= GATHER
                && let Some(end) = flush(stream, hall, &mut outbox).await
            {
                return end;
            }
        }
        if used > 0 {
            inbox.drain(..used);
            deadline = None;
        }
        if !outbox.is_empty()
            && let Some(end) = flush(stream, hall, &mut outbox).await
        {
            return end;
        }
        // A few clients that never cease to ask must not keep all others out: who has got answers makes room
        // (RFC 7766 §6.2.3).
        if used > 0 && hall.is_waited_for() {
            return End::Over;
        }
        let stopping = *stop.borrow();
        if stopping && inbox.is_empty() {
            return End::Over;
        }
        // One deadline for a whole request: octets that drip in do not move it.
        let until =
            *deadline.get_or_insert_with(|| Instant::now() + hall.patience(!inbox.is_empty()));
        let until = if stopping {
            until.min(Instant::now() + hall.limits.drain)
        } else {
            until
        };
        inbox.reserve(512);
        let was_empty = inbox.is_empty();
        let read = tokio::select! {
            read = timeout_at(until, stream.read_buf(&mut inbox)) => read,
            _ = stop.wait_for(|stop| *stop), if !stopping => continue,
        };
        match read {
            Ok(Ok(0)) => return if was_empty { End::Over } else { End::Broken },
            Ok(Ok(_)) => {
                if was_empty {
                    deadline = None;
                }
            }
            Ok(Err(_)) => return End::Broken,
            Err(_) if was_empty => return End::Over,
            Err(_) => return End::TooSlow,
        }
    }
}

/// Writes what was gathered; says how the conversation ends if it does.
async fn flush(stream: &mut TcpStream, hall: &Hall, outbox: &mut Vec<u8>) -> Option<End> {
    let end = match timeout(hall.limits.write, stream.write_all(outbox)).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(End::Broken),
        Err(_) => Some(End::TooSlow),
    };
    outbox.clear();
    end
}

/// The first request of what has arrived, without its length, once all of it is there.
fn whole_request(inbox: &[u8]) -> Option<&[u8]> {
    let (length, rest) = inbox.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
