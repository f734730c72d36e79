//! Many equal pieces of work on all cores: signing is the one thing here that takes long.
//!
//! In: items, a function of one. Out: its results, in the order of the items, as if one core had done it.
//! Never here: a thread that outlives the call.

use std::num::NonZero;

/// The most cores used: the rest answers questions.
const MOST: usize = 8;

/// Applies a function to every item. Fewer items than `worth` are done on this core alone.
pub(super) fn map<T, R>(items: Vec<T>, worth: usize, each: impl Fn(T) -> R + Sync) -> Vec<R>
where
    T: Send,
    R: Send,
{
    let mut cores = items.len().div_ceil(worth.max(1)).min(MOST);
    if cores > 1 {
        // Asked only now: it looks into the system's files.
        cores = cores.min(std::thread::available_parallelism().map_or(1, NonZero::get));
    }
    if cores <= 1 {
        return items.into_iter().map(each).collect();
    }
    let share = items.len().div_ceil(cores);
    let each = &each;
    let mut shares: Vec<Vec<T>> = Vec::with_capacity(cores);
    let mut items = items.into_iter();
    loop {
        let next: Vec<T> = items.by_ref().take(share).collect();
        if next.is_empty() {
            break;
        }
        shares.push(next);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || share.into_iter().map(each).collect::<Vec<R>>()))
            .collect();
        let results = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_their_items() {
        for (items, worth) in [(0, 1), (1, 1), (7, 3), (1000, 1), (1000, 10_000)] {
            let doubled = map((0..items).collect(), worth, |n: u32| n * 2);
            assert_eq!(doubled, (0..items).map(|n| n * 2).collect::<Vec<_>>());
        }
    }
}
