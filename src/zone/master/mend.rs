//! What to do about each fault of a master file.
//!
//! In: the fault. Out: what its operator should write instead. Never here: whether the file can be used all the same.

use super::fault::MasterFault;
use crate::zone::shape::TypeFault;

/// Words for types from which other servers compute answers.
fn is_computed(text: &str) -> bool {
    let known = ["LUA", "ALIAS", "ANAME", "FLATTEN"];
    known.iter().any(|word| text.eq_ignore_ascii_case(word))
}

impl MasterFault {
    /// What to do about it.
    pub(super) fn mend(&self) -> String {
        use MasterFault as F;
        match self {
            F::QuoteOpen => {
                "close the string in the same line; cut long text into several strings".into()
            }
            F::QuoteTouches => {
                "put a blank between them, or \\\" for a quote inside the word".into()
            }
            F::ParenthesisOpen => "close it after the record's last word".into(),
            F::ParenthesisClosed => "remove it, or open it after the record's type".into(),
            F::Control { .. } => "remove it, or write it as \\DDD inside quotes".into(),
            F::Escape => "write \\\\ for a backslash and \\DDD for an octet, in decimal".into(),
            F::Generate => "write the records out, one per line".into(),
            F::Directive { .. } => {
                "use $ORIGIN, $TTL or $INCLUDE; escape a leading $ of a name as \\$".into()
            }
            F::DirectiveWords { .. } => {
                "write $ORIGIN name, $TTL ttl, or $INCLUDE file [origin]".into()
            }
            F::Include { .. } => "mend the path or the file's permissions".into(),
            F::IncludeDepth { .. } | F::IncludeTotal { .. } => {
                "see whether a file includes itself".into()
            }
            F::Name { .. } => "mend the name".into(),
            F::QuotedName { .. } => "write the name without quotes".into(),
            F::AddressForName { .. } => {
                "give the address a name with an A or AAAA record and write that name".into()
            }
            F::NoOwner => "begin the line with the owner, or @ for the origin".into(),
            F::NoTtl => "write $TTL at the top of the file, for example $TTL 3600".into(),
            F::AmbiguousTtl { .. } => {
                "write $TTL after the $INCLUDE, or a TTL in the record".into()
            }
            F::Ttl { .. } => {
                "write seconds up to 2147483647, or units: 30s, 5m, 1h30m, 2d, 1w".into()
            }
            F::Class { .. } => "write IN, or leave the class out".into(),
            F::Repeated { .. } => "keep one of them".into(),
            F::NoType => "write owner, TTL, class, type and data, in this order".into(),
            F::UnknownType { text } if is_computed(text) => {
                "another server computes the answers from it, repoint cannot: write A and AAAA records".into()
            }
            F::UnknownType { .. } => {
                "mend the type, or write it as TYPEn with \\# and its octets (RFC 3597)".into()
            }
            F::Type { why, .. } => match why {
                TypeFault::Meta => "remove the record".into(),
                TypeFault::Signing => "remove the record".into(),
            },
            F::Opaque { rtype } => format!(
                "write the data in octets: TYPE{} \\# length hexadecimal (RFC 3597 §5)",
                u16::from(*rtype)
            ),
            F::RdataShort { wanted, .. } => format!("add {wanted}"),
            F::RdataLong { .. } => {
                "remove what is too much; text with blanks belongs in quotes".into()
            }
            F::Field { wanted, .. } => format!("write {wanted}"),
            F::Text { write, .. } => (*write).into(),
            F::QuotedWord { .. } => {
                "write it without quotes; those of a parameter stand behind its = sign".into()
            }
            F::Digest { .. } => "copy the digest again, whole, with the number of its kind".into(),
            F::GenericRdata { .. } => {
                "write \\#, the number of octets, and that many in hexadecimal".into()
            }
            F::TextMeetsComment { .. } => {
                "put the whole text in quotes; if a comment is meant, put a blank before the ;"
                    .into()
            }
            F::OutOfZone { .. } => {
                "end relative names without a dot, or move the record to its zone's file".into()
            }
            F::NoSoa { apex } => format!(
                "add one, or leave out the file so that it is generated: {apex} SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 30"
            ),
            F::DotMissing {
                corrected, read, ..
            } => format!("write: {corrected} (if {read} is meant, write it whole, with its dot)"),
            F::DotConflict { corrected, .. } => format!(
                "write: {corrected} and keep the CNAME or the other records; or remove the line"
            ),
            F::DotlessTarget {
                corrected, read, ..
            } => format!("write: {corrected} (if {read} is meant, add A or AAAA records for it)"),
            F::OriginDot { written, .. } => format!("write: $ORIGIN {written}."),
            F::SoaShort {
                corrected: Some(corrected),
                ..
            } => format!("write all seven, for example: SOA {corrected}"),
            F::SoaShort { .. } | F::SoaOdd { .. } => {
                "write primary, mailbox, serial, refresh, retry, expire and minimum in this order, for example: \
                 SOA ns1.example.net. hostmaster.example.net. 1 7200 3600 604800 300"
                    .into()
            }
            F::WindowsExport { wins, .. } if wins.is_empty() => {
                "remove the ages and write $TTL 3600 at the top to have no warning".into()
            }
            F::WindowsExport { .. } => {
                "add A and AAAA records for the hosts that partners ask for, and remove the WINS records".into()
            }
            F::Private { records } if !records.is_computed() => {
                "remove them to have no warning".into()
            }
            F::Private { .. } => {
                "write A and AAAA records at these names, or delegate them to the server that computes the answers".into()
            }
            F::CnameAtApex { target, .. } => format!(
                "remove the CNAME, and write the addresses of {target} at the apex: @ A … and @ AAAA …"
            ),
            F::SecondSoa { .. } => "keep one".into(),
            F::SoaBelowApex { .. } => "remove it, or make it the apex's (owner @)".into(),
            F::NoNs { .. } => "add one NS record per name server".into(),
            F::CnameAndOther { .. } => "keep the CNAME or the other records".into(),
            F::TtlDiffers { .. } => "give both the same TTL".into(),
            F::Duplicate { .. } => "remove one of them; it is served once".into(),
            F::TooLarge { .. } => "keep fewer records".into(),
            F::WildcardNs { .. } => "delegate each name by itself".into(),
            F::LoneDs { .. } => "add the NS records of the delegation, or remove the DS".into(),
            F::TargetIsCname { target, .. } => {
                format!("write the name the alias leads to, or give {target} addresses instead")
            }
            F::NsWithoutAddress { target } | F::NoGlue { target, .. } => format!(
                "add A or AAAA records for {target}; end the name with a dot if one outside the zone is meant"
            ),
            F::SiblingGlue { target, .. } => format!("add A or AAAA records for {target} as glue"),
            F::CnameToNothing { target } => {
                format!("add {target}; end the name with a dot if one outside the zone is meant")
            }
            F::SecondDname { .. } => "keep one".into(),
            F::BelowDname { .. } => {
                "remove the record, or the DNAME; the DNAME's own name may have other records"
                    .into()
            }
            F::TargetBelowDname { .. } => "write the name that the DNAME leads to".into(),
            F::ZoneDigest { .. } => {
                "remove the record; let no secondary require one of this zone".into()
            }
            F::WildcardDname { .. } => {
                "write a DNAME at each name, or a CNAME at the wildcard".into()
            }
            F::Occluded { .. } => "remove the record, or serve it in the delegated zone".into(),
        }
    }
}
