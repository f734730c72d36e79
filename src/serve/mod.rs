//! Serving: query octets in, answer octets out.
//!
//! In: requests, the zones as published. Out: responses. One pure function answers for every transport; it takes no
//! lock and reads no disk. Never here: what the zones hold, or when it changes.

mod answer;
mod message;
mod question;
mod respond;

pub use answer::{Answer, Placed, answer};
pub use message::{UDP_LIMIT, udp_limit, write, write_error};
pub use question::{Edns, Envelope, Question, Rejection, Request, Unasked, read};
pub use respond::{Outcome, Transport, respond};
