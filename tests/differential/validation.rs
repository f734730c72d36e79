//! Validators that share no code with us: Unbound, asked everything of every name; delv, asked some of it; ldns, given
//! the zones whole.
//!
//! In: the signed corpus, served on loopback. Out: nothing, or each answer that is not secure where it must be, or that
//! says something else than what was signed. Names at and below foreign delegations are left out: nobody answers there.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::base::iana::Rtype;
use hickory_proto::rr::RecordType;
use repoint::serve::{Authority, Listeners, Serving, TcpLimits, Transport, start};
use repoint::zone::{Found, Name, ZoneVersion, Zones};
use tokio::runtime::Runtime;

use crate::asking;
use crate::corpus::{self, Corpus};
use crate::dns;
use crate::questions::{self, Asked};
use crate::said::{self, Record, Said};
use crate::world::daemon::Daemon;
use crate::world::private_network::{add_address, enter, run};
use crate::world::unbound;

/// Where repoint answers.
pub(crate) const REPOINT: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
/// Where Unbound answers.
pub(crate) const UNBOUND: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);
const LIMIT: Duration = Duration::from_secs(1200);
const SERVFAIL: u16 = 2;
/// The zone whose parent has no DS for it: signed, and insecure to whoever comes from above.
const INSECURE: &str = "nods.parent.example.";
/// How many failures are shown.
const SHOWN: usize = 12;

#[test]
fn unbound_finds_every_answer_secure() {
    enter(
        "validation::unbound_finds_every_answer_secure",
        LIMIT,
        |dir| {
            let corpus = corpus::signed();
            let _serving = serve_corpus(&corpus);
            let asked = expectations(&corpus);
            let mut plain = unbound(&corpus, false, dir);
            check(&asked);
            plain.kill();
            // With aggressive use of the NSECs heard (RFC 8198), answers are also made of earlier proofs.
            let _aggressive = unbound(&corpus, true, dir);
            let asked: Vec<Expectation> = asked.into_iter().filter(|one| !one.deniable).collect();
            check(&asked);
        },
    );
}

#[test]
fn delv_validates_every_kind_of_answer() {
    enter(
        "validation::delv_validates_every_kind_of_answer",
        LIMIT,
        |dir| {
            let corpus = corpus::signed();
            let _serving = serve_corpus(&corpus);
            let anchors: String = anchors(&corpus)
                .iter()
                .map(|zone| {
                    let key = dnskey(zone);
                    let (numbers, key) = key.rsplit_once(' ').unwrap();
                    format!("\"{}\" static-key {numbers} \"{key}\";\n", zone.apex())
                })
                .collect();
            let file = dir.join("anchors");
            fs::write(&file, format!("trust-anchors {{\n{anchors}}};\n")).unwrap();
            for (name, rtype, words) in [
                ("host.chain.example.", "A", "fully validated"),
                ("a2.chain.example.", "TXT", "fully validated"),
                ("x.wild.chain.example.", "A", "fully validated"),
                ("x.wildalias.chain.example.", "A", "fully validated"),
                (
                    "host.chain.example.",
                    "MX",
                    "negative response, fully validated",
                ),
                (
                    "nothing.chain.example.",
                    "A",
                    "negative response, fully validated",
                ),
                (
                    "empty.chain.example.",
                    "A",
                    "negative response, fully validated",
                ),
                (
                    "x.wild.chain.example.",
                    "MX",
                    "negative response, fully validated",
                ),
                (
                    "0.starry.wild.example.",
                    "A",
                    "negative response, fully validated",
                ),
                ("secure.cuts.example.", "DS", "fully validated"),
                (
                    "foreign.cuts.example.",
                    "DS",
                    "negative response, fully validated",
                ),
                ("child.parent.example.", "DS", "fully validated"),
                ("child.parent.example.", "DNSKEY", "fully validated"),
                ("child.parent.example.", "CDS", "fully validated"),
                (
                    "a.b.c.d.grand.child.parent.example.",
                    "TXT",
                    "fully validated",
                ),
                (
                    "b.c.d.grand.child.parent.example.",
                    "TXT",
                    "negative response, fully validated",
                ),
                (
                    "nods.parent.example.",
                    "DS",
                    "negative response, fully validated",
                ),
                ("x.w.nods.parent.example.", "TXT", "unsigned answer"),
                (
                    "x.w.nods.parent.example.",
                    "A",
                    "negative response, unsigned answer",
                ),
                ("_xmpp-server._tcp.contoso.com.", "SRV", "fully validated"),
                (
                    "_xmpp-server._tcp.fed.contoso.com.",
                    "SRV",
                    "fully validated",
                ),
                (
                    "_tcp.fed.contoso.com.",
                    "SRV",
                    "negative response, fully validated",
                ),
                ("longer.types.example.", "TXT", "fully validated"),
            ] {
                let zone = corpus.zones.zone_of(questions::name(name).key()).unwrap();
                let anchors = anchors_of(&corpus, zone);
                let said = run(
                    "delv",
                    &[
                        "-a",
                        file.to_str().unwrap(),
                        &format!("+root={anchors}"),
                        &format!("@{REPOINT}"),
                        name,
                        rtype,
                    ],
                );
                let verdict = said.lines().find(|line| line.starts_with("; "));
                assert_eq!(
                    verdict,
                    Some(format!("; {words}").as_str()),
                    "{name} {rtype}\n{said}"
                );
            }
        },
    );
}

