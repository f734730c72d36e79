//! From one version to the next: what may differ, what must stay the very same value, and what a delta says.
//!
//! Random lives of a zone (failovers, reloads, challenges, rolls, time, restarts) are published step by step and compared
//! with the same moment compiled from scratch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use proptest::prelude::*;
use repoint::config::Configuration;
use repoint::decide::Generation;
use repoint::zone::{
    Change, ChildRecords, KeyAlgorithm, Name, OwnedRecord, Role, Signer, SigningKey, ZoneKeys,
    ZoneVersion, Zones, diff,
};

use crate::ground::{Served, apex, configuration, key, name, single};
use crate::tools;

/// One thing that happens to a zone.
#[derive(Clone, Debug)]
enum Step {
    Failover,
    Reload(Vec<u8>),
    Challenge(Vec<u8>),
    Keys(u8),
    Time(u32),
    Restart { clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Failover),
        2 => prop::collection::vec(0..12_u8, 0..8).prop_map(Step::Reload),
        2 => prop::collection::vec(0..4_u8, 0..3).prop_map(Step::Challenge),
        2 => (0..6_u8).prop_map(Step::Keys),
        3 => (0..20 * 86_400_u32).prop_map(Step::Time),
        1 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ];
    prop::collection::vec(step, 1..14)
}

/// Static records to choose from; some change the shape of the zone.
const RECORDS: [&str; 12] = [
    "www A 192.0.2.1\n",
    "WWW AAAA 2001:db8::1\n",
    "* TXT \"any\"\n",
    "deep.down.there TXT \"deep\"\n",
    "child NS ns.child\nns.child A 192.0.2.53\n",
    "child DS 12345 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB\nchild NS ns.example.net.\n",
    "@ MX 10 Mail.Example.\n",
    "_tcp TXT \"once empty\"\n",
    "_acme-challenge.a TXT \"written\"\n",
    "a.www TXT \"below\"\n",
    "zz CNAME www.example.net.\n",
    "many TXT \"1\"\nmany TXT \"2\"\nmany TXT \"3\"\n",
];
const CHALLENGED: [&str; 4] = [
    "_acme-challenge",
    "_acme-challenge.a",
    "x.y._acme-challenge",
    "www",
];

fn keys(number: u8, one: &Arc<SigningKey>, two: &Arc<SigningKey>) -> Option<ZoneKeys> {
    let signer = |key: &Arc<SigningKey>| Signer {
        key: key.clone(),
        role: Role::Everything,
    };
    let both = vec![one.dnskey().clone(), two.dnskey().clone()];
    Some(match number {
        0 => return None,
        1 => single(one),
        2 => ZoneKeys {
            published: both,
            ..single(one)
        },
        3 => ZoneKeys {
            published: both,
            signers: vec![signer(one), signer(two)],
            ..single(two)
        },
        4 => single(two),
        _ => ZoneKeys {
            child: ChildRecords::Delete,
            ..single(two)
        },
    })
}

/// The same moment, of what the zone was made of before.
struct Held {
    configuration: Configuration,
    keys: Option<Arc<ZoneKeys>>,
    challenges: Vec<(Name, Vec<&'static [u8]>)>,
}

impl Held {
    fn of(served: &Served) -> Held {
        Held {
            configuration: served.configuration.clone(),
            keys: served.keys.clone(),
            challenges: served.challenges.clone(),
        }
    }

