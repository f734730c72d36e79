//! RDATA in wire form, and the RRsets made of it.
//!
//! In: octets that a reader or a decision made. Out: [`Rdata`] whose fields are known to be whole, [`Rrset`].
//! Octets are kept as they came: what an operator wrote is what partners get, whatever the type.
//! Never here: master-file syntax on the way in (`master/`), compression (`serve/`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::RecordType;

use super::name::Name;
use super::nsec::{bitmap, bitmap_types};
use super::shape::{self, Field};
use super::text::{Syntax, certificate_type_text};
use super::type_names::type_text;
use crate::clock::Wall;

/// One record's RDATA, uncompressed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rdata(Box<[u8]>);

impl Rdata {
    /// Takes octets as the RDATA of a type; none when its fields are not whole or octets are left over.
    pub fn new(rtype: RecordType, wire: &[u8]) -> Option<Rdata> {
        u16::try_from(wire.len()).ok()?;
        if let Some(fields) = shape::fields(rtype) {
            let mut rest = wire;
            for field in fields {
                rest = skip(*field, rest)?;
            }
            if !rest.is_empty() {
                return None;
            }
        }
        Some(Rdata(wire.into()))
    }

    /// Takes octets that were made as the type wants them.
    pub(super) fn of_valid_wire(wire: Vec<u8>) -> Rdata {
        Rdata(wire.into())
    }

    /// The RDATA of an A or AAAA record.
    pub fn address(address: IpAddr) -> Rdata {
        match address {
            IpAddr::V4(v4) => Rdata(v4.octets().into()),
            IpAddr::V6(v6) => Rdata(v6.octets().into()),
        }
    }

    /// The RDATA of an NS, CNAME or PTR record.
    pub fn name(name: &Name) -> Rdata {
        Rdata(name.wire().into())
    }

    /// The RDATA of an SRV record (RFC 2782).
    pub fn srv(priority: u16, weight: u16, port: u16, target: &Name) -> Rdata {
        let mut wire = Vec::with_capacity(6 + target.wire().len());
        for number in [priority, weight, port] {
            wire.extend(number.to_be_bytes());
        }
        wire.extend(target.wire());
        Rdata(wire.into())
    }

