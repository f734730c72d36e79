//! The zone above: who says nothing, what is not delegated, glue, the DS.

use super::*;

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
