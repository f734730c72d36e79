//! What the alarm command has been told of each alarm, and what it is to be told next: pure.
//!
//! In: alarms that begin, change and end; how each run of the command ended; the time. Out: the next thing to tell, the
//! worst first. An alarm that ends before anybody was told of it is not told at all; otherwise its end follows its
//! beginning, also after a restart. Never here: processes, files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::alarm_command::Told;
use crate::engine::{Alarm, AlarmKind};

/// Alarms that are kept to be told. Beyond it the least severe that nobody was told of are left out.
const MOST: usize = 20_000;
/// A run that failed is repeated after this time, then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// After a start, alarms from before have this long to come back before their end is told. Longer than any condition has to
/// last before its alarm is raised: an unknown pool needs 60 s, and its probes need some time more.
const GRACE: Duration = Duration::from_secs(5 * 60);

type Key = (AlarmKind, String);

/// An alarm that the command was run for, as it is kept for the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) alarm: Alarm,
    /// The command has not said that it has told what the alarm is now: it runs, has failed, or waits for its turn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_untold: bool,
}

/// One alarm.
#[derive(Clone, Debug)]
struct Slot {
    /// What it is now, or was when it ended.
    alarm: Alarm,
    stands: bool,
    /// The command has been run with its beginning, whatever came of it.
    begun: bool,
    /// What the command is to be told next is not told yet.
    pending: bool,
    /// The order of what is equally severe.
    since: u64,
    failures: u32,
    not_before: Option<Instant>,
    running: bool,
    /// It is from before the restart, and has neither come back nor ended.
    unconfirmed: bool,
    /// The restart cut the command off: should the alarm come back, it is told again.
    cut_off: bool,
}

/// All alarms that the command is to be told of, or was told of.
#[derive(Debug, Default)]
pub(super) struct Book {
    slots: BTreeMap<Key, Slot>,
    count: u64,
    /// When what is unconfirmed has ended.
    confirm_by: Option<Instant>,
    left_out: u64,
}

impl Book {
    /// Begins with the alarms that the command had been told of before a restart.
    pub(super) fn after_restart(told: Vec<Kept>, now: Instant) -> Book {
        let mut book = Book::default();
        for Kept { alarm, is_untold } in told {
            book.count += 1;
            let slot = Slot {
                stands: true,
                begun: true,
                pending: false,
                since: book.count,
                failures: 0,
                not_before: None,
                running: false,
                unconfirmed: true,
                cut_off: is_untold,
                alarm,
            };
            let key = (slot.alarm.kind, slot.alarm.subject.clone());
            book.slots.insert(key, slot);
        }
        book.confirm_by = (!book.slots.is_empty()).then(|| now + GRACE);
        book
    }

    /// The engine has begun again: alarms that stand come back, those that do not have ended.
    pub(super) fn begin_again(&mut self, now: Instant) {
        for slot in self.slots.values_mut() {
            slot.unconfirmed = slot.stands;
        }
        self.confirm_by = Some(now + GRACE);
    }

    /// An alarm began, changed or is repeated; or it ended.
    pub(super) fn note(&mut self, alarm: Alarm, stands: bool) {
        let key = (alarm.kind, alarm.subject.clone());
        let Some(slot) = self.slots.get_mut(&key) else {
            if stands {
                self.begin(key, alarm);
            }
            return;
        };
        let is_known = slot.alarm.severity == alarm.severity && !slot.cut_off;
        let came_back = stands && slot.unconfirmed && is_known;
        slot.unconfirmed = false;
        slot.cut_off = false;
        slot.failures = 0;
        slot.not_before = None;
        slot.alarm = alarm;
        slot.stands = stands;
        if came_back {
            return;
        }
        slot.pending = true;
        if !stands && !slot.begun && !slot.running {
            self.slots.remove(&key);
        }
    }

    fn begin(&mut self, key: Key, alarm: Alarm) {
        self.count += 1;
        let slot = Slot {
            stands: true,
            begun: false,
            pending: true,
            since: self.count,
            failures: 0,
            not_before: None,
            running: false,
            unconfirmed: false,
            cut_off: false,
            alarm,
        };
        self.slots.insert(key, slot);
        if self.slots.len() > MOST {
            let untold = self
                .slots
                .iter()
                .filter(|(_, slot)| !slot.begun && !slot.running);
            let least =
                untold.min_by_key(|(_, slot)| (slot.alarm.severity, std::cmp::Reverse(slot.since)));
            if let Some(key) = least.map(|(key, _)| key.clone()) {
                self.slots.remove(&key);
                self.left_out += 1;
            }
        }
    }

