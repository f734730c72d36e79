//! TSIG: messages signed with a secret that two servers share (RFC 8945).
//!
//! In: the octets of a message, keys, a moment. Out: who signed it, what a refusal of it must say, the octets with a
//! signature after them; for one message and for a sequence of them (a transfer).
//! Never here: sockets, files, a clock; what a signer may do. A secret is never shown.
//!
//! The server's side begins with [`receive`], the client's with [`sign`].

mod client;
mod key;
mod record;
mod server;

pub use client::{Verifier, VerifyFault, sign};
pub use key::{Algorithm, Key, KeyFault, Keys};
pub use record::{Fault, Malformed};
pub use server::{Received, Refusal, Signer, receive};

/// For how many seconds around the time of signing a signature is good (RFC 8945 §10 recommends this).
const FUDGE: u16 = 300;
