//! Response rate limiting: who floods us with forged questions gets few answers sent to its victim.
//!
//! In: to whom a response would go, what it would say, the time. Out: whether it goes. Answers are counted for each
//! network (IPv4 /24, IPv6 /56: whoever is attacked has at least that) and each thing said, so that one victim's flood
//! costs nobody else an answer; and what goes to a network is counted once more for all it is told, so that a flood that
//! asks many things ends as well. A table of fixed size, of atomics: nothing is locked, nothing grows, and where two
//! threads meet the worst that comes of it is one answer more.
//! Never here: clocks, sockets; and what limits never concern: streams, and clients whose cookie we know.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::ResponseCode;
use siphasher::sip::SipHasher24;

use super::answer::Answer;
use super::cookie::Secret;
use super::question::{CLASS_CH, Envelope};
use crate::clock::Mono;
use crate::config::Network;

/// So many times the rate of one thing said is the rate of all things together. BIND's manual asks for four times at
/// least (`all-per-second`): what one mail or one federation makes a resolver ask are a handful of names at once.
const ALL_TOGETHER: u32 = 10;
/// Slots that a network and what it is told may have: one cache line.
const WAYS: usize = 8;
/// How many such lines: 65,536 slots in all, half a megabyte.
const LINES: usize = 1 << 13;
/// Of a slot: when its next answer is due, how many were withheld, whose it is.
const DUE_BITS: u32 = 36;
const WITHHELD_BITS: u32 = 8;
const DUE_MASK: u64 = (1 << DUE_BITS) - 1;
/// Time is counted in 16 µs, and wraps in 12 days.
const UNIT_SHIFT: u32 = 4;
/// How often a slot is tried for when others change it meanwhile.
const TRIES: usize = 4;

/// The limits in force, with the table they are counted in.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Responses a second for each network and thing said; as many at once after a pause. All things said to a network
    /// together have ten times as many.
    pub rate: u32,
    /// Each n-th response that is withheld is sent truncated instead, so that an honest client asks again over TCP; 0: none.
    pub slip: u32,
    /// Networks without a limit.
    pub exempt: Vec<Network>,
    /// What was counted. A reload keeps it.
    pub table: Arc<RateTable>,
}

/// What becomes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It is sent.
    Goes,
    /// It is not; something short that lets an honest client help itself is.
    Slips,
    /// Nothing is sent.
    Withheld,
}

/// What a response is counted as. All that an attacker can have said by asking for names of his own
/// making is one thing: denials by the zone, expansions by their wildcard, referrals by the cut, errors whatever was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    kind: Kind,
    /// The place in memory of one RRset: one publication's records stay where they are, whatever name was asked for.
    of: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// An answer, known by its first RRset.
    Records,
    /// That a name has no such records, known by the zone's SOA.
    NoData,
    /// That there is no such name, known by the zone's SOA.
    NoName,
    /// Who should be asked instead, known by the cut's NS.
    Referral,
    /// What the server says of itself, whose records are made for each answer.
    Itself,
    /// An error, or nothing at all.
    Error,
    /// All of it together.
    Anything,
}

impl Counted {
    const ANYTHING: Counted = Counted {
        kind: Kind::Anything,
        of: 0,
    };

    /// What an answer is counted as.
    pub fn of(envelope: &Envelope, answer: &Answer) -> Counted {
        let of_itself = envelope.question.as_ref();
        let of_itself = of_itself.is_some_and(|question| question.class == CLASS_CH);
        let (kind, placed) = match (answer.answers.first(), answer.authorities.first()) {
            (Some(_), _) if of_itself => (Kind::Itself, None),
            (Some(placed), _) => (Kind::Records, Some(placed)),
            (None, Some(placed)) if !answer.authoritative => (Kind::Referral, Some(placed)),
            (None, Some(placed)) if answer.rcode == ResponseCode::NXDomain => {
                (Kind::NoName, Some(placed))
            }
            (None, Some(placed)) => (Kind::NoData, Some(placed)),
            (None, None) => (Kind::Error, None),
        };
        Counted {
            kind,
            of: placed.map_or(0, |placed| Arc::as_ptr(&placed.set).addr()),
        }
    }
}

