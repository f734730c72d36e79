//! The shell around the engine's core: the one task that owns it.
//!
//! In: events, requests, the machine's clocks (read here and nowhere else in the server). Out: effects, carried out
//! in order; their results come back as events. Never here: a decision, or anything that waits for disk or network.
//!
//! A core that panics is thrown away and begun again from the store after a pause. Answers go on meanwhile.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::alarm_command::AlarmCommand;
use super::command::{Request, RequestId};
use super::event::{BatchToken, Effect, Event};
use super::handle::{Answer, Ask, Handle, Message, restarting, unavailable};
use super::record::{Batch, Remembered};
use super::view::View;
use crate::clock::{Mono, Now, Wall};
use crate::probe::{CanaryObservation, Observation, Phase, ProbeResult, Prober, Reason};
use crate::store::Store;
use crate::topology::{Check, CheckId};
use crate::zone::Zones;

/// Messages that may wait for the core. Senders wait beyond it.
const INBOX: usize = 1024;
/// Requests that may wait for the disk at one time.
const REQUESTS: usize = 256;
/// Probes that may be under way at one time: sockets and memory are bounded whatever is configured.
const PROBES: usize = 512;
/// A probe is bounded by its own timeout; one that is this much over it has lost its way.
const PROBE_GRACE: Duration = Duration::from_secs(10);
/// A failed core is begun again after the first of these pauses, then after longer ones.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A core that lived this long has recovered: the next failure pauses shortly again.
const RECOVERED: Duration = Duration::from_secs(600);
/// The least time between two ticks, should the core ask for a moment that has passed.
const LEAST_REST: Duration = Duration::from_millis(1);

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Begins to count monotonic time.
    #[allow(clippy::new_without_default)] // a default clock would look like a value without a moment in it
    pub fn new() -> Clock {
        Clock {
            began: Instant::now(),
        }
    }

    /// One reading of both clocks.
    pub fn now(&self) -> Now {
        let micros = self.began.elapsed().as_micros();
        let millis = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Now {
            mono: Mono::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)),
            wall: Wall::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)),
        }
    }

    fn instant(&self, moment: Mono) -> Instant {
        let after = u64::try_from(moment.as_micros()).unwrap_or(0);
        self.began + Duration::from_micros(after)
    }
}

/// The pure core as the shell drives it.
pub trait Core: Send + 'static {
    /// Takes one event.
    fn handle(&mut self, event: Event, now: Now) -> Vec<Effect>;
    /// When it wants a [`Event::Tick`] at the latest.
    fn next_deadline(&self) -> Option<Mono>;
    /// The whole state at this moment.
    fn view(&self, now: Now) -> View;
}

impl Core for super::core::Engine {
    fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        self.handle(event, now)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.next_deadline()
    }

    fn view(&self, now: Now) -> View {
        self.view(now)
    }
}

/// Makes a core out of what is remembered, with the effects to carry out first.
pub type Begin<C> = Box<dyn FnMut(Remembered, Now) -> (C, Vec<Effect>) + Send>;

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

/// The task that owns a core.
pub struct Shell<C: Core, P: Probing> {
    begin: Begin<C>,
    core: Option<C>,
    /// Counts the cores: results that an earlier one asked for mean nothing to this one.
    run: u64,
    began: Instant,
    pause: Duration,
    resume: Option<Instant>,
    rested: bool,
    prober: Arc<P>,
    permits: Arc<Semaphore>,
    store: Store,
    alarms: AlarmCommand,
    clock: Clock,
    zones: Arc<ArcSwap<Zones>>,
    inbox: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    replies: HashMap<RequestId, oneshot::Sender<Answer>>,
    requests: u64,
    recalled: Option<oneshot::Receiver<Option<Remembered>>>,
}

