//! The alarm command: the operator's program that is told of alarms.
//!
//! In: alarms that began or ended. Out: a line of log, and runs of the program: argv without a shell, `REPOINT_ALARM_*`
//! in its environment, one line of JSON on its standard input. What is told when is in `alarm_book`; what was told is
//! kept in a file, so that a restart tells the ends. Never here: waiting; the engine hands over and goes on.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use super::alarm_book::{Book, Kept};
use super::descendants;
use crate::config::AlarmSettings;
use crate::engine::{Alarm, Severity};
use crate::files;

/// Programs that may run at one time, never two for one alarm.
const LANES: usize = 4;
/// What the program says on standard error is logged up to here when it fails.
const SAID: u64 = 2048;
/// What the program was told of, in the state directory.
const KEPT: &str = "alarms-told.json";
/// More octets than that file has.
const LARGEST_KEPT: u64 = 64 << 20;
/// The program waits this long for a disk that hangs, and not longer.
const KEEP_TIME: Duration = Duration::from_secs(2);

/// Tells the log and the operator's program.
#[derive(Clone, Debug)]
pub(super) struct AlarmCommand {
    settings: Arc<Mutex<AlarmSettings>>,
    book: Arc<Mutex<Book>>,
    news: Arc<Notify>,
}

/// What the program reads as JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    pub(super) state: &'static str,
    #[serde(flatten)]
    pub(super) alarm: Alarm,
}

/// What came of a run.
enum Run {
    Told,
    Failed,
    NotBegun,
}

impl AlarmCommand {
    /// Begins to tell, and goes on with what was told before a restart. Must be called inside the runtime.
    pub(super) fn new(settings: &AlarmSettings, state: &Path) -> AlarmCommand {
        let file = state.join(KEPT);
        let book = Book::after_restart(recall(&file), Instant::now());
        let command = AlarmCommand {
            settings: Arc::new(Mutex::new(settings.clone())),
            book: Arc::new(Mutex::new(book)),
            news: Arc::new(Notify::new()),
        };
        tokio::spawn(command.clone().work(file));
        command
    }

    /// Puts another program in place, for alarms from now on.
    pub(super) fn replace(&self, settings: &AlarmSettings) {
        *lock(&self.settings) = settings.clone();
        self.news.notify_one();
    }

    /// The engine has begun again, without knowing which alarms stood.
    pub(super) fn begin_again(&self) {
        lock(&self.book).begin_again(Instant::now());
        self.news.notify_one();
    }

    /// Logs the alarm and hands it to the program.
    pub(super) fn tell(&self, alarm: Alarm, raised: bool) {
        log(&alarm, raised);
        let left_out = {
            let mut book = lock(&self.book);
            book.note(alarm, raised);
            book.take_left_out()
        };
        if left_out > 0 {
            tracing::error!(
                "the alarm command is not told of {left_out} alarms: too many wait for it already"
            );
        }
        self.news.notify_one();
    }

    /// Runs the program, as long as the process does.
    async fn work(self, file: PathBuf) {
        let mut runs: JoinSet<(Told, bool, Run)> = JoinSet::new();
        let mut keeper = Keeper::new(file);
        loop {
            let settings = lock(&self.settings).clone();
            let mut begun = Vec::new();
            let (deadline, told) = {
                let mut book = lock(&self.book);
                while !settings.exec.is_empty() && runs.len() + begun.len() < LANES {
                    let Some(told) = book.take(Instant::now()) else {
                        break;
                    };
                    begun.push(told);
                }
                (book.deadline(), book.told())
            };
            // Before it is told: a beginning that is told has its end, whatever happens to this process.
            keeper.keep(told).await;
            for (told, was_begun) in begun {
                let settings = settings.clone();
                runs.spawn(async move {
                    let run = run(&settings, &told).await;
                    (told, was_begun, run)
                });
            }
            let is_free = !settings.exec.is_empty() && runs.len() < LANES;
            let rest = async {
                match deadline.filter(|_| is_free) {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.news.notified() => {}
                () = rest => {}
                () = keeper.came_back() => {}
                Some(ended) = runs.join_next() => {
                    // A run that panicked is in the log; its alarm waits for what comes next.
                    if let Ok((told, was_begun, run)) = ended {
                        let (mut book, now) = (lock(&self.book), Instant::now());
                        match run {
                            Run::Told => book.ended(&told, true, now),
                            Run::Failed => book.ended(&told, false, now),
                            Run::NotBegun => book.not_begun(&told, was_begun, now),
                        }
                    }
                }
            }
        }
    }
}

/// The alarms that were told before.
fn recall(file: &Path) -> Vec<Kept> {
    let text = match files::read_text(file, LARGEST_KEPT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(
                "cannot read {}, the alarms told before: {error}; their ends are not told",
                file.display()
            );
            return Vec::new();
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(
            "cannot read {}, the alarms told before: {error}; their ends are not told",
            file.display()
        );
        Vec::new()
    })
}

