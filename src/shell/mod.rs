//! The shell around the engine's core: the one task that owns it.
//!
//! In: events, requests, the time. Out: effects, carried out
//! in order; their results come back as events. Never here: a decision, or anything that waits for disk or network.
//!
//! A core that panics is thrown away and begun again from the store after a pause. Answers go on meanwhile.

mod alarm_book;
mod alarm_command;
mod clocks;
mod descendants;
mod handle;
mod outside;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use alarm_command::AlarmCommand;
pub use clocks::Clock;
pub use descendants::adopt_orphans;
use handle::{Answer, Live, Message, restarting, unavailable};
pub use handle::{Ask, ENGINE_SILENT, Handle};
use outside::Outside;
pub use outside::Probing;

use crate::clock::{Mono, Now};
use crate::config::Configuration;
use crate::engine::{Effect, Engine, Event, Parting, Remembered, Request, RequestId, View};
use crate::probe::Observation;
use crate::store::Store;

/// Messages that may wait for the core. Senders wait beyond it.
const INBOX: usize = 1024;
/// Observations that are taken in one step.
const AT_ONCE: usize = 512;
/// Requests that may wait for the disk at one time.
const REQUESTS: usize = 256;
/// A failed core is begun again after the first of these pauses, then after longer ones.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A core that lived this long has recovered: the next failure pauses shortly again.
const RECOVERED: Duration = Duration::from_secs(600);
/// The least time between two ticks, should the core ask for a moment that has passed.
const LEAST_REST: Duration = Duration::from_millis(1);

/// The pure core as the shell drives it.
pub trait Core: Sized + Send + 'static {
    /// Begins from what is remembered, with the effects to carry out first.
    fn begin(
        configuration: Arc<Configuration>,
        remembered: Remembered,
        seed: u64,
        now: Now,
    ) -> (Self, Vec<Effect>);
    /// Takes one event.
    fn handle(&mut self, event: Event, now: Now) -> Vec<Effect>;
    /// When it wants a [`Event::Tick`] at the latest.
    fn next_deadline(&self) -> Option<Mono>;
    /// The whole state at this moment.
    fn view(&self, now: Now) -> View;
    /// The configuration in force.
    fn configuration(&self) -> &Arc<Configuration>;
    /// The end: what is still to be committed.
    fn finish(&mut self) -> Parting;
}

impl Core for Engine {
    fn begin(
        configuration: Arc<Configuration>,
        remembered: Remembered,
        seed: u64,
        now: Now,
    ) -> (Engine, Vec<Effect>) {
        Engine::new(configuration, remembered, seed, now)
    }

    fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        self.handle(event, now)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.next_deadline()
    }

    fn view(&self, now: Now) -> View {
        self.view(now)
    }

    fn configuration(&self) -> &Arc<Configuration> {
        self.configuration()
    }

    fn finish(&mut self) -> Parting {
        self.finish()
    }
}

/// The task that owns a core.
pub struct Shell<C: Core, P: Probing> {
    core: Option<C>,
    live: Arc<Live>,
    /// Counts the cores: results that an earlier one asked for mean nothing to this one.
    run: u64,
    began: Instant,
    pause: Duration,
    resume: Option<Instant>,
    rested: bool,
    outside: Outside<P>,
    alarms: AlarmCommand,
    clock: Clock,
    inbox: mpsc::Receiver<Message>,
    /// Taken from the inbox, and still to be taken care of.
    next: Option<Message>,
    replies: HashMap<RequestId, oneshot::Sender<Answer>>,
    requests: u64,
    recalled: Option<oneshot::Receiver<Option<Remembered>>>,
    /// There is no memory to begin another core with.
    forgotten: bool,
}

