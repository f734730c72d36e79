//! Signed zones against real servers: what the zones above should have as DS, what is said of a wrong one, and the way out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use repoint::topology::DomainName;
use repoint::zone::{KeyAlgorithm, Name, SigningKey};
use serde_json::Value;

use crate::lab::{DOMAINS, Lab, NS1, SIGNED, World};
use crate::leave::{age, look};
use crate::world::private_network::enter;
use crate::world::tool::tool;

const LIMIT: Duration = Duration::from_secs(240);

/// The data of DS records in master-file lines, by key tag, algorithm, digest type and digest.
fn ds_of(text: &str, apex: &str) -> BTreeSet<String> {
    let owner = format!("{apex}.");
    let records = text
        .lines()
        .map(|line| line.split(';').next().unwrap().split_whitespace());
    records
        .filter(|fields| fields.clone().next() == Some(&owner))
        .filter_map(|fields| {
            let mut fields = fields.skip_while(|field| *field != "DS").skip(1);
            let head: Vec<&str> = fields.by_ref().take(3).collect();
            let digest = fields.collect::<String>().to_lowercase();
            (head.len() == 3).then(|| format!("{} {digest}", head.join(" ")))
        })
        .collect()
}

fn said(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.repoint_says(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What BIND makes of the DNSKEY records that are served.
fn by_bind(apex: &str) -> BTreeSet<String> {
    let server = format!("@{NS1}");
    let keys = tool("dig")
        .args(["+noall", "+answer", &server, apex, "DNSKEY"])
        .output()
        .unwrap();
    let mut program = tool("dnssec-dsfromkey")
        .args(["-a", "SHA-256", "-a", "SHA-384", "-f", "-", apex])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    input.write_all(&keys.stdout).unwrap();
    drop(input);
    let output = program.wait_with_output().unwrap();
    ds_of(&String::from_utf8(output.stdout).unwrap(), apex)
}

/// Each signed zone's DS as `delegation show` prints it.
fn shown(lab: &Lab) -> BTreeMap<&'static str, String> {
    let text = said(lab, &["delegation", "show"]);
    let of = |apex: &&'static str| {
        let ds: Vec<String> = ds_of(&text, apex).into_iter().collect();
        assert_eq!(ds.len(), 1, "{apex}: {text}");
        (*apex, ds[0].clone())
    };
    assert!(ds_of(&text, "fed.litware.com").is_empty(), "{text}");
    SIGNED.iter().map(of).collect()
}

/// The zones above `domains`, with these DS records.
fn enter_ds(lab: &mut Lab, domains: &[&str], ds: &BTreeMap<&str, String>) {
    let texts = domains.iter().map(|domain| {
        let mut text = lab.parent(domain);
        for (apex, data) in ds.iter().filter(|(apex, _)| apex.ends_with(domain)) {
            text.push_str(&format!("{apex}. 3600 DS {data}\n"));
        }
        (*domain, text)
    });
    let texts: Vec<(&str, String)> = texts.collect();
    lab.replace_parents(&texts);
}

/// Code and subject of every finding, infos too.
fn all(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let mut pairs: Vec<(String, String)> = findings
        .map(|finding| (text(&finding["code"]), text(&finding["subject"])))
        .collect();
    pairs.sort();
    pairs.dedup();
    pairs
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = expected.iter();
    owned
        .map(|(code, subject)| ((*code).to_owned(), (*subject).to_owned()))
        .collect()
}

