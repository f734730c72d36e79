//! Text that others wrote, fit to be shown.
//!
//! In: text of peers, of other operators, of files. Out: the same without what moves a cursor, turns the direction of a
//! line or is not seen. Never here: how it is shown.

use std::borrow::Cow;
use std::io::{self, Write};

/// What stands for a character that is not shown.
const INSTEAD: char = '\u{fffd}';

/// Whether a character disturbs what is shown beside it: controls, line separators, and what Unicode calls default
/// ignorable, all bidirectional controls among them.
pub fn disturbs(c: char) -> bool {
    c.is_control() || is_unseen(c)
}

/// The text with something visible for each character that disturbs; line ends and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| disturbs(c) && !matches!(c, '\n' | '\t'))
}

/// The text as one line.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, disturbs)
}

/// JSON with the characters that are not seen written as their numbers: the same value.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Takes what nobody sees out of what is written, one whole text at a time. Controls pass: colours are made of them.
#[derive(Debug)]
pub struct Seen<W>(pub W);

impl<W: Write> Write for Seen<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(octets) {
            Ok(text) if !text.is_ascii() => {
                self.0.write_all(replaced(text, is_unseen).as_bytes())?;
            }
            _ => self.0.write_all(octets)?,
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn replaced(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    let seen = |c: char| if bad(c) { INSTEAD } else { c };
    Cow::Owned(text.chars().map(seen).collect())
}

/// Unicode's Default_Ignorable_Code_Point, which has all of Bidi_Control, and the line separators.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Unicode's Bidi_Control.
    const BIDI: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
        '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];

    #[test]
    fn no_bidirectional_control_is_shown_anywhere() {
        for c in BIDI {
            let text = format!("a{c}b");
            assert!(disturbs(c), "{c:?}");
            assert_eq!(line(&text), "a\u{fffd}b");
            assert_eq!(lines(&text), "a\u{fffd}b");
            let mut written = Vec::new();
            Seen(&mut written).write_all(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), "a\u{fffd}b");
            let quoted = serde_json::to_string(&text).unwrap();
            let shown = json(&quoted);
            assert!(shown.is_ascii(), "{shown}");
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }

    #[test]
    fn honest_text_stays_as_it_is() {
        for text in [
            "contoso.com",
            "bücher.example: 中国",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        ] {
            assert!(matches!(line(text), Cow::Borrowed(_)));
            assert!(matches!(json(text), Cow::Borrowed(_)));
        }
        assert_eq!(lines("a\n\tb\u{1b}c"), "a\n\tb\u{fffd}c");
        assert_eq!(line("a\nb"), "a\u{fffd}b");
        let colour = "\u{1b}[31mrot ü\u{1b}[0m";
        let mut written = Vec::new();
        Seen(&mut written).write_all(colour.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), colour);
    }
}
