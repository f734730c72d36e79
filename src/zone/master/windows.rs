//! Zone files that a Windows DNS server has exported.
//!
//! In: words and octets of a file. Out: what marks it as such an export. Windows writes the age of a record as `[AGE:n]`, asks
//! other servers for names by WINS records, and leaves out `$TTL`: the SOA's last number is the default TTL (RFC 1035 §5.1).

use super::problem::SourceLine;
use super::token::Token;

/// What was found of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    /// The first mark.
    pub(super) at: Option<SourceLine>,
    /// Records with an age.
    pub(super) ages: usize,
    /// The lines of records that make the server ask WINS.
    pub(super) wins: Vec<u32>,
    /// The default TTL that was taken from the SOA.
    pub(super) ttl: Option<u32>,
}

/// Whether a word is the age of a record.
pub(super) fn is_age(word: &Token) -> bool {
    let inner = word.text.strip_suffix(b"]");
    let inner = inner.and_then(|text| text.split_first_chunk::<5>());
    inner.is_some_and(|(mark, number)| {
        !word.quoted && mark.eq_ignore_ascii_case(b"[AGE:") && number.iter().all(u8::is_ascii_digit)
    })
}

/// Whether a word is one of the types that make a Windows server ask WINS.
pub(super) fn is_wins(word: &Token) -> bool {
    let types: [&[u8]; 3] = [b"WINS", b"WINSR", b"WINS-R"];
    !word.quoted
        && types
            .iter()
            .any(|name| word.text.eq_ignore_ascii_case(name))
}

/// Whether a file is such an export, by its first comment or by what stands in its lines.
pub(super) fn is_export(octets: &[u8]) -> bool {
    let mut lines = octets.split(|octet| *octet == b'\n');
    lines.any(|line| {
        let text = String::from_utf8_lossy(line);
        if let Some(comment) = text.trim_start().strip_prefix(';') {
            return comment.trim_start().starts_with("Database file ");
        }
        let mut words = text
            .split(';')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        words.any(|word| word.starts_with("[AGE:")) || is_wins_record(&text)
    })
}

/// Whether a line has one of those types at a type's place: behind the owner, the TTL and the class. A host may have the
/// same name.
fn is_wins_record(line: &str) -> bool {
    let entry = line.split(';').next().unwrap_or_default();
    let mut words = entry.split_whitespace();
    if !entry.starts_with(char::is_whitespace) {
        words.next();
    }
    let is_before = |word: &&str| {
        word.eq_ignore_ascii_case("IN") || word.bytes().all(|octet| octet.is_ascii_digit())
    };
    let rtype = words.find(|word| !is_before(word));
    matches!(rtype, Some("WINS" | "WINSR" | "WINS-R"))
}
