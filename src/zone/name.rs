//! Names in wire form, with the key that puts them in canonical order.
//!
//! In: labels, wire bytes, master-file text, a [`DomainName`]. Out: [`Name`]: case kept, compared without it.
//! Never here: compression; the message writer in `serve/` does that.
//!
//! The key is the reason for a name type of our own: the labels from the right, in lower case, each closed by
//! a zero octet. Comparing keys as bytes is the canonical order of RFC 4034 §6.1, every ancestor is a prefix
//! that ends in a zero, and walking up a name allocates nothing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::topology::DomainName;

/// The longest name in wire form, its root label included (RFC 1035 §2.3.4).
pub const MAX_WIRE: usize = 255;
/// The longest label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// Why a text or a sequence of octets is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Two dots in a row, a leading dot, or nothing at all.
    #[error("it has an empty label")]
    EmptyLabel,
    /// A label longer than 63 octets.
    #[error("it has a label longer than 63 octets")]
    LongLabel,
    /// Longer than 255 octets in wire form.
    #[error("it is longer than 255 octets")]
    Long,
    /// A backslash that no character or three digits up to 255 follow.
    #[error(
        "it has a backslash that is followed by neither a character nor three digits up to 255"
    )]
    Escape,
    /// An octet outside ASCII that is not escaped.
    #[error("it has a character outside ASCII; write an internationalised name in its xn-- form")]
    NotAscii,
    /// An `@` that is not the whole name.
    #[error("it has an @; a mailbox is written with a dot in its place (hostmaster.contoso.com.)")]
    At,
    /// Relative, where no origin completes it.
    #[error("it is relative and there is no origin; end it with a dot")]
    Relative,
    /// The wire form ends early, has octets left over, or is compressed where it may not be.
    #[error("its octets are not a name")]
    Wire,
}

/// A domain name as the DNS carries it: any octets in its labels, case kept, compared without case.
#[derive(Clone)]
pub struct Name(Arc<Inner>);

struct Inner {
    wire: Box<[u8]>,
    key: Box<[u8]>,
}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Arc::new(Inner {
            wire: Box::new([0]),
            key: Box::new([]),
        }))
    }

    /// Takes an uncompressed wire name that fills `wire` exactly.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameFault> {
        let (name, used) = Name::read_wire(wire)?;
        if used == wire.len() {
            Ok(name)
        } else {
            Err(NameFault::Wire)
        }
    }

    /// Takes the uncompressed wire name at the start of `bytes`; says how many octets it has.
    pub fn read_wire(bytes: &[u8]) -> Result<(Name, usize), NameFault> {
        let length = Name::wire_length(bytes)?;
        Ok((Name::of_valid_wire(bytes[..length].into()), length))
    }

    /// How many octets the uncompressed wire name at the start of `bytes` has.
    pub fn wire_length(bytes: &[u8]) -> Result<usize, NameFault> {
        let mut at = 0;
        loop {
            let length = usize::from(*bytes.get(at).ok_or(NameFault::Wire)?);
            if length > MAX_LABEL {
                return Err(NameFault::Wire);
            }
            at += 1 + length;
            if at > MAX_WIRE {
                return Err(NameFault::Long);
            }
            if length == 0 {
                return Ok(at);
            }
        }
    }

    /// Puts labels together, leftmost first, the root not included.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Name, NameFault> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.push(0);
        if wire.len() > MAX_WIRE {
            return Err(NameFault::Long);
        }
        Ok(Name::of_valid_wire(wire.into()))
    }

    /// Reads a name as a master file writes it (RFC 1035 §5.1): `@`, relative to `origin`, or absolute
    /// with a last dot; `\.` and `\DDD` escape octets.
    pub fn from_text(text: &[u8], origin: Option<&Name>) -> Result<Name, NameFault> {
        match text {
            b"@" => return origin.cloned().ok_or(NameFault::Relative),
            b"." => return Ok(Name::root()),
            _ => {}
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::with_capacity(MAX_LABEL);
        let mut rest = text;
        let mut absolute = false;
        while let Some((&octet, after)) = rest.split_first() {
            rest = after;
            match octet {
                b'.' => {
                    push_label(&mut wire, &label)?;
                    label.clear();
                    absolute = rest.is_empty();
                }
                b'\\' => {
                    let (octet, used) = unescape(rest).ok_or(NameFault::Escape)?;
                    label.push(octet);
                    rest = &rest[used..];
                }
                b'@' => return Err(NameFault::At),
                0x80.. => return Err(NameFault::NotAscii),
                _ => label.push(octet),
            }
        }
        if absolute {
            wire.push(0);
        } else {
            push_label(&mut wire, &label)?;
            wire.extend_from_slice(origin.ok_or(NameFault::Relative)?.wire());
        }
        if wire.len() > MAX_WIRE {
            return Err(NameFault::Long);
        }
        Ok(Name::of_valid_wire(wire.into()))
    }

    /// The uncompressed wire form, case as given, the root label included.
    pub fn wire(&self) -> &[u8] {
        &self.0.wire
    }

    /// The canonical key: labels from the right, lower case, each closed by a zero octet.
    pub fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// The labels, leftmost first, the root not included.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.wire();
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, next) = after.split_at(usize::from(length));
            rest = next;
            Some(label)
        })
    }

    /// How many labels the name has, the root not counted.
    pub fn label_count(&self) -> usize {
        label_count(self.key())
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.key().is_empty()
    }

    /// Whether this name is `ancestor` or lies below it.
    pub fn is_at_or_below(&self, ancestor: &Name) -> bool {
        self.key().starts_with(ancestor.key())
    }

    /// Whether the leftmost label is `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.wire().starts_with(b"\x01*")
    }

    /// The name one label up; none for the root.
    pub fn parent(&self) -> Option<Name> {
        let length = usize::from(self.wire()[0]);
        if length == 0 {
            return None;
        }
        Some(Name::of_valid_wire(self.wire()[1 + length..].into()))
    }

    /// The name as the rest of the program says it; none when a label has octets that no host or service
    /// name has.
    pub fn to_domain_name(&self) -> Option<DomainName> {
        self.to_string().parse().ok()
    }

    /// The name in lower case.
    pub fn to_lowercase(&self) -> Name {
        Name::of_valid_wire(self.wire().to_ascii_lowercase().into())
    }

    fn of_valid_wire(wire: Box<[u8]>) -> Name {
        let key = canonical_key(&wire).into();
        Name(Arc::new(Inner { wire, key }))
    }
}

