//! Text that is no configuration: it is refused in words, never by a panic, and what is said points into the file.

use std::io;

use proptest::prelude::*;
use repoint::config::{self, ConfigProblems};

const EXAMPLE: &str = include_str!("../../docs/repoint.example.toml");
const PROVIDER: &str = include_str!("../../docs/examples/provider-many-domains.toml");
const ZONE: &str = include_str!("../../docs/examples/zones/fed.example.net.zone");

/// Reads a text whose files are all `file`, and everything that is said about it.
fn read(text: &str, file: &str) {
    let lines = text.lines().count().max(1);
    let read = config::parse(text, "any.toml", &mut |_| {
        if file.is_empty() {
            Err(io::Error::other("no file"))
        } else {
            Ok(file.to_owned())
        }
    });
    let problems: ConfigProblems = match read {
        Ok(configuration) => {
            let again = config::parse_sources(&configuration.sources).unwrap();
            assert!(config::compare(&configuration, &again).is_empty());
            assert!(!config::summary(&configuration).to_string().is_empty());
            configuration.warnings
        }
        Err(problems) => {
            assert!(problems.errors().count() > 0, "refused without a word");
            problems
        }
    };
    for problem in problems.iter() {
        assert!(problem.line >= 1 && problem.column >= 1);
        if problem.file == "any.toml" {
            assert!(
                problem.line <= lines + 1,
                "line {} of {lines}",
                problem.line
            );
        }
    }
    assert!(!problems.render(false).is_empty());
    assert!(!problems.render(true).is_empty());
    assert!(problems.to_json().is_array());
}

/// Cuts a piece out of a text and puts another one in.
fn replace(text: &str, at: usize, length: usize, with: &str) -> String {
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (boundary(at), boundary(at + length));
    format!("{}{with}{}", &text[..start], &text[end..])
}

/// Pieces that have a meaning somewhere in the file.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "",
        "\"",
        "'",
        "[",
        "]",
        "[[",
        "{",
        "}",
        ",",
        "=",
        "\n",
        "\r\n",
        "#",
        ".",
        "\\",
        "\u{feff}",
        "\0",
        "ü",
        "0",
        "-1",
        "99999999999999999999",
        "1e400",
        "true",
        "\"10s\"",
        "[[route]]\n",
        "[[pool]]\n",
        "[health]\n",
        "\"\"\"",
        "{domain}",
        "\"single\"",
        "1979-05-27",
        "inf",
        "\t",
    ];
    prop_oneof![
        proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        "[ -~]{0,12}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_in_words(text in any::<String>(), file in any::<String>()) {
        read(&text, &file);
    }

    #[test]
    fn a_configuration_with_slips_is_read_or_refused_in_words(
        provider in any::<bool>(),
        slips in proptest::collection::vec((0_usize..16_000, 0_usize..30, piece()), 1..4),
        file in prop_oneof![Just(String::new()), Just(ZONE.to_owned()), any::<String>()],
    ) {
        let mut text = if provider { PROVIDER } else { EXAMPLE }.to_owned();
        for (at, length, with) in &slips {
            let at = at % (text.len() + 1);
            text = replace(&text, at, *length, with);
        }
        read(&text, &file);
    }

    #[test]
    fn a_configuration_with_lines_swapped_or_gone_is_read_or_refused_in_words(
        seed in proptest::collection::vec((0_usize..80, 0_usize..80, any::<bool>()), 1..6),
    ) {
        let mut lines: Vec<&str> = PROVIDER.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
        for (a, b, gone) in seed {
            let (a, b) = (a % lines.len(), b % lines.len());
            if gone && lines.len() > 2 {
                lines.remove(a);
            } else {
                lines.swap(a, b);
            }
        }
        read(&lines.join("\n"), ZONE);
    }
}
