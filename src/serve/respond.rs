//! From request octets to response octets: the whole way of a query, pure.
//!
//! In: the zones as published, our manners, a message, who sent it and how. Out: the response's octets and what they say,
//! for the counters. Never here: sockets.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::answer::{Answer, answer};
use super::authority::Manners;
use super::chaos::{self, CLASS_CH};
use super::message::{udp_limit, write, write_code};
use super::options::{Courtesies, ExtendedError};
use super::question::{Envelope, Operation, Rejection, Request, Unasked, read};
use super::rate::{Passage, Said};
use super::transfer::Transfer;
use super::update::Deferred;
use crate::clock::{Now, Wall};
use crate::tsig::{self, Fault, Received, Refusal, Signer};
use crate::zone::{Name, Zones};

/// Responses on encrypted transports have a multiple of this many octets (RFC 8467 §4.1).
const BLOCK: usize = 468;

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
    /// There is an answer, and the rate limit holds it back. When `slipped`, something short is in the buffer that lets
    /// an honest client help itself; else nothing is.
    Limited {
        /// Whether a response is in the buffer.
        slipped: bool,
    },
}

/// What is said to a request: one message, or many.
#[derive(Debug)]
pub enum Responses {
    /// What the buffer holds.
    One(Outcome),
    /// A transfer, which gives its messages one by one.
    Many(Box<Transfer>),
    /// One message, once an update has been made.
    Later(Box<Deferred>),
}

/// Answers one message from the zones into `out`, replacing what is there. What is left empty is not sent. For transports
/// that carry one response to a request: a transfer is refused.
pub fn respond(
    zones: &Zones,
    manners: &Manners,
    octets: &[u8],
    peer: Peer,
    now: Now,
    out: &mut Vec<u8>,
) -> Outcome {
    match respond_or_transfer(zones, manners, octets, peer, now, out) {
        Responses::One(outcome) => outcome,
        Responses::Many(transfer) => transfer.refuse(now.wall, out),
        Responses::Later(deferred) => deferred.refuse(now.wall, out),
    }
}

/// Answers one message from the zones, as [`respond`], or begins the transfer that it asks for. A signed request gets a
/// signed response, whatever it asks (RFC 8945 §5.3).
pub fn respond_or_transfer(
    zones: &Zones,
    manners: &Manners,
    octets: &[u8],
    peer: Peer,
    now: Now,
    out: &mut Vec<u8>,
) -> Responses {
    out.clear();
    let read = read(octets);
    if matches!(read, Err(Unasked::Silent)) {
        return Responses::One(Outcome::Silent);
    }
    match tsig::receive(octets, &manners.tsig, now.wall) {
        Received::Unsigned => say(zones, manners, read, octets, None, peer, now, out),
        Received::Signed(signer) => say(zones, manners, read, octets, Some(signer), peer, now, out),
        Received::Refused(refusal) => {
            // RFC 8945 §5.2: NOTAUTH, or FORMERR for what cannot even be read.
            let rcode = match refusal.fault() {
                Fault::Malformed => ResponseCode::FormErr,
                _ => ResponseCode::NotAuth,
            };
            let envelope = match read {
                Ok(Request { envelope, .. })
                | Err(Unasked::Rejected(Rejection { envelope, .. })) => envelope,
                Err(Unasked::Silent) => return Responses::One(Outcome::Silent),
            };
            let limit = limit(peer, &envelope);
            let rejection = Err(Unasked::Rejected(Rejection { envelope, rcode }));
            let said = say(zones, manners, rejection, octets, None, peer, now, out);
            if matches!(said, Responses::One(Outcome::Response { .. })) {
                complete_within(limit, &refusal, now.wall, out);
            }
            said
        }
    }
}

/// What is said once it is known who signed the request.
#[allow(clippy::too_many_arguments)] // what one response depends on
fn say(
    zones: &Zones,
    manners: &Manners,
    read: Result<Request, Unasked>,
    octets: &[u8],
    mut signer: Option<Signer>,
    peer: Peer,
    now: Now,
    out: &mut Vec<u8>,
) -> Responses {
    let (envelope, answer, extended_error) = match read {
        Err(Unasked::Silent) => return Responses::One(Outcome::Silent),
        Err(Unasked::Rejected(rejection)) => {
            let Rejection { envelope, rcode } = rejection;
            (envelope, Answer::empty(rcode), of_rejection(rcode))
        }
        Ok(request) if request.operation == Operation::Transfer => {
            let transfers = &manners.transfers;
            match transfers.begin(zones, &request, octets, peer, signer.as_ref()) {
                Ok(begun) => {
                    let transfer = Transfer::new(begun, request.envelope, signer);
                    return transfer.first(peer, now.wall, out);
                }
                Err((rcode, why)) => (request.envelope, Answer::empty(rcode), why),
            }
        }
        Ok(request)
            if request.operation == Operation::Update
                && zones.version_at(&request.question.name).is_some() =>
        {
            let signed_by = signer.as_ref().map(|signer| signer.key().name());
            let (updates, zone) = (&manners.updates, &request.question.name);
            match updates.begin(zones, zone, octets, peer, signed_by) {
                Ok(made) => {
                    let deferred = Deferred::new(request.envelope, signer, made);
                    return Responses::Later(Box::new(deferred));
                }
                Err(rcode) => {
                    let why = (rcode == ResponseCode::Refused).then_some(ExtendedError::Prohibited);
                    (request.envelope, Answer::empty(rcode), why)
                }
            }
        }
        Ok(request) => {
            let signed_by = signer.as_ref().map(|signer| signer.key().name());
            let (answer, extended_error) = answer_to(zones, manners, &request, peer, signed_by);
            (request.envelope, answer, extended_error)
        }
    };
    let cookie = envelope.edns.and_then(|edns| edns.options.cookie);
    let recognition = match (&manners.cookies, cookie) {
        (Some(secrets), Some(cookie)) => {
            Some(secrets.recognise(cookie, peer.address.ip(), now.wall))
        }
        _ => None,
    };
    let courtesies = Courtesies {
        extended_error,
        cookie: recognition.map(|recognition| recognition.option),
        ..courtesies(manners, &envelope, peer)
    };
    let known = signer.is_some() || recognition.is_some_and(|recognition| recognition.known);
    match passage(manners, &answer, known, peer, now) {
        Passage::Goes => {}
        Passage::Withheld => return Responses::One(Outcome::Limited { slipped: false }),
        Passage::Slips => {
            // RFC 7873 §5.2.3: a client that takes cookies comes back with a good one, and then has no limit. Others are
            // told to come over TCP.
            let (rcode, truncated) = match recognition {
                Some(_) => (ResponseCode::BADCOOKIE, false),
                None => (ResponseCode::NoError, true),
            };
            let courtesies = courtesies.needed();
            write_code(&envelope, rcode, truncated, &courtesies, out);
            return Responses::One(Outcome::Limited { slipped: true });
        }
    }
    let limit = limit(peer, &envelope).saturating_sub(signer.as_ref().map_or(0, Signer::octets));
    let truncated = write(&envelope, &answer, &courtesies, limit, out);
    if let Some(signer) = &mut signer {
        signer.sign(out, now.wall);
    }
    Responses::One(Outcome::Response {
        rcode: answer.rcode,
        truncated,
    })
}

