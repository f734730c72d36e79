//! What `repoint key` prints of zones at every point of a key's life, in `tests/golden/cli/`.

#![allow(clippy::unwrap_used)]

use super::golden::golden;
use super::key::{for_parent, list, whole};
use super::paint::Paint;
use crate::control::fixture::{NOW, ago};
use crate::engine::{KeyView, ParentView, ZoneKeysView};
use crate::keys::{Advice, Asking, DsAdvice, Outlook, Stage};

const PLAIN: Paint = Paint {
    colour: false,
    whole: false,
};

fn key(tag: u16, algorithm: u8, stage: Stage) -> KeyView {
    let apex = "fed.contoso.com.";
    KeyView {
        tag,
        algorithm,
        algorithm_name: ["ecdsap256sha256", "ed25519"][usize::from(algorithm == 15)].into(),
        stage,
        since: ago(7200),
        ds: vec![
            format!("{apex}\t3600\tIN\tDS\t{tag} {algorithm} 2 AA11"),
            format!("{apex}\t3600\tIN\tDS\t{tag} {algorithm} 4 BB22"),
        ],
        dnskey: format!("{apex}\t3600\tIN\tDNSKEY\t257 3 {algorithm} CC33"),
        private: true,
    }
}

/// A zone in the middle of a roll to another algorithm.
fn rolling() -> ZoneKeysView {
    ZoneKeysView {
        zone: "fed.contoso.com".parse().unwrap(),
        wanted: true,
        signed: true,
        keys: vec![key(12345, 13, Stage::Leaving), key(123, 15, Stage::Offered)],
        outlook: Some(Outlook {
            next: Some("key 123 is active".into()),
            waits_for: Some(
                "the DS of key 123 at every server of the parent (seen there: 12345)".into(),
            ),
            at: None,
            trouble: None,
            asking: Asking::Often,
            look_at: None,
        }),
        ds: DsAdvice {
            tags: vec![123],
            advice: Advice::Now,
        },
        ds_kept_in: None,
        parent: Some(ParentView {
            at: ago(30),
            complete: true,
            has_ds: true,
            tags: "12345".into(),
        }),
        fault: None,
    }
}

/// A zone that is to be signed and has no key, for its parent cannot be asked.
fn waiting() -> ZoneKeysView {
    ZoneKeysView {
        zone: "voice.contoso.com".parse().unwrap(),
        signed: false,
        keys: Vec::new(),
        outlook: Some(Outlook {
            next: Some("a key is generated and the zone is signed".into()),
            waits_for: Some("every server of the parent to say that it has no DS".into()),
            ..rolling().outlook.unwrap()
        }),
        ds: DsAdvice {
            tags: Vec::new(),
            advice: Advice::Now,
        },
        parent: None,
        fault: Some("no resolver answers".into()),
        ..rolling()
    }
}

#[test]
fn list_says_the_stage_of_each_key_and_what_its_zone_waits_for() {
    golden("key-list", &list(&[rolling(), waiting()], PLAIN));
    let none = "no zone is signed, and none is to be: dnssec = true signs\n";
    assert_eq!(list(&[], PLAIN), none);
}

#[test]
fn list_says_how_much_of_the_parent_is_known() {
    let mut zone = rolling();
    let said = |zone: &ZoneKeysView| {
        let text = list(std::slice::from_ref(zone), PLAIN);
        text.lines().nth(1).unwrap().to_owned()
    };
    zone.parent.as_mut().unwrap().complete = false;
    assert!(said(&zone).ends_with("12345 (not all answer)"));
    zone.parent = None;
    assert!(said(&zone).ends_with("not asked yet"));
    zone.fault = Some("no resolver answers".into());
    assert!(said(&zone).ends_with("not known"));
}

#[test]
fn show_prints_public_halves_and_says_when_the_private_one_is_missing() {
    let mut zone = rolling();
    zone.keys[0].private = false;
    golden("key-show", &whole(&zone));
    zone.ds.advice = Advice::From(NOW);
    let early = whole(&zone);
    let pasted = |line: &str| line.starts_with("fed") && line.contains("\tDS\t");
    assert!(early.contains("; NOT YET: fed.contoso.com."), "{early}");
    assert!(!early.lines().any(pasted), "{early}");
}

#[test]
fn ds_says_first_whether_it_is_safe_and_can_be_pasted_whole() {
    let mut zone = rolling();
    golden("key-ds-now", &for_parent(&zone, PLAIN));
    zone.ds.advice = Advice::From(NOW);
    golden("key-ds-not-yet", &for_parent(&zone, PLAIN));
    zone.ds.advice = Advice::After("secondary ns2 to have serial 7 (it has 6)".into());
    let behind = for_parent(&zone, PLAIN);
    assert!(behind.starts_with(
        "; fed.contoso.com: NOT YET: it waits for secondary ns2 to have serial 7 (it has 6); until then leave the parent as it is\n"
    ));
    zone.ds.advice = Advice::Done;
    let done = for_parent(&zone, PLAIN);
    assert!(done.starts_with("; fed.contoso.com: the parent is as it should be\n"));
    zone.ds = waiting().ds;
    golden("key-ds-none", &for_parent(&zone, PLAIN));
    for text in [done, for_parent(&zone, PLAIN)] {
        let paste = text.lines().filter(|line| !line.starts_with(';'));
        assert!(paste.into_iter().all(|line| line.contains("\tDS\t")));
    }
}
