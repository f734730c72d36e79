//! The parameters of SVCB and HTTPS records (RFC 9460 §2.1 and appendix A): `alpn=h2,h3 port=853 key65333=ex1`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Read, number, shown, wrong};
use crate::zone::name::unescape;
use crate::zone::rdata::{base64, quoted, unbase64};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;

/// Those that are read by name. The last two are written by number: older software does not know their names.
const KEYS: [(u16, &str); 9] = [
    (MANDATORY, "mandatory"),
    (ALPN, "alpn"),
    (NO_DEFAULT_ALPN, "no-default-alpn"),
    (PORT, "port"),
    (IPV4HINT, "ipv4hint"),
    (ECH, "ech"),
    (IPV6HINT, "ipv6hint"),
    (DOHPATH, "dohpath"),
    (OHTTP, "ohttp"),
];

const WRITE: &str = "write key=value, each key once: alpn=h2,h3 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1 ech=BASE64 mandatory=alpn key65333=\"octets\"";

/// The parameters one by one; none when octets are left over, or keys are not in order, or a value is not what its key wants.
fn params(mut octets: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut params: Vec<(u16, &[u8])> = Vec::new();
    while !octets.is_empty() {
        let [key_high, key_low, high, low, rest @ ..] = octets else {
            return None;
        };
        let key = u16::from_be_bytes([*key_high, *key_low]);
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length)?;
        if params.last().is_some_and(|(before, _)| *before >= key) || !fits(key, value) {
            return None;
        }
        params.push((key, value));
        octets = rest;
    }
    Some(params)
}

/// Whether a value has the form that its key wants (RFC 9460 §7 and §8).
fn fits(key: u16, value: &[u8]) -> bool {
    let some_of = |size: usize| !value.is_empty() && value.len().is_multiple_of(size);
    match key {
        MANDATORY => {
            some_of(2)
                && keys(value).is_sorted_by(|a, b| a < b)
                && keys(value).all(|key| key != MANDATORY)
        }
        ALPN => protocols(value).is_some(),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4HINT => some_of(4),
        ECH => !value.is_empty(),
        IPV6HINT => some_of(16),
        _ => true,
    }
}

fn keys(value: &[u8]) -> impl Iterator<Item = u16> {
    value
        .chunks_exact(2)
        .map(|key| u16::from_be_bytes([key[0], key[1]]))
}

/// The protocols of an `alpn` value: at least one, none of them empty.
fn protocols(mut value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut protocols = Vec::new();
    while let Some((length, rest)) = value.split_first() {
        let (protocol, rest) = rest.split_at_checked(usize::from(*length))?;
        if protocol.is_empty() {
            return None;
        }
        protocols.push(protocol);
        value = rest;
    }
    (!protocols.is_empty()).then_some(protocols)
}

pub(super) fn is_whole(octets: &[u8]) -> bool {
    params(octets).is_some()
}

pub(super) fn print(octets: &[u8]) -> Option<String> {
    let params = params(octets)?;
    if !is_consistent(&params) {
        return None;
    }
    let params: Vec<String> = params
        .into_iter()
        .map(|(key, value)| param(key, value))
        .collect();
    Some(params.join(" "))
}

fn param(key: u16, value: &[u8]) -> String {
    let list = |values: Vec<String>| values.join(",");
    let value = match key {
        MANDATORY => list(keys(value).map(key_text).collect()),
        ALPN => {
            let protocols = protocols(value).unwrap_or_default();
            let mut text = Vec::new();
            for (n, protocol) in protocols.into_iter().enumerate() {
                text.extend((n > 0).then_some(b','));
                for octet in protocol {
                    // The list is cut at its commas after the word's own escapes are undone (appendix A.1).
                    text.extend(matches!(octet, b',' | b'\\').then_some(b'\\'));
                    text.push(*octet);
                }
            }
            word(&text)
        }
        PORT => value
            .iter()
            .fold(0_u32, |port, octet| port << 8 | u32::from(*octet))
            .to_string(),
        IPV4HINT => {
            let addresses = value
                .chunks_exact(4)
                .filter_map(|a| <[u8; 4]>::try_from(a).ok());
            list(addresses.map(|a| Ipv4Addr::from(a).to_string()).collect())
        }
        IPV6HINT => {
            let addresses = value
                .chunks_exact(16)
                .filter_map(|a| <[u8; 16]>::try_from(a).ok());
            list(addresses.map(|a| Ipv6Addr::from(a).to_string()).collect())
        }
        ECH => base64(value),
        _ => word(value),
    };
    match value.is_empty() {
        true => key_text(key),
        false => format!("{}={value}", key_text(key)),
    }
}

fn key_text(key: u16) -> String {
    let known = KEYS[..7].iter().find(|(number, _)| *number == key);
    known.map_or_else(|| format!("key{key}"), |(_, name)| (*name).to_owned())
}

