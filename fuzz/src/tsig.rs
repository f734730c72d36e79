//! Any octets as a signed message: nobody signs without the secret.

use std::sync::Arc;

use repoint::clock::Wall;
use repoint::tsig::{Algorithm, Key, Keys, Received, receive, sign};
use repoint::zone::Name;

fn key(name: &str, secret: &[u8]) -> Arc<Key> {
    let name: Name = Name::from(&name.parse::<repoint::topology::DomainName>().unwrap());
    Arc::new(Key::new(name, Algorithm::HmacSha256, secret).unwrap())
}

/// The octets as a request, as a response, and as what is signed and then changed.
pub fn tsig(data: &[u8]) {
    let now = Wall::from_millis(1_800_000_000_000);
    let ours = key("key.example.net", b"a secret of thirty-two octets...");
    let keys: Keys = [ours.clone()].into_iter().collect();
    // A signature made without the secret is never good.
    match receive(data, &keys, now) {
        Received::Unsigned | Received::Refused(_) => {}
        Received::Signed(_) => panic!("a good signature without the secret"),
    }
    let mut request = QUERY.to_vec();
    let mut verifier = sign(&mut request, &ours, now);
    assert!(matches!(receive(&request, &keys, now), Received::Signed(_)));
    assert!(verifier.verify(data, now).is_err());
    // What is changed on its way is no longer signed; where and how, the octets say.
    if let [at_high, at_low, bits, ..] = *data {
        let at = usize::from(u16::from_be_bytes([at_high, at_low])) % request.len();
        let mut changed = request.clone();
        changed[at] ^= bits;
        // The identifier is the forwarder's to change (RFC 8945 §5.3: the original one is signed), and names are the
        // same in either case.
        let harmless = bits == 0 || at < 2 || bits == 0x20;
        if !harmless {
            let taken = matches!(receive(&changed, &keys, now), Received::Signed(_));
            assert!(!taken, "octet {at} changed by {bits:#x}");
        }
    }
    // Any request can be signed, and is good then, unless it has no place for a signature.
    if data.len() >= 12 && data.len() < 60_000 {
        let mut signed = data.to_vec();
        let _ = sign(&mut signed, &ours, now);
        let _ = receive(&signed, &keys, now);
    }
}

/// `host.example.com A`.
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04host\x07example\x03com\x00\x00\x01\x00\x01";
