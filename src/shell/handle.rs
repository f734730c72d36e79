//! The handle of a running engine: how the control interface asks, looks and reads history.
//!
//! In: commands and questions from any task. Out: the engine's answer, or a [`Refusal`] that says what stays in
//! force. Never here: decisions; a handle only carries messages to the shell and waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Configuration;
use crate::engine::{Command, Done, Entry, Event, Expected, Refusal, RefusalKind, View};
use crate::patience::within;
use crate::store::{HistoryError, HistoryFilter, Store};
use crate::topology::DomainName;
use crate::zone::{Name, ZoneVersion, Zones};

/// An engine that does not answer in this time is stuck: callers are told so instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// A command is answered within ten seconds, or later where the machine is busy, while the engine answers others.
const LONGEST: Duration = Duration::from_secs(60);

/// What an operator asks, with who asks and how. The shell gives it its number.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is asked.
    pub command: Command,
    /// Who asks: the user name behind the control socket, or what `--author` says.
    pub author: String,
    /// Why, in the operator's words.
    pub why: Option<String>,
    /// Work it out and answer, but change nothing.
    pub dry_run: bool,
    /// Accept that the change is lost at restart when the store cannot commit it.
    pub volatile: bool,
    /// Refuse when something else is in force by then.
    pub expected: Option<Expected>,
}

/// The answer to a command.
pub(super) type Answer = Result<Done, Refusal>;

/// What reaches the shell's task.
#[derive(Debug)]
pub(super) enum Message {
    /// A result of an effect, with the run of the core that wanted it.
    Event { run: u64, event: Box<Event> },
    /// Something from outside that no run of the core waits for.
    Notice(Box<Event>),
    /// An operator's request.
    Ask {
        ask: Box<Ask>,
        reply: oneshot::Sender<Answer>,
    },
    /// A question for the whole state.
    View(oneshot::Sender<View>),
    /// A question for a sign of life.
    Alive(oneshot::Sender<()>),
    /// The end.
    Stop(oneshot::Sender<()>),
}

/// What is in force, for readers that must not wait for the engine.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) zones: Arc<ArcSwap<Zones>>,
    pub(super) configuration: ArcSwap<Configuration>,
    /// Counts configurations and cores: who depends on either looks again.
    pub(super) configured: watch::Sender<u64>,
    /// Of each zone that has changed, the version before the one served.
    before: Mutex<HashMap<Name, Arc<ZoneVersion>>>,
    /// Whether zones have been published yet.
    first: watch::Sender<bool>,
    /// Changes with every publication and every configuration.
    pub(super) changes: watch::Sender<()>,
}

impl Live {
    pub(super) fn new(configuration: Arc<Configuration>) -> Live {
        Live {
            zones: Arc::new(ArcSwap::from_pointee(Zones::empty())),
            configuration: ArcSwap::new(configuration),
            configured: watch::Sender::new(0),
            before: Mutex::default(),
            first: watch::Sender::new(false),
            changes: watch::Sender::new(()),
        }
    }

