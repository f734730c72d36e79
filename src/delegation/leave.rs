//! The way out: which step one is at, and when repoint may be stopped.
//!
//! In: what the zones above say now, what was seen before, the time. Out: [`Leaving`], and the memory for the next time.
//! Never here: asking, files, a clock. What is not known counts as not done: safe is said late rather than early.

use std::collections::BTreeMap;

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

/// What was seen before, by link and subject. Kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    traces: BTreeMap<Link, BTreeMap<String, Trace>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trace {
    /// When it was first looked at.
    first: Wall,
    /// The longest TTL it was seen with, in seconds.
    ttl: u32,
    /// Since when it has been gone at every look.
    gone: Option<Wall>,
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

/// Takes in what was seen, and says where one is.
pub fn leave(memory: &mut Memory, sightings: &[Sighting], now: Wall) -> Leaving {
    for sighting in sightings {
        remember(memory, sighting, now);
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
        let until = of(links)
            .filter_map(|sighting| forgotten(memory, sighting))
            .max();
        if until.is_some_and(|until| until > now) {
            return Leaving {
                step: wait,
                until,
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

fn remember(memory: &mut Memory, sighting: &Sighting, now: Wall) {
    let traces = memory.traces.entry(sighting.link).or_default();
    let trace = traces.entry(sighting.subject.clone()).or_insert(Trace {
        first: now,
        ttl: 0,
        gone: None,
    });
    // A clock that was set back must not make the past longer.
    trace.first = trace.first.min(now);
    match sighting.state {
        State::There { ttl } => {
            trace.ttl = trace.ttl.max(ttl);
            trace.gone = None;
        }
        State::Gone => {
            let since = trace.gone.filter(|since| *since <= now);
            trace.gone = Some(since.unwrap_or(now));
        }
        // What was known stays known; nothing is added.
        State::Unknown(_) => {}
    }
}

/// When nobody remembers a link that is gone; none when there is nothing to remember.
fn forgotten(memory: &Memory, sighting: &Sighting) -> Option<Wall> {
    let trace = memory.traces.get(&sighting.link)?.get(&sighting.subject)?;
    if sighting.never && trace.ttl == 0 {
        return None;
    }
    let later = |since: Wall, seconds: u32| since + std::time::Duration::from_secs(seconds.into());
    let seen = later(trace.gone?, trace.ttl.max(sighting.least));
    // Before the first look it may have had any TTL.
    Some(seen.max(later(trace.first, UNSEEN)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Wall = Wall::from_millis(1_795_230_000_000);

    fn at(seconds: u64) -> Wall {
        START + Duration::from_secs(seconds)
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
        let wait = (LeaveStep::DsWait, Some(at(long + 60 + 3600)));
        assert_eq!(step(State::Gone, THERE, long + 60), wait);
        assert_eq!(step(State::Gone, THERE, long + 60 + 3599), wait);
        let replace = (LeaveStep::Replace, None);
        assert_eq!(step(State::Gone, THERE, long + 60 + 3600), replace);
        let later = long + 10_000;
        let wait = (LeaveStep::NsWait, Some(at(later + 3600)));
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
            (LeaveStep::DsWait, Some(at(86_400)))
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
        assert_eq!(again.until, Some(at(long + 3500 + 3600)));
    }

    #[test]
    fn a_ttl_that_was_lowered_counts_as_it_was() {
        let mut memory = Memory::default();
        let low = State::There { ttl: 60 };
        leave(&mut memory, &seen(State::Gone, THERE), at(0));
        leave(&mut memory, &seen(State::Gone, low), at(200_000));
        let gone = leave(&mut memory, &seen(State::Gone, State::Gone), at(200_060));
        assert_eq!(gone.until, Some(at(200_060 + 3600)));
    }

    #[test]
    fn nothing_is_safe_while_somebody_cannot_be_asked() {
        let mut memory = Memory::default();
        leave(&mut memory, &seen(State::Gone, State::Gone), at(0));
        let late = at(1_000_000);
        let unsure = leave(&mut memory, &seen(State::Gone, unknown()), late);
        assert_eq!(unsure.step, LeaveStep::Replace);
        assert_eq!(unsure.unknown, ["fed.contoso.com: silence"]);
        let unsure = leave(&mut memory, &seen(unknown(), State::Gone), late);
        assert_eq!(unsure.step, LeaveStep::DsOut);
        // What was known before is not forgotten for it.
        let known = leave(&mut memory, &seen(State::Gone, State::Gone), late);
        assert_eq!(known.step, LeaveStep::Safe);
    }

    #[test]
    fn a_clock_set_back_shortens_no_wait() {
        let mut memory = Memory::default();
        leave(&mut memory, &seen(State::Gone, THERE), at(500_000));
        leave(&mut memory, &seen(State::Gone, State::Gone), at(900_000));
        let back = leave(&mut memory, &seen(State::Gone, State::Gone), at(400_000));
        assert_eq!(back.step, LeaveStep::DsWait);
        assert!(back.until >= Some(at(400_000 + 3600)));
    }

    #[test]
    fn the_memory_survives_its_file() {
        let mut memory = Memory::default();
        leave(&mut memory, &seen(THERE, THERE), at(0));
        let text = serde_json::to_string(&memory).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Memory>(&text).ok(), Some(memory));
    }
}
