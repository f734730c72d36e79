//! What the server says of itself in class CH (RFC 4892): `version.bind`, `version.server`, `hostname.bind`, `id.server`.
//!
//! In: a question of class CH, our manners. Out: an answer of one TXT record where the operator has written one; else
//! nothing. Never here: anything the operator has not written, the program's real version included.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::answer::{Answer, Placed};
use super::authority::Manners;
use super::question::Question;
use crate::zone::{Rdata, Rrset};

/// Answers a question of class CH; none when nothing is configured for it.
pub(super) fn answer(manners: &Manners, question: &Question) -> Option<Answer> {
    let asked = |name: &[u8]| question.name.wire().eq_ignore_ascii_case(name);
    let text = if asked(b"\x07version\x04bind\0") || asked(b"\x07version\x06server\0") {
        manners.version.as_deref()
    } else if asked(b"\x08hostname\x04bind\0") || asked(b"\x02id\x06server\0") {
        manners.nsid.as_deref()
    } else {
        None
    }?;
    if !matches!(question.rtype, RecordType::TXT | RecordType::ANY) {
        return None;
    }
    let mut wire = vec![u8::try_from(text.len()).ok()?];
    wire.extend(text.as_bytes());
    let set = Rrset {
        rtype: RecordType::TXT,
        ttl: 0,
        rdatas: vec![Rdata::new(RecordType::TXT, &wire)?],
    };
    Some(Answer {
        authoritative: true,
        answers: vec![Placed {
            owner: question.name.clone(),
            set: Arc::new(set),
            ttl: 0,
            required: true,
        }],
        ..Answer::empty(ResponseCode::NoError)
    })
}
