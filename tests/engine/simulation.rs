//! Many random lives: failures, commands, restarts, crashes between any two effects, clock steps, dead disks, reloads, keys
//! that are rolled, primaries that send; with every promise of `docs/architecture.md` checked after each (`promises`).
//!
//! In: a seed. Out: nothing, or the first broken promise with the command that replays it. `SIM_SEED` replays one life
//! (`SIM_SEED=random` tries seeds nobody has tried), `SIM_EVENTS` sets how many events are run in all, `SIM_TRACE=1`
//! prints what is done to the world. Never here: a check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::life::{Life, Lived};

/// Events of one life: long enough for hours of failures, short enough to replay.
const LIFE: u64 = 20_000;

/// Enough to meet everything that is counted below; what is rare needs `SIM_EVENTS`.
const EVENTS: u64 = 240_000;

#[test]
fn random_events_break_no_promise() {
    let one = std::env::var("SIM_SEED").ok();
    let first = match one.as_deref() {
        Some("random") => rand::random::<u32>().into(),
        Some(seed) => {
            let seed = seed.parse().expect("SIM_SEED is a number or `random`");
            let lived = life(seed, number("SIM_EVENTS").unwrap_or(LIFE));
            match lived {
                Ok(lived) => println!("{lived:?}"),
                Err(broken) => panic!("seed {seed}: {broken}"),
            }
            return;
        }
        None => 1,
    };
    let events = number("SIM_EVENTS").unwrap_or(EVENTS);
    let lives = events.div_ceil(LIFE);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let all = Mutex::new(Lived::default());
    let broken = std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= lives {
                    return None;
                }
                match life(first + number, LIFE) {
                    Ok(lived) => all.lock().unwrap().add(lived),
                    Err(broken) => {
                        next.store(lives, Ordering::Relaxed);
                        return Some((first + number, broken));
                    }
                };
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .find_map(|worker| worker.join().unwrap())
    });
    if let Some((seed, broken)) = broken {
        panic!(
            "seed {seed}: {broken}\nreplay it: SIM_SEED={seed} SIM_TRACE=1 cargo test --test engine random_events"
        );
    }
    let (all, took) = (all.into_inner().unwrap(), began.elapsed());
    println!(
        "{all:?} in {took:.1?}, seeds {first} to {}",
        first + lives - 1
    );
    assert!(all.events >= events, "only {} events were run", all.events);
    // What was not met was not tried.
    let met = [
        all.publications,
        all.keys,
        all.drafts,
        all.sent,
        all.kills,
        all.untold,
    ];
    assert!(met.iter().all(|times| *times > 0), "{all:?}");
}

#[test]
fn the_same_events_give_the_same_zones_byte_for_byte() {
    for seed in 1..=6 {
        let mut life = Life::repeatable(seed, 3_000);
        life.world.recordings = Some(Vec::new());
        life.live().unwrap();
        let recordings = life.world.recordings.unwrap();
        let published: usize = recordings
            .into_iter()
            .map(|recording| recording.replay())
            .sum();
        assert!(published > 0, "seed {seed} published nothing");
    }
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// One world from its beginning to its end.
fn life(seed: u64, events: u64) -> Result<Lived, String> {
    let run = AssertUnwindSafe(|| Life::new(seed, events).live());
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}
