//! TSIG against `domain`'s implementation, which shares no code with ours: each side of ours with the other side of theirs.

use std::str::FromStr;
use std::sync::Arc;

use domain::base::iana::Rcode;
use domain::base::message_builder::AdditionalBuilder;
use domain::base::{Message, MessageBuilder, Name as TheirName, Rtype};
use domain::rdata::tsig::Time48;
use domain::tsig as theirs;
use proptest::prelude::*;
use repoint::clock::Wall;
use repoint::tsig::{
    Algorithm, Fault, Key, Keys, Received, Refusal, Signer, VerifyFault, receive, sign,
};
use repoint::zone::Name;

const SECRET: &[u8] = b"thirty-two octets of a secret .!";
const NOW: u64 = 1_795_000_000;

fn at(seconds: u64) -> Wall {
    Wall::from_millis(i64::try_from(seconds).unwrap() * 1000)
}

fn ours(algorithm: Algorithm) -> Arc<Key> {
    let name = Name::from_text(b"Key.Example.", None).unwrap();
    Arc::new(Key::new(name, algorithm, SECRET).unwrap())
}

fn their_key(algorithm: Algorithm) -> Arc<theirs::Key> {
    let name = theirs::KeyName::from_str("key.example").unwrap();
    let algorithm = theirs::Algorithm::from_str(algorithm.as_str()).unwrap();
    Arc::new(theirs::Key::new(algorithm, SECRET, name, None, None).unwrap())
}

fn keys(algorithm: Algorithm) -> Keys {
    [ours(algorithm)].into_iter().collect()
}

/// A request for a transfer, as they build it, unsigned.
fn request() -> AdditionalBuilder<Vec<u8>> {
    let mut question = MessageBuilder::new_vec().question();
    let zone = TheirName::<Vec<u8>>::from_str("contoso.com").unwrap();
    question.push((zone, Rtype::AXFR)).unwrap();
    question.additional()
}

/// The same as octets.
fn plain(id: u16) -> Vec<u8> {
    let mut octets = request().finish();
    octets[..2].copy_from_slice(&id.to_be_bytes());
    octets
}

fn response(n: u8) -> Vec<u8> {
    let mut octets = plain(0x1234);
    octets[2] |= 0x80;
    octets[3] = n & 0x0f;
    octets
}

fn signed(octets: &[u8], algorithm: Algorithm) -> Signer {
    match receive(octets, &keys(algorithm), at(NOW)) {
        Received::Signed(signer) => signer,
        other => panic!("{other:?}"),
    }
}

