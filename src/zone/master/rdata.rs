//! RDATA from the words of a record.
//!
//! In: a type, its words, the origin. Out: [`Rdata`], or the one fault that makes it none. Which fields a type
//! has is `shape`'s table. Every type may also be written as RFC 3597 §5 says: `\# length octets`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::RecordType;

use super::fault::MasterFault;
use super::soa;
use super::token::Token;
use crate::zone::name::{Name, unescape};
use crate::zone::nsec::bitmap;
use crate::zone::rdata::{Rdata, unbase64, unhex};
use crate::zone::shape::{self, Field};
use crate::zone::text::{Groups, Syntax, algorithm_number, certificate_type};
use crate::zone::type_names::parse_type;

/// Reads the RDATA of a record; a fault comes with its line.
pub(super) fn read_rdata(
    rtype: RecordType,
    words: &[Token],
    end_line: u32,
    origin: &Name,
) -> Result<Rdata, (u32, MasterFault)> {
    if let [mark, octets @ ..] = words
        && !mark.quoted
        && mark.text == b"\\#"
    {
        return generic(rtype, octets).ok_or((mark.line, MasterFault::GenericRdata { rtype }));
    }
    let Some(fields) = shape::fields(rtype) else {
        return Err((end_line, MasterFault::Opaque { rtype }));
    };
    let mut reader = Reader {
        rtype,
        words,
        all: words,
        end_line,
        origin,
        wire: Vec::with_capacity(64),
    };
    for (n, field) in fields.iter().enumerate() {
        let wanted = wanted_by(rtype, n, *field);
        match field {
            Field::Own(syntax) => reader.own(*syntax)?,
            Field::Types => reader.types(wanted)?,
            Field::LastText if reader.words.is_empty() => {}
            field => reader.field(*field, wanted)?,
        }
    }
    if let Some(word) = reader.words.first() {
        let text = shown(&word.text);
        return Err((word.line, MasterFault::RdataLong { rtype, text }));
    }
    check_digest(rtype, &reader.wire).map_err(|fault| (end_line, fault))?;
    Rdata::new(rtype, &reader.wire).ok_or((end_line, MasterFault::GenericRdata { rtype }))
}

