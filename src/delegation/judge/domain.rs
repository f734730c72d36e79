//! The domain as partners see it: SRV records, their targets, the pools' certificates, the way around SRV.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::facts::{DomainFacts, Facts, ServiceSeen};
use super::super::finding::Code;
use super::super::records::needs_alias;
use super::super::served::{ServedDomain, ServedName};
use super::{Findings, list};
use crate::topology::{DomainName, ServiceKind};
use crate::zone::Name;

/// Partners do not look again sooner than this, so a shorter TTL only costs questions.
const SHORTEST_TTL: u32 = 30;
/// With a longer one partners are slow to follow.
const LONGEST_TTL: u32 = 300;

/// `broken` are the subjects that have errors already: what follows from them is not said again.
pub(super) fn judge(facts: &Facts, broken: &BTreeSet<String>, out: &mut Findings) {
    let ours: BTreeSet<IpAddr> = facts
        .served
        .targets
        .iter()
        .flat_map(|target| target.addresses.iter().copied())
        .collect();
    let mut leading: BTreeMap<&Name, BTreeSet<&DomainName>> = BTreeMap::new();
    for (served, seen) in facts.served.domains.iter().zip(&facts.domains) {
        for service in &seen.services {
            let name = served
                .names
                .iter()
                .find(|name| name.public == service.public);
            if let Some(name) = name {
                judge_service(served, name, service, broken, out);
            }
            for srv in service.records.iter().flatten() {
                leading
                    .entry(&srv.target)
                    .or_default()
                    .insert(&service.public);
            }
        }
        for name in &served.names {
            ttl(name, out);
        }
        fallback(seen, &ours, out);
    }
    targets(facts, &leading, out);
    for certificate in &facts.certificates {
        let Some(fault) = &certificate.fault else {
            continue;
        };
        out.error(
            Code::Certificate,
            &format!("pool {}", certificate.pool),
            format!(
                "{} ({}), asked for {}: {fault}; it names {}",
                certificate.target,
                certificate.peer,
                certificate.check,
                list(&certificate.names)
            ),
            "give the pool a certificate that partners accept for the domain, before it is needed: they never recover \
             by themselves; `repoint probe ROUTE` shows more",
        );
    }
}

fn judge_service(
    domain: &ServedDomain,
    name: &ServedName,
    seen: &ServiceSeen,
    broken: &BTreeSet<String>,
    out: &mut Findings,
) {
    let root_cause_known = broken.contains(name.zone.as_str());
    // Without an answer it is not known whether there is an alias.
    let answered = seen.records.is_ok() || seen.alias.is_some();
    if answered && needs_alias(name) && seen.alias.as_ref() != Some(&Name::from(&name.owner)) {
        let instead = match &seen.alias {
            Some(other) => format!("an alias to {other}"),
            None => "no alias".to_owned(),
        };
        out.error(
            Code::AliasMissing,
            &name.public,
            format!("{instead}, where one should lead to {}.", name.owner),
            "enter the CNAME of `repoint delegation show` in the zone above, in the place of SRV records",
        );
        return;
    }
    let records = match &seen.records {
        Ok(records) => records,
        Err(_) if root_cause_known => return,
        Err(why) => {
            let remedy = "check [dns] resolvers; if they work, something between them and the nameservers does not";
            out.warning(Code::SrvUnknown, &name.public, why.clone(), remedy);
            return;
        }
    };
    if records.is_empty() && !root_cause_known {
        out.error(
            Code::SrvMissing,
            &name.public,
            "partners find no SRV record".to_owned(),
            "compare with `repoint delegation show`; resolvers may remember an earlier absence for the zone's negative TTL",
        );
    }
    for srv in records {
        if srv.port != seen.kind.standard_port() {
            out.warning(
                Code::Port,
                &name.public,
                format!("port {} to {}", srv.port, srv.target),
                &format!(
                    "partners' firewalls know port {}: serve there, or be sure that all partners reach the other one",
                    seen.kind.standard_port()
                ),
            );
        }
        let directly = srv.target.parent() == Some(Name::from(&domain.domain));
        if seen.kind == ServiceKind::SipFederationTls && !directly && !srv.target.is_root() {
            out.error(
                Code::SipTarget,
                &name.public,
                format!("it leads to {}, which does not lie directly in {}", srv.target, domain.domain),
                "name a target directly in the domain (targets in [[route.service]]): Lync and Skype for Business compare \
                 the names and refuse others",
            );
        }
    }
}

fn ttl(name: &ServedName, out: &mut Findings) {
    for ttl in name
        .records
        .iter()
        .map(|record| record.ttl)
        .collect::<BTreeSet<_>>()
    {
        if ttl < SHORTEST_TTL {
            out.warning(
                Code::Ttl,
                &name.owner,
                format!("a TTL of {ttl} s"),
                "set ttl = \"30s\" or more in the route: partners do not look sooner, and resolvers ask more",
            );
        } else if ttl > LONGEST_TTL {
            out.warning(
                Code::Ttl,
                &name.owner,
                format!("a TTL of {ttl} s"),
                "set ttl = \"30s\" to \"60s\" in the route: for so long partners go to a pool that has failed",
            );
        }
    }
}

fn fallback(domain: &DomainFacts, ours: &BTreeSet<IpAddr>, out: &mut Findings) {
    let foreign = |addresses: &[IpAddr]| -> Vec<IpAddr> {
        let foreign = addresses.iter().filter(|address| !ours.contains(address));
        foreign.copied().collect()
    };
    let listens = foreign(&domain.apex_listens);
    if !listens.is_empty() {
        out.warning(
            Code::ApexListens,
            &domain.domain,
            format!("port 5269 is open at {}, which no pool publishes", list(listens)),
            "close the port there, with a reset: a partner that fails at every SRV target tries the domain's own address \
             (RFC 6120 §3.2.2), and is caught by a server that does not know the domain",
        );
    }
    let drops = foreign(&domain.apex_drops);
    if !drops.is_empty() {
        out.info(
            Code::ApexDrops,
            &domain.domain,
            format!("connections to port 5269 are dropped at {}", list(drops)),
            "let the firewall reject them instead: a partner that tries it waits up to two minutes",
        );
    }
}

fn targets(facts: &Facts, leading: &BTreeMap<&Name, BTreeSet<&DomainName>>, out: &mut Findings) {
    for target in &facts.targets {
        let from = leading.get(&target.name).into_iter().flatten();
        let from: Vec<&&DomainName> = from.take(3).collect();
        let of = match from.is_empty() {
            true => "a pool has it".to_owned(),
            false => format!("{} leads to it", list(from)),
        };
        if let Some(alias) = &target.alias {
            out.error(
                Code::TargetAlias,
                &target.name,
                format!("it is an alias (CNAME) to {alias}; {of}"),
                "give it A and AAAA records of its own: SRV targets are never aliases (RFC 2782), and partners differ in \
                 what they do with one",
            );
        }
        match &target.addresses {
            Ok(addresses) if addresses.is_empty() => out.error(
                Code::TargetWithoutAddress,
                &target.name,
                format!("it has no address; {of}"),
                "enter its A and AAAA records where its zone is served",
            ),
            Ok(_) => {}
            Err(why) => out.warning(
                Code::TargetUnknown,
                &target.name,
                format!("{why}; {of}"),
                "its addresses cannot be found: see to the zone that it lies in",
            ),
        }
    }
}
