//! The task that keeps secondaries in step.
//!
//! In: word of publications and reloads, results of errands. Out: errands begun, the [`Board`], events for the engine.
//! Never here: what is due; the ledger says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::errands::{Done, carry_out};
use super::ledger::{Errand, Ledger};
use super::view::SecondaryView;
use crate::ask::SourceAddresses;
use crate::clock::{Now, ReadNow};
use crate::engine::{AlarmKind, Claim, Concern, Event, Standing};
use crate::serve::Berths;
use crate::shell::{Clock, Handle};
use crate::topology::DomainName;

/// How often alarms are looked at: they are minutes away.
const LOOK: Duration = Duration::from_secs(10);

/// What secondaries say is told to the engine no more often than this: thousands of zones may come at once.
const GATHER: Duration = Duration::from_millis(200);

/// What is known of the secondaries, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Board {
    ledger: Arc<Mutex<Ledger>>,
}

impl Board {
    /// All secondaries, with all their zones or the one asked for.
    pub fn view(&self, zone: Option<&DomainName>, berths: &Berths, now: Now) -> Vec<SecondaryView> {
        self.ledger().view(zone, berths, now.wall)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the secondaries in step for as long as it is polled.
pub async fn keep(board: Board, handle: Handle, clock: Clock, sources: SourceAddresses) {
    let read_now: ReadNow = Arc::new(move || clock.now());
    let mut published = handle.publications();
    let mut configuration = handle.configuration();
    let mut errands: JoinSet<(Errand, Done)> = JoinSet::new();
    let mut told: BTreeMap<(AlarmKind, String), Concern> = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK);
    let mut gather = tokio::time::interval(GATHER);
    gather.set_missed_tick_behavior(MissedTickBehavior::Delay);
    board
        .ledger()
        .configure(&configuration.secondaries, clock.now());
    loop {
        let (next, sighted) = {
            let now = clock.now();
            let mut ledger = board.ledger();
            let current = handle.configuration();
            if !Arc::ptr_eq(&current, &configuration) {
                configuration = current;
                ledger.configure(&configuration.secondaries, now);
            }
            if published.has_changed().unwrap_or(false) {
                published.mark_unchanged();
                ledger.publish(&handle.zones().load(), now);
            }
            for errand in ledger.due(now.mono) {
                let (keys, read_now) = (configuration.tsig.clone(), read_now.clone());
                let sources = sources.clone();
                errands.spawn(async move {
                    let done = carry_out(&errand, &keys, &sources, &read_now).await;
                    (errand, done)
                });
            }
            (ledger.next_deadline(), ledger.has_sightings())
        };
        let rest = async {
            match next {
                Some(next) => tokio::time::sleep_until(clock.instant(next).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = published.changed() => {
                // The engine's edge has ended; nothing will be published any more.
                if changed.is_err() {
                    return;
                }
                published.mark_changed();
            }
            Some(ended) = errands.join_next() => {
                // An errand that panicked is forgotten; the next round asks again.
                if let Ok((errand, done)) = ended {
                    ended_errand(&board, &handle, &errand, done, clock.now()).await;
                }
            }
            () = rest => {}
            _ = gather.tick(), if sighted => {
                let sightings = board.ledger().take_sightings();
                // The engine may have stopped: then nobody needs to know.
                let _ = handle.notify(Event::Sighted(sightings)).await;
            }
            _ = look.tick() => tell(&board, &handle, &mut told, clock.now()).await,
        }
    }
}

async fn ended_errand(board: &Board, handle: &Handle, errand: &Errand, done: Done, now: Now) {
    let ahead = {
        let mut ledger = board.ledger();
        match done {
            Done::Told(result) => {
                ledger.notified(errand, result, now);
                None
            }
            Done::Said(reply) => ledger.answered(errand, reply, now),
        }
    };
    let Some(ahead) = ahead else { return };
    let secondary = &ahead.secondary;
    let claim = Claim {
        server: format!("secondary {} ({})", secondary.name, secondary.address),
        standing: match secondary.tsig {
            Some(_) => Standing::SignedSecondary,
            None => Standing::Secondary,
        },
        addresses: [secondary.address.ip().to_canonical()].into(),
        apex: ahead.apex,
        serial: ahead.has,
    };
    let event = Event::SerialAhead(Box::new(claim));
    // The engine may have stopped: then nobody needs to know.
    let _ = handle.notify(event).await;
}

/// Tells the engine which alarms begin, change and end.
async fn tell(
    board: &Board,
    handle: &Handle,
    told: &mut BTreeMap<(AlarmKind, String), Concern>,
    now: Now,
) {
    let found: BTreeMap<(AlarmKind, String), Concern> = board
        .ledger()
        .concerns(now.wall)
        .into_iter()
        .filter_map(|(kind, subject, concern)| Some(((kind, subject), concern?)))
        .collect();
    let ended = told.keys().filter(|key| !found.contains_key(*key));
    let mut news: Vec<(AlarmKind, String, Option<Concern>)> = ended
        .map(|(kind, subject)| (*kind, subject.clone(), None))
        .collect();
    let begun = found
        .iter()
        .filter(|(key, concern)| told.get(*key) != Some(*concern));
    news.extend(
        begun.map(|((kind, subject), concern)| (*kind, subject.clone(), Some(concern.clone()))),
    );
    for (kind, subject, concern) in news {
        let event = Event::Concern {
            kind,
            subject,
            concern,
        };
        // The engine may have stopped: then nobody needs to know.
        let _ = handle.notify(event).await;
    }
    *told = found;
}
