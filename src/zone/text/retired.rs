//! Types of the early Internet that zone files still have: WKS (RFC 1035 §3.4.2), NSAP (RFC 1706), ATMA (ATM Name System
//! 2.0), A6 (RFC 2874).

use std::net::Ipv6Addr;

use super::{Read, number, shown, wrong};
use crate::zone::name::Name;
use crate::zone::rdata::{hex, unhex};

/// Protocols that WKS records name.
const PROTOCOLS: &[(&str, u8)] = &[("ICMP", 1), ("TCP", 6), ("UDP", 17)];

/// Services that WKS records name, by the mnemonics of RFC 1010 and `/etc/services`.
const SERVICES: &[(&str, u16)] = &[
    ("RJE", 5),
    ("ECHO", 7),
    ("DISCARD", 9),
    ("SYSTAT", 11),
    ("USERS", 11),
    ("DAYTIME", 13),
    ("NETSTAT", 15),
    ("QOTD", 17),
    ("QUOTE", 17),
    ("CHARGEN", 19),
    ("FTP-DATA", 20),
    ("FTP", 21),
    ("SSH", 22),
    ("TELNET", 23),
    ("SMTP", 25),
    ("TIME", 37),
    ("RLP", 39),
    ("NAMESERVER", 42),
    ("NICNAME", 43),
    ("WHOIS", 43),
    ("TACACS", 49),
    ("DOMAIN", 53),
    ("BOOTPS", 67),
    ("BOOTPC", 68),
    ("TFTP", 69),
    ("GOPHER", 70),
    ("FINGER", 79),
    ("HTTP", 80),
    ("WWW", 80),
    ("KERBEROS", 88),
    ("HOSTNAME", 101),
    ("HOSTNAMES", 101),
    ("ISO-TSAP", 102),
    ("POP2", 109),
    ("POP3", 110),
    ("SUNRPC", 111),
    ("AUTH", 113),
    ("SFTP", 115),
    ("NNTP", 119),
    ("NTP", 123),
    ("IMAP", 143),
    ("IMAP2", 143),
    ("SNMP", 161),
    ("IRC", 194),
    ("LDAP", 389),
    ("HTTPS", 443),
    ("IMAPS", 993),
    ("POP3S", 995),
];

/// A number, or one of these mnemonics in any case.
fn named<N: Copy + std::str::FromStr>(word: &[u8], names: &[(&str, N)]) -> Option<N> {
    let mut names = names.iter();
    let known = names.find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
    known.map(|(_, number)| *number).or_else(|| number(word))
}

/// A protocol, and a bit for each port.
pub(super) mod wks {
    use super::{PROTOCOLS, Read, SERVICES, named, shown, wrong};

    const WRITE: &str = "write the address, the protocol (TCP, UDP or a number) and its ports as numbers or mnemonics like SMTP";

    pub(in super::super) fn print(octets: &[u8]) -> Option<String> {
        let (protocol, bits) = octets.split_first()?;
        // Octets without a bit at the end would not be read back.
        if bits.last() == Some(&0) || bits.len() > 8192 {
            return None;
        }
        let mut text = protocol.to_string();
        for (at, octet) in bits.iter().enumerate() {
            let set = (0..8).filter(|bit| octet & (0x80 >> bit) != 0);
            set.for_each(|bit| text.push_str(&format!(" {}", 8 * at + bit)));
        }
        Some(text)
    }

    pub(in super::super) fn read(words: &[&[u8]]) -> Read {
        let Some((protocol, ports)) = words.split_first() else {
            return wrong(0, "it ends before its protocol", WRITE);
        };
        let Some(protocol) = named(protocol, PROTOCOLS) else {
            return wrong(0, format!("{:?} is no protocol", shown(protocol)), WRITE);
        };
        let mut bits: Vec<u8> = Vec::new();
        for (at, word) in ports.iter().enumerate() {
            let Some(port) = named::<u16>(word, SERVICES) else {
                return wrong(1 + at, format!("{:?} is no port", shown(word)), WRITE);
            };
            let octet = usize::from(port / 8);
            if bits.len() <= octet {
                bits.resize(octet + 1, 0);
            }
            bits[octet] |= 0x80 >> (port % 8);
        }
        Ok([vec![protocol], bits].concat())
    }
}

