#![allow(clippy::unwrap_used)]
//! One clean delegation, and what each fault alone makes of it.

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
fn the_zone_above_may_be_unknown_silent_or_not_of_one_mind() {
    let unknown = found(|facts| facts.zones[0].parent = Err("no resolver".into()));
    assert_eq!(unknown, [(ERROR, Code::ParentUnknown)]);
    let silent = found(|facts| {
        views(facts)[0].delegation = Err("silence".into());
        views(facts)[0].ds = Err("silence".into());
    });
    assert_eq!(silent, [(WARNING, Code::ParentServerSilent)]);
    let all = found(|facts| {
        for view in views(facts) {
            view.delegation = Err("silence".into());
            view.ds = Err("silence".into());
        }
    });
    assert_eq!(all, [(ERROR, Code::ParentUnknown)]);
    // One address of a server is enough.
    let half = found(|facts| {
        let mut other = views(facts)[0].clone();
        other.address = "[2001:db8::1]:53".parse().unwrap();
        other.delegation = Err("silence".into());
        other.ds = Err("silence".into());
        views(facts).push(other);
    });
    assert_eq!(half, []);
    let differ = found(|facts| {
        to(&mut views(facts)[0]).0.push(name("ns3.example.net."));
    });
    let expected = [
        (WARNING, Code::ParentServersDiffer),
        (WARNING, Code::NsMismatch),
    ];
    assert_eq!(differ, expected);
}

#[test]
fn a_server_of_the_zone_above_that_nobody_can_ask_is_named_with_the_reason() {
    let of = |change: &dyn Fn(&mut ParentFacts)| {
        let mut facts = clean();
        change(facts.zones[0].parent.as_mut().unwrap());
        let findings = judge(&facts);
        assert_eq!(findings.len(), 1, "{findings:?}");
        let found = &findings[0];
        assert_eq!(
            (found.severity, found.code, found.subject.as_str()),
            (WARNING, Code::ParentServerSilent, APEX)
        );
        (found.seen.clone(), found.remedy.clone())
    };
    let p3 = || name("p3.example.net.");
    let (seen, remedy) = of(&|parent| {
        let why = "no resolver says anything about p3.example.net.: SERVFAIL";
        parent.unknown.push((p3(), why.into()));
    });
    assert_eq!(
        seen,
        "p3.example.net., which serves contoso.com. above: its addresses are not known: no resolver says anything \
         about p3.example.net.: SERVFAIL"
    );
    assert_eq!(
        remedy,
        "check [dns] resolvers; if they are well, its name is broken: see to it with whoever runs the zone above"
    );
    let (seen, remedy) = of(&|parent| parent.without_address.push(p3()));
    assert_eq!(
        seen,
        "p3.example.net., which serves contoso.com. above: its name has no address, neither A nor AAAA"
    );
    assert_eq!(
        remedy,
        "have whoever runs the zone above give the name an address, or take it out of that zone's NS records"
    );
}

#[test]
fn what_is_not_delegated_is_an_error() {
    for nxdomain in [false, true] {
        let not = found(|facts| {
            for view in views(facts) {
                view.delegation = Ok(Delegated::Not { nxdomain });
            }
        });
        assert_eq!(not, [(ERROR, Code::NotDelegated)]);
    }
    let alias = found(|facts| {
        for view in views(facts) {
            view.delegation = Ok(Delegated::Alias {
                to: Some(name("elsewhere.example.")),
                ttl: 300,
            });
        }
    });
    assert_eq!(alias, [(ERROR, Code::AliasAtApex)]);
}

#[test]
fn glue_is_compared_with_what_the_zone_has() {
    let glue = |addresses: &'static [&str]| {
        found(|facts| {
            for view in views(facts) {
                let each = addresses.iter().map(|a| a.parse().unwrap());
                *to(view).2 = each.map(|a| (name("ns1.fed.contoso.com."), a)).collect();
            }
        })
    };
    assert_eq!(glue(&[]), [(ERROR, Code::GlueMissing)]);
    assert_eq!(glue(&["10.0.9.9"]), [(ERROR, Code::GlueMismatch)]);
    assert_eq!(
        glue(&["10.0.3.1", "10.0.9.9"]),
        [(WARNING, Code::GlueSuperfluous)]
    );
    let fewer = found(|facts| {
        for n in [0, 1] {
            let more = (name("ns1.fed.contoso.com."), "2001:db8::1".parse().unwrap());
            answer(facts, n).addresses.push(more);
        }
    });
    assert_eq!(fewer, [(WARNING, Code::GlueMismatch)]);
    // A server of both zones answers from the zone itself, without glue.
    let both = found(|facts| {
        for view in views(facts) {
            to(view).2.clear();
            if let Ok(Delegated::To { itself, .. }) = &mut view.delegation {
                *itself = true;
            }
        }
    });
    assert_eq!(both, []);
}

