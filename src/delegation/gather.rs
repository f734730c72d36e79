//! Asking the zones above, and what partners see; `nameservers` asks the zones' own servers.
//!
//! In: what is served, and how to ask. Out: [`Facts`]. Never here: what they mean.
//!
//! Resolvers only tell where servers are and what partners see; what a delegation holds is asked of each server
//! directly. Zones are asked about side by side, bounded; what many zones share is asked once.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::facts::{
    CertificateSeen, DomainFacts, Facts, ParentFacts, ParentView, ServiceSeen, TargetFacts,
    ZoneFacts,
};
use super::nameservers::{BOUNDS, nameservers};
use super::said::{alias_of, brief, delegated, missing, srv_records};
use super::served::{Served, ServedDomain, ServedZone};
use crate::ask::{self, DsSaid, How, Parent, Query, Resolvers, Transport, ask, parent_of};
use crate::topology::DomainName;
use crate::zone::Name;

/// Where every nameserver is asked.
pub(super) const PORT: u16 = 53;
/// The port at the domain itself that partners fall back to (RFC 6120 §3.2.2).
const FALLBACK_PORT: u16 = 5269;
/// How long a connection to it is waited for.
const FALLBACK_TIME: Duration = Duration::from_secs(3);
/// Zones and domains asked about at the same time.
const SIDE_BY_SIDE: usize = 16;
/// How long the zone above and its servers are searched for.
const SEARCH_TIME: Duration = Duration::from_secs(60);

/// Looks at everything that is served, from here.
pub async fn gather(served: Served, certificates: Vec<CertificateSeen>) -> Facts {
    let gatherer = Arc::new(Gatherer::new(&served));
    if let Some(silent) = gatherer.resolvers.all_silent().await {
        return Facts {
            silent: Some(silent),
            served,
            zones: Vec::new(),
            domains: Vec::new(),
            targets: Vec::new(),
            certificates,
        };
    }
    let outside: Vec<ServedZone> = served
        .zones
        .iter()
        .filter(|zone| zone.within.is_none())
        .cloned()
        .collect();
    let zones = in_order(outside, {
        let gatherer = Arc::clone(&gatherer);
        move |zone| {
            let gatherer = Arc::clone(&gatherer);
            async move { gatherer.zone(&zone).await }
        }
    });
    let domains = in_order(served.domains.clone(), {
        let gatherer = Arc::clone(&gatherer);
        move |domain| {
            let gatherer = Arc::clone(&gatherer);
            async move { gatherer.domain(&domain).await }
        }
    });
    let (zones, domains) = tokio::join!(zones, domains);

    let seen = domains.iter().flat_map(|domain| &domain.services);
    let seen = seen.flat_map(|service| service.records.iter().flatten());
    let mut names: BTreeSet<Name> = seen.map(|srv| srv.target.clone()).collect();
    names.extend(served.targets.iter().map(|target| Name::from(&target.name)));
    names.remove(&Name::root());
    let targets = in_order(names.into_iter().collect(), move |name| {
        let gatherer = Arc::clone(&gatherer);
        async move { gatherer.target(name).await }
    });
    Facts {
        silent: None,
        targets: targets.await,
        served,
        zones,
        domains,
        certificates,
    }
}

/// Does the same for all of them, side by side.
pub(super) async fn in_order<T, R, F>(items: Vec<T>, mut job: impl FnMut(T) -> F) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut set = JoinSet::new();
    for (place, item) in items.into_iter().enumerate() {
        let job = job(item);
        set.spawn(async move { (place, job.await) });
    }
    let mut done = set.join_all().await;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Something asked once, however many want to know.
type Once<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// Who asks, and what was learnt already.
pub(super) struct Gatherer {
    pub(super) resolvers: Resolvers,
    pub(super) turns: Semaphore,
    /// By the name above a zone's apex.
    parents: Once<Name, Result<Parent, String>>,
    hosts: Once<Name, Result<Vec<IpAddr>, String>>,
    tcp: Once<SocketAddr, Result<(), String>>,
}

