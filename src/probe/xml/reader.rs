//! The reader itself: from bytes to events, one after the other.
//!
//! In: pieces of a stream. Out: events, or the first thing wrong with it. Whether something is too long is decided by its own
//! bytes only, never by how many of those behind it have come already. Never here: what names mean (`scope`).

use super::lexis::{self, check_name, find, is_space, parse_attributes, utf8};
use super::scope::{Outside, Scope};
use super::{Event, XmlError};

/// Open elements at once. A stream's features are five deep.
const MAX_DEPTH: usize = 16;
/// Bytes of one tag, from `<` to `>`.
pub(super) const MAX_TAG: usize = 8 * 1024;
/// Bytes of the XML declaration.
pub(super) const MAX_DECLARATION: usize = 256;

/// The reader: [`feed`](Reader::feed) it bytes, then take events until there are none.
pub struct Reader {
    buffer: Vec<u8>,
    /// The first byte of `buffer` that is not read yet.
    at: usize,
    /// How far past `at` the end of what begins there has been looked for, and inside which quote.
    scanned: usize,
    quote: Option<u8>,
    /// How many bytes are still taken, and whether there were more.
    room: usize,
    cut_off: bool,
    begun: bool,
    finished: bool,
    /// A self-closing element was reported; its end comes next.
    end_due: bool,
    open: Vec<Open>,
    scope: Scope,
}

struct Open {
    qname: String,
    outside: Outside,
}

impl Reader {
    /// A reader that takes at most `limit` bytes.
    pub fn new(limit: usize) -> Reader {
        Reader {
            buffer: Vec::new(),
            at: 0,
            scanned: 0,
            quote: None,
            room: limit,
            cut_off: false,
            begun: false,
            finished: false,
            end_due: false,
            open: Vec::new(),
            scope: Scope::new(),
        }
    }

    /// Takes more bytes. Those past the limit are not taken; an error says so when all before them has been read.
    pub fn feed(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.cut_off |= taken < bytes.len();
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(&bytes[..taken]);
    }

    /// Whether bytes are left that no event has reported.
    pub fn has_unread(&self) -> bool {
        self.at < self.buffer.len() || self.cut_off
    }