#[test]
fn the_ds_is_held_to_the_keys_that_are_served() {
    let key = SigningKey::generate(crate::zone::KeyAlgorithm::EcdsaP256Sha256).unwrap();
    let right = key.dnskey().ds(&name("fed.contoso.com."));
    let wrong = Rdata::new(RecordType::DS, &[&[0, 1, 13, 2][..], &[7; 32]].concat()).unwrap();
    let with = |ds: Vec<Rdata>, signed: bool| {
        let key = key.dnskey().rdata().clone();
        found(move |facts| {
            for view in views(facts) {
                view.ds = Ok((ds.clone(), 3600));
            }
            if signed {
                facts.served.zones[0].signed = true;
                answer(facts, 0).dnskeys = vec![key.clone()];
                answer(facts, 1).dnskeys = vec![key];
            }
        })
    };
    assert_eq!(with(vec![right.clone()], true), []);
    assert_eq!(with(vec![right.clone(), wrong.clone()], true), []);
    assert_eq!(with(vec![wrong.clone()], true), [(ERROR, Code::DsMismatch)]);
    assert_eq!(with(vec![wrong], false), [(ERROR, Code::DsLeftover)]);
    assert_eq!(with(vec![], true), [(INFO, Code::DsAbsent)]);
    let long = found(|facts| {
        for view in views(facts) {
            view.ds = Ok((vec![right.clone()], 86_400));
        }
        facts.served.zones[0].signed = true;
        answer(facts, 0).dnskeys = vec![key.dnskey().rdata().clone()];
    });
    assert_eq!(long, [(WARNING, Code::DelegationTtl)]);
}

#[test]
fn a_nameserver_that_does_not_answer_for_the_zone_is_lame() {
    let lame = [(ERROR, Code::LameNameserver)];
    let silent = |why: &'static str| {
        found(move |facts| {
            facts.zones[0].servers[1].udp = Err(why.into());
            facts.zones[0].servers[1].tcp = None;
        })
    };
    assert_eq!(silent("it did not answer within 6s"), lame);
    assert_eq!(
        silent("Network is unreachable (os error 101)"),
        [(INFO, Code::NameserverUnreachable)]
    );
    let without_address = found(|facts| {
        let server = &mut facts.zones[0].servers[1];
        (server.address, server.tcp) = (None, None);
        server.udp = Err("its name has no address".into());
    });
    // The other one stands alone then.
    assert_eq!(without_address, [lame[0], (WARNING, Code::OnePlace)]);
    let refuses = found(|facts| {
        let answer = answer(facts, 1);
        (answer.rcode, answer.serial) = (ResponseCode::Refused, None);
        (answer.authoritative, answer.ns) = (false, vec![]);
    });
    assert_eq!(refuses, lame);
    assert_eq!(found(|facts| answer(facts, 1).authoritative = false), lame);
    assert_eq!(found(|facts| answer(facts, 1).serial = None), lame);
}

#[test]
fn what_was_not_looked_at_is_said() {
    let left_out = |change: &dyn Fn(&mut LeftOut)| {
        let mut facts = clean();
        change(&mut facts.zones[0].left_out);
        // Where the others stand is not known.
        facts.zones[0].servers.pop();
        let findings = judge(&facts);
        assert_eq!(findings.len(), 1, "{findings:?}");
        let found = findings.into_iter().next().unwrap();
        assert_eq!(
            (found.severity, found.code),
            (WARNING, Code::NameserversLeftOut)
        );
        assert!(!found.remedy.is_empty());
        found.seen
    };
    let many = |count: u32| (1000..1000 + count).map(|n| name(&format!("a{n}.example.")));
    assert_eq!(
        left_out(&|left_out| left_out.names.extend(many(1468))),
        "too many nameservers are named; not looked at: a1000.example., a1001.example., a1002.example., a1003.example., \
         a1004.example., a1005.example., a1006.example., a1007.example. and 1460 more"
    );
    let one = name("ns9.example.net.");
    let addresses = left_out(&|left_out| {
        left_out.addresses.insert(one.clone(), 12);
    });
    assert_eq!(
        addresses,
        "ns9.example.net. has too many addresses: 12 of them were not asked"
    );
    assert_eq!(
        left_out(&|left_out| left_out.late.extend(many(2))),
        "not done with in the time for one zone: a1000.example., a1001.example."
    );
}

#[test]
fn ns_records_above_and_in_the_zone_are_the_same() {
    let more = found(|facts| {
        for n in [0, 1] {
            answer(facts, n).ns.push(name("ns9.example.net."));
        }
    });
    assert_eq!(more, [(WARNING, Code::NsMismatch)]);
}

