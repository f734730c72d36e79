//! Zones' keys in the engine: which are in force, when the next step of each is due, what is asked of the world for it.
//!
//! In: the rows, private keys, what parents say, the time. Out: keys for `zone::compile`; effects that ask parents, make
//! and forget keys; steps on their way to the store. Never here: which step comes next (`keys`); a step that is
//! served before it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::core::Engine;
use super::event::{BatchToken, Effect};
use super::record::EntryKind;
use super::signing_clock::Dating;
use super::signing_spread::Spreading;
use crate::clock::{Mono, Now, Wall};
use crate::health::Verdict;
use crate::keys::{self, Asking, Facts, KeyRing, Outlook, ParentDs, Step, Trouble, ZoneRow};
use crate::topology::DomainName;
use crate::zone::{ChildRecords, Dnskey, Layout, Name, SigningKey, ZoneKeys};

/// While a step waits for the parent it is asked this often: as often as its DS may change for a cache, within bounds.
const ASK_OFTEN: std::ops::RangeInclusive<u64> = 2..=60;
/// Otherwise this often.
const ASK_SELDOM: Duration = Duration::from_secs(3600);
/// How long a switch lies back before keys are touched again.
const SETTLING: Duration = Duration::from_secs(60);
/// After a failure of the store, of making a key or of signing, this long.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// The keys of all zones.
#[derive(Clone, Debug, Default)]
pub(super) struct Signing {
    pub(super) rows: BTreeMap<DomainName, ZoneRow>,
    pub(super) ring: KeyRing,
    pub(super) faults: Vec<String>,
    pub(super) in_force: Arc<BTreeMap<Name, Arc<ZoneKeys>>>,
    /// Zones whose private keys are not at hand.
    pub(super) unsignable: Arc<BTreeSet<Name>>,
    pub(super) moments: BTreeMap<DomainName, Moment>,
    agenda: BTreeSet<(Mono, DomainName)>,
    pub(super) stepping: Option<Stepping>,
    pub(super) pause: Option<Mono>,
    /// When zones were compiled last.
    pub(super) compiled: Option<Mono>,
    /// Stored steps could not be published.
    pub(super) unpublished: bool,
    /// A parent has said what changes the keys in force, and that is not published yet.
    pub(super) changed: bool,
    pub(super) dating: Dating,
    /// The layout the rows have been made for.
    layout: Option<Arc<Layout>>,
}

/// What is known of a zone besides its row, in this process only.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    wake: Option<Mono>,
    asked: Option<Mono>,
    asking: bool,
    making: bool,
    /// A key that was made for it.
    made: Option<Arc<SigningKey>>,
    pub(super) outlook: Option<Outlook>,
    /// Since when no server of the parent has been seen to have a DS, by this process.
    bare_since: Option<Mono>,
    /// Since when it has not been known whether the parent has a DS.
    pub(super) unknown_since: Option<Mono>,
    /// Why the parent could not be asked, or no key be made.
    pub(super) fault: Option<String>,
    /// How far it has come among its secondaries.
    pub(super) spreading: Spreading,
}

/// Steps on their way to the store.
#[derive(Clone, Debug)]
pub(super) struct Stepping {
    pub(super) token: BatchToken,
    pub(super) steps: Vec<TakenStep>,
}

/// A row to put in force, with the key that is new in it.
#[derive(Clone, Debug)]
pub(super) struct TakenStep {
    pub(super) row: ZoneRow,
    pub(super) key: Option<Arc<SigningKey>>,
    /// How far the wall clock was ahead of the other, in milliseconds, when the row was made.
    pub(super) clock: i64,
}

impl Moment {
    /// What was found out so far counts for nothing.
    pub(super) fn begin_again(&mut self) {
        (self.asked, self.bare_since, self.outlook) = (None, None, None);
    }
}

