//! The alarm command: the operator's program that is told of alarms.
//!
//! In: alarms that began or ended. Out: a line of log, and one run of the program each: argv without a shell,
//! `REPOINT_ALARM_*` in its environment, one line of JSON on its standard input. Never here: waiting; the engine
//! hands over and goes on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::alarm::{Alarm, Severity};

/// Programs that may run at one time. Alarms of one kind and subject always go through the same lane, so the
/// program sees their beginning before their end.
const LANES: usize = 4;
/// Alarms that may wait in a lane for a program that is slow.
const WAITING: usize = 64;
/// What the program says on standard error is logged up to here when it fails.
const SAID: u64 = 2048;

/// The program and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmProgram {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// It is killed after this time, with all it started.
    pub timeout: Duration,
}

/// Tells the log and the operator's program.
#[derive(Clone, Debug)]
pub struct AlarmCommand {
    program: Arc<Mutex<Option<AlarmProgram>>>,
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
    pub fn new(program: Option<AlarmProgram>) -> AlarmCommand {
        let program = Arc::new(Mutex::new(program));
        let lanes = (0..LANES)
            .map(|_| {
                let (sender, mut lane) = mpsc::channel::<Told>(WAITING);
                let program = Arc::clone(&program);
                tokio::spawn(async move {
                    while let Some(told) = lane.recv().await {
                        let current = lock(&program).clone();
                        if let Some(current) = current {
                            run(&current, &told).await;
                        }
                    }
                });
                sender
            })
            .collect();
        AlarmCommand { program, lanes }
    }

    /// Puts another program in place, for alarms from now on.
    pub fn replace(&self, program: Option<AlarmProgram>) {
        *lock(&self.program) = program;
    }

    /// Logs the alarm and hands it to the program.
    pub fn tell(&self, alarm: Alarm, raised: bool) {
        log(&alarm, raised);
        if lock(&self.program).is_none() {
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

async fn run(program: &AlarmProgram, told: &Told) {
    let name = program.argv.first().map_or("", String::as_str);
    let kind = told.alarm.kind;
    let mut child = match spawn(program, told) {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("cannot run the alarm command {name} for {kind}: {error}");
            return;
        }
    };
    // The group's number is the child's own, as it was put at the head of a group.
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    match tokio::time::timeout(program.timeout, attend(&mut child, told)).await {
        Ok(Ok((status, _))) if status.success() => {}
        Ok(Ok((status, said))) => tracing::error!(
            "the alarm command {name} failed for {kind}: {status}: {}",
            said.trim_end()
        ),
        Ok(Err(error)) => tracing::error!("the alarm command {name} failed for {kind}: {error}"),
        Err(_) => {
            tracing::error!(
                "the alarm command {name} was killed for {kind}: it took more than {:?}",
                program.timeout
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

fn spawn(program: &AlarmProgram, told: &Told) -> std::io::Result<Child> {
    let (name, arguments) = program
        .argv
        .split_first()
        .ok_or_else(|| std::io::Error::other("no program is named"))?;
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
