//! Names: of things the operator named (pools, routes, sites) and of things the DNS names.
//!
//! In: text from configuration, commands and the store. Out: values that are valid by construction.
//! Never here: wire format; `zone/` turns a [`DomainName`] into the DNS library's type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than RFC 1035 §2.3.4 allows.
    #[error("{0:?} is longer than a domain name may be (253 characters)")]
    TooLong(String),
    /// A label is empty or longer than 63 octets.
    #[error("{0:?} has an empty label or one longer than 63 characters")]
    BadLabel(String),
    /// A character that has no place in such a name.
    #[error(
        "{name:?} has the character {character:?}; write letters, digits, '-', '_' and '.' only"
    )]
    BadCharacter {
        /// The text as given.
        name: String,
        /// The first character refused.
        character: char,
    },
}

/// A domain name in lower case and without its last dot: `_xmpp-server._tcp.contoso.com`. An internationalised name is
/// kept as the DNS has it (`xn--bcher-kva.example`) and taken in both forms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Arc<str>);

impl DomainName {
    /// The name as text, lower case, without a last dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `ancestor` or lies below it.
    pub fn is_at_or_below(&self, ancestor: &DomainName) -> bool {
        match self.0.strip_suffix(ancestor.as_str()) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// The name one label up; none for a single label.
    pub fn parent(&self) -> Option<DomainName> {
        let (_, rest) = self.0.split_once('.')?;
        Some(DomainName(rest.into()))
    }

    /// How many labels the name has.
    pub fn label_count(&self) -> usize {
        self.0.split('.').count()
    }
}

impl FromStr for DomainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // Without a rule for it the text stays as it is, and its character is refused below.
        let encoded = match text.is_ascii() {
            true => None,
            false => idna::domain_to_ascii(text).ok(),
        };
        let ascii = encoded.as_deref().unwrap_or(text);
        let bare = ascii.strip_suffix('.').unwrap_or(ascii);
        if bare.is_empty() {
            return Err(NameError::Empty);
        }
        if bare.len() > 253 {
            return Err(NameError::TooLong(text.to_owned()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(character) = bare.chars().find(|c| !allowed(*c)) {
            return Err(NameError::BadCharacter {
                name: text.to_owned(),
                character,
            });
        }
        if bare
            .split('.')
            .any(|label| label.is_empty() || label.len() > 63)
        {
            return Err(NameError::BadLabel(text.to_owned()));
        }
        Ok(DomainName(bare.to_ascii_lowercase().into()))
    }
}

impl TryFrom<String> for DomainName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text cannot name a pool, route or site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be used as a name here: write 1 to 63 letters, digits, '-', '_' or '.', \
     beginning with a letter or digit"
)]
pub struct LabelError(pub String);

fn check_label(text: &str) -> Result<Arc<str>, LabelError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    if !starts_well || text.len() > 63 || !text.chars().all(allowed) {
        return Err(LabelError(text.to_owned()));
    }
    Ok(text.into())
}

macro_rules! operator_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as the operator wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = LabelError;
            fn from_str(text: &str) -> Result<Self, LabelError> {
                check_label(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = LabelError;
            fn try_from(text: String) -> Result<Self, LabelError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

operator_name! {
    /// The name of an Edge pool.
    PoolName
}
operator_name! {
    /// The name of a route.
    RouteName
}
operator_name! {
    /// The name of a site.
    SiteName
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn a_domain_name_is_lower_case_and_without_its_last_dot() {
        assert_eq!(name("XMPP.Contoso.COM.").as_str(), "xmpp.contoso.com");
    }

    #[test]
    fn an_internationalised_name_is_taken_in_both_forms() {
        let wide = name("Bücher.example.");
        assert_eq!(wide.as_str(), "xn--bcher-kva.example");
        assert_eq!(name("XN--bcher-kva.example"), wide);
        assert_eq!(
            name("_xmpp-server._tcp.straße.example").as_str(),
            "_xmpp-server._tcp.xn--strae-oqa.example"
        );
    }

    #[test]
    fn a_name_below_is_told_from_a_name_that_only_ends_alike() {
        assert!(name("a.contoso.com").is_at_or_below(&name("contoso.com")));
        assert!(name("contoso.com").is_at_or_below(&name("contoso.com")));
        assert!(!name("notcontoso.com").is_at_or_below(&name("contoso.com")));
    }

    #[test]
    fn bad_names_say_what_is_wrong() {
        for bad in ["", ".", "a..b", "a\u{fffd}b.example", "a b", "*.x"] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad:?} was taken");
        }
        assert!("-x".parse::<PoolName>().is_err());
        assert!("edgepool1".parse::<PoolName>().is_ok());
    }
}
