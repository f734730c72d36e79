//! The client's side: a request signed, and its response or sequence of responses verified.
//!
//! In: a request, a key, then what came back. Out: [`Verifier`], which says of each message whether it is to be
//! believed. Never here: whether a response is to this request; the caller compares identifiers and questions.

use std::sync::Arc;

use super::key::Key;
use super::record::{Tsig, before_signing, push_counted};
use super::server::unsigned;
use crate::clock::Wall;

/// So many messages of a sequence may go without a signature of their own (RFC 8945 §5.3.1).
const UNSIGNED: usize = 99;

/// Why a response is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyFault {
    /// It cannot be read.
    #[error("the response or its TSIG cannot be read")]
    Malformed,
    /// A signature is due and missing.
    #[error("the response is not signed")]
    Unsigned,
    /// Another key or algorithm.
    #[error("the response is signed with another key than the request")]
    OtherKey,
    /// The MAC is not that of the message, or was cut.
    #[error("the signature does not fit the response")]
    Signature,
    /// Signed too long ago, or by a clock ahead of ours.
    #[error("the response was signed {seconds} s from now by our clock")]
    Time {
        /// How far apart the two clocks are.
        seconds: u64,
    },
    /// The server does not accept our signature. It says so unsigned for BADSIG and BADKEY.
    #[error("the server refuses our signature: {}", error_text(*error))]
    Refused {
        /// The TSIG error.
        error: u16,
    },
}

fn error_text(error: u16) -> String {
    match error {
        16 => "BADSIG (the secrets differ)".to_owned(),
        17 => "BADKEY (it does not know the key)".to_owned(),
        18 => "BADTIME (the clocks differ)".to_owned(),
        22 => "BADTRUNC".to_owned(),
        other => format!("error {other}"),
    }
}

/// Signs a request: appends its TSIG. Out: what verifies the response.
pub fn sign(request: &mut Vec<u8>, key: &Arc<Key>, now: Wall) -> Verifier {
    let mut tsig = unsigned(key, request, now);
    tsig.mac = key.mac(&[request, &tsig.variables()]);
    let prior = tsig.mac.clone();
    tsig.append(request);
    Verifier {
        key: key.clone(),
        prior,
        between: Vec::new(),
        unsigned: 0,
        first: true,
    }
}

/// Verifies the messages that answer one request, in order.
#[derive(Debug)]
pub struct Verifier {
    key: Arc<Key>,
    /// The MAC before: the request's, then that of the last signed message.
    prior: Vec<u8>,
    /// The messages since then.
    between: Vec<u8>,
    unsigned: usize,
    first: bool,
}

impl Verifier {
    /// Verifies the next message. In a sequence a message may be unsigned between two that are signed, and is to be
    /// believed only once the next of those was: [`Verifier::is_settled`]. An error ends the sequence.
    pub fn verify(&mut self, response: &[u8], now: Wall) -> Result<(), VerifyFault> {
        let found = Tsig::find(response).map_err(|_| VerifyFault::Malformed)?;
        let Some((tsig, start)) = found else {
            self.unsigned += 1;
            if self.first || self.unsigned > UNSIGNED {
                return Err(VerifyFault::Unsigned);
            }
            self.between.extend(response);
            return Ok(());
        };
        if tsig.key != *self.key.name() || tsig.algorithm != self.key.algorithm().name() {
            return Err(VerifyFault::OtherKey);
        }
        if tsig.mac.is_empty() && matches!(tsig.error, 16 | 17) {
            return Err(VerifyFault::Refused { error: tsig.error });
        }
        let (header, end) = before_signing(response, &tsig, start);
        let mut prior = Vec::with_capacity(2 + self.prior.len());
        push_counted(&mut prior, &self.prior);
        let body = &response[header.len()..end];
        let mac = if self.first {
            self.key.mac(&[&prior, &header, body, &tsig.variables()])
        } else {
            let timers = tsig.timers();
            self.key
                .mac(&[&prior, &self.between, &header, body, &timers])
        };
        if tsig.mac.len() != mac.len() || !openssl::memcmp::eq(&mac, &tsig.mac) {
            return Err(VerifyFault::Signature);
        }
        if tsig.error != 0 {
            return Err(VerifyFault::Refused { error: tsig.error });
        }
        if !tsig.is_timely(now) {
            let seconds = tsig.time.abs_diff(super::record::seconds(now));
            return Err(VerifyFault::Time { seconds });
        }
        self.prior = tsig.mac;
        self.between.clear();
        self.unsigned = 0;
        self.first = false;
        Ok(())
    }

    /// Whether everything so far is covered by a signature: true of every sequence that ends well.
    pub fn is_settled(&self) -> bool {
        !self.first && self.unsigned == 0
    }
}
