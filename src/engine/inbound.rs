//! Zones from a primary: what was received, what is in force, and how old it is.
//!
//! In: news of primaries. Out: another static part for a zone, published like any change; alarms and views.
//! Never here: asking a primary (`inbound`), or what a zone makes of its records (`zone`).
//!
//! What cannot be merged with what is steered changes nothing: the version received before stays in force.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::{Engine, Triggers};
use super::event::Effect;
use super::keeping::KeptInbound;
use super::record::EntryKind;
use crate::clock::{Mono, Now, Wall};
use crate::config::Configuration;
use crate::topology::DomainName;
use crate::zone::{Layout, LayoutProblem, PrivateRecords, StaticZone};

/// A primary is asked at once at the start; a zone that waits longer than this for its first transfer is missed.
const FIRST_TRANSFER: Duration = Duration::from_secs(10);

/// What came of asking a zone's primaries.
#[derive(Clone, Debug)]
pub struct InboundNews {
    /// The zone.
    pub apex: DomainName,
    /// The primary that was asked last.
    pub from: SocketAddr,
    /// What came of it.
    pub outcome: InboundOutcome,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum InboundOutcome {
    /// Another version of the zone.
    Received(Arc<StaticZone>),
    /// A version received before, told again because another core or configuration may not know it.
    Known(Arc<StaticZone>),
    /// The version we have is the primary's.
    Current,
    /// No primary could be asked, or none answered with a version.
    Failed(String),
    /// A primary sent what is no zone.
    Unusable(String),
}

/// A zone as a primary sent it.
#[derive(Clone, Debug)]
pub struct InboundCopy {
    /// The zone.
    pub apex: DomainName,
    /// Its records.
    pub zone: Arc<StaticZone>,
    /// Who sent it.
    pub from: SocketAddr,
    /// When.
    pub received: Wall,
}

/// What is known of one such zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbound {
    /// What is in force.
    copy: Option<Arc<InboundCopy>>,
    /// When a primary last said which version it has.
    checked: Option<Mono>,
    attempt: Option<InboundAttempt>,
    /// Why what a primary sent last is not in force.
    refused: Option<String>,
    /// What a primary sent last, while something about it is to be stored first.
    waiting: Option<Waiting>,
    /// What is suspicious about the version in force.
    warnings: Vec<String>,
    /// Records of the version in force that its primary may compute answers from.
    private: Vec<PrivateRecords>,
}

/// A version that fits, and is in force once something about it is stored.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) from: SocketAddr,
    pub(super) zone: Arc<StaticZone>,
    /// The layout with it.
    pub(super) layout: Arc<Layout>,
}

/// The last time a zone's primaries were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundAttempt {
    /// When it ended.
    pub at: Wall,
    /// The primary asked last.
    pub primary: SocketAddr,
    /// Whether a version was had.
    pub succeeded: bool,
    /// What came of it, in words.
    pub text: String,
}

/// A zone's static part as `zone list` and `zone show` tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundView {
    /// The primaries, in the order they are asked.
    pub primaries: Vec<SocketAddr>,
    /// The TSIG key transfers are signed with.
    pub tsig: Option<DomainName>,
    /// The primary's serial of the version in force; none before the first transfer.
    pub serial: Option<u32>,
    /// Who sent it.
    pub from: Option<SocketAddr>,
    /// When it was received.
    pub received: Option<Wall>,
    /// When a primary last said that it is its version.
    pub checked: Option<Wall>,
    /// Whether it is older than it should be.
    pub stale: bool,
    /// Why what a primary sent last is not in force.
    pub refused: Option<String>,
    /// What was sent and is overruled, and other things hardly meant.
    pub warnings: Vec<String>,
    /// The last attempt.
    pub attempt: Option<InboundAttempt>,
}

/// How old a zone is, in words of its own SOA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staleness {
    Fresh,
    /// Its primaries should have been heard by now.
    Unconfirmed,
    /// Another secondary would have stopped answering.
    Expired,
}

