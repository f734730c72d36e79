//! APL: lists of address prefixes (RFC 3123): `1:192.168.32.0/21 !1:192.168.38.0/28`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Read, number, shown, wrong};

const WRITE: &str =
    "write prefixes like 1:192.0.2.0/24 or 2:2001:db8::/32, with ! before one that is left out";
/// Set in the octet of an item's length when the item is left out.
const NEGATED: u8 = 0x80;

pub(super) fn is_whole(mut octets: &[u8]) -> bool {
    while !octets.is_empty() {
        let [_, _, _, length, rest @ ..] = octets else {
            return false;
        };
        let Some(rest) = rest.get(usize::from(length & !NEGATED)..) else {
            return false;
        };
        octets = rest;
    }
    true
}

pub(super) fn print(mut octets: &[u8]) -> Option<String> {
    let mut items = Vec::new();
    while let [high, low, prefix, length, rest @ ..] = octets {
        let family = u16::from_be_bytes([*high, *low]);
        let (address, rest) = rest.split_at_checked(usize::from(length & !NEGATED))?;
        octets = rest;
        // Read again, the zeros at the end would not be there (§4).
        if address.last() == Some(&0) {
            return None;
        }
        let (address, bits) = match family {
            1 => (Ipv4Addr::from(filled::<4>(address)?).to_string(), 32),
            2 => (Ipv6Addr::from(filled::<16>(address)?).to_string(), 128),
            _ => return None,
        };
        if *prefix > bits {
            return None;
        }
        let sign = if length & NEGATED != 0 { "!" } else { "" };
        items.push(format!("{sign}{family}:{address}/{prefix}"));
    }
    (!items.is_empty()).then(|| items.join(" "))
}

fn filled<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut address = [0; N];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(address)
}

pub(super) fn read(words: &[&[u8]]) -> Read {
    let mut octets = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(item) = item(word) else {
            return wrong(at, format!("{:?} is no address prefix", shown(word)), WRITE);
        };
        octets.extend(item);
    }
    Ok(octets)
}

fn item(word: &[u8]) -> Option<Vec<u8>> {
    let (negated, word) = match word.strip_prefix(b"!") {
        Some(word) => (NEGATED, word),
        None => (0, word),
    };
    let word = std::str::from_utf8(word).ok()?;
    let (family, rest) = word.split_once(':')?;
    let (address, prefix) = rest.split_once('/')?;
    let prefix: u8 = number(prefix.as_bytes())?;
    let (family, mut address, bits) = match number(family.as_bytes())? {
        1_u16 => (
            1_u16,
            address.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
            32,
        ),
        2 => (2, address.parse::<Ipv6Addr>().ok()?.octets().to_vec(), 128),
        _ => return None,
    };
    if prefix > bits {
        return None;
    }
    while address.last() == Some(&0) {
        address.pop();
    }
    let length = u8::try_from(address.len()).ok()? | negated;
    Some([&family.to_be_bytes()[..], &[prefix, length], &address].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn prefixes_are_read_and_written() {
        let words = [
            &b"1:192.168.32.0/21"[..],
            b"!1:192.168.38.0/28",
            b"2:ff00::/8",
            b"1:0.0.0.0/0",
        ];
        let octets = read(&words).unwrap();
        assert_eq!(octets[..7], [0, 1, 21, 3, 192, 168, 32]);
        assert_eq!(octets[7..11], [0, 1, 28, 0x83]);
        assert!(is_whole(&octets));
        let text = print(&octets).unwrap();
        assert_eq!(text.as_bytes(), words.join(&b" "[..]));
    }

    #[test]
    fn an_empty_list_is_whole_and_has_no_text() {
        assert!(read(&[]).unwrap().is_empty());
        assert!(is_whole(&[]));
        assert_eq!(print(&[]), None);
    }

    #[test]
    fn what_would_be_read_otherwise_has_no_text() {
        // Another family, a zero at the end, too long an address, too long a prefix.
        for octets in [
            &[0, 3, 1, 1, 1][..],
            &[0, 1, 8, 2, 10, 0],
            &[0, 1, 8, 5, 10, 1, 1, 1, 1],
            &[0, 1, 33, 1, 10],
        ] {
            assert!(is_whole(octets));
            assert_eq!(print(octets), None, "{octets:?}");
        }
        assert!(!is_whole(&[0, 1, 8]));
        assert!(!is_whole(&[0, 1, 8, 2, 10]));
    }

    #[test]
    fn words_that_are_no_prefix_are_refused() {
        for bad in [
            "192.0.2.0/24",
            "1:192.0.2.0",
            "1:192.0.2.0/33",
            "3:1/1",
            "1:2001:db8::/32",
            "!!1:10.0.0.0/8",
            "1:10.0.0.0/-1",
        ] {
            assert!(read(&[bad.as_bytes()]).is_err(), "{bad}");
        }
    }
}
