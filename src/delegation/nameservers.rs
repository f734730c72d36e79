//! Asking every nameserver of a zone: those that the zone above names, those that the zone names, and those that they name.
//!
//! In: a zone, and what the zone above says of it. Out: what each address of each of them says, and what was left out:
//! others say how many there are, so only so many are looked at, and only for so long. Never here: what it means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::facts::{Delegated, LeftOut, ParentFacts, ServerFacts};
use super::gather::{Gatherer, PORT, in_order};
use super::said::zone_answer;
use super::served::ServedZone;
use crate::zone::Name;

/// A nameserver that is behind is asked again after this: NOTIFY may be on its way.
const CATCH_UP: Duration = Duration::from_secs(2);

/// How much of one zone is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Nameservers.
    pub(super) names: usize,
    /// Addresses of each.
    pub(super) addresses: usize,
    /// Nameservers asked about at the same time.
    pub(super) side_by_side: usize,
    /// For all of them.
    pub(super) time: Duration,
}

/// More than anybody has by intention: a root zone's priming reply names 13 (RFC 9609 §4.2).
pub(super) const BOUNDS: Bounds = Bounds {
    names: 32,
    addresses: 8,
    side_by_side: 16,
    time: Duration::from_secs(60),
};

/// Every nameserver that anybody names, and what it says; and what of them was not looked at.
pub(super) async fn nameservers(
    gatherer: &Arc<Gatherer>,
    zone: &ServedZone,
    parent: &Result<ParentFacts, String>,
    bounds: Bounds,
) -> (Vec<ServerFacts>, LeftOut) {
    let mut named = Named::of(zone, parent);
    let look = Arc::new(Look {
        gatherer: Arc::clone(gatherer),
        apex: Name::from(&zone.apex),
        empty: zone.empty_names.iter().map(Name::from).collect(),
        glue: std::mem::take(&mut named.glue),
        bounds,
        deadline: Instant::now() + bounds.time,
    });
    let mut looked: BTreeSet<Name> = BTreeSet::new();
    let mut left_out = LeftOut::default();
    let mut servers: Vec<ServerFacts> = Vec::new();
    // Twice: a server may name another one.
    for _ in 0..2 {
        let mut new = named.without(&looked);
        let room = bounds.names - looked.len();
        left_out.names = new.drain(room.min(new.len())..).collect();
        looked.extend(new.iter().cloned());
        servers.extend(look.at(new, &mut left_out).await);
        let answers = servers.iter().filter_map(|server| server.udp.as_ref().ok());
        for answer in answers.filter(|answer| answer.authoritative) {
            named.by_zone.extend(answer.ns.iter().cloned());
        }
    }
    for server in &mut servers {
        server.by_parent = named.by_parent.contains(&server.server);
        server.by_zone = named.by_zone.contains(&server.server);
    }
    look.catch_up(&mut servers).await;
    (servers, left_out)
}

/// Who is named, and by whom.
struct Named {
    /// As repoint has them.
    own: Vec<Name>,
    by_parent: BTreeSet<Name>,
    by_zone: BTreeSet<Name>,
    glue: BTreeMap<Name, BTreeSet<IpAddr>>,
}

impl Named {
    fn of(zone: &ServedZone, parent: &Result<ParentFacts, String>) -> Named {
        let apex = Name::from(&zone.apex);
        let hosts = zone.nameservers.iter();
        let own: Vec<Name> = hosts.map(|host| Name::from(&host.name)).collect();
        let mut named = Named {
            by_parent: BTreeSet::new(),
            by_zone: own.iter().cloned().collect(),
            own,
            glue: BTreeMap::new(),
        };
        for view in parent.iter().flat_map(|parent| &parent.views) {
            if let Ok(Delegated::To { ns, glue, .. }) = &view.delegation {
                named.by_parent.extend(ns.iter().cloned());
                for (name, address) in glue {
                    named.glue.entry(name.clone()).or_default().insert(*address);
                }
            }
        }
        for host in &zone.nameservers {
            let name = Name::from(&host.name);
            if name.is_at_or_below(&apex) {
                let known = named.glue.entry(name).or_default();
                known.extend(&host.addresses);
            }
        }
        named
    }

    /// Those not looked at yet: our own first, that nobody's list crowds them out.
    fn without(&self, looked: &BTreeSet<Name>) -> Vec<Name> {
        let mut seen = looked.clone();
        let all = self.own.iter().chain(&self.by_parent).chain(&self.by_zone);
        all.filter(|name| seen.insert((*name).clone()))
            .cloned()
            .collect()
    }
}

