//! `repoint zone`: the zones served, their text, and what last changed.

use std::process::ExitCode;

use super::change::diff;
use super::client::segment;
use super::failure::Failure;
use super::paint::Paint;
use super::session::Session;
use super::table::Table;
use crate::engine::ZoneView;

/// Look at the zones that are served.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Zone {
    /// One line per zone: serial and size
    List,
    /// A zone as master-file text
    #[command(after_help = "Example:\n  repoint zone show fed.contoso.com")]
    Show {
        /// The zone's apex
        apex: String,
    },
    /// What the last version of a zone changed
    #[command(after_help = "Example:\n  repoint zone diff fed.contoso.com")]
    Diff {
        /// The zone's apex
        apex: String,
    },
}

impl Zone {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Zone::List => {
                let reply = session.client.get("/v1/zones")?;
                session.answer::<Vec<ZoneView>>(&reply, |zones, paint| list(zones, paint))
            }
            Zone::Show { apex } => text(session, apex, "text", |text, _| text.to_owned()),
            Zone::Diff { apex } => text(session, apex, "diff", |text, paint| match text {
                "" => "the zone has not changed since the server began\n".to_owned(),
                text => diff(text, paint),
            }),
        }
    }
}

fn text(
    session: &Session,
    apex: &str,
    what: &str,
    render: impl Fn(&str, Paint) -> String,
) -> Result<ExitCode, Failure> {
    let reply = session
        .client
        .get(&format!("/v1/zones/{}/{what}", segment(apex)))?;
    let text = reply.text();
    let json = serde_json::json!({ "apex": apex, what: text });
    session.say(&json, || render(&text, session.paint));
    Ok(ExitCode::SUCCESS)
}

/// One line per zone.
pub(super) fn list(zones: &[ZoneView], paint: Paint) -> String {
    let mut table = Table::headed(["zone", "serial", "rrsets"]);
    for zone in zones {
        table.row([
            zone.apex.as_str().into(),
            zone.serial_text().into(),
            zone.rrsets.to_string().into(),
        ]);
    }
    table.render(paint)
}
