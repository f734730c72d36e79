//! What the encrypted transports show their clients: a certificate chain with its key, swapped whole while clients come.
//!
//! In: PEM text. Out: a [`Certificate`] that fits its key, or why it does not; an [`Identity`] that TLS asks for the one
//! in force. Never here: files, which certificate clients would accept.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{GeneralName, X509Certificate, parse_x509_certificate};

use crate::clock::Wall;

/// A certificate chain and the private key that belongs to it.
#[derive(Clone, Debug)]
pub struct Certificate {
    chain_and_key: Arc<CertifiedKey>,
    names: Vec<String>,
    from: Wall,
    until: Wall,
}

/// Why certificate and key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// The chain is not PEM.
    #[error("the certificate's file is not PEM: {0}")]
    ChainPem(String),
    /// The chain is empty.
    #[error("the certificate's file has no -----BEGIN CERTIFICATE----- in it")]
    NoCertificate,
    /// The first certificate of the chain is none.
    #[error("the first certificate of the file cannot be read: {0}")]
    Unreadable(String),
    /// The key is not there, or not PEM.
    #[error("the key's file has no private key in PEM that can be read: {0}")]
    NoKey(String),
    /// The key is of a kind that TLS here does not sign with.
    #[error("the key cannot be used to sign: {0}")]
    KeyKind(String),
    /// They are not a pair.
    #[error("the key is not the key of the first certificate in the file")]
    Mismatch,
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// What is wrong with either, or that they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, CertificateFault> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, pem::Error>>()
            .map_err(|error| CertificateFault::ChainPem(error.to_string()))?;
        let first = chain.first().ok_or(CertificateFault::NoCertificate)?;
        let (_, read) = parse_x509_certificate(first)
            .map_err(|error| CertificateFault::Unreadable(error.to_string()))?;
        let moment =
            |time: i64| Wall::from_millis(time.clamp(0, i64::MAX / 1000).saturating_mul(1000));
        let (names, from, until) = (
            names(&read),
            moment(read.validity().not_before.timestamp()),
            moment(read.validity().not_after.timestamp()),
        );
        // The parser's own words could quote the file.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            CertificateFault::NoKey(match error {
                pem::Error::NoItemsFound => "none is there".into(),
                _ => "it is broken".into(),
            })
        })?;
        let key = ring::sign::any_supported_type(&key)
            .map_err(|error| CertificateFault::KeyKind(error.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                return Err(CertificateFault::Mismatch);
            }
            Err(error) => return Err(CertificateFault::Unreadable(error.to_string())),
        }
        Ok(Certificate {
            chain_and_key: Arc::new(pair),
            names,
            from,
            until,
        })
    }

    /// The names it is for, as it writes them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When its time begins.
    pub fn from(&self) -> Wall {
        self.from
    }

    /// When its time ends.
    pub fn until(&self) -> Wall {
        self.until
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self.names.as_slice() {
            [] => "no name".to_owned(),
            names => names.join(", "),
        };
        write!(f, "for {names}, valid until {}", self.until)
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = alternatives.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
            GeneralName::IPAddress(octets) => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        })
        .collect()
}

/// The certificate in force. While there is none, TLS handshakes fail, which tells a client to go another way.
#[derive(Debug, Default)]
pub struct Identity(ArcSwapOption<CertifiedKey>);

impl Identity {
    /// Shows this certificate to every client that comes from now on; connections that stand keep theirs.
    pub fn show(&self, certificate: &Certificate) {
        self.0.store(Some(Arc::clone(&certificate.chain_and_key)));
    }

    /// Whether there is a certificate to show.
    pub fn is_known(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
