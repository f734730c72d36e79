//! IPSECKEY (RFC 4025): precedence, kind of gateway, algorithm, gateway, key. AMTRELAY (RFC 8777): precedence, whether it is
//! looked for, kind of relay, relay.

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

/// A gateway of this kind as text; it is whole.
fn gateway_text(kind: u8, gateway: &[u8]) -> Option<String> {
    Some(match kind {
        0 => ".".to_owned(),
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(gateway).ok()?).to_string(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(gateway).ok()?).to_string(),
        _ => Name::from_wire(gateway).ok()?.to_string(),
    })
}

/// A word as a gateway of a kind that has a text; none when it is not one.
fn read_gateway(kind: u8, word: &[u8], origin: &Name) -> Option<Vec<u8>> {
    let text = || std::str::from_utf8(word).ok();
    match kind {
        0 => (word == b".").then(Vec::new),
        1 => Some(text()?.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        2 => Some(text()?.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        _ => Some(Name::from_text(word, Some(origin)).ok()?.wire().to_vec()),
    }
}

pub(super) fn print(octets: &[u8]) -> Option<String> {
    let [precedence, kind, algorithm, rest @ ..] = octets else {
        return None;
    };
    let (gateway, key) = rest.split_at(length(*kind, rest)?);
    let gateway = gateway_text(*kind, gateway)?;
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
    if octets[1] > 3 {
        let why = format!("{} is no kind of gateway that has a text", octets[1]);
        return wrong(1, why, WRITE);
    }
    let read = read_gateway(octets[1], gateway, origin);
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

/// AMTRELAY, whose relay is written like a gateway.
pub(super) mod amtrelay {
    use super::{Name, Read, gateway_text, length, number, read_gateway, shown, wrong};

    const WRITE: &str = "write precedence, 1 or 0 for discovery, kind of relay (0 none, 1 IPv4, 2 IPv6, 3 name) and the relay (. for none)";

    pub(in super::super) fn is_whole(octets: &[u8]) -> bool {
        match octets {
            // What a relay of another kind looks like is not known.
            [_, kind, ..] if kind & 0x7f > 3 => true,
            [_, kind, relay @ ..] => length(kind & 0x7f, relay) == Some(relay.len()),
            _ => false,
        }
    }

    pub(in super::super) fn print(octets: &[u8]) -> Option<String> {
        let [precedence, kind, relay @ ..] = octets else {
            return None;
        };
        let (discovery, kind) = (kind >> 7, kind & 0x7f);
        if kind > 3 {
            return None;
        }
        let relay = gateway_text(kind, relay)?;
        Some(format!("{precedence} {discovery} {kind} {relay}"))
    }

    pub(in super::super) fn read(words: &[&[u8]], origin: &Name) -> Read {
        let [precedence, discovery, kind, relay] = words else {
            return wrong(words.len().min(4), "it does not have four parts", WRITE);
        };
        let Some(precedence) = number::<u8>(precedence) else {
            let why = format!("{:?} is no number from 0 to 255", shown(precedence));
            return wrong(0, why, WRITE);
        };
        let Some(discovery) = number::<u8>(discovery).filter(|bit| *bit < 2) else {
            let why = format!("{:?} is neither 0 nor 1", shown(discovery));
            return wrong(1, why, WRITE);
        };
        let Some(kind) = number::<u8>(kind).filter(|kind| *kind < 4) else {
            let why = format!("{:?} is no kind of relay that has a text", shown(kind));
            return wrong(2, why, WRITE);
        };
        let Some(read) = read_gateway(kind, relay, origin) else {
            let why = format!("{:?} is no relay of kind {kind}", shown(relay));
            return wrong(3, why, WRITE);
        };
        Ok([vec![precedence, discovery << 7 | kind], read].concat())
    }
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

    #[test]
    fn the_relays_of_rfc_8777_are_read_and_written() {
        let origin = Name::from_text(b"example.net.", None).unwrap();
        for text in [
            "10 0 1 203.0.113.15",
            "10 0 2 2001:db8::15",
            "128 1 3 amtrelays.example.com.",
            "0 1 0 .",
        ] {
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            let octets = amtrelay::read(&words, &origin).unwrap();
            assert!(amtrelay::is_whole(&octets));
            assert_eq!(amtrelay::print(&octets).unwrap(), text);
        }
        for bad in [
            "",
            "10",
            "10 0 1",
            "10 2 1 192.0.2.1",
            "10 0 4 .",
            "10 0 1 ::1",
            "10 0 1 192.0.2.1 x",
        ] {
            let words: Vec<&[u8]> = bad.split_whitespace().map(str::as_bytes).collect();
            assert!(amtrelay::read(&words, &origin).is_err(), "{bad}");
        }
        assert!(!amtrelay::is_whole(&[1]) && !amtrelay::is_whole(&[1, 1, 192]));
        assert!(amtrelay::is_whole(&[1, 5, 9]) && amtrelay::print(&[1, 5, 9]).is_none());
    }
}
