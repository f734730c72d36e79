//! The NSEC chain: one record per name that has authoritative data or is a delegation (RFC 4035 §2.3).
//!
//! In: a node, the next name of the chain. Out: the NSEC RRset. Never here: finding the next name.

use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::node::{Node, NodeKind};
use super::rdata::{Rdata, Rrset};

/// Whether a node has an NSEC record: not glue, not what else lies below a cut, and not an empty non-terminal.
pub(super) fn is_in_chain(node: &Node) -> bool {
    node.kind != NodeKind::Occluded && node.sets.iter().any(|set| set.rtype != RecordType::NSEC)
}

/// The NSEC RRset of a node; `ttl` is that of negative answers (RFC 9077 §3).
pub(super) fn nsec(node: &Node, next: &Name, ttl: u32) -> Arc<Rrset> {
    // Lower case: older validators put it so before they verify and newer ones do not (RFC 6840 §5.1).
    let mut octets = next.wire().to_ascii_lowercase();
    // RFC 4035 §2.3: of a delegation, its NS RRset and what the parent's side is the authority for; never glue.
    let shown = |rtype: &RecordType| {
        node.kind != NodeKind::Cut || matches!(*rtype, RecordType::NS | RecordType::DS)
    };
    let types = node.sets.iter().map(|set| set.rtype).filter(shown);
    let own = [RecordType::RRSIG, RecordType::NSEC];
    let mut types: Vec<u16> = types.chain(own).map(u16::from).collect();
    types.sort_unstable();
    types.dedup();
    push_bitmap(&types, &mut octets);
    Arc::new(Rrset {
        rtype: RecordType::NSEC,
        ttl,
        rdatas: vec![Rdata::of_valid_wire(octets)],
    })
}

/// The name that a node's NSEC leads to.
pub(super) fn next_name(node: &Node) -> Option<Name> {
    let nsec = node.set(RecordType::NSEC)?.rdatas.first()?;
    Some(Name::read_wire(nsec.wire()).ok()?.0)
}

/// The type bit maps field (RFC 4034 §4.1.2) of types in order.
pub(super) fn bitmap(types: &[u16]) -> Vec<u8> {
    let mut octets = Vec::new();
    push_bitmap(types, &mut octets);
    octets
}

/// Appends the type bit maps field. `types` are in order.
fn push_bitmap(types: &[u16], octets: &mut Vec<u8>) {
    for block in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0_u8; 32];
        let mut length = 0;
        for rtype in block {
            let low = usize::from(rtype & 0xff);
            bits[low / 8] |= 0x80 >> (low % 8);
            length = low / 8 + 1;
        }
        octets.extend([(block[0] >> 8) as u8, length as u8]);
        octets.extend(&bits[..length]);
    }
}

/// The types of a bit map; none when it is not whole.
pub(super) fn bitmap_types(mut octets: &[u8]) -> Option<Vec<RecordType>> {
    let mut types = Vec::new();
    let mut block_before = None;
    while let [block, length @ 1..=32, rest @ ..] = octets {
        let (bits, after) = rest.split_at_checked(usize::from(*length))?;
        if block_before.is_some_and(|before| before >= *block) {
            return None;
        }
        block_before = Some(*block);
        for (at, octet) in bits.iter().enumerate() {
            let set = (0..8_u16).filter(|bit| octet & (0x80 >> bit) != 0);
            types.extend(
                set.map(|bit| RecordType::from(u16::from(*block) << 8 | (at as u16) << 3 | bit)),
            );
        }
        octets = after;
    }
    octets.is_empty().then_some(types)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rfcs_bit_map_is_made_and_read() {
        // RFC 4034 §4.3: A MX RRSIG NSEC TYPE1234.
        let types = [1, 15, 46, 47, 1234];
        let mut octets = Vec::new();
        push_bitmap(&types, &mut octets);
        let mut expected = vec![0, 6, 0x40, 0x01, 0, 0, 0, 0x03, 4, 0x1b];
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(octets, expected);
        let read: Vec<u16> = bitmap_types(&octets)
            .unwrap()
            .into_iter()
            .map(u16::from)
            .collect();
        assert_eq!(read, types);
        for bad in [&[0][..], &[0, 0], &[0, 33], &[0, 2, 1], &[1, 1, 1, 1, 1, 1]] {
            assert_eq!(bitmap_types(bad), None, "{bad:?}");
        }
    }
}
