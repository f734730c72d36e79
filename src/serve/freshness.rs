//! How long a response stays true, read from its octets.
//!
//! In: a response of ours. Out: the least of its TTLs, as HTTP caches need it (RFC 8484 §5.1). Pure.
//! Never here: HTTP.

use hickory_proto::rr::RecordType;

const HEADER: usize = 12;

/// Seconds that everything in a response may be kept: the least TTL of its records, for a negative response no more than
/// the SOA's MINIMUM. None when it has no records to keep: an error, a truncated response.
pub(super) fn freshness(response: &[u8]) -> Option<u32> {
    let count = |n: usize| {
        let at = 4 + 2 * n;
        let octets = response.get(at..at + 2)?;
        Some(u16::from_be_bytes([octets[0], octets[1]]))
    };
    let truncated = response.get(2)? & 0x02 != 0;
    if truncated {
        return None;
    }
    let mut at = HEADER;
    for _ in 0..count(0)? {
        at = after_name(response, at)? + 4;
    }
    let mut least: Option<u32> = None;
    for _ in 0..u32::from(count(1)?) + u32::from(count(2)?) + u32::from(count(3)?) {
        let fixed = after_name(response, at)?;
        let head = response.get(fixed..fixed + 10)?;
        let rtype = RecordType::from(u16::from_be_bytes([head[0], head[1]]));
        let mut ttl = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        at = fixed + 10 + length;
        // OPT and TSIG are about the message (their TTL fields mean something else, or nothing).
        if matches!(rtype, RecordType::OPT | RecordType::TSIG) {
            continue;
        }
        if rtype == RecordType::SOA {
            let minimum = response.get(at.checked_sub(4)?..at)?;
            ttl = ttl.min(u32::from_be_bytes(minimum.try_into().ok()?));
        }
        least = Some(least.map_or(ttl, |least| least.min(ttl)));
    }
    least
}

/// Where the name that begins at `at` ends.
fn after_name(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *octets.get(at)?;
        at += match length {
            0 => return Some(at + 1),
            192.. => return Some(at + 2),
            _ => 1 + usize::from(length),
        };
    }
}
