//! Records from entries: directives, owners, TTLs and classes.
//!
//! In: the octets of a file and the loader of included ones. Out: records in order, each with its line, and
//! every problem found on the way.

use std::sync::Arc;

use hickory_proto::rr::RecordType;

use super::fault::MasterFault;
use super::problem::{MasterProblem, SourceLine};
use super::rdata::{period, read_name, read_rdata, shown};
use super::slip::{self, Meant, Written};
use super::soa;
use super::token::{Entry, Lexer, Token};
use super::windows::{self, Windows};
use crate::zone::name::Name;
use crate::zone::rdata::Rdata;
use crate::zone::shape;
use crate::zone::type_names::parse_type;

/// How deep files may include each other; deeper is a file that includes itself.
const INCLUDE_DEPTH: usize = 16;
/// How many files may be included in all, and how many octets they may have: a file that includes itself twice
/// would be read 2^16 times before the depth ends it.
const INCLUDED_FILES: usize = 1000;
const INCLUDED_OCTETS: usize = 64 << 20;

/// What an `$INCLUDE` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Include<'a> {
    /// The path as written.
    pub path: &'a str,
    /// The file that asks, as its loader called it; a relative path is relative to it.
    pub from: &'a str,
}

/// An included file.
#[derive(Clone, Debug)]
pub struct Included {
    /// What messages call it.
    pub file: String,
    /// Its content.
    pub octets: Vec<u8>,
}

/// A record as read, with the place it came from.
#[derive(Clone, Debug)]
pub(in crate::zone) struct MasterRecord {
    pub(in crate::zone) owner: Name,
    pub(in crate::zone) rtype: RecordType,
    pub(in crate::zone) ttl: u32,
    pub(in crate::zone) rdata: Rdata,
    pub(in crate::zone) at: SourceLine,
    /// The record as it is probably meant, where a dot seems to be missing.
    pub(in crate::zone) meant: Option<Box<Meant>>,
    /// How many labels its target is written with, where that is a relative name of several; else zero.
    pub(in crate::zone) relative: u8,
}

/// Loads an included file, or says why it cannot.
type Loader<'a> = dyn FnMut(Include<'_>) -> Result<Included, String> + 'a;

/// What was read of a master file and those it includes.
pub(in crate::zone) struct MasterFile {
    pub(in crate::zone) records: Vec<MasterRecord>,
    pub(in crate::zone) problems: Vec<MasterProblem>,
    /// Types of records that are there but could not be read: not to be missed as well.
    pub(in crate::zone) unread: Vec<RecordType>,
}

/// Reads a whole master file and what it includes.
pub(in crate::zone) fn read(
    origin: &Name,
    file: &str,
    octets: &[u8],
    load: &mut Loader<'_>,
) -> MasterFile {
    let mut reader = Reader {
        load,
        read: MasterFile {
            records: Vec::new(),
            problems: Vec::new(),
            unread: Vec::new(),
        },
        default_ttl: None,
        last_ttl: None,
        ttl_from_include: None,
        included: (0, 0),
        apex: origin,
        seen_soa: false,
        seen_slips: [false; 2],
        windows: Windows::default(),
    };
    reader.file(file.into(), octets, origin.clone(), 0);
    reader.windows_problem();
    reader.read
}

struct Reader<'a, 'l> {
    /// The zone's apex, which is the origin that the file begins with.
    apex: &'a Name,
    /// An SOA was read.
    seen_soa: bool,
    /// Whether a dot was found missing: in an owner, in data.
    seen_slips: [bool; 2],
    windows: Windows,
    load: &'a mut Loader<'l>,
    read: MasterFile,
    /// `$TTL` (RFC 2308 §4).
    default_ttl: Option<u32>,
    /// The last TTL written in a record (RFC 1035 §5.1), where there is no `$TTL`.
    last_ttl: Option<u32>,
    /// The line of the `$INCLUDE` that changed the default, until `$TTL` says it anew.
    ttl_from_include: Option<u32>,
    /// Files and octets included so far.
    included: (usize, usize),
}

