//! When each check is probed next.
//!
//! In: checks, the ends of probes, the time. Out: the checks to probe now. Never here: what came back, verdicts.
//!
//! Three rules (DESIGN §3): an address has one probe in flight; ordinary probes of an address begin at least
//! [`SPACING`] apart; a suspect check is tried again `retry` after its last probe ended, whatever the spacing.
//!
//! An address has one *line* per port (and source, timeout and retry). The check domains of a line take turns, the one
//! that waits longest first, and each tells whether the port answers at all. Each line keeps a slot for its next
//! probe; slots of one address are dealt out so that they stay apart and none comes later than interval + 10 %.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::topology::{Check, CheckId};

/// Least time between the beginnings of two ordinary probes of one address. Intervals too short for it shorten it.
pub(super) const SPACING: Duration = Duration::from_secs(2);

/// A probe whose result has not come by this much after its timeout is taken for lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// All checks are probed within this time after the start, as far as the spacing allows.
const FIRST_ROUND: Duration = Duration::from_secs(3);

/// All checks and when they are due.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    random: SplitMix,
    entries: BTreeMap<CheckId, Entry>,
    addresses: BTreeMap<IpAddr, Address>,
    /// The next moment each address wants attention.
    wakes: BTreeSet<(Mono, IpAddr)>,
}

/// One check.
#[derive(Clone, Debug)]
struct Entry {
    check: Arc<Check>,
    line: usize,
    due: Mono,
    urgency: Urgency,
    /// When its last probe began.
    began: Option<Mono>,
}

/// Why a check is due when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// Its interval has passed.
    Ordinary,
    /// Its own last probe failed: it is tried again at `retry`.
    Retry,
    /// Another probe of its line failed before the stream: so would have its own.
    SharedRetry,
}

/// What one address has to do.
#[derive(Clone, Debug, Default)]
struct Address {
    lines: Vec<Line>,
    in_flight: Option<InFlight>,
    /// When the last ordinary probe began.
    began: Option<Mono>,
    spacing: Duration,
    /// How far apart slots are dealt out.
    apart: Duration,
    wake: Option<Mono>,
}

#[derive(Clone, Debug)]
struct InFlight {
    id: CheckId,
    lost: Mono,
}

/// The checks of one address that answer alike: one port, seen from one source, with one timeout and retry.
#[derive(Clone, Debug)]
struct Line {
    key: LineKey,
    /// Those not in flight: the one due first in front, of those the one that was not probed for longest.
    queue: BTreeSet<(Mono, Option<Mono>, CheckId)>,
    /// The shortest interval of its checks.
    interval: Duration,
    began: Option<Mono>,
    slot: Option<Slot>,
    /// Some of its checks are due only because another one failed.
    shared: bool,
}

/// When a line is to be probed next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    at: Mono,
    ordinary: bool,
}

type LineKey = (u16, Option<IpAddr>, Duration, Duration);

fn line_key(check: &Check) -> LineKey {
    (
        check.peer.port(),
        check.source,
        check.settings.timeout,
        check.settings.retry,
    )
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Schedule {
        Schedule {
            random: SplitMix(seed),
            entries: BTreeMap::new(),
            addresses: BTreeMap::new(),
            wakes: BTreeSet::new(),
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
            address.lines.clear();
            address.wake = None;
        }
        for (id, check) in checks {
            let same = known.get(id).filter(|entry| entry.check == *check);
            let window = FIRST_ROUND.min(check.settings.interval);
            let (due, urgency, began) = match same {
                Some(entry) => (entry.due, entry.urgency, entry.began),
                None => (
                    now + window.mul_f64(self.random.fraction()),
                    Urgency::Ordinary,
                    None,
                ),
            };
            let address = self.addresses.entry(check.peer.ip()).or_default();
            let line = address.line_of(check);
            self.entries.insert(
                id.clone(),
                Entry {
                    check: Arc::clone(check),
                    line,
                    due,
                    urgency,
                    began,
                },
            );
            let line = &mut address.lines[line];
            line.began = line.began.max(began);
            if address
                .in_flight
                .as_ref()
                .is_none_or(|probe| probe.id != *id)
            {
                line.queue.insert((due, began, id.clone()));
            }
        }
        self.addresses
            .retain(|_, address| !address.lines.is_empty() || address.in_flight.is_some());
        let all: Vec<IpAddr> = self.addresses.keys().copied().collect();
        for ip in all {
            if let Some(address) = self.addresses.get_mut(&ip) {
                address.measure();
            }
            self.deal_all(ip, now);
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
            .collect();
        for ip in awake {
            if let Some(id) = self.take_lost(ip, now) {
                self.ended(&id, ip, End::Nothing, now);
                lost.push(id);
            }
            due.extend(self.start_one(ip, now));
        }
        (due, lost)
    }

    /// A probe of this check and address has ended. An unknown check only frees its address.
    pub(super) fn ended(&mut self, id: &CheckId, ip: IpAddr, end: End, now: Mono) {
        let jitter = 0.9 + 0.2 * self.random.fraction();
        let Some(address) = self.addresses.get_mut(&ip) else {
            return;
        };
        if address
            .in_flight
            .as_ref()
            .is_some_and(|probe| probe.id == *id)
        {
            address.in_flight = None;
        }
        if let Some(entry) = self.entries.get(id) {
            let (number, settings) = (entry.line, &entry.check.settings);
            let retry = now + settings.retry;
            let calm = entry.began.unwrap_or(now) + settings.interval.mul_f64(jitter);
            match end {
                End::Good | End::Nothing => self.queue(id, calm, Urgency::Ordinary),
                End::Failed | End::FailedForAll => self.queue(id, retry, Urgency::Retry),
            }
            match end {
                End::FailedForAll => self.share_failure(id, retry),
                End::Good | End::Failed => self.end_sharing(ip, number),
                End::Nothing => {}
            }
            self.deal(ip, number, now);
        }
        self.set_wake(ip);
    }

    /// The other checks of this check's line: what fails before the stream fails for all of them.
    pub(super) fn siblings(&self, id: &CheckId) -> Vec<CheckId> {
        let Some(entry) = self.entries.get(id) else {
            return Vec::new();
        };
        let Some(address) = self.addresses.get(&entry.check.peer.ip()) else {
            return Vec::new();
        };
        address.lines[entry.line]
            .queue
            .iter()
            .map(|(_, _, sibling)| sibling)
            .filter(|sibling| *sibling != id)
            .cloned()
            .collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.wakes.first().map(|(wake, _)| *wake)
    }
}

/// How a probe ended, as far as the schedule is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A success.
    Good,
    /// Neither success nor failure, or no end at all.
    Nothing,
    /// A failure of this check alone: the port answers.
    Failed,
    /// A failure before the stream: of every check of the line.
    FailedForAll,
}

