//! The manual page repoint.toml(5), made from the annotated example: one text for both.
//!
//! In: the annotated example. Out: roff. Never here: a word about a key that the example does not have.

use roff::{Roff, bold, roman};

/// The page.
pub(super) fn repoint_toml(example: &str) -> String {
    let mut page = Roff::new();
    let version = concat!("repoint ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["repoint.toml", "5", "", version, ""]);
    page.control("SH", ["NAME"]);
    page.text([roman(
        "repoint.toml - configuration of the DNS server repoint",
    )]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "The file is TOML. `repoint config example` prints one that is annotated and complete, which is this page as \
         a file; `repoint config check` reports every problem of a file at once.",
    )]);
    for block in example.split("\n\n") {
        Block::of(block).write(&mut page);
    }
    page.control("SH", ["FILES"]);
    page.text([roman("/etc/repoint/repoint.toml")]);
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("repoint"),
        roman("(1), "),
        bold("repoint-config-check"),
        roman("(1)"),
    ]);
    page.render()
}

/// Lines of the example without an empty one between them.
struct Block<'a> {
    title: Option<&'a str>,
    comment: Vec<&'a str>,
    code: Vec<&'a str>,
}

impl Block<'_> {
    fn of(text: &str) -> Block<'_> {
        let mut block = Block {
            title: None,
            comment: Vec::new(),
            code: Vec::new(),
        };
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(title) = line.strip_prefix("# ──") {
                block.title = Some(title.trim_matches([' ', '─']));
            } else if let Some(comment) = line.strip_prefix("# ").filter(|_| block.code.is_empty())
            {
                block.comment.push(comment);
            } else if line != "#" {
                block.code.push(line);
            }
        }
        block
    }

    fn write(&self, page: &mut Roff) {
        if let Some(title) = self.title {
            page.control("SH", [title]);
        }
        match self.code.split_first() {
            Some((table, keys)) if table.trim_start_matches('#').starts_with('[') => {
                page.control("SS", [without_mark(table)]);
                self.write_comment(page);
                literal(keys, page);
            }
            Some((key, more)) => {
                page.control("TP", []);
                page.text([bold(*key)]);
                self.write_comment(page);
                literal(more, page);
            }
            None => {
                page.control("PP", []);
                self.write_comment(page);
            }
        }
    }

    /// Lines that are indented keep their form.
    fn write_comment(&self, page: &mut Roff) {
        for lines in self
            .comment
            .chunk_by(|a, b| a.starts_with(' ') == b.starts_with(' '))
        {
            if lines[0].starts_with(' ') {
                literal(lines, page);
            } else {
                page.text([roman(lines.join(" "))]);
            }
        }
    }
}

/// A table's header, without what says that it is an example.
fn without_mark(line: &str) -> &str {
    line.split(" # example").next().unwrap_or(line).trim_end()
}

fn literal(lines: &[&str], page: &mut Roff) {
    if lines.is_empty() {
        return;
    }
    page.control("RS", []);
    page.control("nf", []);
    for line in lines {
        page.text([roman(*line)]);
    }
    page.control("fi", []);
    page.control("RE", []);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::EXAMPLE;
    use crate::config;

    #[test]
    fn the_page_has_every_key_and_every_section_of_the_example() {
        let page = repoint_toml(EXAMPLE).replace("\\-", "-");
        for (key, _) in config::keys() {
            let name = key.rsplit('.').next().unwrap_or(&key);
            assert!(page.contains(name), "{key} is not in the page");
        }
        let sections = EXAMPLE
            .lines()
            .filter(|line| line.starts_with("# ──"))
            .count();
        assert_eq!(page.matches(".SH").count(), sections + 4);
        assert!(page.contains(".SS [health.check]"), "{page}");
    }
}
