//! Topologies, decisions and master files for the tests of this module.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Challenges, Inputs, Layout, LayoutProblem, Serial, StaticZone, Zones, compile};
use crate::clock::Wall;
use crate::decide::{Decision, Generation, Reason, SrvRecord};
use crate::topology::{
    Address, CheckSettings, DomainName, FailbackPolicy, FailoverPolicy, Family, Mode, Nameserver,
    Nameservers, OwnerTemplate, Pool, PoolName, Route, RoutePool, Service, ServiceKind, Target,
    Topology, Zone, ZonePlacement,
};

pub(crate) fn domain(text: &str) -> DomainName {
    text.parse().unwrap()
}

pub(crate) fn pool(name: &str, target: &str, addresses: &[&str]) -> Pool {
    let addresses = addresses.iter().map(|text| {
        let publish: IpAddr = text.parse().unwrap();
        let probe = publish;
        Address { publish, probe }
    });
    Pool {
        name: name.parse().unwrap(),
        site: None,
        targets: vec![Target {
            name: domain(target),
            addresses: addresses.collect(),
            source: None,
        }],
    }
}

pub(crate) fn route(name: &str, domains: &[&str], placement: ZonePlacement) -> Route {
    let domains: Vec<DomainName> = domains.iter().map(|text| domain(text)).collect();
    let service = |kind: ServiceKind| Service {
        kind,
        mode: Mode::Order,
        required: true,
        owner: OwnerTemplate::new(kind.default_owner()).unwrap(),
        port: kind.standard_port(),
        target_names: BTreeMap::new(),
        check: CheckSettings::default_for(kind),
    };
    Route {
        name: name.parse().unwrap(),
        check_domains: domains[..1].to_vec(),
        domains,
        pools: ["pool1", "pool2"]
            .iter()
            .zip([10, 20])
            .map(|(pool, priority)| RoutePool {
                pool: pool.parse().unwrap(),
                priority,
            })
            .collect(),
        zones: placement,
        failover: FailoverPolicy::Auto,
        failback: FailbackPolicy::Manual,
        hold_down: Duration::from_secs(600),
        ttl: 30,
        max_switches: 6,
        need: 1,
        require_families: None,
        address: Some(OwnerTemplate::new("xmpp.{domain}").unwrap()),
        services: vec![
            service(ServiceKind::XmppServer),
            service(ServiceKind::XmppsServer),
        ],
    }
}

pub(crate) fn topology(routes: Vec<Route>, zones: &[&str]) -> Topology {
    let pools = [
        pool(
            "pool1",
            "edge1.contoso.com",
            &["192.0.2.10", "2001:db8::10"],
        ),
        pool("pool2", "edge2.contoso.com", &["198.51.100.10"]),
    ];
    Topology::new(
        pools
            .into_iter()
            .map(|pool| (pool.name.clone(), pool))
            .collect(),
        routes
            .into_iter()
            .map(|route| (route.name.clone(), route))
            .collect(),
        zones
            .iter()
            .map(|apex| {
                let zone = Zone {
                    apex: domain(apex),
                    primary: None,
                };
                (domain(apex), zone)
            })
            .collect(),
        Nameservers {
            servers: ["ns1.example.net", "ns2.example.net"]
                .iter()
                .map(|name| Nameserver {
                    name: domain(name),
                    addresses: Vec::new(),
                })
                .collect(),
            hostmaster: None,
            negative_ttl: 30,
            ttl: 3600,
        },
        Vec::new(),
    )
}

/// The decision that puts pool `first` before the other.
pub(crate) fn decision(route: &str, first: u8) -> Decision {
    let other = 3 - first;
    let srv = |pool: u8, priority: u16, port: u16| SrvRecord {
        priority,
        weight: 0,
        port,
        target: domain(&format!("edge{pool}.contoso.com")),
    };
    let records = |port| vec![srv(first, 10, port), srv(other, 20, port)];
    let addresses: &[(Family, &str)] = if first == 1 {
        &[(Family::Ipv4, "192.0.2.10"), (Family::Ipv6, "2001:db8::10")]
    } else {
        &[(Family::Ipv4, "198.51.100.10")]
    };
    let order: [PoolName; 2] = [first, other].map(|pool| format!("pool{pool}").parse().unwrap());
    Decision {
        route: route.parse().unwrap(),
        generation: Generation(1),
        at: Wall::default(),
        active: order[0].clone(),
        order: order.to_vec(),
        services: [
            (ServiceKind::XmppServer, 5269),
            (ServiceKind::XmppsServer, 5270),
        ]
        .map(|(kind, port)| (kind, records(port)))
        .into(),
        addresses: addresses
            .iter()
            .map(|(family, text)| (*family, vec![text.parse().unwrap()]))
            .collect(),
        ttl: 30,
        reason: Reason::FirstStart,
    }
}

pub(crate) fn static_zone(apex: &str, text: &str) -> StaticZone {
    let mut none = |_: super::Include<'_>| Err("there is no such file".to_owned());
    StaticZone::parse(&domain(apex), "test.zone", text.as_bytes(), &mut none).unwrap()
}

pub(crate) fn layout(
    topology: &Topology,
    statics: &[(&str, &str)],
) -> Result<Layout, Vec<LayoutProblem>> {
    let statics = statics
        .iter()
        .map(|(apex, text)| (domain(apex), Arc::new(static_zone(apex, text))))
        .collect();
    Layout::new(topology, statics)
}

/// Publishes decisions over what was published before.
pub(crate) fn publish(
    layout: &Layout,
    decisions: &[Decision],
    previous: Option<&Zones>,
    serial: u32,
) -> Zones {
    let decisions = decisions
        .iter()
        .map(|decision| (decision.route.clone(), decision.clone()))
        .collect();
    let generation = Generation(previous.map_or(0, |zones| zones.generation().0) + 1);
    compile(&Inputs {
        layout,
        decisions: &decisions,
        keys: &BTreeMap::new(),
        unsignable: &Arc::default(),
        challenges: &Challenges::default(),
        previous,
        generation,
        serial: Serial(serial),
        now: Wall::default(),
        beside: None,
    })
}
