//! LOC: a place on earth (RFC 1876): `52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m`.

use super::{Read, number, shown, wrong};

pub(super) const OCTETS: usize = 16;

const WRITE: &str = "write degrees, minutes and seconds with N or S, the same with E or W, the altitude, and if you like size and precisions: 52 22 23.000 N 4 53 32.000 E -2m 1m 10000m 10m";
/// Thousandths of an arc second from the equator and from the prime meridian, counted from here (§2).
const MIDDLE: u32 = 1 << 31;
const ARC_DEGREE: u32 = 3_600_000;
/// The altitude is counted from 100 km below the WGS 84 spheroid, in centimetres.
const DEEPEST: i64 = 10_000_000;
/// A metre, ten kilometres and ten metres (§3).
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];
const LARGEST: i64 = 9_000_000_000;

pub(super) fn print(octets: &[u8]) -> Option<String> {
    let [0, sizes @ .., _, _, _, _, _, _, _, _, _, _, _, _] = octets else {
        return None;
    };
    let word = |at: usize| Some(u32::from_be_bytes(octets.get(at..at + 4)?.try_into().ok()?));
    let latitude = angle(word(4)?, ["S", "N"], 90)?;
    let longitude = angle(word(8)?, ["W", "E"], 180)?;
    let altitude = i64::from(word(12)?) - DEEPEST;
    let sign = if altitude < 0 { "-" } else { "" };
    let (metres, rest) = (altitude.abs() / 100, altitude.abs() % 100);
    let mut text = format!("{latitude} {longitude} {sign}{metres}.{rest:02}m");
    for size in sizes {
        text.push_str(&format!(" {}", size_text(*size)?));
    }
    Some(text)
}

fn angle(octets: u32, [below, above]: [&str; 2], most: u32) -> Option<String> {
    let (side, thousandths) = match octets.checked_sub(MIDDLE) {
        Some(thousandths) => (above, thousandths),
        None => (below, MIDDLE - octets),
    };
    if thousandths > most * ARC_DEGREE {
        return None;
    }
    let (degrees, rest) = (thousandths / ARC_DEGREE, thousandths % ARC_DEGREE);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, fraction) = (rest / 1000, rest % 1000);
    Some(format!(
        "{degrees} {minutes} {seconds}.{fraction:03} {side}"
    ))
}

/// A size is a digit and a power of ten, in centimetres.
fn size_text(octet: u8) -> Option<String> {
    let (digit, power) = (octet >> 4, octet & 15);
    if digit > 9 || power > 9 || (digit == 0 && power > 0) {
        return None;
    }
    let centimetres = u64::from(digit) * 10_u64.pow(power.into());
    Some(match power {
        0 | 1 => format!("0.{centimetres:02}m"),
        _ => format!("{}m", centimetres / 100),
    })
}

pub(super) fn read(words: &[&[u8]]) -> Read {
    let mut words = Words { words, at: 0 };
    let latitude = words.angle([&b"S"[..], b"N"], 90)?;
    let longitude = words.angle([&b"W"[..], b"E"], 180)?;
    let Some(altitude) = words.next() else {
        return wrong(words.at, "it ends before its altitude", WRITE);
    };
    let altitude = centimetres(altitude).map(|altitude| altitude + DEEPEST);
    let Some(altitude) = altitude.and_then(|altitude| u32::try_from(altitude).ok()) else {
        let why = "its altitude is not from -100000.00m to 42849672.95m";
        return wrong(words.at - 1, why, WRITE);
    };
    let mut octets = vec![0];
    for (n, default) in DEFAULTS.into_iter().enumerate() {
        let size = match words.next() {
            None => Some(default),
            Some(word) => centimetres(word).and_then(size),
        };
        let Some(size) = size else {
            let what = ["size", "horizontal precision", "vertical precision"][n];
            let why = format!("its {what} is not from 0.00m to 90000000.00m");
            return wrong(words.at - 1, why, WRITE);
        };
        octets.push(size);
    }
    if let Some(word) = words.next() {
        let why = format!("it is complete before {:?}", shown(word));
        return wrong(words.at - 1, why, WRITE);
    }
    octets.extend(latitude.to_be_bytes());
    octets.extend(longitude.to_be_bytes());
    octets.extend(altitude.to_be_bytes());
    Ok(octets)
}

struct Words<'a> {
    words: &'a [&'a [u8]],
    /// How many have been taken.
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    /// Degrees, minutes and seconds, the last two optional, and the side.
    fn angle(&mut self, sides: [&[u8]; 2], most: u32) -> Result<u32, super::Wrong> {
        let names = sides.map(shown);
        let mut thousandths = 0_u32;
        for (n, unit) in [ARC_DEGREE, 60_000, 1000].into_iter().enumerate() {
            let Some(word) = self.next() else {
                return wrong(
                    self.at,
                    format!("it ends before {} or {}", names[0], names[1]),
                    WRITE,
                );
            };
            if n > 0 && side(word, sides).is_some() {
                self.at -= 1;
                break;
            }
            let part = match n {
                2 => seconds(word),
                _ => number::<u32>(word).filter(|part| *part < 60 || n == 0 && *part <= most),
            };
            let Some(part) = part.and_then(|part| part.checked_mul(if n == 2 { 1 } else { unit }))
            else {
                let what = [
                    "degrees",
                    "minutes below 60",
                    "seconds below 60 with up to three decimals",
                ][n];
                return wrong(
                    self.at - 1,
                    format!("{:?} is not {what}", shown(word)),
                    WRITE,
                );
            };
            thousandths += part;
        }
        let side = self.next().and_then(|word| side(word, sides));
        let Some(above) = side else {
            let why = format!("{} or {} is missing", names[0], names[1]);
            return wrong(self.at.saturating_sub(1), why, WRITE);
        };
        if thousandths > most * ARC_DEGREE {
            return wrong(self.at - 1, format!("it lies beyond {most} degrees"), WRITE);
        }
        Ok(match above {
            true => MIDDLE + thousandths,
            false => MIDDLE - thousandths,
        })
    }
}

