//! Drafts: large zones are signed beside the engine, while it goes on deciding.
//!
//! In: what publications and commands outline; drafts as they come. Out: one draft at a time asked for; then the zone's
//! publication, or the command that waited for it, begun again. Never here: what is large, or signing (`zone`).
//!
//! A command that needs drafts is put aside until it has them, but no longer than [`PATIENCE`]; others go ahead. After that
//! it is in force, and zones that are not signed yet follow. What needs no command, such as a step of keys or a primary's
//! version, is in force at once. A reload is refused instead where a zone cannot be served as it was beside the new layout;
//! its zones are signed all the same, for the next try.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::command::{Command, RefusalKind, Request, RequestId};
use super::core::{Engine, Triggers};
use super::event::{DraftToken, Effect};
use super::planned::Planned;
use super::signing::PAUSE;
use crate::clock::{Mono, Now};
use crate::zone::{Draft, Layout, Name, Outline, Zones};

/// How long a command waits for drafts.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long drafts of a refused reload are kept for the next try.
const PREPARED: Duration = Duration::from_secs(600);

/// How often a command has one zone drafted. If it changes under the command again, the command waits no longer.
const TRIES: usize = 2;

/// Drafts, and what waits for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Drafts {
    /// The next publication takes them up.
    at_hand: BTreeMap<Name, Arc<Draft>>,
    /// The publication of a command takes them up.
    of_command: BTreeMap<Name, Arc<Draft>>,
    /// Of a what-if: nothing is built, what would be outlined and built is noted.
    rehearsed: Option<(Vec<Arc<Outline>>, Option<Planned>)>,
    under_way: Option<UnderWay>,
    /// The command that was put aside.
    aside: Option<Attempt>,
    /// Commands that must not overtake it, or need drafts as well.
    behind: VecDeque<Attempt>,
    /// Of a reload that was refused.
    prepared: Option<Prepared>,
    /// The last draft was a command's: a publication's is next.
    alternate: bool,
    pause: Option<Mono>,
    tokens: u64,
}

#[derive(Clone, Debug)]
struct UnderWay {
    token: DraftToken,
    apex: Name,
    command: Option<RequestId>,
}

/// Drafts of a reload that was refused because its zones were not signed in time: the next one takes them.
#[derive(Clone, Debug)]
struct Prepared {
    request: RequestId,
    wanted: VecDeque<Arc<Outline>>,
    drafts: BTreeMap<Name, Arc<Draft>>,
    /// When they are dropped; none while one is still to be made.
    until: Option<Mono>,
}

/// A command with the drafts that it has got so far.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) request: Request,
    pub(super) drafts: BTreeMap<Name, Arc<Draft>>,
    /// The zones drafted for it, each as often as it was.
    tried: Vec<Name>,
    /// What is still to be drafted.
    wants: Option<Arc<Outline>>,
    /// When it was asked for.
    asked: Mono,
}

impl Attempt {
    pub(super) fn first(request: Request, now: Mono) -> Attempt {
        Attempt {
            request,
            drafts: BTreeMap::new(),
            tried: Vec::new(),
            wants: None,
            asked: now,
        }
    }

    pub(super) fn has_waited(&self, long: Duration, now: Mono) -> bool {
        now.since(self.asked) >= long
    }

    /// The first of these zones that it has not had drafted often enough.
    fn next_of(&self, wanted: &[Arc<Outline>]) -> Option<Arc<Outline>> {
        let tries = |apex: &Name| self.tried.iter().filter(|tried| *tried == apex).count();
        let next = wanted.iter().find(|outline| tries(outline.apex()) < TRIES);
        next.cloned()
    }
}

impl Drafts {
    /// How many commands wait.
    pub(super) fn waiting(&self) -> usize {
        self.behind.len() + usize::from(self.aside.is_some())
    }

