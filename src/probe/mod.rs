//! Probing a pool the way a partner reaches it.
//!
//! In: a check. Out: an [`Observation`]. One file per protocol (`xmpp`, `sip`) climbs a ladder of steps;
//! `attempt` bounds and times them. Never here: counting, thresholds, verdicts; those are `health/`.

mod attempt;
mod certificate;
mod domainpart;
mod observation;
mod prober;
mod report;
mod sip;
mod stream;
mod tcp;
mod tls;
mod trust;
mod wire;
pub mod xml;
mod xmpp;

pub use observation::{
    CanaryObservation, CertificateFacts, CertificateFault, Distrust, Observation, Phase,
    PhaseTiming, ProbeResult, Reason, StreamCondition, TlsFacts,
};
pub use prober::Prober;
pub use report::report;
pub use trust::TrustError;
