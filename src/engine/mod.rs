//! The engine: a single writer with a pure core.
//!
//! In: [`Event`]s and the time. Out: [`Effect`]s, in order. The core never reads a clock, opens a socket or
//! sleeps, so a test drives hours of failures in milliseconds. `shell` around it does all of that.

mod ahead;
mod claim_alarms;
mod alarm;
mod command;
mod event;
mod record;
mod view;
mod numbers;
mod journal;
mod keeping;
mod late;
mod longer_ttls;
mod leaning;
mod challenge;
mod inbound;
mod core;
mod damper;
mod old_answers;
mod drain_notes;
mod drafts;
mod due;
mod news;
mod publish;
mod rows;
mod plan;
mod planned;
mod refusals;
mod operate;
mod alarms;
mod route_alarms;
mod standby_alarms;
mod look;
mod signing;
mod signing_rows;
mod signing_steps;
mod signing_clock;
mod signing_spread;
mod signing_view;
mod signing_alarms;
mod signing_commands;

pub use ahead::{Claim, Standing};
pub use alarm::{Alarm, AlarmKind, Concern, Severity};
pub use challenge::{Challenge, ChallengeChange};
pub use command::{
    CHANGED_MEANWHILE, Command, Done, Expected, KeyChange, KeyVerb, Lifetime, MISFIT, REMOVAL,
    Refusal, RefusalKind, Request, RequestId, RouteChange, SIGNING, STORE_FAILING,
};
pub use core::Engine;
pub use event::{BatchToken, DraftToken, Effect, Event, Rejection, RejectionKind, StoreFault};
pub use inbound::{InboundAttempt, InboundCopy, InboundNews, InboundOutcome, InboundView, misfit};
pub use keeping::{Keep, KeptInbound};
pub use planned::Planned;
pub use record::{Batch, Budget, Entry, EntryKind, Parting, Remembered, Reservation, StoredRoute};
pub use signing_commands::SAME_TAG;
pub use signing_spread::Sighting;
pub use signing_view::{KeyView, ParentView, SigningKeyView, SigningView, ZoneKeysView};
pub use view::{
    CanaryView, CheckView, DrainedTargetView, OwnerView, PoolView, RoutePoolView, RouteView, View,
    ZoneView,
};
