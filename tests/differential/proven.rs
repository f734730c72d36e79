//! Answers that prove themselves: those of every name of the corpus and the names around them, also where no resolver would
//! ask or could answer; and those of random zones that are full of wildcards, cuts, aliases and empty names.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::base::iana::Rtype;
use hickory_proto::rr::RecordType;
use proptest::prelude::*;
use repoint::serve::Transport;
use repoint::zone::{KeyAlgorithm, Name, SigningKey, ZoneKeys, Zones};

use crate::dns::{self, HEAD};
use crate::proofs::check;
use crate::questions::{self, Asked};
use crate::said::{self, Record, Said};
use crate::signatures::Keys;
use crate::{asking, corpus};

const REFUSED: u16 = 5;

fn keys(zones: &Zones) -> Keys {
    Keys::new(zones.iter().map(|zone| {
        let set = zone.apex_node().set(RecordType::DNSKEY).unwrap();
        (zone.apex().clone(), set.rdatas[0].wire().to_vec())
    }))
}

/// The answer to a question; or what is wrong with it.
fn judge(zones: &Zones, keys: &Keys, asked: &Asked) -> Result<Said, String> {
    let octets = asking::repoint(zones, &asked.octets, Transport::Tcp).expect("an answer");
    let said = said::read(&octets)?;
    if said.rcode == REFUSED && zones.zone_of(asked.name.key()).is_none() {
        return Ok(said);
    }
    match check(keys, &asked.name, asked.rtype, &said) {
        Ok(()) => Ok(said),
        Err(fault) => Err(format!("{asked}: {fault}\n{said}")),
    }
}

/// Whether a check finds fault with an answer that lacks one NSEC or has another signature: gives how many it was shown.
fn doubted(keys: &Keys, asked: &Asked, said: &Said) -> usize {
    let nsecs = said.authority.iter().filter(|record| record.rtype == 47);
    let less = nsecs.map(|nsec| {
        let mut less = said.clone();
        let other = |record: &Record| !record.is(Rtype::NSEC) || record.owner != nsec.owner;
        less.authority.retain(other);
        less
    });
    let rrsigs = said.authority.iter().filter(|record| record.covered != 0);
    let forged = rrsigs.map(|rrsig| {
        let (mut forged, mut record) = (said.clone(), rrsig.clone());
        forged.authority.remove(rrsig);
        *record.rdata.last_mut().unwrap() ^= 1;
        forged.authority.insert(record);
        forged
    });
    let worse: Vec<Said> = less.chain(forged).collect();
    for worse in &worse {
        let checked = check(keys, &asked.name, asked.rtype, worse);
        assert!(checked.is_err(), "{asked}\n{said} as good as\n{worse}");
    }
    worse.len()
}

#[test]
fn every_answer_of_the_corpus_proves_itself_and_has_no_part_too_many() {
    let corpus = corpus::signed();
    let keys = keys(&corpus.zones);
    let questions = questions::for_validators(&corpus);
    let (mut faults, mut shown) = (Vec::new(), 0);
    for (n, asked) in questions.iter().enumerate() {
        match judge(&corpus.zones, &keys, asked) {
            Err(fault) => faults.push(fault),
            // A part of them: each is checked several times.
            Ok(said) if n % 8 == 0 => shown += doubted(&keys, asked, &said),
            Ok(_) => {}
        }
    }
    println!("{} answers, {shown} spoiled ones", questions.len());
    assert!(questions.len() > 20_000 && shown > 5_000);
    assert!(
        faults.is_empty(),
        "{} of {} prove nothing:\n{}",
        faults.len(),
        questions.len(),
        faults[..faults.len().min(12)].join("\n")
    );
}

/// A name in `example`, of few labels and those in each other's way.
fn owner() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        Just("a"),
        Just("b"),
        Just("B-"),
        Just("*"),
        Just("\\000"),
        Just("a\\.b")
    ];
    prop::collection::vec(label, 0..5).prop_map(|labels| {
        labels
            .iter()
            .map(|label| format!("{label}."))
            .collect::<String>()
            + "example."
    })
}

/// What stands at a name, as the lines of a master file; none of it may stand at the apex.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let ds = format!("DS 1 13 2 {}", "AB".repeat(32));
    prop_oneof![
        4 => Just(vec!["A 192.0.2.1".to_owned()]),
        2 => Just(vec!["TXT \"x\"".to_owned(), "MX 10 mail.example.net.".to_owned()]),
        3 => owner().prop_map(|target| vec![format!("CNAME {target}")]),
        1 => Just(vec!["CNAME www.example.net.".to_owned()]),
        2 => owner().prop_map(|target| vec![format!("DNAME {target}"), "A 192.0.2.2".to_owned()]),
        1 => Just(vec!["NS ns.example.net.".to_owned()]),
        1 => Just(vec!["NS ns.example.net.".to_owned(), ds]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_of_a_random_zone_proves_itself(
        nodes in prop::collection::btree_map(owner(), lines(), 0..14),
        asked in prop::collection::vec((owner(), prop::sample::select(vec![1_u16, 2, 5, 6, 15, 16, 39, 43, 47, 48])), 1..60),
    ) {
        let mut file = HEAD.to_owned();
        for (owner, lines) in &nodes {
            let cut = lines[0].starts_with("NS ");
            if owner != "example." && !(cut && owner.starts_with('*')) {
                file.extend(lines.iter().map(|line| format!("{owner} 60 {line}\n")));
            }
        }
        let apex: Name = questions::name("example.");
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let signing = Arc::new(ZoneKeys::single(Arc::new(key), 3600));
        let zones = dns::signed_zones(Vec::new(), &[("example", &file)], &BTreeMap::from([(apex, signing)]));
        let keys = keys(&zones);
        // Every name that the file has, and others.
        let owners = nodes.keys().flat_map(|owner| [1, 16, 43].map(|rtype| (owner.clone(), rtype)));
        for (owner, rtype) in owners.chain(asked) {
            let asked = questions::to_validate(questions::name(&owner), rtype);
            let judged = judge(&zones, &keys, &asked);
            prop_assert!(judged.is_ok(), "{}\n{file}", judged.unwrap_err());
        }
    }
}