#[test]
fn a_ds_is_printed_missed_and_held_to_the_keys() {
    enter(
        "signed::a_ds_is_printed_missed_and_held_to_the_keys",
        LIMIT,
        |dir| {
            let mut lab = Lab::start(dir, World::Signed);

            // Printed by each of the three the same.
            let right = shown(&lab);
            for apex in SIGNED {
                let by_bind = by_bind(apex);
                assert_eq!(by_bind.len(), 2, "SHA-256 and SHA-384: {by_bind:?}");
                assert_eq!(ds_of(&said(&lab, &["key", "ds", apex]), apex), by_bind);
                assert!(by_bind.contains(&right[apex]), "{by_bind:?} {right:?}");
            }

            // Missing everywhere: nobody is hurt, and nobody can tell.
            let (findings, code, report) = lab.check(&[]);
            assert_eq!((findings, code), (Vec::new(), Some(0)), "{report:#}");
            let mut sorted = SIGNED;
            sorted.sort_unstable();
            let absent = sorted.map(|apex| ("ds-absent", apex));
            assert_eq!(all(&report), pairs(&absent), "{report:#}");

            // As printed: nothing to say.
            enter_ds(&mut lab, &DOMAINS, &right);
            let (_, code, report) = lab.check(&[]);
            assert_eq!((all(&report), code), (Vec::new(), Some(0)), "{report:#}");

            // One is forgotten, one is of another key, one has a wrong digit, one is of a zone that is not signed.
            let mut wrong = right.clone();
            wrong.remove("xmpp.contoso.com");
            let mismatched = "_xmpps-server._tcp.contoso.com";
            let other = SigningKey::generate(KeyAlgorithm::EcdsaP256Sha256).unwrap();
            let name = Name::from(&mismatched.parse::<DomainName>().unwrap());
            let other_ds = other.dnskey().ds(&name);
            let other_ds = other_ds.to_text(hickory_proto::rr::RecordType::DS);
            wrong.insert(mismatched, other_ds);
            let digest = wrong["fed.fabrikam.com"].clone();
            let digit = if digest.ends_with('0') { "1" } else { "0" };
            let digest = format!("{}{digit}", &digest[..digest.len() - 1]);
            wrong.insert("fed.fabrikam.com", digest);
            wrong.insert("fed.litware.com", right["xmpp.contoso.com"].clone());
            enter_ds(&mut lab, &DOMAINS, &wrong);
            let (_, code, report) = lab.check(&[]);
            let expected = [
                ("ds-absent", "xmpp.contoso.com"),
                ("ds-leftover", "fed.litware.com"),
                ("ds-mismatch", mismatched),
                ("ds-mismatch", "fed.fabrikam.com"),
            ];
            assert_eq!(all(&report), pairs(&expected), "{report:#}");
            assert_eq!(code, Some(2));
            let text = report.to_string();
            assert!(text.contains(&format!("key tag {}", other.tag())), "{text}");
        },
    );
}

#[test]
fn the_way_out_of_a_signed_zone_begins_with_its_ds() {
    enter(
        "signed::the_way_out_of_a_signed_zone_begins_with_its_ds",
        LIMIT,
        |dir| {
            let mut lab = Lab::start(dir, World::Signed);
            let right = shown(&lab);
            enter_ds(&mut lab, &["contoso.com"], &right);

            let (step, answer, code) = look(&lab);
            assert_eq!((step.as_str(), code), ("ds-out", Some(1)), "{answer:#}");
            let there = answer["leaving"]["there"].to_string();
            for apex in &SIGNED[..3] {
                assert!(there.contains(&format!("\"{apex}\"")), "{there}");
            }
            let screen = said_of_leaving(&lab);
            assert!(
                screen.contains("now   1. Take the DS records out"),
                "{screen}"
            );

            // One of the three is enough to stay.
            let mut one = right.clone();
            one.retain(|apex, _| *apex == "xmpp.contoso.com");
            enter_ds(&mut lab, &["contoso.com"], &one);
            let (step, answer, _) = look(&lab);
            assert_eq!(step, "ds-out", "{answer:#}");
            assert_eq!(
                answer["leaving"]["there"],
                serde_json::json!(["xmpp.contoso.com"])
            );

            // Gone, and with it in the same change the delegations: the wait for the DS is not skipped.
            let kept: String = lab
                .parent("contoso.com")
                .lines()
                .filter(|line| !line.contains(".contoso.com. 3600 NS "))
                .map(|line| format!("{line}\n"))
                .collect();
            lab.replace_parents(&[("contoso.com", kept)]);
            let (step, answer, code) = look(&lab);
            assert_eq!((step.as_str(), code), ("ds-wait", Some(1)), "{answer:#}");
            assert!(answer["leaving"]["until"].is_number(), "{answer:#}");

            // Back to the order that is told.
            enter_ds(&mut lab, &["contoso.com"], &BTreeMap::new());
            assert_eq!(look(&lab).0, "ds-wait");
            let screen = said_of_leaving(&lab);
            assert!(!screen.contains("safe to stop at"), "{screen}");
            age(&lab, "known", 3 * 86_400_000);
            age(&lab, "gone", 3_500_000);
            assert_eq!(look(&lab).0, "ds-wait");
            age(&lab, "gone", 3_700_000);
            let (step, answer, code) = look(&lab);
            assert_eq!((step.as_str(), code), ("replace", Some(1)), "{answer:#}");
            let records = answer["records"].as_str().unwrap();
            assert!(records.contains("\tSRV\t"), "{records}");
            for rtype in ["RRSIG", "NSEC", "DNSKEY", "CDS", "CDNSKEY"] {
                assert!(!records.contains(&format!("\t{rtype}\t")), "{records}");
            }

            // The DS comes back: so does the first step.
            enter_ds(&mut lab, &["contoso.com"], &right);
            assert_eq!(look(&lab).0, "ds-out");
        },
    );
}

fn said_of_leaving(lab: &Lab) -> String {
    let output = lab.delegation(&["check", "contoso", "--leave"]);
    String::from_utf8(output.stdout).unwrap()
}
