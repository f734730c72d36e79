//! Following one zone: its primaries are asked whenever it is time, and the engine hears what came of it.
//!
//! In: a zone's primaries, words of changes. Out: news to the engine; one line in the log when things begin or cease
//! to fail. Never here: whether a version is put in force.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::pull::{Asking, Patience, PullFault};
use super::share::Shares;
use super::timer::Timer;
use crate::ask::SourceAddresses;
use crate::engine::{Event, InboundNews, InboundOutcome};
use crate::shell::{Clock, Handle};
use crate::topology::{DomainName, Primary};
use crate::tsig::Key;
use crate::zone::StaticZone;

/// How long a primary is waited for that sends as many other zones as one may, when the zone has a
/// further primary.
const SLOT_PATIENCE: Duration = Duration::from_secs(10);

/// What all followers share.
pub(super) struct Shared {
    pub(super) engine: Handle,
    pub(super) clock: Clock,
    /// The addresses that primaries are asked from.
    pub(super) sources: SourceAddresses,
    /// What transfers share.
    pub(super) shares: Shares,
}

/// One zone as it is followed. What was received outlives a change of its primaries.
pub(super) struct Follower {
    pub(super) apex: DomainName,
    pub(super) primary: Primary,
    pub(super) key: Option<Arc<Key>>,
    pub(super) copy: Mutex<Option<Arc<StaticZone>>>,
    /// Somebody says that the zone has changed.
    pub(super) hurry: Notify,
    /// What came of the last attempt: how many there were, and its words.
    pub(super) attempts: watch::Sender<(u64, Result<String, String>)>,
}

impl Follower {
    pub(super) fn copy(&self) -> Option<Arc<StaticZone>> {
        let copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        copy.clone()
    }

    /// Follows the zone until the task is given up.
    pub(super) async fn run(self: Arc<Follower>, shared: Arc<Shared>) {
        let now = || shared.clock.now().mono;
        let mut timer = Timer::new(self.copy().map(|copy| copy.timers()), now());
        let mut failing: Option<String> = None;
        loop {
            let pause = timer.next().since(now());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.hurry.notified() => {
                    timer.hurry(now());
                    continue;
                }
            }
            timer.begin();
            let asked = {
                let ask = self.ask_all(&shared);
                tokio::pin!(ask);
                loop {
                    tokio::select! {
                        asked = &mut ask => break asked,
                        () = self.hurry.notified() => timer.hurry(now()),
                    }
                }
            };
            let said = self.take(&asked, &mut failing);
            match (&asked.result, self.copy()) {
                (Ok(_), Some(copy)) => timer.succeeded(copy.timers(), now()),
                _ => timer.failed(now()),
            }
            self.tell(asked, &shared).await;
            self.attempts.send_modify(|(count, last)| {
                *count += 1;
                *last = said;
            });
        }
    }

    /// Asks the primaries in their order until one says which version it has.
    async fn ask_all(&self, shared: &Arc<Shared>) -> Asked {
        let ours = self.copy();
        let mut faults: Vec<(SocketAddr, PullFault)> = Vec::new();
        for (n, server) in self.primary.addresses.iter().enumerate() {
            let clock = shared.clock;
            let is_last = n + 1 == self.primary.addresses.len();
            let slot = shared.shares.slot(server.ip());
            // Another primary may have time.
            let slot = match is_last {
                true => Ok(slot.await),
                false => tokio::time::timeout(SLOT_PATIENCE, slot).await,
            };
            let Ok(slot) = slot else {
                faults.push((*server, PullFault::Busy));
                continue;
            };
            let asking = Asking {
                apex: self.apex.clone(),
                server: *server,
                patience: Patience::default(),
                key: self.key.clone(),
                source: shared.sources.toward(server.ip(), self.primary.source),
                memory: slot.memory.clone(),
                read_wall: Arc::new(move || clock.now().wall),
            };
            match asking.pull(ours.as_ref()).await {
                Ok(zone) => {
                    return Asked {
                        from: *server,
                        result: Ok(zone),
                    };
                }
                Err(fault) => faults.push((*server, fault)),
            }
        }
        // At least one address is configured.
        let from = self.primary.addresses.last().copied();
        Asked {
            from: from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            result: Err(faults),
        }
    }

    /// Keeps what came, and logs what is new about it. Out: what came of it, in words.
    fn take(&self, asked: &Asked, failing: &mut Option<String>) -> Result<String, String> {
        let apex = &self.apex;
        let faults = match &asked.result {
            Ok(zone) => {
                let said = match zone {
                    Some(zone) => format!("serial {} received from {}", zone.serial(), asked.from),
                    None => format!("{} has no newer version", asked.from),
                };
                if let Some(zone) = zone {
                    let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
                    *copy = Some(zone.clone());
                }
                if failing.take().is_some() {
                    tracing::info!("zone {apex}: its primary {} answers again", asked.from);
                }
                return Ok(said);
            }
            Err(faults) => in_words(faults),
        };
        let in_force = match self.copy() {
            Some(copy) => format!("serial {}, received before, stays", copy.serial()),
            None => "it is not served until it was received".to_owned(),
        };
        // The same again and again is said once.
        if failing.as_ref() != Some(&faults) {
            tracing::warn!("cannot transfer zone {apex}: {faults}; {in_force}");
            *failing = Some(faults.clone());
        }
        Err(faults)
    }

    async fn tell(&self, asked: Asked, shared: &Shared) {
        let outcome = match asked.result {
            Ok(Some(zone)) => InboundOutcome::Received(zone),
            Ok(None) => InboundOutcome::Current,
            Err(faults) if faults.iter().any(|(_, fault)| fault.is_content()) => {
                InboundOutcome::Unusable(in_words(&faults))
            }
            Err(faults) => InboundOutcome::Failed(in_words(&faults)),
        };
        let news = InboundNews {
            apex: self.apex.clone(),
            from: asked.from,
            outcome,
        };
        // The engine may have stopped: then nobody needs to know.
        let _ = shared.engine.notify(Event::Inbound(Box::new(news))).await;
    }

    /// Tells the engine once more what we have: another core, or another configuration, may not know it.
    pub(super) async fn tell_again(&self, shared: &Shared) {
        let Some(zone) = self.copy() else { return };
        let Some(from) = self.primary.addresses.first() else {
            return;
        };
        let news = InboundNews {
            apex: self.apex.clone(),
            from: *from,
            outcome: InboundOutcome::Known(zone),
        };
        // The engine may have stopped: then nobody needs to know.
        let _ = shared.engine.notify(Event::Inbound(Box::new(news))).await;
    }
}

/// What came of asking all primaries.
struct Asked {
    from: SocketAddr,
    result: Result<Option<Arc<StaticZone>>, Vec<(SocketAddr, PullFault)>>,
}

fn in_words(faults: &[(SocketAddr, PullFault)]) -> String {
    let each: Vec<String> = faults
        .iter()
        .map(|(server, fault)| match fault {
            // It names the server itself.
            PullFault::Ask(error) => error.to_string(),
            fault => format!("{server}: {fault}"),
        })
        .collect();
    each.join("; ")
}
