//! What every command has at hand: the way to the server, and the two ways to speak.
//!
//! In: global options. Out: answers on stdout, talk on stderr. A pipe that was closed is no fault.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Client, Reply};
use super::failure::Failure;
use super::paint::Paint;
use crate::harmless;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) json: bool,
    /// How to colour the answer.
    pub(super) paint: Paint,
}

impl Session {
    pub(super) fn new(socket: &Path, json: bool) -> Result<Session, Failure> {
        Ok(Session {
            client: Client::new(socket)?,
            json,
            paint: paint_for(std::io::stdout().is_terminal()),
        })
    }

    /// Prints what the server answered: as it came with `--json`, else by `render`.
    pub(super) fn answer<T: DeserializeOwned + Serialize>(
        &self,
        reply: &Reply,
        render: impl FnOnce(&T, Paint) -> String,
    ) -> Result<ExitCode, Failure> {
        let value: T = self.client.read(reply)?;
        self.say(&value, || render(&value, self.paint));
        Ok(ExitCode::SUCCESS)
    }

    /// The answer as JSON or as text, as it is wanted. False when nobody reads it any more.
    pub(super) fn say(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> bool {
        match self.json {
            true => self.print_json(value),
            false => self.print(&text()),
        }
    }

    /// The answer as JSON. False when nobody reads it any more.
    pub(super) fn print_json(&self, value: &impl Serialize) -> bool {
        // The values come from JSON; they go back to it.
        serde_json::to_string_pretty(value)
            .is_ok_and(|text| self.print(&format!("{}\n", harmless::json(&text))))
    }

    /// The answer. False when nobody reads it any more.
    pub(super) fn print(&self, text: &str) -> bool {
        write_to(&mut std::io::stdout().lock(), text)
    }

    /// The talk.
    pub(super) fn talk(&self, text: &str) {
        write_to(&mut std::io::stderr().lock(), text);
    }
}

/// Says on stderr how a command failed, and with `--json` on stdout as well.
pub(super) fn report(failure: &Failure, json: bool) {
    if let (Failure::Refused(refusal), true) = (failure, json)
        && let Ok(text) = serde_json::to_string_pretty(refusal)
    {
        let text = format!("{}\n", harmless::json(&text));
        write_to(&mut std::io::stdout().lock(), &text);
    }
    let paint = paint_for(std::io::stderr().is_terminal());
    write_to(&mut std::io::stderr().lock(), &failure.render(paint));
}

pub(super) fn paint_for(terminal: bool) -> Paint {
    Paint {
        colour: colours(terminal, std::env::var_os("NO_COLOR")),
        whole: !terminal,
    }
}

/// Only on a terminal, and not where `NO_COLOR` is set and not empty (no-color.org).
fn colours(terminal: bool, no_color: Option<OsString>) -> bool {
    terminal && no_color.is_none_or(|value| value.is_empty())
}

/// Whoever closed the pipe has read enough: that is no fault, but going on would be.
fn write_to(to: &mut impl Write, text: &str) -> bool {
    let mut to = harmless::Seen(to);
    to.write_all(text.as_bytes())
        .and_then(|()| to.flush())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_never_with_no_color() {
        assert!(colours(true, None));
        assert!(colours(true, Some("".into())));
        assert!(!colours(true, Some("1".into())));
        assert!(!colours(false, None));
    }
}
