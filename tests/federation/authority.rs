//! The certificate authority that pools and partners trust, made anew for each story.
//!
//! In: the names a server answers for. Out: key and certificate files, and the authority's own certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// A certificate authority with its files.
#[derive(Debug)]
pub(crate) struct Authority {
    key: PKey<Private>,
    certificate: X509,
    dir: PathBuf,
}

/// Where a server's credentials lie, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// The private key.
    pub(crate) key: PathBuf,
    /// The certificate.
    pub(crate) certificate: PathBuf,
    /// Certificate and key in one file, as ejabberd wants them.
    pub(crate) both: PathBuf,
}

impl Authority {
    /// A new authority whose files lie in `dir`.
    pub(crate) fn new(dir: &Path) -> Authority {
        let key = new_key();
        let mut builder = builder("Federation test authority", &key);
        let name = builder_name("Federation test authority");
        builder.set_issuer_name(&name).expect("issuer");
        builder
            .append_extension(
                BasicConstraints::new()
                    .critical()
                    .ca()
                    .build()
                    .expect("constraints"),
            )
            .expect("extension");
        let usage = KeyUsage::new()
            .critical()
            .key_cert_sign()
            .crl_sign()
            .build()
            .expect("usage");
        builder.append_extension(usage).expect("extension");
        builder
            .sign(&key, MessageDigest::sha256())
            .expect("signature");
        let certificate = builder.build();
        fs::write(dir.join("ca.pem"), certificate.to_pem().expect("PEM"))
            .expect("the scratch directory is writable");
        Authority {
            key,
            certificate,
            dir: dir.to_owned(),
        }
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate for the XMPP domains `names` (dNSName), good for accepting and for opening streams.
    pub(crate) fn issue(&self, names: &[&str]) -> Credentials {
        let key = new_key();
        let mut builder = builder(names[0], &key);
        builder
            .set_issuer_name(self.certificate.subject_name())
            .expect("issuer");
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            alternative.dns(name);
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let alternative = alternative.build(&context).expect("names");
        builder.append_extension(alternative).expect("extension");
        let usage = ExtendedKeyUsage::new()
            .server_auth()
            .client_auth()
            .build()
            .expect("usage");
        builder.append_extension(usage).expect("extension");
        builder
            .sign(&self.key, MessageDigest::sha256())
            .expect("signature");

        let file = |ending: &str| self.dir.join(format!("{}.{ending}", names[0]));
        let credentials = Credentials {
            key: file("key"),
            certificate: file("crt"),
            both: file("pem"),
        };
        let key = key.private_key_to_pem_pkcs8().expect("PEM");
        let certificate = builder.build().to_pem().expect("PEM");
        fs::write(&credentials.key, &key).expect("the scratch directory is writable");
        fs::write(&credentials.certificate, &certificate)
            .expect("the scratch directory is writable");
        fs::write(&credentials.both, [certificate, key].concat())
            .expect("the scratch directory is writable");
        credentials
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("P-256");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

fn builder_name(common_name: &str) -> openssl::x509::X509Name {
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", common_name)
        .expect("a common name");
    name.build()
}

/// Everything but issuer, extensions and signature.
fn builder(common_name: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509Builder::new().expect("a builder");
    builder.set_version(2).expect("version 3");
    let mut serial = BigNum::new().expect("a number");
    serial
        .rand(120, MsbOption::MAYBE_ZERO, false)
        .expect("a serial");
    builder
        .set_serial_number(&serial.to_asn1_integer().expect("a serial"))
        .expect("a serial");
    builder
        .set_subject_name(&builder_name(common_name))
        .expect("a subject");
    builder.set_pubkey(key).expect("a public key");
    // In the past by an hour only: how much of its lifetime is left decides whether a certificate is healthy.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs();
    let now = i64::try_from(now).expect("a clock before the end of time");
    builder
        .set_not_before(&Asn1Time::from_unix(now - 3600).expect("a time"))
        .expect("not before");
    builder
        .set_not_after(&Asn1Time::days_from_now(30).expect("a time"))
        .expect("not after");
    builder
}
