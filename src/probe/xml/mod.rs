//! A restricted XML reader for streams that cannot be trusted.
//!
//! In: bytes as they come, in pieces of any size. Out: start tags, end tags and text, namespaces resolved; the same ones
//! and the same refusal, however the bytes came apart on their way.
//! Refused, as RFC 6120 §11.1 demands: document types, comments, processing instructions, entities beyond
//! the five predefined ones. Bounded: bytes, depth, attributes, names, one tag. Never here: I/O, and what
//! the elements mean.

mod lexis;
mod reader;
mod scope;

use std::sync::Arc;

pub use reader::Reader;

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

#[cfg(test)]
mod tests;
