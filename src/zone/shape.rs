//! The fields of each record type: one table that reading, checking and printing share.
//!
//! In: a record type. Out: its fields in order, or that its RDATA is opaque to us; which types a zone may not
//! hold. Never here: values.

use hickory_proto::rr::RecordType;

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
    /// The types of an NSEC record, to the end.
    Types,
}

use Field::{
    Base64, Hex, Ipv4, Ipv6, Moment, Name, Period, Rest, Tag, Text, Texts, Type, Types, U8, U16,
    U32,
};

/// The types that hickory-proto does not name.
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
        RecordType::NS | RecordType::CNAME | RecordType::PTR => &[Name],
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
        _ => return None,
    })
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
    /// DNAME, whose synthesis is not done here.
    #[error("answers below a DNAME would have to be synthesised, which repoint does not do")]
    Dname,
    /// Obsolete or never standardised.
    #[error("the type is obsolete or was never standardised")]
    Obsolete,
}

/// Whether a zone may hold records of this type.
pub(super) fn storable(rtype: RecordType) -> Result<(), TypeFault> {
    match u16::from(rtype) {
        0 | 41 | 128..=255 => Err(TypeFault::Meta),
        39 => Err(TypeFault::Dname),
        46 | 47 | 48 | 50 | 51 | 59 | 60 | 62 => Err(TypeFault::Signing),
        // MD, MF, MB, MG, MR, NULL, MINFO, SIG, KEY, NXT, A6, ANAME.
        3 | 4 | 7..=10 | 14 | 24 | 25 | 30 | 38 | 65305 => Err(TypeFault::Obsolete),
        _ => Ok(()),
    }
}

/// Reads a type's mnemonic, or `TYPEn` (RFC 3597 §5); case does not matter.
pub(super) fn parse_type(text: &str) -> Option<RecordType> {
    let upper = text.to_ascii_uppercase();
    let other = match upper.as_str() {
        "AFSDB" => AFSDB,
        "RP" => RP,
        "KX" => KX,
        "RT" => RT,
        "PX" => PX,
        "SPF" => SPF,
        "URI" => URI,
        "IXFR" => RecordType::IXFR,
        "OPT" => RecordType::OPT,
        "LOC" => RecordType::Unknown(29),
        "APL" => RecordType::Unknown(42),
        "CERT" => RecordType::CERT,
        "IPSECKEY" => RecordType::Unknown(45),
        "DHCID" => RecordType::Unknown(49),
        "HIP" => RecordType::Unknown(55),
        "ZONEMD" => RecordType::Unknown(63),
        "EUI48" => RecordType::Unknown(108),
        "EUI64" => RecordType::Unknown(109),
        "*" | "ANAME" => return None,
        _ => {
            if let Some(number) = upper.strip_prefix("TYPE") {
                let digits = number.bytes().all(|b| b.is_ascii_digit());
                return (digits && !number.is_empty())
                    .then(|| number.parse::<u16>().ok())
                    .flatten()
                    .map(RecordType::from);
            }
            return upper.parse().ok();
        }
    };
    Some(other)
}

/// A type's mnemonic, `TYPEn` where it has none that we read back.
pub fn type_text(rtype: RecordType) -> String {
    match rtype {
        AFSDB => "AFSDB".into(),
        RP => "RP".into(),
        KX => "KX".into(),
        RT => "RT".into(),
        PX => "PX".into(),
        SPF => "SPF".into(),
        URI => "URI".into(),
        RecordType::Unknown(_) | RecordType::ANAME | RecordType::ZERO => {
            format!("TYPE{}", u16::from(rtype))
        }
        known => <&'static str>::from(known).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_type_is_read_back_as_it_is_printed() {
        for number in 0..=u16::MAX {
            let rtype = RecordType::from(number);
            let text = type_text(rtype);
            assert_eq!(parse_type(&text).map(u16::from), Some(number), "{text}");
        }
    }

    #[test]
    fn type_mnemonics_are_read_in_any_case() {
        assert_eq!(parse_type("srv"), Some(RecordType::SRV));
        assert_eq!(parse_type("Type65"), Some(RecordType::HTTPS));
        assert_eq!(parse_type("TYPE"), None);
        assert_eq!(parse_type("TYPE65536"), None);
        assert_eq!(parse_type("TYPE+1"), None);
        assert_eq!(parse_type("ALIAS"), None);
    }
}
