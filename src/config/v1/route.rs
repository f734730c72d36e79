//! `[[route]]`, `[route.address]` and `[[route.service]]`.

use std::path::Path;
use std::time::Duration;

use crate::topology::{
    FailbackPolicy, FailoverPolicy, Family, Mode, OwnerTemplate, PoolName, RouteName, ServiceKind,
    ZonePlacement,
};

use super::super::draft::{CheckDraft, RouteDraft, RoutePoolDraft, ServiceDraft};
use super::super::problem::{At, ConfigProblems, Place, Rule};
use super::super::table::Table;
use super::super::value::{List, Value};
use super::{check, keys, not_yet, path};

/// Defaults of a route (`docs/configuration.md`).
const TTL: u32 = 30;
const HOLD_DOWN: Duration = Duration::from_secs(600);
const MAX_SWITCHES: u32 = 6;
const NEED: u32 = 1;

const DOMAIN: &str = "a domain name like \"contoso.com\"";

pub(super) fn routes(
    value: Option<Value<'_>>,
    base: &Path,
    problems: &mut ConfigProblems,
) -> Vec<RouteDraft> {
    let tables = value.map_or_else(Vec::new, |v| v.tables(&keys::ROUTE, problems));
    tables
        .into_iter()
        .map(|table| route(table, base, problems))
        .collect()
}

fn route(mut table: Table<'_>, base: &Path, problems: &mut ConfigProblems) -> RouteDraft {
    let place = table.place().clone();
    let default_at = |value| At {
        value,
        place: place.clone(),
    };
    let name = table
        .require("name", "name = \"contoso\"", problems)
        .and_then(|v| v.parsed("a name like \"contoso\"", str::parse::<RouteName>, problems));
    let domains = table.get("domains");
    let domains_file = table.get("domains_file");
    let (domains, domains_file) = domains_of(domains, domains_file, &place, base, problems);
    let check_domains = table.get("check_domains").map(|v| {
        v.list_of("a list of domain names", problems, |item, p| {
            item.parsed(DOMAIN, str::parse, p)
        })
    });
    let pools = table.require("pools", "pools = [\"edgepool1\", \"edgepool2\"]", problems);
    let pools = pools.map_or_else(|| empty(&place), |v| route_pools(&v, problems));
    let zones = [
        ("owners", ZonePlacement::Owners),
        ("configured", ZonePlacement::Configured),
    ];
    let zones = table.get("zones").and_then(|v| v.choice(&zones, problems));
    let failover = [
        ("auto", FailoverPolicy::Auto),
        ("ask", FailoverPolicy::Ask),
        ("observe", FailoverPolicy::Observe),
    ];
    let failover = table
        .get("failover")
        .and_then(|v| v.choice(&failover, problems));
    let failback = [
        ("manual", FailbackPolicy::Manual),
        ("auto", FailbackPolicy::Auto),
    ];
    let failback = table
        .get("failback")
        .and_then(|v| v.choice(&failback, problems));
    let longest = Duration::from_secs(30 * 24 * 3600);
    let hold_down = table
        .get("hold_down")
        .and_then(|v| v.duration(Duration::ZERO..=longest, problems));
    let ttl = table.get("ttl").and_then(|v| ttl(&v, problems));
    let exclusive = table.get("exclusive").and_then(|v| v.boolean(problems));
    if let Some(exclusive) = exclusive.filter(|exclusive| exclusive.value) {
        let why = "this version has no fence hook that stops one pool before the other serves";
        not_yet(&exclusive.place, "exclusive = true", why, problems)
            .help("until then use failover = \"ask\" and switch such pools by hand");
    }
    let max_switches = table
        .get("max_switches")
        .and_then(|v| v.integer(1..=1000, problems));
    let need = table
        .get("need")
        .and_then(|v| v.integer(1..=1000, problems));
    let require_families = table
        .get("require_families")
        .map(|v| families(&v, problems));
    let address = table.get("address").and_then(|v| address(&v, problems));
    let services = table.require("service", "[[route.service]]", problems);
    let services = services.map(|v| v.tables(&keys::SERVICE, problems));
    let no_services = services.as_ref().is_some_and(Vec::is_empty);
    let services = services
        .unwrap_or_default()
        .into_iter()
        .filter_map(|table| service(table, base, problems))
        .collect();
    let check = table
        .get("check")
        .and_then(|v| v.table(&keys::ROUTE_CHECK, problems))
        .map_or_else(CheckDraft::default, |table| {
            check::read(table, base, problems)
        });
    table.finish(problems);
    RouteDraft {
        name,
        domains,
        domains_file,
        check_domains,
        pools,
        zones: zones.map_or(ZonePlacement::Configured, |v| v.value),
        failover: failover.map_or(FailoverPolicy::Auto, |v| v.value),
        failback: failback.map_or(FailbackPolicy::Manual, |v| v.value),
        hold_down: hold_down.unwrap_or(At {
            value: HOLD_DOWN,
            place: place.clone(),
        }),
        ttl: ttl.unwrap_or(default_at(TTL)),
        max_switches: max_switches.map_or(MAX_SWITCHES, |v| v.value),
        need: need.unwrap_or(default_at(NEED)),
        require_families,
        address,
        services,
        no_services,
        check,
        place: place.clone(),
    }
}

