//! The service manager and the signals: what systemd and operators tell the process, and what it tells them.
//!
//! In: SIGHUP, SIGTERM, SIGINT. Out: a reload or the end; READY, RELOADING, STOPPING and WATCHDOG on the notify
//! socket, where there is one. Never here: what they bring about.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::{Daemon, ServedNode};
use crate::control::{Node, Reload};
use crate::shell::Handle;

/// How often a listener is tried again that could not be had at the start.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

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

    /// Waits until the process is told to end.
    pub async fn end(&mut self) {
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
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&status(daemon.handle())),
    ]);
    // Files are read meanwhile: signals and the watchdog do not wait for a disk.
    let mut reloading: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    let mut asked_again = false;
    let mut listen_again = tokio::time::interval(LISTEN_AGAIN);
    listen_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    listen_again.reset();
    loop {
        let reloaded = async {
            match &mut reloading {
                Some(reloading) => reloading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = signals.hangup.recv() => match &reloading {
                // The files may have changed since they were read.
                Some(_) => asked_again = true,
                None => reloading = Some(begin_reload(&daemon)),
            },
            () = reloaded => {
                let again = std::mem::take(&mut asked_again);
                reloading = again.then(|| begin_reload(&daemon));
                daemon.listen_again().await;
            }
            _ = listen_again.tick(), if daemon.lacks_listeners() => daemon.listen_again().await,
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
    drop(reloading);
    tell(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    tokio::select! {
        () = daemon.stop() => {}
        () = signals.end() => tracing::warn!("stopped at once by a second signal"),
    }
    tracing::info!("stopped");
}

fn begin_reload(daemon: &Daemon) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(reload(Arc::clone(daemon.node()), daemon.handle().clone()))
}

async fn reload(node: Arc<ServedNode>, handle: Handle) {
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
    match node.reload(asked).await {
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
    tell(&[NotifyState::Ready, NotifyState::Status(&status(&handle))]);
}

fn status(handle: &Handle) -> String {
    let zones = handle.zones().load_full();
    let routes = handle.configuration().topology.routes.len();
    format!("serving {} zones for {routes} routes", zones.len())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager does not hear: {error}");
    }
}
