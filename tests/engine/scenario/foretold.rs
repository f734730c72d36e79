//! What `route explain` says comes next is what then comes, in states that random commands and failures lead to.
//!
//! The same state is brought about twice. In one world everything stays as it is; in the other the active pool dies.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use repoint::clock::Wall;
use repoint::decide::{Loss, Outlook};
use repoint::topology::PoolName;

use super::Story;
use crate::world::Happened;

/// How many states are tried; `FORETOLD=1000` tries more.
const STATES: u64 = 40;

/// How long a world is watched. Longer than the hour in which switches count.
const WATCHED: Duration = Duration::from_secs(70 * 60);

/// A pool that is refused is found well within this time; so is the moment of a question.
const MARGIN: Duration = Duration::from_secs(40);

fn states() -> std::ops::Range<u64> {
    let wanted = std::env::var("FORETOLD").ok();
    0..wanted.map_or(STATES, |text| text.parse().unwrap())
}

fn one<'a>(dice: &mut SmallRng, of: &[&'a str]) -> &'a str {
    of[dice.random_range(0..of.len())]
}

/// A story in a state that the number stands for. Nothing is on its way any more.
fn state(number: u64) -> Story {
    let mut dice = SmallRng::seed_from_u64(number);
    let mut story = Story::new();
    let (failover, failback) = (
        one(&mut dice, &["auto", "auto", "auto", "ask", "observe"]),
        one(&mut dice, &["auto", "manual"]),
    );
    let (hold_down, switches) = (
        one(&mut dice, &["1m", "5m", "20m"]),
        one(&mut dice, &["1", "2", "6"]),
    );
    let pools = one(&mut dice, &["2", "3"]);
    story.command(&format!(
        "config pools={pools} failover={failover} failback={failback} hold_down={hold_down} max_switches={switches}"
    ));
    story.command("start");
    story.command("wait 1m");
    for _ in 0..dice.random_range(1..7) {
        let pool = one(&mut dice, &["edgepool1", "edgepool2"]);
        let length = one(&mut dice, &["7m", "30m", "3h"]);
        let text = match dice.random_range(0..14) {
            0..3 => format!("{pool} refused"),
            3..6 => format!("{pool} ok"),
            6 => format!("pool drain {pool} --for {length}"),
            7 => format!("pool drain {pool} --never --force --for {length}"),
            8 => format!("pin contoso {pool} --force --for {length}"),
            9 => format!("freeze contoso --for {length}"),
            10 => "failover contoso".to_owned(),
            11 => "failback contoso".to_owned(),
            12 => "state accept".to_owned(),
            _ => {
                story.command("state restored");
                "restart".to_owned()
            }
        };
        story.command(&text);
        let wait = dice.random_range(1..240);
        story.command(&format!("wait {wait}s"));
    }
    story.command("wait 3m");
    story
}

/// What is foretold now, and the active pool.
fn foretold(story: &Story) -> (Outlook, PoolName) {
    let view = story.view().unwrap();
    let route = view.routes.into_iter().next().unwrap();
    (route.outlook, route.decision.active)
}

/// The first move of the route, and when.
fn first_move(story: &mut Story, from: &PoolName) -> Option<(PoolName, Wall)> {
    let until = story.world().elapsed() + WATCHED;
    while let Some(happened) = story.world().step(until) {
        if !happened
            .iter()
            .any(|one| matches!(one, Happened::Published(_)))
        {
            continue;
        }
        let (_, active) = foretold(story);
        if active != *from {
            return Some((active, story.world().wall()));
        }
    }
    None
}

fn is_near(at: Wall, expected: Wall) -> bool {
    at.since(expected).max(expected.since(at)) <= MARGIN
}

#[test]
fn what_is_foretold_for_a_calm_time_is_what_comes() {
    for number in states() {
        let mut story = state(number);
        let (outlook, active) = foretold(&story);
        let end = story.world().wall() + WATCHED;
        let came = first_move(&mut story, &active);
        match (outlook.next, came) {
            (Some(next), Some((to, at))) => {
                assert_eq!(next.to, to, "state {number}");
                assert!(
                    is_near(at, next.at),
                    "state {number}: {at}, not {}",
                    next.at
                );
            }
            (Some(next), None) => assert!(next.at + MARGIN > end, "state {number}: {next:?}"),
            (None, came) => assert_eq!(came, None, "state {number}: nothing was foretold"),
        }
    }
}

#[test]
fn what_is_foretold_for_a_loss_is_what_comes() {
    for number in states() {
        let mut story = state(number);
        let (outlook, active) = foretold(&story);
        let began = story.world().wall();
        let soon = |next: &repoint::decide::Foreseen| next.at < began + MARGIN;
        if outlook.next.as_ref().is_some_and(soon) {
            continue;
        }
        story.command(&format!("{active} refused"));
        let came = first_move(&mut story, &active);
        match (&outlook.loss, came) {
            (Loss::Switches { to, not_before }, Some((came, at))) => {
                assert_eq!(*to, came, "state {number}: {outlook:?}");
                let expected = not_before.map_or(began, |not_before| not_before.max(began));
                assert!(
                    is_near(at, expected),
                    "state {number}: {at}, not {expected}"
                );
            }
            (Loss::Switches { not_before, .. }, None) => {
                let after = not_before.is_some_and(|at| at + MARGIN > began + WATCHED);
                assert!(after, "state {number}: {outlook:?}");
            }
            (Loss::Pinned { until }, came) => {
                let during = came.filter(|(_, at)| until.is_none_or(|until| *at < until));
                assert_eq!(during, None, "state {number}: {outlook:?}");
            }
            (Loss::Waits { .. } | Loss::Stays, came) => {
                assert_eq!(came, None, "state {number}: {outlook:?}");
            }
        }
    }
}
