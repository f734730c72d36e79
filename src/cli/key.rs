//! `repoint key`: DNSSEC keys, what each waits for, and what the parent zone should have.

use std::path::PathBuf;
use std::process::ExitCode;

use super::change::{ChangeOptions, screen};
use super::client::{Reply, segment};
use super::failure::{Failure, Fault};
use super::paint::{Paint, Tone};
use super::session::Session;
use super::table::Table;
use crate::control::{KeyBody, RetireBody};
use crate::engine::{Done, KeyVerb, ZoneKeysView};
use crate::keys::Advice;
use crate::topology::DomainName;

/// Look at, make, roll and retire DNSSEC keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Key {
    /// The keys of all zones, or of one: stage, next step, what it waits for
    List {
        /// The zone's apex
        zone: Option<String>,
    },
    /// A zone's keys with their public halves
    #[command(after_help = "Example:\n  repoint key show fed.contoso.com")]
    Show {
        /// The zone's apex
        zone: String,
    },
    /// The DS and DNSKEY records for the parent zone, and whether it is safe to put them there now
    #[command(after_help = "Example:\n  repoint key ds fed.contoso.com")]
    Ds {
        /// The zone's apex
        zone: String,
    },
    /// Make the first key of a zone. With dnssec = true that happens by itself once the parent is known to have no DS
    Generate {
        /// The zone's apex
        zone: String,
        #[command(flatten)]
        new: New,
    },
    /// Put a key made elsewhere to work: PEM, or BIND's .private with its .key beside it
    #[command(
        after_help = "Example:\n  repoint key import fed.contoso.com /etc/bind/keys/Kfed.contoso.com.+013+12345.private"
    )]
    Import {
        /// The zone's apex
        zone: String,
        /// The file; the server itself reads it
        file: PathBuf,
        #[command(flatten)]
        new: New,
    },
    /// Replace a zone's key, step by step, without a bogus answer
    #[command(after_help = "Example:\n  repoint key roll fed.contoso.com --algorithm ed25519")]
    Roll {
        /// The zone's apex
        zone: String,
        /// ecdsap256sha256 or ed25519; what is configured when absent
        #[arg(long)]
        algorithm: Option<String>,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Let go of a key: ends a roll while the parent still points at the old key
    Retire {
        /// The zone's apex
        zone: String,
        /// The key's tag
        tag: u16,
        /// Remove it at once, though validators may refuse every answer; asks for the zone's name
        #[arg(long)]
        force: bool,
        /// With --force: do not ask
        #[arg(long, requires = "force")]
        yes: bool,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// What comes with a new key.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// ecdsap256sha256 or ed25519; what is configured when absent
    #[arg(long)]
    algorithm: Option<String>,
    /// Your word that the parent zone has no DS, where it cannot be asked
    #[arg(long)]
    parent_has_no_ds: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Key {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Key::List { zone } => {
                let zones = zones(session, zone.as_deref())?;
                session.say(&zones, || list(&zones, session.paint));
                Ok(ExitCode::SUCCESS)
            }
            Key::Show { zone } => show(session, zone, |zone, _| whole(zone)),
            Key::Ds { zone } => show(session, zone, for_parent),
            Key::Generate { zone, new } => begin(session, zone, KeyVerb::Generate, None, new),
            Key::Import { zone, file, new } => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                begin(session, zone, KeyVerb::Import, Some(file), new)
            }
            Key::Roll {
                zone,
                algorithm,
                options,
            } => {
                let new = New {
                    algorithm: algorithm.clone(),
                    parent_has_no_ds: false,
                    options: options.clone(),
                };
                begin(session, zone, KeyVerb::Roll, None, &new)
            }
            Key::Retire {
                zone,
                tag,
                force,
                yes,
                options,
            } => {
                if *force && !*yes && !options.is_dry_run() {
                    confirm(session, zone, *tag)?;
                }
                let path = options.on(&format!("/v1/keys/{}/{tag}/retire", segment(zone)));
                let body = RetireBody { force: *force };
                changed(session, zone, &session.client.send("POST", &path, &body)?)
            }
        }
    }
}

fn begin(
    session: &Session,
    zone: &str,
    verb: KeyVerb,
    file: Option<PathBuf>,
    new: &New,
) -> Result<ExitCode, Failure> {
    let body = KeyBody {
        verb,
        algorithm: new.algorithm.clone(),
        file,
        parent_has_no_ds: new.parent_has_no_ds,
    };
    let path = new.options.on(&format!("/v1/keys/{}", segment(zone)));
    changed(session, zone, &session.client.send("POST", &path, &body)?)
}

/// Prints what was done, and what the zone's keys wait for now.
fn changed(session: &Session, zone: &str, reply: &Reply) -> Result<ExitCode, Failure> {
    session.answer::<Done>(reply, |done, paint| {
        let mut out = screen(done, paint);
        if !done.dry_run
            && let Ok(zones) = zones(session, Some(zone))
        {
            out.push('\n');
            out.push_str(&list(&zones, paint));
        }
        out
    })
}

