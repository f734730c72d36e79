//! DNSSEC keys: the public half as a DNSKEY record, the private half that signs.
//!
//! In: a generated key, PEM or BIND's `.private` text. Out: DNSKEY and DS records, signatures over octets.
//! Never here: files, when a key is used (`keys`), what is signed (`signing`). The private half leaves only as PEM
//! that somebody asked for; `Debug` never shows it.

use std::fmt;

use hickory_proto::rr::RecordType;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;

use super::name::Name;
use super::rdata::{Rdata, unbase64};

/// The flag of a key that signs zone data (RFC 4034 §2.1.1).
const ZONE_KEY: u16 = 0x0100;
/// The flag of a key that the parent's DS points at (RFC 4034 §2.1.1).
const SECURE_ENTRY_POINT: u16 = 0x0001;

/// What we sign with (RFC 8624 §3.1: the two algorithms recommended for signing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256: number 13 (RFC 6605).
    EcdsaP256Sha256,
    /// Ed25519: number 15 (RFC 8080).
    Ed25519,
}

impl KeyAlgorithm {
    /// Its number in DNSKEY, DS and RRSIG records.
    pub fn number(self) -> u8 {
        match self {
            KeyAlgorithm::EcdsaP256Sha256 => 13,
            KeyAlgorithm::Ed25519 => 15,
        }
    }

    /// The algorithm of a number; none when we do not sign with it.
    pub fn from_number(number: u8) -> Option<KeyAlgorithm> {
        [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519]
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
    }

    /// The word of configuration and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyAlgorithm::EcdsaP256Sha256 => "ecdsap256sha256",
            KeyAlgorithm::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for KeyAlgorithm {
    type Err = KeyFault;

    /// Reads [`KeyAlgorithm::as_str`] in any case.
    fn from_str(text: &str) -> Result<KeyAlgorithm, KeyFault> {
        [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519]
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
            .ok_or(KeyFault::Algorithm)
    }
}

/// Why something is not a key of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Neither of our two algorithms.
    #[error("its algorithm is neither ECDSA P-256 with SHA-256 (13) nor Ed25519 (15)")]
    Algorithm,
    /// Not PEM of an unencrypted private key.
    #[error("it is not the PEM of a private key without a passphrase")]
    Pem,
    /// A line of `.private` text that is missing or cannot be read.
    #[error("its {field} line is missing or cannot be read")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// Octets that are no private key of the algorithm.
    #[error("its private half is not a key of its algorithm")]
    Private,
    /// OpenSSL failed, which it does without memory or random numbers.
    #[error("the cryptographic library failed: {0}")]
    Library(String),
}

impl From<ErrorStack> for KeyFault {
    fn from(errors: ErrorStack) -> KeyFault {
        KeyFault::Library(errors.to_string())
    }
}

/// The public half: a DNSKEY record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dnskey {
    rdata: Rdata,
}

impl Dnskey {
    /// Takes the RDATA of a DNSKEY record, of whatever algorithm; none when it is not one.
    pub fn from_rdata(rdata: Rdata) -> Option<Dnskey> {
        // Flags, the protocol number 3 (RFC 4034 §2.1.2), algorithm, key.
        (rdata.wire().len() > 4 && rdata.wire()[2] == 3).then_some(Dnskey { rdata })
    }

    fn new(flags: u16, algorithm: KeyAlgorithm, public: &[u8]) -> Dnskey {
        let mut wire = flags.to_be_bytes().to_vec();
        wire.extend([3, algorithm.number()]);
        wire.extend(public);
        let rdata = Rdata::new(RecordType::DNSKEY, &wire).expect("four octets and a key");
        Dnskey { rdata }
    }

    /// The RDATA, as DNSKEY and CDNSKEY records carry it.
    pub fn rdata(&self) -> &Rdata {
        &self.rdata
    }

    /// The flags: 257 for a key the parent points at, 256 for one that only signs the zone.
    pub fn flags(&self) -> u16 {
        let wire = self.rdata.wire();
        u16::from_be_bytes([wire[0], wire[1]])
    }

