//! Writing a response: records, sizes, truncation.
//!
//! In: what the response repeats, an answer, the room there is. Out: octets that fit, an OPT among them whenever
//! the request had one, and nothing after the last record. RRsets go in whole or not at all (RFC 2181 §9).
//! Never here: what is said; which names are pointed at (`names`).

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::answer::{Answer, Placed};
use super::names::Names;
use super::options::Courtesies;
use super::question::{CLASS_IN, Edns, Envelope, Question};
use crate::zone::{Name, Rdata, ZoneRecord, compresses_names};

/// The largest datagram we send or announce: it passes every path in use without fragments.
pub const UDP_LIMIT: u16 = 1232;
/// What a datagram may have without EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP_LIMIT: u16 = 512;
const HEADER: usize = 12;
const OPT: usize = 11;

/// The room a response over UDP has: what the client takes, at least 512 (RFC 6891 §6.2.3), at most 1232.
pub fn udp_limit(edns: Option<Edns>) -> usize {
    let size = edns.map_or(PLAIN_UDP_LIMIT, |edns| {
        edns.udp_size.clamp(PLAIN_UDP_LIMIT, UDP_LIMIT)
    });
    usize::from(size)
}

/// Writes a response of at most `limit` octets into `out`, replacing what is there. Says whether it had to be
/// truncated (TC).
pub fn write(
    envelope: &Envelope,
    answer: &Answer,
    courtesies: &Courtesies,
    limit: usize,
    out: &mut Vec<u8>,
) -> bool {
    let truncated = attempt(envelope, answer, courtesies, limit, out);
    let fits = !truncated && out.len() <= limit;
    let needed = courtesies.needed();
    if fits || envelope.edns.is_none() || needed.length() == courtesies.length() {
        return truncated;
    }
    // The answer is worth more than what is said besides it.
    attempt(envelope, answer, &needed, limit, out)
}

fn attempt(
    envelope: &Envelope,
    answer: &Answer,
    courtesies: &Courtesies,
    limit: usize,
    out: &mut Vec<u8>,
) -> bool {
    let reserve = match envelope.edns {
        Some(_) => OPT + courtesies.length(),
        None => 0,
    };
    let limit_of_sections = limit.saturating_sub(reserve);
    let mut writer = Writer::new(envelope.question.as_ref(), limit_of_sections, out);
    let body = writer.out.len();
    let mut counts = [0_u16; 3];
    let mut truncated = !writer.required(&answer.answers, &mut counts[0])
        || !writer.required(&answer.authorities, &mut counts[1]);
    if truncated {
        // A part of an answer helps nobody: the client asks again over TCP.
        writer.rewind(body);
        counts = [0; 3];
    } else {
        for placed in &answer.additionals {
            let fits = writer.rrset(placed, &mut counts[2]);
            truncated |= !fits && placed.required;
        }
    }
    let question = u16::from(envelope.question.is_some());
    let additional = counts[2] + u16::from(envelope.edns.is_some());
    let flags = Flags {
        authoritative: answer.authoritative,
        truncated,
    };
    let counts = [question, counts[0], counts[1], additional];
    if let Some(edns) = &envelope.edns {
        push_opt(out, edns, answer.rcode, courtesies, limit);
    }
    put_header(out, envelope, flags, answer.rcode, counts);
    truncated
}

/// Writes a response that says nothing but its code, and that there would be more when `truncated` (TC). It has at most
/// 512 octets, or one block of padding, whatever is said besides.
pub fn write_code(
    envelope: &Envelope,
    rcode: ResponseCode,
    truncated: bool,
    courtesies: &Courtesies,
    out: &mut Vec<u8>,
) {
    let limit = usize::from(u16::MAX);
    Writer::new(envelope.question.as_ref(), limit, out);
    let flags = Flags {
        authoritative: false,
        truncated,
    };
    let question = u16::from(envelope.question.is_some());
    let counts = [question, 0, 0, u16::from(envelope.edns.is_some())];
    if let Some(edns) = &envelope.edns {
        push_opt(out, edns, rcode, courtesies, limit);
    }
    put_header(out, envelope, flags, rcode, counts);
}

#[derive(Clone, Copy)]
struct Flags {
    authoritative: bool,
    truncated: bool,
}

/// RD is copied; RA, AD and CD are clear: we neither recurse nor validate (RFC 4035 §3.1.6 for CD).
fn put_header(
    out: &mut [u8],
    envelope: &Envelope,
    flags: Flags,
    rcode: ResponseCode,
    counts: [u16; 4],
) {
    out[..2].copy_from_slice(&envelope.id.to_be_bytes());
    out[2] = 0x80
        | envelope.opcode << 3
        | u8::from(flags.authoritative) << 2
        | u8::from(flags.truncated) << 1
        | u8::from(envelope.recursion_desired);
    out[3] = rcode.low();
    for (n, count) in counts.into_iter().enumerate() {
        out[4 + 2 * n..6 + 2 * n].copy_from_slice(&count.to_be_bytes());
    }
}

fn push_opt(
    out: &mut Vec<u8>,
    edns: &Edns,
    rcode: ResponseCode,
    courtesies: &Courtesies,
    limit: usize,
) {
    out.push(0);
    out.extend(u16::from(RecordType::OPT).to_be_bytes());
    out.extend(UDP_LIMIT.to_be_bytes());
    // Extended code, version 0, DO as asked (RFC 6891 §6.1.3, §6.1.4).
    out.extend([rcode.high(), 0, u8::from(edns.dnssec_ok) << 7, 0]);
    courtesies.push(limit, out);
}

