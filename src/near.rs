//! The names nearest to a wrong one, for keys of the configuration and for names of things alike.
//!
//! In: what was typed and the names that exist. Out: the few that were probably meant.

/// Longer than a domain name may be.
const LONGEST: usize = 253;

/// Up to three of `names` that `typed` may have been meant to be, nearest first.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let typed = plain(typed);
    // A mistyped name is short; a long text is compared with nothing.
    if typed.chars().count() > LONGEST {
        return Vec::new();
    }
    // A third of the letters may be wrong; a name that is part of the other is near as well.
    let bound = (typed.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let lower = plain(name);
            let part = typed.len() >= 3 && (lower.contains(&typed) || typed.contains(&lower));
            // Too different in length to be near: most of thousands of names are.
            let lengths = typed.chars().count().abs_diff(lower.chars().count());
            if lengths > bound && !part {
                return None;
            }
            let distance = distance(&typed, &lower);
            (distance <= bound || part).then_some((distance, name))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_its_name() {
        let names = ["contoso", "fabrikam", "edgepool1", "edgepool2"];
        assert_eq!(nearest("contsoo", names), ["contoso"]);
        assert_eq!(nearest("edgepool", names), ["edgepool1", "edgepool2"]);
        assert_eq!(nearest("Fabrikam", names), ["fabrikam"]);
        assert_eq!(nearest("northwind", names), Vec::<&str>::new());
        let keys = ["timeout", "interval", "hold_down", "rise"];
        assert_eq!(nearest("timout", keys), ["timeout"]);
        assert_eq!(nearest("hold-down", keys), ["hold_down"]);
        assert_eq!(nearest("Intervall", keys), ["interval"]);
        assert_eq!(nearest("rsie", keys), ["rise"]);
        assert_eq!(nearest("colour", keys), Vec::<&str>::new());
    }
}
