//! One server's words: asking it about a zone, and reading what it says.
//!
//! In: an address, a zone's names. Out: what this one server says, or why it says nothing. Never here: other servers,
//! or what the words mean.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::facts::{Delegated, SrvSeen, ZoneAnswer, code};
use super::nameservers::BOUNDS;
use crate::ask::{self, AskError, How, Query, Reply, Transport, ask};
use crate::zone::{Name, Rdata};

/// Those of `names` that a server says do not exist.
pub(super) async fn missing(address: SocketAddr, names: &[Name], how: &How) -> Vec<Name> {
    let mut missing = Vec::new();
    for name in names {
        let query = Query::new(name.clone(), RecordType::A);
        if let Ok(reply) = ask(address, &query, how).await
            && reply.rcode == ResponseCode::NXDomain
        {
            missing.push(name.clone());
        }
    }
    missing
}

/// What a reply to a question for the NS records of `apex` says of its delegation.
pub(super) fn delegated(reply: &Reply, apex: &Name) -> Result<Delegated, String> {
    match reply.rcode {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain if reply.authoritative => {
            return Ok(Delegated::Not { nxdomain: true });
        }
        rcode => return Err(format!("it answered {}", code(rcode))),
    }
    let ns_of = |records: Vec<&ask::Record>| {
        let mut ns: Vec<Name> = records
            .iter()
            .filter_map(|record| record.rdata.target(RecordType::NS))
            .collect();
        ns.sort();
        ns.dedup();
        (
            ns,
            records.iter().map(|record| record.ttl).min().unwrap_or(0),
        )
    };
    let alias = reply.answers_of(apex, RecordType::CNAME).next();
    if let Some(alias) = alias {
        return Ok(Delegated::Alias {
            to: alias.rdata.target(RecordType::CNAME),
            ttl: alias.ttl,
        });
    }
    let answers: Vec<_> = reply.answers_of(apex, RecordType::NS).collect();
    let referral: Vec<_> = reply.authorities_of(apex, RecordType::NS).collect();
    let itself = !answers.is_empty();
    if !itself && referral.is_empty() {
        return match reply.authoritative {
            true => Ok(Delegated::Not { nxdomain: false }),
            false => Err("it answered without authority and without a referral".to_owned()),
        };
    }
    let (ns, ttl) = ns_of(if itself { answers } else { referral });
    let glue = reply.additionals.iter().filter_map(|record| {
        let address = record.rdata.as_address()?;
        let is_address = matches!(record.rtype, RecordType::A | RecordType::AAAA);
        (is_address && record.class == 1).then(|| (record.owner.clone(), address))
    });
    let glue: BTreeSet<(Name, IpAddr)> = glue.collect();
    Ok(Delegated::To {
        ns,
        ttl,
        glue: glue.into_iter().collect(),
        itself,
    })
}

/// What a nameserver says of a zone, over UDP.
pub(super) async fn zone_answer(
    address: SocketAddr,
    apex: &Name,
    empty: &[Name],
    how: &How,
) -> Result<ZoneAnswer, String> {
    let how = How {
        transport: Transport::Udp,
        ..how.clone()
    };
    let asked = |name: &Name, rtype| {
        let (query, how) = (Query::new(name.clone(), rtype), how.clone());
        async move { ask(address, &query, &how).await.map_err(|e| brief(&e)) }
    };
    let soa = asked(apex, RecordType::SOA).await?;
    let mut answer = ZoneAnswer {
        rcode: soa.rcode,
        authoritative: soa.authoritative,
        recursion: soa.recursion_available,
        serial: soa.answers_of(apex, RecordType::SOA).find_map(serial),
        ns: Vec::new(),
        ns_ttl: 0,
        addresses: Vec::new(),
        dnskeys: Vec::new(),
        missing: Vec::new(),
    };
    if answer.serial.is_none() || !answer.authoritative {
        return Ok(answer);
    }
    if let Ok(ns) = asked(apex, RecordType::NS).await {
        let records = ns.answers_of(apex, RecordType::NS);
        for record in records {
            answer.ns.extend(record.rdata.target(RecordType::NS));
            answer.ns_ttl = record.ttl;
        }
        answer.ns.sort();
    }
    let inside = answer.ns.clone().into_iter();
    let inside = inside.filter(|name| name.is_at_or_below(apex));
    for name in inside.take(BOUNDS.names) {
        for rtype in [RecordType::A, RecordType::AAAA] {
            if let Ok(reply) = asked(&name, rtype).await {
                let records = reply.answers_of(&name, rtype);
                let addresses = records.filter_map(|record| record.rdata.as_address());
                answer
                    .addresses
                    .extend(addresses.map(|a| (name.clone(), a)));
            }
        }
    }
    // Keys need room: truncated over UDP, they come over TCP.
    let how = How {
        transport: Transport::UdpThenTcp,
        ..how
    };
    let query = Query::new(apex.clone(), RecordType::DNSKEY);
    if let Ok(reply) = ask(address, &query, &how).await {
        let keys = reply.answers_of(apex, RecordType::DNSKEY);
        answer.dnskeys = keys.map(|record| record.rdata.clone()).collect();
    }
    answer.missing = missing(address, empty, &how).await;
    Ok(answer)
}

fn serial(record: &ask::Record) -> Option<u32> {
    let octets = record.rdata.wire();
    // Serial and the four timers are the last twenty octets (RFC 1035 §3.3.13).
    let at = octets.len().checked_sub(20)?;
    Some(u32::from_be_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn alias_of(reply: &Reply, name: &Name) -> Option<Name> {
    let alias = reply.answers_of(name, RecordType::CNAME).next()?;
    alias.rdata.target(RecordType::CNAME)
}

/// The SRV records in a resolver's answer, whatever alias led to them.
pub(super) fn srv_records(reply: &Reply) -> Vec<SrvSeen> {
    let port = |rdata: &Rdata| Some(u16::from_be_bytes(rdata.wire().get(4..6)?.try_into().ok()?));
    let records = reply.answers.iter();
    records
        .filter(|record| record.rtype == RecordType::SRV && record.class == 1)
        .filter_map(|record| {
            Some(SrvSeen {
                port: port(&record.rdata)?,
                target: record.rdata.target(RecordType::SRV)?,
            })
        })
        .collect()
}

/// What happened, without the address, which is known where it is said.
pub(super) fn brief(error: &AskError) -> String {
    match error {
        AskError::Timeout { after, .. } => format!("it did not answer within {after:?}"),
        AskError::Unreachable { reason, .. } => reason.clone(),
        AskError::Malformed { fault, .. } => format!("it sent what is not a reply: {fault}"),
        AskError::Mismatched { .. } => "it sent a reply to another question".to_owned(),
        AskError::Rcode { rcode, .. } => format!("it answered {}", code(*rcode)),
        AskError::TooLong | AskError::Source { .. } => error.to_string(),
    }
}