    /// An SOA's RDATA with another serial.
    pub(super) fn with_soa_serial(&self, serial: u32) -> Rdata {
        let mut wire = self.0.clone();
        // Serial and the four timers are the last twenty octets (RFC 1035 §3.3.13).
        if let Some(at) = wire.len().checked_sub(20) {
            wire[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        }
        Rdata(wire)
    }

    /// The octets.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The address of an A or AAAA record's RDATA.
    pub fn as_address(&self) -> Option<IpAddr> {
        match self.0.len() {
            4 => <[u8; 4]>::try_from(self.wire())
                .ok()
                .map(|octets| Ipv4Addr::from(octets).into()),
            16 => <[u8; 16]>::try_from(self.wire())
                .ok()
                .map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }

    /// The name a record of this type leads to: the target of NS, CNAME, DNAME, MX, SRV and their like.
    pub fn target(&self, rtype: RecordType) -> Option<Name> {
        let at = match rtype {
            RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => 0,
            RecordType::MX | shape::AFSDB | shape::KX => 2,
            RecordType::SRV => 6,
            _ => return None,
        };
        Name::from_wire(self.0.get(at..)?).ok()
    }

    /// The canonical form (RFC 4034 §6.2): names in lower case, where the type is one of those. Equal for equal records.
    pub fn canonical(&self, rtype: RecordType) -> Vec<u8> {
        let mut wire = self.0.to_vec();
        let mut at = 0;
        if !shape::lowers_names(rtype) {
            return wire;
        }
        for field in shape::fields(rtype).unwrap_or(&[]) {
            let Some(rest) = skip(*field, &self.0[at..]) else {
                break;
            };
            let end = self.0.len() - rest.len();
            match field {
                Field::Name => wire[at..end].make_ascii_lowercase(),
                Field::Own(syntax) => {
                    let name = syntax.lowered_from(&self.0[at..end]);
                    let from = name.map_or(end, |name| at + name);
                    wire[from..end].make_ascii_lowercase();
                }
                _ => {}
            }
            at = end;
        }
        wire
    }

    /// The RDATA as a master file writes it.
    pub fn to_text(&self, rtype: RecordType) -> String {
        let mut text = String::new();
        match shape::fields(rtype) {
            Some(fields) if self.print(fields, &mut text).is_some() => {
                // Without types or parameters nothing comes after the last blank.
                text.truncate(text.trim_end_matches(' ').len());
                text
            }
            _ => format!("\\# {} {}", self.0.len(), hex(&self.0))
                .trim_end()
                .to_owned(),
        }
    }

    fn print(&self, fields: &[Field], text: &mut String) -> Option<()> {
        let mut rest = self.wire();
        for (n, field) in fields.iter().enumerate() {
            let after = skip(*field, rest)?;
            let octets = &rest[..rest.len() - after.len()];
            if n > 0 {
                text.push(' ');
            }
            match field {
                Field::Name => text.push_str(&Name::from_wire(octets).ok()?.to_string()),
                Field::U8 | Field::Algorithm | Field::U16 | Field::U32 | Field::Period => {
                    let number = octets
                        .iter()
                        .fold(0_u32, |n, octet| n << 8 | u32::from(*octet));
                    text.push_str(&number.to_string());
                }
                Field::Ipv4 | Field::Ipv6 => {
                    text.push_str(&Rdata(octets.into()).as_address()?.to_string());
                }
                Field::LastText if octets.is_empty() => {}
                Field::Text | Field::LastText => quote(octets.get(1..)?, text),
                Field::Texts => {
                    let mut strings = octets;
                    while let Some((length, body)) = strings.split_first() {
                        if strings.len() < octets.len() {
                            text.push(' ');
                        }
                        let (string, next) = body.split_at_checked(usize::from(*length))?;
                        quote(string, text);
                        strings = next;
                    }
                }
                Field::Tag => text.push_str(std::str::from_utf8(octets.get(1..)?).ok()?),
                Field::Rest => quote(octets, text),
                // An empty rest has no text of its own and would not be read back.
                Field::Hex | Field::Base64 if octets.is_empty() => return None,
                Field::Hex => text.push_str(&hex(octets)),
                Field::Base64 => text.push_str(&base64(octets)),
                Field::Type => {
                    let number = u16::from_be_bytes(octets.try_into().ok()?);
                    text.push_str(&type_text(RecordType::from(number)));
                }
                Field::Moment => {
                    let seconds = u32::from_be_bytes(octets.try_into().ok()?);
                    let moment = Wall::from_millis(i64::from(seconds) * 1000).to_string();
                    text.extend(moment.chars().filter(char::is_ascii_digit));
                }
                Field::Groups(groups) => text.push_str(&groups.print(octets)),
                Field::Certificate => {
                    let kind = u16::from_be_bytes(octets.try_into().ok()?);
                    text.push_str(&certificate_type_text(kind));
                }
                // Parameters in AliasMode (RFC 9460 §2.4.2) would not be read back.
                Field::Own(Syntax::SvcParams)
                    if !octets.is_empty() && self.wire().starts_with(&[0, 0]) =>
                {
                    return None;
                }
                Field::Own(syntax) => text.push_str(&syntax.print(octets)?),
                Field::Types => {
                    let types = bitmap_types(octets)?;
                    // Read again, they would be without what means nothing.
                    let numbers: Vec<u16> = types.iter().copied().map(u16::from).collect();
                    if bitmap(&numbers) != octets {
                        return None;
                    }
                    let types: Vec<String> = types.into_iter().map(type_text).collect();
                    text.push_str(&types.join(" "));
                }
            }
            rest = after;
        }
        Some(())
    }
}

impl fmt::Debug for Rdata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\\# {} {}", self.0.len(), hex(&self.0))
    }
}

/// All records of one owner and type. The owner stands in the node that holds it, so that thousands of zones
/// can share one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rrset {
    /// The type.
    pub rtype: RecordType,
    /// The one TTL of all its records, in seconds (RFC 2181 §5.2).
    pub ttl: u32,
    /// The records, at least one, in the order they were given.
    pub rdatas: Vec<Rdata>,
}

impl Rrset {
    /// The names its records lead to, as [`Rdata::target`] gives them.
    pub(super) fn targets(&self) -> impl Iterator<Item = Name> {
        let rdatas = self.rdatas.iter();
        rdatas.filter_map(|rdata| rdata.target(self.rtype))
    }
}

