//! The reviewed differences: where repoint and another server say different things, and why ours is right or as right.
//!
//! In: a difference. Out: whether a rule explains it. A rule says as exactly as it can what it explains, and a rule that
//! one of its servers no longer needs fails the test. `docs/conformance.md` tells the same in words.

use std::collections::BTreeSet;

use domain::base::iana::Rtype;
use repoint::serve::Transport;

use crate::comparing::{Difference, Part};
use crate::said::{Record, Said};
use crate::world::nameserver::Software;

/// Which zones a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zones {
    All,
    Unsigned,
    Signed,
}

/// One explanation.
pub(crate) struct Rule {
    /// What differs, as a sentence.
    pub(crate) name: &'static str,
    /// The zones in which they differ.
    pub(crate) zones: Zones,
    /// The servers that differ in this.
    pub(crate) servers: &'static [Software],
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
        zones: Zones::All,
        servers: &[Software::Bind],
        parts: &[Part::CheckingDisabled],
        why: "it should be clear in an authoritative response: RFC 4035 §3.1.6",
        explains: |d| d.asked.octets[3] & 0x10 != 0 && d.theirs.flags.cd && !d.ours.flags.cd,
    },
    Rule {
        name: "AD is set in a truncated response",
        zones: Zones::All,
        servers: &[Software::Bind],
        parts: &[Part::AuthenticData],
        why: "we validate nothing: RFC 4035 §3.1.6",
        explains: |d| d.asked.octets[3] & 0x20 != 0 && d.theirs.flags.tc && !d.ours.flags.ad,
    },
    Rule {
        name: "aliases in a circle are a server failure",
        zones: Zones::All,
        servers: &[Software::Bind],
        parts: &[Part::Rcode],
        why: "the circle is what the zone says, and the resolver sees it; no RFC asks for a failure",
        explains: |d| {
            let ours = &d.ours_whole.answer;
            d.ours.rcode == NOERROR
                && d.theirs.rcode == SERVFAIL
                && !ours.is_empty()
                && ours.iter().all(|r| r.is(Rtype::CNAME))
                && ours
                    .iter()
                    .filter(|r| r.covered == 0)
                    .all(|r| ours.iter().any(|o| o.owner == r.target()))
        },
    },
    Rule {
        name: "a long chain of aliases is followed to another length",
        zones: Zones::All,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
        parts: &[Part::Answer, Part::Authority, Part::Additional],
        why: "how far is ours to choose; a resolver asks for the rest: RFC 1034 §5.3.3",
        explains: |d| {
            let (ours, theirs) = (d.ours_whole, d.theirs_whole);
            match d.server {
                Software::Knot => aliases(theirs) == 5 && theirs.answer.is_subset(&ours.answer),
                _ => aliases(ours) == 8 && ours.answer.is_subset(&theirs.answer),
            }
        },
    },
    Rule {
        name: "ANY is answered with another RRset, or with all",
        zones: Zones::All,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
        parts: &[Part::Answer, Part::Additional],
        why: "one RRset of those there is enough: RFC 8482 §4.1",
        explains: |d| {
            let types = |said: &Said| -> BTreeSet<u16> {
                let data = said.answer.iter().filter(|r| !r.is(Rtype::RRSIG));
                data.map(|r| r.rtype).collect()
            };
            d.asked.rtype == ANY && types(d.ours).len() == 1 && !d.theirs.answer.is_empty()
        },
    },
    Rule {
        name: "ANY of a name that a DNAME redirects is not followed",
        zones: Zones::All,
        servers: &[Software::Bind],
        parts: &[Part::Rcode, Part::Answer, Part::Authority, Part::Additional],
        why: "a redirected name is followed whatever was asked of it: RFC 6672 §3.2",
        explains: |d| {
            d.asked.rtype == ANY && d.ours_whole.answer.iter().any(|r| r.is(Rtype::DNAME))
        },
    },
    Rule {
        name: "an answer with a long DNAME fits there and not here",
        zones: Zones::All,
        servers: &[Software::Bind],
        parts: &[Part::Truncated],
        why: "BIND compresses names against the DNAME's target, which is itself sent whole: RFC 6672 §2.5",
        explains: |d| d.ours.flags.tc && d.ours_whole.answer.iter().any(|r| r.is(Rtype::DNAME)),
    },
    Rule {
        name: "an answer with a DNAME that does not fit is cut without TC, or with another code",
        zones: Zones::Signed,
        servers: &[Software::Knot],
        parts: &[Part::Rcode, Part::Truncated],
        why: "what proves the last name's absence belongs to the answer, and so does its code: RFC 6604 §2.1",
        explains: |d| d.ours.flags.tc && d.ours_whole.answer.iter().any(|r| r.is(Rtype::DNAME)),
    },
    Rule {
        name: "behind a DNAME, NSECs prove too little or too much",
        zones: Zones::Signed,
        servers: &[Software::Nsd],
        parts: &[Part::Authority, Part::Truncated],
        why: "the last name is denied as if it had been asked for: RFC 6604 §3; Unbound and delv accept it",
        explains: |d| {
            let redirected = d.ours_whole.answer.iter().any(|r| r.is(Rtype::DNAME));
            let proof = d.record.is_some_and(|(_, r)| r.is(Rtype::NSEC));
            redirected && (proof || d.part == Part::Truncated)
        },
    },
    Rule {
        name: "meta types are looked up as any other type",
        zones: Zones::All,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
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
        zones: Zones::All,
        servers: &[Software::Knot, Software::Bind],
        parts: &[Part::Rcode],
        why: "an unassigned type is well formed and not implemented, type 0 is reserved: RFC 6895 §3.1",
        explains: |d| match d.server {
            Software::Knot => {
                d.asked.rtype == 0 && (d.ours.rcode, d.theirs.rcode) == (FORMERR, NOTIMP)
            }
            _ => d.asked.rtype == 200 && (d.ours.rcode, d.theirs.rcode) == (NOTIMP, FORMERR),
        },
    },
    Rule {
        name: "RRSIG is answered with those over another RRset, or with all",
        zones: Zones::Signed,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
        parts: &[Part::Answer],
        why: "those over one RRset are enough, as for ANY, and cannot be used to amplify",
        explains: |d| {
            d.asked.rtype == Rtype::RRSIG.to_int()
                && !d.ours.answer.is_empty()
                && d.record.is_some_and(|(_, r)| r.covered != 0)
        },
    },
    Rule {
        name: "NSEC at a delegation is answered, not referred",
        zones: Zones::Signed,
        servers: &[Software::Bind],
        parts: &[
            Part::Authoritative,
            Part::Answer,
            Part::Authority,
            Part::Additional,
        ],
        why: "of what is at a cut only DS is asked of the parent: RFC 4035 §3.1.4.1",
        explains: |d| {
            let nsec = d.asked.rtype == Rtype::NSEC.to_int();
            nsec && !d.ours.flags.aa && d.theirs_whole.answer.iter().any(|r| r.is(Rtype::NSEC))
        },
    },
    Rule {
        name: "a name with a zero octet is covered by another NSEC",
        zones: Zones::Signed,
        servers: &[Software::Knot],
        parts: &[Part::Authority],
        why: "what lies below a name comes before all that its label begins: RFC 4034 §6.1",
        explains: |d| {
            let mut labels = d.asked.name.labels();
            labels.any(|label| label.contains(&0))
                && d.record.is_some_and(|(_, r)| r.is(Rtype::NSEC))
        },
    },
    Rule {
        name: "an NSEC expanded from a wildcard is not proved by the same NSEC",
        zones: Zones::Signed,
        servers: &[Software::Knot],
        parts: &[Part::Authority],
        why: "the one in the answer has another owner: RFC 4035 §3.1.3.3",
        explains: |d| {
            d.asked.rtype == Rtype::NSEC.to_int()
                && !d.ours.answer.is_empty()
                && d.only_ours().is_some_and(|r| r.is(Rtype::NSEC))
        },
    },
    Rule {
        name: "a wildcard that is an empty non-terminal is not proved to be empty",
        zones: Zones::Signed,
        servers: &[Software::Knot, Software::Bind],
        parts: &[Part::Authority],
        why: "both halves are needed: RFC 4035 §3.1.3.4; NSD has both",
        explains: |d| {
            // The NSEC leads to a name below an asterisk, which is therefore there.
            let next = |owner: &str| {
                let mut all = d.ours.authority.iter();
                let nsec = all.find(|r| r.owner == owner && r.rtype == Rtype::NSEC.to_int());
                nsec.map_or("", |nsec| nsec.text.as_str())
            };
            d.ours.answer.is_empty()
                && d.only_ours()
                    .is_some_and(|r| r.is(Rtype::NSEC) && next(&r.owner).contains(".*."))
        },
    },
    Rule {
        name: "classes other than IN",
        zones: Zones::All,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
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
        zones: Zones::All,
        servers: &[Software::Nsd],
        parts: &[Part::Question],
        why: "a response repeats its question: RFC 1035 §4.1.2",
        explains: |d| d.asked.class != 1 && d.theirs.question.is_empty(),
    },
    Rule {
        name: "NSEC, RRSIG or NSEC3 of an alias",
        zones: Zones::All,
        servers: &[Software::Nsd],
        parts: &[Part::Rcode, Part::Answer, Part::Authority, Part::Additional],
        why: "NSEC and RRSIG may stand beside a CNAME and are then its own; NSEC3 may not: RFC 4035 §2.5",
        explains: |d| {
            let alias = |said: &Said| said.answer.iter().any(|r| r.is(Rtype::CNAME));
            match Rtype::from_int(d.asked.rtype) {
                Rtype::NSEC | Rtype::RRSIG => alias(d.theirs_whole) && !alias(d.ours_whole),
                Rtype::NSEC3 => alias(d.ours_whole) && !alias(d.theirs_whole),
                _ => false,
            }
        },
    },
    Rule {
        name: "DS at an apex that no zone above delegates",
        zones: Zones::All,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
        parts: &[Part::Authority],
        why: "the zone above would deny a name that is there; whoever asks us has been sent here for it",
        explains: |d| {
            let name = d.asked.name.to_lowercase().to_string();
            d.asked.rtype == Rtype::DS.to_int() && d.apex_of(&name) == Some(name)
        },
    },
    Rule {
        name: "what does not fit here fits there, or the other way round",
        zones: Zones::Signed,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
        parts: &[Part::Truncated],
        why: "the two say different things (other lines of this list), or compress names otherwise: ours keeps their case",
        explains: |d| {
            let limit = limit(d);
            let fits = |said: &Said, whole: &Said| !said.flags.tc || whole.octets > limit;
            fits(d.ours, d.ours_whole)
                && fits(d.theirs, d.theirs_whole)
                && (d.theirs.flags.tc || lacks_what_it_may(d))
        },
    },
    Rule {
        name: "a referral without room for its in-domain glue is not truncated",
        zones: Zones::All,
        servers: &[Software::Nsd, Software::Bind],
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
        zones: Zones::All,
        servers: &[Software::Bind],
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
        zones: Zones::All,
        servers: &[Software::Nsd],
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
        zones: Zones::All,
        servers: &[Software::Knot, Software::Bind],
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
        zones: Zones::All,
        servers: &[Software::Knot, Software::Nsd, Software::Bind],
        parts: &[Part::Additional],
        why: "addresses are added as far as our zones have them: RFC 1034 §4.3.2 step 6",
        explains: |d| {
            let here = d.apex_of(&d.asked.name.to_string());
            d.only_ours().is_some_and(|r| d.apex_of(&r.owner) != here)
        },
    },
    Rule {
        name: "a positive answer comes without additional addresses",
        zones: Zones::All,
        servers: &[Software::Bind],
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
        zones: Zones::Unsigned,
        servers: &[Software::Nsd],
        parts: &[Part::Additional],
        why: "any of them may be left out: RFC 2181 §9; ours are whole hosts in the answer's order",
        explains: |d| {
            // An AAAA record with a compressed owner.
            let full = |said: &Said| said.octets + 28 > limit(d);
            d.asked.transport == Transport::Udp
                && full(d.ours)
                && full(d.theirs)
                && d.record.is_some_and(|(_, r)| r.is_address())
        },
    },
    Rule {
        name: "where not all signatures of additional addresses fit, others are chosen",
        zones: Zones::Signed,
        servers: &[Software::Knot, Software::Nsd],
        parts: &[Part::Additional],
        why: "any of them may be left out: RFC 4035 §3.1.1; ours come behind all addresses",
        explains: |d| {
            let full = |said: &Said| said.octets + 160 > limit(d);
            d.asked.transport == Transport::Udp
                && (full(d.ours) || full(d.theirs))
                && d.record.is_some_and(|(_, r)| r.is_address())
        },
    },
    Rule {
        name: "targets of SRV and MX below a cut get glue",
        zones: Zones::All,
        servers: &[Software::Knot],
        parts: &[Part::Additional],
        why: "glue is for referrals and not ours to hand out as data: RFC 2181 §5.4.1",
        explains: |d| leads(d, &[Rtype::SRV, Rtype::MX]),
    },
    Rule {
        name: "hosts of KX and AFSDB get addresses",
        zones: Zones::All,
        servers: &[Software::Nsd, Software::Bind],
        parts: &[Part::Additional],
        why: "repoint adds them for NS, MX and SRV; whoever uses the others asks: RFC 1183 §1, RFC 2230 §2.1",
        explains: |d| leads(d, &[Rtype::KX, Rtype::AFSDB]),
    },
    Rule {
        name: "replacements of NAPTR get SRV and addresses",
        zones: Zones::All,
        servers: &[Software::Bind],
        parts: &[Part::Additional],
        why: "optional, and large: RFC 3403 §4.2",
        explains: |d| d.ours.answer.iter().any(|r| r.is(Rtype::NAPTR)) && d.only_theirs().is_some(),
    },
];

/// Whether all that their datagram lacks may be left out: with an answer the zone's NS and all addresses, else signatures
/// of addresses.
fn lacks_what_it_may(d: &Difference<'_>) -> bool {
    let (theirs, whole) = (d.theirs, d.theirs_whole);
    let answered = !theirs.answer.is_empty();
    let mut authority = whole.authority.difference(&theirs.authority);
    let mut additional = whole.additional.difference(&theirs.additional);
    theirs.answer == whole.answer
        && authority.all(|r| answered && r.is(Rtype::NS))
        && additional.all(|r| answered || r.covered != 0)
}

/// The octets that a datagram may have.
fn limit(d: &Difference<'_>) -> usize {
    usize::from(d.asked.edns.map_or(512, |size| size.clamp(512, 1232)))
}

/// How many aliases a message follows.
fn aliases(said: &Said) -> usize {
    let cname = Rtype::CNAME.to_int();
    said.answer.iter().filter(|r| r.rtype == cname).count()
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