    /// The next command of those put aside; none while the first of them waits for a draft, or one about keys for a step of
    /// keys that is being stored.
    pub(super) fn next(&mut self, stepping: bool, now: Mono) -> Option<Attempt> {
        let waits = |aside: &Attempt| {
            let of_keys = matches!(aside.request.command, Command::Keys { .. });
            let for_draft = aside.wants.is_some() && !aside.has_waited(PATIENCE, now);
            for_draft || (stepping && of_keys)
        };
        match &self.aside {
            Some(aside) if waits(aside) => None,
            Some(_) => self.aside.take(),
            None => self.behind.pop_front(),
        }
    }

    /// Puts a command aside that would overtake another; gives back one that would not.
    pub(super) fn keep_order(&mut self, attempt: Attempt) -> Option<Attempt> {
        // A later configuration is not followed by an earlier one, a key not retired before it is there.
        let ordered = matches!(
            attempt.request.command,
            Command::Reload { .. } | Command::Keys { .. }
        );
        if !ordered || self.aside.is_none() {
            return Some(attempt);
        }
        self.behind.push_back(attempt);
        None
    }

    /// Puts a command aside that wants drafts; gives back one that has all, or has waited for them long enough.
    pub(super) fn put_aside(
        &mut self,
        mut attempt: Attempt,
        wanted: &[Arc<Outline>],
        now: Mono,
    ) -> Option<Attempt> {
        attempt.wants = None;
        if attempt.has_waited(PATIENCE, now) {
            return Some(attempt);
        }
        let Some(next) = attempt.next_of(wanted) else {
            return Some(attempt);
        };
        if self.aside.is_some() {
            self.behind.push_back(attempt);
        } else {
            attempt.wants = Some(next);
            self.aside = Some(attempt);
        }
        None
    }

    /// Has the zones of a refused reload signed all the same.
    pub(super) fn prepare(&mut self, attempt: Attempt, wanted: Vec<Arc<Outline>>) {
        let request = attempt.request.id;
        let under_way = self.under_way.as_ref();
        let under_way = under_way.filter(|under_way| under_way.command == Some(request));
        let begun = |outline: &Arc<Outline>| {
            under_way.is_some_and(|under_way| under_way.apex == *outline.apex())
        };
        self.prepared = Some(Prepared {
            request,
            wanted: wanted
                .into_iter()
                .filter(|outline| !begun(outline))
                .collect(),
            drafts: attempt.drafts,
            until: None,
        });
    }

    /// Gives a reload what was signed for the refused one before it.
    pub(super) fn take_prepared(&mut self, attempt: &mut Attempt) {
        let request = &attempt.request;
        let takes = matches!(request.command, Command::Reload { .. }) && !request.dry_run;
        let Some(prepared) = self.prepared.take_if(|_| takes) else {
            return;
        };
        attempt.drafts = prepared.drafts;
        let mut under_way = self.under_way.iter_mut();
        if let Some(of_refused) = under_way.find(|one| one.command == Some(prepared.request)) {
            of_refused.command = Some(request.id);
        }
    }

    /// When something is due: a draft is asked for again after a failure, a command has waited long enough.
    pub(super) fn deadline(&self, zones: &Zones) -> Option<Mono> {
        let wanted = !zones.outlines().is_empty() || self.aside.is_some();
        let again = self.pause.filter(|_| wanted && self.under_way.is_none());
        let waiting = self.aside.iter().filter(|aside| aside.wants.is_some());
        let impatient = waiting.map(|aside| aside.asked + PATIENCE);
        let prepared = self.prepared.as_ref();
        let forgotten = prepared.and_then(|prepared| prepared.until);
        again.into_iter().chain(impatient).chain(forgotten).min()
    }

    /// Drops what was signed for a refused reload that nobody repeats.
    pub(super) fn forget_prepared(&mut self, now: Mono) {
        let is_over = |until: Mono| until <= now;
        self.prepared
            .take_if(|prepared| prepared.until.is_some_and(is_over));
    }

