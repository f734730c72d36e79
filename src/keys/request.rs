//! What an operator may ask of a zone's keys: a first key, a roll, the end of one.
//!
//! In: a row and a request. Out: the row after it, or why it is refused. Never here: making a key, asking the parent.

use super::facts::Facts;
use super::parent::ParentDs;
use super::row::{KeyRow, PublicKey, Stage, ZoneRow};
use crate::clock::Wall;
use crate::zone::Dnskey;

/// Why a request is refused. The texts continue "cannot … key …:".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The configuration does not want the zone signed.
    #[error("the configuration does not sign this zone (dnssec = false)")]
    NotWanted,
    /// A failover is going on.
    #[error("{0}; keys are not touched meanwhile")]
    Held(String),
    /// There is a first key already.
    #[error("the zone has a key; a new one takes its place by a roll")]
    HasKey,
    /// There is none to take the place of.
    #[error("the zone has no key yet")]
    NoKey,
    /// A procedure is under way.
    #[error("key {tag} is {stage}: one procedure at a time")]
    UnderWay {
        /// The key under way.
        tag: u16,
        /// Its stage.
        stage: Stage,
    },
    /// Signing is being ended.
    #[error("signing is being ended for this zone")]
    Withdrawing,
    /// The tag is taken: keys are told apart by it.
    #[error("a key with the tag {0} is there already")]
    SameTag(u16),
    /// The parent is not known to have no DS.
    #[error(
        "the parent has not said that it has no DS: with one, a new key would make every answer bogus"
    )]
    ParentUnknown,
    /// The parent has a DS of another key.
    #[error("the parent has a DS of another key ({0}): with this one every answer would be bogus")]
    ParentHasDs(String),
    /// No such key.
    #[error("the zone has no key {0}")]
    Unknown(u16),
    /// Nothing would be left to follow.
    #[error("no other key of the zone is ready to take its place")]
    Only,
    /// It is on its way out.
    #[error("key {0} is being retired already")]
    Retiring(u16),
    /// The parent points at it.
    #[error("the parent does not have the DS of another key at every server")]
    Carries,
    /// A key that only signs the zone is no first key.
    #[error("its flags are not 257: repoint signs with one key that the parent's DS points at")]
    NotEntryPoint,
}

/// Puts a new key to work: the first of a zone, or one that takes the place of another. `parent_has_no_ds` is the
/// operator's word where the parent cannot be asked.
///
/// # Errors
/// When it would make answers bogus, or a procedure is under way.
pub fn begin(
    row: &ZoneRow,
    key: Dnskey,
    parent_has_no_ds: bool,
    facts: &Facts,
    now: Wall,
) -> Result<ZoneRow, RequestFault> {
    if !facts.wanted {
        return Err(RequestFault::NotWanted);
    }
    // A zone without the key that its DS points at is bogus: nothing that is going on gets worse by it.
    let mends = row.keys.is_empty() && {
        let parent = row.parent.as_ref();
        parent.is_some_and(|parent| parent.has_somewhere(&key, &row.name()))
    };
    if let Some(why) = facts.held.as_ref().filter(|_| !mends) {
        return Err(RequestFault::Held(why.clone()));
    }
    if row.withdrawal.is_some() {
        return Err(RequestFault::Withdrawing);
    }
    if row.key(key.tag()).is_some() {
        return Err(RequestFault::SameTag(key.tag()));
    }
    if !key.is_secure_entry_point() {
        return Err(RequestFault::NotEntryPoint);
    }
    let stage = match &row.keys[..] {
        [] => {
            let name = row.name();
            match &row.parent {
                Some(parent) if !parent.anywhere.is_empty() => {
                    if !parent.has_somewhere(&key, &name) {
                        return Err(RequestFault::ParentHasDs(parent.tags()));
                    }
                }
                Some(parent) if parent.complete => {}
                _ if parent_has_no_ds => {}
                _ => return Err(RequestFault::ParentUnknown),
            }
            Stage::Published
        }
        [old] if old.stage.carries() => {
            if old.dnskey().algorithm() == key.algorithm() {
                Stage::Published
            } else {
                Stage::Presigning
            }
        }
        keys => {
            let busy = keys
                .iter()
                .find(|key| !key.stage.carries())
                .unwrap_or(&keys[0]);
            return Err(RequestFault::UnderWay {
                tag: busy.tag(),
                stage: busy.stage,
            });
        }
    };
    let mut after = row.clone();
    after.keys.push(KeyRow::new(PublicKey(key), stage, now));
    Ok(after)
}

/// Retires a key: ends a roll before its time, or lets go of a key another has taken the place of.
///
/// # Errors
/// When answers would be bogus without it.
pub fn retire(row: &ZoneRow, tag: u16, now: Wall) -> Result<ZoneRow, RequestFault> {
    let key = row.key(tag).ok_or(RequestFault::Unknown(tag))?;
    let (mut after, name) = (row.clone(), row.name());
    match key.stage {
        // Nobody can have seen more of it than signatures, which nobody asks for.
        Stage::Presigning => after.keys.retain(|key| key.tag() != tag),
        Stage::Leaving | Stage::Expiring | Stage::Unpublished => {
            return Err(RequestFault::Retiring(tag));
        }
        Stage::Published | Stage::Offered | Stage::Active => {
            let others = row.keys.iter().filter(|other| other.tag() != tag);
            // Of a roll: the key that was to be replaced and has stayed published all the time.
            let back = others
                .clone()
                .find(|other| other.stage.carries() || leaves(other));
            let Some(back) = back else {
                return Err(RequestFault::Only);
            };
            let parent = row.parent.as_ref();
            let pointed = parent.is_some_and(|parent| parent.has_everywhere(back.dnskey(), &name));
            if !pointed && !parent.is_some_and(ParentDs::is_empty) {
                return Err(RequestFault::Carries);
            }
            // It may have been let go of before every cache could know it.
            let stage = match pointed {
                true => Stage::Offered,
                false => Stage::Published,
            };
            let back = back.tag();
            for key in &mut after.keys {
                if key.tag() == tag {
                    key.enter(Stage::Leaving, now);
                } else if key.tag() == back && leaves(key) {
                    key.enter(stage, now);
                }
            }
        }
    }
    Ok(after)
}

/// Whether a key that another takes the place of is published yet.
fn leaves(key: &KeyRow) -> bool {
    matches!(key.stage, Stage::Leaving | Stage::Expiring)
}

/// Removes a key at once, whatever breaks.
///
/// # Errors
/// When there is no such key.
pub fn force_retire(row: &ZoneRow, tag: u16) -> Result<ZoneRow, RequestFault> {
    row.key(tag).ok_or(RequestFault::Unknown(tag))?;
    let mut after = row.clone();
    after.keys.retain(|key| key.tag() != tag);
    if after.keys.is_empty() {
        after.withdrawal = None;
    }
    Ok(after)
}
