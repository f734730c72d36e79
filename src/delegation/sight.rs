//! Looking for what in the zones above still leads to us.
//!
//! In: what is served. Out: a [`Sighting`] of each link. Each server of the zones above is asked directly; one of its
//! addresses is enough, all that answer count. Never here: what follows from it, or what was seen before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::facts::{Delegated, ParentFacts, ParentView, code};
use super::gather::{Gatherer, in_order};
use super::leave::{Link, Sighting, State};
use super::said::brief;
use super::served::{Served, ServedName, ServedZone};
use crate::ask::{Query, Reply, ask, negative_ttl};
use crate::zone::{Name, Rdata};

const PORT: u16 = 53;

/// Looks for the DS, the NS records and the names of everything that is served.
pub async fn sight(served: &Served) -> Vec<Sighting> {
    let gatherer = Arc::new(Gatherer::new(served));
    let outside = served.zones.iter().filter(|zone| zone.within.is_none());
    let outside: Vec<ServedZone> = outside.cloned().collect();
    let apexes: Vec<Name> = outside.iter().map(|zone| Name::from(&zone.apex)).collect();
    let apexes = Arc::new(apexes);
    let of_zones = in_order(outside, {
        let gatherer = Arc::clone(&gatherer);
        move |zone| {
            let gatherer = Arc::clone(&gatherer);
            async move {
                let _turn = gatherer.turns.acquire().await;
                of_zone(&gatherer, &zone).await
            }
        }
    });
    let mut names: BTreeMap<String, ServedName> = BTreeMap::new();
    for name in served.domains.iter().flat_map(|domain| &domain.names) {
        names.insert(name.public.to_string(), name.clone());
    }
    let of_names = in_order(names.into_values().collect(), move |name| {
        let (gatherer, apexes) = (Arc::clone(&gatherer), Arc::clone(&apexes));
        async move {
            let _turn = gatherer.turns.acquire().await;
            of_name(&gatherer, &name, &apexes).await
        }
    });
    let (zones, names) = tokio::join!(of_zones, of_names);
    zones.into_iter().flatten().chain(names).collect()
}

async fn of_zone(gatherer: &Gatherer, zone: &ServedZone) -> Vec<Sighting> {
    let apex = Name::from(&zone.apex);
    let facts = match gatherer.above(&apex).await {
        Ok(parent) => Ok(gatherer.parent(&apex, &parent).await),
        Err(why) => Err(why),
    };
    let ours: Vec<Name> = zone
        .nameservers
        .iter()
        .map(|h| Name::from(&h.name))
        .collect();
    let to_us = |view: &ParentView| match &view.delegation {
        Ok(Delegated::To { ns, ttl, .. }) if ns.iter().any(|name| ours.contains(name)) => {
            Ok(Some(*ttl))
        }
        Ok(_) => Ok(None),
        Err(why) => Err(why.clone()),
    };
    let is_ours = |ds: &Rdata| zone.ds.contains(&ds.to_text(RecordType::DS));
    // A DS for the keys of whoever serves the zone after us is not in the way.
    let ds = |view: &ParentView| match &view.ds {
        Ok((there, ttl)) => {
            let counts = !there.is_empty()
                && (to_us(view).is_ok_and(|ttl| ttl.is_some()) || there.iter().any(is_ours));
            Ok(counts.then_some(*ttl))
        }
        Err(why) => Err(why.clone()),
    };
    let sighting = |link, state, least, never| Sighting {
        link,
        subject: zone.apex.to_string(),
        state,
        least,
        never,
    };
    vec![
        sighting(Link::Ds, by_server(&facts, ds), 0, !zone.signed),
        sighting(
            Link::Delegation,
            by_server(&facts, to_us),
            zone.ns_ttl.max(zone.negative_ttl),
            false,
        ),
    ]
}

/// Whether a link is there, over all servers of the zone above: none may be silent.
fn by_server(
    facts: &Result<ParentFacts, String>,
    ttl: impl Fn(&ParentView) -> Result<Option<u32>, String>,
) -> State {
    let facts = match facts {
        Ok(facts) => facts,
        Err(why) => return State::Unknown(why.clone()),
    };
    let views = facts.views.iter();
    let said = views.map(|view| (&view.server, Some(view.address), ttl(view)));
    let unknown = facts.unknown.iter();
    joined(said.chain(unknown.map(|(server, why)| (server, None, Err(why.clone())))))
}

