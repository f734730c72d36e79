//! What a story is asked to show: `status`, `served`, `history`, `zone`, `acme list`.
//!
//! In: the world as it is. Out: lines. Never here: a change of anything.

use std::fmt::Write;

use hickory_proto::rr::RecordType;

use repoint::engine::View;
use repoint::zone::Name;

use super::Story;
use crate::served::{line, served};

impl Story {
    pub(super) fn view(&self) -> Option<View> {
        let world = self.world.as_ref()?;
        Some(world.engine.as_ref()?.view(world.now()))
    }

    pub(super) fn status(&mut self) {
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

    /// What each alarm has its reader do.
    pub(super) fn remedies(&mut self) {
        let alarms = self.view().map(|view| view.alarms).unwrap_or_default();
        for alarm in alarms {
            let remedy = alarm.remedy.unwrap_or_default();
            self.say(format!("{} {}: {remedy}", alarm.kind, alarm.subject));
        }
    }

    /// What comes next for each route.
    pub(super) fn outlook(&mut self) {
        let routes = self.view().map(|view| view.routes).unwrap_or_default();
        for route in routes {
            let outlook = route.outlook;
            let name = route.name;
            match outlook.next {
                Some(next) => {
                    let reason = next.reason.describe();
                    self.say(format!(
                        "{name} next: to {} at {}: {reason}",
                        next.to, next.at
                    ));
                }
                None => self.say(format!("{name} next: nothing by itself")),
            }
            self.say(format!("{name} loss: {:?}", outlook.loss));
            if let Some(back) = outlook.back {
                self.say(format!("{name} back: {back:?}"));
            }
            for pool in route.pools {
                if let Some(up) = pool.recovery {
                    self.say(format!(
                        "{}: {} of {}, up at {}",
                        pool.pool, up.good, up.of, up.up_at
                    ));
                }
                if let Some(until) = pool.old_answers_until {
                    self.say(format!("{}: resolvers keep it until {until}", pool.pool));
                }
            }
        }
    }

    pub(super) fn served(&mut self) {
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

    pub(super) fn history(&mut self) {
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

    /// A zone as it is served, without its SOA and NS.
    pub(super) fn zone(&mut self, apex: &str) {
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

    /// The challenges in force, and what the zones say at their names.
    pub(super) fn challenges(&mut self) {
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
}