fn refused(octets: &[u8], keys: &Keys, now: u64) -> Refusal {
    match receive(octets, keys, at(now)) {
        Received::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sequence_of_ours_is_verified_by_theirs() {
    for algorithm in Algorithm::ALL {
        let mut asked = request();
        let mut client = theirs::ClientSequence::request(
            their_key(algorithm),
            &mut asked,
            Time48::from_u64(NOW),
        )
        .unwrap();
        let mut signer = signed(&asked.finish(), algorithm);
        for n in 0..5 {
            let mut said = response(n);
            let (bare, room) = (said.len(), signer.octets());
            signer.sign(&mut said, at(NOW + u64::from(n)));
            assert_eq!(said.len(), bare + room, "it says how long it is");
            let mut message = Message::from_octets(said).unwrap();
            client.answer(&mut message, Time48::from_u64(NOW)).unwrap();
        }
        client.done().unwrap();
    }
}

#[test]
fn a_sequence_of_theirs_is_verified_by_ours() {
    for algorithm in Algorithm::ALL {
        let mut octets = plain(7);
        let mut verifier = sign(&mut octets, &ours(algorithm), at(NOW));
        let mut message = Message::from_octets(octets).unwrap();
        let mut server = theirs::ServerSequence::request(
            &their_key(algorithm),
            &mut message,
            Time48::from_u64(NOW),
        )
        .unwrap()
        .expect("it is signed");
        assert!(!verifier.is_settled());
        for _ in 0..5 {
            let mut answer = MessageBuilder::new_vec()
                .start_answer(&message, Rcode::NOERROR)
                .unwrap()
                .additional();
            server.answer(&mut answer, Time48::from_u64(NOW)).unwrap();
            verifier.verify(&answer.finish(), at(NOW)).unwrap();
        }
        assert!(verifier.is_settled());
    }
}

#[test]
fn an_unsigned_message_within_a_sequence_counts_once_a_signed_one_follows() {
    let key = ours(Algorithm::HmacSha256);
    let mut octets = plain(7);
    let mut verifier = sign(&mut octets, &key, at(NOW));
    let mut signer = signed(&octets, Algorithm::HmacSha256);
    let mut first = response(0);
    signer.sign(&mut first, at(NOW));
    verifier.verify(&first, at(NOW)).unwrap();
    verifier.verify(&response(0), at(NOW)).unwrap();
    assert!(!verifier.is_settled(), "the last message must be signed");
    let mut signed_alone = response(0);
    signer.sign(&mut signed_alone, at(NOW));
    // Our server signs each message by itself, so this one's MAC does not cover the message put in between.
    assert_eq!(
        verifier.verify(&signed_alone, at(NOW)),
        Err(VerifyFault::Signature)
    );
    // And the first message must be signed at all.
    let mut verifier = sign(&mut plain(7), &key, at(NOW));
    assert_eq!(
        verifier.verify(&response(0), at(NOW)),
        Err(VerifyFault::Unsigned)
    );
}

#[test]
fn faults_are_told_as_rfc_8945_section_5_2_says() {
    let algorithm = Algorithm::HmacSha256;
    let mut octets = plain(7);
    let mut verifier = sign(&mut octets, &ours(algorithm), at(NOW));

    // §5.2.1: an unknown name, another algorithm; unsigned.
    for keys in [Keys::default(), keys(Algorithm::HmacSha512)] {
        let refusal = refused(&octets, &keys, NOW);
        assert_eq!(refusal.fault(), Fault::BadKey);
        let mut said = response(9);
        refusal.complete(&mut said, at(NOW));
        assert_eq!(
            verifier.verify(&said, at(NOW)),
            Err(VerifyFault::Refused { error: 17 })
        );
    }

    // §5.2.2: another secret; unsigned.
    let name = Name::from_text(b"key.example.", None).unwrap();
    let other = Arc::new(Key::new(name, algorithm, b"another secret").unwrap());
    let refusal = refused(&octets, &[other].into_iter().collect(), NOW);
    assert_eq!(refusal.fault(), Fault::BadSig);
    let mut said = response(9);
    refusal.complete(&mut said, at(NOW));
    assert_eq!(
        verifier.verify(&said, at(NOW)),
        Err(VerifyFault::Refused { error: 16 })
    );

    // §5.2.3: outside the fudge on either side; signed, so that the client may believe it, with our time beside its own.
    for (now, good) in [
        (NOW + 300, true),
        (NOW + 301, false),
        (NOW - 300, true),
        (NOW - 301, false),
    ] {
        let received = receive(&octets, &keys(algorithm), at(now));
        assert_eq!(matches!(received, Received::Signed(_)), good, "{now}");
    }
    let refusal = refused(&octets, &keys(algorithm), NOW + 4000);
    assert_eq!(refusal.fault(), Fault::BadTime);
    let mut said = response(9);
    refusal.complete(&mut said, at(NOW + 4000));
    let other = &said[said.len() - 6..];
    assert_eq!(other, &(NOW + 4000).to_be_bytes()[2..], "our time");
    assert_eq!(
        verifier.verify(&said, at(NOW)),
        Err(VerifyFault::Refused { error: 18 })
    );

    // §5.1: not the last record; twice; octets behind it.
    let mut behind = octets.clone();
    behind.push(0);
    let mut twice = octets.clone();
    sign(&mut twice, &ours(algorithm), at(NOW));
    for malformed in [behind, twice] {
        assert_eq!(
            refused(&malformed, &keys(algorithm), NOW).fault(),
            Fault::Malformed
        );
    }
}

#[test]
fn a_mac_that_was_cut_is_badtrunc_and_one_cut_too_short_is_malformed() {
    let algorithm = Algorithm::HmacSha256;
    let cut = |octets: usize| {
        let key = theirs::KeyName::from_str("key.example").unwrap();
        let key =
            theirs::Key::new(theirs::Algorithm::Sha256, SECRET, key, None, Some(octets)).unwrap();
        let mut asked = request();
        theirs::ClientTransaction::request(Arc::new(key), &mut asked, Time48::from_u64(NOW))
            .unwrap();
        asked.finish()
    };
    assert_eq!(
        refused(&cut(16), &keys(algorithm), NOW).fault(),
        Fault::BadTrunc
    );
    // RFC 8945 §5.2.2.1: less than half of the MAC.
    let mut octets = cut(16);
    let at_mac_size = octets.len() - 6 - 16 - 2;
    octets[at_mac_size + 1] = 15;
    octets.remove(at_mac_size + 2);
    let length_at = at_mac_size - 8 - 13 - 2;
    let length = u16::from_be_bytes([octets[length_at], octets[length_at + 1]]) - 1;
    octets[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    assert_eq!(
        refused(&octets, &keys(algorithm), NOW).fault(),
        Fault::Malformed
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// But for the identifier, which a forwarder may change (§4.2), and the case of names, which is not compared.
    #[test]
    fn a_flipped_bit_anywhere_is_noticed(bit in 16_usize..2000, server in any::<bool>()) {
        let key = ours(Algorithm::HmacSha384);
        let mut octets = plain(7);
        let mut verifier = sign(&mut octets, &key, at(NOW));
        if !server {
            let mut said = response(0);
            signed(&octets, Algorithm::HmacSha384);
            match receive(&octets, &keys(Algorithm::HmacSha384), at(NOW)) {
                Received::Signed(mut signer) => signer.sign(&mut said, at(NOW)),
                other => panic!("{other:?}"),
            }
            octets = said;
        }
        let bit = 16 + (bit - 16) % (octets.len() * 8 - 16);
        let before = octets[bit / 8];
        octets[bit / 8] ^= 1 << (bit % 8);
        let only_case = before.eq_ignore_ascii_case(&octets[bit / 8]);
        let name_begins = octets.len() - ours(Algorithm::HmacSha384).algorithm().mac_octets() - 6 - 10 - 13 - 10 - 13;
        prop_assume!(!(only_case && bit / 8 >= name_begins));
        if server {
            let accepted = matches!(receive(&octets, &keys(Algorithm::HmacSha384), at(NOW)), Received::Signed(_));
            prop_assert!(!accepted, "bit {} of a request", bit);
        } else {
            prop_assert!(verifier.verify(&octets, at(NOW)).is_err(), "bit {} of a response", bit);
        }
    }

    #[test]
    fn any_octets_are_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = receive(&octets, &keys(Algorithm::HmacSha256), at(NOW));
        let mut verifier = sign(&mut plain(1), &ours(Algorithm::HmacSha256), at(NOW));
        let _ = verifier.verify(&octets, at(NOW));
    }
}