    /// What the compilation at hand may use.
    pub(super) fn take(&mut self, layout: &Layout) -> BTreeMap<Name, Arc<Draft>> {
        let mut drafts = std::mem::take(&mut self.at_hand);
        // What a zone's primary has sent since the draft of a command was begun may be served already.
        let of_command = std::mem::take(&mut self.of_command).into_iter();
        drafts.extend(of_command.filter(|(_, draft)| draft.is_of_layout(layout)));
        drafts
    }

    /// Whether this engine only rehearses.
    pub(super) fn rehearses(&self) -> bool {
        self.rehearsed.is_some()
    }

    pub(super) fn rehearse(&mut self, outlines: Vec<Arc<Outline>>, planned: Option<Planned>) {
        self.rehearsed = Some((outlines, planned));
    }

    /// What a what-if would publish; none where it would publish nothing.
    pub(super) fn planned(&mut self) -> Option<Planned> {
        self.rehearsed.take()?.1
    }

    /// For one publication.
    pub(super) fn lend(&mut self, drafts: BTreeMap<Name, Arc<Draft>>) {
        self.of_command = drafts;
    }

    /// What of it was not used is of no use any more.
    pub(super) fn return_lent(&mut self) {
        self.lend(BTreeMap::new());
    }
}

impl Engine {
    /// A twin that takes a command's change over without building a zone.
    pub(super) fn rehearsal(&self, drafts: &BTreeMap<Name, Arc<Draft>>) -> Engine {
        let mut twin = self.clone();
        twin.drafts.rehearse(Vec::new(), None);
        twin.drafts.lend(drafts.clone());
        twin
    }

    /// What a rehearsed command wants drafted; what publications wait for already is not its concern.
    pub(super) fn wanted_by(&self, twin: &Engine) -> Vec<Arc<Outline>> {
        let rehearsed = twin.drafts.rehearsed.iter();
        let rehearsed = rehearsed.flat_map(|(outlines, _)| outlines);
        let known = |outline: &Outline| {
            let mut published = self.zones.outlines().iter();
            published.any(|published| published.is_like(outline))
        };
        rehearsed
            .filter(|outline| !known(outline))
            .cloned()
            .collect()
    }

    /// Why a reload cannot go ahead of these zones, which are still to be signed for it.
    pub(super) fn cannot_go_ahead(
        &self,
        twin: &Engine,
        missing: &[Arc<Outline>],
    ) -> Option<String> {
        let routes = twin.topology().routes.keys();
        let decisions = routes.filter_map(|route| twin.routes.get(route)?.decision.as_ref());
        let records = decisions.flat_map(|decision| decision.services.values().flatten());
        let targets: BTreeSet<Name> = records.map(|srv| Name::from(&srv.target)).collect();
        missing.iter().find_map(|outline| {
            let apex = outline.apex();
            let fault = self.zones.can_lag(apex, &twin.layout, &targets).err()?;
            let rrsets = outline.rrsets();
            Some(format!(
                "zone {apex}, of {rrsets} RRsets, is still being signed, and cannot be served as before meanwhile: {fault}"
            ))
        })
    }

