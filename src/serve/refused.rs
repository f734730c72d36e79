//! Requests that are refused to who may have thought that they would not be: a secondary with another key, a program whose
//! clock is wrong. Its operator and ours want to know why.
//!
//! In: what was refused, to whom, the time. Out: a line of the log for it, unless the same was said of the same address
//! within the minute, or too much was said altogether. What is remembered has a bound. The lock is taken for refusals, never
//! by a query. Never here: what is refused.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::peer::{Outcome, Peer};
use crate::clock::Mono;
use crate::tsig::Fault;
use crate::zone::Name;

/// How long the same is not said again of the same address.
const PAUSE: Duration = Duration::from_secs(60);
/// So many lines are written in that time, and one that says that there would be more.
const LINES: usize = 64;

/// What was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was asked for.
    pub asked: Asked,
    /// Why it is not given.
    pub why: Why,
    /// The zone it was asked of; the name in the question where a signature is refused.
    pub zone: Option<Name>,
    /// The key that the request is signed with, or claims to be.
    pub key: Option<Name>,
    /// What an update asked for outside its key's scope, and that scope, in words.
    pub scope: Option<String>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A zone, or what changed in it.
    Transfer,
    /// A change of challenges.
    Update,
    /// That we look whether a primary has a new version.
    Notify,
    /// Whatever it was: its signature is refused.
    Signed,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No secondary has the address.
    Address,
    /// The address is right, and the key is not.
    Key,
    /// The address is right, and a signature is wanted.
    Unsigned,
    /// The secondary does not have this zone.
    OtherZone,
    /// No zone of ours has this name.
    NoZone,
    /// The zone has no version yet.
    NotReady,
    /// There is no room for another transfer.
    Room,
    /// It does not go over this transport.
    Transport,
    /// It would change something else than challenges.
    NoChallenge,
    /// It would change a challenge outside the scope of its key.
    Scope,
    /// What is wrong with the signature.
    Signature(Fault),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.as_ref().map(Name::to_string);
        let zone = zone.as_deref().unwrap_or("an unreadable name");
        match self.asked {
            Asked::Transfer => write!(f, "a transfer of {zone} is refused"),
            Asked::Update => write!(f, "an update of {zone} is refused"),
            Asked::Notify => write!(f, "a NOTIFY of {zone} is refused"),
            Asked::Signed => write!(f, "the signature of a request for {zone} is refused"),
        }?;
        match &self.key {
            Some(key) => write!(f, ", key {key}"),
            None => f.write_str(", unsigned"),
        }?;
        let why = match (self.asked, self.why) {
            (Asked::Notify, Why::Address) => "the address is none of the zone's primary",
            (_, Why::Address) => "no secondary has this address",
            (Asked::Transfer, Why::Key) => "the secondary of this address has another key",
            (Asked::Update, Why::Key) => "this key may not update ([acme] tsig)",
            (_, Why::Key) => "the zone's primary has another key",
            (_, Why::Unsigned) => "it must be signed",
            (_, Why::OtherZone) => "the secondary of this address does not have this zone",
            (_, Why::NoZone) => "no zone with this name is served",
            (_, Why::NotReady) => "the zone has no version yet",
            (_, Why::Room) => "too many transfers are under way",
            (_, Why::Transport) => "it does not go over this transport",
            (_, Why::NoChallenge) => "it would change something else than challenges",
            (_, Why::Scope) => {
                let scope = self.scope.as_deref().unwrap_or("it is not in its scope");
                return write!(f, ": {scope} ([acme] tsig)");
            }
            (_, Why::Signature(fault)) => {
                let meaning = match fault {
                    Fault::Malformed => "it cannot be read",
                    Fault::BadSig => "the secrets differ",
                    Fault::BadKey => "no key has this name and algorithm",
                    Fault::BadTime => {
                        "the clocks differ, or it was sent before and may have been forgotten"
                    }
                    Fault::BadTrunc => "the signature was cut",
                };
                return write!(f, ": {fault}: {meaning}");
            }
        };
        write!(f, ": {why}")
    }
}

