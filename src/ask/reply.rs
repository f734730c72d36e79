//! Reading a reply.
//!
//! In: the octets of one message that somebody sent. Out: a [`Reply`] with whole names, or why there is none. Every
//! step is bounded by the octets that are there: no count makes us allocate, and compression pointers only lead
//! backwards. Never here: whether the reply answers the question asked; that is `client`.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::serve::{Question, name_at, rdata_at};
use crate::zone::{Name, Rdata};

const HEADER: usize = 12;

/// Why octets are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than a header.
    #[error("it is shorter than a header")]
    Short,
    /// A request, not a reply.
    #[error("it is a request, not a reply")]
    Request,
    /// A name that ends early, is too long, or whose pointers do not lead backwards.
    #[error("a name in it cannot be read")]
    Name,
    /// A question or record that ends early.
    #[error("it ends in the middle of a record")]
    Record,
    /// RDATA that does not have the fields of its type.
    #[error("a record in it does not have the fields of its type")]
    Rdata,
    /// More than one OPT, or one that is not whole (RFC 6891 §6.1.1).
    #[error("its OPT record cannot be read")]
    Opt,
    /// Octets after the last record.
    #[error("it has octets after its last record")]
    Trailing,
}

/// A record as somebody sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The owner, case as sent.
    pub owner: Name,
    /// The type.
    pub rtype: RecordType,
    /// The class, 1 for IN.
    pub class: u16,
    /// The TTL in seconds, as sent.
    pub ttl: u32,
    /// The data, its names uncompressed.
    pub rdata: Rdata,
}

impl Record {
    /// Appends the record, uncompressed.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.owner.wire());
        out.extend(u16::from(self.rtype).to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out.extend(self.ttl.to_be_bytes());
        let rdata = self.rdata.wire();
        out.extend(u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(rdata);
    }
}

/// EDNS(0) of a reply (RFC 6891).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyEdns {
    /// The version of the server.
    pub version: u8,
    /// The largest datagram the server takes.
    pub udp_size: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
    /// Option codes with their data.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// A reply, whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The identifier.
    pub id: u16,
    /// The operation, 0 to 15.
    pub opcode: u8,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// RA.
    pub recursion_available: bool,
    /// AD: a validating resolver found everything in it authentic.
    pub authentic_data: bool,
    /// The code, with the upper bits of the OPT.
    pub rcode: ResponseCode,
    /// The question, when there is exactly one.
    pub question: Option<Question>,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The additional section without its OPT.
    pub additionals: Vec<Record>,
    /// What the OPT said; none without one.
    pub edns: Option<ReplyEdns>,
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// When the octets are not exactly one message, or it is a request.
    pub fn read(octets: &[u8]) -> Result<Reply, Malformed> {
        let header = octets.get(..HEADER).ok_or(Malformed::Short)?;
        if header[2] & 0x80 == 0 {
            return Err(Malformed::Request);
        }
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let mut reply = Reply {
            id: word(0),
            opcode: header[2] >> 3 & 0x0f,
            authoritative: header[2] & 0x04 != 0,
            truncated: header[2] & 0x02 != 0,
            recursion_available: header[3] & 0x80 != 0,
            authentic_data: header[3] & 0x20 != 0,
            rcode: ResponseCode::from(0, header[3] & 0x0f),
            question: None,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            edns: None,
        };
        let mut reader = Reader { octets, at: HEADER };
        for n in 0..word(4) {
            let question = reader.question()?;
            reply.question = (n == 0 && word(4) == 1).then_some(question);
        }
        for (section, count) in [word(6), word(8), word(10)].into_iter().enumerate() {
            for _ in 0..count {
                match reader.record()? {
                    Read::Record(record) => match section {
                        0 => reply.answers.push(record),
                        1 => reply.authorities.push(record),
                        _ => reply.additionals.push(record),
                    },
                    Read::Opt { edns, extended } => {
                        if section != 2 || reply.edns.replace(edns).is_some() {
                            return Err(Malformed::Opt);
                        }
                        reply.rcode = ResponseCode::from(extended, header[3] & 0x0f);
                    }
                }
            }
        }
        if reader.at == octets.len() {
            Ok(reply)
        } else {
            Err(Malformed::Trailing)
        }
    }

