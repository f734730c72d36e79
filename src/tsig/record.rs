//! The TSIG record: finding it in a message, writing one after it (RFC 8945 §4).
//!
//! In: octets nobody has vouched for. Out: the record and where it begins; what a MAC is computed over.
//! Never here: whether a MAC is right.

use std::fmt;

use crate::clock::Wall;
use crate::zone::{MAX_WIRE, Name};

const HEADER: usize = 12;
const TYPE_TSIG: u16 = 250;
const CLASS_ANY: u16 = 255;

/// A message that cannot be read, or whose TSIG is not its last record, there twice, or not a TSIG (RFC 8945 §5.1, §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message or its TSIG cannot be read")]
pub struct Malformed;

/// What is wrong with a signature, as its reply says (RFC 8945 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its octets are not as they must be: FORMERR, and nothing about TSIG.
    Malformed,
    /// The MAC is not that of the message: BADSIG.
    BadSig,
    /// No such key, or another algorithm: BADKEY.
    BadKey,
    /// Signed too long ago, or by a clock ahead of ours: BADTIME.
    BadTime,
    /// The MAC was cut shorter than we accept: BADTRUNC.
    BadTrunc,
}

impl Fault {
    /// The number in the TSIG's error field; none for a message that is merely malformed.
    pub fn number(self) -> Option<u16> {
        match self {
            Fault::Malformed => None,
            Fault::BadSig => Some(16),
            Fault::BadKey => Some(17),
            Fault::BadTime => Some(18),
            Fault::BadTrunc => Some(22),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Fault::Malformed => "FORMERR",
            Fault::BadSig => "BADSIG",
            Fault::BadKey => "BADKEY",
            Fault::BadTime => "BADTIME",
            Fault::BadTrunc => "BADTRUNC",
        })
    }
}

/// A TSIG record.
#[derive(Clone, Debug)]
pub(super) struct Tsig {
    /// The name of the key.
    pub(super) key: Name,
    /// The name of the algorithm.
    pub(super) algorithm: Name,
    /// When it was signed, in seconds since 1970.
    pub(super) time: u64,
    /// For how many seconds around that.
    pub(super) fudge: u16,
    pub(super) mac: Vec<u8>,
    /// The identifier of the message as signed: a forwarder may have changed it.
    pub(super) original_id: u16,
    pub(super) error: u16,
    pub(super) other: Vec<u8>,
}

/// Seconds since 1970 as TSIG counts them: 48 bits.
pub(super) fn seconds(now: Wall) -> u64 {
    u64::try_from(now.as_millis().div_euclid(1000)).unwrap_or(0) & 0xffff_ffff_ffff
}

impl Tsig {
    /// Finds the TSIG of a message and where it begins; none when the message is not signed.
    pub(super) fn find(message: &[u8]) -> Result<Option<(Tsig, usize)>, Malformed> {
        let header = message.get(..HEADER).ok_or(Malformed)?;
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let mut at = HEADER;
        for _ in 0..count(4) {
            at = name_end(message, at)? + 4;
        }
        let records = u32::from(count(6)) + u32::from(count(8)) + u32::from(count(10));
        for n in 1..=records {
            let fixed = name_end(message, at)?;
            let octets = message.get(fixed..fixed + 10).ok_or(Malformed)?;
            let length = usize::from(u16::from_be_bytes([octets[8], octets[9]]));
            let end = fixed + 10 + length;
            if u16::from_be_bytes([octets[0], octets[1]]) == TYPE_TSIG {
                // The last record of the additional section, and the message ends there.
                if n != records || count(10) == 0 || end != message.len() {
                    return Err(Malformed);
                }
                return Tsig::read(message, at, fixed).map(|tsig| Some((tsig, at)));
            }
            at = end;
        }
        if at == message.len() {
            Ok(None)
        } else {
            Err(Malformed)
        }
    }