    fn swap(&mut self, served: &mut Served) {
        std::mem::swap(&mut self.configuration, &mut served.configuration);
        std::mem::swap(&mut self.keys, &mut served.keys);
        std::mem::swap(&mut self.challenges, &mut served.challenges);
    }
}

/// Publishes; a zone that is too large follows when its draft is there, and meanwhile is as it was but for a failover. Also:
/// whether there was one.
fn follow(
    served: &mut Served,
    mut held: Held,
    seen: &mut Vec<Arc<ZoneVersion>>,
    what: &str,
) -> Result<(Arc<ZoneVersion>, bool), TestCaseError> {
    served.publish_from(&BTreeMap::new());
    let (mut drafts, mut interrupted) = (0, false);
    while let Some(outline) = served.outline() {
        drafts += 1;
        prop_assert!(drafts <= 2, "{}: drafts without an end", what);
        for _ in 0..2 {
            let zone = served.zones.iter().next().cloned();
            if let Some(zone) = zone {
                held.swap(served);
                let scratch = served.scratch();
                held.swap(served);
                prop_assert_eq!(comparable(&zone), comparable(&scratch), "{}: held", what);
                one_serial_is_one_version(seen, &zone, what)?;
                if seen
                    .last()
                    .is_none_or(|last| last.serial() != zone.serial())
                {
                    deltas_lead_here(seen, &zone, true, what)?;
                    seen.push(zone);
                }
            }
            // In every other life there is a failover before the draft comes.
            if served.serial.is_multiple_of(2) {
                break;
            }
            interrupted = true;
            served.active = 3 - served.active;
            served.publish_from(&BTreeMap::new());
        }
        let drafts = served.draft(&outline);
        served.publish_from(&drafts);
    }
    Ok((served.zone(), interrupted))
}

fn live(steps: Vec<Step>, most: usize) -> Result<(), TestCaseError> {
    let one = key(KeyAlgorithm::EcdsaP256Sha256);
    let two = key(KeyAlgorithm::Ed25519);
    let mut served = Served::new(RECORDS[0], Some(single(&one)));
    served.most = most;
    let mut seen = vec![served.zone()];
    for step in steps {
        let held = Held::of(&served);
        match &step {
            Step::Failover => served.active = 3 - served.active,
            Step::Reload(which) => {
                let which: BTreeSet<u8> = which.iter().copied().collect();
                // Two ways to delegate one name are not in one file.
                let skip = which.contains(&4) && which.contains(&5);
                let records = which.iter().filter(|n| !(skip && **n == 5));
                let records: String = records.map(|n| RECORDS[usize::from(*n)]).collect();
                served.configuration = configuration(&records);
            }
            Step::Challenge(which) => {
                let names = which.iter().map(|n| {
                    let owner = CHALLENGED[usize::from(*n)];
                    (
                        name(&format!("{owner}.contoso.example.")),
                        vec![&b"token"[..]],
                    )
                });
                served.challenges = names.collect();
            }
            Step::Keys(number) => served.keys = keys(*number, &one, &two).map(Arc::new),
            Step::Time(seconds) => {
                served.now = served.now + Duration::from_secs(u64::from(*seconds));
            }
            Step::Restart { clean } => {
                let before = served.zone();
                let records = before.records().map(OwnedRecord::from).collect::<Vec<_>>();
                let again = ZoneVersion::from_records(&apex(), records, before.history().to_vec());
                served.zones = Zones::restored(Generation(1), [again.unwrap()], *clean);
            }
        }
        let before = served.zone();
        let what = format!("{step:?}, more than {most} RRsets apart");
        let (after, interrupted) = follow(&mut served, held, &mut seen, &what)?;
        prop_assert_eq!(
            comparable(&after),
            comparable(&served.scratch()),
            "{}",
            what
        );
        one_serial_is_one_version(&seen, &after, &what)?;
        if !interrupted {
            nothing_is_made_again(&before, &after, &what)?;
        }
        if after.serial() != before.serial() {
            deltas_lead_here(&seen, &after, most < usize::MAX, &what)?;
        }
        if let Some(expiration) = after.expiration() {
            let left = expiration.since(served.now);
            prop_assert!(
                left >= Duration::from_secs(12 * 86_400),
                "{}: {:?}",
                what,
                left
            );
        }
        seen.push(after);
    }
    if served.zone().is_signed() {
        tools::ldns_at(&served.zone(), served.now);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_zone_is_told_truly_by_its_versions(steps in steps()) {
        live(steps, usize::MAX)?;
    }

    #[test]
    fn any_life_of_a_large_zone_is_told_truly_by_its_versions(steps in steps(), most in 0..10_usize) {
        live(steps, most)?;
    }
}

type Record = (Vec<u8>, u16, u32, Vec<u8>);

fn record(record: &OwnedRecord) -> Record {
    let (owner, rdata) = (record.owner.wire().to_vec(), record.rdata.wire().to_vec());
    (owner, u16::from(record.rtype), record.ttl, rdata)
}

fn records(zone: &ZoneVersion) -> BTreeSet<Record> {
    zone.records().map(|each| record(&each.into())).collect()
}

/// Every record, without what two compilations of the same moment may differ in: the serial, when a signature was made, and
/// its octets.
fn comparable(zone: &ZoneVersion) -> BTreeSet<Record> {
    let mut all = BTreeSet::new();
    for (owner, rtype, ttl, mut rdata) in records(zone) {
        if rtype == u16::from(RecordType::RRSIG) {
            // Expiration, inception; the signature follows the signer's name.
            rdata[8..16].fill(0);
            rdata.truncate(18 + apex().wire().len());
        } else if rtype == u16::from(RecordType::SOA) {
            let at = rdata.len() - 20;
            rdata[at..at + 4].fill(0);
        }
        assert!(all.insert((owner, rtype, ttl, rdata)));
    }
    all
}

fn one_serial_is_one_version(
    seen: &[Arc<ZoneVersion>],
    after: &Arc<ZoneVersion>,
    what: &str,
) -> Result<(), TestCaseError> {
    for earlier in seen {
        if earlier.serial() == after.serial() {
            prop_assert_eq!(records(earlier), records(after), "{}", what);
        } else {
            prop_assert!(after.serial().is_after(earlier.serial()), "{}", what);
        }
    }
    Ok(())
}

/// An RRset or signature that is equal is the same value; a set that stays has a signature that stays, unless it was due or
/// the keys changed.
fn nothing_is_made_again(
    before: &ZoneVersion,
    after: &ZoneVersion,
    what: &str,
) -> Result<(), TestCaseError> {
    for node in after.nodes().iter() {
        let Some(old) = before.node(node.name.key()) else {
            continue;
        };
        for set in &node.sets {
            let Some(there) = old.set(set.rtype) else {
                continue;
            };
            prop_assert!(
                there != set || Arc::ptr_eq(there, set),
                "{what}: {} {}",
                node.name,
                set.rtype
            );
        }
        for signature in &node.signatures {
            let there = old.signature(signature.covered);
            let Some(there) = there else { continue };
            let same = Arc::ptr_eq(there, &signature.set);
            prop_assert!(*there != signature.set || same, "{what}: {}", node.name);
        }
    }
    Ok(())
}

/// Every remembered change, applied to the version that it begins with, gives the version that it ends with.
fn deltas_lead_here(
    seen: &[Arc<ZoneVersion>],
    after: &ZoneVersion,
    drafted: bool,
    what: &str,
) -> Result<(), TestCaseError> {
    let history = after.history();
    prop_assert_eq!(history.last().map(|last| last.to), Some(after.serial()));
    prop_assert!(history.windows(2).all(|pair| pair[0].to == pair[1].from));
    let mut at: Option<BTreeSet<Record>> = None;
    for change in history {
        let first = seen.iter().find(|zone| zone.serial() == change.from);
        // What comes before may be forgotten, and a draft was nobody's.
        let Some(mut zone) = at.or_else(|| first.map(|zone| records(zone))) else {
            prop_assert!(drafted, "{}: from {}", what, change.from);
            at = None;
            continue;
        };
        apply(&mut zone, change, what)?;
        at = Some(zone);
    }
    prop_assert!(drafted || at.is_some(), "{}", what);
    if let Some(at) = at {
        prop_assert_eq!(at, records(after), "{}", what);
    }
    Ok(())
}

fn apply(zone: &mut BTreeSet<Record>, change: &Change, what: &str) -> Result<(), TestCaseError> {
    for list in [&change.removed, &change.added] {
        prop_assert_eq!(list[0].rtype, RecordType::SOA);
        prop_assert!(
            list[1..]
                .iter()
                .all(|record| record.rtype != RecordType::SOA)
        );
    }
    for gone in &change.removed {
        prop_assert!(zone.remove(&record(gone)), "{what}: {gone:?} was not there");
    }
    for new in &change.added {
        prop_assert!(zone.insert(record(new)), "{what}: {new:?} was there");
    }
    Ok(())
}

#[test]
fn a_failover_changes_what_is_steered_and_its_signatures_only() {
    let records = "www A 192.0.2.1\nWWW TXT \"text\"\n*.wild A 192.0.2.2\n";
    let mut served = Served::new(records, Some(single(&key(KeyAlgorithm::EcdsaP256Sha256))));
    let before = served.zone();
    served.active = 2;
    served.now = served.now + Duration::from_secs(3600);
    let after = served.publish();
    let mut touched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let delta = diff(&before, &after);
    for record in delta.removed.iter().chain(&delta.added) {
        let types = touched.entry(record.owner.to_string()).or_default();
        let text = record.rdata.to_text(record.rtype);
        types.insert(match record.rtype {
            RecordType::RRSIG => format!("RRSIG {}", text.split(' ').next().unwrap()),
            rtype => rtype.to_string(),
        });
    }
    let expected = [
        ("contoso.example.", "SOA, RRSIG SOA"),
        ("_xmpp-server._tcp.contoso.example.", "SRV, RRSIG SRV"),
        // The second pool has no IPv6 address, so the types of this name change and its NSEC with them.
        (
            "xmpp.contoso.example.",
            "A, AAAA, NSEC, RRSIG A, RRSIG AAAA, RRSIG NSEC",
        ),
    ];
    let expected = expected.map(|(owner, types)| {
        (
            owner.to_owned(),
            types.split(", ").map(str::to_owned).collect(),
        )
    });
    assert_eq!(touched, BTreeMap::from(expected));
    let change = after.history().last().unwrap();
    assert!(change.octets <= 2048, "{} octets", change.octets);
}

#[test]
fn a_publication_that_changes_nothing_changes_no_zone() {
    let mut served = Served::new(RECORDS[3], Some(single(&key(KeyAlgorithm::Ed25519))));
    let before = served.zone();
    served.now = served.now + Duration::from_secs(86_400);
    assert!(Arc::ptr_eq(&before, &served.publish()));
    served.configuration = configuration(RECORDS[3]);
    assert!(Arc::ptr_eq(&before, &served.publish()));
}

#[test]
fn after_a_restart_signatures_are_used_again_and_the_serial_only_if_the_stop_was_clean() {
    for clean in [true, false] {
        let mut served = Served::new(
            RECORDS[3],
            Some(single(&key(KeyAlgorithm::EcdsaP256Sha256))),
        );
        served.active = 2;
        let before = served.publish();
        let remembered = before.records().map(OwnedRecord::from).collect::<Vec<_>>();
        let again = ZoneVersion::from_records(&apex(), remembered, before.history().to_vec());
        served.zones = Zones::restored(Generation(7), [again.unwrap()], clean);
        let after = served.publish();
        assert_eq!(after.serial() == before.serial(), clean);
        let delta = diff(&before, &after);
        let beyond_soa = delta
            .added
            .iter()
            .filter(|record| record.rtype != RecordType::SOA);
        assert_eq!(beyond_soa.count(), usize::from(!clean), "{delta}");
        assert_eq!(after.history().len(), if clean { 1 } else { 2 });
    }
}

#[test]
fn what_is_not_a_whole_zone_is_not_restored() {
    let served = Served::new(
        RECORDS[0],
        Some(single(&key(KeyAlgorithm::EcdsaP256Sha256))),
    );
    let zone = served.zone();
    let all: Vec<OwnedRecord> = zone.records().map(OwnedRecord::from).collect();
    let refused = |records: Vec<OwnedRecord>, history| {
        ZoneVersion::from_records(&apex(), records, history)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(all[1..].to_vec(), Vec::new()),
        "it has not exactly one SOA record at contoso.example."
    );
    let mut outside = all.clone();
    outside[3].owner = name("fabrikam.example.");
    assert_eq!(
        refused(outside, Vec::new()),
        "fabrikam.example. lies outside the zone"
    );
    let mut torn = all.clone();
    let at = torn
        .iter()
        .position(|record| record.rtype == RecordType::RRSIG)
        .unwrap();
    torn[at].rdata = repoint::zone::Rdata::new(RecordType::TXT, &[1, 7]).unwrap();
    assert!(refused(torn, Vec::new()).ends_with("has an RRSIG record that cannot be read"));
    let elsewhere = Change::new(
        repoint::zone::Serial(8),
        repoint::zone::Serial(9),
        Vec::new(),
        Vec::new(),
    );
    assert_eq!(
        refused(all, vec![Arc::new(elsewhere)]),
        "its changes have a gap or do not lead to serial 1"
    );
}