impl Schedule {
    fn queue(&mut self, id: &CheckId, due: Mono, urgency: Urgency) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let Some(address) = self.addresses.get_mut(&entry.check.peer.ip()) else {
            return;
        };
        let line = &mut address.lines[entry.line];
        line.queue.remove(&(entry.due, entry.began, id.clone()));
        (entry.due, entry.urgency) = (due, urgency);
        line.queue.insert((due, entry.began, id.clone()));
    }

    /// The siblings' turn comes as if they had been probed and failed, so that one probe per `retry` counts for all.
    fn share_failure(&mut self, id: &CheckId, retry: Mono) {
        for sibling in self.siblings(id) {
            let urgency = match self.entries.get(&sibling).map(|entry| entry.urgency) {
                Some(Urgency::Retry) => Urgency::Retry,
                _ => Urgency::SharedRetry,
            };
            self.queue(&sibling, retry, urgency);
        }
        if let Some(line) = self.line_mut(id) {
            line.shared = true;
        }
    }

    /// The port answers again: what was due only because it did not is still due, but keeps to the spacing.
    fn end_sharing(&mut self, ip: IpAddr, number: usize) {
        let Some(line) = self
            .addresses
            .get_mut(&ip)
            .and_then(|address| address.lines.get_mut(number))
            .filter(|line| line.shared)
        else {
            return;
        };
        line.shared = false;
        for (_, _, id) in &line.queue {
            if let Some(entry) = self.entries.get_mut(id)
                && entry.urgency == Urgency::SharedRetry
            {
                entry.urgency = Urgency::Ordinary;
            }
        }
    }

    fn line_mut(&mut self, id: &CheckId) -> Option<&mut Line> {
        let entry = self.entries.get(id)?;
        self.addresses
            .get_mut(&entry.check.peer.ip())?
            .lines
            .get_mut(entry.line)
    }

    fn take_lost(&mut self, ip: IpAddr, now: Mono) -> Option<CheckId> {
        let address = self.addresses.get_mut(&ip)?;
        let probe = address.in_flight.take_if(|probe| probe.lost <= now)?;
        Some(probe.id)
    }

    /// Begins the probe of this address that waits longest, if it has one to begin.
    fn start_one(&mut self, ip: IpAddr, now: Mono) -> Option<(CheckId, Arc<Check>)> {
        let address = self.addresses.get_mut(&ip)?;
        if address.in_flight.is_some() {
            return None;
        }
        let (number, ordinary) = address.ready(now)?;
        let line = &mut address.lines[number];
        let (_, _, id) = line.queue.pop_first()?;
        line.began = Some(now);
        let entry = self.entries.get_mut(&id)?;
        entry.began = Some(now);
        if ordinary {
            address.began = Some(now);
        }
        let lost = now + entry.check.settings.timeout + LOST_AFTER;
        let probe = (id.clone(), Arc::clone(&entry.check));
        address.in_flight = Some(InFlight { id, lost });
        self.deal(ip, number, now);
        self.set_wake(ip);
        Some(probe)
    }

    fn deal_all(&mut self, ip: IpAddr, now: Mono) {
        let lines = self
            .addresses
            .get(&ip)
            .map_or(0, |address| address.lines.len());
        for number in 0..lines {
            self.deal(ip, number, now);
        }
        self.set_wake(ip);
    }

    /// Gives a line its slot.
    fn deal(&mut self, ip: IpAddr, number: usize, now: Mono) {
        let Some(address) = self.addresses.get_mut(&ip) else {
            return;
        };
        let first = address.lines[number].queue.first();
        let slot = first.and_then(|(due, _, id)| {
            let ordinary = self.entries.get(id)?.urgency == Urgency::Ordinary;
            let at = if ordinary {
                address.slot_near(*due, number, now)
            } else {
                *due
            };
            Some(Slot { at, ordinary })
        });
        address.lines[number].slot = slot;
    }

    fn set_wake(&mut self, ip: IpAddr) {
        let Some(address) = self.addresses.get_mut(&ip) else {
            return;
        };
        let wake = match &address.in_flight {
            Some(probe) => Some(probe.lost),
            None => address.earliest(),
        };
        if let Some(old) = address.wake {
            self.wakes.remove(&(old, ip));
        }
        address.wake = wake;
        if let Some(wake) = wake {
            self.wakes.insert((wake, ip));
        } else if address.lines.is_empty() {
            self.addresses.remove(&ip);
        }
    }
}

