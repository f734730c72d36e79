//! The next step of a zone's keys.
//!
//! In: row, facts, the wall clock. Out: [`Step`]: the row as it is after the step, or what is waited for. Total, and
//! the same for the same inputs. Never here: doing it; a step counts when its row is stored.

use super::adopt::settle;
use super::facts::Facts;
use super::in_force::{algorithm_stays, same_in_zone};
use super::outlook::{Asking, Outlook, Trouble};
use super::parent::ParentDs;
use super::row::{KeyRow, Stage, Withdrawal, ZoneRow};
use crate::clock::Wall;

/// What is to be done about a zone's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This is the zone's row from now on: to be stored, then to be served.
    Take {
        /// The row.
        row: Box<ZoneRow>,
        /// What happens, in a sentence; none for what only repoint needs to know.
        what: Option<String>,
    },
    /// A key is to be generated for a zone that has none.
    Generate,
    /// Nothing yet.
    Wait(Outlook),
}

/// The next step.
pub fn next(row: &ZoneRow, facts: &Facts, now: Wall) -> Step {
    let due = match (row.keys.is_empty(), facts.wanted) {
        (true, wanted) => return without_keys(row, wanted, facts),
        (false, false) => unsign(row, facts, now),
        (false, true) => sign(row, facts, now),
    };
    match due {
        Due::Now(after, what) => match &facts.held {
            Some(why) if !same_in_zone(row, &after) => {
                let waits = format!("{why}; keys are not touched meanwhile");
                Step::Wait(outlook(what.as_deref(), &waits, None, Asking::Often))
            }
            _ => {
                let mut row = after;
                row.forget_older(facts.propagation, now);
                Step::Take { row, what }
            }
        },
        Due::Later(outlook) => Step::Wait(outlook),
    }
}

pub(super) enum Due {
    Now(Box<ZoneRow>, Option<String>),
    Later(Outlook),
}

/// A step that changes one key.
fn change(row: &ZoneRow, tag: u16, stage: Stage, now: Wall, what: String) -> Due {
    let mut after = row.clone();
    for key in &mut after.keys {
        if key.tag() == tag {
            key.enter(stage, now);
        } else if stage == Stage::Offered && key.stage.carries() {
            key.enter(Stage::Leaving, now);
        }
    }
    Due::Now(Box::new(after), Some(what))
}

pub(super) fn outlook(
    next: Option<&str>,
    waits_for: &str,
    at: Option<Wall>,
    asking: Asking,
) -> Outlook {
    Outlook {
        next: next.map(str::to_owned),
        waits_for: Some(waits_for.to_owned()),
        at,
        trouble: None,
        asking,
        look_at: at,
    }
}

/// A zone that has no key: one is generated only when the parent is known to have no DS.
fn without_keys(row: &ZoneRow, wanted: bool, facts: &Facts) -> Step {
    let generate = Some("a key is generated and the zone is signed");
    if !wanted {
        return Step::Wait(Outlook {
            next: None,
            waits_for: None,
            at: None,
            trouble: None,
            asking: Asking::Never,
            look_at: None,
        });
    }
    let waiting = |waits_for: &str, trouble| {
        let outlook = outlook(generate, waits_for, None, Asking::Often);
        Step::Wait(Outlook { trouble, ..outlook })
    };
    match &row.parent {
        Some(parent) if !parent.anywhere.is_empty() => {
            let tags = parent.tags();
            let waits = format!("the parent has a DS ({tags}) and there is no key here");
            waiting(&waits, Some(Trouble::KeysLost { tags }))
        }
        Some(parent) if parent.complete => match &facts.held {
            Some(why) => waiting(&format!("{why}; keys are not touched meanwhile"), None),
            None => Step::Generate,
        },
        _ => waiting(
            "every server of the parent to say that it has no DS",
            Some(Trouble::ParentUnknown),
        ),
    }
}

