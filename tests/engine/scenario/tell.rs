//! What a story tells by itself: what has happened, and what has changed since the last line.
//!
//! In: what happened in the world. Out: lines. Never here: what only comes when it is asked for.

use std::collections::BTreeMap;

use repoint::health::Verdict;
use repoint::topology::{PoolName, RouteName};

use super::Story;
use crate::served::{Served, line, served};
use crate::world::Happened;

/// What was seen last, to tell what has changed.
#[derive(Default)]
pub(super) struct Seen {
    verdicts: BTreeMap<(RouteName, PoolName), (Verdict, bool)>,
    decisions: BTreeMap<RouteName, (PoolName, u64)>,
    served: Served,
    blind: bool,
}

impl Story {
    /// Says what has happened and what has changed.
    pub(super) fn tell(&mut self, happened: Vec<Happened>) {
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
}
