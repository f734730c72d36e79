//! Asking: a question in, another server's reply out.
//!
//! In: a [`Query`], the server to ask, how long and over what. Out: a [`Reply`] whose names are whole and whose
//! question is ours, or an [`AskError`] that says which. Reading and writing messages is pure; only the functions that
//! wait open sockets. Never here: what the reply means, a cache, the zones we serve.

mod client;
mod query;
mod reply;
mod stream;
#[cfg(test)]
mod tests;

pub use client::{AskError, How, Transport, ask};
pub use query::{Operation, Query};
pub use reply::{Malformed, Record, Reply, ReplyEdns};
pub use stream::Stream;
