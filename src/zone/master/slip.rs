//! Names whose last dot seems to be missing.
//!
//! In: a name as written, the origin, the zone's apex. Out: the name that is probably meant, and the line corrected. Never
//! here: which of the two names is used; `static_zone` decides that for the file as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::fault::MasterFault;
use super::problem::{MasterProblem, SourceLine};
use super::rdata::{read_rdata, shown};
use super::reader::MasterRecord;
use super::token::Token;
use crate::zone::name::Name;
use crate::zone::rdata::Rdata;
use crate::zone::shape::{self, Field};

/// A longer line is not repeated in a message.
const LONGEST_LINE: usize = 300;

/// Where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Owner,
    Data,
}

/// One name without its last dot.
#[derive(Clone, Debug)]
pub(super) struct Slip {
    part: Part,
    at: SourceLine,
    written: String,
    read: Name,
    /// The line with its dots; only for the first slip of each part.
    corrected: String,
}

/// A record as its writer probably means it.
#[derive(Clone, Debug)]
pub(in crate::zone) struct Meant {
    pub(in crate::zone) owner: Name,
    pub(in crate::zone) rdata: Rdata,
    slips: Vec<Slip>,
}

/// The name that a relative name without its last dot probably stands for: one in this zone.
pub(super) fn meant(word: &Token, origin: &Name, apex: &Name) -> Option<Name> {
    let text = &word.text;
    if word.quoted || !text.contains(&b'.') || text.contains(&b'\\') || text.ends_with(b".") {
        return None;
    }
    let whole = Name::from_text(text, Some(&Name::root())).ok()?;
    (!origin.is_root() && whole.is_at_or_below(apex)).then_some(whole)
}

/// How many labels the target of a record is written with, where it is a relative name of several and not one of this
/// zone without its last dot; else zero.
pub(super) fn relative_labels(
    rtype: RecordType,
    words: &[Token],
    origin: &Name,
    apex: &Name,
) -> u8 {
    let leads_on = matches!(
        rtype,
        RecordType::NS | RecordType::MX | RecordType::SRV | RecordType::CNAME
    );
    let Some(word) = words.last().filter(|word| leads_on && !word.quoted) else {
        return 0;
    };
    if meant(word, origin, apex).is_some() {
        return 0;
    }
    let text = &word.text;
    let dots = text.iter().filter(|octet| **octet == b'.').count();
    if dots == 0 || text.ends_with(b".") || text.contains(&b'\\') {
        return 0;
    }
    u8::try_from(dots + 1).unwrap_or(0)
}

/// The line at this place with the last dot of a name; none where the name does not stand there as it is shown.
pub(in crate::zone) fn line_with_dot(octets: &[u8], line: u32, written: &str) -> Option<String> {
    let mut text = line_text(octets, line);
    let is_put = text.len() <= LONGEST_LINE && put_dot(&mut text, Part::Data, written);
    is_put.then_some(text)
}

/// The origin that `$ORIGIN` probably means. Before the SOA it may also be a name above the zone.
pub(super) fn meant_origin(
    word: &Token,
    origin: &Name,
    apex: &Name,
    before_soa: bool,
) -> Option<Name> {
    if let Some(meant) = meant(word, origin, apex) {
        return Some(meant);
    }
    let text = &word.text;
    if word.quoted || text.ends_with(b".") || text == b"@" || origin.is_root() {
        return None;
    }
    let whole = Name::from_text(text, Some(&Name::root())).ok()?;
    let above = apex.is_at_or_below(&whole);
    (above && (before_soa || whole == *apex)).then_some(whole)
}

/// What the reader knows of an entry.
pub(super) struct Written<'a> {
    pub(super) file: &'a Arc<str>,
    /// The file's octets.
    pub(super) octets: &'a [u8],
    /// The owner's word; none where the line has no owner of its own.
    pub(super) owner: Option<&'a Token>,
    pub(super) rtype: RecordType,
    pub(super) data: &'a [Token],
    pub(super) end_line: u32,
    pub(super) origin: &'a Name,
    pub(super) apex: &'a Name,
}

impl Written<'_> {
    /// The record with every missing dot in its place; none where no dot seems to be missing. `owner` is the owner as read
    /// and as meant, `first` says of which parts a slip was found before.
    pub(super) fn meant(
        &self,
        owner: (&Name, &Name),
        rdata: &Rdata,
        first: &mut [bool; 2],
    ) -> Option<Box<Meant>> {
        let mut slips = Vec::new();
        if let Some(word) = self.owner
            && owner.0 != owner.1
        {
            slips.push(self.slip(Part::Owner, word, owner.0));
        }
        let mut words = self.data.to_vec();
        // Words of other types, as of a long TXT record, are no names.
        let has_names = shape::fields(self.rtype).is_some_and(|fields| {
            fields
                .iter()
                .any(|field| matches!(field, Field::Name | Field::Own(_)))
        });
        for word in words.iter_mut().filter(|_| has_names) {
            if meant(word, self.origin, self.apex).is_none() {
                continue;
            }
            let Ok(read) = Name::from_text(&word.text, Some(self.origin)) else {
                continue;
            };
            // A word beside the names, as a number with a dot in it, is no name.
            let wire = read.wire();
            if rdata.wire().windows(wire.len()).any(|part| part == wire) {
                slips.push(self.slip(Part::Data, word, &read));
                word.text.push(b'.');
            }
        }
        for (part, is_known) in [Part::Owner, Part::Data].into_iter().zip(first) {
            if let Some(at) = slips.iter().position(|slip| slip.part == part)
                && !std::mem::replace(is_known, true)
            {
                slips[at].corrected = corrected(self.octets, &slips[at], &slips);
            }
        }
        let changed = slips.iter().any(|slip| slip.part == Part::Data);
        let rdata = match changed {
            true => read_rdata(self.rtype, &words, self.end_line, self.origin).ok()?,
            false => rdata.clone(),
        };
        (changed || owner.0 != owner.1).then(|| {
            Box::new(Meant {
                owner: owner.1.clone(),
                rdata,
                slips,
            })
        })
    }

    fn slip(&self, part: Part, word: &Token, read: &Name) -> Slip {
        Slip {
            part,
            at: SourceLine {
                file: self.file.clone(),
                line: word.line,
            },
            written: shown(&word.text),
            read: read.clone(),
            corrected: String::new(),
        }
    }
}

