//! Namespaces: what prefixes stand for inside the open elements.
//!
//! In: the names of a tag as written, elements that begin and end. Out: names with their namespaces. Never here: bytes.

use std::sync::Arc;

use super::{Name, Start, XmlError};

/// The namespace that the prefix `xml` is bound to.
const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";

/// The prefixes in force, the innermost last; the empty one is the default namespace.
pub(super) struct Scope {
    bindings: Vec<(String, Option<Arc<str>>)>,
}

/// The prefixes in force outside an element.
#[derive(Clone, Copy)]
pub(super) struct Outside(usize);

impl Scope {
    pub(super) fn new() -> Scope {
        Scope {
            bindings: vec![("xml".to_owned(), Some(XML_NS.into()))],
        }
    }

    /// Enters an element: binds the prefixes that its tag declares, and resolves its names with them.
    pub(super) fn enter(
        &mut self,
        qname: &str,
        written: Vec<(String, String)>,
    ) -> Result<(Start, Outside), XmlError> {
        let outside = Outside(self.bindings.len());
        let start = self.resolve(qname, written)?;
        Ok((start, outside))
    }

    /// Leaves an element.
    pub(super) fn leave(&mut self, outside: Outside) {
        self.bindings.truncate(outside.0);
    }

    fn resolve(&mut self, qname: &str, written: Vec<(String, String)>) -> Result<Start, XmlError> {
        let mut plain = Vec::new();
        for (name, value) in written {
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
}
