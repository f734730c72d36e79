//! The parent's side of a zone: who serves the zone above it, and what each of them says of it.
//!
//! In: a zone's apex, resolvers to find the parent with. Out: the parent zone's servers; the DS set as each of them has
//! it. Each is asked directly and without recursion, because a resolver remembers. Never here: what to do about it.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::rr::RecordType;
use tokio::task::JoinSet;

use super::client::ask;
use super::how::{AskError, How};
use super::query::Query;
use super::reply::Reply;
use super::resolver::{LookupError, Resolvers};
use crate::zone::{Name, Rdata};

/// The port of every nameserver that a delegation can name.
const PORT: u16 = 53;

/// The zone above another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its apex.
    pub apex: Name,
    /// Its nameservers, in canonical order.
    pub servers: Vec<ParentServer>,
}

/// A nameserver of the parent zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentServer {
    /// Its name.
    pub name: Name,
    /// Its addresses, or why they are not known.
    pub addresses: Result<Vec<IpAddr>, LookupError>,
}

/// Why the parent zone is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParentError {
    /// The resolvers say nothing.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The root has none.
    #[error("no zone lies above {0}")]
    None(String),
    /// A zone without nameservers, or none whose address is known.
    #[error("no address is known of any nameserver of {0}, the zone above")]
    NoServer(String),
}

/// The DS set of a zone as the servers of its parent have it.
#[derive(Clone, Debug)]
pub struct ParentDs {
    /// The parent zone.
    pub parent: Name,
    /// Each address of each of its servers, with what it said.
    pub servers: Vec<DsAnswer>,
    /// Its servers that could not be asked: the resolvers did not tell their addresses.
    pub unknown: Vec<Name>,
}

/// What one address of a parent server said.
#[derive(Clone, Debug)]
pub struct DsAnswer {
    /// The server's name.
    pub server: Name,
    /// The address asked.
    pub address: SocketAddr,
    /// What it said.
    pub said: DsSaid,
}

/// What a parent server says of the DS set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DsSaid {
    /// There are these.
    Set {
        /// Their data, in canonical order.
        rdatas: Vec<Rdata>,
        /// Their TTL in seconds, from the server itself.
        ttl: u32,
    },
    /// There is none, said with authority for the zone above; the zone may not be delegated at all.
    Absent {
        /// For how many seconds resolvers remember it (RFC 2308 §5).
        ttl: u32,
    },
    /// It answers, but not for the parent zone.
    Lame(String),
    /// It does not answer.
    Silent(AskError),
}

impl ParentDs {
    /// Whether it is certain that the parent has none: somebody could be asked, and all who could said so.
    pub fn is_absent(&self) -> bool {
        let mut reachable = self.reachable().peekable();
        reachable.peek().is_some()
            && reachable.all(|answer| matches!(answer.said, DsSaid::Absent { .. }))
    }

    /// Whether any server has one.
    pub fn is_present(&self) -> bool {
        self.sets().next().is_some()
    }

    /// Whether all servers that could be asked say the same, and there is one.
    pub fn is_consistent(&self) -> bool {
        let plain = |said: &DsSaid| match said {
            DsSaid::Set { rdatas, .. } => Some(rdatas.clone()),
            DsSaid::Absent { .. } => Some(Vec::new()),
            DsSaid::Lame(_) | DsSaid::Silent(_) => None,
        };
        let mut said = self.reachable().map(|answer| plain(&answer.said));
        said.next()
            .flatten()
            .is_some_and(|first| said.all(|other| other.as_ref() == Some(&first)))
    }

    /// The DS set, when all servers that could be asked have the same; empty when all say that there is none.
    pub fn agreed(&self) -> Option<&[Rdata]> {
        if !self.is_consistent() {
            return None;
        }
        Some(self.sets().next().map_or(&[], |(rdatas, _)| rdatas))
    }

    /// The longest time in seconds that a resolver may remember what the servers say now.
    pub fn ttl(&self) -> Option<u32> {
        let ttls = self.servers.iter().filter_map(|answer| match answer.said {
            DsSaid::Set { ttl, .. } | DsSaid::Absent { ttl } => Some(ttl),
            DsSaid::Lame(_) | DsSaid::Silent(_) => None,
        });
        ttls.max()
    }

    fn reachable(&self) -> impl Iterator<Item = &DsAnswer> {
        let silent = |answer: &&DsAnswer| matches!(answer.said, DsSaid::Silent(_));
        self.servers.iter().filter(move |answer| !silent(answer))
    }

    fn sets(&self) -> impl Iterator<Item = (&[Rdata], u32)> {
        self.servers.iter().filter_map(|answer| match &answer.said {
            DsSaid::Set { rdatas, ttl } => Some((rdatas.as_slice(), *ttl)),
            _ => None,
        })
    }
}