/// A line without what is after its data.
fn line_text(octets: &[u8], line: u32) -> String {
    let index = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let line = octets.split(|octet| *octet == b'\n').nth(index);
    let line = shown(line.unwrap_or_default());
    let line = line.split(" ;").next().unwrap_or_default();
    line.trim().to_owned()
}

/// The line of a slip with every dot that it lacks; only the name where the line is too long to be repeated.
fn corrected(octets: &[u8], slip: &Slip, all: &[Slip]) -> String {
    let mut line = line_text(octets, slip.at.line);
    let of_line: Vec<&Slip> = all
        .iter()
        .filter(|other| other.at.line == slip.at.line)
        .collect();
    if line.len() <= LONGEST_LINE
        && of_line
            .iter()
            .all(|slip| put_dot(&mut line, slip.part, &slip.written))
    {
        line
    } else {
        format!("{}.", slip.written)
    }
}

/// Puts the dot behind a name in its line. False where the name does not stand there as it is shown.
fn put_dot(line: &mut String, part: Part, written: &str) -> bool {
    let ends = |at: &usize| {
        let after = line[at + written.len()..].chars().next();
        after.is_none_or(|after| after.is_whitespace() || matches!(after, '(' | ')' | ';'))
    };
    let mut places = line.match_indices(written).map(|(at, _)| at).filter(ends);
    let at = match part {
        Part::Owner => places.next(),
        Part::Data => places.last(),
    };
    let Some(at) = at.map(|at| at + written.len()) else {
        return false;
    };
    line.insert(at, '.');
    true
}

/// The records as their writer probably means them; none where no dot seems to be missing.
pub(in crate::zone) fn as_meant(records: &[MasterRecord]) -> Option<Vec<MasterRecord>> {
    if records.iter().all(|record| record.meant.is_none()) {
        return None;
    }
    let records = records.iter().map(|record| {
        let mut record = record.clone();
        if let Some(meant) = record.meant.take() {
            record.owner = meant.owner;
            record.rdata = meant.rdata;
        }
        record
    });
    Some(records.collect())
}

/// Every missing dot, said once for owners and once for data. `refused`: the file cannot be used because of them.
pub(in crate::zone) fn problems(records: &[MasterRecord], refused: bool) -> Vec<MasterProblem> {
    let slips = records.iter().filter_map(|record| record.meant.as_ref());
    let slips: Vec<&Slip> = slips.flat_map(|meant| &meant.slips).collect();
    let mut problems = Vec::new();
    for part in [Part::Owner, Part::Data] {
        let mut of_part = slips.iter().filter(|slip| slip.part == part);
        if let Some(first) = of_part.next() {
            problems.push(MasterProblem {
                at: first.at.clone(),
                fault: MasterFault::DotMissing {
                    written: first.written.clone(),
                    read: first.read.clone(),
                    corrected: first.corrected.clone(),
                    more: of_part.count(),
                    refused,
                },
            });
        }
    }
    problems
}

/// Says of an alias beside other records which of the two lines lacks its dot: the conflict is not there as the file is
/// read, and an operator looks at the line that is named.
pub(in crate::zone) fn conflict(
    records: &[MasterRecord],
    octets: &[u8],
    problem: &MasterProblem,
    refused: bool,
) -> Option<MasterProblem> {
    let MasterFault::CnameAndOther { owner, other, .. } = &problem.fault else {
        return None;
    };
    let lines = [&problem.at, other];
    let slip = records.iter().find_map(|record| {
        let meant = record
            .meant
            .as_ref()
            .filter(|meant| meant.owner == *owner)?;
        let mut slips = meant.slips.iter();
        slips.find(|slip| slip.part == Part::Owner && lines.contains(&&slip.at))
    })?;
    let beside = lines.into_iter().find(|line| **line != slip.at)?;
    let mut corrected = slip.corrected.clone();
    if corrected.is_empty() {
        let mut text = line_text(octets, slip.at.line);
        let is_put = text.len() <= LONGEST_LINE && put_dot(&mut text, Part::Owner, &slip.written);
        corrected = if is_put {
            text
        } else {
            format!("{}.", slip.written)
        };
    }
    Some(MasterProblem {
        at: slip.at.clone(),
        fault: MasterFault::DotConflict {
            written: slip.written.clone(),
            read: slip.read.clone(),
            corrected,
            beside: beside.clone(),
            refused,
        },
    })
}

/// Every name whose last dot seems to be missing, as it is read, and every owner as it is meant.
pub(in crate::zone) fn names(records: &[MasterRecord]) -> BTreeSet<Name> {
    let meant = records.iter().filter_map(|record| record.meant.as_ref());
    let names = meant.flat_map(|meant| {
        let read = meant.slips.iter().map(|slip| slip.read.clone());
        read.chain([meant.owner.clone()])
    });
    names.collect()
}
