//! Private keys that are the same in every run: the same seed leads to the same life.
//!
//! In: a number. Out: a key. Never here: chance.

use std::sync::Arc;

use data_encoding::BASE64;
use openssl::hash::{MessageDigest, hash};
use repoint::zone::{KeyAlgorithm, SigningKey};

/// The key of this number; another algorithm's is another key.
pub(crate) fn key(algorithm: KeyAlgorithm, number: u64) -> Arc<SigningKey> {
    let private = hash(MessageDigest::sha256(), &number.to_be_bytes()).unwrap();
    let text = format!(
        "Private-key-format: v1.3\nAlgorithm: {}\nPrivateKey: {}\n",
        algorithm.number(),
        BASE64.encode(&private)
    );
    Arc::new(SigningKey::from_bind_private(&text, true).unwrap())
}
