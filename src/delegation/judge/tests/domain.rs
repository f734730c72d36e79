//! What partners see: SRV records, their targets, certificates, and the way around all of them.

use super::*;

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