/// A value, in quotes unless it is plain.
fn word(value: &[u8]) -> String {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_./,:=+{}?".contains(octet);
    match std::str::from_utf8(value) {
        Ok(text) if value.iter().all(plain) => text.to_owned(),
        _ => quoted(value),
    }
}

/// Whether mandatory keys are there, and `no-default-alpn` has its `alpn` (RFC 9460 §8 and §7.1.1).
fn is_consistent(params: &[(u16, &[u8])]) -> bool {
    let has = |key: u16| params.iter().any(|(other, _)| *other == key);
    let mandatory = params.first().filter(|(key, _)| *key == MANDATORY);
    let all = mandatory.is_none_or(|(_, value)| keys(value).all(has));
    all && (has(ALPN) || !has(NO_DEFAULT_ALPN))
}

/// Reads parameters. `before` begins with the priority.
pub(super) fn read(words: &[&[u8]], before: &[u8]) -> Read {
    if before.starts_with(&[0, 0]) && !words.is_empty() {
        let why = "its priority is 0, which makes it an alias without parameters";
        return wrong(
            0,
            why,
            "remove the parameters, or write a priority from 1 to 65535",
        );
    }
    let mut params: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for (at, word) in words.iter().enumerate() {
        let equals = word.iter().position(|octet| *octet == b'=');
        let (name, value) = word.split_at(equals.unwrap_or(word.len()));
        let value = value.get(1..);
        let Some((key, by_number)) = key(name) else {
            return wrong(at, format!("{:?} is no parameter key", shown(name)), WRITE);
        };
        let octets = value.map_or(Some(Vec::new()), unescaped);
        let octets = match (octets, by_number) {
            (Some(octets), true) => Some(octets),
            (Some(octets), false) => of_text(key, value.is_some(), &octets),
            (None, _) => None,
        };
        let Some(octets) = octets.filter(|octets| fits(key, octets) && octets.len() <= 65_535)
        else {
            return wrong(
                at,
                format!("{:?} has no value that its key can have", shown(word)),
                WRITE,
            );
        };
        if params.insert(key, octets).is_some() {
            return wrong(at, format!("the key {} is there twice", shown(name)), WRITE);
        }
    }
    let flat: Vec<(u16, &[u8])> = params
        .iter()
        .map(|(key, value)| (*key, value.as_slice()))
        .collect();
    if !is_consistent(&flat) {
        let why = "a key that is mandatory is missing, or no-default-alpn has no alpn beside it";
        return wrong(0, why, "add the key, or remove what asks for it");
    }
    let octets = flat.iter().flat_map(|(key, value)| {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        [&key.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
    });
    Ok(octets.collect())
}

/// A key by its name or as `keyN`, and whether its value is octets.
fn key(name: &[u8]) -> Option<(u16, bool)> {
    let named = KEYS
        .iter()
        .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name));
    if let Some((key, _)) = named {
        return Some((*key, false));
    }
    let prefix = name.get(..3)?.eq_ignore_ascii_case(b"key");
    let digits = name
        .get(3..)
        .filter(|digits| prefix && (digits.len() == 1 || !digits.starts_with(b"0")))?;
    // The last one is reserved (RFC 9460 §14.3.2).
    let key = number::<u16>(digits).filter(|key| *key < u16::MAX)?;
    Some((key, true))
}

fn unescaped(word: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet == b'\\' {
            let (octet, used) = unescape(rest)?;
            octets.push(octet);
            rest = &rest[used..];
        } else {
            octets.push(*octet);
        }
    }
    Some(octets)
}

