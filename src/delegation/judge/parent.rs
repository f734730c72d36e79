//! The zone above: its delegation, its glue, its DS.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::facts::{Delegated, ParentFacts, ParentView, ZoneFacts};
use super::super::finding::Code;
use super::super::served::ServedZone;
use super::{Findings, list, some};
use crate::zone::{Dnskey, Name, Rdata};

/// Above this a way back takes too long while everything is new.
const LONGEST_DELEGATION_TTL: u32 = 3600;

pub(super) fn judge(zone: &ZoneFacts, served: &ServedZone, out: &mut Findings) {
    let parent = match &zone.parent {
        Ok(parent) => parent,
        Err(why) => {
            let remedy = "check [dns] resolvers, and that this machine may ask them";
            out.error(Code::ParentUnknown, &zone.apex, why.clone(), remedy);
            return;
        }
    };
    if parent.views.iter().all(|view| view.delegation.is_err()) {
        let why = parent
            .views
            .iter()
            .find_map(|view| view.delegation.clone().err());
        out.error(
            Code::ParentUnknown,
            &zone.apex,
            format!("no server of {} says anything: {}", parent.apex, why.unwrap_or_default()),
            "check that this machine reaches the nameservers of the zone above; if it does, they are down",
        );
        return;
    }
    silent(zone, parent, out);
    let Some(delegation) = delegation(zone, parent, out) else {
        return;
    };
    name_servers(zone, served, &delegation, out);
    glue(zone, served, parent, &delegation, out);
    ds(zone, served, parent, out);
    missing(zone, parent, out);
}

/// Servers of the zone above none of whose addresses says anything.
fn silent(zone: &ZoneFacts, parent: &ParentFacts, out: &mut Findings) {
    let spoke: BTreeSet<&Name> = parent
        .views
        .iter()
        .filter(|view| view.delegation.is_ok())
        .map(|view| &view.server)
        .collect();
    let mut told = BTreeSet::new();
    for view in &parent.views {
        if let Err(why) = &view.delegation
            && !spoke.contains(&view.server)
            && told.insert(&view.server)
        {
            out.warning(
                Code::ParentServerSilent,
                &zone.apex,
                format!(
                    "{} ({}), which serves {} above: {why}",
                    view.server, view.address, parent.apex
                ),
                "what it delegates is not known; see to it with whoever runs the zone above",
            );
        }
    }
    for (server, why) in &parent.unknown {
        out.warning(
            Code::ParentServerSilent,
            &zone.apex,
            format!(
                "{server}, which serves {} above: its addresses are not known: {why}",
                parent.apex
            ),
            "check [dns] resolvers; if they are well, its name is broken: see to it with whoever runs the zone above",
        );
    }
    for server in &parent.without_address {
        out.warning(
            Code::ParentServerSilent,
            &zone.apex,
            format!(
                "{server}, which serves {} above: its name has no address, neither A nor AAAA",
                parent.apex
            ),
            "have whoever runs the zone above give the name an address, or take it out of that zone's NS records",
        );
    }
}

/// What the servers of the zone above delegate, if they delegate anything.
struct Delegation {
    ns: BTreeSet<Name>,
    ttl: u32,
}

