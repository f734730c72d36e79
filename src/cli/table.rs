//! Columns: text in cells, aligned by the widest.
//!
//! In: rows of cells. Out: lines. Only the last column may be cut, and only on a terminal; nothing else is ever hidden.

use super::paint::{Paint, Tone, WIDTH, cut};
use crate::harmless;

/// A piece of text in its tone.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn toned(tone: Tone, text: impl Into<String>) -> Cell {
        let mut text = text.into();
        // A cell is one line, whatever somebody else wrote into it.
        if text.chars().any(harmless::disturbs) {
            text = harmless::line(&text).into_owned();
        }
        Cell { text, tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::toned(Tone::Plain, text)
    }
}

/// Rows with two spaces before each line and between columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new() -> Table {
        Table::default()
    }

    /// A table with column names.
    pub(super) fn headed<const N: usize>(names: [&str; N]) -> Table {
        Table {
            rows: vec![names.map(|name| Cell::toned(Tone::Quiet, name)).into()],
        }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    pub(super) fn render(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let mut used = 0;
            for (column, cell) in row.iter().enumerate() {
                let last = column + 1 == columns;
                // An empty column takes no room.
                if widths[column] == 0 {
                    continue;
                }
                line.push_str("  ");
                used += 2;
                // The last column is cut where a screen ends, but never to nothing.
                let text = match last {
                    true if !paint.whole => cut(&cell.text, WIDTH.saturating_sub(used).max(20)),
                    _ => cell.text.clone(),
                };
                line.push_str(&paint.tone(cell.tone, &text));
                if !last {
                    let fill = widths[column] - cell.text.chars().count();
                    line.push_str(&" ".repeat(fill));
                    used += widths[column];
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_only_the_last_is_cut() {
        let mut table = Table::headed(["route", "held", "why"]);
        table.row(["contoso".into(), "".into(), "x".repeat(200).into()]);
        table.row(["a".into(), "pinned".into(), Cell::toned(Tone::Bad, "short")]);
        let out = table.render(Paint {
            colour: false,
            whole: false,
        });
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "  route    held    why");
        assert_eq!(lines[1].chars().count(), WIDTH);
        assert!(lines[1].ends_with("x…"));
        assert_eq!(lines[2], "  a        pinned  short");
    }

    #[test]
    fn nothing_is_cut_for_a_file_or_another_program() {
        let mut table = Table::new();
        table.row(["contoso".into(), "x".repeat(200).into()]);
        let piped = Paint {
            colour: false,
            whole: true,
        };
        assert!(
            table
                .render(piped)
                .ends_with(&format!("{}\n", "x".repeat(200)))
        );
    }

    #[test]
    fn what_is_in_a_cell_stays_in_it() {
        let mut table = Table::headed(["name", "value"]);
        table.row(["_acme-challenge".into(), "a\nb\tc\u{1b}[2J".into()]);
        let out = table.render(Paint {
            colour: false,
            whole: false,
        });
        let cell = "  _acme-challenge  a\u{fffd}b\u{fffd}c\u{fffd}[2J";
        assert_eq!(out.lines().nth(1), Some(cell));
        assert_eq!(out.lines().count(), 2);
    }

    #[test]
    fn colour_does_not_move_columns() {
        let mut table = Table::new();
        table.row([Cell::toned(Tone::Bad, "down"), "x".into()]);
        table.row(["unknown".into(), "y".into()]);
        let out = table.render(Paint {
            colour: true,
            whole: false,
        });
        assert_eq!(out, "  \x1b[1;31mdown\x1b[0m     x\n  unknown  y\n");
    }
}
