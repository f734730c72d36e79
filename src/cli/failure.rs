//! How a command fails, what is then said, and the exit code.
//!
//! In: refusals of the server, faults on the way to it, wrong usage. Out: text on stderr in four parts, and a code.

use std::process::ExitCode;

use super::paint::{Paint, Tone};
use crate::engine::Refusal;

/// Refused or failed: what was asked is not in force.
pub(super) const REFUSED: u8 = 1;
/// The command line is wrong: nothing was sent.
pub(super) const USAGE: u8 = 2;
/// No answer from the server.
pub(super) const NO_ANSWER: u8 = 3;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server, or a check made here, said no.
    Refused(Box<Refusal>),
    /// The command line does not say enough, or too much.
    Usage(Fault),
    /// The server could not be asked, or did not answer.
    NoAnswer {
        fault: Fault,
        /// The socket is there, but not for this user.
        forbidden: bool,
    },
    /// Something on this machine failed: a file could not be read.
    Local(Fault),
}

/// The four parts of a message.
#[derive(Debug)]
pub(super) struct Fault {
    /// What failed, on which thing.
    pub(super) what: String,
    /// Why.
    pub(super) why: String,
    /// What stays in force.
    pub(super) in_force: String,
    /// What to type instead.
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::Refused(_) | Failure::Local(_) => REFUSED,
            Failure::Usage(_) => USAGE,
            Failure::NoAnswer { .. } => NO_ANSWER,
        }
    }

    pub(super) fn exit(&self) -> ExitCode {
        self.code().into()
    }

    /// The message, as it goes to stderr.
    pub(super) fn render(&self, paint: Paint) -> String {
        let (what, why, in_force, hint) = match self {
            Failure::Refused(r) => (&r.what, &r.why, &r.in_force, &r.hint),
            Failure::Usage(f) | Failure::NoAnswer { fault: f, .. } | Failure::Local(f) => {
                (&f.what, &f.why, &f.in_force, &f.hint)
            }
        };
        let mut out = format!("{}: {why}\n", paint.tone(Tone::Bad, what));
        if !in_force.is_empty() {
            out.push_str(in_force);
            out.push('\n');
        }
        if let Some(hint) = hint {
            out.push_str(&format!("try: {}\n", paint.tone(Tone::Heading, hint)));
        }
        out
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(Box::new(refusal))
    }
}

/// An override without an end: says how to give one.
pub(super) fn lifetime_missing(what: &str, command: &str) -> Failure {
    Failure::Usage(Fault {
        what: format!("cannot {what}"),
        why: "--for is missing: an override needs an end, so that it is not forgotten".into(),
        in_force: "nothing was changed; --for takes 30m, 2h, 3d … or forever (which alarms daily)"
            .into(),
        hint: Some(format!("{command} --for 2h --reason \"…\"")),
    })
}

/// What was typed cannot be a name.
pub(super) fn not_a_name(what: &str, fault: &impl std::fmt::Display) -> Failure {
    Failure::Usage(Fault {
        what: format!("cannot {what}"),
        why: fault.to_string(),
        in_force: "nothing was changed".into(),
        hint: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::RefusalKind;

    #[test]
    fn a_refusal_is_shown_in_four_parts() {
        let refusal = Refusal {
            code: "pool-down".into(),
            kind: RefusalKind::Conflict,
            what: "cannot pin route contoso to edgepool2".into(),
            why: "edgepool2 is down (silence in stream header)".into(),
            in_force: "edgepool1 stays active (generation 118)".into(),
            hint: Some("repoint pin contoso edgepool2 --for 2h --force".into()),
        };
        let failure = Failure::from(refusal);
        assert_eq!(
            failure.render(Paint {
                colour: false,
                whole: false
            }),
            "cannot pin route contoso to edgepool2: edgepool2 is down (silence in stream header)\n\
             edgepool1 stays active (generation 118)\n\
             try: repoint pin contoso edgepool2 --for 2h --force\n"
        );
        assert_eq!(failure.code(), REFUSED);
    }
}
