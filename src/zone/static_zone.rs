//! A zone's static records: a master file that has passed every check a zone can pass by itself.
//!
//! In: a master file. Out: its RRsets, each with the lines it came from, or every problem at once.
//! Never here: steered names; `layout` puts the two together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::cancellation::{Cancellation, Steps};
use super::master::{
    self, Include, Included, MasterFault, MasterFile, MasterProblem, MasterRecord, Severity,
    SourceLine,
};
use super::name::{Name, parent_key};
use super::rdata::{Rdata, Rrset};
use super::serial::Serial;
use super::static_targets::targets_of;
use crate::topology::DomainName;

/// The most octets of RDATA and record headers one RRset may have: an answer of 64 KiB holds it with room for
/// the rest of the message.
const RRSET_LIMIT: usize = 60_000;

/// The static records of one zone.
#[derive(Clone, Debug)]
pub struct StaticZone {
    apex: Name,
    pub(super) names: BTreeMap<Name, BTreeMap<u16, StaticSet>>,
    warnings: Vec<MasterProblem>,
    /// Names whose last dot seems to be missing, as read and as meant. What follows from the slip is not reported.
    pub(super) slipped: BTreeSet<Name>,
    /// It came from a primary: what is steered replaces what it says.
    pub(super) received: bool,
}

/// A static RRset and where its records stand.
#[derive(Clone, Debug)]
pub(super) struct StaticSet {
    pub(super) rrset: Arc<Rrset>,
    /// One per record, in the same order.
    pub(super) lines: Vec<SourceLine>,
}

impl StaticSet {
    pub(super) fn at(&self) -> &SourceLine {
        &self.lines[0]
    }
}

