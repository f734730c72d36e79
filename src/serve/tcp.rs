//! Accepting connections.
//!
//! In: one listener, the hall its connections sit in. Out: a conversation on each connection that gets a place. Every
//! wait has an end, every address its share of the connections, and all of them together a limit; idle ones go sooner
//! when room is short, and while others wait for a place each connection ends with its next answers.
//! Never here: what is said on a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::hall::Hall;
use super::https;
use super::peer::{Peer, Transport};
use super::stream::converse;
use super::tls::handshake;

/// Waiting for file descriptors to come free.
const PAUSE: Duration = Duration::from_millis(100);

/// What is spoken on the connections of a listener.
#[derive(Clone)]
pub(super) enum Door {
    /// DNS on the bare stream.
    Tcp,
    /// DNS on an encrypted one.
    Tls(TlsAcceptor),
    /// HTTP on an encrypted one.
    Https(TlsAcceptor),
}

/// Accepts connections until `stop` says true, then lets those that are in the middle of something finish.
pub(super) async fn serve(
    listener: Arc<TcpListener>,
    door: Door,
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
        let (door, hall, stop) = (door.clone(), hall.clone(), stop.clone());
        connections.spawn(async move {
            welcome(stream, peer, &door, &hall, stop).await;
            drop((share, seat));
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from its handshake to its end.
async fn welcome(
    stream: TcpStream,
    peer: SocketAddr,
    door: &Door,
    hall: &Arc<Hall>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting to send them would only delay them.
    let _ = stream.set_nodelay(true);
    let (acceptor, transport) = match door {
        Door::Tcp => {
            let peer = known_as(peer, Transport::Tcp);
            return converse(stream, peer, hall, stop).await;
        }
        Door::Tls(acceptor) => (acceptor, Transport::Tls),
        Door::Https(acceptor) => (acceptor, Transport::Https),
    };
    let shaken = tokio::select! {
        // Nothing has been asked yet.
        _ = stop.wait_for(|stop| *stop) => return,
        shaken = handshake(acceptor, stream, hall) => shaken,
    };
    let Some(stream) = shaken else { return };
    let peer = known_as(peer, transport);
    if transport == Transport::Https {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        https::converse(stream, http2, peer, hall.clone(), stop).await;
    } else {
        converse(stream, peer, hall, stop).await;
    }
}

fn known_as(peer: SocketAddr, transport: Transport) -> Peer {
    Peer {
        address: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        transport,
        idle: None,
    }
}
