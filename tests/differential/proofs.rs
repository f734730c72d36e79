//! A validator of one answer at a time, which shares no code with what it checks: whether every RRset is signed by the key of
//! its zone, and whether what is denied is proved (RFC 4035 §5, RFC 6840 §4).
//!
//! In: a question, what was said to it, the keys of the zones. Out: nothing, or what is wrong. Never here: a cache, time.

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

use crate::said::{Record, Said};

/// A name as its labels from the root down, in lower case: so names sort canonically (RFC 4034 §6.1), and what lies below a
/// name begins with it.
type Path = Vec<Vec<u8>>;

const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;
/// How many aliases are followed.
const ALIASES: usize = 8;

fn path(name: &Name) -> Path {
    let mut labels: Path = name.labels().map(<[u8]>::to_ascii_lowercase).collect();
    labels.reverse();
    labels
}

fn path_of(text: &str) -> Path {
    path(&Name::from_text(text.as_bytes(), None).unwrap())
}

/// The name that octets begin with, and the octets behind it.
fn split(octets: &[u8]) -> (Path, &[u8]) {
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

/// How many labels two names have in common.
fn shared(one: &Path, other: &Path) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(one, other)| one == other).count()
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
    fn zone_of(&self, name: &Path) -> Option<&Path> {
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
struct Signed {
    signer: Path,
    /// What a wildcard was expanded at: its owner without the asterisk.
    encloser: Option<Path>,
}

/// One NSEC that is signed.
struct Nsec {
    owner: Path,
    next: Path,
    types: BTreeSet<u16>,
    zone: Path,
}

impl Nsec {
    fn read(owner: &Path, rdata: &[u8], zone: &Path) -> Nsec {
        let (next, mut bitmaps) = split(rdata);
        let mut types = BTreeSet::new();
        while let [window, length, rest @ ..] = bitmaps {
            let (bits, behind) = rest.split_at(usize::from(*length));
            for (at, octet) in bits.iter().enumerate() {
                let set = (0..8_u16).filter(|bit| octet & (0x80 >> bit) != 0);
                let first = u16::from(*window) * 256 + u16::try_from(at * 8).unwrap();
                types.extend(set.map(|bit| first + bit));
            }
            bitmaps = behind;
        }
        Nsec {
            owner: owner.clone(),
            next,
            types,
            zone: zone.clone(),
        }
    }

    fn has(&self, rtype: Rtype) -> bool {
        self.types.contains(&rtype.to_int())
    }

    fn is_of_delegation(&self) -> bool {
        self.has(Rtype::NS) && !self.has(Rtype::SOA)
    }

    /// Whether no record is at this name: it lies between the two, and not below a delegation (RFC 6840 §4.1).
    fn covers(&self, name: &Path) -> bool {
        let between = self.owner < *name && (*name < self.next || self.next == self.zone);
        let foreign = self.is_of_delegation() && name.starts_with(&self.owner);
        between && name.starts_with(&self.zone) && !foreign
    }

    /// Whether nothing is at this name, and it is there all the same, for what lies below it.
    fn empties(&self, name: &Path) -> bool {
        self.covers(name) && self.next.starts_with(name)
    }

    /// Whether this name is not there.
    fn denies(&self, name: &Path) -> bool {
        self.covers(name) && !self.next.starts_with(name)
    }

    /// The closest encloser of a name that it denies.
    fn encloser(&self, name: &Path) -> Path {
        let labels = shared(&self.owner, name).max(shared(&self.next, name));
        name[..labels].to_vec()
    }

    /// Whether it is at a wildcard or a name without data of this type.
    fn lacks(&self, rtype: u16) -> bool {
        !self.types.contains(&rtype) && !self.has(Rtype::CNAME)
    }
}

/// Records of one owner and type, and the signatures over them.
type Sets<'a> = BTreeMap<(Path, u16), (Vec<&'a Record>, Vec<&'a Record>)>;

fn sets(records: &BTreeSet<Record>) -> Sets<'_> {
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
fn verify_all(
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

/// Whether a signed zone may say this to a question for a name and type.
///
/// # Errors
/// What is not signed or not proved.
pub(crate) fn check(keys: &Keys, name: &Name, rtype: u16, said: &Said) -> Result<(), String> {
    let (answer, authority) = (sets(&said.answer), sets(&said.authority));
    let signed = verify_all(keys, &answer, false)?;
    let proofs = verify_all(keys, &authority, true)?;
    let nsecs: Vec<Nsec> = authority
        .iter()
        .filter(|((_, rtype), _)| *rtype == Rtype::NSEC.to_int())
        .map(|((owner, rtype), (records, _))| {
            let zone = &proofs[&(owner.clone(), *rtype)].signer;
            Nsec::read(owner, &records[0].rdata, zone)
        })
        .collect();

    // What was expanded was not there itself (§5.3.4).
    for ((owner, _), set) in &signed {
        let Some(encloser) = &set.encloser else {
            continue;
        };
        let denied = |nsec: &Nsec| {
            nsec.zone == set.signer && nsec.denies(owner) && nsec.encloser(owner) == *encloser
        };
        if !nsecs.iter().any(denied) {
            return Err(format!("nothing proves that {owner:?} was to be expanded"));
        }
    }

    // Along the aliases.
    let alias = Rtype::CNAME.to_int();
    let (mut last, mut passed) = (path(name), BTreeSet::new());
    loop {
        if answer.contains_key(&(last.clone(), rtype)) {
            passed.insert(last);
            let owners = answer.keys().map(|(owner, _)| owner);
            let stray = owners.into_iter().find(|owner| !passed.contains(*owner));
            return stray.map_or(Ok(()), |owner| Err(format!("{owner:?} was not asked for")));
        }
        let Some((records, _)) = answer.get(&(last.clone(), alias)) else {
            break;
        };
        if !passed.insert(last) {
            return Ok(());
        }
        last = split(&records[0].rdata).0;
    }
    if let Some(cut) = authority
        .keys()
        .find(|(_, rtype)| *rtype == Rtype::NS.to_int())
    {
        return refer(&last, &cut.0, &authority, &proofs, &nsecs);
    }
    let Some((soa, _)) = authority
        .keys()
        .find(|(_, rtype)| *rtype == Rtype::SOA.to_int())
    else {
        let elsewhere = keys.zone_of(&last).is_none();
        let over = elsewhere || passed.len() >= ALIASES || passed.contains(&last);
        return if over {
            Ok(())
        } else {
            Err(format!("nothing is said of {last:?}"))
        };
    };
    // The zone above speaks of the DS, where there is one.
    let above = last[..last.len().saturating_sub(1)].to_vec();
    let speaks = match Rtype::from_int(rtype) {
        Rtype::DS => keys.zone_of(&above).or(keys.zone_of(&last)),
        _ => keys.zone_of(&last),
    };
    let child = rtype == Rtype::DS.to_int() && *soa == last;
    if speaks != Some(soa) && !child {
        return Err(format!("{soa:?} speaks of {last:?}"));
    }
    let nsecs: Vec<Nsec> = nsecs.into_iter().filter(|nsec| nsec.zone == *soa).collect();
    deny(&last, rtype, said.rcode, &nsecs)
}

/// A referral with the child's DS, or the proof that it has none (§5.2, RFC 6840 §4.4).
fn refer(
    last: &Path,
    cut: &Path,
    authority: &Sets<'_>,
    proofs: &BTreeMap<(Path, u16), Signed>,
    nsecs: &[Nsec],
) -> Result<(), String> {
    if !last.starts_with(cut) {
        return Err(format!("{last:?} is referred to {cut:?}"));
    }
    let ds = (cut.clone(), Rtype::DS.to_int());
    if authority.contains_key(&ds) {
        let own = proofs[&ds].signer == *cut;
        return if own {
            Err("the child's own DS".to_owned())
        } else {
            Ok(())
        };
    }
    let insecure = |nsec: &Nsec| {
        nsec.owner == *cut && nsec.zone != *cut && nsec.is_of_delegation() && !nsec.has(Rtype::DS)
    };
    match nsecs.iter().any(insecure) {
        true => Ok(()),
        false => Err(format!("nothing proves that {cut:?} has no DS")),
    }
}

/// A negative answer (§5.4).
fn deny(last: &Path, rtype: u16, rcode: u16, nsecs: &[Nsec]) -> Result<(), String> {
    let denied = nsecs.iter().find(|nsec| nsec.denies(last));
    let wildcard = denied.map(|nsec| {
        let mut wildcard = nsec.encloser(last);
        wildcard.push(b"*".to_vec());
        wildcard
    });
    let proved = match rcode {
        NXDOMAIN => wildcard.is_some_and(|name| nsecs.iter().any(|nsec| nsec.denies(&name))),
        NOERROR => {
            let at = |nsec: &Nsec| {
                // At a cut the parent speaks of DS alone, and the child of all else.
                let side = match Rtype::from_int(rtype) {
                    Rtype::DS => !nsec.has(Rtype::SOA) || nsec.zone == *last,
                    _ => !nsec.is_of_delegation(),
                };
                nsec.owner == *last && nsec.lacks(rtype) && side
            };
            let expanded = |name: &Path| {
                let at =
                    |nsec: &Nsec| nsec.owner == *name && nsec.lacks(rtype) || nsec.empties(name);
                nsecs.iter().any(at)
            };
            nsecs.iter().any(|nsec| at(nsec) || nsec.empties(last))
                || wildcard.is_some_and(|name| expanded(&name))
        }
        _ => return Err(format!("code {rcode}")),
    };
    match proved {
        true => Ok(()),
        false => Err(format!("nothing proves code {rcode} of {last:?}")),
    }
}
