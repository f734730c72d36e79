//! An XMPP stream between servers, as far as a probe goes into it (RFC 6120 §4).
//!
//! In: a connection, in clear or inside TLS. Out: the peer's header and its top-level elements, one at a
//! time. Never here: the order of a negotiation, or what its outcome means.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::attempt::printable;
use super::domainpart::domainpart;
use super::observation::{Reason, StreamCondition};
use super::tls::{self, Failure};
use super::xml::{Event, Name, Reader, Start, XmlError};
use crate::topology::DomainName;

const STREAMS: &str = "http://etherx.jabber.org/streams";
const SERVER: &str = "jabber:server";
const STARTTLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const DIALBACK: &str = "urn:xmpp:features:dialback";
const CONDITIONS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// Bytes of one stream. Features are below 4 KiB everywhere.
const MAX_STREAM: usize = 64 * 1024;
/// Bytes read at once.
const CHUNK: usize = 4 * 1024;

/// The peer's stream header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The domain it speaks for, if it says.
    pub(super) from: Option<String>,
    /// Whether features will follow (RFC 6120 §4.7.5); servers from before that use dialback only.
    pub(super) has_features: bool,
}

/// A complete top-level element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    name: Name,
    text: String,
    children: Vec<Element>,
}

/// What a top-level element means to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// `<stream:features/>`.
    Features(Features),
    /// `<stream:error/>`, with what is worth a note.
    Error {
        condition: StreamCondition,
        note: Option<String>,
    },
    /// `<proceed/>` to STARTTLS.
    Proceed,
    /// `<failure/>` to STARTTLS.
    TlsFailure,
    /// Anything else.
    Other,
}

/// The features a probe looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// STARTTLS is offered.
    pub(super) starttls: bool,
    /// Server dialback is offered (XEP-0220).
    pub(super) dialback: bool,
    /// The SASL mechanisms offered.
    pub(super) mechanisms: Vec<String>,
}

/// A stream over `S`.
pub(super) struct Stream<S> {
    io: S,
    reader: Reader,
    received: usize,
    certificate_demanded: bool,
    building: Vec<Element>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// A stream that is to be opened.
    pub(super) fn new(io: S) -> Stream<S> {
        Stream {
            io,
            reader: Reader::new(MAX_STREAM),
            received: 0,
            certificate_demanded: false,
            building: Vec::new(),
        }
    }

    /// Whether the peer has not sent one byte.
    pub(super) fn is_silent(&self) -> bool {
        self.received == 0
    }

    /// Whether it broke with an alert that servers send for want of a client certificate.
    pub(super) fn broke_for_want_of_certificate(&self) -> bool {
        self.certificate_demanded
    }

    /// The connection under the stream; refused when the peer has sent more than was read, which inside
    /// TLS would be taken for something it said there.
    pub(super) fn into_io(self) -> Result<S, Reason> {
        if self.reader.has_unread() {
            let detail = "data in clear after <proceed/>".to_owned();
            return Err(Reason::TlsBroken { detail });
        }
        Ok(self.io)
    }

    /// The connection under the stream, whatever was read ahead.
    pub(super) fn abandon(self) -> S {
        self.io
    }

