//! DNS over QUIC (RFC 9250): one request, and its response, on each stream.
//!
//! In: an endpoint, the hall its connections sit in. Out: an answer on each stream that asks; connections and streams
//! that break the rules end with the code that says so. Every wait has an end, and connections count with those of
//! streams over TCP. Never here: what is answered.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::{fmt, io};

use hyper::body::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::budget::{ConnectionBudget, Exhausted, LONGEST_MESSAGE, RequestCharge};
use super::hall::{Hall, TcpLimits};
use super::identity::Identity;
use super::peer::{Outcome, Peer, Transport};
use super::question::read;
use super::tls;

/// RFC 9250 §4.3.
const NO_ERROR: VarInt = VarInt::from_u32(0);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const REQUEST_CANCELLED: VarInt = VarInt::from_u32(3);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// Requests under way on one connection.
const STREAMS: u32 = 32;
/// The longest request with its length.
const LONGEST: usize = 2 + LONGEST_MESSAGE;
/// What one stream, and all streams of a connection, may have on their way to us, in octets.
/// Requests are read as they arrive.
const STREAM_WINDOW: u32 = 16 << 10;
const CONNECTION_WINDOW: u32 = 64 << 10;
/// What all streams of a connection may have on their way to the client, in octets.
const SEND_WINDOW: u64 = 128 << 10;
/// Handshakes that have not begun, and what may wait for them, in octets.
const INCOMING: usize = 256;
const INCOMING_BUFFER: u64 = 16 << 10;

/// An endpoint on a socket, on the current runtime.
pub(super) fn endpoint(
    socket: UdpSocket,
    identity: Arc<Identity>,
    limits: &TcpLimits,
) -> io::Result<Endpoint> {
    let settings =
        tls::settings(identity, tls::DOQ, &[&rustls::version::TLS13]).map_err(io::Error::other)?;
    let crypto = QuicServerConfig::try_from(settings).map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(limits.idle.try_into().map_err(io::Error::other)?));
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING as u64 * INCOMING_BUFFER);
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime)
}

/// Accepts connections until `stop` says true, then lets requests under way be answered.
pub(super) async fn serve(endpoint: Endpoint, hall: Arc<Hall>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            incoming = endpoint.accept() => incoming,
        };
        while connections.try_join_next().is_some() {}
        let Some(incoming) = incoming else {
            tracing::error!("quic is no longer served: its socket failed; other transports are");
            return;
        };
        let from = incoming.remote_address();
        // Anybody can write any sender on a datagram. Where room is short, or the sender's own share is, who is to have a
        // place shows first that it hears us (RFC 9000 §8.1.2), so that strangers cannot use up what is another's.
        let short = || hall.is_short() || hall.is_short_for(from.ip());
        if !incoming.remote_address_validated() && short() && incoming.may_retry() {
            // It may retry, as was just asked.
            let _ = incoming.retry();
            continue;
        }
        let Some(share) = hall.enter(from.ip()) else {
            hall.counters.tcp_over_share();
            incoming.refuse();
            continue;
        };
        // Nobody waits here for a place: the client is told at once, and goes another way.
        let Some(seat) = hall.seat_now() else {
            incoming.refuse();
            continue;
        };
        let (hall, stop) = (hall.clone(), stop.clone());
        connections.spawn(async move {
            welcome(incoming, from, &hall, stop).await;
            drop((share, seat));
        });
    }
    while connections.join_next().await.is_some() {}
    endpoint.close(NO_ERROR, b"");
    // Whoever is there hears of it.
    let _ = timeout(hall.limits.drain, endpoint.wait_idle()).await;
}