/// One look at the nameservers of one zone.
struct Look {
    gatherer: Arc<Gatherer>,
    apex: Name,
    empty: Vec<Name>,
    glue: BTreeMap<Name, BTreeSet<IpAddr>>,
    bounds: Bounds,
    deadline: Instant,
}

impl Look {
    /// What these say, in their order, as far as there is time.
    async fn at(self: &Arc<Look>, names: Vec<Name>, left_out: &mut LeftOut) -> Vec<ServerFacts> {
        let turns = Arc::new(Semaphore::new(self.bounds.side_by_side));
        let mut asked = JoinSet::new();
        for name in names.iter().cloned() {
            let (look, turns) = (Arc::clone(self), Arc::clone(&turns));
            asked.spawn(async move {
                let _turn = turns.acquire().await;
                let said = look.server(&name).await;
                (name, said)
            });
        }
        let mut done = BTreeMap::new();
        while let Ok(Some(said)) = timeout_at(self.deadline, asked.join_next()).await {
            match said {
                Ok((name, said)) => done.insert(name, said),
                Err(error) => resume_unwind(error.into_panic()),
            };
        }
        let mut all = Vec::new();
        for name in names {
            let Some((facts, unasked)) = done.remove(&name) else {
                left_out.late.insert(name);
                continue;
            };
            all.extend(facts);
            if unasked > 0 {
                left_out.addresses.insert(name, unasked);
            }
        }
        all
    }

    /// What each address of a server says, and how many were not asked.
    async fn server(self: &Arc<Look>, name: &Name) -> (Vec<ServerFacts>, usize) {
        let facts = |address, udp, tcp| ServerFacts {
            server: name.clone(),
            address,
            by_parent: false,
            by_zone: false,
            udp,
            tcp,
        };
        let glue = self.glue.get(name).into_iter().flatten().copied();
        let glue: Vec<IpAddr> = glue.collect();
        // In the zone itself its addresses are glue; a resolver would only find them by way of this very delegation.
        let addresses = match name.is_at_or_below(&self.apex) && !glue.is_empty() {
            true => Ok(glue),
            false => self.gatherer.addresses(name).await,
        };
        let mut addresses = match addresses {
            Ok(addresses) if !addresses.is_empty() => addresses,
            Ok(_) => {
                let why = "its name has no address".to_owned();
                return (vec![facts(None, Err(why), None)], 0);
            }
            Err(why) => return (vec![facts(None, Err(why), None)], 0),
        };
        let unasked = addresses.len().saturating_sub(self.bounds.addresses);
        addresses.truncate(self.bounds.addresses);
        let said = in_order(addresses, |address| {
            let look = Arc::clone(self);
            async move {
                let address = SocketAddr::new(address, PORT);
                let udp = look.ask(address).await;
                let tcp = match &udp {
                    Ok(_) => Some(look.gatherer.tcp(address, &look.apex).await),
                    Err(_) => None,
                };
                (address, udp, tcp)
            }
        });
        let said = said.await.into_iter();
        let said = said.map(|(address, udp, tcp)| facts(Some(address), udp, tcp));
        (said.collect(), unasked)
    }

    async fn ask(&self, address: SocketAddr) -> Result<super::facts::ZoneAnswer, String> {
        let how = &self.gatherer.resolvers.how;
        zone_answer(address, &self.apex, &self.empty, how).await
    }