#[test]
fn ldns_verifies_every_zone_of_the_corpus() {
    let corpus = corpus::signed();
    let dir = tempfile::tempdir().unwrap();
    for (apex, text) in &corpus.files {
        let file = dir.path().join(apex);
        fs::write(&file, text).unwrap();
        run("ldns-verify-zone", &["-V2", file.to_str().unwrap()]);
    }
}

/// The zones that validators are told the keys of; the others hang on them.
fn anchors(corpus: &Corpus) -> Vec<&Arc<ZoneVersion>> {
    let delegated = |zone: &ZoneVersion| {
        let above = corpus.zones.zone_above(zone.apex());
        above.is_some_and(|above| above.set(zone.apex().key(), RecordType::NS).is_some())
    };
    let zones = corpus.zones.iter();
    zones.filter(|zone| !delegated(zone)).collect()
}

/// The zone with an anchor that this one hangs on.
fn anchors_of(corpus: &Corpus, zone: &ZoneVersion) -> Name {
    let holds = |anchor: &&&Arc<ZoneVersion>| zone.apex().is_at_or_below(anchor.apex());
    let anchors = anchors(corpus);
    let longest = anchors
        .iter()
        .filter(holds)
        .max_by_key(|anchor| anchor.apex().key().len());
    longest.unwrap().apex().clone()
}

fn dnskey(zone: &ZoneVersion) -> String {
    let set = zone.apex_node().set(RecordType::DNSKEY).unwrap();
    set.rdatas[0].to_text(RecordType::DNSKEY)
}

/// Serves zones over UDP and TCP, as they are published, as long as what it gives lives.
pub(crate) fn serve(published: Arc<ArcSwap<Zones>>) -> (Runtime, Serving) {
    add_address(REPOINT);
    let listeners = Listeners::bind(&[SocketAddr::from((REPOINT, 53))]).unwrap();
    let runtime = Runtime::new().unwrap();
    let authority = Authority::new(published, dns::read_now());
    let serving = runtime
        .block_on(async { start(listeners, authority, TcpLimits::default()) })
        .unwrap();
    (runtime, serving)
}

fn serve_corpus(corpus: &Corpus) -> (Runtime, Serving) {
    serve(Arc::new(ArcSwap::from_pointee(corpus.zones.clone())))
}

fn unbound(corpus: &Corpus, aggressive: bool, dir: &Path) -> Daemon {
    let more: &[&str] = match aggressive {
        true => &["aggressive-nsec: yes", "harden-below-nxdomain: yes"],
        false => &["aggressive-nsec: no", "harden-below-nxdomain: no"],
    };
    let anchors: String = anchors(corpus)
        .iter()
        .map(|zone| format!("{} DNSKEY {}\n", zone.apex(), dnskey(zone)))
        .collect();
    let zones = corpus.zones.iter().map(|zone| zone.apex().to_string());
    run_unbound(&zones.collect::<Vec<_>>(), &anchors, more, dir)
}

/// Starts Unbound, which asks repoint about these zones, and trusts these DNSKEY records.
pub(crate) fn run_unbound(zones: &[String], anchors: &str, more: &[&str], dir: &Path) -> Daemon {
    let stubs = zones.iter().map(|apex| (apex.clone(), REPOINT.into()));
    let settings = [
        "do-ip6: no",
        "max-udp-size: 4096",
        "num-queries-per-thread: 4096",
        "local-zone: \"example.org.\" static",
    ];
    let setup = unbound::Setup {
        address: UNBOUND.into(),
        root: &[],
        anchors,
        stubs: &stubs.collect::<Vec<_>>(),
        settings: &[&settings, more].concat(),
    };
    unbound::start(dir, &setup)
}

/// A question to the validator, and what it must say.
struct Expectation {
    asked: Asked,
    direct: Said,
    secure: bool,
    /// Whether Unbound may deny it by an NSEC of another answer: because the name comes before the wildcard that covers it
    /// (which Unbound 1.17 takes for below an empty non-terminal), or lies in a zone that the zone above does not delegate.
    deniable: bool,
}

fn is_deniable(corpus: &Corpus, name: &Name) -> bool {
    let Some(zone) = corpus.zones.zone_of(name.key()) else {
        return false;
    };
    let above = corpus.zones.zone_above(zone.apex());
    let denied = above.is_some_and(|above| above.node(zone.apex().key()).is_none());
    let first = matches!(zone.find(name.key()), Found::Wildcard(wildcard) if *name < wildcard.name);
    denied || first
}

