//! How a server is asked, and what may come of it instead of a reply.
//!
//! In: nothing. Out: [`How`], [`AskError`]. Never here: sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::reply::Malformed;

/// Over what a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP, and TCP when the reply is truncated.
    UdpThenTcp,
    /// UDP alone; a truncated reply is returned as it is.
    Udp,
    /// TCP alone.
    Tcp,
}

/// How a server is asked.
#[derive(Clone, Debug)]
pub struct How {
    /// Over what.
    pub transport: Transport,
    /// How long one try waits: for a datagram, or for the connection and for each message of it.
    pub timeout: Duration,
    /// How many datagrams are sent at most, each after the one before was not answered in time.
    pub tries: u32,
    /// The address to ask from; the system chooses when absent.
    pub source: Option<IpAddr>,
}

impl Default for How {
    fn default() -> How {
        How {
            transport: Transport::UdpThenTcp,
            timeout: Duration::from_secs(2),
            tries: 3,
            source: None,
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nothing came in time.
    #[error("{server} did not answer within {after:?}")]
    Timeout {
        /// Who was asked.
        server: SocketAddr,
        /// For how long, all tries together.
        after: Duration,
    },
    /// The address refuses or cannot be reached, or the connection ended early.
    #[error("{server} cannot be asked: {reason}")]
    Unreachable {
        /// Who was asked.
        server: SocketAddr,
        /// What the system said.
        kind: std::io::ErrorKind,
        /// The same in words.
        reason: String,
    },
    /// The address to ask from cannot be used.
    #[error(
        "cannot ask {server} from {from}: {reason}; nothing was sent; give this machine the address, or correct \"source\""
    )]
    Source {
        /// Who was to be asked.
        server: SocketAddr,
        /// The address.
        from: IpAddr,
        /// What the system said.
        reason: String,
    },
    /// Octets came that are not a reply.
    #[error("{server} sent what is not a reply: {fault}")]
    Malformed {
        /// Who was asked.
        server: SocketAddr,
        /// What is wrong with it.
        fault: Malformed,
    },
    /// A reply came, to another question or with another identifier.
    #[error("{server} sent a reply to another question")]
    Mismatched {
        /// Who was asked.
        server: SocketAddr,
    },
    /// The server answered with an error.
    #[error("{server} answered {rcode}")]
    Rcode {
        /// Who was asked.
        server: SocketAddr,
        /// The code.
        rcode: ResponseCode,
    },
    /// The request is longer than a message may be.
    #[error("the request is longer than 65,535 octets")]
    TooLong,
}

impl AskError {
    /// No socket could be bound.
    pub(super) fn unbound(server: SocketAddr, how: &How, error: &std::io::Error) -> AskError {
        let Some(from) = how.source else {
            return AskError::unreachable(server, error);
        };
        let reason = match error.kind() {
            std::io::ErrorKind::AddrNotAvailable => {
                "the address is not one of this machine's".to_owned()
            }
            _ => error.to_string(),
        };
        AskError::Source {
            server,
            from,
            reason,
        }
    }

    pub(super) fn unreachable(server: SocketAddr, error: &std::io::Error) -> AskError {
        let reason = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
            _ => error.to_string(),
        };
        AskError::Unreachable {
            server,
            kind: error.kind(),
            reason,
        }
    }
}

/// The address that a socket to this server is bound to.
pub(super) fn from(server: SocketAddr, how: &How) -> SocketAddr {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    };
    SocketAddr::new(how.source.unwrap_or(any), 0)
}
