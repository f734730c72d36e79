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

use super::peer::Transport;

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

/// A listener that is not served, while others are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFailure {
    /// What was to be listened on.
    pub listener: String,
    /// Why it is not.
    pub why: String,
    /// What to do about it.
    pub fix: String,
    /// Where it can be tried again: not where a service manager made the socket.
    pub at: Option<(Transport, SocketAddr)>,
}

impl From<&ListenError> for ListenerFailure {
    fn from(error: &ListenError) -> ListenerFailure {
        ListenerFailure {
            listener: format!("{} {}", error.transport, error.address),
            why: error.reason.to_string(),
            fix: error.mend(),
            at: Some((error.transport, error.address)),
        }
    }
}

impl From<InheritError> for ListenerFailure {
    fn from(error: InheritError) -> ListenerFailure {
        ListenerFailure {
            listener: format!(
                "socket number {} of those handed over by the service manager",
                error.number
            ),
            why: error.reason.to_string(),
            fix: "hand over UDP sockets and listening TCP sockets only (ListenDatagram=, ListenStream= with Accept=no)"
                .into(),
            at: None,
        }
    }
}

/// What to listen on, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// DNS by UDP and TCP.
    pub plain: Vec<SocketAddr>,
    /// DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub quic: Vec<SocketAddr>,
    /// UDP sockets of each plain address; one per processor when absent.
    pub workers: Option<NonZero<usize>>,
}

impl Addresses {
    /// Whether any of it needs a certificate.
    pub fn is_encrypted(&self) -> bool {
        !(self.tls.is_empty() && self.https.is_empty() && self.quic.is_empty())
    }
}

impl From<Vec<SocketAddr>> for Addresses {
    fn from(plain: Vec<SocketAddr>) -> Addresses {
        Addresses {
            plain,
            ..Addresses::default()
        }
    }
}

/// Sockets bound and ready to be served.
#[derive(Debug, Default)]
pub struct Listeners {
    /// One per worker and address; together they share the address's datagrams.
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
    pub(super) tls: Vec<TcpListener>,
    pub(super) https: Vec<TcpListener>,
    pub(super) quic: Vec<UdpSocket>,
    failures: Vec<ListenerFailure>,
}

