//! `repoint status`: one screen for a node, a monitoring line, or the screen again and again.
//!
//! In: the view. Out: alarms first with what mends them, then a line per route, the overrides, what keys wait for.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use super::failure::{Failure, NO_ANSWER};
use super::moment::{both, distance, length};
use super::paint::{Paint, Tone, hang};
use super::progress::{coming_up, decision_reason, drain_progress};
use super::session::Session;
use super::table::{Cell, Table};
use crate::clock::Wall;
use crate::decide::{Override, OverrideKey};
use crate::engine::{Alarm, RouteView, Severity, View};
use crate::health::Verdict;
use crate::serve::Counts;
use crate::topology::{DomainName, FailoverPolicy};

/// The worst come first; the routes must still be seen.
const ALARMS_SHOWN: usize = 8;
/// Zones whose keys wait for somebody; `key list` has all.
const WAITS_SHOWN: usize = 8;
/// Time between two screens of `--watch`.
const WATCH: Duration = Duration::from_secs(2);

/// Show how the node and its routes are.
///
/// Alarms come first, the worst on top, each with the command that mends it; then one line per route; then what
/// operators have overridden, and which DNSSEC keys wait for their parent zone.
///
/// With --check it prints one line and exits as a monitoring plugin does: 0 OK, 1 WARNING, 2 CRITICAL (also when the
/// server does not answer), 3 UNKNOWN.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint status --check || echo look at it")]
pub(super) struct Status {
    /// One line and an exit code for a monitoring system
    #[arg(long, conflicts_with = "watch")]
    check: bool,
    /// Show it again every 2 s, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// What was asked and answered since the start, in numbers
    #[arg(long, conflicts_with_all = ["check", "watch"])]
    counters: bool,
}

impl Status {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        if self.check {
            return Ok(check(session));
        }
        if self.watch {
            return watch(session);
        }
        if self.counters {
            let reply = session.client.get("/v1/counters")?;
            return session.answer::<Counts>(&reply, counters);
        }
        let reply = session.client.get("/v1/status")?;
        session.answer::<View>(&reply, screen)
    }
}

fn check(session: &Session) -> ExitCode {
    let view = session
        .client
        .get("/v1/status")
        .and_then(|reply| session.client.read::<View>(&reply));
    let (code, line) = match view {
        Ok(view) => check_line(&view),
        Err(failure) => failed_line(&failure),
    };
    session.print(&format!("{line}\n"));
    code.into()
}

/// A server that does not answer is critical; that this user may not ask it, says nothing of the server.
fn failed_line(failure: &Failure) -> (u8, String) {
    let text = failure.render(Paint {
        colour: false,
        whole: false,
    });
    let first = text.lines().next().unwrap_or_default();
    match failure {
        Failure::NoAnswer {
            forbidden: false, ..
        } => (2, format!("REPOINT CRITICAL: {first}")),
        _ => (3, format!("REPOINT UNKNOWN: {first}")),
    }
}

/// The line of `--check` and its exit code: the worst alarm, how many others, and figures to plot.
pub(super) fn check_line(view: &View) -> (u8, String) {
    let count = |severity| {
        view.alarms
            .iter()
            .filter(|a| a.severity == severity)
            .count()
    };
    let (critical, warning) = (count(Severity::Critical), count(Severity::Warning));
    let figures = format!(
        "routes={} critical={critical} warning={warning} generation={}",
        view.routes.len(),
        view.generation
    );
    let worst = view.alarms.iter().max_by_key(|alarm| alarm.severity);
    let worst = worst.filter(|alarm| alarm.severity > Severity::Notice);
    let Some(worst) = worst else {
        let routes = match view.routes.len() {
            1 => "1 route".to_owned(),
            n => format!("{n} routes"),
        };
        return (0, format!("REPOINT OK: {routes}, no alarm | {figures}"));
    };
    let (code, word) = match worst.severity {
        Severity::Critical => (2, "CRITICAL"),
        Severity::Warning | Severity::Notice => (1, "WARNING"),
    };
    let others = match (critical + warning).saturating_sub(1) {
        0 => String::new(),
        n => format!(" (+{n} more)"),
    };
    let subject = match worst.subject.as_str() {
        "" => String::new(),
        subject => format!(" {subject}"),
    };
    // A bar would end the text for a monitoring system.
    let text = worst.text.replace(['|', '\n'], " ");
    let line = format!(
        "REPOINT {word}: {}{subject}: {text}{others} | {figures}",
        worst.kind
    );
    (code, line)
}