    /// Whether the parent's DS may point at it.
    pub fn is_secure_entry_point(&self) -> bool {
        self.flags() & SECURE_ENTRY_POINT != 0
    }

    /// The number of its algorithm.
    pub fn algorithm(&self) -> u8 {
        self.rdata.wire()[3]
    }

    /// The key tag (RFC 4034 appendix B).
    pub fn tag(&self) -> u16 {
        let sum = self.rdata.wire().chunks(2).fold(0_u32, |sum, pair| {
            sum + (u32::from(pair[0]) << 8) + pair.get(1).map_or(0, |low| u32::from(*low))
        });
        let folded = sum + (sum >> 16);
        (folded & 0xffff) as u16
    }

    /// The RDATA of the DS (and CDS) record for this key of `owner`, with SHA-256 (RFC 4509).
    pub fn ds(&self, owner: &Name) -> Rdata {
        self.ds_with(owner, 2).expect("SHA-256 is always there")
    }

    /// The DS records for this key of `owner` as a master file has them: with SHA-256, and with SHA-384 (RFC 6605 §2).
    pub fn ds_records(&self, owner: &Name) -> Vec<String> {
        let digests = [2, 4]
            .into_iter()
            .filter_map(|digest| self.ds_with(owner, digest));
        digests
            .map(|ds| format!("{owner}\tIN\tDS\t{}", ds.to_text(RecordType::DS)))
            .collect()
    }

    /// The RDATA as a master file has it.
    pub fn to_text(&self) -> String {
        self.rdata.to_text(RecordType::DNSKEY)
    }

    /// Whether a DS record's RDATA means this key of `owner`; false for digests we cannot compute.
    pub fn matches_ds(&self, owner: &Name, ds: &Rdata) -> bool {
        let digest = ds.wire().get(3).copied();
        digest
            .and_then(|digest| self.ds_with(owner, digest))
            .as_ref()
            == Some(ds)
    }

    /// RFC 4034 §5.1.4: the digest is over the canonical owner and the DNSKEY's RDATA.
    fn ds_with(&self, owner: &Name, digest: u8) -> Option<Rdata> {
        let method = match digest {
            1 => MessageDigest::sha1(),
            2 => MessageDigest::sha256(),
            4 => MessageDigest::sha384(),
            _ => return None,
        };
        let mut input = owner.wire().to_ascii_lowercase();
        input.extend(self.rdata.wire());
        let mut wire = self.tag().to_be_bytes().to_vec();
        wire.extend([self.algorithm(), digest]);
        wire.extend(hash(method, &input).ok()?.iter());
        Rdata::new(RecordType::DS, &wire)
    }
}

impl fmt::Debug for Dnskey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flags, algorithm, tag) = (self.flags(), self.algorithm(), self.tag());
        write!(f, "Dnskey({tag}, flags {flags}, algorithm {algorithm})")
    }
}

/// A key with its private half.
pub struct SigningKey {
    algorithm: KeyAlgorithm,
    dnskey: Dnskey,
    private: PKey<Private>,
    /// The same key as [`SigningKey::private`], in the form that signs fastest.
    ec: Option<EcKey<Private>>,
}

impl SigningKey {
    /// A new key that the parent's DS can point at (flags 257).
    pub fn generate(algorithm: KeyAlgorithm) -> Result<SigningKey, KeyFault> {
        let private = match algorithm {
            KeyAlgorithm::EcdsaP256Sha256 => PKey::from_ec_key(EcKey::generate(&*p256()?)?)?,
            KeyAlgorithm::Ed25519 => PKey::generate_ed25519()?,
        };
        SigningKey::new(private, true)
    }

    /// Reads PEM (PKCS#8, or SEC 1 for ECDSA). `entry_point` sets the flag of keys that a DS points at.
    pub fn from_pem(pem: &[u8], entry_point: bool) -> Result<SigningKey, KeyFault> {
        // The callback is asked for a passphrase; without it OpenSSL would ask the terminal.
        let private = PKey::private_key_from_pem_callback(pem, |_| Ok(0));
        SigningKey::new(private.map_err(|_| KeyFault::Pem)?, entry_point)
    }

