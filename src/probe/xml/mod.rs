//! A restricted XML reader for streams that cannot be trusted.
//!
//! In: bytes as they come, in pieces of any size. Out: start tags, end tags and text, namespaces resolved.
//! Refused, as RFC 6120 §11.1 demands: document types, comments, processing instructions, entities beyond
//! the five predefined ones. Bounded: bytes, depth, attributes, names, one tag. Never here: I/O, and what
//! the elements mean.

mod lexis;

use std::sync::Arc;

use lexis::{check_name, expand, find, is_space, parse_attributes, utf8, whole_characters};

/// The namespace that the prefix `xml` is bound to.
const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
/// Open elements at once. A stream's features are five deep.
const MAX_DEPTH: usize = 16;
/// Bytes of one tag, from `<` to `>`.
const MAX_TAG: usize = 8 * 1024;
/// Bytes of the XML declaration.
const MAX_DECLARATION: usize = 256;
/// Bytes of a reference, from `&` to `;`.
const MAX_REFERENCE: usize = 10;

/// Why the bytes are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed XML.
    #[error("{0}")]
    Malformed(&'static str),
    /// XML that has no place in a stream.
    #[error("{0}")]
    Restricted(&'static str),
    /// More than an honest server sends.
    #[error("{0}")]
    TooMuch(&'static str),
}

/// A name with its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The namespace; none when the name is in no namespace.
    pub ns: Option<Arc<str>>,
    /// The name without its prefix.
    pub local: String,
}

impl Name {
    /// Whether this is the name `local` of the namespace `ns`.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        self.local == local && self.ns.as_deref() == Some(ns)
    }
}

/// A start tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The element's name.
    pub name: Name,
    /// Its attributes, without namespace declarations.
    pub attributes: Vec<(Name, String)>,
    /// The default namespace inside it.
    pub default_ns: Option<Arc<str>>,
}

/// What the reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An element begins.
    Start(Start),
    /// The innermost open element ends.
    End,
    /// Text inside an element, possibly a piece of it.
    Text(String),
}

/// The reader: [`feed`](Reader::feed) it bytes, then take events until there are none.
pub struct Reader {
    buffer: Vec<u8>,
    /// The first byte of `buffer` that is not read yet.
    at: usize,
    /// How far past `at` the end of an unfinished tag has been looked for, and inside which quote.
    scanned: usize,
    quote: Option<u8>,
    fed: usize,
    limit: usize,
    begun: bool,
    finished: bool,
    /// A self-closing element was reported; its end comes next.
    end_due: bool,
    open: Vec<Open>,
    bindings: Vec<(String, Option<Arc<str>>)>,
}

struct Open {
    qname: String,
    bindings_before: usize,
}

impl Reader {
    /// A reader that takes at most `limit` bytes.
    pub fn new(limit: usize) -> Reader {
        Reader {
            buffer: Vec::new(),
            at: 0,
            scanned: 0,
            quote: None,
            fed: 0,
            limit,
            begun: false,
            finished: false,
            end_due: false,
            open: Vec::new(),
            bindings: vec![("xml".to_owned(), Some(XML_NS.into()))],
        }
    }