    fn read(message: &[u8], owner: usize, fixed: usize) -> Result<Tsig, Malformed> {
        // RFC 8945 §4.2: class ANY, TTL 0.
        if message[fixed + 2..fixed + 8] != [0, 255, 0, 0, 0, 0] {
            return Err(Malformed);
        }
        let rdata = &message[fixed + 10..];
        let (algorithm, used) = Name::read_wire(rdata).map_err(|_| Malformed)?;
        let mut rest = Rest(&rdata[used..]);
        let time = (u64::from(rest.word()?) << 32)
            | (u64::from(rest.word()?) << 16)
            | u64::from(rest.word()?);
        let fudge = rest.word()?;
        let mac = rest.counted()?.to_vec();
        let (original_id, error) = (rest.word()?, rest.word()?);
        let other = rest.counted()?.to_vec();
        if !rest.0.is_empty() {
            return Err(Malformed);
        }
        Ok(Tsig {
            key: expand(message, owner)?,
            algorithm,
            time,
            fudge,
            mac,
            original_id,
            error,
            other,
        })
    }

    /// Whether a moment lies within the fudge (RFC 8945 §5.2.3).
    pub(super) fn is_timely(&self, now: Wall) -> bool {
        self.time.abs_diff(seconds(now)) <= u64::from(self.fudge)
    }

    /// The variables a MAC covers besides the message (RFC 8945 §4.3.3): names in canonical form.
    pub(super) fn variables(&self) -> Vec<u8> {
        let mut out = self.key.wire().to_ascii_lowercase();
        out.extend(CLASS_ANY.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.algorithm.wire().to_ascii_lowercase());
        out.extend(self.timers());
        out.extend(self.error.to_be_bytes());
        push_counted(&mut out, &self.other);
        out
    }

    /// The variables covered from the second message of a sequence on (RFC 8945 §5.3.1).
    pub(super) fn timers(&self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..6].copy_from_slice(&self.time.to_be_bytes()[2..]);
        out[6..].copy_from_slice(&self.fudge.to_be_bytes());
        out
    }

    /// Writes the record after a message and counts it.
    pub(super) fn append(&self, message: &mut Vec<u8>) {
        message.extend(self.key.wire());
        message.extend(TYPE_TSIG.to_be_bytes());
        message.extend(CLASS_ANY.to_be_bytes());
        message.extend([0; 4]);
        let length_at = message.len();
        message.extend([0; 2]);
        message.extend(self.algorithm.wire());
        message.extend(self.timers());
        push_counted(message, &self.mac);
        message.extend(self.original_id.to_be_bytes());
        message.extend(self.error.to_be_bytes());
        push_counted(message, &self.other);
        let length = u16::try_from(message.len() - length_at - 2).expect("two names and a MAC");
        message[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        let count = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
        message[10..HEADER].copy_from_slice(&count.to_be_bytes());
    }
}

/// The message as it was before its TSIG: without it in the count, with its original identifier (RFC 8945 §4.3.2).
/// Given apart as header and body.
pub(super) fn before_signing(message: &[u8], tsig: &Tsig, start: usize) -> ([u8; HEADER], usize) {
    let mut header = [0; HEADER];
    header.copy_from_slice(&message[..HEADER]);
    header[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
    let count = u16::from_be_bytes([header[10], header[11]]).wrapping_sub(1);
    header[10..].copy_from_slice(&count.to_be_bytes());
    (header, start)
}

/// Octets with their count before them.
pub(super) fn push_counted(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend(
        u16::try_from(octets.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    out.extend(octets);
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u16, Malformed> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.word()?;
        self.take(usize::from(length))
    }
}

/// Where the name at `at` ends, without following pointers.
fn name_end(message: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        match *message.get(at).ok_or(Malformed)? {
            0 => return Ok(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return Ok(at + 2),
            _ => return Err(Malformed),
        }
    }
}

/// Reads a name that may be compressed. Every pointer points further back than the one before, so it ends.
fn expand(message: &[u8], mut at: usize) -> Result<Name, Malformed> {
    let mut wire = Vec::new();
    let mut bound = at;
    loop {
        match *message.get(at).ok_or(Malformed)? {
            0 => {
                wire.push(0);
                return Name::from_wire(&wire).map_err(|_| Malformed);
            }
            length @ 1..=63 => {
                let end = at + 1 + usize::from(length);
                wire.extend(message.get(at..end).ok_or(Malformed)?);
                at = end;
            }
            high @ 192.. => {
                let low = *message.get(at + 1).ok_or(Malformed)?;
                at = usize::from(high & 0x3f) << 8 | usize::from(low);
                if at >= bound {
                    return Err(Malformed);
                }
                bound = at;
            }
            _ => return Err(Malformed),
        }
        if wire.len() > MAX_WIRE {
            return Err(Malformed);
        }
    }
}