/// Signing ends when the parent has dropped every DS and caches have forgotten them (RFC 8078 §4).
fn unsign(row: &ZoneRow, facts: &Facts, now: Wall) -> Due {
    let Some(withdrawal) = &row.withdrawal else {
        let mut after = row.clone();
        after.withdrawal = Some(Withdrawal {
            since: now,
            ds_gone: None,
        });
        let what = "signing is being ended: CDS and CDNSKEY ask the parent to remove its DS";
        return Due::Now(Box::new(after), Some(what.into()));
    };
    let finish = "the zone is served unsigned and its keys are removed";
    let Some(parent) = &row.parent else {
        return Due::Later(outlook(
            Some(finish),
            "word from the parent",
            None,
            Asking::Often,
        ));
    };
    let now_gone = |since: Option<Wall>, what: Option<&str>| {
        let mut after = row.clone();
        after.withdrawal = Some(Withdrawal {
            ds_gone: since,
            ..withdrawal.clone()
        });
        Due::Now(Box::new(after), what.map(str::to_owned))
    };
    let Some(gone) = withdrawal.ds_gone else {
        // What was heard before signing was being ended may be long ago.
        if parent.is_empty() && parent.at >= withdrawal.since {
            return now_gone(
                Some(parent.at),
                Some("no server of the parent has a DS any more"),
            );
        }
        let waits = format!(
            "the DS ({}) to be removed at every server of the parent",
            parent.tags()
        );
        return Due::Later(outlook(Some(finish), &waits, None, Asking::Often));
    };
    if !parent.anywhere.is_empty() {
        return now_gone(
            None,
            Some("the parent has a DS again: the zone stays signed"),
        );
    }
    let at = gone + facts.propagation + row.ds_time();
    if now < at || !parent.complete || parent.at < at {
        let waits = "every copy of the DS to be gone, and the parent to confirm that it has none";
        return Due::Later(outlook(Some(finish), waits, Some(at), Asking::Often));
    }
    let after = ZoneRow {
        keys: Vec::new(),
        withdrawal: None,
        ds_ttl: None,
        ..row.clone()
    };
    Due::Now(Box::new(after), Some(finish.into()))
}

fn sign(row: &ZoneRow, facts: &Facts, now: Wall) -> Due {
    if row.withdrawal.is_some() {
        let after = ZoneRow {
            withdrawal: None,
            ..row.clone()
        };
        return Due::Now(
            Box::new(after),
            Some("the zone stays signed after all".into()),
        );
    }
    if let Some(due) = settle(row, now) {
        return due;
    }
    let mut outlooks = Vec::new();
    for key in &row.keys {
        match of_key(row, key, facts, now) {
            Due::Later(outlook) => outlooks.push(outlook),
            due => return due,
        }
    }
    let look_at = outlooks.iter().filter_map(|one| one.look_at).min();
    let asking = outlooks.iter().map(|one| one.asking).max();
    // The one that is nearest to a step speaks for all: a key on its way out, or else the one that waits.
    outlooks.sort_by_key(|one| (one.next.is_none(), std::cmp::Reverse(one.asking)));
    let first = outlooks.into_iter().next();
    let waiting = first.unwrap_or_else(|| outlook(None, "nothing", None, Asking::Seldom));
    Due::Later(Outlook {
        trouble: trouble(row),
        asking: asking.unwrap_or(Asking::Seldom),
        look_at,
        ..waiting
    })
}

/// A chain of trust that ends nowhere.
fn trouble(row: &ZoneRow) -> Option<Trouble> {
    let (parent, name) = (row.parent.as_ref()?, row.name());
    let held =
        |key: &&KeyRow| key.stage.is_published() && parent.has_somewhere(key.dnskey(), &name);
    let broken = !parent.anywhere.is_empty() && row.keys.iter().find(held).is_none();
    broken.then(|| Trouble::DsMismatch {
        tags: parent.tags(),
    })
}

fn of_key(row: &ZoneRow, key: &KeyRow, facts: &Facts, now: Wall) -> Due {
    let tag = key.tag();
    let spread = key.spread_by(facts);
    if key.is_spreading() && spread.is_ok_and(|at| now >= at) {
        let mut after = row.clone();
        for mine in after.keys.iter_mut().filter(|mine| mine.tag() == tag) {
            mine.spread = Some(now);
        }
        return Due::Now(Box::new(after), None);
    }
    let copies = row.copies_gone(key, facts);
    let ttl = row.longest_held();
    match key.stage {
        Stage::Presigning => {
            let what = format!("key {tag} is published: every answer is signed with its algorithm");
            let waits = format!("answers without its signatures to be gone (TTL up to {ttl} s)");
            after_copies(key, (copies, spread), now, &what, &waits, || {
                change(row, tag, Stage::Published, now, what.clone())
            })
        }
        Stage::Published => {
            let what = format!("CDS and CDNSKEY ask the parent for the DS of key {tag}");
            let waits = format!("answers from before the key to be gone (TTL up to {ttl} s)");
            after_copies(key, (copies, spread), now, &what, &waits, || {
                change(row, tag, Stage::Offered, now, what.clone())
            })
        }
        Stage::Offered | Stage::Active => carrying(row, key, now),
        Stage::Leaving => leaving(row, key, now),
        Stage::Expiring => expiring(row, key, facts, now),
        Stage::Unpublished => {
            let what = format!("the signatures of key {tag} are removed, and the key");
            let waits = format!("copies of its DNSKEY to be gone (TTL up to {ttl} s)");
            after_copies(key, (copies, spread), now, &what, &waits, || {
                without(row, tag, what.clone())
            })
        }
    }
}