fn empty<T>(place: &Place) -> List<T> {
    List {
        items: Vec::new(),
        whole: false,
        place: place.clone(),
    }
}

/// `domains` or `domains_file`: one of them.
fn domains_of(
    domains: Option<Value<'_>>,
    file: Option<Value<'_>>,
    place: &Place,
    base: &Path,
    problems: &mut ConfigProblems,
) -> (
    List<crate::topology::DomainName>,
    Option<At<std::path::PathBuf>>,
) {
    match (&domains, &file) {
        (None, None) => {
            problems
                .error(Rule::MissingKey, place, "[[route]] needs the key \"domains\"")
                .help("add a line like domains = [\"contoso.com\"], or domains_file = \"domains.txt\"");
        }
        (Some(_), Some(file)) => {
            problems
                .error(
                    Rule::Duplicate,
                    &file.key_place,
                    "\"domains\" and \"domains_file\" cannot be given together",
                )
                .help("move the domains into the file, or leave domains_file out");
        }
        _ => {}
    }
    let list = domains.map_or_else(
        || empty(place),
        |v| {
            let wanted = "a list of domain names like [\"contoso.com\"]";
            let list = v.list_of(wanted, problems, |item, p| {
                item.parsed(DOMAIN, str::parse, p)
            });
            if list.items.is_empty() && list.whole {
                v.bad("it is empty", "name at least one domain", problems);
            }
            list
        },
    );
    let both = list.whole && file.is_some();
    let file = file.and_then(|v| path(&v, base, problems));
    (list, file.filter(|_| !both))
}

fn route_pools(value: &Value<'_>, problems: &mut ConfigProblems) -> List<RoutePoolDraft> {
    let wanted = "a list of pools like [\"edgepool1\", { pool = \"edgepool2\", priority = 20 }]";
    let name = |v: &Value<'_>, p: &mut ConfigProblems| {
        v.parsed("the name of a pool", str::parse::<PoolName>, p)
    };
    let list = value.list_of(wanted, problems, |item, problems| {
        let (pool, priority) = if item.is_table() {
            let mut table = item.table(&keys::ROUTE_POOL, problems)?;
            let pool = table
                .require("pool", "{ pool = \"edgepool1\", priority = 10 }", problems)
                .and_then(|v| name(&v, problems));
            let priority = table.get("priority").map(|v| priority(&v, problems));
            table.finish(problems);
            // One that could not be taken is not missing: that has been said.
            if priority == Some(None) {
                return None;
            }
            (pool, priority.flatten())
        } else {
            (name(item, problems), None)
        };
        Some(At {
            value: RoutePoolDraft {
                pool: pool?,
                priority,
            },
            place: item.place().clone(),
        })
    });
    if list.items.is_empty() && list.whole {
        value.bad("it is empty", format!("write {wanted}"), problems);
    }
    list
}

