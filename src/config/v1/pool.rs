//! `[[pool]]` and `[[pool.target]]`.

use crate::topology::{PoolName, SiteName};

use super::super::draft::{PoolDraft, TargetDraft};
use super::super::problem::ConfigProblems;
use super::super::table::Table;
use super::super::value::Value;
use super::{keys, not_yet};

pub(super) fn pools(value: Option<Value<'_>>, problems: &mut ConfigProblems) -> Vec<PoolDraft> {
    let tables = value.map_or_else(Vec::new, |v| v.tables(&keys::POOL, problems));
    tables
        .into_iter()
        .map(|table| pool(table, problems))
        .collect()
}

fn pool(mut table: Table<'_>, problems: &mut ConfigProblems) -> PoolDraft {
    let name = table
        .require("name", "name = \"edgepool1\"", problems)
        .and_then(|v| {
            v.parsed(
                "a name like \"edgepool1\"",
                str::parse::<PoolName>,
                problems,
            )
        });
    let site = table
        .get("site")
        .and_then(|v| v.parsed("a name like \"site1\"", str::parse::<SiteName>, problems))
        .map(|site| site.value);
    let standby = table
        .get("standby")
        .and_then(|v| v.choice(&[("hot", false), ("cold", true)], problems));
    if let Some(standby) = standby.filter(|standby| standby.value) {
        not_yet(
            &standby.place,
            "standby = \"cold\"",
            "this version has no procedure that promotes a pool before names point at it",
            problems,
        )
        .help("leave the pool out until it listens all the time, or start it by hand and write standby = \"hot\"");
    }
    let targets = table.require("target", "[[pool.target]]", problems);
    let targets_given = targets.is_some();
    let targets = targets
        .map_or_else(Vec::new, |v| v.tables(&keys::TARGET, problems))
        .into_iter()
        .map(|table| target(table, problems))
        .collect();
    let place = table.place().clone();
    table.finish(problems);
    PoolDraft {
        place,
        name,
        site,
        targets,
        targets_given,
    }
}

fn target(mut table: Table<'_>, problems: &mut ConfigProblems) -> TargetDraft {
    let name = table
        .require("name", "name = \"edge1.contoso.com\"", problems)
        .and_then(|v| {
            v.parsed(
                "a host name like \"edge1.contoso.com\"",
                str::parse,
                problems,
            )
        });
    let wanted = "a list of addresses like [\"192.0.2.10\", \"2001:db8::10\"]";
    let publish = table
        .require("publish", "publish = [\"192.0.2.10\"]", problems)
        .map(|v| v.list_of(wanted, problems, |item, p| item.address(p)));
    let probe = table
        .get("probe")
        .map(|v| v.list_of(wanted, problems, |item, p| item.address(p)));
    let source = table.get("source").and_then(|v| v.address(problems));
    table.finish(problems);
    TargetDraft {
        name,
        publish,
        probe,
        source,
    }
}