    /// Reads the text of a `.private` file as BIND's tools write it.
    pub fn from_bind_private(text: &str, entry_point: bool) -> Result<SigningKey, KeyFault> {
        let field = |field: &'static str| {
            let line = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim()
                    .eq_ignore_ascii_case(field)
                    .then(|| value.trim())
            });
            line.ok_or(KeyFault::Field { field })
        };
        let number = field("Algorithm")?;
        let number = number
            .split_whitespace()
            .next()
            .and_then(|n| n.parse().ok());
        let number = number.ok_or(KeyFault::Field { field: "Algorithm" })?;
        let algorithm = KeyAlgorithm::from_number(number).ok_or(KeyFault::Algorithm)?;
        let octets = unbase64(field("PrivateKey")?.as_bytes());
        let octets = octets.ok_or(KeyFault::Field {
            field: "PrivateKey",
        })?;
        if octets.len() != 32 {
            return Err(KeyFault::Private);
        }
        let private = match algorithm {
            KeyAlgorithm::EcdsaP256Sha256 => PKey::from_ec_key(ec_key_of_scalar(&octets)?)?,
            KeyAlgorithm::Ed25519 => PKey::private_key_from_raw_bytes(&octets, Id::ED25519)
                .map_err(|_| KeyFault::Private)?,
        };
        SigningKey::new(private, entry_point)
    }

    fn new(private: PKey<Private>, entry_point: bool) -> Result<SigningKey, KeyFault> {
        let (algorithm, public, ec) = match private.id() {
            Id::ED25519 => (KeyAlgorithm::Ed25519, private.raw_public_key()?, None),
            Id::EC => {
                let key = private.ec_key()?;
                if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
                    return Err(KeyFault::Algorithm);
                }
                key.check_key().map_err(|_| KeyFault::Private)?;
                let mut context = BigNumContext::new()?;
                let form = PointConversionForm::UNCOMPRESSED;
                let point = key.public_key().to_bytes(key.group(), form, &mut context)?;
                // RFC 6605 §4: the two coordinates, without the octet that says so.
                let public = point[1..].to_vec();
                (KeyAlgorithm::EcdsaP256Sha256, public, Some(key))
            }
            _ => return Err(KeyFault::Algorithm),
        };
        let flags = ZONE_KEY | if entry_point { SECURE_ENTRY_POINT } else { 0 };
        Ok(SigningKey {
            algorithm,
            dnskey: Dnskey::new(flags, algorithm, &public),
            private,
            ec,
        })
    }

    /// The private half as PKCS#8 PEM without a passphrase: for a file that only its owner reads.
    pub fn to_pem(&self) -> Result<Vec<u8>, KeyFault> {
        Ok(self.private.private_key_to_pem_pkcs8()?)
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Its public half.
    pub fn dnskey(&self) -> &Dnskey {
        &self.dnskey
    }

    /// Its key tag.
    pub fn tag(&self) -> u16 {
        self.dnskey.tag()
    }

    /// Signs octets; gives the signature as an RRSIG record carries it.
    pub fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, KeyFault> {
        match &self.ec {
            Some(key) => {
                let digest = openssl::sha::sha256(octets);
                let signature = EcdsaSig::sign(&digest, key)?;
                // RFC 6605 §4: r and s, 32 octets each.
                let mut octets = signature.r().to_vec_padded(32)?;
                octets.extend(signature.s().to_vec_padded(32)?);
                Ok(octets)
            }
            None => {
                let mut signer = Signer::new_without_digest(&self.private)?;
                Ok(signer.sign_oneshot_to_vec(octets)?)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.tag(), self.algorithm)
    }
}

fn p256() -> Result<EcGroup, ErrorStack> {
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)
}

