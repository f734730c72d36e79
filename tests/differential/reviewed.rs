//! The reviewed differences: where repoint and another server say different things, and why ours is right or as right.
//!
//! In: a difference. Out: whether a rule explains it. A rule says as exactly as it can what it explains, and a rule that
//! one of its servers no longer needs fails the test. `docs/conformance.md` tells the same in words.

use std::collections::BTreeSet;

use domain::base::iana::Rtype;
use repoint::serve::Transport;

use crate::comparing::{Difference, Part};
use crate::peers::Server;
use crate::said::{Record, Said};

/// One explanation.
pub(crate) struct Rule {
    /// What differs, as a sentence.
    pub(crate) name: &'static str,
    /// The servers that differ in this.
    pub(crate) servers: &'static [Server],
    /// The parts of the message that differ.
    pub(crate) parts: &'static [Part],
    /// Why repoint does what it does, and where that is written.
    pub(crate) why: &'static str,
    /// Whether it explains this difference.
    pub(crate) explains: fn(&Difference<'_>) -> bool,
}

const ANY: u16 = 255;
const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "CD is copied into the response",
        servers: &[Server::Bind],
        parts: &[Part::CheckingDisabled],
        why: "it should be clear in an authoritative response: RFC 4035 §3.1.6",
        explains: |d| d.asked.octets[3] & 0x10 != 0 && d.theirs.flags.cd && !d.ours.flags.cd,
    },
    Rule {
        name: "AD is set in a truncated response",
        servers: &[Server::Bind],
        parts: &[Part::AuthenticData],
        why: "we validate nothing: RFC 4035 §3.1.6",
        explains: |d| d.asked.octets[3] & 0x20 != 0 && d.theirs.flags.tc && !d.ours.flags.ad,
    },
    Rule {
        name: "aliases in a circle are a server failure",
        servers: &[Server::Bind],
        parts: &[Part::Rcode],
        why: "the circle is what the zone says, and the resolver sees it; no RFC asks for a failure",
        explains: |d| {
            let ours = &d.ours.answer;
            d.ours.rcode == NOERROR
                && d.theirs.rcode == SERVFAIL
                && !ours.is_empty()
                && ours.iter().all(|r| r.is(Rtype::CNAME))
                && ours
                    .iter()
                    .all(|r| ours.iter().any(|o| o.owner == r.target()))
        },
    },
    Rule {
        name: "a long chain of aliases is followed to another length",
        servers: &[Server::Knot, Server::Nsd, Server::Bind],
        parts: &[Part::Answer, Part::Authority, Part::Additional],
        why: "how far is ours to choose; a resolver asks for the rest: RFC 1034 §5.3.3",
        explains: |d| {
            let (ours, theirs) = (aliases(d.ours), aliases(d.theirs));
            match d.server {
                Server::Knot => theirs == 5 && d.theirs.answer.is_subset(&d.ours.answer),
                _ => ours == 8 && d.ours.answer.is_subset(&d.theirs.answer),
            }
        },
    },
    Rule {
        name: "ANY is answered with another RRset, or with all",
        servers: &[Server::Knot, Server::Nsd, Server::Bind],
        parts: &[Part::Answer, Part::Additional],
        why: "one RRset of those there is enough: RFC 8482 §4.1",
        explains: |d| {
            let types = |said: &Said| -> BTreeSet<u16> {
                let data = said.answer.iter().filter(|r| !r.is(Rtype::RRSIG));
                data.map(|r| r.rtype).collect()
            };
            d.asked.rtype == ANY && types(d.ours).len() == 1 && !types(d.theirs).is_empty()
        },
    },
    Rule {
        name: "meta types are looked up as any other type",
        servers: &[Server::Knot, Server::Nsd, Server::Bind],
        parts: &[Part::Rcode, Part::Authoritative, Part::Authority],
        why: "they are never data: FORMERR for 0, OPT, TKEY, TSIG and NXNAME (RFC 9824 §3.5), else NOTIMP",
        explains: |d| {
            let never = matches!(d.asked.rtype, 0 | 41 | 128..=254);
            let as_data = matches!(d.theirs.rcode, NOERROR | NXDOMAIN);
            never && matches!(d.ours.rcode, FORMERR | NOTIMP) && as_data
        },
    },
    Rule {
        name: "another error is chosen for meta types",
        servers: &[Server::Knot, Server::Bind],
        parts: &[Part::Rcode],
        why: "an unassigned type is well formed and not implemented, type 0 is reserved: RFC 6895 §3.1",
        explains: |d| match d.server {
            Server::Knot => {
                d.asked.rtype == 0 && (d.ours.rcode, d.theirs.rcode) == (FORMERR, NOTIMP)
            }
            _ => d.asked.rtype == 200 && (d.ours.rcode, d.theirs.rcode) == (NOTIMP, FORMERR),
        },
    },
    Rule {
        name: "classes other than IN",
        servers: &[Server::Knot, Server::Nsd, Server::Bind],
        parts: &[
            Part::Rcode,
            Part::Authoritative,
            Part::Answer,
            Part::Authority,
        ],
        why: "we have no zones of them, so REFUSED; nor is an answer to class ANY authoritative: RFC 1035 §6.2",
        explains: |d| d.asked.class != 1 && d.ours.rcode == REFUSED && d.ours.answer.is_empty(),
    },
    Rule {
        name: "the question is left out of a refusal by class",
        servers: &[Server::Nsd],
        parts: &[Part::Question],
        why: "a response repeats its question: RFC 1035 §4.1.2",
        explains: |d| d.asked.class != 1 && d.theirs.question.is_empty(),
    },
    Rule {
        name: "NSEC, RRSIG or NSEC3 of an alias",
        servers: &[Server::Nsd],
        parts: &[Part::Rcode, Part::Answer, Part::Authority, Part::Additional],
        why: "NSEC and RRSIG may stand beside a CNAME and are then its own; NSEC3 may not: RFC 4035 §2.5",
        explains: |d| {
            let alias = |said: &Said| said.answer.iter().any(|r| r.is(Rtype::CNAME));
            match Rtype::from_int(d.asked.rtype) {
                Rtype::NSEC | Rtype::RRSIG => alias(d.theirs) && !alias(d.ours),
                Rtype::NSEC3 => alias(d.ours) && !alias(d.theirs),
                _ => false,
            }
        },
    },
    Rule {
        name: "DS at an apex that no zone above delegates",
        servers: &[Server::Knot, Server::Nsd, Server::Bind],
        parts: &[Part::Authority],
        why: "the zone above would deny a name that is there; whoever asks us has been sent here for it",
        explains: |d| {
            let name = d.asked.name.to_lowercase().to_string();
            d.asked.rtype == Rtype::DS.to_int() && d.apex_of(&name) == Some(name)
        },
    },
    Rule {
        name: "a referral without room for its in-domain glue is not truncated",
        servers: &[Server::Nsd, Server::Bind],
        parts: &[Part::Truncated],
        why: "TC is set: RFC 9471 §3.1, which is younger than these releases",
        explains: |d| {
            d.ours.flags.tc
                && !d.ours.flags.aa
                && d.ours.authority.iter().any(|r| r.is(Rtype::NS))
                && d.theirs.additional.len() < d.theirs_whole.additional.len()
        },
    },
    Rule {
        name: "referrals carry glue only",
        servers: &[Server::Bind],
        parts: &[Part::Additional],
        why: "an address that our zones have is worth its octets: RFC 1034 §4.3.2 step 6",
        explains: |d| {
            let cut = d.ours.authority.iter().find(|r| r.is(Rtype::NS));
            let missing = d.only_ours().filter(|r| r.is_address());
            matches!((cut, missing), (Some(cut), Some(r)) if !r.is_below(&cut.owner))
        },
    },
    Rule {
        name: "positive answers carry the zone's NS and their addresses",
        servers: &[Server::Nsd],
        parts: &[Part::Authority, Part::Additional],
        why: "nobody needs them and they cost octets; no RFC asks for them",
        explains: |d| {
            let server = |r: &Record| d.theirs.authority.iter().any(|ns| ns.target() == r.owner);
            d.theirs.flags.aa
                && !d.theirs.answer.is_empty()
                && d.only_theirs().is_some_and(|r| match d.part {
                    Part::Authority => r.is(Rtype::NS),
                    _ => r.is_address() && server(r),
                })
        },
    },
    Rule {
        name: "an alias is not followed into another zone of the same server",
        servers: &[Server::Knot, Server::Bind],
        parts: &[Part::Answer, Part::Authority, Part::Additional],
        why: "aliases are followed as far as our zones go: RFC 1034 §4.3.2 step 3a",
        explains: |d| {
            let here = d.apex_of(&d.asked.name.to_string());
            let mut chain = d.theirs.answer.iter().filter(|r| r.is(Rtype::CNAME));
            chain.any(|r| {
                let there = d.apex_of(&r.target());
                there.is_some() && there != here
            })
        },
    },
    Rule {
        name: "targets in another zone of the same server get no addresses",
        servers: &[Server::Knot, Server::Nsd, Server::Bind],
        parts: &[Part::Additional],
        why: "addresses are added as far as our zones have them: RFC 1034 §4.3.2 step 6",
        explains: |d| {
            let here = d.apex_of(&d.asked.name.to_string());
            d.only_ours().is_some_and(|r| d.apex_of(&r.owner) != here)
        },
    },
    Rule {
        name: "a positive answer comes without additional addresses",
        servers: &[Server::Bind],
        parts: &[Part::Additional],
        why: "BIND leaves them out when there are many or the message is small; ours go last and only when they fit",
        explains: |d| {
            d.theirs.flags.aa
                && d.theirs.additional.is_empty()
                && d.only_ours().is_some_and(Record::is_address)
        },
    },
    Rule {
        name: "where not all additional addresses fit, others are chosen",
        servers: &[Server::Nsd],
        parts: &[Part::Additional],
        why: "any of them may be left out: RFC 2181 §9; ours are whole hosts in the answer's order",
        explains: |d| {
            let limit = d.asked.edns.map_or(512, |size| size.clamp(512, 1232));
            // An AAAA record with a compressed owner.
            let full = |said: &Said| said.octets + 28 > usize::from(limit);
            d.asked.transport == Transport::Udp
                && full(d.ours)
                && full(d.theirs)
                && d.record.is_some_and(|(_, r)| r.is_address())
        },
    },
    Rule {
        name: "targets of SRV and MX below a cut get glue",
        servers: &[Server::Knot],
        parts: &[Part::Additional],
        why: "glue is for referrals and not ours to hand out as data: RFC 2181 §5.4.1",
        explains: |d| leads(d, &[Rtype::SRV, Rtype::MX]),
    },
    Rule {
        name: "hosts of KX and AFSDB get addresses",
        servers: &[Server::Nsd, Server::Bind],
        parts: &[Part::Additional],
        why: "repoint adds them for NS, MX and SRV; whoever uses the others asks: RFC 1183 §1, RFC 2230 §2.1",
        explains: |d| leads(d, &[Rtype::KX, Rtype::AFSDB]),
    },
    Rule {
        name: "replacements of NAPTR get SRV and addresses",
        servers: &[Server::Bind],
        parts: &[Part::Additional],
        why: "optional, and large: RFC 3403 §4.2",
        explains: |d| d.ours.answer.iter().any(|r| r.is(Rtype::NAPTR)) && d.only_theirs().is_some(),
    },
];

/// How many aliases a message follows.
fn aliases(said: &Said) -> usize {
    said.answer.iter().filter(|r| r.is(Rtype::CNAME)).count()
}

/// Whether they add an address of a host that a record of these types in the answer leads to.
fn leads(d: &Difference<'_>, types: &[Rtype]) -> bool {
    let mut leading = d
        .ours
        .answer
        .iter()
        .filter(|r| types.iter().any(|rtype| r.is(*rtype)));
    d.only_theirs()
        .is_some_and(|r| r.is_address() && leading.any(|from| from.target() == r.owner))
}
