//! What effects begin outside the core: probes, attempts to reach canaries, commits.
//!
//! In: an effect, and the run of the core that wants it. Out: one message per effect, always, also when a prober panics
//! or hangs; two for a commit that ended late. Never here: waiting in the caller; each effect has a task of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::clocks::Clock;
use super::handle::Message;
use crate::ask::{self, DsSaid, Resolvers, parent_ds};
use crate::clock::{Now, Wall};
use crate::engine::{Batch, BatchToken, DraftToken, Event, Keep, StoreFault};
use crate::health::MOST_PROBES;
use crate::keys::ParentDs;
use crate::patience::within;
use crate::probe::{CanaryObservation, Observation, Phase, ProbeResult, Prober, Reason};
use crate::store::Store;
use crate::topology::{Check, CheckId, DomainName};
use crate::zone::{KeyAlgorithm, Name, Outline, Rdata, Serial};

/// A probe is bounded by its own timeout; one that is this much over it has lost its way.
const PROBE_GRACE: Duration = Duration::from_secs(10);

/// Parent zones that may be asked at one time, however many zones there are.
const PARENTS: usize = 16;
/// Asking the parent of one zone, all its servers and their addresses included, takes no longer than this.
const PARENT_PATIENCE: Duration = Duration::from_secs(30);

/// What makes probes.
pub trait Probing: Send + Sync + 'static {
    /// One probe of one check; bounded by the check's timeout.
    fn probe(&self, id: CheckId, check: Arc<Check>) -> impl Future<Output = Observation> + Send;

    /// One attempt to reach a canary.
    fn probe_canary(
        &self,
        canary: SocketAddr,
        timeout: Duration,
    ) -> impl Future<Output = CanaryObservation> + Send;
}

impl Probing for Prober {
    async fn probe(&self, id: CheckId, check: Arc<Check>) -> Observation {
        Prober::probe(self, &id, &check).await
    }

    async fn probe_canary(&self, canary: SocketAddr, timeout: Duration) -> CanaryObservation {
        Prober::probe_canary(self, canary, timeout).await
    }
}

/// The way out of the shell and back.
pub(super) struct Outside<P: Probing> {
    prober: Arc<P>,
    permits: Arc<Semaphore>,
    parents: Arc<Semaphore>,
    pub(super) store: Store,
    clock: Clock,
    sender: mpsc::Sender<Message>,
}

impl<P: Probing> Outside<P> {
    pub(super) fn new(
        prober: Arc<P>,
        store: Store,
        clock: Clock,
        sender: mpsc::Sender<Message>,
    ) -> Outside<P> {
        Outside {
            prober,
            permits: Arc::new(Semaphore::new(MOST_PROBES)),
            parents: Arc::new(Semaphore::new(PARENTS)),
            store,
            clock,
            sender,
        }
    }