async fn once<K, V, F>(of: &Once<K, V>, key: K, find: impl FnOnce() -> F) -> V
where
    K: std::hash::Hash + Eq,
    V: Clone,
    F: Future<Output = V>,
{
    let cell = Arc::clone(of.lock().await.entry(key).or_default());
    cell.get_or_init(find).await.clone()
}

impl Gatherer {
    pub(super) fn new(served: &Served) -> Gatherer {
        Gatherer {
            resolvers: Resolvers::new(&served.resolvers),
            turns: Semaphore::new(SIDE_BY_SIDE),
            parents: Mutex::default(),
            hosts: Mutex::default(),
            tcp: Mutex::default(),
        }
    }

    /// The zone above a name, taken as the apex of a zone.
    pub(super) async fn above(&self, apex: &Name) -> Result<Parent, String> {
        let above = apex.parent().unwrap_or_else(Name::root);
        let find = || async {
            match timeout(SEARCH_TIME, parent_of(apex, &self.resolvers)).await {
                Ok(found) => found.map_err(|error| error.to_string()),
                Err(_) => Err(format!(
                    "the zone above and the addresses of its servers were not found within {SEARCH_TIME:?}"
                )),
            }
        };
        once(&self.parents, above, find).await
    }

    async fn zone(self: &Arc<Self>, zone: &ServedZone) -> ZoneFacts {
        let _turn = self.turns.acquire().await;
        let apex = Name::from(&zone.apex);
        let parent = match self.above(&apex).await {
            Ok(parent) => Ok(self.parent(&apex, &parent).await),
            Err(error) => Err(error),
        };
        let (servers, left_out) = nameservers(self, zone, &parent, BOUNDS).await;
        ZoneFacts {
            apex: zone.apex.clone(),
            parent,
            servers,
            left_out,
        }
    }

    /// What each address of each server of the zone above says.
    pub(super) async fn parent(&self, apex: &Name, parent: &Parent) -> ParentFacts {
        let how = &self.resolvers.how;
        let between = between(apex, &parent.apex);
        let ds = ask::ds_at(apex, parent, how).await;
        let views = in_order(ds, |answer| {
            let (apex, how, between) = (apex.clone(), how.clone(), between.clone());
            async move {
                let (server, address) = (answer.server, answer.address);
                let query = Query::new(apex.clone(), RecordType::NS);
                let delegation = match ask(address, &query, &how).await {
                    Ok(reply) => delegated(&reply, &apex),
                    Err(error) => Err(brief(&error)),
                };
                ParentView {
                    missing: missing(address, &between, &how).await,
                    delegation,
                    ds: match answer.said {
                        DsSaid::Set { rdatas, ttl } => Ok((rdatas, ttl)),
                        DsSaid::Absent { .. } => Ok((Vec::new(), 0)),
                        DsSaid::Lame(why) => Err(why),
                        DsSaid::Silent(error) => Err(brief(&error)),
                    },
                    server,
                    address,
                }
            }
        });
        let without_address = parent.servers.iter().filter(|server| {
            let addresses = server.addresses.as_ref();
            addresses.is_ok_and(|addresses| addresses.is_empty())
        });
        ParentFacts {
            without_address: without_address.map(|server| server.name.clone()).collect(),
            apex: parent.apex.clone(),
            views: views.await,
            unknown: parent
                .unknown()
                .map(|(name, error)| (name.clone(), error.to_string()))
                .collect(),
        }
    }

    pub(super) async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, String> {
        let find = || async {
            let found = self.resolvers.addresses(name).await;
            found.map_err(|error| error.to_string())
        };
        once(&self.hosts, name.clone(), find).await
    }