impl Address {
    fn line_of(&mut self, check: &Check) -> usize {
        let key = line_key(check);
        if let Some(number) = self.lines.iter().position(|line| line.key == key) {
            let line = &mut self.lines[number];
            line.interval = line.interval.min(check.settings.interval);
            return number;
        }
        self.lines.push(Line {
            key,
            queue: BTreeSet::new(),
            interval: check.settings.interval,
            began: None,
            slot: None,
            shared: false,
        });
        self.lines.len() - 1
    }

    /// Works out how far apart its probes can be, so that every line still has its turn within its interval.
    fn measure(&mut self) {
        let lines = u32::try_from(self.lines.len()).unwrap_or(u32::MAX).max(1);
        let interval = self.lines.iter().map(|line| line.interval).min();
        let share = interval.unwrap_or(SPACING).mul_f64(0.9) / lines;
        let timeout = self.lines.iter().map(|line| line.key.2).max();
        self.spacing = SPACING.min(share);
        // A silent line holds the address for a whole timeout.
        self.apart = timeout.unwrap_or(SPACING).clamp(self.spacing, share);
    }

    /// The earliest moment at which an ordinary probe may begin.
    fn free_at(&self) -> Mono {
        match self.began {
            Some(began) => began + self.spacing,
            None => Mono::from_micros(i64::MIN),
        }
    }

    /// The slot of a line that is due at `due`: near it, apart from the slots of the other lines, and not later
    /// than the line's interval + 10 % if that is possible at all.
    fn slot_near(&self, due: Mono, number: usize, now: Mono) -> Mono {
        let earliest = due.max(self.free_at());
        let line = &self.lines[number];
        let latest = line.began.map(|began| began + line.interval.mul_f64(1.1));
        let upward = self.shift(earliest, number, |slot| slot + self.apart);
        if upward == earliest || latest.is_none_or(|latest| upward <= latest) {
            return upward;
        }
        let start = latest.map_or(earliest, |latest| earliest.min(latest));
        let downward = self.shift(start, number, |slot| slot - self.apart);
        if downward >= self.free_at().max(now) {
            return downward;
        }
        upward
    }

    /// Moves a moment past the slots of the other lines, until it is apart from all of them.
    fn shift(&self, from: Mono, number: usize, past: impl Fn(Mono) -> Mono) -> Mono {
        let mut at = from;
        // Each move passes at least one slot for good, so there are at most as many moves as lines.
        for _ in 0..self.lines.len() {
            let conflict = self
                .lines
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != number)
                .filter_map(|(_, line)| line.slot)
                .find(|slot| {
                    slot.ordinary && at + self.apart > slot.at && slot.at + self.apart > at
                });
            match conflict {
                Some(slot) => at = past(slot.at),
                None => break,
            }
        }
        at
    }

    /// When a line may begin: its slot, pushed back by the spacing if a probe came in between.
    fn begins(&self, line: &Line) -> Option<(Mono, bool)> {
        let slot = line.slot?;
        let at = if slot.ordinary {
            slot.at.max(self.free_at())
        } else {
            slot.at
        };
        Some((at, slot.ordinary))
    }

    fn earliest(&self) -> Option<Mono> {
        self.lines
            .iter()
            .filter_map(|line| self.begins(line))
            .map(|(at, _)| at)
            .min()
    }

    /// The line that may begin now and has waited longest, and whether it keeps to the spacing.
    fn ready(&self, now: Mono) -> Option<(usize, bool)> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(number, line)| Some((number, self.begins(line)?)))
            .filter(|(_, (at, _))| *at <= now)
            .min_by_key(|(_, (at, _))| *at)
            .map(|(number, (_, ordinary))| (number, ordinary))
    }
}

/// SplitMix64: the jitter must only differ between nodes and be the same in a replay.
#[derive(Clone, Debug)]
struct SplitMix(u64);

impl SplitMix {
    /// A number in [0, 1).
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // 53 bits are what an f64 holds exactly.
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}
