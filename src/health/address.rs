//! The probes of one address: whose turn it is.
//!
//! In: checks with the moments they are due. Out: the one check to probe now. Never here: jitter, what came back.
//!
//! Three rules: one probe is in flight; ordinary probes begin at least [`SPACING`] apart; retries of
//! suspect checks neither wait for the spacing nor delay it.
//!
//! A *line* is what answers alike: one port, seen from one source, with one timeout and retry. The check domains of a
//! line take turns, the one not probed for longest first; each tells whether the port answers at all. Each line holds
//! a slot for its next ordinary probe. Slots are dealt out apart from each other, and none later than interval + 10 %
//! after the line's last probe as long as that is possible: a silent port is found within the bound that `docs/health.md` states.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Mono;
use crate::topology::{Check, CheckId};

/// Least time between the beginnings of two ordinary probes of one address. An interval too short for all lines to
/// have their turn in it shortens it: whoever configured that interval wanted it.
const SPACING: Duration = Duration::from_secs(2);

/// When a check is due, and when it was probed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) due: Mono,
    pub(super) began: Option<Mono>,
}

/// A probe that begins.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) id: CheckId,
    pub(super) line: usize,
}

/// What one address has to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Address {
    lines: Vec<Line>,
    in_flight: Option<InFlight>,
    /// When the last ordinary probe began.
    began: Option<Mono>,
    spacing: Duration,
    /// How far apart slots are dealt out.
    apart: Duration,
    /// Where the schedule has put it.
    pub(super) wake: Option<Mono>,
}

#[derive(Clone, Debug)]
struct InFlight {
    id: CheckId,
    lost: Mono,
}

#[derive(Clone, Debug)]
struct Line {
    key: LineKey,
    ordinary: Queue,
    retries: Queue,
    /// The shortest interval of its checks.
    interval: Duration,
    timeout: Duration,
    began: Option<Mono>,
    /// When its next ordinary probe begins.
    slot: Option<Mono>,
}

/// Port, source, timeout, retry. A check with another timeout may see silence where this one sees an answer, and one
/// with another retry would be counted down at this one's pace: they are lines of their own.
type LineKey = (u16, Option<IpAddr>, Duration, Duration);

/// Checks not in flight: the one due first in front, among equals the one not probed for longest.
type Queue = BTreeSet<(Mono, Option<Mono>, CheckId)>;