impl<C: Core, P: Probing> Shell<C, P> {
    /// Begins the core and carries out its first effects; `run` then keeps it going. Must be called inside the
    /// runtime. The first zones are there when [`Handle::first_zones`] says so.
    pub fn begin(
        configuration: Arc<Configuration>,
        remembered: Remembered,
        prober: Arc<P>,
        store: Store,
        clock: Clock,
    ) -> (Shell<C, P>, Handle) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (core, effects) = C::begin(
            Arc::clone(&configuration),
            remembered,
            rand::random(),
            clock.now(),
        );
        let alarms = AlarmCommand::new(&configuration.alarm, store.directory());
        let live = Arc::new(Live::new(configuration));
        let handle = Handle {
            inbox: sender.clone(),
            store: store.clone(),
            live: Arc::clone(&live),
        };
        let mut shell = Shell {
            core: Some(core),
            live,
            run: 1,
            began: Instant::now(),
            pause: PAUSE,
            resume: None,
            rested: true,
            outside: Outside::new(prober, store, clock, sender),
            alarms,
            clock,
            inbox,
            next: None,
            replies: HashMap::new(),
            requests: 0,
            recalled: None,
            forgotten: false,
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
                message = next_message(&mut self.next, &mut self.inbox) => match message {
                    None => return,
                    Some(Message::Stop(reply)) => return self.finish(reply),
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

    /// Hands the last batch to the store. Queued is enough: whoever stops the server flushes the store.
    fn finish(mut self, reply: oneshot::Sender<()>) {
        if let Some(core) = &mut self.core
            && let Ok(parting) = catch_unwind(AssertUnwindSafe(|| core.finish()))
        {
            if let Some(batch) = parting.batch {
                drop(self.outside.store.commit(batch));
            }
            if let Some(keep) = parting.keep {
                drop(self.outside.store.keep(keep));
            }
        }
        // Whoever stopped it may have lost patience.
        let _ = reply.send(());
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
            Message::Event { event, .. } | Message::Notice(event) => match *event {
                Event::Observed(first) => {
                    let observed = self.gather(*first);
                    self.feed(observed);
                }
                event => self.feed(event),
            },
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
            // A caller that has gone away needs no answer.
            Message::Alive(reply) if !self.forgotten => drop(reply.send(())),
            Message::Alive(_) => {}
            // `run` takes it.
            Message::Stop(_) => {}
        }
    }

    /// Takes the observations that wait behind this one already: a core that is behind catches up in one step.
    fn gather(&mut self, first: Observation) -> Event {
        let mut all = vec![first];
        while all.len() < AT_ONCE {
            match self.inbox.try_recv() {
                Ok(Message::Event { run, event }) if run == self.run => match *event {
                    Event::Observed(next) => all.push(*next),
                    event => {
                        let event = Box::new(event);
                        self.next = Some(Message::Event { run, event });
                        break;
                    }
                },
                Ok(message) => {
                    self.next = Some(message);
                    break;
                }
                Err(_) => break,
            }
        }
        match <[Observation; 1]>::try_from(all) {
            Ok([only]) => Event::Observed(Box::new(only)),
            Err(all) => Event::ObservedAll(all),
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
            expected: ask.expected,
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
            Ok(effects) => {
                // Whoever is told that a reload is done finds its configuration in force.
                self.follow_configuration();
                self.carry_out(effects);
            }
            Err(_) => self.give_up(name),
        }
    }

    /// After a reload: what else depends on the configuration.
    fn follow_configuration(&mut self) {
        let Some(core) = &self.core else {
            return;
        };
        let current = core.configuration();
        if !Arc::ptr_eq(current, &self.live.configuration.load()) {
            self.alarms.replace(&current.alarm);
            self.live.configuration.store(Arc::clone(current));
            self.live.configured.send_modify(|count| *count += 1);
            self.live.changes.send_replace(());
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Probe { id, check } => self.outside.probe(self.run, id, check),
                Effect::ProbeCanary { canary, timeout } => {
                    self.outside.probe_canary(self.run, canary, timeout);
                }
                Effect::Publish(zones) => self.live.publish(zones),
                Effect::AskParent { zone } => {
                    let resolvers = self.live.configuration.load().resolvers.clone();
                    self.outside.ask_parent(self.run, zone, resolvers);
                }
                Effect::MakeKey { zone, algorithm } => {
                    self.outside.make_key(self.run, zone, algorithm);
                }
                Effect::Draft {
                    token,
                    outline,
                    serial,
                } => self.outside.draft(self.run, token, outline, serial),
                Effect::ForgetKey { zone, tag } => self.outside.forget_key(zone, tag),
                Effect::Store {
                    token,
                    batch,
                    within,
                } => self.outside.commit(self.run, token, *batch, within),
                Effect::Keep(keep) => self.outside.keep(self.run, *keep),
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
        let store = self.outside.store.clone();
        let (reply, recalled) = oneshot::channel();
        tokio::spawn(async move {
            // The receiver is dropped only with the shell.
            let _ = reply.send(store.recall().await);
        });
        self.recalled = Some(recalled);
    }

    fn begin_again(&mut self, remembered: Option<Remembered>) {
        let Some(remembered) = remembered else {
            // Without its memory a new core would forget pins and move routes. Answers stay as they are; no sign
            // of life is given any more, so that a service manager starts the whole process again.
            self.forgotten = true;
            tracing::error!(
                "critical: the store has ended, the engine cannot be restarted; answers go on unchanged until the process is restarted"
            );
            return;
        };
        let now = self.clock.now();
        let configuration = self.live.configuration.load_full();
        let begin = || C::begin(configuration, remembered, rand::random(), now);
        match catch_unwind(AssertUnwindSafe(begin)) {
            Ok((core, effects)) => {
                self.core = Some(core);
                self.began = Instant::now();
                tracing::warn!("the engine runs again");
                self.alarms.begin_again();
                self.carry_out(effects);
                self.live.configured.send_modify(|count| *count += 1);
            }
            Err(_) => self.give_up("its restart"),
        }
    }
}

/// The message put back, else the next of the inbox.
async fn next_message(
    next: &mut Option<Message>,
    inbox: &mut mpsc::Receiver<Message>,
) -> Option<Message> {
    match next.take() {
        Some(message) => Some(message),
        None => inbox.recv().await,
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Observed(_) | Event::ObservedAll(_) => "an observation",
        Event::Canary(_) => "a canary's result",
        Event::Request(_) => "a request",
        Event::Stored { .. } => "a result of the store",
        Event::Kept(_) => "a result of the store",
        Event::Inbound(_) => "news of a primary",
        Event::ConfigurationRejected(_) => "a refused configuration",
        Event::Concern { .. } => "a condition found outside",
        Event::SerialAhead(_) => "a serial ahead of ours",
        Event::Parent { .. } => "word from a parent zone",
        Event::KeyMade { .. } => "a new key",
        Event::Drafted { .. } => "a signed zone",
        Event::Sighted(_) => "what secondaries have",
        Event::Tick => "a tick",
    }
}

#[cfg(test)]
mod tests;
