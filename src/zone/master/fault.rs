//! What can be wrong with a master file.
//!
//! In: what the reader and the checks of `static_zone` have found. Out: the fact, in words. Never here: where it was found
//! (`problem`), what to do about it (`mend`).

use hickory_proto::rr::RecordType;

use super::problem::SourceLine;
use super::soa;
use crate::zone::PrivateRecords;
use crate::zone::name::{Name, NameFault};
use crate::zone::shape::TypeFault;
use crate::zone::type_names::type_text;

fn more_names(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and 1 more name of this file)".to_owned(),
        _ => format!(" (and {more} more names of this file)"),
    }
}

fn wins_lines(lines: &[u32]) -> String {
    let shown: Vec<String> = lines.iter().take(5).map(u32::to_string).collect();
    match lines.len() {
        0 => String::new(),
        1 => format!(
            "; the WINS record at line {} is left out: names that WINS knows are not answered",
            shown[0]
        ),
        count => format!(
            "; {count} WINS records (lines {}{}) are left out: names that WINS knows are not answered",
            shown.join(", "),
            if count > 5 { " …" } else { "" }
        ),
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterFault {
    /// A quoted string does not end in its line.
    #[error("a quoted string is not closed in its line")]
    QuoteOpen,
    /// A quote in the middle of a word.
    #[error("a quote touches the word beside it")]
    QuoteTouches,
    /// A parenthesis that is never closed.
    #[error("a parenthesis is opened here and never closed")]
    ParenthesisOpen,
    /// A parenthesis that was never opened.
    #[error("a parenthesis is closed that was not opened")]
    ParenthesisClosed,
    /// A control character outside quotes.
    #[error("there is a control character (octet {octet}) outside quotes")]
    Control {
        /// The octet.
        octet: u8,
    },
    /// A backslash with nothing, or nonsense, after it.
    #[error("a backslash is followed by neither a character nor three digits up to 255")]
    Escape,
    /// `$GENERATE`.
    #[error("$GENERATE is not supported")]
    Generate,
    /// A directive we do not know.
    #[error("{directive} is not a directive of master files")]
    Directive {
        /// As written.
        directive: String,
    },
    /// A directive with too few or too many words.
    #[error("{directive} has the wrong number of words")]
    DirectiveWords {
        /// As written.
        directive: String,
    },
    /// An included file could not be had.
    #[error("cannot include {path:?}: {reason}")]
    Include {
        /// The path as written.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Files include each other too deeply.
    #[error("files include each other more than {limit} deep")]
    IncludeDepth {
        /// How deep they may.
        limit: usize,
    },
    /// Files include more than any zone needs, most likely each other, over and over.
    #[error("more than {files} files or {octets} octets are included in all")]
    IncludeTotal {
        /// How many files may be.
        files: usize,
        /// How many octets they may have.
        octets: usize,
    },
    /// A word that must be a name is not one.
    #[error("{text:?} is not a name: {why}")]
    Name {
        /// As written.
        text: String,
        /// Why not.
        why: NameFault,
    },
    /// A name in quotes.
    #[error("{text:?} stands in quotes where a name belongs")]
    QuotedName {
        /// As written.
        text: String,
    },
    /// An address where a name belongs.
    #[error("{text} is an address where the name of a host belongs")]
    AddressForName {
        /// As written.
        text: String,
    },
    /// The first entry of a file has no owner.
    #[error("the entry has no owner and no entry before it in this file has one")]
    NoOwner,
    /// No TTL and no default.
    #[error("the record has no TTL, and neither $TTL nor a record before it gives one")]
    NoTtl,
    /// The default TTL was changed by an included file.
    #[error(
        "the record has no TTL, and the default was changed by the file included at line {include}: \
         name servers differ in which one holds here"
    )]
    AmbiguousTtl {
        /// The line of the `$INCLUDE`.
        include: u32,
    },
    /// Not a TTL, or one above 2^31 − 1 (RFC 2181 §8).
    #[error("{text:?} is not a TTL")]
    Ttl {
        /// As written.
        text: String,
    },
    /// A class other than IN.
    #[error("class {class} is not served; only IN is")]
    Class {
        /// As written.
        class: String,
    },
    /// The class or TTL twice.
    #[error("{text:?} repeats what the entry said before its type")]
    Repeated {
        /// As written.
        text: String,
    },
    /// The entry ends before its type.
    #[error("the entry has no record type")]
    NoType,
    /// A word that is no type we know.
    #[error("{text:?} is not a record type we know")]
    UnknownType {
        /// As written.
        text: String,
    },
    /// A type that a zone of ours may not hold.
    #[error("{} records cannot be served from here: {why}", type_text(*.rtype))]
    Type {
        /// The type.
        rtype: RecordType,
        /// Why not.
        why: TypeFault,
    },
    /// A type whose text form we do not read.
    #[error("the text form of {} records is not read here", type_text(*.rtype))]
    Opaque {
        /// The type.
        rtype: RecordType,
    },
    /// The RDATA ends too early.
    #[error("the {} record lacks {wanted}", type_text(*.rtype))]
    RdataShort {
        /// The type.
        rtype: RecordType,
        /// What is missing.
        wanted: &'static str,
    },
    /// Words after the RDATA.
    #[error("the {} record is complete before {text:?}", type_text(*.rtype))]
    RdataLong {
        /// The type.
        rtype: RecordType,
        /// The first word too many.
        text: String,
    },
    /// A field of the RDATA that is not what the type asks for.
    #[error("{text:?} in the {} record is not {wanted}", type_text(*.rtype))]
    Field {
        /// The type.
        rtype: RecordType,
        /// As written.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A digest of the wrong length.
    #[error(
        "the digest in the {} record has {got} octets, its kind has {wanted}",
        type_text(*.rtype)
    )]
    Digest {
        /// The type.
        rtype: RecordType,
        /// Octets written.
        got: usize,
        /// Octets such a digest has.
        wanted: usize,
    },
    /// Data in the syntax of its type that cannot be read.
    #[error("the {} record cannot be read: {why}", type_text(*.rtype))]
    Text {
        /// The type.
        rtype: RecordType,
        /// What is wrong.
        why: String,
        /// What to write.
        write: &'static str,
    },
    /// A word in quotes where the type has none.
    #[error("{text:?} stands in quotes in the {} record", type_text(*.rtype))]
    QuotedWord {
        /// The type.
        rtype: RecordType,
        /// As written.
        text: String,
    },
    /// RFC 3597 data whose octets are not whole.
    #[error("the octets after \\# are not data of type {}", type_text(*.rtype))]
    GenericRdata {
        /// The type.
        rtype: RecordType,
    },
    /// Text outside quotes runs into a comment.
    #[error("the text after {text:?} is a comment and would be lost")]
    TextMeetsComment {
        /// The word before the semicolon.
        text: String,
    },
    /// An owner that is not in the zone.
    #[error("{owner} is not in the zone {apex}")]
    OutOfZone {
        /// The owner.
        owner: Name,
        /// The zone.
        apex: Name,
    },
    /// No SOA.
    #[error("the zone {apex} has no SOA record")]
    NoSoa {
        /// The zone.
        apex: Name,
    },
    /// A name without its last dot that seems to be meant whole.
    #[error(
        "{written} has no dot at its end and is read as {read} here{}",
        more_names(*.more)
    )]
    DotMissing {
        /// As written.
        written: String,
        /// What it means.
        read: Name,
        /// The line with its dot.
        corrected: String,
        /// How many more such names the file has.
        more: usize,
        /// The file cannot be used because of it.
        refused: bool,
    },
    /// An owner without the last dot of its name, beside whose records it cannot stand with the dot.
    #[error(
        "{written} has no dot at its end and is read as {read} here; with the dot it stands beside the record at {beside}, and one of the two is a CNAME"
    )]
    DotConflict {
        /// As written.
        written: String,
        /// What it means.
        read: Name,
        /// The line with its dot.
        corrected: String,
        /// Where the other record is.
        beside: SourceLine,
        /// The file cannot be used because of it.
        refused: bool,
    },
    /// A target of several labels without its last dot, which is read as a name of this zone that is not there.
    #[error(
        "{written} has no dot at its end and is read as {read} here, which {}{}",
        if *.refused { "has no address" } else { "is not there" },
        more_names(*.more)
    )]
    DotlessTarget {
        /// As written.
        written: String,
        /// What it means.
        read: Name,
        /// The record with its dot.
        corrected: String,
        /// How many more such names the file has.
        more: usize,
        /// The file cannot be used because of it.
        refused: bool,
    },
    /// `$ORIGIN` without the last dot of its name.
    #[error("$ORIGIN {written} has no dot at its end and is read as {read} here")]
    OriginDot {
        /// As written.
        written: String,
        /// What it means.
        read: Name,
    },
    /// An SOA with too few words.
    #[error(
        "the SOA record has {names} of its 2 names and {numbers} of its 5 numbers{}",
        .missing.map_or(String::new(), |field| format!(": the {field} seems to be missing"))
    )]
    SoaShort {
        /// How many names it has.
        names: usize,
        /// How many numbers it has.
        numbers: usize,
        /// The field that seems to be missing.
        missing: Option<&'static str>,
        /// The data with that field.
        corrected: Option<String>,
    },
    /// An SOA whose numbers are in no usual relation.
    #[error(
        "the numbers of the SOA record do not fit their fields: {}; a field may be missing or in another's place",
        soa::named(.numbers)
    )]
    SoaOdd {
        /// Serial, refresh, retry, expire, minimum.
        numbers: [u32; 5],
    },
    /// The file comes from a Windows DNS server.
    #[error(
        "this is an export of a Windows DNS server{}{}{}",
        match ages { 0 => String::new(), 1 => "; the age of 1 record ([AGE:n]) is ignored".to_owned(), n => format!("; the ages of {n} records ([AGE:n]) are ignored") },
        ttl.map_or(String::new(), |ttl| format!("; it has no $TTL, so the SOA's minimum {ttl} s is the default TTL")),
        wins_lines(.wins)
    )]
    WindowsExport {
        /// Records with an age.
        ages: usize,
        /// The lines of WINS and WINS-R records.
        wins: Vec<u32>,
        /// The default TTL taken from the SOA.
        ttl: Option<u32>,
    },
    /// Records of a private type, from which other servers may compute answers.
    #[error(
        "{records}: {}, {}repoint serves them as they are",
        if records.is_computed() { "other servers compute answers from such records" } else { "nothing is computed from them" },
        if records.is_computed() { "" } else { "and " }
    )]
    Private {
        /// Which, and how many.
        records: PrivateRecords,
    },
    /// A CNAME at the apex (RFC 1034 §3.6.2, RFC 2181 §10.1).
    #[error(
        "the apex {apex} has a CNAME record: a zone's apex has SOA and NS records, and an alias has nothing else"
    )]
    CnameAtApex {
        /// The apex.
        apex: Name,
        /// Where the alias leads.
        target: Name,
    },
    /// A second SOA.
    #[error("there is another SOA record{}", first.place())]
    SecondSoa {
        /// The first one.
        first: SourceLine,
    },
    /// An SOA that is not at the apex.
    #[error("the SOA record of {owner} is not at the apex of the zone {apex}")]
    SoaBelowApex {
        /// Its owner.
        owner: Name,
        /// The zone.
        apex: Name,
    },
    /// No NS at the apex.
    #[error("the zone {apex} has no NS record at its apex")]
    NoNs {
        /// The zone.
        apex: Name,
    },
    /// CNAME and other data at one name (RFC 1034 §3.6.2, RFC 2181 §10.1).
    #[error(
        "{owner} has a CNAME record and another record{}{}; an alias has nothing else",
        other.place(),
        match more { 0 => String::new(), n => format!(" (and {n} more)") }
    )]
    CnameAndOther {
        /// The name.
        owner: Name,
        /// The first other record.
        other: SourceLine,
        /// How many more there are.
        more: usize,
    },
    /// Two TTLs in one RRset (RFC 2181 §5.2).
    #[error(
        "TTL {ttl} differs from TTL {first_ttl}{}; all {} records of {owner} have one",
        first.place(),
        type_text(*.rtype)
    )]
    TtlDiffers {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// This record's.
        ttl: u32,
        /// The first record's.
        first_ttl: u32,
        /// The first record.
        first: SourceLine,
    },
    /// The same record twice.
    #[error("the record is already there{}", first.place())]
    Duplicate {
        /// The first one.
        first: SourceLine,
    },
    /// More data than an answer of 64 KiB has room for.
    #[error(
        "the {} records of {owner} do not fit into one answer: {}",
        type_text(*.rtype),
        match surplus { 1 => "one is too much".to_owned(), n => format!("{n} of them are too many") }
    )]
    TooLarge {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// How many have no room.
        surplus: usize,
    },
    /// NS at a wildcard (RFC 4592 §4.2).
    #[error("{owner} is a wildcard and cannot be delegated")]
    WildcardNs {
        /// The wildcard.
        owner: Name,
    },
    /// DS where nothing is delegated.
    #[error("{owner} has a DS record but no delegation: DS stands beside NS, below the apex")]
    LoneDs {
        /// Its owner.
        owner: Name,
    },
    /// NS, MX or SRV to an alias (RFC 2181 §10.3, RFC 2782).
    #[error("{target} is an alias (CNAME{}); {} records lead to real names", cname.place(), type_text(*.rtype))]
    TargetIsCname {
        /// The type of the record that leads there.
        rtype: RecordType,
        /// The alias.
        target: Name,
        /// Where it is made one.
        cname: SourceLine,
    },
    /// NS to a name of ours without an address.
    #[error("the name server {target} lies in this zone and has no address")]
    NsWithoutAddress {
        /// The name server.
        target: Name,
    },
    /// A delegation whose name server lies in it, without glue.
    #[error("the name server {target} lies in the delegated {cut} and has no glue")]
    NoGlue {
        /// The name server.
        target: Name,
        /// The delegation.
        cut: Name,
    },
    /// A name server below another delegation, without glue.
    #[error("the name server {target} lies in the delegated {cut} and has no address here")]
    SiblingGlue {
        /// The name server.
        target: Name,
        /// The other delegation.
        cut: Name,
    },
    /// CNAME to a name of ours that is not there.
    #[error("the alias leads to {target}, which lies in this zone and is not there")]
    CnameToNothing {
        /// Where it leads.
        target: Name,
    },
    /// Data at or below a delegation that is never answered.
    #[error("{owner} is delegated away at {cut}: this {} record is never seen", type_text(*.rtype))]
    Occluded {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// Where the delegation is.
        cut: SourceLine,
    },
    /// A second DNAME at one name (RFC 6672 §2.4).
    #[error("{owner} has another DNAME record at {first}; a name has one at most")]
    SecondDname {
        /// The name.
        owner: Name,
        /// The first one.
        first: SourceLine,
    },
    /// Data below a DNAME, which redirects every name there (RFC 6672 §2.4).
    #[error(
        "{owner} lies below the DNAME at {dname}, which redirects it: this {} record is left out",
        type_text(*.rtype)
    )]
    BelowDname {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: RecordType,
        /// The DNAME.
        dname: SourceLine,
    },
    /// NS, MX or SRV to a name below a DNAME, which is an alias.
    #[error(
        "{target} is redirected (DNAME at {dname}); {} records lead to real names",
        type_text(*.rtype)
    )]
    TargetBelowDname {
        /// The type of the record that leads there.
        rtype: RecordType,
        /// The redirected name.
        target: Name,
        /// The DNAME.
        dname: SourceLine,
    },
    /// DNAME at a wildcard (RFC 6672 §3.3).
    #[error(
        "{owner} is a wildcard with a DNAME record: it redirects the names below the asterisk itself, and no others"
    )]
    WildcardDname {
        /// The wildcard.
        owner: Name,
    },
    /// The digest of the zone, which is not that of what is served (RFC 8976).
    #[error(
        "the ZONEMD record of {owner} is left out: it is not the digest of the zone as it is served"
    )]
    ZoneDigest {
        /// The apex.
        owner: Name,
    },
}