/// One message of a transfer, being written.
pub(super) struct Page<'a> {
    writer: Writer<'a>,
    envelope: &'a Envelope,
    courtesies: &'a Courtesies,
    question: u16,
    records: u16,
    limit: usize,
}

impl<'a> Page<'a> {
    /// Begins a message of at most `limit` octets in `out`, with the question or without.
    pub(super) fn begin(
        envelope: &'a Envelope,
        courtesies: &'a Courtesies,
        with_question: bool,
        limit: usize,
        out: &'a mut Vec<u8>,
    ) -> Page<'a> {
        let reserve = match envelope.edns {
            Some(_) => OPT + courtesies.length(),
            None => 0,
        };
        let asked = envelope.question.as_ref().filter(|_| with_question);
        Page {
            writer: Writer::new(asked, limit.saturating_sub(reserve), out),
            envelope,
            courtesies,
            question: u16::from(asked.is_some()),
            records: 0,
            limit,
        }
    }

    /// Writes a record into the answer section, or nothing when it does not fit.
    pub(super) fn add(&mut self, record: ZoneRecord<'_>) -> bool {
        let before = self.writer.out.len();
        let (owner, rtype, ttl, rdata) = (record.owner, record.rtype, record.ttl, record.rdata);
        self.writer.record(owner, rtype, ttl, rdata);
        if self.writer.out.len() > self.writer.limit || self.records == u16::MAX {
            self.writer.rewind(before);
            return false;
        }
        self.records += 1;
        true
    }

    /// Completes the message; says how many records it has.
    pub(super) fn finish(self) -> u16 {
        let out = self.writer.out;
        if let Some(edns) = &self.envelope.edns {
            let rcode = ResponseCode::NoError;
            push_opt(out, edns, rcode, self.courtesies, self.limit);
        }
        let flags = Flags {
            authoritative: true,
            truncated: false,
        };
        let additional = u16::from(self.envelope.edns.is_some());
        let counts = [self.question, self.records, 0, additional];
        put_header(out, self.envelope, flags, ResponseCode::NoError, counts);
        self.records
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    names: Names,
    limit: usize,
    /// The question's, and its answer's.
    class: u16,
}

impl Writer<'_> {
    /// Leaves room for the header and writes the question.
    fn new<'a>(question: Option<&Question>, limit: usize, out: &'a mut Vec<u8>) -> Writer<'a> {
        out.clear();
        out.resize(HEADER, 0);
        let mut writer = Writer {
            out,
            names: Names::default(),
            limit,
            class: CLASS_IN,
        };
        if let Some(question) = question {
            writer.names.write_first(question.name.wire(), writer.out);
            writer.out.extend(u16::from(question.rtype).to_be_bytes());
            writer.out.extend(question.class.to_be_bytes());
            writer.class = question.class;
        }
        writer
    }

    /// Writes RRsets that must all be there; says whether they fit.
    fn required(&mut self, sets: &[Placed], count: &mut u16) -> bool {
        sets.iter().all(|placed| self.rrset(placed, count))
    }

    /// Writes an RRset, or nothing of it when it does not fit.
    fn rrset(&mut self, placed: &Placed, count: &mut u16) -> bool {
        let before = self.out.len();
        for rdata in &placed.set.rdatas {
            self.record(&placed.owner, placed.set.rtype, placed.ttl, rdata);
            if self.out.len() > self.limit {
                self.rewind(before);
                return false;
            }
        }
        *count += u16::try_from(placed.set.rdatas.len()).unwrap_or(u16::MAX);
        true
    }

    fn record(&mut self, owner: &Name, rtype: RecordType, ttl: u32, rdata: &Rdata) {
        self.names.write(owner.wire(), self.out);
        self.out.extend(u16::from(rtype).to_be_bytes());
        self.out.extend(self.class.to_be_bytes());
        self.out.extend(ttl.to_be_bytes());
        let length_at = self.out.len();
        self.out.extend([0, 0]);
        self.rdata(rtype, rdata.wire());
        let length = u16::try_from(self.out.len() - length_at - 2).unwrap_or(u16::MAX);
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// Names in RDATA are compressed only for the types of RFC 1035 (RFC 3597 §4; RFC 2782 for SRV targets).
    fn rdata(&mut self, rtype: RecordType, wire: &[u8]) {
        if !compresses_names(rtype) {
            self.out.extend_from_slice(wire);
            return;
        }
        let names = match rtype {
            RecordType::SOA => 2,
            _ => 1,
        };
        let mut rest = wire;
        if rtype == RecordType::MX {
            let (preference, name) = wire.split_at(2);
            self.out.extend_from_slice(preference);
            rest = name;
        }
        for _ in 0..names {
            let length = name_length(rest);
            self.names.write(&rest[..length], self.out);
            rest = &rest[length..];
        }
        self.out.extend_from_slice(rest);
    }

    fn rewind(&mut self, to: usize) {
        self.out.truncate(to);
        self.names.rewind(to);
    }
}

fn name_length(wire: &[u8]) -> usize {
    let mut at = 0;
    while wire[at] != 0 {
        at += 1 + usize::from(wire[at]);
    }
    at + 1
}
