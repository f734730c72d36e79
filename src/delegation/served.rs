//! What repoint serves, as far as the zones above must know of it.
//!
//! In: a configuration and zones, those served or those that would be served first. Out: [`Served`], plain data that the
//! control interface hands to the command line. Never here: what the zones above really have; that is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hickory_proto::rr::RecordType;
use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Now, Wall};
use crate::config::Configuration;
use crate::decide::{self, Generation, Overrides, RouteState, Trigger, decide};
use crate::topology::{DomainName, PoolName, Route, RouteName, ServiceKind, Topology};
use crate::zone::{self, Challenges, Dnskey, Name, ZoneVersion, Zones, type_text};

/// The zones and names of one route, of one zone, or of everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// A running server said so; else it is what the configuration file alone would lead to.
    pub live: bool,
    /// `[dns] resolvers`.
    pub resolvers: Vec<SocketAddr>,
    /// The server's state directory.
    pub state: PathBuf,
    /// The zones, in canonical order of their apexes.
    pub zones: Vec<ServedZone>,
    /// The domains, in order of their routes.
    pub domains: Vec<ServedDomain>,
    /// The names that SRV records lead to, with the addresses their pools publish.
    pub targets: Vec<ServedTarget>,
}

/// A zone that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedZone {
    /// Its apex.
    pub apex: DomainName,
    /// Its serial.
    pub serial: u32,
    /// Its nameservers, as its NS records have them.
    pub nameservers: Vec<Host>,
    /// The TTL of its NS records, in seconds.
    pub ns_ttl: u32,
    /// How long resolvers remember that something is not in it, in seconds.
    pub negative_ttl: u32,
    /// Whether it is signed.
    pub signed: bool,
    /// The DS records that the zone above should have, as master files write their data.
    pub ds: Vec<String>,
    /// Its own names that have no records, only names below them.
    pub empty_names: Vec<DomainName>,
    /// The zone of ours that delegates it; then there is nothing to ask of others.
    pub within: Option<DomainName>,
    /// That zone has its DS by itself.
    #[serde(default)]
    pub vouched: bool,
}

/// A host and the addresses known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: DomainName,
    /// Its addresses; none where it is not ours to say.
    pub addresses: Vec<IpAddr>,
}

/// A domain of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedDomain {
    /// The domain.
    pub domain: DomainName,
    /// Its route.
    pub route: RouteName,
    /// Its steered names.
    pub names: Vec<ServedName>,
}

/// A name that a route steers for a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedName {
    /// The service; none for the federation address.
    pub service: Option<ServiceKind>,
    /// The port of the service; 0 for the federation address.
    pub port: u16,
    /// The name that partners ask for.
    pub public: DomainName,
    /// The name that is steered: another one behind an alias.
    pub owner: DomainName,
    /// The zone it lies in.
    pub zone: DomainName,
    /// The zone of ours that the public name lies in, if any.
    pub public_zone: Option<DomainName>,
    /// What is served for it now.
    pub records: Vec<ServedRecord>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServedRecord {
    /// Its type, as master files write it.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its data, as master files write it.
    pub data: String,
}

/// A name that SRV records lead to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServedTarget {
    /// The name.
    pub name: DomainName,
    /// The pool it belongs to.
    pub pool: PoolName,
    /// The addresses the pool publishes.
    pub addresses: Vec<IpAddr>,
    /// The zone of ours that it lies in, if any.
    pub zone: Option<DomainName>,
}

/// What of all that is served is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    #[default]
    All,
    /// One route.
    Route(RouteName),
    /// One zone, and the names in it.
    Zone(DomainName),
}

