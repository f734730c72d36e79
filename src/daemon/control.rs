//! The control socket's life: opened if it can be, tried again if not, never in the way of answers.
//!
//! In: its settings, the node. Out: a listener at work. Never here: what it serves.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::node::ServedNode;
use crate::config::ServerSettings;
use crate::control::{self, ListenError, Listener};

/// How soon a socket that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The control interface at work, or being tried.
#[derive(Debug)]
pub(super) struct Control {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Control {
    /// Opens the socket; returns after the first attempt, whatever came of it.
    pub(super) async fn start(settings: &ServerSettings, node: Arc<ServedNode>) -> Control {
        let (stop, stopped) = watch::channel(false);
        let (tried, first) = oneshot::channel();
        let task = tokio::spawn(keep(settings.clone(), node, stopped, tried));
        // Nothing is sent when the task has panicked; that is in the log.
        let _ = first.await;
        Control { stop, task }
    }

    /// Lets requests under way end.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // Its panic was reported when it happened.
        let _ = self.task.await;
    }
}

async fn keep(
    settings: ServerSettings,
    node: Arc<ServedNode>,
    mut stopped: watch::Receiver<bool>,
    tried: oneshot::Sender<()>,
) {
    let path = settings.control.display().to_string();
    let mut tried = Some(tried);
    let mut complained = false;
    let listener = loop {
        let opened = open(&settings);
        if let Err(error) = &opened
            && !complained
        {
            tracing::error!(
                "{error}; answers are given, commands are not taken; trying again every {AGAIN:?}"
            );
            complained = true;
        }
        if let Some(tried) = tried.take() {
            // The starter waits for it, unless the start was given up.
            let _ = tried.send(());
        }
        if let Ok(listener) = opened {
            break listener;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    };
    tracing::info!("taking commands on {path}");
    listener.serve(control::router(node), stopped).await;
}

fn open(settings: &ServerSettings) -> Result<Listener, ListenError> {
    if let Some(parent) = settings
        .control
        .parent()
        .filter(|parent| *parent != Path::new(""))
    {
        // The service manager has made it, or it is there; otherwise `bind` says what is wrong.
        let _ = std::fs::DirBuilder::new().mode(0o755).create(parent);
    }
    let group = settings.control_group.as_deref();
    Listener::bind(&settings.control, settings.control_mode, group)
}
