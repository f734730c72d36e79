//! What is due when, and who waits for whom, on a clock of the tests.

use std::net::SocketAddr;

use hickory_proto::rr::RecordType;

use super::*;
use crate::decide::Generation;
use crate::engine::AlarmKind;
use crate::zone::{OwnedRecord, Rdata};

const WALL: Wall = Wall::from_millis(1_795_230_000_000);
const REFUSED: &str = "it does not have the zone: it answers Refused";

fn at(seconds: u64) -> Now {
    let passed = Duration::from_secs(seconds);
    Now {
        mono: Mono::START + passed,
        wall: WALL + passed,
    }
}

fn apex(number: usize) -> Name {
    Name::from_text(format!("z{number}.example.").as_bytes(), None).unwrap()
}

/// Zones with nothing but their SOA.
fn zones(count: usize, serial: u32) -> Zones {
    let version = |number: usize| {
        let numbers = [serial, 60, 30, 600, 30].map(u32::to_be_bytes).concat();
        let soa = OwnedRecord {
            owner: apex(number),
            rtype: RecordType::SOA,
            ttl: 60,
            rdata: Rdata::new(RecordType::SOA, &[&[0, 0][..], &numbers].concat()).unwrap(),
        };
        ZoneVersion::from_records(&apex(number), [soa], Vec::new()).unwrap()
    };
    Zones::restored(Generation(1), (0..count).map(version), true)
}

fn secondary(number: u8) -> Arc<Secondary> {
    let address = SocketAddr::from(([192, 0, 2, number], 53));
    Arc::new(Secondary {
        name: format!("ns{number}"),
        address,
        allow: [address.ip()].into(),
        tsig: None,
        zones: None,
        source: None,
    })
}

fn ledger(secondaries: &[Arc<Secondary>], count: usize) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.configure(secondaries, at(0));
    ledger.publish(&zones(count, 1), at(0));
    ledger
}

/// Lets time pass until `end`, and answers every errand at once; what was done at which second, and what.
fn run(
    ledger: &mut Ledger,
    from: u64,
    end: u64,
    mut answer: impl FnMut(&Errand) -> Result<Reply, String>,
) -> Vec<(u64, What)> {
    let mut done = Vec::new();
    let mut now = at(from).mono;
    loop {
        let passed = now.since(Mono::START);
        let then = Now {
            mono: now,
            wall: WALL + passed,
        };
        // One result makes room for the next errand.
        loop {
            let errands = ledger.due(now);
            if errands.is_empty() {
                break;
            }
            assert!(done.len() < 10_000, "it spins: {done:?}");
            for errand in errands {
                done.push((passed.as_secs(), errand.what));
                match (errand.what, answer(&errand)) {
                    (What::Notify, said) => ledger.notified(&errand, said.map(drop), then),
                    (What::Ask, said) => {
                        let reply = said.unwrap_or_else(Reply::Nothing);
                        ledger.answered(&errand, reply, then);
                    }
                }
            }
        }
        match ledger.next_deadline() {
            Some(next) if next <= at(end).mono => {
                assert!(next > now, "what was due was done");
                now = next;
            }
            _ => return done,
        }
    }
}

fn of(done: &[(u64, What)], what: What) -> Vec<u64> {
    let these = done.iter().filter(|(_, which)| *which == what);
    these.map(|(second, _)| *second).collect()
}

fn serial(serial: u32) -> Result<Reply, String> {
    Ok(Reply::Serial(Serial(serial)))
}

fn silence() -> Result<Reply, String> {
    Err("no answer within 2 s".into())
}

fn alarms(ledger: &Ledger, seconds: u64) -> Vec<(AlarmKind, String)> {
    let concerns = ledger.concerns(at(seconds).wall).into_iter();
    concerns
        .filter_map(|(kind, _, concern)| Some((kind, concern?.text)))
        .collect()
}

