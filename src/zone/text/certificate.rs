//! The mnemonics of CERT records: kinds of certificates (RFC 4398 §2.1) and algorithms (RFC 4034 appendix A.1).

use super::number;

const TYPES: [(u16, &str); 10] = [
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// Several names of one algorithm are in use.
const ALGORITHMS: [(u8, &str); 18] = [
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (6, "NSEC3DSA"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// A kind of certificate, by mnemonic or number.
pub(in crate::zone) fn certificate_type(word: &[u8]) -> Option<u16> {
    named(&TYPES, word).or_else(|| number(word))
}

/// The mnemonic of a kind of certificate, or its number.
pub(in crate::zone) fn certificate_type_text(kind: u16) -> String {
    let known = TYPES.iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned())
}

/// An algorithm, by mnemonic or number.
pub(in crate::zone) fn algorithm_number(word: &[u8]) -> Option<u8> {
    named(&ALGORITHMS, word).or_else(|| number(word))
}

fn named<T: Copy>(table: &[(T, &str)], word: &[u8]) -> Option<T> {
    let mut known = table.iter();
    let known = known.find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(word));
    known.map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mnemonics_and_numbers_are_read_and_mnemonics_are_written() {
        assert_eq!(certificate_type(b"pkix"), Some(1));
        assert_eq!(certificate_type(b"254"), Some(254));
        assert_eq!(certificate_type(b"65536"), None);
        assert_eq!(certificate_type(b"+1"), None);
        assert_eq!(certificate_type_text(4), "IPKIX");
        assert_eq!(certificate_type_text(9), "9");
        assert_eq!(algorithm_number(b"RSASHA256"), Some(8));
        assert_eq!(algorithm_number(b"nsec3rsasha1"), Some(7));
        assert_eq!(algorithm_number(b"0"), Some(0));
        assert_eq!(algorithm_number(b"256"), None);
    }
}
