//! Version 1 of the file: its sections and keys, read into a [`Draft`].
//!
//! In: TOML. Out: values with their places; TOML stops here. Never here: relations between values, which hold for
//! every version of the file; those are `validate`'s.

mod check;
mod daemon;
pub(super) mod keys;
mod manners;
mod pool;
mod route;
mod secondary;
mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::draft::{Draft, ZoneDraft};
use super::problem::{At, ConfigProblems, Place, Problem, Rule};
use super::table::Table;
use super::value::{List, Value};

/// Reads a whole file. `base` is the directory that relative paths begin in.
pub(super) fn read(
    entries: &DeTable<'_>,
    top: Place,
    base: &Path,
    problems: &mut ConfigProblems,
) -> Draft {
    let mut table = Table::new(entries, &keys::TOP, top.clone());
    // Looked at before anything else was read.
    table.get("version");
    let mut draft = Draft {
        server: server::read(table.get("server"), base, problems),
        log: daemon::log(table.get("log"), problems),
        alarm: daemon::alarm(table.get("alarm"), problems),
        nameservers: daemon::dns(table.get("dns"), &top, base, problems),
        health: daemon::health(table.get("health"), &top, base, problems),
        pools: pool::pools(table.get("pool"), problems),
        routes: route::routes(table.get("route"), base, problems),
        zones: zones(table.get("zone"), base, problems),
        tsig: secondary::tsig_keys(table.get("tsig"), base, problems),
        secondaries: secondary::secondaries(table.get("secondary"), problems),
        acme: manners::acme(table.get("acme"), problems),
        place: top,
    };
    table.finish(problems);
    let zones = draft.zones.iter();
    let said = zones.filter_map(|zone| Some((zone.apex.as_ref()?.value.clone(), zone.dnssec?)));
    draft.nameservers.dnssec.zones = said.collect();
    draft
}

fn zones(value: Option<Value<'_>>, base: &Path, problems: &mut ConfigProblems) -> Vec<ZoneDraft> {
    let tables = value.map_or_else(Vec::new, |v| v.tables(&keys::ZONE, problems));
    let read = tables.into_iter().map(|mut table| {
        let apex = table
            .require("apex", "apex = \"fed.contoso.com\"", problems)
            .and_then(|v| {
                v.parsed(
                    "a domain name like \"fed.contoso.com\"",
                    str::parse,
                    problems,
                )
            });
        let file = table.get("file").and_then(|v| path(&v, base, problems));
        let primary = table
            .get("primary")
            .map(|value| primaries(&value, problems));
        let tsig = table.get("tsig");
        let tsig_place = tsig.as_ref().map(|value| value.place().clone());
        let tsig = tsig.and_then(|value| secondary::tsig_or_none(&value, problems));
        let source = table.get("source").and_then(|v| v.address(problems));
        let dnssec = table
            .get("dnssec")
            .and_then(|v| v.boolean(problems))
            .map(|dnssec| dnssec.value);
        table.finish(problems);
        ZoneDraft {
            apex,
            file,
            primary,
            tsig,
            tsig_place,
            source,
            dnssec,
        }
    });
    read.collect()
}

fn primaries(value: &Value<'_>, problems: &mut ConfigProblems) -> List<SocketAddr> {
    let wanted = "a list of addresses like [\"192.0.2.1:53\"]";
    let list = value.list_of(wanted, problems, |item, p| item.socket(53, p));
    if value.is_empty_list() {
        value.bad("it is empty", format!("write {wanted}"), problems);
    }
    super::problem::no_duplicates(&list.items, "address", problems);
    list
}

/// A path; a relative one begins in the directory of the configuration file.
fn path(value: &Value<'_>, base: &Path, problems: &mut ConfigProblems) -> Option<At<PathBuf>> {
    let read = value.text("a path in quotes", problems)?;
    if read.value.is_empty() || read.value.contains('\0') {
        value.bad("it is not a path", "write the path of a file", problems);
        return None;
    }
    Some(At {
        value: base.join(read.value),
        place: read.place,
    })
}

/// Refuses what the design has a word for and this version cannot do.
fn not_yet<'p>(
    place: &Place,
    what: &str,
    why: &str,
    problems: &'p mut ConfigProblems,
) -> &'p mut Problem {
    problems
        .error(
            Rule::NotYet,
            place,
            format!("{what} cannot be used yet: {why}"),
        )
        .label("not yet")
}
