//! `repoint pin` and `repoint unpin`: the operator says which pool is active.

use std::process::ExitCode;

use super::change::{ChangeOptions, LifetimeOption, done};
use super::client::segment;
use super::complete;
use super::failure::{Failure, not_a_name};
use super::session::Session;
use crate::control::PinBody;

/// Make a pool active in a route, whatever its health.
///
/// A pin wins over health, drains and freezes, survives restarts, and is loud in every view. A pin to a pool that is down
/// needs --force: partners are then sent to a pool that does not answer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  repoint pin contoso edgepool2 --for 2h --reason \"SR-1234: firmware of edgepool1\""
)]
pub(super) struct Pin {
    /// The route
    #[arg(add = complete::routes())]
    route: String,
    /// The pool that shall be active
    #[arg(add = complete::pools())]
    pool: String,
    #[command(flatten)]
    lifetime: LifetimeOption,
    /// Pin even to a pool that is down
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

/// End the pin of a route.
///
/// Nothing moves by that alone: the route stays where it is, and its policy decides from there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint unpin contoso")]
pub(super) struct Unpin {
    /// The route
    #[arg(add = complete::routes())]
    route: String,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Pin {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let (route, pool) = (&self.route, &self.pool);
        let what = format!("pin route {route} to {pool}");
        let lifetime = self
            .lifetime
            .required(&what, &format!("repoint pin {route} {pool}"))?;
        let body = PinBody {
            pool: pool.parse().map_err(|fault| not_a_name(&what, &fault))?,
            lifetime,
            force: self.force,
        };
        let path = self.options.on(&path(route));
        done(session, &session.client.send("PUT", &path, &body)?)
    }
}

impl Unpin {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let path = self.options.on(&path(&self.route));
        done(session, &session.client.delete(&path)?)
    }
}

fn path(route: &str) -> String {
    format!("/v1/routes/{}/pin", segment(route))
}