fn ec_key_of_scalar(octets: &[u8]) -> Result<EcKey<Private>, KeyFault> {
    let (group, mut context) = (p256()?, BigNumContext::new()?);
    let scalar = BigNum::from_slice(octets)?;
    let mut public = EcPoint::new(&group)?;
    public.mul_generator2(&group, &scalar, &mut context)?;
    let key = EcKey::from_private_components(&group, &scalar, &public);
    key.map_err(|_| KeyFault::Private)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // RFC 6605 §6.1 and RFC 8080 §6.1: a private key each, with its DNSKEY and DS records.
    const RFC_6605: &str = "Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\n\
                            PrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=\n";
    const RFC_8080: &str = "Private-key-format: v1.2\nAlgorithm: 15 (ED25519)\n\
                            PrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n";

    #[test]
    fn the_rfcs_examples_have_the_tags_and_digests_they_print() {
        let cases = [
            (
                RFC_6605,
                "example.net.",
                55648,
                "B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17",
            ),
            (
                RFC_8080,
                "example.com.",
                3613,
                "3AA5AB37EFCE57F737FC1627013FEE07BDF241BD10F3B1964AB55C78E79A304B",
            ),
        ];
        for (text, owner, tag, digest) in cases {
            let key = SigningKey::from_bind_private(text, true).unwrap();
            assert_eq!((key.tag(), key.dnskey().flags()), (tag, 257));
            let owner = Name::from_text(owner.as_bytes(), None).unwrap();
            let ds = key.dnskey().ds(&owner);
            let algorithm = key.algorithm().number();
            assert_eq!(
                ds.to_text(RecordType::DS),
                format!("{tag} {algorithm} 2 {digest}")
            );
            assert!(key.dnskey().matches_ds(&owner, &ds));
            assert!(!key.dnskey().matches_ds(&Name::root(), &ds));
        }
    }

    #[test]
    fn ed25519_signs_the_rfcs_octets_as_the_rfc_does() {
        // Ed25519 is deterministic (RFC 8032), so a known key gives known octets.
        let key = SigningKey::from_bind_private(RFC_8080, true).unwrap();
        assert_eq!(key.sign(b"a").unwrap(), key.sign(b"a").unwrap());
        assert_eq!(key.sign(b"a").unwrap().len(), 64);
    }

    #[test]
    fn a_key_lives_again_from_its_pem() {
        for algorithm in [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519] {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pem(&key.to_pem().unwrap(), true).unwrap();
            assert_eq!(again.dnskey(), key.dnskey());
            assert_eq!(key.sign(b"octets").unwrap().len(), 64);
            assert_eq!(algorithm.as_str().to_uppercase().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn other_keys_are_refused_with_what_is_wrong() {
        let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
        let pem = PKey::from_rsa(rsa)
            .unwrap()
            .private_key_to_pem_pkcs8()
            .unwrap();
        assert_eq!(
            SigningKey::from_pem(&pem, true).unwrap_err(),
            KeyFault::Algorithm
        );
        assert_eq!(SigningKey::from_pem(b"", true).unwrap_err(), KeyFault::Pem);
        let private = |text: &str| SigningKey::from_bind_private(text, true).unwrap_err();
        assert_eq!(private("Algorithm: 8 (RSASHA256)"), KeyFault::Algorithm);
        assert_eq!(
            private("Algorithm: 13"),
            KeyFault::Field {
                field: "PrivateKey"
            }
        );
        let zero = "A".repeat(43) + "=";
        assert_eq!(
            private(&format!("Algorithm: 13\nPrivateKey: {zero}")),
            KeyFault::Private
        );
        assert_eq!(
            private("Algorithm: 15\nPrivateKey: AAAA"),
            KeyFault::Private
        );
    }

    #[test]
    fn an_encrypted_pem_is_refused_without_asking_anybody() {
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let cipher = openssl::symm::Cipher::aes_128_cbc();
        let pem = key
            .private
            .private_key_to_pem_pkcs8_passphrase(cipher, b"secret");
        assert_eq!(
            SigningKey::from_pem(&pem.unwrap(), true).unwrap_err(),
            KeyFault::Pem
        );
    }

    #[test]
    fn debug_never_shows_the_private_half() {
        let key = SigningKey::from_bind_private(RFC_8080, true).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(3613, ed25519)");
    }
}
