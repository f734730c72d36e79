//! Many random lives: failures, commands, restarts, crashes between any two effects, clock steps, dead disks, reloads, keys
//! that are rolled, primaries that send; with every promise of `docs/architecture.md` checked after each (`promises`).
//!
//! In: a seed. Out: nothing, or the first broken promise with the command that replays it. Every run tries the same seeds,
//! then fresh ones, which it prints. `SIM_SEED` replays one life (`SIM_SEED=random` begins with a fresh seed), `SIM_EVENTS`
//! sets how many events are run in all, `SIM_FRESH` how many fresh seeds are tried at full length, `SIM_TRACE=1` prints what
//! is done to the world. Never here: a check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::life::{Life, Lived};

/// Events of one life: long enough for hours of failures, short enough to replay.
const LIFE: u64 = 20_000;

/// Enough to meet everything that is counted below; what is rare needs `SIM_EVENTS`.
const EVENTS: u64 = 240_000;

/// Fresh seeds of each run, and the events of each of them: together about as long as a third of the fixed seeds.
const FRESH: u64 = 20;
const FRESH_LIFE: u64 = 4_000;

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
    let seeds: Vec<u64> = (first..).take(lives_of(events)).collect();
    let began = Instant::now();
    let all = live(&seeds, LIFE);
    let (took, last) = (began.elapsed(), seeds.last().unwrap());
    println!("{all:?} in {took:.1?}, seeds {first} to {last}");
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
fn fresh_seeds_break_no_promise() {
    let many = number("SIM_FRESH");
    let length = many.map_or(FRESH_LIFE, |_| LIFE);
    let seeds: Vec<u64> = (0..many.unwrap_or(FRESH))
        .map(|_| rand::random::<u32>().into())
        .collect();
    println!("{length} events each of the seeds {seeds:?}");
    let began = Instant::now();
    println!("{:?} in {:.1?}", live(&seeds, length), began.elapsed());
}

fn lives_of(events: u64) -> usize {
    usize::try_from(events.div_ceil(LIFE)).unwrap()
}

/// Lives all of them, several at a time.
///
/// # Panics
/// With the first broken promise, and how to replay it.
fn live(seeds: &[u64], length: u64) -> Lived {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Lived::default());
    let broken = std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8);
        let work = || {
            while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                match life(*seed, length) {
                    Ok(lived) => all.lock().unwrap().add(lived),
                    Err(broken) => {
                        next.store(seeds.len(), Ordering::Relaxed);
                        return Some((*seed, broken));
                    }
                }
            }
            None
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
    all.into_inner().unwrap()
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
