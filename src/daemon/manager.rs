//! The service manager and the signals: what systemd and operators tell the process, and what it tells them.
//!
//! In: SIGHUP, SIGTERM, SIGINT. Out: a reload or the end; READY, RELOADING, STOPPING and WATCHDOG on the notify
//! socket, where there is one. Never here: what they bring about.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::Daemon;
use crate::control::{Node, Reload};

/// The signals that mean something. Listened to before anything else is begun: an early hangup would end the process.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen. Must be called inside the runtime.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs until the process is told to end, then ends the daemon. A second signal ends the process at once.
pub async fn supervise(mut daemon: Daemon, mut signals: Signals) {
    let beat = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    let mut pulse = tokio::time::interval(beat.unwrap_or(Duration::from_secs(3600)));
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell(&[NotifyState::Ready, NotifyState::Status(&status(&daemon))]);
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reload(&daemon).await,
            () = daemon.engine_ended() => tracing::error!(
                "critical: the engine's task has ended; answers go on unchanged until the process is restarted"
            ),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = pulse.tick() => {
                // Said by the engine's own task: a server whose engine hangs is started again.
                if beat.is_some() && daemon.handle().alive().await {
                    tell(&[NotifyState::Watchdog]);
                }
            }
        }
    }
    tell(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    tokio::select! {
        () = daemon.stop() => {}
        () = signals.end() => tracing::warn!("stopped at once by a second signal"),
    }
    tracing::info!("stopped");
}

async fn reload(daemon: &Daemon) {
    // systemd wants the moment with it, to tell this reload from the next.
    match NotifyState::monotonic_usec_now() {
        Ok(moment) => tell(&[NotifyState::Reloading, moment]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
    let asked = Reload {
        author: "SIGHUP".into(),
        why: None,
        dry_run: false,
        allow_removal: false,
        expected: None,
    };
    match daemon.node().reload(asked).await {
        Ok(done) => {
            tracing::info!(
                "configuration reloaded; generation {} is served",
                done.generation
            );
            for warning in done.warnings {
                tracing::warn!("{warning}");
            }
        }
        Err(refusal) => tracing::error!("{refusal}"),
    }
    tell(&[NotifyState::Ready, NotifyState::Status(&status(daemon))]);
}

fn status(daemon: &Daemon) -> String {
    let zones = daemon.handle().zones().load_full();
    let routes = daemon.handle().configuration().topology.routes.len();
    format!("serving {} zones for {routes} routes", zones.len())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager does not hear: {error}");
    }
}
