//! From request octets to response octets: the whole way of a query, pure.
//!
//! In: the zones as published, our manners, a message, who sent it and how. Out: the response's octets and what they say,
//! for the counters. Never here: sockets.

use hickory_proto::op::ResponseCode;

use super::answer::{Answer, answer_within};
use super::authority::Manners;
use super::chaos;
use super::cookie::Recognition;
use super::message::{write, write_code};
use super::options::{Courtesies, ExtendedError};
use super::peer::{Arrival, Outcome, Peer, Transport, room};
use super::question::{CLASS_CH, Envelope, Operation, Rejection, Request, Unasked, read};
use super::rate::{Counted, Passage};
use super::refused::{Asked, Refused, Why};
use super::transfer::{Transfer, Unbegun};
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
    /// What the operator may want to know of it.
    refused: Option<Box<Refused>>,
}

impl From<(ResponseCode, Option<ExtendedError>)> for Said {
    fn from((rcode, why): (ResponseCode, Option<ExtendedError>)) -> Said {
        Said::from((Answer::empty(rcode), why))
    }
}

impl From<(Answer, Option<ExtendedError>)> for Said {
    fn from((answer, why): (Answer, Option<ExtendedError>)) -> Said {
        let refused = None;
        Said {
            answer,
            why,
            refused,
        }
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
                let rcode = match rcode {
                    ResponseCode::NoError => self.of_cookie_alone(&envelope),
                    rcode => rcode,
                };
                let said = Said::from((rcode, of_rejection(rcode)));
                return Responses::One(self.say(&envelope, said, signer, out));
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
            Operation::Notify => self.notified(&request, signer.as_ref()),
            Operation::Query => self.look_up(&request),
        };
        Responses::One(self.say(&request.envelope, said, signer, out))
    }

    /// What is said to a request that asks nothing and has a cookie (RFC 7873 §5.4): that its cookie is good, or that it
    /// gets one. Where there are no cookies, it is no question.
    fn of_cookie_alone(&self, envelope: &Envelope) -> ResponseCode {
        let cookie = envelope.edns.and_then(|edns| edns.options.cookie);
        match (cookie, self.recognise(envelope)) {
            (Some(cookie), Some(recognition)) if cookie.repeats && !recognition.known => {
                ResponseCode::BADCOOKIE
            }
            (_, Some(_)) => ResponseCode::NoError,
            (_, None) => ResponseCode::FormErr,
        }
    }

    fn notified(&self, request: &Request, signer: Option<&Signer>) -> Said {
        let question = &request.question;
        let signed_by = signer.map(|signer| signer.key().name());
        let primaries = &self.manners.primaries;
        let (peer, rtype) = (self.arrival.peer, question.rtype);
        match primaries.notified(&question.name, rtype, peer, signed_by) {
            Ok(answer) => Said::from((answer, None)),
            Err((rcode, error, why)) => Said {
                refused: why.map(|why| refused(Asked::Notify, why, &request.envelope, signer)),
                ..Said::from((rcode, error))
            },
        }
    }

    /// What the zones say, or the server of itself.
    fn look_up(&self, request: &Request) -> Said {
        let question = &request.question;
        if question.class == CLASS_CH {
            return match chaos::answer(self.manners, question) {
                Some(answer) => Said::from((answer, None)),
                None => Said::from((ResponseCode::Refused, Some(ExtendedError::NotAuthoritative))),
            };
        }
        let edns = &request.envelope.edns;
        let dnssec_ok = edns.is_some_and(|edns| edns.dnssec_ok);
        let room = room(self.arrival.peer, &request.envelope);
        let answer = answer_within(self.arrival.zones, question, dnssec_ok, room);
        let why = match answer.rcode {
            ResponseCode::Refused if self.arrival.zones.is_waiting(&question.name) => {
                Some(ExtendedError::NotReady)
            }
            ResponseCode::Refused => Some(ExtendedError::NotAuthoritative),
            _ => None,
        };
        Said::from((answer, why))
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
            // What may be asked with a forged address is answered like everything else.
            Ok(begun) if self.arrival.peer.transport == Transport::Udp => {
                let said = Said::from((begun.soa(), None));
                Responses::One(self.say(&request.envelope, said, signer, out))
            }
            Ok(begun) => {
                let courtesies = self.later_courtesies(&request.envelope, signer.as_ref());
                let transfer = Transfer::new(begun, request.envelope, courtesies, signer);
                Responses::Many(Box::new(transfer))
            }
            Err(Unbegun { rcode, error, why }) => {
                let (envelope, signer_of) = (&request.envelope, signer.as_ref());
                let said = Said {
                    refused: why.map(|why| refused(Asked::Transfer, why, envelope, signer_of)),
                    ..Said::from((rcode, error))
                };
                Responses::One(self.say(envelope, said, signer, out))
            }
        }
    }

    /// An update of a zone of ours.
    fn update(&self, request: Request, signer: Option<Signer>, out: &mut Vec<u8>) -> Responses {
        let Request {
            envelope, question, ..
        } = request;
        let updates = &self.manners.updates;
        match updates.begin(&self.arrival, &question.name, signer.as_ref()) {
            Ok(made) => {
                let courtesies = self.later_courtesies(&envelope, signer.as_ref());
                let peer = self.arrival.peer;
                let deferred = Deferred::new(envelope, signer, courtesies, peer, made);
                Responses::Later(Box::new(deferred))
            }
            Err(Unmade::Signature(refusal)) => self.refuse(&envelope, &refusal, out),
            Err(Unmade::Scope(scope)) => {
                let mut refused = refused(Asked::Update, Why::Scope, &envelope, signer.as_ref());
                refused.scope = Some(scope);
                let error = Some(ExtendedError::Prohibited);
                let said = Said {
                    refused: Some(refused),
                    ..Said::from((ResponseCode::Refused, error))
                };
                Responses::One(self.say(&envelope, said, signer, out))
            }
            Err(Unmade::Code(rcode, why)) => {
                let error = (rcode == ResponseCode::Refused).then_some(ExtendedError::Prohibited);
                let said = Said {
                    refused: why.map(|why| refused(Asked::Update, why, &envelope, signer.as_ref())),
                    ..Said::from((rcode, error))
                };
                Responses::One(self.say(&envelope, said, signer, out))
            }
        }
    }

    /// Refuses a request for its signature.
    fn refuse(&self, envelope: &Envelope, refusal: &Refusal, out: &mut Vec<u8>) -> Responses {
        // RFC 8945 §5.2: NOTAUTH, or FORMERR for what cannot even be read.
        let rcode = match refusal.fault() {
            Fault::Malformed => ResponseCode::FormErr,
            _ => ResponseCode::NotAuth,
        };
        let said = Said {
            refused: refusal.key().map(|key| {
                Box::new(Refused {
                    asked: Asked::Signed,
                    why: Why::Signature(refusal.fault()),
                    zone: envelope.question.as_ref().map(|asked| asked.name.clone()),
                    scope: None,
                    key: Some(key.clone()),
                })
            }),
            ..Said::from((rcode, of_rejection(rcode)))
        };
        let recognition = self.recognise(envelope);
        let courtesies = Courtesies {
            extended_error: said.why,
            ..self.courtesies(envelope, recognition, refusal.octets())
        };
        let room = room(self.arrival.peer, envelope);
        let known = recognition.is_some_and(|recognition| recognition.known);
        let outcome = match self.passage(envelope, &said.answer, known) {
            Passage::Goes => written(envelope, said, &courtesies, room, out),
            held_back => return Responses::One(limited(envelope, held_back, &courtesies, out)),
        };
        complete_within(room, refusal, self.arrival.now.wall, out);
        Responses::One(outcome)
    }

    /// Writes a response, with what else is said in it, unless the rate limit holds it back.
    fn say(
        &self,
        envelope: &Envelope,
        said: Said,
        mut signer: Option<Signer>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let recognition = self.recognise(envelope);
        let signature = signer.as_ref().map_or(0, Signer::octets);
        let courtesies = Courtesies {
            extended_error: said.why,
            ..self.courtesies(envelope, recognition, signature)
        };
        let room = room(self.arrival.peer, envelope).saturating_sub(signature);
        let known = signer.is_some() || recognition.is_some_and(|recognition| recognition.known);
        let outcome = match self.passage(envelope, &said.answer, known) {
            Passage::Goes => written(envelope, said, &courtesies, room, out),
            held_back => return limited(envelope, held_back, &courtesies, out),
        };
        if let Some(signer) = &mut signer {
            signer.sign(out, self.arrival.now.wall);
        }
        outcome
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

    /// What the client's cookie comes to; none without one, and where there are no cookies.
    fn recognise(&self, envelope: &Envelope) -> Option<Recognition> {
        let cookie = envelope.edns?.options.cookie?;
        let secrets = self.manners.cookies.as_ref()?;
        let client = self.arrival.peer.address.ip();
        Some(secrets.recognise(cookie, client, self.arrival.now.wall))
    }

    /// What is said to everybody who asks for it, before a signature of so many octets.
    fn courtesies(
        &self,
        envelope: &Envelope,
        recognition: Option<Recognition>,
        signature: usize,
    ) -> Courtesies {
        let Some(edns) = &envelope.edns else {
            return Courtesies {
                signature,
                ..Courtesies::default()
            };
        };
        let peer = self.arrival.peer;
        let nsid = self.manners.nsid.as_ref().filter(|_| edns.options.nsid);
        // RFC 7828 §3.2.1: never over UDP, where such an option is ignored.
        let idle = peer
            .idle
            .filter(|_| edns.options.keepalive && peer.transport.keeps_connection());
        Courtesies {
            nsid: nsid.cloned(),
            cookie: recognition.map(|recognition| recognition.option),
            keepalive: idle.map(|idle| u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX)),
            extended_error: None,
            // RFC 7830 §4 lets whatever has an OPT be padded, and never where everybody reads it (§6).
            block: peer.transport.is_encrypted().then_some(BLOCK),
            signature,
        }
    }

    /// The same for a response that comes later, or in many messages.
    fn later_courtesies(&self, envelope: &Envelope, signer: Option<&Signer>) -> Courtesies {
        let signature = signer.map_or(0, Signer::octets);
        self.courtesies(envelope, self.recognise(envelope), signature)
    }
}

