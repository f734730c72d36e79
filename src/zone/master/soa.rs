//! The seven fields of an SOA: one that is missing, and numbers that do not fit their fields.
//!
//! In: the words of an SOA, or its RDATA. Out: the fault with the field that is probably missing. Never here: reading it.

use super::fault::MasterFault;
use super::rdata::{period, shown};
use super::token::Token;
use crate::zone::rdata::Rdata;

/// The numbers of an SOA, in order.
const NUMBERS: [&str; 5] = ["serial", "refresh", "retry", "expire", "minimum"];

/// A value for a field that is missing, for the line that is shown.
const USUAL: [&str; 5] = ["1", "7200", "3600", "604800", "300"];

/// The retry of those, in seconds.
const USUAL_RETRY: u32 = 3600;

const DAY: u32 = 86_400;

/// What to say of an SOA with too few words.
pub(super) fn too_short(words: &[Token]) -> MasterFault {
    let names = words
        .iter()
        .take(2)
        .take_while(|word| period(word).is_none())
        .count();
    let numbers: Vec<u32> = words[names..].iter().filter_map(period).collect();
    let texts = words.iter().map(|word| shown(&word.text));
    let mut corrected: Vec<String> = texts.collect();
    let missing = match (names, numbers.as_slice()) {
        (2, [a, b, c, d]) => missing_number([*a, *b, *c, *d]),
        _ => None,
    };
    let missing = match (names, numbers.len(), missing) {
        // Which of refresh and retry is there is not known; a refresh is usually longer.
        (2, 4, Some(1)) => {
            let is_retry = numbers[1] <= USUAL_RETRY;
            let index = if is_retry { 1 } else { 2 };
            corrected.insert(2 + index, USUAL[index].to_owned());
            Some("refresh or the retry")
        }
        (2, 4, Some(index)) => {
            corrected.insert(2 + index, USUAL[index].to_owned());
            Some(NUMBERS[index])
        }
        (1, 5, _) => {
            corrected.insert(1, "hostmaster".to_owned());
            Some("mailbox (or the primary name server)")
        }
        _ => None,
    };
    MasterFault::SoaShort {
        names,
        numbers: numbers.len(),
        missing,
        corrected: missing.map(|_| corrected.join(" ")),
    }
}

/// Which of the five numbers is missing, where four make sense in one way only.
fn missing_number(given: [u32; 4]) -> Option<usize> {
    let mut fitting = (0..5).filter(|missing| {
        let mut all = given.map(Some).to_vec();
        all.insert(*missing, None);
        let [_, refresh, retry, expire, minimum] = all[..] else {
            return false;
        };
        // Here what is usual counts, not what is possible: otherwise too many places fit.
        let retries_sooner = refresh
            .zip(retry)
            .is_none_or(|(refresh, retry)| retry <= refresh);
        let is_short = minimum.is_none_or(|minimum| minimum <= DAY);
        retries_sooner && is_short && fits(refresh, retry, expire, minimum)
    });
    let first = fitting.next()?;
    // Four times in their usual order, where a serial would be the first of them.
    let [refresh, retry, ..] = given;
    if first == 0 && (600..=7 * DAY).contains(&refresh) && retry <= refresh {
        return Some(0);
    }
    // With refresh or retry missing the other one is there: which of the two is all the same.
    match (first, fitting.next(), fitting.next()) {
        (first, None, _) | (first @ 1, Some(2), None) => Some(first),
        _ => None,
    }
}

/// Whether times stand in the relations that they usually have. An absent one fits.
fn fits(
    refresh: Option<u32>,
    retry: Option<u32>,
    expire: Option<u32>,
    minimum: Option<u32>,
) -> bool {
    let at_most = |time: Option<u32>, days: u32| time.is_none_or(|time| time <= days * DAY);
    let below = |a: Option<u32>, b: Option<u32>| a.zip(b).is_none_or(|(a, b)| a < b);
    at_most(refresh, 30)
        && at_most(retry, 30)
        && at_most(expire, 366)
        && at_most(minimum, 7)
        && below(refresh, expire)
        && below(retry, expire)
        && below(minimum, expire)
        && expire.is_none_or(|expire| expire > 0)
}

/// What to say of a whole SOA whose numbers do not fit their fields.
pub(super) fn odd(rdata: &Rdata) -> Option<MasterFault> {
    let wire = rdata.wire();
    let (_, last) = wire.split_at_checked(wire.len().checked_sub(20)?)?;
    let mut numbers = last
        .chunks_exact(4)
        .map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
    let numbers: [u32; 5] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    let [_, refresh, retry, expire, minimum] = numbers.map(Some);
    (!fits(refresh, retry, expire, minimum)).then_some(MasterFault::SoaOdd { numbers })
}

/// The last number of an SOA: its minimum.
pub(super) fn minimum(rdata: &Rdata) -> Option<u32> {
    let (_, last) = rdata.wire().split_last_chunk::<4>()?;
    Some(u32::from_be_bytes(*last))
}

/// The numbers with the names of their fields.
pub(super) fn named(numbers: &[u32; 5]) -> String {
    let pairs = NUMBERS.iter().zip(numbers);
    let pairs: Vec<String> = pairs
        .map(|(name, number)| format!("{name} {number}"))
        .collect();
    pairs.join(", ")
}
