//! `repoint zone`: the zones served, their text, and what last changed.

use std::process::ExitCode;

use super::change::diff;
use super::client::segment;
use super::failure::Failure;
use super::paint::Paint;
use super::session::Session;
use super::table::Table;
use crate::control::Refreshed;
use crate::engine::{InboundView, SigningView, ZoneView};

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
    /// Ask the primaries of a zone now, instead of when its timers say so
    #[command(after_help = "Example:\n  repoint zone refresh contoso.com")]
    Refresh {
        /// The zone's apex
        apex: String,
    },
    /// What the last version of a zone changed
    #[command(after_help = "Example:\n  repoint zone diff fed.contoso.com")]
    Diff {
        /// The zone's apex
        apex: String,
    },
    /// Which serial each secondary has, and how it got it
    #[command(after_help = "Example:\n  repoint zone secondaries fed.contoso.com")]
    Secondaries {
        /// Only this zone
        #[arg(value_name = "ZONE")]
        apex: Option<String>,
    },
}

impl Zone {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Zone::List => {
                let reply = session.client.get("/v1/zones")?;
                session.answer::<Vec<ZoneView>>(&reply, |zones, paint| list(zones, paint))
            }
            Zone::Secondaries { apex } => super::secondaries::run(session, apex.as_deref()),
            Zone::Show { apex } => show(session, apex),
            Zone::Refresh { apex } => {
                let path = format!("/v1/zones/{}/refresh", segment(apex));
                let reply = session.client.send("POST", &path, &serde_json::json!({}))?;
                session.answer::<Refreshed>(&reply, |refreshed, _| format!("{}\n", refreshed.came))
            }
            Zone::Diff { apex } => text(session, apex, "diff", |text, paint| match text {
                "" => "the zone has not changed since the server began\n".to_owned(),
                text => diff(text, paint),
            }),
        }
    }
}

/// The zone's text, behind comments that say where its static part comes from and how it is signed.
fn show(session: &Session, apex: &str) -> Result<ExitCode, Failure> {
    let reply = session
        .client
        .get(&format!("/v1/zones/{}", segment(apex)))?;
    let zone: ZoneView = session.client.read(&reply)?;
    let mut json = serde_json::json!({ "apex": apex, "text": "" });
    if let Some(inbound) = &zone.inbound {
        json["inbound"] = serde_json::json!(inbound);
    }
    if let Some(signing) = &zone.signing {
        json["signing"] = serde_json::json!(signing);
    }
    let about = about(&zone);
    if zone.serial.is_none() {
        session.say(&json, || about);
        return Ok(ExitCode::SUCCESS);
    }
    let reply = session
        .client
        .get(&format!("/v1/zones/{}/text", segment(apex)))?;
    let text = reply.text();
    json["text"] = text.clone().into();
    session.say(&json, || format!("{about}{text}"));
    Ok(ExitCode::SUCCESS)
}

/// What is to know of a zone beside its records, as comments of a master file.
pub(super) fn about(zone: &ZoneView) -> String {
    let from = zone.inbound.as_ref().map(comments).unwrap_or_default();
    let signed = zone.signing.as_ref().map(signed).unwrap_or_default();
    let left_out = zone.left_out.iter().map(|line| format!("; {line}\n"));
    from + &left_out.collect::<String>() + &signed + &being_signed(zone)
}

/// That another version than the one served is on its way.
fn being_signed(zone: &ZoneView) -> String {
    let meanwhile = match zone.serial {
        Some(_) => "this one is served until then",
        None => "the zone is served after that",
    };
    zone.being_signed.map_or_else(String::new, |rrsets| {
        format!("; its next version, of {rrsets} RRsets, is being signed; {meanwhile}\n")
    })
}

/// With which keys a zone is signed, and for how long that is good.
fn signed(signing: &SigningView) -> String {
    let mut text = String::new();
    for key in &signing.keys {
        let (tag, algorithm, stage) = (key.tag, &key.algorithm, key.stage);
        text.push_str(&format!("; signed: key {tag} ({algorithm}), {stage}\n"));
    }
    let until = signing.valid_until;
    text + &format!("; signatures are valid until {until} at least\n")
}

/// Where a zone's static part comes from, as comments of a master file.
fn comments(inbound: &InboundView) -> String {
    let mut lines = Vec::new();
    let primaries: Vec<String> = inbound.primaries.iter().map(ToString::to_string).collect();
    let key = match &inbound.tsig {
        Some(key) => format!("TSIG key {key}"),
        None => "no TSIG key".into(),
    };
    lines.push(format!("static part from {} ({key})", primaries.join(", ")));
    match (inbound.serial, inbound.from, inbound.received) {
        (Some(serial), Some(from), Some(received)) => {
            lines.push(format!(
                "its serial {serial}, received from {from} at {received}"
            ));
        }
        _ => lines.push("not received yet: the zone is not served".into()),
    }
    if let Some(checked) = inbound.checked {
        let stale = if inbound.stale {
            ": stale, served on"
        } else {
            ""
        };
        lines.push(format!("last confirmed at {checked}{stale}"));
    }
    if let Some(attempt) = &inbound.attempt {
        lines.push(format!("last asked at {}: {}", attempt.at, attempt.text));
    }
    lines.extend(inbound.refused.iter().map(|why| format!("refused: {why}")));
    lines.extend(inbound.warnings.iter().cloned());
    lines.iter().map(|line| format!("; {line}\n")).collect()
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

/// One line per zone; where some come from a primary or are signed, with what is known of that.
pub(super) fn list(zones: &[ZoneView], paint: Paint) -> String {
    let signed = zones.iter().any(|zone| zone.signing.is_some());
    let received = zones.iter().any(|zone| zone.inbound.is_some());
    // An empty column takes no room.
    let named = |name, shown| if shown { name } else { "" };
    let mut table = Table::headed([
        "zone",
        "serial",
        "rrsets",
        named("signed until", signed),
        named("from", received),
        named("its serial", received),
        named("last asked", received),
    ]);
    for zone in zones {
        let until = zone.signing.as_ref().map(|signing| signing.valid_until);
        let unsigned = named("-", signed).to_owned();
        let until = until.map_or(unsigned, |until| until.to_string());
        let [from, theirs, asked] = zone.inbound.as_ref().map(columns).unwrap_or_default();
        table.row([
            zone.apex.as_str().into(),
            zone.serial_text().into(),
            zone.rrsets.to_string().into(),
            until.into(),
            from.into(),
            theirs.into(),
            asked.into(),
        ]);
    }
    table.render(paint)
}

/// Who sent a zone's static part, with which serial, and how the primaries are.
fn columns(inbound: &InboundView) -> [String; 3] {
    let from = inbound.from.or_else(|| inbound.primaries.first().copied());
    let serial = inbound.serial.map(|serial| serial.to_string());
    let asked = match &inbound.attempt {
        _ if inbound.refused.is_some() => "refused".into(),
        _ if inbound.stale => "stale".into(),
        Some(attempt) if attempt.succeeded => format!("{} ok", attempt.at),
        Some(attempt) => format!("{} failed", attempt.at),
        None => "not yet".into(),
    };
    [
        from.map(|from| from.to_string()).unwrap_or_default(),
        serial.unwrap_or_else(|| "-".into()),
        asked,
    ]
}
