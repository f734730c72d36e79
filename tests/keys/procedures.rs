//! Each procedure step by step, and what is refused.

use std::time::Duration;

use repoint::clock::Wall;
use repoint::keys::{
    Advice, Facts, ParentDs, RequestFault, Seen, Stage, Step, Trouble, ZoneRow, begin, in_force,
    next, retire,
};
use repoint::zone::{ChildRecords, KeyAlgorithm, Rdata, Role, SigningKey};

struct Zone {
    row: ZoneRow,
    facts: Facts,
    now: Wall,
    said: Vec<String>,
}

impl Zone {
    fn new() -> Zone {
        let mut row = ZoneRow::new("fed.contoso.com".parse().unwrap());
        row.serves(300, Wall::default());
        Zone {
            row,
            facts: Facts {
                wanted: true,
                algorithm: KeyAlgorithm::Ed25519,
                propagation: Duration::from_secs(60),
                seen: Seen::Everywhere(Wall::default()),
                held: None,
            },
            now: Wall::from_millis(1_000_000_000),
            said: Vec::new(),
        }
    }

    /// Lets time pass, minute by minute, and takes every step that is due.
    fn pass(&mut self, minutes: u64) -> &mut Zone {
        for minute in 0..=minutes {
            if minute > 0 {
                self.now = self.now + Duration::from_secs(60);
            }
            if let Some(parent) = &mut self.row.parent {
                parent.at = self.now;
            }
            while let Step::Take { row, what } = next(&self.row, &self.facts, self.now) {
                self.row = *row;
                self.said.extend(what);
            }
        }
        self
    }

    fn parent_has(&mut self, keys: &[&SigningKey]) -> &mut Zone {
        let zone = self.row.name();
        let ds: Vec<Rdata> = keys.iter().map(|key| key.dnskey().ds(&zone)).collect();
        let servers = [Some((&ds[..], 3600)), Some((&ds[..], 3600))];
        self.row.heard(ParentDs::of(self.now, servers));
        self.pass(0)
    }

    fn begin(&mut self, key: &SigningKey) -> Result<&mut Zone, RequestFault> {
        self.row = begin(
            &self.row,
            key.dnskey().clone(),
            false,
            &self.facts,
            self.now,
        )?;
        Ok(self.pass(0))
    }

    fn stages(&self) -> Vec<Stage> {
        self.row.keys.iter().map(|key| key.stage).collect()
    }

    fn roles(&self, keys: &[&SigningKey]) -> Vec<(u16, bool, Role)> {
        let pems: Vec<_> = keys
            .iter()
            .map(|key| {
                std::sync::Arc::new(SigningKey::from_pem(&key.to_pem().unwrap(), true).unwrap())
            })
            .collect();
        let find = |public: &_| pems.iter().find(|key| key.dnskey() == public).cloned();
        let keys = in_force(&self.row, 300, find).unwrap();
        keys.signers
            .iter()
            .map(|signer| {
                let published = keys.published.contains(signer.key.dnskey());
                (signer.key.tag(), published, signer.role)
            })
            .collect()
    }

    fn signed(key: &SigningKey) -> Zone {
        let mut zone = Zone::new();
        zone.parent_has(&[]).begin(key).unwrap();
        zone.pass(10).parent_has(&[key]);
        assert_eq!(zone.stages(), [Stage::Active]);
        zone
    }
}

