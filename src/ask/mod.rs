//! Asking: a question in, another server's reply out.
//!
//! In: a [`Query`], the server to ask, how long and over what. Out: a [`Reply`] whose names are whole and whose
//! question is ours, or an [`AskError`] that says which. Reading and writing messages is pure; only the functions that
//! wait open sockets. [`parent_ds`] asks the parent's side of a delegation. Never here: a cache, the zones we serve.

mod client;
mod how;
mod parent;
mod query;
mod reply;
mod resolver;
mod signed;
mod source;
mod stream;
#[cfg(test)]
mod tests;

pub use client::ask;
pub use how::{AskError, How, Transport};
pub use parent::{
    DsAnswer, DsSaid, Parent, ParentDs, ParentError, ParentServer, ds_at, negative_ttl, parent_ds,
    parent_of,
};
pub use query::{Operation, Query};
pub use reply::{Malformed, Record, Reply, ReplyEdns};
pub use resolver::{LookupError, Resolvers};
pub use signed::{SignedError, ask_signed, ask_signed_tcp};
pub use source::SourceAddresses;
pub use stream::Stream;