/// What follows a field at the start of `octets`; none when the field is not whole.
fn skip(field: Field, octets: &[u8]) -> Option<&[u8]> {
    match field {
        Field::Name => octets.get(Name::wire_length(octets).ok()?..),
        Field::U8 | Field::Algorithm => octets.get(1..),
        Field::U16 | Field::Type | Field::Certificate => octets.get(2..),
        Field::Groups(groups) => octets.get(groups.octets()..),
        Field::Own(syntax) => syntax.is_whole(octets).then_some(&[]),
        Field::U32 | Field::Period | Field::Moment | Field::Ipv4 => octets.get(4..),
        Field::Ipv6 => octets.get(16..),
        Field::Text => octets.get(1 + usize::from(*octets.first()?)..),
        Field::LastText if octets.is_empty() => Some(&[]),
        Field::LastText => skip(Field::Text, octets),
        Field::Tag => {
            let (tag, after) = octets
                .get(1..)?
                .split_at_checked(usize::from(*octets.first()?))?;
            (!tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric)).then_some(after)
        }
        Field::Texts => {
            let mut rest = skip(Field::Text, octets)?;
            while !rest.is_empty() {
                rest = skip(Field::Text, rest)?;
            }
            Some(rest)
        }
        Field::Types => bitmap_types(octets).map(|_| &[][..]),
        Field::Rest | Field::Hex | Field::Base64 => Some(&[]),
    }
}

/// Octets as a character string in quotes.
pub(super) fn quoted(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() + 2);
    quote(octets, &mut text);
    text
}

fn quote(octets: &[u8], text: &mut String) {
    text.push('"');
    for octet in octets {
        match octet {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*octet));
            }
            0x20..=0x7e => text.push(char::from(*octet)),
            octet => text.push_str(&format!("\\{octet:03}")),
        }
    }
    text.push('"');
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let word = (0..3).fold(0_u32, |word, n| {
            word << 8 | u32::from(chunk.get(n).copied().unwrap_or(0))
        });
        for n in 0..4 {
            if n <= chunk.len() {
                let digit = (word >> (18 - 6 * n)) & 63;
                text.push(char::from(BASE64[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// Reads an even number of hexadecimal digits, at least two.
pub(super) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16);
    text.chunks(2)
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect()
}

/// Reads base 64 with its padding; none when it is not canonical.
pub(super) fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.len() - text.iter().rev().take_while(|c| **c == b'=').count();
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0);
    for c in &text[..body] {
        let digit = BASE64.iter().position(|d| d == c)?;
        word = word << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push(u8::try_from(word >> bits & 0xff).ok()?);
        }
    }
    (base64(&octets).as_bytes() == text).then_some(octets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rdata_that_is_not_whole_is_refused() {
        assert!(Rdata::new(RecordType::A, &[192, 0, 2]).is_none());
        assert!(Rdata::new(RecordType::A, &[192, 0, 2, 1, 0]).is_none());
        assert!(Rdata::new(RecordType::MX, &[0, 10, 1, b'a']).is_none());
        assert!(Rdata::new(RecordType::TXT, &[]).is_none());
        assert!(Rdata::new(RecordType::TXT, &[3, b'a']).is_none());
        assert!(Rdata::new(RecordType::CAA, b"\x00\x02a-x").is_none());
        assert!(Rdata::new(RecordType::HTTPS, &[0, 1, 0]).is_some());
        assert!(Rdata::new(RecordType::HTTPS, &[0, 1, 2]).is_none());
        assert!(Rdata::new(RecordType::from(65280), &[0, 1, 2]).is_some());
        assert!(Rdata::new(RecordType::from(65280), &vec![0; 65536]).is_none());
    }

    #[test]
    fn equal_records_have_equal_canonical_octets() {
        let mx = |name: &[u8]| {
            let mut wire = vec![0, 10];
            wire.extend(Name::from_text(name, None).unwrap().wire());
            Rdata::new(RecordType::MX, &wire).unwrap()
        };
        let (a, b) = (mx(b"MAIL.Contoso.com."), mx(b"mail.contoso.com."));
        assert_ne!(a, b);
        assert_eq!(a.canonical(RecordType::MX), b.canonical(RecordType::MX));
        let text = Rdata::new(RecordType::TXT, b"\x01A").unwrap();
        assert_eq!(text.canonical(RecordType::TXT), b"\x01A");
    }

    #[test]
    fn base64_is_read_only_in_its_canonical_form() {
        for octets in [&b"a"[..], b"ab", b"abc", b"abcd", &[0, 255, 62, 63]] {
            assert_eq!(unbase64(base64(octets).as_bytes()).unwrap(), octets);
        }
        for bad in ["", "QQ", "QQ=", "QR==", "====", "Q===", "Q*=="] {
            assert_eq!(unbase64(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn text_shows_every_octet() {
        let text = Rdata::new(RecordType::TXT, b"\x05a\"\\\x00\xff\x00").unwrap();
        assert_eq!(text.to_text(RecordType::TXT), r#""a\"\\\000\255" """#);
        let opaque = Rdata::new(RecordType::from(65280), &[]).unwrap();
        assert_eq!(opaque.to_text(RecordType::from(65280)), "\\# 0");
    }
}
