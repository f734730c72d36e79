//! Entries and tokens: the lexical side of a master file.
//!
//! In: octets. Out: one [`Entry`] per record or directive, parentheses and comments resolved, escapes left in
//! place for whoever knows what the token means. After a fault reading goes on at the next line.

use super::fault::MasterFault;

/// One word of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The octets as written, without the quotes, escapes in place.
    pub(super) text: Vec<u8>,
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
    /// Its line, from 1.
    pub(super) line: u32,
    /// Whether a comment follows without a blank: `p=none;` is rarely meant as one.
    pub(super) meets_comment: bool,
    /// Whether it is `key="value"`, which only SVCB and HTTPS records have (RFC 9460 §2.1).
    pub(super) is_parameter: bool,
}

/// The words of one record or directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line it begins in, from 1.
    pub(super) line: u32,
    /// Whether it begins with a blank, so that its owner is the one before (RFC 1035 §5.1).
    pub(super) owner_omitted: bool,
    /// At least one.
    pub(super) tokens: Vec<Token>,
}

/// Cuts a file into entries.
pub(super) struct Lexer<'a> {
    rest: &'a [u8],
    line: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Lexer<'a> {
        // The byte order mark some editors write belongs to the encoding, not to the text.
        let rest = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
        Lexer { rest, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        if octet == b'\n' {
            self.line += 1;
        }
        Some(octet)
    }

    fn at_line_end(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with(b"\n") || self.rest.starts_with(b"\r\n")
    }

    fn skip_line(&mut self) {
        while let Some(octet) = self.bump() {
            if octet == b'\n' {
                break;
            }
        }
    }

    fn entry(&mut self) -> Result<Option<Entry>, (u32, MasterFault)> {
        let line = self.line;
        let owner_omitted = matches!(self.peek(), Some(b' ' | b'\t'));
        let mut tokens: Vec<Token> = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        loop {
            if self.rest.is_empty() {
                return match open.first() {
                    Some(opened) => Err((*opened, MasterFault::ParenthesisOpen)),
                    None => Ok(entry_of(line, owner_omitted, tokens)),
                };
            }
            if self.at_line_end() {
                let _ = self.peek() == Some(b'\r') && self.bump().is_some();
                self.bump();
                if open.is_empty() {
                    return Ok(entry_of(line, owner_omitted, tokens));
                }
                continue;
            }
            match self.peek() {
                Some(b' ' | b'\t') => {
                    self.bump();
                }
                Some(b';') => {
                    while !self.at_line_end() {
                        self.bump();
                    }
                }
                Some(b'(') => {
                    open.push(self.line);
                    self.bump();
                }
                Some(b')') => {
                    if open.pop().is_none() {
                        return Err((self.line, MasterFault::ParenthesisClosed));
                    }
                    self.bump();
                }
                Some(b'"') => tokens.push(self.quoted()?),
                _ => tokens.push(self.word()?),
            }
        }
    }

    fn quoted(&mut self) -> Result<Token, (u32, MasterFault)> {
        let line = self.line;
        self.bump();
        let mut text = Vec::new();
        loop {
            if self.at_line_end() {
                return Err((line, MasterFault::QuoteOpen));
            }
            match self.bump() {
                Some(b'"') => break,
                Some(b'\\') => {
                    text.push(b'\\');
                    if self.at_line_end() {
                        return Err((line, MasterFault::QuoteOpen));
                    }
                    text.extend(self.bump());
                }
                octet => text.extend(octet),
            }
        }
        let ended = matches!(
            self.peek(),
            None | Some(b' ' | b'\t' | b';' | b'(' | b')' | b'"')
        );
        if !ended && !self.at_line_end() {
            return Err((line, MasterFault::QuoteTouches));
        }
        Ok(Token {
            text,
            quoted: true,
            line,
            meets_comment: false,
            is_parameter: false,
        })
    }

    fn word(&mut self) -> Result<Token, (u32, MasterFault)> {
        let line = self.line;
        let mut text = Vec::new();
        while let Some(octet) = self.peek() {
            match octet {
                _ if self.at_line_end() => break,
                b' ' | b'\t' | b';' | b'(' | b')' => break,
                b'"' if text.ends_with(b"=") => {
                    let value = self.quoted()?;
                    text.extend(value.text);
                    return Ok(Token {
                        text,
                        quoted: false,
                        is_parameter: true,
                        ..value
                    });
                }
                b'"' => return Err((line, MasterFault::QuoteTouches)),
                0..=0x1f | 0x7f => return Err((line, MasterFault::Control { octet })),
                b'\\' => {
                    self.bump();
                    text.push(octet);
                    if self.at_line_end() {
                        return Err((line, MasterFault::Escape));
                    }
                    text.extend(self.bump());
                }
                _ => {
                    self.bump();
                    text.push(octet);
                }
            }
        }
        Ok(Token {
            text,
            quoted: false,
            line,
            meets_comment: self.peek() == Some(b';'),
            is_parameter: false,
        })
    }
}

fn entry_of(line: u32, owner_omitted: bool, tokens: Vec<Token>) -> Option<Entry> {
    (!tokens.is_empty()).then(|| Entry {
        line: if owner_omitted { tokens[0].line } else { line },
        owner_omitted,
        tokens,
    })
}

impl Iterator for Lexer<'_> {
    type Item = Result<Entry, (u32, MasterFault)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.entry() {
                Ok(Some(entry)) => return Some(Ok(entry)),
                Ok(None) => {}
                Err(fault) => {
                    self.skip_line();
                    return Some(Err(fault));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        Lexer::new(text.as_bytes())
            .map(|entry| {
                entry
                    .unwrap()
                    .tokens
                    .into_iter()
                    .map(|token| String::from_utf8(token.text).unwrap())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn parentheses_join_lines_and_comments_end_them() {
        assert_eq!(
            words("a ( b ; no\n c\r\n) d\n\n ; only\ne"),
            [vec!["a", "b", "c", "d"], vec!["e"]]
        );
    }

    #[test]
    fn quotes_keep_blanks_semicolons_parentheses_and_escapes() {
        assert_eq!(
            words("t (\"a;b ( \\\"c\" \"d\"\n)"),
            [["t", "a;b ( \\\"c", "d"]]
        );
    }

    #[test]
    fn an_escaped_semicolon_is_part_of_the_word() {
        assert_eq!(words("a\\;b c"), [["a\\;b", "c"]]);
    }

    #[test]
    fn reading_goes_on_after_a_fault() {
        let entries: Vec<_> = Lexer::new(b"a \"b\nc )\nd e\n").collect();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0], Err((1, MasterFault::QuoteOpen)));
        assert_eq!(entries[1], Err((2, MasterFault::ParenthesisClosed)));
        assert_eq!(entries[2].as_ref().unwrap().line, 3);
    }

    #[test]
    fn an_open_parenthesis_is_reported_where_it_was_opened() {
        let entries: Vec<_> = Lexer::new(b"a\nb ( c\nd\n").collect();
        assert_eq!(entries[1], Err((2, MasterFault::ParenthesisOpen)));
    }
}
