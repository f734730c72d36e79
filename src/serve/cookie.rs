//! DNS cookies (RFC 7873) in the form that servers of different makes understand (RFC 9018): a client that repeats
//! ours is where it says it is.
//!
//! In: the COOKIE option of a request, the client's address, the time. Out: whether the client knew our cookie, and the
//! option to answer with. Pure: the same secrets give the same cookies on every server that has them.
//! Never here: what a client without a cookie gets; that is its answer, like everybody else.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24To128};

use crate::clock::Wall;

/// The only version there is (RFC 9018 §4.1).
const VERSION: u8 = 1;
/// How long a server cookie is good for (RFC 9018 §4.3).
const LIFETIME: i32 = 3600;
/// How far the clocks of two servers with one secret may be apart (RFC 9018 §4.3).
const AHEAD: i32 = 300;
/// A cookie older than this is replaced (RFC 9018 §4.3).
const RENEW: i32 = 1800;
/// How often a secret of our own changes: well after its last cookie's lifetime.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A secret that cookies are made with.
pub type Secret = [u8; 16];

/// The COOKIE option of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    client: [u8; 8],
    /// Whether the client repeats a server's cookie at all.
    pub(super) repeats: bool,
    /// None without one, and where it is none that we could have made.
    server: Option<[u8; 16]>,
}

impl Cookie {
    /// Reads the option's data; none when its length is wrong, which is a format error (RFC 7873 §5.2.2).
    pub fn read(data: &[u8]) -> Option<Cookie> {
        let (client, server) = data.split_first_chunk::<8>()?;
        if !matches!(server.len(), 0 | 8..=32) {
            return None;
        }
        Some(Cookie {
            client: *client,
            repeats: !server.is_empty(),
            server: server.try_into().ok(),
        })
    }
}

/// The secrets that cookies are made and recognised with.
#[derive(Clone, PartialEq, Eq)]
pub enum Secrets {
    /// A different one each day, all from this one, which is random and nobody else's. The day before counts too.
    Own(Secret),
    /// Those of a file that several servers share: the first makes cookies, all are recognised (RFC 9018 §5).
    Shared(Vec<Secret>),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secrets::Own(_) => "Own",
            Secrets::Shared(_) => "Shared",
        })
    }
}

/// What a request's cookie comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// Whether the client repeated a cookie that we gave to its address.
    pub known: bool,
    /// The option to answer with: the client's cookie, then ours.
    pub option: [u8; 24],
}

impl Secrets {
    /// Recognises the cookie of a client, and makes the one to answer with.
    pub fn recognise(&self, cookie: Cookie, client: IpAddr, at: Wall) -> Recognition {
        let now = at.unix_seconds();
        let age = |server: &[u8; 16]| {
            let made = u32::from_be_bytes([server[4], server[5], server[6], server[7]]);
            // RFC 1982 arithmetic: the clock wraps in 2106 (RFC 9018 §4.3).
            now.wrapping_sub(made).cast_signed()
        };
        let (current, rest) = self.at(at);
        let is_by = |server: &[u8; 16], secret: &Secret| {
            server[8..] == hash(&cookie.client, &server[..8], client, secret)
        };
        let good = cookie
            .server
            .filter(|server| server[0] == VERSION && (-AHEAD..=LIFETIME).contains(&age(server)));
        let by_current = good.is_some_and(|server| is_by(&server, &current));
        let known = by_current
            || good.is_some_and(|server| rest.iter().any(|secret| is_by(&server, secret)));
        let mut option = [0; 24];
        option[..8].copy_from_slice(&cookie.client);
        match good.filter(|server| by_current && age(server) <= RENEW) {
            Some(server) => option[8..].copy_from_slice(&server),
            None => {
                option[8] = VERSION;
                option[12..16].copy_from_slice(&now.to_be_bytes());
                let hash = hash(&cookie.client, &option[8..16], client, &current);
                option[16..].copy_from_slice(&hash);
            }
        }
        Recognition { known, option }
    }

    /// The secret that makes cookies now, and the others that are recognised.
    fn at(&self, at: Wall) -> (Secret, Others<'_>) {
        match self {
            Secrets::Own(root) => {
                let day = at.as_millis().div_euclid(DAY);
                (of_day(root, day), Others::One(of_day(root, day - 1)))
            }
            Secrets::Shared(all) => match all.split_first() {
                Some((current, rest)) => (*current, Others::Many(rest)),
                None => ([0; 16], Others::Many(&[])),
            },
        }
    }
}

enum Others<'a> {
    One(Secret),
    Many(&'a [Secret]),
}

impl Others<'_> {
    fn iter(&self) -> std::slice::Iter<'_, Secret> {
        match self {
            Others::One(secret) => std::slice::from_ref(secret).iter(),
            Others::Many(secrets) => secrets.iter(),
        }
    }
}

/// The secret of one day: nobody finds another day's from it.
fn of_day(root: &Secret, day: i64) -> Secret {
    let mut hasher = SipHasher24To128::new_with_key(root);
    hasher.write(&day.to_be_bytes());
    hasher.finish128().as_bytes()
}

