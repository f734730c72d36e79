//! A request as it came: who sent it, over what; and what was said to it in one word.
//!
//! In: nothing. Out: [`Arrival`], [`Peer`], [`Transport`], [`Outcome`]. Never here: sockets, messages.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::message::udp_limit;
use super::question::Envelope;
use super::refused::Refused;
use crate::clock::Now;
use crate::zone::Zones;

/// A request as it came, and the zones it is answered from.
pub(super) struct Arrival<'a> {
    pub(super) zones: &'a Zones,
    pub(super) octets: &'a [u8],
    pub(super) peer: Peer,
    pub(super) now: Now,
}

/// How a request came, which decides how large its response may be and what its OPT may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// A datagram: at most what the client takes, and 1232.
    Udp,
    /// A stream (RFC 7766): at most 65,535 octets, as on all that follow.
    Tcp,
    /// DNS over TLS (RFC 7858): as a stream, encrypted.
    Tls,
    /// DNS over HTTPS (RFC 8484): one request and one response per exchange.
    Https,
    /// DNS over QUIC (RFC 9250): one request per stream.
    Quic,
}

impl Transport {
    /// Whether nobody on the way reads it: then its length is worth hiding (RFC 8467).
    pub fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https | Transport::Quic)
    }

    /// Whether DNS itself keeps the connection, and may say for how long (RFC 7828; RFC 9250 §5.5.2 for QUIC). HTTP has
    /// its own way.
    pub fn keeps_connection(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Https => "https",
            Transport::Quic => "quic",
        })
    }
}

/// Who sent a request, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address; IPv4 as such, whatever socket it came by.
    pub address: SocketAddr,
    /// Its transport.
    pub transport: Transport,
    /// How long its connection may be idle behind this answer, for transports that can say so (RFC 7828).
    pub idle: Option<Duration>,
}

/// The room a response has, in octets.
pub(super) fn room(peer: Peer, envelope: &Envelope) -> usize {
    match peer.transport {
        Transport::Udp => udp_limit(envelope.edns),
        _ => usize::from(u16::MAX),
    }
}

/// What was said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the message was no request.
    Silent,
    /// A response is in the buffer.
    Response {
        /// Its code.
        rcode: ResponseCode,
        /// Whether it is truncated.
        truncated: bool,
        /// What was refused, where the operator may want to know of it.
        refused: Option<Box<Refused>>,
    },
    /// There is an answer, and the rate limit holds it back. When `slipped`, something short is in the buffer that lets
    /// an honest client help itself; else nothing is.
    Limited {
        /// Whether a response is in the buffer.
        slipped: bool,
    },
}

impl Outcome {
    /// A whole response that says nothing but its code.
    pub(super) fn of(rcode: ResponseCode) -> Outcome {
        Outcome::Response {
            rcode,
            truncated: false,
            refused: None,
        }
    }
}