/// A fault and its line.
type Fault = (u32, MasterFault);

/// What holds within one file.
struct Place<'f> {
    file: Arc<str>,
    octets: &'f [u8],
    origin: Name,
    /// As read, and as probably meant.
    owner: Option<(Name, Name)>,
    depth: usize,
}

impl Reader<'_, '_> {
    fn file(&mut self, file: Arc<str>, octets: &[u8], origin: Name, depth: usize) {
        let mut place = Place {
            file,
            octets,
            origin,
            owner: None,
            depth,
        };
        for entry in Lexer::new(octets) {
            let result = match entry {
                Ok(entry) => self.entry(&mut place, &entry),
                Err(fault) => Err(fault),
            };
            if let Err((line, fault)) = result {
                let at = SourceLine {
                    file: place.file.clone(),
                    line,
                };
                self.read.problems.push(MasterProblem { at, fault });
            }
        }
    }

    fn entry(&mut self, place: &mut Place<'_>, entry: &Entry) -> Result<(), Fault> {
        let first = &entry.tokens[0];
        let parameter = entry.tokens.iter().position(|word| word.is_parameter);
        let touches = |at: usize| (entry.tokens[at].line, MasterFault::QuoteTouches);
        if !entry.owner_omitted && !first.quoted && first.text.starts_with(b"$") {
            return match parameter {
                Some(at) => Err(touches(at)),
                None => self.directive(place, entry),
            };
        }
        let mut words = entry.tokens.as_slice();
        if !entry.owner_omitted {
            words = &words[1..];
            // An owner that cannot be read must not lend the next line the one before it.
            place.owner = None;
            let read = read_owner(first, &place.origin)?;
            let meant = slip::meant(first, &place.origin, self.apex);
            place.owner = Some((read.clone(), meant.unwrap_or(read)));
        }
        let end_line = entry.tokens.last().map_or(entry.line, |token| token.line);
        let (ttl, after, ages) = ttl_and_class(words)?;
        if ages > 0 {
            self.windows.ages += ages;
            self.windows_at(place, entry.line);
        }
        if after.first().is_some_and(windows::is_wins) {
            self.windows.wins.push(entry.line);
            self.windows_at(place, entry.line);
            return Ok(());
        }
        let (rtype, rdata) = rtype_of(after, end_line)?;
        let before = entry.tokens.len() - rdata.len();
        let allowed = |at: usize| at >= before && shape::takes_parameters(rtype);
        if let Some(at) = parameter.filter(|at| !allowed(*at)) {
            return Err(touches(at));
        }
        let owner = (!entry.owner_omitted).then_some(first);
        let record = self.record(place, (entry.line, end_line), ttl, rtype, (owner, rdata));
        if record.is_err() {
            self.read.unread.push(rtype);
        }
        record
    }

    fn record(
        &mut self,
        place: &Place<'_>,
        (line, end_line): (u32, u32),
        ttl: Option<u32>,
        rtype: RecordType,
        (owner_word, words): (Option<&Token>, &[Token]),
    ) -> Result<(), Fault> {
        let Some((owner, meant_owner)) = place.owner.clone() else {
            return Err((line, MasterFault::NoOwner));
        };
        if let Some(ttl) = ttl {
            self.last_ttl = Some(ttl);
        }
        let rdata = read_rdata(rtype, words, end_line, &place.origin)?;
        let ttl = match (ttl, self.ttl_from_include) {
            (Some(ttl), _) => ttl,
            (None, Some(include)) => {
                return Err((line, MasterFault::AmbiguousTtl { include }));
            }
            (None, None) => match self.default_ttl.or(self.last_ttl) {
                Some(ttl) => ttl,
                None => self.ttl_of_soa(place, line, rtype, &rdata)?,
            },
        };
        let at = SourceLine {
            file: place.file.clone(),
            line,
        };
        let written = Written {
            file: &place.file,
            octets: place.octets,
            owner: owner_word,
            rtype,
            data: words,
            end_line,
            origin: &place.origin,
            apex: self.apex,
        };
        let owners = (&owner, &meant_owner);
        let meant = written.meant(owners, &rdata, &mut self.seen_slips);
        if rtype == RecordType::SOA {
            self.seen_soa = true;
            if let Some(fault) = soa::odd(&rdata) {
                let at = at.clone();
                self.read.problems.push(MasterProblem { at, fault });
            }
        }
        self.read.records.push(MasterRecord {
            owner,
            rtype,
            ttl,
            rdata,
            at,
            meant,
            relative: slip::relative_labels(rtype, words, &place.origin, self.apex),
        });
        Ok(())
    }

