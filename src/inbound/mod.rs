//! Zones from a primary: transferred in, followed by NOTIFY and by the timers of their SOA.
//!
//! In: the configured zones with a primary, NOTIFY messages, the wish of an operator. Out: news to the engine, which
//! merges what was sent with what is steered. Never here: a change of what is served; a transfer that is not whole,
//! not signed as agreed, or no zone changes nothing.
//!
//! `timer` and `transfer` are pure; `pull` asks one primary, `follow` keeps after one zone, `share` keeps primaries from
//! starving each other.

mod follow;
mod pull;
mod share;
mod timer;
mod transfer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use pull::{Asking, Patience, PullFault};
pub use share::TransferMemory;
pub use timer::Timer;
pub use transfer::{Bounds, Reader, Transfer, TransferFault};

use crate::ask::SourceAddresses;
use crate::config::Configuration;
use crate::engine::KeptInbound;
use crate::shell::{Clock, Handle};
use crate::topology::DomainName;
use crate::zone::{Name, StaticZone};
use follow::{Follower, Shared};
use share::Shares;

/// Whoever asks for a refresh waits this long for what comes of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that follows primaries; cheap to clone.
#[derive(Clone)]
pub struct Inbound {
    shared: Arc<Shared>,
    followed: Arc<Mutex<BTreeMap<DomainName, Followed>>>,
}

struct Followed {
    follower: Arc<Follower>,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a refresh came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The zone has no primary.
    #[error("its static part does not come from a primary")]
    NotInbound,
    /// No primary said which version it has.
    #[error("{0}")]
    Failed(String),
    /// It takes long.
    #[error("the primaries have not answered within {PATIENCE:?}; they are still being asked")]
    Slow,
}

impl Inbound {
    /// Begins to follow the zones of the configuration in force, and those of every one after it. `kept` is what was
    /// received before the start. Must be called inside the runtime.
    pub fn start(
        engine: Handle,
        clock: Clock,
        kept: &[KeptInbound],
        sources: SourceAddresses,
    ) -> Inbound {
        let inbound = Inbound {
            shared: Arc::new(Shared {
                engine,
                clock,
                sources,
                shares: Shares::default(),
            }),
            followed: Arc::default(),
        };
        let kept = kept.iter().map(|kept| {
            let copy = &kept.copy;
            (copy.apex.clone(), copy.zone.clone())
        });
        let mut changes = inbound.shared.engine.configurations();
        changes.mark_unchanged();
        let configuration = inbound.shared.engine.configuration();
        inbound.follow(&configuration, kept.collect());
        let follower = inbound.clone();
        tokio::spawn(async move {
            // The sender lives as long as the shell.
            while changes.changed().await.is_ok() {
                let configuration = follower.shared.engine.configuration();
                follower.follow(&configuration, BTreeMap::new());
                follower.tell_again().await;
            }
        });
        inbound
    }

    /// A primary says that a zone has changed, or somebody wants to know.
    pub fn hurry(&self, apex: &Name) {
        let followed = self.followed();
        let Some(apex) = apex.to_domain_name() else {
            return;
        };
        if let Some(followed) = followed.get(&apex) {
            followed.follower.hurry.notify_one();
        }
    }

    /// Asks the primaries of a zone now, and waits for what comes of it.
    ///
    /// # Errors
    /// Why no primary said which version it has.
    pub async fn refresh(&self, apex: &DomainName) -> Result<String, RefreshError> {
        let mut attempts = {
            let followed = self.followed();
            let followed = followed.get(apex).ok_or(RefreshError::NotInbound)?;
            let attempts = followed.follower.attempts.subscribe();
            followed.follower.hurry.notify_one();
            attempts
        };
        let before = attempts.borrow().0;
        let next = attempts.wait_for(|(count, _)| *count > before);
        match tokio::time::timeout(PATIENCE, next).await {
            Ok(Ok(attempt)) => attempt.1.clone().map_err(RefreshError::Failed),
            // The zone has left the configuration meanwhile.
            Ok(Err(_)) => Err(RefreshError::NotInbound),
            Err(_) => Err(RefreshError::Slow),
        }
    }

    fn followed(&self) -> MutexGuard<'_, BTreeMap<DomainName, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what a configuration says. A zone whose primaries and key are the same goes on as it was.
    fn follow(
        &self,
        configuration: &Configuration,
        mut kept: BTreeMap<DomainName, Arc<StaticZone>>,
    ) {
        let mut followed = self.followed();
        followed.retain(|apex, _| configuration.topology.primary(apex).is_some());
        for (apex, primary) in configuration.topology.inbound() {
            let key = primary.tsig.as_ref();
            let key = key.and_then(|name| configuration.tsig.get(&Name::from(name)).cloned());
            if primary.tsig.is_some() && key.is_none() {
                // Its secret could not be read: unsigned is not what was agreed on.
                tracing::error!(
                    "cannot follow zone {apex}: its TSIG key has no secret; what was received before stays"
                );
                followed.remove(apex);
                continue;
            }
            let before = followed.get(apex).map(|before| before.follower.clone());
            if let Some(before) = &before
                && before.primary == *primary
                && before.key == key
            {
                continue;
            }
            let copy = before.and_then(|before| before.copy());
            let follower = Arc::new(Follower {
                apex: apex.clone(),
                primary: primary.clone(),
                key,
                copy: Mutex::new(copy.or_else(|| kept.remove(apex))),
                hurry: Notify::new(),
                attempts: watch::Sender::new((0, Ok(String::new()))),
            });
            let task = tokio::spawn(follower.clone().run(self.shared.clone()));
            followed.insert(apex.clone(), Followed { follower, task });
        }
    }

    async fn tell_again(&self) {
        let followers: Vec<_> = {
            let followed = self.followed();
            followed.values().map(|one| one.follower.clone()).collect()
        };
        for follower in followers {
            follower.tell_again(&self.shared).await;
        }
    }
}
