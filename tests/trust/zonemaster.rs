//! The registries' checker on a signed zone with a DS in its parent, served by repoint and one NSD secondary.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::site::Site;
use crate::tree::Tree;
use crate::world::client::dig;
use crate::world::nameserver::Software;
use crate::world::private_network::{enter, run};
use crate::world::wait::wait_for;
use crate::{NSD, PATIENCE, REPOINT, ROOT, ZONE, nameservers};

/// What Zonemaster notes below an error, by its tag, and why it is as it should be. Anything else fails, and so does a
/// tag that no longer comes.
const REVIEWED: &[(&str, &str)] = &[
    (
        "NAMESERVER_IP_WITHOUT_REVERSE",
        "the tree of this test has no reverse zones",
    ),
    (
        "RNAME_MAIL_DOMAIN_INVALID",
        "the tree of this test has no mail servers",
    ),
    (
        "REFRESH_MINIMUM_VALUE_LOWER",
        "a secondary that missed a NOTIFY is a minute late with a failover, not four hours",
    ),
    (
        "RETRY_MINIMUM_VALUE_LOWER",
        "for the same reason it tries again after half a minute",
    ),
    (
        "SOA_DEFAULT_TTL_MAXIMUM_VALUE_LOWER",
        "a partner that asked before a name was there asks again after half a minute",
    ),
    (
        "Z09_MISSING_MAIL_TARGET",
        "federation names receive no mail",
    ),
];

#[test]
fn zonemaster_finds_no_error_in_a_signed_zone_with_a_secondary() {
    let limit = Duration::from_secs(240);
    enter(
        "zonemaster::zonemaster_finds_no_error_in_a_signed_zone_with_a_secondary",
        limit,
        |dir| {
            let hosts = [REPOINT, NSD];
            let mut tree = Tree::plant(dir, &hosts);
            let _resolver = nameservers::resolver(dir, "");
            let site = Site::start(dir, &[NSD]);
            let _nsd = nameservers::secondary(Software::Nsd, NSD, dir);
            tree.enter(&site.repoint.ds(ZONE));
            wait_for("the secondary has the zone", PATIENCE, || {
                let ours = dig(REPOINT.v4, ZONE, "SOA");
                (!ours.is_empty() && dig(NSD.v4, ZONE, "SOA") == ours).then_some(())
            });

            let hints = dir.join("hints");
            fs::write(
                &hints,
                format!(
                    ". 3600 NS a.root.\na.root. 3600 A {}\na.root. 3600 AAAA {}\n",
                    ROOT.v4, ROOT.v6
                ),
            )
            .unwrap();
            let said = run(
                "zonemaster-cli",
                &[
                    "--hints",
                    &hints.to_string_lossy(),
                    "--no-progress",
                    "--no-time",
                    "--raw",
                    "--level",
                    "NOTICE",
                    ZONE,
                ],
            );
            println!("{said}");
            let mut noted: BTreeMap<&str, &str> = BTreeMap::new();
            for line in said.lines() {
                // seconds LEVEL TAG facts
                let words: Vec<&str> = line.split_whitespace().collect();
                let [_, level, tag, ..] = words[..] else {
                    panic!("not as expected: {line}");
                };
                assert!(!matches!(level, "ERROR" | "CRITICAL"), "Zonemaster: {line}");
                noted.extend([(tag, line)]);
            }
            for (tag, line) in &noted {
                assert!(
                    REVIEWED.iter().any(|(known, _)| known == tag),
                    "not reviewed: {line}"
                );
            }
            for (tag, why) in REVIEWED {
                assert!(
                    noted.contains_key(tag),
                    "{tag} ({why}) is not said any more"
                );
            }
        },
    );
}