fn watch(session: &Session) -> Result<ExitCode, Failure> {
    let terminal = std::io::stdout().is_terminal() && !session.json;
    let mut shown: Option<View> = None;
    loop {
        let reply = session.client.get("/v1/status");
        let read = match reply.and_then(|reply| session.client.read::<View>(&reply)) {
            // Home, then clear what an earlier screen left below.
            Ok(view) if terminal => {
                session.print(&format!("\x1b[H\x1b[2J{}", screen(&view, session.paint)))
            }
            Ok(view) if shown.as_ref().is_some_and(|shown| same(shown, &view)) => true,
            Ok(view) => {
                let read = session.say(&view, || screen(&view, session.paint));
                shown = Some(view);
                read
            }
            Err(failure) if failure.code() == NO_ANSWER => {
                if terminal {
                    session.print("\x1b[H\x1b[2J");
                }
                session.talk(&failure.render(session.paint));
                true
            }
            Err(failure) => return Err(failure),
        };
        if !read {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH);
    }
}

/// On a pipe only what changed is worth a new screen: decisions, verdicts, overrides, alarms, what keys
/// wait for; not the clock.
fn same(shown: &View, view: &View) -> bool {
    let verdicts = |view: &View| -> Vec<_> {
        let pools = view.routes.iter().flat_map(|route| &route.pools);
        pools
            .map(|pool| (pool.health.verdict, pool.drained))
            .collect()
    };
    shown.generation == view.generation
        && shown.alarms == view.alarms
        && shown.overrides == view.overrides
        && shown.blind == view.blind
        && waiting(shown).eq(waiting(view))
        && verdicts(shown) == verdicts(view)
}

/// One line per counter, by the names `--json` has.
fn counters(counts: &Counts, paint: Paint) -> String {
    let mut table = Table::headed(["counter", "since the start"]);
    for (name, count) in counts.named() {
        table.row([name.into(), count.to_string().into()]);
    }
    table.render(paint)
}

/// The whole screen.
pub(super) fn screen(view: &View, paint: Paint) -> String {
    let up = length(view.at.since(view.started));
    let title = format!(
        "repoint {}, generation {}, up {up}",
        view.version, view.generation
    );
    let mut out = paint.heading(&title, &view.at.to_string());
    out.push('\n');
    out.push_str(&alarms(view, paint));
    out.push_str(&paint.heading("ROUTES", ""));
    out.push_str(&routes(view, paint));
    if !view.overrides.is_empty() {
        out.push('\n');
        out.push_str(&paint.heading("OVERRIDES", ""));
        out.push_str(&overrides(&view.overrides, view));
    }
    out.push_str(&being_signed(view));
    out.push_str(&keys(view, paint));
    if view.canaries.is_empty() {
        let text =
            "no canaries are configured: a fault of our own network cannot be told from dead pools";
        out.push('\n');
        out.push_str(&paint.tone(Tone::Quiet, text));
        out.push('\n');
    }
    out
}

fn alarms(view: &View, paint: Paint) -> String {
    if view.alarms.is_empty() {
        return format!("{}\n\n", paint.tone(Tone::Good, "no alarms"));
    }
    let mut out = paint.heading("ALARMS", "");
    for alarm in view.alarms.iter().take(ALARMS_SHOWN) {
        out.push_str(&alarm_lines(alarm, view, paint));
    }
    let hidden = view.alarms.len().saturating_sub(ALARMS_SHOWN);
    if hidden > 0 {
        out.push_str(&format!("  and {hidden} more alarms; --json has all\n"));
    }
    out.push('\n');
    out
}