/// A network address in hexadecimal, with dots where its writer likes them.
pub(super) mod nsap {
    use super::{Read, hex, unhex, wrong};

    const WRITE: &str =
        "write 0x and an even number of hexadecimal digits, dots between them as you like";

    pub(in super::super) fn print(octets: &[u8]) -> Option<String> {
        (!octets.is_empty()).then(|| format!("0x{}", hex(octets)))
    }

    pub(in super::super) fn read(words: &[&[u8]]) -> Read {
        let text = words.concat();
        let digits = text.strip_prefix(b"0x").or(text.strip_prefix(b"0X"));
        let digits: Option<Vec<u8>> =
            digits.map(|digits| digits.iter().copied().filter(|c| *c != b'.').collect());
        match digits.and_then(|digits| unhex(&digits)) {
            Some(octets) => Ok(octets),
            None => wrong(0, "its address is not hexadecimal after 0x", WRITE),
        }
    }
}

/// An address of an ATM network: digits after a plus sign, or hexadecimal.
pub(super) mod atma {
    use super::{Read, hex, unhex, wrong};

    const WRITE: &str = "write + and a number of E.164, or the address in hexadecimal";

    pub(in super::super) fn print(octets: &[u8]) -> Option<String> {
        match octets {
            [0, address @ ..] if !address.is_empty() => Some(hex(address)),
            [1, number @ ..] if !number.is_empty() && number.iter().all(u8::is_ascii_digit) => {
                Some(format!("+{}", String::from_utf8_lossy(number)))
            }
            _ => None,
        }
    }

    pub(in super::super) fn read(words: &[&[u8]]) -> Read {
        let without_dots = |text: &[u8]| -> Vec<u8> {
            let octets = text.iter().copied();
            octets.filter(|octet| *octet != b'.').collect()
        };
        let text = words.concat();
        if let Some(number) = text.strip_prefix(b"+") {
            let number = without_dots(number);
            if !number.is_empty() && number.iter().all(u8::is_ascii_digit) {
                return Ok([vec![1], number].concat());
            }
            return wrong(0, "a number of E.164 has digits only", WRITE);
        }
        match unhex(&without_dots(&text)) {
            Some(address) => Ok([vec![0], address].concat()),
            None => wrong(0, "its address is not hexadecimal", WRITE),
        }
    }
}

/// A part of an IPv6 address, and the name that has the rest of it.
pub(super) mod a6 {
    use super::{Ipv6Addr, Name, Read, number, shown, wrong};

    const WRITE: &str =
        "write the length of the prefix (0 to 128), the address without it, and the prefix's name";

    /// How many octets of the address there are with a prefix of this length.
    fn suffix(prefix: u8) -> Option<usize> {
        128_usize
            .checked_sub(prefix.into())
            .map(|bits| bits.div_ceil(8))
    }

    /// Where the name begins; none when there is none, or it is not whole.
    pub(in super::super) fn name_at(octets: &[u8]) -> Option<usize> {
        let at = 1 + suffix(*octets.first()?)?;
        let length = Name::wire_length(octets.get(at..)?).ok()?;
        (at + length == octets.len()).then_some(at)
    }

    pub(in super::super) fn is_whole(octets: &[u8]) -> bool {
        match octets.first() {
            Some(0) => octets.len() == 17,
            Some(_) => name_at(octets).is_some(),
            None => false,
        }
    }

    pub(in super::super) fn print(octets: &[u8]) -> Option<String> {
        let (prefix, rest) = octets.split_first()?;
        let length = suffix(*prefix)?;
        let (part, name) = rest.split_at_checked(length)?;
        let mut address = [0; 16];
        address[16 - length..].copy_from_slice(part);
        let padding = prefix % 8;
        // Bits of the prefix would not be read back.
        if length > 0 && padding > 0 && part[0] >> (8 - padding) != 0 {
            return None;
        }
        let mut text = prefix.to_string();
        if length > 0 {
            text.push_str(&format!(" {}", Ipv6Addr::from(address)));
        }
        if *prefix > 0 {
            text.push_str(&format!(" {}", Name::from_wire(name).ok()?));
        }
        Some(text)
    }

