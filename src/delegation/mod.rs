//! Delegation: what the zones above must have, whether they have it, and the way out.
//!
//! In: what is served, and what the zones above and every nameserver say when asked. Out: records to enter, findings
//! with their remedies, the next step of leaving. `gather` asks; everything else is pure. Never here: changing anything,
//! here or there.

mod records;
mod served;

pub use records::{Arrangement, ParentRecord, ParentRecords, Step, parent_records};
pub use served::{
    Host, Selection, Served, ServedDomain, ServedName, ServedRecord, ServedTarget, ServedZone,
    first_zones,
};
