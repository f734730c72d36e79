//! Writing a query.
//!
//! In: a question and its flags. Out: the octets of one message, names uncompressed. Never here: sockets; the
//! identifier, which is the caller's.

use hickory_proto::rr::RecordType;

use super::reply::Record;
use crate::zone::Name;

/// The class of everything but server identities.
const CLASS_IN: u16 = 1;
/// The largest datagram we ask for (RFC 6891 §6.2.5): it passes every path in use without fragments.
const UDP_SIZE: u16 = 1232;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A question (RFC 1035 §4.1.1).
    Query,
    /// Word that a zone has changed (RFC 1996).
    Notify,
}

/// One request, to be written as often as it is sent.
#[derive(Clone, Debug)]
pub struct Query {
    /// The operation.
    pub operation: Operation,
    /// The name.
    pub name: Name,
    /// The type.
    pub rtype: RecordType,
    /// The class, 1 for IN.
    pub class: u16,
    /// RD: the server may ask others for us.
    pub recursion_desired: bool,
    /// AD: the client understands AD in the reply (RFC 6840 §5.7).
    pub authentic_data: bool,
    /// CD: the server is not to validate (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
    /// AA: set by NOTIFY (RFC 1996 §3.7).
    pub authoritative: bool,
    /// Whether an OPT record goes with it (RFC 6891).
    pub edns: bool,
    /// DO: signatures are wanted (RFC 3225). Needs `edns`.
    pub dnssec_ok: bool,
    /// Records of the answer section: the SOA of a NOTIFY.
    pub answers: Vec<Record>,
    /// Records of the authority section: the SOA that an IXFR begins at (RFC 1995 §3).
    pub authorities: Vec<Record>,
}

impl Query {
    /// A question for an authoritative server: no recursion, EDNS, no DNSSEC records.
    pub fn new(name: Name, rtype: RecordType) -> Query {
        Query {
            operation: Operation::Query,
            name,
            rtype,
            class: CLASS_IN,
            recursion_desired: false,
            authentic_data: false,
            checking_disabled: false,
            authoritative: false,
            edns: true,
            dnssec_ok: false,
            answers: Vec::new(),
            authorities: Vec::new(),
        }
    }

    /// A question for a resolver.
    pub fn recursive(name: Name, rtype: RecordType) -> Query {
        Query {
            recursion_desired: true,
            ..Query::new(name, rtype)
        }
    }

    /// The changes of a zone since the SOA given (RFC 1995 §3); its owner is the zone.
    pub fn ixfr(since: Record) -> Query {
        Query {
            authorities: vec![since.clone()],
            edns: false,
            ..Query::new(since.owner, RecordType::IXFR)
        }
    }

    /// All of a zone (RFC 5936 §2.1).
    pub fn axfr(zone: Name) -> Query {
        Query {
            edns: false,
            ..Query::new(zone, RecordType::AXFR)
        }
    }

    /// Word that a zone has the SOA given (RFC 1996 §3.7); its owner is the zone.
    pub fn notify(soa: Record) -> Query {
        Query {
            operation: Operation::Notify,
            authoritative: true,
            edns: false,
            answers: vec![soa.clone()],
            ..Query::new(soa.owner, RecordType::SOA)
        }
    }

    /// The operation's number.
    pub fn opcode(&self) -> u8 {
        match self.operation {
            Operation::Query => 0,
            Operation::Notify => 4,
        }
    }

    /// The message with this identifier.
    pub fn write(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend(id.to_be_bytes());
        out.push(
            self.opcode() << 3
                | u8::from(self.authoritative) << 2
                | u8::from(self.recursion_desired),
        );
        out.push(u8::from(self.authentic_data) << 5 | u8::from(self.checking_disabled) << 4);
        let count = |records: &[Record]| u16::try_from(records.len()).unwrap_or(u16::MAX);
        for count in [
            1,
            count(&self.answers),
            count(&self.authorities),
            u16::from(self.edns),
        ] {
            out.extend(count.to_be_bytes());
        }
        out.extend(self.name.wire());
        out.extend(u16::from(self.rtype).to_be_bytes());
        out.extend(self.class.to_be_bytes());
        for record in self.answers.iter().chain(&self.authorities) {
            record.write(&mut out);
        }
        if self.edns {
            out.push(0);
            out.extend(u16::from(RecordType::OPT).to_be_bytes());
            out.extend(UDP_SIZE.to_be_bytes());
            out.extend([0, 0, u8::from(self.dnssec_ok) << 7, 0, 0, 0]);
        }
        out
    }
}
