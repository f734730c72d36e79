//! What a zone publishes of its keys and signs with, by their stages.
//!
//! In: a row, the private keys there are. Out: [`ZoneKeys`], or which private key is missing, and whether the zone may
//! do without it. Never here: a clock.

use std::sync::Arc;
use std::time::Duration;

use super::parent::ParentDs;
use super::row::{Stage, ZoneRow};
use crate::zone::{ChildRecords, Dnskey, Role, Signer, SigningKey, ZoneKeys};

/// A private key that is needed and not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private half of key {tag} is not there")]
pub struct MissingKey {
    /// Its tag.
    pub tag: u16,
}

/// The keys in force; `private` gives the private half of a public one. A zone without keys gives no signers.
///
/// # Errors
/// When a key that signs has no private half.
pub fn in_force(
    row: &ZoneRow,
    ttl: u32,
    private: impl Fn(&Dnskey) -> Option<Arc<SigningKey>>,
) -> Result<ZoneKeys, MissingKey> {
    let mut keys = ZoneKeys {
        ttl,
        child: child_records(row),
        ..ZoneKeys::default()
    };
    for key in &row.keys {
        let role = if !key.stage.is_published() || !key.dnskey().is_secure_entry_point() {
            // A key that is not in the DNSKEY RRset signs neither it nor CDS (RFC 7344 §4.1).
            Role::Zone
        } else {
            Role::Everything
        };
        if key.stage.is_published() {
            keys.published.push(key.dnskey().clone());
        }
        let private = private(key.dnskey()).ok_or(MissingKey { tag: key.tag() })?;
        keys.signers.push(Signer { key: private, role });
    }
    Ok(keys)
}

impl ZoneRow {
    /// Whether an unsigned answer is as good as a signed one, should a private half be missing: no validator has a DS.
    /// `bare` is for how long this process has seen no server of the parent with one; none before the parent was heard.
    pub fn may_go_unsigned(&self, bare: Option<Duration>, propagation: Duration) -> bool {
        if !self.parent.as_ref().is_some_and(ParentDs::is_empty) {
            return false;
        }
        // What the parent was asked for may have come while nobody asked, and what it had may be in caches.
        let offered = self.keys.iter().any(|key| key.stage >= Stage::Offered);
        !offered || bare.is_some_and(|bare| bare >= propagation + self.ds_time())
    }
}

/// What CDS and CDNSKEY say: what the parent is to have.
pub fn child_records(row: &ZoneRow) -> ChildRecords {
    if row.withdrawal.is_some() && !row.keys.is_empty() {
        return ChildRecords::Delete;
    }
    let carrying = row.keys.iter().filter(|key| key.stage.carries());
    let wanted: Vec<Dnskey> = carrying.map(|key| key.dnskey().clone()).collect();
    if wanted.is_empty() {
        ChildRecords::None
    } else {
        ChildRecords::Keys(wanted)
    }
}

/// Whether two rows publish and sign the same.
pub(super) fn same_in_zone(one: &ZoneRow, other: &ZoneRow) -> bool {
    let seen = |row: &ZoneRow| -> Vec<(Dnskey, bool)> {
        let keys = row.keys.iter();
        keys.map(|key| (key.dnskey().clone(), key.stage.is_published()))
            .collect()
    };
    seen(one) == seen(other) && child_records(one) == child_records(other)
}

/// Whether a published key beside this one has its algorithm.
pub(super) fn algorithm_stays(row: &ZoneRow, tag: u16) -> bool {
    let Some(key) = row.key(tag) else {
        return false;
    };
    row.keys.iter().any(|other| {
        other.tag() != tag
            && matches!(
                other.stage,
                Stage::Published | Stage::Offered | Stage::Active
            )
            && other.dnskey().algorithm() == key.dnskey().algorithm()
    })
}
