//! Colour, and lines of bounded width.
//!
//! In: text. Out: the same text with or without colour, wrapped or cut. Never here: what a text says.

/// The width every screen is laid out for.
pub(super) const WIDTH: usize = 100;

/// What a piece of text wants to be seen as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Heading,
    Quiet,
    Good,
    Doubtful,
    Bad,
}

/// Whether and how to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint {
    pub(super) colour: bool,
    /// Nothing is cut: a file or another program reads it, which has no right edge.
    pub(super) whole: bool,
}

impl Paint {
    /// Text in its tone; without colour the text alone.
    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Heading => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "1;31",
        };
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A heading with a note at the right edge.
    pub(super) fn heading(self, text: &str, note: &str) -> String {
        let space = WIDTH.saturating_sub(text.chars().count() + note.chars().count());
        let heading = self.tone(Tone::Heading, text);
        if note.is_empty() {
            return format!("{heading}\n");
        }
        format!(
            "{heading}{}{}\n",
            " ".repeat(space.max(2)),
            self.tone(Tone::Quiet, note)
        )
    }
}

/// The text cut to `width` characters, the last one then being `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// The text in lines of at most `width` characters, broken at spaces; a longer word stands alone.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(text) {
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    lines
}

/// Words, a length of time together: `1 h 41 min` is not broken.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let is_unit = |word: &str| matches!(word, "s" | "ms" | "min" | "h" | "d" | "ago");
    for word in text.split_whitespace() {
        let unit = is_unit(word.trim_end_matches([',', ';', '.', ')', ':']));
        let number = word.chars().all(|c| c.is_ascii_digit());
        let after_unit = |last: &str| last.rsplit(' ').next().is_some_and(is_unit);
        match words.last_mut() {
            Some(last) if unit || (number && after_unit(last)) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The text wrapped into the room right of `first`, with later lines below its beginning.
pub(super) fn hang(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let mut out = String::new();
    for (number, line) in wrap(text, WIDTH.saturating_sub(indent)).iter().enumerate() {
        match number {
            0 => out.push_str(first),
            _ => out.push_str(&" ".repeat(indent)),
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_hangs_below_its_beginning() {
        let text = "word ".repeat(30);
        let out = hang("  why   ", &text);
        assert!(out.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(
            out.lines()
                .skip(1)
                .all(|line| line.starts_with("        w"))
        );
        assert_eq!(out.lines().count(), 2);
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(cut("edgepool1 down", 10), "edgepool1…");
        assert_eq!(cut("short", 5), "short");
    }
}
