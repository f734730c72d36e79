//! The world around the engine's core: two clocks, a network, a disk, and the effects on their way.
//!
//! In: what a story or the simulation does to it. Out: what happened, event by event. It plays the shell's part:
//! effects are carried out in order and their results come back as events. Never here: the machine's clocks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use repoint::clock::{Mono, Now, Wall};
use repoint::config::Configuration;
use repoint::engine::{
    Alarm, Batch, BatchToken, Command, Done, Effect, Engine, Event, Keep, Refusal, Remembered,
    Request, RequestId, StoreFault,
};
use repoint::probe::CanaryObservation;
use repoint::topology::DomainName;
use repoint::zone::{KeyAlgorithm, SigningKey, Zones};

use crate::disk::Disk;
use crate::made_keys;
use crate::network::Network;
use crate::parents::Parents;
use crate::recording::{Recording, text_of};

/// 2026-11-21T00:00:00Z.
const BEGAN: i64 = 1_795_219_200_000;

/// How the store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreMood {
    /// Commits at once.
    Well,
    /// Takes so long for every batch, one after the other.
    Slow(Duration),
    /// Says no to every batch; what it has can be read.
    Failing,
    /// Says nothing until it is well again.
    Hung,
    /// Cannot even be read: a process that begins now has no memory, and none of its batches is ever committed.
    Dead,
}

/// What came out of the engine, in order.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    Published(Arc<Zones>),
    Replied(RequestId, Result<Box<Done>, Box<Refusal>>),
    Alarm(Alarm, bool),
    /// A batch reached the disk.
    Committed(Box<Batch>),
    Log(String),
    /// The process was killed, here.
    Killed,
}

#[derive(Debug)]
enum Pending {
    Event(Box<Event>),
    /// The disk finishes a batch.
    DiskDone(u64),
    /// The time a batch was given is over.
    DiskLate(u64),
    /// The disk has written zones, if it can.
    DiskKept,
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct Writing {
    number: u64,
    token: BatchToken,
    batch: Box<Batch>,
    within: Option<Duration>,
}

/// Orders the queue by time, then by age.
#[derive(Debug)]
struct Due {
    at: i64,
    number: u64,
    run: u64,
    what: Pending,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The world.
pub(crate) struct World {
    /// Microseconds since the world began; never set back.
    at: i64,
    /// How far the wall clock is off, in milliseconds.
    pub(crate) wall_off: i64,
    /// When the running process began.
    process_began: i64,
    run: u64,
    seed: u64,
    pub(crate) engine: Option<Engine>,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) network: Network,
    pub(crate) disk: Disk,
    pub(crate) parents: Parents,
    /// How long the draft of a zone takes.
    pub(crate) drafts_take: Duration,
    /// How many were asked for.
    pub(crate) drafted: u64,
    mood: StoreMood,
    mood_since: i64,
    /// The running process found no store and never will.
    never: bool,
    writing: VecDeque<Writing>,
    keeping: Option<Box<Keep>>,
    queue: BinaryHeap<Reverse<Due>>,
    next_number: u64,
    next_request: u64,
    keys_made: u64,
    /// Keys whose end has come.
    pub(crate) keys_forgotten: u64,
    /// The process is killed before this many more effects are carried out.
    pub(crate) kill_after: Option<u32>,
    /// The same, but counted from the next publication on.
    pub(crate) kill_after_publishing: Option<u32>,
    /// Zones as partners see them; they stay while the process is dead, as in resolvers' caches.
    pub(crate) zones: Arc<Zones>,
    /// Events handed to engines so far.
    pub(crate) events: u64,
    /// What each process was given, where that is wanted.
    pub(crate) recordings: Option<Vec<Recording>>,
}

impl World {
    pub(crate) fn new(configuration: Arc<Configuration>, seed: u64) -> World {
        World {
            at: 0,
            wall_off: 0,
            process_began: 0,
            run: 0,
            seed,
            engine: None,
            configuration,
            network: Network::new(Wall::from_millis(BEGAN)),
            disk: Disk::default(),
            parents: Parents::default(),
            drafts_take: Duration::from_secs(3),
            drafted: 0,
            mood: StoreMood::Well,
            mood_since: 0,
            never: false,
            writing: VecDeque::new(),
            keeping: None,
            queue: BinaryHeap::new(),
            next_number: 0,
            next_request: 0,
            keys_made: 0,
            keys_forgotten: 0,
            kill_after: None,
            kill_after_publishing: None,
            zones: Arc::new(Zones::empty()),
            events: 0,
            recordings: None,
        }
    }