/// The zones as a first start with this configuration would serve them: each route at its most preferred pool.
pub fn first_zones(configuration: &Configuration) -> Zones {
    let topology = &configuration.topology;
    let now = Now {
        mono: Mono::START,
        wall: Wall::from_millis(0),
    };
    let (state, overrides) = (RouteState::default(), Overrides::default());
    let decision = |route: &Route| {
        let inputs = decide::Inputs {
            topology,
            route,
            verdicts: BTreeMap::new(),
            overrides: &overrides,
            state: &state,
            blind: false,
            warm: false,
            doubt: false,
            trigger: Trigger::Configuration,
            commanded: None,
            now,
        };
        decide(&inputs).decision
    };
    let routes = topology.routes.iter();
    let decisions = routes
        .map(|(name, route)| (name.clone(), decision(route)))
        .collect();
    zone::compile(&zone::Inputs {
        layout: &configuration.layout,
        decisions: &decisions,
        keys: &BTreeMap::new(),
        unsignable: &std::sync::Arc::default(),
        challenges: &Challenges::default(),
        previous: None,
        generation: Generation(1),
        serial: configuration.layout.next_serial(None, 1),
        now: now.wall,
        beside: None,
    })
}

impl Served {
    /// What `selection` means of these zones.
    pub fn of(
        configuration: &Configuration,
        zones: &Zones,
        selection: &Selection,
        live: bool,
    ) -> Served {
        let topology = &configuration.topology;
        let mut domains = Vec::new();
        for route in topology.routes.values() {
            if !matches!(selection, Selection::Route(name) if *name != route.name) {
                let each = route.domains.iter();
                domains.extend(each.filter_map(|domain| served_domain(route, domain, zones)));
            }
        }
        if let Selection::Zone(apex) = selection {
            for domain in &mut domains {
                domain.names.retain(|name| name.zone == *apex);
            }
            domains.retain(|domain| !domain.names.is_empty());
        }
        let wanted: BTreeSet<&DomainName> = domains
            .iter()
            .flat_map(|domain| domain.names.iter().map(|name| &name.zone))
            .collect();
        let is_wanted = |apex: &DomainName| match selection {
            Selection::All => true,
            Selection::Route(_) => wanted.contains(apex),
            Selection::Zone(zone) => apex == zone,
        };
        let versions = zones.iter();
        let zones_served = versions
            .filter_map(|version| served_zone(version, zones, topology))
            .filter(|zone| is_wanted(&zone.apex));
        Served {
            live,
            resolvers: configuration.resolvers.clone(),
            state: configuration.server.state.clone(),
            zones: zones_served.collect(),
            targets: targets(topology, &domains, zones),
            domains,
        }
    }

    /// The zone with this apex.
    pub fn zone(&self, apex: &DomainName) -> Option<&ServedZone> {
        self.zones.iter().find(|zone| zone.apex == *apex)
    }
}

fn served_zone(version: &ZoneVersion, zones: &Zones, topology: &Topology) -> Option<ServedZone> {
    let apex = version.apex();
    let ns = version.set(apex.key(), RecordType::NS);
    let names = ns.iter().flat_map(|set| &set.rdatas);
    let hosts = names
        .filter_map(|rdata| rdata.target(RecordType::NS)?.to_domain_name())
        .map(|name| Host {
            addresses: addresses_of(&name, zones, topology),
            name,
        });
    let empty = version
        .nodes()
        .iter()
        .filter(|node| node.sets.is_empty() && node.kind == zone::NodeKind::Authoritative);
    Some(ServedZone {
        apex: apex.to_domain_name()?,
        serial: version.serial().0,
        nameservers: hosts.collect(),
        ns_ttl: ns.map_or(0, |set| set.ttl),
        negative_ttl: version.negative_ttl(),
        signed: version.set(apex.key(), RecordType::DNSKEY).is_some(),
        ds: wanted_ds(version),
        empty_names: empty
            .filter_map(|node| node.name.to_domain_name())
            .collect(),
        within: zones
            .zone_above(apex)
            .and_then(|above| above.apex().to_domain_name()),
        vouched: zones.vouches_for(apex).is_some(),
    })
}

/// The DS records for the keys that CDS names (RFC 7344 §4): a key that is only published, or on its way out, is not
/// among them, and a zone that asks for no DS any more (RFC 8078 §4) has none.
fn wanted_ds(version: &ZoneVersion) -> Vec<String> {
    let apex = version.apex();
    let rdatas = |rtype| {
        let set = version.set(apex.key(), rtype);
        set.into_iter().flat_map(|set| set.rdatas.iter().cloned())
    };
    let wanted: Vec<_> = rdatas(RecordType::CDS).collect();
    rdatas(RecordType::DNSKEY)
        .filter_map(Dnskey::from_rdata)
        .filter(|key| key.is_secure_entry_point())
        .filter(|key| wanted.iter().any(|cds| key.matches_ds(apex, cds)))
        .map(|key| key.ds(apex).to_text(RecordType::DS))
        .collect()
}