/// Zones of which another version than the one served is on its way.
fn being_signed(view: &View) -> String {
    let zones = view.zones.iter().filter(|zone| zone.being_signed.is_some());
    let zones: Vec<_> = zones.map(|zone| &zone.apex).collect();
    let meanwhile = "its next version is served after that";
    match &zones[..] {
        [] => String::new(),
        [zone] => format!("\nzone {zone} is being signed: {meanwhile}\n"),
        [first, rest @ ..] => {
            let (number, more) = (zones.len(), rest.len());
            format!(
                "\n{number} zones are being signed ({first} and {more} more): their next versions are served after that\n"
            )
        }
    }
}

/// Key procedures that go on only when somebody changes the parent zone, with what prints the records for it.
fn keys(view: &View, paint: Paint) -> String {
    let waiting: Vec<_> = waiting(view).collect();
    if waiting.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}", paint.heading("KEYS", ""));
    for (zone, waits) in waiting.iter().take(WAITS_SHOWN) {
        out.push_str(&hang("  ", &format!("{zone} waits for {waits}")));
        let remedy = paint.tone(Tone::Heading, &format!("repoint key ds {zone}"));
        out.push_str(&format!("    → {remedy}\n"));
    }
    let hidden = waiting.len().saturating_sub(WAITS_SHOWN);
    if hidden > 0 {
        out.push_str(&format!("  and {hidden} zones more; repoint key list\n"));
    }
    out
}

/// Zones whose keys wait for their parent, and what for.
fn waiting(view: &View) -> impl Iterator<Item = (&DomainName, &str)> {
    let zones = view.zone_keys.iter();
    zones.filter_map(|keys| Some((&keys.zone, keys.waits_for_parent()?)))
}

/// An alarm: severity, name, subject and age on one line, then what is the case, then what mends it.
pub(super) fn alarm_lines(alarm: &Alarm, view: &View, paint: Paint) -> String {
    let tone = match alarm.severity {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Doubtful,
        Severity::Notice => Tone::Plain,
    };
    let severity = paint.tone(tone, &format!("{:<8}", alarm.severity));
    let age = distance(alarm.since, view.at);
    let mut out = match alarm.subject.as_str() {
        "" => format!("  {severity}  {}, {age}\n", alarm.kind),
        subject => format!("  {severity}  {} {subject}, {age}\n", alarm.kind),
    };
    out.push_str(&hang("            ", &alarm.text));
    if let Some(remedy) = &alarm.remedy {
        let remedy = paint.tone(Tone::Heading, remedy);
        out.push_str(&format!("            → {remedy}\n"));
    }
    out
}

/// One line per route: where it points, what stands behind, what holds it, since when and why.
pub(super) fn routes(view: &View, paint: Paint) -> String {
    let mut table = Table::headed(["route", "active", "behind", "held", "since", "why"]);
    for route in &view.routes {
        let decision = &route.decision;
        let behind = decision.order.iter().skip(1);
        let (behind, tones): (Vec<String>, Vec<Tone>) =
            behind.map(|pool| health_of(route, pool.as_str())).unzip();
        let (active, tone) = health_of(route, decision.active.as_str());
        table.row([
            route.name.as_str().into(),
            Cell::toned(tone, active),
            Cell::toned(standby_tone(route, &tones), behind.join(", ")),
            Cell::toned(Tone::Doubtful, held(route, view)),
            distance(decision.at, view.at).into(),
            Cell::toned(Tone::Quiet, decision_reason(route, &view.overrides)),
        ]);
    }
    match view.routes.is_empty() {
        true => "  none are configured\n".into(),
        false => format!("{}{}", table.render(paint), coming_up(view)),
    }
}

/// The pools behind the active one as a whole: as good as the best of them, and bad where none could take over.
fn standby_tone(route: &RouteView, tones: &[Tone]) -> Tone {
    let standbys = &route.outlook.standbys;
    let ready = standbys.iter().any(|standby| standby.obstacle.is_none());
    match (standbys.is_empty(), ready) {
        (true, _) => Tone::Plain,
        (false, true) => match tones.iter().all(|tone| *tone == Tone::Good) {
            true => Tone::Good,
            false => Tone::Doubtful,
        },
        (false, false) => Tone::Bad,
    }
}