fn zones(session: &Session, zone: Option<&str>) -> Result<Vec<ZoneKeysView>, Failure> {
    let reply = session.client.get("/v1/keys")?;
    let mut zones: Vec<ZoneKeysView> = session.client.read(&reply)?;
    if let Some(zone) = zone {
        let wanted = zone.trim_end_matches('.').to_ascii_lowercase();
        zones.retain(|one| one.zone.as_str().eq_ignore_ascii_case(&wanted));
        if zones.is_empty() {
            return Err(Failure::Local(Fault {
                what: format!("cannot show the keys of {zone}"),
                why: "no zone of this name is signed here, or is to be".into(),
                in_force: "nothing was changed".into(),
                hint: Some("repoint key list".into()),
            }));
        }
    }
    Ok(zones)
}

fn show(
    session: &Session,
    zone: &str,
    render: impl Fn(&ZoneKeysView, Paint) -> String,
) -> Result<ExitCode, Failure> {
    let zones = zones(session, Some(zone))?;
    session.say(&zones[0], || render(&zones[0], session.paint));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list(zones: &[ZoneKeysView], paint: Paint) -> String {
    if zones.is_empty() {
        return "no zone is signed, and none is to be: dnssec = true signs\n".into();
    }
    let mut table = Table::headed(["zone", "key", "algorithm", "stage", "since", "parent's DS"]);
    for zone in zones {
        let apex = zone.zone.as_str();
        let parent = parent(zone);
        if zone.keys.is_empty() {
            let none = ["none", "", "", ""];
            let [key, algorithm, stage, since] = none.map(String::from);
            table.row([
                apex.into(),
                key.into(),
                algorithm.into(),
                stage.into(),
                since.into(),
                parent.clone().into(),
            ]);
        }
        for key in &zone.keys {
            table.row([
                apex.into(),
                key.tag.to_string().into(),
                key.algorithm_name.clone().into(),
                key.stage.to_string().into(),
                key.since.to_string().into(),
                parent.clone().into(),
            ]);
        }
    }
    let mut out = table.render(paint);
    for zone in zones {
        let waits = waits(zone);
        if !waits.is_empty() {
            out.push_str(&format!("\n{}\n{waits}", zone.zone));
        }
    }
    out
}

fn parent(zone: &ZoneKeysView) -> String {
    match (&zone.parent, &zone.fault) {
        (_, Some(_)) => "not known".into(),
        (Some(parent), None) if parent.complete => parent.tags.clone(),
        (Some(parent), None) => format!("{} (not all answer)", parent.tags),
        (None, None) => "not asked yet".into(),
    }
}

/// What a zone's keys wait for, in lines.
fn waits(zone: &ZoneKeysView) -> String {
    let mut out = String::new();
    if let Some(outlook) = &zone.outlook {
        if let Some(next) = &outlook.next {
            out.push_str(&format!("  next:      {next}\n"));
        }
        if let Some(waits) = outlook
            .waits_for
            .as_ref()
            .filter(|_| outlook.next.is_some())
        {
            out.push_str(&format!("  waits for: {waits}\n"));
        }
        if let Some(at) = outlook.at {
            out.push_str(&format!("  earliest:  {at}\n"));
        }
    }
    if let Some(fault) = &zone.fault {
        out.push_str(&format!("  trouble:   {fault}\n"));
    }
    out
}

pub(super) fn whole(zone: &ZoneKeysView) -> String {
    let mut out = format!(
        "{} is {}\n",
        zone.zone,
        if zone.signed { "signed" } else { "not signed" }
    );
    // Who copies a DS from here must not put it into the parent before its time, or after it.
    let now = matches!(zone.ds.advice, Advice::Done | Advice::Now);
    for key in &zone.keys {
        let private = if key.private {
            ""
        } else {
            "; its private half is NOT at hand"
        };
        out.push_str(&format!(
            "\nkey {} ({}), {} since {}{private}\n{}\n",
            key.tag, key.algorithm_name, key.stage, key.since, key.dnskey
        ));
        let wanted = zone.ds.tags.contains(&key.tag);
        let mark = match (wanted && now, wanted) {
            (true, _) => "",
            (false, true) => "; NOT YET: ",
            (false, false) => "; not for the parent: ",
        };
        for ds in &key.ds {
            out.push_str(&format!("{mark}{ds}\n"));
        }
    }
    out.push_str(&format!(
        "\nthe parent's DS: {}\n{}",
        parent(zone),
        waits(zone)
    ));
    out
}

/// What the parent zone should have of a zone that has no key here.
fn keyless(zone: &ZoneKeysView, paint: Paint) -> String {
    let name = &zone.zone;
    let bad = |text: &str| paint.tone(Tone::Bad, text);
    let unknown = format!(
        "; {name}: there is no key, and what the parent has is not known: leave it as it is\n"
    );
    match &zone.parent {
        Some(parent) if parent.complete && !parent.has_ds => format!(
            "; {name}: there is no key, and the parent has no DS, {}\n",
            paint.tone(Tone::Good, "as it should be")
        ),
        Some(parent) if !parent.has_ds => unknown,
        None => unknown,
        Some(_) => format!(
            "; {name}: {}, and the parent has DS: {}\n\
             ; validators refuse every answer that comes from here. When the key is at hand:\n\
             ;   repoint key import {name} FILE\n\
             ; If it is lost, or the zone is not to be signed: have every DS removed at the parent.\n",
            bad("there is no key here"),
            self::parent(zone)
        ),
    }
}

/// What the parent zone should have; comments are those of a master file, so it can be pasted whole.
pub(super) fn for_parent(zone: &ZoneKeysView, paint: Paint) -> String {
    if let Some(above) = &zone.ds_kept_in {
        return kept_here(zone, above, paint);
    }
    if zone.keys.is_empty() {
        return keyless(zone, paint);
    }
    let said = match &zone.ds.advice {
        Advice::Done => paint.tone(Tone::Good, "the parent is as it should be"),
        Advice::Now => "it is safe to make the parent so now".to_owned(),
        Advice::From(at) => {
            let text = format!("NOT YET: safe from {at} on; until then leave the parent as it is");
            paint.tone(Tone::Doubtful, &text)
        }
        Advice::After(first) => {
            let text =
                format!("NOT YET: it waits for {first}; until then leave the parent as it is");
            paint.tone(Tone::Doubtful, &text)
        }
    };
    // Who pastes all of it must not put a DS into the parent before its time.
    let early = match zone.ds.advice {
        Advice::Done | Advice::Now => "",
        Advice::From(_) | Advice::After(_) => "; NOT YET: ",
    };
    let mut out = format!(
        "; {}: {said}\n; the parent has DS: {}\n",
        zone.zone,
        parent(zone)
    );
    if zone.ds.tags.is_empty() {
        out.push_str("; no DS: remove every DS of this zone at the parent\n");
    }
    for key in zone
        .keys
        .iter()
        .filter(|key| zone.ds.tags.contains(&key.tag))
    {
        for ds in &key.ds {
            out.push_str(&format!("{early}{ds}\n"));
        }
        out.push_str(&format!(
            "; for registrars that ask for the key:\n; {}\n",
            key.dnskey
        ));
    }
    out
}

/// The same where repoint has the DS in the zone above by itself: comments alone, as there is nothing to paste.
fn kept_here(zone: &ZoneKeysView, above: &DomainName, paint: Paint) -> String {
    let apex = &zone.zone;
    let mut out = format!(
        "; {apex}: nothing to enter: repoint serves {above} too, and keeps the DS there itself\n; nameservers of {above} have DS: {}\n",
        parent(zone)
    );
    out.push_str(&match &zone.ds.advice {
        Advice::Done => paint.tone(Tone::Good, "; that is as it should be\n"),
        Advice::Now => format!(
            "; not all of them have what is served here yet: repoint zone secondaries {above}\n"
        ),
        Advice::From(at) => {
            format!("; the DS of the new key is put there at {at} at the earliest\n")
        }
        Advice::After(first) => {
            format!("; the DS of the new key is put there later: it waits for {first}\n")
        }
    });
    let mut wanted = zone
        .keys
        .iter()
        .filter(|key| zone.ds.tags.contains(&key.tag))
        .peekable();
    if wanted.peek().is_none() {
        out.push_str("; what is served here: no DS\n");
    }
    if !matches!(zone.ds.advice, Advice::From(_) | Advice::After(_)) {
        for ds in wanted.filter_map(|key| key.ds.first()) {
            out.push_str(&format!("; what is served here: {ds}\n"));
        }
    }
    out
}

/// What breaks is said, and the zone's name must be typed.
fn confirm(session: &Session, zone: &str, tag: u16) -> Result<(), Failure> {
    session.talk(&format!(
        "Key {tag} of {zone} would be removed at once. While the parent has its DS, or a cache has its DNSKEY, validating\n\
         resolvers refuse every answer of the zone, and partners behind them cannot federate. `repoint key roll {zone}`\n\
         replaces a key without that; dnssec = false ends signing without that.\n"
    ));
    session.talk(&format!("type {zone} to do it all the same: "));
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).is_ok() && line.trim() == zone {
        return Ok(());
    }
    Err(Failure::Local(Fault {
        what: format!("key {tag} of {zone} is not removed"),
        why: "the zone's name was not typed".into(),
        in_force: "nothing was changed".into(),
        hint: Some("--yes in scripts".into()),
    }))
}
