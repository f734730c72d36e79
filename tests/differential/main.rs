//! The same zones served by Knot, NSD, BIND and repoint; the same thousands of questions; message by message compared.
//!
//! In: the zone files of `zones/`, questions made from their names. Out: nothing, or each difference that no rule of
//! `reviewed.rs` explains, with the question and both messages; and each rule that explains nothing any more.
//! `REPOINT_DIFFERENTIAL=long` asks everything of every name; `REPOINT_SEED` repeats a run.

#![allow(clippy::unwrap_used)]

mod asking;
mod comparing;
mod corpus;
mod document;
mod flips;
#[path = "../dns/mod.rs"]
mod dns;
mod peers;
mod proofs;
mod proven;
mod questions;
mod reviewed;
mod said;
mod signatures;
mod validation;
#[allow(dead_code)] // What the tests of signing need of it.
#[path = "../signing/ground.rs"]
mod ground;
#[path = "../world/mod.rs"]
mod world;

use std::path::Path;
use std::time::Duration;

use comparing::{Comparison, Question};
use corpus::Corpus;
use world::private_network;

/// What the tests start.
const PROGRAMS: &[&str] = &["knotd", "nsd", "named", "unbound", "delv"];
/// How long one comparison may take on a busy machine, the long one included.
const LIMIT: Duration = Duration::from_secs(1200);

#[test]
fn repoint_answers_as_knot_nsd_and_bind_do() {
    private_network::enter("repoint_answers_as_knot_nsd_and_bind_do", LIMIT, |dir| {
        compare(&corpus::unsigned(), false, dir);
    });
}

#[test]
fn repoint_answers_from_signed_zones_as_knot_nsd_and_bind_do() {
    let test = "repoint_answers_from_signed_zones_as_knot_nsd_and_bind_do";
    private_network::enter(test, LIMIT, |dir| {
        compare(&corpus::signed(), true, dir);
    });
}

fn compare(corpus: &Corpus, signed: bool, dir: &Path) {
    let peers = peers::start(corpus, dir);
    let seed = questions::seed();
    let questions: Vec<Question> = questions::of(corpus, seed)
        .into_iter()
        .map(|asked| Question::new(corpus, asked))
        .collect();
    let mut comparison = Comparison::new(signed, seed);
    for peer in &peers {
        comparison.run(corpus, peer, &questions);
    }
    comparison.conclude();
}