/// The room a response has.
fn limit(peer: Peer, envelope: &Envelope) -> usize {
    match peer.transport {
        Transport::Udp => udp_limit(envelope.edns),
        _ => usize::from(u16::MAX),
    }
}

/// Appends the TSIG of a refusal. The names in it are the client's and may be longer than the room: then the response goes
/// without, truncated, and the client finds out over a stream.
fn complete_within(limit: usize, refusal: &Refusal, now: Wall, out: &mut Vec<u8>) {
    let mut plain = out.clone();
    refusal.complete(out, now);
    if out.len() > limit {
        plain[2] |= 0x02; // TC
        *out = plain;
    }
}

/// What a request gets, and why it gets no more.
fn answer_to(
    zones: &Zones,
    manners: &Manners,
    request: &Request,
    peer: Peer,
    signed_by: Option<&Name>,
) -> (Answer, Option<ExtendedError>) {
    let question = &request.question;
    let (rcode, why) = match request.operation {
        Operation::Query if question.class == CLASS_CH => match chaos::answer(manners, question) {
            Some(answer) => return (answer, None),
            None => (ResponseCode::Refused, ExtendedError::NotAuthoritative),
        },
        Operation::Query => {
            let edns = &request.envelope.edns;
            let dnssec_ok = edns.is_some_and(|edns| edns.dnssec_ok);
            let answer = answer(zones, question, dnssec_ok);
            let why = match answer.rcode {
                ResponseCode::Refused if zones.is_waiting(&question.name) => {
                    Some(ExtendedError::NotReady)
                }
                ResponseCode::Refused => Some(ExtendedError::NotAuthoritative),
                _ => None,
            };
            return (answer, why);
        }
        // Has been answered by then.
        Operation::Transfer => (ResponseCode::Refused, ExtendedError::Prohibited),
        Operation::Notify => return manners.primaries.notified(&question.name, peer, signed_by),
        // RFC 2136 §3.1.2: whose zone it is comes before who may change it.
        Operation::Update => match zones.version_at(&question.name) {
            Some(_) => (ResponseCode::Refused, ExtendedError::Prohibited),
            None => (ResponseCode::NotAuth, ExtendedError::NotAuthoritative),
        },
    };
    (Answer::empty(rcode), Some(why))
}

fn of_rejection(rcode: ResponseCode) -> Option<ExtendedError> {
    match rcode {
        ResponseCode::NotImp => Some(ExtendedError::NotSupported),
        ResponseCode::Refused => Some(ExtendedError::NotAuthoritative),
        _ => None,
    }
}

/// What is said to everybody who asks for it.
fn courtesies<'a>(manners: &'a Manners, envelope: &Envelope, peer: Peer) -> Courtesies<'a> {
    let Some(edns) = &envelope.edns else {
        return Courtesies::default();
    };
    let nsid = manners.nsid.as_ref().filter(|_| edns.options.nsid);
    // RFC 7828 §3.2.1: never over UDP, where such an option is ignored.
    let idle = peer
        .idle
        .filter(|_| edns.options.keepalive && peer.transport.keeps_connection());
    Courtesies {
        nsid: nsid.map(String::as_bytes),
        keepalive: idle.map(|idle| u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX)),
        // RFC 7830 §4 lets whatever has an OPT be padded, and never where everybody reads it (§6).
        block: peer.transport.is_encrypted().then_some(BLOCK),
        ..Courtesies::default()
    }
}

/// Only forged addresses are worth limiting: over a stream, signed, or with a cookie of ours, the client is where it says.
fn passage(manners: &Manners, answer: &Answer, known: bool, peer: Peer, now: Now) -> Passage {
    match &manners.rate_limit {
        Some(limit) if peer.transport == Transport::Udp && !known => {
            limit.passage(peer.address.ip(), Said::of(answer), now.mono)
        }
        _ => Passage::Goes,
    }
}
