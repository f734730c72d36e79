//! What goes into the engine and what comes out of it.
//!
//! In: [`Event`]s, from probers, operators, the store. Out: [`Effect`]s, which the shell carries out in order.
//! Never here: I/O. The result of an effect comes back as an event.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::ahead::Claim;
use super::alarm::{Alarm, AlarmKind, Concern};
use super::command::{Done, Refusal, Request, RequestId};
use super::inbound::InboundNews;
use super::keeping::Keep;
use super::record::Batch;
use super::signing_spread::Sighting;
use crate::keys::ParentDs;
use crate::probe::{CanaryObservation, Observation};
use crate::topology::{Check, CheckId, DomainName};
use crate::zone::{Draft, KeyAlgorithm, Outline, Serial, SigningKey, Zones};

/// Why a configuration file is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Every problem, as text.
    pub problems: String,
    /// What helps.
    pub kind: RejectionKind,
}

/// Why a configuration file is not in force, as far as the remedies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// It cannot be used.
    Faulty,
    /// It is valid, and takes away too much to be put in force unasked.
    Removal,
    /// It is valid, and zones are still being signed for it.
    Signing,
}

/// What the engine is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A probe has ended.
    Observed(Box<Observation>),
    /// Several probes have ended while the engine was busy: what follows from all of them is worked out once.
    ObservedAll(Vec<Observation>),
    /// An attempt to reach a canary has ended.
    Canary(CanaryObservation),
    /// An operator asks for something.
    Request(Box<Request>),
    /// A batch was committed, or not.
    Stored {
        /// Which batch.
        token: BatchToken,
        /// Why not.
        result: Result<(), StoreFault>,
    },
    /// Zones were kept, or not.
    Kept(Result<(), String>),
    /// The primaries of a zone were asked.
    Inbound(Box<InboundNews>),
    /// The configuration file could not be used; the one in force stays.
    ConfigurationRejected(Rejection),
    /// Something outside of the engine has found that a condition stands, or that it does not any more. May be said
    /// again and again.
    Concern {
        /// Which condition.
        kind: AlarmKind,
        /// What it is about; empty for the whole node.
        subject: String,
        /// None when all is well.
        concern: Option<Concern>,
    },
    /// A server has a later serial of a zone than ours. Said again as long as it is the case.
    SerialAhead(Box<Claim>),
    /// Secondaries said which serials they have: other ones than before.
    Sighted(Vec<Sighting>),
    /// The parent of a zone was asked for its DS.
    Parent {
        /// The zone.
        zone: DomainName,
        /// What its servers said, or why none could be asked.
        heard: Result<ParentDs, String>,
    },
    /// A key was made for a zone, and its file written.
    KeyMade {
        /// The zone.
        zone: DomainName,
        /// The key, or why there is none.
        made: Result<Arc<SigningKey>, String>,
    },
    /// A large zone was signed.
    Drafted {
        /// Which draft.
        token: DraftToken,
        /// The draft; or why there is none, when signing it came to no end.
        drafted: Result<Arc<Draft>, String>,
    },
    /// A moment the engine asked for by `next_deadline` has come.
    Tick,
}

/// What the engine wants done, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Begin a probe; its result comes back as [`Event::Observed`], always.
    Probe {
        /// Its identifier.
        id: CheckId,
        /// What to probe and how.
        check: Arc<Check>,
    },
    /// Begin an attempt to reach a canary; its result comes back as [`Event::Canary`], always.
    ProbeCanary {
        /// Which.
        canary: SocketAddr,
        /// Bound of the attempt.
        timeout: Duration,
    },
    /// Serve these zones from now on: one pointer swap.
    Publish(Arc<Zones>),
    /// Commit rows; the result comes back as [`Event::Stored`], always.
    Store {
        /// Tells batches apart.
        token: BatchToken,
        /// The rows.
        batch: Box<Batch>,
        /// The store is given this long; none means as long as it takes.
        within: Option<Duration>,
    },
    /// Keep zones; the result comes back as [`Event::Kept`], always.
    Keep(Box<Keep>),
    /// Ask the parent of a zone for its DS; the result comes back as [`Event::Parent`], always.
    AskParent {
        /// The zone.
        zone: DomainName,
    },
    /// Make a key and write its file; the result comes back as [`Event::KeyMade`], always.
    MakeKey {
        /// For this zone.
        zone: DomainName,
        /// With what it signs.
        algorithm: KeyAlgorithm,
    },
    /// Sign a large zone, beside everything else; the result comes back as [`Event::Drafted`], always.
    Draft {
        /// Tells drafts apart.
        token: DraftToken,
        /// What to sign.
        outline: Arc<Outline>,
        /// With this serial.
        serial: Serial,
    },
    /// Remove the file of a key that signs nothing any more.
    ForgetKey {
        /// Of this zone.
        zone: DomainName,
        /// Its tag.
        tag: u16,
    },
    /// Answer a request.
    Reply {
        /// Which.
        request: RequestId,
        /// The answer.
        result: Result<Box<Done>, Box<Refusal>>,
    },
    /// An alarm began or ended; log it and run the alarm command.
    Alarm {
        /// Which.
        alarm: Alarm,
        /// Began (true) or ended (false), or stands on and is repeated (true).
        raised: bool,
    },
    /// Log a transition.
    Log {
        /// Whether it deserves attention.
        warn: bool,
        /// The line.
        text: String,
    },
}

/// Tells batches apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchToken(pub u64);

/// Tells drafts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DraftToken(pub u64);

/// Why a batch is not known to be committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The store did not finish in the time it was given. A second result follows when it does.
    #[error("the store did not finish within {0:?}")]
    TooSlow(Duration),
    /// The store said no; nothing of the batch is kept.
    #[error("{0}")]
    Failed(String),
}
