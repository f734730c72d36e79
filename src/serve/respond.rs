//! From request octets to response octets: the whole way of a query, pure.
//!
//! In: the zones as published, our manners, a message, who sent it and how. Out: the response's octets and what they say,
//! for the counters. Never here: sockets.

use hickory_proto::op::ResponseCode;

use super::answer::{Answer, answer};
use super::authority::Manners;
use super::chaos;
use super::message::{udp_limit, write, write_code};
use super::options::{Courtesies, ExtendedError};
use super::peer::{Arrival, Outcome, Peer, Transport};
use super::question::{CLASS_CH, Envelope, Operation, Rejection, Request, Unasked, read};
use super::rate::{Counted, Passage};
use super::transfer::Transfer;
use super::update::{Deferred, Unmade};
use crate::clock::{Now, Wall};
use crate::tsig::{self, Fault, Received, Refusal, Signer};
use crate::zone::Zones;

/// Responses on encrypted transports have a multiple of this many octets (RFC 8467 §4.1).
const BLOCK: usize = 468;

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
        octets,
        peer,
        now,
    };
    let answering = Answering { arrival, manners };
    match tsig::receive(octets, &manners.tsig, now.wall) {
        Received::Unsigned => answering.answer(read, None, out),
        Received::Signed(signer) => answering.answer(read, Some(signer), out),
        Received::Refused(refusal) => match read {
            Ok(Request { envelope, .. }) | Err(Unasked::Rejected(Rejection { envelope, .. })) => {
                answering.refuse(&envelope, &refusal, out)
            }
            Err(Unasked::Silent) => Responses::One(Outcome::Silent),
        },
    }
}

/// A request being answered.
struct Answering<'a> {
    arrival: Arrival<'a>,
    manners: &'a Manners,
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

impl Answering<'_> {
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
            Operation::Update
                if self
                    .arrival
                    .zones
                    .version_at(&request.question.name)
                    .is_some() =>
            {
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
                    primaries.notified(&request.question.name, self.arrival.peer, signed_by);
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
        let answer = answer(self.arrival.zones, question, dnssec_ok);
        let why = match answer.rcode {
            ResponseCode::Refused if self.arrival.zones.is_waiting(&question.name) => {
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
            self.arrival.zones,
            &request,
            self.arrival.octets,
            self.arrival.peer,
            signer.as_ref(),
        ) {
            Ok(begun) => {
                let transfer = Transfer::new(begun, request.envelope, signer);
                match self.arrival.peer.transport {
                    Transport::Udp => Responses::One(transfer.alone(self.arrival.now.wall, out)),
                    _ => Responses::Many(Box::new(transfer)),
                }
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
        let rcode = match updates.begin(&self.arrival, &question.name, signer.as_ref()) {
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
            complete_within(
                limit(self.arrival.peer, envelope),
                refusal,
                self.arrival.now.wall,
                out,
            );
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
            (Some(secrets), Some(cookie)) => Some(secrets.recognise(
                cookie,
                self.arrival.peer.address.ip(),
                self.arrival.now.wall,
            )),
            _ => None,
        };
        let courtesies = Courtesies {
            extended_error: said.why,
            cookie: recognition.map(|recognition| recognition.option),
            ..courtesies(self.manners, envelope, self.arrival.peer)
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
        let limit = limit(self.arrival.peer, envelope).saturating_sub(signature);
        let truncated = write(envelope, &said.answer, &courtesies, limit, out);
        if let Some(signer) = &mut signer {
            signer.sign(out, self.arrival.now.wall);
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
            Some(limit) if self.arrival.peer.transport == Transport::Udp && !known => {
                let counted = Counted::of(envelope, answer);
                limit.passage(
                    self.arrival.peer.address.ip(),
                    counted,
                    self.arrival.now.mono,
                )
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
