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

use super::hall::Hall;
use super::respond::{Peer, Transport};
use super::stream::converse;

/// Waiting for file descriptors to come free.
const PAUSE: Duration = Duration::from_millis(100);

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
            welcome(stream, peer, &hall, stop).await;
            drop((share, seat));
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn welcome(stream: TcpStream, peer: SocketAddr, hall: &Hall, stop: watch::Receiver<bool>) {
    let peer = Peer {
        address: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        transport: Transport::Tcp,
        idle: None,
    };
    // Answers are written whole; waiting to send them would only delay them.
    let _ = stream.set_nodelay(true);
    converse(stream, peer, hall, stop).await;
}
