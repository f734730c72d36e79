//! Problems as text: each at its place in the file, like a compiler's.
//!
//! In: problems and the texts they point into. Out: text, with colour only where the caller has found a terminal.
//! Never here: writing it anywhere.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::problem::{ConfigProblems, Place, Problem, Severity};

/// More than these are counted instead of shown; JSON has them all.
const SHOWN: usize = 100;
/// Fixed, so that the same problems always give the same text.
const WIDTH: usize = 140;

impl ConfigProblems {
    /// The problems as text. `colour` is for a terminal without `NO_COLOR`.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.term_width(WIDTH);
        let mut out = String::new();
        for problem in self.iter().take(SHOWN) {
            out.push_str(&renderer.render(&[self.group(problem)]));
            out.push_str("\n\n");
        }
        if self.list.len() > SHOWN {
            out.push_str(&format!(
                "… and {} more problems\n\n",
                self.list.len() - SHOWN
            ));
        }
        out.push_str(&self.count());
        out
    }

    fn count(&self) -> String {
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let (errors, warnings) = (self.errors().count(), self.warnings().count());
        match (errors, warnings) {
            (0, 0) => "no problems".to_owned(),
            (0, w) => plural(w, "warning"),
            (e, 0) => plural(e, "error"),
            (e, w) => format!("{}, {}", plural(e, "error"), plural(w, "warning")),
        }
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(problem.message.as_str())
            .id(problem.rule.as_str())
            .element(self.snippet(problem, problem.place.file));
        let mut other_files: Vec<usize> = problem
            .related
            .iter()
            .map(|(place, _)| place.file)
            .filter(|file| *file != problem.place.file)
            .collect();
        other_files.dedup();
        for file in other_files {
            group = group.element(self.snippet(problem, file));
        }
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    /// The lines of one file that a problem is about.
    fn snippet<'a>(
        &'a self,
        problem: &'a Problem,
        file: usize,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let source = &self.files[file];
        let main = (
            &problem.place,
            problem.label.as_deref(),
            AnnotationKind::Primary,
        );
        let related = problem
            .related
            .iter()
            .map(|(place, label)| (place, Some(label.as_str()), AnnotationKind::Context));
        let marks: Vec<(&Place, Option<&str>, AnnotationKind)> = std::iter::once(main)
            .chain(related)
            .filter(|(place, ..)| place.file == file)
            .collect();
        // Only the lines from the first mark to the last: a file of thousands of domains is not searched again
        // for each problem in it.
        let first = marks.iter().map(|(p, ..)| source.line_index(p.span.start));
        let first = first.min().unwrap_or(0);
        let last = marks.iter().map(|(p, ..)| source.line_index(p.span.end));
        let last = last.max().unwrap_or(0);
        let window = source.line_span(first).start..source.line_span(last).end;
        let mut snippet = Snippet::source(&source.text[window.clone()])
            .line_start(first + 1)
            .path(source.name.as_str());
        for (place, label, kind) in marks {
            let span = within(&place.span, &window);
            snippet = snippet.annotation(kind.span(span).label(label));
        }
        snippet
    }
}

/// A span relative to the window, and never beyond it.
fn within(span: &Range<usize>, window: &Range<usize>) -> Range<usize> {
    let clamp = |at: usize| at.clamp(window.start, window.end) - window.start;
    clamp(span.start)..clamp(span.end)
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}