/// Why a configuration does not go together with what its zones' primaries have sent; none when it does.
pub fn misfit(configuration: &Configuration, kept: &[KeptInbound]) -> Option<String> {
    kept.iter().find_map(|KeptInbound { copy, .. }| {
        configuration.topology.primary(&copy.apex)?;
        let (topology, zone) = (&configuration.topology, copy.zone.clone());
        let merged = configuration
            .layout
            .with_received(topology, &copy.apex, zone);
        let why = in_words(&merged.err()?);
        Some(format!(
            "zone {} as its primary sent it does not fit: {why}",
            copy.apex
        ))
    })
}

impl Engine {
    /// Takes what is remembered of zones from primaries, and puts it in force as far as it fits.
    pub(super) fn restore_inbound(&mut self, kept: Vec<KeptInbound>, now: Now) {
        for KeptInbound { copy, checked } in kept {
            let inbound = Inbound {
                checked: Some(now.mono - now.wall.since(checked)),
                copy: Some(copy.clone()),
                ..Inbound::default()
            };
            self.inbound.insert(copy.apex.clone(), inbound);
        }
        self.merge_inbound();
    }

    /// The layout of a configuration with what primaries have sent.
    ///
    /// # Errors
    /// The first zone that does not fit, and why.
    pub(super) fn layout_of(
        &self,
        configuration: &Configuration,
    ) -> Result<Arc<Layout>, (DomainName, String)> {
        let mut layout = configuration.layout.clone();
        for (apex, copy) in self.copies(configuration) {
            match layout.with_received(&configuration.topology, &apex, copy.zone.clone()) {
                Ok((merged, _)) => layout = Arc::new(merged),
                Err(problems) => return Err((apex, in_words(&problems))),
            }
        }
        Ok(layout)
    }

    /// Puts what primaries have sent into the layout of the configuration in force. What does not fit is left out.
    pub(super) fn merge_inbound(&mut self) {
        let configuration = self.configuration.clone();
        self.inbound
            .retain(|apex, _| configuration.topology.primary(apex).is_some());
        self.layout = configuration.layout.clone();
        for (apex, copy) in self.copies(&configuration) {
            let merged =
                self.layout
                    .with_received(&configuration.topology, &apex, copy.zone.clone());
            let inbound = self.inbound.entry(apex).or_default();
            match merged {
                Ok((layout, warnings)) => {
                    self.layout = Arc::new(layout);
                    inbound.private = copy.zone.private_records();
                    inbound.warnings = in_sentences(&warnings, &inbound.private);
                }
                Err(problems) => {
                    inbound.copy = None;
                    inbound.refused = Some(in_words(&problems));
                }
            }
        }
        self.look_again();
    }

    fn copies(&self, configuration: &Configuration) -> Vec<(DomainName, Arc<InboundCopy>)> {
        let zones = configuration.topology.inbound();
        let copies = zones.filter_map(|(apex, _)| {
            let copy = self.inbound.get(apex)?.copy.clone()?;
            Some((apex.clone(), copy))
        });
        copies.collect()
    }

    /// Hears what came of asking a zone's primaries.
    pub(super) fn hear_inbound(&mut self, news: InboundNews, now: Now, out: &mut Vec<Effect>) {
        let InboundNews {
            apex,
            from,
            outcome,
        } = news;
        // The configuration may have changed since it was asked.
        if self.topology().primary(&apex).is_none() {
            return;
        }
        let inbound = self.inbound.entry(apex.clone()).or_default();
        if let InboundOutcome::Known(zone) = outcome {
            let in_force = inbound.copy.as_ref();
            if in_force.is_none_or(|copy| !Arc::ptr_eq(&copy.zone, &zone)) {
                self.take_received(apex, from, zone, now, out);
                self.look_again();
            }
            return;
        }
        let (succeeded, text) = match &outcome {
            InboundOutcome::Received(zone) => (true, format!("serial {} received", zone.serial())),
            InboundOutcome::Known(_) | InboundOutcome::Current => {
                (true, "no newer version".to_owned())
            }
            InboundOutcome::Failed(why) | InboundOutcome::Unusable(why) => (false, why.clone()),
        };
        inbound.attempt = Some(InboundAttempt {
            at: now.wall,
            primary: from,
            succeeded,
            text,
        });
        if succeeded {
            inbound.checked = Some(now.mono);
        }
        match outcome {
            InboundOutcome::Received(zone) => self.take_received(apex, from, zone, now, out),
            InboundOutcome::Unusable(why) => inbound.refused = Some(why),
            InboundOutcome::Known(_) | InboundOutcome::Current | InboundOutcome::Failed(_) => {}
        }
        self.look_again();
    }