#[test]
fn a_notify_that_nobody_acknowledges_is_repeated_ever_more_rarely() {
    let mut ledger = ledger(&[secondary(2)], 1);
    let done = run(&mut ledger, 0, 62, |_| silence());
    // After 2, 4, 8, 16 and 32 s, then no more for this version.
    assert_eq!(of(&done, What::Notify), [0, 2, 6, 14, 30, 62]);
    // Meanwhile it is asked after a quarter of a second, then after 1, 2, 4 … s.
    assert_eq!(of(&done, What::Ask), [0, 1, 3, 7, 15, 31]);
    // One that stays silent is asked once a minute, and told again each time.
    let later = run(&mut ledger, 62, 300, |_| silence());
    let asked = of(&later, What::Ask);
    assert!(
        asked.windows(2).all(|two| two[1] - two[0] == 60),
        "{asked:?}"
    );
    assert!(of(&later, What::Notify).len() >= asked.len(), "{later:?}");
}

#[test]
fn a_new_version_begins_the_repetitions_again() {
    let mut ledger = ledger(&[secondary(2)], 1);
    run(&mut ledger, 0, 20, |_| silence());
    ledger.publish(&zones(1, 2), at(20));
    let done = run(&mut ledger, 20, 35, |_| silence());
    assert_eq!(of(&done, What::Notify), [20, 22, 26, 34]);
}

#[test]
fn one_in_step_is_asked_about_once_a_minute_and_told_nothing() {
    let mut ledger = ledger(&[secondary(2)], 1);
    let done = run(&mut ledger, 0, 600, |_| serial(1));
    assert_eq!(of(&done, What::Notify), [0]);
    let asked = of(&done, What::Ask);
    assert!((8..=11).contains(&asked.len()), "{asked:?}");
    assert_eq!(alarms(&ledger, 600), []);
}

#[test]
fn no_more_than_its_share_is_under_way_at_a_secondary() {
    let mut ledger = ledger(&[secondary(2), secondary(3)], 100);
    let errands = ledger.due(at(0).mono);
    let at_one = |number: usize| errands.iter().filter(|errand| errand.at == number).count();
    assert_eq!((at_one(0), at_one(1)), (SHARE, SHARE));
    assert!(
        ledger.due(at(1).mono).is_empty(),
        "there is room only with a result"
    );
    assert_eq!(ledger.next_deadline(), None);
    ledger.notified(&errands[0], Ok(()), at(1));
    assert_eq!(ledger.due(at(1).mono).len(), 1);
}

#[test]
fn one_that_is_silent_has_one_place_and_keeps_nobody_waiting() {
    let mut ledger = ledger(&[secondary(2), secondary(3)], 200);
    let first = ledger.due(at(0).mono);
    for errand in first.iter().filter(|errand| errand.at == 0) {
        ledger.notified(errand, Err("no answer within 2 s".into()), at(2));
    }
    let one = ledger.due(at(2).mono);
    assert_eq!((one.len(), one[0].at), (1, 0));
    for errand in first.iter().filter(|errand| errand.at == 1) {
        ledger.notified(errand, Ok(()), at(2));
    }
    let next = ledger.due(at(2).mono);
    assert_eq!(next.len(), SHARE, "the other goes on");
    // Its first word gives the silent one all of its share back.
    ledger.notified(&one[0], Ok(()), at(3));
    let next = ledger.due(at(3).mono);
    assert_eq!(next.iter().filter(|errand| errand.at == 0).count(), SHARE);
}

#[test]
fn silence_is_an_alarm_after_five_minutes_and_ends_with_the_first_word() {
    let mut ledger = ledger(&[secondary(2)], 3);
    run(&mut ledger, 0, 299, |_| silence());
    assert_eq!(alarms(&ledger, 299), []);
    run(&mut ledger, 299, 301, |_| silence());
    let raised = alarms(&ledger, 301);
    assert_eq!(raised.len(), 1, "silent is not behind besides: {raised:?}");
    assert_eq!(raised[0].0, AlarmKind::SecondarySilent);
    assert_eq!(
        raised[0].1,
        "secondary ns2 (192.0.2.2:53) does not answer for more than 5 min: no answer within 2 s"
    );
    run(&mut ledger, 301, 420, |_| serial(1));
    assert_eq!(alarms(&ledger, 420), []);
}