    /// Sends our header and reads the peer's. `from` is left out unless configured: it must be a domain
    /// the peer does not host, and a `from` that it does not know can be refused.
    pub(super) async fn open(
        &mut self,
        to: &str,
        from: Option<&DomainName>,
    ) -> Result<Header, Reason> {
        let from = from
            .map(|from| format!(" from='{}'", domainpart(from)))
            .unwrap_or_default();
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='{SERVER}' xmlns:db='jabber:server:dialback' \
             xmlns:stream='{STREAMS}' to='{to}'{from} version='1.0'>"
        );
        self.send(&header).await?;
        match self.event().await? {
            Event::Start(start) => Header::read(&start),
            Event::End | Event::Text(_) => Err(Reason::NotXmpp),
        }
    }

    /// Asks for TLS.
    pub(super) async fn ask_for_tls(&mut self) -> Result<(), Reason> {
        self.send(&format!("<starttls xmlns='{STARTTLS}'/>")).await
    }

    /// The next top-level element; a stream that the peer ends is `Closed`.
    pub(super) async fn incoming(&mut self) -> Result<Incoming, Reason> {
        loop {
            match self.event().await? {
                Event::Start(start) => self.building.push(Element {
                    name: start.name,
                    text: String::new(),
                    children: Vec::new(),
                }),
                Event::Text(text) => match self.building.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    // White space between elements keeps a connection alive.
                    None if text.trim().is_empty() => {}
                    None => return Err(Reason::NotXmpp),
                },
                Event::End => match (self.building.pop(), self.building.last_mut()) {
                    (Some(element), Some(parent)) => parent.children.push(element),
                    (Some(element), None) => return Ok(Incoming::read(&element)),
                    (None, _) => return Err(Reason::Closed),
                },
            }
        }
    }

    /// Ends our side and waits for the peer to end its own (RFC 6120 §4.4). To be bounded by the caller.
    pub(super) async fn end(&mut self) {
        if self.send("</stream:stream>").await.is_ok() {
            while self.incoming().await.is_ok() {}
        }
    }

    async fn send(&mut self, text: &str) -> Result<(), Reason> {
        let mut sent = self.io.write_all(text.as_bytes()).await;
        if sent.is_ok() {
            sent = self.io.flush().await;
        }
        sent.map_err(|error| self.io_reason(&error))
    }

    async fn event(&mut self) -> Result<Event, Reason> {
        let mut chunk = Vec::new();
        loop {
            if let Some(event) = self.reader.next_event().map_err(xml_reason)? {
                return Ok(event);
            }
            chunk.resize(CHUNK, 0);
            let count = self
                .io
                .read(&mut chunk)
                .await
                .map_err(|error| self.io_reason(&error))?;
            if count == 0 {
                return Err(self.closed());
            }
            self.received = self.received.saturating_add(count);
            self.reader.feed(chunk.get(..count).unwrap_or_default());
        }
    }

    fn closed(&self) -> Reason {
        if self.is_silent() {
            Reason::ClosedAtOnce
        } else {
            Reason::Closed
        }
    }

    fn io_reason(&mut self, error: &io::Error) -> Reason {
        let failure = tls::read_failure(error);
        self.certificate_demanded |= failure.is_alert_of_demand();
        match failure {
            Failure::Closed => self.closed(),
            // The handshake is behind us: no alert is about what we can speak any more.
            Failure::Alert { text: detail, .. } => Reason::TlsBroken { detail },
            failure => failure.reason(),
        }
    }
}

impl Header {
    fn read(start: &Start) -> Result<Header, Reason> {
        let attribute = |wanted: &str| {
            let found = |(name, _): &&(Name, String)| name.ns.is_none() && name.local == wanted;
            start
                .attributes
                .iter()
                .find(found)
                .map(|(_, value)| value.as_str())
        };
        // A port for clients answers in `jabber:client`.
        let for_servers = start.default_ns.as_deref().is_none_or(|ns| ns == SERVER);
        if !start.name.is(STREAMS, "stream") || !for_servers {
            return Err(Reason::NotXmpp);
        }
        let major = attribute("version").and_then(|version| version.split('.').next());
        Ok(Header {
            from: attribute("from")
                .filter(|from| !from.is_empty())
                .map(printable),
            has_features: major
                .and_then(|major| major.parse::<u32>().ok())
                .unwrap_or(0)
                >= 1,
        })
    }
}

impl Incoming {
    fn read(element: &Element) -> Incoming {
        if element.name.is(STREAMS, "features") {
            Incoming::Features(Features::read(element))
        } else if element.name.is(STREAMS, "error") {
            Incoming::read_error(element)
        } else if element.name.is(STARTTLS, "proceed") {
            Incoming::Proceed
        } else if element.name.is(STARTTLS, "failure") {
            Incoming::TlsFailure
        } else {
            Incoming::Other
        }
    }

    fn read_error(element: &Element) -> Incoming {
        let in_rfc = |child: &&Element| child.name.ns.as_deref() == Some(CONDITIONS);
        let named = |text: bool| {
            element
                .children
                .iter()
                .filter(in_rfc)
                .find(move |c| (c.name.local == "text") == text)
        };
        let condition = named(false).map_or(StreamCondition::UndefinedCondition, |child| {
            condition(&child.name.local)
        });
        let hint = named(false)
            .map(|child| child.text.trim())
            .filter(|hint| !hint.is_empty());
        let text = named(true)
            .map(|child| child.text.trim())
            .filter(|text| !text.is_empty());
        let note = match (&condition, hint, text) {
            // Never followed: a pool is judged by what it does itself.
            (StreamCondition::SeeOtherHost, Some(host), _) => Some(format!(
                "the server points to {host:?}; that is not followed"
            )),
            (_, _, Some(text)) => Some(format!("the server says {text:?}")),
            _ => None,
        };
        Incoming::Error { condition, note }
    }
}

impl Features {
    fn read(element: &Element) -> Features {
        let mut features = Features::default();
        for child in &element.children {
            if child.name.is(STARTTLS, "starttls") {
                features.starttls = true;
            } else if child.name.is(DIALBACK, "dialback") {
                features.dialback = true;
            } else if child.name.is(SASL, "mechanisms") {
                let names = child
                    .children
                    .iter()
                    .filter(|c| c.name.is(SASL, "mechanism"));
                features
                    .mechanisms
                    .extend(names.map(|c| c.text.trim().to_owned()));
            }
        }
        features
    }
}