impl Listeners {
    /// Binds UDP and TCP on each address. Port 0 takes a port that is free for both. Gives every address that
    /// could not be had.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Listeners, Vec<ListenError>> {
        let (listeners, errors) = Listeners::default().bound(&addresses.to_vec().into());
        match errors.is_empty() {
            true => Ok(listeners),
            false => Err(errors),
        }
    }

    /// What is not listened on, and why.
    pub fn failures(&self) -> &[ListenerFailure] {
        &self.failures
    }

    /// Takes the sockets the service manager handed over (systemd socket units); none when there are none.
    /// Call it once, before threads are started: it reads and clears the environment. A socket that cannot be used
    /// is a failure; the others are taken.
    pub fn from_inherited() -> Listeners {
        let mut inherited = ListenFd::from_env();
        let mut listeners = Listeners::default();
        for number in 0..inherited.len() {
            if let Err(reason) = listeners.take(&mut inherited, number) {
                let error = InheritError { number, reason };
                listeners.failures.push(error.into());
            }
        }
        listeners
    }

    fn take(&mut self, inherited: &mut ListenFd, number: usize) -> io::Result<()> {
        if let Ok(Some(udp)) = inherited.take_udp_socket(number) {
            prepare_udp(&udp)?;
            self.udp.push(udp);
        } else if let Some(tcp) = inherited.take_tcp_listener(number)? {
            if !SockRef::from(&tcp).is_listener()? {
                return Err(io::Error::other("it is a connection, not a listener"));
            }
            tcp.set_nonblocking(true)?;
            self.tcp.push(tcp);
        }
        Ok(())
    }

    /// Binds what of these addresses is not there yet. A socket that is there speaks what the addresses say it does: its
    /// own address tells which, and one that they do not name speaks plain DNS. An address that cannot be had is a
    /// failure, and the others are taken.
    ///
    /// # Errors
    /// When nothing is left that answers queries over UDP.
    pub fn with(self, addresses: &Addresses) -> Result<Listeners, Vec<ListenError>> {
        let (mut listeners, errors) = self.bound(addresses);
        if listeners.udp.is_empty() && !errors.is_empty() {
            return Err(errors);
        }
        listeners
            .failures
            .extend(errors.iter().map(ListenerFailure::from));
        Ok(listeners)
    }

    /// Binds what could not be had before; what cannot be had now is a failure.
    pub fn again(wanted: &[(Transport, SocketAddr)], workers: Option<NonZero<usize>>) -> Listeners {
        let mut listeners = Listeners::default();
        let workers = workers.map_or_else(processors, NonZero::get);
        for (transport, address) in wanted.iter().copied() {
            let bound = match transport {
                Transport::Udp => bind_udp(address, workers).map(|all| listeners.udp.extend(all)),
                Transport::Tcp => bind_tcp(address).map(|socket| listeners.tcp.push(socket)),
                Transport::Tls => bind_tcp(address).map(|socket| listeners.tls.push(socket)),
                Transport::Https => bind_tcp(address).map(|socket| listeners.https.push(socket)),
                Transport::Quic => {
                    udp_socket(address, false).map(|socket| listeners.quic.push(socket))
                }
            };
            if let Err(error) = bound {
                let error = ListenError::new(transport, address, error);
                listeners.failures.push((&error).into());
            }
        }
        listeners
    }

    fn bound(mut self, addresses: &Addresses) -> (Listeners, Vec<ListenError>) {
        let mut errors = Vec::new();
        let Addresses {
            plain,
            tls,
            https,
            quic,
            workers,
        } = addresses;
        self.tls = those_at(tls, &mut self.tcp);
        self.https = those_at(https, &mut self.tcp);
        self.quic = those_at(quic, &mut self.udp);
        for (transport, wanted, sockets) in [
            (Transport::Tls, tls, &mut self.tls),
            (Transport::Https, https, &mut self.https),
        ] {
            for address in missing(wanted, sockets) {
                match bind_tcp(address) {
                    Ok(socket) => sockets.push(socket),
                    Err(error) => errors.push(ListenError::new(transport, address, error)),
                }
            }
        }
        for address in missing(quic, &self.quic) {
            match udp_socket(address, false) {
                Ok(socket) => self.quic.push(socket),
                Err(error) => errors.push(ListenError::new(Transport::Quic, address, error)),
            }
        }
        self.with_plain(plain, workers.map_or_else(processors, NonZero::get), errors)
    }

    fn with_plain(
        mut self,
        wanted: &[SocketAddr],
        workers: usize,
        mut errors: Vec<ListenError>,
    ) -> (Listeners, Vec<ListenError>) {
        let (anywhere, wanted): (Vec<_>, Vec<_>) = wanted
            .iter()
            .copied()
            .partition(|address| address.port() == 0);
        for address in missing(&anywhere, &[] as &[TcpListener]) {
            match bind_both_anywhere(address, workers) {
                Ok((udp, tcp)) => {
                    self.udp.extend(udp);
                    self.tcp.push(tcp);
                }
                Err(error) => errors.push(error),
            }
        }
        for address in missing(&wanted, &self.udp) {
            match bind_udp(address, workers) {
                Ok(sockets) => self.udp.extend(sockets),
                Err(error) => errors.push(ListenError::new(Transport::Udp, address, error)),
            }
        }
        for address in missing(&wanted, &self.tcp) {
            match bind_tcp(address) {
                Ok(socket) => self.tcp.push(socket),
                Err(error) => errors.push(ListenError::new(Transport::Tcp, address, error)),
            }
        }
        (self, errors)
    }

    /// Where datagrams are received.
    pub fn udp_addresses(&self) -> BTreeSet<SocketAddr> {
        addresses_of(&self.udp)
    }

    /// Where connections are accepted.
    pub fn tcp_addresses(&self) -> BTreeSet<SocketAddr> {
        addresses_of(&self.tcp)
    }

    /// Where a transport is served.
    pub fn addresses(&self, transport: Transport) -> BTreeSet<SocketAddr> {
        match transport {
            Transport::Udp => self.udp_addresses(),
            Transport::Tcp => self.tcp_addresses(),
            Transport::Tls => addresses_of(&self.tls),
            Transport::Https => addresses_of(&self.https),
            Transport::Quic => addresses_of(&self.quic),
        }
    }

    /// Whether there is nothing to listen on.
    pub fn is_empty(&self) -> bool {
        self.udp.is_empty() && self.tcp.is_empty() && !self.is_encrypted()
    }

    /// Whether any of it needs a certificate.
    pub fn is_encrypted(&self) -> bool {
        !(self.tls.is_empty() && self.https.is_empty() && self.quic.is_empty())
    }
}