    /// Whether an address answers over TCP: asked for one zone, as it is not a matter of zones.
    pub(super) async fn tcp(&self, address: SocketAddr, apex: &Name) -> Result<(), String> {
        let find = || async {
            let how = How {
                transport: Transport::Tcp,
                ..self.resolvers.how.clone()
            };
            let query = Query::new(apex.clone(), RecordType::SOA);
            let reply = ask(address, &query, &how).await;
            reply.map(|_| ()).map_err(|error| brief(&error))
        };
        once(&self.tcp, address, find).await
    }

    async fn domain(&self, domain: &ServedDomain) -> DomainFacts {
        let _turn = self.turns.acquire().await;
        let mut services = Vec::new();
        for name in &domain.names {
            let Some(kind) = name.service else { continue };
            let public = Name::from(&name.public);
            let reply = self.resolvers.lookup(&public, RecordType::SRV).await;
            services.push(ServiceSeen {
                kind,
                public: name.public.clone(),
                alias: reply
                    .as_ref()
                    .ok()
                    .and_then(|reply| alias_of(reply, &public)),
                records: match reply {
                    Ok(reply) => Ok(srv_records(&reply)),
                    Err(error) => Err(error.to_string()),
                },
            });
        }
        let (apex_listens, apex_drops) = self.fallback(&domain.domain).await;
        DomainFacts {
            domain: domain.domain.clone(),
            services,
            apex_listens,
            apex_drops,
        }
    }

    /// The domain's own addresses that accept connections on the fallback port, and those that drop them.
    async fn fallback(&self, domain: &DomainName) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let name = Name::from(domain);
        let addresses = self.addresses(&name).await.unwrap_or_default();
        let (mut listens, mut drops) = (Vec::new(), Vec::new());
        for address in addresses {
            let connect = TcpStream::connect((address, FALLBACK_PORT));
            match timeout(FALLBACK_TIME, connect).await {
                Ok(Ok(_)) => listens.push(address),
                Ok(Err(_)) => {}
                Err(_) => drops.push(address),
            }
        }
        (listens, drops)
    }

    async fn target(&self, name: Name) -> TargetFacts {
        let _turn = self.turns.acquire().await;
        let reply = self.resolvers.lookup(&name, RecordType::A).await;
        let alias = reply.as_ref().ok().and_then(|reply| alias_of(reply, &name));
        let addresses = self.addresses(&name).await;
        TargetFacts {
            name,
            alias,
            addresses,
        }
    }
}

/// The names above `apex` and below `above`: for `_xmpp-server._tcp.contoso.com` that is `_tcp.contoso.com`.
fn between(apex: &Name, above: &Name) -> Vec<Name> {
    let mut names = Vec::new();
    let mut name = apex.parent();
    while let Some(next) = name.filter(|next| next != above && next.is_at_or_below(above)) {
        name = next.parent();
        names.push(next);
    }
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ask::{LookupError, ParentServer};

    #[tokio::test]
    async fn no_server_of_the_zone_above_is_passed_over() {
        let name = |text: &str| Name::from_text(text.as_bytes(), None).unwrap();
        let server = |text: &str, addresses| ParentServer {
            name: name(text),
            addresses,
        };
        let parent = Parent {
            apex: name("contoso.com."),
            servers: vec![
                server("p1.example.net.", Ok(vec![])),
                server("p2.example.net.", Err(LookupError::NoResolver)),
            ],
        };
        let gatherer = Gatherer::new(&Served {
            live: true,
            resolvers: vec!["127.0.0.1:1".parse().unwrap()],
            state: "/var/lib/repoint".into(),
            zones: vec![],
            domains: vec![],
            targets: vec![],
        });
        let facts = gatherer.parent(&name("fed.contoso.com."), &parent).await;
        assert_eq!(facts.without_address, [name("p1.example.net.")]);
        assert_eq!(facts.unknown.len(), 1);
        assert_eq!(facts.unknown[0].0, name("p2.example.net."));
    }
}