#[test]
fn being_behind_is_an_alarm_after_five_minutes() {
    let mut ledger = ledger(&[secondary(2)], 2);
    run(&mut ledger, 0, 60, |_| serial(1));
    ledger.publish(&zones(2, 2), at(60));
    run(&mut ledger, 60, 359, |_| serial(1));
    assert_eq!(alarms(&ledger, 359), []);
    let raised = alarms(&ledger, 361);
    assert_eq!(raised[0].0, AlarmKind::SecondaryBehind);
    assert_eq!(
        raised[0].1,
        "secondary ns2 does not have the current version of z0.example and 1 other zones for more than 5 min: it has serial 1"
    );
    run(&mut ledger, 361, 500, |_| serial(2));
    assert_eq!(alarms(&ledger, 500), []);

    // One that does not have the zone at all is behind as well; it does answer.
    let refuses = |_: &Errand| Ok(Reply::Other(REFUSED.into()));
    run(&mut ledger, 500, 900, refuses);
    let raised = alarms(&ledger, 900);
    assert_eq!(raised[0].0, AlarmKind::SecondaryBehind);
    assert!(raised[0].1.ends_with(REFUSED), "{}", raised[0].1);
}

#[test]
fn one_that_follows_each_of_many_versions_is_never_behind() {
    let mut ledger = ledger(&[secondary(2)], 1);
    for minute in 0..20 {
        let newest = u32::try_from(minute).unwrap() + 2;
        ledger.publish(&zones(1, newest), at(minute * 60));
        run(&mut ledger, minute * 60, minute * 60 + 59, |_| {
            serial(newest)
        });
        assert_eq!(alarms(&ledger, minute * 60 + 59), []);
    }
}

#[test]
fn only_a_serial_after_the_newest_is_ahead() {
    let mut ledger = ledger(&[secondary(2)], 1);
    let asked = |ledger: &mut Ledger, seconds: u64| {
        let due = ledger.due(at(seconds).mono);
        due.into_iter()
            .find(|errand| errand.what == What::Ask)
            .unwrap()
    };
    let errand = asked(&mut ledger, 1);
    // Published while it was asked: it has what we have.
    ledger.publish(&zones(1, 2), at(1));
    assert_eq!(
        ledger.answered(&errand, Reply::Serial(Serial(2)), at(1)),
        None
    );
    let errand = asked(&mut ledger, 100);
    let ahead = ledger
        .answered(&errand, Reply::Serial(Serial(7)), at(100))
        .unwrap();
    assert_eq!((ahead.has, ahead.ours), (Serial(7), Serial(2)));
    assert_eq!(ahead.apex, apex(0));
}

#[test]
fn a_reload_forgets_nobody_who_stays_and_what_was_under_way_begins_anew() {
    let (stays, goes) = (secondary(2), secondary(3));
    let mut ledger = ledger(&[goes.clone(), stays.clone()], 2);
    run(&mut ledger, 0, 10, |_| serial(1));
    let known = ledger.accounts[1].steps[&apex(0)].has;
    let under_way = ledger.due(at(80).mono);
    assert!(!under_way.is_empty());
    ledger.configure(&[stays], at(81));
    assert_eq!(ledger.accounts.len(), 1);
    assert_eq!(ledger.accounts[0].steps[&apex(0)].has, known);
    // Late words about places that are others by now change nothing.
    for errand in under_way.iter().filter(|errand| errand.at == 0) {
        assert_eq!(
            ledger.answered(errand, Reply::Serial(Serial(9)), at(82)),
            None
        );
    }
    let again = ledger.due(at(82).mono);
    let of_stays = under_way.iter().filter(|errand| errand.at == 1).count();
    assert_eq!(again.len(), of_stays);

    // A zone that goes takes its entries along.
    ledger.publish(&zones(1, 1), at(83));
    assert_eq!(ledger.accounts[0].steps.len(), 1);
}
