//! The TCP connection: the first step of every probe, and all of a canary's.
//!
//! In: an address and where to connect from. Out: a connected socket, or a [`Reason`] that tells the
//! peer's failure from the network's and from ours. Never here: waiting without an end; the caller bounds it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::observation::Reason;

/// Connects to `peer`, from `source` if given. It waits as long as the kernel does.
pub(super) async fn connect(peer: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Reason> {
    let begun = begin(peer, source).map_err(|error| at_once(&error))?;
    let stream = TcpStream::from_std(begun).map_err(local)?;
    stream.writable().await.map_err(local)?;
    match stream.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Err(later(&error)),
    }
    // Each step is one small write that waits for its answer.
    stream.set_nodelay(true).map_err(|error| later(&error))?;
    Ok(stream)
}

/// A socket whose connection is on its way.
fn begin(peer: SocketAddr, source: Option<IpAddr>) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&peer.into()) {
        Err(error) if !in_progress(&error) => Err(error),
        _ => Ok(socket.into()),
    }
}

fn in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32)
        || error.kind() == io::ErrorKind::WouldBlock
}

/// What a failure means that the kernel reports before a packet could have come back. Only a refusal on the
/// loopback interface is that fast; anything else is ours: no route, no such source address, a local filter.
fn at_once(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        _ => Reason::LocalFailure {
            error: error.to_string(),
        },
    }
}

/// What a failure means that came after the attempt had begun. A refusal is the peer's RST, or a firewall's
/// ICMP "port unreachable", which the kernel reports alike.
fn later(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        io::ErrorKind::TimedOut => Reason::ConnectTimeout,
        _ if is_word_of_the_network(error) => Reason::Unreachable,
        // Some middleboxes reset in place of a SYN-ACK, others after it: listened, then gone.
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Reason::ClosedAtOnce,
        _ => Reason::LocalFailure {
            error: error.to_string(),
        },
    }
}

/// Whether the kernel reports an ICMP message: some router or firewall on the way says that packets do not come through
/// (RFC 1122 §4.2.3.9, RFC 4443 §3.1: "administratively prohibited" is `EACCES`).
fn is_word_of_the_network(error: &io::Error) -> bool {
    use nix::errno::Errno;

    const CODES: [Errno; 8] = [
        Errno::EHOSTUNREACH,
        Errno::ENETUNREACH,
        Errno::EHOSTDOWN,
        Errno::ENONET,
        Errno::ENOPROTOOPT,
        Errno::EOPNOTSUPP,
        Errno::EPROTO,
        Errno::EACCES,
    ];
    let code = error.raw_os_error().map(Errno::from_raw);
    code.is_some_and(|code| CODES.contains(&code))
}

fn local(error: io::Error) -> Reason {
    Reason::LocalFailure {
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn what_a_firewall_on_the_way_says_is_not_our_own_failure() {
        for code in [Errno::EHOSTUNREACH, Errno::EACCES, Errno::ENOPROTOOPT] {
            let error = io::Error::from_raw_os_error(code as i32);
            assert_eq!(later(&error), Reason::Unreachable, "{code}");
            let at_once = matches!(at_once(&error), Reason::LocalFailure { .. });
            assert!(at_once, "no packet can have come back: {code}");
        }
        let error = io::Error::from_raw_os_error(Errno::EMFILE as i32);
        assert!(matches!(later(&error), Reason::LocalFailure { .. }));
    }
}
