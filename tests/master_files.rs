//! The corpus of master files: each is read right or refused with its line, as the file beside it says.
//! `UPDATE_EXPECT=1 cargo test --test master_files` rewrites those files; read the difference before keeping it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use repoint::topology::DomainName;
use repoint::zone::{Include, Included, MasterProblem, Severity, StaticZone};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/master")
}

fn contoso() -> DomainName {
    "contoso.com".parse().unwrap()
}

fn load(asked: Include<'_>) -> Result<Included, String> {
    match std::fs::read(corpus().join(asked.path)) {
        Ok(octets) => Ok(Included {
            file: asked.path.to_owned(),
            octets,
        }),
        Err(error) => Err(error.kind().to_string()),
    }
}

fn parse(file: &str, octets: &[u8]) -> Result<StaticZone, Vec<MasterProblem>> {
    StaticZone::parse(&contoso(), file, octets, &mut load)
}

fn outcome(file: &str, octets: &[u8]) -> String {
    let mut text = String::new();
    let list = |text: &mut String, problems: &[MasterProblem]| {
        for problem in problems {
            let word = match problem.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            writeln!(text, "{word}: {problem}\n  {}", problem.mend()).unwrap();
        }
    };
    match parse(file, octets) {
        Ok(zone) => {
            list(&mut text, zone.warnings());
            text.push_str(&zone.to_master_text());
        }
        Err(problems) => {
            writeln!(text, "refused").unwrap();
            list(&mut text, &problems);
        }
    }
    text
}

fn zone_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "zone"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_of_the_corpus_is_read_or_refused_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let files = zone_files();
    assert!(files.len() >= 40, "the corpus is there");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let got = outcome(name, &std::fs::read(&path).unwrap());
        let beside = path.with_extension("expected");
        if update {
            std::fs::write(&beside, &got).unwrap();
        } else if std::fs::read_to_string(&beside).unwrap_or_default() != got {
            wrong.push(format!("{name} gives:\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_expectation_has_its_file() {
    let stems: BTreeSet<PathBuf> = zone_files()
        .iter()
        .map(|path| path.with_extension(""))
        .collect();
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "expected") {
            assert!(stems.contains(&path.with_extension("")), "{path:?}");
        }
    }
}

#[test]
fn what_is_read_is_written_so_that_it_is_read_again() {
    let mut read = 0;
    for path in zone_files() {
        let Ok(zone) = parse("file", &std::fs::read(&path).unwrap()) else {
            continue;
        };
        read += 1;
        let text = zone.to_master_text();
        let again = parse("again", text.as_bytes()).unwrap();
        assert_eq!(again.to_master_text(), text, "{path:?}");
        assert_eq!(again.record_count(), zone.record_count());
    }
    assert!(read >= 15);
}

#[test]
fn the_example_zones_are_good() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let Some(apex) = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .strip_suffix(".zone")
        else {
            continue;
        };
        let octets = std::fs::read(&path).unwrap();
        let zone = StaticZone::parse(&apex.parse().unwrap(), apex, &octets, &mut load);
        assert_eq!(zone.unwrap().warnings(), [], "{path:?}");
        seen += 1;
    }
    assert!(seen >= 1);
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let text = b"$INCLUDE include/itself\n";
    let problems = parse("test", text).unwrap_err();
    assert!(
        problems.iter().any(|p| p.to_string().contains("deep")),
        "{problems:?}"
    );
}

/// Each level doubles the files to read: without a bound of the total this never ends.
#[test]
fn files_that_include_each_other_twice_are_refused_before_they_are_read_without_end() {
    let mut reads = 0;
    let mut load = |_: Include<'_>| {
        reads += 1;
        assert!(reads <= 1000, "read without end");
        Ok(Included {
            file: "itself".to_owned(),
            octets: b"$INCLUDE itself\n$INCLUDE itself\n".to_vec(),
        })
    };
    let text = b"$INCLUDE itself\n";
    let problems = StaticZone::parse(&contoso(), "test", text, &mut load).unwrap_err();
    assert!(
        problems.iter().any(|p| p.to_string().contains("in all")),
        "{problems:?}"
    );
}