    pub(super) fn take_received(
        &mut self,
        apex: DomainName,
        from: SocketAddr,
        zone: Arc<StaticZone>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let merged = self
            .layout
            .with_received(self.topology(), &apex, zone.clone());
        let serial = zone.serial();
        let inbound = self.inbound.entry(apex.clone()).or_default();
        let (layout, warnings) = match merged {
            Ok(merged) => merged,
            Err(problems) => {
                let why = format!("serial {serial}: {}", in_words(&problems));
                let text = format!(
                    "zone {apex} as {from} sent it cannot be used: {why}; {}",
                    in_force(inbound.copy.as_deref())
                );
                inbound.refused = Some(why);
                self.note(EntryKind::Inbound, None, text.clone(), now);
                out.push(Effect::Log { warn: true, text });
                return;
            }
        };
        let layout = Arc::new(layout);
        if self.waits_for_row(&apex, &layout) {
            let inbound = self.inbound.entry(apex.clone()).or_default();
            inbound.waiting = Some(Waiting { from, zone, layout });
            self.signing.look_at(&apex, now.mono);
            return;
        }
        let inbound = self.inbound.entry(apex.clone()).or_default();
        inbound.waiting = None;
        let private = zone.private_records();
        let warnings = in_sentences(&warnings, &private);
        for text in &warnings {
            if !inbound.warnings.contains(text) {
                let text = format!("zone {apex}: {text}");
                out.push(Effect::Log { warn: true, text });
            }
        }
        let known = inbound.copy.as_deref().map(|copy| copy.zone.left_out());
        for text in zone.left_out() {
            if known.as_ref().is_none_or(|known| !known.contains(&text)) {
                let text = format!("zone {apex}: {text}");
                out.push(Effect::Log { warn: true, text });
            }
        }
        let first = inbound.copy.is_none();
        inbound.warnings = warnings;
        inbound.private = private;
        inbound.refused = None;
        inbound.copy = Some(Arc::new(InboundCopy {
            apex: apex.clone(),
            zone,
            from,
            received: now.wall,
        }));
        self.layout = layout;
        self.unpublished = true;
        let text = match first {
            true => format!("zone {apex}: first version received from {from}, serial {serial}"),
            false => format!("zone {apex}: serial {serial} received from {from}"),
        };
        self.note(EntryKind::Inbound, None, text.clone(), now);
        out.push(Effect::Log { warn: false, text });
    }

    /// Publishes what primaries have sent since the last publication.
    pub(super) fn publish_received(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.unpublished && self.is_serving() {
            self.publish_anyway(&Triggers::new(), now, out);
        }
    }

    /// What the store is to hold of zones from primaries.
    pub(super) fn kept_inbound(&self) -> Vec<KeptInbound> {
        let zones = self.inbound.values();
        let kept = zones.filter_map(|inbound| {
            let copy = inbound.copy.clone()?;
            let checked = inbound.checked.map_or(copy.received, |at| self.wall_of(at));
            Some(KeptInbound { copy, checked })
        });
        kept.collect()
    }

    /// All configured zones with a primary, with how they stand.
    pub(super) fn inbound_states(
        &self,
        now: Now,
    ) -> impl Iterator<Item = (&DomainName, Option<&Inbound>, Staleness)> {
        self.topology().inbound().map(move |(apex, _)| {
            let inbound = self.inbound.get(apex);
            (
                apex,
                inbound,
                inbound.map_or(Staleness::Fresh, |i| i.staleness(now)),
            )
        })
    }

    /// Whether a zone that has never been received should have been by now.
    pub(super) fn is_missed(&self, inbound: Option<&Inbound>, now: Now) -> bool {
        let tried = inbound.is_some_and(|inbound| inbound.attempt.is_some());
        tried || now.mono.since(self.started.mono) >= FIRST_TRANSFER
    }