/// How many labels a key has.
pub fn label_count(key: &[u8]) -> usize {
    key.iter().filter(|octet| **octet == 0).count()
}

/// The key of the name one label up; none for the root's.
pub fn parent_key(key: &[u8]) -> Option<&[u8]> {
    let body = key.split_last()?.1;
    let end = body.iter().rposition(|octet| *octet == 0);
    Some(&key[..end.map_or(0, |at| at + 1)])
}

/// Reads what follows a backslash in a master file: three digits up to 255, or one octet that stands for
/// itself. Says how many octets it took.
pub(super) fn unescape(after: &[u8]) -> Option<(u8, usize)> {
    match after {
        [a, rest @ ..] if a.is_ascii_digit() => {
            let [b, c, ..] = rest else { return None };
            if !b.is_ascii_digit() || !c.is_ascii_digit() {
                return None;
            }
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            Some((u8::try_from(value).ok()?, 3))
        }
        [octet, ..] => Some((*octet, 1)),
        [] => None,
    }
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Result<(), NameFault> {
    if label.is_empty() {
        return Err(NameFault::EmptyLabel);
    }
    if label.len() > MAX_LABEL {
        return Err(NameFault::LongLabel);
    }
    wire.push(u8::try_from(label.len()).map_err(|_| NameFault::LongLabel)?);
    wire.extend_from_slice(label);
    Ok(())
}

fn canonical_key(wire: &[u8]) -> Vec<u8> {
    // Labels hold at most 63 octets, so 128 starts are more than a name of 255 octets has.
    let mut starts = [0_u8; 128];
    let mut count = 0;
    let mut at = 0;
    while wire[at] != 0 {
        starts[count] = u8::try_from(at).unwrap_or(u8::MAX);
        count += 1;
        at += 1 + usize::from(wire[at]);
    }
    let mut key = Vec::with_capacity(wire.len());
    for start in starts[..count].iter().rev() {
        let start = usize::from(*start);
        let end = start + 1 + usize::from(wire[start]);
        for octet in &wire[start + 1..end] {
            match octet {
                // Zero closes a label, so the octets 0 and 1 are written as two; their order stays.
                0 => key.extend([1, 1]),
                1 => key.extend([1, 2]),
                octet => key.push(octet.to_ascii_lowercase()),
            }
        }
        key.push(0);
    }
    key
}

impl From<&DomainName> for Name {
    fn from(name: &DomainName) -> Name {
        Name::from_labels(name.as_str().split('.').map(str::as_bytes))
            .expect("a DomainName has 1 to 63 characters per label and 253 in all")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    /// The canonical order of RFC 4034 §6.1.
    fn cmp(&self, other: &Name) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Equality, order and hash of a name are those of its key, so that maps of names can be asked by key.
impl std::borrow::Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Name {
    /// As a master file writes it: absolute, with its last dot, unusual octets escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.pad(".");
        }
        let mut text = String::with_capacity(self.wire().len());
        for label in self.labels() {
            for octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        text.push('\\');
                        text.push(char::from(*octet));
                    }
                    0x21..=0x7e => text.push(char::from(*octet)),
                    octet => text.push_str(&format!("\\{octet:03}")),
                }
            }
            text.push('.');
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn names_are_in_the_order_of_rfc_4034_section_6_1() {
        let order = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        let mut names: Vec<Name> = order.iter().rev().map(|text| name(text)).collect();
        names.sort();
        assert_eq!(names, order.map(name));
    }

    #[test]
    fn octets_zero_and_one_keep_their_order_in_keys() {
        assert!(name("\\000.z.") < name("\\000\\000.z."));
        assert!(name("\\000\\255.z.") < name("\\001.z."));
        assert!(name("\\001\\255.z.") < name("\\002.z."));
        assert!(name("z.") < name("\\000.z."));
        assert!(name("\\000.z.") < name("z\\000."));
    }

    #[test]
    fn case_is_kept_and_not_compared() {
        let mixed = name("WwW.Contoso.COM.");
        assert_eq!(mixed, name("www.contoso.com."));
        assert_eq!(mixed.to_string(), "WwW.Contoso.COM.");
    }

    #[test]
    fn a_sibling_with_a_common_ending_is_not_below() {
        assert!(name("a.contoso.com.").is_at_or_below(&name("contoso.com.")));
        assert!(!name("acontoso.com.").is_at_or_below(&name("contoso.com.")));
        assert!(name("com.").is_at_or_below(&Name::root()));
    }

    #[test]
    fn text_round_trips_through_escapes() {
        for text in [
            "a\\.b.contoso.com.",
            "\\000\\255\\032.c.",
            "\\@.x.",
            "\\\"\\;\\(.y.",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("\\065.x."), name("a.x."));
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        let origin = name("contoso.com.");
        let refuse = |text: &str| Name::from_text(text.as_bytes(), Some(&origin)).unwrap_err();
        assert_eq!(refuse("a..b"), NameFault::EmptyLabel);
        assert_eq!(refuse(".a"), NameFault::EmptyLabel);
        assert_eq!(refuse(""), NameFault::EmptyLabel);
        assert_eq!(refuse("a\\2"), NameFault::Escape);
        assert_eq!(refuse("a\\256"), NameFault::Escape);
        assert_eq!(refuse("a\\"), NameFault::Escape);
        assert_eq!(refuse("hostmaster@contoso.com."), NameFault::At);
        assert_eq!(refuse("münchen"), NameFault::NotAscii);
        assert_eq!(refuse(&"a".repeat(64)), NameFault::LongLabel);
        assert_eq!(refuse(&"abcdefg.".repeat(32)), NameFault::Long);
        assert_eq!(Name::from_text(b"a", None), Err(NameFault::Relative));
    }

    #[test]
    fn the_longest_name_is_accepted() {
        let text = format!("{}{}.", "abcdefg.".repeat(31), "12345");
        let longest = name(&text);
        assert_eq!(longest.wire().len(), 255);
        assert!(Name::from_text(format!("x{text}").as_bytes(), None).is_err());
        assert_eq!(name(&"a.".repeat(127)).label_count(), 127);
    }

    #[test]
    fn keys_walk_up_to_the_root() {
        let name = name("a.b.c.");
        let mut key = name.key();
        let mut counts = vec![label_count(key)];
        while let Some(parent) = parent_key(key) {
            key = parent;
            counts.push(label_count(key));
        }
        assert_eq!(counts, [3, 2, 1, 0]);
    }
}
