//! The way out: which step one is at, and when repoint may be stopped.
//!
//! In: what the zones above say now, what was seen before, a [`Reading`] of the machine's clocks. Out: [`Leaving`], and the
//! memory for the next time. Never here: asking, files, a clock. What is not known counts as not done: safe is said late
//! rather than early.
//!
//! No moment is remembered, only for how long something has been so: between two looks so much time has passed as both the
//! wall clock and the machine's uptime say. A clock that is set therefore shortens no wait.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;

/// What resolvers may remember from before anybody looked, in seconds: few TTLs in use are longer.
const UNSEEN: u32 = 86_400;

/// What a sighting is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The DS of a zone.
    Ds,
    /// The NS records of a zone, as far as they name our nameservers.
    Delegation,
    /// A name that partners ask for, while the zone above has no records of its own for it.
    Name,
}

/// One link from the zones above to us, as it was seen just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What it is.
    pub link: Link,
    /// The zone or name.
    pub subject: String,
    /// Whether it is there.
    pub state: State,
    /// What resolvers may remember in any case, in seconds: our own TTLs.
    pub least: u32,
    /// Unless it was seen, there never was such a link, and nobody remembers it.
    pub never: bool,
}

/// Whether a link is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// At one server at least.
    There {
        /// Its TTL in seconds.
        ttl: u32,
    },
    /// At none: all of them said so.
    Gone,
    /// Somebody could not be asked.
    Unknown(String),
}

/// The machine's clocks at one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What tells one run of one machine from every other; none where the machine does not say.
    pub boot: Option<String>,
    /// For how long the machine has been running, in milliseconds, sleep included.
    pub uptime_ms: u64,
    /// Its wall clock.
    pub wall: Wall,
}

impl Reading {
    /// How much time has passed since an earlier look, at least. What passed while the machine was started anew, or between
    /// looks from two machines, nobody has counted.
    fn passed_since(&self, earlier: &Reading) -> Duration {
        let by_wall = self.wall.since(earlier.wall);
        match (&earlier.boot, &self.boot) {
            (None, None) => by_wall,
            (Some(then), Some(now)) if then == now => {
                let up = self.uptime_ms.saturating_sub(earlier.uptime_ms);
                by_wall.min(Duration::from_millis(up))
            }
            _ => Duration::ZERO,
        }
    }
}

/// What was seen before, by link and subject. Kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The clocks at the last look.
    #[serde(default)]
    looked: Option<Reading>,
    traces: BTreeMap<Link, BTreeMap<String, Trace>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Trace {
    /// For how long it has been looked at, in milliseconds.
    #[serde(default)]
    known_for_ms: u64,
    /// The longest TTL it was seen with, in seconds.
    ttl: u32,
    /// For how long it has been gone at every look.
    #[serde(default)]
    gone_for_ms: Option<u64>,
}

/// The steps of the way out, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveStep {
    /// Take the DS out of the zone above.
    DsOut,
    /// Wait until nobody remembers it.
    DsWait,
    /// Put records of its own into the zone above, in the place of the delegation.
    Replace,
    /// Wait until nobody remembers the delegation.
    NsWait,
    /// Stop.
    Safe,
}

impl LeaveStep {
    /// All of them.
    pub const ALL: [LeaveStep; 5] = [
        LeaveStep::DsOut,
        LeaveStep::DsWait,
        LeaveStep::Replace,
        LeaveStep::NsWait,
        LeaveStep::Safe,
    ];
}

/// Where one is on the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaving {
    /// The step to do now.
    pub step: LeaveStep,
    /// When the wait of this step is over, as far as is known now.
    pub until: Option<Wall>,
    /// What is still there, for a step of doing.
    pub there: Vec<String>,
    /// Why the step cannot be left though nothing is left to do.
    pub unknown: Vec<String>,
}

