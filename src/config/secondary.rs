//! Secondaries: who may transfer zones and is notified of their changes.
//!
//! In: the `[[secondary]]` tables of a draft, the TSIG keys and zones there are. Out: [`Secondary`], each whole.
//! Never here: transfers.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::topology::{DomainName, Topology};
use crate::zone::Name;

use super::compare::apexes;
use super::draft::{AcmeDraft, AcmeKeyDraft, Draft, SecondaryDraft};
use super::problem::{At, ConfigProblems, Rule, no_duplicates};
use super::secrets::{known_key, plain};
use super::settings::{AcmeKey, AcmeSettings};

/// How the name of a challenge begins (RFC 8555 §8.4).
const CHALLENGE: &str = "_acme-challenge.";

/// A server that has the zones from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secondary {
    /// What the operator calls it.
    pub name: String,
    /// Where it is notified, and asked which serials it has.
    pub address: SocketAddr,
    /// Where its transfers come from.
    pub allow: BTreeSet<IpAddr>,
    /// The TSIG key it must sign with; none when the operator said so on purpose.
    pub tsig: Option<Name>,
    /// The zones it has; all when absent.
    pub zones: Option<BTreeSet<DomainName>>,
    /// The address that it is notified and asked from; a listening address when absent.
    pub source: Option<IpAddr>,
}

impl Secondary {
    /// Whether it has this zone from us.
    pub fn has(&self, apex: &Name) -> bool {
        match &self.zones {
            None => true,
            Some(zones) => apex
                .to_domain_name()
                .is_some_and(|apex| zones.contains(&apex)),
        }
    }

    /// Whether a transfer that comes from this address, signed with this key, is its own: both must be right.
    pub fn is(&self, address: IpAddr, signed_by: Option<&Name>) -> bool {
        self.allow.contains(&address)
            && match &self.tsig {
                Some(key) => signed_by == Some(key),
                None => true,
            }
    }
}

/// The secondaries of a draft, as far as they could be read.
pub(super) fn secondaries(
    draft: &Draft,
    topology: &Topology,
    problems: &mut ConfigProblems,
) -> Vec<Arc<Secondary>> {
    let all = &draft.secondaries;
    let names: Vec<At<String>> = all.iter().filter_map(|s| s.name.clone()).collect();
    no_duplicates(&names, "secondary", problems);
    let addresses: Vec<At<SocketAddr>> = all.iter().filter_map(|s| s.address.clone()).collect();
    no_duplicates(&addresses, "address of a secondary", problems);
    let served = apexes(topology);
    let secondaries = all.iter();
    secondaries
        .filter_map(|secondary| made(secondary, draft, &served, problems))
        .map(Arc::new)
        .collect()
}

fn made(
    secondary: &SecondaryDraft,
    draft: &Draft,
    served: &BTreeSet<DomainName>,
    problems: &mut ConfigProblems,
) -> Option<Secondary> {
    if let Some(Some(key)) = &secondary.tsig {
        known_key(key, draft, problems);
    }
    let zones = secondary.zones.as_ref().map(|zones| {
        for zone in zones.items.iter().filter(|zone| !served.contains(&zone.value)) {
            problems
                .error(
                    Rule::UnknownZone,
                    &zone.place,
                    format!("zone {} is not served here", zone.value),
                )
                .help("name the apex of a [[zone]] or a steered name of a route with zones = \"owners\"; leave the key out for all zones");
        }
        zones.items.iter().map(|zone| zone.value.clone()).collect()
    });
    let address = secondary.address.as_ref()?.value;
    if let Some(source) = &secondary.source {
        source_reaches(source, &[address], problems);
    }
    let allow = secondary.allow.as_ref().map_or_else(
        || BTreeSet::from([address.ip().to_canonical()]),
        |allow| {
            let allowed = allow.items.iter();
            allowed.map(|at| at.value.to_canonical()).collect()
        },
    );
    Some(Secondary {
        name: secondary.name.as_ref()?.value.clone(),
        address,
        allow,
        tsig: secondary
            .tsig
            .as_ref()?
            .as_ref()
            .map(|key| key.value.clone()),
        zones,
        source: secondary.source.as_ref().map(|source| source.value),
    })
}

/// Reports an address to ask from that none of these servers can be reached from.
pub(super) fn source_reaches(
    source: &At<IpAddr>,
    servers: &[SocketAddr],
    problems: &mut ConfigProblems,
) {
    let same_family = |server: &SocketAddr| server.is_ipv4() == source.value.is_ipv4();
    if source.value.is_unspecified() || source.value.is_multicast() {
        let message = format!("{} is not the address of one machine", source.value);
        problems
            .error(Rule::BadValue, &source.place, message)
            .help("write an address of this machine, or leave source out");
    } else if !servers.iter().any(same_family) {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let (from, servers) = (source.value, servers.join(", "));
        let message = format!("{servers} cannot be asked from {from}: it is of the other family");
        problems
            .error(Rule::NoEffect, &source.place, message)
            .help("write an address of this machine that has the family of the server, or leave source out");
    }
}

/// Who may change challenges.
pub(super) fn acme(
    draft: &Draft,
    topology: &Topology,
    problems: &mut ConfigProblems,
) -> AcmeSettings {
    let AcmeDraft { tsig, lifetime } = &draft.acme;
    let keys: Vec<At<Name>> = tsig.iter().map(|entry| entry.key.clone()).collect();
    no_duplicates(&keys, "TSIG key", problems);
    let served = apexes(topology);
    let keys = tsig.iter();
    AcmeSettings {
        tsig: keys
            .map(|entry| acme_key(entry, draft, &served, problems))
            .collect(),
        lifetime: *lifetime,
    }
}

fn acme_key(
    entry: &AcmeKeyDraft,
    draft: &Draft,
    served: &BTreeSet<DomainName>,
    problems: &mut ConfigProblems,
) -> AcmeKey {
    let AcmeKeyDraft { key, zones, names } = entry;
    known_key(key, draft, problems);
    if zones.is_empty() && names.is_empty() {
        let name = plain(&key.value);
        // No error: a file that was accepted before keys had scopes must still start.
        problems
            .warning(
                Rule::NoEffect,
                &key.place,
                format!("TSIG key {name} may update nothing: it has no scope"),
            )
            .help(format!(
                "write {{ key = \"{name}\", zones = [\"fed.contoso.com\"] }}, or names = [\"_acme-challenge.xmpp.contoso.com\"]"
            ));
    }
    for zone in zones.iter().filter(|zone| !served.contains(&zone.value)) {
        problems
            .error(
                Rule::UnknownZone,
                &zone.place,
                format!("zone {} is not served here", zone.value),
            )
            .help(
                "name the apex of a [[zone]] or a steered name of a route with zones = \"owners\"",
            );
    }
    for name in names {
        if !name.value.as_str().starts_with(CHALLENGE) {
            problems
                .error(
                    Rule::BadValue,
                    &name.place,
                    format!("{} is not the name of a challenge", name.value),
                )
                .help(format!("write \"{CHALLENGE}{}\"", name.value));
        }
    }
    AcmeKey {
        key: key.value.clone(),
        zones: zones.iter().map(|zone| zone.value.clone()).collect(),
        names: names.iter().map(|name| name.value.clone()).collect(),
    }
}
