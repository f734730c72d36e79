//! What a message says, in a form in which equal means equal: read by the `domain` crate, which shares no code with us.
//!
//! In: octets. Out: code, flags, and each section as a set of records, names in lower case, RDATA in canonical form.
//! Order and compression are not compared; records twice, octets left over and unreadable data are faults.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use domain::base::iana::Rtype;
use domain::base::rdata::ComposeRecordData as _;
use domain::base::{Message, ToName as _};
use domain::rdata::AllRecordData;

/// One record. Equal when all but the text is: the text has the case that was sent, or that compression made of it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// In lower case, with its last dot.
    pub(crate) owner: String,
    pub(crate) rtype: u16,
    /// For an RRSIG the type it covers, else zero.
    pub(crate) covered: u16,
    pub(crate) ttl: u32,
    /// Canonical octets.
    pub(crate) rdata: Vec<u8>,
    /// As people read it.
    pub(crate) text: String,
}

impl Record {
    /// Whether it is of this type, or a signature over it: the two are said or not said together.
    pub(crate) fn is(&self, rtype: Rtype) -> bool {
        self.rtype == rtype.to_int() || self.covered == rtype.to_int()
    }

    pub(crate) fn is_address(&self) -> bool {
        self.is(Rtype::A) || self.is(Rtype::AAAA)
    }

    /// Whether the owner is `name` or lies below it.
    pub(crate) fn is_below(&self, name: &str) -> bool {
        self.owner == name || self.owner.ends_with(&format!(".{name}"))
    }

    /// The name an alias, a delegation, SRV, MX, KX or AFSDB leads to, in lower case; else nothing.
    pub(crate) fn target(&self) -> String {
        let at = match Rtype::from_int(self.rtype) {
            Rtype::CNAME | Rtype::NS => 0,
            Rtype::MX | Rtype::KX | Rtype::AFSDB => 2,
            Rtype::SRV => 6,
            _ => return String::new(),
        };
        let name = repoint::zone::Name::from_wire(&self.rdata[at..]);
        name.map_or_else(|_| String::new(), |name| name.to_lowercase().to_string())
    }

    fn meaning(&self) -> (&str, u16, u16, u32, &[u8]) {
        (&self.owner, self.rtype, self.covered, self.ttl, &self.rdata)
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        self.meaning() == other.meaning()
    }
}

impl Eq for Record {}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Record) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Record {
    fn cmp(&self, other: &Record) -> Ordering {
        self.meaning().cmp(&other.meaning())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.owner,
            self.ttl,
            Rtype::from_int(self.rtype),
            self.text
        )
    }
}

/// The flags that a response may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) aa: bool,
    pub(crate) tc: bool,
    pub(crate) rd: bool,
    pub(crate) ra: bool,
    pub(crate) ad: bool,
    pub(crate) cd: bool,
}

/// What an OPT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
}

/// What a response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) rcode: u16,
    pub(crate) opcode: u8,
    pub(crate) flags: Flags,
    /// The question section's octets, case included.
    pub(crate) question: Vec<u8>,
    pub(crate) opt: Option<Opt>,
    pub(crate) answer: BTreeSet<Record>,
    pub(crate) authority: BTreeSet<Record>,
    /// Without the OPT.
    pub(crate) additional: BTreeSet<Record>,
    /// How long the message is.
    pub(crate) octets: usize,
}

/// Reads a response; a text says what is wrong with it.
pub(crate) fn read(octets: &[u8]) -> Result<Said, String> {
    let message = Message::from_octets(octets).map_err(|e| e.to_string())?;
    let header = message.header();
    let counts = message.header_counts();
    let mut questions = message.question();
    for question in &mut questions {
        question.map_err(|e| format!("question: {e}"))?;
    }
    let question = octets[12..12 + questions_length(octets, counts.qdcount())?].to_vec();
    let mut said = Said {
        rcode: u16::from(header.rcode().to_int()),
        opcode: header.opcode().to_int(),
        flags: Flags {
            aa: header.aa(),
            tc: header.tc(),
            rd: header.rd(),
            ra: header.ra(),
            ad: header.ad(),
            cd: header.cd(),
        },
        question,
        opt: None,
        answer: BTreeSet::new(),
        authority: BTreeSet::new(),
        additional: BTreeSet::new(),
        octets: octets.len(),
    };
    let mut section = Some(message.answer().map_err(|e| e.to_string())?);
    let mut end = 0;
    for n in 0..3 {
        let Some(mut records) = section else { break };
        for record in &mut records {
            let record = record.map_err(|e| format!("section {n}: {e}"))?;
            if record.rtype() == Rtype::OPT {
                if n != 2 || said.opt.is_some() {
                    return Err("an OPT out of place".into());
                }
                let ttl = record.ttl().as_secs();
                said.rcode |= u16::try_from(ttl >> 24 << 4).unwrap();
                said.opt = Some(Opt {
                    version: u8::try_from(ttl >> 16 & 255).unwrap(),
                    dnssec_ok: ttl & 0x8000 != 0,
                });
                continue;
            }
            let record = record
                .to_any_record::<AllRecordData<_, _>>()
                .map_err(|e| format!("section {n}: {e}"))?;
            let mut rdata = Vec::new();
            record
                .data()
                .compose_canonical_rdata(&mut rdata)
                .map_err(|_| "RDATA cannot be written")?;
            let covered = match record.data() {
                AllRecordData::Rrsig(rrsig) => rrsig.type_covered().to_int(),
                _ => 0,
            };
            let owner = record.owner().to_vec().to_string().to_ascii_lowercase();
            let record = Record {
                owner: format!("{}.", owner.trim_end_matches('.')),
                rtype: record.rtype().to_int(),
                covered,
                ttl: record.ttl().as_secs(),
                rdata,
                text: record.data().to_string(),
            };
            let set = [&mut said.answer, &mut said.authority, &mut said.additional];
            let [answer, authority, additional] = set;
            let set = match n {
                0 => answer,
                1 => authority,
                _ => additional,
            };
            if let Some(twice) = set.replace(record) {
                return Err(format!("twice in one section: {twice}"));
            }
        }
        end = records.pos();
        section = records.next_section().map_err(|e| e.to_string())?;
    }
    if end != octets.len() {
        return Err(format!("{} octets are left over", octets.len() - end));
    }
    Ok(said)
}

fn questions_length(octets: &[u8], count: u16) -> Result<usize, String> {
    let mut at = 12;
    for _ in 0..count {
        while octets[at] != 0 {
            if octets[at] > 63 {
                return Err("a compressed question".into());
            }
            at += 1 + usize::from(octets[at]);
        }
        at += 5;
    }
    Ok(at - 12)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flags {
            aa,
            tc,
            rd,
            ra,
            ad,
            cd,
        } = self.flags;
        write!(f, "  rcode {} opcode {}", self.rcode, self.opcode)?;
        for (flag, set) in [
            ("AA", aa),
            ("TC", tc),
            ("RD", rd),
            ("RA", ra),
            ("AD", ad),
            ("CD", cd),
        ] {
            if set {
                write!(f, " {flag}")?;
            }
        }
        match self.opt {
            Some(opt) => write!(f, " OPT version {} DO {}", opt.version, opt.dnssec_ok)?,
            None => write!(f, " no OPT")?,
        }
        writeln!(f, ", {} octets", self.octets)?;
        for (name, records) in [
            ("answer", &self.answer),
            ("authority", &self.authority),
            ("additional", &self.additional),
        ] {
            for record in records {
                writeln!(f, "  {name:10} {record}")?;
            }
        }
        Ok(())
    }
}