    pub(super) fn probe(&self, run: u64, id: CheckId, check: Arc<Check>) {
        let prober = Arc::clone(&self.prober);
        let permits = Arc::clone(&self.permits);
        let clock = self.clock;
        let bound = check.settings.timeout + PROBE_GRACE;
        let lost = (id.clone(), Arc::clone(&check));
        let task = tokio::spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            within(bound, prober.probe(id, check)).await
        });
        self.return_event(run, async move {
            let observation = match task.await {
                Ok(Some(observation)) => observation,
                Ok(None) => lost_probe(&lost.0, &lost.1, clock.now(), "it did not end in time"),
                Err(_) => lost_probe(&lost.0, &lost.1, clock.now(), "the prober panicked"),
            };
            Event::Observed(Box::new(observation))
        });
    }

    pub(super) fn probe_canary(&self, run: u64, canary: SocketAddr, timeout: Duration) {
        let prober = Arc::clone(&self.prober);
        let clock = self.clock;
        let began = clock.now().mono;
        let task = tokio::spawn(async move {
            within(timeout + PROBE_GRACE, prober.probe_canary(canary, timeout)).await
        });
        self.return_event(run, async move {
            let unanswered = || CanaryObservation {
                canary,
                began,
                ended: clock.now().mono,
                answered: false,
            };
            Event::Canary(match task.await {
                Ok(Some(observation)) => observation,
                Ok(None) | Err(_) => unanswered(),
            })
        });
    }

    pub(super) fn ask_parent(&self, run: u64, zone: DomainName, resolvers: Vec<SocketAddr>) {
        let permits = Arc::clone(&self.parents);
        let clock = self.clock;
        let apex = Name::from(&zone);
        let task = tokio::spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            let resolvers = Resolvers::new(&resolvers);
            let asked = clock.now().wall;
            let said = within(PARENT_PATIENCE, parent_ds(&apex, &resolvers)).await;
            match said {
                Some(Ok(said)) => Ok(heard(asked, &said)),
                Some(Err(error)) => Err(error.to_string()),
                None => Err(format!(
                    "the parent did not answer within {PARENT_PATIENCE:?}"
                )),
            }
        });
        self.return_event(run, async move {
            let heard = task.await.unwrap_or_else(|ended| Err(ended.to_string()));
            Event::Parent { zone, heard }
        });
    }

    pub(super) fn make_key(&self, run: u64, zone: DomainName, algorithm: KeyAlgorithm) {
        let files = self.store.key_files();
        let apex = zone.clone();
        let task = tokio::task::spawn_blocking(move || {
            let key = files
                .draw(&apex, algorithm)
                .map_err(|fault| fault.to_string())?;
            let written = files.write(&apex, &key);
            let told = |error| format!("{}: {error}", files.path(&apex, key.tag()).display());
            written.map_err(told)?;
            Ok(Arc::new(key))
        });
        self.return_event(run, async move {
            let made = task.await.unwrap_or_else(|ended| Err(ended.to_string()));
            Event::KeyMade { zone, made }
        });
    }

    /// A large zone is signed on a thread of its own.
    pub(super) fn draft(&self, run: u64, token: DraftToken, outline: Arc<Outline>, serial: Serial) {
        let task = tokio::task::spawn_blocking(move || Arc::new(outline.draft(serial)));
        self.return_event(run, async move {
            let drafted = task.await.map_err(|ended| ended.to_string());
            Event::Drafted { token, drafted }
        });
    }

    pub(super) fn forget_key(&self, zone: DomainName, tag: u16) {
        let files = self.store.key_files();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = files.remove(&zone, tag) {
                let path = files.path(&zone, tag);
                tracing::warn!(
                    "cannot remove {}, a key that is used no more: {error}; remove it by hand",
                    path.display()
                );
            }
        });
    }

    pub(super) fn commit(
        &self,
        run: u64,
        token: BatchToken,
        batch: Batch,
        within: Option<Duration>,
    ) {
        // Queued here and now, so that batches are committed in the order of the effects.
        let mut commit = self.store.commit(batch);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let stored = |result| Message::Event {
                run,
                event: Box::new(Event::Stored { token, result }),
            };
            let first = commit.first(within).await;
            let late = matches!(first, Err(StoreFault::TooSlow(_)));
            // The engine may have stopped: then nobody needs to know.
            let _ = sender.send(stored(first)).await;
            if late {
                let _ = sender.send(stored(commit.last().await)).await;
            }
        });
    }

    /// Zones on their way to the disk, behind everything queued before and beside every command.
    pub(super) fn keep(&self, run: u64, keep: Keep) {
        let kept = self.store.keep(keep);
        self.return_event(run, async move {
            let gone = || Err("the store's thread has ended".to_owned());
            Event::Kept(kept.await.unwrap_or_else(|_| gone()))
        });
    }

    fn return_event(&self, run: u64, result: impl Future<Output = Event> + Send + 'static) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let event = Box::new(result.await);
            // The engine may have stopped: then nobody needs to know.
            let _ = sender.send(Message::Event { run, event }).await;
        });
    }
}

/// What the servers of a parent said, server by server: one that answers at one of its addresses has answered. This
/// machine need not have every family of addresses.
fn heard(asked: Wall, said: &ask::ParentDs) -> ParentDs {
    let mut servers: BTreeMap<&Name, Vec<&DsSaid>> = BTreeMap::new();
    for answer in &said.servers {
        let known = servers.entry(&answer.server).or_default();
        if !matches!(answer.said, DsSaid::Silent(_)) {
            known.push(&answer.said);
        }
    }
    let each = servers.values().flat_map(|said| match said[..] {
        [] => vec![None],
        _ => said.iter().map(|said| ds_set(said)).collect(),
    });
    // Who could not be asked may have what the others do not.
    let unknown = said.unknown.iter().map(|_| None);
    ParentDs::of(asked, each.chain(unknown))
}

fn ds_set(said: &DsSaid) -> Option<(&[Rdata], u32)> {
    match said {
        DsSaid::Set { rdatas, ttl } => Some((rdatas, *ttl)),
        DsSaid::Absent { ttl } => Some((&[], *ttl)),
        DsSaid::Lame(_) | DsSaid::Silent(_) => None,
    }
}

/// What stands for a probe that gave no result of its own: our fault, so it proves nothing about the pool.
fn lost_probe(id: &CheckId, check: &Check, now: Now, error: &str) -> Observation {
    Observation {
        check: id.clone(),
        peer: check.peer,
        began: now.mono,
        ended: now.mono,
        at: now.wall,
        reached: None,
        result: ProbeResult::Stopped {
            phase: Phase::Connect,
            reason: Reason::LocalFailure {
                error: error.into(),
            },
        },
        phases: Vec::new(),
        tls: None,
        certificate: None,
        notes: Vec::new(),
        known_as: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ask::DsAnswer;

    #[test]
    fn a_parent_server_whose_address_is_not_known_may_have_another_ds() {
        let name = |text: &str| Name::from_text(text.as_bytes(), None).unwrap();
        let absent = DsAnswer {
            server: name("ns1.example."),
            address: "192.0.2.53:53".parse().unwrap(),
            said: DsSaid::Absent { ttl: 30 },
        };
        let mut said = ask::ParentDs {
            parent: name("example."),
            servers: vec![absent],
            unknown: Vec::new(),
        };
        let at = Wall::from_millis(0);
        assert!(heard(at, &said).is_empty());
        said.unknown.push(name("ns2.example."));
        assert!(!heard(at, &said).complete);
    }
}
