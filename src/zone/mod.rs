//! Zones: from decisions and static records to what is served.
//!
//! In: a topology, master files already read, decisions, a serial. Out: [`Zones`], an immutable set of zone
//! versions; what did not change is the very same value as before.
//! Never here: I/O, clocks, sockets; nor the choice of what a decision says.

mod arrange;
mod build;
mod cancellation;
mod challenges;
mod change;
mod compile;
mod computed;
mod delta;
mod draft;
#[cfg(test)]
mod fixture;
mod generated;
mod history;
mod key;
mod lag;
mod layout;
mod layout_problem;
mod left_out;
mod master;
mod name;
mod nested;
mod node;
mod nodes;
mod nsec;
mod overlay;
mod placed_zone;
mod placement;
mod rdata;
mod received;
mod redirection;
mod replay;
mod restore;
mod rrsig;
mod serial;
mod shape;
mod signing;
mod static_targets;
mod static_zone;
mod tally;
mod targets;
mod text;
mod type_names;
mod validity;
mod version;
mod workers;
mod zone_keys;
mod zones;

pub use cancellation::Cancellation;
pub use challenges::Challenges;
pub use change::{Change, OwnedRecord};
pub use compile::{Beside, Inputs, compile, outlines};
pub use computed::PrivateRecords;
pub use delta::{Delta, ZoneRecord, diff};
pub use draft::{Draft, Outline};
pub use key::{Dnskey, KeyAlgorithm, KeyFault, SigningKey};
pub use lag::LagFault;
pub use layout::Layout;
pub use layout_problem::LayoutProblem;
pub use master::{Include, Included, MasterFault, MasterProblem, Severity, SourceLine};
pub use name::{MAX_WIRE, Name, NameFault, label_count, parent_key};
pub use node::{Node, NodeKind, Signature};
pub use nodes::Nodes;
pub use rdata::{Rdata, Rrset};
pub use received::{Edit, ReceivedFault, SoaTimers, soa_serial};
pub use restore::RestoreFault;
pub use serial::Serial;
pub use shape::{TypeFault, compresses_names};
pub use static_zone::StaticZone;
pub use type_names::type_text;
pub use validity::LEAST_VALIDITY;
pub use version::{Found, ZoneVersion};
pub use zone_keys::{ChildRecords, Role, Signer, ZoneKeys};
pub use zones::Zones;
