//! How far versions have come, and for how long copies of those before may be about: no step of keys counts on less.

use std::sync::Arc;
use std::time::Duration;

use repoint::engine::{Command, Event, KeyChange, KeyVerb};
use repoint::keys::ParentDs;
use repoint::zone::{KeyAlgorithm, Rdata, SigningKey};

use crate::signed::{active, pass, signed_world, tags, zone};
use crate::world::StoreMood;

#[test]
fn what_comes_while_a_row_is_stored_is_in_force_and_stored_with_it() {
    let mut world = signed_world();
    let old = active(&mut world);
    let row = world.disk.keys[&zone()].clone();
    let ds = row.keys[0].dnskey().ds(&row.name());
    world.store(StoreMood::Slow(Duration::from_secs(1)));
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let new = key.tag();
    world.disk.ring.insert(zone(), key.clone());
    let begin = Command::Keys {
        zone: zone(),
        change: KeyChange::Begin {
            verb: KeyVerb::Roll,
            key,
            parent_has_no_ds: false,
        },
    };
    world.request(begin, "ann", None, false, false);
    let until = world.elapsed() + Duration::from_millis(200);
    while world.step(until).is_some() {}
    // Under way: nothing is in force yet.
    assert_eq!(tags(&world), [old]);
    let set: [Rdata; 1] = [ds];
    let heard = ParentDs::of(world.wall(), [Some((&set[..], 7200))]);
    world.tell(Event::Parent {
        zone: zone(),
        heard: Ok(heard),
    });
    world.wall_off += 90_000_000;
    pass(&mut world, 20);
    assert_eq!(tags(&world), [old, new]);
    let stored = &world.disk.keys[&zone()];
    assert_eq!((stored.keys.len(), stored.ds_ttl), (2, Some(7200)));
    // The clock was set, and this moment with it.
    assert!(world.wall().since(stored.keys[1].since) < Duration::from_secs(60));
}
