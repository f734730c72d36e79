//! The life of a zone's keys: signing begun, a key rolled, signing ended, and no validator ever sees a bogus answer.
//!
//! In: the zone's row (its keys with their stages, what the parent said of DS), [`Facts`] of the moment, the wall
//! clock. Out: the next step as another row, or what it waits for and until when, in words; and what the zone
//! publishes of its keys now. Everything is in the row, so a restart goes on where it was.
//! Never here: private keys but to sign with, asking the parent, files, clocks, storing a row.
//!
//! The order is that of RFC 6781 §4.1.2 for one combined signing key (double signature), and for a new algorithm
//! that of §4.1.4 (signatures before the DNSKEY, and the DNSKEY gone before them). Two kinds of waiting keep it safe:
//! first until every nameserver has the version (each configured secondary has been seen with it, and `propagation` after
//! that), then until every cache has forgotten the one before (the longest TTL of the zone, or that of the parent's DS).

mod adopt;
mod facts;
mod in_force;
mod octets;
mod outlook;
mod parent;
mod request;
mod ring;
mod row;
mod step;

pub use adopt::mend;
pub use facts::{Facts, Seen};
pub use in_force::{MissingKey, child_records, in_force};
pub use outlook::{Advice, Asking, DsAdvice, Outlook, Trouble};
pub use parent::{Ds, ParentDs};
pub use request::{RequestFault, begin, force_retire, retire};
pub use ring::KeyRing;
pub use row::{KeyRow, PublicKey, Stage, Withdrawal, ZoneRow};
pub use step::{Step, next};
