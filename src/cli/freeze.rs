//! `repoint freeze` and `repoint unfreeze`: no automatic change, of one route or of all.

use std::process::ExitCode;

use super::change::{ChangeOptions, LifetimeOption, done};
use super::client::segment;
use super::failure::Failure;
use super::session::Session;
use crate::control::FreezeBody;

/// Stop automatic changes of a route, or of all routes.
///
/// Probing goes on, answers go on, and commands still work: only repoint itself changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  repoint freeze --for 2h --reason \"firewall change\"\n  repoint freeze contoso --for 1d"
)]
pub(super) struct Freeze {
    /// The route; all routes when left out
    route: Option<String>,
    #[command(flatten)]
    lifetime: LifetimeOption,
    #[command(flatten)]
    options: ChangeOptions,
}

/// End a freeze. For a route it also clears its latch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  repoint unfreeze contoso")]
pub(super) struct Unfreeze {
    /// The route; the freeze of all routes when left out
    route: Option<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Freeze {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let (what, command) = match &self.route {
            Some(route) => (
                format!("freeze route {route}"),
                format!("repoint freeze {route}"),
            ),
            None => ("freeze all routes".into(), "repoint freeze".into()),
        };
        let body = FreezeBody {
            lifetime: self.lifetime.required(&what, &command)?,
        };
        let path = self.options.on(&path(self.route.as_deref()));
        done(session, &session.client.send("PUT", &path, &body)?)
    }
}

impl Unfreeze {
    /// Of one route.
    pub(super) fn of(route: String, options: ChangeOptions) -> Unfreeze {
        Unfreeze {
            route: Some(route),
            options,
        }
    }

    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        let path = self.options.on(&path(self.route.as_deref()));
        done(session, &session.client.delete(&path)?)
    }
}

fn path(route: Option<&str>) -> String {
    match route {
        Some(route) => format!("/v1/routes/{}/freeze", segment(route)),
        None => "/v1/freeze".into(),
    }
}
