//! The check against real servers: nothing to say of a clean world, and every seeded fault named.

use std::time::Duration;

use crate::lab::{Lab, World};
use crate::world::private_network::enter;

const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn a_clean_delegation_has_nothing_said_of_it() {
    enter(
        "live::a_clean_delegation_has_nothing_said_of_it",
        LIMIT,
        |dir| {
            let lab = Lab::start(dir, World::Clean);
            let (findings, code, report) = lab.check(&[]);
            assert_eq!((findings, code), (Vec::new(), Some(0)), "{report:#}");
            assert_eq!(
                report["findings"].as_array().unwrap().len(),
                0,
                "{report:#}"
            );
            assert_eq!(
                (&report["zones"], &report["domains"]),
                (&5.into(), &3.into())
            );
        },
    );
}

#[test]
fn every_seeded_fault_is_named() {
    enter("live::every_seeded_fault_is_named", LIMIT, |dir| {
        let lab = Lab::start(dir, World::Faulty);
        let (findings, code, report) = lab.check(&[]);
        let expected = [
            ("apex-listens", "contoso.com"),
            ("certificate", "pool edgepool1"),
            ("certificate", "pool edgepool2"),
            ("delegation-ttl", "fed.litware.com"),
            ("ds-leftover", "xmpp.contoso.com"),
            ("glue-mismatch", "fed.litware.com"),
            ("glue-missing", "fed.fabrikam.com"),
            ("lame-nameserver", "_xmpps-server._tcp.contoso.com"),
            // Follows from the lame one: it is named above only.
            ("ns-mismatch", "_xmpps-server._tcp.contoso.com"),
            ("ns-mismatch", "xmpp.contoso.com"),
            ("nxdomain-at-empty-name", "_tcp.fed.fabrikam.com."),
            ("port", "_xmpps-server._tcp.litware.com"),
            ("serial-differs", "_sipfederationtls._tcp.contoso.com"),
            ("target-alias", "edge1.contoso.com."),
            ("target-without-address", "edge2.contoso.com."),
            ("ttl", "_xmpps-server._tcp.fed.fabrikam.com"),
            ("ttl", "xmpp.fed.fabrikam.com"),
        ]
        .map(|(code, subject)| (code.to_owned(), subject.to_owned()));
        assert_eq!(findings, expected, "{report:#}");
        assert_eq!(code, Some(2));
        for finding in report["findings"].as_array().unwrap() {
            assert!(!finding["remedy"].as_str().unwrap().is_empty(), "{finding}");
            assert!(!finding["seen"].as_str().unwrap().is_empty(), "{finding}");
        }

        let (of_route, code, _) = lab.check(&["litware"]);
        let codes: Vec<&str> = of_route.iter().map(|(code, _)| code.as_str()).collect();
        assert!(
            codes.contains(&"port") && !codes.contains(&"ds-leftover"),
            "{codes:?}"
        );
        assert_eq!(code, Some(2));

        let screen = lab.delegation(&["check"]);
        let text = String::from_utf8(screen.stdout).unwrap();
        assert!(
            text.starts_with("error lame-nameserver\n") || text.starts_with("error "),
            "{text}"
        );
        assert!(text.contains("5 zones of 3 domains looked at: "), "{text}");
    });
}