fn delegation(zone: &ZoneFacts, parent: &ParentFacts, out: &mut Findings) -> Option<Delegation> {
    let said = |view: &ParentView| view.delegation.as_ref().ok().cloned();
    let views: Vec<(&ParentView, Delegated)> = parent
        .views
        .iter()
        .filter_map(|view| Some((view, said(view)?)))
        .collect();
    let mut sets: BTreeSet<Vec<Name>> = BTreeSet::new();
    let mut delegation = Delegation {
        ns: BTreeSet::new(),
        ttl: 0,
    };
    for (view, said) in &views {
        let place = format!("{} ({})", view.server, view.address);
        match said {
            Delegated::To { ns, ttl, .. } => {
                sets.insert(ns.clone());
                delegation.ns.extend(ns.iter().cloned());
                delegation.ttl = delegation.ttl.max(*ttl);
            }
            Delegated::Alias { to, .. } => {
                sets.insert(Vec::new());
                let to = to.as_ref().map_or("nothing".to_owned(), Name::to_string);
                out.error(
                    Code::AliasAtApex,
                    &zone.apex,
                    format!("an alias (CNAME) to {to} in its place at {place}"),
                    "take the CNAME out of the zone above and enter the NS records of `repoint delegation show`: a \
                     name is an alias or a zone, not both (RFC 1034 §3.6.2)",
                );
            }
            Delegated::Not { nxdomain } => {
                sets.insert(Vec::new());
                let how = if *nxdomain {
                    "NXDOMAIN"
                } else {
                    "no NS records"
                };
                out.error(
                    Code::NotDelegated,
                    &zone.apex,
                    format!("{how} at {place}, which serves {}", parent.apex),
                    "enter the records of `repoint delegation show` in the zone above",
                );
            }
        }
    }
    let ds: BTreeSet<&Vec<Rdata>> = parent
        .views
        .iter()
        .filter_map(|view| view.ds.as_ref().ok().map(|(rdatas, _)| rdatas))
        .collect();
    if sets.len() > 1 || ds.len() > 1 {
        let what = if sets.len() > 1 {
            "delegation"
        } else {
            "DS set"
        };
        out.warning(
            Code::ParentServersDiffer,
            &zone.apex,
            format!("the servers of {} do not have the same {what}", parent.apex),
            "wait until the zone above has reached all its servers, and check again; if it stays, tell whoever runs it",
        );
    }
    if delegation.ttl > LONGEST_DELEGATION_TTL {
        out.warning(
            Code::DelegationTtl,
            &zone.apex,
            format!(
                "NS records with a TTL of {} s in {}",
                delegation.ttl, parent.apex
            ),
            "lower it to 3600 s or less while everything is new: that is how long a way back takes",
        );
    }
    (!delegation.ns.is_empty()).then_some(delegation)
}

fn name_servers(
    zone: &ZoneFacts,
    served: &ServedZone,
    delegation: &Delegation,
    out: &mut Findings,
) {
    let of_zone = own_ns(zone, served);
    let only_above: Vec<_> = delegation.ns.difference(&of_zone).collect();
    let only_below: Vec<_> = of_zone.difference(&delegation.ns).collect();
    if !only_above.is_empty() || !only_below.is_empty() {
        out.warning(
            Code::NsMismatch,
            &zone.apex,
            format!(
                "NS records only above: {}; only in the zone: {}",
                some(only_above),
                some(only_below)
            ),
            "make both the same: in the zone above, or [dns] nameservers (the zone's file, where it has one)",
        );
    }
}

/// The zone's own NS names, from servers that have authority; else as repoint has them.
fn own_ns(zone: &ZoneFacts, served: &ServedZone) -> BTreeSet<Name> {
    let answers = zone
        .servers
        .iter()
        .filter_map(|server| server.udp.as_ref().ok());
    let live: BTreeSet<Name> = answers
        .filter(|answer| answer.authoritative)
        .flat_map(|answer| answer.ns.iter().cloned())
        .collect();
    match live.is_empty() {
        true => served
            .nameservers
            .iter()
            .map(|h| Name::from(&h.name))
            .collect(),
        false => live,
    }
}

fn glue(
    zone: &ZoneFacts,
    served: &ServedZone,
    parent: &ParentFacts,
    delegation: &Delegation,
    out: &mut Findings,
) {
    let apex = Name::from(&zone.apex);
    for name in delegation
        .ns
        .iter()
        .filter(|name| name.is_at_or_below(&apex))
    {
        let right = own_addresses(name, zone, served);
        for view in &parent.views {
            let Ok(Delegated::To {
                ns,
                glue,
                itself: false,
                ..
            }) = &view.delegation
            else {
                continue;
            };
            if !ns.contains(name) {
                continue;
            }
            let of_name = glue.iter().filter(|(owner, _)| owner == name);
            let there: BTreeSet<IpAddr> = of_name.map(|(_, address)| *address).collect();
            let place = format!("in {} ({} at {})", parent.apex, view.server, view.address);
            if there.is_empty() {
                out.error(
                    Code::GlueMissing,
                    &zone.apex,
                    format!("no address of {name} {place}"),
                    "enter its A and AAAA records beside the delegation, or use a nameserver whose name lies outside the zone",
                );
                continue;
            }
            if right.is_empty() {
                continue;
            }
            let (wrong, absent) = (there.difference(&right), right.difference(&there));
            let seen = format!(
                "{name} has {} {place}, and {} in the zone",
                list(&there),
                list(&right)
            );
            if there.is_disjoint(&right) {
                let remedy = "correct its A and AAAA records in the zone above";
                out.error(Code::GlueMismatch, &zone.apex, seen, remedy);
            } else if wrong.count() > 0 {
                let remedy = "take the addresses that are no longer its own out of the zone above";
                out.warning(Code::GlueSuperfluous, &zone.apex, seen, remedy);
            } else if absent.count() > 0 {
                let remedy = "add the missing addresses in the zone above";
                out.warning(Code::GlueMismatch, &zone.apex, seen, remedy);
            }
        }
    }
}