impl<C: Core, P: Probing> Shell<C, P> {
    /// Begins the core and carries out its first effects, so that its first zones are published when this returns.
    /// Must be called inside the runtime; `run` then keeps it going.
    pub fn begin(
        mut begin: Begin<C>,
        remembered: Remembered,
        prober: Arc<P>,
        store: Store,
        alarms: AlarmCommand,
        clock: Clock,
    ) -> (Shell<C, P>, Handle) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (core, effects) = begin(remembered, clock.now());
        let zones = Arc::new(ArcSwap::from_pointee(Zones::empty()));
        let handle = Handle {
            inbox: sender.clone(),
            store: store.clone(),
            zones: Arc::clone(&zones),
        };
        let mut shell = Shell {
            begin,
            core: Some(core),
            run: 1,
            began: Instant::now(),
            pause: PAUSE,
            resume: None,
            rested: true,
            prober,
            permits: Arc::new(Semaphore::new(PROBES)),
            store,
            alarms,
            clock,
            zones,
            inbox,
            sender,
            replies: HashMap::new(),
            requests: 0,
            recalled: None,
        };
        shell.carry_out(effects);
        (shell, handle)
    }

    /// Drives the core until [`Handle::stop`].
    pub async fn run(mut self) {
        loop {
            let wake = self.wake();
            let rest = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake.into()).await,
                    None => std::future::pending().await,
                }
            };
            let recalled = async {
                match &mut self.recalled {
                    Some(recalled) => recalled.await.ok().flatten(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.inbox.recv() => match message {
                    None | Some(Message::Stop) => return,
                    Some(message) => self.take(message),
                },
                remembered = recalled => {
                    self.recalled = None;
                    self.begin_again(remembered);
                }
                () = rest => {}
            }
            self.tick_when_due();
        }
    }

    fn wake(&self) -> Option<Instant> {
        if let Some(resume) = self.resume {
            return Some(resume);
        }
        let deadline = self.core.as_ref()?.next_deadline()?;
        let wake = self.clock.instant(deadline);
        Some(if self.rested {
            wake
        } else {
            wake.max(Instant::now() + LEAST_REST)
        })
    }

    fn take(&mut self, message: Message) {
        match message {
            // A core that was thrown away had asked for it.
            Message::Event { run, .. } if run != self.run => {}
            Message::Event { event, .. } | Message::Notice(event) => self.feed(*event),
            Message::Ask { ask, reply } => self.ask(*ask, reply),
            Message::View(reply) => {
                let now = self.clock.now();
                let view = self
                    .core
                    .as_ref()
                    .map(|core| catch_unwind(AssertUnwindSafe(|| core.view(now))));
                match view {
                    // A caller that has gone away needs no answer.
                    Some(Ok(view)) => drop(reply.send(view)),
                    Some(Err(_)) => self.give_up("view"),
                    None => {}
                }
            }
            Message::Stop => {}
        }
    }

    fn ask(&mut self, ask: Ask, reply: oneshot::Sender<Answer>) {
        self.replies.retain(|_, waiting| !waiting.is_closed());
        let refusal = if self.core.is_none() {
            Some(restarting())
        } else if self.replies.len() >= REQUESTS {
            Some(unavailable(
                "too-many-requests",
                format!("{REQUESTS} other requests wait for their answer"),
            ))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            // A caller that has gone away needs no answer.
            let _ = reply.send(Err(refusal));
            return;
        }
        self.requests += 1;
        let id = RequestId(self.requests);
        self.replies.insert(id, reply);
        self.feed(Event::Request(Box::new(Request {
            id,
            command: ask.command,
            author: ask.author,
            why: ask.why,
            dry_run: ask.dry_run,
            volatile: ask.volatile,
        })));
    }

    fn tick_when_due(&mut self) {
        if let Some(resume) = self.resume {
            if resume <= Instant::now() {
                self.resume = None;
                self.recall();
            }
            return;
        }
        let now = self.clock.now().mono;
        let due = |core: &C| core.next_deadline().is_some_and(|deadline| deadline <= now);
        if self.core.as_ref().is_some_and(due) {
            self.feed(Event::Tick);
            self.rested = !self.core.as_ref().is_some_and(due);
        } else {
            self.rested = true;
        }
    }

    fn feed(&mut self, event: Event) {
        let now = self.clock.now();
        let Some(core) = &mut self.core else {
            return;
        };
        let name = name(&event);
        match catch_unwind(AssertUnwindSafe(|| core.handle(event, now))) {
            Ok(effects) => self.carry_out(effects),
            Err(_) => self.give_up(name),
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Probe { id, check } => self.probe(id, check),
                Effect::ProbeCanary { canary, timeout } => self.probe_canary(canary, timeout),
                Effect::Publish(zones) => self.zones.store(zones),
                Effect::Store {
                    token,
                    batch,
                    within,
                } => self.commit(token, *batch, within),
                Effect::Reply { request, result } => {
                    if let Some(reply) = self.replies.remove(&request) {
                        // A caller that has gone away needs no answer.
                        let _ = reply.send(result.map(|done| *done).map_err(|refusal| *refusal));
                    }
                }
                Effect::Alarm { alarm, raised } => self.alarms.tell(alarm, raised),
                Effect::Log { warn: true, text } => tracing::warn!("{text}"),
                Effect::Log { warn: false, text } => tracing::info!("{text}"),
            }
        }
    }

    fn probe(&self, id: CheckId, check: Arc<Check>) {
        let prober = Arc::clone(&self.prober);
        let permits = Arc::clone(&self.permits);
        let clock = self.clock;
        let bound = check.settings.timeout + PROBE_GRACE;
        let lost = (id.clone(), Arc::clone(&check));
        let task = tokio::spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            tokio::time::timeout(bound, prober.probe(id, check)).await
        });
        self.return_event(async move {
            let observation = match task.await {
                Ok(Ok(observation)) => observation,
                Ok(Err(_)) => lost_probe(&lost.0, &lost.1, clock.now(), "it did not end in time"),
                Err(_) => lost_probe(&lost.0, &lost.1, clock.now(), "the prober panicked"),
            };
            Event::Observed(Box::new(observation))
        });
    }

    fn probe_canary(&self, canary: SocketAddr, timeout: Duration) {
        let prober = Arc::clone(&self.prober);
        let clock = self.clock;
        let began = clock.now().mono;
        let task = tokio::spawn(async move {
            tokio::time::timeout(timeout + PROBE_GRACE, prober.probe_canary(canary, timeout)).await
        });
        self.return_event(async move {
            let unanswered = || CanaryObservation {
                canary,
                began,
                ended: clock.now().mono,
                answered: false,
            };
            Event::Canary(match task.await {
                Ok(Ok(observation)) => observation,
                Ok(Err(_)) | Err(_) => unanswered(),
            })
        });
    }

    fn commit(&self, token: BatchToken, batch: Batch, within: Option<Duration>) {
        // Queued here and now, so that batches are committed in the order of the effects.
        let mut commit = self.store.commit(batch);
        let sender = self.sender.clone();
        let run = self.run;
        tokio::spawn(async move {
            let stored = |result| Message::Event {
                run,
                event: Box::new(Event::Stored { token, result }),
            };
            let first = commit.first(within).await;
            let late = matches!(first, Err(super::StoreFault::TooSlow(_)));
            // The engine may have stopped: then nobody needs to know.
            let _ = sender.send(stored(first)).await;
            if late {
                let _ = sender.send(stored(commit.last().await)).await;
            }
        });
    }

    fn return_event(&self, result: impl Future<Output = Event> + Send + 'static) {
        let sender = self.sender.clone();
        let run = self.run;
        tokio::spawn(async move {
            let event = Box::new(result.await);
            // The engine may have stopped: then nobody needs to know.
            let _ = sender.send(Message::Event { run, event }).await;
        });
    }

    /// Throws the core away after a panic. The panic itself has been printed by the runtime's hook.
    fn give_up(&mut self, at: &str) {
        self.core = None;
        self.run += 1;
        for (_, reply) in self.replies.drain() {
            // A caller that has gone away needs no answer.
            let _ = reply.send(Err(restarting()));
        }
        if self.began.elapsed() >= RECOVERED {
            self.pause = PAUSE;
        }
        tracing::error!(
            "critical: the engine failed at {at}; answers go on unchanged, it is restarted from the store in {:?}",
            self.pause
        );
        self.resume = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn recall(&mut self) {
        let store = self.store.clone();
        let (reply, recalled) = oneshot::channel();
        tokio::spawn(async move {
            // The receiver is dropped only with the shell.
            let _ = reply.send(store.recall().await);
        });
        self.recalled = Some(recalled);
    }

    fn begin_again(&mut self, remembered: Option<Remembered>) {
        let remembered = remembered.unwrap_or_else(|| Remembered {
            doubt: Some("the engine was restarted and the store does not answer".into()),
            unavailable: Some("the store does not answer".into()),
            ..Remembered::default()
        });
        let now = self.clock.now();
        let begin = &mut self.begin;
        match catch_unwind(AssertUnwindSafe(|| begin(remembered, now))) {
            Ok((core, effects)) => {
                self.core = Some(core);
                self.began = Instant::now();
                tracing::warn!("the engine runs again");
                self.carry_out(effects);
            }
            Err(_) => self.give_up("its restart"),
        }
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
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Observed(_) => "an observation",
        Event::Canary(_) => "a canary's result",
        Event::Request(_) => "a request",
        Event::Stored { .. } => "a result of the store",
        Event::ConfigurationRejected { .. } => "a refused configuration",
        Event::Tick => "a tick",
    }
}
