//! What a reload changes, in sentences for operators.
//!
//! In: two configurations and their [`Changes`]. Out: one sentence for each thing that is different, with a few examples
//! instead of thousands of names. Never here: finding the differences of the whole; that is `compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};

use crate::topology::{DomainName, Pool, Route, ServiceKind};
use crate::zone::StaticZone;

use super::Configuration;
use super::compare::{Changes, apexes};

/// Names shown of a longer list.
const EXAMPLES: usize = 3;

/// Routes, pools or zones that get a sentence of their own.
const SENTENCES: usize = 10;

/// All that is different, apart from what waits for a restart.
pub(super) fn of(old: &Configuration, new: &Configuration, changes: &Changes) -> Vec<String> {
    let mut out = Vec::new();
    let removed = match changes.domains_removed.len() {
        0 => String::new(),
        removed => format!("{removed} of {}", changes.domains_before),
    };
    listed(&mut out, "domain", "added", &changes.domains_added);
    if !removed.is_empty() {
        let names = examples(&changes.domains_removed, changes.domains_removed.len());
        out.push(format!("{removed} domains removed: {names}"));
    }
    let moved = &changes.domains_moved;
    listed(&mut out, "domain", "in another route now", moved);
    listed(&mut out, "route", "added", &changes.routes_added);
    listed(&mut out, "route", "removed", &changes.routes_removed);
    let routes = changes.routes_changed.iter().filter_map(|name| {
        let (was, now) = (
            old.topology.routes.get(name)?,
            new.topology.routes.get(name)?,
        );
        sentence(&format!("route {name}"), &route(was, now))
    });
    bounded(&mut out, "routes", routes.collect());
    listed(&mut out, "pool", "added", &changes.pools_added);
    listed(&mut out, "pool", "removed", &changes.pools_removed);
    let pools = changes.pools_changed.iter().filter_map(|name| {
        let (was, now) = (old.topology.pools.get(name)?, new.topology.pools.get(name)?);
        sentence(&format!("pool {name}"), &pool(was, now))
    });
    bounded(&mut out, "pools", pools.collect());
    listed(&mut out, "zone", "added", &changes.zones_added);
    listed(&mut out, "zone", "removed", &changes.zones_removed);
    bounded(&mut out, "zones", zones(old, new));
    dnssec(&mut out, old, new);
    let others = changes.others.iter();
    out.extend(others.filter_map(|key| other(key)).map(str::to_owned));
    if out.is_empty() && !changes.routes_changed.is_empty() {
        out.push("the order of domains changed".to_owned());
    }
    out
}

/// A few names of a longer list.
pub(super) fn examples<T: Display>(names: &[T], of: usize) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(EXAMPLES)
        .map(ToString::to_string)
        .collect();
    match of.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn listed<T: Display>(out: &mut Vec<String>, what: &str, how: &str, names: &[T]) {
    match names {
        [] => {}
        [one] => out.push(format!("{what} {one} {how}")),
        many => {
            let names = examples(many, many.len());
            out.push(format!("{} {what}s {how}: {names}", many.len()));
        }
    }
}

fn sentence(subject: &str, parts: &[String]) -> Option<String> {
    (!parts.is_empty()).then(|| format!("{subject}: {}", parts.join(", ")))
}

fn bounded(out: &mut Vec<String>, what: &str, sentences: Vec<String>) {
    let more = sentences.len().saturating_sub(SENTENCES);
    out.extend(sentences.into_iter().take(SENTENCES));
    if more > 0 {
        out.push(format!("{more} more {what} changed"));
    }
}

/// Adds `name now (was before)` where the two differ.
fn differ<T: PartialEq>(
    parts: &mut Vec<String>,
    name: &str,
    was: &T,
    now: &T,
    text: impl Fn(&T) -> String,
) {
    if was != now {
        parts.push(format!("{name} {} (was {})", text(now), text(was)));
    }
}

fn word<T: Debug>(value: &T) -> String {
    format!("{value:?}").to_lowercase()
}

fn names<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

fn route(was: &Route, now: &Route) -> Vec<String> {
    let mut parts = Vec::new();
    let pools = |route: &Route| route.pool_names().cloned().collect::<Vec<_>>();
    if pools(was) == pools(now) {
        let priorities = |route: &Route| route.pools.iter().map(|p| p.priority).collect::<Vec<_>>();
        differ(
            &mut parts,
            "priorities",
            &priorities(was),
            &priorities(now),
            |p| names(p),
        );
    } else {
        differ(&mut parts, "pools", &pools(was), &pools(now), |pools| {
            names(pools)
        });
    }
    differ(&mut parts, "zones", &was.zones, &now.zones, word);
    differ(&mut parts, "failover", &was.failover, &now.failover, word);
    differ(&mut parts, "failback", &was.failback, &now.failback, word);
    let time = |time: &std::time::Duration| humantime::format_duration(*time).to_string();
    differ(
        &mut parts,
        "hold_down",
        &was.hold_down,
        &now.hold_down,
        time,
    );
    differ(&mut parts, "ttl", &was.ttl, &now.ttl, |ttl| {
        format!("{ttl} s")
    });
    let number = |number: &u32| number.to_string();
    differ(
        &mut parts,
        "max_switches",
        &was.max_switches,
        &now.max_switches,
        number,
    );
    differ(&mut parts, "need", &was.need, &now.need, number);
    differ(
        &mut parts,
        "require_families",
        &was.require_families,
        &now.require_families,
        |families| families.as_ref().map_or_else(|| "absent".to_owned(), names),
    );
    differ(
        &mut parts,
        "address",
        &was.address,
        &now.address,
        |address| {
            address
                .as_ref()
                .map_or("absent", |address| address.as_str())
                .to_owned()
        },
    );
    differ(
        &mut parts,
        "check_domains",
        &was.check_domains,
        &now.check_domains,
        |domains| examples(domains, domains.len()),
    );
    let kinds = |route: &Route| -> BTreeSet<ServiceKind> {
        route.services.iter().map(|service| service.kind).collect()
    };
    for kind in kinds(now).difference(&kinds(was)) {
        parts.push(format!("service {kind} added"));
    }
    for kind in kinds(was).difference(&kinds(now)) {
        parts.push(format!("service {kind} removed"));
    }
    for service in &now.services {
        let before = was
            .services
            .iter()
            .find(|before| before.kind == service.kind);
        if before.is_some_and(|before| before != service) {
            parts.push(format!("settings of service {}", service.kind));
        }
    }
    parts
}