    /// The default TTL of a file that gives none: its SOA's minimum, as Windows has it (RFC 1035 §5.1). Elsewhere
    /// a missing TTL is a fault, which is said once.
    fn ttl_of_soa(
        &mut self,
        place: &Place<'_>,
        line: u32,
        rtype: RecordType,
        rdata: &Rdata,
    ) -> Result<u32, Fault> {
        let minimum = (rtype == RecordType::SOA)
            .then(|| soa::minimum(rdata))
            .flatten();
        match minimum {
            Some(minimum) if windows::is_export(place.octets) => {
                self.windows.ttl = Some(minimum);
                self.windows_at(place, line);
                self.default_ttl = Some(minimum);
                Ok(minimum)
            }
            _ => {
                self.last_ttl = Some(minimum.unwrap_or_default());
                Err((line, MasterFault::NoTtl))
            }
        }
    }

    fn windows_at(&mut self, place: &Place<'_>, line: u32) {
        let file = place.file.clone();
        self.windows.at.get_or_insert(SourceLine { file, line });
    }

    fn windows_problem(&mut self) {
        let Windows {
            at,
            ages,
            wins,
            ttl,
        } = std::mem::take(&mut self.windows);
        if let Some(at) = at {
            let fault = MasterFault::WindowsExport { ages, wins, ttl };
            self.read.problems.push(MasterProblem { at, fault });
        }
    }

    fn directive(&mut self, place: &mut Place<'_>, entry: &Entry) -> Result<(), Fault> {
        let directive = shown(&entry.tokens[0].text);
        let words = &entry.tokens[1..];
        let line = entry.line;
        match (directive.to_ascii_uppercase().as_str(), words) {
            ("$ORIGIN", [name]) => self.origin(place, name)?,
            ("$TTL", [ttl]) => {
                let text = shown(&ttl.text);
                self.default_ttl = Some(period(ttl).ok_or((ttl.line, MasterFault::Ttl { text }))?);
                self.ttl_from_include = None;
            }
            ("$INCLUDE", [path]) => self.include(place, path, place.origin.clone(), line)?,
            ("$INCLUDE", [path, origin]) => {
                let origin = read_name(origin, &place.origin)?;
                self.include(place, path, origin, line)?;
            }
            ("$GENERATE", _) => return Err((line, MasterFault::Generate)),
            ("$ORIGIN" | "$TTL" | "$INCLUDE", _) => {
                return Err((line, MasterFault::DirectiveWords { directive }));
            }
            _ => return Err((line, MasterFault::Directive { directive })),
        }
        Ok(())
    }

    /// A name without its dot is reported, and the rest of the file is read as it is probably meant.
    fn origin(&mut self, place: &mut Place<'_>, word: &Token) -> Result<(), Fault> {
        let read = read_name(word, &place.origin)?;
        let meant = slip::meant_origin(word, &place.origin, self.apex, !self.seen_soa);
        let Some(meant) = meant else {
            place.origin = read;
            return Ok(());
        };
        place.origin = meant;
        let written = shown(&word.text);
        Err((word.line, MasterFault::OriginDot { written, read }))
    }

