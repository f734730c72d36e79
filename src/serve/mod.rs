//! Serving: query octets in, answer octets out.
//!
//! In: requests, the zones as published. Out: responses. One pure function answers for every transport; it takes no
//! lock and reads no disk. Never here: what the zones hold, or when it changes.

mod answer;
mod authority;
mod budget;
mod chaos;
mod cookie;
mod counters;
mod denial;
mod expand;
mod freshness;
mod hall;
mod https;
mod identity;
mod listen;
mod message;
mod names;
mod notify;
mod options;
mod peer;
mod question;
mod quic;
mod rate;
mod redirect;
mod refused;
mod replay;
mod respond;
mod server;
mod stream;
mod tcp;
mod tls;
mod transfer;
mod udp;
mod update;

pub use answer::{Answer, Placed, answer, answer_within};
pub use authority::{Authority, Manners};
pub use cookie::{Secret, Secrets};
pub use counters::{Counters, Counts};
pub use expand::{name_at, rdata_at};
pub use hall::TcpLimits;
pub use identity::{Certificate, CertificateFault, Identity};
pub use listen::{
    Addresses, InheritError, ListenError, ListenFault, ListenerFailure, Listeners, processors,
};
pub use message::{UDP_LIMIT, udp_limit, write, write_code};
pub use notify::Primaries;
pub use options::{BadOptions, Courtesies, ExtendedError, Options};
pub use peer::{Outcome, Peer, Transport};
pub use question::{Edns, Envelope, Operation, Question, Rejection, Request, Unasked, read};
pub use rate::{Counted, Passage, RateLimit, RateTable};
pub use refused::{Asked, Refusals, Refused, Why};
pub use replay::Replays;
pub use respond::{Responses, respond, respond_or_transfer};
pub use server::{Encryption, Serving, start, start_with};
pub use transfer::{Berths, Kind as TransferKind, LastTransfer, Transfer, Transfers};
pub use update::{Made, TextChange, Update, Updates};
