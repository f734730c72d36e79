//! Getting the sockets to serve on.
//!
//! In: addresses, sockets the service manager hands over. Out: [`Listeners`], bound and not yet read, or every
//! address that could not be had, with what to do. Never here: messages.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::thread;

use listenfd::ListenFd;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::respond::Transport;

/// Connections the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
/// Datagrams wait here while the process is busy elsewhere; the kernel may grant less.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How often a port is looked for that is free for both transports, when any will do (port 0).
const PORT_TRIES: u32 = 32;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {transport} {address}: {reason}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What would have been carried on it.
    pub transport: Transport,
    /// Why not.
    #[source]
    pub reason: ListenFault,
}

/// What the system said.
#[derive(Debug, thiserror::Error)]
pub enum ListenFault {
    /// The port is in use.
    #[error("the port is taken")]
    Taken,
    /// Ports below 1024 need a capability.
    #[error("ports below 1024 need CAP_NET_BIND_SERVICE")]
    Privileged,
    /// The address is none of this machine's.
    #[error("the address is not one of this machine's")]
    NotHere,
    /// Anything else.
    #[error("{0}")]
    Other(io::Error),
}

impl ListenError {
    fn new(transport: Transport, address: SocketAddr, error: io::Error) -> ListenError {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => ListenFault::Taken,
            io::ErrorKind::PermissionDenied if address.port() < 1024 => ListenFault::Privileged,
            io::ErrorKind::AddrNotAvailable => ListenFault::NotHere,
            _ => ListenFault::Other(error),
        };
        ListenError {
            address,
            transport,
            reason,
        }
    }

    /// What to do about it.
    pub fn mend(&self) -> String {
        let (port, transport) = (self.address.port(), self.transport);
        match &self.reason {
            ListenFault::Taken => format!(
                "see who has it: ss -lnp 'sport = :{port}'; stop that, or listen on the machine's own addresses \
                 instead of all (systemd-resolved keeps 127.0.0.53:53)"
            ),
            ListenFault::Privileged => {
                "run under systemd with AmbientCapabilities=CAP_NET_BIND_SERVICE or with a \
                 socket unit, or: setcap cap_net_bind_service=+ep on the program"
                    .into()
            }
            ListenFault::NotHere => format!(
                "write an address of this machine (ip address), or {}",
                if self.address.is_ipv4() {
                    "0.0.0.0"
                } else {
                    "[::]"
                }
            ),
            ListenFault::Other(_) => {
                format!("mend the cause, or leave {transport} {} out", self.address)
            }
        }
    }
}

/// Why a socket handed over by the service manager cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use socket number {number} handed over by the service manager: {reason}")]
pub struct InheritError {
    /// Its place among those handed over, from 0.
    pub number: usize,
    /// Why not.
    pub reason: io::Error,
}

/// Sockets bound and ready to be served.
#[derive(Debug, Default)]
pub struct Listeners {
    /// One per worker and address; together they share the address's datagrams.
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
}

impl Listeners {
    /// Binds UDP and TCP on each address. Port 0 takes a port that is free for both. Gives every address that
    /// could not be had.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Listeners, Vec<ListenError>> {
        Listeners::default().with(addresses)
    }

    /// Takes the sockets the service manager handed over (systemd socket units); none when there are none.
    /// Call it once, before threads are started: it reads and clears the environment.
    pub fn from_inherited() -> Result<Listeners, InheritError> {
        let mut inherited = ListenFd::from_env();
        let mut listeners = Listeners::default();
        for number in 0..inherited.len() {
            if let Ok(Some(udp)) = inherited.take_udp_socket(number) {
                prepare_udp(&udp).map_err(|reason| InheritError { number, reason })?;
                listeners.udp.push(udp);
            } else if let Some(tcp) = inherited
                .take_tcp_listener(number)
                .map_err(|reason| InheritError { number, reason })?
            {
                tcp.set_nonblocking(true)
                    .map_err(|reason| InheritError { number, reason })?;
                listeners.tcp.push(tcp);
            }
        }
        Ok(listeners)
    }

    /// Binds what of these addresses is not there yet.
    pub fn with(mut self, addresses: &[SocketAddr]) -> Result<Listeners, Vec<ListenError>> {
        let mut errors = Vec::new();
        let has_udp: BTreeSet<SocketAddr> = self.udp.iter().flat_map(covered).collect();
        let has_tcp: BTreeSet<SocketAddr> = self.tcp.iter().flat_map(covered).collect();
        let wanted: BTreeSet<SocketAddr> = addresses.iter().copied().collect();
        for address in wanted {
            if address.port() == 0 {
                match bind_both_anywhere(address) {
                    Ok((udp, tcp)) => {
                        self.udp.extend(udp);
                        self.tcp.push(tcp);
                    }
                    Err(error) => errors.push(error),
                }
                continue;
            }
            if !has_udp.contains(&address) {
                match bind_udp(address) {
                    Ok(sockets) => self.udp.extend(sockets),
                    Err(error) => errors.push(ListenError::new(Transport::Udp, address, error)),
                }
            }
            if !has_tcp.contains(&address) {
                match bind_tcp(address) {
                    Ok(socket) => self.tcp.push(socket),
                    Err(error) => errors.push(ListenError::new(Transport::Tcp, address, error)),
                }
            }
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(errors)
        }
    }

    /// Where datagrams are received.
    pub fn udp_addresses(&self) -> BTreeSet<SocketAddr> {
        self.udp
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Where connections are accepted.
    pub fn tcp_addresses(&self) -> BTreeSet<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Whether there is nothing to listen on.
    pub fn is_empty(&self) -> bool {
        self.udp.is_empty() && self.tcp.is_empty()
    }
}