impl Signing {
    pub(super) fn new(rows: Vec<ZoneRow>, ring: KeyRing, faults: Vec<String>, now: Now) -> Signing {
        let begun = rows.into_iter().map(|mut row| {
            row.begun_again(now.wall);
            (row.apex.clone(), row)
        });
        Signing {
            rows: begun.collect(),
            ring,
            faults,
            dating: Dating::new(now),
            ..Signing::default()
        }
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        if self.stepping.is_some() {
            return None;
        }
        let (first, _) = self.agenda.first()?;
        Some(self.pause.map_or(*first, |pause| pause.max(*first)))
    }

    /// Looks at a zone again at this moment, or before.
    pub(super) fn look_at(&mut self, apex: &DomainName, at: Mono) {
        let moment = self.moments.entry(apex.clone()).or_default();
        if moment.wake.is_some_and(|wake| wake <= at) {
            return;
        }
        if let Some(wake) = moment.wake.replace(at) {
            self.agenda.remove(&(wake, apex.clone()));
        }
        self.agenda.insert((at, apex.clone()));
    }

    /// A key that was made and could not be put to work yet.
    pub(super) fn made_again(&mut self, apex: &DomainName, key: Arc<SigningKey>) {
        self.moments.entry(apex.clone()).or_default().made = Some(key);
    }

    fn next_due(&mut self, now: Mono) -> Option<DomainName> {
        let (at, _) = self.agenda.first()?;
        if *at > now {
            return None;
        }
        let (_, apex) = self.agenda.pop_first()?;
        self.moments.entry(apex.clone()).or_default().wake = None;
        Some(apex)
    }

    /// Works out which keys are in force, for all zones of the layout. True when it is not as it was.
    pub(super) fn refresh(&mut self, layout: &Layout, propagation: Duration, now: Mono) -> bool {
        let (mut in_force, mut unsignable) = (BTreeMap::new(), BTreeSet::new());
        for (apex, row) in self.rows.iter().filter(|(_, row)| !row.keys.is_empty()) {
            let name = Name::from(apex);
            let Some(ttl) = layout.soa_ttl(&name) else {
                continue;
            };
            match keys::in_force(row, ttl, |public| self.ring.private(apex, public)) {
                Ok(keys) => {
                    let same = self.in_force.get(&name).filter(|before| ***before == keys);
                    in_force.insert(name, same.cloned().unwrap_or_else(|| Arc::new(keys)));
                }
                Err(_) => {
                    let bare = self.moments.get(apex).and_then(|moment| moment.bare_since);
                    let bare = bare.map(|since| now.since(since));
                    let vouched = is_vouched_for(row, layout, &name);
                    if !vouched && row.may_go_unsigned(bare, propagation) {
                        continue;
                    }
                    let keys = ZoneKeys {
                        child: keys::child_records(row),
                        ..ZoneKeys::default()
                    };
                    // What a zone of ours above it says does not depend on the private half.
                    let same = self.in_force.get(&name).filter(|before| ***before == keys);
                    let keys = same.cloned().unwrap_or_else(|| Arc::new(keys));
                    in_force.insert(name.clone(), keys);
                    unsignable.insert(name);
                }
            }
        }
        let changed = *self.in_force != in_force || *self.unsignable != unsignable;
        if *self.in_force != in_force {
            self.in_force = Arc::new(in_force);
        }
        self.unsignable = Arc::new(unsignable);
        changed
    }
}

