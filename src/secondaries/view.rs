//! What is known of the secondaries, for people and programs, and what is wrong with them.
//!
//! In: the ledger, the last transfers. Out: [`SecondaryView`]s; alarms.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{Account, Ledger, Published};
use super::step::Step;
use crate::clock::Wall;
use crate::engine::{AlarmKind, Concern, Severity};
use crate::serve::{Berths, LastTransfer};
use crate::topology::DomainName;
use crate::zone::{Name, Serial};

/// A secondary may be behind, or silent, so long before it is an alarm.
const GRACE: Duration = Duration::from_secs(300);

/// How a secondary stands with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has what is published.
    InStep,
    /// It has an earlier version.
    Behind,
    /// It has a later serial than we ever published.
    Ahead,
    /// It answers, and does not have the zone.
    Without,
    /// It has not said yet, or does not answer.
    Unknown,
}

impl Standing {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::InStep => "in step",
            Standing::Behind => "behind",
            Standing::Ahead => "ahead",
            Standing::Without => "without",
            Standing::Unknown => "unknown",
        }
    }
}

/// A secondary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryView {
    /// Its name.
    pub name: String,
    /// Where it is notified and asked.
    pub address: SocketAddr,
    /// The TSIG key it signs with; none when its address is enough.
    pub tsig: Option<String>,
    /// Since when it has not answered.
    pub silent_since: Option<Wall>,
    /// Why not.
    pub silence: Option<String>,
    /// Its zones, in canonical order.
    pub zones: Vec<SecondaryZoneView>,
}

/// A zone at a secondary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryZoneView {
    /// The zone.
    pub apex: String,
    /// How it stands.
    pub standing: Standing,
    /// The serial published.
    pub serial: u32,
    /// The serial it said it has.
    pub has: Option<u32>,
    /// When it said so, or was last asked.
    pub asked_at: Option<Wall>,
    /// Why it did not say.
    pub fault: Option<String>,
    /// How many versions it is behind; none when that is not known.
    pub versions_behind: Option<usize>,
    /// For how many seconds there has been a version that it does not have.
    pub seconds_behind: Option<u64>,
    /// When it acknowledged a NOTIFY last.
    pub notified_at: Option<Wall>,
    /// Why it did not acknowledge the last one.
    pub unheard: Option<String>,
    /// What it transferred last.
    pub last_transfer: Option<LastTransfer>,
}

impl Ledger {
    /// All secondaries, with all their zones or the one asked for.
    pub fn view(
        &self,
        zone: Option<&DomainName>,
        berths: &Berths,
        now: Wall,
    ) -> Vec<SecondaryView> {
        let zone = zone.map(Name::from);
        let accounts = self.accounts.iter();
        accounts
            .filter(|account| zone.as_ref().is_none_or(|zone| account.secondary.has(zone)))
            .map(|account| self.secondary(account, zone.as_ref(), berths, now))
            .collect()
    }

    fn secondary(
        &self,
        account: &Account,
        zone: Option<&Name>,
        berths: &Berths,
        now: Wall,
    ) -> SecondaryView {
        let secondary = &account.secondary;
        let steps = account.steps.iter();
        let zones = steps
            .filter(|(apex, _)| zone.is_none_or(|zone| zone == *apex))
            .filter_map(|(apex, step)| {
                let published = self.zones.get(apex)?;
                let last = berths.last(&secondary.name, apex);
                Some(of_zone(apex, step, published, last, now))
            });
        SecondaryView {
            name: secondary.name.clone(),
            address: secondary.address,
            tsig: secondary.tsig.as_ref().map(plain),
            silent_since: account.silent_since,
            silence: account.silence.clone(),
            zones: zones.collect(),
        }
    }

