//! TSIG keys: a name, an algorithm, a secret.
//!
//! In: what two operators agreed on. Out: MACs. Never here: files; the secret, to anyone.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use crate::zone::Name;

/// What a MAC is computed with: those of RFC 8945 §6 that are recommended and no weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [
        Algorithm::HmacSha256,
        Algorithm::HmacSha384,
        Algorithm::HmacSha512,
    ];

    /// Its name in configuration and, as a domain name, in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    /// How many octets its MACs have.
    pub fn mac_octets(self) -> usize {
        match self {
            Algorithm::HmacSha256 => 32,
            Algorithm::HmacSha384 => 48,
            Algorithm::HmacSha512 => 64,
        }
    }

    /// Its name as messages carry it.
    pub fn name(self) -> Name {
        Name::from_labels([self.as_str().as_bytes()]).expect("one short label")
    }

    fn digest(self) -> MessageDigest {
        match self {
            Algorithm::HmacSha256 => MessageDigest::sha256(),
            Algorithm::HmacSha384 => MessageDigest::sha384(),
            Algorithm::HmacSha512 => MessageDigest::sha512(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = KeyFault;

    /// Reads [`Algorithm::as_str`] in any case, with or without the dot that ends a domain name.
    fn from_str(text: &str) -> Result<Algorithm, KeyFault> {
        let text = text.strip_suffix('.').unwrap_or(text);
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
            .ok_or(KeyFault::Algorithm)
    }
}

/// Why something is no TSIG key. Says nothing of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// An algorithm we do not have.
    #[error("its algorithm is none of hmac-sha256, hmac-sha384, hmac-sha512")]
    Algorithm,
    /// A secret that is not base64.
    #[error("its secret is not base64")]
    Secret,
    /// No secret at all.
    #[error("its secret is empty")]
    Empty,
}

/// A TSIG key. Prints its name and algorithm, never its secret.
#[derive(Clone)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    secret: PKey<Private>,
}

impl Key {
    /// Takes the octets of a secret.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Result<Key, KeyFault> {
        if secret.is_empty() {
            return Err(KeyFault::Empty);
        }
        let secret = PKey::hmac(secret).map_err(|_| KeyFault::Secret)?;
        Ok(Key {
            name,
            algorithm,
            secret,
        })
    }

    /// Takes a secret in base64, as every nameserver's tools print it; white space in it is passed over.
    pub fn from_base64(name: Name, algorithm: Algorithm, secret: &str) -> Result<Key, KeyFault> {
        let text: String = secret.split_whitespace().collect();
        let secret = BASE64.decode(text.as_bytes());
        Key::new(name, algorithm, &secret.map_err(|_| KeyFault::Secret)?)
    }

    /// The name both sides call it by.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What MACs are computed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The MAC over these octets, one after the other.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mac = || {
            let mut signer = Signer::new(self.algorithm.digest(), &self.secret)?;
            for part in parts {
                signer.update(part)?;
            }
            signer.sign_to_vec()
        };
        mac().expect("an HMAC with a key and a digest that are there")
    }

    /// Whether a key of that name and algorithm says the same: only its own octets tell secrets apart.
    pub fn is_same(&self, other: &Key) -> bool {
        self.name == other.name
            && self.algorithm == other.algorithm
            && openssl::memcmp::eq(&self.mac(&[b"same"]), &other.mac(&[b"same"]))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.is_same(other)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.name, self.algorithm)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// The TSIG keys we know, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    by_name: BTreeMap<Name, Arc<Key>>,
}

impl Keys {
    /// The key of a name; names are compared without case.
    pub fn get(&self, name: &Name) -> Option<&Arc<Key>> {
        self.by_name.get(name)
    }

    /// All of them, in canonical order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.by_name.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl FromIterator<Arc<Key>> for Keys {
    /// Of two keys with one name the later stays.
    fn from_iter<T: IntoIterator<Item = Arc<Key>>>(keys: T) -> Keys {
        let keys = keys.into_iter();
        Keys {
            by_name: keys.map(|key| (key.name.clone(), key)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn a_key_never_shows_its_secret() {
        let secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQ=";
        let key = Key::from_base64(name("ns2.example."), Algorithm::HmacSha256, secret).unwrap();
        let keys = Keys::from_iter([Arc::new(key.clone())]);
        let shown = format!("{key} {key:?} {keys:?}");
        assert!(shown.contains("ns2.example. hmac-sha256"), "{shown}");
        assert!(
            !shown.contains("secret ") && !shown.contains("c2Vj"),
            "{shown}"
        );
    }

    #[test]
    fn macs_are_those_of_rfc_4231() {
        // RFC 4231 §4.3 (test case 2).
        let expected = [
            (
                Algorithm::HmacSha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Algorithm::HmacSha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Algorithm::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ];
        for (algorithm, mac) in expected {
            let key = Key::new(name("k."), algorithm, b"Jefe").unwrap();
            let ours = key.mac(&[b"what do ya want ", b"for nothing?"]);
            assert_eq!(data_encoding::HEXLOWER.encode(&ours), mac);
            assert_eq!(ours.len(), algorithm.mac_octets());
        }
    }

    #[test]
    fn algorithms_are_read_in_any_case_and_bad_secrets_refused() {
        assert_eq!("HMAC-SHA384.".parse(), Ok(Algorithm::HmacSha384));
        assert_eq!("hmac-md5".parse::<Algorithm>(), Err(KeyFault::Algorithm));
        let key = |secret| Key::from_base64(name("k."), Algorithm::HmacSha256, secret);
        assert_eq!(key(" c2Vj\n cmV0 "), key("c2VjcmV0"));
        assert_eq!(key("no*base64").unwrap_err(), KeyFault::Secret);
        assert_eq!(key("").unwrap_err(), KeyFault::Empty);
        assert_ne!(key("c2VjcmV0"), key("c2VjcmV1"));
    }
}
