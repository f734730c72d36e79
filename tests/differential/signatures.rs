//! Signatures of what is said, by openssl and RFC 4034 §3.1.8.1 alone: whether every RRset is signed by the key of its zone.
//!
//! In: sections, the keys of the zones. Out: each set's signer and the wildcard that it was expanded from, or what is wrong.
//! Never here: a cache, time; what is denied.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use domain::base::iana::Rtype;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey};
use openssl::sha::sha256;
use openssl::sign::Verifier;
use repoint::zone::Name;

use crate::said::Record;

/// A name as its labels from the root down, in lower case: so names sort canonically (RFC 4034 §6.1), and what lies below a
/// name begins with it.
pub(crate) type Path = Vec<Vec<u8>>;

pub(crate) fn path(name: &Name) -> Path {
    let mut labels: Path = name.labels().map(<[u8]>::to_ascii_lowercase).collect();
    labels.reverse();
    labels
}

fn path_of(text: &str) -> Path {
    path(&Name::from_text(text.as_bytes(), None).unwrap())
}

/// The name that octets begin with, and the octets behind it.
pub(crate) fn split(octets: &[u8]) -> (Path, &[u8]) {
    let (mut labels, mut rest) = (Path::new(), octets);
    while let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, behind) = behind.split_at(usize::from(*length));
        labels.insert(0, label.to_ascii_lowercase());
        rest = behind;
    }
    (labels, &rest[1..])
}

fn wire(path: &Path) -> Vec<u8> {
    let labels = path.iter().rev();
    let mut octets: Vec<u8> = labels
        .flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.clone()))
        .collect();
    octets.push(0);
    octets
}

/// The keys of zones, and which signatures have been found to be theirs.
pub(crate) struct Keys {
    /// By apex: the RDATA of the zone's DNSKEY record.
    zones: BTreeMap<Path, Vec<u8>>,
    verified: RefCell<BTreeSet<(Vec<u8>, Vec<u8>)>>,
}

impl Keys {
    /// One key for each zone, as the RDATA of its DNSKEY record.
    pub(crate) fn new(zones: impl IntoIterator<Item = (Name, Vec<u8>)>) -> Keys {
        let zones = zones.into_iter().map(|(apex, key)| (path(&apex), key));
        Keys {
            zones: zones.collect(),
            verified: RefCell::default(),
        }
    }

    /// The zone that a name lies in.
    pub(crate) fn zone_of(&self, name: &Path) -> Option<&Path> {
        let zones = self.zones.keys().filter(|apex| name.starts_with(apex));
        zones.max_by_key(|apex| apex.len())
    }

    fn verify(&self, signer: &Path, signed: Vec<u8>, signature: &[u8]) -> Result<(), String> {
        let key = self.zones.get(signer).ok_or("a signer that is no zone")?;
        let what = (signed, signature.to_vec());
        if self.verified.borrow().contains(&what) {
            return Ok(());
        }
        // Flags, protocol, algorithm, key (RFC 4034 §2.1; RFC 6605 §4; RFC 8080 §3).
        let good = match key[3] {
            13 => {
                let number = |octets: &[u8]| BigNum::from_slice(octets).unwrap();
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
                let (x, y) = (number(&key[4..36]), number(&key[36..68]));
                let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap();
                let (r, s) = (number(&signature[..32]), number(&signature[32..]));
                let signature = EcdsaSig::from_private_components(r, s).unwrap();
                signature.verify(&sha256(&what.0), &key).unwrap()
            }
            15 => {
                let key = PKey::public_key_from_raw_bytes(&key[4..], Id::ED25519).unwrap();
                let mut verifier = Verifier::new_without_digest(&key).unwrap();
                verifier.verify_oneshot(signature, &what.0).unwrap()
            }
            other => return Err(format!("algorithm {other}")),
        };
        if !good {
            return Err("a signature that does not verify".to_owned());
        }
        self.verified.borrow_mut().insert(what);
        Ok(())
    }
}

/// An RRset that a signature vouches for.
pub(crate) struct Signed {
    pub(crate) signer: Path,
    /// What a wildcard was expanded at: its owner without the asterisk.
    pub(crate) encloser: Option<Path>,
}

/// Records of one owner and type, and the signatures over them.
pub(crate) type Sets<'a> = BTreeMap<(Path, u16), (Vec<&'a Record>, Vec<&'a Record>)>;

pub(crate) fn sets(records: &BTreeSet<Record>) -> Sets<'_> {
    let mut sets = Sets::new();
    for record in records {
        let covered = if record.covered == 0 {
            record.rtype
        } else {
            record.covered
        };
        let set = sets.entry((path_of(&record.owner), covered)).or_default();
        match record.covered {
            0 => set.0.push(record),
            _ => set.1.push(record),
        }
    }
    sets
}

/// Checks a set's signature (RFC 4035 §5.3).
fn verify(
    keys: &Keys,
    owner: &Path,
    records: &[&Record],
    rrsig: &Record,
) -> Result<Signed, String> {
    let (fixed, rest) = rrsig.rdata.split_at(18);
    let (signer, signature) = split(rest);
    let labels = usize::from(fixed[3]);
    let own = owner.len() - usize::from(owner.last().is_some_and(|label| label == b"*"));
    if !owner.starts_with(&signer) || labels > own {
        return Err("a signer that is not above, or too many labels".to_owned());
    }
    let encloser = (labels < own).then(|| owner[..labels].to_vec());
    let name = match &encloser {
        Some(encloser) => [encloser.as_slice(), &[b"*".to_vec()]].concat(),
        None => owner.clone(),
    };
    let mut signed = [fixed, &wire(&signer)].concat();
    let mut rdatas: Vec<&[u8]> = records
        .iter()
        .map(|record| record.rdata.as_slice())
        .collect();
    rdatas.sort_unstable();
    for rdata in rdatas {
        signed.extend(wire(&name));
        // Type, class IN, original TTL.
        signed.extend_from_slice(&fixed[..2]);
        signed.extend([0, 1]);
        signed.extend_from_slice(&fixed[4..8]);
        signed.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
        signed.extend_from_slice(rdata);
    }
    keys.verify(&signer, signed, signature)?;
    Ok(Signed { signer, encloser })
}

/// Every set is signed once by its zone, but for the NS of a delegation.
pub(crate) fn verify_all(
    keys: &Keys,
    sets: &Sets<'_>,
    authority: bool,
) -> Result<BTreeMap<(Path, u16), Signed>, String> {
    let mut all = BTreeMap::new();
    for ((owner, rtype), (records, rrsigs)) in sets {
        let what = || format!("{:?} {}", owner, Rtype::from_int(*rtype));
        if authority && *rtype == Rtype::NS.to_int() && rrsigs.is_empty() {
            continue;
        }
        let [rrsig] = rrsigs.as_slice() else {
            return Err(format!("{}: {} signatures", what(), rrsigs.len()));
        };
        if records.is_empty() {
            return Err(format!("{}: a signature of nothing", what()));
        }
        let signed = verify(keys, owner, records, rrsig);
        let signed = signed.map_err(|fault| format!("{}: {fault}", what()))?;
        all.insert((owner.clone(), *rtype), signed);
    }
    Ok(all)
}