/// RFC 9018 §4.4. `head` is version, reserved octets and time as they stand in the cookie.
fn hash(cookie: &[u8; 8], head: &[u8], client: IpAddr, secret: &Secret) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(cookie);
    hasher.write(head);
    match client {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => hasher.write(&address.octets()),
    }
    // The order of SipHash's reference implementation, which the test vectors have as well.
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use data_encoding::HEXLOWER;
    use domain::base::Serial;
    use domain::base::opt::cookie::{ClientCookie, Cookie as TheirCookie, ServerCookie};

    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    fn at(seconds: i64) -> Wall {
        Wall::from_millis(seconds * 1000)
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[track_caller]
    fn vector(secrets: &[&str], request: &str, from: &str, when: i64, known: bool, response: &str) {
        let secrets = Secrets::Shared(secrets.iter().map(|secret| octets(secret)).collect());
        let request = HEXLOWER.decode(request.as_bytes()).unwrap();
        let cookie = Cookie::read(&request).unwrap();
        let found = secrets.recognise(cookie, from.parse().unwrap(), at(when));
        assert_eq!(HEXLOWER.encode(&found.option), response);
        assert_eq!(found.known, known);
    }

    #[test]
    fn the_vectors_of_rfc_9018() {
        // A.1: a new client
        let learnt = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        vector(
            &[SECRET],
            "2464c4abcf10c957",
            "198.51.100.100",
            1_559_731_985,
            false,
            learnt,
        );
        // A.2: the same, forty minutes later
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        vector(
            &[SECRET],
            learnt,
            "198.51.100.100",
            1_559_734_385,
            true,
            renewed,
        );
        // A.3: reserved octets that are not zero are part of what was signed
        let reserved = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
        let is_within_the_hour = false;
        vector(
            &[SECRET],
            reserved,
            "203.0.113.203",
            1_559_734_700,
            is_within_the_hour,
            renewed,
        );
        vector(
            &[SECRET],
            reserved,
            "203.0.113.203",
            1_559_727_985,
            true,
            reserved,
        );
        // A.4: a cookie of the secret before
        let secrets = [
            "445536bcd2513298075a5d379663c962",
            "dd3bdf9344b678b185a6f5cb60fca715",
        ];
        let old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let new = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
        let client = "2001:db8:220:1:59de:d0f4:8769:82b8";
        vector(&secrets, old, client, 1_559_741_961, true, new);
        vector(&secrets[..1], old, client, 1_559_741_961, false, new);
    }

    #[test]
    fn another_implementation_recognises_ours_and_we_its() {
        let secret: Secret = octets(SECRET);
        let ours = Secrets::Shared(vec![secret]);
        for client in ["192.0.2.7", "2001:db8::7"] {
            let address: IpAddr = client.parse().unwrap();
            let first = Cookie::read(&[7; 8]).unwrap();
            let given = ours.recognise(first, address, at(1_800_000_000)).option;
            let parsed = TheirCookie::new(
                ClientCookie::from_octets([7; 8]),
                Some(ServerCookie::from_octets(&given[8..])),
            );
            assert!(
                parsed.check_server_hash(address, &secret, |made| made == Serial(1_800_000_000))
            );
            let theirs = TheirCookie::new(ClientCookie::from_octets([7; 8]), None).create_response(
                Serial(1_800_000_100),
                address,
                &secret,
            );
            let mut option = vec![7; 8];
            theirs.server().unwrap().compose(&mut option).unwrap();
            let back = Cookie::read(&option).unwrap();
            assert!(ours.recognise(back, address, at(1_800_000_200)).known);
        }
    }

    #[test]
    fn only_the_lengths_of_the_rfc_are_cookies() {
        for length in 0..64 {
            let is_one = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::read(&vec![1; length]).is_some(), is_one, "{length}");
        }
    }

    fn given(secrets: &Secrets, client: &str, when: i64) -> Cookie {
        let asked = Cookie::read(&[9; 8]).unwrap();
        let option = secrets
            .recognise(asked, client.parse().unwrap(), at(when))
            .option;
        Cookie::read(&option).unwrap()
    }

    fn known(secrets: &Secrets, cookie: Cookie, client: &str, when: i64) -> bool {
        secrets
            .recognise(cookie, client.parse().unwrap(), at(when))
            .known
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_from_one_address_and_five_minutes_ahead() {
        let secrets = Secrets::Shared(vec![[3; 16]]);
        let noon = 1_800_000_000;
        let cookie = given(&secrets, "192.0.2.1", noon);
        assert!(known(&secrets, cookie, "192.0.2.1", noon + 3600));
        assert!(!known(&secrets, cookie, "192.0.2.1", noon + 3601));
        assert!(known(&secrets, cookie, "192.0.2.1", noon - 300));
        assert!(!known(&secrets, cookie, "192.0.2.1", noon - 301));
        assert!(!known(&secrets, cookie, "192.0.2.2", noon));
        assert!(!known(
            &Secrets::Shared(vec![[4; 16]]),
            cookie,
            "192.0.2.1",
            noon
        ));
    }

    #[test]
    fn an_own_secret_changes_every_day_and_no_cookie_is_lost_by_it() {
        let secrets = Secrets::Own([5; 16]);
        let midnight = 20_000 * 86_400;
        let late = given(&secrets, "2001:db8::1", midnight - 1);
        assert!(known(&secrets, late, "2001:db8::1", midnight + 3598));
        let early = given(&secrets, "2001:db8::1", midnight);
        assert!(late != early && known(&secrets, early, "2001:db8::1", midnight + 5));
        assert_ne!(of_day(&[5; 16], 1), of_day(&[5; 16], 2));
        assert!(
            !format!("{secrets:?}").contains('5'),
            "a secret is not shown"
        );
    }

    #[test]
    fn the_clock_may_wrap() {
        let secrets = Secrets::Shared(vec![[3; 16]]);
        let wrap = 1_i64 << 32;
        let cookie = given(&secrets, "192.0.2.1", wrap - 100);
        assert!(known(&secrets, cookie, "192.0.2.1", wrap + 100));
    }
}
