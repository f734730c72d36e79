//! The server's side: who signed a request, and the signature of what is said to it.
//!
//! In: a request's octets, our keys, a moment. Out: [`Signer`] for the response or the sequence of responses, or
//! [`Refusal`] with what RFC 8945 §5.2 says about it. Never here: what the signer may do.

use std::sync::Arc;

use super::FUDGE;
use super::key::{Algorithm, Key, Keys};
use super::record::{Fault, Tsig, before_signing, push_counted, seconds};
use crate::clock::Wall;
use crate::zone::Name;

/// What the signature of a request says.
#[derive(Debug)]
pub enum Received {
    /// There is none.
    Unsigned,
    /// It is good. What is said in return is signed by this.
    Signed(Signer),
    /// It is not.
    Refused(Refusal),
}

/// Looks for a request's signature and checks it (RFC 8945 §5.2). A request that cannot be read at all is refused as
/// malformed.
pub fn receive(request: &[u8], keys: &Keys, now: Wall) -> Received {
    let (tsig, start) = match Tsig::find(request) {
        Ok(None) => return Received::Unsigned,
        Ok(Some(found)) => found,
        Err(_) => {
            return Received::Refused(Refusal {
                fault: Fault::Malformed,
                asked: None,
            });
        }
    };
    let refuse = |fault, tsig, key| {
        Received::Refused(Refusal {
            fault,
            asked: Some(Box::new((tsig, key))),
        })
    };
    // First the key (§5.2.1): its algorithm is part of what was agreed on.
    let key = keys.get(&tsig.key);
    let Some(key) = key.filter(|key| key.algorithm().name() == tsig.algorithm) else {
        return refuse(Fault::BadKey, tsig, None);
    };
    // Then the MAC (§5.2.2); its length comes first (§5.2.2.1).
    let full = key.algorithm().mac_octets();
    let length = tsig.mac.len();
    if length > full || length < usize::max(10, full / 2) {
        return refuse(Fault::Malformed, tsig, None);
    }
    let (header, end) = before_signing(request, &tsig, start);
    let mac = key.mac(&[&header, &request[header.len()..end], &tsig.variables()]);
    if !openssl::memcmp::eq(&mac[..length], &tsig.mac) {
        return refuse(Fault::BadSig, tsig, None);
    }
    let key = key.clone();
    // Then the time (§5.2.3), then the length once more: we take no MAC that was cut (§5.2.4).
    if !tsig.is_timely(now) {
        return refuse(Fault::BadTime, tsig, Some(key));
    }
    if length < full {
        return refuse(Fault::BadTrunc, tsig, Some(key));
    }
    Received::Signed(Signer {
        key,
        prior: tsig.mac.clone(),
        first: true,
        asked: Box::new(tsig),
    })
}

/// Signs what is said to a request: one response, or a sequence of them (RFC 8945 §5.3, §5.3.1).
#[derive(Debug)]
pub struct Signer {
    key: Arc<Key>,
    /// The MAC before: the request's, then that of each message.
    prior: Vec<u8>,
    first: bool,
    /// The request's own TSIG.
    asked: Box<Tsig>,
}

impl Signer {
    /// Who asked.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The request's MAC, whole: no other request has it.
    pub fn mac(&self) -> &[u8] {
        &self.asked.mac
    }

    /// When the request was signed, by the client's clock, in seconds since 1970.
    pub fn signed_at(&self) -> u64 {
        self.asked.time
    }

    /// The last second, by our clock, in which the signature is good.
    pub fn good_until(&self) -> u64 {
        self.asked.time + u64::from(self.asked.fudge)
    }

    /// Refuses the request after all, for having been signed too early: BADTIME, signed (RFC 8945 §5.2.3).
    pub fn too_early(&self) -> Refusal {
        Refusal {
            fault: Fault::BadTime,
            asked: Some(Box::new((Tsig::clone(&self.asked), Some(self.key.clone())))),
        }
    }

