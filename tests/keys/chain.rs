//! Chains of trust, as the strictest validator follows them: every algorithm of the DS RRset has to sign the DNSKEY RRset,
//! every algorithm of the DNSKEY RRset the data (Unbound's harden-algo-downgrade).
//!
//! In: what somebody holds of the parent, and of versions of the zone. Out: why it is bogus. Never here: who holds what,
//! and for how long.

/// What one version of the zone says, as far as a validator cares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    /// Tag and algorithm of the DNSKEY RRset's keys.
    pub(crate) keys: Vec<(u16, u8)>,
    /// What signs the DNSKEY RRset.
    pub(crate) key_signers: Vec<u16>,
    /// What signs everything else.
    pub(crate) zone_signers: Vec<u16>,
    /// The longest TTL.
    pub(crate) ttl: u32,
}

impl Version {
    fn algorithms(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.keys.iter().map(|(_, algorithm)| *algorithm).collect();
        all.dedup();
        all
    }
}

/// A DS RRset: tag and algorithm of the keys pointed at.
pub(crate) type DsSet = Vec<(u16, u8)>;

/// Why a DS RRset, the DNSKEY RRset of one version and data of others are together bogus.
pub(crate) fn broken<'a>(
    ds: &DsSet,
    keys: &Version,
    data: impl IntoIterator<Item = &'a Version>,
) -> Option<String> {
    for (_, algorithm) in ds {
        let anchored = ds.iter().any(|pointed| {
            pointed.1 == *algorithm
                && keys.keys.contains(pointed)
                && keys.key_signers.contains(&pointed.0)
        });
        if !anchored {
            return Some(format!("DS {ds:?} and DNSKEY of {keys:?}"));
        }
    }
    if ds.is_empty() {
        return None;
    }
    for data in data {
        for algorithm in keys.algorithms() {
            let signed = keys
                .keys
                .iter()
                .any(|(tag, of)| *of == algorithm && data.zone_signers.contains(tag));
            if !signed {
                return Some(format!("DS {ds:?}, DNSKEY of {keys:?}, data of {data:?}"));
            }
        }
    }
    None
}
