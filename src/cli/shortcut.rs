//! Commands under the names that people type first: `repoint undrain` for `repoint pool undrain`.
//!
//! In: the same arguments. Out: what the command that is meant does. Never here: anything of their own.

use std::process::ExitCode;

use super::change::ChangeOptions;
use super::client::segment;
use super::complete;
use super::drain::DrainOptions;
use super::failure::Failure;
use super::freeze::Unfreeze;
use super::pool::Pool;
use super::route::{ExplainOptions, Route};
use super::session::Session;
use super::target::Target;

/// Same as `route explain`: everything that led to a route's present answers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint explain contoso")]
pub(super) struct Explain {
    #[command(flatten)]
    options: ExplainOptions,
}

/// Same as `pool drain`, or `target drain` for the host name of a target
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  repoint drain edgepool1 --for 2h --reason \"SR-1234: firmware\""
)]
pub(super) struct Drain {
    /// The pool, or the target
    #[arg(value_name = "POOL|TARGET", add = complete::pools())]
    name: String,
    #[command(flatten)]
    options: DrainOptions,
}

/// Same as `pool undrain`, or `target undrain` for the host name of a target
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint undrain edgepool1")]
pub(super) struct Undrain {
    /// The pool, or the target
    #[arg(value_name = "POOL|TARGET", add = complete::pools())]
    name: String,
    #[command(flatten)]
    options: ChangeOptions,
}

/// Same as `unfreeze ROUTE`: clear a route's latch, and end its freeze
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint unlatch contoso")]
pub(super) struct Unlatch {
    /// The route
    #[arg(add = complete::routes())]
    route: String,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Explain {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        Route::Explain(self.options.clone()).run(session)
    }
}

impl Drain {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let (name, options) = (self.name.clone(), self.options.clone());
        match is_target(session, &name)? {
            true => Target::Drain {
                target: name,
                options,
            }
            .run(session),
            false => Pool::Drain {
                pool: name,
                never: false,
                options,
            }
            .run(session),
        }
    }
}

impl Undrain {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let (name, options) = (self.name.clone(), self.options.clone());
        match is_target(session, &name)? {
            true => Target::Undrain {
                target: name,
                options,
            }
            .run(session),
            false => Pool::Undrain {
                pool: name,
                options,
            }
            .run(session),
        }
    }
}

impl Unlatch {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        Unfreeze::of(self.route.clone(), self.options.clone()).run(session)
    }
}

/// A target's name has a dot; a pool's may have one.
fn is_target(session: &Session, name: &str) -> Result<bool, Failure> {
    if !name.contains(['.', '/']) {
        return Ok(false);
    }
    match session.client.get(&format!("/v1/pools/{}", segment(name))) {
        Ok(_) => Ok(false),
        Err(Failure::Refused(_)) => Ok(true),
        Err(failure) => Err(failure),
    }
}
