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
use super::rate::{Counted, Passage};
use super::transfer::Transfer;
use super::update::{Deferred, Unmade};
use crate::clock::{Now, Wall};
use crate::tsig::{self, Fault, Received, Refusal, Signer};
use crate::zone::Zones;

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
    let arrival = Arrival {
        zones,
        manners,
        octets,
        peer,
        now,
    };
    match tsig::receive(octets, &manners.tsig, now.wall) {
        Received::Unsigned => arrival.answer(read, None, out),
        Received::Signed(signer) => arrival.answer(read, Some(signer), out),
        Received::Refused(refusal) => match read {
            Ok(Request { envelope, .. }) | Err(Unasked::Rejected(Rejection { envelope, .. })) => {
                arrival.refuse(&envelope, &refusal, out)
            }
            Err(Unasked::Silent) => Responses::One(Outcome::Silent),
        },
    }
}

/// A request as it came, and what it is answered from.
pub(super) struct Arrival<'a> {
    pub(super) zones: &'a Zones,
    manners: &'a Manners,
    pub(super) octets: &'a [u8],
    pub(super) peer: Peer,
    pub(super) now: Now,
}

/// What a request gets.
struct Said {
    answer: Answer,
    /// Why it gets no more.
    why: Option<ExtendedError>,
}

impl From<(ResponseCode, Option<ExtendedError>)> for Said {
    fn from((rcode, why): (ResponseCode, Option<ExtendedError>)) -> Said {
        let answer = Answer::empty(rcode);
        Said { answer, why }
    }
}

