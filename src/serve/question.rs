//! Reading a request.
//!
//! In: the octets of a datagram or of one TCP message. Out: a [`Request`] to answer, a [`Rejection`] to send back,
//! or nothing to say. Every step is bounded by the octets that are there: no count in the header makes us
//! allocate. Never here: zones.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::options::{BadOptions, Options};
use crate::zone::Name;

/// The least a message has: its header.
const HEADER: usize = 12;
/// The Internet.
pub(super) const CLASS_IN: u16 = 1;
/// CHAOS, in which servers are asked about themselves (RFC 4892).
pub(super) const CLASS_CH: u16 = 3;
/// Operations (RFC 6895 §2.2) that are told apart.
const QUERY: u8 = 0;
const NOTIFY: u8 = 4;
const UPDATE: u8 = 5;

/// What a response repeats of its request, whatever it says.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The identifier.
    pub id: u16,
    /// The operation, 0 to 15.
    pub opcode: u8,
    /// Recursion desired: copied, never done.
    pub recursion_desired: bool,
    /// The question as asked, case included; none when it could not be read.
    pub question: Option<Question>,
    /// What the request's OPT said; none without one.
    pub edns: Option<Edns>,
}

impl Envelope {
    fn asks_for_a_cookie(&self, questions: u16) -> bool {
        let cookie = self.edns.and_then(|edns| edns.options.cookie);
        self.opcode == QUERY && questions == 0 && cookie.is_some()
    }
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name, in the case it was asked in.
    pub name: Name,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: u16,
}

/// EDNS(0) of a request (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The version; only 0 is understood.
    pub version: u8,
    /// The largest datagram the client takes, as it said.
    pub udp_size: u16,
    /// DNSSEC OK (RFC 3225): echoed.
    pub dnssec_ok: bool,
    /// What its options say; nothing in another version than 0.
    pub options: Options,
}

/// What a request wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An answer to the question.
    Query,
    /// The whole zone, or what changed in it: a query for AXFR or IXFR (RFC 5936, RFC 1995).
    Transfer,
    /// That we hear of a change at a primary (RFC 1996). The question names the zone.
    Notify,
    /// A change of the zone that the question names (RFC 2136).
    Update,
}

/// A request that concerns a zone.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// What the response repeats.
    pub envelope: Envelope,
    /// The question; the zone section of an update.
    pub question: Question,
}

/// A request that is answered without looking at any zone.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// What the response repeats.
    pub envelope: Envelope,
    /// Why. NOERROR for a query that has a cookie and no question (RFC 7873 §5.4), which is a format error to servers
    /// without cookies.
    pub rcode: ResponseCode,
}

/// Why a message is not a request for the zones.
#[derive(Clone, Debug)]
pub enum Unasked {
    /// It is a response, or shorter than a header: saying anything could start a loop.
    Silent,
    /// It gets an error.
    Rejected(Rejection),
}