/// Keeps the alarms that were told, one write at a time. A write that hangs holds nothing else up.
struct Keeper {
    file: PathBuf,
    /// What the last write that was begun has.
    kept: Vec<Kept>,
    writing: Option<JoinHandle<()>>,
}

impl Keeper {
    fn new(file: PathBuf) -> Keeper {
        Keeper {
            file,
            kept: Vec::new(),
            writing: None,
        }
    }

    /// Writes them, unless an earlier write has not come back; waits for it up to [`KEEP_TIME`].
    async fn keep(&mut self, told: Vec<Kept>) {
        if told == self.kept || self.writing.is_some() {
            return;
        }
        self.kept.clone_from(&told);
        let file = self.file.clone();
        self.writing = Some(spawn_blocking(move || {
            if let Err(error) = write(&file, &told) {
                tracing::debug!("cannot keep {}: {error}", file.display());
            }
        }));
        // Too late: the alarm is told all the same.
        let _ = tokio::time::timeout(KEEP_TIME, self.came_back()).await;
    }

    /// Waits until a write comes back.
    async fn came_back(&mut self) {
        match &mut self.writing {
            // A panic is in the log.
            Some(writing) => drop(writing.await),
            None => std::future::pending().await,
        }
        self.writing = None;
    }
}

/// Writes them, whole or not at all.
fn write(file: &Path, told: &[Kept]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let fresh = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut new = options.open(&fresh)?;
    new.write_all(&serde_json::to_vec(told)?)?;
    std::fs::rename(&fresh, file)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(alarm: &Alarm, raised: bool) {
    let Alarm {
        kind,
        subject,
        severity,
        text,
        ..
    } = alarm;
    let about = if subject.is_empty() {
        String::new()
    } else {
        format!(" ({subject})")
    };
    let remedy = alarm
        .remedy
        .as_ref()
        .map(|remedy| format!("; {remedy}"))
        .unwrap_or_default();
    match (raised, severity) {
        (false, _) => tracing::info!("alarm ended: {kind}{about}"),
        (true, Severity::Notice) => tracing::info!("alarm: {kind}{about}: {text}{remedy}"),
        (true, Severity::Warning) => tracing::warn!("alarm: {kind}{about}: {text}{remedy}"),
        (true, Severity::Critical) => tracing::error!("alarm: {kind}{about}: {text}{remedy}"),
    }
}

async fn run(settings: &AlarmSettings, told: &Told) -> Run {
    // Taken out of the configuration meanwhile.
    let Some((name, arguments)) = settings.exec.split_first() else {
        return Run::NotBegun;
    };
    let kind = told.alarm.kind;
    let mark = format!("{:032x}", rand::random::<u128>());
    let spawned = {
        let mut children = descendants::children();
        let spawned = spawn(name, arguments, told, &mark);
        let pid = spawned.as_ref().ok().and_then(Child::id);
        children.extend(pid.and_then(|pid| i32::try_from(pid).ok()));
        spawned
    };
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(
                "cannot run the alarm command {name} for {kind}: {error}; it is tried again"
            );
            return Run::NotBegun;
        }
    };
    // The group's number is the child's own, as it was put at the head of a group.
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let attended = tokio::time::timeout(settings.timeout, attend(&mut child, told)).await;
    let run = match attended {
        Ok(Ok((status, _))) if status.success() => Run::Told,
        Ok(Ok((status, said))) => {
            tracing::error!(
                "the alarm command {name} failed for {kind}: {status}: {}; it is tried again",
                said.trim_end()
            );
            Run::Failed
        }
        Ok(Err(error)) => {
            tracing::error!(
                "the alarm command {name} failed for {kind}: {error}; it is tried again"
            );
            Run::Failed
        }
        Err(_) => {
            tracing::error!(
                "the alarm command {name} was killed for {kind}: it took more than {:?}; it is tried again",
                settings.timeout
            );
            Run::Failed
        }
    };
    // What it left running ends with it, or a hung script would leave one process per alarm.
    if let Some(group) = group {
        // All of the group may have ended already.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    // Killed, or ended before: its number is free for another process from here on.
    let _ = child.wait().await;
    if let Some(pid) = group {
        descendants::children().remove(&pid);
    }
    // A panic is in the log.
    let _ = spawn_blocking(move || descendants::end_all(&mark)).await;
    run
}