fn written(
    envelope: &Envelope,
    said: Said,
    courtesies: &Courtesies,
    room: usize,
    out: &mut Vec<u8>,
) -> Outcome {
    Outcome::Response {
        rcode: said.answer.rcode,
        truncated: write(envelope, &said.answer, courtesies, room, out),
        refused: said.refused,
    }
}

/// What is sent in the place of a response that the rate limit holds back, if anything is.
fn limited(
    envelope: &Envelope,
    passage: Passage,
    courtesies: &Courtesies,
    out: &mut Vec<u8>,
) -> Outcome {
    let slipped = passage == Passage::Slips;
    if slipped {
        // RFC 7873 §5.2.3: a client that takes cookies comes back with a good one, and then has no limit. Others
        // are told to come over TCP.
        let (rcode, truncated) = match courtesies.cookie {
            Some(_) => (ResponseCode::BADCOOKIE, false),
            None => (ResponseCode::NoError, true),
        };
        write_code(envelope, rcode, truncated, &courtesies.needed(), out);
    }
    Outcome::Limited { slipped }
}

/// What the operator is told of a request that is refused.
fn refused(asked: Asked, why: Why, envelope: &Envelope, signer: Option<&Signer>) -> Box<Refused> {
    Box::new(Refused {
        asked,
        why,
        zone: envelope.question.as_ref().map(|asked| asked.name.clone()),
        key: signer.map(|signer| signer.key().name().clone()),
        scope: None,
    })
}

/// Appends the TSIG of a refusal. The names in it are the client's and may be longer than the room: then the response goes
/// without, truncated, and the client finds out over a stream.
fn complete_within(room: usize, refusal: &Refusal, now: Wall, out: &mut Vec<u8>) {
    let mut plain = out.clone();
    refusal.complete(out, now);
    if out.len() > room {
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