/// A nameserver's addresses as the zone has them.
fn own_addresses(name: &Name, zone: &ZoneFacts, served: &ServedZone) -> BTreeSet<IpAddr> {
    let answers = zone
        .servers
        .iter()
        .filter_map(|server| server.udp.as_ref().ok());
    let live = answers.flat_map(|answer| &answer.addresses);
    let live: BTreeSet<IpAddr> = live.filter(|(n, _)| n == name).map(|(_, a)| *a).collect();
    if !live.is_empty() {
        return live;
    }
    let hosts = served.nameservers.iter();
    let host = hosts.filter(|host| Name::from(&host.name) == *name);
    host.flat_map(|host| host.addresses.iter().copied())
        .collect()
}

fn ds(zone: &ZoneFacts, served: &ServedZone, parent: &ParentFacts, out: &mut Findings) {
    let apex = Name::from(&zone.apex);
    let answers: Vec<_> = zone
        .servers
        .iter()
        .filter_map(|server| server.udp.as_ref().ok())
        .filter(|answer| answer.authoritative && answer.serial.is_some())
        .collect();
    let keys: Vec<Dnskey> = answers
        .iter()
        .flat_map(|answer| answer.dnskeys.iter().cloned())
        .filter_map(Dnskey::from_rdata)
        .collect();
    let signed = served.signed || !keys.is_empty();
    let mut ttl = 0;
    let mut absent = false;
    for view in &parent.views {
        let Ok((there, there_ttl)) = &view.ds else {
            continue;
        };
        ttl = ttl.max(*there_ttl);
        absent |= there.is_empty();
        let place = format!("in {} ({} at {})", parent.apex, view.server, view.address);
        let tags = list(there.iter().map(tag));
        if there.is_empty() || (answers.is_empty() && !served.signed) {
            continue;
        }
        if !signed {
            out.error(
                Code::DsLeftover,
                &zone.apex,
                format!("DS with key tag {tags} {place}, but the zone is not signed"),
                "take the DS out of the zone above at once: every validating resolver refuses the zone",
            );
        } else if !keys.is_empty()
            && !there
                .iter()
                .any(|ds| keys.iter().any(|key| key.matches_ds(&apex, ds)))
        {
            let own = keys.iter().filter(|key| key.is_secure_entry_point());
            out.error(
                Code::DsMismatch,
                &zone.apex,
                format!(
                    "DS with key tag {tags} {place}, but the zone's keys are {}",
                    list(own.map(Dnskey::tag))
                ),
                "enter the DS records of `repoint delegation show` in the zone above: every validating resolver \
                 refuses the zone",
            );
        }
    }
    if signed && absent && (!served.ds.is_empty() || !keys.is_empty()) {
        out.info(
            Code::DsAbsent,
            &zone.apex,
            format!("no DS in {}, though the zone is signed", parent.apex),
            "enter the DS records of `repoint delegation show` once the rest is clean; until then nobody validates",
        );
    }
    if ttl > LONGEST_DELEGATION_TTL {
        out.warning(
            Code::DelegationTtl,
            &zone.apex,
            format!("DS records with a TTL of {ttl} s in {}", parent.apex),
            "lower it to 3600 s or less while everything is new: that is how long a way back takes",
        );
    }
}

fn tag(ds: &Rdata) -> u16 {
    ds.wire()
        .first_chunk::<2>()
        .map_or(0, |octets| u16::from_be_bytes(*octets))
}

/// Names between the two zones that exist only because of what lies below them.
fn missing(zone: &ZoneFacts, parent: &ParentFacts, out: &mut Findings) {
    for view in &parent.views {
        for name in &view.missing {
            out.error(
                Code::NxdomainAtEmptyName,
                name,
                format!(
                    "NXDOMAIN at {} ({}), though {} lies below it",
                    view.server, view.address, zone.apex
                ),
                "the server is at fault (RFC 8020 §2): update it, or add any record (a TXT) at the name; resolvers that \
                 minimise questions lose everything below it",
            );
        }
    }
}
