//! Zones: from decisions and static records to what is served.
//!
//! In: a topology, master files already read, decisions, a serial. Out: [`Zones`], an immutable set of zone
//! versions; what did not change is the very same value as before.
//! Never here: I/O, clocks, sockets; nor the choice of what a decision says.

mod compile;
mod delta;
#[cfg(test)]
mod fixture;
mod generated;
mod layout;
mod layout_problem;
mod master;
mod name;
mod placement;
mod rdata;
mod serial;
mod shape;
mod static_zone;
mod version;
mod zones;

pub use compile::compile;
pub use delta::{Delta, ZoneRecord, diff};
pub use layout::Layout;
pub use layout_problem::LayoutProblem;
pub use master::{Include, Included, MasterFault, MasterProblem, Severity, SourceLine};
pub use name::{MAX_WIRE, Name, NameFault, label_count, parent_key};
pub use rdata::{Rdata, Rrset};
pub use serial::Serial;
pub use shape::{TypeFault, compresses_names, type_text};
pub use static_zone::StaticZone;
pub use version::{Found, Node, NodeKind, ZoneVersion};
pub use zones::Zones;