    /// Reads another file in this place. Its origin and owner end with it (RFC 1035 §5.1).
    fn include(
        &mut self,
        place: &Place<'_>,
        path: &Token,
        origin: Name,
        line: u32,
    ) -> Result<(), Fault> {
        if place.depth >= INCLUDE_DEPTH {
            let limit = INCLUDE_DEPTH;
            return Err((line, MasterFault::IncludeDepth { limit }));
        }
        let spent = Err((
            line,
            MasterFault::IncludeTotal {
                files: INCLUDED_FILES,
                octets: INCLUDED_OCTETS,
            },
        ));
        if self.included.0 >= INCLUDED_FILES || self.included.1 >= INCLUDED_OCTETS {
            return spent;
        }
        let path = shown(&path.text);
        let asked = Include {
            path: &path,
            from: &place.file,
        };
        let included = match (self.load)(asked) {
            Ok(included) => included,
            Err(reason) => return Err((line, MasterFault::Include { path, reason })),
        };
        self.included.0 += 1;
        self.included.1 = self.included.1.saturating_add(included.octets.len());
        if self.included.1 > INCLUDED_OCTETS {
            return spent;
        }
        let before = (self.default_ttl, self.last_ttl);
        self.file(
            included.file.into(),
            &included.octets,
            origin,
            place.depth + 1,
        );
        let after = (self.default_ttl, self.last_ttl);
        // RFC 2308 does not say whether a default outlives the file that set it, and servers differ.
        if before.0 != after.0 || (after.0.is_none() && before.1 != after.1) {
            self.ttl_from_include = Some(line);
        }
        Ok(())
    }
}

fn read_owner(word: &Token, origin: &Name) -> Result<Name, Fault> {
    if word.quoted {
        let text = shown(&word.text);
        return Err((word.line, MasterFault::QuotedName { text }));
    }
    // Unlike a target, an owner may look like an address: reverse zones have such names.
    Name::from_text(&word.text, Some(origin)).map_err(|why| {
        let text = shown(&word.text);
        (word.line, MasterFault::Name { text, why })
    })
}

/// Takes the TTL and the class, in either order and each at most once (RFC 1035 §5.1), and the ages that Windows writes.
fn ttl_and_class(words: &[Token]) -> Result<(Option<u32>, &[Token], usize), Fault> {
    let (mut ttl, mut class, mut ages) = (None, false, 0);
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let text = || shown(&word.text);
        let upper = text().to_ascii_uppercase();
        if word.quoted {
            break;
        }
        if windows::is_age(word) {
            ages += 1;
        } else if word.text.first().is_some_and(u8::is_ascii_digit) {
            let read = period(word).ok_or((word.line, MasterFault::Ttl { text: text() }))?;
            if ttl.replace(read).is_some() {
                return Err((word.line, MasterFault::Repeated { text: text() }));
            }
        } else if upper == "IN" || upper == "CLASS1" {
            if std::mem::replace(&mut class, true) {
                return Err((word.line, MasterFault::Repeated { text: text() }));
            }
        } else if matches!(upper.as_str(), "CH" | "HS" | "CS" | "ANY" | "NONE")
            || (upper.starts_with("CLASS") && upper.len() > 5)
        {
            return Err((word.line, MasterFault::Class { class: text() }));
        } else {
            break;
        }
        rest = after;
    }
    Ok((ttl, rest, ages))
}

fn rtype_of(words: &[Token], end_line: u32) -> Result<(RecordType, &[Token]), Fault> {
    let Some((word, rdata)) = words.split_first() else {
        return Err((end_line, MasterFault::NoType));
    };
    let text = shown(&word.text);
    let rtype = match parse_type(&text) {
        Some(rtype) if !word.quoted => rtype,
        _ => return Err((word.line, MasterFault::UnknownType { text })),
    };
    shape::storable(rtype).map_err(|why| (word.line, MasterFault::Type { rtype, why }))?;
    Ok((rtype, rdata))
}