struct Reader<'a> {
    rtype: RecordType,
    words: &'a [Token],
    /// All words of the record.
    all: &'a [Token],
    end_line: u32,
    origin: &'a Name,
    wire: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn field(&mut self, field: Field, wanted: &'static str) -> Result<(), (u32, MasterFault)> {
        let rtype = self.rtype;
        let Some((word, after)) = self.words.split_first() else {
            if rtype == RecordType::SOA {
                return Err((self.end_line, soa::too_short(self.all)));
            }
            return Err((self.end_line, MasterFault::RdataShort { rtype, wanted }));
        };
        self.words = after;
        let wrong = || {
            let text = shown(&word.text);
            (
                word.line,
                MasterFault::Field {
                    rtype,
                    text,
                    wanted,
                },
            )
        };
        match field {
            Field::Name => {
                let name = read_name(word, self.origin)?;
                self.wire.extend(name.wire());
            }
            Field::U8 => self.wire.push(plain(word).ok_or_else(wrong)?),
            Field::Algorithm => {
                let number = Some(&word.text).filter(|_| !word.quoted);
                let number = number.and_then(|text| algorithm_number(text));
                self.wire.push(number.ok_or_else(wrong)?);
            }
            Field::Certificate => {
                let number = Some(&word.text).filter(|_| !word.quoted);
                let number = number.and_then(|text| certificate_type(text));
                self.wire.extend(number.ok_or_else(wrong)?.to_be_bytes());
            }
            Field::Groups(groups) => {
                let octets = Some(&word.text).filter(|_| !word.quoted);
                let octets = octets.and_then(|text| groups.read(text));
                self.wire.extend(octets.ok_or_else(wrong)?);
            }
            Field::U16 => {
                let number: u16 = plain(word).ok_or_else(wrong)?;
                self.wire.extend(number.to_be_bytes());
            }
            Field::U32 => {
                let number: u32 = plain(word).ok_or_else(wrong)?;
                self.wire.extend(number.to_be_bytes());
            }
            Field::Period => {
                let seconds = period(word).ok_or_else(wrong)?;
                self.wire.extend(seconds.to_be_bytes());
            }
            Field::Ipv4 => {
                let address: Ipv4Addr = plain(word).ok_or_else(wrong)?;
                self.wire.extend(address.octets());
            }
            Field::Ipv6 => {
                let address: Ipv6Addr = plain(word).ok_or_else(wrong)?;
                self.wire.extend(address.octets());
            }
            Field::Text | Field::LastText => self.text(word, wanted)?,
            Field::Texts => {
                self.text(word, wanted)?;
                while let Some((word, after)) = self.words.split_first() {
                    self.words = after;
                    self.text(word, wanted)?;
                }
            }
            Field::Tag => {
                let good = !word.text.is_empty()
                    && word.text.len() <= 255
                    && word.text.iter().all(u8::is_ascii_alphanumeric);
                if !good {
                    return Err(wrong());
                }
                self.push_string(&word.text);
            }
            Field::Rest => {
                let octets = octets_of(word)?;
                self.wire.extend(octets);
            }
            Field::Hex => {
                let octets = unhex(&self.rest_joined(word)).ok_or_else(wrong)?;
                self.wire.extend(octets);
            }
            Field::Base64 => {
                let octets = unbase64(&self.rest_joined(word)).ok_or_else(wrong)?;
                self.wire.extend(octets);
            }
            // Only records that signing makes have these, and those have been refused by their type.
            Field::Type | Field::Moment => return Err(wrong()),
            // Read by `types` and `own`.
            Field::Types | Field::Own(_) => return Err(wrong()),
        }
        Ok(())
    }

    fn text(&mut self, word: &Token, wanted: &'static str) -> Result<(), (u32, MasterFault)> {
        let octets = octets_of(word)?;
        if octets.len() > 255 {
            let (rtype, text) = (self.rtype, format!("{}…", shown(&word.text[..32])));
            return Err((
                word.line,
                MasterFault::Field {
                    rtype,
                    text,
                    wanted,
                },
            ));
        }
        self.push_string(&octets);
        Ok(())
    }

    /// The rest in a syntax of its own.
    fn own(&mut self, syntax: Syntax) -> Result<(), (u32, MasterFault)> {
        let rtype = self.rtype;
        let words = std::mem::take(&mut self.words);
        for word in words {
            if word.quoted {
                let text = shown(&word.text);
                return Err((word.line, MasterFault::QuotedWord { rtype, text }));
            }
            if word.meets_comment && syntax == Syntax::SvcParams {
                let text = shown(&word.text);
                return Err((word.line, MasterFault::TextMeetsComment { text }));
            }
        }
        let texts: Vec<&[u8]> = words.iter().map(|word| word.text.as_slice()).collect();
        let octets = syntax
            .read(&texts, &self.wire, self.origin)
            .map_err(|wrong| {
                let line = words.get(wrong.at).map_or(self.end_line, |word| word.line);
                let (why, write) = (wrong.why, wrong.write);
                (line, MasterFault::Text { rtype, why, write })
            })?;
        self.wire.extend(octets);
        Ok(())
    }

    /// Mnemonics of types, to the end.
    fn types(&mut self, wanted: &'static str) -> Result<(), (u32, MasterFault)> {
        let rtype = self.rtype;
        let mut types = Vec::with_capacity(self.words.len());
        for word in std::mem::take(&mut self.words) {
            let text = shown(&word.text);
            match parse_type(&text).filter(|_| !word.quoted) {
                Some(listed) => types.push(u16::from(listed)),
                None => {
                    let fault = MasterFault::Field {
                        rtype,
                        text,
                        wanted,
                    };
                    return Err((word.line, fault));
                }
            }
        }
        types.sort_unstable();
        types.dedup();
        self.wire.extend(bitmap(&types));
        Ok(())
    }

    fn push_string(&mut self, octets: &[u8]) {
        self.wire
            .push(u8::try_from(octets.len()).unwrap_or(u8::MAX));
        self.wire.extend(octets);
    }

    /// Hexadecimal and base 64 may be cut into words at will.
    fn rest_joined(&mut self, first: &Token) -> Vec<u8> {
        let mut text = first.text.clone();
        for word in std::mem::take(&mut self.words) {
            text.extend(&word.text);
        }
        text
    }
}

/// Reads a word as a name; an address there is a well-known slip and never meant.
pub(super) fn read_name(word: &Token, origin: &Name) -> Result<Name, (u32, MasterFault)> {
    let text = || shown(&word.text);
    if plain::<Ipv4Addr>(word).is_some() || plain::<Ipv6Addr>(word).is_some() {
        return Err((word.line, MasterFault::AddressForName { text: text() }));
    }
    if word.quoted {
        return Err((word.line, MasterFault::QuotedName { text: text() }));
    }
    Name::from_text(&word.text, Some(origin))
        .map_err(|why| (word.line, MasterFault::Name { text: text(), why }))
}

/// A number of seconds with or without units: `3600`, `1h30m`; at most 2^31 − 1 (RFC 2181 §8).
pub(super) fn period(word: &Token) -> Option<u32> {
    if word.quoted || !word.text.first()?.is_ascii_digit() {
        return None;
    }
    let (mut total, mut number, mut digits, mut units) = (0_u64, 0_u64, 0, 0);
    for octet in &word.text {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_add(u64::from(digit - b'0'))?;
                digits += 1;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86400,
            b'w' => 604_800,
            _ => return None,
        };
        if digits == 0 {
            return None;
        }
        total = total.checked_add(number.checked_mul(unit)?)?;
        (number, digits) = (0, 0);
        units += 1;
    }
    // After a unit, a number without one ("1h30") is more likely a slip than thirty seconds.
    if units > 0 && digits > 0 {
        return None;
    }
    let total = if units == 0 { number } else { total };
    u32::try_from(total)
        .ok()
        .filter(|ttl| *ttl <= i32::MAX as u32)
}

