//! When each check is probed next.
//!
//! In: checks, the ends of probes, the time. Out: the checks to probe now. Never here: what came back, verdicts.
//!
//! A check is due its interval ±10 % after its last probe began; a suspect one, and one
//! that comes up, `retry` after its last probe ended.
//! What shares an address waits for each other there (`address`). All is kept in order of time, so that thousands of
//! checks cost no more per moment than those that are due.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::address::{Address, Start, Turn};
use crate::clock::Mono;
use crate::topology::{Check, CheckId};

/// A probe whose result has not come by this much after its timeout is taken for lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// All checks are probed within this time after the start, as far as the spacing allows.
const FIRST_ROUND: Duration = Duration::from_secs(3);

/// Probes that may be under way at one time: sockets and memory are bounded whatever is configured. The rest waits
/// here, first due first begun, and not where its waiting would count as the peer's silence.
pub const MOST_PROBES: usize = 512;

/// All checks and when they are due.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    random: SmallRng,
    entries: BTreeMap<CheckId, Entry>,
    addresses: BTreeMap<IpAddr, Address>,
    /// The next moment each address wants attention.
    wakes: BTreeSet<(Mono, IpAddr)>,
    /// Addresses with a probe under way.
    probing: BTreeSet<IpAddr>,
    most: usize,
}

/// One check.
#[derive(Clone, Debug)]
struct Entry {
    check: Arc<Check>,
    /// Its line at its address.
    line: usize,
    turn: Turn,
    urgency: Urgency,
}

/// Why a check is due when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// Its interval has passed.
    Interval,
    /// Its own last probe failed after the stream had begun.
    Retry,
    /// A probe of its line failed before the stream: so would have its own.
    LineRetry,
}

