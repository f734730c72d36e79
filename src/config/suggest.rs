//! Words of the configuration in sentences: the one that was probably meant, and all of them.

/// The known word nearest to `text`, if one is near enough to be meant.
pub(super) fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    crate::near::nearest(text, known).into_iter().next()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_a_sentence() {
        assert_eq!(quoted(["a"], "or"), "\"a\"");
        assert_eq!(quoted(["a", "b", "c"], "or"), "\"a\", \"b\" or \"c\"");
    }
}
