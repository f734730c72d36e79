//! The names of record types, in both directions: one table for everything that is read and printed.
//!
//! In: a mnemonic or `TYPEn`, a number. Out: the other. Never here: which types a zone may hold (`shape`).

use hickory_proto::rr::RecordType;

/// IANA's mnemonics, in order of number. Those of query types are among them.
const NAMES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (66, "DSYNC"),
    (67, "HHIT"),
    (68, "BRID"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (259, "DOA"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (262, "WALLET"),
    (263, "CLA"),
    (264, "IPN"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// Reads a type's mnemonic, or `TYPEn` (RFC 3597 §5); case does not matter.
pub(super) fn parse_type(text: &str) -> Option<RecordType> {
    let mut names = NAMES.iter();
    let named = names.find(|(_, name)| name.eq_ignore_ascii_case(text));
    let number = match named {
        Some((number, _)) => *number,
        None => {
            let (word, number) = text.split_at_checked(4)?;
            let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            if !digits || !word.eq_ignore_ascii_case("TYPE") {
                return None;
            }
            number.parse().ok()?
        }
    };
    Some(RecordType::from(number))
}

/// A type's mnemonic, `TYPEn` where it has none.
pub fn type_text(rtype: RecordType) -> String {
    let number = u16::from(rtype);
    match NAMES.binary_search_by_key(&number, |(number, _)| *number) {
        Ok(at) => NAMES[at].1.to_owned(),
        Err(_) => format!("TYPE{number}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_type_is_read_back_as_it_is_printed() {
        assert!(NAMES.is_sorted_by_key(|(number, _)| *number));
        for number in 0..=u16::MAX {
            let rtype = RecordType::from(number);
            let text = type_text(rtype);
            assert_eq!(parse_type(&text).map(u16::from), Some(number), "{text}");
        }
    }

    #[test]
    fn every_mnemonic_that_is_read_is_the_one_that_is_printed() {
        for (number, name) in NAMES {
            let read = parse_type(&name.to_ascii_lowercase()).unwrap();
            assert_eq!(
                (u16::from(read), type_text(read)),
                (*number, (*name).to_owned())
            );
        }
    }

    #[test]
    fn type_mnemonics_are_read_in_any_case() {
        assert_eq!(parse_type("srv"), Some(RecordType::SRV));
        assert_eq!(parse_type("Type65"), Some(RecordType::HTTPS));
        for none in ["TYPE", "TYPE65536", "TYPE+1", "ALIAS", "ANAME", "*", ""] {
            assert_eq!(parse_type(none), None, "{none}");
        }
    }
}
