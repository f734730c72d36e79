//! The zone's own nameservers: whether they answer, what they say, where they stand.

use super::*;

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
