//! The fields of each record type: one table that reading, checking and printing share.
//!
//! In: a record type. Out: its fields in order, or that its RDATA is opaque to us; which types a zone may not
//! hold. Never here: values.

use hickory_proto::rr::RecordType;

use super::text::{Groups, Syntax};

/// One field of a record's RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A domain name.
    Name,
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// Seconds, written as a number or with units: `1h30m`.
    Period,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A character string of up to 255 octets.
    Text,
    /// A character string at the end, which may be missing.
    LastText,
    /// One or more character strings, to the end.
    Texts,
    /// A CAA tag: letters and digits, with its length.
    Tag,
    /// Octets to the end, written as one string.
    Rest,
    /// Octets to the end, written in hexadecimal.
    Hex,
    /// Octets to the end, written in base 64.
    Base64,
    /// A record type.
    Type,
    /// A moment in seconds, written as a date (RFC 4034 §3.2).
    Moment,
    /// The types of an NSEC or CSYNC record, to the end; there may be none.
    Types,
    /// An identifier in groups of hexadecimal digits.
    Groups(Groups),
    /// The kind of a certificate, as a mnemonic or a number of two octets.
    Certificate,
    /// An algorithm of DNSSEC, as a number of one octet or a mnemonic.
    Algorithm,
    /// All the rest, in a syntax of its own.
    Own(Syntax),
}

use Field::{
    Algorithm, Base64, Certificate, Hex, Ipv4, Ipv6, Moment, Name, Own, Period, Rest, Tag, Text,
    Texts, Type, Types, U8, U16, U32,
};

/// Types that hickory-proto has no variant for.
pub(super) const AFSDB: RecordType = RecordType::Unknown(18);
/// See [`AFSDB`].
pub(super) const RP: RecordType = RecordType::Unknown(17);
/// See [`AFSDB`].
pub(super) const KX: RecordType = RecordType::Unknown(36);
/// See [`AFSDB`].
pub(super) const RT: RecordType = RecordType::Unknown(21);
/// See [`AFSDB`].
pub(super) const PX: RecordType = RecordType::Unknown(26);
/// See [`AFSDB`].
pub(super) const SPF: RecordType = RecordType::Unknown(99);
/// See [`AFSDB`].
pub(super) const URI: RecordType = RecordType::Unknown(256);

/// The fields of a type's RDATA; none when they are opaque and written as RFC 3597 §5 says.
pub(super) fn fields(rtype: RecordType) -> Option<&'static [Field]> {
    Some(match rtype {
        RecordType::A => &[Ipv4],
        RecordType::AAAA => &[Ipv6],
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => &[Name],
        RecordType::SOA => &[Name, Name, U32, Period, Period, Period, Period],
        RecordType::MX | AFSDB | KX | RT => &[U16, Name],
        PX => &[U16, Name, Name],
        RecordType::TXT | SPF => &[Texts],
        RecordType::SRV => &[U16, U16, U16, Name],
        RecordType::CAA => &[U8, Tag, Rest],
        RecordType::TLSA | RecordType::SMIMEA => &[U8, U8, U8, Hex],
        RecordType::SSHFP => &[U8, U8, Hex],
        RecordType::DS | RecordType::CDS => &[U16, U8, U8, Hex],
        RecordType::DNSKEY | RecordType::CDNSKEY => &[U16, U8, U8, Base64],
        RecordType::RRSIG => &[Type, U8, U8, U32, Moment, Moment, U16, Name, Base64],
        RecordType::NSEC => &[Name, Types],
        RecordType::NAPTR => &[U16, U16, Text, Text, Text, Name],
        RecordType::HINFO => &[Text, Text],
        RecordType::OPENPGPKEY => &[Base64],
        RP => &[Name, Name],
        URI => &[U16, U16, Rest],
        RecordType::SVCB | RecordType::HTTPS => &[U16, Name, Own(Syntax::SvcParams)],
        RecordType::CERT => &[Certificate, U16, Algorithm, Base64],
        RecordType::CSYNC => &[U32, U16, Types],
        other => return numbered(u16::from(other)),
    })
}