impl Arrival<'_> {
    /// What is said once it is known who signed the request.
    fn answer(
        &self,
        read: Result<Request, Unasked>,
        signer: Option<Signer>,
        out: &mut Vec<u8>,
    ) -> Responses {
        let request = match read {
            Err(Unasked::Silent) => return Responses::One(Outcome::Silent),
            Err(Unasked::Rejected(Rejection { envelope, rcode })) => {
                let said = Said::from((rcode, of_rejection(rcode)));
                return Responses::One(self.say(&envelope, &said, signer, out));
            }
            Ok(request) => request,
        };
        let said = match request.operation {
            Operation::Transfer => return self.transfer(request, signer, out),
            Operation::Update if self.zones.version_at(&request.question.name).is_some() => {
                return self.update(request, signer, out);
            }
            // RFC 2136 §3.1.2: whose zone it is comes before who may change it.
            Operation::Update => {
                let why = ExtendedError::NotAuthoritative;
                Said::from((ResponseCode::NotAuth, Some(why)))
            }
            Operation::Notify => {
                let signed_by = signer.as_ref().map(|signer| signer.key().name());
                let primaries = &self.manners.primaries;
                let (answer, why) =
                    primaries.notified(&request.question.name, self.peer, signed_by);
                Said { answer, why }
            }
            Operation::Query => self.look_up(&request),
        };
        Responses::One(self.say(&request.envelope, &said, signer, out))
    }

    /// What the zones say, or the server of itself.
    fn look_up(&self, request: &Request) -> Said {
        let question = &request.question;
        if question.class == CLASS_CH {
            return match chaos::answer(self.manners, question) {
                Some(answer) => Said { answer, why: None },
                None => Said::from((ResponseCode::Refused, Some(ExtendedError::NotAuthoritative))),
            };
        }
        let edns = &request.envelope.edns;
        let dnssec_ok = edns.is_some_and(|edns| edns.dnssec_ok);
        let answer = answer(self.zones, question, dnssec_ok);
        let why = match answer.rcode {
            ResponseCode::Refused if self.zones.is_waiting(&question.name) => {
                Some(ExtendedError::NotReady)
            }
            ResponseCode::Refused => Some(ExtendedError::NotAuthoritative),
            _ => None,
        };
        Said { answer, why }
    }

    fn transfer(&self, request: Request, signer: Option<Signer>, out: &mut Vec<u8>) -> Responses {
        let transfers = &self.manners.transfers;
        match transfers.begin(
            self.zones,
            &request,
            self.octets,
            self.peer,
            signer.as_ref(),
        ) {
            Ok(begun) => {
                let transfer = Transfer::new(begun, request.envelope, signer);
                transfer.first(self.peer, self.now.wall, out)
            }
            Err(refused) => {
                let said = Said::from(refused);
                Responses::One(self.say(&request.envelope, &said, signer, out))
            }
        }
    }

    /// An update of a zone of ours.
    fn update(&self, request: Request, signer: Option<Signer>, out: &mut Vec<u8>) -> Responses {
        let Request {
            envelope, question, ..
        } = request;
        let updates = &self.manners.updates;
        let rcode = match updates.begin(self, &question.name, signer.as_ref()) {
            Ok(made) => {
                return Responses::Later(Box::new(Deferred::new(envelope, signer, made)));
            }
            Err(Unmade::Signature(refusal)) => return self.refuse(&envelope, &refusal, out),
            Err(Unmade::Code(rcode)) => rcode,
        };
        let why = (rcode == ResponseCode::Refused).then_some(ExtendedError::Prohibited);
        Responses::One(self.say(&envelope, &Said::from((rcode, why)), signer, out))
    }

    /// Refuses a request for its signature.
    fn refuse(&self, envelope: &Envelope, refusal: &Refusal, out: &mut Vec<u8>) -> Responses {
        // RFC 8945 §5.2: NOTAUTH, or FORMERR for what cannot even be read.
        let rcode = match refusal.fault() {
            Fault::Malformed => ResponseCode::FormErr,
            _ => ResponseCode::NotAuth,
        };
        let said = Said::from((rcode, of_rejection(rcode)));
        let outcome = self.say(envelope, &said, None, out);
        if matches!(outcome, Outcome::Response { .. }) {
            complete_within(limit(self.peer, envelope), refusal, self.now.wall, out);
        }
        Responses::One(outcome)
    }

    /// Writes a response, with what else is said in it, unless the rate limit holds it back.
    fn say(
        &self,
        envelope: &Envelope,
        said: &Said,
        mut signer: Option<Signer>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let cookie = envelope.edns.and_then(|edns| edns.options.cookie);
        let recognition = match (&self.manners.cookies, cookie) {
            (Some(secrets), Some(cookie)) => {
                Some(secrets.recognise(cookie, self.peer.address.ip(), self.now.wall))
            }
            _ => None,
        };
        let courtesies = Courtesies {
            extended_error: said.why,
            cookie: recognition.map(|recognition| recognition.option),
            ..courtesies(self.manners, envelope, self.peer)
        };
        let known = signer.is_some() || recognition.is_some_and(|recognition| recognition.known);
        match self.passage(envelope, &said.answer, known) {
            Passage::Goes => {}
            Passage::Withheld => return Outcome::Limited { slipped: false },
            Passage::Slips => {
                // RFC 7873 §5.2.3: a client that takes cookies comes back with a good one, and then has no limit. Others
                // are told to come over TCP.
                let (rcode, truncated) = match recognition {
                    Some(_) => (ResponseCode::BADCOOKIE, false),
                    None => (ResponseCode::NoError, true),
                };
                write_code(envelope, rcode, truncated, &courtesies.needed(), out);
                return Outcome::Limited { slipped: true };
            }
        }
        let signature = signer.as_ref().map_or(0, Signer::octets);
        let limit = limit(self.peer, envelope).saturating_sub(signature);
        let truncated = write(envelope, &said.answer, &courtesies, limit, out);
        if let Some(signer) = &mut signer {
            signer.sign(out, self.now.wall);
        }
        Outcome::Response {
            rcode: said.answer.rcode,
            truncated,
        }
    }

    /// Only forged addresses are worth limiting: over a stream, signed, or with a cookie of ours, the client is where it
    /// says.
    fn passage(&self, envelope: &Envelope, answer: &Answer, known: bool) -> Passage {
        match &self.manners.rate_limit {
            Some(limit) if self.peer.transport == Transport::Udp && !known => {
                let counted = Counted::of(envelope, answer);
                limit.passage(self.peer.address.ip(), counted, self.now.mono)
            }
            _ => Passage::Goes,
        }
    }
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
