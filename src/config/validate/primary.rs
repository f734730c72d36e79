//! Zones whose static part comes from a primary.
//!
//! In: a `[[zone]]` of a draft. Out: its [`Primary`], or what is wrong with it. Never here: asking one.

use std::net::SocketAddr;

use crate::topology::Primary;

use super::super::draft::{Draft, ZoneDraft};
use super::super::problem::{ConfigProblems, Rule};
use super::super::secondary::source_reaches;
use super::super::secrets::known_key;

/// Where a zone's static part comes from, when that is another nameserver.
pub(super) fn primary(
    zone: &ZoneDraft,
    draft: &Draft,
    problems: &mut ConfigProblems,
) -> Option<Primary> {
    let Some(list) = &zone.primary else {
        if let Some(place) = &zone.tsig_place {
            let message =
                "\"tsig\" of a zone signs its transfers from a primary, and there is none";
            problems
                .error(Rule::NoEffect, place, message)
                .help("add primary = [\"192.0.2.1:53\"], or leave tsig out");
        }
        if let Some(source) = &zone.source {
            let message =
                "\"source\" of a zone is where its primaries are asked from, and there is none";
            problems
                .error(Rule::NoEffect, &source.place, message)
                .help("add primary = [\"192.0.2.1:53\"], or leave source out");
        }
        return None;
    };
    if let Some(file) = &zone.file {
        let message = "a zone has its static records from a file or from a primary, not from both";
        problems
            .error(Rule::ZoneConflict, &file.place, message)
            .also(&list.place, "the primary")
            .help("leave one of them out");
    }
    for address in &list.items {
        let ip = address.value.ip();
        if ip.is_unspecified() || ip.is_multicast() || address.value.port() == 0 {
            let message = format!("primary {} cannot be asked", address.value);
            problems
                .error(Rule::BadValue, &address.place, message)
                .help("name the address and port that it answers on");
        }
    }
    let addresses: Vec<SocketAddr> = list.items.iter().map(|item| item.value).collect();
    if let Some(source) = &zone.source {
        source_reaches(source, &addresses, problems);
    }
    if zone.tsig_place.is_none() {
        let message = "a zone from a primary needs a TSIG key: without one, whoever can forge the primary's address writes the zone";
        problems.error(Rule::MissingKey, &list.place, message).help(
            "add tsig = \"owner.example.\" with its [[tsig]], or tsig = \"none\" if that is meant",
        );
    }
    let tsig = zone.tsig.clone().flatten();
    if let Some(key) = &tsig {
        known_key(key, draft, problems);
        if key.value.to_domain_name().is_none() {
            let message = format!("TSIG key {} has a name that cannot be used here", key.value);
            problems
                .error(Rule::BadValue, &key.place, message)
                .help("use letters, digits, '-' and '_'");
        }
    }
    Some(Primary {
        addresses,
        tsig: tsig.and_then(|key| key.value.to_domain_name()),
        source: zone.source.as_ref().map(|source| source.value),
    })
}
