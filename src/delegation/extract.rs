//! What the zones above must know, taken out of a configuration and the zones that are served, or would be.
//!
//! In: a configuration, zones, which part of them. Out: [`Served`]. Never here: asking anybody.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::rr::RecordType;

use super::served::{
    Host, Selection, Served, ServedDomain, ServedName, ServedRecord, ServedTarget, ServedZone,
};
use crate::config::Configuration;
use crate::topology::{DomainName, Route, RouteName, ServiceKind, Topology};
use crate::zone::{self, Dnskey, Name, ZoneVersion, Zones, type_text};

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
                let asked = |domain: &&DomainName| !matches!(selection, Selection::Domain(only) if only != *domain);
                let each = route.domains.iter().filter(asked);
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
            Selection::Route(_) | Selection::Domain(_) => wanted.contains(apex),
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
fn public_name(kind: ServiceKind, domain: &DomainName) -> Option<DomainName> {
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
    use std::collections::BTreeMap;
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::{Step, first_zones, parent_records};
    use super::*;
    use crate::clock::Wall;
    use crate::config;
    use crate::decide::Generation;
    use crate::zone::{Challenges, KeyAlgorithm, SigningKey, ZoneKeys};

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
