//! What a server's certificate says, and whether a partner would take it.
//!
//! In: the certificate, what chain building complained of, the check, the time. Out: [`CertificateFacts`].
//! The fault is always recorded; whether it counts is the policy's business in `health/`. Never here: I/O.

use std::collections::BTreeSet;

use openssl::hash::MessageDigest;
use openssl::x509::X509Ref;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::attempt::printable;
use super::domainpart;
use super::observation::{CertificateFacts, CertificateFault, Distrust};
use crate::clock::Wall;
use crate::topology::{Check, DomainName, ServiceKind};

/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
/// id-on-dnsSRV (RFC 4985).
const DNS_SRV: &str = "1.3.6.1.5.5.7.8.7";
/// Names kept of a certificate; a hosting provider's may have hundreds.
const MAX_NAMES: usize = 32;

/// A complaint of chain building.
#[derive(Clone, Debug)]
pub(super) struct ChainFault {
    /// OpenSSL's number of it.
    pub(super) code: i32,
    /// How far from the server's certificate (0) it is.
    pub(super) depth: u32,
    /// In words.
    pub(super) text: String,
}

impl ChainFault {
    /// X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
    const TIMES: [i32; 2] = [9, 10];

    /// What it means for people. The numbers are OpenSSL's `X509_V_ERR_…`.
    fn why(&self) -> Distrust {
        match self.code {
            18 => Distrust::SelfSigned,
            19 => Distrust::UnknownAuthority,
            2 | 20 | 21 => Distrust::NoIssuer,
            26 => Distrust::WrongPurpose,
            9 | 10 => Distrust::IntermediateTime,
            66..=68 => Distrust::Weak,
            _ => Distrust::Other,
        }
    }

    /// Whether it is about the validity period of the server's own certificate, which is judged apart.
    fn is_own_time(&self) -> bool {
        self.depth == 0 && Self::TIMES.contains(&self.code)
    }
}

/// Reads and judges a certificate. The second part are notes for people.
pub(super) fn read(
    certificate: &X509Ref,
    chain_faults: &[ChainFault],
    check: &Check,
    now: Wall,
) -> (CertificateFacts, Vec<String>) {
    let fingerprint = certificate
        .digest(MessageDigest::sha256())
        .map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect())
        .unwrap_or_default();
    let der = certificate.to_der().unwrap_or_default();
    let (_, parsed) = match X509Certificate::from_der(&der) {
        Ok(parsed) => parsed,
        Err(error) => {
            let detail = printable(&format!("it cannot be read: {error}"));
            return (
                blank(
                    fingerprint,
                    CertificateFault::NotTrusted {
                        detail,
                        why: Distrust::Other,
                    },
                ),
                Vec::new(),
            );
        }
    };
    let names = names_of(&parsed);
    let wanted = Wanted::of(check);
    let matched = wanted.found_in(&names);
    let not_before = wall(parsed.validity().not_before.timestamp());
    let not_after = wall(parsed.validity().not_after.timestamp());
    let untrusted = chain_faults.iter().find(|fault| !fault.is_own_time());
    let fault = if now >= not_after {
        Some(CertificateFault::Expired)
    } else if now < not_before {
        Some(CertificateFault::NotYetValid)
    } else if let Some(fault) = untrusted {
        Some(CertificateFault::NotTrusted {
            detail: fault.text.clone(),
            why: fault.why(),
        })
    } else if matched.is_none() {
        Some(CertificateFault::WrongName {
            wanted: wanted.describe(),
        })
    } else {
        None
    };
    let facts = CertificateFacts {
        subject: printable(&parsed.subject().to_string()),
        issuer: printable(&parsed.issuer().to_string()),
        names: names
            .iter()
            .take(MAX_NAMES)
            .map(CertificateName::show)
            .collect(),
        matches: matched.cloned(),
        not_before,
        not_after,
        client_auth: allows_client(&parsed),
        fingerprint,
        fault,
    };
    let mut notes = notes(&parsed, names.len());
    if let (Some(matched), Some(target)) = (&facts.matches, &check.target)
        && matched != target
    {
        notes.push(format!(
            "the certificate names {matched} and not the SRV target {target}: Lync and Skype for Business look for the target"
        ));
    }
    (facts, notes)
}

/// The names of which partners want one, the best first.
///
/// XMPP (RFC 6120 §13.7.2): the domain, never the SRV target, whose name came from DNS that was not signed.
///
/// SIP: Lync and Skype for Business look for the SRV target, which lies directly in the domain; every SIP domain needs
/// `sip.` and its name in the certificate of an Edge; RFC 5922 §7.1 wants the domain itself.
struct Wanted<'a> {
    check: &'a Check,
    names: Vec<DomainName>,
}