impl Engine {
    /// A layout is about to be compiled: every zone has a row from here on.
    pub(super) fn keys_before_compiling(&mut self, out: &mut Vec<Effect>) {
        let layout = self.layout.clone();
        let known = self.signing.layout.clone();
        if known
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &layout))
        {
            return;
        }
        for name in layout.apexes() {
            let Some(apex) = name.to_domain_name() else {
                continue;
            };
            let was_there = |known: &Arc<Layout>| known.soa_ttl(name).is_some();
            if !self.signing.rows.contains_key(&apex) {
                let row = self.row_without_memory(&apex, out);
                self.signing.rows.insert(apex.clone(), row);
            } else if known.as_ref().is_some_and(|known| !was_there(known)) {
                self.zone_returned(&apex);
            }
            if known.is_none() {
                self.recall_ttl(&apex);
            }
            self.signing.look_at(&apex, self.last.mono);
        }
        self.refresh_keys();
        if known.is_none() {
            self.doubt_clock();
        }
    }

    /// Works out again which keys are in force. True when it is not as it was.
    pub(super) fn refresh_keys(&mut self) -> bool {
        let propagation = self.configuration.dnssec.propagation;
        self.signing
            .refresh(&self.layout, propagation, self.last.mono)
    }

    /// Zones have been compiled: how long caches may keep them is noted. `followed` when one of them may have waited for its
    /// draft or its turn.
    pub(super) fn keys_after_compiling(&mut self, followed: bool, now: Now) {
        let layout = self.layout.clone();
        let known = self.signing.layout.replace(layout.clone());
        if !followed && known.is_some_and(|known| Arc::ptr_eq(&known, &layout)) {
            return;
        }
        for version in self.zones.iter() {
            let Some(apex) = version.apex().to_domain_name() else {
                continue;
            };
            let Some(row) = self.signing.rows.get_mut(&apex) else {
                continue;
            };
            // A drain lowers the TTL of steered records for a while; their own is the route's.
            let routes = layout.routes_of(version.apex());
            let steered = routes.filter_map(|route| self.configuration.topology.routes.get(route));
            let steered = steered.map(|route| route.ttl).max();
            let longest = version.longest_ttl().max(steered.unwrap_or(0));
            let older = row.older;
            if row.serves(longest, now.wall) && !row.is_blank() {
                self.journal.keys(row.clone());
            }
            if row.older != older
                && let Some(moment) = self.signing.moments.get_mut(&apex)
            {
                moment.spreading.ttl_lowered();
            }
        }
    }

    /// What a step of this zone's keys has to know.
    pub(super) fn key_facts(&self, apex: &DomainName, now: Now) -> Facts {
        let dnssec = &self.configuration.dnssec;
        Facts {
            wanted: dnssec.signs(apex),
            algorithm: dnssec.algorithm,
            propagation: dnssec.propagation,
            seen: self.seen(apex, now),
            held: self.keys_held(apex, now),
        }
    }

    /// Why keys are not to be touched now.
    fn keys_held(&self, apex: &DomainName, now: Now) -> Option<String> {
        if self.doubt.is_some() {
            return Some("the state is in doubt".into());
        }
        let name = Name::from(apex);
        if self.is_doubted(&name) {
            return Some("another server has a later serial of the zone".into());
        }
        if self.zones.awaits_keys(&name) {
            return Some("the zone is being signed".into());
        }
        if self.zones.faults().iter().any(|(zone, _)| *zone == name) {
            return Some("the zone could not be signed".into());
        }
        // What is served stays as it was signed last: a step would be one on paper. To end signing takes no key.
        let wanted = self.configuration.dnssec.signs(apex);
        if wanted && self.signing.unsignable.contains(&name) {
            return Some("the private half of a key of the zone is not at hand".into());
        }
        self.layout.routes_of(&name).find_map(|route| {
            let held = self.held.get(route);
            if held.is_some_and(|held| held.all_down) {
                return Some(format!("no pool of route {route} is up"));
            }
            let wants = held.is_some_and(|held| held.wanted.is_some());
            let decision = self.routes.get(route)?.decision.as_ref();
            let down = decision.and_then(|decision| self.health.pool(route, &decision.active));
            if wants && down.is_some_and(|health| health.verdict == Verdict::Down) {
                return Some(format!("route {route} is to be failed over"));
            }
            let moved = self.moved.get(route)?;
            (now.mono.since(*moved) < SETTLING).then(|| format!("route {route} has just switched"))
        })
    }

    /// Takes the steps that are due, asks parents that are to be asked, renews signatures.
    pub(super) fn tend_keys(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.is_serving() {
            return;
        }
        let busy = self.signing.stepping.is_some() || self.committing.is_some();
        if busy || self.signing.pause.is_some_and(|pause| pause > now.mono) {
            return;
        }
        self.signing.pause = None;
        let dated = self.signing.dating.dated(now.wall);
        let due = self.zones.next_resign().is_some_and(|at| at <= dated);
        // One publication's bound is one event's.
        let due = (due || self.zones.is_behind()) && self.signing.compiled != Some(now.mono);
        if due || self.signing.unpublished || self.signing.changed {
            self.publish_keys(now, out);
        }
        let (mut steps, mut said) = (Vec::new(), Vec::new());
        let mut looked = false;
        // Zones whose steps are stored together are signed together. The next ones have their turn right behind them.
        let most = self.configuration.dnssec.most_at_once;
        let mut rrsets = 0;
        while rrsets <= most
            && let Some(apex) = self.signing.next_due(now.mono)
        {
            looked = true;
            let name = Name::from(&apex);
            if self.layout.soa_ttl(&name).is_none() {
                continue;
            }
            if let Some((step, what)) = self.key_step(&apex, now, out) {
                said.extend(what.map(|what| format!("zone {apex}: {what}")));
                let served = self.zones.version_at(&name);
                rrsets += served.map_or(1, |version| version.rrset_count().max(1));
                steps.push(step);
            }
        }
        // Time, too, lets a zone go unsigned whose keys are missing.
        if looked && !self.signing.unsignable.is_empty() && self.refresh_keys() {
            self.publish_keys(now, out);
        }
        self.publish_received(now, out);
        if !steps.is_empty() {
            self.store_steps(steps, said, now, out);
        }
    }

    /// The step of one zone that is due now; or what it waits for is begun.
    fn key_step(
        &mut self,
        apex: &DomainName,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Option<(TakenStep, Option<String>)> {
        self.follow_spread(apex, now);
        let facts = self.key_facts(apex, now);
        if self.waits_to_be_served(apex) {
            match self.step_before_serving(apex) {
                Some(step) => return Some((step, None)),
                None => self.take_waiting(std::slice::from_ref(apex), now, out),
            }
        }
        let clock = self.signing.dating.offset();
        let row = self.signing.rows.get(apex)?;
        let moment = self.signing.moments.entry(apex.clone()).or_default();
        let (made, making) = (moment.made.take(), moment.making);
        if let Some(key) = made {
            match keys::begin(row, key.dnskey().clone(), false, &facts, now.wall) {
                Ok(row) => {
                    let what = format!("key {} is generated; the zone is signed", key.tag());
                    let key = Some(key);
                    return Some((TakenStep { row, key, clock }, Some(what)));
                }
                Err(_) => out.push(Effect::ForgetKey {
                    zone: apex.clone(),
                    tag: key.tag(),
                }),
            }
        }
        let ring = &self.signing.ring;
        let at_hand = |key: &Dnskey| ring.private(apex, key).is_some();
        // Whatever holds keys up: the zone is bogus without it.
        if let Some(row) = keys::mend(row, at_hand, ring.public(apex), now.wall) {
            let what = "the parent's DS points at none of its keys, but at one whose file is there: it is signed with that";
            let (key, what) = (None, Some(what.to_owned()));
            return Some((TakenStep { row, key, clock }, what));
        }
        match keys::next(row, &facts, now.wall) {
            Step::Take { row, what } => {
                let (row, key) = (*row, None);
                return Some((TakenStep { row, key, clock }, what));
            }
            Step::Generate if making => {}
            Step::Generate => {
                moment.making = true;
                (moment.outlook, moment.unknown_since) = (None, None);
                out.push(Effect::MakeKey {
                    zone: apex.clone(),
                    algorithm: facts.algorithm,
                });
            }
            Step::Wait(outlook) => self.wait_for(apex, outlook, now, out),
        }
        None
    }

    fn wait_for(&mut self, apex: &DomainName, outlook: Outlook, now: Now, out: &mut Vec<Effect>) {
        let row = &self.signing.rows[apex];
        let often = row.ds_ttl.unwrap_or(row.longest_ttl).into();
        let often = Duration::from_secs(u64::clamp(often, *ASK_OFTEN.start(), *ASK_OFTEN.end()));
        let every = match outlook.asking {
            Asking::Never => None,
            Asking::Seldom => Some(ASK_SELDOM),
            Asking::Often => Some(often),
        };
        let moment = self.signing.moments.entry(apex.clone()).or_default();
        let mut ask_at = every.map(|every| moment.asked.map_or(now.mono, |asked| asked + every));
        if ask_at.is_some_and(|at| at <= now.mono) && !moment.asking {
            moment.asking = true;
            moment.asked = Some(now.mono);
            out.push(Effect::AskParent { zone: apex.clone() });
            ask_at = every.map(|every| now.mono + every);
        }
        let due = outlook.look_at.filter(|at| *at > now.wall);
        let due = due.map(|at| now.mono + at.since(now.wall));
        let trouble = |outlook: &Outlook| outlook.trouble.clone();
        moment.unknown_since = match outlook.trouble {
            Some(Trouble::ParentUnknown) => moment.unknown_since.or(Some(now.mono)),
            _ => None,
        };
        if moment.outlook.as_ref().and_then(trouble) != trouble(&outlook) {
            self.next_look = now.mono;
        }
        moment.outlook = Some(outlook);
        if let Some(at) = [ask_at, due].into_iter().flatten().min() {
            self.signing
                .look_at(apex, at.max(now.mono + Duration::from_millis(200)));
        }
    }

    /// What the parent of a zone says, or why it says nothing.
    pub(super) fn heard_of_parent(
        &mut self,
        apex: &DomainName,
        heard: Result<ParentDs, String>,
        now: Now,
    ) {
        let moment = self.signing.moments.entry(apex.clone()).or_default();
        moment.asking = false;
        let asked = moment.asked.unwrap_or(now.mono);
        moment.fault = heard.as_ref().err().cloned();
        if let Ok(heard) = &heard {
            let bare = heard.anywhere.is_empty();
            moment.bare_since = bare.then(|| moment.bare_since.unwrap_or(now.mono));
        }
        self.signing.look_at(apex, now.mono);
        let Some(row) = self.signing.rows.get_mut(apex) else {
            return;
        };
        let Ok(heard) = heard else {
            self.look_again();
            return;
        };
        // In our own time: the shell's clock may have been set since.
        let ago = i64::try_from(now.mono.since(asked).as_millis()).unwrap_or(0);
        let at = Wall::from_millis(now.wall.as_millis() - ago);
        let tags = heard.tags();
        if !row.heard(ParentDs { at, ..heard }) {
            return;
        }
        if !row.is_blank() {
            let row = row.clone();
            self.journal.keys(row);
            let text = format!("zone {apex}: the parent has DS: {tags}");
            self.note(EntryKind::Keys, None, text, now);
        }
        self.signing.changed |= self.refresh_keys();
        self.look_again();
    }

    /// A key has been made for a zone, or could not be.
    pub(super) fn key_made(
        &mut self,
        apex: &DomainName,
        made: Result<Arc<SigningKey>, String>,
        now: Now,
    ) {
        let moment = self.signing.moments.entry(apex.clone()).or_default();
        moment.making = false;
        match made {
            Ok(key) => {
                moment.made = Some(key);
                moment.fault = None;
                self.signing.look_at(apex, now.mono);
            }
            Err(why) => {
                moment.fault = Some(why);
                self.signing.look_at(apex, now.mono + PAUSE);
                self.look_again();
            }
        }
    }
}

/// Whether a zone of our own has the DS of this one, or is about to.
fn is_vouched_for(row: &ZoneRow, layout: &Layout, apex: &Name) -> bool {
    let wanted = matches!(keys::child_records(row), ChildRecords::Keys(_));
    wanted && layout.vouches_for(apex).is_some()
}