    /// What is to be an alarm now, of each secondary: its kinds, with the concern or without.
    pub fn concerns(&self, now: Wall) -> Vec<(AlarmKind, String, Option<Concern>)> {
        self.accounts
            .iter()
            .flat_map(|account| {
                let name = &account.secondary.name;
                [
                    (AlarmKind::SecondarySilent, silent(account, now)),
                    (AlarmKind::SecondaryBehind, self.behind(account, now)),
                ]
                .map(|(kind, concern)| (kind, name.clone(), concern))
            })
            .collect()
    }

    /// One that does not answer is not behind besides: nobody knows.
    fn behind(&self, account: &Account, now: Wall) -> Option<Concern> {
        if account.silent_since.is_some() {
            return None;
        }
        let late: Vec<(&Name, &Step)> = account
            .steps
            .iter()
            .filter(|(_, step)| step.since.is_some_and(|since| now.since(since) > GRACE))
            .collect();
        let (apex, step) = late.first()?;
        let others = match late.len() {
            1 => String::new(),
            n => format!(" and {} other zones", n - 1),
        };
        let why = match (&step.fault, step.has) {
            (Some(fault), _) => fault.clone(),
            (None, Some(has)) => format!("it has serial {has}"),
            (None, None) => "it has not said what it has".to_owned(),
        };
        let name = &account.secondary.name;
        Some(Concern {
            severity: Severity::Warning,
            text: format!(
                "secondary {name} does not have the current version of {}{others} for more than {} min: {why}",
                plain(apex),
                GRACE.as_secs() / 60
            ),
            remedy: Some(
                "look at its log for refused transfers; see: repoint zone secondaries".into(),
            ),
        })
    }
}

fn silent(account: &Account, now: Wall) -> Option<Concern> {
    let since = account.silent_since?;
    if now.since(since) <= GRACE {
        return None;
    }
    let (name, address) = (&account.secondary.name, account.secondary.address);
    let why = account.silence.as_deref().unwrap_or("no answer");
    Some(Concern {
        severity: Severity::Warning,
        text: format!(
            "secondary {name} ({address}) does not answer for more than {} min: {why}",
            GRACE.as_secs() / 60
        ),
        remedy: Some(format!(
            "check that it runs and answers SOA queries from here: {address}"
        )),
    })
}

fn of_zone(
    apex: &Name,
    step: &Step,
    published: &Published,
    last_transfer: Option<LastTransfer>,
    now: Wall,
) -> SecondaryZoneView {
    let serial = published.version.serial();
    let standing = match step.has {
        _ if step.fault.is_some() && step.has.is_none() => Standing::Unknown,
        None => Standing::Unknown,
        Some(has) if has == serial => Standing::InStep,
        Some(has) if has.is_after(serial) => Standing::Ahead,
        Some(_) => Standing::Behind,
    };
    let standing = match (&step.fault, standing) {
        (Some(fault), _) if fault.starts_with(WITHOUT) => Standing::Without,
        (_, standing) => standing,
    };
    let missed = step.has.filter(|_| standing == Standing::Behind);
    let missed = missed.map(|has| missed_by(has, published));
    SecondaryZoneView {
        apex: plain(apex),
        standing,
        serial: serial.0,
        has: step.has.map(|has| has.0),
        asked_at: step.asked_at,
        fault: step.fault.clone(),
        versions_behind: missed.map(|(versions, _)| versions),
        seconds_behind: missed.map(|(_, at)| now.since(at).as_secs()),
        notified_at: step.told_at,
        unheard: step.untold.clone(),
        last_transfer,
    }
}

/// What the fault of a secondary that answers and does not have the zone begins with.
pub(super) const WITHOUT: &str = "it does not have the zone";

/// How many versions were published after the one a secondary has, and when the first of them.
fn missed_by(has: Serial, published: &Published) -> (usize, Wall) {
    let later: Vec<Wall> = published
        .before
        .iter()
        .filter(|(serial, _)| serial.is_after(has))
        .map(|(_, at)| *at)
        .collect();
    (later.len(), later.first().copied().unwrap_or_default())
}

/// A name as people write it.
fn plain(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