async fn welcome(
    incoming: Incoming,
    from: SocketAddr,
    hall: &Arc<Hall>,
    stop: watch::Receiver<bool>,
) {
    let Ok(connecting) = incoming.accept() else {
        hall.counters.handshake_failures();
        return;
    };
    let connection = match timeout(hall.patience(true), connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            hall.counters.handshake_failures();
            tracing::debug!(%error, "a quic handshake failed");
            return;
        }
        Err(_) => {
            hall.counters.tcp_too_slow();
            return;
        }
    };
    hall.counters.quic_connections();
    let peer = Peer {
        address: SocketAddr::new(from.ip().to_canonical(), from.port()),
        transport: Transport::Quic,
        idle: None,
    };
    converse(connection, peer, hall, stop).await;
}

/// Answers the streams of a connection until it ends, is idle for too long, or the server stops.
async fn converse(
    connection: Connection,
    peer: Peer,
    hall: &Arc<Hall>,
    mut stop: watch::Receiver<bool>,
) {
    let mut streams: JoinSet<Result<(), Broken>> = JoinSet::new();
    let budget = hall.budget.connection();
    let stopped = stop.clone();
    let code = loop {
        let idle = streams.is_empty();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break NO_ERROR,
            Some(ended) = streams.join_next(), if !idle => match ended {
                Ok(Err(broken)) => {
                    tracing::debug!(%broken, "a quic client breaks the rules");
                    break PROTOCOL_ERROR;
                }
                _ if hall.is_waited_for() => break EXCESSIVE_LOAD,
                _ => {}
            },
            accepted = timeout(hall.patience(false), connection.accept_bi()) => match accepted {
                Ok(Ok((send, receive))) => {
                    let (hall, budget, stop) = (hall.clone(), budget.clone(), stopped.clone());
                    streams.spawn(async move {
                        answer(send, receive, peer, (&hall, &budget), stop).await
                    });
                }
                Ok(Err(_)) => return,
                Err(_) if idle => break NO_ERROR,
                Err(_) => {}
            },
        }
    };
    if code != PROTOCOL_ERROR {
        // What was asked is answered; each has its own deadline.
        while streams.join_next().await.is_some() {}
    }
    connection.close(code, b"");
}

/// Why a connection must not go on (RFC 9250 §4.3.3).
#[derive(Debug)]
enum Broken {
    Length,
    Identifier,
    Keepalive,
    NoRequest,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Length => "a stream is not one message with its length",
            Broken::Identifier => "a message has an identifier other than 0",
            Broken::Keepalive => "a message has an edns-tcp-keepalive option",
            Broken::NoRequest => "a message is no request",
        })
    }
}

/// Why a stream gets no answer, and its connection goes on.
enum Unanswered {
    /// The request did not arrive whole, or the client gave it up.
    Cancelled,
    /// The client was too slow.
    TooSlow,
    /// All connections together hold too many octets.
    OverBudget,
}

impl From<Exhausted> for Unanswered {
    fn from(_: Exhausted) -> Unanswered {
        Unanswered::OverBudget
    }
}

/// Answers one stream. What is not answered is reset: an empty answer would look like one.
async fn answer(
    mut send: SendStream,
    mut receive: RecvStream,
    peer: Peer,
    (hall, budget): (&Hall, &ConnectionBudget),
    stop: watch::Receiver<bool>,
) -> Result<(), Broken> {
    let mut charge = budget.request();
    let ended = match arrived(&mut receive, &mut charge, hall, stop).await {
        Ok(Ok(octets)) => taken(&mut send, &octets, peer, (hall, budget)).await,
        Ok(Err(unanswered)) => Ok(Err(unanswered)),
        Err(broken) => Err(broken),
    };
    let code = match &ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(Unanswered::Cancelled)) => REQUEST_CANCELLED,
        Ok(Err(Unanswered::TooSlow)) => {
            hall.counters.tcp_too_slow();
            EXCESSIVE_LOAD
        }
        Ok(Err(Unanswered::OverBudget)) => {
            hall.counters.over_budget();
            EXCESSIVE_LOAD
        }
        Err(_) => PROTOCOL_ERROR,
    };
    // The stream may be closed already.
    let _ = receive.stop(NO_ERROR);
    let _ = send.reset(code);
    ended.map(|_| ())
}

