//! `[[tsig]]` and `[[secondary]]`.

use std::path::Path;

use crate::tsig::Algorithm;
use crate::zone::Name;

use super::super::draft::{SecondaryDraft, SecretDraft, TsigDraft};
use super::super::problem::no_duplicates;
use super::super::problem::{At, ConfigProblems, Rule};
use super::super::table::Table;
use super::super::value::Value;
use super::{keys, path};

pub(super) fn tsig_keys(
    value: Option<Value<'_>>,
    base: &Path,
    problems: &mut ConfigProblems,
) -> Vec<TsigDraft> {
    let tables = value.map_or_else(Vec::new, |v| v.tables(&keys::TSIG, problems));
    let read = tables.into_iter();
    read.map(|table| tsig_key(table, base, problems)).collect()
}

fn tsig_key(mut table: Table<'_>, base: &Path, problems: &mut ConfigProblems) -> TsigDraft {
    let place = table.place().clone();
    let name = table.require("name", "name = \"ns2.example.net\"", problems);
    let name = name.and_then(|value| tsig_name(&value, problems));
    if let Some(At { place, .. }) = name.as_ref().filter(|name| is_none(&name.value)) {
        problems
            .error(
                Rule::BadValue,
                place,
                "\"name\" cannot be taken: \"none\" means no TSIG key",
            )
            .help("call it by the name of the server it is for");
    }
    let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    let algorithm = table
        .require("algorithm", "algorithm = \"hmac-sha256\"", problems)
        .and_then(
            |value| match value.text("its name", problems)?.value.parse() {
                Ok(algorithm) => Some(At {
                    value: algorithm,
                    place: value.place().clone(),
                }),
                // The words there are, with the nearest of them.
                Err(_) => value.choice(&algorithms, problems),
            },
        );
    let (file, here) = (table.get("secret_file"), table.get("secret"));
    let secret = match (file, here) {
        (Some(file), None) => path(&file, base, problems).map(SecretDraft::File),
        (None, Some(here)) => here.text("the secret in base64", problems).map(|text| {
            SecretDraft::Here(At {
                value: text.value.to_owned(),
                place: text.place,
            })
        }),
        (Some(file), Some(here)) => {
            problems
                .error(
                    Rule::Duplicate,
                    &here.key_place,
                    "a TSIG key has one secret, in secret_file or in secret",
                )
                .also(&file.key_place, "the other one")
                .help("leave one of them out");
            None
        }
        (None, None) => {
            problems
                .error(Rule::MissingKey, &place, "[[tsig]] has no secret")
                .help("add secret_file = \"tsig/ns2.secret\": a file with base64 in it");
            None
        }
    };
    table.finish(problems);
    TsigDraft {
        name,
        algorithm,
        secret,
    }
}

/// The name of a TSIG key, absolute whether or not it ends with a dot.
pub(super) fn tsig_name(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<Name>> {
    let wanted = "the name of a TSIG key, like \"ns2.example.net\"";
    let parse = |text: &str| Name::from_text(text.as_bytes(), Some(&Name::root()));
    value.parsed(wanted, parse, problems)
}

/// The TSIG key that the other side must have; inner none when the operator says that there is none.
pub(super) fn tsig_or_none(
    value: &Value<'_>,
    problems: &mut ConfigProblems,
) -> Option<Option<At<Name>>> {
    let name = tsig_name(value, problems)?;
    Some((!is_none(&name.value)).then_some(name))
}

/// `none` in the place of a TSIG key's name says: on purpose without one.
fn is_none(name: &Name) -> bool {
    name.key() == b"none\0"
}

pub(super) fn secondaries(
    value: Option<Value<'_>>,
    problems: &mut ConfigProblems,
) -> Vec<SecondaryDraft> {
    let tables = value.map_or_else(Vec::new, |v| v.tables(&keys::SECONDARY, problems));
    let read = tables.into_iter();
    read.map(|table| secondary(table, problems)).collect()
}

fn secondary(mut table: Table<'_>, problems: &mut ConfigProblems) -> SecondaryDraft {
    let name = table
        .require("name", "name = \"ns2\"", problems)
        .and_then(|value| value.parsed("a name like \"ns2\"", plain_name, problems));
    let address = table
        .require("address", "address = \"198.51.100.53:53\"", problems)
        .and_then(|value| value.socket(53, problems));
    if let Some(address) = &address
        && (address.value.ip().is_unspecified()
            || address.value.ip().is_multicast()
            || address.value.port() == 0)
    {
        problems
            .error(
                Rule::BadValue,
                &address.place,
                format!("secondary {} cannot be notified", address.value),
            )
            .help("name the address and port that it answers on");
    }
    let allow = table.get("allow").map(|value| {
        let wanted = "a list of addresses like [\"198.51.100.53\"]";
        let list = value.list_of(wanted, problems, |item, p| item.address(p));
        no_duplicates(&list.items, "address", problems);
        if value.is_empty_list() {
            value.bad(
                "it is empty",
                "leave the key out to allow the address that is notified",
                problems,
            );
        }
        list
    });
    let tsig = table
        .require(
            "tsig",
            "tsig = \"ns2.example.net\", or tsig = \"none\" to let its address alone vouch for it",
            problems,
        )
        .and_then(|value| tsig_or_none(&value, problems));
    let zones = table.get("zones").map(|value| {
        let wanted = "a list of zones like [\"fed.contoso.com\"]";
        let list = value.list_of(wanted, problems, |item, p| {
            item.parsed("the apex of a zone", str::parse, p)
        });
        no_duplicates(&list.items, "zone", problems);
        list
    });
    let source = table.get("source").and_then(|v| v.address(problems));
    table.finish(problems);
    SecondaryDraft {
        name,
        address,
        allow,
        tsig,
        zones,
        source,
    }
}

/// A word to call something by: it stands in tables, logs and alarms.
fn plain_name(text: &str) -> Result<String, &'static str> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 63 || !text.chars().all(good) {
        return Err("a name has 1 to 63 letters, digits, '-', '_' and '.'");
    }
    Ok(text.to_owned())
}
