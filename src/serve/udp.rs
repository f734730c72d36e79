//! Serving datagrams.
//!
//! In: one socket and the published zones. Out: an answer to each request, from the address that was asked, which
//! on a wildcard bind the kernel would not choose by itself. Never here: a lock, a disk, a message of its own.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::authority::Authority;
use super::counters::Counters;
use super::peer::{Peer, Transport};
use super::respond::{Responses, respond_or_transfer};
use super::update::Deferred;
use crate::clock::ReadNow;

/// No request we understand is longer; what is gets cut and is malformed then.
const LONGEST_REQUEST: usize = 4096;
/// Timestamps, marks and the like on sockets that were handed over, in octets.
const OTHER_INFORMATION: usize = 512;
/// After an error of the socket itself, so that one that lasts does not take a processor.
const PAUSE: Duration = Duration::from_millis(10);

/// The address a datagram was sent to, in the form the system wants back.
#[derive(Clone, Copy)]
enum AskedAt {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
    Unknown,
}

struct Datagram {
    length: usize,
    from: SockaddrStorage,
    asked_at: AskedAt,
}

/// Serves one socket until `stop` says true, then answers what has arrived by then.
pub(super) async fn serve(
    socket: Arc<UdpSocket>,
    authority: Authority,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
) {
    let mut request = vec![0; LONGEST_REQUEST];
    let mut response = Vec::with_capacity(LONGEST_REQUEST);
    loop {
        let received = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => match receive_now(&socket, &mut request) {
                Some(received) => received,
                None => return,
            },
            received = socket.async_io(Interest::READABLE, || receive(&socket, &mut request)) => received,
        };
        match received {
            Ok(datagram) => {
                let octets = &request[..datagram.length];
                // Who cannot be answered is not worth a lookup.
                let Some(peer) = peer_of(&datagram.from) else {
                    continue;
                };
                let (zones, manners) = (authority.zones.load(), authority.manners.load());
                let now = (authority.read_now)();
                let responses =
                    respond_or_transfer(&zones, &manners, octets, peer, now, &mut response);
                drop((zones, manners));
                let outcome = match responses {
                    Responses::One(outcome) => outcome,
                    Responses::Many(transfer) => transfer.refuse(now.wall, &mut response),
                    Responses::Later(deferred) => {
                        let later = answer_later(
                            *deferred,
                            socket.clone(),
                            datagram,
                            authority.read_now.clone(),
                            counters.clone(),
                        );
                        tokio::spawn(later);
                        continue;
                    }
                };
                counters.count(Transport::Udp, &outcome);
                authority.refusals.tell(peer, &outcome, now.mono);
                if !response.is_empty() {
                    let sent = socket
                        .async_io(Interest::WRITABLE, || send(&socket, &response, &datagram))
                        .await;
                    if let Err(error) = sent {
                        counters.unsent();
                        tracing::debug!(%error, "a response was not sent");
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "receiving a datagram failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sends the response to an update once it is made; other datagrams are answered meanwhile.
async fn answer_later(
    deferred: Deferred,
    socket: Arc<UdpSocket>,
    datagram: Datagram,
    read_now: ReadNow,
    counters: Arc<Counters>,
) {
    let mut response = Vec::new();
    let outcome = deferred.finish(|| read_now().wall, &mut response).await;
    counters.count(Transport::Udp, &outcome);
    let sent = socket
        .async_io(Interest::WRITABLE, || send(&socket, &response, &datagram))
        .await;
    if sent.is_err() {
        counters.unsent();
    }
}

/// A datagram that is already there; none when the socket is empty.
fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> Option<io::Result<Datagram>> {
    match receive(socket, buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        // Stopping: an error of the socket ends it as well.
        Err(_) => None,
        Ok(datagram) => Some(Ok(datagram)),
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    // The larger of the two kinds of information, and room for what a service manager has switched on besides.
    let mut control = cmsg_space!(libc::in6_pktinfo, [u8; OTHER_INFORMATION]);
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_raw_fd();
    let message =
        recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let mut asked_at = AskedAt::Unknown;
    // An error means that there was even more of it: the kernel's choice of address is better than no answer.
    for information in message.cmsgs().into_iter().flatten() {
        match information {
            ControlMessageOwned::Ipv4PacketInfo(info) => asked_at = AskedAt::V4(info),
            ControlMessageOwned::Ipv6PacketInfo(info) => asked_at = AskedAt::V6(info),
            _ => {}
        }
    }
    let from = message.address.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Datagram {
        length: message.bytes,
        from,
        asked_at,
    })
}

/// The sender of a datagram; none when it is no internet address.
fn peer_of(from: &SockaddrStorage) -> Option<Peer> {
    let address = match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(v4), _) => SocketAddr::from(*v4),
        (None, Some(v6)) => SocketAddr::from(*v6),
        (None, None) => return None,
    };
    Some(Peer {
        address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        transport: Transport::Udp,
        idle: None,
    })
}

fn send(socket: &UdpSocket, response: &[u8], to: &Datagram) -> io::Result<()> {
    let parts = [IoSlice::new(response)];
    let fd = socket.as_raw_fd();
    let flags = MsgFlags::MSG_DONTWAIT;
    let sent = match to.asked_at {
        AskedAt::V4(mut info) => {
            // The way back is the routing table's; only the source address is ours to say.
            info.ipi_ifindex = 0;
            let from = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(fd, &parts, &from, flags, Some(&to.from))
        }
        AskedAt::V6(mut info) => {
            if !is_link_local(&info) {
                info.ipi6_ifindex = 0;
            }
            let from = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(fd, &parts, &from, flags, Some(&to.from))
        }
        AskedAt::Unknown => sendmsg(fd, &parts, &[], flags, Some(&to.from)),
    };
    sent.map(|_| ()).map_err(io::Error::from)
}

/// A link-local address means something only together with its interface.
fn is_link_local(info: &libc::in6_pktinfo) -> bool {
    let [a, b, ..] = info.ipi6_addr.s6_addr;
    a == 0xfe && b & 0xc0 == 0x80
}
