//! The alarm command: the operator's program that is told of alarms.
//!
//! In: alarms that began or ended. Out: a line of log, and one run of the program each: argv without a shell,
//! `REPOINT_ALARM_*` in its environment, one line of JSON on its standard input. Never here: waiting; the engine
//! hands over and goes on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::config::AlarmSettings;
use crate::engine::{Alarm, Severity};

/// Programs that may run at one time. Alarms of one kind and subject always go through the same lane, so the
/// program sees their beginning before their end.
const LANES: usize = 4;
/// Alarms that may wait in a lane for a program that is slow.
const WAITING: usize = 64;
/// What the program says on standard error is logged up to here when it fails.
const SAID: u64 = 2048;

/// Tells the log and the operator's program.
#[derive(Clone, Debug)]
pub(super) struct AlarmCommand {
    settings: Arc<Mutex<AlarmSettings>>,
    lanes: Vec<mpsc::Sender<Told>>,
}

/// What the program reads as JSON.
#[derive(Clone, Debug, Serialize)]
struct Told {
    state: &'static str,
    #[serde(flatten)]
    alarm: Alarm,
}

impl AlarmCommand {
    /// Begins the lanes. Must be called inside the runtime.
    pub(super) fn new(settings: &AlarmSettings) -> AlarmCommand {
        let settings = Arc::new(Mutex::new(settings.clone()));
        let lanes = (0..LANES)
            .map(|_| {
                let (sender, mut lane) = mpsc::channel::<Told>(WAITING);
                let settings = Arc::clone(&settings);
                tokio::spawn(async move {
                    while let Some(told) = lane.recv().await {
                        let current = lock(&settings).clone();
                        run(&current, &told).await;
                    }
                });
                sender
            })
            .collect();
        AlarmCommand { settings, lanes }
    }

    /// Puts another program in place, for alarms from now on.
    pub(super) fn replace(&self, settings: &AlarmSettings) {
        *lock(&self.settings) = settings.clone();
    }

    /// Logs the alarm and hands it to the program.
    pub(super) fn tell(&self, alarm: Alarm, raised: bool) {
        log(&alarm, raised);
        if lock(&self.settings).exec.is_empty() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (alarm.kind, &alarm.subject).hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or(0);
        let state = if raised { "raised" } else { "ended" };
        if self.lanes[lane].try_send(Told { state, alarm }).is_err() {
            tracing::error!(
                "the alarm command is not told of the last alarm: {WAITING} earlier ones wait for it already"
            );
        }
    }
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

async fn run(settings: &AlarmSettings, told: &Told) {
    // Taken out of the configuration meanwhile.
    let Some((name, arguments)) = settings.exec.split_first() else {
        return;
    };
    let kind = told.alarm.kind;
    let mut child = match spawn(name, arguments, told) {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("cannot run the alarm command {name} for {kind}: {error}");
            return;
        }
    };
    // The group's number is the child's own, as it was put at the head of a group.
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    match tokio::time::timeout(settings.timeout, attend(&mut child, told)).await {
        Ok(Ok((status, _))) if status.success() => {}
        Ok(Ok((status, said))) => tracing::error!(
            "the alarm command {name} failed for {kind}: {status}: {}",
            said.trim_end()
        ),
        Ok(Err(error)) => tracing::error!("the alarm command {name} failed for {kind}: {error}"),
        Err(_) => {
            tracing::error!(
                "the alarm command {name} was killed for {kind}: it took more than {:?}",
                settings.timeout
            );
        }
    }
    // What it left running ends with it, or a hung script would leave one process per alarm.
    if let Some(group) = group {
        // The group is gone when nothing was left.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    // Already waited for, unless it was killed just now.
    let _ = child.wait().await;
}

fn spawn(name: &str, arguments: &[String], told: &Told) -> std::io::Result<Child> {
    let alarm = &told.alarm;
    let mut command = Command::new(name);
    command
        .args(arguments)
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
        let command = AlarmCommand::new(&settings(dir.path(), script, Duration::from_secs(60)));
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
        let script = r#"[ "$REPOINT_ALARM_STATE" = ended ] || read wait < "$1/gate"
            echo "$REPOINT_ALARM_STATE" >> "$1/states""#;
        let gate = dir.path().join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let command = AlarmCommand::new(&settings(dir.path(), script, Duration::from_secs(60)));
        command.tell(alarm("contoso"), true);
        command.tell(alarm("contoso"), false);
        tokio::task::spawn_blocking(move || std::fs::write(gate, "\n").unwrap())
            .await
            .unwrap();
        let states = lines(&dir.path().join("states"), 2).await;
        assert_eq!(states, ["raised", "ended"]);
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children_and_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"[ "$REPOINT_ALARM_STATE" = raised ] || { echo done >> "$1/done"; exit; }
            sleep 1000 & echo $! > "$1/child"; wait"#;
        let command = AlarmCommand::new(&settings(dir.path(), script, Duration::from_millis(300)));
        command.tell(alarm("contoso"), true);
        command.tell(alarm("contoso"), false);
        assert_eq!(lines(&dir.path().join("done"), 1).await, ["done"]);
        let child = lines(&dir.path().join("child"), 1).await.remove(0);
        let stat = format!("/proc/{child}/stat");
        let gone = async {
            // A zombie that nobody has collected yet is dead too.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone)
            .await
            .expect("the child of the hung program ends with it");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_logged_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut missing = settings(dir.path(), "", Duration::from_secs(60));
        missing.exec = vec!["/nonexistent/program".into()];
        let command = AlarmCommand::new(&missing);
        command.tell(alarm("contoso"), true);
        command.replace(&settings(
            dir.path(),
            r#"[ "$REPOINT_ALARM_STATE" = raised ] || echo ended >> "$1/states""#,
            Duration::from_secs(60),
        ));
        command.tell(alarm("contoso"), false);
        let states = lines(&dir.path().join("states"), 1).await;
        assert_eq!(states, ["ended"]);
    }
}
