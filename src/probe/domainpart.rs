//! The check domain as XMPP writes it.
//!
//! In: a [`DomainName`], which is ASCII as in the DNS. Out: the domainpart with its internationalised labels
//! as Unicode (RFC 7622 §3.2.1), which servers compare their hosts with, or as ASCII, which some were
//! configured with. Never here: normalisation of Unicode that did not come out of a DNS name.

use crate::topology::DomainName;

/// How a domain is written to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `bücher.example`: as XMPP has it, and so as partners ask.
    Unicode,
    /// `xn--bcher-kva.example`: as the DNS has it.
    Ascii,
}

impl Form {
    /// The other one.
    pub(super) fn other(self) -> Form {
        match self {
            Form::Unicode => Form::Ascii,
            Form::Ascii => Form::Unicode,
        }
    }

    /// The domain in this form.
    pub(super) fn of(self, domain: &DomainName) -> String {
        match self {
            Form::Unicode => domainpart(domain),
            Form::Ascii => domain.as_str().to_owned(),
        }
    }
}

/// Whether a domain is written differently in the two forms.
pub(super) fn has_two_forms(domain: &DomainName) -> bool {
    domainpart(domain) != domain.as_str()
}

/// `xn--bcher-kva.example` as `bücher.example`. A label that does not decode stays as it is.
pub(super) fn domainpart(domain: &DomainName) -> String {
    let labels = domain.as_str().split('.').map(|label| {
        label
            .strip_prefix("xn--")
            .filter(|encoded| !encoded.is_empty())
            .and_then(idna::punycode::decode_to_string)
            .unwrap_or_else(|| label.to_owned())
    });
    labels.collect::<Vec<_>>().join(".")
}

/// Whether a peer's text names this domain, in either form.
pub(super) fn names(text: &str, domain: &DomainName) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.eq_ignore_ascii_case(domain.as_str()) || text.to_lowercase() == domainpart(domain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn internationalised_labels_become_unicode() {
        assert_eq!(domainpart(&name("contoso.com")), "contoso.com");
        assert_eq!(domainpart(&name("xn--bcher-kva.example")), "bücher.example");
        assert_eq!(domainpart(&name("xn--fiqs8s.example")), "中国.example");
        assert_eq!(
            domainpart(&name("a.xn--strae-oqa.example")),
            "a.straße.example"
        );
        assert!(has_two_forms(&name("xn--bcher-kva.example")));
        assert!(!has_two_forms(&name("contoso.com")));
    }

    #[test]
    fn what_does_not_decode_stays() {
        for odd in [
            "xn--.example",
            "xn--9999999999.example",
            "xn--a_b-c_d.example",
        ] {
            let shown = domainpart(&name(odd));
            assert!(shown.ends_with(".example"), "{shown}");
        }
    }

    #[test]
    fn a_domain_is_recognised_in_both_forms() {
        let domain = name("xn--bcher-kva.example");
        assert!(names("bücher.example", &domain));
        assert!(names("XN--BCHER-KVA.example.", &domain));
        assert!(!names("example", &domain));
    }
}
