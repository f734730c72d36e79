//! Master files (RFC 1035 §5): read right, or refused with the line and what to do.
//!
//! In: the octets of a file, and a closure that loads included ones. Out: records with the line each came
//! from, or every problem of all files at once. A parser of our own: what an operator wrote must never be
//! altered or dropped silently, and the crates at hand do both.
//! Never here: opening files (configuration's job), relations between records (`static_zone`).

mod fault;
mod mend;
mod problem;
mod rdata;
mod reader;
mod slip;
mod soa;
mod token;
mod windows;

pub use fault::MasterFault;
pub use problem::{MasterProblem, Severity, SourceLine};
pub use reader::{Include, Included};

pub(super) use reader::{MasterFile, MasterRecord, read};
pub(super) use slip::{
    as_meant, conflict as dot_conflict, line_with_dot, names as slipped_names, problems as slips,
};