    /// How many octets a signature adds to a message.
    pub fn octets(&self) -> usize {
        octets(&self.key)
    }

    /// Signs the next message: appends its TSIG. The message has its header and ends after its last record.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: Wall) {
        let mut tsig = unsigned(&self.key, message, now);
        let mut prior = Vec::with_capacity(2 + self.prior.len());
        push_counted(&mut prior, &self.prior);
        tsig.mac = if self.first {
            self.key.mac(&[&prior, message, &tsig.variables()])
        } else {
            self.key.mac(&[&prior, message, &tsig.timers()])
        };
        self.first = false;
        self.prior.clone_from(&tsig.mac);
        tsig.append(message);
    }
}

/// How many octets a signature with a key adds.
pub(super) fn octets(key: &Key) -> usize {
    let algorithm: Algorithm = key.algorithm();
    length(key.name(), &algorithm.name()) + algorithm.mac_octets()
}

/// How many octets a TSIG has without its MAC and other data.
fn length(key: &Name, algorithm: &Name) -> usize {
    // Owner, the fixed part of a record, and RDATA (RFC 8945 §4.2).
    key.wire().len() + 10 + algorithm.wire().len() + 8 + 2 + 6
}

/// A TSIG without its MAC.
pub(super) fn unsigned(key: &Key, message: &[u8], now: Wall) -> Tsig {
    Tsig {
        key: key.name().clone(),
        algorithm: key.algorithm().name(),
        time: seconds(now),
        fudge: FUDGE,
        mac: Vec::new(),
        original_id: u16::from_be_bytes([message[0], message[1]]),
        error: 0,
        other: Vec::new(),
    }
}

/// A request whose signature is refused.
#[derive(Debug)]
pub struct Refusal {
    fault: Fault,
    /// The request's TSIG, and its key where the response to it is signed.
    asked: Option<Box<(Tsig, Option<Arc<Key>>)>>,
}

impl Refusal {
    /// What is wrong. [`Fault::Malformed`] is answered FORMERR, everything else NOTAUTH.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The key that the request claims to be signed with; none where that cannot be read.
    pub fn key(&self) -> Option<&Name> {
        self.asked.as_ref().map(|asked| &asked.0.key)
    }

    /// How many octets [`Refusal::complete`] adds to a message.
    pub fn octets(&self) -> usize {
        let (Some(_), Some(asked)) = (self.fault.number(), &self.asked) else {
            return 0;
        };
        let (tsig, key) = asked.as_ref();
        let mac = key.as_ref().map_or(0, |key| key.algorithm().mac_octets());
        // §5.2.3: our time.
        let other = if self.fault == Fault::BadTime { 6 } else { 0 };
        length(&tsig.key, &tsig.algorithm) + mac + other
    }

    /// Completes the response, which says its response code and nothing else: appends the TSIG with the error. A key
    /// or MAC that is wrong gets it unsigned; a wrong time, or a MAC that was cut, signed (RFC 8945 §5.3.2).
    pub fn complete(&self, response: &mut Vec<u8>, now: Wall) {
        let (Some(error), Some(asked)) = (self.fault.number(), &self.asked) else {
            return;
        };
        let (asked, key) = asked.as_ref();
        let mut tsig = Tsig {
            key: asked.key.clone(),
            algorithm: asked.algorithm.clone(),
            time: seconds(now),
            fudge: FUDGE,
            mac: Vec::new(),
            original_id: u16::from_be_bytes([response[0], response[1]]),
            error,
            other: Vec::new(),
        };
        if self.fault == Fault::BadTime {
            // §5.2.3: the client's time, so that it can check the MAC, and ours beside it.
            tsig.other = tsig.time.to_be_bytes()[2..].to_vec();
            tsig.time = asked.time;
        }
        if let Some(key) = key {
            let mut prior = Vec::new();
            push_counted(&mut prior, &asked.mac);
            tsig.mac = key.mac(&[&prior, response, &tsig.variables()]);
        }
        tsig.append(response);
    }
}
