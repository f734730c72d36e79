//! RRSIG records: the octets that a signature is over, and the record that carries it.
//!
//! In: an RRset, its owner, a key, the time it should be valid. Out: RRSIG RDATA, its fields read again.
//! Never here: which RRsets are signed, or whether a signature from before still serves.

use hickory_proto::rr::RecordType;

use super::key::{KeyFault, SigningKey};
use super::name::Name;
use super::rdata::{Rdata, Rrset};
use super::validity::Window;
use crate::clock::Wall;

/// What an RRSIG says of itself (RFC 4034 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RrsigFields {
    pub(super) covered: RecordType,
    pub(super) algorithm: u8,
    pub(super) tag: u16,
    pub(super) window: Window,
}

impl RrsigFields {
    /// Reads them; none when the octets are no RRSIG's.
    pub(super) fn of(rdata: &Rdata) -> Option<RrsigFields> {
        let wire = rdata.wire();
        let time = |at: usize| {
            let octets = wire.get(at..at + 4)?.try_into().ok()?;
            let seconds = i64::from(u32::from_be_bytes(octets));
            Some(Wall::from_millis(seconds * 1000))
        };
        let number = |at: usize| {
            let octets = wire.get(at..at + 2)?.try_into().ok()?;
            Some(u16::from_be_bytes(octets))
        };
        Some(RrsigFields {
            covered: RecordType::from(number(0)?),
            algorithm: *wire.get(2)?,
            tag: number(16)?,
            window: Window {
                inception: time(12)?,
                expiration: time(8)?,
            },
        })
    }
}

/// Makes the RRSIG of a key over an RRset. `signer` is the apex in wire form and lower case.
pub(super) fn rrsig(
    owner: &Name,
    set: &Rrset,
    key: &SigningKey,
    signer: &[u8],
    window: Window,
) -> Result<Rdata, KeyFault> {
    // RFC 4034 §3.1.3: a wildcard's own label does not count.
    let labels = owner.label_count() - usize::from(owner.is_wildcard());
    let mut octets = Vec::with_capacity(512);
    octets.extend(u16::from(set.rtype).to_be_bytes());
    octets.push(key.algorithm().number());
    octets.push(u8::try_from(labels).unwrap_or(u8::MAX));
    octets.extend(set.ttl.to_be_bytes());
    octets.extend(window.expiration.unix_seconds().to_be_bytes());
    octets.extend(window.inception.unix_seconds().to_be_bytes());
    octets.extend(key.tag().to_be_bytes());
    octets.extend(signer);
    let fields = octets.len();
    push_canonical(owner, set, &mut octets);
    let signature = key.sign(&octets)?;
    octets.truncate(fields);
    octets.extend(signature);
    Ok(Rdata::of_valid_wire(octets))
}

/// The RRset in its canonical form and order (RFC 4034 §6): what is signed after the RRSIG's own fields.
fn push_canonical(owner: &Name, set: &Rrset, octets: &mut Vec<u8>) {
    let mut rdatas: Vec<Vec<u8>> = set
        .rdatas
        .iter()
        .map(|rdata| rdata.canonical(set.rtype))
        .collect();
    rdatas.sort();
    // RFC 4034 §6.3: of equal records one counts.
    rdatas.dedup();
    let mut head = owner.wire().to_ascii_lowercase();
    head.extend(u16::from(set.rtype).to_be_bytes());
    head.extend([0, 1]);
    head.extend(set.ttl.to_be_bytes());
    for rdata in rdatas {
        octets.extend(&head);
        octets.extend(u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
        octets.extend(rdata);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_signature_over_the_rfcs_mx_record_is_the_rfcs() {
        // RFC 8080 §6.1: the first example.
        let text =
            "Algorithm: 15 (ED25519)\nPrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n";
        let key = SigningKey::from_bind_private(text, true).unwrap();
        let owner = Name::from_text(b"EXAMPLE.com.", None).unwrap();
        let mut mx = vec![0, 10];
        mx.extend(Name::from_text(b"Mail.example.com.", None).unwrap().wire());
        let set = Rrset {
            rtype: RecordType::MX,
            ttl: 3600,
            rdatas: vec![Rdata::new(RecordType::MX, &mx).unwrap()],
        };
        let window = Window {
            inception: Wall::from_millis(1_438_207_200_000),
            expiration: Wall::from_millis(1_440_021_600_000),
        };
        let signer = owner.to_lowercase();
        let made = rrsig(&owner, &set, &key, signer.wire(), window).unwrap();
        assert_eq!(
            made.to_text(RecordType::RRSIG),
            "MX 15 2 3600 20150819220000 20150729220000 3613 example.com. \
             oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="
        );
        let fields = RrsigFields::of(&made).unwrap();
        assert_eq!((fields.covered, fields.tag), (RecordType::MX, 3613));
        assert_eq!(fields.window, window);
    }

    #[test]
    fn order_case_and_repetition_of_records_do_not_matter() {
        let owner = Name::from_text(b"*.A.example.", None).unwrap();
        let ns = |names: &[&str]| {
            let names = names
                .iter()
                .map(|name| Name::from_text(name.as_bytes(), None).unwrap());
            let set = Rrset {
                rtype: RecordType::NS,
                ttl: 60,
                rdatas: names.map(|name| Rdata::name(&name)).collect(),
            };
            let mut octets = Vec::new();
            push_canonical(&owner, &set, &mut octets);
            octets
        };
        assert_eq!(ns(&["b.", "a."]), ns(&["A.", "B.", "a."]));
    }
}