fn key(algorithm: KeyAlgorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

#[test]
fn a_ds_is_asked_for_only_when_no_unsigned_copy_is_left() {
    let first = key(KeyAlgorithm::Ed25519);
    let mut zone = Zone::new();
    assert_eq!(zone.begin(&first).err(), Some(RequestFault::ParentUnknown));
    zone.parent_has(&[]);
    assert_eq!(next(&zone.row, &zone.facts, zone.now), Step::Generate);
    zone.begin(&first).unwrap();
    let safe = zone.now + Duration::from_secs(360);
    assert_eq!(zone.row.ds_advice(&zone.facts).advice, Advice::From(safe));
    assert_eq!(zone.pass(5).stages(), [Stage::Published]);
    assert_eq!(zone.pass(1).stages(), [Stage::Offered]);
    assert_eq!(zone.row.ds_advice(&zone.facts).advice, Advice::Now);
    zone.parent_has(&[&first]);
    assert_eq!(zone.row.ds_advice(&zone.facts).advice, Advice::Done);
    assert_eq!(zone.stages(), [Stage::Active]);
}

#[test]
fn a_step_waits_until_every_secondary_has_the_version_and_others_may_have_it_from_them() {
    let first = key(KeyAlgorithm::Ed25519);
    let mut zone = Zone::new();
    zone.parent_has(&[]).begin(&first).unwrap();
    let lacking = "secondary ns2 to have serial 7 (it has 6)";
    zone.facts.seen = Seen::Missing(lacking.into());
    assert_eq!(zone.pass(5000).stages(), [Stage::Published]);
    let said = zone.row.ds_advice(&zone.facts).advice;
    assert_eq!(said, Advice::After(lacking.into()));
    let Step::Wait(outlook) = next(&zone.row, &zone.facts, zone.now) else {
        panic!("a step is taken");
    };
    assert_eq!(outlook.waits_for.as_deref(), Some(lacking));
    assert_eq!(outlook.at, None);
    zone.facts.seen = Seen::Everywhere(zone.now);
    let safe = zone.now + Duration::from_secs(360);
    assert_eq!(zone.row.ds_advice(&zone.facts).advice, Advice::From(safe));
    assert_eq!(zone.pass(5).stages(), [Stage::Published]);
    assert_eq!(zone.pass(1).stages(), [Stage::Offered]);
}

#[test]
fn a_zone_that_comes_back_waits_again_though_its_keys_had_waited() {
    let first = key(KeyAlgorithm::Ed25519);
    let mut zone = Zone::new();
    zone.parent_has(&[]).begin(&first).unwrap();
    for _ in 0..2 {
        zone.pass(3);
        zone.row.returned(zone.now);
        assert_eq!(zone.row.parent, None);
        assert_eq!(zone.pass(5).stages(), [Stage::Published]);
    }
    assert_eq!(zone.pass(1).stages(), [Stage::Offered]);
    zone.row.returned(zone.now);
    assert_eq!(zone.pass(5).stages(), [Stage::Published]);
    // A DS that is there after all is none that has to be entered again.
    zone.parent_has(&[&first]);
    assert_eq!(zone.pass(1).stages(), [Stage::Active]);
}

#[test]
fn what_is_learned_while_a_row_is_stored_is_in_the_row_that_is_served() {
    let first = key(KeyAlgorithm::Ed25519);
    let mut zone = Zone::signed(&first);
    let mut stored = zone.row.clone();
    zone.now = zone.now + Duration::from_secs(60);
    zone.row.serves(9000, zone.now);
    let ds = first.dnskey().ds(&zone.row.name());
    let servers = [Some((std::slice::from_ref(&ds), 7200))];
    zone.row.heard(ParentDs::of(zone.now, servers));
    stored.carry_over(&zone.row);
    assert_eq!(stored, zone.row);
}

#[test]
fn a_roll_waits_for_caches_the_parent_and_caches_again() {
    let (old, new) = (key(KeyAlgorithm::Ed25519), key(KeyAlgorithm::Ed25519));
    let mut zone = Zone::signed(&old);
    zone.begin(&new).unwrap();
    assert_eq!(zone.stages(), [Stage::Active, Stage::Published]);
    assert_eq!(zone.pass(6).stages(), [Stage::Leaving, Stage::Offered]);
    // For as long as the parent does not follow.
    assert_eq!(zone.pass(5000).stages(), [Stage::Leaving, Stage::Offered]);
    zone.parent_has(&[&old, &new]);
    assert_eq!(zone.stages(), [Stage::Leaving, Stage::Active]);
    zone.parent_has(&[&new]);
    assert_eq!(zone.stages(), [Stage::Expiring, Stage::Active]);
    // One hour is the DS's TTL, and a minute for secondaries.
    assert_eq!(zone.pass(60).stages(), [Stage::Expiring, Stage::Active]);
    assert_eq!(zone.pass(1).stages(), [Stage::Active]);
}

#[test]
fn a_new_algorithm_signs_before_its_key_is_published_and_after_it_is_gone() {
    let (old, new) = (
        key(KeyAlgorithm::EcdsaP256Sha256),
        key(KeyAlgorithm::Ed25519),
    );
    let mut zone = Zone::signed(&old);
    zone.begin(&new).unwrap();
    let both = [&old, &new];
    let signs = |tag, published| {
        let role = if published {
            Role::Everything
        } else {
            Role::Zone
        };
        (tag, published, role)
    };
    assert_eq!(
        zone.roles(&both),
        [signs(old.tag(), true), signs(new.tag(), false)]
    );
    zone.pass(6);
    assert_eq!(
        zone.roles(&both),
        [signs(old.tag(), true), signs(new.tag(), true)]
    );
    zone.pass(6).parent_has(&[&new]).pass(61);
    assert_eq!(
        zone.roles(&both),
        [signs(old.tag(), false), signs(new.tag(), true)]
    );
    zone.pass(6);
    assert_eq!(zone.roles(&both), [signs(new.tag(), true)]);
}

#[test]
fn signing_ends_after_the_ds_and_its_copies_are_gone() {
    let first = key(KeyAlgorithm::Ed25519);
    let mut zone = Zone::signed(&first);
    zone.facts.wanted = false;
    zone.pass(1);
    let keys = in_force(&zone.row, 300, |_| {
        Some(std::sync::Arc::new(
            SigningKey::from_pem(&first.to_pem().unwrap(), true).unwrap(),
        ))
    });
    assert_eq!(keys.unwrap().child, ChildRecords::Delete);
    assert_eq!(zone.pass(5000).row.keys.len(), 1);
    zone.parent_has(&[]).pass(60);
    assert_eq!(zone.row.keys.len(), 1);
    assert!(zone.pass(1).row.keys.is_empty());
}

#[test]
fn nothing_is_touched_while_a_failover_is_going_on() {
    let first = key(KeyAlgorithm::Ed25519);
    let mut zone = Zone::new();
    zone.parent_has(&[]).begin(&first).unwrap();
    zone.facts.held = Some("route contoso is failing over".into());
    assert_eq!(zone.pass(100).stages(), [Stage::Published]);
    let Step::Wait(outlook) = next(&zone.row, &zone.facts, zone.now) else {
        panic!("a step is taken");
    };
    let waits = outlook.waits_for.unwrap();
    assert!(waits.contains("route contoso is failing over"), "{waits}");
    zone.facts.held = None;
    assert_eq!(zone.pass(0).stages(), [Stage::Offered]);
}

#[test]
fn lost_keys_are_never_replaced_while_the_parent_has_a_ds() {
    let (lost, other) = (key(KeyAlgorithm::Ed25519), key(KeyAlgorithm::Ed25519));
    let mut zone = Zone::new();
    zone.parent_has(&[&lost]);
    let Step::Wait(outlook) = next(&zone.row, &zone.facts, zone.now) else {
        panic!("a key is generated");
    };
    let tags = lost.tag().to_string();
    assert_eq!(
        outlook.trouble,
        Some(Trouble::KeysLost { tags: tags.clone() })
    );
    assert_eq!(
        zone.begin(&other).err(),
        Some(RequestFault::ParentHasDs(tags))
    );
    // The key itself may come back.
    zone.begin(&lost).unwrap();
    assert_eq!(zone.pass(6).stages(), [Stage::Active]);
}

#[test]
fn a_roll_can_be_ended_while_the_parent_points_at_the_old_key() {
    let (old, new) = (key(KeyAlgorithm::Ed25519), key(KeyAlgorithm::Ed25519));
    let mut zone = Zone::signed(&old);
    let only = retire(&zone.row, old.tag(), zone.now);
    assert_eq!(only.err(), Some(RequestFault::Only));
    zone.begin(&new).unwrap().pass(6);
    zone.row = retire(&zone.row, new.tag(), zone.now).unwrap();
    assert_eq!(zone.pass(0).stages(), [Stage::Active, Stage::Expiring]);
    assert_eq!(zone.pass(61).stages(), [Stage::Active]);
    zone.begin(&new).unwrap().pass(6).parent_has(&[&new]);
    let late = retire(&zone.row, new.tag(), zone.now);
    assert_eq!(late.err(), Some(RequestFault::Carries));
}

#[test]
fn a_key_that_was_let_go_of_before_every_cache_knew_it_is_not_offered_before_that() {
    let (old, new) = (key(KeyAlgorithm::Ed25519), key(KeyAlgorithm::Ed25519));
    let mut zone = Zone::new();
    zone.parent_has(&[]).begin(&old).unwrap();
    assert_eq!(zone.pass(10).stages(), [Stage::Offered]);
    zone.begin(&new).unwrap().pass(1);
    zone.row = retire(&zone.row, new.tag(), zone.now).unwrap();
    zone.pass(0);
    zone.row = retire(&zone.row, old.tag(), zone.now).unwrap();
    assert_eq!(zone.pass(5).stages(), [Stage::Leaving, Stage::Published]);
    assert_eq!(zone.pass(1).stages()[1], Stage::Offered);
}