/// Whether a word is the side above the middle, or the one below; none when it is neither.
fn side(word: &[u8], [below, above]: [&[u8]; 2]) -> Option<bool> {
    let is = |side: &[u8]| word.eq_ignore_ascii_case(side);
    is(above).then_some(true).or(is(below).then_some(false))
}

/// Seconds below 60 in thousandths.
fn seconds(word: &[u8]) -> Option<u32> {
    let thousandths = decimal(word, 3)?;
    u32::try_from(thousandths)
        .ok()
        .filter(|seconds| *seconds < 60_000)
}

/// Metres with up to two decimals, with or without the letter m, in centimetres.
fn centimetres(word: &[u8]) -> Option<i64> {
    let word = word
        .strip_suffix(b"m")
        .or(word.strip_suffix(b"M"))
        .unwrap_or(word);
    match word.strip_prefix(b"-") {
        Some(word) => Some(-decimal(word, 2)?),
        None => decimal(word, 2),
    }
}

/// A number with up to `places` decimals, times ten to that power.
fn decimal(word: &[u8], places: usize) -> Option<i64> {
    let mut parts = word.splitn(2, |octet| *octet == b'.');
    let (whole, fraction) = (parts.next()?, parts.next());
    let mut digits = whole.to_vec();
    let fraction = fraction.unwrap_or(b"0");
    if whole.is_empty() || fraction.is_empty() || fraction.len() > places || digits.len() > 12 {
        return None;
    }
    digits.extend(fraction);
    digits.extend(std::iter::repeat_n(b'0', places - fraction.len()));
    number(&digits)
}

/// The largest size that one digit and a power of ten can say, and that is not above this one.
fn size(centimetres: i64) -> Option<u8> {
    if !(0..=LARGEST).contains(&centimetres) {
        return None;
    }
    let (mut digit, mut power) = (centimetres, 0_u8);
    while digit > 9 {
        digit /= 10;
        power += 1;
    }
    Some(u8::try_from(digit).ok()? << 4 | power)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn octets(text: &str) -> Result<Vec<u8>, String> {
        let words: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
        read(&words).map_err(|wrong| wrong.why)
    }

    fn again(text: &str) -> String {
        print(&octets(text).unwrap()).unwrap()
    }

    #[test]
    fn places_are_read_and_written_in_one_form() {
        for (text, written) in [
            // RFC 1876 §4, and its defaults.
            (
                "42 21 54 N 71 06 18 W -24m 30m",
                "42 21 54.000 N 71 6 18.000 W -24.00m 30m 10000m 10m",
            ),
            (
                "42 21 43.952 N 71 5 6.344 W -24m 1m 200m",
                "42 21 43.952 N 71 5 6.344 W -24.00m 1m 200m 10m",
            ),
            (
                "52 14 05 N 00 08 50 E 10m",
                "52 14 5.000 N 0 8 50.000 E 10.00m 1m 10000m 10m",
            ),
            (
                "32 7 19 S 116 2 25 E 10",
                "32 7 19.000 S 116 2 25.000 E 10.00m 1m 10000m 10m",
            ),
            (
                "90 n 180 w -100000.00 0 0.05 0.5",
                "90 0 0.000 N 180 0 0.000 W -100000.00m 0.00m 0.05m 0.50m",
            ),
            (
                "0 0 0.5 s 0 0 E 42849672.95m 90000000.00m 15m 99m",
                "0 0 0.500 S 0 0 0.000 E 42849672.95m 90000000m 10m 90m",
            ),
        ] {
            assert_eq!(again(text), written);
            assert_eq!(again(written), written);
        }
        assert_eq!(
            octets("0 N 0 E 0").unwrap(),
            [
                0, 0x12, 0x16, 0x13, 128, 0, 0, 0, 128, 0, 0, 0, 0, 0x98, 0x96, 0x80
            ]
        );
    }

    #[test]
    fn places_that_are_not_on_earth_are_refused() {
        for text in [
            "",
            "52",
            "52 N",
            "52 N 4",
            "52 N 4 E",
            "52 N 4 N 0",
            "91 N 4 E 0",
            "90 0 0.001 N 4 E 0",
            "1 60 N 4 E 0",
            "1 0 60 N 4 E 0",
            "1 0 0.0001 N 4 E 0",
            "1 0 0. N 4 E 0",
            "1 0 0 0 N 4 E 0",
            "-1 N 4 E 0",
            "1 N 181 E 0",
            "1 N 4 E -100000.01",
            "1 N 4 E 42849672.96",
            "1 N 4 E 1.001",
            "1 N 4 E m",
            "1 N 4 E 0 -1",
            "1 N 4 E 0 90000000.01",
            "1 N 4 E 0 1 1 1 1",
            "4294967295 N 4 E 0",
            "N 4 E 0",
        ] {
            assert!(octets(text).is_err(), "{text}");
        }
    }

    #[test]
    fn octets_that_no_text_gives_have_none() {
        let good = octets("52 N 4 E 0").unwrap();
        for (at, octet) in [(0, 1), (1, 0xa1), (2, 0x1a), (3, 0x01), (4, 0), (8, 255)] {
            let mut bad = good.clone();
            bad[at] = octet;
            assert_eq!(print(&bad), None, "{at}");
        }
    }
}
