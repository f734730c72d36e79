//! The story of the demo: a pool hangs, partners are led to the other one, and back.
//!
//! In: two pools that do as told, and a running server. Out: each step, seen in real DNS answers or not.
//! Never here: a command to the server. It finds out by itself, as it would at night.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::pool::{Behaviour, PoolServer};
use super::question::{Seen, ask};

/// How often the server is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// No step takes this long on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the demo. The pools' targets are `edge1` and `edge2`.
pub(super) const DOMAIN: &str = "contoso.example";
/// The SRV owner that partners ask for.
pub(super) const OWNER: &str = "_xmpp-server._tcp.contoso.example.";
/// The federation address.
pub(super) const FEDERATION: &str = "xmpp.contoso.example.";

/// Why the story ended early.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// A step was not seen.
    #[error("{step}: not seen within {PATIENCE:?}; the last answer was {last}")]
    NotSeen {
        /// What should have been seen.
        step: &'static str,
        /// What was.
        last: String,
    },
    /// A built-in pool could not be made to behave.
    #[error("cannot make {pool} behave as the story wants")]
    Pool {
        /// Which.
        pool: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A step of the story as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What happens.
    pub(super) text: &'static str,
    /// How long it took until partners saw it; none while it is awaited.
    pub(super) took: Option<Duration>,
}

/// How far the story has come; the board reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Vec<Step>>>);

impl Progress {
    /// The steps so far, the last one perhaps awaited.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn begin(&self, text: &'static str) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(Step { text, took: None });
    }

    fn end(&self, took: Duration) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(step) = steps.last_mut() {
            step.took = Some(took);
        }
    }
}

/// The actors.
pub(super) struct Story {
    /// Where the server answers.
    pub(super) server: SocketAddr,
    /// The preferred pool.
    pub(super) pool1: Arc<PoolServer>,
    /// The other one.
    pub(super) pool2: Arc<PoolServer>,
    /// How long to let the reader look between two steps.
    pub(super) pause: Duration,
    /// Where the steps are told.
    pub(super) progress: Progress,
}

impl Story {
    /// Tells the story once. `told` is called with each step when it has been seen.
    pub(super) async fn tell(&self, mut told: impl FnMut(&Step)) -> Result<(), StoryError> {
        let (one, two) = (self.pool1.address().ip(), self.pool2.address().ip());
        self.step(
            "both pools serve; partners are led to pool1",
            "edge1",
            one,
            &mut told,
        )
        .await?;
        sleep(self.pause).await;

        self.behave(Behaviour::Hung).await?;
        self.step(
            "pool1 hangs: partners are led to pool2",
            "edge2",
            two,
            &mut told,
        )
        .await?;
        sleep(self.pause).await;

        self.behave(Behaviour::Healthy).await?;
        let back = "pool1 is well again: after the hold-down partners are led back to it";
        self.step(back, "edge1", one, &mut told).await
    }

    async fn behave(&self, behaviour: Behaviour) -> Result<(), StoryError> {
        let done = self.pool1.set(behaviour).await;
        done.map_err(|source| StoryError::Pool {
            pool: "pool1",
            source,
        })
    }

    /// Waits until the answers lead to one pool, by SRV order and by address alike.
    async fn step(
        &self,
        text: &'static str,
        host: &str,
        address: IpAddr,
        told: &mut impl FnMut(&Step),
    ) -> Result<(), StoryError> {
        self.progress.begin(text);
        let began = Instant::now();
        let first = format!("{host}.{DOMAIN}.");
        let mut last = "none".to_owned();
        while began.elapsed() < PATIENCE {
            match ask(self.server, OWNER, FEDERATION).await {
                Ok(seen) if seen.first() == Some(&first) && seen.addresses == [address] => {
                    let took = began.elapsed();
                    self.progress.end(took);
                    told(&Step {
                        text,
                        took: Some(took),
                    });
                    return Ok(());
                }
                Ok(seen) => last = describe(&seen),
                Err(error) => last = error.to_string(),
            }
            sleep(ASK_EVERY).await;
        }
        Err(StoryError::NotSeen { step: text, last })
    }
}

fn describe(seen: &Seen) -> String {
    let addresses: Vec<String> = seen.addresses.iter().map(ToString::to_string).collect();
    format!(
        "{} first, address {}",
        seen.first().unwrap_or("nothing"),
        addresses.join(" ")
    )
}