impl StaticZone {
    /// Reads a master file as the zone `apex`. `file` is what messages call it; `load` is asked for each
    /// `$INCLUDE`. The origin is the apex. Gives every problem when one of them is an error.
    pub fn parse(
        apex: &DomainName,
        file: &str,
        octets: &[u8],
        load: &mut dyn FnMut(Include<'_>) -> Result<Included, String>,
    ) -> Result<StaticZone, Vec<MasterProblem>> {
        let apex = Name::from(apex);
        let MasterFile {
            records,
            mut problems,
            unread,
        } = master::read(&apex, file, octets, load);
        let top = SourceLine {
            file: file.into(),
            line: 1,
        };
        let never = Cancellation::default();
        let slipped = master::slipped_names(&records);
        let (mut check, mut slips) = check_slips(&apex, records, octets, (&top, &unread), &never);
        let names = check.names;
        problems.append(&mut check.problems);
        problems.append(&mut slips);
        problems.sort_by(|a, b| a.at.cmp(&b.at));
        for problem in problems.iter_mut().filter(|p| p.at.file == top.file) {
            if let MasterFault::DotlessTarget {
                written, corrected, ..
            } = &mut problem.fault
                && let Some(line) = master::line_with_dot(octets, problem.at.line, written)
            {
                *corrected = line;
            }
        }
        if problems.iter().any(|p| p.severity() == Severity::Error) {
            return Err(problems);
        }
        let mut zone = StaticZone {
            apex,
            names,
            warnings: problems,
            slipped,
            received: false,
        };
        let private = zone.private_records();
        zone.warnings.extend(private.into_iter().map(|records| {
            let at = zone.names[&records.names[0]][&u16::from(records.rtype)].at();
            MasterProblem {
                at: at.clone(),
                fault: MasterFault::Private { records },
            }
        }));
        Ok(zone)
    }

    /// Takes records that a primary has sent as the zone `apex`. `source` is what messages call them. What would
    /// make a file refused but is served right all the same, is a warning here: the zone is edited elsewhere.
    /// What comes out is meaningless when it is cancelled meanwhile.
    pub(super) fn of_records(
        apex: &Name,
        source: &str,
        records: Vec<MasterRecord>,
        cancellation: &Cancellation,
    ) -> Result<StaticZone, Vec<MasterProblem>> {
        let top = SourceLine::whole(source);
        let mut check = Check {
            apex,
            names: BTreeMap::new(),
            problems: Vec::new(),
            relative: BTreeMap::new(),
            steps: cancellation.steps(),
        };
        check.gather(records);
        check.apex_has_its_records(&top, &[]);
        check.aliases_stand_alone();
        if !check.problems.is_empty() {
            return Err(check.problems);
        }
        check.redirections();
        check.digests();
        check.delegations();
        check.targets();
        Ok(StaticZone {
            apex: apex.clone(),
            names: check.names,
            warnings: check.problems,
            slipped: BTreeSet::new(),
            received: true,
        })
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The serial in the file. Ours replaces it and is never below it.
    pub fn serial(&self) -> Serial {
        let soa = self.set(&self.apex, RecordType::SOA);
        let octets = soa.and_then(|set| {
            let soa = set.rrset.rdatas.first()?.wire();
            let at = soa.len().checked_sub(20)?;
            soa.get(at..at + 4)?.try_into().ok()
        });
        Serial(u32::from_be_bytes(octets.unwrap_or_default()))
    }

    /// What is hardly meant, though the file can be used.
    pub fn warnings(&self) -> &[MasterProblem] {
        &self.warnings
    }

    /// How many records the file and what it includes hold.
    pub fn record_count(&self) -> usize {
        let sets = self.names.values().flat_map(BTreeMap::values);
        sets.map(|set| set.rrset.rdatas.len()).sum()
    }

    /// Every record, in canonical order of owners, as lines of a master file.
    pub fn to_master_text(&self) -> String {
        let mut text = String::new();
        for (owner, sets) in &self.names {
            for set in sets.values() {
                for rdata in &set.rrset.rdatas {
                    let record = super::delta::ZoneRecord {
                        owner,
                        rtype: set.rrset.rtype,
                        ttl: set.rrset.ttl,
                        rdata,
                    };
                    text.push_str(&format!("{record}\n"));
                }
            }
        }
        text
    }

    /// The names of its nameservers.
    pub fn nameservers(&self) -> impl Iterator<Item = String> {
        let set = self.set(&self.apex, RecordType::NS);
        let servers = set.into_iter().flat_map(|set| set.rrset.rdatas.iter());
        servers.map(|server| server.to_text(RecordType::NS))
    }

    pub(super) fn set(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
        self.names.get(name)?.get(&u16::from(rtype))
    }
}

/// Checks the records as they stand. Where the file cannot be used, and could be with the dots that seem to be missing,
/// those are its faults, and what follows from them is not reported.
fn check_slips<'a>(
    apex: &'a Name,
    records: Vec<MasterRecord>,
    octets: &[u8],
    about: (&SourceLine, &[RecordType]),
    never: &'a Cancellation,
) -> (Check<'a>, Vec<MasterProblem>) {
    let Some(meant) = master::as_meant(&records) else {
        return (Check::all(apex, records, about, never), Vec::new());
    };
    let mut as_read = Check::all(apex, records.clone(), about, never);
    let mut as_meant = Check::all(apex, meant, about, never);
    let (read, better) = (as_read.errors(), as_meant.errors());
    let refused = better.len() <= read.len() && better != read;
    let mut slips = master::slips(&records, refused);
    // An alias beside other records that comes of a dot only.
    let conflicts =
        |problem: &MasterProblem| master::dot_conflict(&records, octets, problem, refused);
    let new: Vec<&MasterProblem> = better
        .into_iter()
        .filter(|one| !read.contains(one))
        .collect();
    let conflicting: Vec<MasterProblem> = new.into_iter().filter_map(conflicts).collect();
    slips.retain(|slip| !conflicting.iter().any(|conflict| conflict.at == slip.at));
    if refused {
        let of_a_dot = |problem: &MasterProblem| conflicts(problem).is_some();
        as_meant.problems.retain(|problem| !of_a_dot(problem));
        slips.extend(conflicting);
        return (as_meant, slips);
    }
    slips.extend(conflicting);
    let stays = |problem: &MasterProblem| {
        problem.severity() == Severity::Error || as_meant.problems.contains(problem)
    };
    as_read.problems.retain(stays);
    (as_read, slips)
}

pub(super) struct Check<'a> {
    pub(super) apex: &'a Name,
    pub(super) names: BTreeMap<Name, BTreeMap<u16, StaticSet>>,
    problems: Vec<MasterProblem>,
    /// How many labels the targets of lines are written with, where they are relative names of several.
    pub(super) relative: BTreeMap<SourceLine, u8>,
    pub(super) steps: Steps<'a>,
}