/// The addresses a socket serves. `[::]` of a service manager may serve IPv4 as well; we never bind it so.
fn covered<S: AsFd>(socket: &S) -> Vec<SocketAddr> {
    let socket = SockRef::from(socket);
    let Some(address) = socket
        .local_addr()
        .ok()
        .and_then(|address| address.as_socket())
    else {
        return Vec::new();
    };
    let mut covered = vec![address];
    if address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6().unwrap_or(true) {
        covered.push((Ipv4Addr::UNSPECIFIED, address.port()).into());
    }
    covered
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn bind_both_anywhere(address: SocketAddr) -> Result<(Vec<UdpSocket>, TcpListener), ListenError> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let tcp_error = |error| ListenError::new(Transport::Tcp, address, error);
        let tcp = bind_tcp(address).map_err(tcp_error)?;
        let found = tcp.local_addr().map_err(tcp_error)?;
        match bind_udp(found) {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(ListenError::new(Transport::Udp, address, error))
}

/// One socket per worker on one address.
fn bind_udp(address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
    // SO_REUSEPORT would let us share the port with another server of the same user without a word, each getting
    // half of the queries. A socket without it finds out.
    drop(udp_socket(address, false)?);
    (0..workers()).map(|_| udp_socket(address, true)).collect()
}

fn udp_socket(address: SocketAddr, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(share)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Less than asked for is no reason not to serve.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    prepare_udp(&socket)?;
    Ok(socket)
}

/// Asks for the destination address of each datagram, so that the answer leaves from there.
fn prepare_udp(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if socket.local_addr()?.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of the process before us may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_privileged_port_names_the_capability() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let error = ListenError::new(Transport::Udp, "[::]:53".parse().unwrap(), denied());
        assert_eq!(
            error.to_string(),
            "cannot listen on udp [::]:53: ports below 1024 need CAP_NET_BIND_SERVICE"
        );
        assert!(
            error
                .mend()
                .contains("AmbientCapabilities=CAP_NET_BIND_SERVICE")
        );
        let high = ListenError::new(Transport::Tcp, "127.0.0.1:5300".parse().unwrap(), denied());
        assert!(matches!(high.reason, ListenFault::Other(_)));
    }

    #[test]
    fn a_socket_for_both_families_serves_the_wildcard_of_each() {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_only_v6(false).unwrap();
        socket
            .bind(&"[::]:0".parse::<SocketAddr>().unwrap().into())
            .unwrap();
        let socket = UdpSocket::from(socket);
        prepare_udp(&socket).unwrap();
        let port = socket.local_addr().unwrap().port();
        let inherited = Listeners {
            udp: vec![socket],
            tcp: Vec::new(),
        };
        let wildcards = [format!("0.0.0.0:{port}"), format!("[::]:{port}")];
        let wanted = wildcards.map(|address| address.parse().unwrap());
        let listeners = inherited.with(&wanted).unwrap();
        assert_eq!((listeners.udp.len(), listeners.tcp.len()), (1, 2));
    }
}