/// What was refused of late.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    lines: Vec<Line>,
    /// When it was said that there would be more.
    more: Option<Mono>,
}

#[derive(Debug)]
struct Line {
    address: IpAddr,
    asked: Asked,
    why: Why,
    at: Mono,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Written,
    /// It was written a short while ago.
    Known,
    /// There are too many; the first time in a while.
    OneTooMany,
    TooMany,
}

impl Refusals {
    /// Writes a line of the log where a request was refused to somebody, and that was not said already.
    pub(super) fn tell(&self, peer: Peer, outcome: &Outcome, now: Mono) {
        let Outcome::Response {
            refused: Some(refused),
            ..
        } = outcome
        else {
            return;
        };
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = said.fate(peer.address.ip(), refused, now);
        drop(said);
        let (address, transport) = (peer.address.ip(), peer.transport);
        match fate {
            Fate::Written => tracing::warn!("{address} over {transport}: {refused}"),
            Fate::OneTooMany => tracing::warn!(
                "more requests are refused than the log has lines for; `repoint status --counters` counts them all"
            ),
            Fate::Known | Fate::TooMany => {}
        }
    }
}

impl Said {
    fn fate(&mut self, address: IpAddr, refused: &Refused, now: Mono) -> Fate {
        self.lines.retain(|line| now.since(line.at) < PAUSE);
        let (asked, why) = (refused.asked, refused.why);
        let mut lines = self.lines.iter();
        if lines.any(|line| (line.address, line.asked, line.why) == (address, asked, why)) {
            return Fate::Known;
        }
        if self.lines.len() < LINES {
            let at = now;
            self.lines.push(Line {
                address,
                asked,
                why,
                at,
            });
            return Fate::Written;
        }
        if self.more.is_some_and(|at| now.since(at) < PAUSE) {
            return Fate::TooMany;
        }
        self.more = Some(now);
        Fate::OneTooMany
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn refused(why: Why) -> Refused {
        Refused {
            asked: Asked::Transfer,
            why,
            zone: None,
            key: None,
            scope: None,
        }
    }

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from(0xc000_0200 + n).into()
    }

    #[test]
    fn one_line_a_minute_for_each_address_and_reason() {
        let mut said = Said::default();
        let at = |seconds| Mono::START + Duration::from_secs(seconds);
        let mut fate = |n, why, seconds| said.fate(address(n), &refused(why), at(seconds));
        assert_eq!(fate(1, Why::Key, 0), Fate::Written);
        assert_eq!(fate(1, Why::Key, 59), Fate::Known);
        assert_eq!(fate(1, Why::Unsigned, 59), Fate::Written);
        assert_eq!(fate(2, Why::Key, 59), Fate::Written);
        assert_eq!(fate(1, Why::Key, 60), Fate::Written);
        assert_eq!(fate(1, Why::Unsigned, 60), Fate::Known);
    }

    #[test]
    fn neither_lines_nor_memory_grow_with_who_asks() {
        let mut said = Said::default();
        let (mut written, mut more) = (0, 0);
        for n in 0..100_000 {
            let now = Mono::START + Duration::from_millis(u64::from(n));
            match said.fate(address(n), &refused(Why::Address), now) {
                Fate::Written => written += 1,
                Fate::OneTooMany => more += 1,
                Fate::Known | Fate::TooMany => {}
            }
            assert!(said.lines.len() <= LINES);
        }
        // A hundred seconds: two minutes have begun.
        assert_eq!((written, more), (2 * LINES, 2));
    }

    #[test]
    fn a_line_says_what_to_look_at() {
        let name = |text: &[u8]| Name::from_text(text, None).expect("a name");
        let line = Refused {
            asked: Asked::Signed,
            why: Why::Signature(Fault::BadSig),
            zone: Some(name(b"contoso.com.")),
            key: Some(name(b"a\\010b.example.")),
            scope: None,
        };
        assert_eq!(
            line.to_string(),
            "the signature of a request for contoso.com. is refused, key a\\010b.example.: BADSIG: the secrets differ"
        );
    }
}
