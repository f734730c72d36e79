//! The small parts of XML: characters, names, attributes, references.
//!
//! In: the bytes of one tag or one piece of text. Out: its parts, decoded. Never here: state between them.

use super::XmlError;

/// Bytes of a name, prefix included.
const MAX_NAME: usize = 128;
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

/// How much of text without a following tag can be read already: not half a character, not half a reference.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    let last_reference = bytes.iter().rposition(|byte| *byte == b'&');
    let end = match last_reference {
        Some(index) if !bytes[index..].contains(&b';') => index,
        _ => bytes.len(),
    };
    match std::str::from_utf8(&bytes[..end]) {
        // `error_len` is none only where more bytes could complete the character.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => end,
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
pub(super) fn expand(text: &str) -> Result<String, XmlError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after
            .split_once(';')
            .ok_or(XmlError::Malformed("a reference without end"))?;
        out.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => referenced(name).ok_or(XmlError::Restricted("an entity"))?,
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
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
