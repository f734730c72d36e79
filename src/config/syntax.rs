//! What can be said of a file before its keys are read: whether it is TOML, and of which version.
//!
//! In: what the TOML reader found. Out: problems, and whether reading can go on. Never here: any other key.

use toml::de::DeTable;

use super::problem::{ConfigProblems, Place, Rule};

/// Reports what is not TOML. Says whether the rest of the file would be misread: after a slip inside one value it is
/// not; after an open bracket it is.
pub(super) fn report(
    file: usize,
    errors: &[toml::de::Error],
    problems: &mut ConfigProblems,
) -> bool {
    let soft = |error: &toml::de::Error| {
        error.message() == "duplicate key"
            || error.message().starts_with("string values must be quoted")
    };
    let place = |error: &toml::de::Error| Place {
        file,
        span: error.span().unwrap_or(0..0),
    };
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let first = errors
        .iter()
        .filter(|error| !soft(error))
        .min_by_key(|error| start(error));
    // What comes after the first misreading follows from it.
    let end = first.map_or(usize::MAX, start);
    for error in errors
        .iter()
        .filter(|error| soft(error) && start(error) < end)
    {
        let (message, help) = if error.message() == "duplicate key" {
            (
                "the key is written twice in its table",
                "leave one of them out",
            )
        } else {
            (
                "the value is neither a number nor text in quotes",
                "put it in quotes: \"10s\"",
            )
        };
        problems
            .error(Rule::Syntax, &place(error), message)
            .help(help);
    }
    if let Some(first) = first {
        let message = first.message().lines().collect::<Vec<_>>().join("; ");
        problems
            .error(Rule::Syntax, &place(first), format!("this is not TOML: {message}"))
            .help("look at the end of the line before, too; the rest of the file is read when this is mended");
    }
    first.is_some()
}

/// A value with a slip in it has one problem, not two.
pub(super) fn quiet_after_syntax_errors(
    file: usize,
    errors: &[toml::de::Error],
    problems: &mut ConfigProblems,
) {
    let line = |span| problems.line_of(&Place { file, span });
    let lines: Vec<usize> = errors.iter().filter_map(|e| e.span()).map(line).collect();
    problems.list.retain(|problem| {
        problem.rule == Rule::Syntax || problem.place.file != file || !lines.contains(&problem.line)
    });
}

/// Where the file begins to speak: its version, else its first character.
pub(super) fn top(document: &DeTable<'_>, file: usize) -> Place {
    let span = document
        .get_key_value("version")
        .map_or(0..0, |(key, value)| {
            let (key, value) = (key.span(), value.span());
            key.start..value.end.max(key.end)
        });
    Place { file, span }
}

/// Looks at `version` before anything else: another version has other keys.
pub(super) fn version(document: &DeTable<'_>, top: &Place, problems: &mut ConfigProblems) -> bool {
    let Some(value) = document.get("version") else {
        problems
            .error(
                Rule::Version,
                top,
                "the file does not say which version of its form it has",
            )
            .help("write version = 1 at the top");
        return true;
    };
    let number = value.get_ref().as_integer();
    if number.is_some_and(|number| number.to_string() == "1") {
        return true;
    }
    let place = Place {
        file: top.file,
        span: value.span(),
    };
    problems
        .error(
            Rule::Version,
            &place,
            "this program reads version 1 of the file",
        )
        .help("write version = 1, or use the program that the file was written for");
    false
}