    /// Servers with different serials are asked once more.
    async fn catch_up(self: &Arc<Look>, servers: &mut [ServerFacts]) {
        let answers = servers.iter().filter_map(|server| server.udp.as_ref().ok());
        let serials: BTreeSet<u32> = answers.filter_map(|answer| answer.serial).collect();
        if serials.len() < 2 {
            return;
        }
        sleep(CATCH_UP).await;
        let places = servers.iter().enumerate();
        let again: Vec<(usize, SocketAddr)> = places
            .filter(|(_, server)| server.udp.is_ok())
            .filter_map(|(place, server)| Some((place, server.address?)))
            .collect();
        let said = in_order(again, |(place, address)| {
            let look = Arc::clone(self);
            async move {
                let said = timeout_at(look.deadline, look.ask(address)).await;
                (place, said)
            }
        });
        for (place, said) in said.await {
            if let Ok(said) = said {
                servers[place].udp = said;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::UdpSocket;
    use tokio::time::timeout;

    use super::super::facts::ParentView;
    use super::super::served::{Host, Served};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    fn zone(own: &str, addresses: Vec<IpAddr>) -> ServedZone {
        ServedZone {
            apex: "fed.contoso.com".parse().unwrap(),
            serial: 10,
            nameservers: vec![Host {
                name: own.parse().unwrap(),
                addresses,
            }],
            ns_ttl: 3600,
            negative_ttl: 30,
            signed: false,
            ds: vec![],
            empty_names: vec![],
            within: None,
            vouched: false,
        }
    }

    /// A zone above whose server names so many nameservers.
    fn above(count: usize) -> Result<ParentFacts, String> {
        let ns = (0..count).map(|n| name(&format!("a{n}.nowhere.example.")));
        Ok(ParentFacts {
            apex: name("contoso.com."),
            views: vec![ParentView {
                server: name("p1.example.net."),
                address: "10.0.1.1:53".parse().unwrap(),
                delegation: Ok(Delegated::To {
                    ns: ns.collect(),
                    ttl: 3600,
                    glue: vec![],
                    itself: false,
                }),
                ds: Ok((vec![], 0)),
                missing: vec![],
            }],
            unknown: vec![],
            without_address: vec![],
        })
    }

    /// One who asks this resolver, once, for as long as it takes.
    fn asking(resolver: &UdpSocket) -> Arc<Gatherer> {
        let served = Served {
            live: true,
            resolvers: vec![resolver.local_addr().unwrap()],
            state: "/var/lib/repoint".into(),
            zones: vec![],
            domains: vec![],
            targets: vec![],
        };
        let mut gatherer = Gatherer::new(&served);
        (gatherer.resolvers.how.timeout, gatherer.resolvers.how.tries) = (LIMIT, 1);
        Arc::new(gatherer)
    }

    /// Answers NXDOMAIN, and only when as many questions wait as there are when all are asked that may be at once.
    async fn deny_together(resolver: UdpSocket) {
        let mut waiting = Vec::new();
        let mut octets = [0; 4096];
        loop {
            let (length, from) = resolver.recv_from(&mut octets).await.unwrap();
            waiting.push((octets[..length].to_vec(), from));
            // A and AAAA.
            if waiting.len() == 2 * BOUNDS.side_by_side {
                for (mut reply, from) in waiting.drain(..) {
                    reply[2] |= 0x80;
                    reply[3] = 3;
                    resolver.send_to(&reply, from).await.unwrap();
                }
            }
        }
    }

    #[tokio::test]
    async fn so_many_nameservers_are_looked_at_side_by_side_and_our_own_first() {
        let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let gatherer = asking(&resolver);
        let denying = tokio::spawn(deny_together(resolver));
        let (zone, above) = (zone("zz.example.net", vec![]), above(1500));
        let bounds = Bounds {
            time: LIMIT,
            ..BOUNDS
        };
        let look = nameservers(&gatherer, &zone, &above, bounds);
        let (servers, left_out) = timeout(LIMIT, look).await.unwrap();
        denying.abort();
        assert_eq!(servers.len(), BOUNDS.names);
        assert_eq!(servers[0].server, name("zz.example.net."));
        for server in &servers {
            assert_eq!(server.udp, Err("its name has no address".to_owned()));
        }
        assert_eq!(left_out.names.len(), 1501 - BOUNDS.names);
        assert!(left_out.late.is_empty() && left_out.addresses.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_done_in_time_is_left_out_and_named() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let gatherer = asking(&silent);
        let bounds = Bounds {
            time: Duration::from_millis(100),
            ..BOUNDS
        };
        let (zone, above) = (zone("ns1.example.net", vec![]), above(3));
        let look = nameservers(&gatherer, &zone, &above, bounds);
        let (servers, left_out) = timeout(LIMIT / 2, look).await.unwrap();
        assert!(servers.is_empty(), "{servers:?}");
        assert_eq!(left_out.late.len(), 4, "{left_out:?}");
        assert!(left_out.names.is_empty(), "{left_out:?}");
    }

    #[tokio::test]
    async fn so_many_addresses_of_one_nameserver_are_asked() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut gatherer = asking(&silent);
        let how = &mut Arc::get_mut(&mut gatherer).unwrap().resolvers.how;
        how.timeout = Duration::from_millis(10);
        let addresses = (1..=20).map(|n| IpAddr::from([127, 0, 99, n]));
        let (zone, above) = (zone("ns1.fed.contoso.com", addresses.collect()), above(0));
        let look = nameservers(&gatherer, &zone, &above, BOUNDS);
        let (servers, left_out) = timeout(LIMIT, look).await.unwrap();
        assert_eq!(servers.len(), BOUNDS.addresses);
        let inside = name("ns1.fed.contoso.com.");
        let unasked = BTreeMap::from([(inside, 20 - BOUNDS.addresses)]);
        assert_eq!(left_out.addresses, unasked);
    }
}
