//! IPSECKEY (RFC 4025): precedence, kind of gateway, algorithm, gateway, key.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Read, number, shown, wrong};
use crate::zone::name::Name;
use crate::zone::rdata::{base64, unbase64};

const WRITE: &str = "write precedence, kind of gateway (0 none, 1 IPv4, 2 IPv6, 3 name), algorithm, the gateway (. for none) and the key in base 64";

/// How many octets a gateway of this kind has at the start of `octets`; none when it is not whole.
fn length(kind: u8, octets: &[u8]) -> Option<usize> {
    let length = match kind {
        0 => 0,
        1 => 4,
        2 => 16,
        3 => Name::wire_length(octets).ok()?,
        _ => return None,
    };
    (octets.len() >= length).then_some(length)
}

pub(super) fn is_whole(octets: &[u8]) -> bool {
    match octets {
        // What a gateway of another kind looks like is not known.
        [_, kind, _, ..] if *kind > 3 => true,
        [_, kind, _, rest @ ..] => length(*kind, rest).is_some(),
        _ => false,
    }
}

pub(super) fn print(octets: &[u8]) -> Option<String> {
    let [precedence, kind, algorithm, rest @ ..] = octets else {
        return None;
    };
    let (gateway, key) = rest.split_at(length(*kind, rest)?);
    let gateway = match kind {
        0 => ".".to_owned(),
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(gateway).ok()?).to_string(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(gateway).ok()?).to_string(),
        _ => Name::from_wire(gateway).ok()?.to_string(),
    };
    let text = format!("{precedence} {kind} {algorithm} {gateway} {}", base64(key));
    Some(text.trim_end().to_owned())
}

pub(super) fn read(words: &[&[u8]], origin: &Name) -> Read {
    let mut octets = Vec::with_capacity(64);
    for at in 0..3 {
        let Some(word) = words.get(at) else {
            return wrong(at, "it ends before its gateway", WRITE);
        };
        let Some(number) = number(word) else {
            return wrong(
                at,
                format!("{:?} is no number from 0 to 255", shown(word)),
                WRITE,
            );
        };
        octets.push(number);
    }
    let Some((gateway, key)) = words[3..].split_first() else {
        return wrong(3, "it ends before its gateway", WRITE);
    };
    let text = || std::str::from_utf8(gateway).ok();
    let read = match octets[1] {
        0 => (*gateway == b".").then(Vec::new),
        1 => text().and_then(|text| Some(text.parse::<Ipv4Addr>().ok()?.octets().to_vec())),
        2 => text().and_then(|text| Some(text.parse::<Ipv6Addr>().ok()?.octets().to_vec())),
        3 => Name::from_text(gateway, Some(origin))
            .ok()
            .map(|name| name.wire().to_vec()),
        kind => {
            let why = format!("{kind} is no kind of gateway that has a text");
            return wrong(1, why, WRITE);
        }
    };
    let Some(read) = read else {
        let why = format!("{:?} is no gateway of kind {}", shown(gateway), octets[1]);
        return wrong(3, why, WRITE);
    };
    octets.extend(read);
    if !key.is_empty() {
        let Some(key) = unbase64(&key.concat()) else {
            return wrong(4, "its key is no base 64 text", WRITE);
        };
        octets.extend(key);
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        const KEY: &str = "AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==";
        let origin = Name::from_text(b"example.net.", None).unwrap();
        for text in [
            "10 1 2 192.0.2.38",
            "10 0 2 .",
            "10 1 2 192.0.2.3",
            "10 3 2 mygateway.example.com.",
            "10 2 2 2001:db8:0:8002::2000:1",
        ] {
            for text in [format!("{text} {KEY}"), text.to_owned()] {
                let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
                let octets = read(&words, &origin).unwrap();
                assert!(is_whole(&octets));
                assert_eq!(print(&octets).unwrap(), text);
            }
        }
    }

    #[test]
    fn a_gateway_of_another_kind_is_refused() {
        let origin = Name::root();
        for text in [
            "",
            "10",
            "10 1 2",
            "10 1 2 ::1",
            "10 2 2 192.0.2.1",
            "10 0 2 a.",
            "10 4 2 a.",
            "256 0 2 .",
            "10 0 2 . %%",
        ] {
            let words: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
            assert!(read(&words, &origin).is_err(), "{text}");
        }
        assert!(!is_whole(&[1, 1, 2, 192, 0, 2]));
        assert!(!is_whole(&[1, 3, 2, 1, b'a']));
        assert!(is_whole(&[1, 4, 2, 9]) && print(&[1, 4, 2, 9]).is_none());
    }
}
