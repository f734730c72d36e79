//! The way out against real servers: from the delegation to static records, and never safe too early.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, World};
use crate::world::private_network::enter;

const LIMIT: Duration = Duration::from_secs(240);

/// The step, the whole answer, and the exit code.
pub(crate) fn look(lab: &Lab) -> (String, Value, Option<i32>) {
    let output = lab.delegation(&["check", "contoso", "--leave", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let step = answer["leaving"]["step"].as_str().unwrap().to_owned();
    (step, answer, output.status.code())
}

/// Has every link that is remembered be so (`known`, `gone`) for this long, in milliseconds.
pub(crate) fn age(lab: &Lab, what: &str, millis: u64) {
    let file = lab.file("state/leaving.json");
    let mut memory: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let field = format!("{what}_for_ms");
    for link in memory["traces"].as_object_mut().unwrap().values_mut() {
        for trace in link.as_object_mut().unwrap().values_mut() {
            if !trace[&field].is_null() {
                trace[&field] = millis.into();
            }
        }
    }
    fs::write(&file, memory.to_string()).unwrap();
}

#[test]
fn the_way_out_ends_when_nobody_remembers_the_delegation() {
    enter(
        "leave::the_way_out_ends_when_nobody_remembers_the_delegation",
        LIMIT,
        |dir| {
            let mut lab = Lab::start(dir, World::Clean);
            let delegated = lab.parent("contoso.com");

            let (step, answer, code) = look(&lab);
            assert_eq!((step.as_str(), code), ("replace", Some(1)), "{answer:#}");
            let there = answer["leaving"]["there"].to_string();
            for name in ["_xmpps-server._tcp", "_sipfederationtls._tcp", "xmpp"] {
                assert!(
                    there.contains(&format!("\"{name}.contoso.com\"")),
                    "{there}"
                );
            }
            let screen = lab.delegation(&["check", "contoso", "--leave"]).stdout;
            let screen = String::from_utf8(screen).unwrap();
            assert!(
                screen.contains("done  1. Take the DS records out"),
                "{screen}"
            );
            assert!(
                screen.contains("now   3. Enter the records below"),
                "{screen}"
            );
            assert!(
                screen.contains("not safe to stop: 3 zones are served"),
                "{screen}"
            );

            // Exactly what is printed, in the place of the delegations.
            let records = answer["records"].as_str().unwrap();
            assert!(
                records.contains(
                    "_xmpps-server._tcp.contoso.com.\t30\tIN\tSRV\t10 0 5270 edge1.contoso.com."
                ),
                "{records}"
            );
            let kept: String = delegated
                .lines()
                .filter(|line| !line.contains(".contoso.com. 3600 NS "))
                .map(|line| format!("{line}\n"))
                .collect();
            let on_its_own = format!("{kept}{records}");
            lab.replace_parent("contoso.com", &on_its_own);
            let (step, answer, code) = look(&lab);
            assert_eq!((step.as_str(), code), ("ns-wait", Some(1)), "{answer:#}");
            assert!(answer["leaving"]["until"].is_number(), "{answer:#}");
            let screen =
                String::from_utf8(lab.delegation(&["check", "contoso", "--leave"]).stdout).unwrap();
            assert!(screen.contains("safe to stop at "), "{screen}");

            // Looked at for days, gone for less than the TTL of the NS records.
            age(&lab, "known", 3 * 86_400_000);
            age(&lab, "gone", 3_500_000);
            assert_eq!(look(&lab).0, "ns-wait");
            age(&lab, "gone", 3_700_000);
            let (step, answer, code) = look(&lab);
            assert_eq!((step.as_str(), code), ("safe", Some(0)), "{answer:#}");

            // While one of the servers above cannot be asked, nothing is known.
            lab.kill_bind();
            let (step, answer, code) = look(&lab);
            assert_eq!(code, Some(1), "{answer:#}");
            assert_ne!(step, "safe");
            assert!(
                answer["leaving"]["unknown"]
                    .to_string()
                    .contains("10.0.2.1"),
                "{answer:#}"
            );

            // The delegation comes back: the wait begins again.
            lab.replace_parent("contoso.com", &delegated);
            assert_eq!(look(&lab).0, "replace");
            lab.replace_parent("contoso.com", &on_its_own);
            assert_eq!(look(&lab).0, "ns-wait");
        },
    );
}
