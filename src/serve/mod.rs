//! Serving: query octets in, answer octets out.
//!
//! In: requests, the zones as published. Out: responses. One pure function answers for every transport; it takes no
//! lock and reads no disk. Never here: what the zones hold, or when it changes.

mod answer;
mod authority;
mod chaos;
mod cookie;
mod counters;
mod denial;
mod hall;
mod listen;
mod message;
mod options;
mod question;
mod rate;
mod respond;
mod server;
mod stream;
mod tcp;
mod udp;

pub use answer::{Answer, Placed, answer};
pub use authority::{Authority, Manners};
pub use cookie::{Secret, Secrets};
pub use counters::{Counters, Counts};
pub use hall::TcpLimits;
pub use listen::{InheritError, ListenError, ListenFault, Listeners};
pub use message::{UDP_LIMIT, udp_limit, write, write_code};
pub use options::{BadOptions, Courtesies, ExtendedError, Options};
pub use question::{Edns, Envelope, Operation, Question, Rejection, Request, Unasked, read};
pub use rate::{Passage, RateLimit, RateTable, Said};
pub use respond::{Outcome, Peer, Transport, respond};
pub use server::{Serving, start};
