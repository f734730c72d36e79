//! A certificate authority that lives only in memory.
//!
//! In: the names a server is to have. Out: certificates with their keys, and the PEM file to trust.
//! Never here: anything that a real server should be given.

use openssl::asn1::{Asn1Object, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use crate::topology::DomainName;

const DAY: i64 = 86_400;

/// An authority with its key.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A server's certificate with its key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: X509,
    /// Its key.
    pub key: PKey<Private>,
}

/// What a server's certificate is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The subject's common name.
    pub common_name: String,
    /// dNSName.
    pub dns: Vec<String>,
    /// SRV-ID, such as `_xmpp-server.contoso.com`.
    pub srv: Vec<String>,
    /// xmppAddr.
    pub xmpp: Vec<String>,
    /// URI, such as `sip:contoso.com`.
    pub uri: Vec<String>,
    /// Start of its validity, in seconds from now.
    pub from_s: i64,
    /// End of its validity, in seconds from now.
    pub until_s: i64,
    /// Whether its extended key usage allows it as a server certificate.
    pub server_auth: bool,
    /// Whether its extended key usage allows it as a client certificate.
    pub client_auth: bool,
    /// An RSA key of 2048 bits in place of an elliptic curve: what old servers have.
    pub rsa: bool,
}

impl Leaf {
    /// A good certificate of an XMPP server: all three kinds of names, 90 days.
    pub fn for_domain(domain: &DomainName) -> Leaf {
        Leaf {
            common_name: domain.to_string(),
            dns: vec![domain.to_string()],
            srv: vec![format!("_xmpp-server.{domain}")],
            xmpp: vec![domain.to_string()],
            uri: Vec::new(),
            from_s: -DAY,
            until_s: 89 * DAY,
            server_auth: true,
            client_auth: true,
            rsa: false,
        }
    }
}

impl Authority {
    /// A new authority, called `name`, valid for ten years either way.
    pub fn new(name: &str) -> Result<Authority, ErrorStack> {
        let key = elliptic_key()?;
        let subject = subject(name)?;
        let mut builder = begin(&subject, &subject, &key, -3650 * DAY, 3650 * DAY)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(
            KeyUsage::new()
                .critical()
                .key_cert_sign()
                .crl_sign()
                .build()?,
        )?;
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(identifier)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Authority {
            certificate: builder.build(),
            key,
        })
    }

    /// The authority's certificate in PEM: what `ca` names.
    pub fn pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_pem()
    }

    /// A certificate for a server.
    pub fn issue(&self, leaf: &Leaf) -> Result<Identity, ErrorStack> {
        let key = if leaf.rsa {
            PKey::from_rsa(Rsa::generate(2048)?)?
        } else {
            elliptic_key()?
        };
        let name = subject(&leaf.common_name)?;
        let issuer = self.certificate.subject_name().to_owned()?;
        let mut builder = begin(&name, &issuer, &key, leaf.from_s, leaf.until_s)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        let mut usage = KeyUsage::new();
        builder.append_extension(
            usage
                .critical()
                .digital_signature()
                .key_encipherment()
                .build()?,
        )?;
        let mut purposes = ExtendedKeyUsage::new();
        if leaf.server_auth {
            purposes.server_auth();
        }
        if leaf.client_auth {
            purposes.client_auth();
        }
        builder.append_extension(purposes.build()?)?;
        let authority = AuthorityKeyIdentifier::new()
            .keyid(true)
            .build(&builder.x509v3_context(Some(&self.certificate), None))?;
        builder.append_extension(authority)?;
        if let Some(names) = alternative_names(leaf)? {
            builder.append_extension(names.build(&builder.x509v3_context(None, None))?)?;
        }
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Identity {
            certificate: builder.build(),
            key,
        })
    }
}

fn alternative_names(leaf: &Leaf) -> Result<Option<SubjectAlternativeName>, ErrorStack> {
    /// id-on-dnsSRV (RFC 4985) and id-on-xmppAddr (RFC 6120 §13.7.1.4).
    const DNS_SRV: &str = "1.3.6.1.5.5.7.8.7";
    const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
    const IA5_STRING: u8 = 0x16;
    const UTF8_STRING: u8 = 0x0c;

    let mut names = SubjectAlternativeName::new();
    for name in &leaf.dns {
        names.dns(name);
    }
    for name in &leaf.uri {
        names.uri(name);
    }
    for (texts, oid, tag) in [
        (&leaf.srv, DNS_SRV, IA5_STRING),
        (&leaf.xmpp, XMPP_ADDR, UTF8_STRING),
    ] {
        for text in texts {
            names.other_name2(Asn1Object::from_str(oid)?, &der_text(tag, text));
        }
    }
    let none = [&leaf.dns, &leaf.uri, &leaf.srv, &leaf.xmpp]
        .iter()
        .all(|names| names.is_empty());
    Ok((!none).then_some(names))
}

/// A DER string. A domain name has at most 253 characters, so two length bytes are enough.
fn der_text(tag: u8, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut der = match length {
        [0, short @ 0..=0x7f] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    der.extend_from_slice(text.as_bytes());
    der
}

fn begin(
    subject: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
    from_s: i64,
    until_s: i64,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(120, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*from_now(from_s)?)?;
    builder.set_not_after(&*from_now(until_s)?)?;
    Ok(builder)
}

/// The moment `seconds` from now, by the TLS library's clock: certificates are made for the same clock that
/// will judge them, and nothing else depends on it.
fn from_now(seconds: i64) -> Result<Asn1Time, ErrorStack> {
    let epoch = Asn1Time::from_unix(0)?;
    let passed = epoch.diff(&*Asn1Time::days_from_now(0)?)?;
    Asn1Time::from_unix(i64::from(passed.days) * DAY + i64::from(passed.secs) + seconds)
}

fn subject(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn elliptic_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}
