//! Octets as hexadecimal digits, for rows that are stored as text.
//!
//! In: octets, or digits. Out: the other. Never here: what they mean.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(super) fn serialize<S: Serializer>(wire: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let digits: String = wire.iter().map(|octet| format!("{octet:02x}")).collect();
    to.serialize_str(&digits)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let digits = String::deserialize(from)?;
    let pairs = digits.as_bytes().chunks(2);
    let octet = |pair: &[u8]| {
        let text = std::str::from_utf8(pair)
            .ok()
            .filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    pairs
        .map(octet)
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| D::Error::custom("these are not pairs of hexadecimal digits"))
}