impl Parent {
    /// The servers that nobody could be found to ask, and why: they may say anything. One that has no address at all is
    /// not among them; no resolver hears it either.
    pub fn unknown(&self) -> impl Iterator<Item = (&Name, &LookupError)> {
        let servers = self.servers.iter();
        servers.filter_map(|server| Some((&server.name, server.addresses.as_ref().err()?)))
    }
}

/// Finds the zone above `apex` and its nameservers.
///
/// # Errors
/// When the resolvers do not know.
pub async fn parent_of(apex: &Name, resolvers: &Resolvers) -> Result<Parent, ParentError> {
    let above = apex.parent();
    let above = above.ok_or_else(|| ParentError::None(apex.to_string()))?;
    let parent = zone_of(&above, resolvers).await?;
    let reply = resolvers.lookup(&parent, RecordType::NS).await?;
    let mut names: Vec<Name> = reply
        .answers_of(&parent, RecordType::NS)
        .filter_map(|record| record.rdata.target(RecordType::NS))
        .collect();
    names.sort();
    names.dedup();
    let mut servers = Vec::new();
    for name in names {
        let addresses = resolvers.addresses(&name).await;
        servers.push(ParentServer { name, addresses });
    }
    let known = |server: &ParentServer| server.addresses.as_ref().is_ok_and(|a| !a.is_empty());
    match servers.iter().any(known) {
        true => Ok(Parent {
            apex: parent,
            servers,
        }),
        false => Err(ParentError::NoServer(parent.to_string())),
    }
}

/// The apex of the zone that a name lies in: its own SOA, or the one that its absence is proved with (RFC 2308 §3).
async fn zone_of(name: &Name, resolvers: &Resolvers) -> Result<Name, ParentError> {
    let mut name = name.clone();
    loop {
        let reply = resolvers.lookup(&name, RecordType::SOA).await?;
        if reply.answers_of(&name, RecordType::SOA).next().is_some() {
            return Ok(name);
        }
        let soa = reply
            .authorities
            .iter()
            .find(|record| record.rtype == RecordType::SOA && name.is_at_or_below(&record.owner));
        // Behind an alias, or from a resolver that leaves the SOA out, nothing is said of the zone: one label up.
        let alias = reply.answers_of(&name, RecordType::CNAME).next().is_some();
        if let (Some(soa), false) = (soa, alias) {
            return Ok(soa.owner.clone());
        }
        match name.parent() {
            Some(above) => name = above,
            None => return Err(ParentError::None(name.to_string())),
        }
    }
}

/// Asks every address of every server of the parent zone for the DS set of `apex`.
///
/// # Errors
/// When the parent's servers are not known; a server that does not answer is no error.
pub async fn parent_ds(apex: &Name, resolvers: &Resolvers) -> Result<ParentDs, ParentError> {
    let parent = parent_of(apex, resolvers).await?;
    let servers = ds_at(apex, &parent, &resolvers.how).await;
    Ok(ParentDs {
        unknown: parent.unknown().map(|(name, _)| name.clone()).collect(),
        parent: parent.apex,
        servers,
    })
}

/// The DS set of `apex` as each server of its parent has it.
pub async fn ds_at(apex: &Name, parent: &Parent, how: &How) -> Vec<DsAnswer> {
    let mut asked = JoinSet::new();
    let mut answers = Vec::new();
    for server in &parent.servers {
        for address in server.addresses.iter().flatten() {
            let address = SocketAddr::new(*address, PORT);
            let place = answers.len();
            answers.push(server.name.clone());
            let query = Query {
                dnssec_ok: true,
                ..Query::new(apex.clone(), RecordType::DS)
            };
            let (above, how) = (parent.apex.clone(), how.clone());
            asked.spawn(async move {
                let said = match ask(address, &query, &how).await {
                    Ok(reply) => ds_said(&reply, &query.name, &above),
                    Err(error) => DsSaid::Silent(error),
                };
                (place, address, said)
            });
        }
    }
    let mut said = asked.join_all().await;
    said.sort_by_key(|(place, ..)| *place);
    let in_order = answers.into_iter().zip(said);
    in_order
        .map(|(server, (_, address, said))| DsAnswer {
            server,
            address,
            said,
        })
        .collect()
}

/// What a server's reply says of the DS set of `apex`, which only the zone above can say (RFC 4035 §3.1.4.1).
fn ds_said(reply: &Reply, apex: &Name, above: &Name) -> DsSaid {
    use hickory_proto::op::ResponseCode::{NXDomain, NoError};
    if !matches!(reply.rcode, NoError | NXDomain) {
        return DsSaid::Lame(format!("it answered {}", reply.rcode));
    }
    if !reply.authoritative {
        return DsSaid::Lame("it answered without authority".to_owned());
    }
    let records: Vec<_> = reply.answers_of(apex, RecordType::DS).collect();
    if let Some(ttl) = records.iter().map(|record| record.ttl).min() {
        let mut rdatas: Vec<Rdata> = records.iter().map(|r| r.rdata.clone()).collect();
        rdatas.sort();
        return DsSaid::Set { rdatas, ttl };
    }
    // A server of the child alone denies the DS from the child's own zone, which says nothing.
    let soa = reply.authorities_of(above, RecordType::SOA).next();
    match soa {
        Some(soa) => DsSaid::Absent {
            ttl: negative_ttl(soa.ttl, &soa.rdata),
        },
        None => DsSaid::Lame(format!("it answered for another zone than {above}")),
    }
}