    /// Takes more bytes; refuses those past the limit.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), XmlError> {
        self.fed = self.fed.saturating_add(bytes.len());
        if self.fed > self.limit {
            return Err(XmlError::TooMuch("the stream does not end"));
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether bytes are left that no event has reported.
    pub fn has_unread(&self) -> bool {
        self.at < self.buffer.len()
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
                [] => return Ok(None),
                [b'<', ..] => self.markup()?,
                _ => self.text()?,
            };
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Nothing => {}
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
        let rest = self.rest();
        let Some(end) = find(rest, b"?>") else {
            return if rest.len() > MAX_DECLARATION {
                Err(XmlError::Malformed("an XML declaration without end"))
            } else {
                Ok(Step::NeedMore)
            };
        };
        let text = utf8(&rest[..end])?;
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
        let Some(end) = find(rest, b"]]>") else {
            return if rest.len() > MAX_TAG {
                Err(XmlError::TooMuch("a CDATA section without end"))
            } else {
                Ok(Step::NeedMore)
            };
        };
        let text = utf8(&rest[OPEN.len()..end])?.to_owned();
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
        let raw = parse_attributes(&inside[name_end..])?;
        if self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooMuch("elements nested too deep"));
        }
        let bindings_before = self.bindings.len();
        let start = self.resolve(&qname, raw)?;
        self.open.push(Open {
            qname,
            bindings_before,
        });
        self.end_due = empty;
        self.advance(end + 1);
        Ok(Step::Event(Event::Start(start)))
    }

    /// Where the tag that begins at `at` ends, outside of quotes; none when its end has not come yet.
    fn tag_end(&mut self) -> Result<Option<usize>, XmlError> {
        let from = self.scanned;
        for index in from..self.rest().len() {
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
        if self.scanned > MAX_TAG {
            return Err(XmlError::TooMuch("a tag without end"));
        }
        Ok(None)
    }

    fn resolve(&mut self, qname: &str, raw: Vec<(String, String)>) -> Result<Start, XmlError> {
        let mut plain = Vec::new();
        for (name, value) in raw {
            let uri = (!value.is_empty()).then(|| Arc::from(value.as_str()));
            match name.split_once(':') {
                None if name == "xmlns" => self.bindings.push((String::new(), uri)),
                Some(("xmlns", "xmlns" | "xml")) => {
                    return Err(XmlError::Malformed("a reserved prefix"));
                }
                Some(("xmlns", prefix)) => {
                    if uri.is_none() {
                        return Err(XmlError::Malformed("a prefix bound to nothing"));
                    }
                    self.bindings.push((prefix.to_owned(), uri));
                }
                _ => plain.push((name, value)),
            }
        }
        let name = match qname.split_once(':') {
            None => Name {
                ns: self.namespace(""),
                local: qname.to_owned(),
            },
            Some((prefix, local)) => self.prefixed(prefix, local)?,
        };
        let mut attributes: Vec<(Name, String)> = Vec::with_capacity(plain.len());
        for (qname, value) in plain {
            // An attribute without prefix is in no namespace, whatever the default is.
            let name = match qname.split_once(':') {
                None => Name {
                    ns: None,
                    local: qname,
                },
                Some((prefix, local)) => self.prefixed(prefix, local)?,
            };
            if attributes.iter().any(|(other, _)| *other == name) {
                return Err(XmlError::Malformed("an attribute given twice"));
            }
            attributes.push((name, value));
        }
        Ok(Start {
            name,
            attributes,
            default_ns: self.namespace(""),
        })
    }

    fn prefixed(&self, prefix: &str, local: &str) -> Result<Name, XmlError> {
        match self.namespace(prefix) {
            Some(ns) => Ok(Name {
                ns: Some(ns),
                local: local.to_owned(),
            }),
            None => Err(XmlError::Malformed("a prefix that is not declared")),
        }
    }

    fn namespace(&self, prefix: &str) -> Option<Arc<str>> {
        let bound = self
            .bindings
            .iter()
            .rev()
            .find(|(name, _)| name == prefix)?;
        bound.1.clone()
    }

    fn close_innermost(&mut self) {
        if let Some(open) = self.open.pop() {
            self.bindings.truncate(open.bindings_before);
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
        let complete = rest.iter().position(|byte| *byte == b'<');
        let taken = complete.unwrap_or_else(|| whole_characters(rest));
        if taken == 0 {
            return if rest.len() > MAX_REFERENCE {
                Err(XmlError::Malformed("a reference without end"))
            } else {
                Ok(Step::NeedMore)
            };
        }
        let text = expand(utf8(&rest[..taken])?)?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STREAMS: &str = "http://etherx.jabber.org/streams";

    fn read(text: &str) -> Result<Vec<Event>, XmlError> {
        let mut reader = Reader::new(64 * 1024);
        reader.feed(text.as_bytes())?;
        let mut events = Vec::new();
        while let Some(event) = reader.next_event()? {
            events.push(event);
        }
        Ok(events)
    }

    fn starts(events: &[Event]) -> Vec<(Option<&str>, &str)> {
        let mut names = Vec::new();
        for event in events {
            if let Event::Start(Start { name, .. }) = event {
                names.push((name.ns.as_deref(), name.local.as_str()));
            }
        }
        names
    }

    #[test]
    fn namespaces_are_resolved_whatever_prefixes_are_used() {
        let events = read(
            "<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server'>\
             <s:features><starttls xmlns='tls'/><x:mechanisms xmlns:x='sasl'><x:mechanism>EXTERNAL</x:mechanism>\
             </x:mechanisms></s:features><message/>",
        )
        .unwrap();
        assert_eq!(
            starts(&events),
            [
                (Some(STREAMS), "stream"),
                (Some(STREAMS), "features"),
                (Some("tls"), "starttls"),
                (Some("sasl"), "mechanisms"),
                (Some("sasl"), "mechanism"),
                (Some("jabber:server"), "message"),
            ]
        );
    }

    #[test]
    fn pieces_of_any_size_give_the_same_events() {
        let text = "<?xml version=\"1.0\" encoding='UTF-8'?>\n<a x='1 &gt; 0' y=\"'>'\"><b/> <c>gr\u{fc}n &amp; \u{1f600}\
                    &#x41;</c><![CDATA[<raw>]]></a>";
        let whole = join_text(read(text).unwrap());
        for size in 1..text.len() {
            let mut reader = Reader::new(4096);
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                reader.feed(piece).unwrap();
                while let Some(event) = reader.next_event().unwrap() {
                    events.push(event);
                }
            }
            assert_eq!(join_text(events), whole, "in pieces of {size}");
            assert!(!reader.has_unread());
        }
    }

    fn join_text(events: Vec<Event>) -> Vec<Event> {
        let mut joined: Vec<Event> = Vec::new();
        for event in events {
            match (joined.last_mut(), event) {
                (Some(Event::Text(before)), Event::Text(more)) => before.push_str(&more),
                (_, event) => joined.push(event),
            }
        }
        joined
    }

    #[test]
    fn attributes_are_decoded_and_kept_apart_by_namespace() {
        let events =
            read("<a xmlns:p='urn:p' v='&quot;&#65;&lt;' p:v='two' xml:lang='en'/>").unwrap();
        let Event::Start(start) = &events[0] else {
            panic!("{events:?}")
        };
        assert_eq!(start.attributes[0].1, "\"A<");
        assert!(start.attributes[1].0.is("urn:p", "v"));
        assert!(start.attributes[2].0.is(XML_NS, "lang"));
        assert_eq!(events[1], Event::End);
    }

    #[test]
    fn what_has_no_place_in_a_stream_is_refused() {
        for text in [
            "<!DOCTYPE lolz [<!ENTITY lol \"lol\">]><a/>",
            "<a><!-- comment --></a>",
            "<a><?php x ?></a>",
            "<?xml-stylesheet href='x'?><a/>",
            "<a>&lol;</a>",
            "<a x='&lol;'/>",
            "<a>&#0;</a>",
            "<a>&#+65;</a>",
        ] {
            assert!(
                matches!(read(text), Err(XmlError::Restricted(_))),
                "{text}: {:?}",
                read(text)
            );
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "220 mail.contoso.com ESMTP",
            "HTTP/1.1 400 Bad Request",
            "\u{16}\u{3}\u{1}",
            "<a></b>",
            "<a x='1' x='2'/>",
            "<a xmlns:p='u' xmlns:q='u' p:x='' q:x=''/>",
            "<a x=1/>",
            "<a x='1'y='2'/>",
            "<a x='<'/>",
            "<p:a/>",
            "<a:b:c xmlns:a='u'/>",
            "<1a/>",
            "<a/>text",
            "<a/><b/>",
            "<a><b <c/></a>",
            "<a>& x and no end of it</a>",
            "<?xml version='1.0' encoding='latin1'?><a/>",
            "<a>\u{1}</a>",
            "</a>",
            "<>",
        ] {
            assert!(
                matches!(read(text), Err(XmlError::Malformed(_))),
                "{text}: {:?}",
                read(text)
            );
        }
        let mut reader = Reader::new(100);
        reader.feed(b"<a>\xff\xfe</a>").unwrap();
        reader.next_event().unwrap();
        assert!(reader.next_event().is_err());
    }

    #[test]
    fn every_size_is_bounded() {
        let many_attributes: String = (0..40).map(|n| format!(" a{n}=''")).collect();
        for text in [
            "<a>".repeat(30),
            format!("<a {}", "x".repeat(10_000)),
            format!("<a{many_attributes}/>"),
            format!("<{}/>", "n".repeat(300)),
            format!("<a>{}", " ".repeat(70_000)),
            format!("<a><![CDATA[{}", " ".repeat(10_000)),
        ] {
            let shown = text.get(..20).unwrap().to_owned();
            assert!(
                matches!(read(&text), Err(XmlError::TooMuch(_))),
                "{shown}: {:?}",
                read(&text)
            );
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        use rand::{RngExt, SeedableRng};
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let alphabet = b"<>/?!&;='\" ax:xmlns[]CDATA-#1\xc3\xbc\x00";
        for _ in 0..20_000 {
            let length = rng.random_range(0..60);
            let mut reader = Reader::new(1000);
            reader.feed(b"<a>").unwrap();
            let mut taken = 0;
            for _ in 0..length {
                reader
                    .feed(&[alphabet[rng.random_range(0..alphabet.len())]])
                    .unwrap();
                match reader.next_event() {
                    Ok(Some(_)) => taken += 1,
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
            assert!(taken <= length + 1);
        }
    }
}