/// The condition of this name (RFC 6120 §4.9.3).
fn condition(name: &str) -> StreamCondition {
    use serde::de::value::{Error, StrDeserializer};
    use serde::de::{Deserialize, IntoDeserializer};

    let known: StrDeserializer<'_, Error> = name.into_deserializer();
    // The names in JSON are the RFC's own.
    StreamCondition::deserialize(known).unwrap_or_else(|_| StreamCondition::Other(printable(name)))
}

fn xml_reason(error: XmlError) -> Reason {
    match error {
        XmlError::Malformed(_) | XmlError::Restricted(_) => Reason::NotXml,
        XmlError::TooMuch(_) => Reason::TooMuch,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn first(inside: &str) -> Incoming {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let mut stream = Stream::new(ours);
        let header = format!("<s:stream xmlns='jabber:server' xmlns:s='{STREAMS}' version='1.0'>");
        theirs
            .write_all(format!("{header}{inside}").as_bytes())
            .await
            .unwrap();
        stream.open("contoso.com", None).await.unwrap();
        stream.incoming().await.unwrap()
    }

    #[tokio::test]
    async fn every_condition_of_the_rfc_is_told_apart() {
        for name in [
            "bad-format",
            "bad-namespace-prefix",
            "conflict",
            "connection-timeout",
            "host-gone",
            "host-unknown",
            "improper-addressing",
            "internal-server-error",
            "invalid-from",
            "invalid-namespace",
            "invalid-xml",
            "not-authorized",
            "not-well-formed",
            "policy-violation",
            "remote-connection-failed",
            "reset",
            "resource-constraint",
            "restricted-xml",
            "see-other-host",
            "system-shutdown",
            "undefined-condition",
            "unsupported-encoding",
            "unsupported-feature",
            "unsupported-stanza-type",
            "unsupported-version",
        ] {
            let error = format!("<s:error><{name} xmlns='{CONDITIONS}'/></s:error>");
            let Incoming::Error {
                condition,
                note: None,
            } = first(&error).await
            else {
                panic!("{name}")
            };
            assert_eq!(condition.to_string(), name);
            assert!(!matches!(condition, StreamCondition::Other(_)), "{name}");
        }
        let odd = format!("<s:error><on-holiday xmlns='{CONDITIONS}'/></s:error>");
        let Incoming::Error { condition, .. } = first(&odd).await else {
            panic!()
        };
        assert_eq!(condition, StreamCondition::Other("on-holiday".to_owned()));
        let other_by_name = format!("<s:error><other xmlns='{CONDITIONS}'/></s:error>");
        let Incoming::Error { condition, .. } = first(&other_by_name).await else {
            panic!()
        };
        assert_eq!(condition, StreamCondition::Other("other".to_owned()));
    }

    #[tokio::test]
    async fn an_error_keeps_its_text_and_its_hint() {
        let Incoming::Error { note, .. } = first(&format!(
            "<s:error><see-other-host xmlns='{CONDITIONS}'>b.example:9222</see-other-host></s:error>"
        ))
        .await
        else {
            panic!()
        };
        assert_eq!(
            note.unwrap(),
            "the server points to \"b.example:9222\"; that is not followed"
        );
        let Incoming::Error { condition, note } = first(&format!(
            "<s:error><text xmlns='{CONDITIONS}'>go away</text><host-unknown xmlns='{CONDITIONS}'/></s:error>"
        ))
        .await
        else {
            panic!()
        };
        assert_eq!(condition, StreamCondition::HostUnknown);
        assert_eq!(note.unwrap(), "the server says \"go away\"");
        let Incoming::Error { condition, .. } = first("<s:error/>").await else {
            panic!()
        };
        assert_eq!(condition, StreamCondition::UndefinedCondition);
    }

    #[tokio::test]
    async fn features_are_recognised_by_namespace() {
        let offered = format!(
            "<s:features><starttls xmlns='{STARTTLS}'><required/></starttls><dialback xmlns='{DIALBACK}'/>\
             <mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms></s:features>"
        );
        let Incoming::Features(features) = first(&offered).await else {
            panic!()
        };
        assert!(features.starttls && features.dialback);
        assert_eq!(features.mechanisms, ["EXTERNAL"]);
        let foreign = "<s:features><starttls xmlns='urn:other'/><starttls/></s:features>";
        let Incoming::Features(features) = first(foreign).await else {
            panic!()
        };
        assert_eq!(features, Features::default());
    }
}
