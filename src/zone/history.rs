//! How much of its past a zone remembers.
//!
//! In: the changes so far, the newest one. Out: the changes to keep, oldest first, without a gap.
//! Never here: where they are stored, what is sent of them.

use std::sync::Arc;

use super::change::Change;

/// The most changes kept.
const MOST: usize = 256;
/// Changes of this many octets are kept however small the zone is, unless there are many zones.
const LEAST_OCTETS: usize = 4096;
/// The zones share this many octets for it: tens of thousands of small zones would keep hundreds of megabytes of changes,
/// and a whole transfer of a small zone costs next to nothing.
const SHARED_OCTETS: usize = 4 << 20;

/// How many octets of changes each of so many zones keeps however small it is.
pub(super) fn least(zones: usize) -> usize {
    LEAST_OCTETS.min(SHARED_OCTETS / zones.max(1))
}

/// Adds a change and forgets the oldest ones. Together they have at most as many octets as the zone itself, or [`least`]:
/// beyond that a whole transfer is the shorter one. The newest change is kept whatever its size.
pub(super) fn with(
    history: &[Arc<Change>],
    newest: Change,
    zone_octets: usize,
    least: usize,
) -> Vec<Arc<Change>> {
    let bound = zone_octets.max(least);
    let mut octets = newest.octets;
    let older = history.iter().rev().take(MOST - 1).take_while(|change| {
        octets += change.octets;
        octets <= bound
    });
    let kept = older.count();
    let mut changes = history[history.len() - kept..].to_vec();
    changes.push(Arc::new(newest));
    changes
}

#[cfg(test)]
mod tests {
    use super::super::serial::Serial;
    use super::*;

    fn change(n: u32, octets: usize) -> Change {
        let mut change = Change::new(Serial(n), Serial(n + 1), Vec::new(), Vec::new());
        change.octets = octets;
        change
    }

    fn after(octets: usize, zone: usize) -> Vec<Arc<Change>> {
        (0..1000).fold(Vec::new(), |history, n| {
            with(&history, change(n, octets), zone, least(1))
        })
    }

    #[test]
    fn it_is_bounded_by_count_and_by_the_size_of_the_zone() {
        assert_eq!(after(1, 10).len(), 256);
        assert_eq!(after(1000, 10).len(), 4);
        assert_eq!(after(1000, 50_000).len(), 50);
        assert_eq!(after(9000, 10).len(), 1);
    }

    #[test]
    fn what_is_kept_is_the_newest_and_has_no_gap() {
        let history = after(500, 10);
        assert!(history.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(history[history.len() - 1].to, Serial(1000));
    }
}
