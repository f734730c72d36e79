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