/// An octet string as text, for messages.
pub(super) fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn plain<T: std::str::FromStr>(word: &Token) -> Option<T> {
    // FromStr accepts a leading plus sign, which no master file means.
    if word.quoted || word.text.first() == Some(&b'+') {
        return None;
    }
    std::str::from_utf8(&word.text).ok()?.parse().ok()
}

fn octets_of(word: &Token) -> Result<Vec<u8>, (u32, MasterFault)> {
    if !word.quoted && word.meets_comment {
        let text = shown(&word.text);
        return Err((word.line, MasterFault::TextMeetsComment { text }));
    }
    let mut octets = Vec::with_capacity(word.text.len());
    let mut rest = word.text.as_slice();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet == b'\\' {
            let (octet, used) = unescape(rest).ok_or((word.line, MasterFault::Escape))?;
            octets.push(octet);
            rest = &rest[used..];
        } else {
            octets.push(octet);
        }
    }
    Ok(octets)
}

fn generic(rtype: RecordType, words: &[Token]) -> Option<Rdata> {
    let (length, octets) = words.split_first()?;
    let length: u16 = plain(length)?;
    let hex: Vec<u8> = octets.iter().flat_map(|word| word.text.clone()).collect();
    let wire = if hex.is_empty() {
        Vec::new()
    } else {
        unhex(&hex)?
    };
    if wire.len() != usize::from(length) {
        return None;
    }
    Rdata::new(rtype, &wire)
}

const ZONEMD: RecordType = RecordType::Unknown(63);

fn check_digest(rtype: RecordType, wire: &[u8]) -> Result<(), MasterFault> {
    let (kind, header, lengths): (_, usize, &[(u8, usize)]) = match rtype {
        RecordType::DS => (wire.get(3), 4, &[(1, 20), (2, 32), (4, 48)]),
        RecordType::SSHFP => (wire.get(1), 2, &[(1, 20), (2, 32)]),
        RecordType::TLSA | RecordType::SMIMEA => (wire.get(2), 3, &[(1, 32), (2, 64)]),
        // RFC 8976 §2.2.4
        ZONEMD => (wire.get(5), 6, &[(1, 48), (2, 64)]),
        _ => return Ok(()),
    };
    let got = wire.len().saturating_sub(header);
    match lengths.iter().find(|(number, _)| Some(number) == kind) {
        Some((_, wanted)) if *wanted != got => Err(MasterFault::Digest {
            rtype,
            got,
            wanted: *wanted,
        }),
        _ => Ok(()),
    }
}

fn wanted_by(rtype: RecordType, place: usize, field: Field) -> &'static str {
    match (rtype, place) {
        (RecordType::SOA, 0) => "the primary name server's name",
        (RecordType::SOA, 1) => "a mailbox like hostmaster.contoso.com.",
        (RecordType::SOA, 2) => "a serial from 0 to 4294967295",
        (RecordType::SOA, 3) => "a refresh time, in seconds or as 1h",
        (RecordType::SOA, 4) => "a retry time, in seconds or as 30m",
        (RecordType::SOA, 5) => "an expiry time, in seconds or as 7d",
        (RecordType::SOA, 6) => "a negative TTL, in seconds or as 5m",
        (RecordType::MX, 0) => "a preference from 0 to 65535",
        (RecordType::SRV, 0) => "a priority from 0 to 65535",
        (RecordType::SRV, 1) => "a weight from 0 to 65535",
        (RecordType::SRV, 2) => "a port from 0 to 65535",
        _ => match field {
            Field::Name => "a name",
            Field::U8 => "a number from 0 to 255",
            Field::U16 => "a number from 0 to 65535",
            Field::U32 => "a number from 0 to 4294967295",
            Field::Period => "a time in seconds or as 1h",
            Field::Ipv4 => "an IPv4 address like 192.0.2.1",
            Field::Ipv6 => "an IPv6 address like 2001:db8::1",
            Field::Text | Field::LastText | Field::Texts => "a string of up to 255 octets",
            Field::Tag => "a tag of letters and digits",
            Field::Rest => "a value in quotes",
            Field::Hex => "an even number of hexadecimal digits",
            Field::Base64 => "base 64 text",
            Field::Type => "a record type",
            Field::Moment => "a time as YYYYMMDDHHmmSS",
            Field::Types => "a record type",
            Field::Certificate => "a kind of certificate: PKIX, SPKI, PGP, IPKIX or a number",
            Field::Algorithm => "an algorithm: its number, or a mnemonic like ECDSAP256SHA256",
            Field::Groups(Groups::Eui48) => "six groups of two digits like 00-00-5e-00-53-2a",
            Field::Groups(Groups::Eui64) => {
                "eight groups of two digits like 00-00-5e-ef-10-00-00-2a"
            }
            Field::Groups(Groups::Locator64) => "four groups of digits like 0014:4fff:ff20:ee64",
            Field::Own(_) => "data",
        },
    }
}
