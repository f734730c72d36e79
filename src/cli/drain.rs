//! Draining and undraining, the same for pools and targets.
//!
//! In: what is drained and how. Out: the change. A drain that would leave a route without an undrained pool asks for the
//! name to be typed.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use super::change::{ChangeOptions, LifetimeOption, done};
use super::failure::{Failure, Fault};
use super::session::Session;
use crate::control::DrainBody;

/// How a drain is made.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DrainOptions {
    #[command(flatten)]
    lifetime: LifetimeOption,
    /// Drain even if a route is left without an undrained pool
    #[arg(long, visible_alias = "yes")]
    force: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

/// What is drained: in words, as a command, as a path.
pub(super) struct Drained<'a> {
    pub(super) noun: &'a str,
    pub(super) name: &'a str,
    pub(super) path: String,
}

pub(super) fn drain(
    session: &Session,
    it: &Drained<'_>,
    never: bool,
    options: &DrainOptions,
) -> Result<ExitCode, Failure> {
    let what = format!("drain {} {}", it.noun, it.name);
    let command = format!("repoint {} drain {}", it.noun, it.name);
    let mut body = DrainBody {
        lifetime: options.lifetime.required(&what, &command)?,
        never,
        force: options.force,
    };
    let path = options.options.on(&it.path);
    match session.client.send("PUT", &path, &body) {
        Err(failure) if !body.force && asks(&failure) && can_be_asked(session) => {
            confirm(session, it, &failure)?;
            body.force = true;
            done(session, &session.client.send("PUT", &path, &body)?)
        }
        reply => done(session, &reply?),
    }
}

pub(super) fn undrain(
    session: &Session,
    it: &Drained<'_>,
    options: &ChangeOptions,
) -> Result<ExitCode, Failure> {
    done(session, &session.client.delete(&options.on(&it.path))?)
}

/// Whether the server would do it if it were asked for in earnest.
fn asks(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.code == "last-pool")
}

/// On a terminal the name may be typed; elsewhere the refusal stands.
fn can_be_asked(session: &Session) -> bool {
    !session.json && std::io::stdin().is_terminal()
}

fn confirm(session: &Session, it: &Drained<'_>, failure: &Failure) -> Result<(), Failure> {
    session.talk(&failure.render(session.paint));
    session.talk(&format!("type {} to do it all the same: ", it.name));
    if is_typed(it.name, &mut std::io::stdin().lock()) {
        return Ok(());
    }
    Err(Failure::Local(Fault {
        what: format!("{} {} is not drained", it.noun, it.name),
        why: "its name was not typed".into(),
        in_force: "nothing was changed".into(),
        hint: None,
    }))
}

fn is_typed(name: &str, input: &mut impl BufRead) -> bool {
    let mut line = String::new();
    input.read_line(&mut line).is_ok() && line.trim() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_itself_confirms() {
        let typed = |text: &str| is_typed("edgepool1", &mut text.as_bytes());
        assert!(typed("edgepool1\n") && typed(" edgepool1 \n"));
        assert!(
            !typed("") && !typed("\n") && !typed("y\n") && !typed("yes\n") && !typed("edgepool\n")
        );
    }
}