/// The octets of a value whose text has this form.
fn of_text(key: u16, given: bool, text: &[u8]) -> Option<Vec<u8>> {
    let parts = || text.split(|octet| *octet == b',');
    match key {
        MANDATORY => {
            let keys: Option<Vec<u16>> = parts().map(|name| Some(self::key(name)?.0)).collect();
            let mut keys = keys?;
            keys.sort_unstable();
            Some(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => listed(text)?
            .into_iter()
            .try_fold(Vec::new(), |mut octets, protocol| {
                octets.push(u8::try_from(protocol.len()).ok()?);
                octets.extend(protocol);
                Some(octets)
            }),
        NO_DEFAULT_ALPN | OHTTP => (!given).then(Vec::new),
        PORT => Some(number::<u16>(text)?.to_be_bytes().to_vec()),
        IPV4HINT => parts().try_fold(Vec::new(), |mut octets, part| {
            let address: Ipv4Addr = std::str::from_utf8(part).ok()?.parse().ok()?;
            octets.extend(address.octets());
            Some(octets)
        }),
        IPV6HINT => parts().try_fold(Vec::new(), |mut octets, part| {
            let address: Ipv6Addr = std::str::from_utf8(part).ok()?.parse().ok()?;
            octets.extend(address.octets());
            Some(octets)
        }),
        ECH => unbase64(text),
        // A URI template (RFC 9461 §5).
        _ => std::str::from_utf8(text)
            .ok()
            .filter(|text| !text.is_empty())
            .map(|text| text.as_bytes().to_vec()),
    }
}

/// The values of a list: cut at commas that no backslash stands before (appendix A.1).
fn listed(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut values = vec![Vec::new()];
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b',' => values.push(Vec::new()),
            b'\\' => values
                .last_mut()?
                .push(*octets.next().filter(|next| b",\\".contains(next))?),
            octet => values.last_mut()?.push(*octet),
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn octets(text: &str) -> Result<Vec<u8>, String> {
        let words: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
        read(&words, &[0, 1]).map_err(|wrong| wrong.why)
    }

    #[test]
    fn parameters_are_read_in_any_order_and_written_in_one() {
        for (text, written) in [
            ("", ""),
            ("port=53", "port=53"),
            (
                "alpn=h2,h3 ipv6hint=2001:db8::1,2001:db8::53:1 ipv4hint=192.0.2.1",
                "alpn=h2,h3 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1,2001:db8::53:1",
            ),
            ("key667=hello", "key667=hello"),
            (r"key667=hello\210qoo", r#"key667="hello\210qoo""#),
            // RFC 9460 appendix D: mandatory keys in order, commas and backslashes of a protocol.
            (
                "alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
                "mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1",
            ),
            (r"alpn=f\\\092oo\092,bar,h2", r#"alpn="f\\\\oo\\,bar,h2""#),
            (
                "ech=AAAA no-default-alpn alpn=h2",
                "alpn=h2 no-default-alpn ech=AAAA",
            ),
            ("key3=\\000\\053 KEY1=\\002h2", "alpn=h2 port=53"),
            (
                "dohpath=/dns-query{?dns} ohttp",
                "key7=/dns-query{?dns} key8",
            ),
            ("key65534", "key65534"),
        ] {
            let read = octets(text).unwrap();
            assert!(is_whole(&read), "{text}");
            assert_eq!(print(&read).unwrap(), written, "{text}");
            let unquoted = written.replace('"', "");
            assert_eq!(octets(&unquoted).unwrap(), read, "{text}");
        }
    }

    #[test]
    fn the_comma_of_a_protocol_is_not_a_list_s() {
        let read = octets(r"alpn=f\\\092oo\092,bar,h2").unwrap();
        assert_eq!(read[4..], *b"\x08f\\oo,bar\x02h2");
    }

    #[test]
    fn parameters_that_the_rfc_calls_malformed_are_refused() {
        for text in [
            "alpn=h2 alpn=h3",
            "port",
            "port=",
            "port=65536",
            "port=+1",
            "port=1,2",
            "alpn",
            "alpn=",
            "alpn=h2,,h3",
            r"alpn=h\\2",
            "ipv4hint=",
            "ipv4hint=2001:db8::1",
            "ipv4hint=192.0.2.1,",
            "ipv6hint=192.0.2.1",
            "ech",
            "ech=A",
            "no-default-alpn",
            "alpn=h2 no-default-alpn=",
            "alpn=h2 no-default-alpn=x",
            "mandatory=alpn",
            "mandatory=mandatory",
            "mandatory=alpn,alpn alpn=h2",
            "mandatory alpn=h2",
            "key65535",
            "key065",
            "key",
            "key70000",
            "foo=bar",
            "=x",
            "key3=abc",
            r"key667=\300",
            "ohttp=x",
            "dohpath",
        ] {
            assert!(octets(text).is_err(), "{text}");
        }
        assert!(read(&[b"alpn=h2"], &[0, 0]).is_err());
        assert!(read(&[], &[0, 0]).unwrap().is_empty());
    }

    #[test]
    fn octets_that_are_malformed_are_not_whole() {
        for bad in [
            &[0, 3, 0, 2, 0][..],
            &[0, 3, 0, 1, 0],
            &[0, 3, 0, 2, 0, 53, 0, 1, 0, 3, 2, b'h', b'2'],
            &[0, 3, 0, 2, 0, 53, 0, 3, 0, 2, 0, 53],
            &[0, 1, 0, 2, 2, b'h'],
            &[0, 0, 0, 2, 0, 0],
            &[0],
        ] {
            assert!(!is_whole(bad), "{bad:?}");
        }
        // Well formed, and of no use: a mandatory key that is missing. Other software may send it.
        let lacking = [0, 0, 0, 2, 0, 1];
        assert!(is_whole(&lacking) && print(&lacking).is_none());
    }
}
