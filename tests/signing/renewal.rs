//! Signatures over months: renewed in time, in few versions, without ever being needed sooner.

use std::sync::Arc;
use std::time::Duration;

use repoint::clock::Wall;
use repoint::zone::{KeyAlgorithm, ZoneVersion, diff};

use crate::ground::{DAY, Served, key, single};

fn least_validity(zone: &ZoneVersion, now: Wall) -> Duration {
    let signatures = zone.nodes().iter().flat_map(|node| &node.signatures);
    let mut least = Duration::MAX;
    for signature in signatures {
        assert!(
            signature.inception <= now,
            "a signature that is not valid yet"
        );
        least = least.min(signature.expiration.since(now));
    }
    assert_eq!(zone.expiration().unwrap().since(now), least);
    least
}

#[test]
fn ten_days_remain_at_any_moment_of_half_a_year() {
    let mut served = Served::new(
        "www A 192.0.2.1\n",
        Some(single(&key(KeyAlgorithm::Ed25519))),
    );
    let (begin, mut versions) = (served.now, 0);
    // A failover now and then, and a renewal whenever one is due.
    let mut failover = served.now + 5 * DAY;
    while served.now.since(begin) < 180 * DAY {
        let due = served.zones.next_resign().unwrap();
        assert!(due > served.now, "a renewal that is due at once again");
        // Until the next publication nothing is renewed.
        assert!(least_validity(&served.zone(), due.min(failover)) > 11 * DAY);
        let before = served.zone();
        served.now = due.min(failover);
        if served.now == failover {
            served.active = 3 - served.active;
            failover = failover + 5 * DAY;
            served.publish();
        } else {
            let after = served.publish();
            assert!(
                !Arc::ptr_eq(&before, &after),
                "a renewal that renews nothing"
            );
            versions += 1;
        }
        assert!(least_validity(&served.zone(), served.now) >= 12 * DAY);
    }
    assert!(
        versions <= 180,
        "{versions} versions for renewal in 180 days"
    );
}

#[test]
fn a_large_zone_is_renewed_in_parts() {
    let records: String = (0..3000)
        .map(|n| format!("n{n} A 192.0.2.{}\n", n % 250))
        .collect();
    let mut served = Served::new(&records, Some(single(&key(KeyAlgorithm::Ed25519))));
    let (begin, mut most) = (served.now, 0);
    while served.now.since(begin) < 20 * DAY {
        served.now = served.zones.next_resign().unwrap();
        let before = served.zone();
        let after = served.publish();
        most = most.max(diff(&before, &after).added.len());
        assert!(least_validity(&after, served.now) >= 12 * DAY);
    }
    assert!(most <= 2002, "{most} records in one version");
}

#[test]
fn a_renewal_after_a_long_sleep_leaves_nothing_urgent() {
    let records: String = (0..3000)
        .map(|n| format!("n{n} A 192.0.2.{}\n", n % 250))
        .collect();
    let mut served = Served::new(&records, Some(single(&key(KeyAlgorithm::Ed25519))));
    served.now = served.now + 30 * DAY;
    let after = served.publish();
    assert!(least_validity(&after, served.now) >= 10 * DAY);
}

#[test]
fn a_clock_that_was_ahead_is_mended_by_the_next_publication() {
    let mut served = Served::new(
        "www A 192.0.2.1\n",
        Some(single(&key(KeyAlgorithm::Ed25519))),
    );
    let today = served.now;
    served.now = today + 2 * DAY;
    served.active = 2;
    served.publish();
    served.now = today;
    let after = served.publish();
    assert!(least_validity(&after, today) >= 12 * DAY);
}

#[test]
fn history_is_bounded_by_the_size_of_the_zone() {
    let mut served = Served::new("", Some(single(&key(KeyAlgorithm::Ed25519))));
    for _ in 0..40 {
        served.active = 3 - served.active;
        served.publish();
    }
    let zone = served.zone();
    let octets: usize = zone.history().iter().map(|change| change.octets).sum();
    assert!(octets <= zone.octets().max(4096), "{octets}");
    assert!(zone.history().len() >= 2);
}