fn health_of(route: &RouteView, pool: &str) -> (String, Tone) {
    let Some(seen) = route.pools.iter().find(|seen| seen.pool.as_str() == pool) else {
        return (pool.to_owned(), Tone::Plain);
    };
    let mut text = format!("{pool} {}", verdict_word(seen.health.verdict));
    if seen.health.partial {
        text.push_str(" (partly)");
    }
    if seen.drained {
        text.push_str(" (drained)");
    }
    (text, tone_of(seen.health.verdict))
}

/// `DOWN` stands out without colour, too.
pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Down => "DOWN",
        other => other.as_str(),
    }
}

pub(super) fn tone_of(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Up => Tone::Good,
        Verdict::Degraded | Verdict::Unknown => Tone::Doubtful,
        Verdict::Down => Tone::Bad,
    }
}

fn held(route: &RouteView, view: &View) -> String {
    let mut held = Vec::new();
    let is_set =
        |wanted: &dyn Fn(&OverrideKey) -> bool| view.overrides.iter().any(|o| wanted(&o.key));
    if is_set(&|key| matches!(key, OverrideKey::Pin { route: name } if *name == route.name)) {
        held.push("pinned");
    }
    if is_set(&|key| match key {
        OverrideKey::FreezeRoute { route: name } => *name == route.name,
        OverrideKey::FreezeAll => true,
        _ => false,
    }) {
        held.push("frozen");
    }
    if view.blind.is_some() {
        held.push("blind");
    }
    if route.latched.is_some() {
        held.push("latched");
    }
    if !route.warm {
        held.push("starting");
    }
    match route.failover {
        FailoverPolicy::Auto => {}
        FailoverPolicy::Ask => held.push("asks"),
        FailoverPolicy::Observe => held.push("observes"),
    }
    held.join(" ")
}

/// Overrides: what, by whom, until when, why.
pub(super) fn overrides(values: &[Override], view: &View) -> String {
    let line = |value: &Override| {
        let mut lines = hang("  ", &override_text(value, view.at));
        if let Some(progress) = drain_progress(value, view) {
            lines.push_str(&hang("    ", &progress));
        }
        lines
    };
    values.iter().map(line).collect()
}

/// `pin of route contoso to edgepool1 by alice, ends 2026-… (in 2 h): "SR-1234"`
pub(super) fn override_text(value: &Override, now: Wall) -> String {
    let end = match value.until {
        Some(until) => format!("ends {}", both(until, now)),
        None => "without end".into(),
    };
    let reason = match &value.reason {
        Some(_) => format!(": {}", quoted(value.reason.as_deref())),
        None => String::new(),
    };
    format!("{} by {}, {end}{reason}", describe(value), value.author)
}

/// `pin of route contoso to edgepool1`.
fn describe(value: &Override) -> String {
    let to = value.pool.as_ref().map(|pool| format!(" to {pool}"));
    let never = if value.never { " (never)" } else { "" };
    format!("{}{}{never}", value.key, to.unwrap_or_default())
}

/// The operator's words in quotation marks; nothing when there are none.
pub(super) fn quoted(text: Option<&str>) -> String {
    text.map(|text| format!("\"{text}\"")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::Fault;

    #[test]
    fn who_may_not_ask_does_not_call_the_server_dead() {
        let line = |forbidden| {
            failed_line(&Failure::NoAnswer {
                fault: Fault {
                    what: "cannot ask the server".into(),
                    why: "why".into(),
                    in_force: "nothing was asked".into(),
                    hint: None,
                },
                forbidden,
            })
        };
        let text = "cannot ask the server: why";
        assert_eq!(line(false), (2, format!("REPOINT CRITICAL: {text}")));
        assert_eq!(line(true), (3, format!("REPOINT UNKNOWN: {text}")));
    }
}