/// Answers what a stream carried, and waits until the client has taken the answer.
async fn taken(
    send: &mut SendStream,
    octets: &[u8],
    peer: Peer,
    (hall, budget): (&Hall, &ConnectionBudget),
) -> Result<Result<(), Unanswered>, Broken> {
    let Some(permit) = budget.reserve(hall.write_patience()).await else {
        return Ok(Err(Unanswered::TooSlow));
    };
    let held = match permit.hold(response(octets, peer, hall)?) {
        Ok(held) => Bytes::from_owner(held),
        Err(exhausted) => return Ok(Err(exhausted.into())),
    };
    let written = timeout(hall.write_patience(), write(send, held)).await;
    Ok(written.map(|_| ()).map_err(|_| Unanswered::TooSlow))
}

/// The octets of a whole stream.
async fn arrived(
    receive: &mut RecvStream,
    charge: &mut RequestCharge,
    hall: &Hall,
    mut stop: watch::Receiver<bool>,
) -> Result<Result<Vec<u8>, Unanswered>, Broken> {
    let stopping = async {
        // An error means that nobody can stop it any more: the end as well.
        let _ = stop.wait_for(|stop| *stop).await;
        sleep(hall.limits.drain).await;
    };
    tokio::select! {
        read = timeout(hall.patience(true), collect(receive, charge)) => {
            read.unwrap_or(Ok(Err(Unanswered::TooSlow)))
        }
        () = stopping => Ok(Err(Unanswered::Cancelled)),
    }
}

async fn collect(
    receive: &mut RecvStream,
    charge: &mut RequestCharge,
) -> Result<Result<Vec<u8>, Unanswered>, Broken> {
    let mut octets = Vec::new();
    loop {
        match receive.read_chunk(LONGEST + 1 - octets.len(), true).await {
            Ok(Some(chunk)) if octets.len() + chunk.bytes.len() > LONGEST => {
                return Err(Broken::Length);
            }
            // Copied: a chunk of a few octets keeps the whole datagram that it arrived in.
            Ok(Some(chunk)) => match charge.append(&mut octets, &chunk.bytes) {
                Ok(()) => {}
                Err(exhausted) => return Ok(Err(exhausted.into())),
            },
            Ok(None) => return Ok(Ok(octets)),
            Err(_) => return Ok(Err(Unanswered::Cancelled)),
        }
    }
}

/// The response to what a stream carried, with its length.
fn response(octets: &[u8], peer: Peer, hall: &Hall) -> Result<Vec<u8>, Broken> {
    let (length, request) = octets.split_first_chunk::<2>().ok_or(Broken::Length)?;
    if usize::from(u16::from_be_bytes(*length)) != request.len() {
        return Err(Broken::Length);
    }
    // RFC 9250 §4.2.1: the stream says which answer belongs to which question.
    if request.get(..2).is_some_and(|id| id != [0, 0]) {
        return Err(Broken::Identifier);
    }
    // RFC 9250 §5.5.2: QUIC has its own way to keep a connection.
    if read(request).is_ok_and(|request| {
        let edns = request.envelope.edns;
        edns.is_some_and(|edns| edns.options.keepalive)
    }) {
        return Err(Broken::Keepalive);
    }
    let mut response = Vec::new();
    if hall.respond(request, peer, &mut response) == Outcome::Silent {
        return Err(Broken::NoRequest);
    }
    let length = u16::try_from(response.len()).unwrap_or(u16::MAX);
    let mut framed = length.to_be_bytes().to_vec();
    framed.append(&mut response);
    Ok(framed)
}

async fn write(send: &mut SendStream, framed: Bytes) -> Option<()> {
    send.write_chunk(framed).await.ok()?;
    send.finish().ok()?;
    // Until it has arrived: closing the connection would take it back.
    send.stopped().await.ok()?;
    Some(())
}
