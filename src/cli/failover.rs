//! `repoint failover` and `repoint failback`: the operator moves a route.

use std::process::ExitCode;

use super::change::{ChangeOptions, done};
use super::client::segment;
use super::complete;
use super::failure::{Failure, not_a_name};
use super::session::Session;
use crate::control::{FailoverBody, Nothing};

/// Leave the active pool for the best other one, or for the one named.
///
/// The pool becomes the route's home: repoint does not go back by itself. Never to a pool that is down or drained: to hold
/// a route on such a pool is what `repoint pin --force` is for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  repoint failover contoso\n  repoint failover contoso --to edgepool2 --reason \"SR-1234\""
)]
pub(super) struct Failover {
    /// The route
    #[arg(add = complete::routes())]
    route: String,
    /// The pool to go to; the best other one when left out
    #[arg(long, value_name = "POOL", add = complete::pools())]
    to: Option<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

/// Return to the most preferred pool, and forget the home that a failover chose.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint failback contoso --reason \"edgepool1 is back\"")]
pub(super) struct Failback {
    /// The route
    #[arg(add = complete::routes())]
    route: String,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Failover {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let what = format!("fail over route {}", self.route);
        let to = match &self.to {
            Some(pool) => Some(pool.parse().map_err(|fault| not_a_name(&what, &fault))?),
            None => None,
        };
        let path = format!("/v1/routes/{}/failover", segment(&self.route));
        let body = FailoverBody { to };
        done(
            session,
            &session
                .client
                .send("POST", &self.options.on(&path), &body)?,
        )
    }
}

impl Failback {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let path = format!("/v1/routes/{}/failback", segment(&self.route));
        done(
            session,
            &session
                .client
                .send("POST", &self.options.on(&path), &Nothing {})?,
        )
    }
}