    /// The next event; none when more bytes are needed first.
    pub fn next_event(&mut self) -> Result<Option<Event>, XmlError> {
        loop {
            if self.end_due {
                self.end_due = false;
                self.close_innermost();
                return Ok(Some(Event::End));
            }
            let step = match self.rest() {
                [] => Step::NeedMore,
                [b'<', ..] => self.markup()?,
                _ => self.text()?,
            };
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Nothing => {}
                Step::NeedMore if self.cut_off => {
                    return Err(XmlError::TooMuch("the stream does not end"));
                }
                Step::NeedMore => return Ok(None),
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
        self.scanned = 0;
        self.quote = None;
        self.begun = true;
    }

    fn markup(&mut self) -> Result<Step, XmlError> {
        match self.rest().get(1) {
            None => Ok(Step::NeedMore),
            Some(b'?') => self.declaration(),
            Some(b'!') => self.cdata(),
            Some(b'/') => self.end_tag(),
            Some(_) => self.start_tag(),
        }
    }

    fn declaration(&mut self) -> Result<Step, XmlError> {
        if self.begun {
            return Err(XmlError::Restricted("a processing instruction"));
        }
        let Some(end) = self.end_by(b"?>", MAX_DECLARATION) else {
            return if self.rest().len() >= MAX_DECLARATION {
                Err(XmlError::Malformed("an XML declaration without end"))
            } else {
                Ok(Step::NeedMore)
            };
        };
        let text = utf8(&self.rest()[..end])?;
        let attributes = match text.strip_prefix("<?xml") {
            Some(attributes) if attributes.starts_with(is_space) => parse_attributes(attributes)?,
            _ => return Err(XmlError::Restricted("a processing instruction")),
        };
        for (name, value) in attributes {
            let known = match name.as_str() {
                "version" => value.starts_with("1."),
                // RFC 6120 §11.6: a stream is UTF-8.
                "encoding" => value.eq_ignore_ascii_case("utf-8"),
                "standalone" => true,
                _ => false,
            };
            if !known {
                return Err(XmlError::Malformed("an unknown XML declaration"));
            }
        }
        self.advance(end + 2);
        Ok(Step::Nothing)
    }

    fn cdata(&mut self) -> Result<Step, XmlError> {
        const OPEN: &[u8] = b"<![CDATA[";
        let rest = self.rest();
        let seen = rest.len().min(OPEN.len());
        if rest[..seen] != OPEN[..seen] {
            return Err(XmlError::Restricted("a comment or a document type"));
        }
        if self.open.is_empty() && seen == OPEN.len() {
            return Err(XmlError::Malformed("text outside the stream"));
        }
        let Some(end) = self.end_by(b"]]>", MAX_TAG) else {
            return if self.rest().len() >= MAX_TAG {
                Err(XmlError::TooMuch("a CDATA section without end"))
            } else {
                Ok(Step::NeedMore)
            };
        };
        let text = utf8(&self.rest()[OPEN.len()..end])?.to_owned();
        self.advance(end + 3);
        Ok(Step::Event(Event::Text(text)))
    }

    fn end_tag(&mut self) -> Result<Step, XmlError> {
        let Some(end) = self.tag_end()? else {
            return Ok(Step::NeedMore);
        };
        let name = utf8(&self.rest()[2..end])?.trim_end_matches(is_space);
        if self.open.last().is_none_or(|open| open.qname != name) {
            return Err(XmlError::Malformed("an end tag without its start tag"));
        }
        self.advance(end + 1);
        self.close_innermost();
        Ok(Step::Event(Event::End))
    }

    fn start_tag(&mut self) -> Result<Step, XmlError> {
        if self.finished {
            return Err(XmlError::Malformed("an element after the end"));
        }
        let Some(end) = self.tag_end()? else {
            return Ok(Step::NeedMore);
        };
        let inside = utf8(&self.rest()[1..end])?;
        let (inside, empty) = match inside.strip_suffix('/') {
            Some(shorter) => (shorter, true),
            None => (inside, false),
        };
        let name_end = inside.find(is_space).unwrap_or(inside.len());
        let qname = inside[..name_end].to_owned();
        check_name(&qname)?;
        let written = parse_attributes(&inside[name_end..])?;
        if self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooMuch("elements nested too deep"));
        }
        let (start, outside) = self.scope.enter(&qname, written)?;
        self.open.push(Open { qname, outside });
        self.end_due = empty;
        self.advance(end + 1);
        Ok(Step::Event(Event::Start(start)))
    }

    /// Where the mark stands that ends what begins at `at`, within its first `most` bytes; none when it has not come yet.
    fn end_by(&mut self, mark: &[u8], most: usize) -> Option<usize> {
        let rest = self.rest();
        let rest = &rest[..rest.len().min(most)];
        // What was looked at before may have ended in the middle of it.
        let from = self.scanned.saturating_sub(mark.len() - 1);
        let found = find(&rest[from..], mark).map(|at| from + at);
        self.scanned = rest.len();
        found
    }

    /// Where the tag that begins at `at` ends, outside of quotes; none when its end has not come yet.
    fn tag_end(&mut self) -> Result<Option<usize>, XmlError> {
        let from = self.scanned;
        for index in from..self.rest().len() {
            if index == MAX_TAG {
                return Err(XmlError::TooMuch("a tag without end"));
            }
            let byte = self.rest()[index];
            match self.quote {
                Some(quote) if byte == quote => self.quote = None,
                Some(_) => {}
                None if byte == b'>' => return Ok(Some(index)),
                None if byte == b'"' || byte == b'\'' => self.quote = Some(byte),
                None if byte == b'<' && index > 0 => {
                    return Err(XmlError::Malformed("a tag inside a tag"));
                }
                None => {}
            }
        }
        self.scanned = self.rest().len();
        Ok(None)
    }

    fn close_innermost(&mut self) {
        if let Some(open) = self.open.pop() {
            self.scope.leave(open.outside);
        }
        self.finished = self.open.is_empty();
    }

    fn text(&mut self) -> Result<Step, XmlError> {
        let rest = self.rest();
        if self.open.is_empty() {
            let spaces = rest
                .iter()
                .take_while(|byte| is_space(char::from(**byte)))
                .count();
            if spaces == 0 {
                return Err(XmlError::Malformed("text outside the stream"));
            }
            self.advance(spaces);
            return Ok(Step::Nothing);
        }
        let Some((taken, text)) = lexis::text(rest)? else {
            return Ok(Step::NeedMore);
        };
        self.advance(taken);
        Ok(Step::Event(Event::Text(text)))
    }
}

enum Step {
    Event(Event),
    /// Something was read that is no event.
    Nothing,
    NeedMore,
}