impl RateLimit {
    /// Counts a response to `client` and says what becomes of it.
    pub fn passage(&self, client: IpAddr, said: Counted, now: Mono) -> Passage {
        // Nobody outside can forge this machine's own address.
        if client.is_loopback() || self.exempt.iter().any(|network| network.contains(client)) {
            return Passage::Goes;
        }
        let count = |said, rate| self.table.count(client, said, rate, self.slip, now);
        match count(said, self.rate) {
            // Only what would go counts for all together: a flood of one question leaves the others their answers.
            Passage::Goes => count(Counted::ANYTHING, self.rate.saturating_mul(ALL_TOGETHER)),
            held_back => held_back,
        }
    }
}

/// Where responses are counted.
pub struct RateTable {
    /// Unknown outside: nobody can choose names that share a place.
    key: Secret,
    lines: Box<[[AtomicU64; WAYS]]>,
}

impl fmt::Debug for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateTable").finish_non_exhaustive()
    }
}

impl RateTable {
    /// An empty table; `key` is random.
    pub fn new(key: Secret) -> RateTable {
        RateTable {
            key,
            lines: (0..LINES).map(|_| Default::default()).collect(),
        }
    }

    /// One slot holds when the next answer is due if answers came evenly; it may lie ahead by a second's worth (the
    /// generic cell rate algorithm). What is withheld does not move it: after a flood answers go again at once.
    fn count(&self, client: IpAddr, said: Counted, rate: u32, slip: u32, now: Mono) -> Passage {
        let hash = self.hash(client, said);
        let line = &self.lines[usize::try_from(hash).unwrap_or(0) % LINES];
        let owner = hash >> (DUE_BITS + WITHHELD_BITS);
        let now = now.as_micros().cast_unsigned() >> UNIT_SHIFT & DUE_MASK;
        let second = 1_000_000 >> UNIT_SHIFT;
        let interval = (second / u64::from(rate.max(1))).max(1);
        for _ in 0..TRIES {
            let (slot, seen) = choose(line, owner, now, second + interval);
            // Whoever had the slot before starts again from nothing, should it come back.
            let (ahead, withheld) = if seen.owner == owner {
                (seen.ahead(now, second + interval), seen.withheld)
            } else {
                (0, 0)
            };
            let goes = ahead + interval <= second;
            let (ahead, withheld) = if goes {
                (ahead + interval, withheld)
            } else {
                (ahead, withheld.wrapping_add(1))
            };
            let next = Slot {
                owner,
                due: now.wrapping_add(ahead) & DUE_MASK,
                withheld,
            };
            let swapped = slot.compare_exchange_weak(
                seen.raw(),
                next.raw(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if swapped.is_err() {
                continue;
            }
            return match slip {
                _ if goes => Passage::Goes,
                0 => Passage::Withheld,
                _ if u32::from(next.withheld).is_multiple_of(slip) => Passage::Slips,
                _ => Passage::Withheld,
            };
        }
        Passage::Goes
    }

    fn hash(&self, client: IpAddr, said: Counted) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        match client {
            IpAddr::V4(address) => hasher.write(&address.octets()[..3]),
            IpAddr::V6(address) => hasher.write(&address.octets()[..7]),
        }
        hasher.write(&[said.kind as u8]);
        hasher.write(&said.of.to_ne_bytes());
        hasher.finish()
    }
}

/// The slot that is the owner's, or else the one that can be done without best: whose next answer is due soonest.
fn choose(line: &[AtomicU64; WAYS], owner: u64, now: u64, most: u64) -> (&AtomicU64, Slot) {
    let mut best = (&line[0], Slot::read(line[0].load(Ordering::Relaxed)));
    for slot in line {
        let seen = Slot::read(slot.load(Ordering::Relaxed));
        if seen.owner == owner {
            return (slot, seen);
        }
        if seen.ahead(now, most) < best.1.ahead(now, most) {
            best = (slot, seen);
        }
    }
    best
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    owner: u64,
    due: u64,
    withheld: u8,
}

impl Slot {
    fn read(raw: u64) -> Slot {
        Slot {
            owner: raw >> (DUE_BITS + WITHHELD_BITS),
            due: raw & DUE_MASK,
            withheld: (raw >> DUE_BITS & 0xff) as u8,
        }
    }