fn addresses_of<S: AsFd>(sockets: &[S]) -> BTreeSet<SocketAddr> {
    let addresses = sockets
        .iter()
        .map(|socket| SockRef::from(socket).local_addr());
    addresses
        .filter_map(|address| address.ok()?.as_socket())
        .collect()
}

/// Takes the sockets at any of these addresses out of `sockets`.
fn those_at<S: AsFd>(addresses: &[SocketAddr], sockets: &mut Vec<S>) -> Vec<S> {
    let all = std::mem::take(sockets);
    let (theirs, others) = all.into_iter().partition(|socket| {
        let covered = covered(socket);
        covered.iter().any(|address| addresses.contains(address))
    });
    *sockets = others;
    theirs
}

/// The addresses that none of the sockets serves, each once.
fn missing<S: AsFd>(wanted: &[SocketAddr], sockets: &[S]) -> BTreeSet<SocketAddr> {
    let there: BTreeSet<SocketAddr> = sockets.iter().flat_map(covered).collect();
    wanted
        .iter()
        .copied()
        .filter(|address| !there.contains(address))
        .collect()
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

/// The processors that this process may use.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn bind_both_anywhere(
    address: SocketAddr,
    workers: usize,
) -> Result<(Vec<UdpSocket>, TcpListener), ListenError> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let tcp_error = |error| ListenError::new(Transport::Tcp, address, error);
        let tcp = bind_tcp(address).map_err(tcp_error)?;
        let found = tcp.local_addr().map_err(tcp_error)?;
        match bind_udp(found, workers) {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(ListenError::new(Transport::Udp, address, error))
}

/// One socket per worker on one address.
fn bind_udp(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    // SO_REUSEPORT would let us share the port with another server of the same user without a word, each getting
    // half of the queries. A socket without it finds out.
    drop(udp_socket(address, false)?);
    (0..workers).map(|_| udp_socket(address, true)).collect()
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
    fn a_socket_that_was_handed_over_speaks_what_its_address_says() {
        let [plain, tls, https] = [0; 3].map(|_| bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap());
        let quic = udp_socket("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let at = |socket: &TcpListener| vec![socket.local_addr().unwrap()];
        let addresses = Addresses {
            plain: Vec::new(),
            tls: at(&tls),
            https: at(&https),
            quic: vec![quic.local_addr().unwrap()],
            workers: None,
        };
        let wanted = |transport: Transport| match transport {
            Transport::Tcp => at(&plain),
            Transport::Tls => addresses.tls.clone(),
            Transport::Https => addresses.https.clone(),
            Transport::Quic => addresses.quic.clone(),
            Transport::Udp => Vec::new(),
        };
        let transports = [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Https,
            Transport::Quic,
        ];
        let expected = transports.map(wanted);
        let inherited = Listeners {
            udp: vec![quic],
            tcp: vec![https, plain, tls],
            ..Listeners::default()
        };
        let listeners = inherited.with(&addresses).unwrap();
        let found = transports.map(|transport| Vec::from_iter(listeners.addresses(transport)));
        assert_eq!(found, expected);
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
            ..Listeners::default()
        };
        let wildcards = [format!("0.0.0.0:{port}"), format!("[::]:{port}")];
        let wanted = wildcards.map(|address| address.parse().unwrap());
        let listeners = inherited.with(&wanted.to_vec().into()).unwrap();
        assert_eq!((listeners.udp.len(), listeners.tcp.len()), (1, 2));
    }
}