    pub(super) fn publish(&self, zones: Arc<Zones>) {
        let old = self.zones.swap(Arc::clone(&zones));
        self.changes.send_replace(());
        // Kept after the swap: partners do not wait for what operators may ask.
        let mut before = lock(&self.before);
        before.retain(|apex, _| zones.version_at(apex).is_some());
        for version in old.iter() {
            let current = zones.version_at(version.apex());
            if current.is_some_and(|current| !Arc::ptr_eq(current, version)) {
                before.insert(version.apex().clone(), Arc::clone(version));
            }
        }
        self.first.send_replace(true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was done, with its text: made neither on the engine's task nor on one that answers others.
async fn described(mut done: Done) -> Result<Done, Refusal> {
    if done.planned.is_none() {
        return Ok(done);
    }
    let described = tokio::task::spawn_blocking(move || {
        done.describe();
        done
    });
    let failed = |ended: tokio::task::JoinError| {
        unavailable(
            "internal",
            format!("the differences could not be shown: {ended}"),
        )
    };
    described.await.map_err(failed)
}

/// A way to the running engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) store: Store,
    pub(super) live: Arc<Live>,
}

impl Handle {
    /// Carries out a command. Returns once the change is served, or says why not and what stays in force.
    pub async fn request(&self, ask: Ask) -> Result<Done, Refusal> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Ask {
            ask: Box::new(ask),
            reply,
        };
        let asked = self.exchange_within(LONGEST, message, answer);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => return described(answer??).await,
                () = tokio::time::sleep(PATIENCE) => if !self.alive().await {
                    return Err(stuck());
                }
            }
        }
    }

    /// The whole state at this moment.
    pub async fn view(&self) -> Result<View, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.exchange(Message::View(reply), answer).await
    }

    /// The zones served: swapped whole at every publication, so a query loads them once.
    pub fn zones(&self) -> Arc<ArcSwap<Zones>> {
        Arc::clone(&self.live.zones)
    }

    /// History entries, oldest first. What was journalled in the last moments may still be on its way to disk.
    pub async fn history(&self, filter: HistoryFilter) -> Result<Vec<Entry>, HistoryError> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.history(&filter)).await {
            Ok(result) => result,
            Err(ended) => Err(HistoryError::new(ended.to_string())),
        }
    }

    /// The version of a zone before the one served; none when it has not changed since the start.
    pub fn zone_before(&self, apex: &DomainName) -> Option<Arc<ZoneVersion>> {
        lock(&self.live.before).get(&Name::from(apex)).cloned()
    }

    /// Waits until there are zones to serve.
    pub async fn first_zones(&self) {
        // The sender lives as long as this handle.
        let _ = self.live.first.subscribe().wait_for(|first| *first).await;
    }

    /// Changes with every publication and every configuration put in force.
    pub fn publications(&self) -> watch::Receiver<()> {
        let mut publications = self.live.changes.subscribe();
        publications.mark_changed();
        publications
    }

    /// The configuration in force.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.live.configuration.load_full()
    }

    /// Changes when another configuration is in force, or another core has begun with it.
    pub fn configurations(&self) -> watch::Receiver<u64> {
        self.live.configured.subscribe()
    }

    /// Whether the engine's task answers; it does so between two cores, too.
    pub async fn alive(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.exchange(Message::Alive(reply), answer).await.is_ok()
    }

    /// Tells the engine of something that happened outside: a configuration file that was refused.
    pub async fn notify(&self, event: Event) -> Result<(), Refusal> {
        let message = Message::Notice(Box::new(event));
        self.inbox.send(message).await.map_err(|_| stopped())
    }

    /// Ends the engine's task, with its last batch in the store's queue. Answers go on from the zones last
    /// published until the listeners end too.
    pub async fn stop(&self) -> Result<(), Refusal> {
        let (reply, stopped) = oneshot::channel();
        self.exchange(Message::Stop(reply), stopped).await
    }

    async fn exchange<T>(
        &self,
        message: Message,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, Refusal> {
        self.exchange_within(PATIENCE, message, answer).await
    }

    async fn exchange_within<T>(
        &self,
        patience: Duration,
        message: Message,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, Refusal> {
        let wait = async {
            self.inbox.send(message).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| restarting())
        };
        match within(patience, wait).await {
            Some(result) => result,
            None => Err(stuck()),
        }
    }
}

/// The codes of refusals by an engine that did not answer begin like this: what was asked may be done all the same.
pub const ENGINE_SILENT: &str = "engine-";

fn stuck() -> Refusal {
    unavailable(
        "engine-stuck",
        format!("it did not answer within {PATIENCE:?}"),
    )
}

fn stopped() -> Refusal {
    unavailable("engine-stopped", "it has stopped".into())
}

/// The refusal of everything while the core is being restarted.
pub(super) fn restarting() -> Refusal {
    unavailable(
        "engine-restarting",
        "it failed and is being restarted".into(),
    )
}

pub(super) fn unavailable(code: &str, why: String) -> Refusal {
    Refusal {
        code: code.into(),
        kind: RefusalKind::Unavailable,
        what: "cannot ask the engine".into(),
        why,
        in_force: "the zones last published go on being served".into(),
        hint: None,
    }
}