    pub(in super::super) fn read(words: &[&[u8]], origin: &Name) -> Read {
        let Some((first, mut rest)) = words.split_first() else {
            return wrong(0, "it ends before its prefix", WRITE);
        };
        let prefix = number::<u8>(first).and_then(|prefix| Some((prefix, suffix(prefix)?)));
        let Some((prefix, length)) = prefix else {
            return wrong(
                0,
                format!("{:?} is no length of a prefix", shown(first)),
                WRITE,
            );
        };
        let mut octets = vec![prefix];
        if length > 0 {
            let word = rest.first();
            let address = word.and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            let Some(address): Option<Ipv6Addr> = address else {
                return wrong(
                    1,
                    "the address behind its prefix is missing or wrong",
                    WRITE,
                );
            };
            let mut part = address.octets()[16 - length..].to_vec();
            part[0] &= 0xff >> (prefix % 8);
            octets.extend(part);
            rest = &rest[1..];
        }
        let at = words.len() - rest.len();
        match (prefix, rest) {
            (0, []) => {}
            (0, _) => return wrong(at, "a whole address has no prefix to name", WRITE),
            (_, [name]) => match Name::from_text(name, Some(origin)) {
                Ok(name) => octets.extend(name.wire()),
                Err(why) => {
                    let why = format!("{:?} is not a name: {why}", shown(name));
                    return wrong(at, why, WRITE);
                }
            },
            _ => return wrong(at, "it needs one name, that of its prefix", WRITE),
        }
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(text: &str) -> Vec<&[u8]> {
        text.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn well_known_services_are_read_by_name_and_number_and_written_by_number() {
        let octets = wks::read(&words("tcp smtp 0 DOMAIN")).unwrap();
        assert_eq!(octets, [6, 0x80, 0, 0, 0x40, 0, 0, 0x04]);
        assert_eq!(wks::print(&octets).unwrap(), "6 0 25 53");
        assert_eq!(wks::print(&[17]).unwrap(), "17");
        assert_eq!(wks::print(&[17, 0]), None, "it would be read as [17]");
        assert_eq!(wks::read(&words("udp 65535")).unwrap().len(), 8193);
        for bad in ["", "xdp 1", "256 1", "tcp 65536", "tcp nonsense"] {
            assert!(wks::read(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_of_other_networks_are_read_with_dots() {
        let octets = nsap::read(&words("0x47.0005.80.005a00")).unwrap();
        assert_eq!(nsap::print(&octets).unwrap(), "0x47000580005A00");
        let e164 = atma::read(&words("+61.200000000")).unwrap();
        assert_eq!(atma::print(&e164).unwrap(), "+61200000000");
        let aesa = atma::read(&words("39.246f")).unwrap();
        assert_eq!(
            (aesa[0], atma::print(&aesa).unwrap().as_str()),
            (0, "39246F")
        );
        for bad in ["47", "0x", "0x4", "0xzz", ""] {
            assert!(nsap::read(&words(bad)).is_err(), "{bad}");
        }
        for bad in ["+", "+a", "1", ""] {
            assert!(atma::read(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_examples_of_rfc_2874_are_read_and_written() {
        let origin = Name::from_text(b"example.", None).unwrap();
        for text in [
            "0 2345:c1:ca11:1:1234:5678:9abc:def0",
            "64 ::1234:5678:9abc:def0 subnet-1.ip6.example.",
            "48 0:0:0:1:: ip6.example.",
            "128 whole.example.",
            "1 7fff:: a.",
        ] {
            let octets = a6::read(&words(text), &origin).unwrap();
            assert!(a6::is_whole(&octets));
            assert_eq!(a6::print(&octets).unwrap(), text);
        }
        for bad in [
            "",
            "129 a.",
            "0",
            "0 ::1 a.",
            "64 ::1",
            "64 a.",
            "128 ::1 a.",
            "64 ::1 a. b.",
        ] {
            assert!(a6::read(&words(bad), &origin).is_err(), "{bad}");
        }
        assert!(!a6::is_whole(&[64, 0, 0]) && !a6::is_whole(&[129]) && !a6::is_whole(&[]));
    }
}
