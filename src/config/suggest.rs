//! "Did you mean": the known word nearest to a mistyped one.

/// The known word nearest to `text`, if one is near enough to be meant.
pub(super) fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let text = text.to_lowercase().replace('-', "_");
    // A mistyped word is short; a long text is compared with nothing.
    if text.chars().count() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|word| (distance(&text, &word.replace('-', "_")), word))
        .filter(|(distance, word)| *distance <= word.chars().count().max(3) / 3)
        .min()
        .map(|(_, word)| word)
}

/// Words as an enumeration in a sentence: `"a", "b" or "c"`.
pub(super) fn quoted<'k>(words: impl IntoIterator<Item = &'k str>, joint: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("{word:?}")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {joint} {last}", rest.join(", "))
        }
        _ => words.concat(),
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["timeout", "interval", "hold_down", "rise"];
        assert_eq!(nearest("timout", known), Some("timeout"));
        assert_eq!(nearest("hold-down", known), Some("hold_down"));
        assert_eq!(nearest("Intervall", known), Some("interval"));
        assert_eq!(nearest("rsie", known), Some("rise"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn words_read_as_a_sentence() {
        assert_eq!(quoted(["a"], "or"), "\"a\"");
        assert_eq!(quoted(["a", "b", "c"], "or"), "\"a\", \"b\" or \"c\"");
    }
}