fn pool(was: &Pool, now: &Pool) -> Vec<String> {
    let mut parts = Vec::new();
    differ(&mut parts, "site", &was.site, &now.site, |site| {
        site.as_ref()
            .map_or_else(|| "absent".to_owned(), ToString::to_string)
    });
    for target in &now.targets {
        let name = &target.name;
        match was.targets.iter().find(|before| before.name == *name) {
            None => parts.push(format!("target {name} added")),
            Some(before) if before == target => {}
            Some(before) => {
                let published = |target: &crate::topology::Target| {
                    target
                        .addresses
                        .iter()
                        .map(|a| a.publish)
                        .collect::<Vec<_>>()
                };
                if published(before) == published(target) {
                    parts.push(format!("target {name} is probed in another way"));
                } else {
                    parts.push(format!(
                        "target {name} publishes {} (was {})",
                        names(published(target)),
                        names(published(before))
                    ));
                }
            }
        }
    }
    let stays = |name: &DomainName| now.targets.iter().any(|target| target.name == *name);
    let gone = was.targets.iter().filter(|target| !stays(&target.name));
    parts.extend(gone.map(|target| format!("target {} removed", target.name)));
    if parts.is_empty() {
        parts.push("another order of targets".to_owned());
    }
    parts
}

/// Static records and primaries of the zones that stay.
fn zones(old: &Configuration, new: &Configuration) -> Vec<String> {
    let mut out = Vec::new();
    for (apex, zone) in &new.topology.zones {
        let Some(before) = old.topology.zones.get(apex) else {
            continue;
        };
        let mut parts = Vec::new();
        if before.primary != zone.primary {
            parts.push("other primaries or another TSIG key".to_owned());
        }
        match (old.statics.get(apex), new.statics.get(apex)) {
            (Some(was), Some(now)) => parts.extend(records(was, now)),
            (None, Some(_)) => parts.push("it has a file now".to_owned()),
            (Some(_), None) => parts.push("it has no file any more".to_owned()),
            (None, None) => {}
        }
        out.extend(sentence(&format!("zone {apex}"), &parts));
    }
    out
}

fn records(was: &StaticZone, now: &StaticZone) -> Option<String> {
    let (was, now) = (was.to_master_text(), now.to_master_text());
    if was == now {
        return None;
    }
    let count = |text: &str| {
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for line in text.lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
        lines
    };
    let (before, after) = (count(&was), count(&now));
    let missing = |from: &BTreeMap<String, usize>, of: &BTreeMap<String, usize>| {
        let each = of
            .iter()
            .map(|(line, n)| n.saturating_sub(*from.get(line).unwrap_or(&0)));
        each.sum::<usize>()
    };
    let (added, removed) = (missing(&before, &after), missing(&after, &before));
    let total = was.lines().count();
    Some(format!(
        "{added} static records added, {removed} of {total} removed"
    ))
}

fn dnssec(out: &mut Vec<String>, old: &Configuration, new: &Configuration) {
    let were = apexes(&old.topology);
    let will = apexes(&new.topology);
    let enabled: Vec<&DomainName> = will
        .iter()
        .filter(|apex| new.dnssec.signs(apex) && !(were.contains(*apex) && old.dnssec.signs(apex)))
        .collect();
    let disabled: Vec<&DomainName> = will
        .iter()
        .filter(|apex| !new.dnssec.signs(apex) && were.contains(*apex) && old.dnssec.signs(apex))
        .collect();
    for (how, zones) in [("enabled", enabled), ("disabled", disabled)] {
        if !zones.is_empty() {
            out.push(format!(
                "DNSSEC {how} for {}",
                examples(&zones, zones.len())
            ));
        }
    }
    if old.dnssec.algorithm != new.dnssec.algorithm {
        out.push("dnssec_algorithm changed: new keys are made with it".to_owned());
    }
    let (was, now) = (old.dnssec.propagation, new.dnssec.propagation);
    if was != now {
        let (was, now) = (
            humantime::format_duration(was),
            humantime::format_duration(now),
        );
        out.push(format!("propagation {now} (was {was})"));
    }
}

/// The sentence for a part of the file that is compared as a whole; none where `of` has better ones.
fn other(key: &str) -> Option<&'static str> {
    Some(match key {
        "health.canaries" => "canaries changed",
        "dns" => "nameservers of generated zones changed",
        "dns.resolvers" => "resolvers changed",
        "alarm" => "the alarm command changed",
        "server.certificate" => "the paths of the server's certificate changed",
        "tsig" => "TSIG keys changed",
        "dns.manners" => "settings of [dns] for responses changed",
        "acme" => "settings of [acme] changed",
        "secondary" => "secondaries changed",
        _ => return None,
    })
}
