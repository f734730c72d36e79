//! `repoint zone secondaries`: what each secondary has of the zones.
//!
//! In: the control interface's view. Out: one block per secondary; zones in step are counted where they are many.

use std::process::ExitCode;

use super::client::segment;
use super::failure::Failure;
use super::moment::{distance, length, now};
use super::paint::{Paint, Tone};
use super::session::Session;
use super::table::{Cell, Table};
use crate::clock::Wall;
use crate::secondaries::{SecondaryView, SecondaryZoneView, Standing};
use crate::serve::TransferKind;

/// More zones than these are only shown where something is the matter.
const SHOWN: usize = 20;

pub(super) fn run(session: &Session, zone: Option<&str>) -> Result<ExitCode, Failure> {
    let path = match zone {
        Some(zone) => format!("/v1/zones/{}/secondaries", segment(zone)),
        None => "/v1/secondaries".to_owned(),
    };
    let reply = session.client.get(&path)?;
    session.answer::<Vec<SecondaryView>>(&reply, |views, paint| screen(views, now(), paint))
}

pub(super) fn screen(views: &[SecondaryView], now: Wall, paint: Paint) -> String {
    if views.is_empty() {
        return "no secondary is configured for it: see [[secondary]] and docs/secondaries.md\n"
            .to_owned();
    }
    let blocks = views.iter().map(|view| block(view, now, paint));
    blocks.collect::<Vec<_>>().join("\n")
}

fn block(view: &SecondaryView, now: Wall, paint: Paint) -> String {
    let in_step = |zone: &&SecondaryZoneView| zone.standing == Standing::InStep;
    let (zones, good) = (view.zones.len(), view.zones.iter().filter(in_step).count());
    let key = match &view.tsig {
        Some(key) => format!("TSIG key {key}"),
        None => "no TSIG key".to_owned(),
    };
    let (name, address) = (&view.name, view.address);
    let mut out = format!("{name} {address}, {key}: {good} of {zones} zones in step\n");
    if let Some(since) = view.silent_since {
        let why = view.silence.as_deref().unwrap_or("no answer");
        let text = format!("  has not answered since {}: {why}", distance(since, now));
        out.push_str(&paint.tone(Tone::Doubtful, &text));
        out.push('\n');
    }
    let shown: Vec<&SecondaryZoneView> = view
        .zones
        .iter()
        .filter(|zone| zones <= SHOWN || !in_step(zone))
        .collect();
    if shown.is_empty() {
        return out;
    }
    let mut table = Table::headed([
        "zone",
        "standing",
        "serial",
        "has",
        "behind",
        "notified",
        "last transfer",
    ]);
    for zone in &shown {
        table.row([
            zone.apex.as_str().into(),
            standing(zone),
            zone.serial.to_string().into(),
            zone.has
                .map_or("-".to_owned(), |has| has.to_string())
                .into(),
            behind(zone).into(),
            notified(zone, now).into(),
            last_transfer(zone, now).into(),
        ]);
    }
    out.push_str(&table.render(paint));
    for zone in shown {
        let said = [&zone.fault, &zone.unheard].into_iter().flatten();
        for text in said.filter(|text| view.silence.as_ref() != Some(*text)) {
            out.push_str(&format!("  {}: {text}\n", zone.apex));
        }
    }
    out
}

fn standing(zone: &SecondaryZoneView) -> Cell {
    let tone = match zone.standing {
        Standing::InStep => Tone::Plain,
        _ => Tone::Doubtful,
    };
    Cell::toned(tone, zone.standing.as_str())
}

fn behind(zone: &SecondaryZoneView) -> String {
    match (zone.versions_behind, zone.seconds_behind) {
        (Some(versions), Some(seconds)) => {
            let time = length(std::time::Duration::from_secs(seconds));
            let plural = if versions == 1 { "" } else { "s" };
            format!("{versions} version{plural}, {time}")
        }
        _ => "-".to_owned(),
    }
}

fn notified(zone: &SecondaryZoneView, now: Wall) -> String {
    match (&zone.unheard, zone.notified_at) {
        (Some(_), _) => "not acknowledged".to_owned(),
        (None, Some(at)) => distance(at, now),
        (None, None) => "-".to_owned(),
    }
}

fn last_transfer(zone: &SecondaryZoneView, now: Wall) -> String {
    let Some(last) = &zone.last_transfer else {
        return "-".to_owned();
    };
    let kind = match last.kind {
        TransferKind::Axfr => "axfr",
        TransferKind::Ixfr => "ixfr",
        TransferKind::Soa => "soa",
    };
    let broken = if last.whole { "" } else { ", broken off" };
    let octets = last.octets;
    format!(
        "{kind}, {octets} octets, {}{broken}",
        distance(last.at, now)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::serve::LastTransfer;

    #[test]
    fn a_secondary_is_one_block_with_its_zones() {
        let now = Wall::from_millis(1_000_000);
        let zone = |apex: &str, standing, has| SecondaryZoneView {
            apex: apex.to_owned(),
            standing,
            serial: 12,
            has,
            asked_at: Some(now),
            fault: None,
            versions_behind: (standing == Standing::Behind).then_some(2),
            seconds_behind: (standing == Standing::Behind).then_some(9),
            notified_at: Some(Wall::from_millis(998_000)),
            unheard: None,
            last_transfer: Some(LastTransfer {
                kind: TransferKind::Ixfr,
                serial: 12,
                octets: 812,
                messages: 1,
                at: Wall::from_millis(997_000),
                whole: true,
            }),
        };
        let view = SecondaryView {
            name: "ns2".to_owned(),
            address: "198.51.100.53:53".parse().unwrap(),
            tsig: Some("ns2.example.net".to_owned()),
            silent_since: None,
            silence: None,
            zones: vec![
                zone("a.example", Standing::InStep, Some(12)),
                zone("b.example", Standing::Behind, Some(10)),
            ],
        };
        let text = screen(
            &[view],
            now,
            Paint {
                colour: false,
                whole: false,
            },
        );
        assert_eq!(
            text,
            "ns2 198.51.100.53:53, TSIG key ns2.example.net: 1 of 2 zones in step\n  \
             zone       standing  serial  has  behind           notified  last transfer\n  \
             a.example  in step   12      12   -                2 s ago   ixfr, 812 octets, 3 s ago\n  \
             b.example  behind    12      10   2 versions, 9 s  2 s ago   ixfr, 812 octets, 3 s ago\n"
        );
    }
}