impl Wanted<'_> {
    fn of(check: &Check) -> Wanted<'_> {
        let mut names = Vec::new();
        if check.service == ServiceKind::SipFederationTls {
            names.extend(check.target.clone());
            names.extend(format!("sip.{}", check.domain).parse());
        }
        names.push(check.domain.clone());
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Wanted { check, names }
    }

    fn found_in(&self, names: &[CertificateName]) -> Option<&DomainName> {
        let found = |wanted: &&DomainName| names.iter().any(|name| self.is_named(wanted, name));
        self.names.iter().find(found)
    }

    fn is_named(&self, wanted: &DomainName, name: &CertificateName) -> bool {
        let domain = &self.check.domain;
        match (self.check.service, name) {
            (ServiceKind::XmppServer | ServiceKind::XmppsServer, name) => name.matches(domain),
            // RFC 5922 §7.2: no wildcard stands for the SIP domain itself.
            (ServiceKind::SipFederationTls, CertificateName::Dns(name)) if wanted == domain => {
                name.eq_ignore_ascii_case(domain.as_str())
            }
            (ServiceKind::SipFederationTls, CertificateName::Dns(pattern)) => {
                dns_matches(pattern, wanted.as_str())
            }
            (ServiceKind::SipFederationTls, CertificateName::Uri(uri)) => {
                let lower = uri.to_ascii_lowercase();
                wanted == domain && lower.strip_prefix("sip:") == Some(domain.as_str())
            }
            (
                ServiceKind::SipFederationTls,
                CertificateName::Srv(_) | CertificateName::XmppAddr(_),
            ) => false,
        }
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(DomainName::as_str).collect();
        match names.split_last() {
            Some((last, before)) if !before.is_empty() => {
                format!("{} or {last}", before.join(", "))
            }
            _ => names.concat(),
        }
    }
}

/// The facts of a handshake without a certificate.
pub(super) fn missing() -> CertificateFacts {
    blank(String::new(), CertificateFault::Missing)
}

/// A name a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CertificateName {
    Dns(String),
    Srv(String),
    XmppAddr(String),
    Uri(String),
}

impl CertificateName {
    fn show(&self) -> String {
        let (Self::Dns(text) | Self::Srv(text) | Self::XmppAddr(text) | Self::Uri(text)) = self;
        printable(text)
    }

    /// Whether an XMPP partner may take this name for the domain: dNSName, SRV-ID or xmppAddr (RFC 6120 §13.7.2).
    fn matches(&self, domain: &DomainName) -> bool {
        match self {
            Self::Dns(pattern) => dns_matches(pattern, domain.as_str()),
            Self::Srv(text) => {
                let lower = text.to_ascii_lowercase();
                lower.strip_prefix("_xmpp-server.") == Some(domain.as_str())
            }
            Self::XmppAddr(text) => domainpart::names(text, domain),
            Self::Uri(_) => false,
        }
    }
}

/// RFC 9525 §6.3: a wildcard is the whole leftmost label and stands for exactly one label.
fn dns_matches(pattern: &str, domain: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(parent) => domain
            .split_once('.')
            .is_some_and(|(_, rest)| rest == parent),
        None => pattern == domain,
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<CertificateName> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) => Some(CertificateName::Dns((*text).to_owned())),
        GeneralName::URI(text) => Some(CertificateName::Uri((*text).to_owned())),
        GeneralName::OtherName(oid, value) => match oid.to_id_string().as_str() {
            XMPP_ADDR => der_text(value).map(CertificateName::XmppAddr),
            DNS_SRV => der_text(value).map(CertificateName::Srv),
            _ => None,
        },
        _ => None,
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(name)
        .collect()
}

/// The text in `[0] EXPLICIT UTF8String` (xmppAddr) or `[0] EXPLICIT IA5String` (SRV-ID).
fn der_text(value: &[u8]) -> Option<String> {
    const EXPLICIT_0: u8 = 0xa0;
    const UTF8_STRING: u8 = 0x0c;
    const IA5_STRING: u8 = 0x16;
    let (tag, inside) = der_value(value)?;
    let (inner_tag, text) = der_value(inside)?;
    (tag == EXPLICIT_0 && matches!(inner_tag, UTF8_STRING | IA5_STRING))
        .then(|| String::from_utf8(text.to_vec()).ok())
        .flatten()
}

/// Tag and content of one DER value that fills `bytes`.
fn der_value(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, content) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => rest
            .split_first()
            .map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    (content.len() == length).then_some((*tag, content))
}

/// RFC 5280 §4.2.1.12: without the extension any use is allowed.
fn allows_client(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.any || usage.value.client_auth,
        Ok(None) => true,
        Err(_) => false,
    }
}

fn notes(certificate: &X509Certificate<'_>, names: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if names > MAX_NAMES {
        notes.push(format!(
            "the certificate has {names} names; the first {MAX_NAMES} are shown"
        ));
    }
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    // sha1WithRSAEncryption, ecdsa-with-SHA1, md5WithRSAEncryption
    let weak = [
        "1.2.840.113549.1.1.5",
        "1.2.840.10045.4.1",
        "1.2.840.113549.1.1.4",
    ];
    if weak.contains(&algorithm.as_str()) {
        notes.push("the certificate is signed with SHA-1 or MD5: partners with a current TLS library refuse it".into());
    }
    if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed()
        && key.key_size() < 2048
    {
        let bits = key.key_size();
        notes.push(format!(
            "the certificate's RSA key has {bits} bits: many partners refuse less than 2048"
        ));
    }
    notes
}

