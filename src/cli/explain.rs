//! `repoint route explain`: how a route's present answers came about, on one screen.
//!
//! In: an [`Explanation`]. Out: what was observed, what is in force, the decision with its evidence, the records, what
//! comes next and what holds it back, and how long partners would feel a failure. The screen reads in the order of the
//! pipeline, so that the eye follows a fact from the probe to the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::moment::{at_most, both, distance, length};
use super::paint::{Paint, Tone, hang};
use super::progress::{decision_reason, old_answers, recovering};
use super::status::{override_text, tone_of, verdict_word};
use super::table::{Cell, Table};
use crate::control::Explanation;
use crate::decide::{Back, Loss, PARTNER_CACHE, Reason};
use crate::engine::{CheckView, OwnerView, RoutePoolView, RouteView, ZoneView};
use crate::health::Verdict;
use crate::topology::{CheckId, DomainName, FailbackPolicy, FailoverPolicy, Family};

/// Domains, and owner names for them, are shown so far; `--json` has all.
const DOMAINS_SHOWN: usize = 3;

/// The whole screen.
pub(super) fn screen(it: &Explanation, paint: Paint) -> String {
    let parts = [
        title(it, paint),
        observed(it, paint),
        in_force(it, paint),
        decision(it, paint),
        answers(it, paint),
        next(it, paint),
        recovery(it, paint),
    ];
    parts.join("\n")
}

fn title(it: &Explanation, paint: Paint) -> String {
    let route = &it.route;
    let since = distance(route.decision.at, it.at);
    let title = format!(
        "route {}: {} is active, decided {since}",
        route.name, route.decision.active
    );
    let mut out = paint.heading(&title, &it.at.to_string());
    out.push_str(&hang("domains     ", &domains(&route.domains)));
    out
}