#[test]
fn included_files_are_bounded_in_size_together() {
    let mut load = |_: Include<'_>| {
        Ok(Included {
            file: "large".to_owned(),
            octets: vec![b'\n'; 40 << 20],
        })
    };
    let text = b"$INCLUDE large\n$INCLUDE large\n";
    let problems = StaticZone::parse(&contoso(), "test", text, &mut load).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("test:2") && line.contains("in all")),
        "{lines:?}"
    );
}

#[test]
fn the_serial_of_the_file_is_known() {
    let text = b"@ 60 SOA a. b. 2026112101 1 1 1 1\n@ 60 NS a.\n";
    assert_eq!(parse("test", text).unwrap().serial().0, 2_026_112_101);
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("@".to_owned()),
        Just("IN".to_owned()),
        Just("3600".to_owned()),
        Just("A".to_owned()),
        Just("192.0.2.1".to_owned()),
        Just("TXT".to_owned()),
        Just("SRV".to_owned()),
        Just("SOA".to_owned()),
        Just("$TTL".to_owned()),
        Just("$ORIGIN".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("\"".to_owned()),
        Just(";".to_owned()),
        Just("\\".to_owned()),
        Just("\\#".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\t".to_owned()),
        "[a-z0-9.\\\\]{0,12}",
        any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(parse("random", &octets).is_err());
    }

    #[test]
    fn no_words_make_the_reader_panic(words in proptest::collection::vec(word(), 0..60)) {
        let text = words.join(" ");
        if let Ok(zone) = parse("random", text.as_bytes()) {
            prop_assert!(zone.record_count() >= 2);
        }
    }

    #[test]
    fn text_survives_reading_and_writing(strings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..=255), 1..4)) {
        let mut file = b"$TTL 60\n@ SOA a. b. 1 1 1 1 1\n@ NS a.\nt TXT".to_vec();
        for string in &strings {
            file.extend(b" \"");
            for octet in string {
                file.extend(format!("\\{octet:03}").bytes());
            }
            file.push(b'"');
        }
        let zone = parse("text", &file).unwrap();
        let again = parse("again", zone.to_master_text().as_bytes()).unwrap();
        prop_assert_eq!(again.to_master_text(), zone.to_master_text());
        let wire: Vec<u8> = strings
            .iter()
            .flat_map(|string| {
                let length = u8::try_from(string.len()).unwrap();
                std::iter::once(length).chain(string.iter().copied())
            })
            .collect();
        let generic: String = wire.iter().map(|octet| format!("{octet:02x}")).collect();
        let generic = format!("$TTL 60\n@ SOA a. b. 1 1 1 1 1\n@ NS a.\nt TYPE16 \\# {} {generic}\n", wire.len());
        let generic = parse("generic", generic.as_bytes()).unwrap();
        prop_assert_eq!(generic.to_master_text(), zone.to_master_text());
    }
}

#[test]
fn very_many_records_of_one_name_are_refused_in_one_line() {
    let mut text =
        "$TTL 300\n@ SOA ns1.example.net. hostmaster 1 60 30 600 30\n@ NS ns1.example.net.\n"
            .to_owned();
    // Compared each with each, so many records take minutes.
    for n in 0..300_000_u32 {
        text.push_str(&format!("many A {}\n", std::net::Ipv4Addr::from(n)));
    }
    let problems = parse("test", text.as_bytes()).unwrap_err();
    assert_eq!(problems.len(), 1, "{:?}", problems.first());
}

#[test]
fn a_record_too_large_for_any_answer_is_refused_wherever_it_stands() {
    let large = format!("TYPE65280 \\# 60000 {}", "00".repeat(60_000));
    let text = format!(
        "$TTL 60\n@ SOA ns1.example.net. h.example.net. 1 60 30 7d 30\n@ NS ns1.example.net.\n\
         big {large}\nbig 30 TYPE65280 \\# 1 00\nalias CNAME www.example.net.\nalias {large}\n\
         cut NS ns1.example.net.\nx.cut {large}\nold DNAME new.example.net.\nx.old {large}\n"
    );
    let problems = parse("test", text.as_bytes()).unwrap_err();
    let lines: Vec<u32> = problems.iter().map(|problem| problem.at.line).collect();
    assert_eq!(lines, [4, 7, 9, 11], "{problems:?}");
}