    /// The views of all zones with a primary.
    pub(super) fn inbound_views(&self, now: Now) -> BTreeMap<DomainName, InboundView> {
        let zones = self.topology().inbound();
        let views = zones.map(|(apex, primary)| {
            let inbound = self.inbound.get(apex).cloned().unwrap_or_default();
            let copy = inbound.copy.as_deref();
            let view = InboundView {
                primaries: primary.addresses.clone(),
                tsig: primary.tsig.clone(),
                serial: copy.map(|copy| copy.zone.serial().0),
                from: copy.map(|copy| copy.from),
                received: copy.map(|copy| copy.received),
                checked: inbound.checked.map(|at| self.wall_of(at)),
                stale: inbound.staleness(now) != Staleness::Fresh,
                refused: inbound.refused.clone(),
                warnings: inbound.warnings.clone(),
                attempt: inbound.attempt.clone(),
            };
            (apex.clone(), view)
        });
        views.collect()
    }

    /// A moment of the monotonic clock on the wall clock as it is set now.
    fn wall_of(&self, at: Mono) -> Wall {
        let ago = i64::try_from(self.last.mono.since(at).as_millis()).unwrap_or(0);
        Wall::from_millis(self.last.wall.as_millis() - ago)
    }
}

impl Inbound {
    pub(super) fn copy(&self) -> Option<&InboundCopy> {
        self.copy.as_deref()
    }

    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    pub(super) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// Takes what waits: it need not wait any more.
    pub(super) fn admit(&mut self) -> Option<Waiting> {
        self.waiting.take()
    }

    /// What waits has to wait longer.
    pub(super) fn keep_waiting(&mut self, why: &str) {
        if let Some(Waiting { zone, .. }) = &self.waiting {
            let serial = zone.serial();
            self.refused = Some(format!(
                "serial {serial} waits for the store, which has to know of its longer TTLs first: {why}"
            ));
        }
    }

    /// Records of the version in force that its primary may compute answers from.
    pub(super) fn private(&self) -> &[PrivateRecords] {
        &self.private
    }

    /// The last attempt's words, when it failed.
    pub(super) fn failure(&self) -> Option<&InboundAttempt> {
        self.attempt.as_ref().filter(|attempt| !attempt.succeeded)
    }

    /// How long ago a primary last said which version it has.
    pub(super) fn age(&self, now: Now) -> Duration {
        self.checked
            .map_or(Duration::ZERO, |checked| now.mono.since(checked))
    }

    fn staleness(&self, now: Now) -> Staleness {
        let Some(copy) = &self.copy else {
            return Staleness::Fresh;
        };
        let timers = copy.zone.timers();
        let age = self.age(now);
        if age > timers.expire {
            Staleness::Expired
        } else if self.failure().is_some() && age > timers.refresh + timers.retry {
            Staleness::Unconfirmed
        } else {
            Staleness::Fresh
        }
    }
}

/// What stays when a version cannot be used, for messages.
pub(super) fn in_force(copy: Option<&InboundCopy>) -> String {
    match copy {
        Some(copy) => format!(
            "serial {}, received at {}, stays in force",
            copy.zone.serial(),
            copy.received
        ),
        None => "the zone is not served until there is one that can".to_owned(),
    }
}

fn in_sentences(warnings: &[LayoutProblem], private: &[PrivateRecords]) -> Vec<String> {
    let warnings = warnings.iter().map(ToString::to_string);
    let private = private.iter().map(|records| match records.is_computed() {
        true => format!("its primary computes answers that repoint cannot give: {records}"),
        false => {
            format!("{records}: nothing is computed from them, and they are served as they are")
        }
    });
    warnings.chain(private).collect()
}

fn in_words(problems: &[LayoutProblem]) -> String {
    let mut errors = problems
        .iter()
        .filter(|problem| problem.severity() == crate::zone::Severity::Error);
    let first = errors.next().map(ToString::to_string).unwrap_or_default();
    match errors.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}
