//! Names in messages that others wrote, whole: compression undone (RFC 1035 §4.1.4).
//!
//! In: the octets of a message, a place in it. Out: the name there and where it ends; the RDATA there with its names
//! uncompressed. Every step is bounded by the octets that are there: pointers only lead backwards.
//! Never here: what a message says.

use std::ops::Range;

use hickory_proto::rr::RecordType;

use crate::zone::{MAX_WIRE, Name, Rdata};

/// The name at a place in a message, and where it ends there. None when it ends early, is too long, or has a pointer that
/// does not lead to before everything read of it so far.
pub fn name_at(octets: &[u8], at: usize) -> Option<(Name, usize)> {
    let mut wire = [0_u8; MAX_WIRE];
    let mut used = 0;
    let (mut here, mut least, mut end) = (at, at, None);
    loop {
        let length = usize::from(*octets.get(here)?);
        match length {
            0..=63 => {
                let label = octets.get(here..here + 1 + length)?;
                wire.get_mut(used..used + label.len())?
                    .copy_from_slice(label);
                used += label.len();
                here += label.len();
                if length == 0 {
                    let name = Name::from_wire(&wire[..used]).ok()?;
                    return Some((name, end.unwrap_or(here)));
                }
            }
            192.. => {
                let low = usize::from(*octets.get(here + 1)?);
                end.get_or_insert(here + 2);
                here = (length & 0x3f) << 8 | low;
                if here >= least {
                    return None;
                }
                least = here;
            }
            _ => return None,
        }
    }
}

/// The RDATA of a type at a place in a message, its names uncompressed, as whoever reads what old and careless programs
/// write must have them (RFC 3597 §4). None when it does not have the fields of its type.
pub fn rdata_at(octets: &[u8], rtype: RecordType, range: Range<usize>) -> Option<Rdata> {
    let octets = octets.get(..range.end)?;
    let mut wire = Vec::with_capacity(range.len());
    let mut at = range.start;
    for part in parts(rtype) {
        let length = match part {
            Part::Name => {
                let (name, end) = name_at(octets, at)?;
                wire.extend(name.wire());
                at = end;
                continue;
            }
            Part::Octets(n) => *n,
            Part::Text => 1 + usize::from(*octets.get(at)?),
        };
        wire.extend(octets.get(at..at + length)?);
        at += length;
    }
    wire.extend(octets.get(at..)?);
    Rdata::new(rtype, &wire)
}

/// What a type's RDATA begins with, as far as names lie in it; the rest is octets.
enum Part {
    Octets(usize),
    Text,
    Name,
}

/// The types whose names may have been compressed: those of RFC 1035, and those that RFC 3597 §4 tells readers to
/// take so all the same.
fn parts(rtype: RecordType) -> &'static [Part] {
    use Part::{Name, Octets, Text};
    match u16::from(rtype) {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME.
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => &[Name],
        // SOA, MINFO, RP.
        6 | 14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // PX.
        26 => &[Octets(2), Name, Name],
        // SRV.
        33 => &[Octets(6), Name],
        // NAPTR.
        35 => &[Octets(4), Text, Text, Text, Name],
        // SIG, RRSIG.
        24 | 46 => &[Octets(18), Name],
        // NXT, NSEC.
        30 | 47 => &[Name],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_fault(octets: Vec<u8>, at in 0_usize..64, rtype in 0_u16..300, length in 0_usize..80) {
            if let Some((_, end)) = name_at(&octets, at) {
                prop_assert!(end <= octets.len());
            }
            let _ = rdata_at(&octets, RecordType::from(rtype), at..at + length);
        }

        #[test]
        fn pointers_never_lead_round(pairs in prop::collection::vec((192_u8..=192, 0_u8..40), 1..20)) {
            // Nothing but pointers: whichever way they lead, no name comes of it.
            let octets: Vec<u8> = pairs.into_iter().flat_map(|(a, b)| [a, b * 2]).collect();
            for at in (0..octets.len()).step_by(2) {
                prop_assert!(name_at(&octets, at).is_none());
            }
        }
    }
}
