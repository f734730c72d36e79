//! HIP (RFC 8005): algorithm, host identity tag, public key, rendezvous servers.

use super::{Read, number, shown, wrong};
use crate::zone::name::Name;
use crate::zone::rdata::{base64, hex, unbase64, unhex};

const WRITE: &str = "write the algorithm's number, the tag in hexadecimal, the key in base 64 as one word, and the rendezvous servers";

struct Parts<'a> {
    algorithm: u8,
    tag: &'a [u8],
    key: &'a [u8],
    servers: &'a [u8],
}

fn parts(octets: &[u8]) -> Option<Parts<'_>> {
    let [tag, algorithm, high, low, rest @ ..] = octets else {
        return None;
    };
    let (tag, rest) = rest.split_at_checked(usize::from(*tag))?;
    let (key, servers) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some(Parts {
        algorithm: *algorithm,
        tag,
        key,
        servers,
    })
}

pub(super) fn is_whole(octets: &[u8]) -> bool {
    let Some(Parts { mut servers, .. }) = parts(octets) else {
        return false;
    };
    while !servers.is_empty() {
        match Name::wire_length(servers) {
            Ok(length) => servers = &servers[length..],
            Err(_) => return false,
        }
    }
    true
}

pub(super) fn print(octets: &[u8]) -> Option<String> {
    let parts = parts(octets).filter(|parts| !parts.tag.is_empty() && !parts.key.is_empty())?;
    let mut text = format!(
        "{} {} {}",
        parts.algorithm,
        hex(parts.tag),
        base64(parts.key)
    );
    let mut servers = parts.servers;
    while !servers.is_empty() {
        let (name, length) = Name::read_wire(servers).ok()?;
        text.push_str(&format!(" {name}"));
        servers = &servers[length..];
    }
    Some(text)
}

pub(super) fn read(words: &[&[u8]], origin: &Name) -> Read {
    let [algorithm, tag, key, servers @ ..] = words else {
        return wrong(words.len(), "it ends before its key", WRITE);
    };
    let Some(algorithm) = number::<u8>(algorithm) else {
        return wrong(
            0,
            format!("{:?} is no algorithm's number", shown(algorithm)),
            WRITE,
        );
    };
    let tag = unhex(tag).filter(|tag| tag.len() <= 255);
    let Some((tag, tag_length)) = tag
        .and_then(|tag| Some((u8::try_from(tag.len()).ok()?, tag)))
        .map(|(length, tag)| (tag, length))
    else {
        return wrong(1, "its tag is not hexadecimal", WRITE);
    };
    let key = unbase64(key).and_then(|key| Some((u16::try_from(key.len()).ok()?, key)));
    let Some((key_length, key)) = key else {
        return wrong(2, "its key is no base 64 text", WRITE);
    };
    let mut octets = vec![tag_length, algorithm];
    octets.extend(key_length.to_be_bytes());
    octets.extend(tag);
    octets.extend(key);
    for (at, server) in servers.iter().enumerate() {
        match Name::from_text(server, Some(origin)) {
            Ok(name) => octets.extend(name.wire()),
            Err(why) => {
                let why = format!("{:?} is not a name: {why}", shown(server));
                return wrong(3 + at, why, WRITE);
            }
        }
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_host_with_several_rendezvous_servers_is_read_and_written() {
        // RFC 8005 §6, shortened.
        let key = "AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D";
        for servers in [
            "",
            " rvs.example.com.",
            " rvs1.example.com. rvs2.example.com.",
        ] {
            let text = format!("2 200100107B1A74DF365639CC39F1D578 {key}{servers}");
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            let octets = read(&words, &Name::root()).unwrap();
            assert!(is_whole(&octets));
            assert_eq!(print(&octets).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for text in [
            "",
            "2",
            "2 20",
            "2 2 AA==",
            "2 zz AA==",
            "300 20 AA==",
            "2 20 A",
            "2 20 AA== a..b",
        ] {
            let words: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
            assert!(read(&words, &Name::root()).is_err(), "{text}");
        }
        assert!(!is_whole(&[1, 2, 0, 1, 9]));
        assert!(!is_whole(&[1, 2, 0, 1, 9, 9, 1]));
        assert!(is_whole(&[0, 2, 0, 0]) && print(&[0, 2, 0, 0]).is_none());
    }
}
