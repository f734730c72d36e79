//! The records for the zones above, as text that a nameserver can read.

use std::collections::BTreeSet;

use super::super::paint::wrap;
use crate::delegation::{ParentRecords, Served, Step};

/// Room for the text of a comment.
const COMMENT: usize = 94;

/// The steps, then one block per domain: all that is not a record is a comment.
pub(in crate::cli) fn screen(served: &Served, blocks: &[ParentRecords]) -> String {
    if blocks.is_empty() {
        return "; the zones above need nothing: no zone is served\n".into();
    }
    let steps: BTreeSet<Step> = blocks
        .iter()
        .flat_map(|block| block.records.iter().map(|record| record.step))
        .collect();
    let steps: Vec<Step> = steps.into_iter().collect();
    let mut out = String::new();
    comment(
        &mut out,
        "",
        "Records for the zones above. Enter them in the order of the steps; each record has its step behind it.",
    );
    for (n, step) in steps.iter().enumerate() {
        comment(&mut out, &format!("{}. ", n + 1), step.explain());
    }
    if !served.live {
        comment(
            &mut out,
            "",
            "By the configuration file alone: DS records are known to the running server only.",
        );
    }
    for block in blocks {
        out.push('\n');
        let how = block.arrangement.map_or(String::new(), |arrangement| {
            format!(", {}", arrangement.describe())
        });
        comment(&mut out, "", &format!("{}{how}", block.subject));
        for record in &block.records {
            let step = steps.iter().position(|step| *step == record.step);
            let number = step.map_or(0, |n| n + 1);
            out.push_str(&format!("{record}\t; {number}\n"));
        }
        for note in &block.notes {
            comment(&mut out, "note: ", note);
        }
    }
    out
}

fn comment(out: &mut String, first: &str, text: &str) {
    let indent = first.chars().count();
    for (n, line) in wrap(text, COMMENT - indent).iter().enumerate() {
        let lead = match n {
            0 => first.to_owned(),
            _ => " ".repeat(indent),
        };
        out.push_str(&format!("; {lead}{line}\n"));
    }
}