/// The first few domains and how many more.
pub(super) fn domains(all: &[DomainName]) -> String {
    let shown: Vec<&str> = all
        .iter()
        .take(DOMAINS_SHOWN)
        .map(DomainName::as_str)
        .collect();
    let more = match all.len().saturating_sub(DOMAINS_SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn observed(it: &Explanation, paint: Paint) -> String {
    let mut out = paint.heading("OBSERVED", "what the probes see");
    for pool in &it.route.pools {
        out.push_str(&pool_checks(it, pool, paint));
    }
    if let Some(since) = it.blind {
        let text = format!("our own network fails since {}", both(since, it.at));
        out.push_str(&format!("  {}\n", paint.tone(Tone::Bad, &text)));
    } else if !it.canaries.is_empty() {
        let answered = it
            .canaries
            .iter()
            .filter(|c| c.answered == Some(true))
            .count();
        let asked = it.canaries.iter().filter(|c| c.answered.is_some()).count();
        let text = match asked {
            0 => "canaries    not asked yet: they are when a check fails".to_owned(),
            _ => format!("canaries    {answered} of {asked} answered when last asked"),
        };
        out.push_str(&format!("  {}\n", paint.tone(Tone::Quiet, &text)));
    }
    out
}

/// A pool as its route sees it, with its checks.
pub(super) fn pool_checks(it: &Explanation, pool: &RoutePoolView, paint: Paint) -> String {
    let checks: BTreeMap<&CheckId, &CheckView> = it.checks.iter().map(|c| (&c.id, c)).collect();
    let width = it.route.pools.iter().map(|p| p.pool.as_str().len()).max();
    let mut table = Table::new();
    let mut shown: Vec<&CheckId> = Vec::new();
    for using in &pool.checks {
        if shown.contains(&&using.check) {
            continue;
        }
        shown.push(&using.check);
        if let Some(check) = checks.get(&using.check) {
            table.row(check_row(it, check, using.publish));
        }
    }
    pool_line(it, pool, width.unwrap_or(0), paint) + &table.render(paint)
}

fn pool_line(it: &Explanation, pool: &RoutePoolView, width: usize, paint: Paint) -> String {
    let health = &pool.health;
    let verdict = match (health.observed, health.partial) {
        (false, _) => "not observed yet".to_owned(),
        (true, true) => format!("{} (partly)", verdict_word(health.verdict)),
        (true, false) => verdict_word(health.verdict).to_owned(),
    };
    let verdict = paint.tone(tone_of(health.verdict), &verdict);
    let since = distance(health.since_wall, it.at);
    let mut line = format!("  {:<width$}  {verdict}, since {since}", pool.pool.as_str());
    let optional: Vec<String> = health
        .optional
        .iter()
        .filter(|(_, verdict)| **verdict != Verdict::Up)
        .map(|(service, verdict)| format!("{service} (not required) {}", verdict_word(*verdict)))
        .collect();
    if !optional.is_empty() {
        line.push_str(&format!("; {}", optional.join(", ")));
    }
    line.push('\n');
    if let Some(recovery) = &pool.recovery {
        line.push_str(&hang("    ", &recovering(recovery, it.at)));
    }
    if pool.place != Some(0)
        && let Some(text) = old_answers(
            pool.old_answers_until,
            pool.old_answers_from.as_ref(),
            it.at,
        )
    {
        line.push_str(&hang("    ", &text));
    }
    line
}

fn check_row(it: &Explanation, check: &CheckView, publish: std::net::IpAddr) -> [Cell; 4] {
    let health = &check.health;
    let place = match publish == check.peer.ip() {
        true => check.peer.to_string(),
        // Behind NAT: what partners are given is not what is probed.
        false => format!("{} (for {publish})", check.peer),
    };
    let mut verdict = verdict_word(health.verdict).to_owned();
    match (health.verdict, health.failures) {
        (Verdict::Up, n) if n > 0 => verdict.push_str(&format!(", {n} failing")),
        (Verdict::Down | Verdict::Degraded | Verdict::Unknown, _) if health.successes > 0 => {
            verdict.push_str(&format!(", {} well", health.successes));
        }
        _ => {}
    }
    let last = match (&health.cause, &health.last) {
        (Some(cause), _) if health.verdict != Verdict::Up => cause.clone(),
        (_, Some(last)) => last.clone(),
        (_, None) => "not probed yet".into(),
    };
    let when = health
        .last_wall
        .map(|at| format!(", {}", distance(at, it.at)));
    [
        Cell::from(format!("  {} {place}", check.service)),
        check.domain.as_str().into(),
        Cell::toned(tone_of(health.verdict), verdict),
        Cell::toned(Tone::Quiet, format!("{last}{}", when.unwrap_or_default())),
    ]
}

fn in_force(it: &Explanation, paint: Paint) -> String {
    let mut out = paint.heading("IN FORCE", "what operators and the policy make of it");
    let route = &it.route;
    out.push_str(&hang("  order       ", &order(route)));
    let wanted = match &route.home {
        Some(home) => format!("{home} (home: an operator's failover)"),
        None => format!("{} (preferred)", route.wanted),
    };
    out.push_str(&hang("  wanted      ", &wanted));
    out.push_str(&overrides(it, paint));
    out.push_str(&hang("  policy      ", &policy(it)));
    for alarm in it.alarms.iter().take(4) {
        let subject = match alarm.subject == route.name.as_str() || alarm.subject.is_empty() {
            true => String::new(),
            false => format!(" {}", alarm.subject),
        };
        let remedy = alarm.remedy.as_ref().map(|remedy| format!(" → {remedy}"));
        let text = format!(
            "{}{subject}: {}{}",
            alarm.kind,
            alarm.text,
            remedy.unwrap_or_default()
        );
        out.push_str(&hang("  alarm       ", &text));
    }
    if it.alarms.len() > 4 {
        out.push_str(&format!(
            "  and {} more alarms: repoint status\n",
            it.alarms.len() - 4
        ));
    }
    out
}

/// `1. edgepool2 (active)   2. edgepool1 (drained)`
fn order(route: &RouteView) -> String {
    let order = route.decision.order.iter().enumerate();
    let places: Vec<String> = order
        .map(|(place, pool)| {
            let drained = route.pools.iter().any(|p| p.pool == *pool && p.drained);
            let mark = match (place, drained) {
                (0, false) => " (active)",
                (0, true) => " (active, drained)",
                (_, true) => " (drained)",
                (_, false) => "",
            };
            format!("{}. {pool}{mark}", place + 1)
        })
        .collect();
    places.join(", ")
}

fn overrides(it: &Explanation, paint: Paint) -> String {
    if it.overrides.is_empty() {
        return "  overrides   none\n".into();
    }
    let mut out = String::new();
    for value in &it.overrides {
        let text = override_text(value, it.at);
        let lines = hang("  override    ", &text);
        out.push_str(&paint.tone(Tone::Doubtful, lines.trim_end()));
        out.push('\n');
    }
    out
}

fn policy(it: &Explanation) -> String {
    let route = &it.route;
    let failover = match route.failover {
        FailoverPolicy::Auto => "auto",
        FailoverPolicy::Ask => "ask",
        FailoverPolicy::Observe => "observe",
    };
    let failback = match route.failback {
        FailbackPolicy::Auto => "auto",
        FailbackPolicy::Manual => "manual",
    };
    let latch = match route.latched {
        Some(since) => format!("LATCHED since {}", both(since, it.at)),
        None => "not latched".into(),
    };
    let warm = match route.warm {
        true => "",
        false => "; starting: nothing changes by itself before every check was observed once",
    };
    let switches = match route.switches {
        1 => "1 automatic switch".to_owned(),
        n => format!("{n} automatic switches"),
    };
    let limit = route.max_switches;
    format!(
        "failover {failover}, failback {failback}; {switches} in the last 60 min (the latch is at {limit}), {latch}{warm}"
    )
}

fn decision(it: &Explanation, paint: Paint) -> String {
    let decision = &it.route.decision;
    let note = format!("generation {}, {}", decision.generation, decision.at);
    let mut out = paint.heading("DECISION", &note);
    out.push_str(&hang(
        "  why         ",
        &decision_reason(&it.route, &it.overrides),
    ));
    let evidence = match &decision.reason {
        Reason::Failover { evidence, .. } | Reason::Reorder { evidence } => evidence.as_slice(),
        _ => &[],
    };
    for one in evidence.iter().take(4) {
        let text = format!(
            "{} {} after {} failures: {}",
            one.check,
            verdict_word(one.verdict),
            one.failures,
            one.cause
        );
        out.push_str(&hang("  evidence    ", &text));
    }
    out
}

fn answers(it: &Explanation, paint: Paint) -> String {
    let route = &it.route;
    let mut out = paint.heading("ANSWERS", &format!("TTL {} s", route.decision.ttl));
    // The first owner of each kind is that of the first domain; those of the others have the same records.
    let mut owners: Vec<&OwnerView> = Vec::new();
    for owner in &route.owners {
        if !owners.iter().any(|shown| shown.service == owner.service) {
            owners.push(owner);
        }
    }
    let mut table = Table::new();
    for owner in &owners {
        for (number, (kind, data)) in records(route, owner).into_iter().enumerate() {
            let name = match number {
                0 => owner.owner.as_str(),
                _ => "",
            };
            table.row([name.into(), kind.into(), data.into()]);
        }
    }
    out.push_str(&table.render(paint));
    let hidden = route.owners.len().saturating_sub(owners.len());
    if hidden > 0 {
        out.push_str(&format!(
            "  and {hidden} owner names more with the same records\n"
        ));
    }
    out.push_str(&hang("  serials     ", &serials(it, &owners)));
    out
}

/// The serials of the zones that hold these owners; once where they are equal.
fn serials(it: &Explanation, owners: &[&OwnerView]) -> String {
    let shown = |apex: &DomainName| owners.iter().any(|owner| owner.zone == *apex);
    let zones: Vec<&ZoneView> = it.zones.iter().filter(|zone| shown(&zone.apex)).collect();
    match zones.as_slice() {
        [one] => format!("{} in zone {}", one.serial_text(), one.apex),
        [first, rest @ ..] if rest.iter().all(|zone| zone.serial == first.serial) => {
            format!("{} in the zones of these names", first.serial_text())
        }
        zones => {
            let each: Vec<String> = zones
                .iter()
                .map(|zone| format!("{} {}", zone.apex, zone.serial_text()))
                .collect();
            each.join(", ")
        }
    }
}

fn records(route: &RouteView, owner: &OwnerView) -> Vec<(&'static str, String)> {
    let decision = &route.decision;
    match owner.service {
        Some(service) => decision
            .services
            .get(&service)
            .into_iter()
            .flatten()
            .map(|srv| {
                let data = format!(
                    "{} {} {} {}",
                    srv.priority, srv.weight, srv.port, srv.target
                );
                ("SRV", data)
            })
            .collect(),
        None => decision
            .addresses
            .iter()
            .flat_map(|(family, addresses)| {
                let kind = match family {
                    Family::Ipv4 => "A",
                    Family::Ipv6 => "AAAA",
                };
                addresses
                    .iter()
                    .map(move |address| (kind, address.to_string()))
            })
            .collect(),
    }
}

fn next(it: &Explanation, paint: Paint) -> String {
    let mut out = paint.heading("NEXT", "");
    for held in &it.route.held_by {
        out.push_str(&hang("  held        ", held));
    }
    out.push_str(&hang("  by itself   ", &by_itself(it)));
    out.push_str(&hang("  then        ", &after_loss(it)));
    if let Some(back) = &it.route.outlook.back {
        out.push_str(&hang("  back        ", &way_back(it, back)));
    }
    out
}

/// The next move as long as the pools stay as they are.
fn by_itself(it: &Explanation) -> String {
    match &it.route.outlook.next {
        Some(next) => format!(
            "to {} at {}: {}",
            next.to,
            both(next.at, it.at),
            next.reason.describe()
        ),
        None => "nothing moves as long as the pools stay as they are".into(),
    }
}

/// What happens when the active pool fails, or what happens now that it has.
fn after_loss(it: &Explanation) -> String {
    let route = &it.route;
    let active = &route.decision.active;
    let detection = at_most(route.detection);
    let seen = route.pools.iter().find(|pool| pool.pool == *active);
    let down = seen.is_some_and(|pool| pool.health.verdict == Verdict::Down);
    let fallen = match down {
        true => format!("{active} is down;"),
        false => format!("if {active} falls silent,"),
    };
    match &route.outlook.loss {
        Loss::Switches {
            to,
            not_before: None,
        } => format!("{fallen} repoint switches to {to} within {detection}"),
        Loss::Switches {
            to,
            not_before: Some(at),
        } => format!(
            "{fallen} repoint switches to {to}, not before {}",
            both(*at, it.at)
        ),
        Loss::Waits { to, holds } => format!(
            "{fallen} {to} could take over, but nothing happens by itself: {}. To move: repoint failover {} --to {to}",
            holds.join("; "),
            route.name
        ),
        Loss::Pinned { until } => {
            let until = until.map(|until| format!(" until {}", both(until, it.at)));
            format!(
                "{fallen} the answers stay as they are: the route is pinned{}, and a pin wins over health",
                until.unwrap_or_default()
            )
        }
        Loss::Stays => {
            let others: Vec<String> = route
                .outlook
                .standbys
                .iter()
                .map(ToString::to_string)
                .collect();
            let because = match others.is_empty() {
                true => "the route has no other pool".into(),
                false => others.join("; "),
            };
            format!("{fallen} the answers stay as they are: {because}")
        }
    }
}

fn way_back(it: &Explanation, back: &Back) -> String {
    let route = &it.route;
    let wanted = &route.wanted;
    let command = match &route.home {
        Some(home) => format!("repoint failover {} --to {home}", route.name),
        None => format!("repoint failback {}", route.name),
    };
    match back {
        Back::ByItself { at: Some(at) } => {
            format!("to {wanted} by itself, at {}", both(*at, it.at))
        }
        Back::ByItself { at: None } => format!(
            "to {wanted} by itself, once it has been up for {}",
            length(route.hold_down)
        ),
        Back::Held { holds } => {
            format!("to {wanted} not by itself: {}", holds.join("; "))
        }
        Back::ByCommand { refused: None } => format!("to {wanted} only by: {command}"),
        Back::ByCommand {
            refused: Some(fault),
        } => format!("to {wanted} only by: {command}; refused now: {fault}"),
    }
}

fn recovery(it: &Explanation, paint: Paint) -> String {
    let total = length(Duration::from_secs(it.recovery_seconds));
    let text = format!(
        "silent pool: detection up to {} + TTL {} s + partners' caches up to {} = up to {total}; a partner whose attempt has begun waits out its own time-outs besides",
        at_most(it.route.detection),
        it.route.decision.ttl,
        length(PARTNER_CACHE)
    );
    let lines = hang("RECOVERY    ", &text);
    let rest = lines.strip_prefix("RECOVERY").unwrap_or(&lines);
    format!("{}{rest}", paint.tone(Tone::Heading, "RECOVERY"))
}