fn spawn(name: &str, arguments: &[String], told: &Told, mark: &str) -> std::io::Result<Child> {
    let alarm = &told.alarm;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env(descendants::MARK, mark)
        .env("REPOINT_ALARM_STATE", told.state)
        .env("REPOINT_ALARM_KIND", alarm.kind.as_str())
        .env("REPOINT_ALARM_SUBJECT", &alarm.subject)
        .env("REPOINT_ALARM_SEVERITY", alarm.severity.to_string())
        .env("REPOINT_ALARM_SINCE", alarm.since.to_string())
        .env("REPOINT_ALARM_TEXT", &alarm.text)
        .env(
            "REPOINT_ALARM_REMEDY",
            alarm.remedy.as_deref().unwrap_or(""),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    // The service manager speaks to the server, not to its children.
    for ours in [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    ] {
        command.env_remove(ours);
    }
    // The thread may have what blocked hangups during the start, and a program would inherit it.
    SigSet::from(Signal::SIGHUP)
        .thread_unblock()
        .map_err(std::io::Error::from)?;
    command.spawn()
}

async fn attend(
    child: &mut Child,
    told: &Told,
) -> std::io::Result<(std::process::ExitStatus, String)> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is as good.
        let _ = stdin.write_all(&line).await;
    }
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut limited = stderr.take(SAID);
        limited.read_to_end(&mut said).await?;
        // The rest is read and dropped, so that a talkative program is not stopped by a full pipe.
        tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await?;
    }
    let status = child.wait().await?;
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::clock::Wall;
    use crate::engine::AlarmKind;

    fn settings(dir: &Path, script: &str, timeout: Duration) -> AlarmSettings {
        let exec = ["/bin/sh", "-c", script, "alarm", dir.to_str().unwrap()];
        AlarmSettings {
            exec: exec.map(str::to_owned).to_vec(),
            timeout,
        }
    }

    fn alarm(subject: &str) -> Alarm {
        Alarm {
            kind: AlarmKind::Blind,
            subject: subject.into(),
            severity: Severity::Critical,
            since: Wall::from_millis(0),
            text: "it's \"so\"; $(touch /tmp/never)".into(),
            remedy: None,
        }
    }

    /// Waits for a file to have as many lines.
    async fn lines(file: &Path, wanted: usize) -> Vec<String> {
        let wait = async {
            loop {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                if text.lines().count() >= wanted && text.ends_with('\n') {
                    return text.lines().map(str::to_owned).collect();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .expect("the alarm command writes its lines")
    }

    #[tokio::test]
    async fn the_program_reads_the_alarm_from_environment_and_input() {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"{ echo "$REPOINT_ALARM_STATE $REPOINT_ALARM_KIND $REPOINT_ALARM_SEVERITY $REPOINT_ALARM_SUBJECT"
            echo "$REPOINT_ALARM_SINCE $REPOINT_ALARM_TEXT"; cat; } > "$1/all.new"; mv "$1/all.new" "$1/all""#;
        let command = AlarmCommand::new(
            &settings(dir.path(), script, Duration::from_secs(60)),
            dir.path(),
        );
        command.tell(alarm("contoso"), true);
        let said = lines(&dir.path().join("all"), 3).await;
        assert_eq!(said[0], "raised blind critical contoso");
        assert_eq!(said[1], format!("1970-01-01T00:00:00Z {}", alarm("").text));
        let json: serde_json::Value = serde_json::from_str(&said[2]).unwrap();
        assert_eq!(json["state"], "raised");
        assert_eq!(json["kind"], "blind");
        assert_eq!(json["text"], alarm("").text);
        assert!(
            !Path::new("/tmp/never").exists(),
            "no shell reads the alarm"
        );
    }

    #[tokio::test]
    async fn the_end_of_an_alarm_is_told_after_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"[ "$REPOINT_ALARM_STATE" = ended ] || { echo begun > "$1/begun"; read wait < "$1/gate"; }
            echo "$REPOINT_ALARM_STATE" >> "$1/states""#;
        let begun = dir.path().join("begun");
        let gate = dir.path().join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let command = AlarmCommand::new(
            &settings(dir.path(), script, Duration::from_secs(60)),
            dir.path(),
        );
        command.tell(alarm("contoso"), true);
        lines(&begun, 1).await;
        command.tell(alarm("contoso"), false);
        tokio::task::spawn_blocking(move || std::fs::write(gate, "\n").unwrap())
            .await
            .unwrap();
        let states = lines(&dir.path().join("states"), 2).await;
        assert_eq!(states, ["raised", "ended"]);
    }

    /// Waits until a process is gone.
    async fn gone(pid: &str) {
        let stat = format!("/proc/{pid}/stat");
        let gone = async {
            // A zombie that nobody has collected yet is dead too.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone)
            .await
            .expect("what the program left running ends with it");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children_and_holds_nothing_up() {
        for child in [
            r#"sleep 1000 & echo $! > "$1/child""#,
            r#"setsid sh -c 'echo $$ > "$1/child"; exec sleep 1000' x "$1" &"#,
            r#"(setsid sh -c 'echo $$ > "$1/child"; exec sleep 1000' x "$1" >/dev/null 2>&1 &)"#,
        ] {
            let dir = tempfile::tempdir().unwrap();
            let script = format!(
                r#"[ "$REPOINT_ALARM_STATE" = raised ] || {{ echo done >> "$1/done"; exit; }}
                {child}
                sleep 1000"#
            );
            let short = settings(dir.path(), &script, Duration::from_secs(2));
            let command = AlarmCommand::new(&short, dir.path());
            command.tell(alarm("contoso"), true);
            let child = lines(&dir.path().join("child"), 1).await.remove(0);
            command.tell(alarm("contoso"), false);
            assert_eq!(lines(&dir.path().join("done"), 1).await, ["done"]);
            gone(&child).await;
        }
    }

    #[tokio::test]
    async fn five_hundred_alarms_and_a_slow_program_leave_none_open() {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"echo "$REPOINT_ALARM_SUBJECT $REPOINT_ALARM_STATE" >> "$1/told""#;
        let slow = settings(dir.path(), script, Duration::from_secs(60));
        let command = AlarmCommand::new(&slow, dir.path());
        let each = || (0..500).map(|n| alarm(&n.to_string()));
        each().for_each(|alarm| command.tell(alarm, true));
        lines(&dir.path().join("told"), 20).await;
        each().for_each(|alarm| command.tell(alarm, false));
        command.tell(alarm("last"), true);
        let done = async {
            while !lock(&command.book).is_settled() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done)
            .await
            .unwrap();
        let told = lines(&dir.path().join("told"), 1).await;
        let of = |subject: &str| -> Vec<&str> {
            let lines = told.iter().filter_map(|line| line.split_once(' '));
            lines
                .filter(|(of, _)| *of == subject)
                .map(|(_, state)| state)
                .collect()
        };
        for n in 0..500 {
            let states = of(&n.to_string());
            assert!(
                states.is_empty() || states == ["raised", "ended"],
                "{n}: {states:?}"
            );
        }
        assert_eq!(of("last"), ["raised"]);
    }

    #[tokio::test]
    async fn an_end_is_told_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"echo "$REPOINT_ALARM_SUBJECT $REPOINT_ALARM_STATE" >> "$1/told""#;
        let quick = settings(dir.path(), script, Duration::from_secs(60));
        let first = AlarmCommand::new(&quick, dir.path());
        for subject in ["contoso", "fabrikam"] {
            first.tell(alarm(subject), true);
        }
        lines(&dir.path().join("told"), 2).await;
        // What a restart cuts off is told again: here nothing is.
        let kept = || std::fs::read_to_string(dir.path().join(KEPT)).unwrap_or_default();
        while !kept().contains("fabrikam") || kept().contains("is_untold") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let second = AlarmCommand::new(&quick, dir.path());
        second.tell(alarm("fabrikam"), true);
        second.tell(alarm("tailspin"), true);
        let told = lines(&dir.path().join("told"), 3).await;
        assert_eq!(told[2], "tailspin raised", "fabrikam was told before");
        second.tell(alarm("fabrikam"), false);
        assert_eq!(
            lines(&dir.path().join("told"), 4).await[3],
            "fabrikam ended"
        );
        lock(&second.book).end_grace();
        second.news.notify_one();
        let told = lines(&dir.path().join("told"), 5).await;
        assert_eq!(told[4], "contoso ended", "it did not come back");
    }

    #[tokio::test]
    async fn a_state_disk_that_hangs_silences_no_alarm() {
        let dir = tempfile::tempdir().unwrap();
        // Opening it waits for a reader.
        let hanging = dir.path().join(KEPT).with_extension("new");
        nix::unistd::mkfifo(&hanging, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = r#"echo "$REPOINT_ALARM_SUBJECT" >> "$1/told""#;
        let quick = settings(dir.path(), script, Duration::from_secs(60));
        let command = AlarmCommand::new(&quick, dir.path());
        for (n, subject) in ["contoso", "fabrikam"].into_iter().enumerate() {
            command.tell(alarm(subject), true);
            let told = lines(&dir.path().join("told"), n + 1).await;
            assert_eq!(told[n], subject);
        }
        let first = spawn_blocking(move || std::fs::read_to_string(hanging).unwrap());
        assert!(!first.await.unwrap().contains("fabrikam"));
        // What was told meanwhile is kept as soon as the disk is back.
        let kept = dir.path().join(KEPT);
        let is_kept = || {
            std::fs::symlink_metadata(&kept).is_ok_and(|meta| meta.is_file())
                && std::fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("fabrikam"))
        };
        while !is_kept() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_tried_again_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut missing = settings(dir.path(), "", Duration::from_secs(60));
        missing.exec = vec!["/nonexistent/program".into()];
        let command = AlarmCommand::new(&missing, dir.path());
        command.tell(alarm("contoso"), true);
        // Kept before it is told, so the program that is missing has its turn.
        while !std::fs::read_to_string(dir.path().join(KEPT))
            .is_ok_and(|kept| kept.contains("contoso"))
        {
            tokio::task::yield_now().await;
        }
        command.replace(&settings(
            dir.path(),
            r#"echo "$REPOINT_ALARM_STATE" >> "$1/states""#,
            Duration::from_secs(60),
        ));
        let states = dir.path().join("states");
        lines(&states, 1).await;
        command.tell(alarm("contoso"), false);
        assert_eq!(lines(&states, 2).await, ["raised", "ended"]);
    }
}