/// The addresses of a nameserver: as configured, else as one of our zones has them.
fn addresses_of(name: &DomainName, zones: &Zones, topology: &Topology) -> Vec<IpAddr> {
    let configured = &topology.nameservers.servers;
    let known = configured.iter().find(|server| server.name == *name);
    match known.map(|server| &server.addresses) {
        Some(addresses) if !addresses.is_empty() => addresses.clone(),
        _ => zones.addresses_of(&Name::from(name)),
    }
}

fn served_domain(route: &Route, domain: &DomainName, zones: &Zones) -> Option<ServedDomain> {
    let services = route.services.iter().filter_map(|service| {
        let public = public_name(service.kind, domain)?;
        let owner = service.owner.for_domain(domain).ok()?;
        served_name(Some((service.kind, service.port)), public, owner, zones)
    });
    let address = route.address.as_ref().and_then(|template| {
        let owner = template.for_domain(domain).ok()?;
        served_name(None, owner.clone(), owner, zones)
    });
    let names: Vec<ServedName> = services.chain(address).collect();
    (!names.is_empty()).then(|| ServedDomain {
        domain: domain.clone(),
        route: route.name.clone(),
        names,
    })
}

/// The name at which partners look for a service of a domain.
pub(super) fn public_name(kind: ServiceKind, domain: &DomainName) -> Option<DomainName> {
    let text = kind.default_owner().replace("{domain}", domain.as_str());
    text.parse().ok()
}

fn served_name(
    service: Option<(ServiceKind, u16)>,
    public: DomainName,
    owner: DomainName,
    zones: &Zones,
) -> Option<ServedName> {
    let apex_of = |name: &DomainName| zones.zone_of(Name::from(name).key());
    let version = apex_of(&owner)?;
    let types: &[RecordType] = match service {
        Some(_) => &[RecordType::SRV],
        None => &[RecordType::A, RecordType::AAAA],
    };
    let key = Name::from(&owner);
    let sets = types
        .iter()
        .filter_map(|rtype| version.set(key.key(), *rtype));
    let records = sets.flat_map(|set| {
        let record = |rdata: &zone::Rdata| ServedRecord {
            rtype: type_text(set.rtype),
            ttl: set.ttl,
            data: rdata.to_text(set.rtype),
        };
        set.rdatas.iter().map(record)
    });
    Some(ServedName {
        service: service.map(|(kind, _)| kind),
        port: service.map_or(0, |(_, port)| port),
        zone: version.apex().to_domain_name()?,
        public_zone: apex_of(&public).and_then(|zone| zone.apex().to_domain_name()),
        records: records.collect(),
        public,
        owner,
    })
}

