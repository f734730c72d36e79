//! Stories: `tests/scenarios/*.txt`, commands in an operator's words, and what came of them.
//!
//! In: blocks of commands up to `----`. Out: the transitions, decisions, answers, alarms and replies they led to,
//! compared with what the file says; `UPDATE_EXPECT=1` rewrites it (read the difference before it is committed),
//! `SCENARIO=word` runs only files whose name contains the word. Never here: judging; a story is right when its
//! reader, with the design at hand, says so.
//!
//! ```text
//! # What the story shows.
//!
//! config failback=auto hold_down=2m        words of setup.rs; `config + key=value` changes single ones
//! start
//! wait 30s
//! ----
//! t=3s     contoso: edgepool1 active: first start: the preferred order
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use repoint::clock::Wall;
use repoint::decide::OverrideKey;
use repoint::engine::{
    ChallengeChange, Command, Event, InboundNews, InboundOutcome, Lifetime, RequestId, View,
};
use repoint::health::Verdict;
use repoint::topology::{DomainName, PoolName, RouteName};
use repoint::zone::{Include, Name, Serial, StaticZone};

use crate::network::{Behaviour, Validity};
use crate::served::{Served, line, served};
use crate::setup::{self, Words};
use crate::world::{Happened, StoreMood, World};

/// The seed of probe times in stories.
const SEED: u64 = 7;

#[test]
fn every_story_goes_as_it_is_told() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut wrong = String::new();
    let mut told = 0;
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".txt") || !name.contains(&only) {
            continue;
        }
        told += 1;
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# "),
            "{name} does not open with a comment that says what it shows"
        );
        let outcome = tell(&text);
        if outcome == text {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, outcome).unwrap();
        } else {
            write!(wrong, "\n{name}:\n{}", difference(&text, &outcome)).unwrap();
        }
    }
    assert!(told > 0, "no story was told");
    assert!(
        wrong.is_empty(),
        "{wrong}\nlines with - were expected, lines with + came; UPDATE_EXPECT=1 rewrites the files"
    );
}

/// Runs the story and returns the file with the output that came.
fn tell(text: &str) -> String {
    let mut story = Story::new();
    let mut out = String::new();
    let mut skipping = false;
    let mut pending = Vec::new();
    for raw in text.lines() {
        if skipping {
            if raw.is_empty() {
                skipping = false;
                out.push('\n');
            }
            continue;
        }
        out.push_str(raw);
        out.push('\n');
        if raw == "----" {
            for command in pending.drain(..) {
                story.command(command);
            }
            for line in story.lines.drain(..) {
                out.push_str(&line);
                out.push('\n');
            }
            skipping = true;
        } else if !raw.is_empty() && !raw.starts_with('#') {
            pending.push(raw);
        }
    }
    assert!(pending.is_empty(), "the last block has no ----");
    out
}

/// The lines that differ, each with two before and after it.
fn difference(expected: &str, came: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), came.lines().collect());
    // Longest common subsequence; stories are short.
    let mut table = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut all: Vec<(char, &str)> = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            all.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && table[i + 1][j] >= table[i][j + 1]) {
            all.push(('-', a[i]));
            i += 1;
        } else {
            all.push(('+', b[j]));
            j += 1;
        }
    }
    let near = |at: usize| {
        let window = at.saturating_sub(3)..(at + 4).min(all.len());
        all[window].iter().any(|(sign, _)| *sign != ' ')
    };
    let mut out = String::new();
    for (at, (sign, line)) in all.iter().enumerate() {
        if near(at) {
            writeln!(out, "  {sign} {line}").unwrap();
        }
    }
    out
}

/// One story being told.
struct Story {
    world: Option<World>,
    words: Words,
    lines: Vec<String>,
    seen: Seen,
    entries_told: usize,
    /// The serial that a secondary was found to have.
    ahead: Option<Serial>,
}

/// What was seen last, to tell what has changed.
#[derive(Default)]
struct Seen {
    verdicts: BTreeMap<(RouteName, PoolName), (Verdict, bool)>,
    decisions: BTreeMap<RouteName, (PoolName, u64)>,
    served: Served,
    blind: bool,
}

