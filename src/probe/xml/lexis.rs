//! The small parts of XML: characters, names, attributes, references.
//!
//! In: the bytes of one tag, or text as far as it has come. Out: its parts, decoded. Never here: state between them.

use super::XmlError;

/// Bytes of a name, prefix included.
const MAX_NAME: usize = 128;
/// Bytes of a reference in text, from `&` to `;`: those of the last character there is.
const MAX_REFERENCE: usize = 10;
/// Attributes of one element, namespace declarations included.
const MAX_ATTRIBUTES: usize = 32;

/// Where `needle` begins.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// XML 1.0 §2.3: white space.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// XML 1.0 §2.2: every character but most controls and two non-characters.
fn is_char(c: char) -> bool {
    is_space(c) || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}')
}

/// The bytes as text, without the characters that XML does not allow.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, XmlError> {
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Malformed("not UTF-8"))?;
    if text.chars().all(is_char) {
        Ok(text)
    } else {
        Err(XmlError::Malformed("a control character"))
    }
}

/// What the text that begins here says first, and how many bytes say it: characters up to the next tag or reference, or
/// one reference. None where more bytes must come first.
pub(super) fn text(bytes: &[u8]) -> Result<Option<(usize, String)>, XmlError> {
    if bytes.first() == Some(&b'&') {
        return reference(bytes);
    }
    let end = bytes.iter().position(|byte| matches!(byte, b'<' | b'&'));
    let run = &bytes[..end.unwrap_or(bytes.len())];
    let (good, whole) = match std::str::from_utf8(run) {
        Ok(text) => (text, true),
        Err(error) => {
            // `error_len` is none only where more bytes could complete the character.
            let half = error.error_len().is_none() && end.is_none();
            let good = &run[..error.valid_up_to()];
            (std::str::from_utf8(good).unwrap_or_default(), half)
        }
    };
    // What comes before a fault is still said: the fault is found again at the front of what is left.
    let length = good.find(|c| !is_char(c)).unwrap_or(good.len());
    match good.len() {
        0 if whole => Ok(None),
        0 => Err(XmlError::Malformed("not UTF-8")),
        _ if length == 0 => Err(XmlError::Malformed("a control character")),
        _ => Ok(Some((length, good[..length].to_owned()))),
    }
}

fn reference(bytes: &[u8]) -> Result<Option<(usize, String)>, XmlError> {
    let bytes = &bytes[..bytes.len().min(MAX_REFERENCE)];
    let ends = |byte: &u8| matches!(byte, b';' | b'&' | b'<') || is_space(char::from(*byte));
    match bytes.iter().skip(1).position(ends) {
        Some(length) if bytes[1 + length] == b';' => {
            let stands_for = entity(utf8(&bytes[1..=length])?)?;
            Ok(Some((length + 2, stands_for.to_string())))
        }
        None if bytes.len() < MAX_REFERENCE => Ok(None),
        _ => Err(XmlError::Malformed("a reference without end")),
    }
}

/// A name with at most one prefix. Which letters a name may have is narrowed to what breaks parsing: the
/// names that matter are compared with constants.
pub(super) fn check_name(name: &str) -> Result<(), XmlError> {
    if name.len() > MAX_NAME {
        return Err(XmlError::TooMuch("a name too long"));
    }
    let part = |part: &str| {
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        let goes_on = |c: char| starts(c) || c.is_ascii_digit() || c == '-' || c == '.';
        part.chars().next().is_some_and(starts) && part.chars().all(goes_on)
    };
    let good = match name.split_once(':') {
        Some((prefix, local)) => part(prefix) && part(local),
        None => part(name),
    };
    if good {
        Ok(())
    } else {
        Err(XmlError::Malformed("not a name"))
    }
}

/// The attributes of a tag, as written: names with their prefixes, values decoded.
pub(super) fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, XmlError> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.is_empty() {
            return Ok(attributes);
        }
        if trimmed.len() == rest.len() {
            return Err(XmlError::Malformed("attributes run together"));
        }
        let (name, after) = trimmed
            .split_once('=')
            .ok_or(XmlError::Malformed("an attribute without value"))?;
        let name = name.trim_end_matches(is_space);
        check_name(name)?;
        let after = after.trim_start_matches(is_space);
        let quote = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => quote,
            _ => return Err(XmlError::Malformed("an attribute without quotes")),
        };
        let (value, after) = after[1..]
            .split_once(quote)
            .ok_or(XmlError::Malformed("an attribute without end"))?;
        if value.contains('<') {
            return Err(XmlError::Malformed("a tag inside an attribute"));
        }
        if attributes.iter().any(|(other, _)| other == name) {
            return Err(XmlError::Malformed("an attribute given twice"));
        }
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(XmlError::TooMuch("too many attributes"));
        }
        attributes.push((name.to_owned(), expand(value)?));
        rest = after;
    }
}

/// Replaces character references and the five predefined entities. An entity can therefore never be
/// longer than what it stands for.
fn expand(text: &str) -> Result<String, XmlError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after
            .split_once(';')
            .ok_or(XmlError::Malformed("a reference without end"))?;
        out.push(entity(name)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What the reference of a name stands for.
fn entity(name: &str) -> Result<char, XmlError> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => referenced(name).ok_or(XmlError::Restricted("an entity")),
    }
}

fn referenced(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let (digits, radix) = match number.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (number, 10),
    };
    // `from_str_radix` would take a sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|c| is_char(*c))
}
