//! Flips of a signed zone while a validator asks: nothing bogus, nothing mixed, nothing lost.
//!
//! In: a zone whose pool changes again and again, Unbound with its key as trust anchor. Out: nothing, or each answer that is
//! not secure or that no version said. `REPOINT_FLIPS` sets how many; the bounded run makes 100.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_proto::rr::RecordType;
use repoint::zone::KeyAlgorithm;

use crate::asking;
use crate::dns;
use crate::ground::{Served, key, single};
use crate::said;
use crate::validation::{UNBOUND, run_unbound, serve};
use crate::world::private_network::enter;

const LIMIT: Duration = Duration::from_secs(600);
/// Questions per second, in turns.
const RATE: usize = 2_000;
const TURN: usize = 40;

#[test]
fn no_flip_of_a_signed_zone_is_bogus_mixed_or_lost() {
    enter(
        "flips::no_flip_of_a_signed_zone_is_bogus_mixed_or_lost",
        LIMIT,
        |dir| {
            let flips: usize = std::env::var("REPOINT_FLIPS").map_or(100, |n| n.parse().unwrap());
            let signer = key(KeyAlgorithm::EcdsaP256Sha256);
            let mut served = Served::new("", Some(single(&signer)));
            let published = Arc::new(ArcSwap::from_pointee(served.zones.clone()));
            let _serving = serve(published.clone());
            let dnskey = signer.dnskey().rdata().to_text(RecordType::DNSKEY);
            let zone = "contoso.example.".to_owned();
            let anchor = format!("{zone} DNSKEY {dnskey}\n");
            // Nothing is kept, and nothing made of an earlier NSEC: each question is asked of repoint and validated.
            let more = [
                "cache-max-ttl: 0",
                "cache-max-negative-ttl: 0",
                "aggressive-nsec: no",
            ];
            let _unbound = run_unbound(&[zone], &anchor, &more, dir);

            let questions = [
                ("_xmpp-server._tcp.contoso.example.", "SRV"),
                ("xmpp.contoso.example.", "A"),
                ("xmpp.contoso.example.", "AAAA"),
                ("nothing.contoso.example.", "A"),
            ];
            let done = AtomicBool::new(false);
            let asked = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                let asking = scope.spawn(|| ask(&questions, &done, &asked));
                for n in 0..flips {
                    served.active = if n % 2 == 0 { 2 } else { 1 };
                    served.publish();
                    published.store(Arc::new(served.zones.clone()));
                    // A flip for each few questions: what is asked meanwhile meets both.
                    let until = asked.load(Ordering::Relaxed) + TURN;
                    while asked.load(Ordering::Relaxed) < until && !asking.is_finished() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                done.store(true, Ordering::Relaxed);
                let seen = asking.join().unwrap();
                println!(
                    "{flips} flips, {} questions, {} different answers",
                    asked.load(Ordering::Relaxed),
                    seen
                );
                // Both pools' SRV and A, one pool's AAAA and its absence, and the name that is not there.
                assert_eq!(seen, 7);
            });
        },
    );
}

/// What an answer section says.
type Data = Vec<(u16, Vec<u8>)>;

/// Asks the validator in turns of [`TURN`], at most [`RATE`] a second, until `done`; gives how many different answers it saw.
fn ask(questions: &[(&str, &str)], done: &AtomicBool, asked: &AtomicUsize) -> usize {
    let messages: Vec<Vec<u8>> = (0..TURN)
        .map(|n| {
            let (name, rtype) = questions[n % questions.len()];
            let query = dns::query(name, rtype).flags(0x0100);
            query.opt(4096, 0x8000, &[]).octets()
        })
        .collect();
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut seen: BTreeSet<(usize, Data)> = BTreeSet::new();
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        for (n, reply) in asking::udp(UNBOUND, &messages).into_iter().enumerate() {
            let (name, rtype) = questions[n % questions.len()];
            let reply = reply.unwrap_or_else(|| panic!("{name} {rtype}: no answer"));
            let said = said::read(&reply).unwrap();
            let code = if name.starts_with("nothing") { 3 } else { 0 };
            assert_eq!(said.rcode, code, "{name} {rtype}\n{said}");
            assert!(said.flags.ad, "{name} {rtype} is not secure\n{said}");
            let data = said.answer.iter().filter(|r| r.covered == 0);
            let data: Data = data.map(|r| (r.rtype, r.rdata.clone())).collect();
            seen.insert((n % questions.len(), data));
        }
        asked.fetch_add(messages.len(), Ordering::Relaxed);
        let turn =
            Duration::from_secs(1) * u32::try_from(TURN).unwrap() / u32::try_from(RATE).unwrap();
        std::thread::sleep(turn.saturating_sub(began.elapsed()));
    }
    seen.len()
}