impl<'a> Check<'a> {
    /// Every check that a file's records can pass by themselves.
    fn all(
        apex: &'a Name,
        records: Vec<MasterRecord>,
        (top, unread): (&SourceLine, &[RecordType]),
        never: &'a Cancellation,
    ) -> Check<'a> {
        let mut check = Check {
            apex,
            names: BTreeMap::new(),
            problems: Vec::new(),
            relative: BTreeMap::new(),
            steps: never.steps(),
        };
        check.gather(records);
        check.apex_has_its_records(top, unread);
        check.aliases_stand_alone();
        check.redirections();
        check.digests();
        check.delegations();
        check.targets();
        check
    }

    fn errors(&self) -> Vec<&MasterProblem> {
        let problems = self.problems.iter();
        problems
            .filter(|p| p.severity() == Severity::Error)
            .collect()
    }

    pub(super) fn problem(&mut self, at: &SourceLine, fault: MasterFault) {
        self.problems.push(MasterProblem {
            at: at.clone(),
            fault,
        });
    }

    /// Puts records into RRsets; reports what cannot be in this zone or in one RRset.
    fn gather(&mut self, records: Vec<MasterRecord>) {
        struct Growing {
            rtype: RecordType,
            ttl: u32,
            rdatas: Vec<Rdata>,
            /// The place of each record, by what makes records equal.
            places: BTreeMap<Vec<u8>, usize>,
            lines: Vec<SourceLine>,
            octets: usize,
            /// The first record without room, and how many there are.
            surplus: Option<(SourceLine, usize)>,
        }
        let mut names: BTreeMap<Name, BTreeMap<u16, Growing>> = BTreeMap::new();
        for record in records {
            let MasterRecord {
                owner,
                rtype,
                ttl,
                rdata,
                at,
                meant: _,
                relative,
            } = record;
            if relative > 0 {
                self.relative.insert(at.clone(), relative);
            }
            if self.steps.is_over() {
                return;
            }
            if !owner.is_at_or_below(self.apex) {
                let apex = self.apex.clone();
                self.problem(&at, MasterFault::OutOfZone { owner, apex });
                continue;
            }
            if rtype == RecordType::SOA && owner != *self.apex {
                let apex = self.apex.clone();
                self.problem(&at, MasterFault::SoaBelowApex { owner, apex });
                continue;
            }
            if rtype == RecordType::NS && owner.is_wildcard() {
                self.problem(&at, MasterFault::WildcardNs { owner });
                continue;
            }
            // Every set has a first record, so a record that no set has room for makes none.
            if 12 + rdata.wire().len() > RRSET_LIMIT {
                let surplus = 1;
                self.problem(
                    &at,
                    MasterFault::TooLarge {
                        owner,
                        rtype,
                        surplus,
                    },
                );
                continue;
            }
            let set = names
                .entry(owner.clone())
                .or_default()
                .entry(u16::from(rtype))
                .or_insert_with(|| Growing {
                    rtype,
                    ttl,
                    rdatas: Vec::new(),
                    places: BTreeMap::new(),
                    lines: Vec::new(),
                    octets: 0,
                    surplus: None,
                });
            let canonical = rdata.canonical(rtype);
            let repeats = !set.rdatas.is_empty();
            let fault = if repeats && rtype == RecordType::CNAME && owner == *self.apex {
                // The alias of an apex is a fault by itself, and is said once.
                continue;
            } else if set.ttl != ttl {
                Some(MasterFault::TtlDiffers {
                    owner,
                    rtype,
                    ttl,
                    first_ttl: set.ttl,
                    first: set.lines[0].clone(),
                })
            } else if let Some(same) = set.places.get(&canonical) {
                let first = set.lines[*same].clone();
                Some(MasterFault::Duplicate { first })
            } else if rtype == RecordType::SOA && !set.rdatas.is_empty() {
                let first = set.lines[0].clone();
                Some(MasterFault::SecondSoa { first })
            } else if rtype == RecordType::CNAME && repeats {
                let other = set.lines[0].clone();
                Some(MasterFault::CnameAndOther {
                    owner,
                    other,
                    more: 0,
                })
            } else if rtype == RecordType::DNAME && !set.rdatas.is_empty() {
                let first = set.lines[0].clone();
                Some(MasterFault::SecondDname { owner, first })
            } else if set.octets + 12 + rdata.wire().len() > RRSET_LIMIT {
                let (_, surplus) = set.surplus.get_or_insert((at, 0));
                *surplus += 1;
                continue;
            } else {
                None
            };
            match fault {
                Some(fault) => self.problem(&at, fault),
                None => {
                    set.octets += 12 + rdata.wire().len();
                    set.places.insert(canonical, set.rdatas.len());
                    set.rdatas.push(rdata);
                    set.lines.push(at);
                }
            }
        }
        for (name, sets) in names {
            for set in sets.values() {
                if let Some((at, surplus)) = set.surplus.clone() {
                    let (owner, rtype) = (name.clone(), set.rtype);
                    self.problem(
                        &at,
                        MasterFault::TooLarge {
                            owner,
                            rtype,
                            surplus,
                        },
                    );
                }
            }
            let sets = sets.into_iter().map(|(number, set)| {
                let rrset = Arc::new(Rrset {
                    rtype: set.rtype,
                    ttl: set.ttl,
                    rdatas: set.rdatas,
                });
                let lines = set.lines;
                (number, StaticSet { rrset, lines })
            });
            self.names.insert(name, sets.collect());
        }
    }

    pub(super) fn set(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
        self.names.get(name)?.get(&u16::from(rtype))
    }

    fn apex_has_its_records(&mut self, top: &SourceLine, unread: &[RecordType]) {
        let apex = self.apex.clone();
        let missing =
            |check: &Self, rtype| check.set(&apex, rtype).is_none() && !unread.contains(&rtype);
        if missing(self, RecordType::SOA) {
            self.problem(top, MasterFault::NoSoa { apex: apex.clone() });
        }
        if missing(self, RecordType::NS) {
            self.problem(top, MasterFault::NoNs { apex: apex.clone() });
        }
    }

    /// RFC 1034 §3.6.2, RFC 2181 §10.1.
    fn aliases_stand_alone(&mut self) {
        let mut found = Vec::new();
        for (owner, sets) in &self.names {
            let Some(cname) = sets.get(&u16::from(RecordType::CNAME)) else {
                continue;
            };
            let target = cname.rrset.rdatas[0].target(RecordType::CNAME);
            if owner == self.apex
                && let Some(target) = target
            {
                let apex = owner.clone();
                found.push((
                    cname.at().clone(),
                    MasterFault::CnameAtApex { apex, target },
                ));
                continue;
            }
            let others = sets.values();
            let mut others = others.filter(|other| other.rrset.rtype != RecordType::CNAME);
            if let Some(other) = others.next() {
                let fault = MasterFault::CnameAndOther {
                    owner: owner.clone(),
                    other: other.at().clone(),
                    more: others.count(),
                };
                found.push((cname.at().clone(), fault));
            }
        }
        for (at, fault) in found {
            self.problem(&at, fault);
        }
    }

    /// The topmost delegation at or above a name.
    pub(super) fn cut_of(&self, name: &Name) -> Option<(&Name, &StaticSet)> {
        let mut key = name.key();
        let mut found = None;
        while key.len() > self.apex.key().len() {
            if let Some((owner, sets)) = self.entry(key)
                && let Some(ns) = sets.get(&u16::from(RecordType::NS))
            {
                found = Some((owner, ns));
            }
            key = parent_key(key)?;
        }
        found
    }

    fn entry(&self, key: &[u8]) -> Option<(&Name, &BTreeMap<u16, StaticSet>)> {
        self.names.get_key_value(key)
    }

    /// Glue is used; everything else at or below a cut is not (RFC 1034 §4.2.1).
    fn delegations(&mut self) {
        let mut found = Vec::new();
        let mut glue: BTreeSet<Name> = BTreeSet::new();
        for sets in self.names.values() {
            if let Some(ns) = sets.get(&u16::from(RecordType::NS)) {
                glue.extend(targets_of(&ns.rrset).map(|(_, target)| target));
            }
        }
        for (owner, sets) in &self.names {
            if self.steps.is_over() {
                return;
            }
            if self.redirection(owner).is_some() {
                continue;
            }
            let cut = self.cut_of(owner);
            for set in sets.values() {
                let rtype = set.rrset.rtype;
                let at_cut = cut.is_some_and(|(cut, _)| cut == owner);
                let delegated = owner != self.apex && sets.contains_key(&u16::from(RecordType::NS));
                if rtype == RecordType::DS && !delegated {
                    let owner = owner.clone();
                    found.push((set.at().clone(), MasterFault::LoneDs { owner }));
                    continue;
                }
                let Some((_, ns)) = cut else { continue };
                let of_the_cut = at_cut && matches!(rtype, RecordType::NS | RecordType::DS);
                let is_glue =
                    matches!(rtype, RecordType::A | RecordType::AAAA) && glue.contains(owner);
                if !of_the_cut && !is_glue {
                    let fault = MasterFault::Occluded {
                        owner: owner.clone(),
                        rtype,
                        cut: ns.at().clone(),
                    };
                    found.push((set.at().clone(), fault));
                }
            }
        }
        for (at, fault) in found {
            self.problem(&at, fault);
        }
    }

    pub(super) fn exists(&self, name: &Name) -> bool {
        self.has_at_or_below(name) || self.covering(name).is_some()
    }

    /// The RRset that answers for a name: its own, or that of the wildcard that covers it.
    pub(super) fn found(&self, name: &Name, rtype: RecordType) -> Option<&StaticSet> {
        if let Some(set) = self.set(name, rtype) {
            return Some(set);
        }
        if self.has_at_or_below(name) {
            return None;
        }
        self.covering(name)?.get(&u16::from(rtype))
    }

    pub(super) fn has_at_or_below(&self, name: &Name) -> bool {
        let first = self.names.range(name.clone()..).next();
        first.is_some_and(|(first, _)| first.is_at_or_below(name))
    }

    fn covering(&self, name: &Name) -> Option<&BTreeMap<u16, StaticSet>> {
        covering_wildcard(&self.names, self.apex, name)
    }
}

/// The wildcard at the closest encloser of a name that is not there (RFC 4592 §3.3.1).
pub(super) fn covering_wildcard<'a, T>(
    names: &'a BTreeMap<Name, T>,
    apex: &Name,
    name: &Name,
) -> Option<&'a T> {
    let mut key = name.key();
    while key.len() > apex.key().len() {
        key = parent_key(key)?;
        let mut wildcard = key.to_vec();
        wildcard.extend(b"*\0");
        if let Some(found) = names.get(wildcard.as_slice()) {
            return Some(found);
        }
        let bounds = (std::ops::Bound::Included(key), std::ops::Bound::Unbounded);
        let below = names.range::<[u8], _>(bounds).next();
        if below.is_some_and(|(first, _)| first.key().starts_with(key)) {
            return None;
        }
    }
    None
}
