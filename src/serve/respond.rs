//! From request octets to response octets: the whole way of a query, pure.
//!
//! In: the zones as published, our manners, a message, who sent it and how. Out: the response's octets and what they say,
//! for the counters. Never here: sockets.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::answer::answer;
use super::authority::Manners;
use super::message::{udp_limit, write, write_error};
use super::question::{Envelope, Operation, Request, Unasked, read};
use crate::clock::Now;
use crate::zone::Zones;

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

/// What was said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the message was no request.
    Silent,
    /// A response is in the buffer.
    Response {
        /// Its code.
        rcode: ResponseCode,
        /// Whether it is truncated.
        truncated: bool,
    },
}

/// Answers one message from the zones into `out`, replacing what is there.
pub fn respond(
    zones: &Zones,
    _manners: &Manners,
    octets: &[u8],
    peer: Peer,
    _now: Now,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    let request = match read(octets) {
        Ok(request) => request,
        Err(Unasked::Silent) => return Outcome::Silent,
        Err(Unasked::Rejected(rejection)) => {
            return reject(&rejection.envelope, rejection.rcode, out);
        }
    };
    match request.operation {
        Operation::Query => query(zones, &request, peer, out),
        Operation::Transfer => reject(&request.envelope, ResponseCode::Refused, out),
        Operation::Notify | Operation::Update => {
            reject(&request.envelope, ResponseCode::NotImp, out)
        }
    }
}

fn query(zones: &Zones, request: &Request, peer: Peer, out: &mut Vec<u8>) -> Outcome {
    let edns = request.envelope.edns;
    let limit = match peer.transport {
        Transport::Udp => udp_limit(edns),
        _ => usize::from(u16::MAX),
    };
    let dnssec_ok = edns.is_some_and(|edns| edns.dnssec_ok);
    let answer = answer(zones, &request.question, dnssec_ok);
    let truncated = write(&request.envelope, &answer, limit, out);
    Outcome::Response {
        rcode: answer.rcode,
        truncated,
    }
}

/// A response that says nothing but its code.
fn reject(envelope: &Envelope, rcode: ResponseCode, out: &mut Vec<u8>) -> Outcome {
    write_error(envelope, rcode, out);
    Outcome::Response {
        rcode,
        truncated: false,
    }
}
