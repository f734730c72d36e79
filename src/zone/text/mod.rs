//! Data whose text is more than one word for each field: one file per record type, both directions in it.
//!
//! In: the words of a master file, or RDATA from a place on to its end. Out: the octets, or the text. What has no text of its
//! own, such as a LOC record of another version, is printed as RFC 3597 §5 says.
//! Never here: the fields of other types (`shape`), lines and quotes (`master`).

mod apl;
mod certificate;
mod gateway;
mod groups;
mod hip;
mod loc;
mod retired;
mod svcb;

use super::name::Name;
use retired::{a6, atma, nsap, wks};

pub(super) use certificate::{algorithm_number, certificate_type, certificate_type_text};
pub(super) use groups::Groups;

/// The end of a record's data that has a syntax of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// A place on earth (RFC 1876).
    Loc,
    /// Address prefixes (RFC 3123).
    Apl,
    /// A gateway and a key (RFC 4025).
    Ipseckey,
    /// A host identity and its rendezvous servers (RFC 8005).
    Hip,
    /// Service parameters (RFC 9460).
    SvcParams,
    /// A relay (RFC 8777).
    Amtrelay,
    /// A protocol and its ports (RFC 1035 §3.4.2).
    Wks,
    /// An address of OSI (RFC 1706).
    Nsap,
    /// An address of ATM.
    Atma,
    /// A part of an IPv6 address (RFC 2874).
    A6,
}

/// What is wrong with words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The place of the word, from 0; the number of words when one is missing.
    pub(super) at: usize,
    /// What is wrong with it.
    pub(super) why: String,
    /// What to write.
    pub(super) write: &'static str,
}

/// Octets, or what is wrong with the words.
type Read = Result<Vec<u8>, Wrong>;

fn wrong<T>(at: usize, why: impl Into<String>, write: &'static str) -> Result<T, Wrong> {
    let why = why.into();
    Err(Wrong { at, why, write })
}

impl Syntax {
    /// Whether octets are whole.
    pub(super) fn is_whole(self, octets: &[u8]) -> bool {
        match self {
            Syntax::Loc => octets.len() == loc::OCTETS,
            Syntax::Apl => apl::is_whole(octets),
            Syntax::Ipseckey => gateway::is_whole(octets),
            Syntax::Hip => hip::is_whole(octets),
            Syntax::SvcParams => svcb::is_whole(octets),
            Syntax::Amtrelay => gateway::amtrelay::is_whole(octets),
            Syntax::Wks | Syntax::Nsap | Syntax::Atma => !octets.is_empty(),
            Syntax::A6 => a6::is_whole(octets),
        }
    }

    /// The text of octets; none when they have none, or one that would be read as other octets.
    pub(super) fn print(self, octets: &[u8]) -> Option<String> {
        match self {
            Syntax::Loc => loc::print(octets),
            Syntax::Apl => apl::print(octets),
            Syntax::Ipseckey => gateway::print(octets),
            Syntax::Hip => hip::print(octets),
            Syntax::SvcParams => svcb::print(octets),
            Syntax::Amtrelay => gateway::amtrelay::print(octets),
            Syntax::Wks => wks::print(octets),
            Syntax::Nsap => nsap::print(octets),
            Syntax::Atma => atma::print(octets),
            Syntax::A6 => a6::print(octets),
        }
    }

    /// Reads the words to the end of the record. `before` is what stands before them.
    pub(super) fn read(self, words: &[&[u8]], before: &[u8], origin: &Name) -> Read {
        match self {
            Syntax::Loc => loc::read(words),
            Syntax::Apl => apl::read(words),
            Syntax::Ipseckey => gateway::read(words, origin),
            Syntax::Hip => hip::read(words, origin),
            Syntax::SvcParams => svcb::read(words, before),
            Syntax::Amtrelay => gateway::amtrelay::read(words, origin),
            Syntax::Wks => wks::read(words),
            Syntax::Nsap => nsap::read(words),
            Syntax::Atma => atma::read(words),
            Syntax::A6 => a6::read(words, origin),
        }
    }

    /// Where a name begins that is in lower case in the canonical form (RFC 4034 §6.2), up to the end.
    pub(super) fn lowered_from(self, octets: &[u8]) -> Option<usize> {
        match self {
            Syntax::A6 => a6::name_at(octets),
            _ => None,
        }
    }
}

/// A word as a number, digits only.
fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(word).ok()?.parse().ok())?
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
