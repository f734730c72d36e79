//! A zone of tens of thousands of records over the wire: dig and kdig receive exactly what repoint says that it serves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::site::{
    KEY, PATIENCE, PRIMARY, Site, ZONE, address, configuration, secondary, zone_file,
};
use crate::world::client::dig;
use crate::world::nameserver::Software;
use crate::world::private_network::{add_address, enter, run};
use crate::world::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(300);
/// Names, each with two records, an NSEC and three signatures.
const NAMES: usize = 5_000;
/// Signs nothing, and need not.
const PLAIN: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 9);

/// What a client received.
struct Received {
    /// Records as text with single spaces, each once.
    records: BTreeSet<String>,
    /// Lines that are records of the zone; the SOA comes twice.
    lines: usize,
    /// TSIG records.
    signatures: usize,
    text: String,
}

impl Received {
    fn read(text: String) -> Received {
        let (mut records, mut lines, mut signatures) = (BTreeSet::new(), 0, 0);
        for line in text.lines().filter(|line| !line.starts_with(';')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields.get(3) {
                None => {}
                Some(&"TSIG") => signatures += 1,
                Some(_) => {
                    lines += 1;
                    records.insert(fields.join(" "));
                }
            }
        }
        Received {
            records,
            lines,
            signatures,
            text,
        }
    }

    /// In how many messages it came, as the client says.
    fn messages(&self, program: &str) -> usize {
        let remarks = self.remarks();
        let words: Vec<&str> = remarks.split([' ', '(', ',', '\n']).collect();
        let word = words.iter().position(|word| *word == "messages");
        let word = word.unwrap_or_else(|| panic!("{program}: {remarks}"));
        let number = if program == "dig" { word + 1 } else { word - 1 };
        words[number].parse().unwrap()
    }

    /// What is said beside the records.
    fn remarks(&self) -> String {
        let remarks = self.text.lines().filter(|line| line.starts_with(';'));
        remarks.collect::<Vec<_>>().join("\n")
    }
}

fn transfer(program: &str, from: Ipv4Addr, signed: bool) -> Received {
    let (server, from, key) = (format!("@{PRIMARY}"), from.to_string(), KEY.option());
    let mut arguments = vec!["-b", &from, &server, ZONE, "AXFR"];
    if signed {
        arguments.extend(["-y", &key]);
    }
    if program == "dig" {
        arguments.push("+nosplit");
    }
    Received::read(run(program, &arguments))
}

#[test]
fn a_large_signed_zone_arrives_record_for_record() {
    enter(
        "large::a_large_signed_zone_arrives_record_for_record",
        LIMIT,
        |dir| {
            let signing = Software::Knot;
            let plain = format!(
                "[[secondary]]\nname = \"plain\"\naddress = \"{PLAIN}:53\"\ntsig = \"none\"\n"
            );
            let secondaries = secondary(signing) + &plain;
            let mut zone = zone_file(1);
            for n in 0..NAMES {
                let (high, low) = (n / 250, n % 250);
                writeln!(zone, "n{n} A 10.0.{high}.{low}\nn{n} TXT \"number {n}\"").unwrap();
            }
            let site = Site::start(dir, &secondaries, &zone);
            let file = "file = \"contoso.zone\"\n";
            let signed =
                configuration(&secondaries).replace(file, &format!("{file}dnssec = true\n"));
            site.repoint.configure(&signed);
            let generate = ["key", "generate", ZONE, "--parent-has-no-ds"];
            site.repoint.command(&generate);
            wait_for("the zone is signed", PATIENCE, || {
                (!dig(PRIMARY, ZONE, "DNSKEY").is_empty()).then_some(())
            });

            let ours = Received::read(site.repoint.command(&["zone", "show", ZONE]));
            assert!(ours.records.len() > 6 * NAMES, "{}", ours.records.len());
            add_address(address(signing));
            add_address(PLAIN);
            for program in ["dig", "kdig"] {
                for (from, signed) in [(address(signing), true), (PLAIN, false)] {
                    let theirs = transfer(program, from, signed);
                    let remarks = theirs.remarks();
                    let missing: Vec<_> =
                        ours.records.difference(&theirs.records).take(3).collect();
                    let more: Vec<_> = theirs.records.difference(&ours.records).take(3).collect();
                    assert!(
                        missing.is_empty() && more.is_empty(),
                        "{program}, signed: {signed}: missing {missing:#?} more {more:#?}\n{remarks}"
                    );
                    assert_eq!(
                        theirs.lines,
                        ours.records.len() + 1,
                        "the SOA twice\n{remarks}"
                    );
                    let messages = theirs.messages(program);
                    assert!(messages > 100, "{remarks}");
                    assert_eq!(theirs.signatures, if signed { messages } else { 0 });
                    assert!(
                        !remarks.contains("WARNING") && !remarks.contains("ERROR"),
                        "{remarks}"
                    );
                }
            }
        },
    );
}
