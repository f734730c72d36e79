//! A published version read as a validator reads it: every signature is checked with the zone's own keys.
//!
//! In: a version as published, the wall clock. Out: which keys there are and what they sign, or the first thing that is
//! wrong. The octets that are signed (RFC 4034 §3.1.8.1) and the chain of names (§4) are worked out anew here; all names
//! of these tests are in lower case. Never here: which keys there should be.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey};
use openssl::sign::Verifier;
use repoint::clock::Wall;
use repoint::zone::{Node, NodeKind, Rrset, ZoneVersion};

use crate::chain::Version;

/// Signatures are to be valid for so long at least: secondaries outlive their primary for seven days.
const LEAST: Duration = Duration::from_secs(10 * 86_400);

/// What is asked of the time in which signatures are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It has begun, and lasts long enough.
    Now,
    /// It lasts long enough: the clock is known to be wrong, so nothing says that it has begun.
    LongEnough,
    /// Nothing: the version waits to be signed anew.
    Any,
}

/// Signatures that have been checked already.
#[derive(Default)]
pub(crate) struct Signatures(HashSet<u64>);

/// One key of the DNSKEY RRset.
struct Key {
    tag: u16,
    algorithm: u8,
    octets: Vec<u8>,
}

impl Signatures {
    /// Checks a version, and says what a validator takes from it. An unsigned one has no keys.
    pub(crate) fn check(
        &mut self,
        zone: &ZoneVersion,
        now: Wall,
        validity: Validity,
    ) -> Result<Version, String> {
        let nodes: Vec<&Node> = zone.nodes().iter().map(|node| &**node).collect();
        let keys: Vec<Key> = zone
            .apex_node()
            .set(RecordType::DNSKEY)
            .iter()
            .flat_map(|set| &set.rdatas)
            .map(|rdata| Key::read(rdata.wire()))
            .collect();
        let mut version = Version {
            keys: keys.iter().map(|key| (key.tag, key.algorithm)).collect(),
            key_signers: Vec::new(),
            zone_signers: Vec::new(),
            ttl: zone.longest_ttl(),
        };
        let has = |rtype| nodes.iter().any(|node| node.set(rtype).is_some());
        let signed = nodes.iter().any(|node| !node.signatures.is_empty());
        if !signed && keys.is_empty() {
            let traces = [RecordType::NSEC, RecordType::CDS, RecordType::CDNSKEY];
            return match traces.into_iter().find(|rtype| has(*rtype)) {
                Some(rtype) => Err(format!("an unsigned zone has {rtype}")),
                None => Ok(version),
            };
        }
        let mut zone_signers: Option<Vec<u16>> = None;
        for node in &nodes {
            for set in &node.sets {
                let signers = self.signers(zone, node, set, &keys, (now, validity))?;
                let Some(signers) = signers else { continue };
                if set.rtype == RecordType::DNSKEY {
                    version.key_signers = signers;
                } else if !matches!(set.rtype, RecordType::CDS | RecordType::CDNSKEY) {
                    let all = zone_signers.get_or_insert_with(|| signers.clone());
                    if *all != signers {
                        let name = &node.name;
                        return Err(format!(
                            "{name} {} is signed by {signers:?}, other RRsets by {all:?}",
                            set.rtype
                        ));
                    }
                }
            }
        }
        version.zone_signers = zone_signers.unwrap_or_default();
        chain_of_names(&nodes)?;
        Ok(version)
    }

    /// The keys that have signed an RRset, in order of their tags; none where nothing may be signed.
    fn signers(
        &mut self,
        zone: &ZoneVersion,
        node: &Node,
        set: &Rrset,
        keys: &[Key],
        (now, validity): (Wall, Validity),
    ) -> Result<Option<Vec<u16>>, String> {
        let what = format!("{} {}", node.name, set.rtype);
        let made = node.signature(set.rtype);
        if !is_signed(node, set.rtype) {
            return match made {
                Some(_) => Err(format!("{what} must not be signed")),
                None => Ok(None),
            };
        }
        let mut signers = Vec::new();
        for rrsig in made.iter().flat_map(|made| &made.rdatas) {
            let wire = rrsig.wire();
            let number = |at: usize| u16::from_be_bytes([wire[at], wire[at + 1]]);
            let moment = |at: usize| {
                let seconds = u32::from_be_bytes(wire[at..at + 4].try_into().unwrap());
                Wall::from_millis(i64::from(seconds) * 1000)
            };
            let (tag, algorithm) = (number(16), wire[2]);
            let (expiration, inception) = (moment(8), moment(12));
            let early = validity == Validity::Now && inception > now;
            let short = validity != Validity::Any && expiration < now + LEAST;
            if early || short {
                return Err(format!(
                    "{what} is signed from {inception} to {expiration}, and it is {now}"
                ));
            }
            let apex = zone.apex().wire();
            let labels = node.name.label_count() - usize::from(node.name.is_wildcard());
            let fields = number(0) == u16::from(set.rtype)
                && usize::from(wire[3]) == labels
                && wire[4..8] == set.ttl.to_be_bytes()
                && wire[18..].starts_with(apex);
            if !fields {
                return Err(format!("{what}: its RRSIG is about something else"));
            }
            let (fields, signature) = wire.split_at(18 + apex.len());
            let alike = |key: &&Key| (key.tag, key.algorithm) == (tag, algorithm);
            // What a key signs that is not in the DNSKEY RRset nobody can check.
            let published: Vec<&Key> = keys.iter().filter(alike).collect();
            let octets = signed_octets(fields, node, set);
            let mut hash = DefaultHasher::new();
            (&octets, signature).hash(&mut hash);
            published.iter().for_each(|key| key.octets.hash(&mut hash));
            if !published.is_empty()
                && self.0.insert(hash.finish())
                && !published
                    .iter()
                    .any(|key| key.has_signed(&octets, signature))
            {
                return Err(format!("{what}: the signature of key {tag} is bogus"));
            }
            signers.push(tag);
        }
        if signers.is_empty() {
            return Err(format!("{what} is not signed"));
        }
        signers.sort_unstable();
        Ok(Some(signers))
    }
}

