//! A validator of one answer at a time, which shares no code with what it checks: whether what is said is signed, and what is
//! denied is proved (RFC 4035 §5, RFC 6840 §4).
//!
//! In: a question, what was said to it, the keys of the zones. Out: nothing, or what is wrong. Never here: a cache, time.

use std::collections::{BTreeMap, BTreeSet};

use domain::base::iana::Rtype;
use repoint::zone::Name;

use crate::said::Said;
use crate::signatures::{Keys, Path, Sets, Signed, path, sets, split, verify_all};

const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;
const YXDOMAIN: u16 = 6;
const DNAME: u16 = 39;
/// How many aliases are followed.
const ALIASES: usize = 8;

/// How many labels two names have in common.
fn shared(one: &Path, other: &Path) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(one, other)| one == other).count()
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

/// Takes the aliases out of an answer that a DNAME in it gives, which are not signed (RFC 6672 §5.3.1): by owner, the DNAME's
/// owner and where each leads.
fn take_redirected(answer: &mut Sets<'_>) -> BTreeMap<Path, (Path, Path)> {
    let alias = Rtype::CNAME.to_int();
    let mut redirected = BTreeMap::new();
    let dnames: Vec<(Path, Path)> = answer
        .iter()
        .filter(|((_, rtype), _)| *rtype == DNAME)
        .map(|((owner, _), (records, _))| (owner.clone(), split(&records[0].rdata).0))
        .collect();
    answer.retain(|(owner, rtype), (records, rrsigs)| {
        if *rtype != alias || !rrsigs.is_empty() {
            return true;
        }
        let target = split(&records[0].rdata).0;
        let from = dnames.iter().find(|(dname, to)| {
            let behind = owner.strip_prefix(dname.as_slice());
            behind.is_some_and(|behind| !behind.is_empty() && [to, behind].concat() == target)
        });
        let Some((dname, _)) = from else { return true };
        redirected.insert(owner.clone(), (dname.clone(), target));
        false
    });
    redirected
}

/// Whether a signed zone may say this to a question for a name and type.
///
/// # Errors
/// What is not signed or not proved.
pub(crate) fn check(keys: &Keys, name: &Name, rtype: u16, said: &Said) -> Result<(), String> {
    let (mut answer, authority) = (sets(&said.answer), sets(&said.authority));
    let redirected = take_redirected(&mut answer);
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
        if rtype == alias && redirected.contains_key(&last) {
            return Ok(());
        }
        let next = match (redirected.get(&last), answer.get(&(last.clone(), alias))) {
            (Some((dname, target)), _) => {
                passed.insert(dname.clone());
                target.clone()
            }
            (None, Some((records, _))) => split(&records[0].rdata).0,
            (None, None) => break,
        };
        if !passed.insert(last) {
            return Ok(());
        }
        last = next;
    }
    if said.rcode == YXDOMAIN {
        let mut dnames = answer.keys().filter(|(_, rtype)| *rtype == DNAME);
        let above = dnames.any(|(owner, _)| last.starts_with(owner) && last != *owner);
        return match above {
            true => Ok(()),
            false => Err(format!("no DNAME makes {last:?} too long")),
        };
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