fn port(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<u16>> {
    small(value.integer(1..=u32::from(u16::MAX), problems)?)
}

/// Dead targets go behind the last priority, as far as their own: the upper half of the numbers is theirs.
fn priority(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<u16>> {
    small(value.integer(0..=u32::from(u16::MAX / 2), problems)?)
}

fn small(read: At<u32>) -> Option<At<u16>> {
    Some(At {
        value: u16::try_from(read.value).ok()?,
        place: read.place,
    })
}

/// A TTL: whole seconds, at least one (a TTL of 0 is cached by nobody and some peers refuse it), at most
/// what 31 bits hold (RFC 2181 §8).
pub(super) fn ttl(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<u32>> {
    let text = value.text("a duration with its unit, like \"30s\"", problems)?;
    let parsed = match humantime::parse_duration(text.value) {
        Ok(duration) => duration,
        Err(error) => {
            value.bad(
                error,
                "write a duration with its unit, like \"30s\"",
                problems,
            );
            return None;
        }
    };
    let seconds = u32::try_from(parsed.as_secs()).ok();
    let whole = parsed.subsec_nanos() == 0;
    match seconds.filter(|s| whole && (1..=0x7fff_ffff).contains(s)) {
        Some(seconds) => Some(At {
            value: seconds,
            place: text.place,
        }),
        None => {
            let why = if parsed.is_zero() {
                "a TTL of 0 makes every partner ask for every message, all at once when a pool fails"
            } else {
                "a TTL is a whole number of seconds, below 68 years"
            };
            value.bad(
                why,
                "write 30 s to 60 s for names that are switched",
                problems,
            );
            None
        }
    }
}

fn families(
    value: &Value<'_>,
    problems: &mut ConfigProblems,
) -> At<std::collections::BTreeSet<Family>> {
    let words = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
    let wanted = "a list of \"ipv4\" and \"ipv6\"";
    let list = value.list_of(wanted, problems, |item, p| item.choice(&words, p));
    if list.items.is_empty() && list.whole {
        let help = "name the families that must be up; without the key it is IPv4 where a pool publishes it";
        value.bad("it is empty", help, problems);
    }
    At {
        value: list.items.into_iter().map(|item| item.value).collect(),
        place: list.place,
    }
}

fn address(value: &Value<'_>, problems: &mut ConfigProblems) -> Option<At<OwnerTemplate>> {
    let mut table = value.table(&keys::ADDRESS, problems)?;
    let name = table
        .require("name", "name = \"xmpp.{domain}\"", problems)
        .and_then(|v| owner("xmpp.{domain}", &v, problems));
    table.finish(problems);
    name
}

fn owner(
    example: &str,
    value: &Value<'_>,
    problems: &mut ConfigProblems,
) -> Option<At<OwnerTemplate>> {
    let wanted = format!("a name like {example:?}; \"{{domain}}\" stands for each domain");
    value.parsed(&wanted, OwnerTemplate::new, problems)
}

fn service(
    mut table: Table<'_>,
    base: &Path,
    problems: &mut ConfigProblems,
) -> Option<ServiceDraft> {
    let kinds = ServiceKind::ALL.map(|kind| (kind.as_str(), kind));
    let kind = table
        .require("kind", "kind = \"xmpp-server\"", problems)
        .and_then(|v| v.choice(&kinds, problems));
    let modes = [
        ("order", Mode::Order),
        ("withdraw", Mode::Withdraw),
        ("single", Mode::Single),
    ];
    let mode = table.get("mode").and_then(|v| v.choice(&modes, problems));
    let required = table.get("required").and_then(|v| v.boolean(problems));
    let example = kind
        .as_ref()
        .map_or("_xmpp-server._tcp.{domain}", |k| k.value.default_owner());
    let owner = table
        .get("owner")
        .and_then(|v| owner(example, &v, problems));
    let port = table.get("port").and_then(|v| port(&v, problems));
    let allow = table
        .get("allow_nonstandard_port")
        .and_then(|v| v.boolean(problems));
    let targets = table
        .get("targets")
        .map_or_else(Vec::new, |v| targets(&v, problems));
    let check = table
        .get("check")
        .and_then(|v| v.table(&keys::SERVICE_CHECK, problems))
        .map_or_else(CheckDraft::default, |table| {
            check::read(table, base, problems)
        });
    table.finish(problems);
    Some(ServiceDraft {
        kind: kind?,
        mode,
        required: required.is_none_or(|v| v.value),
        owner,
        port,
        allow_nonstandard_port: allow.is_some_and(|v| v.value),
        targets,
        check,
    })
}

/// `targets = { edgepool1 = ["sipfed1.contoso.com"] }`.
fn targets(
    value: &Value<'_>,
    problems: &mut ConfigProblems,
) -> Vec<(At<PoolName>, List<crate::topology::DomainName>)> {
    let wanted = "a table of pools and their names: { edgepool1 = [\"sipfed1.contoso.com\"] }";
    let entries = value.open_table(wanted, problems).unwrap_or_default();
    let mut read = Vec::new();
    for (key, value) in entries {
        let names = value.list_of("a list of host names", problems, |item, p| {
            item.parsed("a host name like \"sipfed1.contoso.com\"", str::parse, p)
        });
        // A key that cannot name a pool is an unknown pool.
        match key.value.parse::<PoolName>() {
            Ok(pool) => read.push((
                At {
                    value: pool,
                    place: key.place,
                },
                names,
            )),
            Err(error) => {
                problems.error(Rule::UnknownPool, &key.place, error.to_string());
            }
        }
    }
    read
}
