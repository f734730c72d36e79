//! What partners see: the RRsets of the steered names, read back out of the published zones.
//!
//! In: zones as published, the topology for the owner names. Out: SRV records and addresses per owner.
//! Never here: decisions; what is checked is what is served.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use repoint::topology::{DomainName, RouteName, ServiceKind, Topology};
use repoint::zone::{Name, Zones};

/// One SRV record as a partner reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Srv {
    pub(crate) priority: u16,
    pub(crate) port: u16,
    pub(crate) target: String,
}

/// What is served for one steered name of one route, with its TTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    Srv(ServiceKind, Vec<Srv>, u32),
    Addresses(Vec<IpAddr>, u32),
}

/// Everything steered, by route and owner, with the serial of its zone.
pub(crate) type Served = BTreeMap<(RouteName, DomainName), (Records, u32)>;

/// Reads the steered names of all routes. A name that is not served is absent.
pub(crate) fn served(topology: &Topology, zones: &Zones) -> Served {
    let mut all = Served::new();
    for route in topology.routes.values() {
        for domain in &route.domains {
            for service in &route.services {
                let owner = service.owner.for_domain(domain).unwrap();
                if let Some((records, ttl, serial)) = srv(zones, &owner) {
                    let records = Records::Srv(service.kind, records, ttl);
                    all.insert((route.name.clone(), owner), (records, serial));
                }
            }
            if let Some(template) = &route.address {
                let owner = template.for_domain(domain).unwrap();
                if let Some((addresses, ttl, serial)) = addresses(zones, &owner) {
                    all.insert(
                        (route.name.clone(), owner),
                        (Records::Addresses(addresses, ttl), serial),
                    );
                }
            }
        }
    }
    all
}

fn srv(zones: &Zones, owner: &DomainName) -> Option<(Vec<Srv>, u32, u32)> {
    let name = Name::from(owner);
    let zone = zones.zone_of(name.key())?;
    let set = zone.set(name.key(), RecordType::SRV)?;
    let mut records: Vec<Srv> = set
        .rdatas
        .iter()
        .map(|rdata| {
            let wire = rdata.wire();
            let target = rdata.target(RecordType::SRV).unwrap();
            Srv {
                priority: u16::from_be_bytes([wire[0], wire[1]]),
                port: u16::from_be_bytes([wire[4], wire[5]]),
                target: target.to_string().trim_end_matches('.').to_owned(),
            }
        })
        .collect();
    records.sort();
    Some((records, set.ttl, zone.serial().0))
}

fn addresses(zones: &Zones, owner: &DomainName) -> Option<(Vec<IpAddr>, u32, u32)> {
    let name = Name::from(owner);
    let zone = zones.zone_of(name.key())?;
    let sets = [RecordType::A, RecordType::AAAA].map(|rtype| zone.set(name.key(), rtype));
    let ttl = sets.iter().flatten().map(|set| set.ttl).next()?;
    let all = sets.into_iter().flatten().flat_map(|set| &set.rdatas);
    Some((
        all.filter_map(|rdata| rdata.as_address()).collect(),
        ttl,
        zone.serial().0,
    ))
}

/// One line per name: `_xmpp-server._tcp.contoso.com SRV 10 edge1.contoso.com, 20 edge2.contoso.com`.
pub(crate) fn line(owner: &DomainName, records: &Records) -> String {
    let usual = |ttl: u32| {
        if ttl == 30 {
            String::new()
        } else {
            format!(" (TTL {ttl} s)")
        }
    };
    match records {
        Records::Srv(kind, records, ttl) => {
            let texts: Vec<String> = records
                .iter()
                .map(|srv| {
                    let port = if srv.port == kind.standard_port() {
                        String::new()
                    } else {
                        format!(":{}", srv.port)
                    };
                    format!("{} {}{port}", srv.priority, srv.target)
                })
                .collect();
            format!("{owner} SRV {}{}", texts.join(", "), usual(*ttl))
        }
        Records::Addresses(addresses, ttl) => {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("{owner} A/AAAA {}{}", texts.join(", "), usual(*ttl))
        }
    }
}
