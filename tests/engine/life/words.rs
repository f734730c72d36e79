//! Configurations at random, and what a reload may change of them.
//!
//! In: dice. Out: words of `setup`. Never here: whether they are a configuration; one that is refused is no reload.

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::setup::Words;

pub(super) fn random(dice: &mut SmallRng) -> Words {
    let mut words = Words::default();
    let mut set = |key: &str, value: String| words.0.insert(key.to_owned(), value);
    let one = |dice: &mut SmallRng, of: &[&str]| (*of.choose(dice).unwrap()).to_owned();
    set("targets", one(dice, &["1", "1", "2", "3"]));
    set("routes", one(dice, &["1", "1", "2"]));
    set("crossed", one(dice, &["yes", "no"]));
    set("v6", one(dice, &["no", "no", "yes"]));
    set("canaries", one(dice, &["0", "1", "2", "2", "2"]));
    set(
        "services",
        one(
            dice,
            &["xmpp-server", "xmpp-server", "xmpp-server,xmpps-server"],
        ),
    );
    set("optional", one(dice, &["", "xmpps-server"]));
    set("mode", one(dice, &["order", "order", "withdraw"]));
    let (interval, timeout) = *[("2s", "1s"), ("10s", "3s"), ("1m", "3s")]
        .choose(dice)
        .unwrap();
    set("interval", interval.into());
    set("timeout", timeout.into());
    set("retry", one(dice, &["500ms", "1s", "2s"]));
    set("fall", one(dice, &["1", "2", "3", "4"]));
    set("min_fault", one(dice, &["0s", "3s", "10s"]));
    let (rise, steady) = *[("2", "2"), ("4", "3"), ("6", "5")].choose(dice).unwrap();
    set("rise", rise.into());
    set("steady", steady.into());
    set("names", one(dice, &["owners", "owners", "within"]));
    let zone = one(dice, &["", "contoso.net", "contoso.com"]);
    if !zone.is_empty() {
        set("zone", zone);
    }
    if dice.random_bool(0.7) {
        set("dnssec", "yes".into());
        set("propagation", one(dice, &["10s", "30s", "2m"]));
        set("zone_ttl", one(dice, &["30s", "60s", "2m"]));
        // What counts as a large zone: each that is signed, those of whole domains, none.
        set("most_at_once", one(dice, &["0", "8", "2000", "2000"]));
    }
    words
        .0
        .insert("pools".into(), one(dice, &["2", "2", "3", "4"]));
    for _ in 0..8 {
        mutate(&mut words, dice);
    }
    words
}

/// What a reload may change.
pub(super) fn mutate(words: &mut Words, dice: &mut SmallRng) {
    let one = |dice: &mut SmallRng, of: &[&str]| (*of.choose(dice).unwrap()).to_owned();
    let (key, value) = match dice.random_range(0..13) {
        0 => (
            "failover",
            one(dice, &["auto", "auto", "auto", "auto", "ask", "observe"]),
        ),
        1 => ("failback", one(dice, &["auto", "manual"])),
        2 => ("hold_down", one(dice, &["20s", "2m", "10m"])),
        3 => ("max_switches", one(dice, &["1", "2", "4", "6"])),
        4 => ("ttl", one(dice, &["30s", "60s"])),
        5 => ("order", {
            let mut pools = vec!["edgepool1", "edgepool2", "edgepool3", "edgepool4"];
            let count = dice.random_range(2..=4);
            rand::seq::SliceRandom::shuffle(pools.as_mut_slice(), dice);
            pools.truncate(count);
            pools.join(",")
        }),
        6 => (
            "edge1",
            one(dice, &["192.0.2.10", "192.0.2.77", "192.0.2.78"]),
        ),
        7 => ("v6", one(dice, &["no", "yes"])),
        8 => ("routes", one(dice, &["1", "2"])),
        9 => ("targets", one(dice, &["1", "2"])),
        10 if words.0.contains_key("dnssec") => ("dnssec", one(dice, &["yes", "yes", "yes", "no"])),
        11 => {
            let algorithms = words.0.get("algorithms").cloned().unwrap_or_default();
            let algorithms: Vec<&str> = algorithms.split(',').filter(|a| !a.is_empty()).collect();
            let algorithm = algorithms.choose(dice).copied().unwrap_or("ed25519");
            ("algorithm", algorithm.to_owned())
        }
        _ => ("mode", one(dice, &["order", "withdraw"])),
    };
    words.0.insert(key.to_owned(), value);
}