    /// Time passed since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.at).unwrap())
    }

    pub(crate) fn wall(&self) -> Wall {
        Wall::from_millis(BEGAN + self.at / 1000 + self.wall_off)
    }

    /// Both clocks as the running process reads them.
    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Mono::from_micros(self.at - self.process_began),
            wall: self.wall(),
        }
    }

    /// How the store behaves from here on.
    pub(crate) fn store(&mut self, mood: StoreMood) {
        let hung = self.mood == StoreMood::Hung;
        self.mood = mood;
        self.mood_since = self.at;
        if hung {
            // What hung is carried out now, in order.
            self.disk_next();
        }
    }

    /// How long the store has been well.
    pub(crate) fn store_well_for(&self) -> Duration {
        match self.mood {
            StoreMood::Well if !self.never => {
                Duration::from_micros(u64::try_from(self.at - self.mood_since).unwrap())
            }
            _ => Duration::ZERO,
        }
    }

    /// Whether a process that begins now finds nothing on its disk.
    pub(crate) fn cannot_read_its_disk(&self) -> bool {
        self.mood == StoreMood::Dead
    }

    /// Whether a process that begins now goes on right after an orderly stop.
    pub(crate) fn goes_on_after_a_stop(&self) -> bool {
        let reads = !matches!(self.mood, StoreMood::Dead | StoreMood::Failing);
        reads && self.disk.recall(self.wall()).complete
    }

    /// Begins a process from what is on the disk.
    pub(crate) fn start(&mut self) -> Vec<Happened> {
        assert!(self.engine.is_none(), "a process runs already");
        self.run += 1;
        self.process_began = self.at;
        self.never = self.mood == StoreMood::Dead;
        let remembered = match self.mood {
            StoreMood::Dead => Remembered {
                unavailable: Some("no such device".into()),
                forgotten: true,
                ..Remembered::default()
            },
            StoreMood::Failing => Remembered {
                unavailable: Some("disk full".into()),
                complete: false,
                ..self.disk.recall(self.wall())
            },
            _ => {
                let remembered = self.disk.recall(self.wall());
                self.disk.complete = false;
                remembered
            }
        };
        let now = self.now();
        if let Some(recordings) = &mut self.recordings {
            recordings.push(Recording {
                configuration: self.configuration.clone(),
                remembered: remembered.clone(),
                seed: self.seed ^ self.run,
                began: now,
                events: Vec::new(),
                published: Vec::new(),
            });
        }
        let (engine, effects) = Engine::new(
            self.configuration.clone(),
            remembered,
            self.seed ^ self.run,
            now,
        );
        self.engine = Some(engine);
        let mut happened = Vec::new();
        self.carry_out(effects, &mut happened);
        happened
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(keep) = self.keeping.take().filter(|_| self.writes()) {
            // As far as the disk had got.
            let count = usize::try_from(self.next_number).unwrap() % (keep.zones.len() + 1);
            self.disk.keep(&keep, count);
        }
        self.engine = None;
        self.kill_after = None;
        self.kill_after_publishing = None;
        self.writing.clear();
        self.queue.clear();
    }

    /// A clean stop: what waits is committed if the store can.
    pub(crate) fn stop(&mut self) -> Vec<Happened> {
        let mut happened = Vec::new();
        let Some(mut engine) = self.engine.take() else {
            return happened;
        };
        if self.writes() {
            let writing = std::mem::take(&mut self.writing);
            let parting = engine.finish();
            for batch in writing
                .into_iter()
                .map(|w| w.batch)
                .chain(parting.batch.map(Box::new))
            {
                self.disk.commit(&batch);
                happened.push(Happened::Committed(batch));
            }
            self.keeping = None;
            if let Some(keep) = parting.keep {
                self.disk.keep(&keep, usize::MAX);
            }
        }
        self.kill();
        happened
    }

    fn writes(&self) -> bool {
        matches!(self.mood, StoreMood::Well | StoreMood::Slow(_)) && !self.never
    }

    /// Hands a request to the engine; its answer comes back as [`Happened::Replied`].
    pub(crate) fn request(
        &mut self,
        command: Command,
        author: &str,
        why: Option<&str>,
        dry_run: bool,
        volatile: bool,
    ) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let request = Request {
            id,
            command,
            author: author.to_owned(),
            why: why.map(str::to_owned),
            dry_run,
            volatile,
            expected: None,
        };
        self.put(
            Duration::ZERO,
            Pending::Event(Box::new(Event::Request(Box::new(request)))),
        );
        id
    }

    /// Tells the running process something from outside.
    pub(crate) fn tell(&mut self, event: Event) {
        self.put(Duration::ZERO, Pending::Event(Box::new(event)));
    }

    /// Makes a key whose file is on the disk; not where that cannot be written.
    pub(crate) fn make_key(
        &mut self,
        zone: &DomainName,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<SigningKey>, String> {
        if !self.writes() {
            return Err("disk full".to_owned());
        }
        self.keys_made += 1;
        let number = self.seed.wrapping_mul(1 << 20) + self.keys_made;
        let key = made_keys::key(algorithm, number);
        self.disk.ring.insert(zone.clone(), key.clone());
        Ok(key)
    }

    /// Hands any event to the engine.
    pub(crate) fn event(&mut self, event: Event) {
        self.put(Duration::ZERO, Pending::Event(Box::new(event)));
    }

    /// Advances to the next moment at which something happens, but not beyond `until`. None when `until` is reached.
    pub(crate) fn step(&mut self, until: Duration) -> Option<Vec<Happened>> {
        let until = i64::try_from(until.as_micros()).unwrap();
        let tick = self.engine.as_ref().and_then(Engine::next_deadline);
        // As in the shell, a moment that has passed is come to after a little rest.
        let tick = tick.map(|at| (at.as_micros() + self.process_began).max(self.at + 1000));
        let due = self.queue.peek().map(|Reverse(due)| due.at);
        let next = due.into_iter().chain(tick).min().filter(|at| *at <= until);
        let Some(next) = next else {
            self.at = self.at.max(until);
            return None;
        };
        self.at = self.at.max(next);
        let mut happened = Vec::new();
        if due == Some(next) {
            let Reverse(due) = self.queue.pop().unwrap();
            if due.run == self.run && self.engine.is_some() {
                match due.what {
                    Pending::Event(event) => self.feed(*event, &mut happened),
                    Pending::DiskDone(number) => self.disk_done(number, &mut happened),
                    Pending::DiskLate(number) => self.disk_late(number, &mut happened),
                    Pending::DiskKept => self.disk_kept(&mut happened),
                }
            }
        } else {
            self.feed(Event::Tick, &mut happened);
        }
        Some(happened)
    }

    fn feed(&mut self, event: Event, happened: &mut Vec<Happened>) {
        let now = self.now();
        let Some(engine) = &mut self.engine else {
            return;
        };
        self.events += 1;
        if let Some(recording) = self.recordings.as_mut().and_then(|all| all.last_mut()) {
            recording.events.push((now, event.clone()));
        }
        let effects = engine.handle(event, now);
        self.carry_out(effects, happened);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, happened: &mut Vec<Happened>) {
        for effect in effects {
            if let Some(left) = &mut self.kill_after {
                if *left == 0 {
                    self.kill();
                    happened.push(Happened::Killed);
                    return;
                }
                *left -= 1;
            }
            let now = self.now();
            match effect {
                Effect::Probe { id, check } => {
                    let (observation, took) = self.network.probe(&id, &check, now.mono, now.wall);
                    self.put(
                        took,
                        Pending::Event(Box::new(Event::Observed(Box::new(observation)))),
                    );
                }
                Effect::ProbeCanary { canary, timeout } => {
                    let (answered, took) = self.network.canary(canary, timeout);
                    let observation = CanaryObservation {
                        canary,
                        began: now.mono,
                        ended: now.mono + took,
                        answered,
                    };
                    self.put(took, Pending::Event(Box::new(Event::Canary(observation))));
                }
                Effect::Publish(zones) => {
                    self.zones = zones.clone();
                    if let Some(recording) = self.recordings.as_mut().and_then(|all| all.last_mut())
                    {
                        recording.published.push(text_of(&zones));
                    }
                    happened.push(Happened::Published(zones));
                    if let Some(effects) = self.kill_after_publishing.take() {
                        self.kill_after = Some(effects);
                    }
                }
                Effect::Store {
                    token,
                    batch,
                    within,
                } => {
                    self.next_number += 1;
                    let number = self.next_number;
                    self.writing.push_back(Writing {
                        number,
                        token,
                        batch,
                        within,
                    });
                    if let Some(within) = within {
                        self.put(within, Pending::DiskLate(number));
                    }
                    if self.writing.len() == 1 {
                        self.disk_next();
                    }
                }
                Effect::Keep(keep) => {
                    assert!(self.keeping.is_none(), "two at a time");
                    self.keeping = Some(keep);
                    let took = match self.mood {
                        StoreMood::Slow(time) => time,
                        _ => Duration::from_millis(2),
                    };
                    self.put(took, Pending::DiskKept);
                }
                Effect::Reply {
                    request,
                    mut result,
                } => {
                    if let Ok(done) = &mut result {
                        assert_eq!(done.zone_diff, "", "not for the engine's task");
                        done.describe();
                    }
                    happened.push(Happened::Replied(request, result));
                }
                Effect::AskParent { zone } => {
                    let heard = self.parents.ask(&zone, now.wall);
                    let event = Event::Parent { zone, heard };
                    self.put(Duration::from_millis(50), Pending::Event(Box::new(event)));
                }
                Effect::MakeKey { zone, algorithm } => {
                    let made = self.make_key(&zone, algorithm);
                    let event = Event::KeyMade { zone, made };
                    self.put(Duration::from_millis(1), Pending::Event(Box::new(event)));
                }
                Effect::Draft {
                    token,
                    outline,
                    serial,
                } => {
                    self.drafted += 1;
                    let drafted = Ok(Arc::new(outline.draft(serial)));
                    let event = Event::Drafted { token, drafted };
                    self.put(self.drafts_take, Pending::Event(Box::new(event)));
                }
                Effect::ForgetKey { zone, tag } => {
                    self.keys_forgotten += 1;
                    if self.writes() {
                        self.disk.ring.remove(&zone, tag);
                    }
                }
                Effect::Alarm { alarm, raised } => happened.push(Happened::Alarm(alarm, raised)),
                Effect::Log { text, .. } => happened.push(Happened::Log(text)),
            }
        }
    }

    /// The disk begins the batch at the head of its queue.
    fn disk_next(&mut self) {
        let took = match self.mood {
            StoreMood::Well | StoreMood::Failing | StoreMood::Dead => Duration::from_millis(1),
            StoreMood::Slow(time) => time,
            StoreMood::Hung => return,
        };
        if let Some(first) = self.writing.front() {
            let number = first.number;
            self.put(took, Pending::DiskDone(number));
        }
    }

    fn disk_done(&mut self, number: u64, happened: &mut Vec<Happened>) {
        if self.mood == StoreMood::Hung
            || self
                .writing
                .front()
                .is_none_or(|first| first.number != number)
        {
            return;
        }
        let Some(done) = self.writing.pop_front() else {
            return;
        };
        let result = match self.mood {
            _ if self.never => Err(StoreFault::Failed("no such device".into())),
            StoreMood::Failing | StoreMood::Dead => Err(StoreFault::Failed("disk full".into())),
            _ => {
                self.disk.commit(&done.batch);
                happened.push(Happened::Committed(done.batch));
                Ok(())
            }
        };
        self.disk_next();
        self.feed(
            Event::Stored {
                token: done.token,
                result,
            },
            happened,
        );
    }

    fn disk_kept(&mut self, happened: &mut Vec<Happened>) {
        if self.mood == StoreMood::Hung {
            self.put(Duration::from_secs(1), Pending::DiskKept);
            return;
        }
        let Some(keep) = self.keeping.take() else {
            return;
        };
        let result = if self.writes() {
            self.disk.keep(&keep, usize::MAX);
            Ok(())
        } else {
            Err("disk full".to_owned())
        };
        self.feed(Event::Kept(result), happened);
    }

    /// A batch that the disk has begun is too slow; one that waits behind others is withdrawn.
    fn disk_late(&mut self, number: u64, happened: &mut Vec<Happened>) {
        let Some(place) = self
            .writing
            .iter()
            .position(|writing| writing.number == number)
        else {
            return;
        };
        let within = self.writing[place].within.unwrap_or_default();
        let token = self.writing[place].token;
        let fault = if place == 0 {
            StoreFault::TooSlow(within)
        } else {
            self.writing.remove(place);
            StoreFault::Failed(
                "the disk was busy with earlier writes; this one was withdrawn".into(),
            )
        };
        self.feed(
            Event::Stored {
                token,
                result: Err(fault),
            },
            happened,
        );
    }

    fn put(&mut self, after: Duration, what: Pending) {
        self.next_number += 1;
        let at = self.at + i64::try_from(after.as_micros()).unwrap();
        self.queue.push(Reverse(Due {
            at,
            number: self.next_number,
            run: self.run,
            what,
        }));
    }
}