    /// A draft has come, or could not be made.
    pub(super) fn drafted(
        &mut self,
        token: DraftToken,
        drafted: Result<Arc<Draft>, String>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let under_way = &mut self.drafts.under_way;
        let Some(done) = under_way.take_if(|under_way| under_way.token == token) else {
            return;
        };
        let aside = &mut self.drafts.aside;
        let mut aside = aside
            .as_mut()
            .filter(|aside| done.command == Some(aside.request.id));
        if let Some(aside) = &mut aside {
            aside.wants = None;
            aside.tried.push(done.apex.clone());
        }
        let mut prepared = self.drafts.prepared.iter_mut();
        let mut prepared = prepared.find(|prepared| done.command == Some(prepared.request));
        if let Some(prepared) = &mut prepared
            && prepared.wanted.is_empty()
        {
            prepared.until = Some(now.mono + PREPARED);
        }
        match drafted {
            Ok(draft) => {
                if draft.fault().is_some() {
                    self.drafts.pause = Some(now.mono + PAUSE);
                }
                let mut outlines = self.zones.outlines().iter();
                if let Some(aside) = aside {
                    aside.drafts.insert(done.apex, draft);
                } else if let Some(prepared) = prepared {
                    prepared.drafts.insert(done.apex, draft);
                } else if outlines.any(|outline| *outline.apex() == done.apex) {
                    // Also that of a command which is in force by now.
                    self.drafts.at_hand.insert(done.apex, draft);
                }
            }
            Err(why) => {
                self.drafts.pause = Some(now.mono + PAUSE);
                let apex = done.apex;
                let text =
                    format!("cannot sign zone {apex}: {why}; its version before stays in force");
                out.push(Effect::Log { warn: true, text });
                if let Some(attempt) = self
                    .drafts
                    .aside
                    .take_if(|aside| done.command == Some(aside.request.id))
                {
                    let request = attempt.request;
                    let why = format!("zone {apex} could not be signed: {why}");
                    let kind = RefusalKind::Unavailable;
                    let refusal = self.refuse(&request, kind, "signing-failed", &why, None);
                    out.push(Effect::Reply {
                        request: request.id,
                        result: Err(refusal),
                    });
                }
            }
        }
    }

    /// Publishes what drafts have come for.
    pub(super) fn publish_drafted(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.drafts.at_hand.is_empty() {
            self.publish_anyway(&Triggers::new(), now, out);
        }
    }

    /// Asks for the next draft.
    pub(super) fn ask_for_draft(&mut self, now: Now, out: &mut Vec<Effect>) {
        let drafts = &self.drafts;
        if drafts.under_way.is_some() || drafts.pause.is_some_and(|pause| pause > now.mono) {
            return;
        }
        let published = self
            .zones
            .outlines()
            .first()
            .map(|outline| (outline.clone(), None));
        let commanded = drafts.aside.as_ref().and_then(|aside| {
            let wants = aside.wants.clone()?;
            Some((wants, Some(aside.request.id)))
        });
        let commanded = commanded.or_else(|| {
            let prepared = drafts.prepared.as_ref()?;
            Some((prepared.wanted.front()?.clone(), Some(prepared.request)))
        });
        let next = match drafts.alternate {
            true => published.or(commanded),
            false => commanded.or(published),
        };
        self.drafts.pause = None;
        let Some((outline, command)) = next else {
            return;
        };
        // A publication that comes before it has a later serial.
        let Some(serial) = self.numbers.take_serial(self.next_serial(now), now) else {
            return;
        };
        if let Some(prepared) = &mut self.drafts.prepared
            && command == Some(prepared.request)
        {
            prepared.wanted.pop_front();
        }
        let apex = outline.apex().clone();
        if command.is_some() || self.zones.awaits_keys(&apex) {
            let meanwhile = match self.zones.version_at(&apex).is_some() {
                true => "what was served before is served meanwhile",
                false => "it is served after that",
            };
            let rrsets = outline.rrsets();
            let text = format!("zone {apex}: {rrsets} RRsets are being signed; {meanwhile}");
            out.push(Effect::Log { warn: false, text });
        }
        self.drafts.tokens += 1;
        self.drafts.alternate = command.is_some();
        let token = DraftToken(self.drafts.tokens);
        self.drafts.under_way = Some(UnderWay {
            token,
            apex,
            command,
        });
        out.push(Effect::Draft {
            token,
            outline,
            serial,
        });
    }

    /// Zones that waited for their drafts are published with the keys that are in force: what is served later counts from
    /// later.
    pub(super) fn keys_followed(&mut self, before: &Zones, now: Now) {
        for apex in self.zones.with_late_keys(before) {
            let Some(apex) = apex.to_domain_name() else {
                continue;
            };
            if let Some(row) = self.signing.rows.get_mut(&apex) {
                row.begun_again(now.wall);
                self.journal.keys(row.clone());
            }
            self.signing.look_at(&apex, now.mono);
        }
    }
}
