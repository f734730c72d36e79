//! `repoint acme`: challenges of certificate authorities.

use std::process::ExitCode;
use std::time::Duration;

use super::change::{ChangeOptions, screen};
use super::client::segment;
use super::failure::Failure;
use super::moment::{both, now};
use super::paint::Paint;
use super::session::Session;
use super::table::Table;
use crate::control::{ChallengeBody, ClearBody};
use crate::engine::{Challenge, Done};

/// Put challenges of certificate authorities into the zones served here.
///
/// A certificate authority that asks for proof of a name looks for a TXT record at _acme-challenge.NAME. A command returns
/// when the record is served; it leaves by itself after its time.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Acme {
    /// Publish a value, beside those the name has already
    #[command(
        after_help = "Example:\n  repoint acme set _acme-challenge.xmpp.contoso.com gfj9Xq...Rg85nM --for 10m\n\n\
                      Under owner delegation only names below the steered ones are served here. For a certificate of contoso.com itself the \
                      parent zone needs:\n  _acme-challenge.contoso.com. CNAME _acme-challenge.xmpp.contoso.com."
    )]
    Set {
        /// The name: _acme-challenge and what the certificate is for
        name: String,
        /// The text the authority wants to see
        value: String,
        /// How long it stays; the configured lifetime when left out
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        lifetime: Option<Duration>,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Take a value away, or all values of a name
    #[command(after_help = "Example:\n  repoint acme clear _acme-challenge.xmpp.contoso.com")]
    Clear {
        /// The name
        name: String,
        /// The value; all when left out
        value: Option<String>,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// The values that are published, and when each leaves
    List,
}

impl Acme {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let client = &session.client;
        let reply = match self {
            Acme::Set {
                name,
                value,
                lifetime,
                options,
            } => {
                let body = ChallengeBody {
                    value: value.clone(),
                    lifetime: *lifetime,
                };
                client.send("PUT", &options.on(&path(name)), &body)?
            }
            Acme::Clear {
                name,
                value,
                options,
            } => {
                let body = ClearBody {
                    value: value.clone(),
                };
                let path = format!("{}/clear", path(name));
                client.send("POST", &options.on(&path), &body)?
            }
            Acme::List => {
                let reply = client.get("/v1/challenges")?;
                return session.answer::<Vec<Challenge>>(&reply, |all, paint| list(all, paint));
            }
        };
        session.answer::<Done>(&reply, |done, paint| match done.dry_run {
            true => screen(done, paint),
            false => {
                let note = if done.volatile {
                    "\nvolatile: it is not stored: lost when the server restarts"
                } else {
                    ""
                };
                format!("done; generation {} is served{note}\n", done.generation)
            }
        })
    }
}

fn path(name: &str) -> String {
    format!("/v1/challenges/{}", segment(name))
}

fn list(challenges: &[Challenge], paint: Paint) -> String {
    if challenges.is_empty() {
        return "no challenges are published\n".to_owned();
    }
    let now = now();
    let mut table = Table::headed(["name", "leaves", "by", "value"]);
    for one in challenges {
        table.row([
            one.name.as_str().into(),
            both(one.until, now).into(),
            one.author.as_str().into(),
            one.value.as_str().into(),
        ]);
    }
    table.render(paint)
}