    fn raw(self) -> u64 {
        self.owner << (DUE_BITS + WITHHELD_BITS) | u64::from(self.withheld) << DUE_BITS | self.due
    }

    /// How far ahead of now its next answer is due; 0 when that has passed. Nothing is ever due further ahead than
    /// `most`: what seems to be is long past.
    fn ahead(self, now: u64, most: u64) -> u64 {
        let ahead = self.due.wrapping_sub(now) & DUE_MASK;
        if ahead <= most { ahead } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn limit(rate: u32, slip: u32) -> RateLimit {
        RateLimit {
            rate,
            slip,
            exempt: Vec::new(),
            table: Arc::new(RateTable::new([7; 16])),
        }
    }

    fn said(of: usize) -> Counted {
        Counted {
            kind: Kind::Records,
            of,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Asks evenly for `seconds` and tells how many answers went, slipped and were withheld.
    fn flood(
        limit: &RateLimit,
        client: &str,
        said: Counted,
        per_second: u32,
        seconds: u32,
        from: Mono,
    ) -> [u32; 3] {
        let mut counts = [0; 3];
        for n in 0..per_second * seconds {
            let now = from + Duration::from_secs(1) * n / per_second;
            counts[match limit.passage(ip(client), said, now) {
                Passage::Goes => 0,
                Passage::Slips => 1,
                Passage::Withheld => 2,
            }] += 1;
        }
        counts
    }

    #[test]
    fn a_flood_gets_its_rate_after_a_seconds_worth_and_every_second_rest_slips() {
        let limit = limit(20, 2);
        let [went, slipped, withheld] = flood(&limit, "192.0.2.1", said(1), 1000, 10, Mono::START);
        assert!((20 * 11 - 2..=20 * 11 + 1).contains(&went), "{went}");
        assert!(slipped.abs_diff(withheld) <= 1, "{slipped} {withheld}");
        // What an honest client asks below the rate goes.
        let later = Mono::START + Duration::from_secs(20);
        assert_eq!(
            flood(&limit, "192.0.2.1", said(1), 19, 60, later),
            [19 * 60, 0, 0]
        );
    }

    #[test]
    fn slip_is_each_nth_or_none() {
        assert_eq!(
            flood(&limit(1, 0), "192.0.2.1", said(1), 100, 1, Mono::START)[1],
            0
        );
        let [_, slipped, withheld] = flood(&limit(1, 1), "192.0.2.1", said(1), 100, 1, Mono::START);
        assert!(slipped >= 98 && withheld == 0);
        let [_, slipped, withheld] = flood(&limit(1, 5), "192.0.2.1", said(1), 100, 1, Mono::START);
        assert_eq!(slipped, (slipped + withheld) / 5);
    }

    #[test]
    fn networks_and_things_said_are_counted_apart() {
        let limit = limit(5, 0);
        let went =
            |client: &str, what: usize| flood(&limit, client, said(what), 100, 1, Mono::START)[0];
        assert!(went("192.0.2.1", 1) < 12);
        assert_eq!(
            limit.passage(
                ip("192.0.2.254"),
                said(1),
                Mono::START + Duration::from_millis(995)
            ),
            Passage::Withheld
        );
        assert!(went("192.0.3.1", 1) >= 5, "the next /24");
        assert!(went("192.0.2.1", 2) >= 5, "another answer");
        assert!(went("2001:db8:0:aa00::1", 1) >= 5);
        let (same, next) = (ip("2001:db8:0:aaff:ffff::"), ip("2001:db8:0:ab00::"));
        let then = Mono::START + Duration::from_millis(995);
        assert_eq!(
            limit.passage(same, said(1), then),
            Passage::Withheld,
            "the same /56"
        );
        assert_eq!(
            limit.passage(next, said(1), then),
            Passage::Goes,
            "the next /56"
        );
    }

    #[test]
    fn all_things_said_to_a_network_have_ten_times_the_rate_together() {
        let limit = limit(20, 2);
        let mut counts = [0_u32; 3];
        for n in 0..20_000_u32 {
            let now = Mono::START + Duration::from_secs(1) * n / 2000;
            let of = usize::try_from(n % 400).unwrap();
            let passage = limit.passage(ip("192.0.2.1"), said(of), now);
            counts[passage as usize] += 1;
        }
        let [went, slipped, withheld] = counts;
        assert!((200 * 11 - 4..=200 * 11 + 4).contains(&went), "{went}");
        // Mostly by the limit of all together; whichever it is, every second one slips.
        assert!(slipped.abs_diff(withheld) <= 800, "{slipped} {withheld}");
        // The network beside it is asked as much as it likes.
        let beside = flood(&limit, "192.0.3.1", said(1), 19, 10, Mono::START);
        assert_eq!(beside, [190, 0, 0]);
    }

    #[test]
    fn a_flood_of_one_question_leaves_the_others_their_answers() {
        let limit = limit(20, 2);
        for n in 0..20_000_u32 {
            let now = Mono::START + Duration::from_secs(1) * n / 2000;
            limit.passage(ip("192.0.2.1"), said(0), now);
            if n % 20 == 0 {
                let of = 1 + usize::try_from(n / 20 % 10).unwrap();
                let passage = limit.passage(ip("192.0.2.1"), said(of), now);
                assert_eq!(passage, Passage::Goes, "{n}");
            }
        }
    }

    #[test]
    fn exempt_networks_have_no_limit() {
        let limit = RateLimit {
            exempt: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            ..limit(1, 2)
        };
        for client in ["10.9.9.9", "2001:db8:9::1"] {
            assert_eq!(
                flood(&limit, client, said(1), 1000, 1, Mono::START),
                [1000, 0, 0]
            );
        }
        assert!(flood(&limit, "11.0.0.1", said(1), 1000, 1, Mono::START)[0] < 5);
    }

    #[test]
    fn a_flood_of_forged_networks_does_not_free_the_one_under_attack() {
        let limit = limit(10, 2);
        flood(&limit, "192.0.2.1", said(1), 1000, 1, Mono::START);
        let mut went = 0;
        for n in 0..400_000_u32 {
            let now = Mono::START + Duration::from_secs(1) + Duration::from_micros(u64::from(n));
            limit.passage(IpAddr::V4((n << 8).into()), said(1), now);
            if n % 1000 == 0 && limit.passage(ip("192.0.2.1"), said(1), now) == Passage::Goes {
                went += 1;
            }
        }
        assert!(
            went <= 8,
            "{went} answers in 0.4 s at a limit of 10 a second"
        );
    }

    #[test]
    fn a_clock_that_wraps_or_jumps_withholds_nothing_for_long() {
        let limit = limit(10, 0);
        let wrap = Mono::from_micros(1 << (DUE_BITS + UNIT_SHIFT));
        flood(
            &limit,
            "192.0.2.1",
            said(1),
            1000,
            1,
            wrap - Duration::from_secs(1),
        );
        let after = flood(&limit, "192.0.2.1", said(1), 1000, 1, wrap);
        assert!((9..=11).contains(&after[0]), "{after:?}");
        // A clock set back by an hour: what is due seems far ahead, which nothing can be.
        let back = flood(
            &limit,
            "192.0.2.1",
            said(1),
            1000,
            1,
            wrap - Duration::from_secs(3600),
        );
        assert!((19..=21).contains(&back[0]), "{back:?}");
    }

    #[test]
    fn threads_that_meet_cost_no_more_than_a_few_answers() {
        let limit = limit(100, 2);
        let went = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if limit.passage(ip("192.0.2.1"), said(1), Mono::START) == Passage::Goes {
                            went.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let went = went.into_inner();
        assert!((100..1000).contains(&went), "{went}");
    }
}