/// Takes in what was seen just before these readings, and says where one is.
pub fn leave(memory: &mut Memory, sightings: &[Sighting], now: Reading) -> Leaving {
    let wall = now.wall;
    memory.pass(now);
    for sighting in sightings {
        remember(memory, sighting);
    }
    let of = |links: &'static [Link]| sightings.iter().filter(|s| links.contains(&s.link));
    let phases: [(LeaveStep, LeaveStep, &'static [Link]); 2] = [
        (LeaveStep::DsOut, LeaveStep::DsWait, &[Link::Ds]),
        (
            LeaveStep::Replace,
            LeaveStep::NsWait,
            &[Link::Delegation, Link::Name],
        ),
    ];
    for (act, wait, links) in phases {
        let there: Vec<String> = of(links)
            .filter(|sighting| matches!(sighting.state, State::There { .. }))
            .map(|sighting| sighting.subject.clone())
            .collect();
        let unknown: Vec<String> = of(links)
            .filter_map(|sighting| match &sighting.state {
                State::Unknown(why) => Some(format!("{}: {why}", sighting.subject)),
                _ => None,
            })
            .collect();
        if !there.is_empty() || !unknown.is_empty() {
            return Leaving {
                step: act,
                until: None,
                there,
                unknown,
            };
        }
        let left = of(links).map(|sighting| remembered_for(memory, sighting));
        let left = left.max().unwrap_or_default();
        if left > Duration::ZERO {
            return Leaving {
                step: wait,
                until: Some(wall + left),
                there: Vec::new(),
                unknown: Vec::new(),
            };
        }
    }
    Leaving {
        step: LeaveStep::Safe,
        until: None,
        there: Vec::new(),
        unknown: Vec::new(),
    }
}

impl Memory {
    /// Time has passed since the last look.
    fn pass(&mut self, now: Reading) {
        let passed = self.looked.as_ref().map(|then| now.passed_since(then));
        let passed = passed.unwrap_or_default().as_millis();
        let passed = u64::try_from(passed).unwrap_or(0);
        for trace in self.traces.values_mut().flat_map(BTreeMap::values_mut) {
            trace.known_for_ms = trace.known_for_ms.saturating_add(passed);
            trace.gone_for_ms = trace.gone_for_ms.map(|ms| ms.saturating_add(passed));
        }
        self.looked = Some(now);
    }
}

fn remember(memory: &mut Memory, sighting: &Sighting) {
    let traces = memory.traces.entry(sighting.link).or_default();
    let trace = traces.entry(sighting.subject.clone()).or_default();
    match sighting.state {
        State::There { ttl } => {
            trace.ttl = trace.ttl.max(ttl);
            trace.gone_for_ms = None;
        }
        State::Gone => trace.gone_for_ms = trace.gone_for_ms.or(Some(0)),
        // What was known stays known; nothing is added.
        State::Unknown(_) => {}
    }
}

/// For how long a link that is gone may be remembered by somebody yet.
fn remembered_for(memory: &Memory, sighting: &Sighting) -> Duration {
    let traces = memory.traces.get(&sighting.link);
    let Some(trace) = traces.and_then(|traces| traces.get(&sighting.subject)) else {
        return Duration::ZERO;
    };
    let Some(gone_for) = trace.gone_for_ms else {
        return Duration::ZERO;
    };
    if sighting.never && trace.ttl == 0 {
        return Duration::ZERO;
    }
    let left = |seconds: u32, passed: u64| (u64::from(seconds) * 1000).saturating_sub(passed);
    let seen = left(trace.ttl.max(sighting.least), gone_for);
    // Before the first look it may have had any TTL.
    Duration::from_millis(seen.max(left(UNSEEN, trace.known_for_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Wall = Wall::from_millis(1_795_230_000_000);

    fn wall(seconds: u64) -> Wall {
        START + Duration::from_secs(seconds)
    }

    /// Both clocks go on alike.
    fn at(seconds: u64) -> Reading {
        reading("one", seconds, seconds)
    }

    fn reading(boot: &str, uptime: u64, wall_at: u64) -> Reading {
        Reading {
            boot: Some(boot.to_owned()),
            uptime_ms: uptime * 1000,
            wall: wall(wall_at),
        }
    }

    fn sighting(link: Link, state: State) -> Sighting {
        Sighting {
            link,
            subject: "fed.contoso.com".into(),
            state,
            least: 30,
            never: false,
        }
    }

    /// A signed zone: the state of its DS, and of its delegation.
    fn seen(ds: State, delegation: State) -> Vec<Sighting> {
        vec![
            sighting(Link::Ds, ds),
            sighting(Link::Delegation, delegation),
        ]
    }

    const THERE: State = State::There { ttl: 3600 };

    fn unknown() -> State {
        State::Unknown("silence".into())
    }

    #[test]
    fn the_whole_way_is_walked_in_order() {
        let mut memory = Memory::default();
        let day = u64::from(UNSEEN);
        let mut step = |ds, delegation, now| {
            let leaving = leave(&mut memory, &seen(ds, delegation), at(now));
            (leaving.step, leaving.until)
        };
        assert_eq!(step(THERE, THERE, 0), (LeaveStep::DsOut, None));
        let long = day * 2;
        assert_eq!(step(THERE, THERE, long), (LeaveStep::DsOut, None));
        let wait = (LeaveStep::DsWait, Some(wall(long + 60 + 3600)));
        assert_eq!(step(State::Gone, THERE, long + 60), wait);
        assert_eq!(step(State::Gone, THERE, long + 60 + 3599), wait);
        let replace = (LeaveStep::Replace, None);
        assert_eq!(step(State::Gone, THERE, long + 60 + 3600), replace);
        let later = long + 10_000;
        let wait = (LeaveStep::NsWait, Some(wall(later + 3600)));
        assert_eq!(step(State::Gone, State::Gone, later), wait);
        assert_eq!(step(State::Gone, State::Gone, later + 3599), wait);
        let safe = (LeaveStep::Safe, None);
        assert_eq!(step(State::Gone, State::Gone, later + 3600), safe);
    }

    #[test]
    fn what_was_before_the_first_look_is_waited_for() {
        let mut memory = Memory::default();
        let both = || seen(State::Gone, State::Gone);
        let first = leave(&mut memory, &both(), at(0));
        assert_eq!(
            (first.step, first.until),
            (LeaveStep::DsWait, Some(wall(86_400)))
        );
        assert_eq!(
            leave(&mut memory, &both(), at(86_399)).step,
            LeaveStep::DsWait
        );
        assert_eq!(
            leave(&mut memory, &both(), at(86_400)).step,
            LeaveStep::Safe
        );
        // A zone that was never signed leaves no DS behind.
        let mut memory = Memory::default();
        let mut unsigned = both();
        unsigned[0].never = true;
        assert_eq!(leave(&mut memory, &unsigned, at(0)).step, LeaveStep::NsWait);
    }

    #[test]
    fn a_link_that_comes_back_begins_the_wait_again() {
        let mut memory = Memory::default();
        let long = 200_000;
        leave(&mut memory, &seen(State::Gone, THERE), at(0));
        leave(&mut memory, &seen(State::Gone, State::Gone), at(long));
        leave(&mut memory, &seen(State::Gone, THERE), at(long + 3000));
        let again = leave(
            &mut memory,
            &seen(State::Gone, State::Gone),
            at(long + 3500),
        );
        assert_eq!(again.until, Some(wall(long + 3500 + 3600)));
    }

    #[test]
    fn a_ttl_that_was_lowered_counts_as_it_was() {
        let mut memory = Memory::default();
        let low = State::There { ttl: 60 };
        leave(&mut memory, &seen(State::Gone, THERE), at(0));
        leave(&mut memory, &seen(State::Gone, low), at(200_000));
        let gone = leave(&mut memory, &seen(State::Gone, State::Gone), at(200_060));
        assert_eq!(gone.until, Some(wall(200_060 + 3600)));
    }

    #[test]
    fn nothing_is_safe_while_somebody_cannot_be_asked() {
        let mut memory = Memory::default();
        leave(&mut memory, &seen(State::Gone, State::Gone), at(0));
        let late = || at(1_000_000);
        let unsure = leave(&mut memory, &seen(State::Gone, unknown()), late());
        assert_eq!(unsure.step, LeaveStep::Replace);
        assert_eq!(unsure.unknown, ["fed.contoso.com: silence"]);
        let unsure = leave(&mut memory, &seen(unknown(), State::Gone), late());
        assert_eq!(unsure.step, LeaveStep::DsOut);
        // What was known before is not forgotten for it.
        let known = leave(&mut memory, &seen(State::Gone, State::Gone), late());
        assert_eq!(known.step, LeaveStep::Safe);
    }

    /// The delegation is gone at the first reading; what is said at the second.
    fn gone_between(then: Reading, now: Reading) -> Leaving {
        let mut memory = Memory::default();
        leave(&mut memory, &seen(State::Gone, THERE), at(0));
        // Long enough that only the delegation's own TTL counts.
        for trace in memory.traces.values_mut().flat_map(BTreeMap::values_mut) {
            trace.known_for_ms = 2000 * u64::from(UNSEEN);
            trace.gone_for_ms = trace.gone_for_ms.map(|_| 2000 * u64::from(UNSEEN));
        }
        leave(&mut memory, &seen(State::Gone, State::Gone), then);
        leave(&mut memory, &seen(State::Gone, State::Gone), now)
    }

    #[test]
    fn a_clock_that_is_set_shortens_no_wait() {
        let waits = |leaving: Leaving| (leaving.step, leaving.until);
        // Set forward by a month, or back, while ten minutes passed.
        for wall_at in [600_000, 2_600_000, 0] {
            let leaving = gone_between(reading("one", 1000, 1000), reading("one", 1600, wall_at));
            assert_eq!(leaving.step, LeaveStep::NsWait, "{wall_at}");
            assert!(leaving.until >= Some(wall(wall_at + 3000)), "{wall_at}");
        }
        // Nothing was set.
        let leaving = gone_between(reading("one", 1000, 1000), reading("one", 1600, 1600));
        assert_eq!(waits(leaving), (LeaveStep::NsWait, Some(wall(4600))));
        let leaving = gone_between(reading("one", 1000, 1000), reading("one", 4600, 4600));
        assert_eq!(leaving.step, LeaveStep::Safe);
    }

    #[test]
    fn what_passes_across_a_restart_of_the_machine_does_not_count() {
        // Its clock may have stood for years when it began again; so may that of another machine.
        for uptime in [10, 90_000] {
            let leaving = gone_between(reading("one", 1000, 1000), reading("two", uptime, 90_000));
            assert_eq!(leaving.step, LeaveStep::NsWait);
            assert_eq!(leaving.until, Some(wall(90_000 + 3600)));
        }
    }

    #[test]
    fn a_machine_without_an_uptime_goes_by_its_wall_clock() {
        let unknown = |wall_at| Reading {
            boot: None,
            ..reading("", 0, wall_at)
        };
        let leaving = gone_between(unknown(1000), unknown(4600));
        assert_eq!(leaving.step, LeaveStep::Safe);
        let leaving = gone_between(unknown(1000), reading("one", 0, 4600));
        assert_eq!(leaving.step, LeaveStep::NsWait);
    }

    #[test]
    fn moments_of_an_older_file_count_for_nothing_and_its_ttl_counts() {
        let old =
            r#"{"traces":{"delegation":{"fed.contoso.com":{"first":1,"ttl":7200,"gone":2}}}}"#;
        let mut memory: Memory = serde_json::from_str(old).unwrap_or_default();
        let leaving = leave(&mut memory, &seen(State::Gone, State::Gone), at(0));
        assert_eq!(leaving.step, LeaveStep::DsWait);
        let trace = &memory.traces[&Link::Delegation]["fed.contoso.com"];
        assert_eq!(
            (trace.ttl, trace.known_for_ms, trace.gone_for_ms),
            (7200, 0, Some(0))
        );
    }

    #[test]
    fn the_memory_survives_its_file() {
        let mut memory = Memory::default();
        leave(&mut memory, &seen(THERE, THERE), at(0));
        let text = serde_json::to_string(&memory).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Memory>(&text).ok(), Some(memory));
    }
}
