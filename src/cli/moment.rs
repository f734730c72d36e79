//! Moments and lengths of time as people read them.
//!
//! In: moments, and the one they are seen from. Out: `2026-11-21T02:41:10Z (19 min ago)`, `in 2 h`, `3 d 4 h`.

use std::time::Duration;

use crate::clock::Wall;

/// A length in its two largest units: `12 s`, `19 min`, `2 h 4 min`, `3 d 4 h`.
pub(super) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) if minutes < 5 && rest > 0 => format!("{minutes} min {rest} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A bound, rounded up to the second: what is promised must not be less than what is meant.
pub(super) fn at_most(time: Duration) -> String {
    let up = u64::from(time.subsec_nanos() > 0);
    length(Duration::from_secs(time.as_secs() + up))
}

/// `19 min ago`, `just now`; a moment that lies ahead is `in 2 h`.
pub(super) fn distance(at: Wall, now: Wall) -> String {
    if at > now {
        return format!("in {}", length(at.since(now)));
    }
    match now.since(at) {
        time if time < Duration::from_secs(1) => "just now".into(),
        time => format!("{} ago", length(time)),
    }
}

/// `2026-11-21T02:41:10Z (19 min ago)`.
pub(super) fn both(at: Wall, now: Wall) -> String {
    format!("{at} ({})", distance(at, now))
}

/// The machine's clock; only the command line reads it, to tell how long ago something was.
pub(super) fn now() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |time| {
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
    });
    Wall::from_millis(millis)
}

/// Reads `2h` (so long ago) or an RFC 3339 moment.
pub(super) fn parse_since(text: &str, now: Wall) -> Result<Wall, String> {
    if let Ok(back) = humantime::parse_duration(text) {
        let back = i64::try_from(back.as_millis()).unwrap_or(i64::MAX);
        return Ok(Wall::from_millis(now.as_millis().saturating_sub(back)));
    }
    let at = humantime::parse_rfc3339_weak(text).map_err(|_| {
        format!("{text:?} is neither a length of time (2h) nor a moment (2026-11-21T03:00:00Z)")
    })?;
    let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Wall::from_millis(
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_millis(1_795_230_000_000);

    #[test]
    fn lengths_have_two_units_at_most() {
        let text = |seconds| length(Duration::from_secs(seconds));
        assert_eq!(text(0), "0 s");
        assert_eq!(text(116), "1 min 56 s");
        assert_eq!(text(19 * 60 + 5), "19 min");
        assert_eq!(text(2 * 3600 + 240), "2 h 4 min");
        assert_eq!(text(3 * 86_400 + 4 * 3600 + 59), "3 d 4 h");
    }

    #[test]
    fn a_bound_is_rounded_up() {
        assert_eq!(at_most(Duration::from_millis(4800)), "5 s");
        assert_eq!(at_most(Duration::from_secs(4)), "4 s");
    }

    #[test]
    fn since_is_read_both_ways() {
        assert_eq!(
            parse_since("2h", NOW),
            Ok(Wall::from_millis(NOW.as_millis() - 7_200_000))
        );
        assert_eq!(parse_since(&NOW.to_string(), NOW), Ok(NOW));
        assert!(parse_since("yesterday", NOW).is_err());
    }

    #[test]
    fn a_moment_ahead_is_told_from_one_behind() {
        let hour = Duration::from_secs(3600);
        assert_eq!(distance(NOW, NOW + hour), "1 h ago");
        assert_eq!(distance(NOW + hour, NOW), "in 1 h");
        assert_eq!(distance(NOW, NOW), "just now");
    }
}
