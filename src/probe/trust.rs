//! Which certificate authorities are trusted.
//!
//! In: a PEM file, or none for the system's roots. Out: a trust store, and in words where it came from.
//! Never here: judging a certificate; and no store is loaded for a single probe.

use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;

use crate::files;

/// Where systems keep their roots in one file: Debian and Alpine, Fedora, openSUSE, older Fedora, macOS and
/// OpenBSD, FreeBSD. A vendored OpenSSL knows only the directories of its own build.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];
/// The variable by which other OpenSSL programs are told of another bundle.
const BUNDLE_VARIABLE: &str = "SSL_CERT_FILE";

/// Why certificate authorities could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file is not there or cannot be read.
    #[error("cannot load certificate authorities from {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has no certificate that can be read.
    #[error("cannot load certificate authorities from {path}: {why}", path = .path.display())]
    NotCertificates {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No bundle of system roots was found.
    #[error(
        "cannot find the system's certificate authorities (looked at {}): install the package \
         ca-certificates, or name a file with the key ca",
        SYSTEM_BUNDLES.join(", ")
    )]
    NoSystemRoots,
    /// The TLS library refused its settings.
    #[error("cannot set up the TLS library: {0}")]
    Library(#[from] ErrorStack),
}

/// Authorities to trust.
pub(super) struct Trust {
    /// The store.
    pub(super) store: X509Store,
    /// Where it came from, in words.
    pub(super) description: String,
}

impl Trust {
    /// The authorities in a PEM file. Each of them is trusted as it is, also where it is not self-signed.
    pub(super) fn from_file(path: &Path) -> Result<Trust, TrustError> {
        let (mut builder, count) = load(path)?;
        builder.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        let description = format!(
            "{} from {}",
            counted(count, "authority", "authorities"),
            path.display()
        );
        Ok(Trust {
            store: builder.build(),
            description,
        })
    }

    /// The system's roots.
    pub(super) fn system() -> Result<Trust, TrustError> {
        let path = system_bundle().ok_or(TrustError::NoSystemRoots)?;
        let (builder, count) = load(&path)?;
        let description = format!(
            "{} from {}",
            counted(count, "system root", "system roots"),
            path.display()
        );
        Ok(Trust {
            store: builder.build(),
            description,
        })
    }

    /// Nothing at all: for checks that never look at a certificate.
    pub(super) fn nothing() -> Result<Trust, TrustError> {
        let store = X509StoreBuilder::new()?.build();
        Ok(Trust {
            store,
            description: "no roots: no system bundle was found".to_owned(),
        })
    }
}

fn system_bundle() -> Option<PathBuf> {
    let named = std::env::var_os(BUNDLE_VARIABLE).map(PathBuf::from);
    named.or_else(|| {
        SYSTEM_BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
    })
}

fn load(path: &Path) -> Result<(X509StoreBuilder, usize), TrustError> {
    let not_certificates = |why: String| TrustError::NotCertificates {
        path: path.to_owned(),
        why,
    };
    let pem = files::read(path, files::LARGEST).map_err(|source| TrustError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let certificates = X509::stack_from_pem(&pem)
        .map_err(|error| not_certificates(format!("a certificate in it is damaged: {error}")))?;
    if certificates.is_empty() {
        return Err(not_certificates(
            "there is no PEM certificate in it".to_owned(),
        ));
    }
    let count = certificates.len();
    let mut builder = X509StoreBuilder::new()?;
    for certificate in certificates {
        builder.add_cert(certificate)?;
    }
    Ok((builder, count))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_holds_no_certificate_is_named() {
        let missing = Trust::from_file(Path::new("/nowhere/ca.pem"))
            .err()
            .unwrap()
            .to_string();
        assert!(missing.starts_with("cannot load certificate authorities from /nowhere/ca.pem: "));
        let directory = tempfile::tempdir().unwrap();
        for content in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let path = directory.path().join("ca.pem");
            std::fs::write(&path, content).unwrap();
            assert!(
                matches!(
                    Trust::from_file(&path),
                    Err(TrustError::NotCertificates { .. })
                ),
                "{content:?}"
            );
        }
    }
}