/// How a probe ended, as far as the schedule is concerned. `again` is when to try anew, after now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A success.
    Good,
    /// A success of a check that is down: the next one comes sooner, so that a pool that works is used.
    Recovering { again: Duration },
    /// Neither success nor failure.
    Nothing { again: Duration },
    /// A failure of this check alone: the port answers.
    Failed { again: Duration },
    /// A failure before the stream: of every check of the line.
    FailedForAll { again: Duration },
    /// It is not to be counted at all; the check itself is still due when it was.
    Dropped,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Schedule {
        Schedule {
            random: SmallRng::seed_from_u64(seed),
            entries: BTreeMap::new(),
            addresses: BTreeMap::new(),
            wakes: BTreeSet::new(),
            probing: BTreeSet::new(),
            most: MOST_PROBES,
        }
    }

    /// Takes over a new set of checks. Those that are the same keep their turn; new ones come soon.
    pub(super) fn reconfigure<'a>(
        &mut self,
        checks: impl Iterator<Item = (&'a CheckId, &'a Arc<Check>)>,
        now: Mono,
    ) {
        let known = std::mem::take(&mut self.entries);
        self.wakes.clear();
        for address in self.addresses.values_mut() {
            address.clear();
        }
        for (id, check) in checks {
            let same = known.get(id).filter(|entry| entry.check == *check);
            let (turn, urgency) = match same {
                Some(entry) => (entry.turn, entry.urgency),
                None => {
                    let window = FIRST_ROUND.min(check.settings.interval);
                    let due = now + window.mul_f64(self.random.random_range(0.0..=1.0));
                    (Turn { due, began: None }, Urgency::Interval)
                }
            };
            let address = self.addresses.entry(check.peer.ip()).or_default();
            let line = address.join(check, turn);
            if !address.is_probing(id) {
                address.queue(line, id, turn, urgency == Urgency::Interval);
            }
            let check = Arc::clone(check);
            self.entries.insert(
                id.clone(),
                Entry {
                    check,
                    line,
                    turn,
                    urgency,
                },
            );
        }
        let all: Vec<IpAddr> = self.addresses.keys().copied().collect();
        for ip in all {
            if let Some(address) = self.addresses.get_mut(&ip) {
                address.measure();
                address.deal_all(now);
            }
            self.set_wake(ip);
        }
    }

    /// The checks to probe now, each marked as in flight, and those whose probe is taken for lost.
    pub(super) fn due(&mut self, now: Mono) -> (Vec<(CheckId, Arc<Check>)>, Vec<CheckId>) {
        let (mut due, mut lost) = (Vec::new(), Vec::new());
        let awake: Vec<IpAddr> = self
            .wakes
            .iter()
            .take_while(|(wake, _)| *wake <= now)
            .map(|(_, ip)| *ip)
            .filter(|ip| self.probing.len() < self.most || self.probing.contains(ip))
            .collect();
        for ip in awake {
            let gone = self
                .addresses
                .get(&ip)
                .and_then(|address| address.lost(now));
            if let Some(id) = gone {
                if let Some(entry) = self.entries.get(&id) {
                    let again = entry.check.settings.retry;
                    self.ended(&id, ip, End::Nothing { again }, now);
                    lost.push(id);
                } else {
                    self.ended(&id, ip, End::Dropped, now);
                }
            }
            if self.probing.len() < self.most {
                due.extend(self.start_one(ip, now));
            }
        }
        (due, lost)
    }

    /// Whether a result of a probe that began at `began` is one still waited for, and not one taken for lost
    /// whose check has been probed again since.
    pub(super) fn awaits(&self, id: &CheckId, began: Mono) -> bool {
        self.entries
            .get(id)
            .and_then(|entry| entry.turn.began)
            .is_none_or(|last| began >= last)
    }

    /// A probe of this check and address has ended. A check that is no longer configured only frees its address.
    pub(super) fn ended(&mut self, id: &CheckId, ip: IpAddr, end: End, now: Mono) {
        let Some(address) = self.addresses.get_mut(&ip) else {
            return;
        };
        address.free(id);
        if let Some(entry) = self.entries.get(id) {
            let (line, Turn { due, began }) = (entry.line, entry.turn);
            let urgency = entry.urgency;
            let jitter = self.random.random_range(0.9..=1.1);
            let interval = entry.check.settings.interval.mul_f64(jitter);
            // Not probed yet in its present form: it is still due.
            let calm = began.map_or(due, |began| began + interval);
            match end {
                End::Good => {
                    self.queue(id, calm, Urgency::Interval);
                    self.calm_line(ip, line);
                }
                End::Recovering { again } => {
                    self.queue(id, calm.min(now + again), Urgency::Interval);
                    self.calm_line(ip, line);
                }
                End::Failed { again } => {
                    self.queue(id, now + again, Urgency::Retry);
                    self.calm_line(ip, line);
                }
                End::FailedForAll { again } => {
                    self.queue(id, now + again, Urgency::LineRetry);
                    self.retry_line(id, now + again);
                }
                End::Nothing { again } if urgency != Urgency::Interval => {
                    self.queue(id, now + again, urgency);
                }
                End::Nothing { .. } => self.queue(id, calm, urgency),
                End::Dropped => self.queue(id, due, urgency),
            }
            if let Some(address) = self.addresses.get_mut(&ip) {
                if matches!(end, End::Good | End::Recovering { .. }) {
                    address.answered(began);
                }
                address.deal(line, now);
                address.make_way(line, now);
            }
        }
        self.set_wake(ip);
    }

    /// The other checks of this check's line: what fails before the stream fails for all of them.
    pub(super) fn siblings(&self, id: &CheckId) -> Vec<CheckId> {
        self.entries
            .get(id)
            .and_then(|entry| {
                let address = self.addresses.get(&entry.check.peer.ip())?;
                Some(address.queued(entry.line).filter(|sibling| *sibling != id))
            })
            .map(|siblings| siblings.cloned().collect())
            .unwrap_or_default()
    }

    /// When a check is due; its own moment, without the wait for others at its address.
    pub(super) fn due_at(&self, id: &CheckId) -> Option<Mono> {
        self.entries.get(id).map(|entry| entry.turn.due)
    }

    /// The next moment at which [`Schedule::due`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let full = self.probing.len() >= self.most;
        let mut wakes = self.wakes.iter();
        // With every place taken only an end matters, or a probe that is lost.
        let next = wakes.find(|(_, ip)| !full || self.probing.contains(ip));
        next.map(|(wake, _)| *wake)
    }

    fn queue(&mut self, id: &CheckId, due: Mono, urgency: Urgency) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if let Some(address) = self.addresses.get_mut(&entry.check.peer.ip()) {
            address.unqueue(entry.line, id, entry.turn);
            entry.turn.due = due;
            entry.urgency = urgency;
            address.queue(entry.line, id, entry.turn, urgency == Urgency::Interval);
        }
    }

    /// The siblings' turn comes as if they had been probed and had failed: one probe per `retry` counts for all.
    fn retry_line(&mut self, id: &CheckId, retry: Mono) {
        for sibling in self.siblings(id) {
            let urgency = match self.entries.get(&sibling).map(|entry| entry.urgency) {
                Some(Urgency::Retry) => Urgency::Retry,
                _ => Urgency::LineRetry,
            };
            self.queue(&sibling, retry, urgency);
        }
    }

    /// The port answers again: what is due only because it did not is still due, but keeps to the spacing.
    fn calm_line(&mut self, ip: IpAddr, line: usize) {
        let waiting: Vec<CheckId> = match self.addresses.get(&ip) {
            Some(address) => address.retrying(line).cloned().collect(),
            None => return,
        };
        for id in waiting {
            if let Some(entry) = self.entries.get(&id)
                && entry.urgency == Urgency::LineRetry
            {
                self.queue(&id, entry.turn.due, Urgency::Interval);
            }
        }
    }

    /// Begins the probe of this address whose turn it is, if there is one.
    fn start_one(&mut self, ip: IpAddr, now: Mono) -> Option<(CheckId, Arc<Check>)> {
        let address = self.addresses.get_mut(&ip)?;
        let Start { id, line } = address.start(now)?;
        let entry = self.entries.get_mut(&id)?;
        entry.turn.began = Some(now);
        let check = Arc::clone(&entry.check);
        address.lost_at(now + check.settings.timeout + LOST_AFTER);
        address.deal(line, now);
        self.set_wake(ip);
        Some((id, check))
    }

    /// Puts the address where its next moment is; forgets it when it has nothing left to do.
    fn set_wake(&mut self, ip: IpAddr) {
        let Some(address) = self.addresses.get_mut(&ip) else {
            return;
        };
        match address.is_busy() {
            true => self.probing.insert(ip),
            false => self.probing.remove(&ip),
        };
        let wake = address.next();
        if let Some(old) = std::mem::replace(&mut address.wake, wake) {
            self.wakes.remove(&(old, ip));
        }
        match wake {
            Some(wake) => {
                self.wakes.insert((wake, ip));
            }
            None => {
                self.addresses.remove(&ip);
            }
        }
    }
}
