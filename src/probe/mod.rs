//! Probing a pool the way a partner reaches it.
//!
//! In: a check. Out: an [`Observation`]. Never here: counting, thresholds, verdicts; those are `health/`.

mod observation;

pub use observation::{
    CanaryObservation, CertificateFacts, CertificateFault, Observation, Phase, PhaseTiming,
    ProbeResult, Reason, StreamCondition, TlsFacts,
};