impl Story {
    fn new() -> Story {
        Story {
            world: None,
            words: Words::default(),
            lines: Vec::new(),
            seen: Seen::default(),
            entries_told: 0,
            ahead: None,
        }
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("`config` comes first")
    }

    fn say(&mut self, text: impl AsRef<str>) {
        let elapsed = self.world().elapsed().as_secs();
        let time = humantime::format_duration(Duration::from_secs(elapsed)).to_string();
        let time = time
            .replace("days", "d")
            .replace("day", "d")
            .replace(' ', "");
        self.lines
            .push(format!("{:<12}{}", format!("t={time}"), text.as_ref()));
    }

    fn command(&mut self, text: &str) {
        let words = split(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if self.arrange(&words).is_none() && self.operate(&words).is_none() {
            panic!("{text:?} is not a command of the stories");
        }
    }

    /// What the world does.
    fn arrange(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["config", "reload", ..] => return None,
            ["config", "broken"] => {
                let problems = "error: unknown key \"falback\" in [[route]]".to_owned();
                self.world()
                    .event(Event::ConfigurationRejected { problems });
                self.wait(Duration::ZERO);
            }
            ["config", rest @ ..] => {
                let merge = rest.first() == Some(&"+");
                let words = Words::parse(rest[usize::from(merge)..].iter().copied()).unwrap();
                if merge {
                    self.words.0.extend(words.0);
                } else {
                    self.words = words;
                }
                let configuration = setup::configuration(&self.words).unwrap();
                match &mut self.world {
                    // A new file; what runs has not read it.
                    Some(world) => world.configuration = configuration,
                    None => self.world = Some(World::new(configuration, SEED)),
                }
            }
            ["start"] => {
                let happened = self.world().start();
                self.tell(happened);
                self.wait(Duration::from_millis(10));
            }
            ["kill"] => self.world().kill(),
            ["kill", "after", number, "effects"] => {
                self.world().kill_after = Some(number.parse().unwrap());
            }
            ["stop"] => {
                let happened = self.world().stop();
                self.tell(happened);
            }
            ["restart"] => {
                self.command("stop");
                self.command("start");
            }
            ["wait", time] => self.wait(humantime::parse_duration(time).unwrap()),
            ["uplink", how] => self.world().network.cut = *how == "cut",
            ["canaries", how] => self.world().network.canaries_silent = *how == "silent",
            ["store", how @ ..] => {
                let mood = match how {
                    ["well"] => StoreMood::Well,
                    ["slow", time] => StoreMood::Slow(humantime::parse_duration(time).unwrap()),
                    ["failing"] => StoreMood::Failing,
                    ["hung"] => StoreMood::Hung,
                    ["dead"] => StoreMood::Dead,
                    _ => return None,
                };
                self.world().store(mood);
            }
            ["clock", step] => {
                let (sign, time) = step.split_at(1);
                let millis =
                    i64::try_from(humantime::parse_duration(time).unwrap().as_millis()).unwrap();
                self.world().wall_off += if sign == "-" { -millis } else { millis };
            }
            ["secondary", "ahead", by] => {
                let ours = self.world().zones.iter().next()?.clone();
                let by: u32 = by.parse().ok()?;
                self.world().event(Event::SerialAhead {
                    who: "secondary ns2 (198.51.100.53:53)".to_owned(),
                    apex: ours.apex().clone(),
                    serial: Serial(ours.serial().0.wrapping_add(by)),
                });
                self.ahead = Some(Serial(ours.serial().0.wrapping_add(by)));
                self.wait(Duration::ZERO);
            }
            ["serials", "are", "behind", "it"] => {
                let ahead = self.ahead?;
                let zones = self.world().zones.clone();
                for zone in zones.iter() {
                    assert!(
                        zone.serial().is_after(ahead),
                        "{zone:?} is not after {ahead}"
                    );
                }
            }
            ["state", "restored"] => {
                self.world().disk.doubt = Some("the state was restored from a backup".into());
            }
            ["state", "lost"] => {
                self.world().disk = crate::disk::Disk {
                    doubt: Some("the state was lost".into()),
                    ..crate::disk::Disk::default()
                };
                self.entries_told = 0;
            }
            ["primary", apex, how @ ..] => self.primary(apex, how)?,
            ["zone", apex] => self.zone(apex),
            ["status"] => self.status(),
            ["acme", "list"] => self.challenges(),
            ["served"] => self.served(),
            ["history"] => self.history(),
            [place, "certificate", left, "of", lifetime] => {
                let time = |text: &str| {
                    i64::try_from(humantime::parse_duration(text).unwrap().as_millis()).unwrap()
                };
                let wall = self.world().wall().as_millis();
                let to = wall + time(left);
                let validity = Validity {
                    from: Wall::from_millis(to - time(lifetime)),
                    to: Wall::from_millis(to),
                };
                for address in self.addresses(place)? {
                    self.world().network.certificates.insert(address, validity);
                }
            }
            [place, behaviour] => {
                let behaviour = Behaviour::parse(behaviour)?;
                for address in self.addresses(place)? {
                    self.world().network.set(address, None, behaviour);
                }
            }
            [place, service, behaviour] => {
                let (service, behaviour) = (service.parse().ok()?, Behaviour::parse(behaviour)?);
                for address in self.addresses(place)? {
                    self.world().network.set(address, Some(service), behaviour);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The challenges in force, and what the zones say at their names.
    fn challenges(&mut self) {
        let world = self.world();
        let Some(engine) = &world.engine else { return };
        let (view, zones) = (engine.view(world.now()), engine.zones());
        let mut lines = Vec::new();
        for one in &view.challenges {
            let name = Name::from(&one.name);
            let zone = zones.zone_of(name.key());
            let node = zone.and_then(|zone| zone.node(name.key()));
            let texts = node.and_then(|node| node.set(RecordType::TXT));
            let served = texts.is_some_and(|set| {
                let mut texts = set
                    .rdatas
                    .iter()
                    .map(|rdata| rdata.to_text(RecordType::TXT));
                texts.any(|text| text == format!("\"{}\"", one.value))
            });
            let how = if served { "served" } else { "not served" };
            lines.push(format!(
                "{} {} until {} {how}",
                one.name, one.value, one.until
            ));
        }
        if lines.is_empty() {
            lines.push("no challenges".into());
        }
        for line in lines {
            self.say(line);
        }
    }

    /// What an operator types.
    fn operate(&mut self, words: &[&str]) -> Option<()> {
        let mut nouns = Vec::new();
        let (mut lifetime, mut why, mut to) = (Lifetime::Forever, None, None);
        let (mut never, mut force, mut volatile, mut dry_run, mut allow_removal) =
            (false, false, false, false, false);
        let mut words_left = words.iter().copied();
        while let Some(word) = words_left.next() {
            match word {
                "--for" => match words_left.next()? {
                    "forever" => lifetime = Lifetime::Forever,
                    time => lifetime = Lifetime::For(humantime::parse_duration(time).ok()?),
                },
                "--reason" => why = Some(words_left.next()?),
                "--to" => to = Some(words_left.next()?.parse().ok()?),
                "--never" => never = true,
                "--force" => force = true,
                "--volatile" => volatile = true,
                "--dry-run" => dry_run = true,
                "--allow-removal" => allow_removal = true,
                word if word.starts_with("--") => return None,
                word => nouns.push(word),
            }
        }
        let set = |key, pool| Command::SetOverride {
            key,
            pool,
            never,
            lifetime,
            force,
        };
        let end = |key| Command::EndOverride { key };
        let pool_of = |target: &str| {
            let configuration = &self.world.as_ref().unwrap().configuration;
            let mut pools = configuration.topology.pools.values();
            pools
                .find(|pool| pool.targets.iter().any(|t| t.name.as_str() == target))
                .map(|p| p.name.clone())
        };
        let command = match nouns.as_slice() {
            ["pin", route, pool] => set(
                OverrideKey::Pin {
                    route: route.parse().ok()?,
                },
                Some(pool.parse().ok()?),
            ),
            ["unpin", route] => end(OverrideKey::Pin {
                route: route.parse().ok()?,
            }),
            ["pool", "drain", pool] => set(
                OverrideKey::DrainPool {
                    pool: pool.parse().ok()?,
                },
                None,
            ),
            ["pool", "undrain", pool] => end(OverrideKey::DrainPool {
                pool: pool.parse().ok()?,
            }),
            ["target", verb, target] => {
                let pool = pool_of(target)?;
                let key = OverrideKey::DrainTarget {
                    pool,
                    target: target.parse().ok()?,
                };
                if *verb == "drain" {
                    set(key, None)
                } else {
                    end(key)
                }
            }
            ["freeze"] => set(OverrideKey::FreezeAll, None),
            ["freeze", route] => set(
                OverrideKey::FreezeRoute {
                    route: route.parse().ok()?,
                },
                None,
            ),
            ["unfreeze"] => end(OverrideKey::FreezeAll),
            ["unfreeze", route] => end(OverrideKey::FreezeRoute {
                route: route.parse().ok()?,
            }),
            ["failover", route] => Command::Failover {
                route: route.parse().ok()?,
                to,
            },
            ["failback", route] => Command::Failback {
                route: route.parse().ok()?,
            },
            ["config", "reload"] => Command::Reload {
                configuration: self.world().configuration.clone(),
                allow_removal,
            },
            ["state", "accept"] => Command::AcceptState,
            ["acme", "set", name, value] => Command::Challenges {
                changes: vec![(name.parse().ok()?, ChallengeChange::Set((*value).into()))],
                lifetime: match lifetime {
                    Lifetime::For(time) => Some(time),
                    Lifetime::Forever => None,
                },
                lenient: false,
            },
            ["acme", "clear", name] => Command::Challenges {
                changes: vec![(name.parse().ok()?, ChallengeChange::ClearAll)],
                lifetime: None,
                lenient: false,
            },
            ["acme", "clear", name, value] => Command::Challenges {
                changes: vec![(name.parse().ok()?, ChallengeChange::Clear((*value).into()))],
                lifetime: None,
                lenient: false,
            },
            _ => return None,
        };
        let id = self
            .world()
            .request(command, "alice", why, dry_run, volatile);
        self.wait_for(id);
        Some(())
    }

    /// What the primary of a zone is heard to say, or not.
    fn primary(&mut self, apex: &str, how: &[&str]) -> Option<()> {
        let apex: DomainName = apex.parse().ok()?;
        let outcome = match how {
            ["silent"] => InboundOutcome::Failed("192.0.2.1:53 did not answer within 10s".into()),
            ["current"] => InboundOutcome::Current,
            ["garbled"] => InboundOutcome::Unusable("it ended before its last SOA".into()),
            ["sends", serial, records @ ..] => {
                let mut text = format!(
                    "$TTL 300\n@ SOA ns1.example.net. hostmaster {serial} 60 30 600 30\n@ NS ns1.example.net.\n"
                );
                for record in records {
                    text.push_str(&format!("{record}\n"));
                }
                let mut none = |_: Include<'_>| Err("there is no such file".to_owned());
                let file = StaticZone::parse(&apex, "primary", text.as_bytes(), &mut none).unwrap();
                let records = file.owned_records();
                let zone = StaticZone::received(&apex, "the zone from 192.0.2.1:53", records);
                InboundOutcome::Received(Arc::new(zone.unwrap()))
            }
            _ => return None,
        };
        let news = InboundNews {
            apex,
            from: "192.0.2.1:53".parse().unwrap(),
            outcome,
        };
        self.world().event(Event::Inbound(Box::new(news)));
        self.wait(Duration::from_millis(10));
        Some(())
    }

    /// A zone as it is served, without its SOA and NS.
    fn zone(&mut self, apex: &str) {
        let world = self.world();
        let zones = world.zones.clone();
        let view = self.view();
        let inbound = view.and_then(|view| {
            let zone = view
                .zones
                .into_iter()
                .find(|zone| zone.apex.as_str() == apex);
            zone?.inbound
        });
        if let Some(inbound) = inbound {
            let serial = inbound.serial.map(|serial| serial.to_string());
            let serial = serial.unwrap_or_else(|| "nothing".into());
            let stale = if inbound.stale { ", stale" } else { "" };
            self.say(format!("the primary's serial {serial}{stale}"));
        }
        let Some(zone) = zones.zone(&apex.parse().unwrap()) else {
            self.say("not served");
            return;
        };
        for line in zone.to_master_text().lines() {
            if !line.contains("\tSOA\t") && !line.contains("\tNS\t") {
                self.say(line.replace('\t', " "));
            }
        }
    }

    fn addresses(&mut self, place: &str) -> Option<Vec<std::net::IpAddr>> {
        let found = setup::addresses(&self.world().configuration, place);
        (!found.is_empty()).then_some(found)
    }

    fn wait(&mut self, time: Duration) {
        let until = self.world().elapsed() + time;
        while let Some(happened) = self.world().step(until) {
            self.tell(happened);
        }
    }

    fn wait_for(&mut self, request: RequestId) {
        let until = self.world().elapsed() + Duration::from_secs(60);
        while let Some(happened) = self.world().step(until) {
            let answered = happened
                .iter()
                .any(|h| matches!(h, Happened::Replied(id, _) if *id == request));
            let killed = happened.iter().any(|h| matches!(h, Happened::Killed));
            self.tell(happened);
            if answered || killed {
                return;
            }
        }
        self.say("no answer within 60s");
    }

    /// Says what has happened and what has changed.
    fn tell(&mut self, happened: Vec<Happened>) {
        if happened.is_empty() {
            return;
        }
        self.tell_view();
        self.tell_served();
        for what in happened {
            match what {
                Happened::Published(_) | Happened::Committed(_) | Happened::Log(_) => {}
                Happened::Alarm(alarm, raised) => {
                    let subject = match alarm.subject.as_str() {
                        "" => String::new(),
                        subject => format!(" {subject}"),
                    };
                    if raised {
                        self.say(format!(
                            "alarm {} {}{subject}: {}",
                            alarm.severity, alarm.kind, alarm.text
                        ));
                    } else {
                        self.say(format!("alarm ended {}{subject}", alarm.kind));
                    }
                }
                Happened::Replied(_, Ok(done)) => {
                    let how = match (done.dry_run, done.volatile) {
                        (true, _) => "would be done",
                        (_, true) => "done, but not stored",
                        _ => "done",
                    };
                    self.say(how);
                    for change in done.changes.iter().filter(|_| done.dry_run) {
                        let name = |decision: &Option<repoint::decide::Decision>| {
                            decision
                                .as_ref()
                                .map_or("nothing".into(), |d| d.active.to_string())
                        };
                        let (before, after) = (name(&change.before), name(&change.after));
                        self.say(format!("  {}: {before} -> {after}", change.route));
                    }
                    for line in done
                        .zone_diff
                        .lines()
                        .filter(|line| !line.contains("\tSOA\t"))
                    {
                        self.say(format!("  {}", line.replace('\t', " ")));
                    }
                    for warning in done.warnings {
                        self.say(format!("  warning: {warning}"));
                    }
                }
                Happened::Replied(_, Err(refusal)) => {
                    self.say(format!(
                        "refused ({}): {}: {}",
                        refusal.code, refusal.what, refusal.why
                    ));
                    self.say(format!("  {}", refusal.in_force));
                    if let Some(hint) = refusal.hint {
                        self.say(format!("  try: {hint}"));
                    }
                }
                Happened::Killed => self.say("killed"),
            }
        }
    }

    fn tell_view(&mut self) {
        let Some(view) = self.view() else { return };
        if view.blind.is_some() != self.seen.blind {
            self.seen.blind = view.blind.is_some();
            self.say(if self.seen.blind {
                "blind"
            } else {
                "no longer blind"
            });
        }
        let several = view.routes.len() > 1;
        let mut verdicts = BTreeMap::new();
        for route in &view.routes {
            for pool in &route.pools {
                let now = (pool.health.verdict, pool.health.partial);
                let key = (route.name.clone(), pool.pool.clone());
                let before = self.seen.verdicts.get(&key).copied();
                let before = before.unwrap_or((Verdict::Unknown, false));
                verdicts.insert(key, now);
                if now != before {
                    let word = |(verdict, partial): (Verdict, bool)| {
                        if partial {
                            format!("{verdict} (partial)")
                        } else {
                            verdict.to_string()
                        }
                    };
                    let who = if several {
                        format!("{} in {}", pool.pool, route.name)
                    } else {
                        pool.pool.to_string()
                    };
                    let cause = pool
                        .health
                        .evidence
                        .first()
                        .filter(|_| now != (Verdict::Up, false));
                    let cause = cause
                        .map(|e| format!(": {} ({})", e.cause, e.check))
                        .unwrap_or_default();
                    self.say(format!("{who} {} -> {}{cause}", word(before), word(now)));
                }
            }
        }
        self.seen.verdicts = verdicts;
        for route in &view.routes {
            let decision = &route.decision;
            let now = (decision.active.clone(), decision.generation.0);
            let before = self.seen.decisions.insert(route.name.clone(), now.clone());
            if before.as_ref() == Some(&now) {
                continue;
            }
            let what = match before {
                Some((active, _)) if active == now.0 => format!("{active} stays active"),
                Some((active, _)) => format!("{active} -> {}", now.0),
                None => format!("{} active", now.0),
            };
            self.say(format!(
                "{}: {what}: {}",
                route.name,
                decision.reason.describe()
            ));
        }
    }

    fn tell_served(&mut self) {
        let Some(world) = &self.world else { return };
        let now = served(&world.configuration.topology, &world.zones);
        let changed: Vec<String> = now
            .iter()
            .filter(|(key, (records, _))| {
                self.seen.served.get(key).map(|(before, _)| before) != Some(records)
            })
            .map(|((_, owner), (records, _))| format!("  {}", line(owner, records)))
            .collect();
        for text in changed {
            self.say(text);
        }
        self.seen.served = now;
    }

    fn view(&self) -> Option<View> {
        let world = self.world.as_ref()?;
        Some(world.engine.as_ref()?.view(world.now()))
    }

    fn status(&mut self) {
        let Some(view) = self.view() else {
            self.say("not running");
            return;
        };
        for alarm in &view.alarms {
            self.say(
                format!("alarm {} {} {}", alarm.severity, alarm.kind, alarm.subject).trim_end(),
            );
        }
        for route in &view.routes {
            let order: Vec<String> = route
                .decision
                .order
                .iter()
                .map(ToString::to_string)
                .collect();
            let mut text = format!("{}: {}", route.name, order.join(", "));
            if let Some(home) = &route.home {
                write!(text, "; home {home}").unwrap();
            }
            if route.latched.is_some() {
                text.push_str("; latched");
            }
            if route.switches > 0 {
                write!(
                    text,
                    "; {} of {} switches",
                    route.switches, route.max_switches
                )
                .unwrap();
            }
            self.say(text);
            for held in &route.held_by {
                self.say(format!("  {held}"));
            }
        }
        for value in &view.overrides {
            let pool = value
                .pool
                .as_ref()
                .map(|pool| format!(" to {pool}"))
                .unwrap_or_default();
            let until = value
                .until
                .map_or("forever".to_owned(), |until| format!("until {until}"));
            self.say(format!("{}{pool} {until}", value.key));
        }
    }

    fn served(&mut self) {
        let world = self.world();
        let unix = i64::from(world.wall().unix_seconds());
        let now = served(&world.configuration.topology, &world.zones);
        for ((_, owner), (records, serial)) in now {
            let from_clock = i64::from(serial) - unix;
            self.say(format!(
                "{} (serial: clock {from_clock:+})",
                line(&owner, &records)
            ));
        }
    }

    fn history(&mut self) {
        let told = self.entries_told;
        let entries = self.world().disk.entries.clone();
        for entry in entries.iter().skip(told) {
            let route = entry
                .route
                .as_ref()
                .map(|route| format!(" {route}"))
                .unwrap_or_default();
            let mut text = format!("{:?}{route}: {}", entry.kind, entry.text);
            if let Some(author) = entry
                .author
                .as_ref()
                .filter(|author| !entry.text.contains(*author))
            {
                write!(text, " by {author}").unwrap();
            }
            if let Some(why) = entry.why.as_ref().filter(|why| !entry.text.contains(*why)) {
                write!(text, ": {why}").unwrap();
            }
            self.say(text);
        }
        self.entries_told = entries.len();
    }
}

/// Words, with quotes around those that have spaces.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a quote ends"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}
