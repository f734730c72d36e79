//! Where the records of a zone lead: to names with addresses, to nothing, or to a name elsewhere that lacks its last dot.
//!
//! In: the gathered records. Out: problems with their lines. Never here: targets of pools (`targets`).

use hickory_proto::rr::RecordType;

use super::master::{MasterFault, SourceLine};
use super::name::Name;
use super::rdata::Rrset;
use super::static_zone::{Check, StaticSet};
use super::type_names::type_text;

impl Check<'_> {
    /// NS, MX and SRV lead to names with addresses, not to aliases, as far as this zone knows.
    pub(super) fn targets(&mut self) {
        let mut found = Vec::new();
        let mut foreign = Vec::new();
        for (owner, sets) in &self.names {
            if self.redirection(owner).is_some() {
                continue;
            }
            let owner_cut = self.cut_of(owner).map(|(cut, _)| cut);
            for set in sets.values() {
                let rtype = set.rrset.rtype;
                for (n, target) in targets_of(&set.rrset) {
                    if self.steps.is_over() {
                        return;
                    }
                    if !target.is_at_or_below(self.apex) {
                        continue;
                    }
                    let fault = self.target_fault(rtype, &target, owner_cut);
                    let at = &set.lines[n];
                    if let Some(dotless) = self.dotless(owner, set, n, &target, fault.as_ref()) {
                        foreign.push((at.clone(), dotless));
                    } else if let Some(fault) = fault {
                        found.push((at.clone(), fault));
                    }
                }
            }
        }
        found.extend(once_each(foreign));
        for (at, fault) in found {
            self.problem(&at, fault);
        }
    }

    /// What to say of a target that is read as a name of this zone, is not there, and is probably a name elsewhere
    /// without its last dot: what follows from that is not the cause.
    fn dotless(
        &self,
        owner: &Name,
        set: &StaticSet,
        n: usize,
        target: &Name,
        fault: Option<&MasterFault>,
    ) -> Option<MasterFault> {
        let labels = usize::from(*self.relative.get(&set.lines[n])?);
        let is_there = self.has_at_or_below(target)
            || matches!(fault, Some(MasterFault::TargetBelowDname { .. }));
        let text = target.to_string();
        let mut dots = text.match_indices('.').map(|(at, _)| at);
        let last_label = dots.nth(labels.checked_sub(2)?)? + 1;
        let end = dots.next()?;
        // A name below another name of this zone is probably meant.
        let zone_has = Name::from_text(&text.as_bytes()[last_label..], None)
            .is_ok_and(|above| self.has_at_or_below(&above));
        if is_there || zone_has {
            return None;
        }
        let written = text[..end].to_owned();
        let rtype = set.rrset.rtype;
        let data = set.rrset.rdatas[n].to_text(rtype);
        let before = data.strip_suffix(text.as_str())?;
        Some(MasterFault::DotlessTarget {
            corrected: format!("{owner} {} {before}{written}.", type_text(rtype)),
            written,
            read: target.clone(),
            more: 0,
            refused: fault.is_some_and(MasterFault::is_error),
        })
    }

    fn target_fault(
        &self,
        rtype: RecordType,
        target: &Name,
        owner_cut: Option<&Name>,
    ) -> Option<MasterFault> {
        if let Some((_, dname)) = self.redirection(target) {
            let (target, dname) = (target.clone(), dname.at().clone());
            let real = rtype != RecordType::CNAME;
            return real.then_some(MasterFault::TargetBelowDname {
                rtype,
                target,
                dname,
            });
        }
        // The alias of an apex is a fault by itself.
        if target == self.apex && self.set(target, RecordType::CNAME).is_some() {
            return None;
        }
        let target_cut = self.cut_of(target).map(|(cut, _)| cut.clone());
        let has_address = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .any(|rtype| self.set(target, rtype).is_some());
        if target_cut.is_none()
            && rtype != RecordType::CNAME
            && let Some(cname) = self.found(target, RecordType::CNAME)
        {
            return Some(MasterFault::TargetIsCname {
                rtype,
                target: target.clone(),
                cname: cname.at().clone(),
            });
        }
        let target = target.clone();
        match (rtype, target_cut) {
            (RecordType::NS, Some(cut)) if !has_address => {
                Some(if owner_cut == Some(&cut) {
                    // RFC 9471 §3: without in-domain glue nobody gets there.
                    MasterFault::NoGlue { target, cut }
                } else {
                    MasterFault::SiblingGlue { target, cut }
                })
            }
            (RecordType::NS, None) => {
                let addressed = [RecordType::A, RecordType::AAAA]
                    .into_iter()
                    .any(|rtype| self.found(&target, rtype).is_some());
                (!addressed).then_some(MasterFault::NsWithoutAddress { target })
            }
            (RecordType::CNAME, None) if !self.exists(&target) => {
                Some(MasterFault::CnameToNothing { target })
            }
            _ => None,
        }
    }
}

/// Targets without their last dots: the first that makes the file unusable, and the first of the others.
fn once_each(mut all: Vec<(SourceLine, MasterFault)>) -> Vec<(SourceLine, MasterFault)> {
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut once: Vec<(SourceLine, MasterFault)> = Vec::new();
    for (at, fault) in all {
        let known = once
            .iter_mut()
            .find(|(_, known)| known.is_error() == fault.is_error());
        match known {
            Some((_, MasterFault::DotlessTarget { more, .. })) => *more += 1,
            _ => once.push((at, fault)),
        }
    }
    once
}

/// The names that records of these types lead to, each with its place in the set.
pub(super) fn targets_of(set: &Rrset) -> impl Iterator<Item = (usize, Name)> {
    let wanted = matches!(
        set.rtype,
        RecordType::NS | RecordType::MX | RecordType::SRV | RecordType::CNAME
    );
    let rdatas = if wanted { set.rdatas.as_slice() } else { &[] };
    rdatas.iter().enumerate().filter_map(|(n, rdata)| {
        // "." says there is none (RFC 2782, RFC 7505).
        let target = rdata.target(set.rtype).filter(|target| !target.is_root())?;
        Some((n, target))
    })
}
