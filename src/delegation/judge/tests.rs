#![allow(clippy::unwrap_used)]
//! One clean delegation, and what each fault alone makes of it: a file for each part that is judged, here what concerns all.

mod domain;
mod parent;
mod servers;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::super::facts::{
    CertificateSeen, Delegated, DomainFacts, Facts, LeftOut, ParentFacts, ParentView, ServerFacts,
    ServiceSeen, SrvSeen, TargetFacts, ZoneAnswer, ZoneFacts,
};
use super::super::finding::{Code, Severity};
use super::super::served::{
    Host, Served, ServedDomain, ServedName, ServedRecord, ServedTarget, ServedZone,
};
use super::judge;
use crate::topology::{DomainName, ServiceKind};
use crate::zone::{Name, Rdata, SigningKey};

const APEX: &str = "fed.contoso.com";

fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes(), None).unwrap()
}

fn domain(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn served() -> Served {
    let owner = domain("_xmpp-server._tcp.fed.contoso.com");
    let record = |rtype: &str, data: &str| ServedRecord {
        rtype: rtype.into(),
        ttl: 30,
        data: data.into(),
    };
    Served {
        live: true,
        resolvers: vec![],
        state: "/var/lib/repoint".into(),
        zones: vec![ServedZone {
            apex: domain(APEX),
            serial: 10,
            nameservers: vec![
                Host {
                    name: domain("ns1.fed.contoso.com"),
                    addresses: vec!["10.0.3.1".parse().unwrap()],
                },
                Host {
                    name: domain("ns2.example.net"),
                    addresses: vec![],
                },
            ],
            ns_ttl: 3600,
            negative_ttl: 30,
            signed: false,
            ds: vec![],
            empty_names: vec![domain("_tcp.fed.contoso.com")],
            within: None,
            vouched: false,
        }],
        domains: vec![ServedDomain {
            domain: domain("contoso.com"),
            route: "contoso".parse().unwrap(),
            names: vec![ServedName {
                service: Some(ServiceKind::XmppServer),
                port: 5269,
                public: domain("_xmpp-server._tcp.contoso.com"),
                owner,
                zone: domain(APEX),
                public_zone: None,
                records: vec![record("SRV", "10 0 5269 edge1.contoso.com.")],
            }],
        }],
        targets: vec![ServedTarget {
            name: domain("edge1.contoso.com"),
            pool: "edgepool1".parse().unwrap(),
            addresses: vec!["10.0.5.1".parse().unwrap()],
            zone: None,
        }],
    }
}

fn server(host: &str, address: &str) -> ServerFacts {
    let mut ns = vec![name("ns1.fed.contoso.com."), name("ns2.example.net.")];
    ns.sort();
    ServerFacts {
        server: name(host),
        address: Some(format!("{address}:53").parse().unwrap()),
        by_parent: true,
        by_zone: true,
        udp: Ok(ZoneAnswer {
            rcode: ResponseCode::NoError,
            authoritative: true,
            recursion: false,
            serial: Some(10),
            ns,
            ns_ttl: 3600,
            addresses: vec![(name("ns1.fed.contoso.com."), "10.0.3.1".parse().unwrap())],
            dnskeys: vec![],
            missing: vec![],
        }),
        tcp: Some(Ok(())),
    }
}

fn clean() -> Facts {
    let mut ns = vec![name("ns1.fed.contoso.com."), name("ns2.example.net.")];
    ns.sort();
    let view = |server: &str, address: &str| ParentView {
        server: name(server),
        address: format!("{address}:53").parse().unwrap(),
        delegation: Ok(Delegated::To {
            ns: ns.clone(),
            ttl: 3600,
            glue: vec![(name("ns1.fed.contoso.com."), "10.0.3.1".parse().unwrap())],
            itself: false,
        }),
        ds: Ok((vec![], 0)),
        missing: vec![],
    };
    Facts {
        silent: None,
        zones: vec![ZoneFacts {
            apex: domain(APEX),
            parent: Ok(ParentFacts {
                unknown: Vec::new(),
                without_address: Vec::new(),
                apex: name("contoso.com."),
                views: vec![
                    view("p1.example.net.", "10.0.1.1"),
                    view("p2.example.net.", "10.0.2.1"),
                ],
            }),
            servers: vec![
                server("ns1.fed.contoso.com.", "10.0.3.1"),
                server("ns2.example.net.", "10.0.4.1"),
            ],
            left_out: LeftOut::default(),
        }],
        domains: vec![DomainFacts {
            domain: domain("contoso.com"),
            services: vec![ServiceSeen {
                kind: ServiceKind::XmppServer,
                public: domain("_xmpp-server._tcp.contoso.com"),
                alias: Some(name("_xmpp-server._tcp.fed.contoso.com.")),
                records: Ok(vec![SrvSeen {
                    port: 5269,
                    target: name("edge1.contoso.com."),
                }]),
            }],
            apex_listens: vec![],
            apex_drops: vec![],
        }],
        targets: vec![TargetFacts {
            name: name("edge1.contoso.com."),
            alias: None,
            addresses: Ok(vec!["10.0.5.1".parse().unwrap()]),
        }],
        certificates: vec![],
        served: served(),
    }
}

/// What is found when one thing is changed.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<(Severity, Code)> {
    let mut facts = clean();
    change(&mut facts);
    let findings = judge(&facts);
    for finding in &findings {
        assert!(
            !finding.remedy.is_empty() && !finding.seen.is_empty(),
            "{finding:?}"
        );
    }
    let mut pairs: Vec<_> = findings.iter().map(|f| (f.severity, f.code)).collect();
    pairs.dedup();
    pairs
}

fn views(facts: &mut Facts) -> &mut Vec<ParentView> {
    &mut facts.zones[0].parent.as_mut().unwrap().views
}

fn answer(facts: &mut Facts, n: usize) -> &mut ZoneAnswer {
    facts.zones[0].servers[n].udp.as_mut().unwrap()
}

fn to(view: &mut ParentView) -> (&mut Vec<Name>, &mut u32, &mut Vec<(Name, std::net::IpAddr)>) {
    match view.delegation.as_mut().unwrap() {
        Delegated::To { ns, ttl, glue, .. } => (ns, ttl, glue),
        other => panic!("{other:?}"),
    }
}

const ERROR: Severity = Severity::Error;
const WARNING: Severity = Severity::Warning;
const INFO: Severity = Severity::Info;

#[test]
fn a_clean_delegation_has_no_finding() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn names_without_records_exist() {
    let tcp = || name("_tcp.fed.contoso.com.");
    assert_eq!(
        found(|facts| answer(facts, 1).missing.push(tcp())),
        [(ERROR, Code::NxdomainAtEmptyName)]
    );
    assert_eq!(
        found(|facts| views(facts)[0].missing.push(name("_tcp.contoso.com."))),
        [(ERROR, Code::NxdomainAtEmptyName)]
    );
}

#[test]
fn ttls_are_neither_too_short_nor_too_long() {
    let steered = |ttl: u32| found(|facts| facts.served.domains[0].names[0].records[0].ttl = ttl);
    assert_eq!(steered(29), [(WARNING, Code::Ttl)]);
    assert_eq!((steered(30), steered(300)), (vec![], vec![]));
    assert_eq!(steered(301), [(WARNING, Code::Ttl)]);
    let above = found(|facts| *to(&mut views(facts)[0]).1 = 86_400);
    assert_eq!(above, [(WARNING, Code::DelegationTtl)]);
    let negative = found(|facts| facts.served.zones[0].negative_ttl = 3600);
    assert_eq!(negative, [(WARNING, Code::NegativeTtl)]);
}