impl Key {
    fn read(rdata: &[u8]) -> Key {
        // RFC 4034 appendix B.
        let sum = rdata.iter().enumerate().fold(0_u32, |sum, (at, octet)| {
            sum + (u32::from(*octet) << if at % 2 == 0 { 8 } else { 0 })
        });
        Key {
            tag: u16::try_from((sum + (sum >> 16)) & 0xffff).unwrap(),
            algorithm: rdata[3],
            octets: rdata[4..].to_vec(),
        }
    }

    fn has_signed(&self, octets: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            // RFC 8080.
            15 => {
                let key = PKey::public_key_from_raw_bytes(&self.octets, Id::ED25519).unwrap();
                let mut verifier = Verifier::new_without_digest(&key).unwrap();
                verifier.verify_oneshot(signature, octets).unwrap()
            }
            // RFC 6605 §4.
            13 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
                let point = [&[4], &self.octets[..]].concat();
                let mut context = BigNumContext::new().unwrap();
                let point = EcPoint::from_bytes(&group, &point, &mut context).unwrap();
                let key = EcKey::from_public_key(&group, &point).unwrap();
                let (r, s) = signature.split_at(32);
                let number = |octets| BigNum::from_slice(octets).unwrap();
                let signature = EcdsaSig::from_private_components(number(r), number(s)).unwrap();
                let digest = openssl::hash::hash(MessageDigest::sha256(), octets).unwrap();
                signature.verify(&digest, &key).unwrap()
            }
            other => panic!("algorithm {other}"),
        }
    }
}

/// RFC 4035 §2.2.
fn is_signed(node: &Node, rtype: RecordType) -> bool {
    match node.kind {
        NodeKind::Authoritative => true,
        NodeKind::Cut => matches!(rtype, RecordType::DS | RecordType::NSEC),
        NodeKind::Occluded => false,
    }
}

fn signed_octets(fields: &[u8], node: &Node, set: &Rrset) -> Vec<u8> {
    let mut rdatas: Vec<&[u8]> = set.rdatas.iter().map(|rdata| rdata.wire()).collect();
    rdatas.sort_unstable();
    rdatas.dedup();
    let mut octets = fields.to_vec();
    for rdata in rdatas {
        octets.extend(node.name.wire());
        octets.extend(u16::from(set.rtype).to_be_bytes());
        octets.extend([0, 1]);
        octets.extend(set.ttl.to_be_bytes());
        octets.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
        octets.extend(rdata);
    }
    octets
}

/// Every name with data leads to the next one, the last to the first, and says which types it has.
fn chain_of_names(nodes: &[&Node]) -> Result<(), String> {
    let with_data = |node: &&&Node| node.kind != NodeKind::Occluded && !node.sets.is_empty();
    let names: Vec<&&Node> = nodes.iter().filter(with_data).collect();
    for (node, next) in names.iter().zip(names.iter().cycle().skip(1)) {
        let Some(nsec) = node.set(RecordType::NSEC) else {
            return Err(format!("{} has no NSEC", node.name));
        };
        let mut types: Vec<u16> = node.sets.iter().map(|set| set.rtype.into()).collect();
        types.push(RecordType::RRSIG.into());
        types.sort_unstable();
        let rdata = nsec.rdatas[0].wire();
        let said = rdata.strip_prefix(next.name.wire()).map(read_bitmap);
        if said.as_ref() != Some(&types) || nsec.rdatas.len() != 1 {
            return Err(format!(
                "the NSEC of {} does not lead to {} with {types:?}",
                node.name, next.name
            ));
        }
    }
    Ok(())
}

/// RFC 4034 §4.1.2.
fn read_bitmap(mut octets: &[u8]) -> Vec<u16> {
    let mut types = Vec::new();
    while let [window, length, rest @ ..] = octets {
        let (bits, after) = rest.split_at((*length).into());
        for bit in 0..bits.len() * 8 {
            if bits[bit / 8] & (0x80 >> (bit % 8)) != 0 {
                types.push(u16::from(*window) * 256 + u16::try_from(bit).unwrap());
            }
        }
        octets = after;
    }
    types
}