fn targets(topology: &Topology, domains: &[ServedDomain], zones: &Zones) -> Vec<ServedTarget> {
    let routes: BTreeSet<&RouteName> = domains.iter().map(|domain| &domain.route).collect();
    let mut targets = BTreeSet::new();
    for route in routes.iter().filter_map(|name| topology.routes.get(*name)) {
        let pools = route
            .pool_names()
            .filter_map(|name| topology.pools.get(name));
        for pool in pools {
            for service in &route.services {
                let other = service.target_names.get(&pool.name);
                for (n, target) in pool.targets.iter().enumerate() {
                    let name = other.and_then(|names| names.get(n)).unwrap_or(&target.name);
                    let zone = zones.zone_of(Name::from(name).key());
                    targets.insert(ServedTarget {
                        name: name.clone(),
                        pool: pool.name.clone(),
                        addresses: target.addresses.iter().map(|a| a.publish).collect(),
                        zone: zone.and_then(|zone| zone.apex().to_domain_name()),
                    });
                }
            }
        }
    }
    targets.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::{Step, parent_records};
    use super::*;
    use crate::config;
    use crate::zone::{KeyAlgorithm, SigningKey, ZoneKeys};

    const CONFIGURATION: &str = r#"
version = 1
[dns]
nameservers = [{ name = "ns1.example.net" }]
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["192.0.2.10"]
[[route]]
name = "contoso"
domains = ["contoso.com"]
pools = ["edgepool1"]
zones = "owners"
[route.address]
name = "xmpp.{domain}"
[[route.service]]
kind = "xmpp-server"
"#;

    fn configuration() -> Configuration {
        let mut none = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        config::parse(CONFIGURATION, "repoint.toml", &mut none).unwrap()
    }

    /// What is served when xmpp.contoso.com has these keys.
    fn served_with(keys: ZoneKeys) -> Served {
        let configuration = configuration();
        let first = first_zones(&configuration);
        let keys = BTreeMap::from([(
            Name::from(&"xmpp.contoso.com".parse::<DomainName>().unwrap()),
            Arc::new(keys),
        )]);
        // Without decisions everything stays as it was published before.
        let zones = zone::compile(&zone::Inputs {
            layout: &configuration.layout,
            decisions: &BTreeMap::new(),
            keys: &keys,
            unsignable: &std::sync::Arc::default(),
            challenges: &Challenges::default(),
            previous: Some(&first),
            generation: Generation(2),
            serial: configuration.layout.next_serial(first.serial(), 2),
            now: Wall::from_millis(1_795_230_000_000),
            beside: None,
        });
        Served::of(&configuration, &zones, &Selection::All, true)
    }

    #[test]
    fn the_ds_records_are_those_of_the_keys_that_cds_names() {
        let key = || Arc::new(SigningKey::generate(KeyAlgorithm::EcdsaP256Sha256).unwrap());
        let (current, next) = (key(), key());
        let mut keys = ZoneKeys::single(Arc::clone(&current), 3600);
        // In the middle of a roll: published, not yet named.
        keys.published.push(next.dnskey().clone());
        let apex = Name::from_text(b"xmpp.contoso.com.", None).unwrap();
        let expected = current.dnskey().ds(&apex).to_text(RecordType::DS);

        let served = served_with(keys.clone());
        let zone = served.zone(&"xmpp.contoso.com".parse().unwrap()).unwrap();
        assert!(zone.signed);
        assert_eq!(zone.ds, std::slice::from_ref(&expected));
        let blocks = parent_records(&served, None);
        let signs: Vec<_> = blocks
            .iter()
            .flat_map(|block| block.records.iter().filter(|r| r.step == Step::Sign))
            .collect();
        assert_eq!(signs.len(), 1);
        assert_eq!(
            signs[0].to_string(),
            format!("xmpp.contoso.com.\t3600\tIN\tDS\t{expected}")
        );
        let unsigned: Vec<_> = blocks.iter().flat_map(|block| &block.notes).collect();
        assert_eq!(
            unsigned,
            ["_xmpp-server._tcp.contoso.com is not signed: the zone above must have no DS for it"]
        );

        // A zone that is on its way to unsigned asks for none (RFC 8078 §4).
        keys.child = zone::ChildRecords::Delete;
        let served = served_with(keys);
        let zone = served.zone(&"xmpp.contoso.com".parse().unwrap()).unwrap();
        assert!(zone.signed && zone.ds.is_empty());
        let notes = &parent_records(&served, None)[0].notes;
        assert!(
            notes.iter().any(|note| note.contains("asks for no DS now")),
            "{notes:?}"
        );
    }

    #[test]
    fn one_route_or_one_zone_can_be_selected() {
        let configuration = configuration();
        let zones = first_zones(&configuration);
        let of = |selection: &Selection| Served::of(&configuration, &zones, selection, false);
        assert_eq!(of(&Selection::All).zones.len(), 2);
        assert_eq!(
            of(&Selection::Route("contoso".parse().unwrap()))
                .zones
                .len(),
            2
        );
        let one = of(&Selection::Zone("xmpp.contoso.com".parse().unwrap()));
        assert_eq!((one.zones.len(), one.domains[0].names.len()), (1, 1));
        assert_eq!(one.domains[0].names[0].records[0].data, "192.0.2.10");
        assert!(
            of(&Selection::Route("other".parse().unwrap()))
                .zones
                .is_empty()
        );
    }
}
