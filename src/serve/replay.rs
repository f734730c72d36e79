//! Signed updates that come again. A signature is good for minutes, and whoever listens on the way can send the update
//! once more in that time: a challenge that was deleted would be back, or one that was just added be gone.
//!
//! In: the signature of each update of a known key, the time. Out: whether it is new; of one that came before, what it was
//! answered, because the client itself asks again as well where a response is late. No memory is endless: what is
//! older than the memory goes back, and what was signed before the process began, is refused.
//! Never here: whether a signature is good, what an update changes. The lock is taken by updates, never by a query.
//!
//! RFC 8945 §5.2.3 would have every update refused that was signed before the last one. Updates that overtake each other, and
//! two machines with one key and clocks a second apart, would suffer from that; a MAC is as good a name for an update.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use hickory_proto::op::ResponseCode;
use tokio::sync::watch;

use crate::clock::{Mono, Now};
use crate::tsig::Signer;
use crate::zone::Name;

/// Updates remembered for each key. At three a second they last for the five minutes that a signature usually does.
const REMEMBERED: usize = 1024;

/// What came, by key. A reload keeps it.
#[derive(Default)]
pub struct Replays {
    keys: Mutex<HashMap<Name, Memory>>,
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Memory {
    updates: Vec<Seen>,
    /// What was signed in this second or before may have been forgotten.
    forgotten_until: Option<u64>,
}

struct Seen {
    mac: Vec<u8>,
    signed_at: u64,
    good_until: u64,
    answer: Code,
}

/// The code that an update is answered with, once there is one.
pub(super) type Code = watch::Receiver<Option<ResponseCode>>;

/// What is known of an update.
#[derive(Debug)]
pub(super) enum Met {
    /// It is new. Its code is to be told here.
    First(watch::Sender<Option<ResponseCode>>),
    /// It came before.
    Again(Code),
    /// It is too old to know.
    TooEarly,
}

impl Replays {
    /// Looks an update up by its signature, and remembers it.
    pub(super) fn meet(&self, signer: &Signer, now: Now) -> Met {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = keys.entry(signer.key().name().clone()).or_default();
        memory.meet(signer.mac(), signer.signed_at(), signer.good_until(), now)
    }
}

impl Memory {
    fn meet(&mut self, mac: &[u8], signed_at: u64, good_until: u64, now: Now) -> Met {
        let seconds = seconds(now);
        self.updates.retain(|seen| seen.good_until >= seconds);
        if let Some(seen) = self.updates.iter().find(|seen| seen.mac == mac) {
            return Met::Again(seen.answer.clone());
        }
        let forgotten = self.forgotten_until.is_some_and(|until| signed_at <= until);
        if forgotten || signed_at < began(now) {
            return Met::TooEarly;
        }
        let (tell, answer) = watch::channel(None);
        self.updates.push(Seen {
            mac: mac.to_vec(),
            signed_at,
            good_until,
            answer,
        });
        if self.updates.len() > REMEMBERED {
            self.forget_earliest();
        }
        Met::First(tell)
    }

    fn forget_earliest(&mut self) {
        let times = self.updates.iter().map(|seen| seen.signed_at).enumerate();
        if let Some((at, signed_at)) = times.min_by_key(|(_, signed_at)| *signed_at) {
            self.updates.swap_remove(at);
            self.forgotten_until = self.forgotten_until.max(Some(signed_at));
        }
    }
}

fn seconds(now: Now) -> u64 {
    u64::try_from(now.wall.as_millis().div_euclid(1000)).unwrap_or(0)
}

/// The second in which the process began, as the wall clock counts now: a clock that was set right since then moves it too.
fn began(now: Now) -> u64 {
    let running = now.mono.since(Mono::START).as_millis();
    let running = i64::try_from(running).unwrap_or(i64::MAX);
    let began = now
        .wall
        .as_millis()
        .saturating_sub(running)
        .div_euclid(1000);
    u64::try_from(began).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Wall;

    const BEGAN: u64 = 1_800_000_000;

    /// So many seconds after the process began.
    fn at(seconds: u64) -> Now {
        let passed = Duration::from_secs(seconds);
        Now {
            mono: Mono::START + passed,
            wall: Wall::from_millis(1_800_000_000_000) + passed,
        }
    }

    fn meet(memory: &mut Memory, mac: u32, signed_at: u64, now: Now) -> Met {
        memory.meet(&mac.to_be_bytes(), signed_at, signed_at + 300, now)
    }

    #[test]
    fn the_same_update_is_known_as_long_as_its_signature_is_good() {
        let mut memory = Memory::default();
        let Met::First(tell) = meet(&mut memory, 1, BEGAN + 10, at(10)) else {
            panic!("it is new");
        };
        // Another one of the same second, and one of a clock behind.
        assert!(matches!(
            meet(&mut memory, 2, BEGAN + 10, at(10)),
            Met::First(_)
        ));
        assert!(matches!(
            meet(&mut memory, 3, BEGAN + 4, at(11)),
            Met::First(_)
        ));
        let Met::Again(answer) = meet(&mut memory, 1, BEGAN + 10, at(310)) else {
            panic!("it came before");
        };
        assert_eq!(*answer.borrow(), None, "it is under way");
        tell.send_replace(Some(ResponseCode::NoError));
        assert_eq!(*answer.borrow(), Some(ResponseCode::NoError));
        meet(&mut memory, 4, BEGAN + 320, at(320));
        assert_eq!(
            memory.updates.len(),
            1,
            "what is no longer good is forgotten"
        );
    }

    #[test]
    fn what_may_have_been_forgotten_is_refused() {
        let mut memory = Memory::default();
        for n in 0..2000 {
            let signed_at = BEGAN + 10 + u64::from(n / 10);
            let met = meet(&mut memory, n, signed_at, at(210));
            assert!(matches!(met, Met::First(_)), "{n}");
        }
        assert_eq!(memory.updates.len(), REMEMBERED);
        for n in 0..2000 {
            let signed_at = BEGAN + 10 + u64::from(n / 10);
            let met = meet(&mut memory, n, signed_at, at(211));
            assert!(!matches!(met, Met::First(_)), "{n} came before");
            assert_eq!(matches!(met, Met::Again(_)), n >= 976, "{n}");
        }
    }

    #[test]
    fn what_was_signed_before_the_process_began_is_refused_by_whatever_the_clock_says_now() {
        let mut memory = Memory::default();
        let early = meet(&mut memory, 1, BEGAN - 1, at(30));
        assert!(matches!(early, Met::TooEarly));
        assert!(matches!(meet(&mut memory, 2, BEGAN, at(30)), Met::First(_)));
        // The clock was an hour ahead and has been set right.
        let right = Now {
            wall: Wall::from_millis(1_800_000_030_000 - 3_600_000),
            ..at(30)
        };
        let met = meet(&mut memory, 3, BEGAN + 29 - 3600, right);
        assert!(matches!(met, Met::First(_)));
    }
}