    /// The RDATA of the answers with this owner and type, in class IN.
    pub fn answers_of<'a>(
        &'a self,
        owner: &'a Name,
        rtype: RecordType,
    ) -> impl Iterator<Item = &'a Record> {
        of(&self.answers, owner, rtype)
    }

    /// The same in the authority section.
    pub fn authorities_of<'a>(
        &'a self,
        owner: &'a Name,
        rtype: RecordType,
    ) -> impl Iterator<Item = &'a Record> {
        of(&self.authorities, owner, rtype)
    }

    /// The same in the additional section.
    pub fn additionals_of<'a>(
        &'a self,
        owner: &'a Name,
        rtype: RecordType,
    ) -> impl Iterator<Item = &'a Record> {
        of(&self.additionals, owner, rtype)
    }
}

fn of<'a>(
    records: &'a [Record],
    owner: &'a Name,
    rtype: RecordType,
) -> impl Iterator<Item = &'a Record> {
    records
        .iter()
        .filter(move |r| r.rtype == rtype && r.class == 1 && r.owner == *owner)
}

enum Read {
    Record(Record),
    Opt { edns: ReplyEdns, extended: u8 },
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn question(&mut self) -> Result<Question, Malformed> {
        let name = self.name()?;
        let fixed = self.take(4)?;
        Ok(Question {
            name,
            rtype: RecordType::from(u16::from_be_bytes([fixed[0], fixed[1]])),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
        })
    }

    fn record(&mut self) -> Result<Read, Malformed> {
        let owner = self.name()?;
        let fixed = self.take(10)?;
        let rtype = RecordType::from(u16::from_be_bytes([fixed[0], fixed[1]]));
        let class = u16::from_be_bytes([fixed[2], fixed[3]]);
        let ttl = [fixed[4], fixed[5], fixed[6], fixed[7]];
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let start = self.at;
        let rdata = self.take(length)?;
        if rtype == RecordType::OPT {
            if !owner.is_root() {
                return Err(Malformed::Opt);
            }
            let edns = ReplyEdns {
                version: ttl[1],
                udp_size: class,
                dnssec_ok: ttl[2] & 0x80 != 0,
                options: options(rdata).ok_or(Malformed::Opt)?,
            };
            let extended = ttl[0];
            return Ok(Read::Opt { edns, extended });
        }
        Ok(Read::Record(Record {
            owner,
            rtype,
            class,
            ttl: lifetime(u32::from_be_bytes(ttl)),
            rdata: rdata_at(self.octets, rtype, start..start + length).ok_or(Malformed::Rdata)?,
        }))
    }

    /// A name, its pointers followed.
    fn name(&mut self) -> Result<Name, Malformed> {
        let (name, end) = name_at(self.octets, self.at).ok_or(Malformed::Name)?;
        self.at = end;
        Ok(name)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let octets = self.octets.get(self.at..self.at + count);
        self.at += count;
        octets.ok_or(Malformed::Record)
    }
}

/// A TTL is a number of 31 bits, and one with the 32nd set counts as zero (RFC 2181 §8).
fn lifetime(ttl: u32) -> u32 {
    if ttl > i32::MAX.cast_unsigned() {
        0
    } else {
        ttl
    }
}

fn options(rdata: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    let mut options = Vec::new();
    let mut rest = rdata;
    while !rest.is_empty() {
        let (fixed, after) = rest.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let (data, after) = after.split_at_checked(length)?;
        options.push((u16::from_be_bytes([fixed[0], fixed[1]]), data.to_vec()));
        rest = after;
    }
    Some(options)
}
