//! What the demonstration stands on: pools that are made of nothing but this program.
//!
//! In: an address and a domain. Out: listeners that partners and probes take for XMPP servers, with
//! certificates of an authority that lives only in memory. Never here: anything `serve` needs.

mod authority;
mod pool;

pub use authority::{Authority, Identity, Leaf};
pub use pool::{Behaviour, PoolServer};
