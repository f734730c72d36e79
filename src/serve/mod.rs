//! Serving: query octets in, answer octets out.
//!
//! In: requests, the zones as published. Out: responses. One pure function answers for every transport; it takes no
//! lock and reads no disk. Never here: what the zones hold, or when it changes.

mod answer;
mod authority;
mod counters;
mod denial;
mod hall;
mod listen;
mod message;
mod question;
mod respond;
mod server;
mod stream;
mod tcp;
mod udp;

pub use answer::{Answer, Placed, answer};
pub use authority::{Authority, Manners};
pub use counters::{Counters, Counts};
pub use hall::TcpLimits;
pub use listen::{InheritError, ListenError, ListenFault, Listeners};
pub use message::{UDP_LIMIT, udp_limit, write, write_error};
pub use question::{Edns, Envelope, Operation, Question, Rejection, Request, Unasked, read};
pub use respond::{Outcome, Peer, Transport, respond};
pub use server::{Serving, start};
