//! What must hold for any octets at all, one function per reader of what others send.
//!
//! In: octets. Out: nothing, or a panic that says what does not hold. Written for a fuzzer to call; the test `fuzz_seeds`
//! gives the same functions the seeds, whole and cut.

#![allow(clippy::unwrap_used)]

mod configuration;
mod query;
mod reply;
mod tsig;
mod xml;
mod zone_file;

pub use configuration::configuration;
pub use query::query;
pub use reply::reply;
pub use tsig::tsig;
pub use xml::xml;
pub use zone_file::zone_file;

/// A function that takes any octets.
pub type Check = fn(&[u8]);

/// Every target, by the name of its seeds' directory.
pub const ALL: [(&str, Check); 6] = [
    ("query", query),
    ("zone_file", zone_file),
    ("tsig", tsig),
    ("xml", xml),
    ("configuration", configuration),
    ("reply", reply),
];