/// Every question whose answer ends in a zone of the corpus.
fn expectations(corpus: &Corpus) -> Vec<Expectation> {
    let anchors: BTreeSet<Name> = anchors(corpus)
        .iter()
        .map(|zone| zone.apex().clone())
        .collect();
    let mut expectations = Vec::new();
    for asked in questions::for_validators(corpus) {
        let octets = asking::repoint(&corpus.zones, &asked.octets, Transport::Tcp).unwrap();
        let direct = said::read(&octets).unwrap();
        if beyond_unbound(corpus, &anchors, &asked, &direct) {
            continue;
        }
        let negative = direct.authority.iter().any(|r| r.is(Rtype::SOA));
        let data = direct.answer.iter().any(|r| r.rtype == asked.rtype);
        if !negative && !data {
            continue;
        }
        // The zone above speaks of the DS and of its absence.
        let insecure = |r: &Record| r.is_below(INSECURE) && !r.is(Rtype::DS);
        let denied_there = |r: &Record| r.is(Rtype::SOA) && r.is_below(INSECURE);
        let secure =
            !direct.answer.iter().any(insecure) && !direct.authority.iter().any(denied_there);
        expectations.push(Expectation {
            deniable: is_deniable(corpus, &asked.name),
            asked,
            direct,
            secure,
        });
    }
    expectations
}

/// Whether Unbound 1.17 cannot answer, whoever serves the zone.
fn beyond_unbound(corpus: &Corpus, anchors: &BTreeSet<Name>, asked: &Asked, direct: &Said) -> bool {
    // A name above the corpus has no zone, and no answer either.
    let Some(zone) = corpus.zones.zone_of(asked.name.key()) else {
        return true;
    };
    let is_alias = |r: &Record| r.is(Rtype::NSEC) && r.text.contains(" CNAME ");
    match (Rtype::from_int(asked.rtype), zone.find(asked.name.key())) {
        // Whose wildcard is an empty non-terminal: it takes the proof, which delv accepts and NSD gives as well, for bogus.
        (_, Found::Wildcard(wildcard)) if wildcard.sets.is_empty() => true,
        // It asks for the DS of an anchor above it, where nobody answers.
        (Rtype::DS, _) => {
            let ends = direct.answer.iter().map(Record::target);
            let asked_for: Vec<Name> = ends
                .filter(|end| !end.is_empty())
                .map(|end| questions::name(&end))
                .chain([asked.name.clone()])
                .collect();
            is_deniable(corpus, &asked.name) || asked_for.iter().any(|name| anchors.contains(name))
        }
        // It takes the DNAME that redirects an alias for the one asked for.
        (Rtype::DNAME, _) => {
            let mut dnames = direct.answer.iter().filter(|r| r.is(Rtype::DNAME));
            dnames.any(|r| r.owner != asked.name.to_lowercase().to_string())
        }
        // It follows the aliases that its cache knows.
        (Rtype::NSEC, _) => direct.answer.iter().any(is_alias),
        _ => false,
    }
}

fn check(expectations: &[Expectation]) {
    let messages: Vec<&[u8]> = expectations
        .iter()
        .map(|one| one.asked.octets.as_slice())
        .collect();
    let mut replies = asking::udp(UNBOUND, &messages);
    let truncated: Vec<usize> = (0..replies.len())
        .filter(|n| {
            replies[*n]
                .as_ref()
                .is_some_and(|octets| octets[2] & 2 != 0)
        })
        .collect();
    let again: Vec<&[u8]> = truncated.iter().map(|n| messages[*n]).collect();
    for (n, reply) in truncated.iter().zip(asking::tcp(UNBOUND, &again)) {
        replies[*n] = reply;
    }
    let mut failures = Vec::new();
    let mut secure = 0;
    for (one, reply) in expectations.iter().zip(replies) {
        let Some(reply) = reply else {
            failures.push(format!("{}\n nothing", one.asked));
            continue;
        };
        let said = said::read(&reply).unwrap();
        let data = |said: &Said| -> BTreeSet<(String, u16, Vec<u8>)> {
            let data = said.answer.iter().filter(|r| r.covered == 0);
            data.map(|r| (r.owner.clone(), r.rtype, r.rdata.clone()))
                .collect()
        };
        let fault = if said.rcode == SERVFAIL {
            "bogus"
        } else if said.rcode != one.direct.rcode && one.asked.rtype != Rtype::CNAME.to_int() {
            "another code"
        } else if data(&said) != data(&one.direct) {
            "other records"
        } else if said.flags.ad != one.secure {
            "not as secure as it should be"
        } else {
            secure += usize::from(one.secure);
            continue;
        };
        failures.push(format!(
            "{}: {fault}\n repoint\n{} Unbound\n{said}",
            one.asked, one.direct
        ));
    }
    println!("{} of {} answers secure", secure, expectations.len());
    assert!(secure > 10_000);
    assert!(
        failures.is_empty(),
        "{} answers are wrong:\n{}",
        failures.len(),
        failures[..failures.len().min(SHOWN)].join("\n")
    );
}
