//! What every command has at hand: the way to the server, and the two ways to speak.
//!
//! In: global options. Out: answers on stdout, talk on stderr. A pipe that was closed is no fault.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Client, Reply};
use super::failure::Failure;
use super::paint::Paint;

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
        match self.json {
            true => self.print_json(&value),
            false => self.print(&render(&value, self.paint)),
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn print_json(&self, value: &impl Serialize) {
        // The values come from JSON; they go back to it.
        if let Ok(text) = serde_json::to_string_pretty(value) {
            self.print(&format!("{text}\n"));
        }
    }

    /// The answer.
    pub(super) fn print(&self, text: &str) {
        write_to(&mut std::io::stdout().lock(), text);
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
        write_to(&mut std::io::stdout().lock(), &format!("{text}\n"));
    }
    let paint = paint_for(std::io::stderr().is_terminal());
    write_to(&mut std::io::stderr().lock(), &failure.render(paint));
}

pub(super) fn paint_for(terminal: bool) -> Paint {
    // https://no-color.org: set and not empty.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Paint {
        colour: terminal && !refused,
    }
}

fn write_to(to: &mut impl Write, text: &str) {
    // Whoever closed the pipe has read enough.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