impl Address {
    /// Forgets the checks, but not what is in flight nor when the last probe began.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.wake = None;
    }

    /// Finds the line of a check, or makes it.
    pub(super) fn join(&mut self, check: &Check, turn: Turn) -> usize {
        let settings = &check.settings;
        let key = (
            check.peer.port(),
            check.source,
            settings.timeout,
            settings.retry,
        );
        let number = match self.lines.iter().position(|line| line.key == key) {
            Some(number) => number,
            None => {
                self.lines.push(Line {
                    key,
                    ordinary: Queue::new(),
                    retries: Queue::new(),
                    interval: settings.interval,
                    timeout: settings.timeout,
                    began: None,
                    slot: None,
                });
                self.lines.len() - 1
            }
        };
        let line = &mut self.lines[number];
        line.interval = line.interval.min(settings.interval);
        line.began = line.began.max(turn.began);
        number
    }

    /// Works out how far apart probes can be, so that every line still has its turn within its interval.
    pub(super) fn measure(&mut self) {
        let lines = u32::try_from(self.lines.len()).unwrap_or(u32::MAX).max(1);
        let interval = self.lines.iter().map(|line| line.interval).min();
        let share = interval.unwrap_or(SPACING).mul_f64(0.9) / lines;
        let timeout = self.lines.iter().map(|line| line.timeout).max();
        self.spacing = SPACING.min(share);
        // A silent line holds the address for a whole timeout.
        self.apart = timeout.unwrap_or(SPACING).clamp(self.spacing, share);
    }

    pub(super) fn queue(&mut self, line: usize, id: &CheckId, turn: Turn, ordinary: bool) {
        let line = &mut self.lines[line];
        let queue = if ordinary {
            &mut line.ordinary
        } else {
            &mut line.retries
        };
        queue.insert((turn.due, turn.began, id.clone()));
    }

    pub(super) fn unqueue(&mut self, line: usize, id: &CheckId, turn: Turn) {
        let line = &mut self.lines[line];
        let place = (turn.due, turn.began, id.clone());
        line.ordinary.remove(&place);
        line.retries.remove(&place);
    }

    /// The checks of a line that are not in flight.
    pub(super) fn queued(&self, line: usize) -> impl Iterator<Item = &CheckId> {
        let line = &self.lines[line];
        line.retries
            .iter()
            .chain(&line.ordinary)
            .map(|(_, _, id)| id)
    }

    /// The checks of a line that wait for a retry.
    pub(super) fn retrying(&self, line: usize) -> impl Iterator<Item = &CheckId> {
        self.lines[line].retries.iter().map(|(_, _, id)| id)
    }

    pub(super) fn is_probing(&self, id: &CheckId) -> bool {
        self.in_flight.as_ref().is_some_and(|probe| probe.id == *id)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The probe of this check has ended, if it is the one in flight.
    pub(super) fn free(&mut self, id: &CheckId) {
        self.in_flight.take_if(|probe| probe.id == *id);
    }

    /// A probe that began then was answered: it counts for the spacing even if it was a retry.
    pub(super) fn answered(&mut self, began: Option<Mono>) {
        self.began = self.began.max(began);
    }

    /// The check in flight, if its result should have come by now.
    pub(super) fn lost(&self, now: Mono) -> Option<CheckId> {
        let probe = self.in_flight.as_ref().filter(|probe| probe.lost <= now)?;
        Some(probe.id.clone())
    }

    /// Sets when the probe in flight is taken for lost.
    pub(super) fn lost_at(&mut self, moment: Mono) {
        if let Some(probe) = &mut self.in_flight {
            probe.lost = moment;
        }
    }

    /// Begins the probe that may begin and has waited longest.
    pub(super) fn start(&mut self, now: Mono) -> Option<Start> {
        if self.in_flight.is_some() {
            return None;
        }
        let (_, line, ordinary) = self.turns().filter(|(at, ..)| *at <= now).min()?;
        let chosen = &mut self.lines[line];
        let (_, _, id) = if ordinary {
            chosen.ordinary.pop_first()?
        } else {
            chosen.retries.pop_first()?
        };
        chosen.began = Some(now);
        if ordinary {
            self.began = Some(now);
        }
        self.in_flight = Some(InFlight {
            id: id.clone(),
            lost: now,
        });
        Some(Start { id, line })
    }

    /// The next moment at which there is something to do here; none when there never is.
    pub(super) fn next(&self) -> Option<Mono> {
        match &self.in_flight {
            Some(probe) => Some(probe.lost),
            None => self.turns().map(|(at, ..)| at).min(),
        }
    }

    /// Gives every line its slot.
    pub(super) fn deal_all(&mut self, now: Mono) {
        for line in 0..self.lines.len() {
            self.deal(line, now);
        }
    }

    /// Gives a line the slot for its next ordinary probe: near the moment it is due, apart from the other lines'
    /// slots, and not later than interval + 10 % after its last probe if that can be.
    pub(super) fn deal(&mut self, line: usize, now: Mono) {
        let due = self.lines[line].ordinary.first().map(|(due, ..)| *due);
        self.lines[line].slot = due.map(|due| self.slot_near(due, line, now));
    }

    /// A retry of this line holds the address for a whole timeout if the port stays silent. Turns of other lines
    /// that would fall into that time come before it.
    pub(super) fn make_way(&mut self, number: usize, now: Mono) {
        let line = &self.lines[number];
        let Some((retry, ..)) = line.retries.first() else {
            return;
        };
        let (from, until) = (*retry, *retry + line.timeout);
        let sooner = self.free_at().max(now);
        if sooner >= from {
            return;
        }
        for (other, line) in self.lines.iter_mut().enumerate() {
            if let Some(slot) = &mut line.slot
                && other != number
                && from <= *slot
                && *slot < until
            {
                *slot = sooner;
            }
        }
    }

    fn slot_near(&self, due: Mono, number: usize, now: Mono) -> Mono {
        let floor = self.free_at().max(now);
        let earliest = due.max(floor);
        let later = self.shift(earliest, number, |slot| slot + self.apart);
        let line = &self.lines[number];
        let Some(latest) = line.began.map(|began| began + line.interval.mul_f64(1.1)) else {
            return later;
        };
        if later <= latest {
            return later;
        }
        let sooner = self.shift(earliest.min(latest), number, |slot| slot - self.apart);
        if sooner >= floor { sooner } else { later }
    }

    /// Moves a moment past the slots of other lines until it is apart from all of them.
    fn shift(&self, from: Mono, number: usize, past: impl Fn(Mono) -> Mono) -> Mono {
        let others = || {
            let lines = self.lines.iter().enumerate();
            lines
                .filter(|(other, _)| *other != number)
                .filter_map(|(_, line)| line.slot)
        };
        let mut at = from;
        // Each move passes at least one slot for good: there are no more moves than lines.
        for _ in 0..self.lines.len() {
            let conflict = others().find(|slot| at + self.apart > *slot && *slot + self.apart > at);
            match conflict {
                Some(slot) => at = past(slot),
                None => break,
            }
        }
        at
    }

    /// The earliest moment at which an ordinary probe may begin.
    fn free_at(&self) -> Mono {
        match self.began {
            Some(began) => began + self.spacing,
            None => Mono::from_micros(i64::MIN),
        }
    }

    /// For each line the moments at which it may begin a probe, and whether that is an ordinary one.
    fn turns(&self) -> impl Iterator<Item = (Mono, usize, bool)> {
        self.lines.iter().enumerate().flat_map(|(number, line)| {
            let ordinary = line
                .slot
                .map(|slot| (slot.max(self.free_at()), number, true));
            let retry = line.retries.first().map(|(due, ..)| (*due, number, false));
            ordinary.into_iter().chain(retry)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::{CheckSettings, ServiceKind};

    fn at(millis: u64) -> Mono {
        Mono::START + Duration::from_millis(millis)
    }

    fn id(port: u16) -> CheckId {
        CheckId::from(port.to_string())
    }

    /// An address with one check per port, each probed at 0 and due when the list says (milliseconds).
    fn address(ports: &[(u16, u64)]) -> Address {
        let mut address = Address::default();
        for (port, due) in ports {
            let check = Check {
                service: ServiceKind::XmppServer,
                peer: ([192, 0, 2, 10], *port).into(),
                domain: "contoso.com".parse().unwrap(),
                target: None,
                source: None,
                settings: CheckSettings::default_for(ServiceKind::XmppServer),
            };
            let turn = Turn {
                due: at(*due),
                began: Some(at(0)),
            };
            let line = address.join(&check, turn);
            address.queue(line, &id(*port), turn, true);
        }
        address.measure();
        address.deal_all(at(0));
        address
    }

    fn slots(address: &Address) -> Vec<Option<Mono>> {
        address.lines.iter().map(|line| line.slot).collect()
    }

    #[test]
    fn slots_lie_a_timeout_apart_and_never_beyond_the_interval_and_a_tenth() {
        let address = address(&[(1, 10_500), (2, 11_000)]);
        assert_eq!(slots(&address), [Some(at(10_500)), Some(at(7_500))]);
    }

    #[test]
    fn a_slot_moves_back_when_there_is_time() {
        let address = address(&[(1, 7_000), (2, 8_000)]);
        assert_eq!(slots(&address), [Some(at(7_000)), Some(at(10_000))]);
    }

    #[test]
    fn turns_that_a_retry_would_run_into_come_before_it() {
        let mut address = address(&[(1, 5_000), (2, 11_000)]);
        assert_eq!(address.start(at(5_000)).unwrap().id, id(1));
        address.free(&id(1));
        let turn = Turn {
            due: at(10_000),
            began: Some(at(5_000)),
        };
        address.queue(0, &id(1), turn, false);
        address.deal(0, at(8_000));
        address.make_way(0, at(8_000));
        assert_eq!(address.next(), Some(at(8_000)));
        assert_eq!(address.start(at(8_000)).unwrap().id, id(2));
    }

    #[test]
    fn a_probe_in_flight_holds_back_even_a_retry() {
        let mut address = address(&[(1, 5_000), (2, 9_000)]);
        address.start(at(5_000)).unwrap();
        address.lost_at(at(13_000));
        let turn = Turn {
            due: at(6_000),
            began: Some(at(0)),
        };
        address.queue(1, &id(3), turn, false);
        assert!(address.start(at(6_000)).is_none());
        assert_eq!(address.next(), Some(at(13_000)));
        address.free(&id(1));
        assert_eq!(
            address.start(at(6_100)).unwrap().id,
            id(3),
            "no spacing for a retry"
        );
    }
}