/// The fields of types that hickory-proto has no variant for.
fn numbered(rtype: u16) -> Option<&'static [Field]> {
    Some(match rtype {
        // MD, MF, MB, MG, MR, NSAP-PTR.
        3 | 4 | 7 | 8 | 9 | 23 => &[Name],
        // MINFO, TALINK.
        14 | 58 => &[Name, Name],
        // WKS, NSAP, ATMA, A6.
        11 => &[Ipv4, Own(Syntax::Wks)],
        22 => &[Own(Syntax::Nsap)],
        34 => &[Own(Syntax::Atma)],
        38 => &[Own(Syntax::A6)],
        // X25, ISDN, GPOS.
        19 => &[Text],
        20 => &[Text, Field::LastText],
        27 => &[Text, Text, Text],
        // KEY, RKEY.
        25 | 57 => &[U16, U8, Algorithm, Base64],
        // EID, NIMLOC.
        31 | 32 => &[Hex],
        // SINK.
        40 => &[U8, U8, U8, Base64],
        // LOC, APL, IPSECKEY, DHCID, HHIT, BRID, HIP.
        29 => &[Own(Syntax::Loc)],
        42 => &[Own(Syntax::Apl)],
        45 => &[Own(Syntax::Ipseckey)],
        49 | 67 | 68 => &[Base64],
        55 => &[Own(Syntax::Hip)],
        // ZONEMD.
        63 => &[U32, U8, U8, Hex],
        // NID, L32, L64, LP.
        104 | 106 => &[U16, Field::Groups(Groups::Locator64)],
        105 => &[U16, Ipv4],
        107 => &[U16, Name],
        108 => &[Field::Groups(Groups::Eui48)],
        109 => &[Field::Groups(Groups::Eui64)],
        // NINFO, AVC, RESINFO, WALLET, CLA.
        56 | 258 | 261 | 262 | 263 => &[Texts],
        // DOA.
        259 => &[U32, U32, U8, Text, Base64],
        // AMTRELAY.
        260 => &[Own(Syntax::Amtrelay)],
        // TA, DLV.
        32768 | 32769 => &[U16, U8, U8, Hex],
        _ => return None,
    })
}

/// Whether the names in a type's RDATA are in lower case in its canonical form: those of RFC 4034 §6.2 without NSEC
/// (RFC 6840 §5.1), and no younger types (RFC 3597 §7).
pub(super) fn lowers_names(rtype: RecordType) -> bool {
    match u16::from(rtype) {
        // NS, MD, MF, CNAME, SOA, MB, MG, MR, PTR, MINFO, MX, RP, AFSDB, RT.
        2..=9 | 12 | 14 | 15 | 17 | 18 | 21 => true,
        // SIG, PX, NXT, SRV, NAPTR, KX, A6, DNAME, RRSIG.
        24 | 26 | 30 | 33 | 35 | 36 | 38 | 39 | 46 => true,
        _ => false,
    }
}

/// Whether a record's words may be `key="value"`.
pub(super) fn takes_parameters(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::SVCB | RecordType::HTTPS)
}

/// Whether the names in a type's RDATA may be compressed: only those of RFC 1035 (RFC 3597 §4).
pub fn compresses_names(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::SOA | RecordType::MX
    )
}

/// Why a record type has no place in a zone of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeFault {
    /// A query or meta type (RFC 6895 §3.1).
    #[error("it is not a type of stored data")]
    Meta,
    /// Records that signing makes.
    #[error("repoint signs itself, and makes such records then")]
    Signing,
}

/// Whether a zone may hold records of this type.
pub(super) fn storable(rtype: RecordType) -> Result<(), TypeFault> {
    match u16::from(rtype) {
        0 | 41 | 128..=255 => Err(TypeFault::Meta),
        // With SIG and NXT of the DNSSEC before RFC 4034.
        24 | 30 | 46 | 47 | 48 | 50 | 51 | 59 | 60 => Err(TypeFault::Signing),
        _ => Ok(()),
    }
}
