//! Delegation: what the zones above must have, whether they have it, and the way out.
//!
//! In: what is served, and what the zones above and every nameserver say when asked. Out: records to enter, findings
//! with their remedies, the next step of leaving. `gather`, `nameservers`, `said` and `sight` ask; everything else is
//! pure. Never here: changing anything, here or there.

mod extract;
mod facts;
mod finding;
mod first;
mod gather;
mod judge;
mod leave;
mod nameservers;
mod records;
mod said;
mod served;
mod sight;

pub use facts::{CertificateSeen, Facts};
pub use finding::{Code, Finding, Severity};
pub use first::first_zones;
pub use gather::gather;
pub use judge::judge;
pub use leave::{LeaveStep, Leaving, Link, Memory, Reading, Sighting, State, leave};
pub use records::{Arrangement, ParentRecord, ParentRecords, Step, parent_records};
pub use served::{
    Host, Selection, Served, ServedDomain, ServedName, ServedRecord, ServedTarget, ServedZone,
};
pub use sight::sight;