fn joined<'a>(
    said: impl Iterator<Item = (&'a Name, Option<SocketAddr>, Result<Option<u32>, String>)>,
) -> State {
    let mut there = None;
    let mut servers: BTreeMap<&Name, Result<(), String>> = BTreeMap::new();
    for (server, address, said) in said {
        match said {
            Ok(ttl) => {
                there = there.max(ttl);
                servers.insert(server, Ok(()));
            }
            Err(why) => {
                let silent = match address {
                    Some(address) => format!("{server} ({address}): {why}"),
                    None => format!("{server}: {why}"),
                };
                servers.entry(server).or_insert(Err(silent));
            }
        }
    }
    if let Some(ttl) = there {
        return State::There { ttl };
    }
    if servers.is_empty() {
        return State::Unknown("no address of its nameservers is known".into());
    }
    match servers.into_values().find_map(Result::err) {
        Some(why) => State::Unknown(why),
        None => State::Gone,
    }
}

/// Whether partners who ask for a name are led to us, or nowhere.
async fn of_name(gatherer: &Gatherer, name: &ServedName, ours: &[Name]) -> Sighting {
    let public = Name::from(&name.public);
    let apex = match &name.public_zone {
        Some(zone) => Name::from(zone),
        None => public.clone(),
    };
    let state = match gatherer.above(&apex).await {
        Err(why) => State::Unknown(why),
        Ok(parent) => {
            let mut said = Vec::new();
            for server in &parent.servers {
                for address in server.addresses.iter().flatten() {
                    let address = SocketAddr::new(*address, PORT);
                    let answer = led_to_us(gatherer, address, &public, name, ours).await;
                    said.push((&server.name, Some(address), answer));
                }
            }
            let unknown = parent.unknown();
            let unknown = unknown.map(|(server, error)| (server, None, Err(error.to_string())));
            joined(said.into_iter().chain(unknown))
        }
    };
    let ttls = name.records.iter().map(|record| record.ttl);
    Sighting {
        link: Link::Name,
        subject: name.public.to_string(),
        state,
        least: ttls.max().unwrap_or(0),
        never: false,
    }
}

/// For how long a resolver may remember that a name leads to us or nowhere; none when the server has records of its own.
async fn led_to_us(
    gatherer: &Gatherer,
    server: SocketAddr,
    public: &Name,
    name: &ServedName,
    ours: &[Name],
) -> Result<Option<u32>, String> {
    let types: &[RecordType] = match name.service {
        Some(_) => &[RecordType::SRV],
        None => &[RecordType::A, RecordType::AAAA],
    };
    let mut nothing = None;
    for rtype in types {
        let query = Query::new(public.clone(), *rtype);
        let reply = ask(server, &query, &gatherer.resolvers.how).await;
        let reply = reply.map_err(|error| brief(&error))?;
        match of_reply(&reply, public, *rtype, ours)? {
            None => return Ok(None),
            led => nothing = nothing.max(led),
        }
    }
    Ok(nothing)
}

fn of_reply(
    reply: &Reply,
    public: &Name,
    rtype: RecordType,
    ours: &[Name],
) -> Result<Option<u32>, String> {
    if !matches!(reply.rcode, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(format!("it answered {}", code(reply.rcode)));
    }
    if let Some(alias) = reply.answers_of(public, RecordType::CNAME).next() {
        let to = alias.rdata.target(RecordType::CNAME);
        let to_us = to.is_none_or(|to| ours.iter().any(|apex| to.is_at_or_below(apex)));
        return Ok(to_us.then_some(alias.ttl));
    }
    if reply.answers_of(public, rtype).next().is_some() && reply.authoritative {
        return Ok(None);
    }
    let referral = reply.authorities.iter().find(|r| r.rtype == RecordType::NS);
    if let (Some(ns), false) = (referral, reply.authoritative) {
        return Ok(Some(ns.ttl));
    }
    let soa = reply
        .authorities
        .iter()
        .find(|r| r.rtype == RecordType::SOA);
    match (soa, reply.authoritative) {
        (Some(soa), true) => Ok(Some(negative_ttl(soa.ttl, &soa.rdata))),
        _ => Err("it answered without authority".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_is_gone_while_a_server_above_cannot_be_found() {
        let name = |text: &str| Name::from_text(text.as_bytes(), None).unwrap();
        let view = ParentView {
            server: name("p1.example.net."),
            address: "10.0.1.1:53".parse().unwrap(),
            delegation: Err("silence".into()),
            ds: Ok((vec![], 0)),
            missing: vec![],
        };
        let facts = |unknown| {
            Ok(ParentFacts {
                apex: name("contoso.com."),
                views: vec![view.clone()],
                unknown,
                without_address: vec![name("p3.example.net.")],
            })
        };
        assert_eq!(by_server(&facts(vec![]), |_| Ok(None)), State::Gone);
        let hidden = vec![(name("p2.example.net."), "silence".to_owned())];
        let why = "p2.example.net.: silence".to_owned();
        assert_eq!(by_server(&facts(hidden), |_| Ok(None)), State::Unknown(why));
    }
}