fn blank(fingerprint: String, fault: CertificateFault) -> CertificateFacts {
    CertificateFacts {
        subject: String::new(),
        issuer: String::new(),
        names: Vec::new(),
        matches: None,
        not_before: Wall::from_millis(0),
        not_after: Wall::from_millis(0),
        client_auth: false,
        fingerprint,
        fault: Some(fault),
    }
}

fn wall(unix_seconds: i64) -> Wall {
    Wall::from_millis(unix_seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::CheckSettings;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn dns(text: &str) -> CertificateName {
        CertificateName::Dns(text.to_owned())
    }

    #[test]
    fn a_wildcard_stands_for_one_whole_label() {
        assert!(dns_matches("Contoso.com", "contoso.com"));
        assert!(dns_matches("*.contoso.com", "xmpp.contoso.com"));
        assert!(!dns_matches("*.contoso.com", "contoso.com"));
        assert!(!dns_matches("*.contoso.com", "a.xmpp.contoso.com"));
        assert!(!dns_matches("x*.contoso.com", "xmpp.contoso.com"));
        assert!(!dns_matches("xmpp.*.com", "xmpp.contoso.com"));
        assert!(!dns_matches("*", "contoso"));
    }

    fn check(service: ServiceKind, domain: &str, target: Option<&str>) -> Check {
        Check {
            service,
            peer: ([192, 0, 2, 10], service.standard_port()).into(),
            domain: name(domain),
            target: target.map(name),
            source: None,
            settings: CheckSettings::default_for(service),
        }
    }

    fn taken(check: &Check, name: CertificateName) -> bool {
        Wanted::of(check).found_in(&[name]).is_some()
    }

    #[test]
    fn an_xmpp_partner_takes_the_domain_and_never_the_target() {
        for service in [ServiceKind::XmppServer, ServiceKind::XmppsServer] {
            let check = check(service, "contoso.com", Some("xmpp.contoso.com"));
            let srv = |text: &str| CertificateName::Srv(text.into());
            assert!(taken(&check, dns("contoso.com")));
            assert!(taken(&check, srv("_XMPP-Server.contoso.com")));
            assert!(taken(
                &check,
                CertificateName::XmppAddr("contoso.com".into())
            ));
            assert!(!taken(&check, dns("xmpp.contoso.com")));
            assert!(!taken(&check, srv("_xmpp-client.contoso.com")));
            assert!(!taken(&check, srv("contoso.com")));
            assert!(!taken(
                &check,
                CertificateName::Uri("sip:contoso.com".into())
            ));
            assert_eq!(Wanted::of(&check).describe(), "contoso.com");
        }
        let wide = check(ServiceKind::XmppServer, "xn--bcher-kva.example", None);
        let address = CertificateName::XmppAddr("bücher.example".into());
        assert!(taken(&wide, address));
    }

    #[test]
    fn a_sip_partner_takes_the_target_the_domain_and_its_sip_name_and_no_sibling() {
        let sip = ServiceKind::SipFederationTls;
        let check = check(sip, "contoso.com", Some("sipfed1.contoso.com"));
        for good in [
            "contoso.com",
            "sip.contoso.com",
            "SIPfed1.contoso.com",
            "*.contoso.com",
        ] {
            assert!(taken(&check, dns(good)), "{good}");
        }
        for bad in [
            "www.contoso.com",
            "sipfed2.contoso.com",
            "edge1.contoso.com",
            "example.net",
            "a.sip.contoso.com",
            "x*.contoso.com",
            "notcontoso.com",
            "com",
            "*.com",
        ] {
            assert!(!taken(&check, dns(bad)), "{bad}");
        }
        assert!(taken(
            &check,
            CertificateName::Uri("sip:Contoso.com".into())
        ));
        let names = [dns("sip.contoso.com"), dns("sipfed1.contoso.com")];
        let best = Wanted::of(&check).found_in(&names).cloned();
        assert_eq!(best, Some(name("sipfed1.contoso.com")));
        assert_eq!(
            Wanted::of(&check).describe(),
            "sipfed1.contoso.com, sip.contoso.com or contoso.com"
        );
    }

    #[test]
    fn other_names_are_read_only_when_they_are_text() {
        assert_eq!(der_text(b"\xa0\x05\x0c\x03abc").as_deref(), Some("abc"));
        assert_eq!(der_text(b"\xa0\x05\x16\x03abc").as_deref(), Some("abc"));
        for bad in [
            &b""[..],
            b"\xa0",
            b"\xa0\x05\x0c\x03ab",
            b"\xa0\x05\x04\x03abc",
            b"\xa0\x80",
            b"\x0c\x01a",
        ] {
            assert_eq!(der_text(bad), None, "{bad:?}");
        }
        let long = "a".repeat(300);
        let inner = [&[0x0c, 0x82, 1, 44], long.as_bytes()].concat();
        let outer = [&[0xa0, 0x82, 1, 48], inner.as_slice()].concat();
        assert_eq!(der_text(&outer), Some(long));
    }
}