/// Reads a message.
pub fn read(octets: &[u8]) -> Result<Request, Unasked> {
    let Some((header, body)) = octets.split_at_checked(HEADER) else {
        return Err(Unasked::Silent);
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[2] & 0x80 != 0 {
        return Err(Unasked::Silent);
    }
    let mut envelope = Envelope {
        id: word(0),
        opcode: header[2] >> 3 & 0x0f,
        recursion_desired: header[2] & 1 != 0,
        question: None,
        edns: None,
    };
    let counts = [word(4), word(6), word(8), word(10)];
    let whole = sections(body, counts, &mut envelope);
    let rcode = match (&whole, &envelope.edns) {
        // RFC 6891 §6.1.3: before anything else that an unknown version might have meant otherwise.
        (Ok(()), Some(edns)) if edns.version != 0 => ResponseCode::BADVERS,
        _ if !matches!(envelope.opcode, QUERY | NOTIFY | UPDATE) => ResponseCode::NotImp,
        (Err(Malformed), _) => ResponseCode::FormErr,
        (Ok(()), _) => match &envelope.question {
            // RFC 7873 §5.4: a query that has no question may have a cookie, and ask for one.
            None if envelope.asks_for_a_cookie(counts[0]) => ResponseCode::NoError,
            // RFC 9619 §3: no query has more than one question, and those above alone have none; RFC 1996 §3.7 and RFC 2136
            // §2.3 say the same of theirs.
            None => ResponseCode::FormErr,
            Some(question) => match operation(envelope.opcode, question) {
                Err(rcode) => rcode,
                Ok(operation) => {
                    let question = question.clone();
                    return Ok(Request {
                        operation,
                        envelope,
                        question,
                    });
                }
            },
        },
    };
    Err(Unasked::Rejected(Rejection { envelope, rcode }))
}

/// What is asked for, or the code for a question that no zone has an answer to.
fn operation(opcode: u8, question: &Question) -> Result<Operation, ResponseCode> {
    let number = u16::from(question.rtype);
    let operation = match (opcode, number) {
        (NOTIFY, _) => Operation::Notify,
        // RFC 2136 §3.1.1: a zone is named by its SOA.
        (UPDATE, 6) => Operation::Update,
        (UPDATE, _) => return Err(ResponseCode::FormErr),
        // SIG(0)'s 0, OPT, TKEY and TSIG are never asked for; nor is NXNAME (RFC 9824 §3.5).
        (_, 0 | 41 | 128 | 249 | 250) => return Err(ResponseCode::FormErr),
        (_, 251 | 252) => Operation::Transfer,
        // MAILB, MAILA and unassigned question types (RFC 6895 §3.1).
        (_, 129..=248 | 253 | 254) => return Err(ResponseCode::NotImp),
        _ => Operation::Query,
    };
    match question.class {
        CLASS_IN => Ok(operation),
        CLASS_CH if operation == Operation::Query => Ok(operation),
        _ => Err(ResponseCode::Refused),
    }
}

struct Malformed;

/// Walks all four sections, taking the one question and the OPT.
fn sections(body: &[u8], counts: [u16; 4], envelope: &mut Envelope) -> Result<(), Malformed> {
    let mut rest = body;
    for n in 0..counts[0] {
        let (question, after) = read_question(rest)?;
        envelope.question = (n == 0 && counts[0] == 1).then_some(question);
        rest = after;
    }
    for (section, count) in counts.into_iter().enumerate().skip(1) {
        for _ in 0..count {
            let (record, after) = read_record(rest)?;
            rest = after;
            if section < 3 || record.rtype != u16::from(RecordType::OPT) {
                continue;
            }
            // RFC 6891 §6.1.1: one OPT, owned by the root.
            if !record.owned_by_root || envelope.edns.is_some() {
                return Err(Malformed);
            }
            let ttl = record.ttl.to_be_bytes();
            let version = ttl[1];
            let options = match version {
                0 => Options::read(record.rdata),
                _ if Options::are_whole(record.rdata) => Ok(Options::default()),
                _ => Err(BadOptions),
            };
            envelope.edns = Some(Edns {
                version,
                udp_size: record.class,
                dnssec_ok: ttl[2] & 0x80 != 0,
                options: options.unwrap_or_default(),
            });
            options.map_err(|BadOptions| Malformed)?;
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Malformed)
    }
}

/// The serial in the SOA that an IXFR request has in its authority section (RFC 1995 §3); none without one. The request
/// has been read before.
pub(super) fn soa_of_ixfr(octets: &[u8]) -> Option<u32> {
    let (header, body) = octets.split_at_checked(HEADER)?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (_, mut rest) = read_question(body).ok()?;
    for _ in 0..count(6) {
        rest = read_record(rest).ok()?.1;
    }
    for _ in 0..count(8) {
        let (record, after) = read_record(rest).ok()?;
        if record.rtype == u16::from(RecordType::SOA) {
            // Two names, then the serial and four timers (RFC 1035 §3.3.13).
            let timers = skip_name(skip_name(record.rdata).ok()?).ok()?;
            let (serial, others) = timers.split_first_chunk()?;
            return (others.len() == 16).then_some(u32::from_be_bytes(*serial));
        }
        rest = after;
    }
    None
}

fn read_question(octets: &[u8]) -> Result<(Question, &[u8]), Malformed> {
    // A pointer in the first name of a message can point at nothing but the header: not a name.
    let (name, used) = Name::read_wire(octets).map_err(|_| Malformed)?;
    let after = &octets[used..];
    let (fixed, rest) = after.split_at_checked(4).ok_or(Malformed)?;
    let question = Question {
        name,
        rtype: RecordType::from(u16::from_be_bytes([fixed[0], fixed[1]])),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
    };
    Ok((question, rest))
}

struct RecordHead<'a> {
    owned_by_root: bool,
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: &'a [u8],
}

fn read_record(octets: &[u8]) -> Result<(RecordHead<'_>, &[u8]), Malformed> {
    let after = skip_name(octets)?;
    let (fixed, rest) = after.split_at_checked(10).ok_or(Malformed)?;
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let (rdata, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
    let head = RecordHead {
        owned_by_root: octets.first() == Some(&0),
        rtype: u16::from_be_bytes([fixed[0], fixed[1]]),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        rdata,
    };
    Ok((head, rest))
}

/// Goes past a name without following pointers: nothing but OPT matters to us, and the root owns that.
fn skip_name(octets: &[u8]) -> Result<&[u8], Malformed> {
    let mut rest = octets;
    loop {
        let (&length, after) = rest.split_first().ok_or(Malformed)?;
        match length {
            0 => return Ok(after),
            1..=63 => rest = after.get(usize::from(length)..).ok_or(Malformed)?,
            192.. => return after.get(1..).ok_or(Malformed),
            _ => return Err(Malformed),
        }
    }
}