/// For how long a denial with this SOA is remembered (RFC 2308 §5).
pub fn negative_ttl(ttl: u32, soa: &Rdata) -> u32 {
    let minimum = soa.wire().last_chunk::<4>();
    minimum.map_or(ttl, |octets| ttl.min(u32::from_be_bytes(*octets)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hickory_proto::op::ResponseCode;

    use super::super::reply::Record;
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    fn reply(rcode: ResponseCode, authoritative: bool) -> Reply {
        let query = Query::new(name("fed.contoso.com."), RecordType::DS);
        let mut octets = query.write(1);
        octets[2] |= 0x80;
        Reply {
            rcode,
            authoritative,
            ..Reply::read(&octets).unwrap()
        }
    }

    fn record(owner: &str, rtype: RecordType, ttl: u32, rdata: &[u8]) -> Record {
        Record {
            owner: name(owner),
            rtype,
            class: 1,
            ttl,
            rdata: Rdata::new(rtype, rdata).unwrap(),
        }
    }

    fn soa(owner: &str) -> Record {
        let mut wire = vec![0, 0];
        wire.extend([0, 0, 0, 30].repeat(5));
        record(owner, RecordType::SOA, 60, &wire)
    }

    fn said(reply: &Reply) -> DsSaid {
        ds_said(reply, &name("fed.contoso.com."), &name("contoso.com."))
    }

    #[test]
    fn only_the_zone_above_can_deny_a_ds() {
        for rcode in [ResponseCode::NoError, ResponseCode::NXDomain] {
            let mut denial = reply(rcode, true);
            denial.authorities = vec![soa("Contoso.com.")];
            assert_eq!(said(&denial), DsSaid::Absent { ttl: 30 });
            denial.authoritative = false;
            assert!(matches!(said(&denial), DsSaid::Lame(_)));
        }
        let mut child = reply(ResponseCode::NoError, true);
        child.authorities = vec![soa("fed.contoso.com.")];
        assert!(matches!(said(&child), DsSaid::Lame(_)));
        child.authorities.clear();
        assert!(matches!(said(&child), DsSaid::Lame(_)));
        let refused = reply(ResponseCode::Refused, true);
        assert!(matches!(said(&refused), DsSaid::Lame(_)));
    }

    #[test]
    fn a_ds_set_is_compared_as_a_set() {
        let ds = |digest: u8| {
            record(
                "fed.contoso.com.",
                RecordType::DS,
                300,
                &[0, 1, 13, 2, digest],
            )
        };
        let mut one = reply(ResponseCode::NoError, true);
        one.answers = vec![ds(2), ds(1)];
        let mut other = one.clone();
        other.answers.reverse();
        assert_eq!(said(&one), said(&other));
    }

    fn asked(said: Vec<DsSaid>) -> ParentDs {
        let answer = |said| DsAnswer {
            server: name("ns1.contoso.com."),
            address: "192.0.2.53:53".parse().unwrap(),
            said,
        };
        ParentDs {
            unknown: Vec::new(),
            parent: name("contoso.com."),
            servers: said.into_iter().map(answer).collect(),
        }
    }

    #[test]
    fn absence_is_certain_only_when_all_who_can_be_asked_say_so() {
        let absent = || DsSaid::Absent { ttl: 30 };
        let lame = || DsSaid::Lame("it answered REFUSED".to_owned());
        let silent = || {
            DsSaid::Silent(AskError::Timeout {
                server: "192.0.2.53:53".parse().unwrap(),
                after: std::time::Duration::from_secs(6),
            })
        };
        let set = || DsSaid::Set {
            rdatas: vec![Rdata::new(RecordType::DS, &[0, 1, 13, 2, 7]).unwrap()],
            ttl: 300,
        };
        assert!(asked(vec![absent(), absent(), silent()]).is_absent());
        for unsure in [
            vec![],
            vec![silent()],
            vec![absent(), lame()],
            vec![absent(), set()],
        ] {
            let ds = asked(unsure);
            assert!(!ds.is_absent(), "{ds:?}");
        }
        assert!(asked(vec![absent(), set(), lame()]).is_present());
        assert!(asked(vec![set(), set(), silent()]).is_consistent());
        for differing in [vec![absent(), set()], vec![set(), lame()], vec![silent()]] {
            let ds = asked(differing);
            assert!(ds.agreed().is_none(), "{ds:?}");
        }
        assert_eq!(asked(vec![absent(), absent()]).agreed(), Some(&[][..]));
        assert_eq!(asked(vec![absent(), set()]).ttl(), Some(300));
    }
}
