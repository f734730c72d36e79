//! Secondaries: each is told of every change (RFC 1996), and asked which serials it has.
//!
//! In: publications, the configured secondaries, their replies. Out: NOTIFYs and SOA queries, bounded in number; a view of
//! each secondary; alarms when one stays behind or silent; word to the engine of what each has, and when one is ahead of us.
//! Never here: transfers; they are `serve`'s. A decision about a serial that is ahead; that is the engine's.
//!
//! `ledger` is pure: when whom to tell and ask, and what is known. `errands` and `keep` are the sockets and the task around it.
//! `watch` asks the `others`: nameservers that NS records name without being configured as secondaries.

mod errands;
mod keep;
mod ledger;
mod others;
mod step;
mod view;
mod watch;

pub use keep::{Board, keep};
pub use ledger::{Ahead, Errand, Ledger, What};
pub use view::{SecondaryView, SecondaryZoneView, Standing};
pub use watch::watch;