#[test]
fn nameservers_have_the_same_serial_and_manners() {
    assert_eq!(
        found(|facts| answer(facts, 1).serial = Some(9)),
        [(WARNING, Code::SerialDiffers)]
    );
    // All of them behind what is served here, and all of them ahead: a change meanwhile.
    for (here, expected) in [(11, vec![(WARNING, Code::SerialDiffers)]), (9, vec![])] {
        assert_eq!(found(|facts| facts.served.zones[0].serial = here), expected);
    }
    assert_eq!(
        found(|facts| answer(facts, 1).recursion = true),
        [(WARNING, Code::RecursionOffered)]
    );
    let udp_only = found(|facts| facts.zones[0].servers[1].tcp = Some(Err("refused".into())));
    assert_eq!(udp_only, [(ERROR, Code::TcpSilent)]);
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
fn nameservers_stand_apart_from_each_other_and_from_the_pools() {
    let at = |address: &'static str| {
        move |facts: &mut Facts| {
            facts.zones[0].servers[1].address = Some(format!("{address}:53").parse().unwrap());
        }
    };
    assert_eq!(found(at("10.0.3.2")), [(WARNING, Code::OnePlace)]);
    let pools = found(|facts| {
        let mut second = facts.served.targets[0].clone();
        second.addresses = vec!["10.0.4.200".parse().unwrap(), "10.0.3.200".parse().unwrap()];
        facts.served.targets.push(second);
    });
    assert_eq!(pools, [(WARNING, Code::AtThePools)]);
}

#[test]
fn what_partners_see_is_held_to_what_is_meant() {
    let service =
        |change: fn(&mut ServiceSeen)| found(|facts| change(&mut facts.domains[0].services[0]));
    assert_eq!(
        service(|seen| seen.alias = None),
        [(ERROR, Code::AliasMissing)]
    );
    assert_eq!(
        service(|seen| seen.alias = Some(name("old.contoso.com."))),
        [(ERROR, Code::AliasMissing)]
    );
    assert_eq!(
        service(|seen| seen.records = Ok(vec![])),
        [(ERROR, Code::SrvMissing)]
    );
    assert_eq!(
        service(|seen| seen.records = Err("SERVFAIL".into())),
        [(WARNING, Code::SrvUnknown)]
    );
    assert_eq!(
        service(|seen| seen.records.as_mut().unwrap()[0].port = 5222),
        [(WARNING, Code::Port)]
    );
    // What follows from a broken delegation is not said again.
    let broken = found(|facts| {
        for view in views(facts) {
            view.delegation = Ok(Delegated::Not { nxdomain: true });
        }
        facts.domains[0].services[0].records = Ok(vec![]);
    });
    assert_eq!(broken, [(ERROR, Code::NotDelegated)]);
}

#[test]
fn a_sip_target_lies_directly_in_the_domain() {
    let sip = |target: &'static str| {
        found(|facts| {
            facts.domains[0].services[0].kind = ServiceKind::SipFederationTls;
            let srv = &mut facts.domains[0].services[0].records.as_mut().unwrap()[0];
            *srv = SrvSeen {
                port: 5061,
                target: name(target),
            };
        })
    };
    assert_eq!(sip("sip.contoso.com."), []);
    assert_eq!(sip("sip.fed.contoso.com."), [(ERROR, Code::SipTarget)]);
    assert_eq!(sip("sip.example.net."), [(ERROR, Code::SipTarget)]);
}

#[test]
fn targets_have_addresses_of_their_own() {
    let target = |change: fn(&mut TargetFacts)| found(|facts| change(&mut facts.targets[0]));
    assert_eq!(
        target(|target| target.alias = Some(name("real.example."))),
        [(ERROR, Code::TargetAlias)]
    );
    assert_eq!(
        target(|target| target.addresses = Ok(vec![])),
        [(ERROR, Code::TargetWithoutAddress)]
    );
    assert_eq!(
        target(|target| target.addresses = Err("SERVFAIL".into())),
        [(WARNING, Code::TargetUnknown)]
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

#[test]
fn the_way_around_srv_records_is_closed_with_a_reset() {
    let web = || "10.0.8.1".parse().unwrap();
    let listens = found(|facts| facts.domains[0].apex_listens.push(web()));
    assert_eq!(listens, [(WARNING, Code::ApexListens)]);
    let drops = found(|facts| facts.domains[0].apex_drops.push(web()));
    assert_eq!(drops, [(INFO, Code::ApexDrops)]);
    // A pool may stand at the domain itself.
    let pool = found(|facts| {
        facts.domains[0]
            .apex_listens
            .push("10.0.5.1".parse().unwrap());
    });
    assert_eq!(pool, []);
}

#[test]
fn every_pool_has_a_certificate_that_partners_accept() {
    let certificate = |fault: Option<&str>| CertificateSeen {
        pool: "edgepool2".parse().unwrap(),
        target: domain("edge2.contoso.com"),
        peer: "10.0.6.1:5269".parse().unwrap(),
        check: "contoso.com".into(),
        names: vec!["example.org".into()],
        fault: fault.map(str::to_owned),
    };
    let wrong = certificate(Some("does not name the domain"));
    assert_eq!(
        found(|facts| facts.certificates.push(wrong)),
        [(ERROR, Code::Certificate)]
    );
    assert_eq!(
        found(|facts| facts.certificates.push(certificate(None))),
        []
    );
}