    /// How many alarms were left out since this was asked last.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// What to tell now, and whether the command had heard of the alarm before. It counts as begun at once: the command may
    /// be killed after it has told somebody.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Told, bool)> {
        self.end_unconfirmed(now);
        let ready = self.slots.values_mut().filter(|slot| {
            slot.pending && !slot.running && slot.not_before.is_none_or(|at| at <= now)
        });
        let slot = ready.min_by_key(|slot| (std::cmp::Reverse(slot.alarm.severity), slot.since))?;
        slot.running = true;
        slot.pending = false;
        let was_begun = std::mem::replace(&mut slot.begun, true);
        let told = Told {
            state: if slot.stands { "raised" } else { "ended" },
            alarm: slot.alarm.clone(),
        };
        Some((told, was_begun))
    }

    /// A run has ended. One that failed is repeated, unless there is something newer to tell.
    pub(super) fn ended(&mut self, told: &Told, is_told: bool, now: Instant) {
        let key = (told.alarm.kind, told.alarm.subject.clone());
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        slot.running = false;
        if is_told {
            slot.failures = 0;
            if !slot.pending && !slot.stands {
                self.slots.remove(&key);
            }
            return;
        }
        if !slot.pending {
            let pause = FIRST_PAUSE.saturating_mul(1 << slot.failures.min(16));
            slot.failures = slot.failures.saturating_add(1);
            slot.not_before = Some(now + pause.min(LONGEST_PAUSE));
            slot.pending = true;
        }
    }

    /// The command could not be begun: nobody heard anything.
    pub(super) fn not_begun(&mut self, told: &Told, was_begun: bool, now: Instant) {
        let key = (told.alarm.kind, told.alarm.subject.clone());
        self.ended(told, false, now);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.begun = was_begun;
            if !slot.stands && !slot.begun {
                self.slots.remove(&key);
            }
        }
    }

    /// When there is something to do again, should nothing happen before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self
            .slots
            .values()
            .filter(|slot| slot.pending && !slot.running);
        waiting
            .filter_map(|slot| slot.not_before)
            .chain(self.confirm_by)
            .min()
    }

    /// What the command has been told of and not of the end, to be kept for the next start.
    pub(super) fn told(&self) -> Vec<Kept> {
        let begun = self.slots.values().filter(|slot| slot.begun);
        let kept = begun.map(|slot| Kept {
            alarm: slot.alarm.clone(),
            is_untold: !slot.stands || slot.pending || slot.running || slot.cut_off,
        });
        kept.collect()
    }

    /// Ends the time in which alarms from before may come back.
    #[cfg(test)]
    pub(super) fn end_grace(&mut self) {
        self.confirm_by = Some(Instant::now());
    }

    /// Whether nothing waits to be told.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.slots
            .values()
            .all(|slot| !slot.pending && !slot.running)
    }

    fn end_unconfirmed(&mut self, now: Instant) {
        if self.confirm_by.is_none_or(|by| by > now) {
            return;
        }
        self.confirm_by = None;
        let gone: BTreeSet<Key> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.unconfirmed)
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(slot) = self.slots.get(&key) {
                self.note(slot.alarm.clone(), false);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::engine::Severity;

    fn alarm(subject: &str, severity: Severity) -> Alarm {
        Alarm {
            kind: AlarmKind::Blind,
            subject: subject.into(),
            severity,
            since: Wall::from_millis(0),
            text: String::new(),
            remedy: None,
        }
    }

    impl Book {
        fn next(&mut self, now: Instant) -> Option<Told> {
            self.take(now).map(|(told, _)| told)
        }
    }

    fn warning(subject: &str) -> Alarm {
        alarm(subject, Severity::Warning)
    }

    fn shown(told: Option<Told>) -> String {
        told.map_or("nothing".into(), |told| {
            format!("{} {}", told.alarm.subject, told.state)
        })
    }

    #[test]
    fn a_beginning_and_an_end_that_nobody_was_told_of_cancel_out() {
        let (mut book, now) = (Book::default(), Instant::now());
        for _ in 0..1000 {
            book.note(warning("a"), true);
            book.note(warning("a"), false);
        }
        assert_eq!(shown(book.next(now)), "nothing");
        assert!(book.told().is_empty());
    }

    #[test]
    fn the_end_follows_the_beginning_however_often_it_comes_and_goes_meanwhile() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.note(warning("a"), true);
        let begun = book.next(now).unwrap();
        for stands in [false, true, false, true, false] {
            book.note(warning("a"), stands);
            assert_eq!(shown(book.next(now)), "nothing", "one run at a time");
        }
        book.ended(&begun, true, now);
        let ended = book.next(now).unwrap();
        assert_eq!(shown(Some(ended.clone())), "a ended");
        book.ended(&ended, true, now);
        assert!(book.told().is_empty());
    }

    #[test]
    fn the_worst_is_told_first() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.note(alarm("notice", Severity::Notice), true);
        book.note(warning("first"), true);
        book.note(warning("second"), true);
        book.note(alarm("critical", Severity::Critical), true);
        let order: Vec<String> = (0..4).map(|_| shown(book.next(now))).collect();
        assert_eq!(
            order,
            [
                "critical raised",
                "first raised",
                "second raised",
                "notice raised"
            ]
        );
    }

    #[test]
    fn a_run_that_fails_is_repeated_later_and_later_and_never_given_up() {
        let (mut book, mut now) = (Book::default(), Instant::now());
        book.note(warning("a"), true);
        for failures in 0..40 {
            let told = book.next(now).unwrap();
            book.ended(&told, false, now);
            assert_eq!(shown(book.next(now)), "nothing");
            let at = book.deadline().unwrap();
            assert!(at - now <= LONGEST_PAUSE && at > now, "{failures}");
            now = at;
        }
        // The end of what may have been told is told, and what is new does not wait.
        book.note(warning("a"), false);
        assert_eq!(shown(book.next(now)), "a ended");
    }

    #[test]
    fn a_command_that_could_not_be_begun_has_told_nobody() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.note(warning("a"), true);
        let told = book.next(now).unwrap();
        book.not_begun(&told, false, now);
        assert!(book.told().is_empty());
        book.note(warning("a"), false);
        assert_eq!(shown(book.next(now + LONGEST_PAUSE)), "nothing");
    }

    #[test]
    fn after_a_restart_what_comes_back_is_not_told_again_and_what_does_not_is_ended() {
        let now = Instant::now();
        let kept = |subject| Kept {
            alarm: warning(subject),
            is_untold: false,
        };
        let before = ["back", "gone", "worse"].map(kept).to_vec();
        let mut book = Book::after_restart(before, now);
        book.note(warning("back"), true);
        book.note(alarm("worse", Severity::Critical), true);
        assert_eq!(shown(book.next(now)), "worse raised");
        assert_eq!(shown(book.next(now)), "nothing");
        assert_eq!(book.deadline(), Some(now + GRACE));
        assert_eq!(shown(book.next(now + GRACE)), "gone ended");
        assert_eq!(shown(book.next(now + GRACE)), "nothing");
    }

    #[test]
    fn alarms_are_bounded_and_the_worst_stay() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.note(alarm("critical", Severity::Critical), true);
        for n in 0..MOST + 10 {
            book.note(warning(&n.to_string()), true);
        }
        assert_eq!(book.take_left_out(), 11);
        assert_eq!(shown(book.next(now)), "critical raised");
    }

    #[test]
    fn what_a_restart_cut_off_is_told_again() {
        let now = Instant::now();
        let mut book = Book::default();
        for subject in ["failed", "runs", "told", "ends"] {
            book.note(warning(subject), true);
        }
        let taken: Vec<Told> = std::iter::from_fn(|| book.next(now)).collect();
        book.ended(&taken[0], false, now);
        book.ended(&taken[2], true, now);
        book.ended(&taken[3], true, now);
        book.note(warning("ends"), false);
        let ending = book.next(now).unwrap();
        assert_eq!(shown(Some(ending)), "ends ended");
        let mut book = Book::after_restart(book.told(), now);
        for subject in ["failed", "runs", "told", "ends"] {
            book.note(warning(subject), true);
        }
        let again: Vec<String> = std::iter::from_fn(|| book.next(now))
            .map(|told| shown(Some(told)))
            .collect();
        assert_eq!(again, ["ends raised", "failed raised", "runs raised"]);
    }

    /// What a command that takes 0.3 s has told, in four lanes, by a clock of its own.
    struct Pager {
        book: Book,
        now: Instant,
        running: Vec<(Instant, Told)>,
        heard: Vec<String>,
    }

    impl Pager {
        const TAKES: Duration = Duration::from_millis(300);

        /// Lets time pass. One run in seven fails.
        fn pass(&mut self, time: Duration) {
            let until = self.now + time;
            loop {
                while self.running.len() < 4
                    && let Some(told) = self.book.next(self.now)
                {
                    self.running.push((self.now + Pager::TAKES, told));
                }
                let ends = self.running.iter().map(|(at, _)| *at);
                let deadline = self.book.deadline().filter(|at| *at > self.now);
                let next = ends.chain(deadline).min();
                let Some(next) = next.filter(|next| *next <= until) else {
                    self.now = until;
                    return;
                };
                self.now = self.now.max(next);
                let (ended, running) = std::mem::take(&mut self.running)
                    .into_iter()
                    .partition(|(at, _)| *at <= self.now);
                self.running = running;
                let ended: Vec<(Instant, Told)> = ended;
                for (at, told) in ended {
                    let fails = (self.heard.len() + self.running.len()) % 7 == 6;
                    if fails {
                        // Something that is not told; the next one is.
                        self.heard.push("failed".into());
                    } else {
                        self.heard.push(shown(Some(told.clone())));
                    }
                    self.book.ended(&told, !fails, at);
                }
            }
        }

        /// The process is killed and begins again; what ran told somebody, or did not.
        fn restart(&mut self, tells: bool) {
            for (_, told) in std::mem::take(&mut self.running) {
                if tells {
                    self.heard.push(shown(Some(told)));
                }
            }
            // As it is kept in the file.
            let kept = serde_json::to_string(&self.book.told()).unwrap();
            let kept = serde_json::from_str(&kept).unwrap();
            self.book = Book::after_restart(kept, self.now);
        }
    }

    #[test]
    fn five_hundred_alarms_are_told_with_their_ends_by_a_slow_command_across_restarts() {
        for tells in [true, false] {
            let mut pager = Pager {
                book: Book::default(),
                now: Instant::now(),
                running: Vec::new(),
                heard: Vec::new(),
            };
            let routes: Vec<String> = (0..500).map(|n| format!("route{n:03}")).collect();
            let severity = |n: usize| match n % 10 {
                0 => Severity::Critical,
                _ => Severity::Warning,
            };
            let raise = |pager: &mut Pager| {
                for (n, route) in routes.iter().enumerate() {
                    pager.book.note(alarm(route, severity(n)), true);
                }
            };
            raise(&mut pager);
            // In the middle of it the process is killed, and all alarms stand again afterwards.
            pager.pass(Duration::from_secs(15));
            let first: Vec<&String> = pager.heard.iter().filter(|one| *one != "failed").collect();
            let worst = first[..40]
                .iter()
                .filter(|one| one.as_bytes()[7] == b'0')
                .count();
            assert_eq!(worst, 40, "the worst come first: {first:?}");
            pager.restart(tells);
            raise(&mut pager);
            pager.pass(Duration::from_secs(120));
            for route in &routes {
                assert!(pager.heard.contains(&format!("{route} raised")), "{route}");
            }
            // They end; some come and go meanwhile, and the process is killed again.
            for (n, route) in routes.iter().enumerate() {
                for stands in [false, true, false]
                    .iter()
                    .take(if n % 5 == 0 { 3 } else { 1 })
                {
                    pager.book.note(alarm(route, severity(n)), *stands);
                }
            }
            pager.pass(Duration::from_secs(15));
            pager.restart(tells);
            // None of them stands after it: that they do not come back is known after a while.
            pager.pass(GRACE + Duration::from_secs(120));
            assert!(pager.book.is_settled() && pager.book.told().is_empty());
            for route in &routes {
                let of_route = pager
                    .heard
                    .iter()
                    .filter_map(|one| one.strip_prefix(route.as_str()));
                let told: Vec<&str> = of_route.collect();
                assert_eq!(told.first(), Some(&" raised"), "{route}: {told:?}");
                assert_eq!(told.last(), Some(&" ended"), "{route}: {told:?}");
            }
        }
    }
}