fn after_copies(
    key: &KeyRow,
    (gone, spread): (Result<Wall, &str>, Result<Wall, &str>),
    now: Wall,
    what: &str,
    waits: &str,
    step: impl FnOnce() -> Due,
) -> Due {
    let gone = match gone {
        Ok(gone) => gone,
        Err(first) => return Due::Later(outlook(Some(what), first, None, Asking::Seldom)),
    };
    if key.spread.is_some() && now >= gone {
        return step();
    }
    Due::Later(Outlook {
        look_at: spread.ok().filter(|_| key.spread.is_none()).or(Some(gone)),
        ..outlook(Some(what), waits, Some(gone), Asking::Seldom)
    })
}

fn carrying(row: &ZoneRow, key: &KeyRow, now: Wall) -> Due {
    let (tag, name) = (key.tag(), row.name());
    let says = |test: fn(&ParentDs, &crate::zone::Dnskey, &crate::zone::Name) -> bool| {
        row.parent
            .as_ref()
            .is_some_and(|parent| test(parent, key.dnskey(), &name))
    };
    if key.stage == Stage::Offered {
        if says(ParentDs::has_everywhere) {
            let what = format!("every server of the parent has the DS of key {tag}");
            return change_alone(row, tag, Stage::Active, now, what);
        }
        let seen = row
            .parent
            .as_ref()
            .map_or("nothing heard yet".into(), |parent| {
                format!("seen there: {}", parent.tags())
            });
        let waits = format!("the DS of key {tag} at every server of the parent ({seen})");
        let what = format!("key {tag} is active");
        return Due::Later(outlook(Some(&what), &waits, None, Asking::Often));
    }
    if says(ParentDs::has_nowhere) {
        let what = format!("no server of the parent has the DS of key {tag} any more");
        return change_alone(row, tag, Stage::Offered, now, what);
    }
    Due::Later(Outlook {
        next: None,
        waits_for: None,
        at: None,
        trouble: None,
        asking: Asking::Seldom,
        look_at: None,
    })
}

/// A step that changes no other key and nothing in the zone.
fn change_alone(row: &ZoneRow, tag: u16, stage: Stage, now: Wall, what: String) -> Due {
    let mut after = row.clone();
    for key in after.keys.iter_mut().filter(|key| key.tag() == tag) {
        key.enter(stage, now);
    }
    Due::Now(Box::new(after), Some(what))
}

/// Whether answers are fine without this key: the parent points at another that every cache can follow, or at none.
fn carried_by_another(row: &ZoneRow, tag: u16, parent: &ParentDs) -> bool {
    let name = row.name();
    let others = row
        .keys
        .iter()
        .filter(|key| key.tag() != tag && key.stage.carries());
    others
        .into_iter()
        .any(|key| parent.has_everywhere(key.dnskey(), &name) || parent.is_empty())
}

fn leaving(row: &ZoneRow, key: &KeyRow, now: Wall) -> Due {
    let (tag, name) = (key.tag(), row.name());
    let gone = row.parent.as_ref().is_some_and(|parent| {
        parent.at >= key.since
            && parent.has_nowhere(key.dnskey(), &name)
            && carried_by_another(row, tag, parent)
    });
    if gone {
        let what = format!("no server of the parent has the DS of key {tag}");
        return change_alone(row, tag, Stage::Expiring, now, what);
    }
    let waits = format!(
        "the DS of key {tag} to be replaced at every server of the parent (seen there: {})",
        row.parent
            .as_ref()
            .map_or("nothing heard yet".into(), ParentDs::tags)
    );
    let what = format!("copies of the DS of key {tag} run out");
    Due::Later(outlook(Some(&what), &waits, None, Asking::Often))
}

fn expiring(row: &ZoneRow, key: &KeyRow, facts: &Facts, now: Wall) -> Due {
    let (tag, name) = (key.tag(), row.name());
    let Some(parent) = &row.parent else {
        return Due::Later(outlook(None, "word from the parent", None, Asking::Often));
    };
    let back = parent.has_somewhere(key.dnskey(), &name);
    if parent.at >= key.since
        && (back || (parent.complete && !carried_by_another(row, tag, parent)))
    {
        let what = format!("the parent has changed its DS again: key {tag} stays");
        return change_alone(row, tag, Stage::Leaving, now, what);
    }
    let at = key.since + facts.propagation + row.ds_time();
    let last = algorithm_stays(row, tag) || !key.dnskey().is_secure_entry_point();
    let what = if last {
        format!("key {tag} and its signatures are removed")
    } else {
        format!("key {tag} leaves the DNSKEY RRset; its signatures stay for a while")
    };
    if now < at || parent.at < at || !parent.complete {
        let waits = "every copy of its DS to be gone, and the parent to confirm that it has none";
        return Due::Later(outlook(Some(&what), waits, Some(at), Asking::Often));
    }
    if last {
        without(row, tag, what)
    } else {
        change_alone(row, tag, Stage::Unpublished, now, what)
    }
}

fn without(row: &ZoneRow, tag: u16, what: String) -> Due {
    let mut after = row.clone();
    after.keys.retain(|key| key.tag() != tag);
    Due::Now(Box::new(after), Some(what))
}
